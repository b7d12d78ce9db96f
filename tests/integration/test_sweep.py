"""`benchharness sweep`: one command from originals to a recommendation; what is refused before minutes are spent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, CommandLine

pytest.importorskip("ai_edge_quantizer")

DIGITS = ROOT / "examples" / "digits"
MODELS = [DIGITS / "artefacts" / name for name in ("fp32.onnx", "fp32.tflite", "fp16.mlpackage")]
HELD_OUT = DIGITS / "evaluation.npz"


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(HELD_OUT, allow_pickle=False) as held_out:
        return {name: held_out[name] for name in held_out.files}


def test_the_evaluation_data_is_the_held_out_pictures(arrays: dict[str, np.ndarray]) -> None:
    with np.load(DIGITS / "heldout.npz", allow_pickle=False) as held_out:
        assert (arrays["image"] == held_out["images"][:, None].astype(np.float32) / 16).all()
        assert (arrays["labels"] == held_out["labels"]).all()
    assert [str(arrays[name].dtype) for name in ("image", "labels")] == ["float32", "int64"]


def test_three_runtimes_to_a_recommendation(
    benchharness: CommandLine, tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    np.savez(tmp_path / "some.npz", image=arrays["image"][:20], labels=arrays["labels"][:20])
    options = ("--to", "int8", "--evaluate", tmp_path / "some.npz", "--attempts", "1")
    done = benchharness("sweep", *MODELS, *options, "--budget", "kld=0.001 nats", report=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n? Undecided: " in done.stdout or "\n✓ Ship " in done.stdout, "the verdict of the budget"
    assert "Traceback" not in done.stdout + done.stderr
    exported = json.loads(benchharness("export").stdout)
    (choice,) = exported["choices"]
    candidates = {each["variant"]: each for each in choice["candidates"]}
    assert set(candidates) == {
        "onnx-original",
        "onnx-int8-dynamic",
        "tflite-original",
        "tflite-int8-dynamic",
        "mlpackage-original",
        "coreml-int8",
    }
    assert candidates["onnx-original"]["figures"]["quality"]["reference"]
    assert not candidates["tflite-original"]["figures"]["quality"]["reference"]
    assert all("quality" in each["figures"] for each in candidates.values())
    quality = [each for each in exported["results"] if each["scenario"] == "quality"]
    assert {each["outcome"] for each in quality} == {"ok"}
    names = {metric["name"] for each in quality for metric in each["metrics"]}
    assert {"accuracy", "agreement", "kld"} <= names  # labels make it a classifier without being told
    assert (tmp_path / "report" / "this-machine.html").is_file()


@pytest.mark.parametrize(
    ("limit", "code", "told"),
    [
        ("30 kB", 0, "\n✓ Ship onnx-int8-dynamic\n"),  # the original misses it, and that is why somebody compresses
        ("1 kB", 1, "benchharness: 1 of 1 budget missed: artefact_size "),
    ],
)
def test_the_exit_code_says_whether_there_is_something_to_ship(
    benchharness: CommandLine, limit: str, code: int, told: str
) -> None:
    options = ("--to", "onnx-int8-dynamic", "--attempts", "1", "--budget", f"artefact_size={limit}", "--no-report")
    done = benchharness("sweep", MODELS[0], *options)
    assert done.returncode == code, done.stdout + done.stderr
    assert told in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--evaluate", "none.npz"), "none.npz: there is no such file"),
        (("--evaluate", "empty.txt"), "empty.txt: is empty"),
        (("--calibrate", "none.npz"), "none.npz: no such file"),
        (("--calibrate", "shape.npz"), "input 'image' has the shape"),
        (("--calibrate", "dtype.npz"), "is uint8 of shape (3, 1, 8, 8); the model takes image (float32"),
        (("--calibrate", "names.npz"), "the model's inputs are image (float32"),
        (("--calibrate", "nan.npz"), "holds NaN or infinite values"),
        (("--calibrate", "text.txt"), "text calibrates causal language models"),
        (("--calibrate", "ok.npz", "--evaluate", "ok.npz"), "3 samples of ok.npz stand in ok.npz too"),
        (("--budget", "kld"), 'write two things with "=" between them'),
    ],
)
@pytest.mark.parametrize("command", ["sweep", "compress"])
def test_what_cannot_be_is_said_before_anything_is_made(
    benchharness: CommandLine, tmp_path: Path, command: str, options: tuple[str, ...], told: str
) -> None:
    if command == "compress" and ("--budget" in options or options.count("ok.npz") > 1):
        pytest.skip("of sweep only")
    picture = np.zeros((3, 1, 8, 8), np.float32)
    picture[:, 0, 0, 0] = (0, 1, 2)
    np.savez(tmp_path / "ok.npz", image=picture)
    np.savez(tmp_path / "shape.npz", image=picture[..., :7])
    np.savez(tmp_path / "dtype.npz", image=picture.astype(np.uint8))
    np.savez(tmp_path / "names.npz", photo=picture, mask=picture)
    np.savez(tmp_path / "nan.npz", image=picture * np.nan)
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "text.txt").write_text("some text")
    folder = ("--variants", "made") if command == "sweep" else ("--out", "made")
    done = benchharness(command, MODELS[0], "--to", "onnx-int8-static", *options, *folder)
    assert done.returncode == 2, done.stdout + done.stderr
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("made/*"))


def test_what_was_calibrated_on_is_not_evaluated_on(
    benchharness: CommandLine, tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    np.savez(tmp_path / "some.npz", image=arrays["image"][:30])
    np.savez(tmp_path / "other.npz", image=arrays["image"][20:60], labels=arrays["labels"][20:60])
    made = benchharness(
        "compress", MODELS[0], "--to", "onnx-int8-static", "--calibrate", "some.npz", "--evaluate", "other.npz"
    )
    assert made.returncode == 0, made.stderr
    done = benchharness("run", "variants/suite.toml", "--attempts", "1")
    assert done.returncode == 2
    told = "10 samples of other.npz calibrated variants.onnx-int8-static, as recipe.json beside it says"
    assert told in " ".join(done.stderr.split())


def test_two_originals_of_one_format_are_refused(benchharness: CommandLine) -> None:
    done = benchharness("sweep", MODELS[0], DIGITS / "artefacts" / "int8.onnx", "--to", "int8")
    assert done.returncode == 2
    assert "give one original of each format" in " ".join(done.stderr.split())
