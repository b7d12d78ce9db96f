"""Sessions for real: windows, paces, pauses, the entry gate, and what becomes of a session that does not end well.

Nothing here depends on how fast the machine is, or on how busy: only on counts, stamps and outcomes.
"""

from __future__ import annotations

import itertools
import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchharness.launch.bundle import write_bundle
from benchharness.records import SUSTAINED_WINDOW
from benchharness.results.courses import SessionState
from benchharness.results.result import Attempt, Measurement, Result
from benchharness.results.store import Store
from benchharness.scenarios import SCENARIOS
from benchharness.suite.tables import Suite, check_suite
from tests.conftest import ARTEFACTS, ROOT, CommandLine
from tests.integration.awkward_run import Background, awkward_suite, python_path, wait_until
from tests.integration.conftest import Bench
from tests.integration.test_protocol_conformance import Conversation, instructions

DIGITS = ROOT / "examples" / "digits" / "artefacts"
#: Windows of 200 ms, so that a short session has several.
SHORT = {"duration": "2 s", "window": "200 ms", "entry_gate": "0 s"}
LONG = "duration = '600 s'\nentry_gate = '0 s'"
#: A model that shows when it is asked something: by a process that it starts then.
TELLING = "run leave session"
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


class Sessions(Bench):
    """Runs of scenarios given as a suite gives them."""

    def suite(self, artefacts: Sequence[Path], **given: Any) -> Suite:
        runtime = given.get("runtime", "awkward")
        configuration = {"runtime": runtime, "threads": 1 if runtime != "awkward" else None}
        workload = {"prompt": {"tokens": 8}, "output_tokens": given.get("output_tokens", 16)}
        table: dict[str, Any] = {
            "name": "sessions",
            "models": {"m": {"variants": {path.stem: {"artefact": path} for path in artefacts}}},
            "configurations": [{**configuration, "options": given.get("options", {})}],
            "workloads": [workload if given.get("language", True) else {}],
            "attempts": {"at_least": given.get("attempts", 1), "timeout": given.get("timeout", "120 s")},
            "scenarios": given["scenarios"],
        }
        return check_suite(table, where="test")

    def session(self, artefact: Path, *, changes: Mapping[str, Any] | None = None, **given: Any) -> Result:
        (result,) = self.run([artefact], scenarios={"sustained": {**SHORT, **(changes or {})}}, **given)
        return result

    def attempts(self) -> list[Attempt]:
        return self.store.attempts(self.run_id)


@pytest.fixture
def sessions(bench: Bench, tmp_path: Path, store_url: str) -> Iterator[Sessions]:
    made = Sessions(tmp_path, store_url)
    yield made
    made.store.close()


def rows_of(attempt: Attempt) -> list[dict[str, float]]:
    """The windows as they were reported."""
    (found,) = [each for each in attempt.measurements if each.metric == "sustained_window"]
    return [row._asdict() for row in SUSTAINED_WINDOW.rows(found.samples)]


def readings_of(attempt: Attempt) -> dict[str, Measurement]:
    return {str(each.parameters["channel"]): each for each in attempt.measurements if each.metric == "sensor_reading"}


def check_windows(rows: Sequence[Mapping[str, float]], duration_s: float) -> None:
    """They follow each other closely, and cover the time that was asked for."""
    for sooner, later in itertools.pairwise(rows):
        assert sooner["end"] <= later["start"] < sooner["end"] + 5e9
    assert rows[-1]["end"] - rows[0]["start"] >= 0.7 * duration_s * 1e9
    for row in rows:
        assert 0 < row["busy"] <= row["end"] - row["start"]
        assert row["least_wall"] <= row["p50_wall"] <= row["most_wall"]
        assert row["inferences"] >= 1


