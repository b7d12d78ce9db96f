"""Ends this process when its parent is gone, so that no orphan burns a core beside the next measurement.

Two ways, because neither covers all: the kernel's parent-death signal (Linux; works while the process hangs in C
code), and the end of standard input, a pipe whose other end dies with the parent (every system).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
#: Found before any fork: a child that has just been forked must not wait for the loader's lock.
_prctl = ctypes.CDLL(None).prctl if sys.platform.startswith("linux") else None


def die_with_parent(parent: int, by: int = getattr(signal, "SIGKILL", 9)) -> None:
    """Asks Linux for a signal when the parent thread ends; elsewhere does nothing. `parent` is its process id.

    Only supervisors and conductors call it, for themselves and in the child they have just forked, so the worker,
    whose start is timed, does not load ctypes for it.
    """
    if _prctl is None:
        return
    _prctl(_PR_SET_PDEATHSIG, by, 0, 0, 0)
    if os.getppid() != parent:  # it died before the request was in place
        os._exit(1)


def become_subreaper() -> bool:
    """Whether processes whose parent ends become this process's children, if it is their nearest such ancestor."""
    return _prctl is not None and _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
