"""What a job asks for, as the suite says it and the store keeps it: the configuration and the workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchharness.contract import FALLBACK_WARN
from benchharness.results.objects import JsonObject

#: Who chose the threads of a configuration, where the suite did not.
EQUAL_THREADS = "default: equal for all runtimes"


@dataclass(frozen=True, kw_only=True, eq=False)
class Configuration(JsonObject):
    """How a model is run. What its runtime made of it is in `Effective`."""

    name: str = ""
    runtime: str = ""
    accelerator: str | None = None
    threads: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    accelerator_options: Mapping[str, Any] = field(default_factory=dict)
    fallback: str = FALLBACK_WARN  # one of the contract's FALLBACK_*
    python: str | None = None  # the interpreter; None: the harness's own
    library: str | None = None  # the accelerator's plug-in
    unit: str | None = None  # which of the accelerator's units
    threads_by: str | None = None  # EQUAL_THREADS where the suite left them to a default

    @property
    def asked_threads(self) -> int | None:
        """What the suite asks for; None where it leaves them to a default, be it the runtime's or the plan's."""
        return None if self.threads_by else self.threads

    @property
    def apart_from_threads(self) -> dict[str, Any]:
        """What tells it from another in all that can change an answer: neither its name nor its threads."""
        return {key: value for key, value in self.to_json().items() if key not in ("name", "threads", "threads_by")}


@dataclass(frozen=True, kw_only=True, eq=False)
class Data(JsonObject):
    """A data file: evaluation data, or real inputs of which one `sample` is fed."""

    path: str = ""
    kind: str = ""
    sha256: str = ""
    sample: int | None = None
    calibration: str | None = None  # the name of the data that the model was fitted to
    shared_samples: int | None = None  # how many stand in both
    values: str = "real"
    layouts: Mapping[str, str] = field(default_factory=dict)
    scores: str | None = None
    threshold: float | int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Prompt(JsonObject):
    """What a language model reads: a text, token ids, or as many seeded ones as its `length`."""

    seed: int = 0
    text: str | None = None
    tokens: Sequence[int] | None = None
    length: int | None = None
    file: str | None = None  # the name of the file that text or tokens were read from
    continuation_tokens: Sequence[int] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Workload(JsonObject):
    """What is asked of a model."""

    name: str = ""
    models: Sequence[str] | None = None  # in the plan: whom it is for; None: whoever can take it
    asks: str = "any"  # or "language", "tensor": of which kind of model
    prompt: Prompt = field(default_factory=Prompt)
    output_tokens: int | None = None
    context_depth: int | None = None
    continuation: str | None = None
    dimensions: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    data: Data | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened(JsonObject):
    """Another session that takes part in a job: the reference of quality, or a variant of a fallback chain."""

    variant: str = ""
    artefact: str = ""
    digest: str = ""
    configuration: Configuration = field(default_factory=Configuration)
    tensors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    key_from: str | None = None  # of a sealed artefact: where its key is found on the device, never the key