def test_a_session_of_the_demo_model(sessions: Sessions) -> None:
    result = sessions.session(ARTEFACTS / "onnx-fp32", runtime="onnxruntime", attempts=2)
    assert result.outcome.ok, result.outcome
    assert len(result.courses) == 2
    for course, attempt in zip(result.courses, sessions.attempts(), strict=True):
        rows = rows_of(attempt)
        check_windows(rows, 2.0)
        assert course.unit == "tokens/s"
        assert len(course.windows) == len(rows)
        assert all(window.rate > 0 for window in course.windows)
        assert course.evidence
        requests = sum(row["requests"] for row in rows)
        assert sum(row["inferences"] for row in rows) == 15 * requests, "a token fewer than each answer has"
        assert all(row["ttft"] > 0 for row in rows)
    found = {metric.name for metric in result.metrics}
    assert {"burst_decode_rate", "settled_decode_rate", "retention", "time_to_loss", "energy_per_inference"} <= found


@LINUX
def test_what_the_device_did_meanwhile_is_told_or_why_not(sessions: Sessions) -> None:
    result = sessions.session(ARTEFACTS / "onnx-fp32", runtime="onnxruntime")
    (attempt,) = sessions.attempts()
    told = attempt.conditions.sensors
    for name, sensor in told.items():
        assert sensor["source"] if sensor["found"] else sensor["reason"], name
    readings = readings_of(attempt)
    assert "waiting" in told
    (course,) = result.courses
    assert course.sensors_unknown.keys() == {name for name, sensor in told.items() if not sensor["found"]}
    assert course.sensors.keys() == readings.keys()
    for each in readings.values():
        moments = each.samples[::2]
        assert list(moments) == sorted(set(moments))
        assert moments[-1] <= attempt.duration_ns
    if told["waiting"]["found"]:
        known = [window for window in course.windows if window.wait_share is not None]
        assert len(known) > len(course.windows) / 2
        assert all(0 <= window.wait_share <= 1 for window in known if window.wait_share is not None)


@LINUX
def test_looks_go_on_beside_a_model_of_many_requests(sessions: Sessions) -> None:
    """Progress is told now and then, not with every request: a supervisor that listens has no time to look."""
    sessions.session(sessions.model("fine"))
    assert sessions.observer.phases.count("session (s)") < 60
    (attempt,) = sessions.attempts()
    rows, readings = rows_of(attempt), readings_of(attempt)
    assert sum(row["requests"] for row in rows) > 500
    (timeline,) = [each for each in attempt.measurements if each.metric == "memory_timeline"]
    for moments in (timeline.samples[::2], readings["ran_ns"].samples[::2]):
        inside = [moment for moment in moments if rows[0]["start"] <= moment <= rows[0]["start"] + 1e9]
        assert len(inside) >= 2, "within the first second"


def test_another_scenario_reads_no_sensors_over_time(sessions: Sessions) -> None:
    sessions.run([sessions.model("fine")], scenarios={"steady": {"min_time": "1 ms"}})
    (attempt,) = sessions.attempts()
    assert not attempt.conditions.sensors
    assert not readings_of(attempt)


def busy_share(rows: Sequence[Mapping[str, float]]) -> float:
    return sum(row["busy"] for row in rows) / (rows[-1]["end"] - rows[0]["start"])


def test_requests_begin_as_often_as_asked(sessions: Sessions) -> None:
    result = sessions.session(sessions.model("fine"), changes={"every": "250 ms", "duration": "3 s"})
    (attempt,) = sessions.attempts()
    rows = rows_of(attempt)
    requests = sum(row["requests"] for row in rows)
    assert 3 <= requests <= 12, "twelve in three seconds, fewer where the machine was late"
    assert result.job.title.endswith("sustained every 250 ms")
    assert len(result.courses[0].windows) == len(rows)


