"""Scenario `hybrid`: a cloud asked first and the device where it fails, over simulated networks, and which is best.

`trade` makes figures of the rows that an attempt reports and decides by the budgets; `planned` says who is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from benchharness.device.network.profiles import NETWORKS, Network
from benchharness.device.scenarios.hybrid.policy import CLOUD_ALONE, CONTINUE, DEVICE_ALONE, RESTART
from benchharness.scenarios.definition import Scenario, ScenarioSettings, Settings, nanoseconds
from benchharness.suite.fields import Fraction, Name, Pause, Seconds, Share, Table, as_list

if TYPE_CHECKING:
    from benchharness.results.courses import Course
    from benchharness.results.result import Attempt, Job, MetricResult, Result, ResultWarning
    from benchharness.suite.planning import Planning
    from benchharness.suite.tables import Model

Span = Annotated[tuple[Pause, Pause], Field(min_length=2, max_length=2)]
_KBIT = Annotated[float, Field(ge=0, le=1e9)]


class PolicyTable(Table):
    """When the cloud is given up; one that is left out is waited for up to `give_up`."""

    name: Name | None = None
    first_token: Seconds | None = None
    gap: Seconds | None = None
    on_failure: Literal["restart", "continue"] = RESTART  # type: ignore[assignment]

    @property
    def told(self) -> str:
        """Its name, or what it does in words."""
        if self.name is not None:
            return self.name
        waits = [f"first token {self.first_token:g} s"] if self.first_token is not None else []
        waits += [f"gap {self.gap:g} s"] if self.gap is not None else []
        return ", ".join([*(waits or ["on failure"]), self.on_failure])


class NetworkTable(Table):
    """A network of one's own; see `benchharness.device.network.profiles`."""

    name: Name
    delay: Pause = 0.0
    jitter: Pause = 0.0
    down_kbit: _KBIT = 0.0
    up_kbit: _KBIT = 0.0
    loss: Share | None = None
    loss_delay: Pause = 0.0
    refused: Fraction | Literal[1] | None = None
    stall_after: Span | None = None
    stall: Span = (0.0, 0.0)
    cut_after: Span | None = None
    black_hole: bool = False

    def network(self) -> Network:
        """As it is simulated."""
        return Network(
            delay_ms=self.delay * 1e3,
            jitter_ms=self.jitter * 1e3,
            down_kbit=self.down_kbit,
            up_kbit=self.up_kbit,
            loss=self.loss or 0.0,
            loss_ms=self.loss_delay * 1e3,
            refused=float(self.refused or 0.0),
            stall_after_ms=_ms(self.stall_after),
            stall_ms=_ms(self.stall) or (0.0, 0.0),
            cut_after_ms=_ms(self.cut_after),
            black_hole=self.black_hole,
        )


