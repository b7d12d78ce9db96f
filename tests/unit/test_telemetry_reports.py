"""What people reported in public of histograms that came home from the field, made small: each has one right answer."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchharness.device.tally import HISTOGRAMS, NotATally, Tally, parse
from benchharness.telemetry.figures import devices_of
from benchharness.telemetry.received import read
from benchharness.telemetry.shares import quantile
from benchharness.telemetry.votes import Counted, Noise, counted
from tests.unit.field_samples import NOW, PERIOD, SeededNoise, device, with_times

EDGES = HISTOGRAMS["steady_inference"].edges


def test_counts_of_other_bins_are_never_added_place_by_place() -> None:
    """tsouza/cerberus issue 1546: positions were summed, one layout was picked, and the quantile was wrong."""
    ours = json.loads(with_times(1, [1e6]).text())
    older = json.loads(json.dumps(ours))
    older["counts"]["int4"]["model_ttft"] = older["counts"]["int4"]["model_ttft"][::2]
    with pytest.raises(NotATally, match="other bins"):
        parse(json.dumps(older).encode())
    renamed = {**ours, "schema": "benchharness-tally-0"}
    with pytest.raises(NotATally, match="read it with the benchharness of the version that wrote it"):
        parse(json.dumps(renamed).encode())


def test_a_bin_wider_than_all_that_is_in_it_gives_no_quantile() -> None:
    """spiceai/spiceai issue 12693: 11,925 requests of 0.28 ms read p50 50 ms and p99 99 ms, out of one bin to 100 ms.

    Here such times have bins; and of what is below the first bin's edge no number is made, but that edge is told.
    """
    drawn = np.random.default_rng(12693)
    times = 0.2755e6 * np.exp(0.2 * drawn.standard_normal(11_925))
    counts = np.bincount(np.searchsorted(EDGES, times), minlength=len(EDGES) + 1).tolist()
    for percent in (50, 95):
        found, truth = quantile(counts, EDGES, percent, 0.0), float(np.percentile(times, percent))
        assert found.low is not None
        assert found.high is not None
        assert found.low < truth <= found.high
        assert found.high / found.low < 1.45
    beneath = quantile([11_925] + [0] * len(EDGES), EDGES, 95, 0.0)
    assert (beneath.value, beneath.low, beneath.high) == (None, None, EDGES[0])


def test_nothing_at_all_is_an_answer_too_and_has_a_bin() -> None:
    """privcount/privcount issue 306: zeros were ignored, and what they were could not be told from noisy sums."""
    made = device(1)
    assert made.add("int4", "battery_drain", 0.0)
    assert made.add("int4", "memory_pressure", "none")
    assert made.counts["int4"]["battery_drain"][0] == 1
    (votes,) = counted([made], [("pixel-8", "int4", "battery_drain")]).values()
    assert votes[0] == 1


def test_a_total_of_noisy_bins_is_told_with_the_noise_of_all_of_them() -> None:
    """The same issue: a sum of bins sums their noise, which is not the noise of one."""
    widths = []
    for name in ("throttling", "session_end", "model_ttft"):
        bins = HISTOGRAMS[name].bins
        truth = [300 // bins] * bins
        hits = 0
        for seed in range(60):
            noisy = SeededNoise(seed)(truth, 3, Fraction(1))
            noise = Noise(scale=noisy.scale, epsilon="1", by="seeded")
            one = Counted(period=PERIOD, model="chat", counts={("p", "v", name): noisy.counts}, noise=noise)
            (told,) = devices_of(one)
            assert told.count.low is not None
            assert told.count.high is not None
            hits += told.count.low <= sum(truth) <= told.count.high
        assert hits >= 53, f"{name}: 95 % of 60 are 57, and fewer than 53 one in a hundred"
        widths.append(told.noise)
    assert widths == sorted(widths)
    assert widths[-1] > 3 * widths[0]


def test_a_report_that_is_retried_for_months_counts_once(tmp_path: Path) -> None:
    """privacysandbox/aggregation-service issue 26: clients that saw a timeout sent one report hundreds of times."""
    honest = [with_times(number, [1e8]) for number in range(30)]
    retried = with_times(99, [9e10])
    for number, tally in enumerate([*honest, *[retried] * 60]):
        (tmp_path / f"{number:04}.json").write_text(tally.text(), encoding="ascii")
    found = read([tmp_path], NOW)
    assert (len(found.tallies), found.repeated) == (31, 59)
    (votes,) = counted(found.tallies, [("pixel-8", "int4", "model_ttft")]).values()
    assert sum(votes) == 31
    assert sum(votes[-5:]) == 1


def test_one_client_with_a_million_events_is_one_client(tmp_path: Path) -> None:
    """mozilla/gcp-ingestion issue 1072: of one week's reports one client had sent over a million."""
    one = Tally.begin(PERIOD, "pixel-8", "chat")
    one.add("int4", "model_ttft", 9e10)
    one.counts["int4"]["model_ttft"] = [count * 1_000_000 for count in one.counts["int4"]["model_ttft"]]
    others = [with_times(number, [1e8]) for number in range(50)]
    (votes,) = counted([one, *others], [("pixel-8", "int4", "model_ttft")]).values()
    found = quantile(votes, HISTOGRAMS["model_ttft"].edges, 50, 0.0)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 1e8 <= found.high < 1.2e8
