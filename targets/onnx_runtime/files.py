"""Finds the model in an artefact, and what the files beside it say of a language model.

Reads the layouts that exporters write: a lone `.onnx` file, a Hugging Face Optimum folder (`config.json`), an
onnxruntime-genai folder (`genai_config.json`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchharness.errors import ModelFailure

GENAI_CONFIG, HF_CONFIG = "genai_config.json", "config.json"

#: Where a folder keeps its model, first found first taken: Optimum's names, and the sub-folder that hubs use.
_MODEL_NAMES = ("model.onnx", "decoder_model_merged.onnx", "decoder_model.onnx", "onnx/model.onnx")

#: Hugging Face's names for the longest sequence a model takes, by model family.
_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")

#: First bytes of a file whose content was left on a Git LFS server.
_LFS_POINTER = b"version https://git-lfs"


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
    """The .onnx file of an artefact. Raises `ModelFailure` where there is none, or more than one to choose from."""
    model = _find_in_folder(artefact) if artefact.is_dir() else artefact
    if not model.is_file():
        raise ModelFailure(f"{model}: no such file; check the artefact's path")
    with model.open("rb") as file:
        beginning = file.read(len(_LFS_POINTER))
    if not beginning:
        raise ModelFailure(f"{model}: the file is empty; build or download it again")
    if beginning == _LFS_POINTER:
        raise ModelFailure(f"{model}: a Git LFS pointer and not the model; run `git lfs pull`")
    return model


def _find_in_folder(folder: Path) -> Path:
    named = _section(_section(_read_json(folder / GENAI_CONFIG), "model"), "decoder").get("filename")
    if isinstance(named, str):
        return folder / named
    for name in _MODEL_NAMES:
        if (folder / name).is_file():
            return folder / name
    found = sorted(folder.glob("*.onnx"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise ModelFailure(f"{folder}: no .onnx file in this folder; expected {_MODEL_NAMES[0]}")
    names = ", ".join(path.name for path in found)
    raise ModelFailure(f"{folder}: several models ({names}); name one of them as the artefact")


def describe(model: Path) -> Description:
    """What the configuration file beside `model`, or one folder up from `onnx/`, says. Raises `ModelFailure`."""
    folders = [model.parent, *([model.parent.parent] if model.parent.name == "onnx" else [])]
    for folder in folders:
        genai = _section(_read_json(folder / GENAI_CONFIG), "model")
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
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelFailure(f"{path}: cannot be read as JSON: {error}") from error
    return content if isinstance(content, dict) else {}


def _section(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    section = parent.get(key)
    return section if isinstance(section, dict) else {}


def _length(section: Mapping[str, Any], key: str) -> int | None:
    value = section.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
