"""An adapter that misbehaves as its model file says; an installed third-party adapter as far as the harness can see.

A model file holds words: when (`import` is not possible, so `load`, `run`) and what, such as `run segfault`. An
accelerator takes all of a model, or what `_PLACEMENTS` says; it refuses the model `run refused`. The words
`load leave daemon then raise` leave a process running (`LEFT`), and then do what `load raise` does. `close` alone
writes a file beside the model when its session is closed.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchharness.contract import (
    EXECUTION_DEVICE,
    EXECUTION_REFERENCE,
    FALLBACK_FAIL,
    Availability,
    Configuration,
    EffectiveConfiguration,
    Refusal,
    TensorSpec,
)
from benchharness.device.sensors.cgroup import memory_limit_bytes
from benchharness.errors import ModelFailure, Unsupported

VOCABULARY = 32
CPU = "mood"
LOST_NS = 5_000_000

#: Operators on the accelerator and on the CPU, by what the model file says.
_PLACEMENTS: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "whole": ({"MatMul": 5, "Softmax": 2}, {}),
    "partial": ({"MatMul": 5}, {"Gather": 2, "Cast": 1}),
    "refused": ({}, {"MatMul": 5, "Gather": 2, "Cast": 1}),
}


class Awkward:
    name = "awkward"
    formats = (".awkward",)

    def availability(self) -> Availability:
        return Availability(available=True, version="1.0", accelerators=(CPU,))

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[AwkwardSession]:
        when, _, what = artefact.read_text().strip().partition(" ")
        what = in_this_room(what)
        taken = bytearray(int(what.split()[1]) * 2**20) if what.startswith("take") else b""
        if when == "load":
            misbehave(what)
        if what == "refused" and configuration.accelerator and configuration.fallback == FALLBACK_FAIL:
            raise Unsupported(f"{configuration.accelerator} is asleep")
        placed = what in _PLACEMENTS or what == "unplaced"
        yield (PlacedSession if placed else AwkwardSession)(what if when == "run" else "", configuration)
        del taken
        if when == "close":
            artefact.with_suffix(".closed").touch()


class AwkwardSession:
    vocabulary_size = VOCABULARY
    context_length = 4096

    def __init__(self, what: str, configuration: Configuration) -> None:
        self._what = what
        self._length = 0
        self._delay_s = float(configuration.options.get("delay_s", 0.0))
        self.inputs: Sequence[TensorSpec] = (TensorSpec("input_ids", "int64", (1, "sequence")),)
        self.outputs: Sequence[TensorSpec] = (TensorSpec("logits", "float32", (1, "sequence", VOCABULARY)),)
        asked = configuration.accelerator
        refused = what == "refused" and asked is not None
        accelerator = "something else" if what == "fallback" else CPU if refused else asked or CPU
        self.effective = EffectiveConfiguration(
            accelerators=tuple(dict.fromkeys((accelerator, CPU))) if what in _PLACEMENTS else (accelerator,),
            threads=1,
            cache="none",
            execution=EXECUTION_REFERENCE if what == "reference" else EXECUTION_DEVICE,
            refusal=Refusal(f"{asked} is asleep", LOST_NS) if refused else None,
        )

    def run(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        raise ModelFailure("only tokens")

    def reset(self) -> None:
        self._length = 0

    def extend(self, tokens: Sequence[int]) -> Any:
        if self._what:
            misbehave(self._what)
        self._length += len(tokens)
        time.sleep(self._delay_s)
        logits = np.zeros(VOCABULARY, np.float32)
        if self._what == "nan":
            logits[3] = np.nan
        elif self._what != "zeros":
            logits[self._length % VOCABULARY] = 1.0
        return logits

    def decode(self, token: int) -> Any:
        return self.extend([token])


class PlacedSession(AwkwardSession):
    """One that tells where operators run, unless the model file says that it cannot."""

    def placement(self) -> Mapping[str, Mapping[str, int]]:
        if self._what == "unplaced":
            raise Unsupported("this release does not tell where operators run")
        on_accelerator, elsewhere = _PLACEMENTS[self._what]
        first = self.effective.accelerators[0]
        return {first: {**on_accelerator, **elsewhere}} if first == CPU else {first: on_accelerator, CPU: elsewhere}


def in_this_room(what: str) -> str:
    """`tight 64 hang` is `hang` where the group's memory limit is below 64 MiB, and nothing elsewhere."""
    if not what.startswith("tight"):
        return what
    _, mib, *then = what.split()
    limit = memory_limit_bytes()
    return " ".join(then) if isinstance(limit, int) and limit < int(mib) << 20 else ""


