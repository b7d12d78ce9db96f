"""What a compressed model costs on each device it ships to, and what it lost on the way.

Words, one meaning each:

hardware target   a kind of device people ship to: one TOML profile, one report; `this-machine` is detected
device            one unit of a hardware target, with a stable id
adapter           the code that loads one model format in one runtime and runs it
model             a network and its task: `causal-lm`, `classifier`, `embedding` or `tensor` (anything else)
artefact          the file or folder that ships; the digest of its manifest is its identity
variant           a model's artefact and the recipe that made it; one variant of a model is the *reference*
configuration     runtime, accelerator, threads, options; *requested* and *effective* are two things
workload          what is asked: prompt and output lengths or texts, input shapes, context depth
scenario          what is measured: `first-token`, `steady`, later `sustained`, `quality`, `constrained`
suite             the TOML file that names all these and expands lists of them
job               hardware target x variant x configuration x workload x scenario; "run" is the verb for it
attempt           one execution of a job in a fresh process: the unit of statistics
result            what a job yields: metrics, outcome, warnings, conditions
run (noun)        one execution of a suite, with one id
session           a model loaded in a runtime

This module imports nothing: the worker, which must leave memory and time to the model, imports it too.
"""

from __future__ import annotations

__version__ = "0.1.0"
