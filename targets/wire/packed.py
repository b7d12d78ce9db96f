"""Reads numbers of less than a byte, as formats pack them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from benchharness.contract import Array

#: Numbers unpacked at once, a multiple of eight: bits take eight times the room of what they make.
_UNPACKED_AT_ONCE = 1 << 22


def unpack(content: Array, bits: int, count: int, *, signed: bool) -> Array:
    """`count` numbers of `bits` bits each from packed bytes, the first in the lowest bits; as int8 or uint8."""
    if 8 % bits:
        numbers = _unpack_across_bytes(content, bits, count)
    else:
        shifts = range(0, 8, bits)
        numbers = np.stack([content >> shift & (1 << bits) - 1 for shift in shifts], axis=-1).reshape(-1)[:count]
    if not signed:
        return numbers
    sign = np.uint8(1 << (bits - 1))
    return ((numbers ^ sign) - sign).view(np.int8)


def _unpack_across_bytes(content: Array, bits: int, count: int) -> Array:
    """Numbers of three or six bits: some start in one byte and end in the next."""
    numbers = np.empty(count, np.uint8)
    weights = (1 << np.arange(bits)).astype(np.uint8)
    for start in range(0, count, _UNPACKED_AT_ONCE):
        some = numbers[start : start + _UNPACKED_AT_ONCE]
        packed = content[start * bits // 8 : (start + len(some)) * bits // 8 + 1]
        found = np.unpackbits(packed, count=len(some) * bits, bitorder="little").reshape(-1, bits)
        np.matmul(found, weights, out=some)
    return numbers
