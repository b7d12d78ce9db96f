"""Importing OpenVINO sends an event over the network from a thread that runs on beside what is measured: not here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SENDER = "openvino_telemetry"


@contextmanager
def without_telemetry() -> Iterator[None]:
    """What imports OpenVINO meanwhile takes its own stub for a sender that is not installed."""
    known = sys.modules.get(_SENDER)
    sys.modules[_SENDER] = None  # type: ignore[assignment]  # not to be found
    try:
        yield
    finally:
        del sys.modules[_SENDER]
        if known is not None:
            sys.modules[_SENDER] = known
