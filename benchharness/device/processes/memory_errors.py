"""How to tell from words that memory was wanting: runtimes raise errors of their own, print, or abort."""

from __future__ import annotations

#: In lower case, as C++, numpy, ONNX Runtime, OpenBLAS and the C library write them.
_WORDS = (
    *("bad_alloc", "bad allocation", "out of memory", "cannot allocate", "unable to allocate"),
    *("failed to allocate", "memory allocation", "memoryerror", "not enough memory"),
)


def speaks_of_memory(text: str) -> str:
    """The first line that says that memory was wanting; empty where none does."""
    for line in text.splitlines():
        if any(word in line.lower() for word in _WORDS):
            return line.strip()
    return ""
