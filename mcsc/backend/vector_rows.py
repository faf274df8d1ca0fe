"""Operations on s x s patches as vector instructions, for use inside Numba kernels.

A row of a filter is one vector of s numbers. Written as a loop of s steps, Numba's compiler makes
scalar code of it (the index arithmetic hides that the loads are adjacent),
so the vectors are written out in LLVM's language; LLVM splits them into what the processor has.

The size of a filter is carried by the type of the first argument, `rows`, a tuple of s integers
whose values mean nothing: so it is known to the compiler, and part of what is cached on disk.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils

# Its annotations would hide that a call leaves out the first argument.
_intrinsic: Any = extending.intrinsic

_FAST = ("reassoc", "contract", "nsz")


@_intrinsic
def start(typing, array):  # type: ignore[no-untyped-def]
    """Return where a contiguous array begins, as a pointer to its elements.

    Numba counts references to an array that is handed on, also to an inlined function; the counter
    is atomic, and costs more than a patch, the more so when several threads count. Pointers are
    not counted: they are valid while the kernel's caller holds the array.
    """

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return context.make_array(signature.args[0])(context, builder, value=args[0]).data

    pointer: Any = types.CPointer
    return pointer(array.dtype)(array), generate


def _row(builder: Any, data: Any, offset: Any, vector: Any) -> Any:
    return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())


def _aligned(instruction: Any, element: Any) -> Any:
    # Rows begin anywhere: no more than an element's own alignment may be assumed.
    instruction.align = 4 if isinstance(element, ir.FloatType) else 8
    return instruction


def _sum(builder: Any, vector: Any, element: Any, size: int) -> Any:
    name = f"llvm.vector.reduce.fadd.v{size}f{32 if isinstance(element, ir.FloatType) else 64}"
    kind = ir.FunctionType(element, [element, ir.VectorType(element, size)])
    insert: Any = cgutils.get_or_insert_function
    function = insert(builder.module, kind, name)
    return builder.call(function, [ir.Constant(element, -0.0), vector], fastmath=_FAST)


def _products(
    context: Any, builder: Any, signature: Any, image: Any, offset: Any, stride: Any, plane: Any,
    channels: Any, weights: Any, filters: Any, first: Any,
) -> Any:  # fmt: skip
    """Sum over channels, a plane of the image apart, with one sum across a vector at the end."""
    element = context.get_value_type(signature.return_type)
    size = signature.args[0].count
    vector = ir.VectorType(element, size)
    # Two sums: one would wait for each of its additions.
    variable: Any = cgutils.alloca_once
    sums = [variable(builder, vector) for _ in range(min(2, size))]
    for total in sums:
        builder.store(ir.Constant(vector, [0.0] * size), total)
    # In the intrinsic's own loop the sums stay in registers.
    with cgutils.for_range(builder, channels) as loop:
        place = builder.add(offset, builder.mul(loop.index, plane))
        where = builder.add(first, builder.mul(loop.index, ir.Constant(first.type, size * size)))
        totals = [builder.load(total) for total in sums]
        for row in range(size):
            a = builder.load(_row(builder, image, place, vector))
            term = _aligned(a, element)
            if weights is not None:
                w = builder.load(_row(builder, weights, place, vector))
                term = builder.fmul(term, _aligned(w, element), flags=_FAST)
            f = builder.load(_row(builder, filters, where, vector))
            term = builder.fmul(term, _aligned(f, element), flags=_FAST)
            which = row % len(sums)
            totals[which] = builder.fadd(totals[which], term, flags=_FAST)
            place = builder.add(place, stride)
            where = builder.add(where, ir.Constant(where.type, size))
        for total, value in zip(sums, totals, strict=True):
            builder.store(value, total)
    values = [builder.load(total) for total in sums]
    total = values[0] if len(sums) == 1 else builder.fadd(*values, flags=_FAST)
    return _sum(builder, total, element, size)


@_intrinsic
def patch_dot(typing, rows, image, offset, stride, plane, channels, filters, first):  # type: ignore[no-untyped-def]
    """Sum of the patch of `image` (1-D) at `offset` times the filter at `first`.

    Rows of the patch lie `stride` apart, its channels `plane`.
    """

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        _, image, offset, stride, plane, channels, filters, first = args
        return _products(
            context, builder, signature, image, offset, stride, plane, channels, None, filters,
            first,
        )  # fmt: skip

    index = types.intp
    kind = image.dtype(rows, image, index, index, index, index, filters, index)
    return kind, generate


@_intrinsic
def patch_weighted_dot(  # type: ignore[no-untyped-def]
    typing, rows, image, weights, offset, stride, plane, channels, filters, first
):
    """The same, multiplied by weights that are laid out as `image`."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        _, image, weights, offset, stride, plane, channels, filters, first = args
        return _products(
            context, builder, signature, image, offset, stride, plane, channels, weights, filters,
            first,
        )  # fmt: skip

    index = types.intp
    kind = image.dtype(rows, image, weights, index, index, index, index, filters, index)
    return kind, generate


def _accumulate(
    context: Any, builder: Any, signature: Any, arguments: Any, *, into_image: bool
) -> Any:
    """``target += value source`` row by row; one of them is the patch, the other the filter."""
    _, image, offset, stride, filters, first, value = arguments
    size = signature.args[0].count
    element = value.type
    vector = ir.VectorType(element, size)
    spread = ir.Constant(vector, ir.Undefined)
    for q in range(size):
        spread = builder.insert_element(spread, value, ir.Constant(ir.IntType(32), q))
    for _ in range(size):
        patch = _row(builder, image, offset, vector)
        weights = _row(builder, filters, first, vector)
        target, source = (patch, weights) if into_image else (weights, patch)
        old = _aligned(builder.load(target), element)
        change = builder.fmul(spread, _aligned(builder.load(source), element), flags=_FAST)
        _aligned(builder.store(builder.fadd(old, change, flags=_FAST), target), element)
        offset = builder.add(offset, stride)
        first = builder.add(first, ir.Constant(first.type, size))
    return context.get_dummy_value()


@_intrinsic
def row_add(typing, rows, image, offset, stride, filters, first, value):  # type: ignore[no-untyped-def]
    """Add `value` times the filter at `first` to the patch of `image` at `offset`."""
    kind = types.void(rows, image, types.intp, types.intp, filters, types.intp, image.dtype)
    return kind, partial(_accumulate, into_image=True)


@_intrinsic
def row_take(typing, rows, image, offset, stride, filters, first, value):  # type: ignore[no-untyped-def]
    """Add `value` times the patch of `image` at `offset` to the filter at `first`."""
    kind = types.void(rows, image, types.intp, types.intp, filters, types.intp, image.dtype)
    return kind, partial(_accumulate, into_image=False)
