"""Core ML itself: compiles, predicts, keeps state and tells placement on this Mac, and the harness measures it.

A Mac without a Neural Engine or a GPU that Core ML can use (a virtual one, for instance) runs what it can.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.contract import EXECUTION_DEVICE, EXECUTION_REFERENCE, Adapter, Availability, Configuration
from benchharness.errors import AttemptError, ModelFailure, Unsupported
from benchharness.testing import AdapterContract
from targets.core_ml import CoreML, compilation, system
from targets.core_ml.compute_plan import available_devices
from targets.core_ml.description import Description, describe
from tests.conftest import ARTEFACTS, CommandLine

GOLDEN = Path(__file__).parent.parent / "golden" / "core_ml"
FLEXIBLE, ONE_TOKEN, PICTURES = (GOLDEN / f"{name}.mlpackage" for name in ("tiny-flexible", "tiny-one-token", "conv"))
DEMO = ARTEFACTS / "coreml-fp16"
UNITS = ["CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE", "ALL"]

#: float16 has 11 bits: over the few layers here, logits of up to 20 move by some hundredths on an accelerator.
FLOAT16_TOLERANCE = 0.25
FLOAT32_TOLERANCE = 5e-3  # the cache is float16, and a number may fall on the other side of a rounding step

pytestmark = [
    pytest.mark.macos,
    pytest.mark.skipif(not system.on_macos(), reason="Core ML predicts on macOS only"),
    pytest.mark.filterwarnings("default"),  # coremltools' own
]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Compiled models of a test stay in the test's folder."""
    monkeypatch.setattr(compilation, "cache_folder", lambda: tmp_path / "compiled")
    return tmp_path / "compiled"


@pytest.fixture(params=UNITS)
def units(request: pytest.FixtureRequest) -> str:
    if request.param not in CoreML().availability().accelerators:
        pytest.skip(f"this Mac has {', '.join(available_devices())}")
    return str(request.param)


def open_model(path: Path, accelerator: str | None = "CPU_ONLY", **fields: Any) -> Any:
    return CoreML().open(path, Configuration(runtime="coreml", accelerator=accelerator, **fields))


# The contract, on the CPU.


class OnAMac(AdapterContract):
    tolerance = FLOAT32_TOLERANCE

    @pytest.fixture
    def adapter(self) -> Adapter:
        return CoreML()

    @pytest.fixture
    def configuration(self, adapter: Adapter) -> Configuration:
        return Configuration(runtime=adapter.name, accelerator="CPU_ONLY")


class TestFlexible(OnAMac):
    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return FLEXIBLE

    @pytest.fixture
    def tensor_artefact(self) -> Path | None:
        return PICTURES


class TestOneToken(OnAMac):
    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return ONE_TOKEN


class TestDemoModel(OnAMac):
    chunks_agree = False  # float16

    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return DEMO


class CoreMLOfCompiled(CoreML):
    formats: Sequence[str] = (".mlmodelc",)

    def availability(self) -> Availability:
        found = super().availability()
        return replace(found, accelerators=[each for each in found.accelerators if each != "reference"])


class TestCompiled(OnAMac):
    @pytest.fixture
    def adapter(self) -> Adapter:
        return CoreMLOfCompiled()

    @pytest.fixture
    def language_artefact(self, tmp_path: Path) -> Path | None:
        return compile_to(FLEXIBLE, tmp_path)


def compile_to(package: Path, folder: Path) -> Path:
    from coremltools.models.utils import compile_model

    return Path(compile_model(str(package), str(folder / f"{package.stem}.mlmodelc")))


# Answers.


def test_logits_on_the_cpu_are_those_of_torch() -> None:
    with np.load(GOLDEN / "tiny.npz") as golden:
        tokens, logits = golden["tokens"].tolist(), golden["logits"]
    for path in (FLEXIBLE, ONE_TOKEN):
        with open_model(path) as session:
            for token, expected in zip(tokens, logits, strict=True):
                np.testing.assert_allclose(session.decode(token), expected, atol=FLOAT32_TOLERANCE)


