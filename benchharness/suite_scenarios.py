"""The settings of each scenario, as a suite gives them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from benchharness.suite_fields import Count, Depth, Seconds, Share, Table, all_different, as_list


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


class Steady(Table):
    """Settings of scenario `steady`."""

    warmup: Depth = 2
    repeats: Count = 3
    most_repeats: Count = 30
    most_inferences: Count = 2000
    min_time: Seconds = 0.5


class Quality(Table):
    """Settings of scenario `quality`: what compression lost, on the models' evaluation data."""

    evaluation: Literal["decode", "prefill"] = "decode"
    prefill_chunk: Count = 256  # tokens a pass, where evaluation is `prefill`
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
    quality: Quality | None = None
