"""Execution providers that come as packages of their own: OpenVINO's for real, Qualcomm's emulator where it is there.

Both run on an x86-64 processor: OpenVINO as the second provider that it is, Qualcomm's as an emulator of its NPU.
"""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from benchharness.contract import EXECUTION_DEVICE, EXECUTION_REFERENCE, Configuration, LanguageSession
from benchharness.device.fallback import placement_facts
from benchharness.errors import Unsupported
from targets.onnx_runtime import OnnxRuntime, loading, plugins

EXAMPLES = Path(__file__).parents[2] / "examples"
DIGITS, DEMO = EXAMPLES / "digits" / "artefacts", EXAMPLES / "demo_model" / "artefacts"
OPENVINO, QNN, CPU = "OpenVINOExecutionProvider", "QNNExecutionProvider", "CPUExecutionProvider"
IN_FLOAT32 = {"load_config": '{"CPU":{"INFERENCE_PRECISION_HINT":"f32"}}'}
PICTURES = np.load(EXAMPLES / "digits" / "heldout.npz")["images"][:20].astype(np.float32)[:, None]

#: What makes the units that ONNX Runtime finds; OpenVINO's provider takes Intel's alone.
MAKERS = {each.device.vendor for each in onnxruntime.get_ep_devices()}


def openvino(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test that opens a session on OpenVINO's provider."""
    installed = importlib.util.find_spec("onnxruntime_ep_openvino") is not None
    missing = pytest.mark.skipif(not installed, reason="onnxruntime-ep-openvino is not installed")
    others = pytest.mark.skipif(
        not any("Intel" in maker for maker in MAKERS),
        reason=f"OpenVINO's provider takes no unit but Intel's, and here are {', '.join(sorted(MAKERS))}'s alone",
    )
    marked: Callable[..., None] = missing(others(test))
    return marked


qnn = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime_qnn") is None or platform.machine().lower() not in ("x86_64", "amd64"),
    reason="onnxruntime-qnn, whose emulator runs on x86-64, is not installed",
)


def open_model(path: Path, **fields: Any) -> Any:
    return OnnxRuntime().open(path, Configuration(runtime="onnxruntime", **fields))


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Path:
    """Standard error as the file that it is in a worker: what the runtime writes there since is appended to it."""
    path = tmp_path / "stderr"
    path.touch()
    monkeypatch.setattr(loading, "_STANDARD_ERROR", path)

    def since(start: int) -> str:
        with path.open("a") as stream:
            stream.write(capfd.readouterr().err)
        return str(logged_since(start))

    logged_since = loading._logged_since
    monkeypatch.setattr(loading, "_logged_since", since)
    return path


@openvino
def test_an_installed_packages_provider_runs_the_model_and_tells_what_it_took() -> None:
    plain = onnxruntime.InferenceSession(str(DIGITS / "fp32.onnx"), providers=[CPU])
    with open_model(DIGITS / "fp32.onnx", accelerator=OPENVINO, accelerator_options=IN_FLOAT32, threads=1) as session:
        effective = session.effective
        assert effective.accelerators == (OPENVINO, CPU)
        assert effective.unit is not None
        assert effective.unit.startswith("CPU: ")
        assert effective.execution == EXECUTION_DEVICE
        assert effective.threads is None, "its threads are its own, whatever the session was told"
        assert effective.facts["plugin"].startswith("onnxruntime-ep-openvino ")
        assert effective.facts["accelerator_options_unconfirmed"] == IN_FLOAT32, "it keeps whatever it is told"
        assert set(session.placement()) == {OPENVINO}
        for picture in PICTURES:
            (ours,) = session.run({"image": picture[None]}).values()
            np.testing.assert_allclose(ours, plain.run(None, {"image": picture[None]})[0], atol=1e-3)


