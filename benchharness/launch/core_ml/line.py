"""The line to a device that is connected to this machine: a command is a process here that knows for whom it speaks."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Sequence
from typing import BinaryIO

from benchharness.contract.connected import CONNECTED_DEVICE
from benchharness.errors import LaunchError
from benchharness.launch.channel import Channel
from benchharness.launch.core_ml.route import CoreMLRoute

_WORDS_BYTES = 8192


class HereLine:
    """One device's. Nothing is held: every process is its channel's. No shell is in between, and nothing is quoted."""

    def __init__(self, route: CoreMLRoute) -> None:
        self._route = route

    def start(self, command: Sequence[str]) -> HereChannel:
        """Starts a command. Raises `LaunchError`."""
        try:
            return HereChannel(command, {**os.environ, CONNECTED_DEVICE: self._route.udid})
        except (OSError, subprocess.SubprocessError) as error:
            raise LaunchError(
                f"{self._route.text}: {command[0]} cannot be started on this machine ({error}); name one as 'python' "
                "in its profile"
            ) from error

    def close(self) -> None:
        """Nothing is held."""


class HereChannel(Channel):
    """A process of this machine, in a session of its own, so that Ctrl-C reaches the harness alone."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        super().__init__()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=self.inner,
                stdout=self.outer,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except BaseException:
            self._never_began()
            raise
        for descriptor in (self.inner, self.outer):  # they are the process's alone from now on
            os.close(descriptor)
        assert self._process.stderr is not None
        threading.Thread(target=self._watch, args=(self._process.stderr,), daemon=True).start()

    def _watch(self, stderr: BinaryIO) -> None:
        with contextlib.suppress(OSError), stderr:
            while words := os.read(stderr.fileno(), _WORDS_BYTES):
                self._says(words)
        self.code = self._process.wait()
        self._ended.set()

    def end(self) -> None:
        """Closes its streams; a process that does not end by that is told to."""
        with contextlib.suppress(OSError):
            self.stdin.close()
        with contextlib.suppress(OSError):
            self._process.terminate()
