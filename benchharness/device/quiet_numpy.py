"""numpy, without threads that keep cores busy beside what is measured.

numpy's OpenBLAS starts a thread for each further core, and each spins before it sleeps for the first time: for 2^28
ticks of the processor's counter, a tenth of a second. A worker imports numpy just before it loads a model, so on two
cores a second thread of the load and the first request shared its core with one that did nothing, and on eight cores
seven would spin. No application has that in its cold start. What computes here is the runtime; the harness itself
needs none of these threads.

Only an OpenBLAS that came in numpy's own package is told. One of the system's the runtime may compute with, too, and
its threads would then sleep between any two products of matrices, which is no cold start's matter. What was done is
told with every attempt.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import PathFinder
from pathlib import Path

#: How long an idle thread of OpenBLAS spins, as a power of two, read once when it is loaded. It takes no less than 4.
VARIABLE = "OPENBLAS_THREAD_TIMEOUT"
_SOONEST = "4"
#: Where numpy's packages for pip have libraries of their own: beside it, and on macOS inside.
_OWN_LIBRARIES = ("../numpy.libs", ".dylibs")

ASLEEP = "asleep at once"
AS_THEY_ARE = "as numpy has them"


def load_numpy() -> str:
    """Imports numpy, and says what its threads do. A user's own word holds; what else is started is told nothing."""
    if "numpy" in sys.modules or VARIABLE in os.environ or not _has_its_own_openblas():
        _import()
        return AS_THEY_ARE
    with _set_for_a_moment():
        _import()
    return ASLEEP


def _import() -> None:
    with suppress(Exception):  # an ImportError or another: whoever cannot do without it says so better
        import numpy  # noqa: F401


@contextmanager
def _set_for_a_moment() -> Iterator[None]:
    os.environ[VARIABLE] = _SOONEST
    try:
        yield
    finally:
        del os.environ[VARIABLE]


def _has_its_own_openblas() -> bool:
    """Whether the numpy that would be imported brings its OpenBLAS along."""
    found = PathFinder.find_spec("numpy")
    if found is None or not found.origin:
        return False
    folders = (Path(found.origin).parent / folder for folder in _OWN_LIBRARIES)
    return any("openblas" in path.name for folder in folders for path in _inside(folder))


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
