"""The bundled models say the same in every runtime: what torch said, within what rounding explains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchharness.contract import Configuration, LanguageSession
from benchharness.device import adapters
from tests.conftest import ROOT

ARTEFACTS = ROOT / "examples" / "demo_model" / "artefacts"
GOLDEN = ROOT / "tests" / "golden" / "demo_logits.npz"

#: Folder, runtime, accelerator, and how far logits may be from torch's. Float32: the bar. Core ML keeps its cache in
#: float16, and rounding that alone moves torch's own logits by 0.010; float16 weights come on top.
LANGUAGE_MODELS = [
    ("onnx-fp32", "onnxruntime", None, 1e-3),
    ("onnx-gqa-fp32", "onnxruntime", None, 1e-3),
    ("tflite-fp32", "tflite", None, 1e-3),
    ("coreml-fp16", "coreml", "reference", 0.05),
]


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.mark.parametrize(("folder", "runtime", "accelerator", "within"), LANGUAGE_MODELS)
def test_token_by_token_gives_the_logits_of_torch(
    folder: str, runtime: str, accelerator: str | None, within: float, golden: dict[str, np.ndarray]
) -> None:
    configuration = Configuration(runtime=runtime, accelerator=accelerator, threads=1)
    with adapters.load(runtime).open(ARTEFACTS / folder, configuration) as session:
        assert isinstance(session, LanguageSession)
        for token, expected in zip(golden["tokens"].tolist(), golden["logits"], strict=True):
            np.testing.assert_allclose(np.asarray(session.decode(token), np.float32), expected, rtol=0, atol=within)


@pytest.mark.parametrize(("folder", "runtime", "accelerator", "within"), LANGUAGE_MODELS)
def test_a_prompt_in_one_pass_gives_them_too(
    folder: str, runtime: str, accelerator: str | None, within: float, golden: dict[str, np.ndarray]
) -> None:
    configuration = Configuration(runtime=runtime, accelerator=accelerator, threads=1)
    with adapters.load(runtime).open(ARTEFACTS / folder, configuration) as session:
        assert isinstance(session, LanguageSession)
        logits = np.asarray(session.extend(golden["tokens"].tolist()), np.float32)
    np.testing.assert_allclose(logits, golden["logits"][-1], rtol=0, atol=within)


def test_greedy_continuations_are_one() -> None:
    continuations = {
        folder: greedy(folder, runtime, accelerator) for folder, runtime, accelerator, _ in LANGUAGE_MODELS
    }
    assert len(set(map(tuple, continuations.values()))) == 1, continuations


def greedy_after(prompt: Sequence[int], count: int) -> list[int]:
    """What follows a prompt by ONNX Runtime, each token the most probable one."""
    with adapters.load("onnxruntime").open(
        Path(ARTEFACTS / "onnx-fp32"), Configuration(runtime="onnxruntime", threads=1)
    ) as session:
        assert isinstance(session, LanguageSession)
        chosen = [int(np.argmax(session.extend(prompt)))]
        while len(chosen) < count:
            chosen.append(int(np.argmax(session.decode(chosen[-1]))))
    return chosen


def greedy(folder: str, runtime: str, accelerator: str | None, count: int = 32) -> list[int]:
    """What follows the first sixteen golden tokens, each token the most probable one."""
    with np.load(GOLDEN, allow_pickle=False) as arrays:
        prompt = arrays["tokens"][:16].tolist()
    configuration = Configuration(runtime=runtime, accelerator=accelerator, threads=1)
    with adapters.load(runtime).open(Path(ARTEFACTS / folder), configuration) as session:
        assert isinstance(session, LanguageSession)
        chosen = [int(np.argmax(session.extend(prompt)))]
        while len(chosen) < count:
            chosen.append(int(np.argmax(session.decode(chosen[-1]))))
    return chosen
