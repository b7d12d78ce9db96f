"""What the inspection of an .onnx file says, against the `onnx` package as an independent reader; and of bad files."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from benchharness.contract import Inspects, ModelDescription, TensorSpec
from benchharness.errors import ModelFailure
from targets.onnx_format.contents import read_contents
from targets.onnx_format.inspection import inspect_model
from targets.onnx_runtime import OnnxRuntime
from targets.wire.protobuf import Wire
from tests.contract.tiny_models import Variant, build_image_model, build_language_model

EXAMPLES = Path(__file__).parents[2] / "examples"
BUNDLED = sorted(EXAMPLES.glob("*/artefacts/**/*.onnx"))
VARIANTS = {
    "concat": Variant(),
    "branch": Variant(cache_branch=True),
    "shared": Variant(cache="shared", dtype="float16"),
    "no-cache": Variant(cache="none", config=""),
}


def graphs_of(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for nested in (attribute.g, *attribute.graphs):
                if nested.ByteSize():
                    yield from graphs_of(nested)


def stored_in(model: Any) -> list[Any]:
    """Initializers and the tensors of Constant operators, as the `onnx` package sees them."""
    found = []
    for graph in graphs_of(model.graph):
        found += graph.initializer
        found += [
            attribute.t
            for node in graph.node
            if node.op_type == "Constant"
            for attribute in node.attribute
            if attribute.HasField("t")
        ]
    return found


def compare(path: Path) -> ModelDescription:
    """The description of a file, after every count in it was found to be the `onnx` package's."""
    found = inspect_model(path)
    model = onnx.load(path, load_external_data=False)
    operators: dict[str, Counter[str]] = {}
    for graph in graphs_of(model.graph):
        for node in graph.node:
            operators.setdefault(node.domain or "ai.onnx", Counter())[node.op_type] += 1
    assert found.operators == operators

    stored = stored_in(model)
    assert sum(each.tensors for each in found.parameters) == len(stored)
    assert found.facts["initializers"] == sum(len(graph.initializer) for graph in graphs_of(model.graph))
    internal = [tensor for tensor in stored if tensor.data_location != TensorProto.EXTERNAL]
    external = {entry.value for tensor in stored for entry in tensor.external_data if entry.key == "location"}
    assert set(found.external_files) == external
    if not external:
        assert sum(each.bytes for each in found.parameters) == sum(
            numpy_helper.to_array(tensor).nbytes for tensor in internal
        )

    own = {tensor.name for tensor in model.graph.initializer}
    for specs, values in ((found.inputs, model.graph.input), (found.outputs, model.graph.output)):
        assert [spec.name for spec in specs] == [value.name for value in values if value.name not in own]
    assert found.facts["opsets"] == {each.domain or "ai.onnx": each.version for each in model.opset_import}
    assert found.facts["ir_version"] == model.ir_version
    return found


@pytest.mark.parametrize("name", VARIANTS)
def test_a_language_model_is_what_the_onnx_package_says(tmp_path: Path, name: str) -> None:
    model = build_language_model(tmp_path, VARIANTS[name])
    found = compare(model.file)
    assert found.task == "causal-lm"
    weights = [each for each in found.parameters if each.dtype == VARIANTS[name].dtype]
    assert sum(each.numbers for each in weights) >= sum(array.size for array in model.weights.values())


@pytest.mark.parametrize("path", BUNDLED, ids=[path.relative_to(EXAMPLES).as_posix() for path in BUNDLED])
def test_a_bundled_model_is_what_the_onnx_package_says(path: Path) -> None:
    compare(path)


def test_the_signature_has_onnx_runtimes_words(tmp_path: Path) -> None:
    found = inspect_model(build_image_model(tmp_path / "image.onnx"))
    assert found.inputs == [TensorSpec("image", "float32", ("batch", 3, 8, 8))]
    assert found.outputs == [TensorSpec("scores", "float32", ("batch", 5))]
    assert (found.task, found.format, found.facts["producer"]) == ("tensor", "onnx", "tiny")


