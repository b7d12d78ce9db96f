"""What is told to a device's shell, and a command's streams over a shell that keeps them together."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchharness.device.line import shell_frames
from benchharness.device.line.shell_frames import BEGIN, CLOSE_STDIN, EXIT, HEADER, STDERR, STDIN, STDOUT
from benchharness.errors import LaunchError
from benchharness.launch.shell import MARK, quoted, started

_WORDS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=6)
_SAYS_ARGUMENTS = "import sys;sys.stdout.buffer.write('\\0'.join(sys.argv[1:]).encode())"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no sh")
@settings(max_examples=40, deadline=None)
@given(_WORDS)
def test_every_argument_arrives_as_it_is(words: list[str]) -> None:
    text = started([sys.executable, "-I", "-X", "utf8", "-c", _SAYS_ARGUMENTS, *words])
    done = subprocess.run(["sh", "-c", text], stdout=subprocess.PIPE, check=True)
    assert done.stdout == MARK + b"\n" + "\0".join(words).encode()


@pytest.mark.parametrize(
    "word", ["$(id)", "`id`", "a b", "'", '"', "*", "~", "\n", ";id", "-n", "", "$HOME", "\\", "&"]
)
def test_no_argument_is_read_by_the_shell(word: str) -> None:
    assert subprocess.run(["sh", "-c", f"printf %s {quoted([word])}"], capture_output=True, check=True).stdout == (
        word.encode()
    )


@pytest.mark.parametrize("word", ["a\0b", "\udcff"])
def test_what_no_shell_can_be_told_is_refused(word: str) -> None:
    with pytest.raises(LaunchError, match="cannot be told to a shell"):
        quoted(["echo", word])


class Line(io.BytesIO):
    """What a host says, and then silence; or the end, where the line is cut."""

    def __init__(self, told: bytes, *, cut: bool) -> None:
        super().__init__(told)
        self._cut = cut

    def read(self, size: int | None = -1) -> bytes:
        if not (data := super().read(size)) and size and not self._cut:
            threading.Event().wait()
        return data


def framed(code: str, told: bytes = b"", *, cut: bool = False) -> tuple[bytes, bytes, int]:
    """Output, errors and exit code of a Python program that is started in frames."""
    said = io.BytesIO()
    shell_frames.run([sys.executable, "-c", code], Line(told, cut=cut), said)
    begin, _, rest = said.getvalue().partition(b"\n")
    assert begin == BEGIN
    streams = {STDOUT: b"", STDERR: b"", EXIT: b""}
    while rest:
        kind, size = HEADER.unpack(rest[: HEADER.size])
        streams[kind] += rest[HEADER.size : HEADER.size + size]
        rest = rest[HEADER.size + size :]
    return streams[STDOUT], streams[STDERR], streams[EXIT][0]


def test_frames_keep_output_errors_and_code_apart() -> None:
    code = "import sys; d = sys.stdin.read(); print(d); sys.stderr.write('E'); sys.exit(3)"
    told = HEADER.pack(STDIN, 3) + b"abc" + HEADER.pack(CLOSE_STDIN, 0)
    assert framed(code, told) == (b"abc\n", b"E", 3)


def test_standard_input_is_closed_by_the_byte_that_androids_shell_protocol_has_for_it() -> None:
    code = "import os, threading; threading.Timer(5, os._exit, [9]).start(); os.read(0, 2), os.read(0, 2); os._exit(0)"
    assert framed(code, b"\x00\x01\x00\x00\x00a\x04\x00\x00\x00\x00")[2] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
def test_a_signal_is_told_as_shells_tell_it_and_a_cut_line_hangs_up() -> None:
    assert framed("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")[2] == 128 + signal.SIGTERM
    assert framed("import time; time.sleep(60)", cut=True)[2] == 128 + signal.SIGHUP
