"""Where a worker's heap lies: a few bytes further on in each attempt, by chance.

Whether a large piece still fits between others, and so how many pages an allocator holds, hangs on single bytes that
came before it: a longer path of the bundle alone made the same model hold 1.4 % more anonymous memory after loading, in
every attempt (34.38 ± 0.01 MB and 33.89 ± 0.09 MB). Attempts that all lie alike agree with each other and not with
those of another folder, user, device or environment, and an interval over them says nothing of it. So each attempt
moves what comes after its environment by less than a page. It is what an address space laid out at random does for
pages, which leaves the places within a page alone.
"""

from __future__ import annotations

import os

#: In a worker's environment; what it holds means nothing.
VARIABLE = "BENCHHARNESS_ELSEWHERE"
#: Python keeps objects of up to 512 bytes in pools of its own, where they move nothing.
_LEAST_BYTES = 512
_PAGE_BYTES = 4096


def moved_environment() -> dict[str, str]:
    """This process's environment for a worker whose heap is to lie elsewhere than the last one's."""
    moved_bytes = int.from_bytes(os.urandom(2), "little") % _PAGE_BYTES
    return {**os.environ, VARIABLE: "x" * (_LEAST_BYTES + moved_bytes)}
