"""Follows a cloud's answer as long as a policy has patience."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable

from benchharness.contract import STREAM_ENDS, StreamEnd, TextStream
from benchharness.device.scenarios.hybrid.policy import Patience
from benchharness.records import CloudEnd


@dataclass(frozen=True)
class Asked:
    """What came, when, and how it ended. ns of one clock."""

    stamps_ns: Sequence[int]
    text: str
    end: CloudEnd
    ended_ns: int
    detail: str = ""


def followed(stream: TextStream, patience: Patience, clock: Callable[[], int] = time.perf_counter_ns) -> Asked:
    """The answer up to its end, or up to the end of patience; the stream is closed then."""
    stamps: list[int] = []
    texts: list[str] = []

    def over(end: CloudEnd, moment_ns: int, detail: str = "") -> Asked:
        stream.close()
        return Asked(stamps, "".join(texts), end, moment_ns, detail)

    while True:
        came = stream.next(max(0, patience.until_ns - clock()) / 1e9)
        # What came in time counts, however late it is looked at; what came later does not.
        if came is None or came.stamp_ns >= patience.until_ns:
            now_ns = patience.until_ns if came is not None else max(clock(), patience.until_ns)
            why = patience.why(now_ns)
            assert why is not None
            return over(why, clock())
        if isinstance(came, StreamEnd):
            return over(CloudEnd(STREAM_ENDS.index(came.why)), clock(), came.detail)
        patience.came(came.stamp_ns)
        stamps.append(came.stamp_ns)
        texts.append(came.text)
