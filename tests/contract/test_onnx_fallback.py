"""ONNX Runtime and an accelerator that does not take the model: refused with its words, or run without it and told.

A build for CPUs has no accelerator that fails to start, so one is made up. What it does was seen in other builds:
TensorRT without its libraries raises; CUDA without them, or OpenVINO without the device asked for, is left out with a
line in the log.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from benchharness.contract import Configuration, LanguageSession
from benchharness.errors import ModelFailure, Unsupported
from targets.onnx_runtime import OnnxRuntime, loading
from tests.contract.tiny_models import Variant, build_image_model, build_language_model

NPU, CPU = "MadeUpExecutionProvider", "CPUExecutionProvider"
#: As CUDA's is left out of a build for it, on a machine without its libraries.
LOGGED = (
    "\x1b[1;31m2026-01-02 03:04:05.678901234 [E:onnxruntime:Default, provider_bridge.cc:2458 operator()] "
    "/source/core/provider_bridge.cc:2043 onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() "
    "[ONNXRuntimeError] : 1 : FAIL : Failed to load library libnpu.so: cannot open shared object file\n\x1b[m"
)
WORDS = "[ONNXRuntimeError] : 1 : FAIL : Failed to load library libnpu.so: cannot open shared object file"
STARTING_S = 0.03

real_session = onnxruntime.InferenceSession


class Sessions:
    """Stands in for `InferenceSession`: `start` is what happens where the made-up provider is asked for."""

    def __init__(self, start: Callable[[], None]) -> None:
        self._start = start
        self.asked: list[str] = []

    def __call__(self, model: str, options: Any, *, providers: list[tuple[str, dict[str, str]]], **more: Any) -> Any:
        ((provider, _),) = providers
        self.asked.append(provider)
        if provider == NPU:
            self._start()
            providers = [(CPU, {})]
        return real_session(model, options, providers=providers, **more)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], Sessions]:
    """A runtime that has the made-up provider, which starts as the test says."""

    def install(starting: Callable[[], None]) -> Sessions:
        sessions = Sessions(starting)
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [NPU, CPU])
        monkeypatch.setattr(onnxruntime, "InferenceSession", sessions)
        return sessions

    return install


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is the adapter's standard error, with something in it already."""
    path = tmp_path / "stderr"
    path.write_text(LOGGED.replace("libnpu.so", "an earlier line"))
    monkeypatch.setattr(loading, "_STANDARD_ERROR", path)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return build_image_model(tmp_path / "image.onnx")


def open_model(path: Path, **fields: Any) -> Any:
    return OnnxRuntime().open(path, Configuration(runtime="onnxruntime", **{"accelerator": NPU, **fields}))


def leaves_a_line_in(log: Path) -> Callable[[], None]:
    def start() -> None:
        with log.open("a") as stream:
            stream.write(LOGGED)

    return start


def raises(words: str) -> Callable[[], None]:
    def start() -> None:
        time.sleep(STARTING_S)
        raise RuntimeError(words)

    return start


@pytest.mark.parametrize("fallback", ["warn", "allow"])
def test_a_provider_left_out_in_silence_is_a_refusal_in_its_logs_words(
    start: Any, log: Path, model: Path, fallback: str
) -> None:
    sessions = start(leaves_a_line_in(log))
    with open_model(model, fallback=fallback) as session:
        assert session.effective.accelerators == (CPU,)
        assert session.effective.refusal.reason == WORDS
        assert session.effective.refusal.lost_ns is None, "a part of one load cannot be told apart"
        assert set(session.placement()) == {CPU}
    assert sessions.asked == [NPU], "what is loaded is not loaded again"


def test_a_log_that_cannot_be_read_back_leaves_the_reason_open(start: Any, log: Path, model: Path) -> None:
    start(log.unlink)
    with open_model(model) as session:
        assert "says why in its log only" in session.effective.refusal.reason


def test_a_provider_left_out_ends_an_attempt_that_wants_no_fallback(start: Any, log: Path, model: Path) -> None:
    start(leaves_a_line_in(log))
    with pytest.raises(Unsupported) as refused, open_model(model, fallback="fail"):
        pass
    assert str(refused.value) == f'fallback = "fail": {NPU} takes no part in {model}: {WORDS}'


@pytest.mark.parametrize("fallback", ["warn", "allow"])
def test_a_provider_that_raises_is_a_refusal_with_the_time_it_took(
    start: Any, log: Path, model: Path, fallback: str
) -> None:
    sessions = start(raises("Please install the NPU's libraries"))
    began_ns = time.perf_counter_ns()
    with open_model(model, fallback=fallback, accelerator_options={"device": "0"}) as session:
        refusal = session.effective.refusal
        assert refusal.reason == "Please install the NPU's libraries"
        assert STARTING_S * 1e9 <= refusal.lost_ns < time.perf_counter_ns() - began_ns
        assert session.effective.accelerators == (CPU,)
        feed = {"image": np.ones((1, 3, 8, 8), np.float32)}
        expected = real_session(str(model), providers=[CPU]).run(None, feed)
        np.testing.assert_array_equal(session.run(feed)["scores"], expected[0])
    assert sessions.asked == [NPU, CPU]