@pytest.mark.parametrize("path", BUNDLED, ids=[path.relative_to(EXAMPLES).as_posix() for path in BUNDLED])
def test_the_signature_is_the_one_that_onnx_runtime_gives(path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    from targets.onnx_runtime.session import make_specs

    session = onnxruntime.InferenceSession(path)
    found = inspect_model(path)
    assert (found.inputs, found.outputs) == (make_specs(session.get_inputs()), make_specs(session.get_outputs()))


def save(path: Path, nodes: list[Any], constants: dict[str, Any]) -> Path:
    tensors = [
        value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value), name)
        for name, value in constants.items()
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    onnx.save(helper.make_model(graph), path)
    return path


def test_blocks_of_four_bits_are_told_from_the_bytes_that_hold_them(tmp_path: Path) -> None:
    attributes = {"domain": "com.microsoft", "K": 40, "N": 3, "bits": 4, "block_size": 32}
    node = helper.make_node("MatMulNBits", ["x", "w", "s", "z"], ["y"], **attributes)
    constants = {
        "w": np.zeros((3, 2, 16), np.uint8),
        "s": np.ones(6, np.float32),
        "z": np.zeros(3, np.uint8),
    }
    found = inspect_model(save(tmp_path / "m.onnx", [node], constants))
    assert [(each.dtype, each.role, each.numbers, each.bytes) for each in found.parameters] == [
        ("uint4", "weights", 120, 96),  # 3 × 40 numbers, and padding to whole blocks
        ("float32", "scales", 6, 24),
        ("uint8", "scales", 3, 3),
    ]
    (scheme,) = found.quantization
    assert (scheme.method, scheme.dtype, scheme.granularity) == ("block-wise weights", "uint4", "blocks of 32")
    assert (scheme.operators, scheme.symmetric) == ({"MatMulNBits": 1}, False)


@pytest.mark.parametrize(
    ("scale", "zero", "granularity", "symmetric"),
    [
        (np.float32(1), np.int8(0), "per-tensor", True),
        (np.ones(4, np.float32), np.zeros(4, np.int8), "per-channel", True),
        (np.float32(1), np.int8(3), "per-tensor", False),
        (np.float32(1), None, "per-tensor", True),
    ],
)
def test_static_weights_and_activations(
    tmp_path: Path, scale: Any, zero: Any, granularity: str, symmetric: bool
) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "xs", "xz"], ["f"]),
        helper.make_node("DequantizeLinear", ["w", "s"] + (["z"] if zero is not None else []), ["g"]),
        helper.make_node("MatMul", ["f", "g"], ["y"]),
    ]
    constants = {"xs": np.float32(1), "xz": np.uint8(7), "w": np.ones((4, 4), np.int8), "s": scale}
    if zero is not None:
        constants["z"] = zero
    found = inspect_model(save(tmp_path / "m.onnx", nodes, constants)).quantization
    assert {(each.method, each.dtype, each.granularity, each.symmetric) for each in found} == {
        ("static activations", "uint8", "per-tensor", False),
        ("static weights", "int8", granularity, symmetric),
    }


def test_a_gathered_embedding_is_a_quantized_weight(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["row"]),
        helper.make_node("DequantizeLinear", ["row", "s", "z"], ["y"]),
    ]
    constants = {"table": np.ones((9, 4), np.uint8), "s": np.float32(1), "z": np.uint8(1)}
    (scheme,) = inspect_model(save(tmp_path / "m.onnx", nodes, constants)).quantization
    assert (scheme.method, scheme.dtype, scheme.symmetric) == ("static weights", "uint8", False)


def test_a_float_model_has_no_quantization_and_a_half_one_says_so(tmp_path: Path) -> None:
    assert inspect_model(build_image_model(tmp_path / "a.onnx")).quantization == []
    (scheme,) = inspect_model(build_image_model(tmp_path / "b.onnx", dtype=np.float16)).quantization
    assert (scheme.method, scheme.dtype) == ("half precision", "float16")