@openvino
def test_a_graph_that_it_takes_in_part_is_placed_in_part() -> None:
    configuration = Configuration(runtime="onnxruntime", accelerator=OPENVINO)
    with OnnxRuntime().open(DEMO / "onnx-gqa-fp32", configuration) as session:
        assert isinstance(session, LanguageSession)
        placed = session.placement()
        assert placed[CPU] == {"GroupQueryAttention": 4}
        assert sum(placed[OPENVINO].values()) > 40
        fallback = placement_facts(configuration, session)["fallback"]
        assert fallback["operators_elsewhere"] == 4
    with (
        pytest.raises(Unsupported, match=r'"fail": 4 of \d+ operators do not run on OpenVINO'),
        open_model(DEMO / "onnx-gqa-fp32", accelerator=OPENVINO, fallback="fail") as session,
    ):
        placement_facts(Configuration(runtime="onnxruntime", accelerator=OPENVINO, fallback="fail"), session)


@openvino
def test_a_refusal_has_its_words_and_its_cost() -> None:
    wrong = {"load_config": '{"CPU":{"INFERENCE_PRECISION_HINT":"nonsense"}}'}
    with open_model(DIGITS / "fp32.onnx", accelerator=OPENVINO, accelerator_options=wrong) as session:
        refusal = session.effective.refusal
        assert "Wrong value nonsense" in refusal.reason
        assert refusal.lost_ns > 0
        assert session.effective.accelerators == (CPU,)
        assert session.effective.unit is None
        assert set(session.placement()) == {CPU}
    with (
        pytest.raises(Unsupported, match="takes no part"),
        open_model(DIGITS / "fp32.onnx", accelerator=OPENVINO, accelerator_options=wrong, fallback="fail"),
    ):
        pass


@openvino
def test_a_unit_is_chosen_or_those_there_are_are_told() -> None:
    with open_model(DIGITS / "fp32.onnx", accelerator=OPENVINO, unit="cpu") as session:
        assert session.effective.unit.startswith("CPU: ")
    with (
        pytest.raises(Unsupported, match=r"unit 'NPU': .* it has CPU \("),
        open_model(DIGITS / "fp32.onnx", accelerator=OPENVINO, unit="NPU"),
    ):
        pass
    available = OnnxRuntime().availability()
    assert OPENVINO in available.accelerators
    assert any(unit.startswith("CPU: ") for unit in available.units[OPENVINO])


@openvino
def test_a_library_that_is_given_is_the_one_that_is_registered() -> None:
    """In a process of its own: a library stays registered for good."""
    library = plugins.find(OPENVINO, None)
    assert library is not None
    program = (
        "import sys; from pathlib import Path; from benchharness.contract import Configuration\n"
        "from targets.onnx_runtime import OnnxRuntime\n"
        f"asked = Configuration(runtime='onnxruntime', accelerator={OPENVINO!r}, library=sys.argv[1])\n"
        "with OnnxRuntime().open(Path(sys.argv[2]), asked) as session: print(session.effective.facts['plugin'])\n"
    )
    command = [sys.executable, "-c", program, library.library, str(DIGITS / "fp32.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == Path(library.library).name


@qnn
def test_the_emulated_npu_is_evidence_of_answers_and_no_time() -> None:
    options = {"backend_type": "htp"}
    fixed = {"free_dimension_overrides": {"batch": 1}}
    plain = onnxruntime.InferenceSession(str(DIGITS / "int8.onnx"), providers=[CPU])
    asked = {"accelerator": QNN, "accelerator_options": options, "options": fixed}
    with open_model(DIGITS / "int8.onnx", **asked) as session:
        assert session.effective.execution == EXECUTION_REFERENCE
        placed = session.placement()
        assert placed[CPU] == {"QuantizeLinear": 1, "DequantizeLinear": 1}
        assert sum(placed[QNN].values()) > 20
        (output,) = (spec.name for spec in session.outputs)
        same = [
            session.run({"image": picture[None]})[output].argmax()
            == plain.run(None, {"image": picture[None]})[0].argmax()
            for picture in PICTURES
        ]
        assert np.mean(same) >= 0.9


@qnn
def test_a_backend_that_cannot_be_loaded_is_a_refusal_although_the_session_lists_the_provider(log: Path) -> None:
    asked = {"accelerator": QNN, "accelerator_options": {"backend_type": "cpu"}}
    with open_model(DIGITS / "int8.onnx", **asked) as session:
        assert "libQnnCpu.so" in session.effective.refusal.reason
        assert session.effective.refusal.lost_ns > 0
        assert session.effective.accelerators == (CPU,)
    with pytest.raises(Unsupported, match="libQnnCpu"), open_model(DIGITS / "int8.onnx", **asked, fallback="fail"):
        pass


@qnn
def test_an_option_that_the_provider_only_complains_of_in_its_log_is_refused(log: Path) -> None:
    asked = {"accelerator": QNN, "accelerator_options": {"backend_type": "no-such"}}
    with (
        pytest.raises(Unsupported, match=r"accelerator_options.backend_type: QNN"),
        open_model(DIGITS / "int8.onnx", **asked),
    ):
        pass


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"accelerator": "MyExecutionProvider", "library": "/no/such.so"}, "library '/no/such.so': no such file"),
        ({"accelerator": "MyExecutionProvider", "library": __file__}, "test_onnx_plugins.py cannot be registered"),
        ({"accelerator": "MyExecutionProvider"}, "no such execution provider.*onnxruntime-ep-"),
        ({"unit": "NPU"}, "unit: CPUExecutionProvider is no plug-in"),
        ({"library": __file__}, "library: CPUExecutionProvider is no plug-in"),
        ({"options": {"free_dimension_overrides": {"batch": 0}}}, "free_dimension_overrides.batch"),
        ({"options": {"free_dimension_overrides": [1]}}, "free_dimension_overrides: must map"),
    ],
)
def test_a_plugin_that_is_none_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(Unsupported, match=words), open_model(DIGITS / "fp32.onnx", **fields):
        pass


