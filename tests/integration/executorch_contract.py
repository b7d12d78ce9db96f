"""The adapters' contract on ExecuTorch: run by `test_executorch.py` in that package's own environment.

Needs pytest, numpy, torch and executorch there, and nothing of the harness's. Models are named by the environment.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower

from benchharness.contract import FALLBACK_FAIL, Adapter, Configuration, LanguageSession, ScoresText
from benchharness.errors import ModelFailure, Unsupported
from benchharness.testing import AdapterContract
from targets.executorch import ExecuTorch
from targets.pte_format.inspection import KERNELS

MODELS = Path(os.environ.get("EXECUTORCH_MODELS", "."))
GOLDEN = Path(os.environ.get("GOLDEN_LOGITS", "."))
DEMO, ONE = MODELS / "executorch-fp32", MODELS / "executorch-one"
XNNPACK = "XnnpackBackend"
#: Largest difference seen, float32: 1.7e-5.
WITHIN = 1e-3


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network of float32 and int64 inputs, half of it XNNPACK's."""

    class Network(torch.nn.Module):  # type: ignore[misc]  # no type information in torch here
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.table, self.product = torch.nn.Embedding(7, 8), torch.nn.Linear(8, 3)

        def forward(self, x: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
            return self.product(x + self.table(which))

    exported = torch.export.export(Network().eval(), (torch.zeros(2, 8), torch.zeros(2, dtype=torch.long)))
    lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    path = tmp_path_factory.mktemp("network") / "network.pte"
    path.write_bytes(lowered.to_executorch().buffer)
    return path


class ExecuTorchContract(AdapterContract):
    @pytest.fixture
    def adapter(self) -> Adapter:
        return ExecuTorch()


class TestLanguageModel(ExecuTorchContract):
    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return DEMO


class TestOneTokenAtATime(ExecuTorchContract):
    @pytest.fixture
    def language_artefact(self) -> Path | None:
        return ONE


class TestNetwork(ExecuTorchContract):
    @pytest.fixture
    def tensor_artefact(self, network: Path) -> Path | None:
        return network


def opened(path: Path, **fields: Any) -> Any:
    return ExecuTorch().open(path, Configuration(**{"runtime": "executorch", "threads": 1, **fields}))


@pytest.fixture(scope="module")
def golden() -> Mapping[str, np.ndarray]:
    with np.load(GOLDEN, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.mark.parametrize("model", [DEMO, ONE], ids=["any length", "one token"])
def test_logits_are_torchs(model: Path, golden: Mapping[str, np.ndarray]) -> None:
    tokens, expected = golden["tokens"].tolist(), golden["logits"]
    with opened(model) as session:
        assert isinstance(session, LanguageSession)
        assert isinstance(session, ScoresText)
        np.testing.assert_allclose(session.score(tokens), expected, rtol=0, atol=WITHIN)
        np.testing.assert_allclose(session.extend(tokens), expected[-1], rtol=0, atol=WITHIN)
        session.reset()
        for token, row in zip(tokens, expected, strict=True):
            np.testing.assert_allclose(session.decode(token), row, rtol=0, atol=WITHIN)


@pytest.mark.parametrize("model", [DEMO, ONE], ids=["any length", "one token"])
def test_greedy_continuations_are_the_others(model: Path, golden: Mapping[str, np.ndarray]) -> None:
    expected = [int(word) for word in os.environ["EXPECTED_TOKENS"].split()]
    with opened(model) as session:
        chosen = [int(np.argmax(session.extend(golden["tokens"][:16].tolist())))]
        while len(chosen) < len(expected):
            chosen.append(int(np.argmax(session.decode(chosen[-1]))))
    assert chosen == expected


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_read_back(threads: int) -> None:
    with opened(DEMO, threads=threads) as session:
        assert session.effective.threads == threads


def test_results_say_what_does_not_ship(network: Path) -> None:
    for path in (DEMO, network):
        with opened(path) as session:
            assert "products ship the one in C++" in session.effective.facts["python_runtime"]


def test_operators_are_placed_as_the_program_says() -> None:
    with opened(DEMO, accelerator=XNNPACK) as session:
        placed = session.placement()
        assert session.effective.accelerators[0] == XNNPACK
    assert placed[XNNPACK] == {"delegate": 42}
    assert placed[KERNELS]["aten::index_put"] == 8, "keys and values of four layers"


def test_a_backend_that_the_program_has_nothing_of(network: Path) -> None:
    asked = "QnnBackend"
    assert asked in ExecuTorch().availability().accelerators
    with opened(network, accelerator=asked) as session:
        assert session.effective.refusal is not None
        assert "nothing in network.pte was exported for it" in session.effective.refusal.reason
    with pytest.raises(Unsupported, match="takes no part"), opened(network, accelerator=asked, fallback=FALLBACK_FAIL):
        pass


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"accelerator": "CoreMLBackend"}, "this build of ExecuTorch has CPU kernels, "),
        ({"options": {"memory": 1}}, r"options\.memory: a program was compiled when it was exported"),
        ({"accelerator_options": {"a": 1}}, r"accelerator_options\.a"),
        ({"threads": 0}, "threads: 0 is not"),
        ({"unit": "x"}, "unit: "),
    ],
    ids=str,
)
def test_what_cannot_be_met_is_refused(network: Path, fields: Mapping[str, Any], told: str) -> None:
    with pytest.raises(Unsupported, match=told), opened(network, **fields):
        pass


def test_a_program_for_a_backend_that_is_not_here(network: Path, tmp_path: Path) -> None:
    """A phone's, for instance; the name is of the same length, so that nothing else in the file moves."""
    foreign = tmp_path / "foreign.pte"
    foreign.write_bytes(network.read_bytes().replace(XNNPACK.encode(), b"XnnpuckBackend"))
    with pytest.raises(Unsupported, match="was exported for XnnpuckBackend, which this build"), opened(foreign):
        pass


def test_inputs_that_do_not_fit_are_told(network: Path) -> None:
    right = {"input0": np.zeros((2, 8), np.float32), "input1": np.zeros(2, np.int64)}
    with opened(network) as session:
        assert session.run(right)["output0"].shape == (2, 3)
        with pytest.raises(ModelFailure, match="input1 is int64, and int32 was given"):
            session.run({**right, "input1": np.zeros(2, np.int32)})
        with pytest.raises(ModelFailure, match="input1 is int64, and none was given"):
            session.run({"input0": right["input0"]})
        with pytest.raises(ModelFailure, match="ExecuTorch failed while running"):
            session.run({**right, "input0": np.zeros((3, 8), np.float32)})
        assert session.run(right)["output0"].shape == (2, 3)


def test_damaged_programs_are_named(tmp_path: Path) -> None:
    """Whatever byte is wrong: an error, or a program; never the end of the process."""
    content = bytearray((DEMO / "model.pte").read_bytes())
    generator = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content)
        for place in generator.integers(0, 40_000, 3):
            damaged[place] ^= 1 << int(generator.integers(8))
        path = tmp_path / "damaged.pte"
        path.write_bytes(damaged)
        try:
            ExecuTorch().inspect(path)
        except ModelFailure:
            continue


def test_two_programs_are_to_be_told_apart(network: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copy(network, tmp_path / f"{name}.pte")
    with pytest.raises(ModelFailure, match="several models"), opened(tmp_path):
        pass
