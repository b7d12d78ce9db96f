"""An adapter that misbehaves as its model file says; an installed third-party adapter as far as the harness can see.

A model file holds words: when (`import` is not possible, so `load`, `run`) and what, such as `run segfault`.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchharness.contract import Availability, Configuration, EffectiveConfiguration, TensorSpec
from benchharness.errors import ModelFailure, Unsupported

VOCABULARY = 32


class Awkward:
    name = "awkward"
    formats = (".awkward",)

    def availability(self) -> Availability:
        return Availability(available=True, version="1.0", accelerators=("mood",))

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[AwkwardSession]:
        when, _, what = artefact.read_text().strip().partition(" ")
        taken = bytearray(int(what.split()[1]) * 2**20) if what.startswith("take") else b""
        if when == "load":
            misbehave(what)
        yield AwkwardSession(what if when == "run" else "", configuration)
        del taken


class AwkwardSession:
    vocabulary_size = VOCABULARY
    context_length = 4096

    def __init__(self, what: str, configuration: Configuration) -> None:
        self._what = what
        self._length = 0
        self._delay_s = float(configuration.options.get("delay_s", 0.0))
        self.inputs: Sequence[TensorSpec] = (TensorSpec("input_ids", "int64", (1, "sequence")),)
        self.outputs: Sequence[TensorSpec] = (TensorSpec("logits", "float32", (1, "sequence", VOCABULARY)),)
        accelerator = "something else" if what == "fallback" else configuration.accelerator or "mood"
        self.effective = EffectiveConfiguration(accelerators=(accelerator,), threads=1, cache="none")

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


def misbehave(what: str) -> None:
    if what == "segfault":
        ctypes.string_at(0)
    elif what == "abort":
        os.abort()
    elif what == "hang":
        time.sleep(3600)
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
