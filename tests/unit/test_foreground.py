"""An application in front of the user beside what is measured: on a made-up phone, and as a process here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchharness.device import foreground, hogs
from benchharness.device.processes import undo
from benchharness.device.scenarios.constrained import beside, conductor, limits
from benchharness.device.scenarios.constrained.trial import Tried
from benchharness.device.sensors.readings import Unreadable
from benchharness.records import TrialEnd

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a phone's programs are shell scripts here")

#: Arguments that a shell would take apart or run, each of which must arrive as it is.
AWKWARD = ["it's", 'a "word"', "$HOME", "`id`", "two\nlines", "a;b & c", "", "*", "ünï", "\\", "--flag=x y"]
#: Brings an application to the front, and tells what is there: the state is a file.
AM = """#!/bin/sh
here="$(dirname "$0")/../.."
printf '%s\\0' "$@" >> "$here/asked"
case "$1" in
  start) [ -e "$here/refuses" ] && { echo "Error type 3"; echo "Error: Activity class does not exist."; exit 1; }
         echo com.example.game > "$here/front"; echo "Starting: Intent { cmp=com.example.game/.Main }" ;;
  force-stop) [ "$(cat "$here/front")" = "$2" ] && echo com.android.launcher3 > "$here/front" ;;
esac
exit 0
"""
DUMPSYS = """#!/bin/sh
here="$(dirname "$0")/../.."
case "$*" in
  power) echo "Display Power: state=$(cat "$here/screen")" ;;
  "activity activities") echo "Display #0 (activities from top to bottom):"
     echo "    topResumedActivity=ActivityRecord{1a2b u0 $(cat "$here/front")/.Main t7}" ;;
