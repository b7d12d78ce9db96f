"""What a page says and gives, which is not trusted: numbers and texts that can be, tensors that are what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import TensorSpec
from benchharness.errors import ModelFailure

if TYPE_CHECKING:
    from benchharness.contract import Array
    from targets.web_page.server import Server

#: What a page's tensors may be, by numpy's names, which JavaScript's are too but for two.
_DTYPES = frozenset(
    ("float32", "float64", "float16", "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
)
_MOST_TENSORS, _MOST_AXES, _MOST_WORDS = 1000, 16, 300
_SECOND_NS = 1_000_000_000


def table(told: Any, name: str) -> Mapping[str, Any]:
    """An answer with names. Raises `ModelFailure`; `name` is the model, here and everywhere below."""
    if not isinstance(told, dict):
        raise ModelFailure(f"{name}: the page answered what cannot be")
    return told


def words(told: Any) -> str:
    """A text of the page, cut where it is too long."""
    return str(told)[:_MOST_WORDS] if isinstance(told, str) else "unknown"


def step_ns(told: Any, name: str) -> int:
    """The clock's smallest step, as measured in the page. Raises `ModelFailure`."""
    step = milliseconds_ns(told, name)
    if not 0 < step <= _SECOND_NS:
        raise ModelFailure(f"{name}: the page's clock steps by {step} ns, which cannot be")
    return step


def milliseconds_ns(told: Any, name: str) -> int:
    """A number of the page's clock in ns. Raises `ModelFailure` for what is none."""
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not math.isfinite(told) or abs(told) > 1e12:
        raise ModelFailure(f"{name}: the page told {str(told)[:40]!r} for a time")
    return round(told * 1e6)


def stamps_ns(told: Any, count: int, name: str) -> Sequence[int]:
    """Stamps of the page, as many as there have to be. Raises `ModelFailure`."""
    if not isinstance(told, list) or len(told) != count:
        raise ModelFailure(f"{name}: the page did not give {count} stamps")
    return [milliseconds_ns(stamp, name) for stamp in told]


def specs(told: Any, name: str) -> list[TensorSpec]:
    """A model's inputs or outputs as the page tells them. Raises `ModelFailure` for what are none."""
    wrong = ModelFailure(f"{name}: the page told a signature that cannot be")
    if not isinstance(told, list) or len(told) > _MOST_TENSORS:
        raise wrong
    found = []
    for each in told:
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            raise wrong
        shape, dtype = each.get("shape", ()), each.get("type", "unknown")
        if not isinstance(dtype, str) or not isinstance(shape, (list, tuple)) or len(shape) > _MOST_AXES:
            raise wrong
        if not all(isinstance(length, (int, str)) for length in shape):
            raise wrong
        found.append(TensorSpec(each["name"], "str" if dtype == "string" else dtype, tuple(shape)))
    return found


def lay_ready(server: Server, inputs: Mapping[str, Array], name: str) -> list[dict[str, Any]]:
    """Puts arrays where the page takes them, one after the other; what each is. Raises `ModelFailure`."""
    told, parts = [], []
    for each, value in inputs.items():
        array = np.ascontiguousarray(value)
        if array.dtype.name not in _DTYPES:
            raise ModelFailure(f"{name}: input {each!r}: a page takes no tensors of {array.dtype.name}")
        told.append({"name": each, "type": array.dtype.name, "dims": list(np.shape(value)), "length": array.nbytes})
        parts.append(array.tobytes())
    server.files["take"] = b"".join(parts)
    return told


def given(server: Server, told: Any, name: str) -> dict[str, Array]:
    """The arrays that the page gave, which have to be what it says of them. Raises `ModelFailure`."""
    wrong = ModelFailure(f"{name}: the page gave tensors that cannot be")
    if not isinstance(told, list) or len(told) > _MOST_TENSORS:
        raise wrong
    content, at, found = server.taken, 0, {}
    server.taken = b""
    for each in told:
        if not isinstance(each, dict):
            raise wrong
        tensor, dtype, dims = each.get("name"), each.get("type"), each.get("dims")
        if not isinstance(tensor, str) or not isinstance(dtype, str) or not _are_lengths(dims) or dtype not in _DTYPES:
            raise wrong
        count = int(np.prod(dims, dtype=object)) if dims else 1
        length = count * np.dtype(dtype).itemsize
        if at + length > len(content):
            raise wrong
        found[tensor] = np.frombuffer(content, dtype, count, at).reshape(dims)
        at += length
    if at != len(content):
        raise wrong
    return found


def _are_lengths(dims: Any) -> bool:
    return (
        isinstance(dims, list)
        and len(dims) <= _MOST_AXES
        and all(type(dim) is int and 0 <= dim < 1 << 32 for dim in dims)
    )
