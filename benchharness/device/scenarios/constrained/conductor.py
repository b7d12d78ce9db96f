"""Conducts one constrained attempt: trials without a constraint first, then one constraint after another.

Every trial starts with the model's files and the runtime's libraries dropped from the page cache, where that can be:
else a version 1 group would not be charged for what an earlier trial had read.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchharness.contract import EXECUTION_DEVICE
from benchharness.device import page_cache
from benchharness.device.measured import raw_rows
from benchharness.device.scenarios.constrained import beside, ladder, limits
from benchharness.device.scenarios.constrained.limits import NotApplied
from benchharness.device.scenarios.constrained.private_files import PrivateFiles
from benchharness.device.scenarios.constrained.trial import Trial, Tried
from benchharness.device.sensors.readings import Unreadable
from benchharness.errors import AttemptError
from benchharness.records import CONSTRAINED_TRIALS, FALLBACK_TRIES, TrialEnd, TryRow

if TYPE_CHECKING:
    from benchharness.device.line.orders import Opened, Order

Progress = Callable[[str, int, int], None]

NONE, MEMORY, ADDRESS_SPACE = "none", "memory", "address space"
CPU_QUOTA, CORES = "cpu quota", "cores"
#: What a trial does.
_ANSWER = "benchharness.device.scenarios.constrained.answer"
#: A limit on a trial's time is no shorter than this: a tenth of a second more is nothing to a slow start.
_LEAST_S = 2.0
#: No trial begins after this share of the attempt's time, and none lasts beyond the second.
_NO_MORE, _THE_END = 0.8, 0.95
_MIB = 1 << 20
_MOST_REASONS, _LONGEST_REASON = 50, 200


class TrialFailed(AttemptError):
    """The model does not answer even where nothing constrains it: `outcome` as an attempt's."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


class _OutOfTime(Exception):
    """The attempt's time is nearly over."""


def conduct(order: Order, progress: Progress, bundle: str | None = None) -> dict[str, Any]:
    """Makes the trials of an order; its `measured` message. Raises `AttemptError` where nothing is answered at all."""
    way, why_not = limits.best()
    conducted = _Conductor(order, progress, bundle, way)
    told = conducted.unconstrained()
    if told["effective"]["execution"] != EXECUTION_DEVICE:
        return {**_shared(told), "measurements": [], "effective": told["effective"]}
    memory = "ok"
    try:
        memory = conducted.everything()
    except _OutOfTime:
        memory = f"the attempt's time ended in step {conducted.step}; a longer timeout lets it go on"
    constrained = {**conducted.facts(), "memory": memory, "no_better_way": why_not}
    return {
        **_shared(told),
        "measurements": conducted.measurements,
        "effective": {**told["effective"], "constrained": constrained},
    }


def _shared(told: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "measured", "task": told["task"], "python": told["python"]}


