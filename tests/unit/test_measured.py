"""A measurement's value is the median of its samples, and finding it loads nothing into a measured process."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from benchharness.device.measured import measurement, median

ROOT = Path(__file__).parent.parent.parent
ASKED = """
import sys
from benchharness.device.measured import measurement
before = set(sys.modules)
measurement("steady_inference", {}, samples=[3, 1, 2])
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize("count", [1, 2, 3, 10, 11])
def test_it_is_the_standard_librarys_median(count: int) -> None:
    samples = [random.Random(count).random() for _ in range(count)]
    assert median(samples) == statistics.median(samples)
    assert measurement("steady_inference", {}, samples=samples)["value"] == statistics.median(samples)


def test_there_is_none_of_no_samples() -> None:
    with pytest.raises(ValueError, match="no samples"):
        median([])


def test_it_loads_nothing_that_would_stand_in_the_models_memory() -> None:
    done = subprocess.run([sys.executable, "-c", ASKED], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
