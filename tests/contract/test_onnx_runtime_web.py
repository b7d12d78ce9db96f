"""onnxruntime-web's adapter: the contract in both its kinds, torch's logits, what was got, and how a page may end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.contract import (
    CACHE_COPIED_BY_BINDING,
    EXECUTION_REFERENCE,
    Adapter,
    Configuration,
)
from benchharness.device.failures import failure
from benchharness.device.self_timed import SelfTimed
from benchharness.errors import ModelFailure, Unsupported
from benchharness.testing import AdapterContract
from tests.conftest import ARTEFACTS, ROOT
from tests.web_page import library, opened_browsers

pytest.importorskip("playwright", reason="NOT TESTED: playwright is not installed")

from targets.onnx_runtime_web import OnnxRuntimeWeb
from targets.onnx_runtime_web.library import BUILDS

FP32 = ARTEFACTS / "onnx-fp32"
DIGITS = ROOT / "examples" / "digits" / "artefacts" / "fp32.onnx"
#: Largest difference seen, float32 on WebAssembly: 1.8e-5.
WITHIN = 1e-3


@pytest.fixture(autouse=True, scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to work in, as a worker has one: a browser's files are put there, and have to be gone in the end."""
    library()
    folder = tmp_path_factory.mktemp("here")
    with contextlib.chdir(folder):
        yield folder
    assert not list(folder.glob("browser-*"))


def opened(path: Path, **fields: Any) -> contextlib.AbstractContextManager[Any]:
    return OnnxRuntimeWeb().open(path, Configuration(**{"runtime": "onnxruntime-web", "threads": 1, **fields}))


@pytest.fixture(scope="module")
def page(here: Path) -> Iterator[Any]:
    with opened(FP32, threads=2) as session:
        yield session


