"""The demo model in other vocabularies, beside itself: `python examples/demo_model/students.py`.

Makes students of `artefacts/onnx-fp32` below `build/demo_model/`, and the suite that compares them with it,
`build/demo_model/suite-students.toml`. Nothing is trained: a student's token i is one of the teacher's tokens, with its
row of the embedding, which is the output layer too, and its tokenizer knows those tokens alone.

    shuffled      the same tokens under other ids: another vocabulary, and the same model of every text
    half          the first 512 tokens: cuts a text into more tokens than the teacher has ever seen of it
    int4          the teacher's vocabulary: held against it token by token
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import numpy_helper

FOLDER = Path(__file__).resolve().parent
TEACHER = FOLDER / "artefacts" / "onnx-fp32"
OUT = FOLDER.parents[1] / "build" / "demo_model"
EMBEDDING = "model.embed_tokens.weight"
SEED, HALF = 7, 512


def build(out: Path = OUT) -> Path:
    """Makes both students and writes the suite; the suite's path."""
    size = len(_read(TEACHER / "tokenizer.json")["model"]["vocab"])
    shuffled = random.Random(SEED).sample(range(size), size)
    students = {
        "shuffled": respoken(out / "student-shuffled", shuffled),
        "half": respoken(out / "student-half", range(HALF)),
    }
    suite = out / "suite-students.toml"
    suite.write_text("\n".join(_lines(students)) + "\n", encoding="utf-8")
    return suite


def respoken(folder: Path, tokens: Sequence[int], *, padding: int = 0) -> Path:
    """The teacher with a vocabulary of these of its tokens, in this order; `padding` rows more that no token has."""
    folder.mkdir(parents=True, exist_ok=True)
    model = onnx.load(TEACHER / "model.onnx")
    rows = next(each for each in model.graph.initializer if each.name == EMBEDDING)
    kept = numpy_helper.to_array(rows)[[*tokens, *([0] * padding)]]
    rows.CopyFrom(numpy_helper.from_array(kept, EMBEDDING))
    logits = next(each for each in model.graph.output if each.name == "logits")
    logits.type.tensor_type.shape.dim[-1].dim_value = len(kept)
    onnx.save(model, folder / "model.onnx")
    place = {token: at for at, token in enumerate(tokens)}
    for name in ("config.json", "generation_config.json"):
        said = _read(TEACHER / name)
        said |= {key: place[said[key]] for key in ("bos_token_id", "eos_token_id") if said.get(key) is not None}
        _write(folder / name, {**said, "vocab_size": len(kept)} if "vocab_size" in said else said)
    _write(folder / "tokenizer.json", _tokenizer(place))
    shutil.copy(TEACHER / "tokenizer_config.json", folder)
    return folder


def _tokenizer(place: dict[int, int]) -> dict[str, Any]:
    """The teacher's, with these of its tokens under their new ids, and the merges that make them."""
    said = _read(TEACHER / "tokenizer.json")
    words = {word: place[token] for word, token in said["model"]["vocab"].items() if token in place}
    said["model"]["vocab"] = dict(sorted(words.items(), key=lambda each: each[1]))
    merges = said["model"]["merges"]
    said["model"]["merges"] = [pair for pair in merges if {*pair, "".join(pair)} <= words.keys()]
    for added in said["added_tokens"]:
        added["id"] = place[added["id"]]
    return said


def _lines(students: dict[str, Path]) -> list[str]:
    variants = {"teacher": TEACHER, "int4": TEACHER.parent / "onnx-int4", **students}
    return [
        "# The demo model beside students of its own, two of them in other vocabularies. Written by students.py.\n",
        'name = "demo-students"\n',
        "[models.demo]",
        'task = "causal-lm"',
        'reference = "teacher"',
        f"evaluation = {json.dumps(str(FOLDER / 'heldout.txt'))}\n",
        "[models.demo.variants]",
        *(f"{name} = {{ artefact = {json.dumps(str(path))} }}" for name, path in variants.items()),
        "\n[[configurations]]",
        'runtime = "onnxruntime"',
        "threads = 1\n",
        "[scenarios.quality]",
        "most_chunks = 32",
        "distillation = { alpha = [0, 0.5, 1], temperature = 2 }\n",
        "[budgets]",
        'bits_per_byte_loss = "0.1 bits/byte"',
    ]


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _write(path: Path, said: dict[str, Any]) -> None:
    path.write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog="example: python students.py --out build/demo_model"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write [build/demo_model]")
    print(build(parser.parse_args().out))


if __name__ == "__main__":
    main()
