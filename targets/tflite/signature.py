"""Tells a causal language model by its signatures, and finds what each of them takes and gives.

LiteRT's exporters agree on the layout: a signature `decode` for one token, and `prefill_N` for N of them at once, both
with `tokens`, `input_pos`, mostly `mask`, and cache tensors that go in and come out under one name; `logits` come out
of `decode`, and of `prefill_N` where the exporter was asked for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchharness.contract import TensorSpec
from benchharness.errors import Unsupported
from targets.tflite.cache_updates import Update

DECODE, LOGITS, POSITIONS, MASK = "decode", "logits", "input_pos", "mask"
#: What exporters call the token ids.
_TOKENS = ("tokens", "token_ids")
_PREFILL = re.compile(r"prefill(_\d+)?")

_FLOATS = ("float32", "float16")
_MASKS = ("float32", "float16", "bool")


@dataclass(frozen=True)
class Signature:
    """One way to run a model: names and tensors that go in and come out, in the order of the file."""

    key: str  # empty where the file declares no signature
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    indices: Mapping[str, int]  # numbers of the input tensors, by name
    output_indices: Mapping[str, int]
    details: Mapping[str, Any]  # quantization of quantized inputs and outputs, JSON values


@dataclass(frozen=True)
class Prefill:
    """A signature that takes `length` tokens at once."""

    key: str
    length: int


@dataclass(frozen=True)
class LanguageLayout:
    """A causal language model as its signatures describe it."""

    tokens: str  # the input's name
    prefills: tuple[Prefill, ...]  # the shortest first
    prefill_returns_logits: bool  # of every one of its tokens
    masked: str | None  # the mask's type; None: the graph masks by position
    cache: tuple[TensorSpec, ...]
    in_place: bool  # one buffer may stand for each cache tensor's past and present
    vocabulary_size: int
    context_length: int
    context_length_source: str


def read_signatures(interpreter: Any) -> list[Signature]:
    """Every signature of a loaded model, from the runtime; one without a key where the file declares none."""
    found = []
    for key in interpreter.get_signature_list():
        runner = interpreter.get_signature_runner(key)
        found.append(_signature(key, runner.get_input_details(), runner.get_output_details()))
    if not found:
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        found.append(_signature("", _by_name(inputs), _by_name(outputs)))
    return found


def choose_signature(signatures: Sequence[Signature], wanted: str | None, where: str, otherwise: str) -> Signature:
    """The one asked for, else the only one, else `serving_default`.

    Raises `Unsupported`, naming those there are, and why they are `otherwise` no language model.
    """
    if wanted is None and len(signatures) == 1:
        return signatures[0]
    for signature in signatures:
        if signature.key == (wanted or "serving_default"):
            return signature
    names = ", ".join(signature.key for signature in signatures if signature.key) or "none"
    if wanted is None:
        raise Unsupported(
            f"{where}: several signatures ({names}); choose one with options.signature "
            f"(as a language model it cannot run: {otherwise})"
        )
    raise Unsupported(f"{where}: options.signature = {wanted!r} is not in the file; its signatures: {names}")


def with_open_lengths(signature: Signature) -> Signature:
    """The same; where it leaves no length of an input open, with every 1 open, which older converters wrote for it."""
    if any(length is None for spec in signature.inputs.values() for length in spec.shape):
        return signature
    inputs = {
        name: replace(spec, shape=tuple(None if length == 1 else length for length in spec.shape))
        for name, spec in signature.inputs.items()
    }
    return replace(signature, inputs=inputs)


def why_no_language_model(signatures: Sequence[Signature]) -> str:
    """The reason why signatures are not a causal language model's, empty where they are."""
    by_key = {signature.key: signature for signature in signatures}
    decode = by_key.get(DECODE)
    if decode is None:
        return f"no signature {DECODE!r}"
    if LOGITS not in decode.outputs:
        return f"{DECODE} gives no {LOGITS}"
    for signature in language_signatures(signatures):
        reason = _why_not(signature)
        if reason:
            return f"{signature.key}: {reason}"
    return ""


def language_signatures(signatures: Sequence[Signature]) -> list[Signature]:
    """Those of a file's signatures that run it as a language model."""
    return [one for one in signatures if one.key == DECODE or _PREFILL.fullmatch(one.key)]


def _why_not(signature: Signature) -> str:
    named = [name for name in _TOKENS if name in signature.inputs]
    if not named:
        return f"takes no {' or '.join(_TOKENS)}"
    if POSITIONS not in signature.inputs:
        return f"takes no {POSITIONS}"
    others = set(signature.inputs) - {named[0], POSITIONS, MASK}
    lost = sorted(others - set(signature.outputs))
    if lost:
        return f"takes {', '.join(lost)}, which this adapter does not know"
    if not others:
        return "keeps no cache"
    return ""


