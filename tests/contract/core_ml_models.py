"""Tiny Core ML models for the tests: one attention layer over a cache in a state, in whatever signature is asked for.

Built with coremltools' program builder, which works on every system. What it leaves no room for (lists of shapes, odd
names, several functions) is written into the specification afterwards.
"""

from __future__ import annotations

import gc
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import get_new_symbol, types
from coremltools.models.utils import load_spec, save_spec

VOCABULARY, WIDTH, CONTEXT = 24, 8, 32
_RANDOM = np.random.default_rng(7)
EMBEDDING = _RANDOM.normal(size=(VOCABULARY, WIDTH)).astype(np.float32)
PLACES = _RANDOM.normal(size=(CONTEXT, WIDTH)).astype(np.float32)


@dataclass(frozen=True)
class Layout:
    """What a model takes and gives."""

    query: int | None = None  # tokens a prediction takes; None: any number
    highest: int = CONTEXT  # of them, where any number is taken
    listed: tuple[int, ...] = ()  # the only numbers of tokens there are
    stateful: bool = True
    positions: bool = True
    mask: bool = True
    all_logits: bool = True


def build_language_model(path: Path, layout: Layout) -> Path:
    """A language model as `layout` says, at `path`, which ends in .mlpackage."""
    query = layout.query if layout.query is not None else get_new_symbol()
    inputs: dict[str, Any] = {"input_ids": mb.TensorSpec((1, query), types.int32)}
    if layout.positions:
        inputs["positions"] = mb.TensorSpec((query,), types.int32)
    if layout.mask:
        columns = CONTEXT if layout.stateful else get_new_symbol()
        inputs["mask"] = mb.TensorSpec((1, 1, query, columns))
    if layout.stateful:
        inputs["key_cache"] = mb.StateTensorSpec((1, CONTEXT, WIDTH), types.fp16)
    save(path, inputs, lambda values: _attend(layout, values))
    if layout.query is None:
        edit(path, lambda specification: _limit(specification, layout))
    return path


