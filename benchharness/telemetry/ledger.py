"""The aggregator's ledger: what may be spent, what was spent on which question, and what was answered.

A line each, appended and on the disk before anybody is told; each line is chained to those before it, so that one that
was changed, taken out or put in is noticed. That is against accidents: the chain has no key. Whether a question is
answered, and by what, follows from the questions alone and never from the data: a refusal says nothing about a device,
and neither does an old answer.

A device is in one hardware target in one month, and nobody knows which devices of two months are the same. So epsilons
of one month add up where their hardware targets meet, and side by side they do not (parallel composition: disjoint
devices); epsilons of two months always add up.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchharness.device.tally import HISTOGRAMS, NAME, PERIOD
from benchharness.errors import UsageError
from benchharness.telemetry.noise import epsilon as decimal

SCHEMA = "benchharness-ledger-1"
#: What a question may ask, at once: more would be noise.
MOST_DECLARED = 64
_WAIT_S = 60.0
#: Windows would write line ends of its own.
_AS_IT_IS = getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked for. Made by `of`, so that two that ask the same are equal."""

    period: str
    hardware: tuple[str, ...]
    histograms: tuple[str, ...]
    epsilon: Fraction  # what the answer costs each device that may be in it

    @classmethod
    def of(cls, *, period: str, hardware: Sequence[str], histograms: Sequence[str], epsilon: str) -> Question:
        """A question in order: it does not matter in which it was asked, or how often. Raises `UsageError`."""
        known = list(HISTOGRAMS)
        for name in histograms:
            if name not in known:
                raise UsageError(f"histogram {name[:60]!r}: there is none; there are {', '.join(known)}")
        if not PERIOD.fullmatch(period):
            raise UsageError(f"period {period[:20]!r}: write a month, such as 2026-10")
        return cls(
            period=period,
            hardware=tuple(sorted(set(hardware))),
            histograms=tuple(sorted(set(histograms), key=known.index)),
            epsilon=decimal(epsilon),
        )

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Question:
        """As a ledger keeps it. Raises `UsageError`, `KeyError` or `TypeError` where it does not."""
        return cls.of(
            period=found["period"],
            hardware=[str(each) for each in found["hardware"]],
            histograms=[str(each) for each in found["histograms"]],
            epsilon=found["epsilon"],
        )

    def to_json(self) -> dict[str, Any]:
        """What the ledger keeps."""
        return {
            "period": self.period,
            "hardware": list(self.hardware),
            "histograms": list(self.histograms),
            "epsilon": shown(self.epsilon),
        }


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A question that was answered."""

    at: str
    question: Question
    answer: Mapping[str, Any]  # the document that left


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """A ledger as it was read. What was declared at its opening is never changed."""

    path: Path
    budget: Fraction
    model: str
    hardware: tuple[str, ...]
    variants: tuple[str, ...]
    entries: tuple[Entry, ...] = ()
    torn: bool = False  # its last line was cut off as it was written: nobody was told what it said
    whole_bytes: int = 0  # of the lines that are whole
    ended: bool = True  # the last of these has its line end
    chain: str = ""

    @property
    def spent(self) -> Fraction:
        """The epsilon that a device may have lost by now, wherever it is and however long it has been there."""
        return spent(self.entries)

    @property
    def left(self) -> Fraction:
        """What is left of the budget."""
        return self.budget - self.spent

    @classmethod
    def create(cls, path: Path, *, budget: str, model: str, hardware: Sequence[str], variants: Sequence[str]) -> Ledger:
        """Opens a new ledger. Raises `UsageError` where there is one: a budget is set once."""
        whole = decimal(budget)
        for what, names in (("model", [model]), ("hardware target", hardware), ("variant", variants)):
            if not names or len(names) > MOST_DECLARED or len(set(names)) != len(names):
                raise UsageError(f"a ledger declares 1 to {MOST_DECLARED} different {what}s")
            for name in names:
                if not NAME.fullmatch(name):
                    raise UsageError(f"{what} {name[:40]!r}: no tally can be of it; it must match {NAME.pattern}")
        head = {
            "schema": SCHEMA,
            "opened": _now(),
            "epsilon": shown(whole),
            "model": model,
            "hardware": sorted(hardware),
            "variants": sorted(variants),
        }
        with _locked(path):
            try:
                with path.open("xb") as file:
                    _append(file.fileno(), _line(head, ""))
            except FileExistsError as error:
                raise UsageError(f"{path}: there is a ledger already; its budget is set once and for all") from error
            except OSError as error:
                raise UsageError(f"{path}: cannot be written ({error.strerror})") from error
            _sync_folder(path)
            return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """What a ledger says. Raises `UsageError` where it is none, or was changed by another hand."""
        try:
            content = path.read_bytes()
        except OSError as error:
            remedy = "open one: benchharness telemetry open"
            raise UsageError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
        *whole, rest = content.split(b"\n")
        lines, chain = [], ""
        for number, raw in enumerate(whole, start=1):
            line, chain = _checked(raw, chain, f"{path}, line {number}")
            lines.append(line)
        whole_bytes = len(content) - len(rest)
        with suppress(UsageError):  # whole but for its end, it may have been told: something else cut the end off
            line, chain = _checked(rest, chain, "")
            lines.append(line)
            whole_bytes = len(content)
        try:
            head, *entries = lines
            if head["schema"] != SCHEMA:
                raise UsageError(f"{path}: its schema is {str(head['schema'])[:40]!r}, and this version keeps {SCHEMA}")
            return cls(
                path=path,
                budget=decimal(head["epsilon"]),
                model=str(head["model"]),
                hardware=tuple(head["hardware"]),
                variants=tuple(head["variants"]),
                entries=tuple(_entry(each) for each in entries),
                torn=whole_bytes < len(content),
                whole_bytes=whole_bytes,
                ended=not rest or whole_bytes < len(content),
                chain=chain,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{path}: is no ledger of {SCHEMA}") from error

    def check(self, question: Question) -> None:
        """Raises `UsageError` where a question is not one that this ledger answers."""
        if not question.hardware or not question.histograms:
            raise UsageError("a release is of one hardware target and one histogram at least")
        for name in question.hardware:
            if name not in self.hardware:
                raise UsageError(
                    f"hardware target {name[:60]!r} is not declared in {self.path}, "
                    f"which has {', '.join(self.hardware)}"
                )

    def answered(self, question: Question) -> Entry | None:
        """The newest answer to the same question."""
        return next((each for each in reversed(self.entries) if each.question == question), None)


def ask(
    path: Path, question: Question, answer: Callable[[Ledger], Mapping[str, Any]], *, again: bool = False
) -> tuple[Entry, bool]:
    """The answer to a question, and whether epsilon was spent on it now.

    One that was answered before is answered alike, for nothing; with `again` it is asked anew, and spent on. What
    `answer` makes is on the disk when this returns, and nobody is told before. Raises `UsageError` where the budget
    does not suffice: then `answer` is not called at all.
    """
    with _locked(path):
        ledger = Ledger.read(path)
        ledger.check(question)
        known = ledger.answered(question)
        if known is not None and not again:
            _settle(path)
            return known, False
        entry = Entry(at=_now(), question=question, answer={})
        after = spent((*ledger.entries, entry))
        if after > ledger.budget:
            raise UsageError(
                f"{path}: this would bring what a device has lost to {shown(after)}, and the budget is "
                f"{shown(ledger.budget)} ({shown(ledger.left)} left); ask for less epsilon or fewer hardware "
                "targets, or for a question that was answered: benchharness telemetry ledger lists them"
            )
        entry = Entry(at=entry.at, question=question, answer=answer(ledger))
        line = {"at": entry.at, "question": question.to_json(), "answer": entry.answer}
        try:
            descriptor = os.open(path, os.O_WRONLY | _AS_IT_IS)
            try:
                os.ftruncate(descriptor, ledger.whole_bytes)  # what was cut off told nobody anything
                os.lseek(descriptor, 0, os.SEEK_END)
                _append(descriptor, (b"" if ledger.ended else b"\n") + _line(line, ledger.chain))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise UsageError(f"{path}: cannot be written ({error.strerror}); nothing was released") from error
        return entry, True


def spent(entries: Sequence[Entry]) -> Fraction:
    """The most that any one device can have lost: month by month the hardware target on which most was spent."""
    by_month: dict[str, dict[str, Fraction]] = {}
    for entry in entries:
        month = by_month.setdefault(entry.question.period, {})
        for hardware in entry.question.hardware:
            month[hardware] = month.get(hardware, Fraction(0)) + entry.question.epsilon
    return sum((max(month.values(), default=Fraction(0)) for month in by_month.values()), Fraction(0))


def shown(number: Fraction) -> str:
    """An epsilon in decimals: exact, since each was written with six of them at most."""
    whole, parts = divmod(round(number * 10**6), 10**6)
    return f"{whole}.{parts:06}".rstrip("0").rstrip(".")


def _entry(line: Mapping[str, Any]) -> Entry:
    return Entry(at=str(line["at"]), question=Question.from_json(line["question"]), answer=dict(line["answer"]))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds the ledger against every other program; a lock whose holder was killed is free."""
    try:
        from filelock import FileLock, Timeout
    except ImportError as error:
        raise UsageError("a ledger is locked by filelock: pip install 'benchharness[telemetry]'") from error
    real = path.resolve()
    if not real.parent.is_dir():  # the lock would make it
        raise UsageError(f"{path}: its folder is not there")
    lock = FileLock(real.with_name(f"{real.name}.lock"))
    try:
        lock.acquire(timeout=_WAIT_S)
    except Timeout as error:
        raise UsageError(f"{path}: another program has held it for {_WAIT_S:g} s") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be locked ({error.strerror})") from error
    try:
        yield
    finally:
        lock.release()


def _line(content: Mapping[str, Any], before: str) -> bytes:
    """A line with what chains it to those before it."""
    told = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f'{{"chain":"{_chained(told, before)}","line":{told}}}\n'.encode()


def _checked(raw: bytes, before: str, where: str) -> tuple[dict[str, Any], str]:
    try:
        found = json.loads(raw)
        line, chain = dict(found["line"]), found["chain"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(f"{where}: is no line of a ledger") from error
    if raw + b"\n" != _line(line, before):
        raise UsageError(f"{where}: was changed, or lines before it are not those that were there; nothing is released")
    return line, chain


def _chained(told: str, before: str) -> str:
    return hashlib.sha256(f"{before}\n{told}".encode()).hexdigest()


def _append(descriptor: int, line: bytes) -> None:
    """Writes all of a line, and waits until it is on the disk."""
    view = memoryview(line)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def _settle(path: Path) -> None:
    """Waits for the disk: who wrote a line may have been killed before it had waited. Raises `UsageError`."""
    try:
        descriptor = os.open(path, os.O_WRONLY | _AS_IT_IS)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}); nothing was released") from error


def _sync_folder(path: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(path.resolve().parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