def read_layout(signatures: Sequence[Signature], updates: Mapping[str, Update], where: str) -> LanguageLayout:
    """The layout of a causal language model, whose graphs write into its cache as `updates` tell.

    Raises `Unsupported` for sizes that differ between signatures, or that nothing tells.
    """
    by_key = {signature.key: signature for signature in signatures}
    decode = by_key[DECODE]
    tokens = next(name for name in _TOKENS if name in decode.inputs)
    cache = tuple(
        spec for name, spec in decode.inputs.items() if name not in (tokens, POSITIONS, MASK) and name in decode.outputs
    )
    prefills = _prefills(by_key, tokens, cache, where)
    logits = decode.outputs[LOGITS]
    if logits.dtype not in _FLOATS:
        raise Unsupported(f"{where}: logits of type {logits.dtype}; this adapter reads {' and '.join(_FLOATS)}")
    mask = decode.inputs.get(MASK)
    if mask is not None and mask.dtype not in _MASKS:
        raise Unsupported(f"{where}: a mask of type {mask.dtype}; this adapter writes {', '.join(_MASKS)}")
    vocabulary = _length(logits.shape[-1], "vocabulary size", where)
    context, source = _context_length(mask, cache, updates, where)
    return LanguageLayout(
        tokens=tokens,
        prefills=prefills,
        prefill_returns_logits=bool(prefills)
        and all(_gives_all_logits(by_key[prefill.key], prefill.length, vocabulary) for prefill in prefills),
        masked=None if mask is None else mask.dtype,
        cache=cache,
        in_place=all(spec.name in updates and updates[spec.name].in_place for spec in cache),
        vocabulary_size=vocabulary,
        context_length=context,
        context_length_source=source,
    )


def _prefills(
    by_key: Mapping[str, Signature], tokens: str, cache: Sequence[TensorSpec], where: str
) -> tuple[Prefill, ...]:
    found = []
    for key, signature in by_key.items():
        if not _PREFILL.fullmatch(key):
            continue
        spec = signature.inputs.get(tokens)
        if spec is None:
            raise Unsupported(f"{where}: {DECODE} takes {tokens} and {key} does not")
        for held in cache:
            if signature.inputs.get(held.name) != held:
                raise Unsupported(f"{where}: {key} and {DECODE} have different caches ({held.name})")
        if (MASK in signature.inputs) != (MASK in by_key[DECODE].inputs):
            raise Unsupported(f"{where}: one of {key} and {DECODE} takes a mask and the other does not")
        found.append(Prefill(key, _length(spec.shape[-1], f"length of {key}", where)))
    return tuple(sorted(found, key=lambda prefill: prefill.length))


def _gives_all_logits(signature: Signature, length: int, vocabulary: int) -> bool:
    logits = signature.outputs.get(LOGITS)
    return logits is not None and tuple(logits.shape[-2:]) == (length, vocabulary)


def _context_length(
    mask: TensorSpec | None, cache: Sequence[TensorSpec], updates: Mapping[str, Update], where: str
) -> tuple[int, str]:
    if mask is not None:
        return _length(mask.shape[-1], "context length", where), "mask"
    update = updates.get(cache[0].name)
    if update is None or update.axis is None:
        raise Unsupported(f"{where}: the model takes no mask, and its graph does not tell how long its cache is")
    return _length(cache[0].shape[update.axis], "context length", where), "cache"


def _length(value: object, what: str, where: str) -> int:
    if isinstance(value, int) and value > 0:
        return value
    raise Unsupported(f"{where}: the {what} is not fixed; export the model with fixed lengths")


def _by_name(details: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Tensors by their own names; by name and number where several share one."""
    names = [str(one["name"]) for one in details]
    return {name if names.count(name) == 1 else f"{name}#{one['index']}": one for name, one in zip(names, details)}


def _signature(key: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Signature:
    details = {}
    for name, one in (*inputs.items(), *outputs.items()):
        parameters = one["quantization_parameters"]
        if len(parameters["scales"]):
            details[name] = {
                "scale": [float(scale) for scale in parameters["scales"]],
                "zero_point": [int(point) for point in parameters["zero_points"]],
            }
    return Signature(
        key=key,
        inputs={name: _spec(name, one) for name, one in inputs.items()},
        outputs={name: _spec(name, one) for name, one in outputs.items()},
        indices={name: int(one["index"]) for name, one in inputs.items()},
        output_indices={name: int(one["index"]) for name, one in outputs.items()},
        details=details,
    )


def _spec(name: str, details: Mapping[str, Any]) -> TensorSpec:
    """A dimension that the file leaves open is None. Older files say so nowhere: their shapes are taken as fixed."""
    shape = [int(length) for length in details["shape"]]
    declared = [int(length) for length in details.get("shape_signature", ())]
    if len(declared) == len(shape):
        shape = declared
    return TensorSpec(name, _dtype(details["dtype"]), tuple(length if length >= 0 else None for length in shape))


def _dtype(numpy_type: Any) -> str:
    dtype = np.dtype(numpy_type)
    return "str" if dtype.kind in "SUO" else dtype.name
