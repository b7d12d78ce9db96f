"""The gate's verdicts beside those of other methods, on the very same recorded processes.

    python -m benchmarks.verdicts --records benchmarks/records/gates.jsonl

The first table is of the recorded gates, by what their candidate was. Each method sees all pairs that the gate's first
comparison made, one value a process, and no more: a gate stops early, so that they are 10 to 20.

The second is of 20 pairs each: stretches of the processes of equal builds as `benchmarks.designs` draws them, in the
order in which they ran, and the same with every candidate made slower by so much. A stretch may cross from one gate of
equal builds to the next one, with other gates between them. No two of these stretches share a process.

An alarm is that a method calls the candidate worse. Levels are those at which each method is used: for this gate 1 %
over all its looks and metrics, for tests 5 % on two sides and for each metric.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from benchharness.judge.design import Design
from benchharness.judge.gate import Colour
from benchharness.judge.pairs import Change, decided
from benchharness.judge.steps import Series, find_steps
from benchmarks.designs import RECORDS, is_green, processes_of, stretches
from benchmarks.gate_lines import EARLY, Line, Recorded, read, recorded, scenario_of, share_of
from benchmarks.gate_plans import is_equal
from benchmarks.options import parser
from benchmarks.table import print_columns

ALPHA, LIMIT = 0.05, 1.05
#: As perfgate's documentation has it (read, not run): eight samples, and where significance is required more pairs are
#: added until there is some.
FIRST_LOOK = 8
PAIRS, PLANTED = 20, (0.0, 0.05, 0.10)
_METRIC = "tpot"
#: A gate of the first plan decides on two, which share its alpha.
_METRICS = 2
#: The metric that differs, by kind; where builds are equal each metric is looked at.
CHANGED: Mapping[str, str] = {"5 % slower": _METRIC, "10 % slower": _METRIC, "2 % more memory": "peak_memory"}
#: Whether a candidate is called worse, by the values of base and candidate, pair by pair. Less is better.
Method = Callable[[Sequence[float], Sequence[float]], bool]
#: Kind, metric and scenario.
Column = tuple[str, str, str]


def first_comparison(base: Sequence[float], candidate: Sequence[float]) -> bool:
    """What a gate on two metrics makes of one of them now, before it repeats what is red."""
    pairs = dict(enumerate(zip(base, candidate, strict=True)))
    return decided(pairs, len(pairs), _METRIC, Design(primary=(_METRIC,)), _METRICS).kind is Change.WORSE


def fixed_limit(base: Sequence[float], candidate: Sequence[float]) -> bool:
    """The candidate's median is more than 5 % above the base's."""
    return median(candidate) / median(base) > LIMIT


def t_until_significant(base: Sequence[float], candidate: Sequence[float]) -> bool:
    """A paired t-test after each pair from the eighth on, which ends with the first p < 0.05."""
    from scipy.stats import ttest_rel

    for pairs in range(FIRST_LOOK, len(base) + 1):
        differences = np.subtract(candidate[:pairs], base[:pairs])
        if differences.any() and ttest_rel(candidate[:pairs], base[:pairs]).pvalue < ALPHA:
            return bool(np.mean(differences) > 0)
    return False


def mann_whitney(base: Sequence[float], candidate: Sequence[float]) -> bool:
    """All of one side against all of the other, whatever pairs they were in."""
    from scipy.stats import mannwhitneyu

    return bool(mannwhitneyu(candidate, base).pvalue < ALPHA) and median(candidate) > median(base)


def mann_whitney_at_looks(base: Sequence[float], candidate: Sequence[float]) -> bool:
    """The same one-sided, at this gate's looks and levels, and no difference below the least that counts."""
    from scipy.stats import mannwhitneyu

    design = Design(primary=(_METRIC,))
    return any(
        mannwhitneyu(candidate[:pairs], base[:pairs], alternative="greater").pvalue <= design.alpha_at(look, _METRICS)
        and median(candidate[:pairs]) > (1 + design.least) * median(base[:pairs])
        for look, pairs in enumerate(design.looks)
        if pairs <= len(base)
    )


def change_point(base: Sequence[float], candidate: Sequence[float]) -> bool:
    """The candidate's values put behind the base's: `judge.steps` finds a step up that may lie where they meet."""
    values = np.log(np.array([*base, *candidate]))
    (found,) = find_steps([Series(values=values, wanders=False)], alpha=ALPHA)
    return any(each.size > 0 and each.first <= len(base) <= each.last for each in found)


