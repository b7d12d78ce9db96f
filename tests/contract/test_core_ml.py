"""Core ML models by reference execution, which runs on every system: the contract on every layout, and arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.contract import (
    CACHE_IN_PLACE,
    CACHE_NONE,
    EXECUTION_REFERENCE,
    Adapter,
    Configuration,
    LanguageSession,
)
from benchharness.errors import ModelFailure, Unsupported
from benchharness.testing import AdapterContract
from targets.core_ml import CoreML
from tests.conftest import ARTEFACTS
from tests.contract.core_ml_models import (
    CONTEXT,
    VOCABULARY,
    Layout,
    build_language_model,
    build_sum_model,
    build_tensor_model,
    reference_logits,
)

GOLDEN = Path(__file__).parent.parent / "golden" / "core_ml"
FLEXIBLE, ONE_TOKEN, PICTURES = (GOLDEN / f"{name}.mlpackage" for name in ("tiny-flexible", "tiny-one-token", "conv"))
DEMO = ARTEFACTS / "coreml-fp16"

LAYOUTS = {
    "any-length": Layout(),
    "in-pieces": Layout(highest=4),
    "last-logits": Layout(all_logits=False),
    "one-token": Layout(query=1),
    "listed": Layout(listed=(1, 4, 16)),
    "padded": Layout(listed=(4, 16)),
    "listed-last-logits": Layout(listed=(1, 4, 16), all_logits=False),
    "no-mask": Layout(query=1, mask=False),
    "no-cache": Layout(stateful=False),
}
TOKENS = [(5 * index + index * index) % VOCABULARY for index in range(CONTEXT)]
# float32 against float64, over a cache that both round to float16: the largest seen was 1e-5.
TOLERANCE = 1e-4


@pytest.fixture(scope="session")
def core_ml_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("core_ml")
    return {name: build_language_model(folder / f"{name}.mlpackage", layout) for name, layout in LAYOUTS.items()}


def open_model(path: Path, **fields: Any) -> Any:
    return CoreML().open(
        path, Configuration(**{"runtime": "coreml", "accelerator": "reference", "threads": 1, **fields})
    )


class CoreMLContract(AdapterContract):
    tolerance = TOLERANCE

    @pytest.fixture
    def adapter(self) -> Adapter:
        return CoreML()

    @pytest.fixture
    def configuration(self, adapter: Adapter) -> Configuration:
        return Configuration(runtime=adapter.name, accelerator="reference", threads=1)


class TestFlexible(CoreMLContract):
    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return FLEXIBLE

    @pytest.fixture
    def tensor_artefact(self) -> Path | None:
        return PICTURES


class TestOneToken(CoreMLContract):
    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return ONE_TOKEN


@pytest.mark.skipif(not DEMO.is_dir(), reason=f"{DEMO.name} is not built")
class TestDemoModel(CoreMLContract):
    chunks_agree = False  # float16 throughout

    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return DEMO


class TestLayouts(CoreMLContract):
    @pytest.fixture(params=["any-length", "in-pieces", "listed", "no-cache"])
    def language_artefact(self, core_ml_models: dict[str, Path], request: pytest.FixtureRequest) -> Path | None:
        return core_ml_models[request.param]


class TestTensors(CoreMLContract):
    @pytest.fixture
    def tensor_artefact(self, tmp_path: Path) -> Path | None:
        return build_tensor_model(tmp_path / "tanh.mlpackage", flexible=True)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "no-mask"])  # it looks at empty positions too
def test_logits_are_those_of_the_arithmetic(core_ml_models: dict[str, Path], layout: str) -> None:
    expected = reference_logits(TOKENS[:20], cached=LAYOUTS[layout].stateful)
    with open_model(core_ml_models[layout]) as session:
        np.testing.assert_allclose(session.extend(TOKENS[:7]), expected[6], atol=TOLERANCE)
        np.testing.assert_allclose(session.decode(TOKENS[7]), expected[7], atol=TOLERANCE)
        np.testing.assert_allclose(session.extend(TOKENS[8:20]), expected[19], atol=TOLERANCE)
        session.reset()
        np.testing.assert_allclose(session.decode(TOKENS[0]), expected[0], atol=TOLERANCE)


@pytest.mark.parametrize("path", [FLEXIBLE, ONE_TOKEN], ids=lambda path: path.stem)
def test_logits_are_those_of_torch(path: Path) -> None:
    with np.load(GOLDEN / "tiny.npz") as golden:
        tokens, logits = golden["tokens"].tolist(), golden["logits"]
    with open_model(path) as session:
        for token, expected in zip(tokens, logits, strict=True):
            np.testing.assert_allclose(session.decode(token), expected, atol=2e-3)
        session.reset()
        np.testing.assert_allclose(session.extend(tokens), logits[-1], atol=2e-3)


def test_pictures_are_classified_as_torch_does() -> None:
    with np.load(GOLDEN / "conv.npz") as golden, open_model(PICTURES) as session:
        for image, expected in zip(golden["images"], golden["probabilities"], strict=True):
            outputs = session.run({"image": image[None]})
            np.testing.assert_allclose(outputs["probabilities"][0], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("layout", "prefill", "predictions"),
    [
        ("any-length", "one call", [7]),
        ("in-pieces", "up to 4 tokens at a time", [4, 3]),
        ("one-token", "one token at a time", [1] * 7),
        ("listed", "1, 4, 16 tokens at a time, padded", [16]),
        ("padded", "4, 16 tokens at a time, padded", [16]),
        ("listed-last-logits", "1, 4, 16 tokens at a time", [4, 1, 1, 1]),
        ("no-cache", "all tokens again at every step", [7]),
    ],
)
def test_a_prompt_goes_in_as_the_model_takes_it(
    core_ml_models: dict[str, Path], layout: str, prefill: str, predictions: list[int]
) -> None:
    with open_model(core_ml_models[layout]) as session:
        assert session.effective.facts["prefill"] == prefill
        lengths = watch_lengths(session)
        session.extend(TOKENS[:7])
    assert lengths == predictions


def watch_lengths(session: Any) -> list[int]:
    """The number of tokens of each prediction that the session asks for from now on."""
    lengths: list[int] = []
    predict = session._model.predict

    def counted(data: dict[str, Any], state: Any = None) -> Any:
        lengths.append(data["input_ids"].shape[1])
        return predict(data, state)

    session._model.predict = counted
    return lengths


def test_padding_is_never_written_beyond_the_cache(core_ml_models: dict[str, Path]) -> None:
    with open_model(core_ml_models["listed"]) as session:
        lengths = watch_lengths(session)
        session.extend(TOKENS[:26])
        expected = reference_logits(TOKENS)
        np.testing.assert_allclose(session.extend(TOKENS[26:]), expected[-1], atol=TOLERANCE)
        assert lengths == [16, 16, 4, 1, 1]
    with open_model(core_ml_models["padded"]) as session:
        session.extend(TOKENS[:28])
        np.testing.assert_allclose(session.extend(TOKENS[28:31]), expected[30], atol=TOLERANCE)
        with pytest.raises(Unsupported, match="begins at 1"):
            session.decode(TOKENS[31])


def test_what_does_not_fit_changes_nothing(core_ml_models: dict[str, Path]) -> None:
    with open_model(core_ml_models["in-pieces"]) as session:
        session.extend(TOKENS[:5])
        with pytest.raises(Unsupported):
            session.extend([1] * CONTEXT)
        with pytest.raises(Unsupported):
            session.extend([1, VOCABULARY])
        np.testing.assert_allclose(session.decode(TOKENS[5]), reference_logits(TOKENS[:6])[-1], atol=TOLERANCE)


@pytest.mark.parametrize(("layout", "cache"), [("any-length", CACHE_IN_PLACE), ("no-cache", CACHE_NONE)])
def test_the_session_says_that_it_is_a_reference(core_ml_models: dict[str, Path], layout: str, cache: str) -> None:
    with open_model(core_ml_models[layout]) as session:
        effective = session.effective
        assert effective.execution == EXECUTION_REFERENCE
        assert effective.accelerators == ("reference",)
        assert effective.cache == cache
        assert effective.facts["label"] == "reference execution, weights only"
        assert set(session.placement()) == {"reference"}
        assert session.vocabulary_size == VOCABULARY
        assert session.context_length == CONTEXT


def test_a_state_that_is_no_cache_is_new_for_every_inference(tmp_path: Path) -> None:
    with open_model(build_sum_model(tmp_path / "sum.mlpackage")) as session:
        assert not isinstance(session, LanguageSession)
        for _ in range(2):
            outputs = session.run({"x": np.full(4, 1.5, np.float16)})
            np.testing.assert_array_equal(outputs["y"], np.full(4, 3, np.float16))


def test_unknown_inputs_are_named() -> None:
    with open_model(PICTURES) as session:
        image = np.zeros((1, 2, 13, 17), np.float32)
        with pytest.raises(ModelFailure, match="unknown: picture"):
            session.run({"image": image, "picture": image})


def test_a_language_model_can_be_run_as_tensors_beside_its_cache() -> None:
    with open_model(ONE_TOKEN) as session:
        session.extend([3, 5])
        before = np.array(session.decode(7))
        session.reset()
        session.extend([3, 5])
        mask = np.full((1, 1, 1, 32), -1e4, np.float32)
        mask[..., 0] = 0
        inputs = {"input_ids": np.array([[9]], np.int32), "position": np.array([0], np.int32), "mask": mask}
        assert session.run(inputs)["logits"].shape == (1, 1, 50)
        np.testing.assert_array_equal(session.decode(7), before)
