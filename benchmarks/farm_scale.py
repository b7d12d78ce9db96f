"""Whether a farm stays quick: with many jobs queued, with many targets, and with many nights in its store.

`python -m benchmarks.farm_scale --queued 100000 --targets 50 500 --nights 100 --out figures`, with PostgreSQL. No
device does anything: jobs are claimed and handed in as an agent does it, by the same functions over TLS, from one
process. Exit code 1 where `farm status`, `farm submit` or one go at pruning take more than 1 s (of the server and of
the command apart from the start of Python), a job costs the server more than 35 ms of CPU time, or a page takes more
than 10 s. `--out` keeps the pages that were timed, and a plot of the cost by the number of targets, for which it takes
matplotlib.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from benchharness import api
from benchharness.api import pages
from benchharness.farm import asking, signing
from benchharness.farm.members import Farm
from benchharness.farm.passes import Pass
from benchmarks.farm_chaos import server_cpu_s
from benchmarks.history import STEP, Scale, fill
from reports.pages.index import Entry
from reports.pages.site import INDEX, index_pages, names_of
from tests.farm import Member, parcel, text
from tests.postgres import folder, free_port

QUICK_S, JOB_S, PAGE_S = 1.0, 0.035, 10.0
JOBS_A_TARGET = 20
ROUNDS = 5
GATE = "gates"
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
        self.costs: dict[int, float] = {}  # by how many targets, ms of the server's CPU time a job

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
        self.costs[targets] = (server_cpu_s(self.farm) - before_s) / jobs * 1000
        self.told(f"{targets} targets, {jobs} jobs, server CPU a job", self.costs[targets], JOB_S * 1000, "ms")
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

    def pages(self, nights: int, targets: int, figures: int, out: Path) -> None:
        """How long pages over the store take; they are written into `out`."""
        owner = f"postgresql://postgres@/farm?host={self.farm.server.folder}&port={self.ann.port}"
        scale = Scale(label="farm", attempts=1, sides=("",), nights=nights, targets=targets, figures=figures)
        begun = time.monotonic()
        fill(owner, scale, 1)
        print(f"store of {nights} nights x {targets} targets x {figures} metrics: {time.monotonic() - begun:.0f} s")
        with self.farm.server.connect() as line:
            line.execute("ANALYZE")
        store = self.ann.store
        self.told("history and its page", _took(
            lambda: api.render_history(api.history(store=store), out / "history.html")), PAGE_S, "s")  # fmt: skip
        self.told("runs", _took(lambda: api.runs(store=store)), PAGE_S, "s")
        self.told("index", _took(lambda: index(out / "index.html", store)), PAGE_S, "s")
        self.told("a target's page", _took(lambda: api.load("latest", store=store).render(out / "target")), PAGE_S, "s")
        fill_gates(owner, targets, figures)
        run = next(each.id for each in api.runs(store=store) if each.suite == GATE)
        self.told("a gate's page", _took(lambda: api.load(run, store=store).render(out / "gate")), PAGE_S, "s")
        self.told("index with gates", _took(lambda: index(out / "index.html", store)), PAGE_S, "s")
        count = 0

        def site() -> None:
            nonlocal count
            count = len(api.site(out / "site", store=store))

        took_s = _took(site)  # no bar: every page there is
        print(f"all {count} pages of the store: {took_s:.1f} s, {took_s / count * 1000:.0f} ms each", flush=True)


def index(file: Path, store: str) -> None:
    """The index alone, as `api.site` makes it: of each suite on each target the newest run is read."""
    entries: list[Entry] = []
    with closing(api.open_store(store)) as opened:
        by_key = opened.runs_by_suite_and_hardware()
        names = names_of(list(by_key))
        for suite in dict.fromkeys(suite for suite, _ in by_key):
            keys = {hardware: runs for (one, hardware), runs in by_key.items() if one == suite}
            entries += pages._newest(opened, keys, names)[1]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(index_pages(entries, datetime.now(UTC))[INDEX], encoding="utf-8")


def fill_gates(url: str, targets: int, figures: int) -> None:
    """A night of gates: on each target two builds in ten pairs, which every fifth fails."""
    scale = Scale(label="gates", attempts=10, sides=("base", "candidate"), nights=1, targets=targets, figures=figures)
    suite = {"name": GATE, "compared": {"base": {}, "base_told": "v1.toml", "candidate_told": "v2.toml"}, "gate": {}}
    fill(url, scale, 2, suite=GATE, suite_json=json.dumps(suite), first_night=STEP)


def tell_costs(costs: Mapping[int, float], out: Path | None) -> None:
    """A table of what a job costs by the number of targets, and the same drawn."""
    print("| targets | jobs | server CPU a job, ms |\n|---|---|---|")
    for targets, ms in sorted(costs.items()):
        print(f"| {targets:,} | {targets * JOBS_A_TARGET:,} | {ms:.2f} |")
    if out is None:
        return
    import matplotlib as mpl  # a plot is worth it only where somebody keeps it

    mpl.use("Agg")
    from matplotlib import pyplot

    out.mkdir(parents=True, exist_ok=True)
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    ordered = sorted(costs.items())
    axes.plot([targets for targets, _ in ordered], [ms for _, ms in ordered], "o-")
    axes.axhline(JOB_S * 1000, linestyle="--", color="grey")
    axes.text(ordered[0][0], JOB_S * 1000, "limit", va="bottom")
    axes.set(
        xscale="log", ylim=(0, JOB_S * 1100), xlabel="simulated targets, 20 jobs each", ylabel="server CPU a job, ms"
    )
    figure.savefig(out / "farm-cost.png", dpi=120)
    pyplot.close(figure)
    print(f"plot: {out / 'farm-cost.png'}")


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
    made.add_argument("--out", type=Path, help="keep the pages there, and plot what a job costs")
    options = made.parse_args()
    with folder() as place:
        scales = Scales(place)
        try:
            for targets in options.targets:
                scales.job_costs(targets)
            if scales.costs:
                tell_costs(scales.costs, options.out)
            if options.nights:
                scales.pages(options.nights, options.targets_a_night, 30, options.out or place)
            if options.queued:
                print(f"queued {options.queued}: {_took(lambda: scales.queue(options.queued)):.0f} s", flush=True)
                scales.answers(options.queued)
                scales.pruning(options.queued // 5, options.queued)
        finally:
            scales.farm.server.stop("immediate")
    return 1 if scales.missed else 0


if __name__ == "__main__":
    sys.exit(main())
