"""Whether a sustained session is called what it is: verdicts under real conditions, counted.

Sessions of the demo model on one and two threads: undisturbed, under a CPU quota, moved to a group that has one, cut to
one core, beside a hog on the same core, beside memory traffic from the other core, and on a core made slower inside the
worker. Each is an attempt through the whole
harness; its condition sets in after the baseline and stays. Classes take turns in blocks of random order. Sessions are
kept in build/sessions as they end: --resume goes on, --judge-again judges them anew without making any.

On a machine with other users --others-at-most says how many cores they may take on average: a session waits for a quiet
moment, and one that they disturbed all the same is kept, counted apart, and made again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from benchharness import units as quantity
from benchharness.device import adapters
from benchharness.device.sensors.steal import core_ticks
from benchharness.errors import UsageError
from benchharness.execute.link import DeviceLink
from benchharness.locations import digest_cache
from benchharness.results.ids import new_id
from benchharness.results.result import Job
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.hardware import load_hardware
from benchharness.suite.materials import gather
from benchharness.suite.plan import plan as plan_jobs
from benchharness.suite.tables import suite_from_table
from benchmarks.bars import Bar
from benchmarks.course_conditions import Conditions, GroupLauncher, adapters_visible, ended_by_signal
from benchmarks.course_matrix import descriptions, findings, rows, table, undisturbed_by_others
from benchmarks.course_plan import EXPECTED, SLOW_5, SLOW_15, Planned, levels, plan
from benchmarks.course_records import Judged, Records, Session, judged
from benchmarks.options import ROOT, Options, ending_in_words, parser, read
from benchmarks.processes import load_average
from benchmarks.smollm2 import folder

DEMO = ROOT / "examples" / "demo_model" / "artefacts" / "onnx-fp32"
KEPT = ROOT / "build" / "sessions"
_ADAPTERS = ROOT / "benchmarks" / "dilated"
_PLAIN, _DILATED = "onnxruntime", "dilated-onnx"
_CLAIM = (
    "real conditions are named: a quota in place or of a group that a session is moved to, all cores but one taken, a "
    "hog on the same core in at least 95 % of sessions, a core 15 % slower in at least 90 %; at most 5 % false alarms"
)
#: A session under way is ended; none is begun that would take longer than is left.
_BESIDE_S = 2.0
#: The last 20 windows decide about a slower core.
_UNDER_CONDITION_S = 3.0
_WIDTH = 200
_MOMENT_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Subject:
    """How a model is measured. A condition sets in after the baseline: the shorter of 5 s and 20 windows.

    A window takes a little over 0.1 s where the model is fast, a second where it has not made 100 tokens by then.
    """

    sessions_per_class: int
    duration_s: float  # of a session
    between_s: tuple[float, float]
    output_tokens: int


SUBJECTS = {
    "demo": Subject(sessions_per_class=60, duration_s=6, between_s=(2.3, 2.8), output_tokens=32),
    "smollm2": Subject(sessions_per_class=5, duration_s=30, between_s=(5.1, 5.6), output_tokens=16),
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a file of sessions was made with; it can be resumed with nothing else."""

    model: str
    artefact: str
    seed: int
    sessions_per_class: int
    duration_s: float
    classes: Sequence[str]
    threads: Sequence[int]
    cores: int

    def planned(self) -> list[Planned]:
        """The sessions, in their order."""
        return plan(
            sessions_per_class=self.sessions_per_class,
            classes=self.classes,
            threads=self.threads,
            cores=self.cores,
            between_s=SUBJECTS[self.model].between_s,
            seed=self.seed,
        )


def measure(options: Options) -> Bar:
    """The demo model's shares, from new sessions: as many as there is time for, 60 a class at most."""
    asked = _asked(options, "demo")
    return _measured(asked, _new_records(asked), options.max_time_s)


def _asked(options: Options, model: str, **changes: Any) -> Asked:
    subject = SUBJECTS[model]
    artefact = DEMO if model == "demo" else folder(options, "int4")
    made: dict[str, Any] = {
        "model": model,
        "artefact": str(artefact),
        "seed": options.seed,
        "sessions_per_class": subject.sessions_per_class,
        "duration_s": subject.duration_s,
        "classes": list(EXPECTED),
        "threads": list(options.threads),
        "cores": len(psutil.Process().cpu_affinity() or (0,)),
    }
    asked = Asked(**{**made, **{key: value for key, value in changes.items() if value is not None}})
    least_s = subject.between_s[1] + _UNDER_CONDITION_S
    if asked.duration_s < least_s:
        raise UsageError(f"--duration {asked.duration_s:g} s: conditions set in late; make it {least_s:.1f} s or more")
    return asked


