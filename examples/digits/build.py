"""Build the digit classifier from nothing: split, training, ONNX artefacts at two precisions, evaluation.json."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import core_ml
import numpy as np
import onnx
import onnxruntime
import tflite
import torch
from core_ml_package import size  # core_ml has put its folder on the path
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

FOLDER = Path(__file__).resolve().parent
EXAMPLE = "example: python examples/digits/build.py --out /tmp/digits --seed 8"
PACKAGES = (
    "torch",
    "scikit-learn",
    "numpy",
    "onnx",
    "onnxruntime",
    "litert-torch",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "coremltools",
)

HELD_OUT = 500
CALIBRATION = 200
"""Training pictures that the quantizer sees to choose the activations' scales."""
BATCH = 32
LEARNING_RATE = 3e-3
OPSET, IR_VERSION = 17, 8
"""Old enough for every onnxruntime that benchharness supports."""
CLOSE = 1e-4
"""Largest difference of a score between torch and the fp32 artefact; a hundred times what was seen."""
ACCURATE = 0.97
"""Held-out accuracy below which the build fails: something went wrong."""

Pictures = NDArray[np.uint8]
Labels = NDArray[np.int64]


def main() -> None:
    options = parse_arguments()
    (options.out / "artefacts").mkdir(parents=True, exist_ok=True)
    train, held_out = split(options.seed)
    np.savez_compressed(options.out / "heldout.npz", images=held_out[0], labels=held_out[1].astype(np.uint8))
    evaluation = {"image": as_input(held_out[0]), "labels": held_out[1].astype(np.int64)}
    np.savez_compressed(options.out / "evaluation.npz", **evaluation)

    net = train_net(*train, epochs=options.epochs, seed=options.seed)
    fp32, int8 = (options.out / "artefacts" / f"{name}.onnx" for name in ("fp32", "int8"))
    export(net, fp32)
    calibration = train[0][:CALIBRATION]
    quantize(fp32, int8, calibration)
    artefacts = {"fp32": fp32, "int8": int8}
    artefacts |= tflite.export_all(net, options.out / "artefacts", as_input(calibration))
    artefacts |= core_ml.export_all(net, options.out / "artefacts")

    figures = evaluate(net, artefacts, *held_out)
    figures = {
        "seed": options.seed,
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "pictures": {"train": len(train[0]), "calibration": CALIBRATION, "held_out": len(held_out[0])},
        "nearest_neighbour_accuracy": nearest_neighbour(train, held_out),
        "held_out_pictures_also_in_train": shared_pictures(train[0], held_out[0]),
        "recipe": {"epochs": options.epochs, "batch": BATCH, "peak_learning_rate": LEARNING_RATE},
        "parameters": sum(weights.numel() for weights in net.parameters()),
        **figures,
    }
    (options.out / "evaluation.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures["accuracy"], indent=2))
    check(figures)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE)
    parser.add_argument("--out", type=Path, default=FOLDER, help="where everything is written (default: this folder)")
    parser.add_argument("--seed", type=int, default=7, help="of the split, the weights and the batches (default: 7)")
    parser.add_argument("--epochs", type=int, default=40, help="passes over the training pictures (default: 40)")
    return parser.parse_args()


def split(seed: int) -> tuple[tuple[Pictures, Labels], tuple[Pictures, Labels]]:
    """(pictures, labels) to train with, and held out; every digit has the same share in both. Pixels are 0 to 16."""
    digits = load_digits()
    pictures, labels = digits.images.astype(np.uint8), digits.target.astype(np.int64)
    train, held_out = train_test_split(
        np.arange(len(labels)), test_size=HELD_OUT, random_state=seed, shuffle=True, stratify=labels
    )
    return (pictures[train], labels[train]), (pictures[held_out], labels[held_out])


def as_input(pictures: Pictures) -> NDArray[np.float32]:
    """What the model takes: (batch, 1, 8, 8), ink from 0 to 1."""
    return pictures[:, None].astype(np.float32) / 16


