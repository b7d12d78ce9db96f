"""A llama.cpp that was built here: its own tool, and its library in our adapter, so that both are of one build.

The adapter takes what pip has installed. Here it is handed the library of a build folder instead, with the structures
that the `llama.h` of the same sources declares, held against what that library fills in by itself.
"""

from __future__ import annotations

import ctypes
import os
import re
from dataclasses import dataclass
from pathlib import Path

from benchharness.errors import UsageError

#: Names the folder of llama.cpp's sources, which was built in `build`.
VARIABLE = "BENCHHARNESS_LLAMA_CPP"
_HELP = (
    f"set {VARIABLE} to a folder of llama.cpp's sources that was built in its `build`: cmake -B build "
    "-DBUILD_SHARED_LIBS=ON -DLLAMA_BUILD_SERVER=OFF && cmake --build build --target llama-bench"
)
_KINDS = {"uint32_t": "u32", "int32_t": "i32", "float": "f32", "bool": "bool", "size_t": "size"}
#: Defaults that have stood for years, and apart: a field too many or too few before them shows.
_DEFAULTS = {"n_batch": 2048, "n_ubatch": 512, "n_ctx": 512, "use_extra_bufts": 1, "offload_kqv": 1}


@dataclass(frozen=True)
class Build:
    """Where a build lies."""

    sources: Path

    def tool(self, name: str = "llama-bench") -> Path:
        """One of its own programs."""
        return self.sources / "build" / "bin" / name

    @property
    def library(self) -> Path:
        """The library that they are linked with."""
        return self.sources / "build" / "bin" / "libllama.so"


def found(*tools: str) -> Build:
    """The build that the environment names, with these tools in it. Raises `UsageError` where there is none."""
    build = Build(Path(os.environ.get(VARIABLE, "")))
    if VARIABLE not in os.environ or not build.library.is_file():
        raise UsageError(f"no llama.cpp of its own is here; {_HELP}")
    for tool in tools:
        if not build.tool(tool).is_file():
            raise UsageError(f"{build.sources} has no {tool}; {_HELP}, with {tool} as target")
    return build


def install() -> None:
    """Hands the build's library to the adapter, in this process. What pip has installed is not loaded."""
    from benchharness.contract import hidden

    build = found()
    with hidden("llama_cpp", "xllamacpp"):
        import targets.llama_cpp as adapter
    from targets.c_structures import structure
    from targets.llama_cpp.library import Library, _declare

    header = (build.sources / "include" / "llama.h").read_text(encoding="utf-8")
    lib = ctypes.CDLL(str(build.library))
    made = {}
    for name in ("llama_model_params", "llama_context_params", "llama_batch"):
        made[name], _ = structure(name, _layout(header, name))
    for name in ("llama_model", "llama_context"):
        _check(lib, f"{name}_default_params", made[f"{name}_params"])
    _declare(lib, made["llama_model_params"], made["llama_context_params"], made["llama_batch"])
    adapter._library = Library("built here", str(build.sources.name), lib, made["llama_batch"])


def _layout(header: str, name: str) -> str:
    """A structure of the header as `targets.c_structures` writes it."""
    declared = re.search(rf"struct {name} {{(.*?)^    }}", header, re.DOTALL | re.MULTILINE)
    assert declared is not None, f"llama.h has no {name}"
    lines = []
    for field in re.sub(r"//[^\n]*", "", declared[1]).split(";"):
        words = field.replace("*", " * ").split()
        if words:
            lines.append(f"{_kind(words, name)} {words[-1]}")
    return "\n".join(lines)


def _kind(words: list[str], structure: str) -> str:
    if "*" in words or words[0].endswith("callback") or (words[0].endswith("_t") and words[0] not in _KINDS):
        lists = {"token": "i32s", "logits": "i8s"} if structure == "llama_batch" else {}
        return lists.get(words[-1], "ptr")
    return "int" if words[0] == "enum" else _KINDS[words[0]]


def _check(lib: ctypes.CDLL, function: str, layout: type[ctypes.Structure]) -> None:
    """Raises `UsageError` where the library fills in something else than the header says."""
    call = getattr(lib, function)
    call.argtypes, call.restype = (), layout
    filled = call()
    wrong = [
        f"{field} = {getattr(filled, field)}"
        for field, *_ in layout._fields_
        if field in _DEFAULTS and getattr(filled, field) != _DEFAULTS[field]
    ]
    if wrong:
        raise UsageError(f"{function} of the library is not what llama.h beside it declares: {', '.join(wrong)}")
