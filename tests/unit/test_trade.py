"""Local, cloud or hybrid: what is decided, and by what; and the metrics of requests."""

from __future__ import annotations

import math

import pytest

from benchharness.device.measured import raw_rows
from benchharness.errors import SuiteError
from benchharness.judge.exact_shares import clopper_pearson
from benchharness.records import HANDOVERS
from benchharness.results.result import Result, WarningKind
from benchharness.scenarios import SCENARIOS
from benchharness.scenarios.hybrid import Hybrid
from benchharness.scenarios.hybrid.metrics import order_statistic
from benchharness.scenarios.hybrid.planned import check
from benchharness.scenarios.hybrid.trade import Kept, Trade, trade_of
from benchharness.suite.tables import restore_suite, suite_from_table
from benchharness.terminal.course_lines import course_lines
from tests.unit.product_samples import (
    BUDGETS,
    EVEN,
    LOCAL,
    LOST,
    MIXED,
    REQUESTS,
    SLOW,
    handover,
    hybrid,
    job_of,
    result_of,
)


def trade(*arguments: object, **how: object) -> Trade:
    found = trade_of(hybrid(*arguments, **how))  # type: ignore[arg-type]
    assert found is not None
    return found


def value(result: Result, name: str, **parameters: object) -> float | None:
    (found,) = [each for each in result.metrics if each.name == name and each.parameters == parameters]
    return found.estimate.value


def test_the_way_with_the_most_of_the_cloud_that_keeps_everything_is_taken() -> None:
    found = trade(REQUESTS, BUDGETS)
    assert {each.policy: each.kept for each in found.candidates} == {
        "cloud alone": Kept.NO,
        "device alone": Kept.YES,
        "eager": Kept.YES,
    }
    assert found.chosen is not None
    assert found.chosen.policy == "eager"
    assert found.chosen.locally == pytest.approx((0 + 0.4 + 1) / 3)
    assert found.decision == [
        "take eager: it keeps all 3 budgets over every simulated network; the device writes 47 % of the answers"
    ]


def test_or_with_the_most_of_the_device_where_that_is_preferred() -> None:
    found = trade(REQUESTS, BUDGETS, prefer="device")
    assert found.chosen is not None
    assert found.chosen.policy == "device alone"


def test_a_budget_on_a_percentile_is_one_on_a_share() -> None:
    """3,000 ms in 20 of 100: p95 is missed where 5 of 100 may be beyond, p50 is kept."""
    requests = {("p", "3g"): SLOW}
    (judged,) = trade(requests, {"first_token_p95": 1.0}).candidates[0].judged
    assert (judged.kept, judged.share, (judged.low, judged.high)) == (Kept.NO, 0.2, clopper_pearson(20, 100))
    assert trade(requests, {"first_token_p50": 1.0}).candidates[0].kept is Kept.YES
    assert trade(requests, {"first_token_p95": 3.0}).candidates[0].kept is Kept.YES  # none is beyond it


def test_few_requests_decide_nothing_on_a_p95() -> None:
    """Even where all keep it: 72 are needed."""
    for count, kept in ((20, Kept.UNDECIDED), (71, Kept.UNDECIDED), (72, Kept.YES)):
        found = trade({("p", "good"): [("cloud", 100, 100)] * count}, {"first_token_p95": 1.0})
        assert found.candidates[0].kept is kept, count
    found = trade({("p", "good"): EVEN[:20]}, {"first_token_p95": 1.0})
    assert found.chosen is None
    assert found.decision[0].startswith("undecided: p may keep every budget")


def test_who_got_no_answer_waited_for_ever() -> None:
    found = trade({("p", "offline"): LOST}, {"longest_silence_p50": 60.0})
    (candidate,) = found.candidates
    assert candidate.kept is Kept.NO
    assert math.isinf(candidate.quantile_ns("longest_silence", 0.5))
    assert "longest silence p95 never" in candidate.words
    assert found.decision[0] == "no way of answering keeps every budget over every simulated network"
    assert "100 % [96, 100] of requests are beyond it, and 50 % may be" in found.decision[1]


def test_a_first_token_that_came_counts_though_the_answer_broke_off() -> None:
    found = trade({("p", "cut"): [("nobody", 90, 9000)] * 100}, {"first_token_p95": 0.1})
    assert found.candidates[0].kept is Kept.YES


def test_shares_of_answers() -> None:
    requests = {("p", "3g"): MIXED, ("cloud alone", "3g"): EVEN, ("device alone", "no network"): LOCAL}
    kept = {each.policy: each.kept for each in trade(requests, {"answered_locally": 0.45}).candidates}
    assert kept == {"p": Kept.UNDECIDED, "cloud alone": Kept.YES, "device alone": Kept.NO}
    assert trade(requests, {"answered_locally": 0.6}).candidates[0].kept is Kept.YES
    assert trade(requests, {"answered_locally": 0.2}).candidates[0].kept is Kept.NO


def test_without_budgets_nothing_is_decided() -> None:
    found = trade(REQUESTS)
    assert (found.chosen, len(found.candidates)) == (None, 3)
    assert "nothing is decided" in found.decision[0]


