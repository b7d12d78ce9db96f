"""llama.cpp's log, the only place where it says why it failed, where layers and buffers went, and what it repacked."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from targets.llama_cpp.library import LOG_CALLBACK

_ERROR = 4  # ggml's levels: 1 debug, 2 info, 3 warning, 4 error, 5 the rest of a line
_MOST_ERRORS, _LONGEST_ERROR = 8, 500

_LAYER = re.compile(r"load_tensors: layer +\d+ assigned to device ([^,\s]+)")
_BUFFER = re.compile(r"\w+: +(\S+) +(model|KV|RS|compute|output) buffer size = +([\d.]+) MiB")
_CACHE = re.compile(r"llama_kv_cache\w*: size = .*K \((\w+)\).*V \((\w+)\)")
_LOAD_MODE = re.compile(r"load_tensors: .*\(load_mode = (\w+)\)")
_REPACKED = re.compile(r"\w+: (amx )?repack tensor \S+ (?:with|of type) (\w+)")


class Log:
    """What was logged since it was made. llama.cpp has one log for the process: the newest of these hears it."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.layers: Counter[str] = Counter()  # by the device that they are assigned to, the output layer included
        self.buffers_mib: dict[str, float] = {}  # "CPU_Mapped model"
        self.repacked: Counter[str] = Counter()  # tensors by the form that they were brought into
        self.facts: dict[str, Any] = {}

    def hear(self, level: int, line: str) -> None:
        """Takes what is worth knowing from a line."""
        if level == _ERROR and len(self.errors) < _MOST_ERRORS:
            self.errors.append(line.strip()[:_LONGEST_ERROR])
        elif found := _LAYER.match(line):
            self.layers[found[1]] += 1
        elif found := _BUFFER.match(line):
            place = f"{found[1]} {found[2]}"
            self.buffers_mib[place] = round(self.buffers_mib.get(place, 0.0) + float(found[3]), 2)
        elif found := _CACHE.match(line):
            self.facts.update(type_k=found[1], type_v=found[2])
        elif found := _LOAD_MODE.match(line):
            self.facts["load_mode"] = found[1]
        elif found := _REPACKED.match(line):
            self.repacked[f"amx {found[2]}" if found[1] else found[2]] += 1
        elif line.startswith("graph_reserve: reserving a graph"):
            self.facts["flash_attn"] = False  # until an operator of this graph shows it
        elif "(FLASH_ATTN_EXT)" in line:
            self.facts["flash_attn"] = True

    @property
    def reason(self) -> str:
        """What was logged as an error, in one line."""
        return "; ".join(dict.fromkeys(self.errors)) or "llama.cpp does not say why"


_listening: list[Log] = []


@LOG_CALLBACK  # type: ignore[untyped-decorator]
def _hear(level: int, text: bytes, _: Any) -> None:
    if _listening and text:
        _listening[-1].hear(level, text.decode("utf-8", "replace"))


def listen(functions: Any) -> Log:
    """A log of what follows. llama.cpp keeps the callback for good, and so does this module."""
    _listening[:] = [Log()]
    functions.llama_log_set(_hear, None)
    return _listening[0]
