"""ONNX Runtime on a core that can be made slower while it works: what heat does to a core, without heat.

Option `dilation` names a file of three numbers that whoever made it shares with the session: by which share each step
is to take longer (0: not at all), CPU ns that steps took, and CPU ns that were added to them. Option `more_bytes` is
what the session holds beside its own.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchharness.contract import Availability, Configuration, LanguageSession
from benchharness.errors import Unsupported
from targets.onnx_runtime import OnnxRuntime

if TYPE_CHECKING:
    from benchharness.contract import Array

SHARE, WORKED, ADDED = range(3)
#: Bytes of the shared file: three doubles.
SIZE = 24

Made = TypeVar("Made")


@contextmanager
def shared_numbers(path: Path) -> Iterator[memoryview[float]]:
    """The three numbers of a file of `SIZE` bytes, as doubles that both sides read and write."""
    with (
        path.open("r+b") as file,
        mmap.mmap(file.fileno(), SIZE) as mapped,
        memoryview(mapped) as whole,
        whole.cast("d") as numbers,
    ):
        yield numbers


class DilatedOnnx:
    """The adapter."""

    name = "dilated-onnx"
    formats: Sequence[str] = OnnxRuntime.formats

    def __init__(self) -> None:
        self._adapter = OnnxRuntime()

    def availability(self) -> Availability:
        """ONNX Runtime's."""
        return self._adapter.availability()

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[DilatedSession]:
        """Loads a language model. Raises `Unsupported` for another kind, or without the option."""
        options = dict(configuration.options)
        try:
            path = Path(options.pop("dilation"))
        except KeyError:
            raise Unsupported("dilated-onnx: option 'dilation' names no file") from None
        held = bytearray(b"\1") * int(options.pop("more_bytes", 0))  # written to: it is resident
        inner = replace(configuration, runtime=self._adapter.name, options=options)
        with self._adapter.open(artefact, inner) as session, shared_numbers(path) as numbers:
            if not isinstance(session, LanguageSession):
                raise Unsupported("dilated-onnx: language models only")
            yield DilatedSession(session, numbers)
        del held


class DilatedSession:
    """A language session whose every step can be made longer, by CPU time of the calling thread."""

    def __init__(self, session: LanguageSession, numbers: memoryview[float]) -> None:
        self._session = session
        self._numbers = numbers
        self.inputs = session.inputs
        self.outputs = session.outputs
        self.effective = session.effective
        self.vocabulary_size = session.vocabulary_size
        self.context_length = session.context_length

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One inference on raw inputs, as ONNX Runtime does it."""
        return self._session.run(inputs)

    def reset(self) -> None:
        """Empties the cache."""
        self._session.reset()

    def extend(self, tokens: Sequence[int]) -> Array:
        """Appends tokens; the logits of the next one."""
        return self._dilated(self._session.extend, tokens)

    def decode(self, token: int) -> Array:
        """Appends one token; the logits of the next one."""
        return self._dilated(self._session.decode, token)

    def _dilated(self, step: Callable[[Any], Made], argument: Any) -> Made:
        numbers = self._numbers
        share = numbers[SHARE]
        if not share:
            return step(argument)
        clock = time.thread_time_ns
        start = clock()
        made = step(argument)
        worked = clock() - start
        until = start + worked * (1 + share)
        while (now := clock()) < until:
            pass
        numbers[WORKED] += worked
        numbers[ADDED] += now - start - worked
        return made