class _Conductor:
    """The steps of one attempt, in order."""

    def __init__(self, order: Order, progress: Progress, bundle: str | None, way: limits.Way) -> None:
        self.measurements: list[dict[str, Any]] = []
        self.step = 0
        self._order = order
        self._settings = order["settings"]
        self._progress = progress
        self._bundle = bundle
        self._way = way
        self._reasons: list[list[Any]] = []
        self._unheld: list[int] = []  # steps whose load was not there to their end
        self._notes = [f"{way.by} counts {way.counts}"] if way.by != limits.Way.by else []
        self._libraries: dict[str, PrivateFiles] = {}  # by adapter and interpreter
        self._not_charged: list[float] = []  # by trial: bytes of the model and the runtime that were not dropped
        self._usual_ns = 0.0
        self._peak_bytes = 0.0
        self._threads: Any = None
        self._not_by_this_way = ""  # why this way to limit memory says nothing of the model
        self._hopeless_bytes: int | None = None  # the largest memory limit under which no trial answered

    def unconstrained(self) -> Mapping[str, Any]:
        """The usual time and the peak memory; the last worker's report. Raises `TrialFailed`."""
        tried: list[Tried] = []
        total = self._settings["trials"] + 1  # the first tells which libraries are mapped, and finds them as they are
        while len(tried) < total:
            self._progress(NONE, len(tried), total)
            tried.append(self._try(self._order))
            if tried[-1].end is not TrialEnd.ANSWERED:
                raise TrialFailed(tried[-1].outcome, tried[-1].reason)
        tried = tried[1:]
        told = tried[-1].told
        self._usual_ns = median(each.time_ns for each in tried)
        self._peak_bytes = max(each.peak_bytes for each in tried)
        self._threads = told["effective"].get("threads")
        if where := told["effective"].get("facts", {}).get("computed_in"):
            self._tell_elsewhere(str(where))
        self._store(NONE, None, self._way.by, tried)
        return told

    def _tell_elsewhere(self, where: str) -> None:
        """The model is in another process than the worker, and both, and what is between them, are limited."""
        if self._way.floor_name == limits.MEMORY_FLOOR and self._way.by != limits.Way.by:
            self._notes.append(f"memory is limited of everything that was started for {where} together")
        elif self._way.floor_name != limits.MEMORY_FLOOR:
            self._not_by_this_way = f"a limit on an address space is each process's own, and not of {where} alone"

    def everything(self) -> str:
        """All that the settings ask for; whether the floor was found, or why not. Raises `_OutOfTime`."""
        memory = self._floor() if self._settings["memory"] else "not asked for"
        for limit in self._settings["limits_bytes"]:
            self._memory_step(limit)
        for share in self._settings["quotas"]:
            self._trials(CPU_QUOTA, share, f"{self._way.by}, CPU quota", cores=share * self._usable())
        for count in self._settings["cores"]:
            self._cores(count)
        for each in beside.loads(self._settings, _allowed_cores(), self._bundle):
            self._beside(each)
        if self._order.get("chain"):
            limits_bytes = self._settings["limits_bytes"] or [self._hopeless_bytes or self._comfortable()]
            for limit in limits_bytes:
                self._fall_back(limit)
        return memory

    def facts(self) -> dict[str, Any]:
        """What the host needs to read the rows, and what a reader should know of them."""
        return {
            "by": self._way.by,
            "floor": self._way.floor_name,
            "swap": self._way.swap,
            "notes": [*self._notes, *self._what_stayed()],
            "not_charged_bytes": [min(self._not_charged, default=0), max(self._not_charged, default=0)],
            "reasons": self._reasons,
            "unheld": self._unheld,
            "chain": [each["variant"] for each in self._order.get("chain", ())],
            **{key: self._settings[key] for key in ("trials", "needed", "slowest", "bracket")},
        }

    # Steps

    def _floor(self) -> str:
        if self._not_by_this_way:
            self._store(MEMORY, None, self._way.by, [], self._not_by_this_way)
            return self._not_by_this_way
        try:
            self._way.enclose(self._order["id"], memory_bytes=self._comfortable()).close()
        except NotApplied as error:
            self._store(MEMORY, None, self._way.by, [], str(error))
            return str(error)
        if not self._peak_bytes:
            return f"{self._way.by} does not tell a peak here, and so not where to begin"
        found = ladder.search(self._peak_bytes, self._settings["bracket"], self._memory_step)
        return found.reason or "ok"

    def _comfortable(self) -> int:
        return int(ladder.COMFORTABLE * max(self._peak_bytes, _MIB))

    def _memory_step(self, limit: int) -> bool:
        by_memory = self._way.floor_name == limits.MEMORY_FLOOR
        constraint = MEMORY if by_memory else ADDRESS_SPACE
        if self._not_by_this_way:
            self._store(constraint, limit, self._way.by, [], self._not_by_this_way)
            return False
        answered = self._trials(constraint, limit, self._way.by, memory_bytes=limit)
        if not answered:
            self._hopeless_bytes = max(limit, self._hopeless_bytes or 0)
        return answered >= int(self._settings["needed"])

    def _cores(self, count: int) -> None:
        by, allowed = "processor affinity", _allowed_cores()
        if len(allowed) < count:
            there = (
                f"only {len(allowed)} cores may be used here" if allowed else "this system keeps no process to a core"
            )
            self._store(CORES, count, by, [], there)
        else:
            self._trials(CORES, count, by, affinity=allowed[:count])

    def _beside(self, each: beside.Beside) -> None:
        try:
            with each.context as load:
                self._notes.append(f"{each.told}: {load.says}")
                self._trials(each.constraint, None, load.by, load=load)
        except Unreadable as error:
            self._store(each.constraint, None, each.load.by, [], str(error))
        if each.load.left:
            self._notes.append(f"{each.told}: {each.load.left}")

    def _trials(
        self, constraint: str, amount: float | None, by: str, load: beside.Load | None = None, **how: Any
    ) -> int:
        """Trials under one constraint until it is decided whether enough of them answer; how many did.

        Where a `load` is no longer there after one, nothing is decided: what it was beside is not known.
        """
        told = constraint if amount is None else f"{constraint} {_told(constraint, amount)}"
        self._progress(told[:40], self.step, 0)
        needed: int = self._settings["needed"]
        may_fail = self._settings["trials"] - needed
        tried: list[Tried] = []
        answered = 0
        try:
            while answered < needed and len(tried) - answered <= may_fail:
                tried.append(self._try(self._order, limit_s=self._limit_s(), **how))
                answered += tried[-1].end is TrialEnd.ANSWERED
                if load is not None and (why := load.lost()):
                    self._unheld.append(self.step)
                    self._reason(f"{why}, after {len(tried)} trial{'s' if len(tried) > 1 else ''}")
                    break
        except NotApplied as error:
            self._store(constraint, amount, by, [], str(error))
            return 0
        self._store(constraint, amount, by, tried)
        return answered

    def _fall_back(self, limit: int) -> None:
        """What a product would do: try, and where that fails try the next variant, until one answers once."""
        rows: list[TryRow] = []
        for position, link in enumerate(self._order["chain"]):
            self._progress(f"fallback {link['variant']}"[:40], position, len(self._order["chain"]))
            try:
                opened: Order = {**self._order, **link}
                tried = self._try(opened, limit_s=self._limit_s(), memory_bytes=limit)
            except NotApplied as error:
                self._reason(str(error))
                break
            self._reason(tried.reason, limit)
            rows.append(TryRow(place=position, outcome=tried.end, time=tried.time_ns))
            if tried.end is TrialEnd.ANSWERED:
                break
        parameters = {"limit_bytes": limit, "step": self.step}
        whole_ns = sum(row.time for row in rows)
        self.measurements.append(raw_rows(FALLBACK_TRIES, parameters, whole_ns, FALLBACK_TRIES.flat(rows)))
        self.step += 1

    # One trial

    def _try(
        self,
        opened: Opened,
        *,
        limit_s: float | None = None,
        affinity: Sequence[int] = (),
        **constraint: Any,
    ) -> Tried:
        """One trial of a model, from a page cache without it. Raises `NotApplied` and `_OutOfTime`."""
        if self._used() > _NO_MORE and limit_s is not None:
            raise _OutOfTime
        key = f"{opened['adapter']} {opened.get('python')}"
        model, libraries = [Path(file) for file in opened["files"]], self._libraries.get(key)
        evict(model)
        if libraries is not None:
            evict(libraries.copies)
            self._not_charged.append(resident_bytes([*model, *(libraries.copies or libraries.originals)]))
        order: Order = {
            "id": self._order["id"],
            "task": self._order["task"],
            "tokenizer": self._order["tokenizer"],
            "tried": self._order.get("tried", ""),
            "workload": self._order["workload"],
            "adapter": opened["adapter"],
            "configuration": opened["configuration"],
            "python": opened["python"],
            "artefact": opened["artefact"],
            **({"key_from": opened["key_from"]} if "key_from" in opened else {}),
            "tensors": opened.get("tensors") or {},
            "scenario": "answer",
            "module": _ANSWER,
            "settings": {"answers": self._settings["answers"]},
        }
        enclosure = self._way.enclose(self._order["id"], **constraint)
        try:
            trial = Trial(order, enclosure, self._bundle, lambda: _prepare(affinity, libraries))
            left_s = (_THE_END - self._used()) * self._order["timeout_s"]
            tried = trial.wait(limit_s if limit_s is None else min(limit_s, left_s))
        finally:
            enclosure.close()
        if limit_s is not None and left_s < limit_s and tried.end in (TrialEnd.LATE, TrialEnd.HUNG):
            raise _OutOfTime  # cut short: it might have answered
        if libraries is None and "libraries" in tried.told:
            folder = Path.cwd() / f"libraries-{len(self._libraries)}"  # the scratch folder, gone with the attempt
            mapped = [path for path in map(Path, tried.told["libraries"]) if path.is_file()]
            self._libraries[key] = made = PrivateFiles(mapped, folder)
            if made.reason:
                self._notes.append(made.reason)
        return tried

    def _used(self) -> float:
        """How much of the attempt's time is over, 0 to 1."""
        used_ns: int = time.perf_counter_ns() - self._order["spawned_ns"]
        return used_ns / 1e9 / float(self._order["timeout_s"])

    def _limit_s(self) -> float:
        return max(_LEAST_S, float(self._settings["slowest"]) * self._usual_ns / 1e9)

    def _usable(self) -> int:
        """How many cores the attempt's threads can keep busy."""
        allowed = len(_allowed_cores()) or os.cpu_count() or 1
        asked = self._threads if isinstance(self._threads, int) and self._threads > 0 else allowed
        return min(asked, allowed)

    # What is told

    def _store(
        self, constraint: str, amount: float | None, by: str, tried: Sequence[Tried], not_applied: str = ""
    ) -> None:
        if self._not_by_this_way:
            tried = [replace(each, peak_bytes=0.0) for each in tried]  # the worker's own
        times = [each.time_ns for each in tried]
        parameters = {"constraint": constraint, "step": self.step, "by": by}
        if amount is not None:
            parameters["amount"] = amount
        self.measurements.append(
            raw_rows(
                CONSTRAINED_TRIALS,
                parameters,
                median(times) if times else 0,
                CONSTRAINED_TRIALS.flat(each.row() for each in tried),
            )
        )
        self._reason(not_applied)
        limit = amount if constraint in (MEMORY, ADDRESS_SPACE) else None
        for reason in dict.fromkeys(each.reason for each in tried):
            self._reason(reason, limit)
        self.step += 1

    def _what_stayed(self) -> Iterator[str]:
        """Another process that maps a file keeps it in the page cache, and a group is not charged for it."""
        most = max(self._not_charged, default=0.0)
        if most >= _MIB:
            yield (
                f"{min(self._not_charged) / _MIB:.0f} to {most / _MIB:.0f} MiB of the model's and the runtime's files "
                "stayed in the page cache, held by other processes, and were not charged: alone, a trial needs up to "
                "that much more"
            )

    def _reason(self, reason: str, limit: float | None = None) -> None:
        """Why a trial of the present step failed."""
        if reason and len(self._reasons) < _MOST_REASONS:
            under = f", limit {limit / _MIB:.1f} MiB" if limit else ""
            self._reasons.append([self.step, reason[: _LONGEST_REASON - len(under)] + under])


def resident_bytes(files: Sequence[Path]) -> float:
    """How much of files is in the page cache; what cannot be told counts as nothing."""
    held = 0.0
    for file in files:
        with contextlib.suppress(OSError):
            held += (page_cache.resident_share([file]) or 0.0) * file.stat().st_size
    return held


def evict(files: Sequence[Path]) -> None:
    """Drops files from the page cache; one that cannot be opened stays."""
    for file in files:
        with contextlib.suppress(OSError):
            page_cache.evict([file])


def _told(constraint: str, amount: float) -> str:
    if constraint in (MEMORY, ADDRESS_SPACE):
        return f"{amount / _MIB:.1f} MiB"
    return f"{100 * amount:.0f} %" if constraint == CPU_QUOTA else f"{amount:g}"


def _allowed_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _prepare(cores: Sequence[int], libraries: PrivateFiles | None) -> None:
    if libraries is not None:
        libraries.bind()
    if cores:
        os.sched_setaffinity(0, cores)