@pytest.mark.parametrize("duty", [0.5, 0.2])
def test_a_duty_keeps_the_device_busy_for_its_share(sessions: Sessions, duty: float) -> None:
    """A request sleeps 5 ms a token: how long it takes does not depend on the neighbours."""
    changes = {"duty": duty, "duration": "3 s"}
    sessions.session(sessions.model("fine"), changes=changes, options={"delay_s": 0.005})
    (attempt,) = sessions.attempts()
    rows = rows_of(attempt)
    # the last request's pause is left out, and a pause may be longer where the core is taken
    assert 0.4 * duty <= busy_share(rows) <= 1.3 * duty


def test_a_pause_that_nothing_follows_is_not_waited_for(sessions: Sessions) -> None:
    began_s = time.monotonic()
    result = sessions.session(sessions.model("fine"), changes={"every": "5 min", "duration": "1 s"}, timeout="600 s")
    assert result.outcome.ok
    assert time.monotonic() - began_s < 250
    (course,) = result.courses
    assert (len(course.windows), course.state, course.retention) == (1, SessionState.UNKNOWN, None)


def test_a_session_shorter_than_a_window_has_one(sessions: Sessions) -> None:
    changes = {"duration": "300 ms", "window": "10 s", "window_inferences": 1_000_000}
    result = sessions.session(sessions.model("fine"), changes=changes)
    (course,) = result.courses
    assert len(course.windows) == 1
    assert "too few" in course.evidence[0]


def test_a_tensor_model_has_inferences(sessions: Sessions) -> None:
    artefact = DIGITS / "fp32.onnx"
    result = sessions.session(artefact, runtime="onnxruntime", language=False)
    assert result.outcome.ok, result.outcome
    (course,) = result.courses
    assert course.unit == "inferences/s"
    (attempt,) = sessions.attempts()
    rows = rows_of(attempt)
    check_windows(rows, 2.0)
    assert all(row["requests"] == row["inferences"] and row["ttft"] == 0 for row in rows)
    assert {"burst_inference_rate", "settled_inference_rate"} <= {metric.name for metric in result.metrics}


def test_a_session_is_held_against_the_steady_result_of_its_run(sessions: Sessions) -> None:
    session = {**SHORT, "duration": "2 s", "window": "50 ms"}  # 20 windows of baseline, and some after it
    scenarios = {"sustained": session, "steady": {"min_time": "1 ms"}}
    results = sessions.run([sessions.model("fine")], scenarios=scenarios, attempts=2)
    by_scenario = {result.job.scenario: {metric.name: metric for metric in result.metrics} for result in results}
    kept = by_scenario["sustained"]["retention_of_steady"].estimate
    settled = by_scenario["sustained"]["settled_decode_rate"].estimate.value
    cool = by_scenario["steady"]["decode_rate"].estimate.value
    assert settled is not None
    assert cool is not None
    assert kept.value == pytest.approx(settled / cool)
    assert kept.low is not None
    assert "retention_of_steady" not in by_scenario["steady"]


def test_a_reference_execution_has_no_times(sessions: Sessions) -> None:
    result = sessions.session(sessions.model("run reference"), changes={"duration": "30 min"}, timeout="120 s")
    assert result.outcome.ok
    assert not result.courses
    (attempt,) = sessions.attempts()
    assert not attempt.measurements


@pytest.mark.parametrize(
    ("words", "kind", "reason"),
    [
        ("run segfault", "crashed", "SIGSEGV"),
        ("run nan", "invalid", "1 of 32 logits are NaN"),
        ("run exit 3", "crashed", "exit code 3"),
        ("load refuse", "unsupported", "does not feel like it"),
    ],
)
def test_a_session_that_fails_is_an_outcome(sessions: Sessions, words: str, kind: str, reason: str) -> None:
    result = sessions.session(sessions.model(words))
    assert result.outcome.kind == kind
    assert reason in result.outcome.reason
    assert not result.courses


def test_a_session_that_hangs_meets_its_limit(sessions: Sessions) -> None:
    result = sessions.session(sessions.model("run hang"), changes={"duration": "1 s"}, timeout="2 s")
    assert result.outcome.kind == "timeout"
    assert "no result within 3 s" in result.outcome.reason, "the session's own second is no delay"