def _asked_before(records: Records, told: Mapping[str, Any]) -> Asked:
    try:
        return Asked(**told)
    except TypeError as error:
        raise UsageError(f"{records.path}: was not made by this version: {error}") from error


def _new_records(asked: Asked) -> Records:
    records = Records(KEPT / f"{asked.model}-seed{asked.seed}-{datetime.now(UTC):%Y%m%dT%H%M%S}.jsonl")
    records.begin(asdict(asked))
    return records


def _measured(asked: Asked, records: Records, max_time_s: float, others: float = math.inf) -> Bar:
    before = load_average()
    _make(asked, records, time.monotonic() + max_time_s, others)
    return bar_of(records, (before, load_average()), others)


def bar_of(records: Records, load: tuple[float, float], others: float = math.inf) -> Bar:
    """The verdicts on all sessions of a file, as today's detection gives them, that others did not disturb."""
    told, sessions = records.read()
    asked = _asked_before(records, told)
    everything = [judged(session) for session in sessions]
    counted = everything if math.isinf(others) else undisturbed_by_others(everything, others)
    console, found = Console(highlight=False, width=_WIDTH), rows(counted)
    if len(counted) < len(everything):
        console.print(f"all {len(everything)} sessions, and then those in which others took {others:g} cores at most:")
        console.print(table(rows(everything)))
    console.print(table(found))
    made = f"{len(sessions)} made for {len(asked.planned())} planned, {len(counted)} counted"
    figures = [asdict(row) for row in found]
    records.path.with_suffix(".matrix.json").write_text(json.dumps({"asked": told, "rows": figures}, indent=1))
    return Bar(
        name="sessions",
        claim=_CLAIM,
        findings=findings(found),
        conditions=[
            f"{asked.model}, seed {asked.seed}, sessions of {asked.duration_s:g} s, {made}",
            f"sessions in {records.path.name}, the matrix beside it",
            *descriptions(found),
        ],
        load=load,
    )


def _make(asked: Asked, records: Records, end_s: float, others: float) -> None:
    """Makes the sessions that the file has not, or that others disturbed, one after another until the time is over."""
    made = {each.planned.index for each in records.read()[1] if not judged(each).others_cores > others}
    left = [each for each in asked.planned() if each.index not in made]
    if not left:
        return
    dilation = KEPT / "dilation"
    state = KEPT / "state"
    shutil.rmtree(state, ignore_errors=True)  # what a killed one left
    with ExitStack() as stack:
        stack.enter_context(ended_by_signal())
        stack.enter_context(adapters_visible(_ADAPTERS))
        conditions = stack.enter_context(Conditions(dilation))
        print(f"memory traffic: {conditions.memory_hog}; sessions in {records.path}", flush=True)
        stack.callback(shutil.rmtree, state, ignore_errors=True)
        maker = _Maker(asked, conditions, state, dilation)
        stack.callback(maker.close)
        for planned in left:
            if time.monotonic() + asked.duration_s + _BESIDE_S > end_s:
                print(f"the time is over; go on with: --resume {records.path}", flush=True)
                return
            if not _quiet_before(others, end_s - asked.duration_s - _BESIDE_S):
                print(f"others took the time; go on with: --resume {records.path}", flush=True)
                return
            began_s = time.monotonic()
            session = maker.make(planned)
            verdict = judged(session)
            records.append(session, verdict)
            print(_line(planned, verdict, session, time.monotonic() - began_s), flush=True)


def _quiet_before(others: float, end_s: float) -> bool:
    """Waits until nobody has taken more cores than this for a moment; False where that did not come in time."""
    while not math.isinf(others):
        before = core_ticks()
        time.sleep(_MOMENT_S)
        after = core_ticks()
        busy = after.wanted - before.wanted - (after.stolen - before.stolen)
        if busy / os.sysconf("SC_CLK_TCK") / _MOMENT_S <= others:
            return True
        if time.monotonic() > end_s:
            return False
    return True


def _line(planned: Planned, verdict: Judged, session: Session, took_s: float) -> str:
    told = {key: value for key, value in session.injected.items() if key not in ("applied", "took_hold")}
    figures = ", ".join(f"{key} {value}" for key, value in told.items())
    hold = "" if verdict.took_hold else " (NOT IN FORCE)"
    kept = "–" if verdict.retention is None else f"{verdict.retention:.1%}"
    early = " (before the baseline's end)" if verdict.begun_early else ""
    return f"{planned.index:4} {planned.title}{hold}{early}: {verdict.state}, kept {kept}; {figures}; {took_s:.1f} s"


