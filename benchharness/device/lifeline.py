"""Ends this process when its parent is gone, so that no orphan burns a core beside the next measurement.

Two ways, because neither covers all: the kernel's parent-death signal (Linux; works while the process hangs in C
code), and the end of standard input, a pipe whose other end dies with the parent (every system).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int) -> None:
    """Asks Linux for SIGKILL when the parent thread ends; elsewhere does nothing. `parent` is its process id.

    Only supervisors call it, for themselves and in the child they have just forked, so the worker, whose start is
    timed, does not load ctypes for it.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the request was in place
        os._exit(1)
