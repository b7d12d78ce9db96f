"""Unloads a model and comes back to a conversation: alone, and beside what a foreground application does.

In one process, as an application that frees its model in the background: what stays of its memory is what the runtime
keeps. Coming back is loading, and reading again what had been said. The page cache still has the model's files.
"""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness.contract import Configuration, FindsTokenizer, LanguageSession
from benchharness.device import adapters
from benchharness.device.hogs import Hog
from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.measured import measurement
from benchharness.device.opening import opened
from benchharness.device.scenarios.conversation.turns import read_turns, tokens_of
from benchharness.device.sensors import memory
from benchharness.device.sensors.readings import Unreadable
from benchharness.device.timing import quiet_collector
from benchharness.errors import Unsupported

if TYPE_CHECKING:
    from benchharness.device.line.orders import Order

NOTHING = "nothing"


def conduct(order: Order, progress: Callable[[str, int, int], None], bundle: str | None = None) -> dict[str, Any]:
    """Loads, answers, unloads, and comes back once for each load beside it."""
    made = _Returning(order)
    beside: Sequence[str] = order["settings"]["background"]
    progress("load", 0, len(beside) + 2)
    made.first()
    found = made.unloaded()
    not_made = {}
    for number, kind in enumerate((NOTHING, *beside), start=1):
        progress(f"back beside {kind}"[:40], number, len(beside) + 2)
        try:
            with _load(kind, bundle):
                found += made.back(kind)
        except Unreadable as error:
            not_made[kind] = str(error)
    return {
        "type": "measured",
        "task": "causal-lm",
        "python": platform.python_version(),
        "measurements": found,
        "effective": {"read_again": made.read_again, "background_unknown": not_made},
    }


@contextmanager
def _load(kind: str, bundle: str | None) -> Iterator[None]:
    if kind == NOTHING:
        yield
        return
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    with Hog(kind, cores[0] if cores else None, bundle=bundle):
        yield


class _Returning:
    def __init__(self, order: Order) -> None:
        self._adapter = adapters.load(order["adapter"])
        self._order = order
        self._configuration = Configuration(runtime=order["adapter"], task=order["task"], **order["configuration"])
        self._turns = read_turns(Path(order["settings"]["file"]))
        named = order.get("tokenizer")
        path = None if named is None else Path(named)
        if path is None and isinstance(self._adapter, FindsTokenizer):
            path = self._adapter.tokenizer(Path(order["artefact"]))
        if path is not None and order.get("tried"):
            raise Unsupported(order["tried"])
        self._tokenizer = None if path is None else Tokenizer(path)
        self._loaded_bytes = 0
        self.read_again = 0

    def first(self) -> None:
        """Loads, and answers the first turn."""
        with opened(self._adapter, self._order, self._configuration) as session:
            if not isinstance(session, LanguageSession):
                raise Unsupported("coming back needs a model whose cache the harness fills")
            told = tokens_of(self._turns, session.vocabulary_size, self._tokenizer)
            whole = [token for turn in told for token in (*turn.said, *turn.answer)]
            # What had been said, the newest that fits, with room for one token more.
            self._history = whole[-(session.context_length - 1) :]
            self.read_again = len(self._history)
            session.reset()
            int(session.extend(list(told[0].said)).argmax())
            self._loaded_bytes = memory.read().settled.get("rss", 0)

    def unloaded(self) -> list[dict[str, Any]]:
        """What is left of it."""
        gc.collect()
        left = memory.read().settled.get("rss", 0)
        if not left or not self._loaded_bytes:
            return []
        return [
            measurement("loaded_memory", {}, self._loaded_bytes),
            measurement("unloaded_memory", {}, left),
        ]

    def back(self, beside: str) -> list[dict[str, Any]]:
        """Loads again and reads what had been said, up to the first token."""
        with quiet_collector():
            began = time.perf_counter_ns()
            with opened(self._adapter, self._order, self._configuration) as session:
                assert isinstance(session, LanguageSession)
                loaded = time.perf_counter_ns()
                session.reset()
                int(session.extend(list(self._history)).argmax())
                first = time.perf_counter_ns()
        of = {"beside": beside}
        return [
            measurement("return_load", of, loaded - began),
            measurement("return_ttft", of, first - began),
        ]