def _ms(span: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if span is None else (span[0] * 1e3, span[1] * 1e3)


def _known(value: str | NetworkTable) -> str | NetworkTable:
    if isinstance(value, str) and value not in NETWORKS:
        raise ValueError(f"no network is called {value!r} (there are: {', '.join(NETWORKS)}); or write a table of it")
    return value


class HybridBudgets(Table):
    """What a way of answering has to keep in every network."""

    first_token_p50: Seconds | None = None
    first_token_p95: Seconds | None = None
    longest_silence_p50: Seconds | None = None
    longest_silence_p95: Seconds | None = None
    answered_locally: Share | None = None  # at most
    unanswered: Share | None = None  # at most
    right: Share | None = None  # at least, of prompts that say what is right


class Hybrid(ScenarioSettings):
    """Settings of scenario `hybrid`: which variant is the cloud, what is asked, over which networks, how patiently."""

    cloud: Name = "cloud"
    prompts: Path
    networks: Annotated[
        tuple[Annotated[str | NetworkTable, AfterValidator(_known)], ...], BeforeValidator(as_list), Field(min_length=1)
    ] = ("good", "3g", "edge", "elevator", "cut", "offline")
    policies: Annotated[tuple[PolicyTable, ...], BeforeValidator(as_list)] = (
        PolicyTable.model_validate({"first_token": "1 s", "gap": "1.5 s"}),
    )
    requests: Annotated[int, Field(ge=1, le=10_000, strict=True)] = 20
    answer_tokens: Annotated[int, Field(ge=1, le=10_000, strict=True)] = 32
    stop: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=100)], ...], BeforeValidator(as_list), Field(max_length=4)
    ] = ()
    give_up: Seconds = 10.0
    seed: int = 0
    prefer: Literal["cloud", "device"] = "cloud"
    budgets: HybridBudgets = HybridBudgets()

    @model_validator(mode="after")
    def _told_apart(self) -> Hybrid:
        names = [CLOUD_ALONE, DEVICE_ALONE, *(policy.told for policy in self.policies)]
        networks = [each if isinstance(each, str) else each.name for each in self.networks]
        for what, found in (("policies", names), ("networks", networks)):
            if len(set(found)) < len(found):
                raise ValueError(f"two {what} have one name; give each a 'name' of its own")
        return self

    def expanded(self) -> Iterator[Settings]:
        """All in one."""
        networks = {
            name: network.to_json()
            for name, network in (
                (each, NETWORKS[each]) if isinstance(each, str) else (each.name, each.network())
                for each in self.networks
            )
        }
        waits = self.requests * (1 + len(networks) * (2 + len(self.policies)))
        yield {
            "networks": networks,
            "policies": [
                {
                    "name": policy.told,
                    "first_token_ns": None if policy.first_token is None else nanoseconds(policy.first_token),
                    "gap_ns": None if policy.gap is None else nanoseconds(policy.gap),
                    "on_failure": policy.on_failure,
                }
                for policy in self.policies
            ],
            "requests": self.requests,
            "answer_tokens": self.answer_tokens,
            "stop": list(self.stop),
            "give_up_ns": nanoseconds(self.give_up),
            "longest_ns": nanoseconds(waits * self.give_up),  # an attempt's limit is beside it
            "seed": self.seed,
            "prefer": self.prefer,
            "budgets": self.budgets.model_dump(mode="json", exclude_none=True),
        }


class HybridScenario(Scenario):
    """One worker asks every prompt over every network, by every policy."""

    name = "hybrid"
    title = "cloud, device, or the one after the other"
    settings = Hybrid
    device = "benchharness.device.scenarios.hybrid.conductor"
    sections = ("reports.sections.hybrid.section",)
    conducts = True
    summed_up = True
    values = False
    alone = False
    one_attempt = "its requests are the sample, each over a network with a seed of its own"

    def check(self, settings: Hybrid, models: Mapping[str, Model]) -> None:
        """Some model has the cloud among its variants. Raises `SuiteError`."""
        from benchharness.scenarios.hybrid.planned import check

        check(settings.cloud, models)

    def jobs(self, planning: Planning, settings: Hybrid) -> Iterator[Job]:
        """A job for each variant and configuration that can answer on the device."""
        from benchharness.scenarios.hybrid.planned import jobs

        return jobs(planning, settings.cloud, settings.prompts, next(settings.expanded()))

    def derived(self, good: Sequence[Attempt], courses: Sequence[Course]) -> Iterator[MetricResult]:
        """Figures of each policy over each network."""
        from benchharness.scenarios.hybrid.metrics import hybrid_metrics

        return hybrid_metrics(good[-1])

    def beside(self, result: Result, others: Sequence[Result]) -> Iterator[MetricResult]:
        """How many ways of answering keep every budget, where there are budgets."""
        from benchharness.scenarios.hybrid.metrics import policies_kept

        return policies_kept(result)

    def warnings(self, result: Result) -> Iterator[ResultWarning]:
        """A simulation that was later than its networks say."""
        from benchharness.scenarios.hybrid.warnings import late_network

        return late_network(result)

    def told(self, result: Result) -> Iterator[str]:
        """What is decided."""
        from benchharness.scenarios.hybrid.trade import trade_of

        trade = trade_of(result)
        return iter(()) if trade is None else iter(trade.sentences)


__all__ = ["CONTINUE", "SCENARIO", "Hybrid", "HybridScenario"]

SCENARIO = HybridScenario()
