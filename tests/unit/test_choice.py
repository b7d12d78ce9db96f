"""Which variant is recommended, which are dominated, and what is said where none is fit."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from benchharness.budgets import judged, parse
from benchharness.choice import Candidate, Figure, Wish, choices, dominates
from benchharness.choice_table import show_choices
from benchharness.derive import derive
from benchharness.errors import UsageError
from benchharness.result import Estimate, Job, Result
from tests.unit.made_up import attempt, job, measured

ROWS = [0.5, 0.5, 0.0, 1.0] * 60


def figures(**values: tuple[float, float, float]) -> dict[str, Figure]:
    metrics = {"size": "artefact_size", "speed": "decode_rate", "quality": "kld"}
    return {
        name: Figure(metric=metrics[name], estimate=Estimate(value=value, low=low, high=high))
        for name, (value, low, high) in values.items()
    }


def candidate(name: str, **values: tuple[float, float, float]) -> Candidate:
    return Candidate(
        hardware="here", model="m", workload="w", variant=name, configuration="c", figures=figures(**values)
    )


def test_better_in_one_and_worse_in_none_dominates() -> None:
    small = candidate("small", size=(1, 1, 1), speed=(100, 95, 105))
    large = candidate("large", size=(2, 2, 2), speed=(100, 96, 104))
    assert dominates(small, large)
    assert not dominates(large, small)


def test_intervals_that_meet_decide_nothing() -> None:
    one = candidate("one", size=(1, 1, 1), speed=(100, 90, 110))
    other = candidate("other", size=(1, 1, 1), speed=(120, 105, 135))
    assert not dominates(one, other)
    assert not dominates(other, one)


def test_a_trade_is_on_the_front() -> None:
    small = candidate("small", size=(1, 1, 1), quality=(0.5, 0.4, 0.6))
    good = candidate("good", size=(2, 2, 2), quality=(0.1, 0.05, 0.15))
    assert not dominates(small, good)
    assert not dominates(good, small)


def test_what_was_not_measured_dominates_nothing_that_was() -> None:
    assert not dominates(candidate("a", size=(1, 1, 1)), candidate("b", size=(2, 2, 2), speed=(1, 1, 1)))


def results_of(kld: Mapping[str, float], rates: Mapping[str, float], **changes: Any) -> list[Result]:
    """Speed and quality of variants of sizes 3000, 2000, 1000, in the order given."""
    jobs: list[tuple[Job, str]] = []
    attempts = []
    for number, variant in enumerate(rates):
        key = f"{number:016x}"
        jobs.append((job(key, variant=variant, artefact_bytes=3000 - 1000 * number, **changes), ""))
        attempts += [
            attempt(round_, measured("decode_rate", rates[variant] * (1 + round_ / 1000)), job=key)
            for round_ in range(5)
        ]
        if variant in kld:
            against = {"variant": "fp32", "configuration": dict(job(key).configuration)}
            jobs.append((job(f"q{key[1:]}", variant=variant, scenario="quality", against=against), ""))
            rows = list(ROWS)
            rows[2::4] = [kld[variant] * (1 + index / 1000) for index in range(60)]
            parameters = {"scored": 6, "scored_from": 2, "chunks": 10}
            divergence = measured("token_divergence", kld[variant], rows, parameters=parameters, row_length=4)
            attempts.append(attempt(0, divergence, job=f"q{key[1:]}"))
    return derive(jobs, attempts)


RATES = {"fp32": 10.0, "int8": 20.0, "int4": 30.0}
DIVERGENCES = {"int8": 0.01, "int4": 0.4}


def chosen(results: list[Result], wish: Wish = Wish.SMALLEST, **budgets: str) -> tuple[str, str]:
    (choice,) = choices(judged(results, parse(budgets, "suite")), wish)
    return choice.recommended, choice.reason


def test_the_smallest_that_keeps_the_budgets_is_recommended() -> None:
    name, reason = chosen(results_of(DIVERGENCES, RATES), kld="0.1 nats", decode_rate="15 tokens/s")
    assert name == "int8 · onnxruntime"
    assert reason == "the only one that keeps every budget with its whole interval"


def test_without_a_budget_on_quality_that_is_said() -> None:
    name, reason = chosen(results_of(DIVERGENCES, RATES), decode_rate="5 tokens/s")
    assert name == "int4 · onnxruntime"
    assert "no budget on quality was set" in reason


def test_what_was_never_compared_is_said() -> None:
    _, reason = chosen(results_of({}, RATES))
    assert "what it lost was not measured" in reason


def test_the_fastest_is_another_wish() -> None:
    slow_and_small = {"fp32": 30.0, "int8": 20.0}
    assert chosen(results_of({}, slow_and_small), Wish.FASTEST)[0] == "fp32 · onnxruntime"
    assert chosen(results_of({}, slow_and_small), Wish.SMALLEST)[0] == "int8 · onnxruntime"


def test_where_none_is_fit_each_says_why() -> None:
    name, reason = chosen(results_of(DIVERGENCES, RATES), decode_rate="50 tokens/s")
    assert name == ""
    assert reason.startswith("no variant is fit: ")
    for variant in RATES:
        assert f"{variant} · onnxruntime: decode_rate 50 tokens/s miss" in reason


def test_a_variant_that_does_not_ship_is_not_recommended() -> None:
    assert chosen(results_of({}, RATES, ships=False))[0] == ""


def test_a_reference_lost_nothing_and_is_not_dominated_by_what_lost() -> None:
    (choice,) = choices(results_of(DIVERGENCES, RATES))
    reference, int8, _ = choice.candidates
    assert reference.figures["quality"].reference
    assert reference.figures["quality"].estimate.value == 0.0
    assert not int8.figures["quality"].reference
    assert not reference.dominated_by
    assert list(reference.figures)[-1] == "quality"  # in the order of every other candidate
    shown = io.StringIO()
    show_choices([choice], Console(width=200, file=shown))
    (row,) = [line for line in shown.getvalue().splitlines() if "fp32 ·" in line and "│" in line]
    assert "reference" in row
    assert "unknown" not in row


def test_without_quality_a_reference_has_no_figure_of_it() -> None:
    (choice,) = choices(results_of({}, RATES))
    assert "quality" not in choice.candidates[0].figures
    assert choice.candidates[0].dominated_by


def test_an_unknown_wish_is_told() -> None:
    with pytest.raises(UsageError, match="'cheapest' is no wish; the recommended variant is one of: smallest, fastest"):
        Wish("cheapest")


def test_a_lower_bound_of_what_was_lost_beats_nothing() -> None:
    def lost(metric: str, value: float, *, reference: bool = False) -> Candidate:
        figure = Figure(metric=metric, estimate=Estimate(value=value, low=value, high=value), reference=reference)
        return Candidate(
            hardware="h", model="m", workload="w", variant=metric, configuration="c", figures={"quality": figure}
        )

    assert not dominates(lost("kld_pooled", 0.001), lost("kld", 0.1))
    assert not dominates(lost("kld_pooled", 0.001), lost("kld_pooled", 0.1))
    assert dominates(lost("kld", 0.001), lost("kld_pooled", 0.1))
    assert dominates(lost("kld_pooled", 0.0, reference=True), lost("kld_pooled", 0.1))