@pytest.mark.parametrize(
    ("location", "size"), [("m.data", 16), ("gone.data", None), ("../m.data", None), ("/etc/passwd", None)]
)
def test_files_beside_the_model_are_named_and_none_elsewhere_is_looked_at(
    tmp_path: Path, location: str, size: int | None
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for place in (folder, tmp_path):
        (place / "m.data").write_bytes(bytes(16))
    weights = TensorProto(name="w", dims=[4], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=location)
    path = save(folder / "m.onnx", [helper.make_node("Add", ["x", "w"], ["y"])], {"w": weights})
    found = inspect_model(path)
    assert found.external_files == {location: size}
    assert [each.bytes for each in found.parameters] == [16]


def test_initializers_that_old_files_list_as_inputs_are_none(tmp_path: Path) -> None:
    path = build_image_model(tmp_path / "m.onnx")
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("kernel", TensorProto.FLOAT, [4, 3, 3, 3]))
    onnx.save(model, path)
    assert [spec.name for spec in inspect_model(path).inputs] == ["image"]


def test_weights_of_functions_branches_and_sparse_constants_are_counted_once(tmp_path: Path) -> None:
    """Each is stored once, however often it is called; a sparse tensor stores its values and where they are."""
    weights = numpy_helper.from_array(np.ones((16, 16), np.float32), "w")
    layer = helper.make_function(
        "own",
        "Layer",
        ["a"],
        ["b"],
        [helper.make_node("Constant", [], ["w"], value=weights), helper.make_node("MatMul", ["a", "w"], ["b"])],
        [helper.make_opsetid("", 17)],
    )
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("values", TensorProto.FLOAT, [3], [1, 2, 3]),
        helper.make_tensor("indices", TensorProto.INT64, [3], [0, 17, 34]),
        [16, 16],
    )
    output = helper.make_tensor_value_info("t", TensorProto.FLOAT, [1, 16])
    then = helper.make_graph(
        [helper.make_node("Constant", [], ["v"], value=weights), helper.make_node("MatMul", ["x", "v"], ["t"])],
        "then",
        [],
        [output],
    )
    other = helper.make_graph(
        [helper.make_node("Constant", [], ["s"], sparse_value=sparse), helper.make_node("MatMul", ["x", "s"], ["t"])],
        "else",
        [],
        [output],
    )
    nodes = [
        helper.make_node("If", ["c"], ["h"], then_branch=then, else_branch=other),
        helper.make_node("Layer", ["h"], ["i"], domain="own"),
        helper.make_node("Layer", ["i"], ["y"], domain="own"),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16]),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16])]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs), functions=[layer], opset_imports=opsets, ir_version=8
    )
    onnx.save(model, tmp_path / "model.onnx")
    found = inspect_model(tmp_path / "model.onnx")
    counted = {each.dtype: (each.tensors, each.numbers, each.bytes) for each in found.parameters}
    assert counted == {"float32": (3, 2 * 256 + 3, 4 * (2 * 256 + 3)), "int64": (1, 3, 24)}
    assert found.facts["functions"] == 1
    assert found.operators == {"ai.onnx": {"Constant": 3, "MatMul": 3, "If": 1}, "own": {"Layer": 2}}


def test_weights_are_stepped_over(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m.onnx", [helper.make_node("Add", ["x", "w"], ["y"])], {"w": np.zeros(25_000_000, np.float32)}
    )
    started = time.process_time()
    found = inspect_model(path)
    assert time.process_time() - started < 0.5
    assert found.parameters[0].bytes == 100_000_000


def test_the_adapter_has_the_ability() -> None:
    assert isinstance(OnnxRuntime(), Inspects)


