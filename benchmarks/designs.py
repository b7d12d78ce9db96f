"""The error rate of the sequential design on real processes: designs drawn from recordings of equal builds.

    python -m benchmarks.designs --records benchmarks/records/gates.jsonl

The processes of the comparisons of equal builds that `benchmarks.gates` made are put in the order in which they
ran. A design takes a contiguous stretch of them, two by two, from a random place on: never shuffled, no sign turned;
the first of each two is the base in one half of the designs, the candidate in the other. Then it looks as a gate does.
With `--slower 0.05` every candidate is made 5 % slower than it was: what is found of that, and what is called no worse.
With `--drift 0.1` the machine becomes 10 % slower from the first process of a design to the last, in equal parts; which
of two is the base is then drawn for each pair, as a comparison draws it, for else the drift would be the candidate's.
`--part first` and `second` take half of the processes: a rule that was chosen on the one is judged on the other.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchharness.judge.design import Design
from benchharness.judge.pairs import Change, Decision, decided
from benchmarks.gate_lines import EARLY, read, recorded, share_of
from benchmarks.gate_plans import EQUAL
from benchmarks.options import ROOT, parser

_SEED = 20261129
_METRIC = "tpot"
RECORDS = ROOT / "benchmarks" / "records" / "gates.jsonl"
PARTS = ("all", "first", "second")
#: By round base and candidate.
Pairs = dict[int, tuple[float, float]]


def main() -> int:
    """Draws the designs and says how they ended."""
    made = parser("Draws designs from recorded processes.", "python -m benchmarks.designs")
    made.add_argument("--records", type=Path, default=RECORDS, help="what benchmarks.gates wrote (%(default)s)")
    made.add_argument("--designs", type=int, default=10_000)
    made.add_argument("--hypotheses", type=int, default=1, help="over so many primary metrics alpha is divided")
    made.add_argument("--slower", type=float, default=0.0, help="by this share every candidate is made slower")
    made.add_argument("--drift", type=float, default=0.0, help="by this share the machine becomes slower in a design")
    made.add_argument("--part", choices=PARTS, default="all", help="of the processes (%(default)s)")
    found = made.parse_args()
    processes = part_of(processes_of(found.records), found.part)
    design = Design(primary=(_METRIC,))
    print(f"{len(processes)} processes of equal builds, in the order in which they ran")
    every = drawn(processes, design.looks[-1], found.designs, slower=found.slower, drift=found.drift)
    ended = [decided(pairs, len(pairs), _METRIC, design, found.hypotheses) for pairs in every]
    for change in Change:
        print(f"{change}: {_told(sum(each.kind is change for each in ended), len(ended))}")
    print(f"green by pair {EARLY}: {_told(sum(is_green(each) and each.pairs <= EARLY for each in ended), len(ended))}")
    print(f"pairs on average: {sum(each.pairs for each in ended) / len(ended):.1f}")
    apart = len(processes) // (2 * design.looks[-1])
    print(f"the stretches overlap: {apart} share no process, so the intervals are narrower than they should be")
    return 0


def _told(hits: int, of: int) -> str:
    return f"{hits} of {of}: {share_of(hits, of, digits=2)}"


def is_green(decision: Decision) -> bool:
    """Whether a gate that asks for nothing else would be green by it."""
    return decision.kind in (Change.SAME, Change.NO_WORSE, Change.BETTER)


def processes_of(records: Path) -> list[float]:
    """The best of each process of an equal build in the first comparison of its gate, in order of time."""
    lines = [each for each in read(records) if each["kind"] == EQUAL]
    return [best for each in recorded(lines) if each.metric == _METRIC for best in each.processes()]


def part_of(processes: Sequence[float], part: str) -> Sequence[float]:
    """All of them, or the half that ran first or second."""
    half = len(processes) // 2
    return {"all": processes, "first": processes[:half], "second": processes[half:]}[part]


def drawn(
    processes: Sequence[float], pairs: int, count: int, *, slower: float = 0.0, drift: float = 0.0
) -> Iterator[Pairs]:
    """So many contiguous stretches of so many pairs, from random places on: they overlap."""
    chance = random.Random(_SEED)
    for number in range(count):
        start = chance.randrange(len(processes) - 2 * pairs + 1)
        stretch = processes[start : start + 2 * pairs]
        turned = [bool(number % 2)] * pairs
        if drift:
            stretch = [each * (1 + drift) ** (at / (2 * pairs - 1)) for at, each in enumerate(stretch)]
            turned = [chance.random() < 0.5 for _ in range(pairs)]
        yield _paired(stretch, turned=turned, slower=slower)


def stretches(processes: Sequence[float], pairs: int, *, slower: float = 0.0) -> Iterator[Pairs]:
    """All contiguous stretches of so many pairs that share no process."""
    for number, start in enumerate(range(0, len(processes) - 2 * pairs + 1, 2 * pairs)):
        yield _paired(processes[start : start + 2 * pairs], turned=[bool(number % 2)] * pairs, slower=slower)


def _paired(stretch: Sequence[float], *, turned: Sequence[bool], slower: float) -> Pairs:
    """Two by two; `turned` says of each pair whether the first of both is the candidate."""
    each = iter(stretch)
    both = zip(each, each, turned, strict=True)
    sides = ((later, earlier) if is_turned else (earlier, later) for earlier, later, is_turned in both)
    return {round_: (base, candidate * (1 + slower)) for round_, (base, candidate) in enumerate(sides)}


if __name__ == "__main__":
    raise SystemExit(main())
