"""Leads a host to the detached supervisor of its run, and starts one where there is none.

`relay --work FOLDER --bundle FILE --lease SECONDS --holder TEXT`, as for a supervisor. It ends with the line; the
supervisor goes on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from benchharness.device import supervisor
from benchharness.device.line import protocol
from benchharness.device.line.hosts import knock

_CHUNK_BYTES = 1 << 16
#: What a supervisor says by the way, over all of its life: more is an old log's and goes.
_LONGEST_LOG_BYTES = 1 << 20


def main(arguments: Sequence[str] | None = None) -> None:
    """Carries bytes between standard streams and the supervisor's door, until either side ends."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = supervisor.parser().parse_args(arguments)
    os.umask(0o077)
    options.work.mkdir(parents=True, exist_ok=True)
    line = knock(options.work)
    if line is None:
        refusal = _start(options.work / "supervisor.log", arguments, options.bundle)
        line = None if refusal else knock(options.work)
        if line is None:
            sys.stdout.buffer.write(refusal)
            sys.stdout.buffer.flush()
            sys.exit(0 if refusal else "the supervisor was started, and nobody is behind its door")
    threading.Thread(target=_carry_in, args=(line,), daemon=True).start()
    _carry_out(line)
    os._exit(0)  # the other thread still waits for input


def _start(log: Path, arguments: Sequence[str], bundle: str) -> bytes:
    """Starts a supervisor that outlives this process and its line; what it says where it cannot serve."""
    program = [bundle, "supervisor"] if bundle.endswith(".pyz") else ["-m", "benchharness.device.supervisor"]
    with contextlib.suppress(OSError):
        if log.stat().st_size > _LONGEST_LOG_BYTES:
            log.unlink()
    with log.open("ab") as words:
        process = subprocess.Popen(
            [sys.executable, *program, *arguments, "--detached"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=words,
            start_new_session=True,
            preexec_fn=_unhang if hasattr(signal, "SIGHUP") else None,  # noqa: PLW1509 - one system call
        )
    stream: IO[bytes] | None = process.stdout
    assert stream is not None
    first = stream.readline(protocol.LONGEST_LINE_BYTES)
    stream.close()
    with contextlib.suppress(Exception):
        if protocol.decode(first)["type"] == "listening":
            return b""
    return first


def _unhang() -> None:
    """The end of a line hangs up on its session; not on this process."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _carry_in(line: socket.socket) -> None:
    while data := os.read(0, _CHUNK_BYTES):
        try:
            line.sendall(data)
        except OSError:
            break
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_WR)  # what the supervisor still says goes on until it closes the line


def _carry_out(line: socket.socket) -> None:
    while True:
        try:
            data = line.recv(_CHUNK_BYTES)
        except OSError:
            return
        if not data:
            return
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError:
            return


if __name__ == "__main__":
    main()
