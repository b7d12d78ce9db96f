"""The Python API of comparing two builds: what got slower, where, and is it real?

::

    from benchharness import builds

    found = builds.compare("v1/suite.toml", "v2/suite.toml")    # interleaved pairs of fresh processes
    found = builds.compare("suite.toml", base_python="old/bin/python")
    found.frame()                                               # a row per metric: verdict, ratio, interval, p-value
    gate = builds.gate("suite.toml")                            # the base and everything else from its [gate] table
    gate.verdict.colour                                         # green, red, undecided
"""

from __future__ import annotations

from benchharness.builds.bisecting import Bisected, bisect
from benchharness.builds.comparing import Found, compare, load, measured, resume
from benchharness.builds.gating import Gates, Gating, finished, gate, judged, resume_gate
from benchharness.builds.machine import selftest
from benchharness.builds.several import gate_on, resume_on
from benchharness.builds.steadiness import unsteady
from benchharness.judge.selftest import SelfTested

__all__ = [
    "Bisected",
    "Found",
    "Gates",
    "Gating",
    "SelfTested",
    "bisect",
    "compare",
    "finished",
    "gate",
    "gate_on",
    "judged",
    "load",
    "measured",
    "resume",
    "resume_gate",
    "resume_on",
    "selftest",
    "unsteady",
]
