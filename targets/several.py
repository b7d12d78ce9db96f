"""Several requests at once by threads, for runtimes whose calls may overlap."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable

from benchharness.contract import TokenStream

if TYPE_CHECKING:
    from benchharness.contract import LanguageSession


def in_threads(answers: Sequence[Callable[[], TokenStream]]) -> list[TokenStream]:
    """What each gives, all begun together in a thread of their own. Raises what the first of them raised."""
    found: dict[int, TokenStream] = {}
    failed: dict[int, BaseException] = {}
    ready = threading.Barrier(len(answers))

    def work(number: int, answer: Callable[[], TokenStream]) -> None:
        try:
            ready.wait()
            found[number] = answer()
        except BaseException as error:  # raised again in the caller's thread
            failed[number] = error

    threads = [threading.Thread(target=work, args=each, daemon=True) for each in enumerate(answers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[min(failed)]
    return [found[number] for number in range(len(answers))]


def greedy(session: LanguageSession, prompt: Sequence[int], count: int) -> TokenStream:
    """The greedy answer of a session, stamped as its tokens are chosen."""
    clock = time.perf_counter_ns
    session.reset()
    began_ns = clock()
    chosen = [int(session.extend(prompt).argmax())]
    stamps_ns = [clock()]
    while len(chosen) < count:
        chosen.append(int(session.decode(chosen[-1]).argmax()))
        stamps_ns.append(clock())
    return TokenStream(len(prompt), began_ns, stamps_ns, [1] * count, tokens=chosen)
