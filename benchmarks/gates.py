"""The gate's own error rates: gates on builds that are equal, slower or larger, one after the other, as they fall.

    python -m benchmarks.gates --out build/gates

The plan, written before: 100 gates of equal builds, 40 of a candidate that is 5 % slower (CPU time added to every
step), 20 that is 10 % slower, 20 that holds 2 % more memory. Each decides on TPOT and peak memory of the demo
model on one thread. A gate's verdict is a line of `gates.jsonl`, written when it ends; begun again, the campaign
goes on behind the last one. What was made so far is in `benchmarks/records/gates.jsonl`: copied to the folder, it is
continued. Nothing is left out and nothing made twice; the order of kinds is shuffled by a seed.

A second plan, `--plan smollm2`, in `gates-smollm2.jsonl`: 20 gates of equal builds of SmolLM2 at int4 (TTFT, TPOT, peak
memory; `--models` is where `make smollm2` built it), 5 of the demo model's recipe against itself, and 5 against another
one, on quality.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from benchharness import builds
from benchmarks.gate_lines import read, summary, verdicts
from benchmarks.gate_plans import PLANS, Kind
from benchmarks.options import ending_in_words, parser


def main() -> int:
    """Goes on with the campaign in a folder, and says how it stands."""
    made = parser("Measures the gate's error rates.", "python -m benchmarks.gates --out build/gates")
    made.add_argument("--most", type=int, default=None, help="so many gates now, and no more")
    made.add_argument("--plan", choices=PLANS, default="demo", help="which campaign (default: %(default)s)")
    found = made.parse_args()
    folder, plan = Path(found.out), PLANS[found.plan]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / plan.file
    done = len(read(file)) if file.is_file() else 0
    with ending_in_words():
        for number, kind in list(enumerate(plan.order()))[done:][: found.most]:
            line = {"number": number, "kind": kind, **_gate(folder, plan.kinds[kind], found.models)}
            with file.open("a", encoding="utf-8") as lines:
                lines.write(f"{json.dumps(line)}\n")
            print(f"{number}: {kind}: {line['colour']}, {line['seconds']:.0f} s", flush=True)
    planned = {name: kind.gates for name, kind in plan.kinds.items()}
    for told in summary(read(file) if file.is_file() else [], planned):
        print(told)
    return 0


def _gate(folder: Path, kind: Kind, models: Path) -> dict[str, Any]:
    with kind.suites(folder, models) as suites:
        paths = [folder / f"{side}.toml" for side in ("base", "candidate")]
        for path, text in zip(paths, suites, strict=True):
            path.write_text(text, encoding="utf-8")
        began_s = time.monotonic()
        store = f"sqlite:///{folder.absolute()}/gates.db"
        found = builds.gate(paths[1], base=paths[0], store=store)
    design = found.first.gate.design()
    return {
        "colour": str(found.verdict.colour),
        "seconds": round(time.monotonic() - began_s, 1),
        "load": os.getloadavg()[0],
        "first": verdicts(found.first, store),
        "repeated": None if found.repeated is None else verdicts(found.repeated, store),
        "run": found.first.findings.run.id,
        "no_worse_at": [round(design.beta_at(look), 6) for look in range(len(design.looks))],
    }


if __name__ == "__main__":
    raise SystemExit(main())
