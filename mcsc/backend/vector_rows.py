"""Operations on s x s patches as vector instructions, for use inside Numba kernels.

A row of a filter is one vector of s numbers. Written as a loop of s steps, Numba's compiler makes
scalar code of it (ten times slower here: the index arithmetic hides that the loads are adjacent),
so the vectors are written out in LLVM's language; LLVM splits them into what the processor has.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_FAST = ("reassoc", "contract", "nsz")


class RowOperations(NamedTuple):
    """Intrinsics for one filter size; arrays are 1-D, offsets and strides in elements."""

    dot: Any
    """``dot(a, offset, stride, f, first)``: sum of a patch times a filter."""
    weighted_dot: Any
    """``weighted_dot(a, w, offset, stride, f, first)``: the same with weights laid out as a."""
    add: Any
    """``add(a, offset, stride, f, first, value)``: patch += value * filter."""


def _row(context: Any, builder: Any, kind: Any, array: Any, offset: Any, vector: Any) -> Any:
    data = context.make_array(kind)(context, builder, value=array).data
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


@cache
def row_operations(size: int) -> RowOperations:
    """Return the intrinsics for size x size patches."""

    def products(
        context: Any,
        builder: Any,
        signature: Any,
        image: Any,
        offset: Any,
        stride: Any,
        weights: Any,
        filters: Any,
        first: Any,
    ) -> Any:
        element = context.get_value_type(signature.return_type)
        vector = ir.VectorType(element, size)
        kinds = signature.args
        total = None
        for _ in range(size):
            a = builder.load(_row(context, builder, kinds[0], image, offset, vector))
            term = _aligned(a, element)
            if weights is not None:
                w = builder.load(_row(context, builder, kinds[1], weights, offset, vector))
                term = builder.fmul(term, _aligned(w, element), flags=_FAST)
            f = builder.load(_row(context, builder, kinds[-2], filters, first, vector))
            term = builder.fmul(term, _aligned(f, element), flags=_FAST)
            total = term if total is None else builder.fadd(total, term, flags=_FAST)
            offset = builder.add(offset, stride)
            first = builder.add(first, ir.Constant(first.type, size))
        return _sum(builder, total, element, size)

    @intrinsic
    def dot(typing, image, offset, stride, filters, first):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
            image, offset, stride, filters, first = args
            return products(
                context, builder, signature, image, offset, stride, None, filters, first
            )

        return image.dtype(image, types.intp, types.intp, filters, types.intp), generate

    @intrinsic
    def weighted_dot(typing, image, weights, offset, stride, filters, first):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
            image, weights, offset, stride, filters, first = args
            return products(
                context, builder, signature, image, offset, stride, weights, filters, first
            )

        return (
            image.dtype(image, weights, types.intp, types.intp, filters, types.intp),
            generate,
        )

    @intrinsic
    def add(typing, image, offset, stride, filters, first, value):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
            image, offset, stride, filters, first, value = args
            element = value.type
            vector = ir.VectorType(element, size)
            spread = ir.Constant(vector, ir.Undefined)
            for q in range(size):
                spread = builder.insert_element(spread, value, ir.Constant(ir.IntType(32), q))
            kinds = signature.args
            for _ in range(size):
                place = _row(context, builder, kinds[0], image, offset, vector)
                a = _aligned(builder.load(place), element)
                f = builder.load(_row(context, builder, kinds[3], filters, first, vector))
                change = builder.fmul(spread, _aligned(f, element), flags=_FAST)
                _aligned(builder.store(builder.fadd(a, change, flags=_FAST), place), element)
                offset = builder.add(offset, stride)
                first = builder.add(first, ir.Constant(first.type, size))
            return context.get_dummy_value()

        return (
            types.void(image, types.intp, types.intp, filters, types.intp, image.dtype),
            generate,
        )

    return RowOperations(dot, weighted_dot, add)
