"""The macOS path of Core ML's adapter, from compiling to placement, on a stand-in for coremltools' native part."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import coremltools
import numpy as np
import pytest
from coremltools.models import CompiledMLModel, MLModel, _compiled_model, compute_device, compute_plan, model, utils
from coremltools.models.model import MLState

from benchharness.contract import (
    CACHE_IN_PLACE,
    EXECUTION_REFERENCE,
    Adapter,
    Availability,
    Configuration,
    LanguageSession,
)
from benchharness.device.fallback import placement_facts
from benchharness.errors import ModelFailure, Unsupported
from benchharness.testing import AdapterContract
from targets.core_ml import CoreML, loading, system
from targets.core_ml.compilation import cache_folder
from tests.contract import core_ml_stand_in
from tests.contract.core_ml_models import build_sum_model, build_tensor_model
from tests.contract.core_ml_stand_in import Mac
from tests.contract.test_core_ml import FLEXIBLE, ONE_TOKEN, PICTURES

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(autouse=True)
def mac(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[Mac]:
    return core_ml_stand_in.install(monkeypatch, tmp_path / "home")


def open_model(path: Path, **fields: Any) -> Any:
    return CoreML().open(path, Configuration(**{"runtime": "coreml", **fields}))


# The contract.


class StandInContract(AdapterContract):
    tolerance = 1e-3

    @pytest.fixture
    def adapter(self) -> Adapter:
        return CoreML()

    @pytest.mark.skip(reason="what stands in for Core ML is in this process, and no other has it")
    def test_nothing_runs_on_when_a_session_has_closed(self) -> None:  # type: ignore[override]
        """On a Mac the real one is held to it."""


class TestFlexible(StandInContract):
    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return FLEXIBLE

    @pytest.fixture
    def tensor_artefact(self) -> Path | None:
        return PICTURES


class TestOneToken(StandInContract):
    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return ONE_TOKEN


class TestCompiled(StandInContract):
    """A model that is compiled already: its signature is read from what the compiler wrote."""

    @pytest.fixture
    def adapter(self) -> Adapter:
        return CoreMLOfCompiled()

    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return core_ml_stand_in.compile_to_temporary(FLEXIBLE)


class CoreMLOfCompiled(CoreML):
    formats: Sequence[str] = (".mlmodelc",)

    def availability(self) -> Availability:
        """Without the reference, which has no use for compiled models."""
        found = super().availability()
        return dataclasses.replace(found, accelerators=[each for each in found.accelerators if each != "reference"])


# What the session tells.


@pytest.mark.parametrize("units", [None, "ALL", "CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE"])
def test_the_compute_units_are_those_that_were_asked_for(units: str | None) -> None:
    with open_model(ONE_TOKEN, accelerator=units, threads=4) as session:
        effective = session.effective
        assert effective.accelerators[0] == (units or "ALL")
        assert session._model.compute_unit.name == (units or "ALL")
    assert effective.refusal is None
    assert effective.threads is None
    assert "does not let anyone choose" in effective.facts["threads_source"]
    assert effective.cache == CACHE_IN_PLACE
    assert effective.runtime_version == f"{coremltools.__version__} on macOS 15.6 (24G84)"
    assert effective.facts["load_ns"] > 0
    assert effective.facts["devices"] == ["CPU", "GPU", "NeuralEngine"]


@pytest.mark.parametrize(
    ("units", "places", "wanted"),
    [
        ("ALL", {"CPU", "NeuralEngine"}, ["NeuralEngine", "GPU", "CPU"]),
        ("CPU_ONLY", {"CPU"}, ["CPU"]),
        ("CPU_AND_GPU", {"CPU", "GPU"}, ["GPU"]),
        ("CPU_AND_NE", {"CPU", "NeuralEngine"}, ["NeuralEngine"]),
    ],
)
def test_the_placement_is_the_compute_plan_s(units: str, places: set[str], wanted: list[str]) -> None:
    with open_model(FLEXIBLE, accelerator=units) as session:
        placement = session.placement()
        facts = session.effective.facts
        assert list(session.effective.wanted_places) == wanted
    assert set(placement) == places
    assert {"gather", "cast"} >= set(placement["CPU"]) or units == "CPU_ONLY"
    assert not {name for operators in placement.values() for name in operators if "const" in name or "." in name}
    assert set(facts["estimated_cost"]) == places
    assert sum(facts["estimated_cost"].values()) == pytest.approx(1, abs=1e-4)
    assert facts["operators_supported"]["CPU"] == sum(sum(operators.values()) for operators in placement.values())


@pytest.mark.parametrize(
    ("units", "falls_back"), [(None, False), ("ALL", False), ("CPU_ONLY", False), ("CPU_AND_NE", True)]
)
def test_only_operators_beside_the_wanted_device_have_fallen_back(units: str | None, falls_back: bool) -> None:
    with open_model(ONE_TOKEN, accelerator=units) as session:
        facts = placement_facts(Configuration(runtime="coreml", accelerator=units), session)
    found = facts.get("fallback")
    assert (found is not None) == falls_back
    if found:
        assert " operators do not run on CPU_AND_NE: " in found["summary"]
        assert found["operators_elsewhere"] == sum(facts["placement"]["CPU"].values())


def test_a_plan_that_cannot_be_had_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: str, units: str) -> Any:
        raise RuntimeError("MLComputePlan is only available on macOS >= 14.4")

    monkeypatch.setattr(core_ml_stand_in.Model, "get_compute_plan", staticmethod(fails))
    with open_model(ONE_TOKEN) as session, pytest.raises(Unsupported, match=r"14\.4"):
        session.placement()


def test_availability_names_what_this_mac_has(mac: type[Mac], monkeypatch: pytest.MonkeyPatch) -> None:
    everything = ("ALL", "CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "reference")
    assert CoreML().availability().accelerators == everything
    monkeypatch.setattr(mac, "devices", ("CPU", "GPU"))
    assert CoreML().availability().accelerators == ("ALL", "CPU_ONLY", "CPU_AND_GPU", "reference")


def test_a_coremltools_without_its_native_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "coremltools.libcoremlpython", None)
    found = CoreML().availability()
    assert found.accelerators == ("reference",)
    assert "no native part for this Python" in found.reason
    with pytest.raises(Unsupported, match="no native part"), open_model(ONE_TOKEN, accelerator="ALL"):
        pass


def test_the_reference_is_here_too() -> None:
    with open_model(ONE_TOKEN, accelerator="reference") as session:
        assert session.effective.accelerators == ("reference",)
        assert session.effective.execution == EXECUTION_REFERENCE
    assert Mac.compilations == 0


def test_a_stand_in_is_never_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_model(ONE_TOKEN) as session:
        assert session.effective.execution == EXECUTION_REFERENCE
        assert session.effective.facts["label"] == "reference execution, weights only"
        # Nor on a Mac: what answers is Python.
        monkeypatch.setattr(sys, "platform", "darwin")
        assert loading.execution_of(session._model) == EXECUTION_REFERENCE
        # Nor where a compiled function answers, but not Core ML's.
        monkeypatch.setattr(core_ml_stand_in.Model, "predict", len)
        assert loading.execution_of(session._model) == EXECUTION_REFERENCE


def test_a_worker_on_a_stand_in_reports_no_measurement(tmp_path: Path) -> None:
    order: dict[str, Any] = {
        "type": "order",
        "id": "1",
        "adapter": "coreml",
        "artefact": str(ONE_TOKEN),
        "tokenizer": None,
        "task": "causal-lm",
        "scenario": "first-token",
        "module": "benchharness.device.scenarios.first_token",
        "configuration": {"accelerator": "ALL", "threads": None, "options": {}, "accelerator_options": {}},
        "workload": {
            "asks": "language",
            "prompt": {"length": 4, "seed": 1},
            "output_tokens": 4,
            "context_depth": 0,
            "continuation": "fixed",
            "dimensions": {},
            "values": {},
            "seed": 0,
        },
        "settings": {"warmup": 1, "repeats": 2, "most_repeats": 2, "min_time_ns": 0},
        "spawned_ns": time.perf_counter_ns(),
    }
    reported = run_worker(order, tmp_path)
    assert reported["type"] == "measured", reported
    assert reported["measurements"] == []
    assert reported["effective"]["execution"] == EXECUTION_REFERENCE
    assert reported["effective"]["accelerators"] == ["ALL", "NeuralEngine", "GPU", "CPU"]


def run_worker(order: dict[str, Any], home: Path) -> dict[str, Any]:
    """The last message of a real worker, in a process of its own that takes itself for a Mac."""
    program = (
        "import sys, pytest, pathlib\n"
        "from tests.contract import core_ml_stand_in\n"
        "core_ml_stand_in.install(pytest.MonkeyPatch(), pathlib.Path(sys.argv[1]))\n"
        "from benchharness.device import worker\n"
        "worker.main()\n"
    )
    root = Path(__file__).parent.parent.parent
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()  # and kept open: it is the worker's lifeline
        messages = [json.loads(line) for line in process.stdout]
        assert messages, process.stderr.read().decode()
        return dict(messages[-1])
    finally:
        process.kill()
        process.communicate()


# Compiling.


def test_a_model_is_compiled_once(mac: type[Mac]) -> None:
    with open_model(ONE_TOKEN) as first:
        facts = first.effective.facts
        assert facts["compile_cache"] == "cold"
        assert facts["compile_ns"] > 0
    with open_model(ONE_TOKEN) as second:
        assert second.effective.facts["compile_cache"] == "warm"
        assert second.effective.facts["cached_compile_ns"] == facts["compile_ns"]
        assert "compile_ns" not in second.effective.facts
    assert mac.compilations == 1


def test_a_cold_cache_compiles_anew_and_leaves_nothing(mac: type[Mac]) -> None:
    for _ in range(2):
        with open_model(ONE_TOKEN, options={"compile_cache": "cold"}) as session:
            assert session.effective.facts["compile_cache"] == "cold"
            compiled = Path(session._model.path_or_asset)
            assert compiled.is_dir()
        assert not compiled.parent.exists()
    assert mac.compilations == 2
    assert not cache_folder().exists()


def test_a_compiled_model_is_not_compiled(mac: type[Mac]) -> None:
    compiled = core_ml_stand_in.compile_to_temporary(FLEXIBLE)
    with open_model(compiled) as session:
        assert isinstance(session, LanguageSession)
        assert session.effective.facts["compile_cache"] == "already compiled"
        assert "compile_ns" not in session.effective.facts
    assert compiled.is_dir()
    assert mac.compilations == 0


def entries() -> list[Path]:
    return sorted(cache_folder().iterdir())


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    return build_tensor_model(tmp_path / "tanh.mlpackage")


def test_another_state_of_the_artefact_replaces_the_first(mac: type[Mac], artefact: Path) -> None:
    with open_model(artefact), open_model(PICTURES):
        before = entries()
    build_tensor_model(artefact)
    with open_model(artefact) as session:
        assert session.effective.facts["compile_cache"] == "cold"
    assert len(entries()) == len(before) == 2
    assert entries() != before


@pytest.mark.parametrize("name", ["macos_build", "coremltools"])
def test_another_system_compiles_again(monkeypatch: pytest.MonkeyPatch, artefact: Path, name: str) -> None:
    with open_model(artefact):
        pass
    if name == "macos_build":
        monkeypatch.setattr(system, "macos_build", lambda: "25A1")
    else:
        monkeypatch.setattr(coremltools, "__version__", "9.1")
    with open_model(artefact) as session:
        assert session.effective.facts["compile_cache"] == "cold"


def remove_mark(entry: Path) -> None:
    (entry / "model.mlmodelc" / "coremldata.bin").unlink()


def remove_record(entry: Path) -> None:
    (entry / "compiled.json").unlink()


def spoil_record(entry: Path) -> None:
    (entry / "compiled.json").write_text("[")


@pytest.mark.parametrize("damage", [remove_mark, remove_record, spoil_record])
def test_a_damaged_entry_is_made_again(mac: type[Mac], artefact: Path, damage: Callable[[Path], None]) -> None:
    with open_model(artefact):
        pass
    damage(entries()[0])
    for expected in ("cold", "warm"):
        with open_model(artefact) as session:
            assert session.effective.facts["compile_cache"] == expected
    assert len(entries()) == 1


def test_what_a_killed_attempt_left_is_swept_in_time(artefact: Path) -> None:
    cache_folder().mkdir(parents=True)
    old, young = cache_folder() / "a.partial-1", cache_folder() / "b.partial-2"
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (0, 0))
    with open_model(artefact):
        pass
    assert not old.exists()
    assert young.exists()


def test_a_faster_attempt_s_entry_stays(monkeypatch: pytest.MonkeyPatch, artefact: Path) -> None:
    real = Path.rename

    def too_late(self: Path, target: Path) -> Path:
        real(self, target)  # the other attempt's
        raise OSError("Directory not empty")

    monkeypatch.setattr(Path, "rename", too_late)
    with open_model(artefact) as session:
        assert session.run({"x": np.ones((2, 3), np.float32)})["y"].shape == (2, 3)
    assert len(entries()) == 1


def test_a_full_disk_is_named(artefact: Path) -> None:
    cache_folder().parent.mkdir(parents=True)
    cache_folder().write_text("not a folder")
    with pytest.raises(ModelFailure, match="cannot keep compiled models"), open_model(artefact):
        pass


def test_what_core_ml_does_not_compile_is_told_in_its_words(monkeypatch: pytest.MonkeyPatch, artefact: Path) -> None:
    def fails(path: str) -> str:
        raise core_ml_stand_in.failure("Failed to parse the model specification. Error: Unable to parse ML Program")

    monkeypatch.setattr(core_ml_stand_in.Model, "compileModel", staticmethod(fails))
    with pytest.raises(ModelFailure, match=r"(?s)tanh\.mlpackage: .* Unable to parse ML Program"), open_model(artefact):
        pass
    assert entries() == []


# Loading and running.


def test_options_reach_core_ml() -> None:
    hints = {
        "reshapeFrequency": "Infrequent",
        "specializationStrategy": "FastPrediction",
        "allowLowPrecisionAccumulationOnGPU": True,
    }
    with open_model(ONE_TOKEN, options={"optimization_hints": hints}) as session:
        assert session._model.optimization_hints == {
            "reshapeFrequency": coremltools.ReshapeFrequency.Infrequent,
            "specializationStrategy": coremltools.SpecializationStrategy.FastPrediction,
            "allowLowPrecisionAccumulationOnGPU": True,
        }
        assert session.effective.facts["optimization_hints"] == hints


@pytest.mark.parametrize("units", ["CPU_AND_GPU", "CPU_AND_NE"])
def test_an_accelerator_that_refuses_the_model(mac: type[Mac], monkeypatch: pytest.MonkeyPatch, units: str) -> None:
    monkeypatch.setattr(mac, "refused_units", frozenset({units}))
    with open_model(ONE_TOKEN, accelerator=units) as session:
        effective = session.effective
        assert session._model.compute_unit.name == "CPU_ONLY"
    assert effective.accelerators == ("CPU_ONLY", "CPU")
    assert effective.refusal is not None
    assert "error code: -14" in effective.refusal.reason
    assert effective.refusal.lost_ns > 0
    with (
        pytest.raises(Unsupported, match=f'(?s)"fail".*{units}.*-14.*CPU_ONLY'),
        open_model(ONE_TOKEN, accelerator=units, fallback="fail"),
    ):
        pass


@pytest.mark.parametrize("units", [None, "ALL", "CPU_ONLY", "CPU_AND_NE"])
def test_a_model_that_nothing_loads(mac: type[Mac], monkeypatch: pytest.MonkeyPatch, units: str | None) -> None:
    monkeypatch.setattr(mac, "refused_units", frozenset({"ALL", "CPU_ONLY", "CPU_AND_NE"}))
    with pytest.raises(ModelFailure, match=f"(?s){ONE_TOKEN.name}.*{units or 'ALL'}.*error code: -14"):
        open_model(ONE_TOKEN, accelerator=units).__enter__()


def test_an_accelerator_that_this_mac_lacks(mac: type[Mac], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mac, "devices", ("CPU",))
    with (
        pytest.raises(Unsupported, match=r"no NeuralEngine here \(it has CPU"),
        open_model(ONE_TOKEN, accelerator="CPU_AND_NE"),
    ):
        pass


def test_a_prediction_that_fails_is_told_in_core_ml_s_words(mac: type[Mac], monkeypatch: pytest.MonkeyPatch) -> None:
    with open_model(ONE_TOKEN) as session:
        session.extend([1, 2])
        monkeypatch.setattr(mac, "predictions_fail", "Unable to compute the prediction using ML Program.")
        for tokens in ([3], [3, 4]):
            with pytest.raises(ModelFailure, match=rf"(?s){ONE_TOKEN.name}.*Unable to compute the prediction"):
                session.extend(tokens)
        with pytest.raises(ModelFailure, match="Unable to compute the prediction"):
            session.decode(3)
        monkeypatch.setattr(mac, "predictions_fail", "")
        session.reset()
        assert session.extend([1, 2]).shape == (50,)


def test_a_shape_that_the_model_does_not_take_is_told(artefact: Path) -> None:
    with open_model(artefact) as session, pytest.raises(ModelFailure, match=r"shape \(4 x 3\) does not match"):
        session.run({"x": np.ones((4, 3), np.float32)})


def test_float16_outputs_keep_their_type(tmp_path: Path) -> None:
    with open_model(build_sum_model(tmp_path / "sum.mlpackage")) as session:
        for _ in range(2):
            outputs = session.run({"x": np.full(4, 1.5, np.float16)})
            assert outputs["y"].dtype == np.float16
            np.testing.assert_array_equal(outputs["y"], np.full(4, 3, np.float16))


@pytest.mark.parametrize("version", [(14, 5), (12, 0)])
def test_a_model_for_a_newer_macos(monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...]) -> None:
    monkeypatch.setattr(system, "macos_version", lambda: version)
    with pytest.raises(Unsupported, match=r"specification version 9 with states needs macOS 15"), open_model(FLEXIBLE):
        pass
    if version < (13,):
        with (
            pytest.raises(Unsupported, match="'CPU_AND_NE' needs macOS 13"),
            open_model(FLEXIBLE, accelerator="CPU_AND_NE"),
        ):
            pass
    hints = {"optimization_hints": {"reshapeFrequency": "Frequent"}}
    with pytest.raises(Unsupported, match="optimization_hints needs macOS 15"), open_model(PICTURES, options=hints):
        pass


# The stand-in itself: it stands in for what coremltools really calls, and coremltools is called as it wants to be.


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_coremltools_is_as_the_adapter_knows_it() -> None:
    hints = ["path", "compute_units", "function_name", "optimization_hints"]
    assert parameters(CompiledMLModel.__init__)[1:5] == hints
    assert parameters(CompiledMLModel.predict) == ["self", "data", "state"]
    assert parameters(CompiledMLModel.make_state) == ["self"]
    assert parameters(MLModel.predict) == ["self", "data", "state"]
    assert parameters(MLModel.make_state) == ["self"]
    assert parameters(MLModel.get_available_compute_devices) == []
    assert parameters(MLState.__init__) == ["self", "proxy"]
    assert parameters(utils.compile_model) == ["model", "destination_path"]
    plan = compute_plan.MLComputePlan
    assert parameters(plan.load_from_path) == ["path", "compute_units"]
    assert parameters(plan.get_compute_device_usage_for_mlprogram_operation) == ["self", "operation"]
    assert parameters(plan.get_compute_device_usage_for_neuralnetwork_layer) == ["self", "layer"]
    assert parameters(plan.get_estimated_cost_for_mlprogram_operation) == ["self", "operation"]
    called = (CompiledMLModel.predict, CompiledMLModel.make_state, utils.compile_model, plan.load_from_path)
    assert not any(inspect.iscoroutinefunction(each) for each in called)
    assert {unit.name for unit in coremltools.ComputeUnit} == {"ALL", "CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE"}
    assert {each.name for each in coremltools.ReshapeFrequency} == {"Frequent", "Infrequent"}
    assert {each.name for each in coremltools.SpecializationStrategy} == {"Default", "FastPrediction"}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("MLModelStructure", ["neuralnetwork", "program", "pipeline"]),
        ("MLModelStructureNeuralNetwork", ["layers"]),
        ("MLModelStructureNeuralNetworkLayer", ["name", "type", "input_names", "output_names", "__proxy__"]),
        ("MLModelStructureProgram", ["functions"]),
        ("MLModelStructureProgramFunction", ["inputs", "block"]),
        ("MLModelStructureProgramBlock", ["inputs", "operations", "output_names"]),
        ("MLModelStructureProgramOperation", ["inputs", "operator_name", "outputs", "blocks", "__proxy__"]),
        ("MLComputePlanDeviceUsage", ["preferred_compute_device", "supported_compute_devices"]),
        ("MLComputePlanCost", ["weight"]),
    ],
)
def test_a_compute_plan_is_made_of_what_the_adapter_reads(name: str, fields: list[str]) -> None:
    assert [field.name for field in dataclasses.fields(getattr(compute_plan, name))] == fields


#: What each module of coremltools calls the native objects, and what stands in for them.
CALLERS: dict[Any, dict[str, type]] = {
    model: {"_MLModelProxy": core_ml_stand_in.Model, "proxy": core_ml_stand_in.Model},
    _compiled_model: {"_MLModelProxy": core_ml_stand_in.Model, "_proxy": core_ml_stand_in.Model},
    compute_plan: {"_MLModelProxy": core_ml_stand_in.Model, "__proxy__": core_ml_stand_in.Plan},
    compute_device: {"_MLModelProxy": core_ml_stand_in.Model, "__proxy__": core_ml_stand_in.NeuralEngineDevice},
    utils: {"_MLModelProxy": core_ml_stand_in.Model},
}


def native_calls() -> Iterator[tuple[str, type, str, int]]:
    """(where, stand-in, method, arguments) of every call of a native object in coremltools."""
    for module, names in CALLERS.items():
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield module.__name__, names[node.func.id], "__init__", len(node.args)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                holder = node.func.value
                name = holder.id if isinstance(holder, ast.Name) else getattr(holder, "attr", "")
                if name in names:
                    yield module.__name__, names[name], node.func.attr, len(node.args)
        if module is model:  # a model's proxy and a state's have the same name there
            for method in ("read_state", "write_state"):
                yield module.__name__, core_ml_stand_in.State, method, 1 if method == "read_state" else 2


def test_the_stand_in_has_all_that_coremltools_calls() -> None:
    calls = list(native_calls())
    assert {method for _, _, method, _ in calls} >= {
        "predict",
        "newState",
        "compileModel",
        "get_compute_plan",
        "__init__",
    }
    for where, kind, method, count in calls:
        assert hasattr(kind, method), f"{where} calls {method}, which the stand-in lacks"
        wanted = inspect.signature(getattr(kind, method))
        bound = isinstance(inspect.getattr_static(kind, method), staticmethod)
        wanted.bind(*([None] * (count if bound else count + 1)))
