"""A model loaded in a runtime, and what more a session may be able to do or to tell. Each ability is optional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from benchharness.contract.configuration import EffectiveConfiguration
from benchharness.contract.tensors import TensorSpec

if TYPE_CHECKING:
    from benchharness.contract.tensors import Array


class Session(Protocol):
    """A model loaded in a runtime."""

    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    effective: EffectiveConfiguration

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One inference: arrays by input name to arrays by output name. Raises `ModelFailure`.

        An output that is no tensor (a sequence, a map, an optional that is empty) comes as an array without axes whose
        one object is what the runtime gave.
        """
        ...


@runtime_checkable
class LanguageSession(Protocol):
    """A causal language model with its key/value cache inside. It is a `Session` too."""

    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    effective: EffectiveConfiguration
    vocabulary_size: int
    context_length: int

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One inference on raw inputs, beside the cache. Raises `ModelFailure`."""
        ...

    def reset(self) -> None:
        """Empties the cache."""
        ...

    def extend(self, tokens: Sequence[int]) -> Array:
        """Appends one or more tokens; the logits of the next one, shape (vocabulary_size,), on the host.

        The array may be a view that the next call overwrites. Raises `Unsupported` where the tokens do not fit
        the context, `ModelFailure` where the runtime fails.
        """
        ...

    def decode(self, token: int) -> Array:
        """Appends one token through the cache; the logits of the next one, like `extend([token])`."""
        ...


@runtime_checkable
class ScoresText(Protocol):
    """An optional ability: the logits of all positions in one pass."""

    def score(self, tokens: Sequence[int]) -> Array:
        """Logits after each token, shape (len(tokens), vocabulary_size), from an empty cache."""
        ...


@runtime_checkable
class Rewinds(Protocol):
    """An optional ability of a `LanguageSession`: forgets the end of its text, so that another can follow."""

    def rewind(self, tokens: int) -> None:
        """Keeps the first `tokens` of what the cache holds, from none to all.

        Raises `Unsupported` where it holds fewer, or where this model's cache cannot be cut.
        """
        ...


@runtime_checkable
class AllocatesLate(Protocol):
    """An optional ability: a model that cannot have memory before the shapes of its inputs are known."""

    def allocate(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Memory for inputs of these shapes, where loading could give none; else nothing. Raises `ModelFailure`.

        `effective` and `placement` tell what the runtime did from then on.
        """
        ...


@runtime_checkable
class ReportsPlacement(Protocol):
    """An optional ability: tells where the operators run."""

    def placement(self) -> Mapping[str, Mapping[str, int]]:
        """Operators per accelerator: {"CPUExecutionProvider": {"MatMul": 31, ...}, ...}."""
        ...


@runtime_checkable
class ReportsInputRows(Protocol):
    """An optional ability of a session: tells which inputs are ids, and of how many."""

    def input_rows(self) -> Mapping[str, int]:
        """By input: the rows of the smallest stored table that its numbers pick from. Never raises; {} for none."""
        ...


@runtime_checkable
class TellsKeptState(Protocol):
    """An optional ability: tells whether an inference leaves something behind for the next that nobody can reset."""

    def keeps_state(self) -> bool:
        """Whether the model keeps a state inside. One that goes in and out as tensors is none."""
        ...


@runtime_checkable
class TellsLastOperators(Protocol):
    """An optional ability: tells what computes the outputs, so that scores are known for probabilities or logits."""

    def last_operators(self) -> Mapping[str, str]:
        """By output, the operator that computes it, by the format's own name: {"probs": "Softmax"}.

        Operators that only rename, reshape, cast or rescale numbers (Identity, Reshape, QuantizeLinear) are seen
        through. Outputs of which nothing is known are left out.
        """
        ...
