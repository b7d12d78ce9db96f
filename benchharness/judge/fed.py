"""Warnings about what a model was fed: assumed lengths, invented or saturated inputs, states, evaluation data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchharness.device.inputs.pairing import toml_line
from benchharness.device.inputs.shapes import key as toml_key
from benchharness.results.result import Attempt, Result, ResultWarning, WarningKind

#: How many facts there are about a pair of tensors: its two names, how it was found, whether that is certain.
_PAIR = 4
#: So many tensors are named in a warning.
_MOST_TOLD = 5


def shared_samples(result: Result) -> Iterator[ResultWarning]:
    """Data that chose a variant's scales says too much good of it."""
    data = result.job.workload.data
    if data and data.shared_samples:
        yield ResultWarning(
            kind=WarningKind.SHARED_SAMPLES,
            message=f"{data.shared_samples} samples of the evaluation data stand in {data.calibration} too",
            hint="evaluate on data that chose no scales; quality reads too good on these",
        )


def leading_token(result: Result) -> Iterator[ResultWarning]:
    """Token ids without the token that the model expects first: some models are lost without it."""
    without = result.effective.evaluated.get("documents_without_them")
    if isinstance(without, int) and without > 0:
        yield ResultWarning(
            kind=WarningKind.LEADING_TOKEN,
            message=f"{without} documents of token ids do not begin with the token that the tokenizer puts before text",
            hint="put it first in each of them, or give the text itself: without it perplexity may be absurd",
        )


def dimensions(result: Result) -> Iterator[ResultWarning]:
    """Input lengths that nobody asked for, and lengths asked for that no input has."""
    assumed = result.effective.assumed_dimensions
    if assumed:
        listed = ", ".join(f"{name} = {length}" for name, length in assumed.items())
        yield ResultWarning(
            kind=WarningKind.ASSUMED_INPUT,
            message=f"input lengths were assumed: {listed}",
            hint="set them to what the product feeds: --dimension NAME=LENGTH, or 'dimensions' in a suite's workload",
        )
    unused = result.effective.unused_dimensions
    if unused:
        yield ResultWarning(
            kind=WarningKind.NOT_APPLIED,
            message=f"dimensions that no input has: {', '.join(map(str, unused))}",
            hint="compare with: benchharness inspect MODEL",
        )


def unexplained(result: Result) -> Iterator[ResultWarning]:
    """Inputs that were filled without knowing what they mean: the model may have done other work than it is for."""
    guessed = {
        name: f"{name} = {_mapping(fact).get('value')} ({_mapping(fact).get('by')})"
        for name, fact in (result.effective.invented_inputs or {}).items()
        if _mapping(fact).get("explained") is False
    }
    if guessed:
        line = ", ".join(f"{toml_key(name)} = …" for name in guessed)
        yield ResultWarning(
            kind=WarningKind.UNEXPLAINED_INPUT,
            message=f"inputs were filled with what may mean other work: {', '.join(guessed.values())}",
            hint=f'say what the product feeds in the suite\'s workload: values = {{ {line} }}, or inputs = "real.npz"',
        )


def states(result: Result) -> Iterator[ResultWarning]:
    """What goes from one inference to the next because names say so, and what names call so and does not fit."""
    state = result.effective.state
    if state.get("by") == "suite":
        return
    pairs = {str(given): str(taken) for given, taken in _mapping(state.get("carried")).items()}
    left = _mapping(state.get("not_carried"))
    told = []
    if pairs:
        told.append(f"state was fed back as names tell: {_few([f'{one} → {two}' for one, two in pairs.items()], ', ')}")
    if left:
        told.append(f"not fed back: {_few([str(why) for why in left.values()], '; ')}")
    if told:
        line = toml_line("state", pairs) if pairs else "state = { output = … }"
        yield ResultWarning(
            kind=WarningKind.ASSUMED_STATE,
            message="; ".join(told),
            hint=f"say it under the model in the suite: {line}, or state = {{}} for none",
        )


def only_zeros(attempts: Sequence[Attempt]) -> Iterator[ResultWarning]:
    """A model that found nothing in what it was fed, or a runtime that did not run it."""
    told = [fact for attempt in attempts if (fact := attempt.effective.only_zeros) is not None]
    if not told:
        return
    message = f"in {len(told)} of {len(attempts)} attempts every output was all zeros on what was fed"
    tried = max((one["tried"] for one in told if isinstance(one.get("tried"), int)), default=0)
    if all(one.get("answers") is True for one in told):
        message += ", and not on other made-up input: the model runs, and found nothing"
    else:
        also = f", and on {tried} other made-up inputs" if tried else ""
        message += f"{also}: a model that found nothing, or a runtime that did not run it"
    yield ResultWarning(
        kind=WarningKind.ONLY_ZEROS,
        message=message,
        hint='feed it data in which there is something to find: inputs = "real.npz" in the suite\'s workload',
    )


def tensors(result: Result) -> Iterator[ResultWarning]:
    """Data that saturated a quantized input, pairs that may be wrong, inputs that are none of their own, left-outs."""
    ours = result.effective.tensors
    theirs = result.effective.reference.tensors if result.effective.reference else {}
    for whose, told in (("", ours), ("of the reference ", theirs)):
        for name, done in _mapping(told.get("conversion")).items():
            count, values = _mapping(done).get("saturated"), _mapping(done).get("values")
            if isinstance(count, int) and isinstance(values, int) and count > 0:
                yield ResultWarning(
                    kind=WarningKind.SATURATED,
                    message=f"{count:,} of {values:,} numbers fed to input {name} {whose}are beyond its range, and are "
                    "fed as the end of it",
                    hint="feed data scaled as in training, or calibrate on data like it",
                )
        for kind, key in (("inputs", "pairing"), ("outputs", "outputs")):
            unsure = [f"{pair[0]} with {pair[1]}" for pair in _rows(told.get(key)) if pair[3] is False]
            if unsure:
                yield ResultWarning(
                    kind=WarningKind.UNSURE_PAIRING,
                    message=f"{kind} {whose}paired by names that tell nothing: {_few(unsure, ', ')}",
                    hint=f"say which is which with '{kind}' under the model or the variant",
                )
    if True in (ours.get("keeps_state"), theirs.get("keeps_state")):
        yield ResultWarning(
            kind=WarningKind.CARRIED_STATE,
            message="the model keeps a state inside that its runtime cannot reset: each input was answered after those "
            "before it, on both sides in the same order",
            hint="let the data be one recording in the order of time, or export the state as an input and an output",
        )
    left_out = _mapping(ours.get("not_compared"))
    if left_out:
        yield ResultWarning(
            kind=WarningKind.NOT_COMPARED,
            message=f"outputs not compared: {_few([f'{name}: {why}' for name, why in left_out.items()], '; ')}",
            hint="say which is which with 'outputs' under the model or the variant",
        )


def _few(told: Sequence[str], between: str) -> str:
    more = f" and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
    return between.join(told[:_MOST_TOLD]) + more


def _mapping(told: object) -> Mapping[str, Any]:
    """What a device told, where it has the expected form: it is not trusted."""
    return told if isinstance(told, Mapping) else {}


def _rows(told: object) -> list[Sequence[Any]]:
    rows = told if isinstance(told, list | tuple) else ()
    return [row for row in rows if isinstance(row, list | tuple) and len(row) >= _PAIR]
