"""The gate's own error rates: gates on builds that are equal, slower or larger, one after the other, as they fall.

    python -m benchmarks.gates --out build/gates

The plan, written before: 100 gates of equal builds, 40 of a candidate that is 5 % slower (CPU time added to every
step), 20 that is 10 % slower, 20 that holds 2 % more memory. Each decides on TPOT and peak memory of the demo
model on one thread. A gate's verdict is a line of `gates.jsonl`, written when it ends; begun again, the campaign
goes on behind the last one. What was made so far is in `benchmarks/records/gates.jsonl`: copied to the folder, it is
continued. Nothing is left out and nothing made twice; the order of kinds is shuffled by a seed.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchharness import builds
from benchharness.judge.bootstrap import clopper_pearson
from benchharness.judge.gate import Colour
from benchharness.judge.pairs import Change
from benchmarks.dilated.dilated_onnx import SHARE, SIZE, shared_numbers
from benchmarks.options import parser

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "examples" / "demo_model" / "artefacts" / "onnx-fp32"
DILATED = ROOT / "benchmarks" / "dilated"
_SEED = 20261129
#: Of the demo model's process: some 100 MB, of which the candidate holds so many more bytes.
_PERCENT_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a candidate is: how much slower its steps are, how many bytes more it holds; and how many gates."""

    gates: int
    slower: float = 0.0
    more_bytes: int = 0


PLAN: Mapping[str, Kind] = {
    "equal": Kind(gates=100),
    "5 % slower": Kind(gates=40, slower=0.05),
    "10 % slower": Kind(gates=20, slower=0.10),
    "2 % more memory": Kind(gates=20, more_bytes=2 * _PERCENT_BYTES),
}


def main() -> int:
    """Goes on with the campaign in a folder, and says how it stands."""
    made = parser("Measures the gate's error rates.", "python -m benchmarks.gates --out build/gates")
    made.add_argument("--most", type=int, default=None, help="so many gates now, and no more")
    found = made.parse_args()
    folder = Path(found.out)
    folder.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(DILATED))
    os.environ["PYTHONPATH"] = os.pathsep.join((str(DILATED), str(ROOT), os.environ.get("PYTHONPATH", "")))
    file = folder / "gates.jsonl"
    for number, kind in list(_left(file))[: found.most]:
        line = {"number": number, "kind": kind, **_gate(folder, PLAN[kind])}
        with file.open("a", encoding="utf-8") as lines:
            lines.write(f"{json.dumps(line)}\n")
        print(f"{number}: {kind}: {line['colour']}", flush=True)
    for told in summary(_read(file)):
        print(told)
    return 0


def _left(file: Path) -> Iterator[tuple[int, str]]:
    """What the plan has and the file has not, in the plan's order."""
    order = [name for name, kind in PLAN.items() for _ in range(kind.gates)]
    random.Random(_SEED).shuffle(order)
    done = len(_read(file))
    yield from list(enumerate(order))[done:]


def _read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []


def _gate(folder: Path, kind: Kind) -> dict[str, Any]:
    with _dilation(folder / "base.dilation", 0.0) as base, _dilation(folder / "candidate.dilation", kind.slower) as own:
        suites = {
            "base.toml": _suite(base, 0),
            "candidate.toml": _suite(own, kind.more_bytes),
        }
        for name, text in suites.items():
            (folder / name).write_text(text, encoding="utf-8")
        began_s = time.monotonic()
        store = f"sqlite:///{folder.absolute()}/gates.db"
        found = builds.gate(folder / "candidate.toml", base=folder / "base.toml", store=store)
    return {
        "colour": str(found.verdict.colour),
        "seconds": round(time.monotonic() - began_s, 1),
        "load": os.getloadavg()[0],
        "first": _verdicts(found.first),
        "repeated": None if found.repeated is None else _verdicts(found.repeated),
        "run": found.first.findings.run.id,
    }


def _verdicts(found: builds.Found) -> list[dict[str, Any]]:
    return [
        {
            "metric": each.metric,
            "kind": str(each.kind),
            "ratio": each.ratio.value,
            "p": each.p_value,
            "pairs": each.pairs,
            "visible": each.visible,
        }
        for each in found.comparisons
        if each.primary
    ]


@contextmanager
def _dilation(path: Path, share: float) -> Iterator[Path]:
    path.write_bytes(bytes(SIZE))
    with shared_numbers(path) as numbers:
        numbers[SHARE] = share
    yield path.absolute()


def _suite(dilation: Path, more_bytes: int) -> str:
    """Each side has files of its own; what differs between them is told to the adapter, and is no other work."""
    return f"""
[models.demo.variants.fp32]
artefact = "{MODEL}"
[[configurations]]
name = "dilated"
runtime = "dilated-onnx"
threads = 1
options = {{ dilation = "{dilation}", more_bytes = {more_bytes} }}
[[workloads]]
prompt = {{ tokens = 32 }}
output_tokens = 32
[scenarios.steady]
min_time = "300 ms"
[gate]
primary = ["tpot", "peak_memory"]
"""


def summary(lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """How many of each kind ended how, with the exact interval of the share that bars ask for."""
    for name, kind in PLAN.items():
        made = [each for each in lines if each["kind"] == name]
        counts = {colour: sum(each["colour"] == colour for each in made) for colour in Colour}
        told = ", ".join(f"{count} {colour}" for colour, count in counts.items() if count)
        yield f"{name}: {len(made)} of {kind.gates} gates: {told or 'none'}"
        if not made:
            continue
        low, high = clopper_pearson(counts[Colour.RED], len(made))
        what = "red, first and repeated"
        yield f"  {what}: {counts[Colour.RED] / len(made):.1%} [{low:.1%}, {high:.1%}]"
        first = sum(any(each_["kind"] == Change.WORSE for each_ in each["first"]) for each in made)
        low, high = clopper_pearson(first, len(made))
        yield f"  worse in the first comparison: {first / len(made):.1%} [{low:.1%}, {high:.1%}]"
        ended = sum(
            all(one["pairs"] <= 12 and one["kind"] != Change.UNDECIDED for one in each["first"]) for each in made
        )
        low, high = clopper_pearson(ended, len(made))
        yield f"  decided by pair 12: {ended / len(made):.1%} [{low:.1%}, {high:.1%}]"


def _by_pair_12(verdict: Mapping[str, Any]) -> bool:
    return bool(verdict["pairs"] <= 12 and verdict["kind"] != Change.UNDECIDED)


if __name__ == "__main__":
    raise SystemExit(main())