def page_in() -> None:
    """Touches a mapped file of 256 MiB, page by page."""
    with tempfile.TemporaryFile() as file:
        file.truncate(256 << 20)
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as pages:
            pages.madvise(mmap.MADV_RANDOM)
            for offset in range(0, len(pages), mmap.PAGESIZE):
                pages[offset]


#: What a test leaves behind where it is cut short ends by itself.
_LIFE_S = 300.0


def sleep() -> None:
    time.sleep(_LIFE_S)


def forked(then: Callable[[], object]) -> None:
    """A child that lives on, with every stream of its parent open."""
    if os.fork() == 0:
        then()
        os._exit(0)


def in_a_session() -> None:
    os.setsid()
    sleep()


def as_a_daemon() -> None:
    os.setsid()
    forked(sleep)


def moving() -> None:
    """Another process every few milliseconds: the one that was seen is gone."""
    os.setsid()
    ends = time.monotonic() + _LIFE_S
    while time.monotonic() < ends and os.fork() == 0:
        time.sleep(0.003)


def chatting() -> None:
    """Writes to whatever stream of its parent it finds, without end."""
    parent = os.getppid()
    while os.getppid() == parent:  # while that lives it would break the protocol, which is another outcome
        time.sleep(0.01)
    ends = time.monotonic() + _LIFE_S
    while time.monotonic() < ends:
        for stream in range(1, 16):
            try:
                os.set_blocking(stream, False)
                os.write(stream, b"x" * 4096)
            except OSError:
                continue


def stubborn() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    in_a_session()


def family() -> None:
    for _ in range(5):
        forked(in_a_session)


#: What may be left running.
LEFT: Mapping[str, Callable[[], None]] = {
    "fork": lambda: forked(sleep),
    "session": lambda: forked(in_a_session),
    "daemon": lambda: forked(as_a_daemon),
    "mover": lambda: forked(moving),
    "chatter": lambda: forked(chatting),
    "stubborn": lambda: forked(stubborn),
    "family": family,
    "thread": lambda: threading.Thread(target=sleep).start(),
}
_left: set[str] = set()


def leave(words: str) -> str:
    """Leaves something running, once in a process; what is to be done then."""
    kind, _, then = words.partition(" then ")
    if kind not in _left:
        _left.add(kind)
        LEFT[kind]()
    return then


_WITHOUT_END = {"hang": lambda: time.sleep(3600), "spin": lambda: None, "page-in": page_in}


def misbehave(what: str) -> None:
    while what.startswith("leave "):
        what = leave(what[len("leave ") :])
    if what == "segfault":
        ctypes.string_at(0)
    elif what == "abort":
        os.abort()
    elif what in _WITHOUT_END:
        while True:
            _WITHOUT_END[what]()
    elif what == "hang-holding-the-lock":
        ctypes.PyDLL(None).sleep(3600)
    elif what.startswith("exit"):
        os._exit(int(what.split()[1]))
    elif what == "raise":
        raise RuntimeError("a runtime's own error \x1b[31mwith colour\x1b[0m and <b>markup</b>")
    elif what == "refuse":
        raise Unsupported("this adapter does not feel like it")
    elif what == "memory":
        raise MemoryError("no room")
    elif what == "print":
        os.write(1, b'{"type":"measured"}\nnot the protocol\n')
        sys.stdout.flush()
    elif what == "flood":
        os.write(2, b"complaint " * 1_000_000)
