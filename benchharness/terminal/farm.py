"""What `benchharness farm status` and `farm devices` show. What hosts and submitters called things is not trusted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchharness.errors import BenchharnessError
from benchharness.terminal.values import one_line
from benchharness.units import duration_text

_LONGEST = 60
_EVERY_S = 1.0
#: How jobs stand, in the order in which they come to stand so, and in words.
_WORDS = {
    "todo": "queued",
    "doing": "running",
    "succeeded": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "aborted": "ended on request",
}
_STYLES = {"quarantined": "red", "draining": "yellow"}


def farm_tables(status: Mapping[str, Any]) -> Iterator[Table | Text]:
    """Jobs in one line, then devices, submissions, and what was refused last."""
    yield Text(_counts(status["jobs"]) or "no job yet", style="bold")
    yield device_table(status["devices"])
    if status["submissions"]:
        yield _submissions(status["submissions"])
    for each in status["refused"]:
        told = f"refused {each['what']} of {each['about']} to {each['who']}: {each['told']}"
        yield Text(one_line(told, 200), style="red")


def draw_live(
    ask: Callable[[], Mapping[str, Any]],
    first: Mapping[str, Any],
    console: Console,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Draws how the farm stands, anew every second, until Ctrl-C; while the farm is away, how it stood and why.

    What does not fit the window is cut off at its end: jobs and devices stand first.
    """
    told = first
    with suppress(KeyboardInterrupt), Live(Group(*farm_tables(told)), console=console, auto_refresh=False) as drawn:
        while True:
            wait(_EVERY_S)
            try:
                told, trouble = ask(), ""
            except BenchharnessError as error:
                trouble = str(error)
            lines = [Text(one_line(f"as it stood before: {trouble}", 200), style="red")] if trouble else []
            drawn.update(Group(*lines, *farm_tables(told)), refresh=True)


def device_table(devices: Sequence[Mapping[str, Any]]) -> Table:
    """A row a device: whose it is, how it is, and what it does."""
    made = _table("device", "hardware target", "host", "state", "at work on")
    for each in devices:
        state = each["state"]
        why = f": {each['why']}" if each["why"] else ""
        made.add_row(
            _cell(each["name"]),
            _cell(each["labels"].get("hardware", "")),
            _cell(each["host"]),
            Text(one_line(f"{state}{why}", _LONGEST), style=_STYLES.get(state, "")),
            _cell(_at_work(each)),
        )
    return made


def label_lines(devices: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    """What each device can be asked for by."""
    for each in devices:
        labels = " ".join(f"{key}={value}" for key, value in sorted(each["labels"].items()))
        yield Text(one_line(f"{each['name']}: {labels}", 400), style="dim")


def _at_work(device: Mapping[str, Any]) -> str:
    if device["job"] is None:
        return f"idle, seen {_ago(device['seen_s'])}"
    silent = "" if device["left_s"] > 0 else ", its agent is silent"
    return f"{device['submission']}, job {device['job']}, for {_time(device['at_it_s'])}{silent}"


def _submissions(submissions: Sequence[Mapping[str, Any]]) -> Table:
    made = _table("submission", "suite", "by", "jobs", "")
    for each in submissions:
        nightly = f"nightly {each['nightly']} UTC" if each["nightly"] else ""
        told = "; ".join([*([nightly] if nightly else []), *each["why"]])
        made.add_row(
            _cell(each["id"][:8]), _cell(each["name"]), _cell(each["by"]), _cell(_counts(each["jobs"])), _cell(told)
        )
    return made


def _counts(jobs: Mapping[str, int]) -> str:
    return ", ".join(f"{jobs[status]:,} {word}" for status, word in _WORDS.items() if jobs.get(status))


def _table(*heads: str) -> Table:
    made = Table(box=None, pad_edge=False, header_style="dim")
    for head in heads:
        made.add_column(head, overflow="fold")
    return made


def _cell(text: str) -> Text:
    return Text(one_line(text, _LONGEST))


def _ago(seconds: float) -> str:
    return f"{_time(seconds)} ago"


def _time(seconds: float) -> str:
    return duration_text(max(0.0, round(seconds)))
