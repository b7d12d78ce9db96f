"""What a farm shows, and what it says where its extra is missing. Names in it come from members: not trusted."""

from __future__ import annotations

import copy
import importlib.util
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchharness import api
from benchharness import farm as room
from benchharness.errors import LaunchError, UsageError
from benchharness.execute import hygiene
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.hardware import load_hardware
from benchharness.terminal.farm import device_table, draw_live, farm_tables, label_lines
from reports.pages.farm import farm_page

AT = "2026-03-04T05:06:07+00:00"
DEVICE: dict[str, Any] = {
    "name": "pi-1", "host": "desk", "labels": {"hardware": "raspberry-pi-5", "soc": "x"}, "state": "ready", "why": "",
    "seen_s": 5.0, "job": None, "at_it_s": None, "left_s": None, "submission": None,
}  # fmt: skip
BUSY = {**DEVICE, "name": "pi-2", "job": 7, "at_it_s": 65.2, "left_s": 50.0, "submission": "phones"}
OUT = {**DEVICE, "name": "pi-3", "state": "quarantined", "why": "its battery swells"}
STATUS: dict[str, Any] = {
    "at": AT,
    "jobs": {"todo": 100_000, "doing": 1, "failed": 2},
    "devices": [DEVICE, BUSY, OUT],
    "submissions": [{"id": "6f1c0000-0000-4000-8000-000000000000", "name": "phones", "by": "ann", "at": AT,
                     "nightly": "0 2 * * *", "jobs": {"succeeded": 3}, "why": ["lost 3 times"]}],
    "refused": [{"at": AT, "who": "rack", "what": "a result", "about": "job 7", "told": "the lease lapsed"}],
}  # fmt: skip


def shown(status: dict[str, Any]) -> str:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    for each in (*farm_tables(status), device_table(status["devices"]), *label_lines(status["devices"])):
        console.print(each)
    console.file.close()
    return console.export_text()


def test_status_says_how_it_stands() -> None:
    text = shown(STATUS)
    for words in (
        "100,000 queued, 1 running, 2 failed",
        "phones, job 7, for 1 min 5 s",
        "quarantined: its battery swells",
        "nightly 0 2 * * * UTC; lost 3 times",
        "refused a result of job 7 to rack: the lease lapsed",
        "pi-1: hardware=raspberry-pi-5 soc=x",
    ):
        assert words in text


def test_an_agent_that_is_silent_is_told() -> None:
    assert "its agent is silent" in shown({**STATUS, "devices": [{**BUSY, "left_s": -1.0}]})


def test_a_farm_without_anything_is_shown() -> None:
    empty = {"at": AT, "jobs": {}, "devices": [], "submissions": [], "refused": []}
    assert "no job yet" in shown(empty)
    assert farm_page(empty, datetime.now(UTC)).finding == "0 devices. Jobs: none yet."


def test_the_page_says_the_same_with_what_is_out_first(tmp_path: Path) -> None:
    page = farm_page(STATUS, datetime(2026, 3, 4, tzinfo=UTC))
    assert [each.name for each in page.devices] == ["pi-3", "pi-1", "pi-2"]
    assert page.finding == "3 devices, 1 of them taken out. Jobs: 100,000 queued, 1 running, 2 failed."
    html = api.render_farm(STATUS, tmp_path / "farm.html").read_text()
    assert "its battery swells" in html
    assert "the lease lapsed" in html


def test_what_is_drawn_anew_says_when_the_farm_does_not_answer() -> None:
    console = Console(width=160, record=True, force_terminal=True, file=io.StringIO())
    away = UsageError("the farm at farm.lab:5433 does not answer")
    answers: Iterator[dict[str, Any] | UsageError] = iter([{**STATUS, "jobs": {"todo": 5}}, away, STATUS])

    def ask() -> dict[str, Any]:
        told = next(answers, None)
        if told is None:
            raise KeyboardInterrupt
        if isinstance(told, UsageError):
            raise told
        return told

    draw_live(ask, STATUS, console, wait=lambda _: None)
    text = console.export_text()
    drawn = [text.index(words) for words in ("100,000 queued", "5 queued", "as it stood before: the farm at farm.lab")]
    assert drawn == sorted(drawn)
    assert text.rindex("100,000 queued") > drawn[-1]


ATTACK = "<script>alert(1)</script>\x1b[31m\u202e"


def test_names_do_nothing_on_a_page_or_a_terminal(tmp_path: Path) -> None:
    status = copy.deepcopy(STATUS)
    status["devices"][2] |= {"name": ATTACK, "host": ATTACK, "why": ATTACK, "labels": {"hardware": ATTACK, ATTACK: "x"}}
    status["submissions"][0] |= {"name": ATTACK, "by": ATTACK, "why": [ATTACK], "nightly": ATTACK}
    status["refused"][0] |= {"about": ATTACK, "told": ATTACK}
    html = api.render_farm(status, tmp_path / "farm.html").read_text()
    assert "<script>alert" not in html
    assert "\x1b" not in html + shown(status)
    assert "\u202e" not in html + shown(status)


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(room, "find_spec", lambda name: None if name == "psycopg" else found(name))
    with pytest.raises(UsageError, match=r"^a farm needs psycopg: pip install 'benchharness\[farm\]'$"):
        room.check_installed()


# Hygiene


def test_this_machine_tells_how_it_is(tmp_path: Path) -> None:
    found = hygiene.look_after(load_hardware(THIS_MACHINE), tmp_path)
    assert found.trouble == ""
    assert found.found["left_over"] == []
    assert found.found["free_bytes"] > 0
    assert "swap_used_bytes" in found.found


@pytest.mark.parametrize(
    ("state", "free", "words"),
    [
        ({"battery_percent": 14}, 1 << 40, "its battery has 14 % left"),
        ({"battery_percent": 16}, 1 << 40, ""),
        ({"battery_percent": {"unknown": "none"}}, 1 << 40, ""),
        ({}, 100 << 20, "100 MiB are free there"),
        (None, 1 << 40, ""),
    ],
)
def test_a_device_that_is_unfit_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: dict[str, Any] | None, free: int, words: str
) -> None:
    monkeypatch.setattr("benchharness.launch.ask.description_of_device", lambda *_: {"conditions": state})
    monkeypatch.setattr(hygiene, "_free_bytes", lambda *_: free)
    trouble = hygiene.look_after(load_hardware(THIS_MACHINE), tmp_path).trouble
    assert trouble.startswith(words) if words else trouble == ""


def test_a_device_that_does_not_answer_is_a_launch_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def away(*_: object) -> None:
        raise LaunchError("no route to host")

    monkeypatch.setattr("benchharness.launch.ask.description_of_device", away)
    with pytest.raises(LaunchError):
        hygiene.look_after(load_hardware(THIS_MACHINE), tmp_path)
