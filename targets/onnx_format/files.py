"""Finds the model in an artefact, and what the files beside it say of a language model.

Reads the layouts that exporters write: a lone `.onnx` or `.ort` file, a Hugging Face Optimum folder (`config.json`), an
onnxruntime-genai folder (`genai_config.json`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchharness.contract import ArtefactFiles
from benchharness.errors import ModelFailure
from targets.model_files import TOKENIZER, check_is_there, checked, language_files, listing, named_in, several
from targets.onnx_format.external_data import external_files, input_names
from targets.wire.protobuf import mapped

GENAI_CONFIG, HF_CONFIG = "genai_config.json", "config.json"
_CONFIGS = (GENAI_CONFIG, HF_CONFIG)
#: Says how pictures or sound are prepared: the model beside it is no language model.
_PREPROCESSOR = "preprocessor_config.json"
#: Names the parts of a Diffusers pipeline.
_DIFFUSERS = "model_index.json"
#: What genai's configuration calls the part that answers with logits, and what exporters call token ids.
_DECODER, _TOKEN_INPUTS = "decoder", ("input_ids", "decoder_input_ids", "input_tokens", "tokens", "ids")

#: What a folder's model is called, first found first taken: Optimum's names.
_MODEL_NAMES = ("model.onnx", "decoder_model_merged.onnx", "decoder_model.onnx")
#: The sub-folder in which hubs keep the models of a repository, with configuration and tokenizer above it.
HUB_FOLDER = "onnx"
#: What ONNX Runtime opens: ONNX, and its own format, which phones load.
ORT = ".ort"
ENDINGS = (".onnx", ORT)

#: Hugging Face's names for the longest sequence a model takes, by model family.
_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")


@dataclass(frozen=True)
class Description:
    """What a model's configuration file says. None: it does not say."""

    source: str = ""  # the configuration file's name; empty where there is none
    causal: bool | None = None
    vocabulary_size: int | None = None
    context_length: int | None = None
    kv_heads: int | None = None
    head_size: int | None = None


def find_model(artefact: Path) -> Path:
    """The model's file of an artefact. Raises `ModelFailure` where there is none, or more than one to choose from."""
    model = _find_in_folder(artefact) if artefact.is_dir() else artefact
    check_is_there(model)
    return model


def _find_in_folder(folder: Path) -> Path:
    """genai's configuration names the model; else a known name in the folder, then in `onnx/`; else the only one."""
    named = _genai_models(folder).get(_DECODER)
    if named is not None:
        return named
    places = (folder, folder / HUB_FOLDER)
    for place in places:
        for name in _MODEL_NAMES:
            if (place / name).is_file():
                return place / name
    found = [path for place in places for path in models_in(place)]
    here = [path for path in found if path.parent == folder]
    if len(here or found) == 1:
        return (here or found)[0]
    if not found:
        raise ModelFailure(f"{folder}: no {' or '.join(ENDINGS)} file in this folder; expected {_MODEL_NAMES[0]}")
    raise several(folder, here or found)


def list_files(artefact: Path) -> ArtefactFiles:
    """The model, the files that hold its tensors, its configuration, and a language model's tokenizer.

    A tokenizer belongs to a model that takes token ids, and to one whose folder has a configuration and says nothing
    of pictures or sound. Raises `ModelFailure`.
    """
    model = find_model(artefact)
    beside = _folders(model)
    root = beside[-1]
    files = [model, *_outside(model, root)]
    described = next((folder for folder in beside if any((folder / name).is_file() for name in _CONFIGS)), None)
    folder = described or next((each for each in beside if (each / TOKENIZER).is_file()), None)
    if folder is not None:
        # Read by `describe`, whatever the task.
        files += [checked(folder / name, root) for name in _CONFIGS if (folder / name).is_file()][:1]
        if _takes_tokens(model) or (described is not None and not (folder / _PREPROCESSOR).is_file()):
            files += language_files(folder, root)
    genai = {section: path for each in beside for section, path in _genai_models(each).items()}
    if model in genai.values() and len(genai) > 1:
        part = next(section for section, path in genai.items() if path == model)
        others = sorted(path.relative_to(root).as_posix() for path in genai.values() if path != model)
        found = listing(root, model, files, [])
        return replace(found, part=part, pipeline=others)
    pipeline = model.parent.parent
    if (pipeline / _DIFFUSERS).is_file():  # each part in a folder of its own, called after it
        others = sorted(f"../{path.relative_to(pipeline).as_posix()}" for path in pipeline.glob(f"*/*{model.suffix}"))
        return replace(
            listing(root, model, files, models_in(model.parent)),
            part=model.parent.name.replace("_", " "),
            pipeline=[name for name in others if not name.startswith(f"../{model.parent.name}/")],
        )
    return listing(
        root, model, files, [path for each in {root, root / HUB_FOLDER, model.parent} for path in models_in(each)]
    )


