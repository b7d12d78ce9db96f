"""Structures of a C library that nobody describes in Python: written down as text, and held against the library itself.

A structure that is one field off is no error to ctypes: settings go elsewhere, and memory is overwritten. What C's
functions fill in by themselves shows it, where the fields' defaults are known.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Mapping
from typing import Any

#: How a layout writes C's types.
_TYPES: Mapping[str, Any] = {
    "ptr": ctypes.c_void_p,
    "i32": ctypes.c_int32,
    "u32": ctypes.c_uint32,
    "int": ctypes.c_int,
    "f32": ctypes.c_float,
    "bool": ctypes.c_bool,
    "size": ctypes.c_size_t,
    "i32s": ctypes.POINTER(ctypes.c_int32),
    "i8s": ctypes.POINTER(ctypes.c_int8),
}
#: What ctypes copies a structure of unknown size into.
_ROOM_BYTES = 1024


def structure(name: str, layout: str) -> tuple[type[ctypes.Structure], dict[str, int]]:
    """A structure, and its fields' defaults, from lines of a type and fields of it: "i32 n_threads=4 n_batch"."""
    lines = [line.split() for line in layout.strip().splitlines()]
    fields = [(*field.partition("=")[::2], _TYPES[kind]) for kind, *line in lines for field in line]
    made = type(name, (ctypes.Structure,), {"_fields_": [(field, kind) for field, _, kind in fields]})
    return made, {field: int(default or 0) for field, default, _ in fields}


def check_filled(lib: Any, function: str, layout: type[ctypes.Structure], defaults: Mapping[str, int]) -> None:
    """Holds a structure against what a function without arguments returns of it. Raises `OSError` where they differ."""
    content, written = _filled_in(getattr(lib, function))
    filled = layout.from_buffer_copy(content)
    held = {field: getattr(filled, field) or 0 for field, *_ in layout._fields_}
    wrong = [f"{field} = {value!r}" for field, value in held.items() if value != defaults[field]]
    if wrong or written > ctypes.sizeof(layout):
        told = ", ".join(wrong[:5]) or f"{written} bytes instead of {ctypes.sizeof(layout)}"
        raise OSError(f"its {function} are not those of the source of that version ({told})")


def _filled_in(function: Any) -> tuple[bytes, int]:
    """What a function returns by value, and up to where it wrote; 0 where the convention of calls hides that.

    On x86-64 such a value is written to where a hidden first argument points: over zeros and over ones the same bytes.
    """
    if platform.machine().lower() not in ("x86_64", "amd64") or platform.system() == "Windows":
        room = type("Room", (ctypes.Structure,), {"_fields_": (("bytes", ctypes.c_ubyte * _ROOM_BYTES),)})
        function.argtypes, function.restype = (), room
        return bytes(function().bytes), 0
    function.argtypes, function.restype = (ctypes.c_void_p,), ctypes.c_void_p
    contents = []
    for fill in (b"\x00", b"\xff"):
        room_bytes = ctypes.create_string_buffer(fill * _ROOM_BYTES, _ROOM_BYTES)
        function(room_bytes)
        contents.append(room_bytes.raw)
    same = [at for at, (one, other) in enumerate(zip(*contents)) if one == other]
    return contents[0], same[-1] + 1 if same else 0
