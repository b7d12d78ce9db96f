"""What is asked of a model: prompts and continuations for language models, input arrays for the others."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import LanguageSession, Session, TensorSpec
from benchharness.device.shapes import input_shapes
from benchharness.device.tokenizer import Tokenizer
from benchharness.errors import InvalidOutput, Unsupported

if TYPE_CHECKING:
    from benchharness.contract import Array

#: What speech models run at.
SAMPLE_RATE_HZ = 16_000
#: Values of whole-number inputs by what their names contain, first match; the others' are 0 to 9.
DEFAULT_VALUES = (
    (("mask",), 1),
    (("token_type", "segment"), 0),  # a model may know one type only
    (("sample_rate", "sampling_rate"), SAMPLE_RATE_HZ),
)


@dataclass(frozen=True)
class LanguageRequest:
    """One prompt and what follows it. `text` is set where the prompt is text and tokenisation can be timed."""

    prompt: Sequence[int]
    prefix: Sequence[int]  # fills the context before the prompt; never timed
    continuation: Sequence[int] | None  # the tokens fed while decoding; None: the model's own greedy choice
    output_tokens: int
    text: str | None
    tokenizer: Tokenizer | None


def language_request(
    session: LanguageSession, workload: Mapping[str, Any], tokenizer: Tokenizer | None
) -> LanguageRequest:
    """The workload's request for this model. Raises `Unsupported` where it does not fit the model."""
    source = workload["prompt"]
    text = source.get("text")
    if text is not None:
        if tokenizer is None:
            raise Unsupported(
                "the prompt is text, and there is no tokenizer.json beside the model; name one with 'tokenizer', "
                "or give the prompt as tokens"
            )
        prompt = tokenizer.encode(text)
    elif source.get("tokens") is not None:
        prompt = list(source["tokens"])
    else:
        prompt = seeded_tokens(session.vocabulary_size, source["length"], seed=source["seed"])
    request = LanguageRequest(
        prompt=prompt,
        prefix=seeded_tokens(session.vocabulary_size, workload["context_depth"], seed=source["seed"] + 1),
        continuation=_continuation(session, workload),
        output_tokens=workload["output_tokens"],
        text=text,
        tokenizer=tokenizer,
    )
    _check_fit(session, request)
    return request


def seeded_tokens(vocabulary_size: int, count: int, *, seed: int) -> list[int]:
    """`count` token ids, the same for a seed on every machine and interpreter."""
    generator = random.Random(seed)
    return [generator.randrange(vocabulary_size) for _ in range(count)]


def _continuation(session: LanguageSession, workload: Mapping[str, Any]) -> list[int] | None:
    if workload["continuation"] == "greedy":
        return None
    count = workload["output_tokens"]
    given = workload["prompt"].get("continuation_tokens")
    if given is None:
        return seeded_tokens(session.vocabulary_size, count, seed=workload["prompt"]["seed"] + 2)
    if len(given) < count:
        raise Unsupported(f"the continuation has {len(given)} tokens, and output_tokens asks for {count}")
    return list(given[:count])


def _check_fit(session: LanguageSession, request: LanguageRequest) -> None:
    if not request.prompt:
        raise Unsupported("the prompt has no tokens")
    needed = len(request.prefix) + len(request.prompt) + request.output_tokens
    if needed > session.context_length:
        raise Unsupported(
            f"{len(request.prefix)} tokens of context + {len(request.prompt)} of prompt + {request.output_tokens} of "
            f"output = {needed}, more than the model's context of {session.context_length}; ask for fewer"
        )
    for what, tokens in (("prompt", request.prompt), ("continuation", request.continuation or ())):
        wrong = next((token for token in tokens if not 0 <= token < session.vocabulary_size), None)
        if wrong is not None:
            last = session.vocabulary_size - 1
            raise Unsupported(f"the {what} has token {wrong}, and the vocabulary ends at {last}")