def reference_logits(tokens: Sequence[int], *, cached: bool = True) -> np.ndarray[Any, Any]:
    """What the model answers after each token, in float64; a cache is rounded to float16."""
    x = EMBEDDING[list(tokens)].astype(np.float64) + PLACES[: len(tokens)]
    keys = x.astype(np.float32).astype(np.float16).astype(np.float64) if cached else x
    scores = x @ keys.T
    scores = np.where(np.tril(np.ones(scores.shape)) > 0, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    attended = weights / weights.sum(-1, keepdims=True) @ keys
    return np.asarray((attended + x) @ EMBEDDING.T.astype(np.float64))


def _attend(layout: Layout, values: dict[str, Any]) -> Any:
    x = mb.gather(x=EMBEDDING, indices=values["input_ids"], axis=0)
    if layout.positions:
        x = mb.add(x=x, y=mb.gather(x=PLACES, indices=values["positions"], axis=0))
    keys = x
    if layout.stateful:
        keys = mb.cast(x=_append(values, x), dtype="fp32")
    scores = mb.matmul(x=x, y=keys, transpose_y=True)
    if layout.mask:
        scores = mb.add(x=scores, y=mb.squeeze(x=values["mask"], axes=[1]))
    attended = mb.add(x=mb.matmul(x=mb.softmax(x=scores, axis=-1), y=keys), y=x)
    if not layout.all_logits:
        attended = mb.slice_by_index(x=attended, begin=[0, -1, 0], end=[1, 0, WIDTH], end_mask=[False, True, False])
    return mb.matmul(x=attended, y=EMBEDDING, transpose_y=True, name="logits")


def _append(values: dict[str, Any], x: Any) -> Any:
    """Writes the new tokens to the cache where their positions say; the whole cache."""
    first = mb.slice_by_index(x=values["positions"], begin=[0], end=[1])
    last = mb.slice_by_index(x=values["positions"], begin=[-1], end=[0], end_mask=[True])
    cache = mb.slice_update(
        x=mb.read_state(input=values["key_cache"]),
        update=mb.cast(x=x, dtype="fp16"),
        begin=mb.concat(values=[_numbers(0), first, _numbers(0)], axis=0),
        end=mb.concat(values=[_numbers(1), mb.add(x=last, y=_numbers(1)), _numbers(WIDTH)], axis=0),
    )
    return mb.coreml_update_state(state=values["key_cache"], value=cache)


def _numbers(value: int) -> Any:
    return np.array([value], np.int32)


def build_tensor_model(path: Path, *, dtype: Any = types.fp32, flexible: bool = False) -> Path:
    """y = tanh(x) + 1, of (2, 3) or of (2, any)."""
    shape = (2, get_new_symbol() if flexible else 3)
    one = np.ones(1, np.float16 if dtype is types.fp16 else np.float32)
    specs = {"x": mb.TensorSpec(shape, dtype)}
    return save(path, specs, lambda values: mb.add(x=mb.tanh(x=values["x"]), y=one, name="y"))


def build_sum_model(path: Path) -> Path:
    """A state that every prediction adds its input to: no language model, and different at every call."""
    specs = {"x": mb.TensorSpec((4,), types.fp16), "total": mb.StateTensorSpec((4,), types.fp16)}

    def compute(values: dict[str, Any]) -> Any:
        total = mb.add(x=mb.read_state(input=values["total"]), y=values["x"])
        return mb.mul(x=mb.coreml_update_state(state=values["total"], value=total), y=np.float16(2), name="y")

    return save(path, specs, compute)


def build_older_model(path: Path) -> Path:
    """A neural network as coremltools wrote them before ML programs: an .mlmodel of one layer."""
    from coremltools.models import datatypes
    from coremltools.models.neural_network import NeuralNetworkBuilder

    builder = NeuralNetworkBuilder([("x", datatypes.Array(3))], [("y", datatypes.Array(3))])
    builder.add_elementwise("add", ["x", "x"], "y", "ADD")
    save_spec(builder.spec, str(path))
    return path


def save(path: Path, specs: dict[str, Any], compute: Callable[[dict[str, Any]], Any]) -> Path:
    """An ML program for iOS 18 with these inputs and states."""
    names = ", ".join(specs)
    scope: dict[str, Any] = {"compute": compute}
    # The builder takes the names of inputs from a function's parameters.
    exec(f"def network({names}):\n    return compute(dict({', '.join(f'{n}={n}' for n in specs)}))", scope)
    with quietly():
        program = mb.program(input_specs=list(specs.values()), opset_version=ct.target.iOS18)(scope["network"])
        model = ct.convert(
            program,
            source="milinternal",
            convert_to="mlprogram",
            compute_precision=ct.precision.FLOAT32,
            minimum_deployment_target=ct.target.iOS18,
            skip_model_load=True,
        )
        model.save(str(path))
        del model
    return path


@contextmanager
def quietly() -> Iterator[None]:
    """Without coremltools' warnings, among them those of temporary folders that it leaves to the collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
        gc.collect()


def edit(path: Path, change: Callable[[Any], None]) -> Path:
    """Changes a package's specification in place."""
    specification = load_spec(str(path))
    change(specification)
    weights = path / "Data" / "com.apple.CoreML" / "weights"
    kept = path.with_suffix(".weights")
    shutil.copytree(weights, kept)
    shutil.rmtree(path)
    save_spec(specification, str(path), weights_dir=str(kept))
    shutil.rmtree(kept)
    return path


def rename(path: Path, old: str, new: str) -> Path:
    """Gives an input, output or state another name, in the description and in the program."""

    def change(specification: Any) -> None:
        description = specification.description
        for feature in [*description.input, *description.output, *description.state]:
            if feature.name == old:
                feature.name = new
        function = specification.mlProgram.functions["main"]
        block = function.block_specializations[function.opset]
        for value in function.inputs:
            if value.name == old:
                value.name = new
        block.outputs[:] = [new if name == old else name for name in block.outputs]
        for operation in block.operations:
            for value in operation.outputs:
                if value.name == old:
                    value.name = new
            for argument in operation.inputs.values():
                for binding in argument.arguments:
                    if binding.name == old:
                        binding.name = new

    return edit(path, change)


def _limit(specification: Any, layout: Layout) -> None:
    """Says which lengths the open dimensions may have."""
    for feature in specification.description.input:
        array = feature.type.multiArrayType
        rank = {"input_ids": 2, "positions": 1, "mask": 4}[feature.name]
        open_ = {"input_ids": [1], "positions": [0], "mask": [2] if layout.stateful else [2, 3]}[feature.name]
        shape = [1] * rank
        if feature.name == "mask" and layout.stateful:
            shape[3] = CONTEXT
        array.ClearField("ShapeFlexibility")
        array.shape[:] = shape
        for length in layout.listed:
            entry = array.enumeratedShapes.shapes.add()
            entry.shape[:] = [length if axis in open_ else fixed for axis, fixed in enumerate(shape)]
        if not layout.listed:
            for axis, fixed in enumerate(shape):
                size = array.shapeRange.sizeRanges.add()
                size.lowerBound, size.upperBound = (1, layout.highest) if axis in open_ else (fixed, fixed)
