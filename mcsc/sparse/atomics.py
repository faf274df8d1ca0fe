"""Numbers that threads tell each other, for use inside Numba kernels."""

from __future__ import annotations

from typing import Any

from numba import extending, types

# Its annotations would hide that a call leaves out the first argument.
_intrinsic: Any = extending.intrinsic

_ALIGNMENT = 8  # bytes, of a 64-bit integer


@_intrinsic
def load_acquire(typing, numbers, index):  # type: ignore[no-untyped-def]
    """Read a 64-bit number; what was written before it was stored is then seen, too.

    `numbers` is a pointer (`backend.vector_rows.start`).
    """

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        numbers, index = args
        return builder.load_atomic(builder.gep(numbers, [index]), "acquire", _ALIGNMENT)

    return types.int64(numbers, types.intp), generate


@_intrinsic
def store_release(typing, numbers, index, value):  # type: ignore[no-untyped-def]
    """Write a 64-bit number, after all that was written before."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        numbers, index, value = args
        builder.store_atomic(value, builder.gep(numbers, [index]), "release", _ALIGNMENT)
        return context.get_dummy_value()

    return types.void(numbers, types.intp, types.int64), generate
