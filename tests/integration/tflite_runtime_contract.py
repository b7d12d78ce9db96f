"""The adapters' contract on tflite-runtime: run by `test_tflite_runtime.py` in that package's own environment.

Needs pytest and numpy there, and nothing of the harness's. The models are made outside and named by the environment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.contract import CACHE_COPIED_BY_BINDING, Adapter, Configuration
from benchharness.errors import ModelFailure, Unsupported
from benchharness.testing import AdapterContract
from targets.tflite import TFLite

MODELS = Path(os.environ.get("TFLITE_MODELS", "."))


class TfliteRuntimeContract(AdapterContract):
    @pytest.fixture
    def adapter(self) -> Adapter:
        return TFLite()


class TestFloatLanguageModel(TfliteRuntimeContract):
    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return MODELS / "float.tflite"


class TestBoolMaskedLanguageModel(TfliteRuntimeContract):
    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return MODELS / "bool-mask.tflite"


class TestQuantizedLanguageModel(TfliteRuntimeContract):
    chunks_agree = False

    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return MODELS / "int8-tensor.tflite"


class TestFloatImageModel(TfliteRuntimeContract):
    @pytest.fixture
    def tensor_artefact(self) -> Path | None:
        return MODELS / "image.tflite"


class TestOpenImageModel(TfliteRuntimeContract):
    @pytest.fixture
    def tensor_artefact(self) -> Path | None:
        return MODELS / "open-image.tflite"


class TestQuantizedImageModel(TfliteRuntimeContract):
    @pytest.fixture
    def tensor_artefact(self) -> Path | None:
        return MODELS / "int8-image.tflite"


def open_model(name: str, **fields: Any) -> Any:
    return TFLite().open(MODELS / name, Configuration(**{"runtime": "tflite", "threads": 1, **fields}))


@pytest.mark.parametrize("name", ["float", "bool-mask", "scattered"])
def test_logits_equal_a_float64_computation(name: str) -> None:
    """Every way in which a prompt can be cut into prefills, padding and decodes, up to the end of the context."""
    with np.load(MODELS / "expected.npz") as stored:
        tokens, expected = stored["tokens"].tolist(), stored["logits"]
    with open_model(f"{name}.tflite") as session:
        for first in range(1, len(tokens) + 1):
            session.reset()
            np.testing.assert_allclose(session.extend(tokens[:first]), expected[first - 1], atol=2e-5)
            for row in range(first, len(tokens)):
                np.testing.assert_allclose(session.decode(tokens[row]), expected[row], atol=2e-5)


def test_the_copies_of_the_binding_are_told() -> None:
    with open_model("float.tflite") as session:
        facts = session.effective.facts
        assert session.effective.cache == CACHE_COPIED_BY_BINDING
    assert facts["package"] == "tflite-runtime"
    assert facts["binding_copy_ns_per_token"] > 0


@pytest.mark.parametrize("name", ["image", "open-image"])
def test_operators_are_placed(name: str) -> None:
    with open_model(f"{name}.tflite") as session:
        assert sum(count for operators in session.placement().values() for count in operators.values()) == 3
    with open_model(f"{name}.tflite", accelerator="CPU") as session:
        assert session.placement() == {"CPU": {"CONV_2D": 1, "MEAN": 1, "FULLY_CONNECTED": 1}}


def test_what_it_computes_wrongly_in_silence_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"a scale for each channel.*use ai-edge-litert"), open_model("int8.tflite"):
        pass


def test_a_constant_that_the_file_does_not_hold_is_a_damaged_file() -> None:
    with pytest.raises(ModelFailure, match=r"outsized\.tflite.*no TFLite model"), open_model("outsized.tflite"):
        pass


def test_a_newer_model_asks_for_an_update() -> None:
    with pytest.raises(Unsupported, match=r"(?s)update the package.*2\.14"), open_model("newer.tflite"):
        pass
