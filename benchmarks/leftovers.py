"""Whether anything of an attempt outlives it, over attempts whose adapter forks, hangs and leaks as a seed has it.

`python -m benchmarks.leftovers --attempts 1000 --seed 1`. Batches of a reference and two variants are measured alone
and against the reference, through the real supervisor. A process that carries the run's mark in its environment a
second after an attempt has ended was left; one that took ten seconds more than its limit waited for something it must
not wait for. Exit code 1 where there was either.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchharness.device.adapters import formats
from benchharness.execute.jobs import Execution
from benchharness.judge.derive import derive
from benchharness.launch.local import LocalLauncher
from benchharness.results.result import Attempt, Job, Result, WarningKind
from benchharness.results.store import Store
from benchharness.suite.artefact import DigestCache
from benchharness.suite.hardware import HardwareTarget
from benchharness.suite.materials import gather
from benchharness.suite.plan import plan
from benchharness.suite.tables import check_suite

ROOT = Path(__file__).parent.parent
ADAPTERS = ROOT / "tests" / "awkward"
MARK = "BENCHHARNESS_LEFTOVERS_MARK"
LEAVES = ("fork", "session", "daemon", "mover", "chatter", "stubborn", "family", "thread")
ENDS = ("", "", "", "segfault", "abort", "exit 0", "raise", "refuse", "hang", "hang-holding-the-lock", "spin")
TIMEOUT_S = 3.0
LEFT_AFTER_S = 1.0
SPARE_S = 10.0
#: Sessions of a pass that share its limit, and one more: the reference and two variants.
OF_A_PASS = 3


def words_of(choice: random.Random) -> str:
    """What one model's adapter does."""
    then = " then ".join([*(f"leave {kind}" for kind in choice.sample(LEAVES, choice.randint(0, 2)))])
    end = choice.choice(ENDS)
    return f"{choice.choice(('load', 'run'))} " + (f"{then} then {end}" if then else end or "fine")


@dataclass
class Watch:
    """Told of attempts as they begin and end; looks for what they left."""

    mark: str
    began_s: float = 0.0
    attempts: int = 0
    passes: int = 0
    longest_s: float = 0.0  # beyond an attempt's limit; negative: within
    slowest_clean_s: float = 0.0  # until nothing was left
    wrong: list[str] = field(default_factory=list)
    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    words: dict[str, str] = field(default_factory=dict)

    def begins(self, jobs: Sequence[Job], attempt: int, of: int, left: int, left_s: float | None) -> None:
        """An attempt begins."""
        self.began_s = time.monotonic()
        self.passes += jobs[0].against is not None

    def phase(self, phase: str, done: int, total: int) -> None:
        """It goes on."""

    def done(self, result: Result) -> None:
        """A job is done."""

    def ended(self, job: Job, attempt: Attempt) -> None:
        """It has ended: everything that it started should have, too."""
        ended_s = time.monotonic()
        limit_s = TIMEOUT_S * (OF_A_PASS if job.against is not None else 1)
        self.attempts += 1
        self.outcomes[str(attempt.outcome.kind)] += 1
        beyond_s = ended_s - self.began_s - limit_s
        self.longest_s = max(self.longest_s, beyond_s) if self.attempts > 1 else beyond_s
        what = f"{job.scenario} of {self.words.get(job.variant, '')!r}"
        if beyond_s > SPARE_S:
            self.wrong.append(f"{what}: {beyond_s:.1f} s beyond its limit of {limit_s:g} s")
        while left := living(self.mark):
            if time.monotonic() - ended_s > LEFT_AFTER_S:
                self.wrong.append(f"{what}: left {', '.join(left)}")
                break
            time.sleep(0.01)
        self.slowest_clean_s = max(self.slowest_clean_s, time.monotonic() - ended_s)


def living(mark: str) -> list[str]:
    """The commands of processes that carry the mark, but this one and its supervisor."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if mark.encode() not in (folder / "environ").read_bytes():
                    continue
                command = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ").strip()
            except OSError:
                continue
            if command and "benchharness.device.supervisor" not in command:
                found.append(f"{folder.name} {command}")
    return found


def batch(folder: Path, choice: random.Random, watch: Watch, store: Store) -> int:
    """One reference and two variants, alone and in a pass; how many results warn of leftovers."""
    folder.mkdir()
    watch.words = {"reference": "fine", "a": words_of(choice), "b": words_of(choice)}
    for name, words in watch.words.items():
        (folder / f"{name}.awkward").write_text(f"{words} \n{name}" if words == "fine" else words)
    (folder / "text.tokens").write_text(" ".join(str(index % 32) for index in range(48)))
    variants = {name: {"artefact": folder / f"{name}.awkward"} for name in watch.words}
    small = {"chunk_tokens": 16, "most_chunks": 2, "continuation_tokens": 2, "continuation_prompts": 1}
    suite = check_suite(
        {
            "name": "leftovers",
            "models": {"m": {"evaluation": folder / "text.tokens", "variants": variants}},
            "configurations": [{"runtime": "awkward"}],
            "workloads": [{"prompt": {"tokens": 8}}],
            "attempts": {"at_least": 1, "timeout": f"{TIMEOUT_S:g} s"},
            "scenarios": {"first-token": {"min_time": "1 ms"}, "quality": small},
        },
        where="leftovers",
    )
    materials = gather(suite, DigestCache(None))
    hardware = HardwareTarget(name="this-machine")
    run = store.create_run(
        suite=suite.name,
        digest=suite.digest,
        suite_json=suite.model_dump_json(by_alias=True),
        hardware_json=hardware.model_dump_json(),
        planned=plan(suite, hardware, materials, formats),
    )
    execution = Execution(store, run, rules=suite.attempts, manifests=materials.manifests, observer=watch)
    execution.walk(LocalLauncher(folder / "state"), folder / "state")
    results = derive(store.jobs(run), store.attempts(run))
    return sum(any(each.kind is WarningKind.LEFT_RUNNING for each in result.warnings) for result in results)


def main() -> int:
    """Makes the attempts and prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attempts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    mark = uuid.uuid4().hex
    os.environ[MARK] = mark
    os.environ["PYTHONPATH"] = os.pathsep.join((str(ADAPTERS), str(ROOT)))
    sys.path[:0] = [str(ADAPTERS)]
    choice, watch, warned, began_s = random.Random(options.seed), Watch(mark), 0, time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        store = Store(f"sqlite:///{name}/store.db")
        number = 0
        while watch.attempts < options.attempts:
            warned += batch(Path(name) / str(number), choice, watch, store)
            number += 1
            if number % 10 == 0:
                print(
                    f"{watch.attempts} attempts in {time.monotonic() - began_s:.0f} s, {len(watch.wrong)} wrong",
                    flush=True,
                )
        store.close()
    print(f"seed {options.seed}: {watch.attempts} attempts ({watch.passes} passes): {dict(watch.outcomes)}")
    print(f"results that warn of processes left running: {warned}")
    print(f"slowest until nothing was left: {watch.slowest_clean_s:.2f} s after the end")
    print(f"longest beyond its limit: {watch.longest_s:.1f} s")
    for each in watch.wrong:
        print(f"WRONG: {each}")
    return 1 if watch.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