def check_files(model: Path) -> list[Path]:
    """The files outside a model that hold its tensors. Raises `ModelFailure` for one that is missing or not its own."""
    return _outside(model, _folders(model)[-1])


def is_ort(model: Path) -> bool:
    """Whether a model is in ONNX Runtime's own format, which keeps everything in one file."""
    return model.suffix == ORT


def _outside(model: Path, root: Path) -> list[Path]:
    """The files outside a model that hold its tensors."""
    return [] if is_ort(model) else external_files(model, root)


def models_in(folder: Path) -> list[Path]:
    """The models in a folder, by name."""
    return sorted(path for ending in ENDINGS for path in folder.glob(f"*{ending}") if path.is_file())


def _folders(model: Path) -> list[Path]:
    """Where what is said of a model may lie: beside it, or one folder up from `onnx/` or from where genai keeps it."""
    above = model.parent.parent
    up = model.parent.name == HUB_FOLDER or model in _genai_models(above).values()
    return [model.parent, above] if up else [model.parent]


def genai_folder(model: Path) -> Path | None:
    """The folder whose genai configuration names a model; None where there is none. Raises `ModelFailure`."""
    above = (model.parent, model.parent.parent)
    return next((folder for folder in above if model in _genai_models(folder).values()), None)


def genai_sections(folder: Path) -> Mapping[str, Any]:
    """What a folder's genai configuration says of its model. Raises `ModelFailure`."""
    return _section(_read_json(folder / GENAI_CONFIG), "model")


def _genai_models(folder: Path) -> dict[str, Path]:
    """The models that a folder's genai configuration names, by the part that each is. Raises `ModelFailure`."""
    found = {}
    for section, told in genai_sections(folder).items():
        name = told.get("filename") if isinstance(told, dict) else None
        if isinstance(name, str) and name:
            found[section] = named_in(folder / GENAI_CONFIG, name, folder)
    return found


def _takes_tokens(model: Path) -> bool:
    """Whether one of the model's inputs is called as exporters call token ids."""
    if is_ort(model):
        return False
    try:
        with mapped(model) as wire:
            return any(name in _TOKEN_INPUTS for name in input_names(wire))
    except (OSError, ValueError):
        return False


def describe(model: Path) -> Description:
    """What the configuration file beside `model`, or one folder up, says. Raises `ModelFailure`."""
    for folder in _folders(model):
        genai = genai_sections(folder)
        if genai:
            return _describe_genai(genai)
        hugging_face = _read_json(folder / HF_CONFIG)
        if hugging_face:
            return _describe_hugging_face(hugging_face)
    return Description()


def _describe_genai(model: Mapping[str, Any]) -> Description:
    decoder = _section(model, "decoder")
    return Description(
        source=GENAI_CONFIG,
        causal=bool(decoder) or None,
        vocabulary_size=_length(model, "vocab_size"),
        context_length=_length(model, "context_length"),
        kv_heads=_length(decoder, "num_key_value_heads") or _length(decoder, "num_attention_heads"),
        head_size=_length(decoder, "head_size"),
    )


def _describe_hugging_face(config: Mapping[str, Any]) -> Description:
    text = _section(config, "text_config") or config  # a multimodal model describes its language half apart
    architectures = config.get("architectures") or ()
    heads = _length(text, "num_attention_heads") or _length(text, "n_head")
    hidden = _length(text, "hidden_size") or _length(text, "n_embd")
    return Description(
        source=HF_CONFIG,
        causal=any(str(name).endswith(("ForCausalLM", "LMHeadModel")) for name in architectures)
        if architectures
        else None,
        vocabulary_size=_length(text, "vocab_size"),
        context_length=next(filter(None, (_length(text, key) for key in _CONTEXT_KEYS)), None),
        kv_heads=_length(text, "num_key_value_heads") or heads,
        head_size=_length(text, "head_dim") or (hidden // heads if hidden and heads else None),
    )


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_bytes(), object_pairs_hook=_once)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelFailure(f"{path}: cannot be read as JSON: {error}") from error
    return content if isinstance(content, dict) else {}


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises `ValueError` where it says a thing twice: we would take one, genai joins the two."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key[:80]!r} stands twice in one object")
        found[key] = value
    return found


def _section(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    section = parent.get(key)
    return section if isinstance(section, dict) else {}


def _length(section: Mapping[str, Any], key: str) -> int | None:
    value = section.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
