"""The host's line to one device: brings files there, keeps a supervisor running, gets one attempt at a time done.

A lost line costs no finished attempt: the supervisor is started again on the same work folder and tells what its
spool holds. Only an attempt that was still running is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchharness.device.line import protocol
from benchharness.device.line.protocol import Message
from benchharness.errors import ConnectionLost, DeviceBusy, LaunchError, ProtocolError
from benchharness.execute.placing import Libraries, put_artefact
from benchharness.execute.received import attempt_from
from benchharness.launch import Connection, Launcher
from benchharness.launch.bundle import put_bundle
from benchharness.launch.tidying import held_by
from benchharness.results.requested import Opened, Workload
from benchharness.results.result import Attempt, Job, OutcomeKind
from benchharness.scenarios import SCENARIOS
from benchharness.suite.artefact import Manifest

#: A supervisor on a slow board answers within this; on this machine it takes about 0.1 s.
_READY_S = 60.0
#: The supervisor ends a late worker itself; a host that waits this much longer gives up on the supervisor.
_GRACE_S = 60.0
_POLL_S = 0.2
#: A supervisor whose line went silent ends when its lease lapses, a minute unless a profile says otherwise.
_OWN_END_S = 90.0
_ASK_AGAIN_S = 0.5
#: How often a line may break under one attempt before the attempt counts as crashed.
_MOST_LOSSES = 3
#: What a configuration tells an adapter.
_OPENED_WITH = ("accelerator", "threads", "options", "accelerator_options", "fallback", "library", "unit")

Progress = Callable[[str, int, int], None]


class _Refused(ProtocolError):
    """The supervisor cannot make the attempt, and says why."""


class DeviceLink:
    """One device, one run. `save` gets every attempt as it ends, those found in a spool too, and gives it as kept.

    `meter` is what the device is told of an external meter of its power.
    """

    def __init__(
        self,
        launcher: Launcher,
        *,
        run: str,
        scratch: Path,
        save: Callable[[Attempt], Attempt],
        meter: Mapping[str, Any] | None = None,
    ) -> None:
        self._launcher = launcher
        self._run = run
        self._save = save
        self._meter = meter
        self._work = launcher.work_folder(run)
        self._scratch = scratch
        self._libraries = Libraries(launcher)
        self._connection: Connection | None = None
        self._left_behind = False  # a supervisor may go on behind a line that broke
        self._facts: Mapping[str, Any] = {}
        self._clock_offset_ns = 0
        self._ordered: dict[str, Message] = {}  # by attempt, its job and round
        self._running = ""  # the attempt that a supervisor was at when it was met again
        self._placed: dict[tuple[str, str], tuple[str, list[str]]] = {}

    def connect(self) -> list[Attempt]:
        """Starts the supervisor and saves what its spool holds; those attempts. Raises `LaunchError`."""
        bundle = put_bundle(self._launcher, self._scratch)  # each time: where none is at work, old ones are tidied away
        self._connection = connection = self._launcher.start(self._work, bundle)
        ready = _next(connection)
        deadline_s = time.monotonic() + _OWN_END_S
        while ready["type"] == "busy":
            self._hang_up()
            if self._run not in str(ready.get("holder")):
                self._left_behind = False  # or nobody else would have it
                raise DeviceBusy(held_by(ready))
            if time.monotonic() > deadline_s:
                self._left_behind = True
                raise DeviceBusy(held_by(ready))
            time.sleep(_ASK_AGAIN_S)  # our own of before, which does not know yet that its line is dead
            self._connection = connection = self._launcher.start(self._work, bundle)
            ready = _next(connection)
        if ready["type"] != "ready" or ready.get("protocol") != protocol.VERSION:
            raise ProtocolError(f"the supervisor does not speak protocol {protocol.VERSION}: {str(ready)[:200]}")
        self._left_behind = False
        self._facts = ready["facts"] if isinstance(ready.get("facts"), dict) else {}
        self._clock_offset_ns = _whole(ready.get("clock_unix_ns")) - time.time_ns()
        found = [self._take_in(connection, _next(connection)) for _ in range(_whole(ready.get("waiting")))]
        self._running = str(ready["running"]) if "running" in ready else ""
        if self._running and self._running not in self._ordered:
            found += self._finished_by(connection, self._running)  # ordered by a host that is gone
        return found

    def _finished_by(self, connection: Connection, attempt: str) -> list[Attempt]:
        """What comes up to the end of an attempt that goes on; its own limits end it."""
        found: list[Attempt] = []
        while not found or found[-1].id != attempt:
            message = connection.receive(_POLL_S)
            if message is not None and message["type"] == "finished":
                found.append(self._take_in(connection, message))
        return found

    def close(self) -> None:
        """Ends the supervisor and whatever it runs, detached or not."""
        if self._connection is not None:
            with contextlib.suppress(ConnectionLost):
                self._connection.send({"type": "stop"})
        self._hang_up()

    def _hang_up(self) -> None:
        """Gives up a line; a detached supervisor goes on behind it."""
        if self._connection is not None:
            self._left_behind = not self._connection.kill()
            self._connection = None

    def leave(self) -> None:
        """Ends the supervisor and removes what the run kept on the device: all of it is saved. Raises `LaunchError`.

        A line that breaks just now may take the word to stop with it, and a detached supervisor would have the device
        until its lease is over, behind a door that was removed: it is met once more and told again.
        """
        for left in reversed(range(_MOST_LOSSES)):
            try:
                if self._left_behind:
                    self.connect()
                self.close()
                if not self._left_behind or not left:
                    self._launcher.remove(self._work)
                    return
            except DeviceBusy:
                if self._left_behind:
                    raise
                self._launcher.remove(self._work)
                return
            except (ConnectionLost, ProtocolError):
                self._hang_up()
                if not left:
                    raise

    def attempt(
        self,
        job: Job,
        manifests: Mapping[Path, Manifest],
        *,
        attempt: str,
        round_: int,
        progress: Progress,
        companions: Mapping[str, Job] | None = None,
    ) -> Attempt:
        """Makes one attempt and returns it, saved. Raises `LaunchError` where no supervisor can be started at all.

        A supervisor that is met again at this attempt has lost nothing, and one that goes on without its host may have
        lost nothing: it is waited for, within the attempt's own limits. One that is not met by then may still have
        finished it: that is `ConnectionLost`, and no failure of the attempt.

        `companions` are other jobs, by attempt, that the same pass of a reference serves: saved too, before this one.
        """
        order = self._order(job, manifests, attempt, round_)
        if job.against is not None:
            order["timeout_s"] *= 2 + len(companions or {})  # the limit is one session's, and they may share a core
            order["reference"] = self._opened(job.against, manifests)
            order["companions"] = [
                {
                    "id": id_,
                    "job": other.key,
                    "round": round_,
                    **self._opened(_as_opened(other), manifests),
                    **self._own_tokenizer(other),
                }
                for id_, other in (companions or {}).items()
            ]
        if job.chain:
            order["chain"] = [{"variant": each.variant, **self._opened(each, manifests)} for each in job.chain]
        why, lost, losses = "", "", 0
        its_end_s = time.monotonic() + order["entry_gate_s"] + order["timeout_s"] + _GRACE_S
        while losses < _MOST_LOSSES:
            goes_on = False
            try:
                recovered = self.connect() if self._connection is None else []
                finished = next((found for found in recovered if found.id == attempt), None)
                goes_on = self._running == attempt and time.monotonic() < its_end_s
                return finished or self._make(order, progress)
            except _Refused as error:
                why, lost = f"the device refused it {_MOST_LOSSES} times: {error}", str(error)
                self._hang_up()
            except (ConnectionLost, ProtocolError) as error:
                why, lost = f"the line to the device broke {_MOST_LOSSES} times", str(error)
                self._hang_up()
            if self._is_out_of_reach(attempt) and time.monotonic() < its_end_s:
                time.sleep(_ASK_AGAIN_S)
                goes_on = True
            losses = 0 if goes_on else losses + 1
        if self._is_out_of_reach(attempt):
            raise ConnectionLost(
                f"{lost}; an attempt may go on there without us: 'benchharness run --resume' fetches it when it is back"
            )
        return self._given_up(order, why, lost)

    def _is_out_of_reach(self, attempt: str) -> bool:
        """Whether an attempt that was ordered may go on behind a line that broke."""
        return self._launcher.detached and self._left_behind and attempt in self._ordered

    def _order(self, job: Job, manifests: Mapping[Path, Manifest], attempt: str, round_: int) -> Message:
        scenario = SCENARIOS[job.scenario]
        return {
            "type": "attempt",
            "id": attempt,
            "job": job.key,
            "round": round_,
            **self._opened(_as_opened(job), manifests),
            **self._own_tokenizer(job),
            "tokenizer": self._place_tokenizer(job.tokenizer, job.tokenizer_digest),
            "task": job.task,
            "workload": self._place_data(job.workload),
            "scenario": job.scenario,
            "module": scenario.device,
            "conducts": scenario.conducts,
            "sensors": scenario.sensors,
            **({} if self._meter is None or not scenario.sensors else {"meter": dict(self._meter)}),
            "settings": dict(job.settings),
            "timeout_s": job.timeout_s,
            "entry_gate_s": job.settings.get("entry_gate_s", 0),
        }

    def _opened(self, what: Opened, manifests: Mapping[Path, Manifest]) -> Message:
        """What a session is opened with: adapter, configuration, interpreter, and the artefact on the device."""
        configuration = self._libraries.put(what.configuration)
        artefact, files = self._place(Path(what.artefact), manifests[Path(what.artefact)])
        return {
            "adapter": configuration.runtime,
            "configuration": {name: getattr(configuration, name) for name in _OPENED_WITH},
            "python": configuration.python,
            "artefact": artefact,
            "files": files,
            **({"key_from": what.key_from} if what.key_from else {}),
            **({"tensors": dict(what.tensors)} if what.tensors else {}),
        }

    def _place_data(self, workload: Workload) -> Message:
        """The workload with its data file, if it has one, on the device."""
        data = workload.data
        if data is None:
            return workload.to_json()
        name = f"data/{data.sha256[:16]}{Path(data.path).suffix}"
        there = self._launcher.put(Path(data.path), name, data.sha256)
        return replace(workload, data=replace(data, path=there)).to_json()

    def _place(self, artefact: Path, manifest: Manifest) -> tuple[str, list[str]]:
        """Puts an artefact's files on the device, once; its path there and theirs."""
        known = (str(artefact), manifest.digest)
        if known not in self._placed:
            self._placed[known] = put_artefact(self._launcher, artefact, manifest)
        return self._placed[known]

    def _own_tokenizer(self, job: Job) -> Message:
        """The variant's own tokenizer, where it may speak another vocabulary than the reference."""
        there = self._place_tokenizer(job.own_tokenizer, job.own_tokenizer_digest)
        return {"own_tokenizer": there} if there else {}

    def _place_tokenizer(self, path: str | None, known: str | None) -> str | None:
        if path is None:
            return None
        digest = known or hashlib.sha256(Path(path).read_bytes()).hexdigest()
        return self._launcher.put(Path(path), f"tokenizers/{digest[:16]}/tokenizer.json", digest)

    def _make(self, order: Message, progress: Progress) -> Attempt:
        connection = self._connection
        assert connection is not None
        for each in (order, *order.get("companions", ())):
            self._ordered[each["id"]] = {key: each[key] for key in ("job", "round")}
        if self._running != order["id"]:
            connection.send(order)
        self._running = ""
        deadline = time.monotonic() + order["entry_gate_s"] + order["timeout_s"] + _GRACE_S
        while time.monotonic() < deadline:
            message = connection.receive(_POLL_S)
            if message is None:
                continue
            if message["type"] == "finished":
                finished = self._take_in(connection, message)
                if finished.id == order["id"]:
                    return finished
            elif message["type"] == "progress":
                progress(str(message.get("phase", ""))[:40], _whole(message.get("done")), _whole(message.get("total")))
            elif message["type"] == "refused":
                raise _Refused(protocol.text(message.get("reason"), 300))
        raise ConnectionLost("the supervisor said nothing although the attempt's limit is long over")

    def _take_in(self, connection: Connection, message: Message) -> Attempt:
        """Saves a finished attempt, and only then lets the device forget it."""
        ordered = self._ordered.get(str(message.get("id")))
        if ordered is not None:
            message = {**message, **ordered, "outcome": _outcome_of(message, ordered)}
        finished = attempt_from(
            message, device=self._facts, host=platform.node(), clock_offset_ns=self._clock_offset_ns
        )
        kept = self._save(finished)
        connection.send({"type": "acknowledge", "id": kept.id})
        return kept

    def _given_up(self, order: Message, why: str, lost: str) -> Attempt:
        """The line broke again and again under an attempt that nobody is at any more, or nobody would make it.

        The spool may hold it even so, and those of its companions; else they crashed.
        """
        for companion in order.get("companions", ()):
            self._given_up_one(companion, why, lost)
        return self._given_up_one(order, why, lost)

    def _given_up_one(self, order: Message, why: str, lost: str) -> Attempt:
        try:
            message = protocol.decode(self._launcher.fetch(f"{self._work}/spool/{order['id']}.json"))
        except LaunchError:
            message = {
                **{key: order[key] for key in ("id", "job", "round")},
                "outcome": {
                    "kind": OutcomeKind.CRASHED,
                    "reason": why,
                    "evidence": lost,
                },
                "measurements": [],
                "effective": {},
                "conditions": {},
                "started_unix_ns": time.time_ns() + self._clock_offset_ns,
                "duration_ns": 0,
            }
        attempt = attempt_from(message, device=self._facts, host=platform.node(), clock_offset_ns=self._clock_offset_ns)
        return self._save(attempt)


def _outcome_of(message: Message, ordered: Message) -> Any:
    """What a device says of an attempt, unless it takes it for another's."""
    told = {key: message.get(key) for key in ordered}
    if told == ordered:
        return message.get("outcome")
    return {
        "kind": OutcomeKind.INVALID,
        "reason": "the device says that it was another job's",
        "evidence": str(told)[:200],
    }


def _as_opened(job: Job) -> Opened:
    return Opened(configuration=job.configuration, artefact=job.artefact, tensors=job.tensors, key_from=job.key_from)


def _next(connection: Connection) -> Message:
    """The next message, which is due. Raises `ConnectionLost`."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        message = connection.receive(_POLL_S)
        if message is not None:
            return message
    raise ConnectionLost(f"the supervisor did not answer within {_READY_S:g} s")


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
