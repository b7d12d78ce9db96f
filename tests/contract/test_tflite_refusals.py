"""LiteRT's adapter refuses what it cannot run, in words: requests, damaged files, models for another runtime."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema

from benchharness.contract import Configuration
from benchharness.errors import AttemptError, ModelFailure, Unsupported
from targets.tflite import TFLite
from tests.contract.tflite_models import (
    Variant,
    build_chain,
    build_image_model,
    build_language_model,
    build_outsized_constant,
    build_two_signatures,
)

ROOT = Path(__file__).parents[2]


def open_model(path: Path, **fields: Any) -> Any:
    return TFLite().open(path, Configuration(**{"runtime": "tflite", **fields}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"options": {"signatures": "x"}}, r"options\.signatures.*did you mean 'signature'"),
        ({"options": {"signature": 1}}, r"options\.signature: 1 is not a name"),
        ({"options": {"signature": "train"}}, "'train' is not in the file; its signatures: serving_default"),
        ({"options": {"xnnpack": "no"}}, "neither true nor false"),
        ({"options": {"xnnpack": True}, "accelerator": "CPU"}, "contradicts"),
        ({"options": {"xnnpack": False}, "accelerator": "XNNPACK"}, "contradicts"),
        ({"options": {"package": "tensorflow"}}, "none of ai-edge-litert, tflite-runtime"),
        ({"options": {"package": "tflite-runtime"}}, "tflite-runtime cannot be imported"),
        ({"accelerator": "xnnpack"}, "did you mean 'XNNPACK'"),
        ({"accelerator_options": {"precision": 1}}, r"accelerator_options\.precision"),
        ({"threads": 0}, "threads"),
        ({"threads": True}, "threads"),
    ],
)
def test_a_request_that_cannot_be_met_is_named(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    model = build_image_model(tmp_path / "image.tflite")
    with pytest.raises(Unsupported, match=message), open_model(model, **fields):
        pass


def test_several_signatures_ask_for_a_choice(tmp_path: Path) -> None:
    path = build_two_signatures(tmp_path / "two.tflite")
    with pytest.raises(Unsupported, match=r"classify, again.*options\.signature"), open_model(path):
        pass


@pytest.mark.parametrize(
    ("operators", "version", "message"),
    [
        (["ShinyOp"], 1, r"custom operator.*ShinyOp"),
        ([schema.BuiltinOperator.RELU], 99, r"newer than this runtime; update.*RELU"),
        ([99_999], 1, r"this runtime does not know; update.*99999"),
    ],
)
def test_a_model_for_another_runtime_is_unsupported(
    tmp_path: Path, operators: list[int | str], version: int, message: str
) -> None:
    path = build_chain(tmp_path / "new.tflite", operators, version=version)
    with pytest.raises(Unsupported, match=rf"(?s)new\.tflite.*{message}"), open_model(path):
        pass


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\0" * 99, "no TFLite model"),
        (b"This is no model.", "no TFLite model"),
    ],
)
def test_a_file_that_is_no_model_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    for act in (lambda: TFLite().inspect(path), lambda: open_model(path).__enter__()):
        with pytest.raises(ModelFailure, match=rf"bad\.tflite.*{message}"):
            act()


@pytest.mark.parametrize("kept", [0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_named(tmp_path: Path, kept: float) -> None:
    content = build_language_model(tmp_path / "whole.tflite", Variant()).file.read_bytes()
    path = tmp_path / "short.tflite"
    path.write_bytes(content[: int(kept * len(content))])
    for act in (lambda: TFLite().inspect(path), lambda: open_model(path).__enter__()):
        with pytest.raises(ModelFailure, match=r"short\.tflite.*no TFLite model"):
            act()


def test_a_constant_that_the_file_does_not_hold_is_a_damaged_file(tmp_path: Path) -> None:
    path = build_outsized_constant(tmp_path / "outsized.tflite")
    for act in (lambda: TFLite().inspect(path), lambda: open_model(path).__enter__()):
        with pytest.raises(ModelFailure, match=r"outsized\.tflite.*no TFLite model"):
            act()


def test_a_folder_must_hold_one_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFailure, match=r"no \.tflite"), open_model(tmp_path):
        pass
    build_image_model(tmp_path / "one.tflite")
    with open_model(tmp_path) as session:
        assert session.effective.facts["layout"] == "tensors"
    build_image_model(tmp_path / "two.tflite")
    with pytest.raises(ModelFailure, match=r"one\.tflite, two\.tflite"), open_model(tmp_path):
        pass


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variant": Variant(mask=None, past_moved=True)}, "does not tell how long its cache is"),
        ({"variant": Variant(extra_input="lora")}, "lora"),
    ],
)
def test_a_language_model_of_another_layout_says_what_differs(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    model = build_language_model(tmp_path / "odd.tflite", change["variant"])
    with pytest.raises(Unsupported, match=rf"odd\.tflite.*{message}"), open_model(model.file):
        pass


def test_what_cannot_be_run_can_be_described(tmp_path: Path) -> None:
    model = build_language_model(tmp_path / "odd.tflite", Variant(extra_input="lora"))
    facts = TFLite().inspect(model.file).facts
    assert "lora" in facts["no_language_model"]
    assert "options.signature" in facts["cannot_run"]


# Hostile files. Each is opened in a process of its own, which may end in any way but a signal.

_OPENS_DAMAGED_FILES = """
import os, random, resource, sys
from pathlib import Path

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
import numpy as np
from benchharness.contract import Configuration, LanguageSession
from benchharness.errors import AttemptError
from targets.tflite import TFLite