@pytest.fixture(scope="module")
def golden() -> Mapping[str, np.ndarray[Any, Any]]:
    with np.load(ROOT / "tests" / "golden" / "demo_logits.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


class TestDemo(AdapterContract):
    @pytest.fixture
    def adapter(self) -> Adapter:
        return OnnxRuntimeWeb()

    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return FP32

    @pytest.fixture
    def generating_artefact(self) -> Path | None:
        return FP32


class TestDigits(AdapterContract):
    @pytest.fixture
    def adapter(self) -> Adapter:
        return OnnxRuntimeWeb()

    @pytest.fixture
    def tensor_artefact(self) -> Path | None:
        return DIGITS


# Answers


def test_logits_are_torchs(page: Any, golden: Mapping[str, np.ndarray[Any, Any]]) -> None:
    tokens, expected = golden["tokens"].tolist(), golden["logits"]
    np.testing.assert_allclose(page.score(tokens), expected, rtol=0, atol=WITHIN)
    page.reset()
    page.extend(tokens[:40])
    one_by_one = np.array([page.decode(token) for token in tokens[40:]])
    np.testing.assert_allclose(one_by_one, expected[40:], rtol=0, atol=WITHIN)


def test_the_page_chooses_what_the_logits_say(page: Any, golden: Mapping[str, np.ndarray[Any, Any]]) -> None:
    prompt = golden["tokens"][:16].tolist()
    page.reset()
    logits, chosen = page.extend(prompt), []
    for _ in range(12):
        chosen.append(int(logits.argmax()))
        logits = page.decode(chosen[-1])
    assert list(page.generate(prompt, 12).tokens) == chosen


@pytest.mark.parametrize("artefact", ["onnx-gqa-fp32", "onnx-int8"])
def test_other_graphs_choose_what_onnx_runtime_does(artefact: str) -> None:
    onnx_runtime = pytest.importorskip("targets.onnx_runtime", reason="NOT TESTED: onnxruntime is not installed")
    prompt = list(range(3, 19))
    with onnx_runtime.OnnxRuntime().open(ARTEFACTS / artefact, Configuration(runtime="onnxruntime")) as native:
        logits, expected = native.extend(prompt), []
        for _ in range(8):
            expected.append(int(logits.argmax()))
            logits = native.decode(expected[-1])
    with opened(ARTEFACTS / artefact) as session:
        assert list(session.generate(prompt, 8).tokens) == expected


def test_many_inferences_are_timed_in_one_call() -> None:
    inputs = {"image": np.zeros((1, 64), np.float32)}
    with opened(DIGITS) as session:
        inputs = {
            spec.name: np.ones([1 if isinstance(n, str) else n for n in spec.shape], spec.dtype)
            for spec in session.inputs
        }
        began_ns = time.perf_counter_ns()
        given = session.run_timed(inputs, 50)
        lasted_ns = time.perf_counter_ns() - began_ns
        alone = session.run(inputs)
    assert len(given.taken_ns) == 50
    assert 0 < sum(given.taken_ns) < lasted_ns
    for name, array in alone.items():
        np.testing.assert_array_equal(given.outputs[name], array)


def test_weights_outside_are_fetched_whatever_their_name_ends_in(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="NOT TESTED: onnx is not installed")
    onnx_runtime = pytest.importorskip("targets.onnx_runtime", reason="NOT TESTED: onnxruntime is not installed")
    whole, inputs = onnx.load(str(DIGITS)), {"image": np.ones((1, 1, 8, 8), np.float32)}
    onnx.save(whole, tmp_path / "m.onnx", save_as_external_data=True, location="weights.model", size_threshold=0)
    with onnx_runtime.OnnxRuntime().open(DIGITS, Configuration(runtime="onnxruntime")) as native:
        expected = native.run(inputs)["scores"]
    with opened(tmp_path) as session:
        np.testing.assert_allclose(session.run(inputs)["scores"], expected, rtol=0, atol=WITHIN)


#: An onnxruntime-web whose outputs lie on a graphics processor until they are given back; one is how many there are.
HOARDER = """/* ONNX Runtime Web v0.0.1 */
let living = 0;
export class Tensor { constructor(type, data, dims) { Object.assign(this, { type, data, dims, location: "cpu" }); } }
const output = () => {
  const held = Float32Array.of(++living);
  const getData = async () => held, dispose = () => { living--; };
  return { type: "float32", dims: [1], location: "gpu-buffer", getData, dispose };
};
const session = {
  inputMetadata: [{ name: "x", type: "float32", shape: [1] }],
  outputMetadata: [{ name: "y", type: "float32", shape: [1] }],
  run: async () => ({ y: output() }),
};
export const InferenceSession = { create: async () => session };
export const env = { wasm: { numThreads: 1 }, versions: { web: "0.0.1" } };
"""


def test_outputs_on_a_graphics_processor_are_given_back(tmp_path: Path) -> None:
    """Nobody else does: ten thousand inferences in one call would hold ten thousand outputs."""
    for name in BUILDS["wasm"]:
        (tmp_path / name).write_text(HOARDER)
    with opened(DIGITS, library=str(tmp_path)) as session:
        inputs = {"x": np.ones(1, np.float32)}
        found = [float(session.run_timed(inputs, count).outputs["y"][0]) for count in (1, 50, 50)]
    assert max(found) <= 2


# Requested and effective


def test_what_a_page_is_stands_in_the_result(page: Any) -> None:
    effective = page.effective
    assert (effective.accelerators, effective.threads) == (("wasm",), 2)
    assert effective.cache == CACHE_COPIED_BY_BINDING
    assert effective.facts["cross_origin_isolated"] is True
    assert effective.facts["user_agent"].startswith("Mozilla/5.0")
    assert ("sandbox" in effective.facts) == (os.geteuid() == 0)
    assert page.clock.timed_by == "performance.now"
    assert 1_000 <= page.clock.resolution_ns <= 20_000  # 5 us where a page is isolated
    assert sum(page.placement()["wasm"].values()) > 100
    assert SelfTimed.of(page) is not None


def test_a_page_that_is_not_isolated_has_one_thread_and_says_so() -> None:
    with opened(FP32, threads=2, options={"isolated": False}) as session:
        assert session.effective.threads == 1
        assert session.effective.facts["cross_origin_isolated"] is False
        assert session.clock.resolution_ns >= 50_000  # 100 us
        assert len(session.generate([1, 2, 3], 4).tokens) == 4


def test_webgpu_without_hardware_gives_no_times() -> None:
    """Where this machine has a graphics processor, it is told; else Chromium's own program, or none at all."""
    with opened(FP32, accelerator="webgpu") as session:
        effective = session.effective
        tokens = list(session.generate([1, 2, 3], 3).tokens)
    if effective.refusal is not None:
        assert effective.accelerators == ("wasm",)
        assert effective.refusal.reason
    elif "swiftshader" in effective.facts["webgpu_adapter"]:
        assert effective.execution == EXECUTION_REFERENCE
    with opened(FP32) as session:
        assert list(session.generate([1, 2, 3], 3).tokens) == tokens


def broken_webgpu(folder: Path) -> Path:
    """onnxruntime-web whose WebGPU does not start."""
    folder.mkdir()
    for name in (*BUILDS["wasm"], *BUILDS["webgpu"]):
        shutil.copy(library() / name, folder / name)
    (folder / BUILDS["webgpu"][1]).write_text("throw new Error('this WebGPU does not start')")
    return folder


def test_an_accelerator_that_refuses_falls_back_as_asked(tmp_path: Path) -> None:
    asked = {"accelerator": "webgpu", "library": str(broken_webgpu(tmp_path / "dist"))}
    with opened(DIGITS, **asked) as session:
        assert session.effective.accelerators == ("wasm",)
        assert session.effective.facts["library"] == asked["library"]
        assert session.effective.refusal is not None
        assert session.effective.refusal.lost_ns > 0
    with (
        pytest.raises(Unsupported, match=r'fallback = "fail": webgpu takes no part'),
        opened(DIGITS, fallback="fail", **asked),
    ):
        pass


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"options": {"browser": "no-such-browser"}}, "no-such-browser"),
        ({"options": {"isolated": "yes"}}, "neither true nor false"),
        ({"options": {"phone": "a b; c"}}, "no serial number"),
        ({"options": {"session_options": [1]}}, "no table"),
        ({"threads": -1}, "threads: -1 is not a whole number above zero"),
        ({"library": "/nowhere"}, "/nowhere"),
        ({"unit": "GPU"}, "unit"),
        ({"accelerator_options": {"a": 1}}, "accelerator_options.a"),
        ({"accelerator": "webgl"}, "webgl"),
    ],
)
def test_what_cannot_be_met_is_refused_before_a_browser_starts(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(Unsupported, match=told), opened(FP32, **fields):
        pass


def test_a_webgpu_that_takes_no_empty_tensors_is_refused_by_name(tmp_path: Path) -> None:
    for name in BUILDS["wasm"]:
        (tmp_path / name).write_bytes((library() / name).read_bytes()[:500])
    (tmp_path / "ort-wasm-simd-threaded.jsep.wasm").write_bytes(b"")
    asked = opened(FP32, accelerator="webgpu", library=str(tmp_path))
    with pytest.raises(Unsupported, match="JSEP build, which takes no empty tensors"), asked:
        pass


def test_a_library_that_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = OnnxRuntimeWeb().availability()
    assert not found.available
    assert "-m targets.onnx_runtime_web.fetch" in found.reason
    assert "\n" not in found.reason


# How a page may end


def test_a_page_that_is_killed_is_a_failure_that_says_so() -> None:
    with opened(FP32) as session:
        os.kill(session.process(), signal.SIGKILL)
        with pytest.raises(ModelFailure, match="the page's process has ended"):
            session.generate([1, 2, 3], 200)


def test_memory_that_webassembly_lacks_is_told_as_that(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="NOT TESTED: onnx is not installed")
    helper, number = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [
            helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
            helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        ],
        "more than there is",
        [helper.make_tensor_value_info("shape", number.INT64, [2])],
        [helper.make_tensor_value_info("sum", number.FLOAT, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "huge.onnx")
    with opened(tmp_path / "huge.onnx") as session:
        assert session.run({"shape": np.array([2, 3])})["sum"] == 0
        with pytest.raises((ModelFailure, MemoryError)) as found:
            session.run({"shape": np.array([32_760, 32_768])})  # all 4 GiB that there can be
    assert failure(found.value)["outcome"] == "out-of-memory"


_HOLDS = """
import sys, time
from pathlib import Path
from benchharness.contract import Configuration
from targets.onnx_runtime_web import OnnxRuntimeWeb
with OnnxRuntimeWeb().open(Path(sys.argv[1]), Configuration(runtime="onnxruntime-web", threads=1)) as session:
    print(session.process(), flush=True)
    time.sleep(600)
"""


def test_a_browser_dies_with_what_started_it(tmp_path: Path) -> None:
    """Killed at once, it cannot tidy up; what drives the browser sees the line break, and so does the browser."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(DIGITS)], cwd=tmp_path, stdout=subprocess.PIPE, env=environment
    )
    try:
        assert holder.stdout is not None
        assert int(holder.stdout.readline()) > 0
        assert opened_browsers(str(tmp_path))
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()  # type: ignore[union-attr]
    deadline_s = time.monotonic() + 120
    while opened_browsers(str(tmp_path)) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert not opened_browsers(str(tmp_path))


# A phone's browser, as far as that goes without a phone: adb is a stand-in, and its door leads to a browser here.

_ADB = """#!{python}
import json, sys
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1:3] != ["-s", "0A041FDD4003EA"]:
    sys.exit("error: device not found")
if sys.argv[3:] == ["forward", "tcp:0", "localabstract:chrome_devtools_remote"]:
    print({door})
"""


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    browser = subprocess.Popen(
        [
            program,
            "--headless",
            *sandbox,
            "--remote-debugging-port=0",
            f"--user-data-dir={tmp_path}/phone",
            "about:blank",
        ],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    told, log = tmp_path / "phone" / "DevToolsActivePort", tmp_path / "log"
    try:
        deadline_s = time.monotonic() + 120
        while not (told.is_file() and told.read_text()) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        adb = tmp_path / "bin" / "adb"
        adb.parent.mkdir()
        adb.write_text(_ADB.format(python=sys.executable, log=str(log), door=told.read_text().split()[0]))
        adb.chmod(0o755)
        monkeypatch.setenv("PATH", f"{adb.parent}{os.pathsep}{os.environ['PATH']}")
        yield log
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()


def test_a_phones_browser_is_reached_through_adb(phone: Path) -> None:
    with opened(FP32, options={"phone": "0A041FDD4003EA"}) as session:
        assert len(session.generate([1, 2, 3], 4).tokens) == 4
        assert session.effective.facts["computed_on"].startswith("the phone 0A041FDD4003EA")
        assert session.effective.runtime_version.endswith("on a phone")
        with pytest.raises(Unsupported, match="on another device"):
            session.process()
    commands = phone.read_text()
    for command in ('"reverse", "tcp:', '"forward", "--remove", "tcp:', '"reverse", "--remove", "tcp:'):
        assert command in commands


def test_a_phone_that_is_not_there_is_refused_in_adbs_words(phone: Path) -> None:
    with pytest.raises(Unsupported, match="device not found"), opened(FP32, options={"phone": "other"}):
        pass
