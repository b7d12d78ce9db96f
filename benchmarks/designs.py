"""The error rate of the sequential design on real processes: designs drawn from recordings of equal builds.

    python -m benchmarks.designs --out build/gates

The processes of the comparisons of equal builds that `benchmarks.gates` made there are put in the order in which they
ran. A design takes a contiguous stretch of them, two by two, from a random place on: never shuffled, no sign turned;
the first of each two is the base in one half of the designs, the candidate in the other. Then it looks as a gate does.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from benchharness import api
from benchharness.judge.bootstrap import clopper_pearson
from benchharness.judge.design import Design
from benchharness.judge.pairs import Change, best_of, decided
from benchmarks.options import parser

_SEED = 20261129
_METRIC = "tpot"


def main() -> int:
    """Draws the designs and says how they ended."""
    made = parser("Draws designs from recorded processes.", "python -m benchmarks.designs --out build/gates")
    made.add_argument("--designs", type=int, default=10_000)
    made.add_argument("--hypotheses", type=int, default=1, help="over so many primary metrics the error is divided")
    found = made.parse_args()
    processes = _processes(found.out)
    design = Design(primary=(_METRIC,))
    print(f"{len(processes)} processes of equal builds, in the order in which they ran")
    kinds = _drawn(processes, design, found.designs, found.hypotheses)
    for change in Change:
        share, (low, high) = kinds.count(change) / len(kinds), clopper_pearson(kinds.count(change), len(kinds))
        print(f"{change}: {kinds.count(change)} of {len(kinds)}: {share:.2%} [{low:.2%}, {high:.2%}]")
    apart = len(processes) // (2 * design.looks[-1])
    print(f"the stretches overlap: {apart} share no process, so the intervals are narrower than they should be")
    return 0


def _processes(folder: Path) -> list[float]:
    """The best of each process of an equal build, in order of time."""
    store = f"sqlite:///{folder.absolute()}/gates.db"
    lines = (folder / "gates.jsonl").read_text(encoding="utf-8").splitlines()
    runs = [each["run"] for each in map(json.loads, lines) if each["kind"] == "equal"]
    found: list[tuple[datetime, float]] = []
    with closing(api.open_store(store)) as opened:
        for run in runs:
            started = {each.id: each.started for each in opened.attempts(run)}
            metrics = [metric for result in api.load(run, store=store).results for metric in result.metrics]
            for metric in (each for each in metrics if each.name == _METRIC and "percentile" not in each.parameters):
                found += [(started[value.attempt], best_of(value, lower=True)) for value in metric.attempts]
    return [best for _, best in sorted(found)]


def _drawn(processes: Sequence[float], design: Design, count: int, hypotheses: int) -> list[Change]:
    length = 2 * design.looks[-1]
    chance = random.Random(_SEED)
    found = []
    for number in range(count):
        start = chance.randrange(len(processes) - length + 1)
        stretch = iter(processes[start : start + length])
        both = zip(stretch, stretch, strict=True)  # two by two
        pairs = [(later, earlier) if number % 2 else (earlier, later) for earlier, later in both]
        found.append(decided(dict(enumerate(pairs)), len(pairs), _METRIC, design, hypotheses).kind)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