def test_an_answer_of_one_token_is_unsupported(sessions: Sessions) -> None:
    result = sessions.session(sessions.model("fine"), output_tokens=1)
    assert result.outcome.kind == "unsupported"
    assert "ask for 2 or more" in result.outcome.reason


def test_what_follows_every_pause_is_measured(sessions: Sessions) -> None:
    scenario = {"min_time": "1 ms", "think_time": ["0 s", "50 ms", "200 ms"], "think_repeats": 3}
    (result,) = sessions.run([sessions.model("fine")], scenarios={"steady": scenario})
    (attempt,) = sessions.attempts()
    after = [each for each in attempt.measurements if each.metric.endswith("_after_pause")]
    pauses = {(each.metric, each.parameters["pause_s"]): len(each.samples) for each in after}
    names = ("decode_rate_after_pause", "ttft_after_pause")
    assert pauses == {(name, pause): 3 for name in names for pause in (0.0, 0.05, 0.2)}
    shown = {metric.name for metric in result.metrics}
    assert set(names) <= shown
    assert attempt.duration_ns > 3 * 250_000_000


def test_a_tensor_model_is_measured_after_pauses(sessions: Sessions) -> None:
    scenario = {"min_time": "1 ms", "think_time": ["0 s", "20 ms"], "think_repeats": 2}
    sessions.run([DIGITS / "fp32.onnx"], scenarios={"steady": scenario}, runtime="onnxruntime", language=False)
    (attempt,) = sessions.attempts()
    after = {each.parameters["pause_s"]: each for each in attempt.measurements if "after_pause" in each.metric}
    assert {pause: (each.metric, len(each.samples)) for pause, each in after.items()} == {
        0.0: ("inference_after_pause", 2),
        0.02: ("inference_after_pause", 2),
    }


def peak_of(sessions: Sessions, duration: str) -> float:
    sessions.session(sessions.model("fine"), changes={"duration": duration, "window": "1 s"}, timeout="60 s")
    (attempt,) = sessions.attempts()
    (peak,) = [each.value for each in attempt.measurements if each.metric == "peak_memory"]
    return peak


def test_a_long_session_takes_no_more_memory_than_a_short_one(sessions: Sessions) -> None:
    short, long = peak_of(sessions, "1 s"), peak_of(sessions, "5 s")
    assert long - short < 4 * 2**20, f"{(long - short) / 2**20:.1f} MiB more"


# The entry gate and interruptions.


def test_the_gate_is_told_with_its_reason(sessions: Sessions) -> None:
    result = sessions.session(sessions.model("fine"), changes={"entry_gate": "1 s", "duration": "300 ms"})
    assert result.outcome.ok
    (attempt,) = sessions.attempts()
    gate = attempt.conditions.entry_gate
    assert gate is not None
    assert gate["waited_s"] >= 1.0
    assert gate["settled"] is False, "six looks take longer than a second"
    assert "went in after the 1 s allowed" in gate["reason"]
    assert "entry gate" in sessions.observer.phases
    rows = rows_of(attempt)
    assert rows[0]["start"] / 1e9 + 1 < 60, "stamps count from the worker's start, not from the gate"


def test_without_a_gate_nothing_is_said_of_one(sessions: Sessions) -> None:
    sessions.session(sessions.model("fine"), changes={"duration": "200 ms"})
    assert sessions.attempts()[0].conditions.entry_gate is None


@pytest.fixture
def supervisor(bench: Bench, tmp_path: Path) -> Iterator[Conversation]:
    bundle, _ = write_bundle(tmp_path)
    command = [sys.executable, "-m", "benchharness.device.supervisor"]
    conversation = Conversation([*command, "--work", str(tmp_path / "work"), "--bundle", str(bundle)])
    yield conversation
    conversation.close()


