"""What a submitter asks of a farm: takes a suite in, says how it stands, cancels, takes devices out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchharness.errors import UsageError
from benchharness.farm import signing
from benchharness.farm.cache import PART_BYTES
from benchharness.farm.contents import code_of
from benchharness.farm.nights import check
from benchharness.farm.passes import Pass
from benchharness.farm.submission import Written, write
from benchharness.suite.tables import Suite, load_suite

_LETTERS_OF_AN_ID = 36


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What was queued. `code` are files that each host has to list before it makes them, by their SHA-256."""

    id: str
    jobs: int
    sent_bytes: int
    code: Mapping[str, Path] = field(default_factory=dict)


def submit(
    member: Pass,
    suite: str | Path,
    *,
    on: str | None = None,
    where: str | None = None,
    base: str | Path | None = None,
    devices: int | None = None,
    priority: int = 0,
    within_s: float | None = None,
    nightly: str | None = None,
) -> Submitted:
    """Signs a suite, sends the files that the farm lacks, and queues it. Raises `UsageError`.

    `on` names hardware targets or devices, `where` labels; with both a device must have both. `devices`: so many
    different ones of each. `base`: another build, compared in pairs on one device.
    """
    wanted = wanted_of(on, where, _device_names(member) if on else ())
    if nightly is not None:
        check(nightly)
    loaded = load_suite(suite)
    against = _base(base)
    written = write(
        loaded,
        by=member.role,
        wanted=wanted,
        base=against,
        devices=devices,
        priority=priority,
        within_s=within_s,
        nightly=nightly,
        at_home=Path(suite).parent,
    )
    code = code_of(written.listed, written.files, [loaded, *([against] if against is not None else [])])
    signature = signing.sign(member.folder, written.told)
    try:
        with member.connect() as line:
            sent = _send(line, written)
            ((jobs,),) = line.execute(
                "SELECT farm.submit(%s, %s, %s)", [written.told, signature, member.role]
            ).fetchall()
    except psycopg.OperationalError as error:
        raise UsageError(f"the farm does not answer: {str(error).splitlines()[0]}") from error
    except psycopg.Error as error:
        raise member.refused(error) from error
    if not jobs:
        raise UsageError("the farm refused the submission; its log says why")
    return Submitted(id=written.id, jobs=int(jobs), sent_bytes=sent, code=code)


def _base(base: str | Path | None) -> Suite | None:
    return None if base is None else load_suite(base)


def wanted_of(on: str | None, where: str | None, devices: Sequence[str]) -> list[dict[str, str]]:
    """What is wanted of a device, for each that is named. Raises `UsageError`."""
    labels = dict(_label(word) for word in _words(where))
    named = [{"device" if word in devices else "hardware": word} for word in _words(on)]
    if not named and not labels:
        raise UsageError("say where: --on 'pixel-8,raspberry-pi-5', or --where 'soc=sm8650'")
    return [{**labels, **each} for each in named or [{}]]


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _label(word: str) -> tuple[str, str]:
    key, is_, value = word.partition("=")
    if not (key.strip() and is_ and value.strip()):
        raise UsageError(f"{word!r} is no label; write key=value, several with commas: soc=sm8650,memory=8")
    return key.strip(), value.strip()


def _device_names(member: Pass) -> list[str]:
    return [device["name"] for device in status(member)["devices"]]


def _send(line: psycopg.Connection, written: Written) -> int:
    """Sends what the farm lacks; how many bytes."""
    rows = line.execute("SELECT * FROM farm.lacks(%s)", [list(written.files)]).fetchall()
    sent = 0
    for (digest,) in rows:
        for part, content, last in _parts(written.files[digest]):
            ((taken,),) = line.execute("SELECT farm.put_part(%s, %s, %s, %s)", [digest, part, content, last]).fetchall()
            if not taken:
                raise UsageError(f"{written.files[digest]}: it changed while it was sent; submit again")
            sent += len(content)
    return sent


def _parts(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    with path.open("rb") as stream:
        part, content = 0, stream.read(PART_BYTES)
        while True:
            following = stream.read(PART_BYTES)
            yield part, content, not following
            if not following:
                return
            part, content = part + 1, following


def status(member: Pass) -> Mapping[str, Any]:
    """How the farm stands, as `sql/status.sql` tells it."""
    ((found,),) = member.ask("SELECT farm.status()")
    assert isinstance(found, dict)
    return found


def cancel(member: Pass, submission: str) -> int:
    """Cancels what is left of a submission; how many jobs. Raises `UsageError` for a name that none has."""
    ((count,),) = member.ask("SELECT farm.cancel(%s)", _id_of(member, submission))
    return int(str(count))


def _id_of(member: Pass, submission: str) -> str:
    """A submission's id, whole or as it begins. Raises `UsageError`."""
    known = [each["id"] for each in status(member)["submissions"] if each["id"].startswith(submission)]
    if len(known) != 1 and len(submission) != _LETTERS_OF_AN_ID:
        raise UsageError(
            f"{len(known)} of the newest submissions begin with {submission!r}; see: benchharness farm status"
        )
    return known[0] if known else submission


@dataclass(frozen=True, kw_only=True)
class Made:
    """What became of one job of a submission. `run` is of the store; empty where there is none, and `why` says why."""

    night: int
    job: int
    device: str
    run: str
    status: str
    why: str


def jobs_of(member: Pass, submission: str, night: int | None = None) -> list[Made]:
    """The jobs of a submission's newest night, or of one by its number. Raises `UsageError` where there are none."""
    rows = member.ask(
        "SELECT night, job, device, run, status, why FROM farm.runs(%s, %s)", _id_of(member, submission), night
    )
    if not rows:
        which = "it" if night is None else f"its night {night}"
        raise UsageError(f"{submission}: the farm knows no job of {which}; what has ended is kept for a time only")
    return [
        Made(night=int(str(at)), job=int(str(job)), device=str(device or ""), run=str(run or ""), status=str(status),
             why=str(why))
        for at, job, device, run, status, why in rows
    ]  # fmt: skip


def set_state(member: Pass, name: str, state: str, why: str) -> int:
    """Takes a device, or all of a host, out or back in; how many devices. Raises `UsageError` where there is none."""
    ((count,),) = member.ask("SELECT farm.set_state(%s, %s, %s)", name, state, why)
    if not count:
        raise UsageError(f"{name}: the farm has no such device and no such host; see: benchharness farm devices")
    return int(str(count))
