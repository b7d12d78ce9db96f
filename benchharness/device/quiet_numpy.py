"""numpy, without threads that keep cores busy beside what is measured.

numpy's OpenBLAS starts a thread for each further core, and each spins before it sleeps for the first time: for 2^28
ticks of the processor's counter, a tenth of a second. A worker imports numpy just before it loads a model, so on two
cores a second thread of the load and the first request shared its core with one that did nothing, and on eight cores
seven would spin. No application has that in its cold start. What computes here is the runtime; the harness itself
needs none of these threads.
"""

from __future__ import annotations

import contextlib
import os

#: How long an idle thread of OpenBLAS spins, as a power of two, read once when it is loaded. It takes no less than 4.
VARIABLE = "OPENBLAS_THREAD_TIMEOUT"
_SOONEST = "4"


def load_numpy() -> None:
    """Imports numpy. A user's own word holds, and what a runtime or a program of its own is told stays as it is."""
    asked = VARIABLE in os.environ
    os.environ.setdefault(VARIABLE, _SOONEST)
    with contextlib.suppress(ImportError):  # whoever cannot do without it says so better
        import numpy  # noqa: F401
    if not asked:
        del os.environ[VARIABLE]