def make_net() -> torch.nn.Sequential:
    """Two convolutions, a pooling layer, two linear layers; 12 000 weights."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 12, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(12, 24, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(24 * 4 * 4, 24),
        torch.nn.ReLU(),
        torch.nn.Linear(24, 10),
    )


def train_net(pictures: Pictures, labels: Labels, *, epochs: int, seed: int) -> torch.nn.Sequential:
    """Trains on one thread, so that the same seed gives the same weights on the same machine."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    net = make_net()
    x, y = torch.from_numpy(as_input(pictures)), torch.from_numpy(labels)
    steps = epochs * math.ceil(len(x) / BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x[batch]), y[batch], label_smoothing=0.05).backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def export(net: torch.nn.Sequential, path: Path) -> None:
    """Writes the graph by hand: nine operators that any runtime has, the batch free."""
    weights = {name: numpy_helper.from_array(tensor.numpy(), name) for name, tensor in net.state_dict().items()}
    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["image", "0.weight", "0.bias"], ["conv_1"], **same),
        helper.make_node("Relu", ["conv_1"], ["relu_1"]),
        helper.make_node("Conv", ["relu_1", "2.weight", "2.bias"], ["conv_2"], **same),
        helper.make_node("Relu", ["conv_2"], ["relu_2"]),
        helper.make_node("MaxPool", ["relu_2"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "6.weight", "6.bias"], ["hidden"], transB=1),
        helper.make_node("Relu", ["hidden"], ["relu_3"]),
        helper.make_node("Gemm", ["relu_3", "8.weight", "8.bias"], ["scores"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 10])],
        list(weights.values()),
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="digits")
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


class Calibration(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Gives the quantizer one picture after another."""

    def __init__(self, pictures: Pictures) -> None:
        self._inputs: Iterator[dict[str, Any]] = iter([{"image": one[None]} for one in as_input(pictures)])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._inputs, None)


def quantize(fp32: Path, int8: Path, pictures: Pictures) -> None:
    """Static quantization: int8 weights with a scale per output channel, int8 activations with a scale per tensor."""
    quantize_static(
        fp32,
        int8,
        Calibration(pictures),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )


def evaluate(
    net: torch.nn.Sequential, artefacts: Mapping[str, Path], pictures: Pictures, labels: Labels
) -> dict[str, Any]:
    """Held-out accuracy of torch and of each artefact; how far their scores and answers are apart."""
    with torch.no_grad():
        reference = net(torch.from_numpy(as_input(pictures))).numpy()
    scores = {"torch": reference, **{name: run(path, pictures) for name, path in artefacts.items()}}
    answers = {name: each.argmax(axis=1) for name, each in scores.items()}
    correct = {name: int((each == labels).sum()) for name, each in answers.items()}
    return {
        "accuracy": {
            name: {
                "correct": count,
                "of": len(labels),
                "share": round(count / len(labels), 4),
                "interval_95": wilson(count, len(labels)),
            }
            for name, count in correct.items()
        },
        "answers_as_torch": {name: round(float((answers[name] == answers["torch"]).mean()), 4) for name in artefacts},
        "largest_score_difference_from_torch": {
            name: float(f"{np.abs(scores[name] - reference).max():.3g}") for name in artefacts
        },
        "bytes": {name: size(path) if path.is_dir() else path.stat().st_size for name, path in artefacts.items()},
    }


def run(path: Path, pictures: Pictures) -> NDArray[np.float32]:
    """The scores of every picture, one picture at a time as a device would ask."""
    if path.suffix == ".tflite":
        return tflite.run(path, as_input(pictures))
    if path.suffix == ".mlpackage":
        return core_ml.run(path, as_input(pictures))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"image": one[None]})[0] for one in as_input(pictures)])


def wilson(correct: int, count: int) -> list[float]:
    """The 95 % score interval of a share (Wilson 1927), which stays within 0 and 1."""
    z = 1.96
    share = correct / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return [round(middle - half, 4), round(middle + half, 4)]


def nearest_neighbour(train: tuple[Pictures, Labels], held_out: tuple[Pictures, Labels]) -> float:
    """What takes no training at all: the label of the most similar training picture."""
    flat = [pictures.reshape(len(pictures), -1) for pictures, _ in (train, held_out)]
    return round(float(KNeighborsClassifier(1).fit(flat[0], train[1]).score(flat[1], held_out[1])), 4)


def shared_pictures(train: Pictures, held_out: Pictures) -> int:
    """Held-out pictures that equal a training picture, pixel by pixel."""
    known = {picture.tobytes() for picture in train}
    return sum(picture.tobytes() in known for picture in held_out)


def check(figures: Mapping[str, Any]) -> None:
    """Ends the build with an error where an artefact is not what it should be."""
    for name in ("fp32", "tflite-fp32"):
        difference = figures["largest_score_difference_from_torch"][name]
        if difference > CLOSE:
            raise SystemExit(f"{name} differs from torch by {difference:g}, more than {CLOSE:g}")
    for name, accuracy in figures["accuracy"].items():
        if accuracy["share"] < ACCURATE:
            raise SystemExit(f"{name}: held-out accuracy is {accuracy['share']:.1%}, less than {ACCURATE:.0%}")


if __name__ == "__main__":
    main()
