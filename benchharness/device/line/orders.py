"""What the host orders, as the protocol's schema describes it: for type checkers, which then know its keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict


class Prompt(TypedDict, total=False):
    """A text, token ids, or as many seeded ones as its `length`."""

    seed: int
    text: str | None
    tokens: Sequence[int] | None
    length: int
    file: str
    continuation_tokens: Sequence[int] | None


class Data(TypedDict, total=False):
    """A data file on the device."""

    path: str
    kind: str
    sha256: str
    sample: int
    values: str
    layouts: Mapping[str, str]
    scores: str
    threshold: float


class Workload(TypedDict, total=False):
    """What is asked of a model."""

    name: str
    asks: str
    prompt: Prompt
    output_tokens: int
    context_depth: int
    continuation: str
    dimensions: Mapping[str, int]
    values: Mapping[str, Any]
    seed: int
    data: Data


class Opened(TypedDict, total=False):
    """A model to be loaded, and how."""

    adapter: str
    configuration: Mapping[str, Any]  # the contract's `Configuration`, but for runtime and task
    python: str | None
    artefact: str
    key_from: str  # of a sealed artefact: where the device finds its key
    files: Sequence[str]
    own_tokenizer: str  # of a variant that may read a text in other tokens than its reference
    tensors: Mapping[str, Mapping[str, str]]
    task: str | None  # as the suite says it
    variant: str  # of a fallback chain
    # Of a companion: the attempt that it stands for.
    id: str
    job: str
    round: int


class Order(Opened, total=False):
    """One attempt. `settings` are its scenario's own."""

    type: str
    tokenizer: str | None
    workload: Workload
    scenario: str
    module: str  # the scenario's, by its dotted name
    conducts: bool
    sensors: bool
    meter: Mapping[str, Any]  # an external one, as `suite.meter` passes it on
    settings: Mapping[str, Any]
    timeout_s: float
    entry_gate_s: float
    chain: Sequence[Opened]
    reference: Opened
    companions: Sequence[Opened]
    tried: str  # what supervisor or conductor add: why the tokenizer cannot read the texts; "" where it can
    # What the supervisor adds for the worker.
    spawned_ns: int
    bundle: str