def test_a_package_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "onnxruntime_ep_broken.py").write_text("raise OSError('libfoo.so.3 is missing')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with (
        pytest.raises(Unsupported, match=r"onnxruntime-ep-broken cannot be imported: OSError: libfoo.so.3"),
        open_model(DIGITS / "fp32.onnx", accelerator="BrokenExecutionProvider"),
    ):
        pass
    assert all(plugin.provider != "BrokenExecutionProvider" for plugin in plugins.installed())


class Unit:
    def __init__(self, kind: str, name: str) -> None:
        self.ep_name, self.ep_vendor = "MadeUp", "nobody"
        self.ep_metadata = {"FULL_DEVICE_NAME": name}
        self.device = types.SimpleNamespace(type=types.SimpleNamespace(name=kind), vendor="nobody")


def test_units_of_one_kind_are_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = [Unit("GPU", "first"), Unit("NPU", "other"), Unit("GPU", "second")]
    monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: made_up)
    assert [(unit.name, unit.description) for unit in plugins.units("MadeUp")] == [
        ("GPU", "first"),
        ("NPU", "other"),
        ("GPU:1", "second"),
    ]
    plugin = plugins.Plugin("MadeUp", "lib.so", "lib.so")
    assert plugins.choose(plugin, "MadeUp", "gpu:1").handle is made_up[2]
    assert plugins.choose(plugin, "MadeUp", None).handle is made_up[0]


@pytest.mark.parametrize(
    ("machine", "options", "evidence"),
    [
        ("x86_64", {"backend_type": "htp"}, EXECUTION_REFERENCE),
        ("AMD64", {"backend_path": r"QnnHtp.dll"}, EXECUTION_REFERENCE),
        ("x86_64", {}, EXECUTION_REFERENCE),
        ("x86_64", {"backend_type": "cpu"}, EXECUTION_DEVICE),
        ("x86_64", {"backend_path": "/opt/qnn/libQnnCpu.so"}, EXECUTION_DEVICE),
        ("aarch64", {"backend_type": "htp"}, EXECUTION_DEVICE),
    ],
)
def test_where_the_npu_is_emulated(
    monkeypatch: pytest.MonkeyPatch, machine: str, options: dict[str, str], evidence: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert plugins.execution(QNN, options) == evidence
    assert plugins.execution(OPENVINO, options) == EXECUTION_DEVICE
