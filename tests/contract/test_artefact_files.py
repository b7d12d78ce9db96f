"""The artefact is the set of files that the model reads: what is listed is enough to run it, and nothing else is.

The independent check is a copy of the listed files alone: bare ONNX Runtime gives the same outputs there, and no file
of it may be missing. The layouts are those of exporters and hubs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from benchharness.contract import Configuration, ListsFiles
from benchharness.device import adapters
from benchharness.device.questions.list_files import files_of
from benchharness.errors import ModelFailure, SeveralModels, UsageError
from benchharness.suite.artefact import DigestCache, Listing, manifest_of
from benchharness.suite.listing import list_files, listing_from
from targets.core_ml import CoreML
from targets.onnx_runtime import OnnxRuntime
from targets.tflite import TFLite
from tests.conftest import ROOT
from tests.contract.sound_adapter import Sound
from tests.contract.tiny_models import Variant, build_language_model

X = np.arange(8, dtype=np.float32).reshape(1, 8) / 8
ONNX = OnnxRuntime()


def weights(name: str, seed: int, location: str | None = None, folder: Path | None = None) -> TensorProto:
    """An 8 × 8 tensor; with a location, in a file of its own under it."""
    values = np.random.default_rng(seed).standard_normal((8, 8)).astype(np.float32)
    tensor = numpy_helper.from_array(values, name)
    if location is not None:
        if folder is not None:
            (folder / location).parent.mkdir(parents=True, exist_ok=True)
            (folder / location).write_bytes(values.tobytes())
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
    return tensor


def save(
    path: Path,
    initializers: Sequence[TensorProto],
    nodes: Sequence[onnx.NodeProto] | None = None,
    functions: Sequence[onnx.FunctionProto] = (),
    x: str = "x",
) -> Path:
    """A chain of products with the initializers, or other nodes; from `x` to `y`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = [x, *(f"t{index}" for index in range(1, len(initializers))), "y"]
    chain = [
        helper.make_node("MatMul", [values[index], each.name], [values[index + 1]])
        for index, each in enumerate(initializers)
    ]
    graph = helper.make_graph(
        nodes or chain,
        "g",
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])],
        initializers,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=list(functions))
    path.write_bytes(model.SerializeToString())
    return path


def small(path: Path, seed: int = 0, x: str = "x") -> Path:
    return save(path, [weights("w", seed)], x=x)


