"""Whether a farm stays quick: with many jobs queued, with many targets, and with many nights in its store.

`python -m benchmarks.farm_scale --queued 100000 --targets 50 500 --nights 100`, with PostgreSQL. No device does
anything: jobs are claimed and handed in as an agent does it, by the same functions over TLS, from one process. Exit
code 1 where `farm status`, `farm submit` or one go at pruning take more than 1 s (of the server and of the command
apart from the start of Python), a job costs the server more than 35 ms of CPU time, or a page takes more than 10 s.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchharness import api
from benchharness.farm import asking, signing
from benchharness.farm.members import Farm
from benchharness.farm.passes import Pass
from benchmarks.farm_chaos import server_cpu_s
from benchmarks.history import Scale, fill
from tests.farm import Member, parcel, text
from tests.postgres import folder, free_port

QUICK_S, JOB_S, PAGE_S = 1.0, 0.035, 10.0
JOBS_A_TARGET = 20
ROUNDS = 5
_A_SUBMISSION = 1000  # jobs that nobody makes, queued together
SUITE = """
name = "digits"
[models.digits.variants.fp32]
artefact = "{artefact}"
[scenarios.steady]
"""
DIGITS = Path(__file__).parent.parent / "examples" / "digits" / "artefacts" / "fp32.onnx"


class Scales:
    """A farm and what is measured on it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        members = [("submitter", "ann"), ("agent", "desk")]
        self.farm = Farm.create(place / "farm", name="localhost", port=free_port(), listen="127.0.0.1", members=members)
        self.ann = Pass.load(self.farm.pass_of("ann"))
        self.missed: list[str] = []

    def told(self, what: str, found: float, most: float, unit: str) -> None:
        """Prints a figure beside its bar."""
        if found > most:
            self.missed.append(what)
        print(f"{what}: {found:.3g} {unit} (at most {most:g}){' MISSED' if found > most else ''}", flush=True)

    def job_costs(self, targets: int) -> None:
        """What a job costs the server with so many devices, each of which has the same number of jobs."""
        desk, ann = Member(Pass.load(self.farm.pass_of("desk"))), Member(self.ann)
        names = [f"t{targets}-{number}" for number in range(targets)]
        told = [{"name": name, "labels": {"hardware": f"kind-{targets}"}} for name in names]
        desk.call("present", json.dumps(told))
        for name in names:
            assert desk.one("hold", name)
        template = json.loads(parcel(self.place))
        before_s = server_cpu_s(self.farm)
        for _ in range(targets * JOBS_A_TARGET):
            submission = text(wanted=[{"hardware": f"kind-{targets}"}])
            ann.one("submit", submission, signing.sign(self.ann.folder, submission), "ann")
        for round_ in range(JOBS_A_TARGET):
            for name in names:
                ((token, *_),) = desk.call("claim", name)
                desk.call("renew", token)
                assert desk.one("hand_in", token, json.dumps({**template, "of": f"{name} {round_}"}))
        jobs = targets * JOBS_A_TARGET
        self.told(f"{targets} targets, {jobs} jobs, server CPU a job",
                  (server_cpu_s(self.farm) - before_s) / jobs * 1000, JOB_S * 1000, "ms")  # fmt: skip
        desk.line.close()
        ann.line.close()

    def queue(self, count: int) -> None:
        """So many jobs that nobody makes."""
        desk, ann = Member(Pass.load(self.farm.pass_of("desk"))), Member(self.ann)
        desk.call("present", json.dumps([{"name": "busy", "labels": {"hardware": "busy"}}]))
        for begun in range(0, count, _A_SUBMISSION):
            ann.one("submit", text(wanted=[{"hardware": "busy"}] * min(_A_SUBMISSION, count - begun)), "", "ann")
        desk.line.close()
        ann.line.close()

    def answers(self, queued: int) -> None:
        """How long status and submit take."""
        suite = self.place / "suite.toml"
        suite.write_text(SUITE.format(artefact=DIGITS))
        asking.submit(self.ann, suite, on="busy")  # its file is there from now on
        self.told(f"status, {queued} queued", _slowest(lambda: asking.status(self.ann)), QUICK_S, "s")
        self.told(f"submit, {queued} queued", _slowest(lambda: asking.submit(self.ann, suite, on="busy")), QUICK_S, "s")
        desk = Member(Pass.load(self.farm.pass_of("desk")))
        desk.call("present", '[{"name": "other", "labels": {"hardware": "other"}}]')
        assert desk.one("hold", "other")
        self.told(f"claim of nothing, {queued} queued", _slowest(lambda: desk.call("claim", "other")), QUICK_S, "s")
        desk.line.close()

    def pruning(self, ended: int, queued: int) -> None:
        """How long one go at pruning takes, beside what is queued: so long whoever queues a job may have to wait."""
        with self.farm.server.connect() as line:
            line.execute("SET search_path = queue, farm")
            line.execute(
                "UPDATE procrastinate_jobs SET status = 'failed'"
                " WHERE id IN (SELECT id FROM jobs ORDER BY id LIMIT %s)",
                [ended],
            )
            line.execute("UPDATE nights SET reported = now() - interval '40 days'")
            took: list[float] = []
            gone = 0
            while not took or gone < ended:
                begun = time.monotonic()
                ((told,),) = line.execute("SELECT farm.prune()").fetchall()
                took.append(time.monotonic() - begun)
                assert told["jobs"], f"{gone} of {ended} went"
                gone += told["jobs"]
        self.told(f"pruning, slowest of {len(took)} goes at {gone} ended jobs", max(took), QUICK_S, "s")
        self.told(f"status, {queued - ended} queued", _slowest(lambda: asking.status(self.ann)), QUICK_S, "s")

    def pages(self, nights: int, targets: int, figures: int) -> None:
        """How long pages over the store take."""
        owner = f"postgresql://postgres@/farm?host={self.farm.server.folder}&port={self.ann.port}"
        scale = Scale(label="farm", attempts=1, sides=("",), nights=nights, targets=targets, figures=figures)
        begun = time.monotonic()
        fill(owner, scale, 1)
        print(f"store of {nights} nights x {targets} targets x {figures} metrics: {time.monotonic() - begun:.0f} s")
        with self.farm.server.connect() as line:
            line.execute("ANALYZE")
        out = self.place / "history.html"
        self.told("history and its page", _took(
            lambda: api.render_history(api.history(store=self.ann.store), out)), PAGE_S, "s")  # fmt: skip
        self.told("runs", _took(lambda: api.runs(store=self.ann.store)), PAGE_S, "s")


def _took(what: Callable[[], object]) -> float:
    begun = time.monotonic()
    what()
    return time.monotonic() - begun


def _slowest(what: Callable[[], object]) -> float:
    return max(_took(what) for _ in range(ROUNDS))


def main() -> int:
    """Prints the figures."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.farm_scale", description=__doc__)
    made.add_argument("--queued", type=int, default=100_000)
    made.add_argument("--targets", type=int, nargs="*", default=[50, 2000])
    made.add_argument("--nights", type=int, default=100)
    made.add_argument("--targets-a-night", type=int, default=200)
    options = made.parse_args()
    with folder() as place:
        scales = Scales(place)
        try:
            for targets in options.targets:
                scales.job_costs(targets)
            if options.nights:
                scales.pages(options.nights, options.targets_a_night, 30)
            if options.queued:
                print(f"queued {options.queued}: {_took(lambda: scales.queue(options.queued)):.0f} s", flush=True)
                scales.answers(options.queued)
                scales.pruning(options.queued // 5, options.queued)
        finally:
            scales.farm.server.stop("immediate")
    return 1 if scales.missed else 0


if __name__ == "__main__":
    sys.exit(main())
