"""Several requests at once, and an external meter beside a course, through the whole harness."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchharness import run
from benchharness.results.result import OutcomeKind, Result
from benchharness.scenarios.concurrent import by_number, by_place
from tests.conftest import ARTEFACTS
from tests.loopback_endpoint import serving

pytest.importorskip("onnxruntime", reason="NOT TESTED: onnxruntime is not installed")


def result_of(
    tmp_path: Path,
    artefact: Path,
    runtime: str,
    scenarios: Mapping[str, Any],
    on: str = "this-machine",
    **more: Any,
) -> Result:
    suite = {
        "models": {"demo": {"variants": {"int8": {"artefact": str(artefact)}}}},
        "configurations": [{"runtime": runtime}],
        "scenarios": dict(scenarios),
        "attempts": {"at_least": 1, "at_most": 1},
        **more,
    }
    (found,) = run(suite, on=on, store=f"sqlite:///{tmp_path}/store.db").results
    return found


def test_a_model_answers_several(tmp_path: Path) -> None:
    found = result_of(
        tmp_path,
        ARTEFACTS / "onnx-int8",
        "onnxruntime",
        {"concurrent": {"at_once": [1, 3], "repeats": 2}},
        workloads=[{"name": "short", "prompt": {"tokens": 24}, "output_tokens": 12}],
    )
    assert found.outcome.kind is OutcomeKind.OK, found.outcome
    whole, first = by_number(found, "throughput"), by_place(found, "concurrent_ttft")
    assert set(whole) == {1, 3}
    assert set(first) == {(1, 1), (3, 1), (3, 2), (3, 3)}
    assert set(by_place(found, "concurrent_decode_rate")) == set(first)
    values = [first[3, place].estimate.value or 0 for place in (1, 2, 3)]
    assert 0 < values[0] <= values[1] <= values[2]
    assert found.effective.of_scenario("concurrent")["prompts"] == "one of its own in each"
    assert "3 requests at once get" in found.told[0]


def test_an_endpoint_answers_several(tmp_path: Path) -> None:
    with serving() as endpoint:
        endpoint.pause_s = 0.02
        (tmp_path / "some.endpoint").write_text(endpoint.file(), encoding="utf-8")
        found = result_of(
            tmp_path,
            tmp_path / "some.endpoint",
            "cloud",
            {"concurrent": {"at_once": [1, 4], "repeats": 2}},
            workloads=[{"name": "short", "prompt": {"text": "hello"}, "output_tokens": 8}],
        )
    assert found.outcome.kind is OutcomeKind.OK, found.outcome
    whole = {number: metric.estimate.value or 0 for number, metric in by_number(found, "throughput").items()}
    assert whole[4] > 1.5 * whole[1], "its answers overlap"


def test_a_runtime_that_answers_one_at_a_time_says_so(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="NOT TESTED: ai-edge-litert is not installed")
    found = result_of(tmp_path, ARTEFACTS / "tflite-int8", "tflite", {"concurrent": {"at_once": 2}})
    assert found.outcome.kind is OutcomeKind.UNSUPPORTED
    assert "answer one request at a time" in found.outcome.reason


@contextmanager
def metered(path: Path, watts: float) -> Iterator[None]:
    """A program that reads a meter ten times a second, by a clock of its own."""
    over = threading.Event()

    def write() -> None:
        with path.open("a", encoding="utf-8") as file:
            while not over.wait(0.1):
                file.write(f"{time.monotonic() * 1000 + 5e6:.1f};{watts}\n")
                file.flush()

    path.write_text("ms;W\n")
    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(("told", "known"), [(7.5, True), (7500.0, False)])
def test_a_meter_beside_a_course(told: float, known: bool, tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_text(
        f"""name = "bench"
[meter]
file = "{tmp_path / "meter.csv"}"
of = "wall plug"
time_unit = "ms"
unit = "W"
between = ["1 W", "60 W"]
""",
        encoding="utf-8",
    )
    with metered(tmp_path / "meter.csv", told):
        found = result_of(
            tmp_path,
            ARTEFACTS / "onnx-int8",
            "onnxruntime",
            {"sustained": {"duration": "2 s", "entry_gate": "0 s"}},
            on=str(tmp_path / "bench.toml"),
        )
    assert found.outcome.kind is OutcomeKind.OK, found.outcome
    metrics = {each.name: each for each in found.metrics}
    energy = metrics["energy_per_inference"]
    if not known:
        assert energy.estimate.value is None
        assert "it tells 7500 W, and the profile says 1 to 60 W" in energy.estimate.reason
        return
    (course,) = found.courses
    windows = [window for window in course.windows if window.watts is not None]
    assert len(windows) > len(course.windows) / 2
    assert [window.watts for window in windows] == pytest.approx([7.5] * len(windows))
    expected = 7.5 * sum(window.end_s - window.start_s for window in windows) / sum(each.inferences for each in windows)
    assert energy.estimate.value == pytest.approx(expected)
    assert energy.parameters == {"of": "external meter: wall plug"}
    assert (metrics["energy_per_answer"].estimate.value or 0) > (energy.estimate.value or 0)
    sensors = found.conditions.sensors
    assert sensors["external meter"]["found"] is True
    assert sensors["powermetrics"] == {"found": False, "reason": "told by macOS only"}
