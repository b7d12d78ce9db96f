"""The Python API as its documentation shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import benchharness
from benchharness.errors import RunNotFound
from tests.conftest import ROOT
from tests.contract.tiny_models import Variant, build_language_model


def furnished(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the files that the examples name, and a store of its own."""
    for name in ("fp32", "int4"):
        build_language_model(folder / "models" / name, Variant())
    (folder / "suite.toml").write_text(
        """
        [models.chat.variants]
        fp32 = { artefact = "models/fp32" }
        int4 = { artefact = "models/int4" }
        [[workloads]]
        prompt = { tokens = 8 }
        output_tokens = 8
        [scenarios]
        steady = { min_time = "10 ms" }
        """
    )
    monkeypatch.chdir(folder)
    monkeypatch.setattr("benchharness.api.findings.default_store", lambda: f"sqlite:///{folder / 'store.db'}")
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return furnished(tmp_path, monkeypatch)


def examples() -> list[str]:
    text = (ROOT / "docs" / "python-api.md").read_text()
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


class Reader:
    """Types the examples one after another, each once: it begins where the one before it ended."""

    def __init__(self) -> None:
        self._names: dict[str, object] = {}
        self._read = 0

    def read(self, number: int) -> None:
        for code in examples()[self._read : number + 1]:
            self._read += 1
            exec(compile(code, "docs/python-api.md", "exec"), self._names)


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.fixture(scope="module")
def readers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reader")


@pytest.mark.parametrize("number", range(len(examples())))
def test_the_documented_examples_run(
    reader: Reader, readers_folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Each example begins where the one before it ended, as a reader would type them."""
    furnished(readers_folder, monkeypatch)
    reader.read(number)


def test_frames_hold_what_the_results_hold(folder: Path) -> None:
    found = benchharness.run("suite.toml", attempts=2)
    frame = found.frame()
    rates = frame[(frame.metric == "decode_rate") & (frame.variant == "int4")]
    (result,) = [result for result in found.results if result.job.variant == "int4"]
    (metric,) = [metric for metric in result.metrics if metric.name == "decode_rate"]
    assert rates.value.item() == metric.estimate.value
    assert rates.ratio.item() == metric.ratio.value if metric.ratio else None
    attempts = found.attempts_frame()
    mine = attempts[(attempts.metric == "decode_rate") & (attempts.variant == "int4")]
    assert list(mine.value) == [value.value for value in metric.attempts]
    assert all(len(samples) >= 3 for samples in mine.samples)
    compared = found.compare()
    assert ("int4", "ratio") in compared.columns
    assert "decode_rate" in compared.index.get_level_values("metric")
    html = found._repr_html_()
    assert "decode_rate" in html
    assert "<script" not in html


def test_what_was_run_can_be_loaded_again(folder: Path) -> None:
    found = benchharness.run("suite.toml", attempts=1)
    again = benchharness.load(found.run.id[:20])
    assert again.results == found.results
    assert [run.id for run in benchharness.runs()] == [found.run.id]
    page, _ = found.render(folder / "page")
    assert page.is_file()
    with pytest.raises(RunNotFound):
        benchharness.load("ffff")


def test_a_suite_can_be_built_as_a_table(folder: Path) -> None:
    table = {
        "models": {"m": {"variants": {"a": {"artefact": "models/fp32"}}}},
        "workloads": [{"prompt": {"tokens": 4}, "output_tokens": 4}],
        "budgets": {"peak_memory": "1 MiB", "artefact_size": "1 GiB"},
    }
    found = benchharness.run(table, attempts=2, scenarios=["steady"])
    verdicts = {verdict.metric: verdict.kind for result in found.results for verdict in result.verdicts}
    assert verdicts == {"peak_memory": "miss", "artefact_size": "pass"}
