"""What happens before a job runs: files are read, and a suite is made of the models on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchharness.errors import UsageError
from benchharness.suite.artefact import DigestCache, Manifest, manifest_of
from benchharness.suite.materials import gather, suite_from_models, verify
from benchharness.suite.tables import Suite
from tests.unit.made_up import TWO_VARIANTS, as_they_are, jobs_of, loaded

FORMATS = {"onnxruntime": (".onnx",), "another": (".other", ".else")}


def models(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return [folder / name for name in names]


def read(suite: Suite) -> Mapping[Path, Manifest]:
    return gather(suite, DigestCache(None), lister=as_they_are).manifests


def names_of(folder: Path, *names: str) -> list[str]:
    (model,) = suite_from_models(models(folder, *names), FORMATS, reference=None, task=None).models.values()
    return list(model.variants)


def test_everything_a_suite_names_is_read(tmp_path: Path) -> None:
    (tmp_path / "ask.txt").write_text("Où?", encoding="utf-8")
    (tmp_path / "ids").write_text("1 2")
    (tmp_path / "next").write_text("3")
    text = "[[workloads]]\nprompt = { file = 'ask.txt' }\ncontinuation_file = 'next'\n"
    suite = loaded(tmp_path, TWO_VARIANTS + text + "[[workloads]]\nprompt = { tokens_file = 'ids' }")
    materials = gather(suite, DigestCache(None))
    assert {path.name: manifest.bytes for path, manifest in materials.manifests.items()} == {
        "fp32.onnx": 11,
        "int8.onnx": 7,
    }
    assert materials.texts == {tmp_path / "ask.txt": "Où?"}
    assert materials.tokens == {tmp_path / "ids": [1, 2], tmp_path / "next": [3]}
    assert materials.tokenizers == {}


def test_a_tokenizer_is_the_one_named_else_the_one_beside_the_artefact(tmp_path: Path) -> None:
    for name in ("tokenizer.json", "other.json"):
        (tmp_path / name).write_text("{}")
    beside = gather(loaded(tmp_path, TWO_VARIANTS), DigestCache(None)).tokenizers
    assert set(beside.values()) == {tmp_path / "tokenizer.json"}
    named = loaded(tmp_path, TWO_VARIANTS + "[models.chat]\ntokenizer = 'other.json'")
    assert set(gather(named, DigestCache(None)).tokenizers.values()) == {tmp_path / "other.json"}


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("[models.chat]\ntokenizer = 'nowhere.json'", "nowhere.json"),
        ("[[workloads]]\nprompt = { file = 'nowhere.txt' }", "nowhere.txt"),
        ("[[workloads]]\nprompt = { tokens_file = 'no-ids' }", "no-ids"),
        ("[models.chat.variants.int4]\nartefact = 'nowhere.onnx'", "nowhere.onnx"),
    ],
)
def test_a_file_that_is_missing_is_refused_with_its_path(tmp_path: Path, text: str, missing: str) -> None:
    with pytest.raises(UsageError) as refused:
        gather(loaded(tmp_path, TWO_VARIANTS + text), DigestCache(None))
    assert str(tmp_path / missing) in str(refused.value)


def test_a_model_that_changed_since_its_run_began_is_refused(tmp_path: Path) -> None:
    suite = loaded(tmp_path, TWO_VARIANTS)
    began = jobs_of(suite)
    verify(read(suite), began)
    (tmp_path / "int8.onnx").write_bytes(b"other")
    with pytest.raises(UsageError, match=r"int8\.onnx has changed since this run began: int8\.onnx \("):
        verify(read(suite), began)


def test_a_reference_that_changed_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("hello")
    text = "[models.chat]\nevaluation = 'data.txt'\n[scenarios.quality]\n"
    suite = loaded(tmp_path, TWO_VARIANTS + text)
    began = [job for job in jobs_of(suite) if job.scenario == "quality"]
    assert [job.variant for job in began] == ["int8"]
    (tmp_path / "fp32.onnx").write_bytes(b"other")
    with pytest.raises(UsageError, match=r"fp32\.onnx has changed since this run began"):
        verify(read(suite), began)


def test_a_run_of_an_earlier_version_is_told_from_a_model_that_changed(tmp_path: Path) -> None:
    """It hashed everything in a folder; what the model reads is less, and the folder is as it was."""
    models(tmp_path / "m", "model.onnx", "notes.txt")
    suite = loaded(tmp_path, "[models.chat.variants.fp32]\nartefact = 'm'")
    before = manifest_of(tmp_path / "m", DigestCache(None)).digest
    began = [replace(job, digest=before, files={}) for job in jobs_of(suite)]
    now = gather(suite, DigestCache(None)).manifests
    assert now[tmp_path / "m"].bytes == len(b"model.onnx")
    with pytest.raises(UsageError, match=r"m has not changed, but .* an earlier version"):
        verify(now, began)
    (tmp_path / "m" / "notes.txt").write_text("changed")
    with pytest.raises(UsageError, match="m has changed since"):
        verify(now, began)


def test_a_lone_file_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    suite = loaded(tmp_path, TWO_VARIANTS)
    verify(read(suite), [replace(job, files={}) for job in jobs_of(suite)])


def test_variants_are_named_by_the_shortest_tail_that_tells_them_apart(tmp_path: Path) -> None:
    assert names_of(tmp_path, "fp32.onnx", "int8.onnx") == ["fp32", "int8"]
    assert names_of(tmp_path, "a/model.onnx", "b/model.onnx") == ["a/model", "b/model"]
    assert names_of(tmp_path, "x/a/m.onnx", "y/a/m.onnx", "y/b/m.onnx") == ["x/a/m", "y/a/m", "y/b/m"]


def test_a_folder_keeps_the_dots_in_its_name(tmp_path: Path) -> None:
    models(tmp_path, "chat-1.5/model.onnx")
    suite = suite_from_models([tmp_path / "chat-1.5"], FORMATS, reference=None, task=None)
    assert list(next(iter(suite.models.values())).variants) == ["chat-1.5"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (("m.onnx", "m.other"), ["m.onnx", "m.other"]),
        (("a/m.onnx", "b/m.onnx"), ["a/m", "b/m"]),
        (("a/m.onnx", "a/m.other", "b/m.onnx"), ["a/m.onnx", "a/m.other", "b/m.onnx"]),
        (("my model [int8].onnx", "[bold]modèle #1 (fp16)%.onnx"), ["my model [int8]", "[bold]modèle #1 (fp16)%"]),
        (("model.onnx", "model.int8.onnx", "модель.onnx"), ["model", "model.int8", "модель"]),
        (("two\nlines.onnx", "\x1b[31mred.onnx"), ["two\\nlines", "\\x1b[31mred"]),
    ],
)
def test_names_are_short_and_tell_the_models_apart(tmp_path: Path, paths: Sequence[str], names: list[str]) -> None:
    assert names_of(tmp_path, *paths) == names


def test_no_variant_is_lost_where_long_names_end_alike(tmp_path: Path) -> None:
    folders = ["a" * 60 + "/" + "b" * 100, "c" * 60 + "/" + "b" * 100]
    names = names_of(tmp_path, *(f"{folder}/model of a long name.onnx" for folder in folders))
    assert len(set(names)) == len(names) == 2
    assert max(map(len, names)) <= 100


def test_the_reference_is_the_model_named(tmp_path: Path) -> None:
    paths = models(tmp_path, "fp32.onnx", "int8.onnx")
    suite = suite_from_models(paths, FORMATS, reference=paths[1], task="tensor")
    (model,) = suite.models.values()
    assert (model.reference, model.task) == (("int8",), "tensor")
    with pytest.raises(UsageError, match="is not one of the models given"):
        suite_from_models(paths, FORMATS, reference=tmp_path / "other.onnx", task=None)


def test_a_model_named_twice_or_missing_is_refused(tmp_path: Path) -> None:
    (path,) = models(tmp_path, "fp32.onnx")
    with pytest.raises(UsageError, match="named twice"):
        suite_from_models([path, path], FORMATS, reference=None, task=None)
    with pytest.raises(UsageError, match="no such file or folder"):
        suite_from_models([tmp_path / "nowhere.onnx"], FORMATS, reference=None, task=None)


def test_each_runtime_that_opens_a_model_gets_a_configuration(tmp_path: Path) -> None:
    both = suite_from_models(models(tmp_path, "a.onnx", "b.other"), FORMATS, reference=None, task=None)
    assert [configuration.runtime for configuration in both.configurations] == ["onnxruntime", "another"]
    one = suite_from_models(models(tmp_path, "a.onnx"), FORMATS, reference=None, task=None)
    assert [configuration.runtime for configuration in one.configurations] == ["onnxruntime"]


def test_a_file_that_no_adapter_opens_is_refused_with_the_endings(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no adapter opens it; models end in \.else, \.onnx, \.other"):
        suite_from_models(models(tmp_path, "notes.txt"), FORMATS, reference=None, task=None)