def session_order(artefact: Path, **changes: Any) -> dict[str, Any]:
    settings = {"duration_ns": 300_000_000, "window_ns": 100_000_000, "window_inferences": 100, "warmup": 1}
    module = SCENARIOS["sustained"].device
    made = instructions(artefact, scenario="sustained", module=module, sensors=True, settings=settings)
    return {"type": "attempt", **made, **changes}


def test_the_schema_covers_sessions_gates_and_chains(supervisor: Conversation, bench: Bench) -> None:
    """Every message is held against it: see `Conversation`."""
    supervisor.hear()
    model = bench.model("fine")
    order = session_order(model, entry_gate_s=0.2)
    opened = {key: order[key] for key in ("adapter", "configuration", "python", "artefact", "files")}
    supervisor.say({**order, "chain": [{"variant": "a", **opened}]})
    finished = supervisor.hear_until("finished")
    assert finished["outcome"]["kind"] == "ok"
    assert finished["conditions"]["entry_gate"]["waited_s"] >= 0.2
    assert any(each["metric"] == "sustained_window" for each in finished["measurements"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"entry_gate_s": -1},
        {"entry_gate_s": "60 s"},
        {"chain": [{"variant": "a"}]},
        {"settings": {"duration_ns": "60 s"}},
        {"settings": {"duty": 1.5}},
        {"settings": {"pauses_ns": [-1]}},
    ],
)
def test_the_schema_refuses_what_cannot_be(bench: Bench, wrong: dict[str, Any]) -> None:
    from tests.integration.test_protocol_conformance import validator

    order = session_order(bench.model("fine"))
    validator("attempt").validate(order)
    assert not validator("attempt").is_valid({**order, **wrong})


def test_an_attempt_at_the_gate_can_be_cancelled(supervisor: Conversation, bench: Bench) -> None:
    supervisor.hear()
    order = session_order(bench.model("fine"), entry_gate_s=600)
    supervisor.say(order)
    assert supervisor.hear_until("progress")["phase"] == "entry gate"
    supervisor.say({**order, "id": order["id"].replace("1", "2")})
    assert "still running" in supervisor.hear_until("refused")["reason"]
    began_s = time.monotonic()
    supervisor.say({"type": "cancel", "id": order["id"]})
    finished = supervisor.hear_until("finished")
    assert (finished["id"], finished["outcome"]["reason"]) == (order["id"], "cancelled by the host")
    assert time.monotonic() - began_s < 300  # of the ten minutes that it would wait
    supervisor.say({**session_order(bench.model("fine")), "id": order["id"].replace("1", "3")})
    assert supervisor.hear_until("finished")["outcome"]["kind"] == "ok", "it serves on"


def test_a_supervisor_at_the_gate_ends_with_its_host(supervisor: Conversation, bench: Bench) -> None:
    supervisor.hear()
    supervisor.say(session_order(bench.model("fine"), entry_gate_s=600))
    supervisor.hear_until("progress")
    assert supervisor.ends_within(5)


def session_suite(folder: Path, keys: str, words: str = "fine") -> Path:
    """A suite of one job for the command line."""
    suite = awkward_suite(folder, {"a": words})
    text = (
        suite.read_text()
        .replace("[scenarios.steady]", f"[scenarios.sustained]\n{keys}")
        .replace('min_time = "1 ms"', "")
    )
    suite.write_text(text)
    return suite


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", python_path())


def stored(store_url: str) -> list[Attempt]:
    store = Store(store_url)
    try:
        return store.attempts(store.find("latest"))
    finally:
        store.close()


def worker_of(run: Background) -> psutil.Process | None:
    for process in psutil.Process(run.process.pid).children(recursive=True):
        try:
            if "benchharness.device.worker" in " ".join(process.cmdline()):
                return process
        except psutil.Error:
            continue
    return None