esac
"""
GAME = {"start": ["am", "start", "-n", "com.example.game/.Main"], "package": "com.example.game", "settle": 0.0}


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    root = tmp_path / "phone"
    (root / "system/bin").mkdir(parents=True)
    for name, text in (("am", AM), ("dumpsys", DUMPSYS)):
        (root / "system/bin" / name).write_text(text)
        (root / "system/bin" / name).chmod(0o755)
    (root / "front").write_text("com.android.launcher3\n")
    (root / "screen").write_text("ON\n")
    return root


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def process_of(told: dict[str, Any], scratch: Path) -> foreground.Process:
    made = foreground.application("player", told, scratch)
    assert isinstance(made, foreground.Process)
    return made


def front(phone: Path) -> str:
    return (phone / "front").read_text().strip()


def test_an_application_is_brought_to_the_front_and_stopped_afterwards(phone: Path, scratch: Path) -> None:
    with foreground.application("game", GAME, scratch, root=phone) as game:
        assert front(phone) == "com.example.game"
        assert game.says == "com.example.game is in front, by the activity manager"
        assert game.lost() == ""
        assert json.loads((scratch / "undo.json").read_text())[0][1:] == ["force-stop", "com.example.game"]
    assert front(phone) == "com.android.launcher3"
    assert game.left == ""
    assert json.loads((scratch / "undo.json").read_text()) == []


def test_one_that_does_not_go_is_told(phone: Path, scratch: Path) -> None:
    with foreground.application("game", {**GAME, "stop": ["true"]}, scratch, root=phone) as game:
        pass
    assert game.left == "com.example.game is still in front: what stops it did not"


@pytest.mark.parametrize(
    ("changed", "says", "told"),
    [
        ("front", "com.android.systemui", "com.android.systemui is"),
        ("screen", "OFF", "no application is"),
    ],
)
def test_one_that_left_the_front_is_told(phone: Path, scratch: Path, changed: str, says: str, told: str) -> None:
    """An application in front and one that is not are different loads to Android, as those who measured found:
    https://github.com/tensorflow/tensorflow/issues/35283. And behind a lock screen its process goes on calling itself
    the top: https://github.com/Unity-Technologies/com.unity.mobile.logcat/issues/99.
    """
    with foreground.application("game", GAME, scratch, root=phone) as game:
        (phone / changed).write_text(says + "\n")
        assert game.lost() == f"game: com.example.game is not in front, {told}"


def test_one_that_does_not_come_is_refused_with_its_commands_words(phone: Path, scratch: Path) -> None:
    (phone / "refuses").touch()
    made = foreground.application("game", GAME, scratch, root=phone)
    with pytest.raises(Unreadable, match=r"com.android.launcher3 is; .*Activity class does not exist"), made:
        pytest.fail("it is not in front")
    assert json.loads((scratch / "undo.json").read_text()) == []


def test_a_phone_that_does_not_say_what_is_in_front_is_not_believed(phone: Path, scratch: Path) -> None:
    with foreground.application("game", GAME, scratch, root=phone) as game:
        (phone / "system/bin/dumpsys").write_text("#!/bin/sh\nexit 1\n")
        assert "cannot be told" in game.lost()


def test_elsewhere_an_android_application_is_not_started(tmp_path: Path, scratch: Path) -> None:
    made = foreground.application("game", GAME, scratch, root=tmp_path)
    with pytest.raises(Unreadable, match="this is no Android"), made:
        pytest.fail("there is none")


def test_every_word_of_a_command_arrives_as_it_is(phone: Path, scratch: Path, tmp_path: Path) -> None:
    with foreground.application("game", {**GAME, "start": ["am", "start", "-n", "x", *AWKWARD]}, scratch, root=phone):
        arrived = (phone / "asked").read_bytes().decode().split("\0")
    assert arrived[3 : 3 + len(AWKWARD)] == AWKWARD
    heard = tmp_path / "heard"
    keep = f"import json, sys, time; open({str(heard)!r}, 'w').write(json.dumps(sys.argv[1:])); time.sleep(60)"
    with foreground.application("one", {"start": [sys.executable, "-c", keep, *AWKWARD]}, scratch) as process:
        deadline = time.monotonic() + 120
        while not (heard.exists() and heard.read_text()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert json.loads(heard.read_text()) == AWKWARD
        assert process.lost() == ""


def test_a_process_that_ends_is_told_with_its_last_words(scratch: Path) -> None:
    with process_of({"start": ["sh", "-c", "read x; echo no display >&2; exit 3"]}, scratch) as player:
        assert player._child is not None
        player._child.write(b"go\n")
        assert player._child.ends_within(120)
        deadline = time.monotonic() + 120
        while "no display" not in player.lost() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert player.lost() == "player: its process has ended: no display"


def test_one_that_is_not_there_is_refused(scratch: Path) -> None:
    made = foreground.application("player", {"start": ["/nowhere/player"]}, scratch)
    with pytest.raises(Unreadable, match="player: /nowhere/player: FileNotFoundError"), made:
        pytest.fail("there is none")


def test_a_process_goes_with_its_context_and_its_own_command_stops_it(scratch: Path, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    waits = f"while [ ! -e {stopped} ]; do sleep 0.02; done"
    told = {"start": ["sh", "-c", waits], "stop": ["touch", str(stopped)]}
    with process_of(told, scratch) as player:
        assert player._child is not None
        process = player._child.pid
        assert not stopped.exists()
    assert stopped.exists()
    assert not psutil.pid_exists(process)


def test_whoever_removes_the_scratch_folder_of_a_killed_one_stops_its_application(phone: Path, scratch: Path) -> None:
    program = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from benchharness.device import foreground
        with foreground.application("game", {GAME!r}, Path({str(scratch)!r}), root=Path({str(phone)!r})):
            print("there", flush=True)
            time.sleep(60)
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"there\n"
        os.kill(killed.pid, signal.SIGKILL)
    assert front(phone) == "com.example.game"
    assert undo.remove_scratch(scratch)
    assert front(phone) == "com.android.launcher3"
    assert not scratch.exists()


@pytest.mark.parametrize(
    "written",
    [
        "",
        "{",
        "[" * 100_000,
        '{"a": 1}',
        '[["touch"], 5, [], ["x", 1]]',
        "null",
        "[" + '["true"],' * 9000 + '["true"]]',
    ],
)
def test_a_file_of_somebody_elses_harms_nobody(scratch: Path, written: str) -> None:
    (scratch / "undo.json").write_text(written)
    assert undo.remove_scratch(scratch)


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/undo.json").write_text(json.dumps([["touch", str(tmp_path / "ran")]]))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert not undo.remove_scratch(tmp_path / "link")
    assert not (tmp_path / "ran").exists()


# In an attempt

SETTINGS = {
    "trials": 3,
    "needed": 3,
    "slowest": 10.0,
    "bracket": 0.5,
    "memory": False,
    "limits_bytes": [],
    "quotas": [],
    "cores": [],
    "background": [],
}


def wait_until_ended(words: str) -> None:
    """Of a process of ours whose command line has these words."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        living = [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
        if not any(words in " ".join(each.cmdline()) for each in living):
            return
        time.sleep(0.01)
    pytest.fail("it did not end")


