"""Other methods beside the gate: made-up pairs whose verdicts are known by hand; lines as a campaign writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchharness.errors import UsageError
from benchmarks.designs import processes_of, stretches
from benchmarks.gate_lines import read, recorded, share_of, summary
from benchmarks.gate_plans import PLANS, is_equal
from benchmarks.verdicts import METHODS, change_point, early, fixed_limit, mann_whitney, of_gates, t_until_significant

#: Ten processes within 1 % of 100, and their order does not tell anything.
QUIET = [100.0, 100.9, 99.4, 100.3, 99.8, 100.6, 99.1, 100.1, 99.6, 100.4]
#: The same ten in another order.
SAME = [99.6, 100.4, 100.1, 99.1, 100.0, 99.4, 100.9, 100.6, 100.3, 99.8]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_finds_a_plain_slowdown_and_none_in_equal_builds(name: str) -> None:
    method = METHODS[name]
    assert method(QUIET, [each * 1.2 for each in SAME])
    assert not method(QUIET, SAME)
    assert not method(QUIET, [each * 0.8 for each in SAME]), "faster is no alarm"
    assert not method([5.0] * 10, [5.0] * 10), "nothing differs at all"


def test_a_fixed_limit_is_of_medians() -> None:
    assert fixed_limit([100, 100, 100], [106, 106, 1])
    assert not fixed_limit([100, 100, 100], [104.9, 104.9, 900])


def test_looking_until_something_is_significant_keeps_what_was_seen_first() -> None:
    """Eight pairs above zero by 1 to 8: t = 4.5 / (2.45 / √8) = 5.2, p = 0.001; after them as many far below."""
    differences = [1, 2, 3, 4, 5, 6, 7, 8, -90, -90]
    base = [100.0] * 10
    assert t_until_significant(base, [100.0 + each for each in differences])
    assert not t_until_significant(base, [100.0 - each for each in differences]), "faster was seen first"
    assert not t_until_significant(base[:7], [100.0 + each for each in differences[:7]]), "nobody looks before eight"


def test_a_pooled_test_forgets_which_pair_a_value_was_in() -> None:
    """All of one side above all of the other: p = 2 / C(8, 4) = 0.029 of four, and 2 / C(6, 3) = 0.1 of three."""
    assert mann_whitney([1, 2, 3, 4], [5, 6, 7, 8])
    assert not mann_whitney([1, 2, 3], [5, 6, 7])
    drifting = [100 + 3.0 * pair for pair in range(10)]
    assert not mann_whitney(drifting, [each + 2 for each in drifting]), "each pair is slower, and all are mixed"


def test_a_change_point_counts_where_the_candidate_begins() -> None:
    up = [each * 1.2 for each in QUIET]
    assert change_point(QUIET, up)
    assert not change_point([*QUIET, *up], [*up, *up]), "the step is within the base"


# Lines of a campaign


def line(kind: str, base: Sequence[float], candidate: Sequence[float], change: str, **changes: Any) -> dict[str, Any]:
    verdict = {"metric": "tpot", "kind": change, "ratio": 1.0, "p": 0.5, "pairs": 10, "visible": 0.02}
    values = {"base": [*base], "candidate": [*candidate], "began": "bc" * (len(base) // 2)}
    red = change == "worse"
    return {"number": 0, "kind": kind, "colour": "red" if red else "green", "first": [{**verdict, **values}],
            "repeated": [verdict] if red else None, "run": "r", **changes}  # fmt: skip


def test_shares_of_alarms_are_counted_by_kind() -> None:
    slow = [each * 1.2 for each in SAME]
    old = line("equal", [], [], "undecided")
    lines = [
        line("equal", QUIET, SAME, "same"),
        line("equal", QUIET, slow, "worse"),  # a false alarm, as all methods raise it
        line("5 % slower", QUIET, slow, "worse", colour="green", repeated=None),  # found once, and not again
        old,
    ]
    heads, rows = of_gates(lines)
    assert heads == ["method", "equal: tpot, steady", "5 % slower: tpot, steady"]
    table = {name: shares for name, *shares in rows}
    assert table["this gate as it fell, red twice"] == ["1 of 2: 50.0 % [1.3, 98.7]", "0 of 1: 0.0 % [0.0, 97.5]"]
    assert table["its first comparison, as it fell"][1] == "1 of 1: 100.0 % [2.5, 100.0]"
    for name in METHODS:
        assert table[name] == ["1 of 2: 50.0 % [1.3, 98.7]", "1 of 1: 100.0 % [2.5, 100.0]"], name
    assert len([*recorded(lines)]) == 3, "what has no values is left out"


def test_by_todays_rule_gates_are_decided_again() -> None:
    """Of ten pairs in which two processes were disturbed there is telling, of twelve with three there is none."""
    quiet, disturbed = [*QUIET, 100.2, 99.9], [*SAME, 100.2, 99.9]
    disturbed[3] *= 1.5
    lines = [line("equal", quiet, disturbed, "undecided")]
    assert [*early(lines)] == ["equal: green by pair 12 by today's rule: 1 of 1: 100.0 % [2.5, 100.0]"]
    disturbed[7] *= 1.5
    disturbed[9] *= 1.5
    lines = [line("equal", quiet, disturbed, "same"), line("5 % slower", quiet, quiet, "same")]
    assert [*early(lines)] == ["equal: green by pair 12 by today's rule: 0 of 1: 0.0 % [0.0, 97.5]"]


def test_a_metric_of_two_scenarios_is_two_columns() -> None:
    """As peak memory is, where TTFT and TPOT are of processes of their own."""
    found = line("SmolLM2 equal", QUIET, SAME, "same")
    found["first"].append({**found["first"][0], "scenario": "first-token"})
    heads, rows = of_gates([found])
    assert heads[1:] == ["SmolLM2 equal: tpot, steady", "SmolLM2 equal: tpot, first-token"]
    assert all(shares == ["0 of 1: 0.0 % [0.0, 97.5]"] * 2 for _, *shares in rows)


def test_lines_without_values_are_read_and_counted(tmp_path: Path) -> None:
    old = line("equal", [], [], "same")
    for name in ("base", "candidate", "began"):
        del old["first"][0][name]
    file = tmp_path / "gates.jsonl"
    file.write_text(f"{json.dumps(old)}\n{json.dumps(line('equal', QUIET, SAME, 'same'))}\n")
    told = [*summary(read(file), {"equal": 100, "5 % slower": 40})]
    assert told[0] == "equal: 2 of 100 gates: 2 green"
    assert told[3] == "  decided by pair 12: 100.0 % [15.8, 100.0]"
    assert told[4] == "5 % slower: 0 of 40 gates: none"
    assert len(processes_of(file)) == 20


def test_processes_stand_in_the_order_in_which_they_ran(tmp_path: Path) -> None:
    found = line("equal", [1, 2], [10, 20], "same")
    assert [*next(recorded([found])).processes()] == [1, 10, 20, 2]
    pairs = [*stretches([1, 2, 3, 4, 5, 6, 7, 8, 9], 2, slower=1.0)]
    assert pairs == [{0: (1, 4), 1: (3, 8)}, {0: (6, 10), 1: (8, 14)}], "turned in every second, and the rest unused"


def test_a_plan_that_comes_later_moves_no_gate_of_an_earlier_one() -> None:
    order = PLANS["demo"].order()
    assert order[:5] == ["equal", "10 % slower", "equal", "2 % more memory", "5 % slower"]
    assert len(order) == 180
    assert {name: PLANS["smollm2"].order().count(name) for name in PLANS["smollm2"].kinds} == {
        "SmolLM2 equal": 20,
        "equal recipe": 5,
        "another recipe": 5,
    }
    assert len({plan.file for plan in PLANS.values()}) == len(PLANS)
    assert [is_equal(kind) for kind in ("equal", "SmolLM2 equal", "another recipe")] == [True, True, False]


def test_a_model_that_was_not_built_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="make smollm2"):
        PLANS["smollm2"].kinds["SmolLM2 equal"].suites(tmp_path, tmp_path)


def test_a_share_of_nothing_is_none() -> None:
    assert share_of(0, 0) == "none made"
    assert share_of(0, 63) == "0.0 % [0.0, 5.7]"
