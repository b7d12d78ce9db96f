"""What is said of models without a suite: one wish an option, the tables that they become, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

import benchharness
from benchharness.commands.options import TaskName, WishName
from benchharness.compress.sweep import Sweep, suite_of
from benchharness.errors import UsageError
from benchharness.judge.ranking import Wish
from benchharness.locations import STORE_VARIABLE, default_store
from benchharness.scenarios import BUILT_IN, SCENARIOS
from benchharness.suite.asked import Asked, budgets_from, dimensions_from, state_from
from benchharness.suite.materials import suite_from_models
from benchharness.suite.overrides import Overrides, overridden
from benchharness.suite.scenarios import Scenarios
from benchharness.suite.tables import Suite, Task

FORMATS = {"onnxruntime": (".onnx",), "tflite": (".tflite",), "coreml": (".mlpackage",)}


def made(folder: Path, names: str, **wishes: Any) -> Suite:
    paths = [folder / name for name in names.split()]
    for path in paths:
        path.write_bytes(b"model")
    return suite_from_models(paths, FORMATS, reference=None, task=None, asked=Asked(**wishes))


def test_the_command_line_knows_every_scenario_task_and_wish() -> None:
    scenarios = [field.alias or key for key, field in Scenarios.model_fields.items()]
    assert list(BUILT_IN) == scenarios
    assert [name.value for name in TaskName] == list(get_args(Task))
    assert [name.value for name in WishName] == [wish.value for wish in Wish]


def test_wishes_become_the_tables_of_a_suite(tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(b"")
    budgets = budgets_from(["size=100 MB", "steady_inference.p95=40 ms", "steady_inference.p50 = 30 ms"])
    suite = made(tmp_path, "m.onnx m.tflite", threads=(1, 4), budgets=budgets, inputs=tmp_path / "data.npz")
    assert [(table.runtime, table.threads) for table in suite.configurations] == [
        ("onnxruntime", (1, 4)),
        ("tflite", (1, 4)),
    ]
    assert suite.budgets == {"size": "100 MB", "steady_inference": {"p95": "40 ms", "p50": "30 ms"}}
    assert suite.workloads[0].inputs == tmp_path / "data.npz"


def test_dimensions_go_by_name_or_by_input_and_axis(tmp_path: Path) -> None:
    given = ["height=320", "x[2]=48", "past_length + 1=9", "a=b = 2"]
    suite = made(tmp_path, "m.onnx", dimensions=dimensions_from(given))
    assert suite.workloads[0].dimensions == {"height": 320, "x[2]": 48, "past_length + 1": 9, "a=b": 2}


def test_a_runtime_is_chosen_and_an_unknown_one_refused(tmp_path: Path) -> None:
    suite = made(tmp_path, "m.onnx m.tflite", runtime="tflite")
    assert [table.runtime for table in suite.configurations] == ["tflite"]
    with pytest.raises(UsageError, match=r"no runtime is called 'onnx' \(there are: onnxruntime, tflite, coreml\)"):
        made(tmp_path, "m.onnx", runtime=["onnx"])
    with pytest.raises(UsageError, match=r"tflite, asked for by --runtime, never opens it; models end in [.]tflite"):
        made(tmp_path, "m.onnx", runtime=["tflite"])


def test_evaluation_data_ask_for_quality_too(tmp_path: Path) -> None:
    suite = made(tmp_path, "m.onnx", evaluate=tmp_path / "e.npz")
    assert suite.scenarios.quality is not None
    assert suite.scenarios.steady is not None
    assert suite.models[tmp_path.name].evaluation == tmp_path / "e.npz"


def test_a_runtime_that_takes_no_threads_is_not_asked_for_any() -> None:
    assert Asked(threads=2).of_runtime("coreml") == {}
    assert Asked(threads=2).of_runtime("onnxruntime") == {"threads": [2]}
    assert Asked().of_runtime("onnxruntime") == {}


def test_a_state_is_handed_on_under_the_model() -> None:
    assert Asked(state=state_from(["stateN=state", "c = c0"])).of_model() == {"state": {"stateN": "state", "c": "c0"}}
    assert Asked().of_model() == {}


def test_a_sweep_takes_the_same_wishes(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"model")
    wishes = Asked(threads=[2], dimensions={"n": 3}, budgets={"size": "1 MB"}, evaluate=tmp_path / "e.txt")
    suite = suite_of(Sweep(originals=[tmp_path / "m.onnx"], asked=wishes), {})
    assert suite.configurations[0].threads == (2,)
    assert (suite.workloads[0].dimensions, suite.budgets) == ({"n": 3}, {"size": "1 MB"})
    assert suite.scenarios.quality is not None
    with pytest.raises(UsageError, match="tflite does not open it"):
        suite_of(Sweep(originals=[tmp_path / "m.onnx"], asked=Asked(runtime="tflite")), {})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: dimensions_from(["x[2]"]), "write its name, or input and axis, and a length"),
        (lambda: dimensions_from(["x=0"]), "and a length"),
        (lambda: dimensions_from(["x=4.5"]), "and a length"),
        (lambda: dimensions_from(["x=4", "x=5"]), "x is 4 already"),
        (lambda: budgets_from(["peak_memory"]), 'such as "peak_memory=600 MiB"'),
        (lambda: budgets_from(["size=1 MB", "size=2 MB"]), "size has a budget already"),
        (lambda: budgets_from(["itl=1 ms", "itl.p95=2 ms"]), "itl has a budget already"),
        (lambda: budgets_from(["itl.p95=2 ms", "itl=1 ms"]), "itl has a budget already"),
        (lambda: state_from(["stateN"]), "an output and the input that takes it"),
        (lambda: state_from(["a=b", "a=c"]), "a is fed to b already"),
    ],
)
def test_what_is_no_wish_is_refused_with_what_to_write(wrong: Any, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        wrong()
    assert words in str(refused.value)


@pytest.mark.parametrize("wish", [{"threads": 2}, {"dimensions": {"x": 1}}, {"state": {"a": "b"}}, {"task": "tensor"}])
def test_a_suite_says_it_in_its_own_tables(tmp_path: Path, wish: dict[str, Any]) -> None:
    table = {"models": {"m": {"variants": {"a": {"artefact": str(tmp_path / "m.onnx")}}}}}
    with pytest.raises(UsageError, match=f"{next(iter(wish))}: for models without a suite"):
        benchharness.run(table, **wish)


def test_the_environment_names_the_store_for_python_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'named.db'}"
    monkeypatch.setenv(STORE_VARIABLE, url)
    assert default_store() == url
    assert benchharness.runs() == []
    assert (tmp_path / "named.db").is_file()


NEED_SETTINGS = {"conversation": "file", "hybrid": "prompts"}


@pytest.mark.parametrize(
    "scenario", [name for name in BUILT_IN if not SCENARIOS[name].evaluates and name not in NEED_SETTINGS]
)
def test_each_scenario_can_be_the_only_one(tmp_path: Path, scenario: str) -> None:
    suite = overridden(made(tmp_path, "m.onnx"), Overrides(scenarios=[scenario]))
    assert {each.name for each, _ in suite.scenarios.asked()} == {scenario}


@pytest.mark.parametrize(("scenario", "setting"), NEED_SETTINGS.items())
def test_one_that_cannot_do_without_settings_says_which(tmp_path: Path, scenario: str, setting: str) -> None:
    with pytest.raises(UsageError, match=rf"'{scenario}\.{setting}' is missing; settings .* stand in a suite"):
        overridden(made(tmp_path, "m.onnx"), Overrides(scenarios=[scenario]))


def test_quality_without_data_is_refused_with_the_option_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "m.null").write_bytes(b"")
    store = f"sqlite:///{tmp_path / 'store.db'}"
    with pytest.raises(UsageError, match="quality needs evaluation data; name it with --evaluate"):
        benchharness.run([tmp_path / "m.null"], scenarios=["quality"], store=store)
