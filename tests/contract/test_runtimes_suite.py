"""The suite of every runtime that is here: which it names, and that they are asked the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchharness.device import adapters
from benchharness.suite.tables import Suite, load_suite
from tests.contract.runtime_models import script

pytest.importorskip("litert_lm_builder", reason="NOT TESTED: litert-lm-builder is not installed")


@pytest.fixture
def runtimes() -> Any:
    return script("runtimes")


def suite_of(runtimes: Any, folder: Path) -> Suite:
    return load_suite(runtimes.build(folder))


def test_it_names_what_is_installed_and_each_opens_a_variant(
    runtimes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "EXECUTORCH", tmp_path / "none")
    suite = suite_of(runtimes, tmp_path)
    model = suite.models["demo"]
    here = {each.runtime for each in suite.configurations}
    assert {"onnxruntime", "tflite"} <= here
    assert here == {name for name in adapters.BUILT_IN if name in here and adapters.load(name).availability().available}
    assert model.reference == ("onnx",)
    assert all(each.artefact.exists() for each in model.variants.values())
    assert {each.precision for each in model.variants.values()} == {"float"}
    for configuration in suite.configurations:
        opened = [
            name
            for name, variant in model.variants.items()
            if any(list(variant.artefact.rglob(f"*{ending}")) for ending in adapters.formats(configuration.runtime))
        ]
        assert opened, configuration.runtime
        assert configuration.threads == ((None,) if configuration.runtime == "coreml" else (1,))
    assert suite.workloads[0].continuation == "greedy", "runtimes with a loop of their own write nothing else"


def test_what_is_not_installed_is_left_out_with_its_variant(
    runtimes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = tuple(each for each in runtimes.PLACES if each.runtime in ("onnxruntime", "coreml"))
    monkeypatch.setattr(runtimes, "PLACES", places)
    monkeypatch.setattr(runtimes, "EXECUTORCH", tmp_path / "none")
    suite = suite_of(runtimes, tmp_path)
    assert set(suite.models["demo"].variants) == {"onnx", "coreml"}


def test_a_program_for_executorch_is_run_where_its_environment_is(
    runtimes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.touch()
    monkeypatch.setattr(runtimes, "PLACES", runtimes.PLACES[:1])
    monkeypatch.setattr(runtimes, "EXECUTORCH", python)
    assert set(suite_of(runtimes, tmp_path).models["demo"].variants) == {"onnx"}
    program = tmp_path / "executorch-fp32" / "model.pte"
    program.parent.mkdir()
    program.write_bytes(b"a program")
    suite = suite_of(runtimes, tmp_path)
    assert set(suite.models["demo"].variants) == {"onnx", "pte"}
    assert suite.configurations[-1].python is not None