def test_a_file_that_is_missing_empty_or_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    with pytest.raises(ModelFailure, match=r"bad\.onnx.*no such file"):
        inspect_model(path)
    for content, said in ((b"", "empty"), (b"\x08\x07", "holds no graph"), (b"This is no model.", "no ONNX model")):
        path.write_bytes(content)
        with pytest.raises(ModelFailure, match=rf"bad\.onnx.*{said}"):
            inspect_model(path)


def nested(depth: int) -> bytes:
    """Graphs inside each other, deeper than any reader should follow."""

    def field(number: int, content: bytes) -> bytes:
        length, size = [], len(content)
        while size > 127:
            length.append(size & 127 | 128)
            size >>= 7
        return bytes([number << 3 | 2, *length, size]) + content

    graph = b""
    for _ in range(depth):
        graph = field(1, field(4, b"If") + field(5, field(6, graph)))
    return field(7, graph)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (nested(40), "graphs inside each other"),
        (nested(3000), "graphs inside each other"),
        (b"\x3a\x0c\x2a\x0a\x08" + b"\xff" * 8 + b"\x7f", "dimension|hold"),
        (bytes([0x3A, 0x80 + 66, 1, 0x2A, 0x80 + 63, 1] + [8, 1] * 65)[:200], "byte|dimensions"),
    ],
)
def test_what_no_honest_file_says_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFailure, match=said):
        inspect_model(path)


def test_a_file_of_nothing_but_fields_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("targets.wire.protobuf.MOST_FIELDS", 1000)
    with pytest.raises(ValueError, match="more than 1000 fields"):
        read_contents(Wire(b"\x3a\xa0\x1f" + b"\x10\x01" * 2000))
    monkeypatch.setattr("targets.wire.protobuf.MOST_TEXT", 1000)
    with pytest.raises(ValueError, match="more than 1000 bytes of names"):
        read_contents(Wire(b"\x12\x7f" + b"a" * 127 + (b"\x1a\x7f" + b"a" * 127) * 8))


def survives(folder: Path, content: bytes) -> None:
    """Describes the content or refuses it in a sentence; anything else is an error of this test."""
    path = folder / "model.onnx"
    path.write_bytes(content)
    with contextlib.suppress(ModelFailure):
        found = inspect_model(path)
        assert all(each.bytes >= 0 and each.numbers >= 0 for each in found.parameters)


@cache
def real_models(folder: Path) -> tuple[bytes, ...]:
    built = [build_language_model(folder / name, variant).file for name, variant in VARIANTS.items()]
    small = [path for path in BUNDLED if path.stat().st_size < 200_000]
    return tuple(path.read_bytes() for path in (*built, build_image_model(folder / "image.onnx"), *small))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutated")


@settings(max_examples=300, deadline=2000)
@given(content=st.binary(max_size=300))
def test_any_bytes_are_described_or_refused(scratch: Path, content: bytes) -> None:
    survives(scratch, content)


@settings(max_examples=300, deadline=2000)
@given(data=st.data())
def test_a_damaged_model_is_described_or_refused(scratch: Path, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(real_models(scratch / "real"))))
    # Most of a file is weights, where a change tells nothing: half the changes go to its first and last kilobytes.
    anywhere = st.integers(0, len(content) - 1)
    edge = st.one_of(st.integers(0, 2000), st.integers(len(content) - 2000, len(content) - 1))
    for drawn in data.draw(st.lists(st.one_of(edge, anywhere), min_size=1, max_size=8)):
        kind = data.draw(st.sampled_from(["set", "insert", "delete"]))
        place = min(max(drawn, 0), len(content) - 1)
        if kind == "set":
            content[place] = data.draw(st.integers(0, 255))
        elif kind == "insert":
            content[place:place] = data.draw(st.binary(max_size=12))
        else:
            del content[place : place + data.draw(st.integers(1, 40))]
    kept = data.draw(st.sampled_from([1.0, 1.0, 0.9, 0.3]))
    survives(scratch, bytes(content[: int(len(content) * kept)]))