def test_pictures_are_classified_as_torch_does(units: str) -> None:
    with np.load(GOLDEN / "conv.npz") as golden, open_model(PICTURES, units) as session:
        for image, expected in zip(golden["images"], golden["probabilities"], strict=True):
            probabilities = session.run({"image": image[None]})["probabilities"][0]
            np.testing.assert_allclose(probabilities, expected, atol=2e-2)


@pytest.mark.parametrize("path", [FLEXIBLE, ONE_TOKEN, DEMO], ids=lambda path: path.stem)
def test_the_device_answers_as_the_reference_does(path: Path, units: str) -> None:
    tokens = [3, 7, 1, 12, 5, 9, 2, 8]
    tolerance = FLOAT32_TOLERANCE if units == "CPU_ONLY" and path != DEMO else FLOAT16_TOLERANCE
    with open_model(path, units) as device, open_model(path, "reference") as reference:
        assert device.effective.execution == EXECUTION_DEVICE
        assert reference.effective.execution == EXECUTION_REFERENCE
        for session in (device, reference):
            session.extend(tokens[:5])
        for token in tokens[5:]:
            np.testing.assert_allclose(device.decode(token), reference.decode(token), atol=tolerance)


def test_a_new_state_is_empty(units: str) -> None:
    with open_model(FLEXIBLE, units) as session:
        first = np.array(session.extend([3, 7, 1]))
        session.extend([9, 9, 9, 9])
        session.reset()
        np.testing.assert_array_equal(session.extend([3, 7, 1]), first)


# What is told of the device.


def test_every_session_names_its_units_and_is_a_device(units: str) -> None:
    with open_model(PICTURES, units, threads=2) as session:
        effective = session.effective
    assert effective.accelerators[0] == units
    assert effective.execution == EXECUTION_DEVICE
    assert "label" not in effective.facts
    assert effective.threads is None
    assert effective.facts["devices"]
    assert f"({system.macos_build()})" in effective.runtime_version
    assert system.macos_build() != "unknown"


def test_placement_is_the_compute_plan_s(units: str) -> None:
    with open_model(PICTURES, units) as session:
        placement = session.placement()
        facts = session.effective.facts
    assert set(placement) <= {"CPU", "GPU", "NeuralEngine"}
    if units == "CPU_ONLY":
        assert set(placement) == {"CPU"}
    counted = {name for operators in placement.values() for name in operators}
    assert "conv" in counted
    assert not {name for name in counted if name.startswith("const") or "." in name}
    assert 0 < sum(facts["estimated_cost"].values()) <= 1.01


def test_an_accelerator_that_is_not_here_is_refused() -> None:
    missing = set(UNITS) - set(CoreML().availability().accelerators)
    if not missing:
        pytest.skip("this Mac has all of them")
    with pytest.raises(Unsupported, match="Core ML has no"), open_model(PICTURES, missing.pop()):
        pass


def test_a_model_is_compiled_once(own_cache: Path) -> None:
    for expected in ("cold", "warm"):
        with open_model(FLEXIBLE) as session:
            assert session.effective.facts["compile_cache"] == expected
            session.extend([1, 2])
    assert len(list(own_cache.iterdir())) == 1
    with open_model(FLEXIBLE, options={"compile_cache": "cold"}) as session:
        assert session.effective.facts["compile_cache"] == "cold"
        assert session.effective.facts["compile_ns"] > 0


@pytest.mark.parametrize("path", [FLEXIBLE, ONE_TOKEN, PICTURES], ids=lambda path: path.stem)
def test_a_compiled_model_is_described_as_its_source(path: Path, tmp_path: Path) -> None:
    compiled, source = describe(compile_to(path, tmp_path)), describe(path)
    assert shapes(compiled) == shapes(source)
    assert (compiled.kind, compiled.specification_version) == (source.kind, source.specification_version)


