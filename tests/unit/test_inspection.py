"""`inspect` on the host: an adapter's word in a process of its own, size and digest beside it, shown as tables."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchharness.device.processes.child import Answer
from benchharness.errors import ModelFailure, Unsupported, UsageError
from benchharness.execute import looks
from benchharness.execute.looks import inspect_model
from benchharness.suite.artefact import DigestCache, manifest_of
from benchharness.terminal.inspection import inspection_tables
from tests.contract.tiny_models import Variant, build_image_model, build_language_model


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "digest_cache", lambda: DigestCache(None))


def drawn(found: dict[str, Any], *, whole: bool = False) -> str:
    console = Console(file=io.StringIO(), width=160)
    for table in inspection_tables(found, whole=whole):
        console.print(table)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_a_model_is_described_with_size_and_digest(tmp_path: Path) -> None:
    path = build_image_model(tmp_path / "image.onnx")
    found = inspect_model(path)
    manifest = manifest_of(path, DigestCache(None))
    assert (found["bytes"], found["digest"]) == (path.stat().st_size, manifest.digest)
    assert (found["adapter"], found["task"], found["warnings"]) == ("onnxruntime", "tensor", [])
    assert found["operators"] == {"ai.onnx": {"Conv": 1, "Relu": 1, "ReduceMean": 1, "MatMul": 1}}
    assert found["parameters"][0] == {
        "dtype": "float32",
        "role": "weights",
        "tensors": 2,
        "numbers": 4 * 3 * 3 * 3 + 4 * 5,
        "bytes": 4 * (4 * 3 * 3 * 3 + 4 * 5),
    }
    assert json.loads(json.dumps(found)) == found


def test_the_tables_name_what_was_found(tmp_path: Path) -> None:
    model = build_language_model(tmp_path, Variant())
    text = drawn(inspect_model(model.folder))
    for word in ("causal-lm", "past_key_values.1.key", "input_ids", "MatMul", "float32", "context length", "160"):
        assert word in text, word


def test_names_that_differ_by_a_number_share_a_row(tmp_path: Path) -> None:
    found = inspect_model(build_image_model(tmp_path / "image.onnx"))
    found["inputs"] = [{"name": f"past.{layer}.key", "dtype": "float16", "shape": [1, None]} for layer in range(3)]
    text = drawn(found)
    assert "past.N.key (3 of them)" in text
    assert "1 × ?" in text


def test_a_long_list_is_cut_after_a_dozen_and_says_what_shows_it_whole(tmp_path: Path) -> None:
    found = inspect_model(build_image_model(tmp_path / "image.onnx"))
    letters = [f"{one}{other}" for one in "abcdefghijkl" for other in "abcdefghijkl"]
    found["outputs"] = [{"name": f"out_{name}", "dtype": "float32", "shape": [1]} for name in letters]
    found["operators"] = {"ai.onnx": {f"Operator{name}": 1 for name in letters}}
    found["facts"]["metadata"] = {f"key_{name}": "value" for name in letters}
    text = drawn(found)
    assert len(text.splitlines()) < 80
    for more in ("… and 133 more; --details lists all", "… and 132 more; --details lists all"):
        assert more in text
    assert text.count("Operator") == 12
    whole = drawn(found, whole=True)
    assert "--details" not in whole
    assert (whole.count("Operator"), whole.count("out_"), whole.count("key_")) == (144, 144, 144)


def test_a_long_text_is_shown_on_one_line_and_cut(tmp_path: Path) -> None:
    found = inspect_model(build_image_model(tmp_path / "image.onnx"))
    found["facts"]["metadata"] = {"alphabet": "\n".join("abc" for _ in range(5000))}
    text = drawn(found)
    assert "alphabet: abc abc" in text
    assert "(20,009 letters)" in text
    assert text.count("abc") < 60


def test_the_zipped_size_is_close_to_a_real_zips(tmp_path: Path) -> None:
    path = build_image_model(tmp_path / "image.onnx")
    found = inspect_model(path, compressed=True)
    with zipfile.ZipFile(tmp_path / "m.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.write(path, "image.onnx")
    assert found["compressed_bytes"] == archive.getinfo("image.onnx").compress_size
    assert "zipped" in drawn(found)


def test_a_models_own_words_cannot_command_the_terminal(tmp_path: Path) -> None:
    import onnx

    path = build_image_model(tmp_path / "image.onnx")
    model = onnx.load(path)
    model.producer_name = "\x1b[2Jnice\x07[bold]"
    model.metadata_props.add(key="k\x1b]0;title", value="v" * 5000)
    onnx.save(model, path)
    text = drawn(inspect_model(path))
    assert "\x1b" not in text
    assert "nice" in text
    assert "[bold]" in text


def test_weights_beside_the_model_are_counted_and_missed(tmp_path: Path) -> None:
    import onnx

    path = build_image_model(tmp_path / "m.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="m.data", size_threshold=0)
    found = inspect_model(path)
    sizes = {name: (tmp_path / name).stat().st_size for name in ("m.data", "m.onnx")}
    assert {file["path"]: file["bytes"] for file in found["files"]} == sizes
    assert (found["bytes"], found["warnings"]) == (sum(sizes.values()), [])
    assert inspect_model(tmp_path)["digest"] == found["digest"]
    (tmp_path / "m.data").unlink()
    assert "missing (m.data)" in inspect_model(tmp_path)["warnings"][0]
    model = onnx.load(path, load_external_data=False)
    for entry in (entry for tensor in model.graph.initializer for entry in tensor.external_data):
        if entry.key == "location":
            entry.value = "/etc/passwd"
    path.write_bytes(model.SerializeToString())
    (told,) = inspect_model(path)["warnings"]
    assert "'/etc/passwd': an absolute path" in told, "copying the folder would not help"


def test_what_no_adapter_opens_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        inspect_model(tmp_path / "gone.onnx")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UsageError, match=r"models end in .*\.onnx"):
        inspect_model(tmp_path / "notes.txt")


def test_a_file_that_is_no_model_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"\0" * 99)
    with pytest.raises(ModelFailure, match=r"bad\.onnx: is no ONNX model"):
        inspect_model(path)


@pytest.mark.parametrize(
    ("code", "output", "kind", "said"),
    [
        (-11, b"", ModelFailure, "ended with signal 11: the last word"),
        (1, b"", ModelFailure, "ended with exit code 1"),
        (0, b"no JSON\n", ModelFailure, "exit code 0"),
        (0, b'{"description": 3, "files": null}', ModelFailure, "gave no description"),
        (0, b"[]", ModelFailure, "exit code 0"),
        (0, b'{"failed": "unsupported", "reason": "cannot look"}', Unsupported, "cannot look"),
    ],
)
def test_a_process_that_ends_badly_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, output: bytes, kind: type[Exception], said: str
) -> None:
    def ends(command: list[str], patience_s: float, **_: Any) -> Answer:
        return Answer(output, "first\nthe last word\n", code)

    monkeypatch.setattr("benchharness.launch.local.ask", ends)
    with pytest.raises(kind, match=said):
        inspect_model(build_image_model(tmp_path / "m.onnx"))


def test_a_process_that_does_not_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(command: list[str], patience_s: float, **_: Any) -> Answer:
        return Answer(b"", "", None)

    monkeypatch.setattr("benchharness.launch.local.ask", hangs)
    with pytest.raises(ModelFailure, match="did not end within 60 s"):
        inspect_model(build_image_model(tmp_path / "m.onnx"))