content, work = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
first, last = int(sys.argv[3]), int(sys.argv[4])
path = work / f"damaged-{first}.tflite"


def use():
    try:
        TFLite().inspect(path)
    except AttemptError as error:
        assert path.name in str(error), error
    with TFLite().open(path, Configuration(runtime="tflite", threads=1)) as session:
        if isinstance(session, LanguageSession):
            session.extend([1, 2, 3])
        else:
            shapes = [[length or 1 for length in spec.shape] for spec in session.inputs]
            session.run({s.name: np.zeros(shape, s.dtype) for s, shape in zip(session.inputs, shapes)})


for seed in range(first, last):
    generator = random.Random(seed)
    damaged = bytearray(content)
    if seed % 2:
        damaged = damaged[: generator.randrange(1, len(damaged))]
    else:
        for _ in range(generator.choice([1, 1, 4])):
            damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
    path.write_bytes(damaged)
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            use()
        except (AttemptError, MemoryError) as error:
            os._exit(0 if isinstance(error, MemoryError) or path.name in str(error) else 3)
        except BaseException as error:
            os.write(1, f"{seed}: {type(error).__name__}: {error}\\n".encode())
            os._exit(4)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        print(f"{seed}: ended with {status}", flush=True)
"""


@pytest.mark.skipif(not hasattr(sys.modules["os"], "fork"), reason="damaged files are opened in forked processes")
@pytest.mark.parametrize("kind", ["image", "language"])
def test_no_damaged_file_ends_the_process(tmp_path: Path, kind: str) -> None:
    """Half of the files are cut short, half have bits flipped; a few of these are good models still."""
    source = tmp_path / "whole.tflite"
    build_image_model(source) if kind == "image" else build_language_model(source, Variant())
    command = [sys.executable, "-c", _OPENS_DAMAGED_FILES, str(source), str(tmp_path), "0", "60"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-2000:]


def test_a_missing_package_is_a_reason_and_no_error() -> None:
    program = (
        "import sys, json; sys.modules['ai_edge_litert'] = None\n"
        "from targets.tflite import TFLite\n"
        "from benchharness.contract import Configuration\n"
        "from pathlib import Path\n"
        "found = TFLite().availability()\n"
        "try:\n    TFLite().open(Path('x'), Configuration(runtime='tflite')).__enter__()\n"
        "except Exception as error: print(json.dumps([found.available, found.reason, type(error).__name__]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    available, reason, error = json.loads(done.stdout)
    assert (available, error) == (False, "Unsupported")
    assert "benchharness[tflite]" in reason
    assert "ai-edge-litert" in reason
    assert "tflite-runtime" in reason


def test_nothing_is_printed_to_standard_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = build_image_model(tmp_path / "image.tflite")
    with open_model(model):
        pass
    with pytest.raises(AttemptError), open_model(build_chain(tmp_path / "new.tflite", ["ShinyOp"])):
        pass
    assert capfd.readouterr().out == ""
