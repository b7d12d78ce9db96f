"""Describes a `.xml` file without OpenVINO: signature, operators, stored numbers, how it is quantized.

Layers name their constants' type, shape and place in the `.bin`, so no weights are read. Files are not trusted: what
cannot be read, or declares entities of its own, becomes a `ModelFailure`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from xml.etree import ElementTree

from benchharness.contract import ModelDescription, Quantization, StoredNumbers, TensorSpec
from targets.model_files import reading
from targets.onnx_format.files import describe
from targets.onnx_format.inspection import inspect_model as inspect_onnx
from targets.onnx_format.signature import told_task
from targets.openvino_format.files import find_model, is_onnx, weights_of
from targets.openvino_format.names import BEAMS, DTYPES, stateful_evidence
from targets.stored_numbers import SCALES, WEIGHTS, add_up

_INTEGERS = ("i4", "u4", "i8", "u8", "nf4", "u2", "u1")


@dataclass
class _Layer:
    kind: str
    opset: str
    data: Mapping[str, str]
    names: Sequence[str]  # of its first output
    shape: Sequence[int | None]  # of its first output
    inputs: dict[int, str] = field(default_factory=dict)  # by port, the layer that it comes from


def inspect_model(artefact: Path) -> ModelDescription:
    """Describes a `.xml` or `.onnx` file, or the one in a folder. Raises `ModelFailure`."""
    model = find_model(artefact)
    return inspect_onnx(model) if is_onnx(model) else inspect_xml(model)


def inspect_xml(model: Path) -> ModelDescription:
    """Describes a `.xml` file. Raises `ModelFailure` for what is none, or is damaged."""
    with reading(model, "OpenVINO model"):
        text = model.read_bytes()
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            raise ValueError("it declares a document type, which no model has")
        root = ElementTree.fromstring(text)  # noqa: S314 - see above
        if root.tag != "net":
            raise ValueError(f"its root is {root.tag}, and a model's is net")
        return _describe(model, root, _layers(root))


def _layers(root: ElementTree.Element) -> dict[str, _Layer]:
    found = {}
    for layer in root.iterfind("layers/layer"):
        data, port = layer.find("data"), layer.find("output/port")
        names = (port.get("names") or "").split(",") if port is not None else []
        found[layer.attrib["id"]] = _Layer(
            kind=layer.attrib["type"],
            opset=layer.get("version", ""),
            data=dict(data.attrib) if data is not None else {},
            names=[name for name in names if name] or [layer.get("name", "")],
            shape=[_length(dim.text) for dim in port.iterfind("dim")] if port is not None else [],
        )
    for edge in root.iterfind("edges/edge"):
        found[edge.attrib["to-layer"]].inputs[int(edge.attrib["to-port"])] = edge.attrib["from-layer"]
    return found


def _length(text: str | None) -> int | None:
    length = int(text or "")
    return None if length < 0 else length


def _describe(model: Path, root: ElementTree.Element, layers: Mapping[str, _Layer]) -> ModelDescription:
    operators: dict[str, Counter[str]] = {}
    for layer in layers.values():
        operators.setdefault(layer.opset, Counter())[layer.kind] += 1
    inputs = [_spec(layer, layer.data["element_type"]) for layer in layers.values() if layer.kind == "Parameter"]
    outputs = [_output(layers, layer) for layer in layers.values() if layer.kind == "Result"]
    variables = sum(layer.kind == "ReadValue" for layer in layers.values())
    taken = [spec for spec in inputs if spec.name != BEAMS]
    task, language = told_task(taken, outputs, describe(model), lambda: stateful_evidence(bool(variables)), str(model))
    scales = _scales(layers)
    weights = weights_of(model)
    stored = [layer for layer in layers.values() if layer.kind == "Const"]
    return ModelDescription(
        format="openvino",
        task=task,
        inputs=inputs,
        outputs=outputs,
        operators={opset: dict(counts.most_common()) for opset, counts in sorted(operators.items())},
        parameters=_parameters(layers, scales),
        quantization=_quantization(layers, scales),
        external_files={weights.name: weights.stat().st_size if weights.is_file() else None} if stored else {},
        facts={
            "file": model.name,
            "name": root.get("name", ""),
            "ir_version": int(root.get("version", "0")),
            "variables": variables,
            **language,
        },
    )


def _spec(layer: _Layer, element: str) -> TensorSpec:
    return TensorSpec(sorted(layer.names)[0], DTYPES.get(element, element), tuple(layer.shape))


def _output(layers: Mapping[str, _Layer], result: _Layer) -> TensorSpec:
    source = layers[next(iter(result.inputs.values()))]
    return _spec(source, source.data.get("element_type", "f32"))


@dataclass(frozen=True)
class _Scale:
    """A constant that stored integers are multiplied by, or that is taken off them first."""

    layer: str
    weights: str
    multiplies: bool


def _scales(layers: Mapping[str, _Layer]) -> list[_Scale]:
    """What NNCF and Optimum write of stored integers: Convert, then Subtract where they are not symmetric, Multiply."""
    found = []
    for layer in layers.values():
        if layer.kind in ("Multiply", "Subtract"):
            sides = [_source(layers, source) for _, source in sorted(layer.inputs.items())]
            weights = _integers(layers, sides[0]) if len(sides) == 2 else None
            if weights is not None and layers[sides[1]].kind == "Const":
                found.append(_Scale(sides[1], weights, layer.kind == "Multiply"))
    return found


def _source(layers: Mapping[str, _Layer], name: str) -> str:
    """What is behind conversions."""
    while layers[name].kind == "Convert":
        name = next(iter(layers[name].inputs.values()))
    return name


def _integers(layers: Mapping[str, _Layer], name: str) -> str | None:
    """The stored integers that a layer hands on, after their zero point was taken off; None where there are none."""
    name = _source(layers, name)
    if layers[name].kind == "Subtract":
        name = _source(layers, layers[name].inputs[min(layers[name].inputs)])
    layer = layers[name]
    return name if layer.kind == "Const" and layer.data.get("element_type") in _INTEGERS else None


def _parameters(layers: Mapping[str, _Layer], scales: Sequence[_Scale]) -> list[StoredNumbers]:
    """Constants by type and role, those that share their place once; largest first."""
    roles, seen = {scale.layer for scale in scales}, set()
    found = []
    for name, layer in layers.items():
        place = (layer.data.get("offset"), layer.data.get("size"))
        if layer.kind == "Const" and place not in seen:
            seen.add(place)
            element, numbers = layer.data.get("element_type", "unknown"), prod(each or 0 for each in layer.shape)
            role, dtype = SCALES if name in roles else WEIGHTS, DTYPES.get(element, element)
            found.append((role, dtype, 1, numbers, int(layer.data.get("size", 0))))
    return add_up(found)


def _quantization(layers: Mapping[str, _Layer], scales: Sequence[_Scale]) -> list[Quantization]:
    zero_points = {scale.weights for scale in scales if not scale.multiplies}
    kinds: Counter[tuple[str, str, bool]] = Counter(
        (layers[scale.weights].data["element_type"], _granularity(layers, scale), scale.weights not in zero_points)
        for scale in scales
        if scale.multiplies
    )
    found = [
        Quantization(
            method="block-wise weights" if granularity.startswith("blocks") else "static weights",
            dtype=DTYPES.get(element, element),
            operators={"Multiply": count},
            granularity=granularity,
            symmetric=symmetric,
        )
        for (element, granularity, symmetric), count in kinds.most_common()
    ]
    fakes = [layer for layer in layers.values() if layer.kind == "FakeQuantize"]
    if fakes:
        levels = sorted({layer.data.get("levels", "?") for layer in fakes})
        dtype = "int8" if set(levels) <= {"255", "256"} else f"{', '.join(levels)} levels"
        operators = {"FakeQuantize": len(fakes)}
        found.append(Quantization("static activations", dtype, operators, "unknown", None))
    return found


def _granularity(layers: Mapping[str, _Layer], scale: _Scale) -> str:
    """From the scale's shape beside that of its weights: (out, groups, group) for blocks."""
    shape, scaled = layers[scale.layer].shape, layers[scale.weights].shape
    if prod(each or 0 for each in shape) == 1:
        return "per-tensor"
    if len(scaled) == 3 and len(shape) == 3 and shape[-1] == 1 and (shape[1] or 0) > 1:
        return f"blocks of {scaled[-1]}"
    return "per-channel" if len(shape) == len(scaled) else "unknown"
