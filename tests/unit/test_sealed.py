"""Sealed files: what is sealed comes back, what was touched does not, and a key is never shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchharness.compress.sealing import seal
from benchharness.device import keys
from benchharness.device.opening import unsealed
from benchharness.device.sealed import (
    FRAME_BYTES,
    HEADER_BYTES,
    TAG_BYTES,
    Frames,
    header,
    library,
    plain_name,
    unseal,
)
from benchharness.errors import ModelFailure, SuiteError, Unsupported, UsageError
from benchharness.suite.tables import suite_from_table
from tests.conftest import CommandLine

KEY = "00112233445566778899aabbccddeeff" * 2
SMALL = 1024  # the shortest frames that are read


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAL_KEY", KEY)


def key() -> bytes:
    return bytes.fromhex(KEY)


def pieces(content: bytes, prefix: bytes = b"prefix--", frame_bytes: int = SMALL) -> tuple[bytes, list[bytes]]:
    """The header and the frames of a sealed file."""
    head = header(prefix, frame_bytes)
    frames = Frames(library()(key()), head)
    cut = [content[at : at + frame_bytes] for at in range(0, len(content), frame_bytes)]
    return head, [frames.make(part, index, last=index + 1 == len(cut)) for index, part in enumerate(cut)]


@pytest.mark.parametrize("length", [1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES])
def test_what_is_sealed_comes_back(tmp_path: Path, length: int) -> None:
    content = os.urandom(length)
    (tmp_path / "m.onnx").write_bytes(content)
    file = seal(tmp_path / "m.onnx", tmp_path / "m.onnx.sealed", key_from="env:SEAL_KEY")
    found = unseal(file, key)
    assert found.content == content
    assert found.artefact == tmp_path / "m.onnx"
    frames = -(-length // FRAME_BYTES)
    assert file.stat().st_size == HEADER_BYTES + length + frames * TAG_BYTES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.onnx.sealed"]


def test_the_same_file_is_sealed_differently_each_time(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"weights" * 100)
    files = [seal(tmp_path / "m.onnx", tmp_path / f"{n}.onnx.sealed", key_from="env:SEAL_KEY") for n in (1, 2)]
    one, other = (file.read_bytes() for file in files)
    assert one[HEADER_BYTES:] != other[HEADER_BYTES:]
    assert b"weights" not in one


Touch = Callable[[bytes, list[bytes]], bytes]


def joined(head: bytes, frames: list[bytes]) -> bytes:
    return head + b"".join(frames)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


TOUCHED: dict[str, Touch] = {
    "the last frame is gone": lambda head, frames: joined(head, frames[:-1]),
    "the first frame is gone": lambda head, frames: joined(head, frames[1:]),
    "one in the middle is gone": lambda head, frames: joined(head, [frames[0], *frames[2:]]),
    "two are swapped": lambda head, frames: joined(head, [frames[1], frames[0], *frames[2:]]),
    "one is there twice": lambda head, frames: joined(head, [frames[0], frames[0], *frames[1:]]),
    "one follows the last": lambda head, frames: joined(head, [*frames, frames[-1]]),
    "a full one follows the last": lambda head, frames: joined(head, [*frames, frames[0]]),
    "the last is cut": lambda head, frames: joined(head, frames)[:-1],
    "the last is cut to less than a tag": lambda head, frames: joined(head, [*frames[:-1], frames[-1][:5]]),
    "a byte follows": lambda head, frames: joined(head, frames) + b"x",
    "a bit of the content is another": lambda head, frames: flipped(joined(head, frames), HEADER_BYTES + 7),
    "a bit of the last tag is another": lambda head, frames: flipped(
        joined(head, frames), -1 + len(joined(head, frames))
    ),
    "the prefix is another": lambda head, frames: joined(flipped(head, HEADER_BYTES - 1), frames),
    "a bit that means nothing is another": lambda head, frames: joined(flipped(head, 10), frames),
    "one is of another file": lambda head, frames: joined(
        head, [*frames[:-1], pieces(bytes(3 * SMALL + 10), b"another!")[1][-1]]
    ),
    "frames are said to be shorter": lambda head, frames: joined(header(b"prefix--", 2 * SMALL), frames),
    "no frame": lambda head, frames: head,
    "no header": lambda head, frames: head[:10],
    "another magic": lambda head, frames: joined(flipped(head, 0), frames),
    "a later version": lambda head, frames: joined(head[:8] + b"\x02" + head[9:], frames),
    "frames of 4 GiB": lambda head, frames: joined(head[:12] + b"\xff\xff\xff\xff" + head[16:], frames),
    "frames of nothing": lambda head, frames: joined(head[:12] + bytes(4) + head[16:], frames),
    "nothing": lambda head, frames: b"",
}


@pytest.mark.parametrize("touch", TOUCHED.values(), ids=TOUCHED)
def test_what_was_touched_is_refused(tmp_path: Path, touch: Touch) -> None:
    file = tmp_path / "m.onnx.sealed"
    head, frames = pieces(os.urandom(3 * SMALL + 10))
    file.write_bytes(joined(head, frames))
    assert len(unseal(file, key).content) == 3 * SMALL + 10
    file.write_bytes(touch(head, frames))
    with pytest.raises(ModelFailure, match=r"m\.onnx\.sealed: .*(does not open|no sealed file|version|frame)"):
        unseal(file, key)


def test_nothing_is_no_model(tmp_path: Path) -> None:
    head = header(b"prefix--", SMALL)
    (tmp_path / "m.onnx.sealed").write_bytes(head + Frames(library()(key()), head).make(b"", 0, last=True))
    with pytest.raises(ModelFailure, match="nothing is sealed in it"):
        unseal(tmp_path / "m.onnx.sealed", key)


class Watched:
    """An adapter that opens bytes, and counts how often it was given any."""

    name = "watched"
    formats = (".onnx",)
    opened = 0

    def open_bytes(self, artefact: Path, content: bytes, configuration: object) -> None:
        self.opened += 1


class FilesOnly:
    name = "files-only"


REFUSED = {
    "a command that prints something else": ("command:echo " + "f" * 63 + " 1", "printed no key"),
    "a variable that is not set": ("env:NO_SUCH_KEY", "NO_SUCH_KEY, which is to hold the key, is not set"),
    "a variable without a key": ("env:SHORT_KEY", "SHORT_KEY holds no key"),
    "a command that is not there": ("command:no-such-program-here", "cannot be started"),
    "a command that fails": (f"command:{sys.executable} -c 'import sys; sys.exit(3)'", "failed with exit code 3"),
    "a command that prints two lines": (f"command:{sys.executable} -c 'print(1); print(2)'", "printed 2 lines"),
    "a command that prints nothing": (f"command:{sys.executable} -c pass", "printed 0 lines"),
    "no source": ("file:/etc/passwd", "says where the key is found"),
}


@pytest.mark.parametrize(("source", "words"), REFUSED.values(), ids=REFUSED)
def test_a_key_that_cannot_be_had_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, words: str
) -> None:
    monkeypatch.setenv("SHORT_KEY", KEY[1:])
    (tmp_path / "m.onnx.sealed").write_bytes(joined(*pieces(b"x" * 10)))
    adapter = Watched()
    with pytest.raises(Unsupported, match=words) as caught:
        unsealed(adapter, {"artefact": str(tmp_path / "m.onnx.sealed"), "key_from": source})  # type: ignore[arg-type]
    assert KEY[1:] not in str(caught.value)
    assert "fffff" not in str(caught.value)
    assert adapter.opened == 0


def test_a_command_for_the_key_that_hangs_is_ended(tmp_path: Path) -> None:
    """With what it started: here the one that holds its output open."""
    told = tmp_path / "pid"
    script = f"import os, time; open({str(told)!r}, 'w').write(str(os.getpid())); os.fork(); time.sleep(600)"
    with pytest.raises(Unsupported, match="did not end within 2 s"):
        keys.key_from(f'command:{sys.executable} -c "{script}"', patience_s=2.0)
    if sys.platform == "linux" and told.is_file():  # on a slow machine it may have been ended before it began
        assert not Path(f"/proc/{told.read_text()}").exists()


def test_a_command_prints_the_key() -> None:
    assert keys.key_from(f"command:{sys.executable} -c \"print('{KEY[:32]}' * 2)\"") == key()


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "m.onnx.sealed").write_bytes(joined(*pieces(b"x" * 10)))
    with pytest.raises(ModelFailure, match="frame 1 of 1 does not open: the key is another one"):
        unseal(tmp_path / "m.onnx.sealed", lambda: bytes(32))


def test_a_runtime_that_reads_files_only_is_named_before_the_key_is_asked_for(tmp_path: Path) -> None:
    order = {"artefact": str(tmp_path / "not there.gguf.sealed"), "key_from": "env:NO_SUCH_KEY"}
    with pytest.raises(Unsupported, match="'files-only' opens models from files only"):
        unsealed(FilesOnly(), order)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "plain"), [("m.onnx.sealed", "m.onnx"), ("m.onnx", "m.onnx"), (".sealed", "")])
def test_a_sealed_file_has_the_name_of_what_is_in_it(name: str, plain: str) -> None:
    assert plain_name(name) == plain


@pytest.mark.parametrize(
    "source", [KEY, f"env:a{KEY[:63]}", f"command:echo {KEY}", "env:", "env:A B", "command:", "command:'"]
)
def test_a_suite_does_not_hold_a_key(source: str) -> None:
    variant = {"artefact": "m.onnx.sealed", "key_from": source}
    with pytest.raises(SuiteError, match=r"key_from: says where the key is found") as caught:
        suite_from_table({"models": {"m": {"variants": {"v": variant}}}})
    assert KEY[:60] not in str(caught.value)


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ({"artefact": "m.onnx.sealed"}, "m.onnx.sealed is sealed; say in a suite where its key is"),
        ({"artefact": "m.onnx", "key_from": "env:A"}, "m.onnx is none: leave it out"),
    ],
)
def test_a_sealed_artefact_and_its_key_go_together(variant: dict[str, str], words: str) -> None:
    with pytest.raises(SuiteError, match=words):
        suite_from_table({"models": {"m": {"variants": {"v": variant}}}})


@pytest.mark.parametrize(
    ("model", "out", "words"),
    [
        ("folder.onnx", "m.onnx.sealed", "one file is sealed"),
        ("none.onnx", "m.onnx.sealed", "no such file"),
        ("empty.onnx", "m.onnx.sealed", "is empty"),
        ("m.onnx", "m.onnx", r"call it ….onnx.sealed"),
        ("m.onnx", "m.tflite.sealed", r"call it ….onnx.sealed"),
        ("m.onnx", "nowhere/m.onnx.sealed", "No such file"),
        ("m.onnx.sealed", "n.onnx.sealed", "sealed already"),
    ],
)
def test_what_cannot_be_sealed_is_said(tmp_path: Path, model: str, out: str, words: str) -> None:
    (tmp_path / "folder.onnx").mkdir()
    for name in ("m.onnx", "m.onnx.sealed"):
        (tmp_path / name).write_bytes(b"there before")
    (tmp_path / "empty.onnx").touch()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match=words):
        seal(tmp_path / model, tmp_path / out, key_from="env:SEAL_KEY")
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "m.onnx.sealed").read_bytes() == b"there before"


def test_the_command_seals_and_says_what_is_wrong(benchharness: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"weights" * 100)
    words = ("seal", "m.onnx", "--out", "m.onnx.sealed", "--key-from")
    done = benchharness(*words, "env:SEAL_KEY")
    assert done.returncode == 0, done.stderr
    assert unseal(tmp_path / "m.onnx.sealed", key).content == b"weights" * 100
    refused = benchharness(*words, "env:NOT_SET")
    assert refused.returncode == 2
    assert "NOT_SET" in refused.stderr
    assert KEY not in done.stdout + done.stderr + refused.stderr
