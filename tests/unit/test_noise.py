"""The noise probe on machines that are made up, and what is said about them."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchharness.device.noise import BLOCKS, Clocks, Work, probe
from benchharness.judge.noise import Verdict, judge

MS = 1_000_000
#: Two-sided 95 % quantiles of Student's t for 4 and 19 degrees of freedom, from a table.
T4, T19 = 2.7764, 2.0930


class Machine:
    """Clocks that move by the work only, and by 40 ns a reading. `duration_ns` knows the number of the iteration."""

    def __init__(self, duration_ns: Callable[[int], int], *, on_core: float = 1.0, reading_ns: int = 40) -> None:
        self._duration_ns = duration_ns
        self._on_core = on_core
        self._reading_ns = reading_ns
        self._wall_ns = self._cpu_ns = 0.0
        self._iterations = 0

    def wall_ns(self) -> int:
        self._wall_ns += self._reading_ns
        return round(self._wall_ns)

    def cpu_ns(self) -> int:
        return round(self._cpu_ns)

    def work(self) -> None:
        duration = self._duration_ns(self._iterations)
        self._wall_ns += duration
        self._cpu_ns += duration * self._on_core
        self._iterations += 1

    def probe(self, seconds: float = 2.0, root: Path = Path("/nowhere")) -> dict[str, Any]:
        found = probe(seconds, work=Work(self.work, "made up"), clocks=Clocks(self.wall_ns, self.cpu_ns), root=root)
        json.dumps(found, allow_nan=False)
        return found


def test_a_constant_machine_is_quiet() -> None:
    found = Machine(lambda _: MS).probe()
    noise = judge(found)
    assert noise.verdict is Verdict.QUIET
    assert noise.hint == ""
    assert 1990 <= found["iterations"] <= 2000
    assert found["median_ns"] == pytest.approx(MS, rel=1e-3)
    assert found["p99_over_median"] == found["max_over_median"] == 1
    assert found["timer_resolution_ns"] == 40
    assert found["two_clock_reads_ns"] == 80
    assert max(each.smallest_difference for each in noise.expectations) < 1e-6


def test_a_machine_that_is_twice_as_slow_in_half_the_blocks_is_very_noisy() -> None:
    found = Machine(lambda number: 2 * MS if number < 667 else MS).probe()
    noise = judge(found)
    assert noise.verdict is Verdict.VERY_NOISY
    assert "runs unevenly" in noise.hint
    assert found["waiting_share"] < 1e-3
    spread = math.log(2) / 2 * math.sqrt(20 / 19)  # ten blocks of 1 and ten of 2, but for one that holds both
    by_attempts = {each.attempts: each for each in noise.expectations}
    assert by_attempts[20].half_width == pytest.approx(math.expm1(T19 * spread / math.sqrt(20)), rel=0.02)
    assert by_attempts[5].smallest_difference == pytest.approx(math.expm1(T4 * spread * math.sqrt(2 / 5)), rel=0.02)


def test_short_bursts_disturb_a_long_request_and_not_the_median_of_many() -> None:
    chance = random.Random(7)
    found = Machine(lambda _: 8 * MS if chance.random() < 0.02 else MS).probe()
    short, _, _, long = judge(found).expectations
    assert short.of.startswith("the median of")
    assert long.of == "one request of 100 ms"
    assert short.smallest_difference < 1e-6
    assert long.smallest_difference > 0.02
    assert found["p99_over_median"] == pytest.approx(8, rel=0.01)


def test_waiting_for_a_core_is_noise_even_where_it_is_even() -> None:
    a_little, much = Machine(lambda _: MS, on_core=0.9).probe(), Machine(lambda _: MS, on_core=0.5).probe()
    assert a_little["waiting_share"] == pytest.approx(0.1, abs=0.001)
    assert judge(a_little).verdict is Verdict.NOISY
    assert judge(much).verdict is Verdict.VERY_NOISY
    assert "other programs" in judge(much).hint


def test_what_the_hypervisor_takes_is_told(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    stat = tmp_path / "proc/stat"
    stat.write_text("cpu  100 0 50 800 50 0 0 10 0 0\n")

    def duration_ns(number: int) -> int:
        # One core idles throughout; of the other's ticks one in five is stolen.
        stat.write_text(f"cpu  {100 + 4 * number} 0 50 {800 + 5 * number} 50 0 0 {10 + number} 0 0\n")
        return MS

    found = Machine(duration_ns).probe(root=tmp_path)
    noise = judge(found)
    assert found["steal_share"] == pytest.approx(0.2)
    assert noise.verdict is Verdict.NOISY
    assert "hypervisor gives the cores to others" in noise.hint


def test_unknown_steal_is_said_and_not_counted_as_none() -> None:
    found = Machine(lambda _: MS).probe()
    assert "/proc/stat" in found["steal_share"]["unknown"]
    assert "stole is unknown" in judge(found).reason


def test_a_short_probe_has_every_block_and_no_99th_percentile() -> None:
    found = Machine(lambda _: 100 * MS).probe(0.001)
    assert found["iterations"] == 5 * BLOCKS
    assert len(found["block_means_ns"]) == len(found["block_medians_ns"]) == len(found["block_cpu_means_ns"]) == BLOCKS
    assert found["p99_over_median"] == {"unknown": "100 iterations, and a 99th percentile needs 662"}


def test_a_clock_that_does_not_move_between_readings_has_no_known_step() -> None:
    found = Machine(lambda _: MS, reading_ns=0).probe()
    assert "one value" in found["timer_resolution_ns"]["unknown"]


def test_no_time_is_refused() -> None:
    for seconds in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="no time"):
            probe(seconds)


def made(difference: float, waiting: float = 0.0) -> dict[str, Any]:
    """A probe whose blocks let 20 attempts tell exactly this difference."""
    spread = math.log1p(difference) / math.sqrt(2) * math.sqrt(20) / T19
    step = spread / math.sqrt(20 / 19)
    blocks = [math.exp(step if number % 2 else -step) * MS for number in range(20)]
    return {
        "seconds": 2.0,
        "iterations": 2000,
        "median_ns": MS,
        "block_medians_ns": blocks,
        "block_means_ns": blocks,
        "waiting_share": waiting,
        "steal_share": 0.0,
    }


@pytest.mark.parametrize(
    ("difference", "waiting", "verdict"),
    [
        (0.0199, 0.0, Verdict.QUIET),
        (0.0201, 0.0, Verdict.NOISY),
        (0.0499, 0.0, Verdict.NOISY),
        (0.0501, 0.0, Verdict.VERY_NOISY),
        (0.001, 0.0499, Verdict.QUIET),
        (0.001, 0.05, Verdict.NOISY),
        (0.001, 0.25, Verdict.VERY_NOISY),
        (0.0501, 0.05, Verdict.VERY_NOISY),
    ],
)
def test_verdicts_change_where_they_are_documented_to(difference: float, waiting: float, verdict: Verdict) -> None:
    noise = judge(made(difference, waiting))
    assert noise.verdict is verdict
    assert (noise.hint == "") == (verdict is Verdict.QUIET)


def test_the_real_work_is_measured_consistently() -> None:
    found = probe(0.1)
    assert found["fastest_ns"] >= 300_000  # half a millisecond but for a clock that rose since it was chosen
    assert found["iterations"] >= 100
    mean = found["seconds"] * 1e9 / found["iterations"]
    assert sum(found["block_means_ns"]) / BLOCKS == pytest.approx(mean, rel=0.2)
    assert 0 <= found["waiting_share"] < 1
    assert found["fastest_ns"] <= found["median_ns"] <= found["median_ns"] * found["max_over_median"]
    assert found["work"].startswith("sha256 of ")