METHODS: Mapping[str, Method] = {
    "this gate's first comparison, as it is now": first_comparison,
    "fixed 5 % on medians": fixed_limit,
    "paired t-test until significant": t_until_significant,
    "pooled Mann-Whitney": mann_whitney,
    "the same at this gate's looks and levels": mann_whitney_at_looks,
    "change points alone": change_point,
}


def main() -> int:
    """Prints both tables."""
    made = parser("Other methods on a gate's recordings.", "python -m benchmarks.verdicts")
    made.add_argument("--records", type=Path, default=RECORDS, help="what benchmarks.gates wrote (%(default)s)")
    found = made.parse_args()
    lines = read(found.records)
    print_columns("alarms in recorded gates, of all pairs that each made", *of_gates(lines))
    for told in early(lines):
        print(told)
    processes = processes_of(found.records)
    print_columns(f"alarms in stretches of {PAIRS} pairs of equal builds, {_METRIC}", *of_stretches(processes))
    return 0


def of_gates(lines: Sequence[Line]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: by method and kind of gate the share of alarms."""
    kept = _with_values(lines)
    columns = list(dict.fromkeys(_column(each) for each in _asked(kept)))
    rows = [
        ["this gate as it fell, red twice", *(_share(_red(kept, column)) for column in columns)],
        ["its first comparison, as it fell", *(_share(_fell(kept, column)) for column in columns)],
    ]
    for name, method in METHODS.items():
        rows.append([name, *(_share([method(*each) for each in _values(kept, column)]) for column in columns)])
    return ["method", *(f"{kind}: {metric}, {scenario}" for kind, metric, scenario in columns)], rows


def early(lines: Sequence[Line]) -> Iterator[str]:
    """Of gates of equal builds how many ended green by pair 12 by today's rule, on the pairs that they made.

    No rule before today's stopped sooner, so that what today's would have seen is all there.
    """
    for kind in dict.fromkeys(each["kind"] for each in _with_values(lines) if is_equal(each["kind"])):
        made = [each for each in _with_values(lines) if each["kind"] == kind]
        hits = sum(all(_is_early(one, len(each["first"])) for one in recorded([each])) for each in made)
        yield f"{kind}: green by pair {EARLY} by today's rule: {hits} of {len(made)}: {share_of(hits, len(made))}"


def _is_early(one: Recorded, hypotheses: int) -> bool:
    pairs = dict(enumerate(zip(one.base, one.candidate, strict=True)))
    found = decided(pairs, len(pairs), one.metric, Design(primary=(one.metric,)), hypotheses)
    return is_green(found) and found.pairs <= EARLY


def _with_values(lines: Sequence[Line]) -> list[Line]:
    return [each for each in lines if all(verdict.get("base") for verdict in each["first"])]


def of_stretches(processes: Sequence[float]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: by method and by how much the candidate was made slower the share of alarms."""
    drawn = {share: [_sides(each) for each in stretches(processes, PAIRS, slower=share)] for share in PLANTED}
    rows = [
        [name, *(_share([method(*each) for each in sides]) for sides in drawn.values())]
        for name, method in METHODS.items()
    ]
    return ["method", *(f"{100 * share:g} % slower" if share else "equal" for share in PLANTED)], rows


def _asked(lines: Sequence[Line]) -> Iterator[Recorded]:
    """Of a kind whose builds differ the metric that does."""
    for each in recorded(lines):
        if is_equal(each.kind) or CHANGED.get(each.kind) == each.metric:
            yield each


def _column(one: Recorded) -> Column:
    return one.kind, one.metric, one.scenario


def _of(lines: Sequence[Line], column: Column) -> list[Recorded]:
    return [each for each in _asked(lines) if _column(each) == column]


def _values(lines: Sequence[Line], column: Column) -> list[tuple[Sequence[float], Sequence[float]]]:
    return [(each.base, each.candidate) for each in _of(lines, column)]


def _fell(lines: Sequence[Line], column: Column) -> list[bool]:
    return [each.change is Change.WORSE for each in _of(lines, column)]


def _red(lines: Sequence[Line], column: Column) -> list[bool]:
    """A gate is red where the comparison that repeated it finds the same metric worse."""
    kind, *what = column
    return [
        each["colour"] == Colour.RED
        and any(
            [one["metric"], scenario_of(one)] == what and one["kind"] == Change.WORSE for one in each["repeated"] or []
        )
        for each in lines
        if each["kind"] == kind
    ]


def _sides(pairs: Mapping[int, tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [base for base, _ in pairs.values()], [candidate for _, candidate in pairs.values()]


def _share(alarms: Sequence[bool]) -> str:
    return f"{sum(alarms)} of {len(alarms)}: {share_of(sum(alarms), len(alarms))}"


if __name__ == "__main__":
    raise SystemExit(main())
