"""A simulated runtime with a loop of its own, as engines, browsers and endpoints have.

A model file is JSON: `ttft_ns`, `gap_ns` (a token's time after the first), `chunk` (tokens that come at once),
`step_ns` (of its clock), `text` (whether prompts are text) and `lie` (what is wrong with its stamps). Tokens are due at
exact times by a clock of its own; the call lasts until the last one is due.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchharness.contract import (
    HARNESS_CLOCK,
    Availability,
    Configuration,
    EffectiveConfiguration,
    StampClock,
    TensorSpec,
    TokenStream,
)
from benchharness.errors import ModelFailure, Unsupported

VOCABULARY, CONTEXT = 50, 200
CLOCK = "the engine's clock"


class OwnLoop:
    name = "own-loop"
    formats: Sequence[str] = (".loop",)

    def availability(self) -> Availability:
        return Availability(available=True, version="1.0", accelerators=("engine",))

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[OwnLoopSession]:
        if configuration.accelerator not in (None, "engine"):
            raise Unsupported(f"no accelerator {configuration.accelerator!r}")
        for option in (*configuration.options, *configuration.accelerator_options):
            raise Unsupported(f"no option {option!r}")
        try:
            model = json.loads(Path(artefact).read_text(encoding="utf-8"))
            session = OwnLoopSession(**model)
        except (OSError, ValueError, TypeError) as error:
            raise ModelFailure(f"{artefact}: {error}") from error
        yield session


class OwnLoopSession:
    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()
    effective = EffectiveConfiguration(accelerators=("engine",), threads=None, runtime_version="1.0")
    context_length = CONTEXT

    def __init__(
        self, *, ttft_ns: int, gap_ns: int, chunk: int = 1, step_ns: int = 1, text: bool = False, lie: str = ""
    ) -> None:
        self._ttft_ns, self._gap_ns, self._chunk, self._lie = ttft_ns, gap_ns, chunk, lie
        self.takes_text = text
        self.vocabulary_size = None if text else VOCABULARY
        name = HARNESS_CLOCK if lie == "another clock" else CLOCK
        self.clock = StampClock(name, stamped_at="device", resolution_ns=step_ns)

    def run(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        raise Unsupported("no tensors")

    def generate(self, prompt: Sequence[int] | str, count: int) -> TokenStream:
        if isinstance(prompt, str) is not self.takes_text:
            raise Unsupported(f"a prompt is {'text' if self.takes_text else 'token ids'}")
        length = len(prompt.split()) if isinstance(prompt, str) else len(prompt)
        if length + count > CONTEXT:
            raise Unsupported(f"{length + count} tokens exceed the context of {CONTEXT}")
        began_ns = self._stamp(0)
        counts = [min(self._chunk, count - done) for done in range(0, count, self._chunk)]
        due, done = [], 0
        for covers in counts:
            done += covers
            due.append(self._ttft_ns + (done - 1) * self._gap_ns)
        called_ns = time.perf_counter_ns()
        stamps = [began_ns + self._stamp(at) for at in due]
        time.sleep(due[-1] / 1e9)
        while time.perf_counter_ns() - called_ns < due[-1]:
            pass
        first = sum(map(ord, prompt)) if isinstance(prompt, str) else sum(prompt)
        tokens = [(first + 7 * place) % VOCABULARY for place in range(count)]
        stream = TokenStream(length, began_ns, stamps, counts, tokens, " ".join(map(str, tokens)))
        return _lied(stream, self._lie) if count > 1 else stream

    def _stamp(self, at_ns: int) -> int:
        step = self.clock.resolution_ns
        return at_ns // step * step


def _lied(stream: TokenStream, lie: str) -> TokenStream:
    stamps = list(stream.stamps_ns)
    if lie == "backwards":
        stamps[-2:] = reversed(stamps[-2:])
    elif lie == "too long":
        stamps[-1] += 10**9
    elif lie == "one fewer":
        return replace(stream, stamps_ns=stamps[:-1], tokens_per_stamp=stream.tokens_per_stamp[:-1], tokens=None)
    return replace(stream, stamps_ns=stamps)