def outputs(model: Path) -> Any:
    """By bare ONNX Runtime."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: X})[0]


def listed(artefact: Path) -> list[str]:
    return list(ONNX.files(artefact).files)


def check_copy_runs(artefact: Path, to: Path) -> None:
    """Copies only what is listed: the model runs there, named as here, with equal outputs. Each file is needed."""
    found = ONNX.files(artefact)
    copy_files(found.root, found.files, to)
    assert np.array_equal(outputs(to / found.model), outputs(found.root / found.model))
    there = ONNX.files(to / artefact.relative_to(found.root))
    assert (there.files, there.model) == (found.files, found.model)
    with ONNX.open(to / artefact.relative_to(found.root), Configuration("onnxruntime")) as session:
        given = {session.inputs[0].name: X}
        assert np.array_equal(next(iter(session.run(given).values())), outputs(to / found.model))


def copy_files(root: Path, files: Sequence[str], to: Path) -> None:
    for name in files:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, to / name)


# External data.


@pytest.mark.parametrize(
    "locations",
    [
        ["model.onnx.data"],
        ["model.onnx_data", "model.onnx_data_1"],
        ["weights/a.bin", "weights/deep/b.bin", "other/c"],
        ["with spaces.data", "größe/層.bin"],
        ["onnx::MatMul_12", "./layer.0.weight"],  # as exporters call a file for each tensor
    ],
)
def test_files_of_weights_are_listed_and_nothing_else(tmp_path: Path, locations: list[str]) -> None:
    folder = tmp_path / "here"
    tensors = [weights(f"w{index}", index, name, folder) for index, name in enumerate(locations)]
    model = save(folder / "model.onnx", tensors)
    for name in ("README.md", "cat.png", "other.onnx.data"):
        (folder / name).write_bytes(b"not the model's")
    small(folder / "model_fp16.onnx")
    wanted = sorted(["model.onnx", *(str(Path(name)) for name in locations)])
    assert listed(model) == listed(folder) == wanted
    assert list(ONNX.files(model).siblings) == ["model_fp16.onnx"]
    check_copy_runs(model, tmp_path / "by file")
    check_copy_runs(folder, tmp_path / "by folder")
    for name in locations:  # and each of them is read
        (folder / name).rename(tmp_path / "away")
        with pytest.raises(Exception, match=r"xternal|exist|No such"):
            outputs(model)
        with pytest.raises(ModelFailure, match=r"missing .*copy the whole folder"):
            ONNX.files(model)
        (tmp_path / "away").rename(folder / name)


def in_a_branch(path: Path, tensor: TensorProto) -> Path:
    def branch(name: str, operator: str) -> onnx.GraphProto:
        out = [helper.make_tensor_value_info(f"y_{name}", TensorProto.FLOAT, [1, 8])]
        return helper.make_graph([helper.make_node(operator, ["x", "w"], [f"y_{name}"])], name, [], out, [tensor])

    nodes = [
        helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True])),
        helper.make_node(
            "If", ["c"], ["y"], then_branch=branch("then", "MatMul"), else_branch=branch("else", "MatMul")
        ),
    ]
    return save(path, [], nodes)


def in_a_constant(path: Path, tensor: TensorProto) -> Path:
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    return save(path, [], [constant, helper.make_node("MatMul", ["x", "w"], ["y"])])


def in_a_function(path: Path, tensor: TensorProto) -> Path:
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    inside = [constant, helper.make_node("MatMul", ["a", "w"], ["b"])]
    function = helper.make_function("own", "Times", ["a"], ["b"], inside, [helper.make_opsetid("", 17)])
    return save(path, [], [helper.make_node("Times", ["x"], ["y"], domain="own")], [function])


def in_a_sparse_tensor(path: Path, tensor: TensorProto) -> Path:
    sparse = onnx.SparseTensorProto(dims=[8, 8])
    sparse.values.CopyFrom(tensor)
    sparse.indices.CopyFrom(helper.make_tensor("i", TensorProto.INT64, [64], range(64)))
    node = helper.make_node("Constant", [], ["w"], sparse_value=sparse)
    return save(path, [], [node, helper.make_node("MatMul", ["x", "w"], ["y"])])


def beside_much(path: Path, tensor: TensorProto) -> Path:
    """An operator too long to be searched: it is walked."""
    large = helper.make_tensor("large", TensorProto.FLOAT, [1 << 16], bytes(4 << 16), raw=True)
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["l"], value=large), helper.make_node("MatMul", ["x", "w"], ["y"])],
        "then",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])],
        [tensor],
    )
    return save(path, [], [helper.make_node("If", ["c"], ["y"], then_branch=graph, else_branch=graph)])


@pytest.mark.parametrize("build", [in_a_branch, in_a_constant, in_a_function, in_a_sparse_tensor, beside_much])
def test_weights_are_found_wherever_a_tensor_may_lie(tmp_path: Path, build: Any) -> None:
    model = build(tmp_path / "model.onnx", weights("w", 1, "data.bin", tmp_path))
    assert listed(model) == ["data.bin", "model.onnx"]
    if build in (in_a_branch, in_a_constant, in_a_function):  # ONNX Runtime takes these
        check_copy_runs(model, tmp_path / "copy")
    for location in ("/etc/passwd", "../../up.bin"):
        with pytest.raises(ModelFailure, match="may only name files in its own folder"):
            ONNX.files(build(tmp_path / "model.onnx", weights("w", 1, location)))


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("/etc/passwd", "an absolute path"),
        ("../secret.bin", r"a path through '\.\.'"),
        ("weights/../../secret.bin", r"a path through '\.\.'"),
        ("weights/../inside.bin", r"a path through '\.\.'"),
        ("..\\secret.bin", "a backslash"),
        ("C:/secret.bin", "an absolute path"),
        ("C:secret.bin", "an absolute path"),
        ("", "no path"),
        (".", "no path"),
        ("a\0b", "no path"),
    ],
)
def test_a_path_that_leads_out_is_refused_before_a_runtime_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str, said: str
) -> None:
    folder = tmp_path / "model"
    model = save(folder / "model.onnx", [weights("w", 0, location)])
    (tmp_path / "secret.bin").write_bytes(bytes(256))
    (folder / "inside.bin").write_bytes(bytes(256))
    (folder / "weights").mkdir()
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: pytest.fail("opened"))
    for artefact in (model, folder):
        with pytest.raises(ModelFailure, match=said):
            ONNX.files(artefact)
        with pytest.raises(ModelFailure, match=said), ONNX.open(artefact, Configuration("onnxruntime")):
            pass


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_no_path_as_written_leads_out_of_the_folder(name: str) -> None:
    from targets.model_files import named_in

    folder = Path("/models/one")
    try:
        path = named_in(folder / "model.onnx", name, folder)
    except ModelFailure:
        return
    assert Path(os.path.normpath(path)).parts[: len(folder.parts)] == folder.parts


def test_an_entry_given_twice_is_checked_twice(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(bytes(256))
    tensor = weights("w", 0, "data.bin")
    tensor.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(ModelFailure, match="an absolute path"):
        ONNX.files(save(tmp_path / "model.onnx", [tensor]))


# Links: the hub's cache, and all others.


def hub_cache(folder: Path, files: Mapping[str, bytes]) -> Path:
    """`models--org--name/snapshots/abc/...`, each a link into `blobs/`, as huggingface_hub keeps them."""
    repository = folder / "models--org--name"
    snapshot = repository / "snapshots" / "abc"
    (repository / "blobs").mkdir(parents=True)
    for index, (name, content) in enumerate(files.items()):
        blob = repository / "blobs" / f"{index:064x}"
        blob.write_bytes(content)
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(os.path.relpath(blob, (snapshot / name).parent))
    return snapshot


@pytest.mark.parametrize("below", ["", "onnx/"])
def test_a_hub_caches_links_are_followed(tmp_path: Path, below: str) -> None:
    plain = tmp_path / "plain"
    save(plain / "model.onnx", [weights("w", 0, "model.onnx_data", plain)])
    files = {f"{below}{name}": (plain / name).read_bytes() for name in ("model.onnx", "model.onnx_data")}
    snapshot = hub_cache(tmp_path, {**files, "config.json": b"{}", "README.md": b"read me"})
    found = ONNX.files(snapshot)
    wanted = [f"{below}model.onnx", f"{below}model.onnx_data", "config.json"]
    assert list(found.files) == sorted(wanted)
    check_copy_runs(snapshot, tmp_path / "copy")
    manifest = manifest_of(snapshot, DigestCache(None), as_listing(snapshot))
    assert manifest.bytes == sum(map(len, files.values())) + 2


def test_a_link_to_anywhere_else_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    folder = tmp_path / "model"
    save(folder / "model.onnx", [weights("w", 0, "model.data", elsewhere)])
    (folder / "model.data").symlink_to(elsewhere / "model.data")
    outputs_before = elsewhere / "model.data"
    assert outputs_before.is_file()
    with pytest.raises(ModelFailure, match=r"links to .* outside the model's folder"):
        ONNX.files(folder)
    # Folders that only look like a cache are none: `blobs` has to be where the snapshot's own repository has it.
    snapshot = hub_cache(tmp_path, {"model.onnx": (folder / "model.onnx").read_bytes()})
    (snapshot / "model.data").symlink_to(elsewhere / "model.data")
    with pytest.raises(ModelFailure, match="links to"):
        ONNX.files(snapshot)
    (snapshot / "model.data").unlink()
    shutil.rmtree(snapshot.parent.parent / "blobs")
    (snapshot / "model.onnx").unlink()
    small(snapshot / "model.onnx")
    (snapshot.parent.parent / "blobs").symlink_to(elsewhere)
    save(snapshot / "model.onnx", [weights("w", 0, "model.data")])
    (snapshot / "model.data").symlink_to("../../blobs/model.data")
    with pytest.raises(ModelFailure, match="links to"):
        ONNX.files(snapshot)


def test_a_link_inside_the_folder_and_a_linked_folder_are_followed(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save(folder / "model.onnx", [weights("w", 0, "real.data", folder)])
    (folder / "real.data").rename(folder / "moved.data")
    (folder / "real.data").symlink_to("moved.data")
    assert listed(folder) == ["model.onnx", "real.data"]
    (tmp_path / "link").symlink_to(folder)
    assert listed(tmp_path / "link") == ["model.onnx", "real.data"]


# Folders.


def hub_layout(folder: Path, names: Sequence[str] = ("model", "model_fp16", "model_q4")) -> Path:
    for index, name in enumerate(names):
        small(folder / "onnx" / f"{name}.onnx", index, "input_ids")
    (folder / "config.json").write_text('{"architectures": ["BertModel"]}')
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        (folder / name).write_text("{}")
    for name in ("README.md", "model.safetensors", "tf_model.h5", "cat.png"):
        (folder / name).write_bytes(b"not read")
    return folder


LANGUAGE = ["config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"]


def test_a_hubs_folder_runs_its_default_and_is_as_large_as_what_runs(tmp_path: Path) -> None:
    folder = hub_layout(tmp_path / "hub")
    found = ONNX.files(folder)
    assert found.model == "onnx/model.onnx"
    assert list(found.files) == sorted(["onnx/model.onnx", *LANGUAGE])
    assert list(found.siblings) == ["onnx/model_fp16.onnx", "onnx/model_q4.onnx"]
    assert ONNX.files(folder / "onnx") == ONNX.files(folder / "onnx" / "model.onnx") == found
    variant = ONNX.files(folder / "onnx" / "model_q4.onnx")
    assert list(variant.files) == sorted(["onnx/model_q4.onnx", *LANGUAGE])
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    for artefact in (folder, folder / "onnx", folder / "onnx" / "model.onnx"):
        manifest = manifest_of(artefact, DigestCache(None), as_listing(artefact))
        assert manifest.bytes == sum(sizes[folder / name] for name in found.files)


@pytest.mark.parametrize("below", ["", "onnx/"])
def test_of_several_models_without_a_default_one_has_to_be_named(tmp_path: Path, below: str) -> None:
    for name in ("small_q4.onnx", "small_fp16.onnx"):
        small(tmp_path / f"{below}{name}")
    with pytest.raises(SeveralModels, match=rf"several models \({below}small_fp16\.onnx, {below}small_q4\.onnx\)"):
        ONNX.files(tmp_path)
    with pytest.raises(UsageError, match="name one of them"):
        list_files({tmp_path: ["onnxruntime"]})
    assert listed(tmp_path / f"{below}small_q4.onnx") == [f"{below}small_q4.onnx"]


def test_a_lone_vision_model_is_itself_and_its_configuration(tmp_path: Path) -> None:
    small(tmp_path / "model.onnx", x="pixel_values")
    for name in ("config.json", "preprocessor_config.json", "tokenizer.json", "README.md", "cat.png"):
        (tmp_path / name).write_text("{}")
    assert listed(tmp_path) == ["config.json", "model.onnx"]
    (tmp_path / "config.json").unlink()
    (tmp_path / "preprocessor_config.json").unlink()
    assert listed(tmp_path) == ["model.onnx"]


def test_a_language_models_files_are_counted(tmp_path: Path) -> None:
    folder = build_language_model(tmp_path, Variant()).folder
    model = ONNX.files(folder).model
    (folder / "tokenizer.json").write_text("{}")
    (folder / "generation_config.json").write_text("{}")
    (folder / "merges.txt").write_text("the tokenizer.json holds it")
    found = listed(folder)
    assert set(found) >= {model, "tokenizer.json", "generation_config.json"}
    assert "merges.txt" not in found
    (folder / "tokenizer.json").unlink()
    assert "merges.txt" in listed(folder)


def test_a_genai_folder_names_its_model_and_its_parts(tmp_path: Path) -> None:
    folder = tmp_path / "genai"
    save(folder / "text" / "decoder.onnx", [weights("w", 0, "decoder.onnx.data", folder / "text")], x="input_ids")
    small(folder / "vision.onnx", x="pixel_values")
    small(folder / "model.onnx")
    told = {"model": {"decoder": {"filename": "text/decoder.onnx"}, "vision": {"filename": "vision.onnx"}}}
    (folder / "genai_config.json").write_text(json.dumps(told))
    (folder / "tokenizer.json").write_text("{}")
    found = ONNX.files(folder)
    files = ["genai_config.json", "text/decoder.onnx", "text/decoder.onnx.data", "tokenizer.json"]
    assert list(found.files) == files
    assert (found.part, list(found.pipeline)) == ("decoder", ["vision.onnx"])
    assert ONNX.files(folder / "text" / "decoder.onnx") == found
    for name in ("../up.onnx", "/etc/passwd", "..\\up.onnx"):
        told["model"]["decoder"]["filename"] = name
        (folder / "genai_config.json").write_text(json.dumps(told))
        with pytest.raises(ModelFailure, match=r"genai_config\.json: names the file"):
            ONNX.files(folder)


@pytest.mark.parametrize(
    ("names", "main", "part", "pipeline", "siblings"),
    [
        (
            ["encoder_model.onnx", "decoder_model.onnx", "decoder_with_past_model.onnx"],
            "encoder_model.onnx",
            "encoder",
            ["decoder_model.onnx", "decoder_with_past_model.onnx"],
            [],
        ),
        (
            ["encoder_model_fp16.onnx", "encoder_model.onnx", "decoder_model_merged_q4.onnx"],
            "encoder_model.onnx",
            "encoder",
            ["decoder_model_merged_q4.onnx"],
            ["encoder_model_fp16.onnx"],
        ),
        (
            ["encoder_model.onnx", "decoder_model.onnx", "decoder_with_past_model.onnx", "decoder_model_merged.onnx"],
            "decoder_model_merged.onnx",
            "decoder",
            ["encoder_model.onnx"],
            ["decoder_model.onnx", "decoder_with_past_model.onnx"],
        ),
        (["text_model.onnx", "vision_model.onnx"], "vision_model.onnx", "vision", ["text_model.onnx"], []),
        (
            ["embed_tokens.onnx", "vision_encoder.onnx", "decoder_model_merged.onnx"],
            "embed_tokens.onnx",
            "embed tokens",
            ["decoder_model_merged.onnx", "vision_encoder.onnx"],
            [],
        ),
        (["model.onnx", "model_q4.onnx"], "model.onnx", "", [], ["model_q4.onnx"]),
        (
            ["decoder_model.onnx", "decoder_model_merged.onnx"],
            "decoder_model.onnx",
            "",
            [],
            ["decoder_model_merged.onnx"],
        ),
    ],
)
def test_a_part_of_a_pipeline_is_named_and_the_others_are_told(
    tmp_path: Path, names: list[str], main: str, part: str, pipeline: list[str], siblings: list[str]
) -> None:
    for name in names:
        small(tmp_path / name)
    found = ONNX.files(tmp_path / main)
    assert (list(found.files), found.part) == ([main], part)
    assert (list(found.pipeline), list(found.siblings)) == (pipeline, siblings)


def test_the_parts_of_a_diffusers_pipeline_are_its_folders(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    for name in ("unet", "vae_decoder", "text_encoder"):
        small(tmp_path / name / "model.onnx")
    found = ONNX.files(tmp_path / "vae_decoder")
    assert (list(found.files), found.part) == (["model.onnx"], "vae decoder")
    assert list(found.pipeline) == ["../text_encoder/model.onnx", "../unet/model.onnx"]


# Other formats, and adapters that cannot tell.


def test_a_tflite_folder_is_its_model(tmp_path: Path) -> None:
    for name in ("chat.tflite", "README.md"):
        (tmp_path / name).write_bytes(b"content")
    assert list(TFLite().files(tmp_path).files) == ["chat.tflite"]
    (tmp_path / "tokenizer.json").write_text("{}")
    assert list(TFLite().files(tmp_path / "chat.tflite").files) == ["chat.tflite", "tokenizer.json"]
    (tmp_path / "chat_int8.tflite").write_bytes(b"content")
    with pytest.raises(SeveralModels, match=r"chat\.tflite, chat_int8\.tflite"):
        TFLite().files(tmp_path)
    found = TFLite().files(tmp_path / "chat.tflite")
    assert list(found.siblings) == ["chat_int8.tflite"]


@pytest.mark.parametrize("name", ["m.mlpackage", "m.mlmodelc"])
def test_a_package_is_its_whole_folder_and_has_the_same_digest_wherever_it_is(tmp_path: Path, name: str) -> None:
    package = tmp_path / "one" / name
    for inside in ("Manifest.json", "Data/com.apple.CoreML/model.mlmodel", "Data/weights/w.bin", "coremldata.bin"):
        (package / inside).parent.mkdir(parents=True, exist_ok=True)
        (package / inside).write_text(inside)
    (package.parent / "README.md").write_text("not read")
    found = CoreML().files(package)
    assert CoreML().files(package.parent) == found
    assert len(found.files) == 4
    assert all(each.startswith(f"{name}/") for each in found.files)
    manifest = manifest_of(package, DigestCache(None), as_listing(package, "coreml"))
    assert manifest.digest == manifest_of(package, DigestCache(None)).digest
    (package / "Data" / "weights" / "w.bin").unlink()
    (tmp_path / "secret").write_text("secret")
    (package / "Data" / "weights" / "w.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelFailure, match="links to"):
        CoreML().files(package)


def test_an_adapter_without_the_ability_takes_all_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not isinstance(Sound(), ListsFiles)
    for name in ("model.sound", "README.md", "below/data"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(adapters, "load", lambda _: Sound())
    assert files_of(tmp_path, ["sound"]) is None
    found = listing_from(tmp_path, None)
    assert sorted(found.files) == ["README.md", "below/data", "model.sound"]
    assert listing_from(tmp_path / "model.sound", None).files == ("model.sound",)


@pytest.mark.parametrize("name", ["onnxruntime", "tflite", "coreml"])
def test_every_built_in_adapter_lists_files(name: str) -> None:
    assert isinstance(adapters.load(name), ListsFiles)


@pytest.mark.parametrize(
    "told",
    [
        {"root": "/", "files": ["etc/passwd", "../x"]},
        {"root": "/", "files": ["/etc/passwd"]},
        {"root": "/elsewhere", "files": ["model.onnx"]},
        {"root": "/", "files": []},
    ],
)
def test_an_adapters_answer_is_not_believed(tmp_path: Path, told: dict[str, Any]) -> None:
    rest = {"model": "model.onnx", "part": "", "pipeline": [], "siblings": []}
    with pytest.raises(UsageError, match="no such artefact"):
        listing_from(tmp_path, {"files": {**rest, **told}})


# The host: one process for all.


def as_listing(artefact: Path, adapter: str = "onnxruntime") -> Listing:
    return listing_from(artefact, files_of(artefact, [adapter]))


def test_all_artefacts_are_listed_in_one_process(tmp_path: Path) -> None:
    hub, lone = hub_layout(tmp_path / "hub"), small(tmp_path / "lone" / "a b ü.onnx")
    gone = save(tmp_path / "gone.onnx", [weights("w", 0, "gone.data")])
    found = list_files({path: ["onnxruntime"] for path in (hub, lone, gone)})
    assert found[hub] == as_listing(hub)
    assert (found[lone].files, found[lone].unknown) == (("a b ü.onnx",), "")
    assert "missing (gone.data)" in found[gone].unknown


def test_listing_loads_no_runtime() -> None:
    """Importing coremltools takes seconds, and no command that names such a model should."""
    digits = ROOT / "examples" / "digits" / "artefacts"
    models = {"fp32.onnx": "onnxruntime", "fp32.tflite": "tflite", "fp16.mlpackage": "coreml"}
    asked = [(str(digits / model), [adapter]) for model, adapter in models.items()]
    command = [sys.executable, "-X", "importtime", "-m", "benchharness.device.questions.list_files"]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "targets.core_ml.files" in loaded
    inside = {name.partition(".")[0] for name in loaded if "." in name}
    assert not inside & {"onnxruntime", "coremltools", "ai_edge_litert"}
    answers = json.loads(done.stdout)["answers"]
    assert answers == json.loads(json.dumps([files_of(Path(path), names) for path, names in asked]))


def test_a_digest_depends_on_all_listed_files_and_on_no_other(tmp_path: Path) -> None:
    save(tmp_path / "model.onnx", [weights("w", 0, "sub/w.bin", tmp_path)])

    def digest(artefact: Path) -> str:
        return manifest_of(artefact, DigestCache(None), as_listing(artefact)).digest

    before = digest(tmp_path)
    assert digest(tmp_path / "model.onnx") == before
    (tmp_path / "README.md").write_text("new")
    small(tmp_path / "model_q4.onnx")
    assert digest(tmp_path) == before
    (tmp_path / "sub" / "w.bin").write_bytes(bytes(256))
    assert digest(tmp_path) != before
    lone, copy = small(tmp_path / "a" / "a.onnx"), small(tmp_path / "b" / "b.onnx")
    assert digest(lone) == digest(copy) == digest(copy.parent)  # one file: its name says nothing