def check_logits(logits: Array, vocabulary_size: int) -> None:
    """Raises `InvalidOutput` for logits that cannot be: wrong length, NaN or infinite, all the same."""
    if logits.shape != (vocabulary_size,):
        raise InvalidOutput(f"the logits have the shape {logits.shape}, not ({vocabulary_size},)")
    values = np.asarray(logits, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InvalidOutput(f"{int((~np.isfinite(values)).sum())} of {values.size} logits are NaN or infinite")
    if values.min() == values.max():
        raise InvalidOutput(f"all {values.size} logits are {values[0]:g}: the runtime did not run the model")


def tensor_inputs(session: Session, workload: Mapping[str, Any]) -> dict[str, Array]:
    """Seeded input arrays from the model's signature; the same for a seed on every machine.

    Floats are uniform in [0, 1), whole numbers 0 to 9 or as in `DEFAULT_VALUES`, booleans True, strings "a". Lengths
    that the model leaves open come from the workload's `dimensions`, else from `shapes`; `values` overrides an input
    by a constant.
    """
    unknown = set(workload["values"]) - {spec.name for spec in session.inputs}
    if unknown:
        known = ", ".join(spec.name for spec in session.inputs)
        raise Unsupported(f"the workload gives a value for {sorted(unknown)[0]!r}; the model's inputs are {known}")
    generator = np.random.default_rng(workload["seed"])
    shapes = input_shapes(session.inputs, workload["dimensions"]).by_input
    return {spec.name: _fill(spec, shapes[spec.name], workload["values"], generator) for spec in session.inputs}


def _fill(spec: TensorSpec, shape: Sequence[int], values: Mapping[str, Any], generator: np.random.Generator) -> Array:
    if spec.name in values:
        return _filled(spec, shape, values[spec.name])
    if spec.dtype == "str":
        return np.full(shape, "a", dtype=object)
    dtype = _dtype(spec)
    if dtype.kind == "f":
        return generator.random(shape).astype(dtype)
    if dtype.kind == "b":
        return np.ones(shape, dtype)
    value = _default_value(spec.name.lower())
    if value is not None and (dtype.kind not in "iu" or value <= np.iinfo(dtype).max):
        return np.full(shape, value, dtype)
    return generator.integers(0, 10, shape).astype(dtype)


def _default_value(name: str) -> int | None:
    """What an input's name says that it holds; None where it says nothing."""
    if name == "sr":
        return SAMPLE_RATE_HZ
    return next((value for parts, value in DEFAULT_VALUES if any(part in name for part in parts)), None)


def _filled(spec: TensorSpec, shape: Sequence[int], value: Any) -> Array:
    try:
        return np.full(shape, value, dtype=_dtype(spec))
    except (ValueError, OverflowError, TypeError) as error:
        raise Unsupported(f"the value {value!r} does not fit input {spec.name!r} of type {spec.dtype}") from error


def _dtype(spec: TensorSpec) -> np.dtype[Any]:
    try:
        return np.dtype(object if spec.dtype == "str" else spec.dtype)
    except TypeError as error:
        raise Unsupported(f"input {spec.name!r} is of type {spec.dtype}, for which no values can be made") from error


def check_outputs(outputs: Mapping[str, Array]) -> None:
    """Raises `InvalidOutput` where every number of an output is NaN, or every output of real numbers is all zeros."""
    numeric = {name: np.asarray(value) for name, value in outputs.items() if np.asarray(value).dtype.kind in "fiu"}
    for name, value in numeric.items():
        if value.size and value.dtype.kind == "f" and np.isnan(value).all():
            raise InvalidOutput(f"output {name!r} is all NaN")
    # A whole number may well be zero: a class, or a probability that is quantized.
    filled = [value for value in numeric.values() if value.size and value.dtype.kind == "f"]
    if filled and not any(value.any() for value in filled):
        raise InvalidOutput("every output is all zeros: the runtime did not run the model, or the input kills it")