def conducted(monkeypatch: pytest.MonkeyPatch, scratch: Path, leaves_after: int | None, **settings: Any) -> Any:
    """A conductor after all of its steps, its application gone after so many trials beside it."""
    monkeypatch.chdir(scratch)
    made: list[conductor._Conductor] = []
    tried: list[int] = []

    def one(self: Any, order: Any, limit_s: float | None = None, **limited: Any) -> Tried:
        tried.append(self.step)
        if self.step and tried.count(self.step) == leaves_after:
            (scratch / "gone").touch()
            wait_until_ended("while [ ! -e gone ]")
        return Tried(TrialEnd.ANSWERED, 10**6, answer_ns=10**5, told={"effective": {"threads": 1}})

    monkeypatch.setattr(conductor._Conductor, "_try", one)
    order: Any = {"id": "one", "settings": {**SETTINGS, **settings}, "scenario": "constrained"}
    made.append(conductor._Conductor(order, lambda *_: None, None, limits.Way()))
    made[0].unconstrained()
    made[0].everything()
    return made[0]


WAITS = {"start": ["sh", "-c", "while [ ! -e gone ]; do sleep 0.05; done"], "settle": 0.0}


def test_trials_beside_an_application_are_a_step_of_their_own(monkeypatch: pytest.MonkeyPatch, scratch: Path) -> None:
    made = conducted(monkeypatch, scratch, None, foreground={"player": WAITS})
    step = made.measurements[1]
    assert (step["parameters"]["constraint"], step["parameters"]["by"]) == ("foreground player", "another process")
    assert made.facts()["unheld"] == []
    assert "foreground player: it runs; whether a user would see it is not known here" in made.facts()["notes"]


def test_an_application_that_ends_meanwhile_ends_its_step_and_no_other(
    monkeypatch: pytest.MonkeyPatch, scratch: Path
) -> None:
    kept = {"start": ["sleep", "60"], "settle": 0.0}
    made = conducted(monkeypatch, scratch, 2, foreground={"player": WAITS, "kept": kept})
    facts = made.facts()
    assert facts["unheld"] == [1]
    assert facts["reasons"] == [[1, "player: its process has ended, after 2 trials"]]
    assert [len(each["samples"]) // 6 for each in made.measurements[1:]] == [2, 3]


def test_one_that_does_not_start_is_not_applied(monkeypatch: pytest.MonkeyPatch, scratch: Path) -> None:
    made = conducted(monkeypatch, scratch, None, foreground={"player": {"start": ["/nowhere/player"], "settle": 0.0}})
    assert made.measurements[1]["samples"] == []
    assert made.facts()["reasons"] == [[1, "player: /nowhere/player: FileNotFoundError"]]


def test_a_background_load_that_is_killed_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    (load,) = beside.loads({"background": [hogs.BUSY_CORE]}, [0], None)
    with load.context as hog:
        assert hog.lost() == ""
        os.kill(load.load.process, signal.SIGKILL)
        deadline = time.monotonic() + 120
        while not hog.lost() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert hog.lost() == "the background load has ended"
