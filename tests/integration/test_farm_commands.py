"""The ten commands of docs/farm.md, as people give them. This machine stands in for every host and every device."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.conftest import ROOT, CommandLine
from tests.postgres import MISSING, folder, free_port, missing

pytest.importorskip("procrastinate", reason=MISSING)

from tests.farm import until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")
DIGITS = ROOT / "examples" / "digits" / "artefacts" / "fp32.onnx"
PAGE = (ROOT / "docs" / "farm.md").read_text(encoding="utf-8")
SUITE = f"""
name = "digits"
[models.digits.variants.fp32]
artefact = "{DIGITS}"
[attempts]
at_least = 1
[scenarios.steady]
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short path, in which farm and passes lie."""
    with folder() as made:
        yield made


class Programs:
    """What is started and goes on."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._running: list[subprocess.Popen[bytes]] = []

    def begin(self, words: list[str]) -> Path:
        log = self._place / f"{len(self._running)}.log"
        with log.open("wb") as stream:
            self._running.append(
                subprocess.Popen(
                    [sys.executable, "-m", "benchharness", *words],
                    cwd=self._place,
                    stdout=stream,
                    stderr=stream,
                    env={**os.environ, "PYTHONPATH": str(ROOT)},
                )
            )
        return log

    def end(self) -> list[int]:
        """In order: agents before the server that they talk to."""
        for each in reversed(self._running):
            each.send_signal(signal.SIGINT)
            each.wait(180)
        codes = [each.returncode for each in self._running]
        self._running.clear()
        return codes


@pytest.fixture
def programs(place: Path) -> Iterator[Programs]:
    made = Programs(place)
    yield made
    made.end()


class Hook(BaseHTTPRequestHandler):
    """Hears what the farm tells."""

    heard: list[dict[str, object]]

    def do_POST(self) -> None:
        self.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, object]]]]:
    Hook.heard = []
    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/secret-of-the-hook", Hook.heard
    server.shutdown()
    server.server_close()


def commands_of_the_page() -> list[list[str]]:
    """The ten, word by word."""
    part = PAGE[PAGE.index("in ten commands") : PAGE.index("## Words")]
    blocks = re.findall(r"```\n(.*?)```", part, flags=re.DOTALL)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


def test_the_ten_commands(
    place: Path, programs: Programs, benchharness: CommandLine, hook: tuple[str, list[dict[str, object]]]
) -> None:
    url, heard = hook
    given = commands_of_the_page()
    assert len(given) == 10
    (place / "devices").mkdir()
    (place / "phones").mkdir()
    (place / "devices" / "pi-1.toml").write_text('name = "raspberry-pi-5"\n')
    for number in (1, 2):
        text = 'name = "pixel-8"\n[labels]\nsoc = "sm8650"\n'
        (place / "phones" / f"phone-{number}.toml").write_text(text)
    (place / "suite.toml").write_text(SUITE)
    port = free_port()

    def here(words: list[str]) -> list[str]:
        """The same words, with this machine's name and a free port."""
        words = ["localhost" if word == "farm.lab" else word for word in words]
        if words[1] == "init":
            words += ["--port", str(port), "--listen", "127.0.0.1"]
        at = {"farm": place / "farm", "suite.toml": place / "suite.toml", "devices": place / "devices"}
        at |= {"phones": place / "phones"}
        at |= {f"passes/{name}": place / "farm" / "passes" / name for name in ("desk", "rack", "ann")}
        return [str(at.get(word, word)) if place_ else word for place_, word in enumerate(words)]

    init, serve, agent, submit, status, enrol, rack, nightly, quarantine, revoke = map(here, given)
    done = benchharness(*init)
    assert (done.returncode, done.stderr) == (0, "")
    (place / "farm/passes/scheduler/scheduler.toml").write_text(f'pages = "{place / "pages"}"\nwebhook = "{url}"\n')
    served = programs.begin(serve)
    programs.begin(agent)
    ann = ["--farm", str(place / "farm/passes/ann")]

    def stands() -> dict[str, object]:
        return dict(json.loads(benchharness("farm", "status", "--json", *ann).stdout))

    until(lambda: len(stands()["devices"]) == 1)  # type: ignore[arg-type]
    done = benchharness(*submit)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 job queued, 0.1 MB sent" in done.stdout or "1 job queued, 0.0 MB sent" in done.stdout
    until(lambda: stands()["jobs"] == {"succeeded": 1})
    shown = benchharness(*status)
    assert "1 done" in shown.stdout
    assert "raspberry-pi-5" in shown.stdout

    assert benchharness(*enrol).returncode == 0
    log = programs.begin(rack)
    until(lambda: len(stands()["devices"]) == 3)  # type: ignore[arg-type]
    done = benchharness(*nightly)
    assert (done.returncode, "2 jobs queued" in done.stdout) == (0, True), done.stderr
    until(lambda: bool(heard))
    told = heard[0]
    assert (told["verdict"], told["name"], told["night"]) == ("green", "digits", 0)
    assert {job["device"] for job in told["jobs"]} == {"phone-1", "phone-2"}  # type: ignore[attr-defined]
    assert (place / "pages" / "index.html").is_file()
    assert "secret-of-the-hook" not in served.read_text()

    store = benchharness("farm", "store", *ann).stdout.strip()
    runs = benchharness("runs", "--store", store)
    assert runs.stdout.count("digits") == 3
    shown = benchharness("show", "--store", store)
    assert "steady" in shown.stdout
    assert benchharness("verify", "--store", store).returncode == 0

    assert "1 device is quarantined" in benchharness(*quarantine).stdout
    page = place / "farm.html"
    assert benchharness("farm", "status", "--out", page, *ann).returncode == 0
    assert "its battery swells" in page.read_text()
    assert "quarantined: its battery swells" in benchharness("farm", "devices", *ann).stdout
    assert benchharness(*revoke).returncode == 0
    until(lambda: "the farm cannot be reached" in log.read_text())
    assert programs.end() == [0, 0, 0]


def test_what_is_missing_is_said_in_words(benchharness: CommandLine, tmp_path: Path) -> None:
    for words, told in (
        (("farm", "status"), "say which farm: --farm PASS"),
        (("farm", "status", "--farm", tmp_path), "is no pass; it has no farm.toml"),
        (("farm", "serve", tmp_path), "there is no farm; make one with"),
        (("farm", "enrol", tmp_path, "x", "--as", "king"), "a member is one of agent, submitter, reader"),
        (("farm", "init", tmp_path / "f", "--agent", "Robert'); DROP TABLE"), "is no member's name"),
    ):
        done = benchharness(*words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert told in done.stderr
        assert "Traceback" not in done.stderr


def test_a_farm_that_cannot_be_made_says_why_and_leaves_nothing(place: Path, benchharness: CommandLine) -> None:
    done = benchharness("farm", "init", place / "farm", "--listen", "203.0.113.7", "--port", str(free_port()))
    assert (done.returncode, done.stdout) == (2, "")
    assert 'could not create listen socket for "203.0.113.7"' in " ".join(done.stderr.split())
    assert list(place.iterdir()) == []
