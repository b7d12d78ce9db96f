"""Core ML's adapter refuses what it cannot run, in words: requests, damaged packages, models of another kind."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from coremltools.models.utils import MultiFunctionDescriptor, save_multifunction
from coremltools.proto import Model_pb2

from benchharness.contract import Configuration
from benchharness.errors import AttemptError, ModelFailure, Unsupported
from targets import core_ml
from targets.core_ml import CoreML, system
from targets.core_ml.description import describe
from tests.contract import core_ml_stand_in
from tests.contract.core_ml_models import (
    Layout,
    build_language_model,
    build_older_model,
    build_tensor_model,
    edit,
    quietly,
)
from tests.contract.test_core_ml import FLEXIBLE, ONE_TOKEN, PICTURES, TOKENS

ON_A_MAC = ["reference", "ALL"]
off_macos = pytest.mark.skipif(sys.platform == "darwin", reason="Core ML is here")


def open_model(path: Path, **fields: Any) -> Any:
    return CoreML().open(path, Configuration(**{"runtime": "coreml", "accelerator": "reference", **fields}))


def refusal(path: Path, **fields: Any) -> str:
    with pytest.raises(AttemptError) as raised, open_model(path, **fields):
        pass
    return str(raised.value)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PICTURES, tmp_path / "pictures.mlpackage"))


def specification(package: Path) -> Path:
    return package / "Data" / "com.apple.CoreML" / "model.mlmodel"


# Requests.


@off_macos
@pytest.mark.parametrize("accelerator", [None, "ALL", "CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE"])
def test_core_ml_is_not_here(accelerator: str | None) -> None:
    told = refusal(ONE_TOKEN, accelerator=accelerator)
    assert told.startswith("Core ML predicts on macOS only")
    assert 'accelerator = "reference"' in told
    assert "\n" not in told


@off_macos
def test_availability_says_what_is_not_possible_here() -> None:
    found = CoreML().availability()
    assert found.available
    assert found.accelerators == ("reference",)
    assert "macOS only" in found.reason


@off_macos
def test_availability_says_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else name)
    found = CoreML().availability()
    assert not found.available
    assert "needs onnxruntime; install benchharness[coreml]" in found.reason


def test_without_coremltools_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_ml, "_missing", "coremltools cannot be imported; install benchharness[coreml]")
    found = CoreML().availability()
    assert not found.available
    assert "benchharness[coreml]" in found.reason
    assert "benchharness[coreml]" in refusal(ONE_TOKEN)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"accelerator": "CPU_AND_NPU"}, "'CPU_AND_NPU'.*did you mean 'CPU_AND_"),
        ({"accelerator": "cpu"}, "there are ALL, CPU_ONLY, CPU_AND_GPU, CPU_AND_NE, and reference"),
        ({"options": {"compute_units": "ALL"}}, r"options\.compute_units"),
        ({"options": {"compile_cash": "cold"}}, "did you mean 'compile_cache'"),
        ({"options": {"compile_cache": "cold"}}, "neither compiles nor specializes"),
        ({"options": {"optimization_hints": {}}}, "neither compiles nor specializes"),
        ({"options": {"function": 3}}, "not a function's name"),
        ({"options": {"function": "prefill"}}, "one function, main, and none called 'prefill'"),
        ({"accelerator_options": {"x": 1}}, r"accelerator_options\.x"),
        ({"threads": 0}, "threads"),
        ({"threads": True}, "threads"),
    ],
)
def test_a_request_that_cannot_be_met_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=message), open_model(ONE_TOKEN, **fields):
        pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compile_cache": "hot"}, "neither 'cold' nor 'warm'"),
        ({"optimization_hints": "fast"}, "not a table"),
        ({"optimization_hints": {"reshapeFrequence": "Frequent"}}, "did you mean 'reshapeFrequency'"),
        ({"optimization_hints": {"reshapeFrequency": "Often"}}, "'Often' is none of Frequent, Infrequent"),
        ({"optimization_hints": {"allowLowPrecisionAccumulationOnGPU": 1}}, "1 is none of True, False"),
    ],
)
def test_an_option_that_core_ml_would_not_take(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(system, "on_macos", lambda: True)
    with pytest.raises(Unsupported, match=message), open_model(ONE_TOKEN, accelerator="ALL", options=options):
        pass


# Files. What is wrong with them is told before Core ML sees them, or in its words.


@pytest.fixture(params=ON_A_MAC)
def accelerator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """By reference, and on a Mac."""
    if request.param != "reference":
        core_ml_stand_in.install(monkeypatch, tmp_path / "home")
    return str(request.param)


def test_a_missing_weights_file(package: Path, accelerator: str) -> None:
    (package / "Data" / "com.apple.CoreML" / "weights" / "weight.bin").unlink()
    told = refusal(package, accelerator=accelerator)
    assert package.name in told
    assert "weight.bin" in told


def test_a_package_that_is_a_file(tmp_path: Path, accelerator: str) -> None:
    path = tmp_path / "model.mlpackage"
    for content, advice in ((b"text", "again"), (b"PK\x03\x04..", "unpack"), (b"version https://git-lfs", "lfs pull")):
        path.write_bytes(content)
        told = refusal(path, accelerator=accelerator)
        assert "model.mlpackage: a file, where an .mlpackage is a folder" in told
        assert advice in told


@pytest.mark.parametrize("kept", [0, 1, 100, 0.3, 0.9])
def test_a_specification_cut_short(package: Path, accelerator: str, kept: float) -> None:
    content = specification(package).read_bytes()
    length = kept if isinstance(kept, int) else int(kept * len(content))
    specification(package).write_bytes(content[:length])
    assert package.name in refusal(package, accelerator=accelerator)


@pytest.mark.parametrize(
    "manifest",
    [
        None,
        "",
        "[]",
        "{}",
        '{"rootModelIdentifier": "a", "itemInfoEntries": {}}',
        '{"rootModelIdentifier": ["a"], "itemInfoEntries": {"a": {"path": 3}}}',
        '{"rootModelIdentifier": "a", "itemInfoEntries": {"a": {"path": "../../../other.mlmodel"}}}',
        '{"rootModelIdentifier": "a", "itemInfoEntries": {"a": {"path": "/etc/passwd"}}}',
        '{"rootModelIdentifier": "a", "itemInfoEntries": {"a": {"path": "nothing.mlmodel"}}}',
        "[" * 100_000,
    ],
    ids=["none", "empty", "list", "table", "no-entry", "odd-types", "outside", "absolute", "nothing-there", "deep"],
)
def test_a_manifest_that_leads_nowhere(package: Path, accelerator: str, manifest: str | None) -> None:
    path = package / "Manifest.json"
    path.unlink() if manifest is None else path.write_text(manifest)
    with pytest.raises(ModelFailure, match=package.name), open_model(package, accelerator=accelerator):
        pass


@pytest.mark.parametrize("away", ["../../other.mlmodel", "{absolute}"])
def test_a_manifest_that_leads_out_of_the_package(package: Path, accelerator: str, away: str) -> None:
    other = Path(shutil.copy(specification(package), package.parent / "other.mlmodel"))
    path = away.format(absolute=other)
    entries = {"rootModelIdentifier": "a", "itemInfoEntries": {"a": {"path": path}}}
    (package / "Manifest.json").write_text(json.dumps(entries))
    with pytest.raises(ModelFailure, match="outside the package"), open_model(package, accelerator=accelerator):
        pass


def test_a_folder_that_holds_no_model_or_several(package: Path) -> None:
    folder = package.parent
    with open_model(folder) as session:
        assert session.inputs[0].name == "image"
    shutil.copytree(package, folder / "again.mlpackage")
    assert "several models (again.mlpackage, pictures.mlpackage)" in refusal(folder)
    assert "no Core ML model in this folder" in refusal(package / "Data")


def test_an_ending_that_is_not_core_ml_s(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"x")
    assert "expected a name ending in .mlpackage" in refusal(path)


def test_an_older_model_is_for_a_mac_alone(tmp_path: Path) -> None:
    path = build_older_model(tmp_path / "old.mlmodel")
    assert describe(path).kind == "neuralNetwork"
    told = refusal(path)
    assert "a neuralNetwork of specification version 1, older than ML programs" in told
    assert 'convert_to="mlprogram"' in told


def test_a_compiled_model_is_for_a_mac_alone() -> None:
    assert "a compiled model" in refusal(core_ml_stand_in.compile_to_temporary(PICTURES))


def test_a_folder_that_is_no_compiled_model_never_reaches_core_ml(tmp_path: Path, accelerator: str) -> None:
    path = tmp_path / "model.mlmodelc"
    path.mkdir()
    (path / "metadata.json").write_text("[{}]")
    assert "no coremldata.bin in it" in refusal(path, accelerator=accelerator)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        "",
        "[]",
        "[{}]",
        '[{"modelType": {"name": "MLModelType_mlProgram"}}]',
        '[{"modelType": 3, "inputSchema": 1}]',
        '[{"specificationVersion": 9, "modelType": {"name": "MLModelType_mlProgram"}, "outputSchema": [],'
        ' "inputSchema": [{"name": "x", "type": "MultiArray", "shape": "[1, oops]"}]}]',
    ],
)
def test_what_the_compiler_wrote_may_be_damaged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, metadata: str | None
) -> None:
    core_ml_stand_in.install(monkeypatch, tmp_path)
    compiled = core_ml_stand_in.compile_to_temporary(PICTURES)
    path = compiled / "metadata.json"
    path.unlink() if metadata is None else path.write_text(metadata)
    with pytest.raises(ModelFailure, match=compiled.name), open_model(compiled, accelerator="ALL"):
        pass


@pytest.mark.parametrize("model", [FLEXIBLE, ONE_TOKEN, PICTURES], ids=lambda path: path.stem)
def test_a_compiled_model_is_described_as_its_source(model: Path) -> None:
    assert describe(core_ml_stand_in.compile_to_temporary(model)) == describe(model)


@pytest.mark.parametrize("layout", [Layout(), Layout(listed=(1, 4))], ids=["range", "listed"])
def test_flexible_shapes_survive_compiling(tmp_path: Path, layout: Layout) -> None:
    model = build_language_model(tmp_path / "model.mlpackage", layout)
    assert describe(core_ml_stand_in.compile_to_temporary(model)) == describe(model)


def test_an_input_without_a_shape(package: Path, accelerator: str) -> None:
    def forget(message: Any) -> None:
        del message.description.input[0].type.multiArrayType.shape[:]

    assert "image is described without a shape" in refusal(edit(package, forget), accelerator=accelerator)


def test_an_input_that_is_an_image(package: Path, accelerator: str) -> None:
    def picture(message: Any) -> None:
        image = message.description.input[0].type.imageType
        image.width, image.height = 17, 13

    assert "convert the model with tensors" in refusal(edit(package, picture), accelerator=accelerator)


def test_a_specification_without_a_model(tmp_path: Path) -> None:
    path = tmp_path / "none.mlmodel"
    path.write_bytes(Model_pb2.Model(specificationVersion=5).SerializeToString())
    assert "is no Core ML model" in refusal(path)


# Several functions.


@pytest.fixture
def functions(tmp_path: Path) -> Path:
    descriptor = MultiFunctionDescriptor()
    for name, layout in (("prefill", Layout(query=4)), ("decode", Layout(query=1))):
        part = build_language_model(tmp_path / f"{name}.mlpackage", layout)
        descriptor.add_function(str(part), src_function_name="main", target_function_name=name)
    descriptor.default_function_name = "decode"
    path = tmp_path / "both.mlpackage"
    with quietly():
        save_multifunction(descriptor, str(path))
    return path


def test_a_model_of_several_functions_runs_its_default(functions: Path) -> None:
    with open_model(functions) as session:
        assert session.effective.facts["function"] == "decode"
        assert session.extend(TOKENS[:3]).shape == (session.vocabulary_size,)
    with open_model(functions, options={"function": "decode"}) as session:
        assert session.effective.facts["prefill"] == "one token at a time"


def test_a_function_that_is_not_the_default(functions: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = {"function": "prefill"}
    assert "computes decode only" in refusal(functions, options=options)
    assert "has no function 'prefil'" in refusal(functions, options={"function": "prefil"})
    core_ml_stand_in.install(monkeypatch, tmp_path / "home")
    with open_model(functions, accelerator="ALL", options=options) as session:
        assert session._model.function_name == "prefill"
        assert session.effective.facts["function"] == "prefill"
        assert session.effective.facts["prefill"] == "4 tokens at a time, padded"


def test_functions_of_a_compiled_model_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    core_ml_stand_in.install(monkeypatch, tmp_path / "home")
    compiled = core_ml_stand_in.compile_to_temporary(ONE_TOKEN)
    path = compiled / "metadata.json"
    model = json.loads(path.read_text())[0]
    part = {key: model.pop(key) for key in ("inputSchema", "outputSchema", "stateSchema")}
    model["functions"] = [{"name": name, **part} for name in ("main", "again")]
    path.write_text(json.dumps([model]))
    assert describe(compiled, "again").function == "again"
    assert "has no function 'gain' (it has main, again)" in refusal(
        compiled, accelerator="ALL", options={"function": "gain"}
    )


def test_a_tensor_of_any_length_has_no_fixed_shape(tmp_path: Path) -> None:
    with open_model(build_tensor_model(tmp_path / "tanh.mlpackage", flexible=True)) as session:
        assert session.inputs[0].shape == (2, None)