class _Maker:
    """Makes sessions: one supervisor for all of them, in the conditions' group."""

    def __init__(self, asked: Asked, conditions: Conditions, state: Path, dilation: Path) -> None:
        self._asked = asked
        self._conditions = conditions
        suite = suite_from_table(_suite(asked, dilation))
        materials = gather(suite, digest_cache())
        jobs = plan_jobs(suite, load_hardware(THIS_MACHINE), materials, adapters.formats)
        self._jobs = {(job.configuration.runtime, job.configuration.threads): job for job in jobs}
        self._manifests = materials.manifests
        state.mkdir(parents=True)
        launcher = GroupLauncher(state, conditions.group)
        self._link = DeviceLink(launcher, run="sessions", scratch=state, save=lambda attempt: attempt)
        self._link.connect()

    def make(self, planned: Planned) -> Session:
        """One session under its condition."""
        lasts_s = self._asked.duration_s - planned.begins_s
        injection = self._conditions.injection(planned, levels(planned, lasts_s))
        injected: Mapping[str, Any] = {}
        try:
            attempt = self._link.attempt(
                self._job(planned),
                self._manifests,
                attempt=new_id(),
                round_=planned.index,
                progress=injection.progress,
            )
        finally:
            injected = injection.end()
        return Session(planned=planned, injected=injected, attempt=attempt)

    def _job(self, planned: Planned) -> Job:
        runtime = _DILATED if planned.name in (SLOW_5, SLOW_15) else _PLAIN
        return self._jobs[runtime, planned.threads]

    def close(self) -> None:
        """Ends the supervisor."""
        self._link.close()


def _suite(asked: Asked, dilation: Path) -> dict[str, Any]:
    threads = list(asked.threads)
    return {
        "name": "sessions",
        "models": {asked.model: {"task": "causal-lm", "variants": {"plain": {"artefact": asked.artefact}}}},
        "configurations": [
            {"runtime": _PLAIN, "threads": threads},
            {"runtime": _DILATED, "threads": threads, "options": {"dilation": str(dilation)}},
        ],
        "workloads": [{"prompt": {"tokens": 8}, "output_tokens": SUBJECTS[asked.model].output_tokens}],
        "scenarios": {"sustained": {"duration": f"{asked.duration_s} s", "entry_gate": "0 s"}},
        "attempts": {"timeout": "2 min"},
    }


def main() -> None:
    """Measures alone, goes on with sessions that are kept, or judges them again."""
    from benchmarks.page import write_page
    from benchmarks.table import print_bars

    found = _parser().parse_args()
    with ending_in_words():
        options = read(found)
        if found.judge_again:
            bar = bar_of(Records(found.judge_again.absolute()), (load_average(),) * 2, found.others_at_most)
        elif found.resume:
            records = Records(found.resume.absolute())
            records.cut()
            bar = _measured(
                _asked_before(records, records.read()[0]), records, options.max_time_s, found.others_at_most
            )
        else:
            asked = _asked(
                options,
                found.model,
                sessions_per_class=found.sessions_per_class,
                duration_s=quantity.seconds(found.duration) if found.duration else None,
                classes=_classes(found.classes),
            )
            bar = _measured(asked, _new_records(asked), options.max_time_s, found.others_at_most)
        print_bars([bar])
        page = options.out.with_suffix(".html") if options.out.suffix else options.out / "sessions.html"
        print(f"page: {write_page([bar], page)}, figures: {page.with_suffix('.json')}")


def _parser() -> argparse.ArgumentParser:
    made = parser(__doc__ or "", "python -m benchmarks.courses --max-time '60 min' --seed 1")
    made.add_argument("--model", choices=tuple(SUBJECTS), default="demo", help="(default: %(default)s)")
    made.add_argument("--sessions-per-class", type=int, help="(default: 60; of smollm2 5)")
    made.add_argument("--duration", help="of a session, such as '6 s' (default: 6 s; of smollm2 30 s)")
    classes = ", ".join(EXPECTED).replace("%", "%%")  # argparse fills help texts in
    made.add_argument("--classes", help=f"some of: {classes} (default: all)")
    made.add_argument("--others-at-most", type=float, default=math.inf, metavar="CORES", help="(default: any number)")
    made.add_argument("--resume", type=Path, metavar="FILE", help="go on with a file of sessions, as it was begun")
    made.add_argument("--judge-again", type=Path, metavar="FILE", help="judge a file's sessions, and make none")
    return made


def _classes(text: str | None) -> list[str] | None:
    if text is None:
        return None
    chosen = [name.strip() for name in text.split(",")]
    unknown = [name for name in chosen if name not in EXPECTED]
    if unknown:
        raise UsageError(f"--classes {unknown[0]}: there are {', '.join(EXPECTED)}")
    return chosen


if __name__ == "__main__":
    main()