def supervisor_of(run: Background) -> psutil.Process | None:
    for process in psutil.Process(run.process.pid).children(recursive=True):
        try:
            if "benchharness.device.supervisor" in " ".join(process.cmdline()):
                return process
        except psutil.Error:
            continue
    return None


@pytest.fixture
def runs(tmp_path: Path, store_url: str, environment: None) -> Iterator[list[Background]]:
    started: list[Background] = []
    yield started
    for run in started:
        run.end()


def test_ctrl_c_at_the_gate_ends_at_once_and_the_run_can_go_on(
    benchharness: CommandLine, tmp_path: Path, store_url: str, runs: list[Background]
) -> None:
    """No machine is as fast as at its best for ten minutes: the gate is what this run is waiting at."""
    suite = session_suite(tmp_path, "duration = '300 ms'\nentry_gate = '8 s'")
    run = Background(tmp_path, store_url, suite)
    runs.append(run)
    wait_until(lambda: supervisor_of(run) is not None or run.process.poll() is not None)
    time.sleep(0.3)
    assert worker_of(run) is None, "nothing runs before the gate opens"
    began_s = time.monotonic()
    run.send(signal.SIGINT)
    assert run.wait() == 130
    assert time.monotonic() - began_s < 120
    assert "--resume" in run.complained
    assert "Traceback" not in run.complained
    assert run.leaves_nothing_running()
    done = benchharness("run", "--resume")
    assert done.returncode == 0, done.stderr
    (attempt,) = stored(store_url)
    assert attempt.outcome.ok
    gate = attempt.conditions.entry_gate
    assert gate is not None
    assert gate["waited_s"] >= 2


def in_session(run: Background) -> psutil.Process:
    """Its worker, a second after the model was asked something for the first time."""

    def asked() -> bool:
        worker = worker_of(run)
        return worker is not None and bool(worker.children())

    wait_until(lambda: asked() or run.process.poll() is not None)
    worker = worker_of(run)
    assert worker is not None, run.complained
    time.sleep(1)
    return worker


def test_a_worker_killed_in_a_session_is_a_recorded_outcome(
    tmp_path: Path, store_url: str, runs: list[Background]
) -> None:
    run = Background(tmp_path, store_url, session_suite(tmp_path, LONG, TELLING))
    runs.append(run)
    in_session(run).kill()
    # a second attempt is made; it is stopped
    wait_until(lambda: len(stored(store_url)) == 1)
    run.send(signal.SIGINT)
    run.wait()
    (attempt,) = stored(store_url)
    assert attempt.outcome.kind == "killed"
    assert "SIGKILL in phase session (s)" in attempt.outcome.reason
    assert attempt.conditions.sensors
    assert run.leaves_nothing_running()


def test_ctrl_c_in_a_session_leaves_nothing_running(tmp_path: Path, store_url: str, runs: list[Background]) -> None:
    run = Background(tmp_path, store_url, session_suite(tmp_path, LONG, TELLING))
    runs.append(run)
    worker = in_session(run)
    began_s = time.monotonic()
    run.send(signal.SIGINT)
    assert run.wait() == 130
    assert time.monotonic() - began_s < 300
    assert "Traceback" not in run.complained
    assert run.leaves_nothing_running()
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    assert stored(store_url) == []


def test_a_session_is_exported_and_shown(benchharness: CommandLine, tmp_path: Path, environment: None) -> None:
    paces = "every = ['20 ms', '50 ms']"
    suite = session_suite(tmp_path, f"duration = '500 ms'\nentry_gate = '0 s'\n{paces}")
    done = benchharness("run", suite)
    assert done.returncode == 0, done.stdout + done.stderr
    for pace in ("every 20 ms", "every 50 ms"):
        assert pace in done.stdout
    document = json.loads(benchharness("export").stdout)
    courses = [course for result in document["results"] for course in result["courses"]]
    assert len(courses) == 2
    assert all(course["windows"] and course["evidence"] for course in courses)
    assert (tmp_path / "store.db").stat().st_size < 5_000_000
