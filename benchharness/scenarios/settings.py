"""The settings of each scenario, as a suite gives them, and as they travel to the device: times in ns."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from benchharness.suite.fields import (
    Bytes,
    Count,
    Depth,
    Fraction,
    Name,
    Pause,
    Seconds,
    Share,
    Table,
    all_different,
    as_list,
)

Settings = dict[str, Any]
#: What a longer course's windows and sensor readings say would not go over a line to the host in one message.
_LONGEST_SESSION_S = 7200.0


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


class FirstToken(Table):
    """Settings of scenario `first-token`."""

    page_cache: Annotated[
        tuple[Literal["warm", "evicted"], ...],
        BeforeValidator(as_list),
        Field(min_length=1),
        AfterValidator(all_different),
    ] = ("warm",)
    warmup: Depth = 3
    repeats: Count = 5
    most_repeats: Count = 100
    min_time: Seconds = 0.3

    def expanded(self) -> Iterator[Settings]:
        """One for each state of the page cache."""
        for page_cache in self.page_cache:
            shared = self.model_dump(exclude={"min_time", "page_cache"})
            yield {**shared, "min_time_ns": _ns(self.min_time), "page_cache": page_cache}


class Steady(Table):
    """Settings of scenario `steady`; `think_time` lists pauses after which a request is measured, too."""

    warmup: Depth = 2
    repeats: Count = 3
    most_repeats: Count = 30
    most_inferences: Count = 2000
    min_time: Seconds = 0.5
    think_time: Annotated[tuple[Pause, ...], BeforeValidator(as_list), AfterValidator(all_different)] = ()
    think_repeats: Count = 5

    def expanded(self) -> Iterator[Settings]:
        """All in one."""
        made = self.model_dump(exclude={"min_time", "think_time", "think_repeats"})
        made["min_time_ns"] = _ns(self.min_time)
        if self.think_time:
            made |= {"pauses_ns": [_ns(pause) for pause in self.think_time], "pause_repeats": self.think_repeats}
        yield made


class Sustained(Table):
    """Settings of scenario `sustained`: how long, how paced, and how long to wait for a cool and settled start.

    `every` starts a request that often, `duty` keeps the device busy for that share of the time; without them requests
    are back to back. A window ends after `window`, or sooner where it holds `window_inferences`.
    """

    duration: Annotated[Seconds, Field(le=_LONGEST_SESSION_S)] = 60.0
    every: Annotated[tuple[Seconds, ...], BeforeValidator(as_list), AfterValidator(all_different)] = ()
    duty: Annotated[tuple[Fraction, ...], BeforeValidator(as_list), AfterValidator(all_different)] = ()
    window: Seconds = 1.0
    window_inferences: Count = 100
    warmup: Depth = 2
    entry_gate: Pause = 60.0  # at most; 0 s: start at once

    def expanded(self) -> Iterator[Settings]:
        """One for each pace."""
        made = {
            "duration_ns": _ns(self.duration),
            "window_ns": _ns(self.window),
            "window_inferences": self.window_inferences,
            "warmup": self.warmup,
            "entry_gate_s": self.entry_gate,
        }
        if not self.every and not self.duty:
            yield made
        yield from ({**made, "every_ns": _ns(every)} for every in self.every)
        yield from ({**made, "duty": duty} for duty in self.duty)


class Constrained(Table):
    """Settings of scenario `constrained`: what is taken away, and what still counts as an answer.

    `memory` searches the memory floor; `limits` are tried beside it. `quotas` are shares of the time of the cores that
    the configuration's threads can use. `fallback_chain` names variants in the order in which a product would try them.
    """

    memory: bool = True
    limits: Annotated[tuple[Bytes, ...], BeforeValidator(as_list), AfterValidator(all_different)] = ()
    quotas: Annotated[tuple[Share, ...], BeforeValidator(as_list), AfterValidator(all_different)] = (0.75, 0.5, 0.25)
    cores: Annotated[tuple[Count, ...], BeforeValidator(as_list), AfterValidator(all_different)] = (1,)
    background: Annotated[
        tuple[Literal["busy-core", "memory-bandwidth"], ...], BeforeValidator(as_list), AfterValidator(all_different)
    ] = ("busy-core", "memory-bandwidth")
    trials: Annotated[int, Field(ge=1, le=100, strict=True)] = 5
    needed: Annotated[int, Field(ge=1, le=100, strict=True)] = 4
    slowest: Annotated[float, Field(gt=1, le=1000)] = 10.0
    bracket: Share = 0.1
    answers: Annotated[int, Field(ge=2, le=1000, strict=True)] = 2
    fallback_chain: Annotated[tuple[Name, ...], AfterValidator(all_different)] = ()

    @model_validator(mode="after")
    def _possible(self) -> Constrained:
        if self.needed > self.trials:
            raise ValueError(f"needed = {self.needed} is more than trials = {self.trials}")
        if len(self.fallback_chain) == 1:
            raise ValueError("a fallback_chain has two variants or more: the one to try, and what to fall back to")
        return self

    def expanded(self) -> Iterator[Settings]:
        """All in one."""
        made = self.model_dump(exclude={"limits", "fallback_chain"}, mode="json")
        # A trial starts as after a reboot: what the page cache holds costs no group anything.
        yield {**made, "limits_bytes": [round(limit) for limit in self.limits], "page_cache": "evicted"}


class Quality(Table):
    """Settings of scenario `quality`: what compression lost, on the models' evaluation data."""

    evaluation: Literal["decode", "prefill"] = "decode"  # token by token, or each chunk in one pass
    chunk_tokens: Annotated[int, Field(ge=2, le=1_000_000, strict=True)] = 256
    most_chunks: Count = 32
    context_share: Share = 0.5  # of each chunk, read and not scored
    continuation_tokens: Depth = 32
    continuation_prompts: Depth = 8
    most_samples: Count = 2000  # of models that are no language models


class Scenarios(Table):
    """The scenarios to run; one that is not named is not run. Without the table: the first two, with their defaults."""

    first_token: FirstToken | None = Field(default=None, alias="first-token")
    steady: Steady | None = None
    sustained: Sustained | None = None
    constrained: Constrained | None = None
    quality: Quality | None = None

    def expanded(self) -> Iterator[tuple[str, Settings]]:
        """Every scenario that measures a variant by itself, with each of its settings."""
        named = (
            ("first-token", self.first_token),
            ("steady", self.steady),
            ("sustained", self.sustained),
            ("constrained", self.constrained),
        )
        made = ([(name, settings) for settings in table.expanded()] for name, table in named if table is not None)
        return itertools.chain.from_iterable(made)