def shapes(description: Description) -> list[Any]:
    features = [*description.inputs, *description.outputs, *description.states]
    return sorted((each.name, each.dtype, each.shape, each.bounds if None in each.shape else ()) for each in features)


def test_hints_are_taken() -> None:
    hints = {"reshapeFrequency": "Infrequent", "specializationStrategy": "FastPrediction"}
    with open_model(FLEXIBLE, options={"optimization_hints": hints}) as session:
        assert session.extend([1, 2]).shape == (session.vocabulary_size,)


def test_what_core_ml_says_of_a_wrong_shape_is_told() -> None:
    with open_model(PICTURES) as session, pytest.raises(ModelFailure, match=r"conv\.mlpackage"):
        session.run({"image": np.zeros((1, 2, 12, 17), np.float32)})


def test_a_missing_weights_file_is_told(tmp_path: Path) -> None:
    import shutil

    package = Path(shutil.copytree(PICTURES, tmp_path / "damaged.mlpackage"))
    (package / "Data" / "com.apple.CoreML" / "weights" / "weight.bin").unlink()
    with pytest.raises(AttemptError, match=r"damaged\.mlpackage"), open_model(package):
        pass


def test_an_older_model_runs(tmp_path: Path) -> None:
    from tests.contract.core_ml_models import build_older_model

    with open_model(build_older_model(tmp_path / "old.mlmodel")) as session:
        outputs = session.run({"x": np.array([1, 2, 3], np.float64)})
        np.testing.assert_allclose(outputs["y"], [2, 4, 6])
        assert session.placement()["CPU"]


def test_the_stand_in_stands_in_for_what_is_here() -> None:
    """The tests that run without a Mac use no native method that a Mac lacks."""
    from coremltools import libcoremlpython

    from tests.contract import core_ml_stand_in

    for name, kind in vars(core_ml_stand_in.native()).items():
        if name.startswith("_ML"):
            methods = {each for each in vars(kind) if not each.startswith("_")}
            assert methods <= set(dir(getattr(libcoremlpython, name))), name


# The harness.

SUITE = """
name = "mac"
[models.tiny]
task = "causal-lm"
reference = "flexible"
[models.tiny.variants]
flexible = {{ artefact = "{flexible}" }}
one-token = {{ artefact = "{one_token}" }}
[[configurations]]
runtime = "coreml"
accelerator = ["CPU_ONLY", "ALL", "reference"]
[[workloads]]
name = "short"
prompt = {{ tokens = 8 }}
output_tokens = 8
[scenarios]
first-token = {{ min_time = "20 ms" }}
steady = {{ min_time = "20 ms" }}
[attempts]
at_least = 2
at_most = 2
"""


@pytest.fixture
def results(benchharness: CommandLine, tmp_path: Path) -> list[dict[str, Any]]:
    (tmp_path / "suite.toml").write_text(SUITE.format(flexible=FLEXIBLE, one_token=ONE_TOKEN))
    done = benchharness("run", "suite.toml", "--out", "report", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((tmp_path / "report").glob("*.html"))
    document: dict[str, Any] = json.loads(benchharness("export").stdout)
    return list(document["results"])


def test_the_harness_measures_latency_and_memory(results: list[dict[str, Any]]) -> None:
    assert {result["outcome"] for result in results} == {"ok"}
    for result in results:
        names = {metric["name"] for metric in result["metrics"]}
        if result["configuration"]["accelerator"] == "reference":
            assert names <= {"artefact_size", "download_size"}, "a reference execution is no measurement"
            continue
        assert "peak_memory" in names
        assert ({"model_ttft"} if result["scenario"] == "first-token" else {"decode_rate", "itl"}) <= names
        assert result["effective"]["execution"] == EXECUTION_DEVICE
        assert result["effective"]["placement"]
