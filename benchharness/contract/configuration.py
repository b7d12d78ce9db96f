"""How a model is to be run, as requested, and how the runtime really ran it, as read back from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: The task of models that predict the next token; every other takes tensors and gives tensors.
CAUSAL_LM = "causal-lm"

#: How a language session keeps its key/value cache.
CACHE_IN_PLACE = "in-place"  # the graph appends to a buffer that the adapter owns
CACHE_GROWN_BY_GRAPH = "grown-by-graph"  # the graph writes a new copy at every step (Concat)
CACHE_COPIED_BY_BINDING = "copied-by-binding"  # the language binding copies it out and in at every step
CACHE_NONE = "none"  # no cache: each step runs over all tokens again

#: In the place of accelerators where a runtime does not tell what it used.
PLACE_NOT_TOLD = "not told"

#: A session's fact: the accelerator's own memory in which it keeps tensors, where no reading of the process looks.
MEMORY_ELSEWHERE = "memory_elsewhere"

#: What a session's answers are evidence of.
EXECUTION_DEVICE = "device"  # the runtime that ships, on this device
EXECUTION_REFERENCE = "reference"  # another runtime computes what the weights say: quality, never latency or memory

#: What a configuration wants where the accelerator it names takes only part of the model, or none of it.
FALLBACK_ALLOW = "allow"  # the rest runs elsewhere, and the result tells how much
FALLBACK_WARN = "warn"  # so too, with a warning
FALLBACK_FAIL = "fail"  # the attempt ends `unsupported`


@dataclass(frozen=True)
class Configuration:
    """How a model is to be run, as requested: what the adapter got is in `EffectiveConfiguration`."""

    runtime: str
    accelerator: str | None = None  # execution provider, delegate or compute unit; None: the runtime's own default
    threads: int | None = None  # None: the runtime's own default
    options: Mapping[str, Any] = field(default_factory=dict)  # the runtime's session options, by its own names
    accelerator_options: Mapping[str, Any] = field(default_factory=dict)
    fallback: str = FALLBACK_WARN  # one of FALLBACK_*
    library: str | None = None  # the accelerator's plug-in, a path on the device; None: the runtime's or a package's
    unit: str | None = None  # which of the accelerator's units, as `Availability.units` names them; None: its first
    # What the user says that the model is, which holds where it can be; None: as its signature says.
    task: str | None = None

    @property
    def why_tensors(self) -> str:
        """Why it is opened as a plain `Session` whatever its signature says; empty where the user does not say so."""
        return "" if self.task in (None, CAUSAL_LM) else f'task = "{self.task}" is asked for'


@dataclass(frozen=True)
class Refusal:
    """An accelerator that was tried and took nothing: the session runs without it."""

    reason: str  # the runtime's own words
    lost_ns: int | None  # what trying took before the model was loaded without it; None: a part of the same load


@dataclass(frozen=True)
class EffectiveConfiguration:
    """What the runtime really did, read back from it and never copied from the request.

    The accelerator that was asked for keeps the spelling of the request wherever it is named, here and in placements.
    """

    accelerators: Sequence[str]  # as the runtime reports them for this session, preferred ones first; or PLACE_NOT_TOLD
    threads: int | None  # None: the runtime does not tell
    cache: str | None = None  # one of CACHE_*; None: not a language model
    runtime_version: str = "unknown"
    execution: str = EXECUTION_DEVICE  # one of EXECUTION_*
    refusal: Refusal | None = None
    unit: str | None = None  # of the accelerator's units the one that was taken; None: it has no choice of them
    wanted_places: Sequence[str] = ()  # where an accelerator that names several places is wanted; else its own name
    facts: Mapping[str, Any] = field(default_factory=dict)  # anything else worth knowing, JSON values only
    # What floating-point operators are computed in, read back: "float32", "bfloat16", "float16"; several joined by "+".
    # None: the runtime does not tell; say why in facts["precision_unknown"]. Integer operators are no part of it.
    precision: str | None = None
    model_precision: str | None = None  # the same as the model file says it; None: not read, or no such type
