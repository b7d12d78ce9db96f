"""A device that lies in every field: whatever it says, the run ends, and the store can be read."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchharness.device.line import protocol
from benchharness.device.line.protocol import Message
from benchharness.device.processes.child import Answer
from benchharness.errors import ConnectionLost, LaunchError, ProtocolError
from benchharness.execute.jobs import Execution
from benchharness.judge.derive import derive
from benchharness.launch import Question
from benchharness.results.export import to_csv, to_json
from benchharness.results.result import Attempt, Job
from benchharness.results.store import Store
from benchharness.suite.artefact import Listing, Manifest, ManifestEntry
from benchharness.suite.tables import Attempts
from tests.unit.made_up import job
from tests.unit.test_intake import finished, measurement

JOBS = 200

#: What nobody expects in a field.
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**63,
    -(2**200),
    1e308,
    -0.5,
    "",
    "\x00",
    "\ud800",
    "\u202egnirts",
    "<script>alert(1)</script>",
    "x" * 5000,
    [],
    [[[[]]]],
    {},
    {"": {"": None}},
    [1, "two", None],
    "0195a3c2-7b1e-7c44-9d0f-3f6f2f5e8a11",
    "../../../etc/passwd",
    "ready",
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a message."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


def lie(honest: Message, random_: random.Random) -> Message:
    """The message with up to three fields that say, lack or hold something else."""
    told = copy.deepcopy(honest)
    for _ in range(random_.randint(1, 3)):
        found = list(places(told))
        if not found:
            break
        *way, last = random_.choice(found)
        holder = told
        for step in way:
            holder = holder[step]
        if isinstance(holder, dict) and random_.random() < 0.2:
            del holder[last]
        else:
            holder[last] = copy.deepcopy(random_.choice(ODD))
    return told


class Liar:
    """A supervisor that tells one lie about every attempt, and the truth after three."""

    def __init__(self, device: LyingDevice) -> None:
        self._device = device
        self._inbox: list[Message] = [device.greeting()]

    def send(self, message: Message) -> None:
        if message["type"] == "attempt":
            self._inbox += self._device.answers(message)

    def receive(self, timeout_s: float) -> Message | None:
        if not self._inbox:
            raise ConnectionLost("it says nothing more")
        return protocol.decode(protocol.encode(self._inbox.pop(0)))

    def kill(self) -> bool:
        return True


class LyingDevice:
    """A launcher to it."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.lies = 0
        self._of: dict[str, int] = {}

    def told(self, honest: Message) -> Message:
        """A lie, but for what cannot be sent at all."""
        while True:
            made = lie(honest, self._random)
            try:
                protocol.decode(protocol.encode(made))
            except (ProtocolError, ValueError):
                continue
            self.lies += 1
            return made

    def greeting(self) -> Message:
        """Mostly true: a host that refuses it hears nothing more."""
        honest = self._ready()
        return self.told(honest) if self._random.random() < 0.1 else honest

    def _ready(self) -> Message:
        return {
            "type": "ready",
            "protocol": protocol.VERSION,
            "version": "0.1.0",
            "clock_unix_ns": int(datetime(2025, 11, 29, tzinfo=UTC).timestamp() * 1e9),  # a year behind
            "facts": {"device": "4f2d9c01ab3e", "os": "Linux 6.1", "memory_bytes": 8 << 30},
            "waiting": 0,
        }

    def answers(self, order: Message) -> Iterator[Message]:
        progress = {"type": "progress", "id": order["id"], "phase": "warm-up", "done": 1, "total": 3}
        yield self.told(progress)
        samples = [4e6, 5e6, 6e6]
        honest = finished(
            measurement("itl", 5e6, samples=samples, row_length=3),
            measurement("peak_memory", 1e8),
            id=order["id"],
            job=order["job"],
            round=order["round"],
        )
        yield self.told(honest)
        yield self.told(honest)

    def put(self, file: Path, name: str, digest: str) -> str:
        return f"/there/{name}"

    def start(self, work: str, bundle: str) -> Liar:
        return Liar(self)

    def ask(self, question: Question) -> Answer:
        raise LaunchError("not asked")

    detached = False

    def work_folder(self, run: str) -> str:
        return f"/there/{run}"

    def fetch(self, path: str) -> bytes:
        made = finished(measurement("itl", 5e6), id=Path(path).stem)
        return json.dumps(self.told(made)).encode()

    def remove(self, work: str) -> None:
        pass


class Unwatched:
    def begins(self, jobs: Any, attempt: int, of: int, left: int, left_s: float | None) -> None: ...
    def phase(self, phase: str, done: int, total: int) -> None:
        assert len(phase) <= 40

    def ended(self, job: Job, attempt: Attempt) -> None: ...
    def done(self, result: Any) -> None: ...


@pytest.mark.parametrize("lies", [1000, 10_000])
def test_lies_end_no_run_and_spoil_no_store(tmp_path: Path, lies: int) -> None:
    jobs = [job(f"{number:016x}", variant=f"v{number}") for number in range(JOBS)]
    listing = Listing(root=Path("/here"), files=("model",))
    manifest = Manifest(entries=(ManifestEntry(path="model", bytes=1, sha256="0" * 64),), listing=listing)
    manifests = {Path(each.artefact): manifest for each in jobs}
    told, seed = 0, 0
    outcomes: Counter[str] = Counter()
    while told < lies:
        store = Store(f"sqlite:///{tmp_path / f'{seed}.db'}")
        run = store.create_run(suite="lies", digest="", suite_json="{}", hardware_json="{}", planned=jobs)
        device = LyingDevice(seed)
        rules = Attempts.model_validate({"at_least": 5, "at_most": 5})
        execution = Execution(store, run, rules=rules, manifests=manifests, observer=Unwatched())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("benchharness.execute.link.put_artefact", lambda *_: ("/there/model", ["/there/model"]))
            with contextlib.suppress(LaunchError):  # said in a sentence, and the run can be resumed
                execution.walk(device, tmp_path)
        Execution(store, run, rules=rules, manifests=manifests, observer=Unwatched())  # as `--resume` begins
        results = derive(store.jobs(run), store.attempts(run))
        outcomes.update(attempt.outcome.kind.value for attempt in store.attempts(run))
        to_json(store.run(run), results)
        to_csv(store.run(run), results)
        store.close()
        told += device.lies
        seed += 1
    assert {"ok", "invalid"} <= set(outcomes), "nothing was tried"
