"""What a compressed model costs on each device it ships to, and what it lost on the way.

Words, one meaning each:

hardware target   a kind of device people ship to, with its budgets: one TOML profile, one report; `this-machine` is
                  detected
device            one unit of a hardware target, with a stable id; every attempt stores it and the host that drove it
adapter           the code that loads one model format in one runtime and runs it
model             a network and its task: `causal-lm`, `classifier`, `embedding` or `tensor` (anything else)
artefact          the set of files that the model reads; the digest of its manifest is its identity
variant           a model's artefact and the recipe that made it; one variant of a model is the *reference*
configuration     runtime, accelerator, threads, options, interpreter; *requested* and *effective* are two things
workload          what is asked: prompt and output lengths or texts, input shapes, pacing, context depth
scenario          what is measured, such as `first-token`: one slice each, see `benchharness.scenarios`
suite             the TOML file that names all these and expands lists of them
job               hardware target x variant x configuration x workload x scenario; "run" is the verb for it
attempt           one execution of a job in a fresh process: the unit of statistics
result            what a job yields: metrics, outcome, warnings, conditions; failures yield one too
run (noun)        one execution of a suite, with one id
fleet             one job on several devices of a hardware target, and what they say of it together
night             a run, where many are told as a history
trend             one figure of one variant and configuration on one device, over the nights
step              a level of a trend that is another one from a night on: `confirmed` by the ratio to the base,
                  `likely`, or the machine's own `drift`
base              a pinned build that runs beside what is measured, so that the machine's own drift cancels
session           a model loaded in a runtime, and nothing else
token stream      what a runtime with a loop of its own writes, with its own stamps
course            a sustained attempt over time: its windows, and the verdict on them with the evidence
ladder            an attempt that takes resources away, step by step; a step holds several trials
trial             one try within a step, in a fresh process
pass              a quality attempt that serves several jobs: their variants against one reference
cell              what two results must share to be compared: everything but variant, run and machine paths
outcome           how an attempt ended: `ok`, or one of the ways to fail, with the evidence
warning           a typed doubt about a result; what makes its numbers less sure, with what to do
verdict           a decision with its evidence: a budget's, a course's, a gate's, each with a type of its own

Python API: `run`, `resume`, `load`, `runs`, `fleets`, `history`, `render`, `site`, `load_suite`, `prune`,
`import_stores`, `verify`, and the classes they take and give (see `benchharness.api`, `benchharness.stores`);
`benchharness.builds` compares builds, `benchharness.search` is what a search asks. They are loaded when first used: the
worker imports this module too, and must leave memory and time to the model.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchharness.api import Findings, fleets, history, load, render, resume, run, run_on, runs, site
    from benchharness.errors import BenchharnessError
    from benchharness.stores import import_stores, prune, verify
    from benchharness.suite.overrides import Overrides
    from benchharness.suite.tables import Suite, load_suite

__version__ = "0.1.0"
__all__ = [
    "BenchharnessError",
    "Findings",
    "Overrides",
    "Suite",
    "fleets",
    "history",
    "import_stores",
    "load",
    "load_suite",
    "prune",
    "render",
    "resume",
    "run",
    "run_on",
    "runs",
    "site",
    "verify",
]

_HOMES = {
    "BenchharnessError": "errors",
    "Overrides": "suite.overrides",
    "Suite": "suite.tables",
    "import_stores": "stores",
    "load_suite": "suite.tables",
    "prune": "stores",
    "verify": "stores",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'benchharness' has no attribute {name!r}")
    return getattr(importlib.import_module(f"benchharness.{_HOMES.get(name, 'api')}"), name)