def test_metrics_by_policy_and_network() -> None:
    result = hybrid(REQUESTS, BUDGETS)
    of = {"policy": "eager", "network": "3g"}
    assert value(result, "hybrid_first_token", percentile=50, **of) == 100e6
    assert value(result, "hybrid_first_token", percentile=95, **of) == 500e6
    assert value(result, "longest_silence", percentile=95, **of) == 600e6
    assert value(result, "answered_locally", **of) == 0.4
    assert value(result, "unanswered", policy="cloud alone", network="offline") == 1
    assert value(result, "wasted_tokens", **of) == pytest.approx(0.4)
    wasted = next(each for each in result.metrics if each.name == "wasted_tokens" and each.parameters == of).estimate
    assert wasted.low is not None
    assert wasted.low > 0, "none is below 0, and some are above"
    assert "of logarithms" in wasted.statistic
    assert value(result, "wasted_bytes", **of) == pytest.approx(460)
    assert value(result, "moved_bytes", **of) == 2300
    assert value(result, "answer_agreement", answers="changed hands", **of) == 0.5
    assert value(result, "longest_silence", percentile=50, policy="cloud alone", network="offline") is None
    (kept,) = [each for each in result.metrics if each.name == "policies_kept"]
    assert (kept.estimate.value, kept.estimate.low, kept.estimate.high) == (2, 2, 2)
    assert not any(each.name == "energy_per_request" for each in result.metrics)  # not known: not zero
    assert result.told[0].startswith("take eager")


def test_the_interval_of_a_quantile_is_by_ranks() -> None:
    """Of 100 ordered values the median's 95 % interval lies between ranks 40 and 61 (Conover's table)."""
    found = order_statistic([float(each) for each in range(1, 101)], 0.5)
    assert (found.value, found.low, found.high) == (50.0, 40.0, 61.0)
    few = order_statistic([1.0, 2.0, 3.0], 0.95)
    assert (few.value, few.low, few.high) == (3.0, None, None)
    assert few.reason == "3 requests carry no interval of p95"


def test_a_simulation_that_was_late_is_told() -> None:
    result = hybrid({("p", "good"): [("cloud", 100, 100)] * 20})
    assert not any(each.kind is WarningKind.LATE_NETWORK for each in result.warnings)
    rows = [handover("cloud", 100, 100, late=late) for late in (0, 5e6, 3e6, 0)]
    measured = [raw_rows(HANDOVERS, {"policy": "p", "network": "good"}, 1, HANDOVERS.flat(rows))]
    late = result_of(job_of("hybrid", {}, "q"), measured, {})
    (warning,) = [each for each in late.warnings if each.kind is WarningKind.LATE_NETWORK]
    assert "in 2 of 4 requests" in warning.message
    assert "by 5 ms at most" in warning.message


def test_the_terminal_says_it_under_the_jobs_name() -> None:
    lines = [line for line, _ in course_lines([hybrid(REQUESTS, BUDGETS)])]
    assert lines[0].startswith("int8 · cpu · hybrid: take eager: it keeps all 3 budgets")
    assert [line.split(":")[0] for line in lines[1:]] == ["  cloud alone", "  device alone", "  eager"]


# Settings


def settings(**told: object) -> dict[str, object]:
    return next(Hybrid.model_validate({"prompts": "p.jsonl", **told}).expanded())


def test_networks_by_name_and_of_ones_own() -> None:
    own = {"name": "train", "delay": "80 ms", "stall_after": ["1 s", "2 s"], "stall": ["5 s", "5 s"], "refused": 1}
    networks = settings(networks=["3g", own])["networks"]
    assert list(networks) == ["3g", "train"]  # type: ignore[call-overload]
    assert networks["train"]["stall_after_ms"] == (1000, 2000)  # type: ignore[index]
    assert (networks["train"]["delay_ms"], networks["train"]["refused"]) == (80, 1)  # type: ignore[index]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"networks": ["5g"]}, "no network is called '5g'"),
        ({"networks": ["3g", {"name": "3g"}]}, "two networks have one name"),
        ({"policies": [{"gap": "1 s"}, {"gap": "1 s"}]}, "two policies have one name"),
        ({"policies": [{"name": "cloud alone"}]}, "two policies have one name"),
        ({"policies": [{"gap": 1}]}, "has no unit"),
        ({"budgets": {"first_token": "1 s"}}, "Extra inputs are not permitted"),
        ({"requests": 0}, "greater than or equal to 1"),
    ],
)
def test_what_settings_refuse(told: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        settings(**told)


def test_the_cloud_is_a_variant_that_does_not_ship() -> None:
    def models(**cloud: object) -> object:
        table = {"variants": {"int8": {"artefact": "m.onnx"}, "cloud": {"artefact": "c.endpoint", **cloud}}}
        return suite_from_table({"models": {"demo": table}}).models

    check("cloud", models(ships=False))  # type: ignore[arg-type]
    with pytest.raises(SuiteError, match="say ships = false"):
        check("cloud", models())  # type: ignore[arg-type]
    with pytest.raises(SuiteError, match="no model has a variant 'far'"):
        check("far", models(ships=False))  # type: ignore[arg-type]


def test_a_stored_suite_reads_back() -> None:
    assert SCENARIOS["hybrid"].settings is Hybrid
    suite = suite_from_table(
        {
            "models": {"demo": {"variants": {"int8": {"artefact": "m.onnx"}}}},
            "scenarios": {"hybrid": {"prompts": "p.jsonl", "policies": [{"first_token": "800 ms"}]}},
        }
    )
    assert restore_suite(suite.model_dump_json(by_alias=True)).digest == suite.digest
    assert suite.scenarios.hybrid.prompts.is_absolute()
