"""`powermetrics` itself on this Mac, where sudo asks for no password. A virtual Mac may have no powers to tell."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from benchharness.device.sensors.meters.powermetrics import PowerMetrics
from benchharness.device.sensors.readings import Unreadable

pytestmark = [
    pytest.mark.macos,
    pytest.mark.skipif(
        sys.platform != "darwin", reason="Core ML predicts on macOS only, and powermetrics is its system's"
    ),
]


def test_it_is_sampled_told_as_an_estimate_and_ended() -> None:
    try:
        meter = PowerMetrics(time.perf_counter_ns(), 60.0)
    except Unreadable as reason:
        pytest.skip(str(reason))
    until_s = time.monotonic() + 4
    while time.monotonic() < until_s:
        meter.look()
        time.sleep(0.1)
    meter.close()
    told = meter.described()
    if not told["found"]:
        assert "without a power" in told["reason"], told
        return
    assert "estimated by macOS and not measured" in told["source"]
    ((first, begin), *_, (last, end)) = next(iter(meter.channels().values()))
    watts = (end - begin) / (last - first) * 1e3
    assert 0 < watts < 500
    time.sleep(1.5)  # what sudo started ends with its output
    running = subprocess.run(["/usr/bin/pgrep", "-x", "powermetrics"], capture_output=True, check=False)
    assert running.stdout == b""
