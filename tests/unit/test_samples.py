"""Samples that a store keeps: a list to whoever looks at them, and a summary beside them that says the same."""

from __future__ import annotations

import math
import shutil
import sqlite3
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchharness.errors import StoreError
from benchharness.judge.derive import derive
from benchharness.metrics import METRICS
from benchharness.results.result import Attempt, Measurement
from benchharness.results.samples import Kept, Summary, around, first, kept_percentile, least, mean, pack, summarized
from benchharness.results.store import Store
from tests.unit.made_up import attempt, job, measured

GOLDEN = Path(__file__).parent.parent / "golden"
#: Stores of every earlier schema: of a run of `benchharness run one.null two.null --attempts 3 --scenario steady`.
BEFORE = [
    GOLDEN / "store-0001.sqlite",
    GOLDEN / "store-0002.sqlite",
    GOLDEN / "store-0003.sqlite",
    GOLDEN / "earlier.sqlite",
]
FLOATS = st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64, min_value=-1e300, max_value=1e300))


def kept(samples: list[float]) -> Kept:
    return Kept(pack(samples), summarized(samples, {}), "the store")


@given(FLOATS)
def test_they_are_a_list_to_whoever_looks(samples: list[float]) -> None:
    found = kept(samples)
    assert found == samples
    assert samples == found
    assert found != [*samples, 1.0]
    assert (len(found), bool(found), list(found), found[::2]) == (len(samples), bool(samples), samples, samples[::2])
    assert np.asarray(found).tolist() == samples
    if samples:
        assert type(found[-1]) is float
        assert (found[-1], min(found), samples[0] in found) == (samples[-1], min(samples), True)


@given(FLOATS.filter(len))
def test_the_summary_says_what_the_samples_do(samples: list[float]) -> None:
    found = kept(samples)
    assert (first(found), least(found), around(found)) == (first(samples), least(samples), around(samples))
    assert mean(found) == mean(samples)
    middle = float(np.median(samples))
    assert around(samples)[0] == pytest.approx(middle, rel=1e-12, abs=1e-300)


def test_without_samples_nothing_is_known_but_that() -> None:
    assert summarized([], {}).count == 0
    assert math.isnan(summarized([], {}).least)
    assert kept([]) == []


def test_nothing_is_unpacked_before_somebody_looks() -> None:
    found = Kept(b"no samples", Summary(count=3, first=1.0, least=1.0, middle=2.0, deviation=1.0), "the store x")
    assert (len(found), first(found), least(found), around(found)) == (3, 1.0, 1.0, (2.0, 1.0))
    with pytest.raises(StoreError, match="the store x: samples cannot be unpacked"):
        found[0]


def test_other_samples_than_were_counted_are_refused() -> None:
    with pytest.raises(StoreError, match="2 samples stand where 3 were counted"):
        list(Kept(pack([1.0, 2.0]), Summary(count=3), "the store x"))


def drawn(count: int, scale: float, seed: int) -> list[float]:
    found: list[float] = (scale * np.random.default_rng(seed).lognormal(0, 0.2, count)).tolist()
    return found


def made(counts: list[int], *, scale: float = 1e6, slow: float = 1.0) -> list[Attempt]:
    attempts = []
    for round_, count in enumerate(counts):
        samples = drawn(count, scale, round_)
        samples[0] *= slow
        middle = float(np.median(samples))
        latencies = [measured(name, middle, samples) for name in ("itl", "steady_inference", "model_ttft")]
        itl = measured("itl", middle, drawn(count * 4, scale, round_), row_length=4, parameters={"output_tokens": 5})
        attempts.append(attempt(round_, *latencies, itl, measured("decode_rate", 3.0), id=f"{round_:036d}"))
    return attempts


@pytest.mark.parametrize(
    ("counts", "changes"),
    [
        ([1], {}),
        ([4, 5, 6], {}),
        ([63, 64], {}),
        ([130] * 5, {}),
        ([700, 662, 661], {}),
        ([7] * 5, {"slow": 1e3}),
        ([200] * 5, {"scale": 10.0}),
    ],
    ids=["one", "few", "nearly p90", "p95", "nearly p99", "slow first", "below the timer"],
)
def test_results_of_a_store_are_those_of_the_attempts_themselves(
    tmp_path: Path, counts: list[int], changes: dict[str, float]
) -> None:
    attempts = made(counts, **changes)
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    run = store.create_run(suite="s", digest="", suite_json="{}", hardware_json="{}", planned=[job()])
    for each in attempts:
        store.save_attempt(run, each)
    stored = store.attempts(run)
    store.close()
    assert all(isinstance(one.samples, Kept) for each in stored for one in each.measurements)
    (theirs,), (ours,) = derive([(job(), "")], attempts), derive([(job(), "")], stored)
    assert ours == theirs
    assert [str(each) for each in ours.warnings] == [str(each) for each in theirs.warnings]


@pytest.mark.parametrize("before", BEFORE, ids=lambda path: path.stem)
def test_a_store_of_before_is_summed_up_when_it_is_opened(before: Path, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    shutil.copy(before, path)
    store = Store(f"sqlite:///{path}")
    found = [
        (one.metric, one.samples)
        for run in store.list_runs()
        for each in store.attempts(run.id)
        for one in each.measurements
    ]
    store.close()
    assert any(len(samples) for _, samples in found)
    for metric, samples in found:
        assert isinstance(samples, Kept)
        unpacked = list(samples)
        summed_up = summarized(unpacked, samples.summary.percentiles)
        # No schema of before keeps the mean: it is asked of the samples.
        assert repr(samples.summary) == repr(replace(summed_up, mean=math.nan))
        assert not unpacked or mean(samples) == np.mean(unpacked)
        for percentile in METRICS[metric].percentiles if metric in METRICS else ():
            if unpacked and percentile == 50:
                assert kept_percentile(samples, percentile) == float(np.percentile(unpacked, percentile))


@pytest.mark.parametrize("before", BEFORE[:2], ids=lambda path: path.stem)
def test_one_damaged_attempt_keeps_no_store_from_opening(before: Path, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    shutil.copy(before, path)
    connection = sqlite3.connect(path)
    with connection:
        ((attempt_id,),) = connection.execute("SELECT attempt_id FROM measurements LIMIT 1").fetchall()
        for blob in (b"not zlib", zlib.compress(b"12345")):
            connection.execute("UPDATE measurements SET samples = ? WHERE attempt_id = ?", (blob, attempt_id))
    connection.close()
    store = Store(f"sqlite:///{path}")
    (run,) = store.list_runs()
    with pytest.raises(StoreError, match="damaged or not ours"):
        store.attempts(run.id)
    store.close()


def test_a_loaded_attempt_can_be_stored_again(tmp_path: Path) -> None:
    attempts = made([70, 70])
    for name in ("one", "two"):
        store = Store(f"sqlite:///{tmp_path / name}.db")
        run = store.create_run(suite="s", digest="", suite_json="{}", hardware_json="{}", planned=[job()])
        for each in attempts:
            store.save_attempt(run, each)
        attempts = store.attempts(run)
        store.close()
    assert attempts == made([70, 70])


def test_nan_comes_back_as_nan(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    run = store.create_run(suite="s", digest="", suite_json="{}", hardware_json="{}", planned=[job()])
    odd = Measurement(metric="tensor_error", parameters={}, value=0.0, samples=[math.nan, math.inf], row_length=2)
    store.save_attempt(run, attempt(0, odd))
    ((one,),) = (each.measurements for each in store.attempts(run))
    store.close()
    assert math.isnan(first(one.samples))
    assert math.isnan(one.samples[0])
    assert one.samples[1] == math.inf
