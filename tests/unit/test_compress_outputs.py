"""What lies in the output folder: whole artefacts only, kept where they match, never overwritten unasked."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchharness.compress import Compressed, compress, making
from benchharness.compress.process import Failed
from benchharness.compress.source import companions, find_format
from benchharness.compress.view import ProgressLines
from benchharness.errors import UsageError
from benchharness.suite.tables import load_suite
from tests.contract.tiny_models import build_image_model

FLOATS, SMALLER = b"f" * 1000, b"q" * 400


class Tools:
    """Stands in for the processes that run tools."""

    def __init__(self) -> None:
        self.orders: list[str] = []
        self.failing: Mapping[str, BaseException] = {}
        self.calibration: dict[str, Any] | None = None
        self.beside: Sequence[str] = ()

    def carry_out(self, order: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        if order["do"] == "look":
            return {"precision": "fp32", "beside": list(self.beside), "bytes": 1000, "calibration": self.calibration}
        recipe, folder = order["recipe"], Path(order["folder"])
        self.orders.append(recipe)
        (folder / "model.onnx").write_bytes(SMALLER)
        if recipe in self.failing:
            raise self.failing[recipe]
        return {"artefact": "model.onnx", "beside": [], "bytes": 400, "notes": ["a note"]}


class Listener:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def tells(self, words: str) -> None:
        self.heard.append(words)

    def begins(self, recipe: str, position: int, of: int) -> None:
        self.heard.append(f"{recipe} {position}/{of}")

    def ended(self, made: Compressed) -> None:
        self.heard.append(made.failure or "made")


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Tools:
    made = Tools()
    monkeypatch.setattr(making, "carry_out", made.carry_out)
    monkeypatch.setattr("benchharness.compress.outputs.metadata.version", lambda _: "1.0")
    return made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "fp32.onnx").write_bytes(FLOATS)
    return tmp_path / "in" / "fp32.onnx"


def record(out: Path, recipe: str = "onnx-int8-dynamic") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / recipe / "recipe.json").read_text())
    return found


def test_an_artefact_comes_with_its_record(tools: Tools, model: Path, tmp_path: Path) -> None:
    (one,) = compress(model, ["int8"], out=tmp_path / "out")
    assert one.path == tmp_path / "out" / "onnx-int8-dynamic" / "model.onnx"
    assert (one.bytes, one.source_bytes, one.failure, one.notes) == (400, 1000, "", ("a note",))
    told = record(tmp_path / "out")
    assert told["recipe"] == "onnx-int8-dynamic"
    assert told["settings"]["weight_type"] == "QInt8"
    assert told["versions"]["onnxruntime"] == "1.0"
    assert told["artefact"]["bytes"] == 400
    assert told["calibration"] is None
    assert told["deterministic"] is True
    assert str(tmp_path) not in json.dumps(told), "a record travels, a machine's paths do not"


def test_one_failure_does_not_stop_the_rest(tools: Tools, model: Path, tmp_path: Path) -> None:
    tools.failing = {"onnx-int8-dynamic": Failed("crashed with signal 11")}
    heard = Listener()
    first, second = compress(model, ["int8", "int4"], out=tmp_path / "out", progress=heard)
    assert (first.path, first.failure) == (None, "crashed with signal 11")
    assert second.path is not None
    assert heard.heard[:4] == ["onnx-int8-dynamic 1/2", "crashed with signal 11", "onnx-int4-block32 2/2", "made"]
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["onnx-int4-block32", "suite.toml"]


def test_a_tools_log_is_shown_and_kept_until_the_recipe_succeeds(tools: Tools, model: Path, tmp_path: Path) -> None:
    tools.failing = {"onnx-int8-dynamic": Failed("crashed with signal 11", "Loading ...\nterminate called")}
    (one,) = compress(model, ["int8"], out=tmp_path / "out")
    assert one.log == "Loading ...\nterminate called"
    assert one.log_file == tmp_path / "out" / "onnx-int8-dynamic.failed.log"
    assert one.log_file.read_text() == "crashed with signal 11\n\nLoading ...\nterminate called\n"
    console = Console(file=io.StringIO(), width=200)
    ProgressLines(console).ended(one)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "  | terminate called\n" in shown
    assert "the tool's log is kept in" in shown
    tools.failing = {}
    (one,) = compress(model, ["int8"], out=tmp_path / "out")
    assert (one.failure, one.log, one.log_file) == ("", "", None)
    assert not (tmp_path / "out" / "onnx-int8-dynamic.failed.log").exists()


def test_an_interruption_leaves_nothing_half_made(tools: Tools, model: Path, tmp_path: Path) -> None:
    tools.failing = {"onnx-int8-dynamic": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        compress(model, ["int8"], out=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_a_killed_run_left_is_swept_and_what_another_makes_is_not(
    tools: Tools, model: Path, tmp_path: Path
) -> None:
    mine, dead = tmp_path / "out" / f".making-{os.getpid()}-a", tmp_path / "out" / ".making-4194305-a"
    mine.mkdir(parents=True)
    dead.mkdir()
    compress(model, ["int8"], out=tmp_path / "out")
    assert mine.exists()
    assert not dead.exists()


def test_the_same_again_is_kept(tools: Tools, model: Path, tmp_path: Path) -> None:
    compress(model, ["int8"], out=tmp_path / "out")
    (again, _) = compress(model, ["int8", "int4"], out=tmp_path / "out")
    assert tools.orders == ["onnx-int8-dynamic", "onnx-int4-block32"]
    assert again.notes[0] == "kept from before"
    compress(model, ["int8"], out=tmp_path / "out", force=True)
    assert tools.orders[-1] == "onnx-int8-dynamic"


def test_an_artefact_of_another_original_is_refused_before_anything_is_made(
    tools: Tools, model: Path, tmp_path: Path
) -> None:
    compress(model, ["int8"], out=tmp_path / "out")
    model.write_bytes(b"g" * 1000)
    with pytest.raises(UsageError, match=r"was made from other weights; replace it with --force"):
        compress(model, ["int4", "int8"], out=tmp_path / "out")
    assert tools.orders == ["onnx-int8-dynamic"]
    compress(model, ["int8"], out=tmp_path / "out", force=True)
    assert len(tools.orders) == 2


def test_other_versions_and_other_data_are_named(
    tools: Tools, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data.npz"
    data.write_bytes(b"")
    tools.calibration = {"digest": "a", "count": 1, "samples": ["a"]}
    compress(model, ["onnx-int8-static"], out=tmp_path / "out", calibrate=data)
    assert record(tmp_path / "out", "onnx-int8-static")["calibration"] == tools.calibration
    tools.calibration = {"digest": "b", "count": 1, "samples": ["b"]}
    monkeypatch.setattr(
        "benchharness.compress.outputs.metadata.version", lambda name: "2.0" if name == "onnx" else "1.0"
    )
    with pytest.raises(UsageError, match=r"from other versions \(onnx 1.0, now 2.0\) and calibration data"):
        compress(model, ["onnx-int8-static"], out=tmp_path / "out", calibrate=data)


def test_an_artefact_that_was_changed_is_not_kept(tools: Tools, model: Path, tmp_path: Path) -> None:
    (one,) = compress(model, ["int8"], out=tmp_path / "out")
    assert one.path is not None
    one.path.write_bytes(b"edited")
    with pytest.raises(UsageError, match="has changed since it was made"):
        compress(model, ["int8"], out=tmp_path / "out")


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_of_somebody_else_is_never_replaced(tools: Tools, model: Path, tmp_path: Path, *, force: bool) -> None:
    theirs = tmp_path / "out" / "onnx-int8-dynamic"
    theirs.mkdir(parents=True)
    (theirs / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not made by benchharness; move it away"):
        compress(model, ["int8"], out=tmp_path / "out", force=force)
    assert (theirs / "thesis.tex").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 1}', '{"schema": 9}'])
def test_a_record_that_is_not_understood_is_somebody_elses(
    tools: Tools, model: Path, tmp_path: Path, content: str
) -> None:
    theirs = tmp_path / "out" / "onnx-int8-dynamic"
    theirs.mkdir(parents=True)
    (theirs / "recipe.json").write_text(content)
    with pytest.raises(UsageError, match="not made by benchharness"):
        compress(model, ["int8"], out=tmp_path / "out")


def test_an_artefact_that_is_not_smaller_says_so(
    tools: Tools, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.SMALLER", b"q" * 1000)
    original = tools.carry_out
    monkeypatch.setattr(making, "carry_out", lambda order, time: {**original(order, time), "bytes": 1000})
    (one,) = compress(model, ["int8"], out=tmp_path / "out")
    assert one.notes[0] == "not smaller than the original"


def test_weights_beside_a_lone_file_are_part_of_the_original(tools: Tools, tmp_path: Path) -> None:
    import onnx

    (tmp_path / "in").mkdir(exist_ok=True)
    model, weights = build_image_model(tmp_path / "in" / "fp32.onnx"), tmp_path / "in" / "fp32.onnx.data"
    onnx.save(onnx.load(model), model, save_as_external_data=True, location=weights.name, size_threshold=0)
    tools.beside = [weights.name]
    compress(model, ["int8"], out=tmp_path / "out")
    assert record(tmp_path / "out")["source"]["bytes"] == model.stat().st_size + weights.stat().st_size
    (model.parent / "fp32.onnx.data").write_bytes(b"WEIGHTS")
    with pytest.raises(UsageError, match="other weights"):
        compress(model, ["int8"], out=tmp_path / "out")


def test_the_suite_names_every_variant_of_this_original(tools: Tools, model: Path, tmp_path: Path) -> None:
    compress(model, ["onnx-int8-dynamic-per-channel"], out=tmp_path / "out")
    compress(model, ["int8", "fp16"], out=tmp_path / "out")
    suite = load_suite(tmp_path / "out" / "suite.toml")
    (made,) = suite.models.values()
    assert made.reference == ("original",)
    assert list(made.variants) == ["original", "onnx-int8-dynamic", "onnx-int8-dynamic-per-channel", "onnx-fp16"]
    assert [variant.precision for variant in made.variants.values()] == ["fp32", "int8", None, "fp16"]
    assert made.variants["original"].artefact.samefile(model)
    assert made.variants["onnx-fp16"].artefact == tmp_path / "out" / "onnx-fp16" / "model.onnx"
    assert (suite.name, suite.configurations[0].runtime) == ("fp32", "onnxruntime")
    assert str(tmp_path) not in (tmp_path / "out" / "suite.toml").read_text()
    model.write_bytes(b"other")
    compress(model, ["int4"], out=tmp_path / "out")
    (made,) = load_suite(tmp_path / "out" / "suite.toml").models.values()
    assert list(made.variants) == ["original", "onnx-int4-block32"]


def test_a_name_with_quotes_makes_a_suite_that_loads(tools: Tools, model: Path, tmp_path: Path) -> None:
    odd = model.rename(model.with_name('a "b" \\ é.onnx'))
    compress(odd, ["int8"], out=tmp_path / "out")
    assert load_suite(tmp_path / "out" / "suite.toml").name == 'a "b" \\ é'


def test_a_suite_of_the_users_own_is_left_alone(tools: Tools, model: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "suite.toml").write_text("# mine\n")
    heard = Listener()
    compress(model, ["int8"], out=tmp_path / "out", progress=heard)
    assert (tmp_path / "out" / "suite.toml").read_text() == "# mine\n"
    assert "not written by benchharness compress" in heard.heard[-1]


def test_recipes_left_out_are_told(tools: Tools, model: Path, tmp_path: Path) -> None:
    heard = Listener()
    made = compress(model, ["all"], out=tmp_path / "out", progress=heard)
    assert "onnx-int8-static is left out: it needs calibration data (--calibrate)" in heard.heard
    assert len(made) == 5


def test_the_output_may_not_lie_in_the_models_folder(tools: Tools, model: Path) -> None:
    with pytest.raises(UsageError, match="lies in the model's own folder"):
        compress(model.parent, ["int8"], out=model.parent / "out")


def test_an_output_that_cannot_be_a_folder_is_told(tools: Tools, model: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match=r"--out .* cannot be made"):
        compress(model, ["int8"], out=tmp_path / "out")


def test_a_missing_tool_is_told_with_what_to_install(tools: Tools, model: Path, tmp_path: Path) -> None:
    from importlib.metadata import PackageNotFoundError

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("benchharness.compress.outputs.metadata.version", missing)
        with pytest.raises(UsageError, match=r"needs the package 'onnxruntime'.*benchharness\[compress\]"):
            compress(model, ["int8"], out=tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.mlmodel", "only programs"),
        ("a.litertlm", "give the .tflite"),
        ("a.safetensors", "export the model"),
        ("a.jpg", "no recipe starts from it; models end in .onnx, .tflite, .mlpackage, .gguf"),
    ],
)
def test_what_no_recipe_starts_from_is_told_with_what_to_do(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UsageError, match=words):
        find_format(tmp_path / name)


def test_the_layout_of_hubs_is_known(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"x")
    assert find_format(tmp_path) == ".onnx"


def test_companions_are_the_known_files_and_small_texts_of_a_folder(tmp_path: Path) -> None:
    for name in ("model.onnx", "tokenizer.json", "notes.txt", "weights.bin", "tokenizer.model"):
        (tmp_path / name).write_text("x")
    model = tmp_path / "model.onnx"
    assert [file.name for file in companions(model, model)] == ["tokenizer.json", "tokenizer.model"]
    assert [file.name for file in companions(tmp_path, model)] == ["notes.txt", "tokenizer.json", "tokenizer.model"]


def test_the_suite_measures_quality_where_data_is_given_and_goes_on_doing_so(
    tools: Tools, model: Path, tmp_path: Path
) -> None:
    suite, data = tmp_path / "out" / "suite.toml", tmp_path / "held out.txt"
    compress(model, ["int8"], out=tmp_path / "out")
    without = load_suite(suite)
    assert without.scenarios.quality is None
    assert "--evaluate" in suite.read_text()
    data.write_text("some text")
    compress(model, ["int8"], out=tmp_path / "out", evaluate=data)
    for recipe in ("int8", "fp16"):  # the second call says nothing of the data, and the suite knows it
        (made,) = load_suite(suite).models.values()
        assert made.evaluation is not None
        assert made.evaluation.samefile(data)
        assert load_suite(suite).scenarios.quality is not None
        assert str(tmp_path) not in suite.read_text()
        compress(model, [recipe], out=tmp_path / "out")
    data.unlink()
    compress(model, ["int8"], out=tmp_path / "out")
    assert load_suite(suite).scenarios.quality is None


def test_what_comments_the_suite_comes_alive_when_uncommented(tools: Tools, model: Path, tmp_path: Path) -> None:
    compress(model, ["int8"], out=tmp_path / "out")
    suite = tmp_path / "out" / "suite.toml"
    suite.write_text(suite.read_text().replace("# evaluation", "evaluation").replace("# quality", "quality"))
    (made,) = load_suite(suite).models.values()
    assert made.evaluation == tmp_path / "out" / "heldout.txt"
    assert load_suite(suite).scenarios.quality is not None


@pytest.mark.parametrize(("name", "told"), [("no.txt", "no such file"), ("data.csv", "data is read from")])
def test_evaluation_data_of_no_use_is_told_before_anything_is_made(
    tools: Tools, model: Path, tmp_path: Path, name: str, told: str
) -> None:
    if name.endswith("csv"):
        (tmp_path / name).write_text("1,2")
    with pytest.raises(UsageError, match=told):
        compress(model, ["int8"], out=tmp_path / "out", evaluate=tmp_path / name)
    assert not (tmp_path / "out").exists()