def test_a_provider_that_raises_ends_an_attempt_that_wants_no_fallback(start: Any, model: Path) -> None:
    sessions = start(raises("Please install the NPU's libraries"))
    with pytest.raises(Unsupported, match=rf'"fail": {NPU} .*Please install'), open_model(model, fallback="fail"):
        pass
    assert sessions.asked == [NPU]


def test_what_a_provider_logs_before_it_raises_is_told_too(start: Any, log: Path, model: Path) -> None:
    def starting() -> None:
        leaves_a_line_in(log)()
        raise RuntimeError("Please install the NPU's libraries")

    start(starting)
    with open_model(model) as session:
        assert session.effective.refusal.reason == f"Please install the NPU's libraries; {WORDS}"


def test_the_place_in_the_runtimes_source_is_no_part_of_the_reason(start: Any, model: Path) -> None:
    start(raises("/src/python/state.cc:729 void python::Register(Options&, const More&) Please install the libraries"))
    with open_model(model) as session:
        assert session.effective.refusal.reason == "Please install the libraries"


def test_a_language_model_runs_without_the_accelerator_too(start: Any, tmp_path: Path) -> None:
    start(raises("no"))
    language_model = build_language_model(tmp_path / "language", Variant())
    with open_model(language_model.folder) as session:
        assert isinstance(session, LanguageSession)
        assert session.effective.refusal is not None
        np.testing.assert_allclose(session.extend([1, 2]), language_model.logits([1, 2])[1], atol=5e-5)


@pytest.mark.parametrize("fallback", ["warn", "fail"])
def test_a_bad_file_is_not_the_accelerators_refusal(start: Any, tmp_path: Path, fallback: str) -> None:
    sessions = start(raises("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Protobuf parsing failed."))
    (tmp_path / "bad.onnx").write_bytes(b"This is no model.")
    with pytest.raises(ModelFailure, match=r"bad\.onnx"), open_model(tmp_path / "bad.onnx", fallback=fallback):
        pass
    assert sessions.asked == [NPU]


def test_a_file_that_loads_nowhere_is_the_files_failure(start: Any, tmp_path: Path) -> None:
    start(raises("who knows"))
    (tmp_path / "bad.onnx").write_bytes(b"This is no model.")
    with pytest.raises(ModelFailure, match=r"bad\.onnx: is no ONNX model"), open_model(tmp_path / "bad.onnx"):
        pass


@pytest.mark.parametrize("words", ["Invalid option: device_id", 'Unknown provider option: "device_id".'])
def test_an_option_that_is_to_blame_is_a_wrong_request_and_no_fallback(start: Any, model: Path, words: str) -> None:
    start(raises(words))
    with (
        pytest.raises(Unsupported, match=r"accelerator_options\.device_id: .* does not take it"),
        open_model(model, accelerator_options={"device_id": 7}),
    ):
        pass


def test_a_variable_of_the_runtimes_source_is_no_option_to_blame(start: Any, model: Path) -> None:
    start(raises("no device; expr=cudaSetDevice(info_.device_id);"))
    with open_model(model, accelerator_options={"device_id": 0}) as session:
        assert session.effective.refusal is not None


@pytest.mark.skipif("AzureExecutionProvider" not in onnxruntime.get_available_providers(), reason="no second provider")
@pytest.mark.parametrize("fallback", ["allow", "warn", "fail"])
def test_a_provider_that_takes_no_operator_is_no_refusal(model: Path, fallback: str) -> None:
    with open_model(model, accelerator="AzureExecutionProvider", fallback=fallback) as session:
        assert session.effective.refusal is None
        assert session.effective.accelerators[0] == "AzureExecutionProvider"
        assert set(session.placement()) == {CPU}


@pytest.mark.skipif(not Path("/proc/self/fd/2").exists(), reason="this system shows no open files")
@pytest.mark.parametrize("into", ["file", "pipe"])
def test_the_log_of_a_worker_is_its_standard_error(tmp_path: Path, model: Path, into: str) -> None:
    """In a process of its own, whose standard error is a file that is only appended to, as a worker's is."""
    program = f"""
import os, sys, onnxruntime
from pathlib import Path
from benchharness.contract import Configuration
from targets.onnx_runtime import OnnxRuntime
real = onnxruntime.InferenceSession
def dropping(model, options, *, providers, **more):
    os.write(2, {LOGGED.encode()!r})
    return real(model, options, providers=[{CPU!r}], **more)
onnxruntime.get_available_providers = lambda: [{NPU!r}, {CPU!r}]
onnxruntime.InferenceSession = dropping
os.write(2, b"something before\\n")
with OnnxRuntime().open(Path({str(model)!r}), Configuration(runtime="onnxruntime", accelerator={NPU!r})) as session:
    print(session.effective.refusal.reason)
"""
    command = [sys.executable, "-c", program]
    if into == "pipe":
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "in its log only" in done.stdout
        return
    with (tmp_path / "evidence").open("ab") as evidence:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=evidence, text=True, check=True)
    assert done.stdout.strip() == WORDS
