"""When measuring ends because budgets cannot be kept: seldom wrongly, said with the figure, and never sooner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchharness.execute.jobs import Execution
from benchharness.judge.budgets import judged
from benchharness.judge.derive import derive
from benchharness.judge.hopeless import DRIFT, HOPELESS, Hopeless, exactly_missed, p_beyond
from benchharness.judge.intervals import estimate
from benchharness.metrics.limits import parse
from benchharness.results.result import Estimate, Measurement, OutcomeKind, Result, VerdictKind
from benchharness.results.store import Store
from benchharness.suite.tables import Attempts
from benchmarks.stops import NOISES, ended_after, stops
from tests.unit.made_up import attempt, job, measured

#: As often as whoever measures this many sees it; three standard errors above what is promised are chance.
MEASUREMENTS = 20_000


def share(noise: str, error: float | None, *, attempts: int = 10, figures: int = 1, slower: float = 0.0) -> float:
    """Of artefacts exactly on their limits those that are stopped."""
    many = MEASUREMENTS
    return stops(noise, error=error, slower=slower, attempts=attempts, figures=figures, measurements=many).share


def allowed(error: float) -> float:
    return error + 3 * math.sqrt(error * (1 - error) / MEASUREMENTS)


@pytest.mark.parametrize("noise", [name for name in NOISES if name != "drift"])
@pytest.mark.parametrize(("attempts", "figures"), [(5, 1), (10, 2)])
def test_an_artefact_on_its_limits_is_stopped_as_seldom_as_promised(noise: str, attempts: int, figures: int) -> None:
    """On a machine that is slower meanwhile by all that is allowed for; else next to none."""
    assert share(noise, 0.05, attempts=attempts, figures=figures, slower=DRIFT) <= allowed(0.05)


def test_what_is_drawn_at_once_is_what_is_looked_at_one_by_one() -> None:
    logarithms = np.random.default_rng(1).normal(0.06, 0.04, (40, 2, 8))
    looks = Hopeless(budgets=(), attempts=8, error=0.2)

    def ended(values: NDArray[np.float64]) -> int:
        for made in looks.looks:
            found = [estimate(np.exp(each[:made]).tolist(), statistic="") for each in values]
            if any(p_beyond(each, 1 + DRIFT, higher_is_better=False) <= looks.level(made, 2) for each in found):
                return made
        return 8

    one_by_one = [ended(each) for each in logarithms]
    assert ended_after(logarithms, 0.2).tolist() == one_by_one
    assert len(set(one_by_one)) > 3


def test_whoever_looks_after_each_attempt_as_if_it_were_the_last_stops_several_times_as_many() -> None:
    assert share("normal", None) > 3 * 0.025
    assert share("normal", 0.025, slower=DRIFT) <= allowed(0.025)
    assert share("normal", 0.01) <= 0.002


def test_what_is_plainly_beyond_is_stopped_at_the_first_look() -> None:
    asked = {"attempts": 10, "figures": 2, "measurements": 200}
    assert stops("normal", beyond=1.0, error=0.01, **asked).attempts < 3.6
    assert stops("normal", beyond=0.25, error=0.01, **asked).attempts < 6


def test_looks_spend_what_they_have_and_leave_out_the_first_and_the_last_attempts() -> None:
    looks = Hopeless(budgets=(), attempts=10, error=0.02)
    levels = [looks.level(made, 2) for made in range(12)]
    assert [made for made, level in enumerate(levels) if level] == [3, 4, 5, 6, 7, 8, 9]
    assert sum(levels) * 2 == pytest.approx(0.02)
    assert Hopeless(budgets=(), attempts=3).looks == ()


@pytest.mark.parametrize("error", [0.0, -1.0, 0.5, float("nan")])
def test_what_is_no_chance_is_refused(error: float) -> None:
    with pytest.raises(ValueError, match=r"between 0 and 0\.5"):
        Hopeless(budgets=(), attempts=5, error=error)


def test_the_chance_is_students() -> None:
    """By the closed form that its distribution has with three degrees of freedom."""
    values = [1.02, 1.05, 1.01, 1.07]
    found = estimate(values, statistic="")
    beyond = np.log(values) - math.log(1.01)
    t = float(beyond.mean() / beyond.std(ddof=1) * 2) / math.sqrt(3)
    expected = 0.5 - (t / (1 + t**2) + math.atan(t)) / math.pi
    assert p_beyond(found, 1.01, higher_is_better=False) == pytest.approx(expected, rel=1e-9)
    assert p_beyond(found, 1.01, higher_is_better=True) == pytest.approx(1 - expected, rel=1e-9)
    assert p_beyond(Estimate(value=2.0), 1.0, higher_is_better=False) == 1.0
    alike = estimate([2.0, 2.0, 2.0], statistic="")
    assert (p_beyond(alike, 1.0, higher_is_better=False), p_beyond(alike, 2.0, higher_is_better=False)) == (0.0, 1.0)


def results_of(values: Sequence[float], *more: Measurement, ships: bool = True) -> list[Result]:
    planned = job(ships=ships)
    return derive([(planned, "")], [attempt(at, measured("tpot", each), *more) for at, each in enumerate(values)])


BUDGETS = parse({"tpot": "2 ms", "peak_memory": "1 GiB"}, "suite")


def test_a_figure_beyond_its_limit_ends_the_rest_and_is_told() -> None:
    looks = Hopeless(budgets=BUDGETS, attempts=10)
    assert looks.reason_to_end(results_of([3e6, 3.01e6])) is None, "two attempts may read alike by chance"
    reason = looks.reason_to_end(results_of([3e6, 3.01e6, 2.99e6]))
    assert reason == f"{HOPELESS}tpot 3.000 ms [2.975 to 3.025] after 3 of 10 attempts, all of it beyond tpot 2 ms"
    assert looks.reason_to_end(results_of([1e6, 1.01e6, 0.99e6])) is None
    assert looks.reason_to_end(results_of([3e6, 3.01e6, 2.99e6], ships=False)) is None, "no budget is on it"
    assert Hopeless(budgets=BUDGETS, attempts=3).reason_to_end(results_of([3e6, 3.01e6, 2.99e6])) is None


def test_what_a_verdict_calls_a_miss_goes_on_where_a_look_is_not_sure_enough() -> None:
    values = [2.2e6, 2.18e6, 2.22e6]
    ((verdict,),) = [each.verdicts for each in judged(results_of(values), BUDGETS)]
    assert verdict.kind is VerdictKind.MISS
    assert Hopeless(budgets=BUDGETS, attempts=10).reason_to_end(results_of(values)) is None


def test_what_is_no_evidence_ends_nothing() -> None:
    """Another runtime computed what the weights say, and took long for it."""
    made = [attempt(at, measured("tpot", 9e6 + at), effective={"execution": "reference"}) for at in range(3)]
    assert Hopeless(budgets=BUDGETS, attempts=10).reason_to_end(derive([(job(), "")], made)) is None


def test_a_rate_is_beyond_where_it_is_too_low() -> None:
    looks = Hopeless(budgets=parse({"decode_rate": "100 tokens/s"}, "suite"), attempts=10)

    def of(values: Sequence[float]) -> str | None:
        made = [attempt(at, measured("decode_rate", each)) for at, each in enumerate(values)]
        return looks.reason_to_end(derive([(job(), "")], made))

    assert of([200, 201, 199]) is None
    assert "beyond decode_rate 100 tokens/s" in (of([50, 50.1, 49.9]) or "")


def test_a_ratio_to_the_reference_is_looked_at_round_by_round() -> None:
    """Both are slow in the second half, and the machine's drift is none of the variant's."""
    looks = Hopeless(budgets=parse({"tpot": {"worse_by": "5 %", "against": "reference"}}, "suite"), attempts=10)
    ours, theirs = job("a" * 16), job("b" * 16, variant="fp32", ships=False)

    def of(ratio: float) -> str | None:
        made = [
            attempt(at, measured("tpot", value * times * (1 + at / 1000)), job=each.key)
            for at, value in enumerate((1e6, 1e6, 3e6, 3e6))
            for each, times in ((ours, ratio), (theirs, 1.0))
        ]
        return looks.reason_to_end(derive([(ours, ""), (theirs, "")], made))

    assert of(1.02) is None
    assert (of(1.5) or "").startswith(f"{HOPELESS}tpot × 1.5")


def test_a_failure_that_repeats_itself_ends_the_rest() -> None:
    looks = Hopeless(budgets=BUDGETS, attempts=10)
    made = [attempt(0, outcome=OutcomeKind.UNSUPPORTED)]
    assert looks.reason_to_end(derive([(job(), "")], made)) is None
    stopped = derive([(job(), "unsupported: it would end like that every time"), (job("c" * 16), "")], made)
    assert looks.reason_to_end(stopped) == f"{HOPELESS}steady: unsupported"


def test_a_size_is_known_before_any_attempt() -> None:
    limits = parse({"size": "900 B", "tpot": "2 ms"}, "suite")
    results, why = exactly_missed([job(), job("d" * 16, variant="fp32", ships=False, artefact_bytes=5000)], limits)
    assert why == f"{HOPELESS}artefact_size 1,000 B, all of it beyond artefact_size 900 B"
    assert [verdict.kind for result in results for verdict in result.verdicts] == [VerdictKind.MISS]
    assert exactly_missed([job()], parse({"size": "1 kB"}, "suite"))[1] == ""
    assert exactly_missed([job(files={"unknown": "who knows"})], limits)[1] == "", "what is unknown misses nothing"


def test_an_execution_ends_where_it_is_told_to(tmp_path: Path) -> None:
    """The reference's job too, for which nothing is hopeless: what it is held against gets no more attempts."""
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    planned = [job("a" * 16), job("b" * 16, variant="fp32", ships=False)]
    run = store.create_run(suite="s", digest="", suite_json="{}", hardware_json="{}", planned=planned)
    for each in planned:
        for round_ in range(3):
            store.save_attempt(run, attempt(round_, measured("tpot", 3e6 + round_), job=each.key))
    watched = Watched()
    execution = Execution(
        store,
        run,
        rules=Attempts(),
        manifests={},
        observer=watched,
        ending=Hopeless(budgets=BUDGETS, attempts=5),
    )
    execution._end()
    stopped = [reason for _, reason in store.jobs(run)]
    assert len(set(stopped)) == 1
    assert stopped[0].startswith(HOPELESS)
    assert [result.stopped for result in watched.results] == stopped
    store.close()


class Watched:
    """Keeps what is done."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    def begins(self, *_: object) -> None: ...
    def phase(self, *_: object) -> None: ...
    def ended(self, *_: object) -> None: ...

    def done(self, result: Result) -> None:
        self.results.append(replace(result))
