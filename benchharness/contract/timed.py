"""Sessions that the harness cannot time from outside: by a clock of their own, or in another process."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from benchharness.contract.configuration import EffectiveConfiguration

if TYPE_CHECKING:
    from benchharness.contract.tensors import Array

#: The harness's own clock, which is one for all processes of a machine. Stamps of it are held against the call itself.
HARNESS_CLOCK = "time.perf_counter_ns"
#: Where a token can be stamped: where it was computed, on the host that drives a device, in the page of a browser.
STAMPED_AT = ("device", "host", "browser")


@dataclass(frozen=True)
class StampClock:
    """The clock that a runtime with a loop of its own stamps its tokens by."""

    timed_by: str  # whose clock: `HARNESS_CLOCK`, "std::chrono::steady_clock", "performance.now"
    stamped_at: str  # one of STAMPED_AT: where the moment was taken
    resolution_ns: int  # its smallest step as measured, not as documented


@dataclass(frozen=True)
class TokenStream:
    """What one call of `generate` gave. All stamps are of the session's one clock, in ns."""

    prompt_tokens: int  # those that the runtime fed, whatever it put before the prompt included
    began_ns: int  # the prompt was handed to the runtime
    stamps_ns: Sequence[int]  # when tokens were there, in order
    tokens_per_stamp: Sequence[int]  # how many tokens came with each stamp: runtimes give them in chunks
    tokens: Sequence[int] | None = None  # their ids; None: the runtime gives text only
    text: str | None = None


@runtime_checkable
class GeneratesTokens(Protocol):
    """An optional ability of a session: a runtime, browser, native program or endpoint that writes by its own loop.

    For those that cannot be timed from outside token by token. Their `inputs` and `outputs` are empty, and `run` raises
    `Unsupported`. Of a session that is a `LanguageSession` too, times are those of its stamps, and its logits are for
    quality alone: what a call from outside takes is no part of a token.
    """

    effective: EffectiveConfiguration
    clock: StampClock
    takes_text: bool  # whether a prompt can be text
    vocabulary_size: int | None  # None: a prompt cannot be token ids
    context_length: int

    def generate(self, prompt: Sequence[int] | str, count: int) -> TokenStream:
        """Exactly `count` tokens after the prompt from an empty context, greedily, past an end of text too.

        Stamps are taken where the runtime gives its tokens (its callback, the page, its own report), not where a queue
        hands them on. Raises `Unsupported` where prompt and answer do not fit the context or the prompt's kind is not
        taken, `ModelFailure` where the runtime fails.
        """
        ...


@dataclass(frozen=True)
class Inferences:
    """What one call of `run_timed` gave."""

    taken_ns: Sequence[int]  # of each inference, in order: inputs there until its outputs were there
    outputs: Mapping[str, Array]  # of the last one


@runtime_checkable
class TimesInferences(Protocol):
    """An optional ability of a session that is no language model: times its inferences where they are made.

    For those that answer across a border, such as a page in a browser: what the way there takes is no part of an
    inference.
    """

    clock: StampClock

    def run_timed(self, inputs: Mapping[str, Array], count: int) -> Inferences:
        """So many inferences on the same inputs, one right after the other. Raises `ModelFailure`."""
        ...


@runtime_checkable
class ComputesElsewhere(Protocol):
    """An optional ability of a session: another process than the caller's holds the model and computes.

    Memory and time on a core are then read of that process.
    """

    computed_in: str  # "the page's process (chromium --type=renderer)"

    def process(self) -> int:
        """Its id on this machine. Raises `Unsupported` where it has none here, or cannot be told from others."""
        ...


@dataclass(frozen=True)
class OwnRequest:
    """What a program that measures itself is asked: lengths in tokens, as far as its model is a language model's."""

    repeats: int
    prompt_tokens: int
    output_tokens: int
    context_depth: int


@dataclass(frozen=True)
class OwnFigure:
    """A figure that a program tells of itself, in its metric's base unit and as that metric is defined."""

    metric: str
    parameters: Mapping[str, int]
    value: float
    samples: Sequence[float]  # one a repeat; empty where the program tells one figure of all
    took_ns: float  # what the program says that all of it took together: no more than its process lived


@dataclass(frozen=True)
class OwnReport:
    """What such a program told, and what it cannot."""

    figures: Sequence[OwnFigure]
    unknown: Mapping[str, str]  # by metric: why it is not told
    took_ns: int  # its processes lived so long, by the harness's clock
    peak_bytes: int | None = None  # the most that one of its processes held resident; None: `unknown` says why


@runtime_checkable
class MeasuresItself(Protocol):
    """An optional ability of a session: a program that loads a model, repeats and times by itself, and tells the end.

    It runs in processes of its own, of which the harness sees what they print. Its `inputs` and `outputs` are empty.
    """

    effective: EffectiveConfiguration  # complete when `measure` has returned
    language: bool

    def measure(self, request: OwnRequest, metrics: Collection[str]) -> OwnReport:
        """Those of these metrics that it tells. Raises `ModelFailure` where it fails, `InvalidOutput` for nonsense."""
        ...
