"""What is asked of a model: prompts and continuations for language models, input arrays for the others."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import LanguageSession, Session, TensorSpec
from benchharness.device.inputs.invented import Filling, dtype_of, invent
from benchharness.device.inputs.shapes import Shapes, input_shapes, lengths_of
from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.errors import InvalidOutput, Unsupported

if TYPE_CHECKING:
    from benchharness.contract import Array
    from benchharness.device.line.orders import Prompt, Workload


@dataclass(frozen=True)
class LanguageRequest:
    """One prompt and what follows it. `text` is set where the prompt is text and tokenisation can be timed."""

    prompt: Sequence[int]
    prefix: Sequence[int]  # fills the context before the prompt; never timed
    continuation: Sequence[int] | None  # the tokens fed while decoding; None: the model's own greedy choice
    output_tokens: int
    text: str | None
    tokenizer: Tokenizer | None


def language_request(session: LanguageSession, workload: Workload, tokenizer: Tokenizer | None) -> LanguageRequest:
    """The workload's request for this model. Raises `Unsupported` where it does not fit the model."""
    source = workload["prompt"]
    request = LanguageRequest(
        prompt=prompt_tokens(source, session.vocabulary_size, tokenizer),
        prefix=seeded_tokens(session.vocabulary_size, workload["context_depth"], seed=source["seed"] + 1),
        continuation=_continuation(session, workload),
        output_tokens=workload["output_tokens"],
        text=source.get("text"),
        tokenizer=tokenizer,
    )
    _check_fit(session, request)
    return request


def prompt_tokens(source: Prompt, vocabulary_size: int, tokenizer: Tokenizer | None) -> list[int]:
    """A workload's prompt as token ids: of its text, as given, or made from its seed."""
    if source.get("text") is not None:
        if tokenizer is None:
            raise Unsupported(
                "the prompt is text, and there is no tokenizer.json beside the model; name one with 'tokenizer', "
                "or give the prompt as tokens"
            )
        return list(tokenizer.encode(source["text"] or ""))
    if (tokens := source.get("tokens")) is not None:
        return list(tokens)
    return seeded_tokens(vocabulary_size, source["length"], seed=source["seed"])


def seeded_tokens(vocabulary_size: int, count: int, *, seed: int) -> list[int]:
    """`count` token ids, the same for a seed on every machine and interpreter."""
    generator = random.Random(seed)
    return [generator.randrange(vocabulary_size) for _ in range(count)]


def _continuation(session: LanguageSession, workload: Workload) -> list[int] | None:
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
    check_tokens("prompt", request.prompt, session.vocabulary_size)
    needed = len(request.prefix) + len(request.prompt) + request.output_tokens
    if needed > session.context_length:
        raise Unsupported(
            f"{len(request.prefix)} tokens of context + {len(request.prompt)} of prompt + {request.output_tokens} of "
            f"output = {needed}, more than the model's context of {session.context_length}; ask for fewer"
        )
    if request.continuation:
        check_tokens("continuation", request.continuation, session.vocabulary_size)


def check_tokens(what: str, tokens: Sequence[int], vocabulary_size: int) -> None:
    """Raises `Unsupported` where there are none, or one that the model does not know."""
    if not tokens:
        raise Unsupported(f"the {what} has no tokens")
    wrong = next((token for token in tokens if not 0 <= token < vocabulary_size), None)
    if wrong is not None:
        raise Unsupported(f"the {what} has token {wrong}, and the vocabulary ends at {vocabulary_size - 1}")


def check_logits(logits: Array, vocabulary_size: int) -> None:
    """Raises `InvalidOutput` for logits that cannot be: wrong length, NaN or infinite, all the same."""
    if logits.shape != (vocabulary_size,):
        raise InvalidOutput(f"the logits have the shape {logits.shape}, not ({vocabulary_size},)")
    values = np.asarray(logits, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InvalidOutput(f"{int((~np.isfinite(values)).sum())} of {values.size} logits are NaN or infinite")
    if values.min() == values.max():
        raise InvalidOutput(f"all {values.size} logits are {values[0]:g}: the runtime did not run the model")


@dataclass(frozen=True)
class TensorRequest:
    """Input arrays of a model that is no language model, their shapes, and what was invented for it by input name."""

    inputs: Mapping[str, Array]
    invented: Mapping[str, Filling]
    shapes: Shapes


def tensor_request(
    session: Session,
    workload: Workload,
    rows: Mapping[str, int] | None = None,
    real: Mapping[str, Array] | None = None,
    *,
    states: Collection[str] = (),
) -> TensorRequest:
    """Input arrays from the model's signature; the same for a seed on every machine.

    `real` arrays are taken as they are. Lengths that the model leaves open come from them and from the workload's
    `dimensions`, else from `shapes`; `values` gives an input a constant, and the others get what `invented` makes of
    their names and types. `rows` tells, by input, how many rows the table has that its numbers pick from.
    `states` are inputs that take what the inference before gave: zeros, before the first.
    """
    specs, values, given = session.inputs, workload["values"], dict(real or {})
    unknown = set(values) - {spec.name for spec in specs}
    if unknown:
        known = ", ".join(spec.name for spec in specs)
        raise Unsupported(f"the workload gives a value for {sorted(unknown)[0]!r}; the model's inputs are {known}")
    lengths = {**workload["dimensions"], **lengths_of(specs, {name: array.shape for name, array in given.items()})}
    shapes = input_shapes(specs, lengths)
    for spec in specs:
        if spec.name in values:
            given[spec.name] = _filled(spec, shapes.by_input[spec.name], values[spec.name])
    arrays, invented = invent(
        specs,
        shapes.by_input,
        workload["seed"],
        rows=rows or {},
        quantization=dict(session.effective.facts).get("quantization") or {},
        given=given,
        states=states,
    )
    return TensorRequest(arrays, invented, shapes)


def _filled(spec: TensorSpec, shape: Sequence[int], value: Any) -> Array:
    try:
        return np.full(shape, value, dtype=dtype_of(spec))
    except (ValueError, OverflowError, TypeError) as error:
        raise Unsupported(f"the value {value!r} does not fit input {spec.name!r} of type {spec.dtype}") from error
