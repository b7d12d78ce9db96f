"""Conducts one pass: opens the reference and the variants, asks all of them the same, keeps what is worth keeping.

A variant that fails leaves the pass with its own outcome and the others go on. Where the reference fails, nothing
can be compared, and every variant says so.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.inputs.tokenizer_apart import opened_apart
from benchharness.device.processes import leftovers
from benchharness.device.scenarios.quality import by_text, samples, tokens
from benchharness.device.scenarios.quality.scorer_process import ScorerFailed, ScorerProcess, as_failure
from benchharness.device.scenarios.quality.vocabularies import ReadBy
from benchharness.errors import AttemptError, Unsupported

if TYPE_CHECKING:
    from benchharness.device.line.orders import Opened, Order

Progress = Callable[[str, int, int], None]


class Pass:
    """A reference and its variants, answering. `variants` holds those that still do, by attempt."""

    def __init__(self, reference: ScorerProcess, variants: dict[str, ScorerProcess]) -> None:
        self.reference = reference
        self.variants = variants
        self.failed: dict[str, ScorerFailed] = {}
        self.metric_ns = 0
        self.forward_ns = 0

    def of_each(self, ask: Callable[[ScorerProcess], Any]) -> dict[str, Any]:
        """What each variant gives; one that fails leaves the pass. Time spent here is the models'."""
        found = {}
        for attempt, scorer in list(self.variants.items()):
            try:
                found[attempt] = self.of_reference(ask, scorer)
            except AttemptError as error:
                self.leave(attempt, error)
        return found

    def of_reference(self, ask: Callable[[ScorerProcess], Any], scorer: ScorerProcess | None = None) -> Any:
        """What the reference gives, or the scorer named. Raises `ScorerFailed`."""
        began_ns = time.perf_counter_ns()
        try:
            return ask(scorer or self.reference)
        finally:
            self.forward_ns += time.perf_counter_ns() - began_ns

    def tell(self, command: Mapping[str, Any]) -> None:
        """Asks everybody the same."""
        for scorer in (self.reference, *self.variants.values()):
            scorer.tell(command)

    def set_aside(self, attempts: Iterable[str]) -> Pass:
        """Takes some variants out of this pass into another of the same reference; who fails there has failed here."""
        other = Pass(self.reference, {attempt: self.variants.pop(attempt) for attempt in list(attempts)})
        other.failed = self.failed
        return other

    def leave(self, attempt: str, error: Exception) -> None:
        """A variant has failed."""
        self.failed[attempt] = as_failure(error)
        self.variants.pop(attempt).end()


def conduct(order: Order, progress: Progress, bundle: str | None = None) -> dict[str, Any]:
    """Makes the pass of an order; its `measured` message. Raises `AttemptError` where the reference cannot be asked."""
    members: dict[str, Opened] = {order["id"]: order, **{each["id"]: each for each in order["companions"]}}
    with ExitStack() as stack:
        progress("load", 0, len(members) + 1)

        def waits(name: str) -> None:
            progress(f"waiting for {name}", 0, 0)

        def scorer_of(each: Opened) -> ScorerProcess:
            told: Opened = {**each, "task": order["task"]}  # of the model, and so of all of them
            scorer = ScorerProcess(told, bundle, waits, limit_s=order["timeout_s"])
            stack.callback(scorer.end)
            return scorer

        def tokenizer_of(path: str) -> Tokenizer:
            apart = opened_apart(order, path, bundle, models=len(members) + 1)
            stack.callback(apart.end)
            return apart

        stack.callback(leftovers.end_orphans)  # when the scorers have ended
        try:
            made = Pass(scorer_of(order["reference"]), {})
        except Unsupported as error:
            raise _of_reference(as_failure(error)) from error
        for attempt, each in members.items():
            try:
                made.variants[attempt] = scorer_of(each)
            except Unsupported as error:
                made.failed[attempt] = as_failure(error)
        reference, scorers = made.reference, dict(made.variants)
        try:
            reference.opened = reference.json()
        except ScorerFailed as error:
            raise _of_reference(error) from error
        for attempt, opened in made.of_each(ScorerProcess.json).items():
            scorers[attempt].opened = opened
        try:
            found = _compared(order, members, made, progress, tokenizer_of)
        except ScorerFailed as error:
            raise _of_reference(error) from error
        outcomes = {attempt: _member(attempt, scorers.get(attempt), made, found) for attempt in members}
    lead = outcomes[order["id"]]
    return {
        "type": "measured",
        "task": reference.opened["task"],
        "measurements": [],  # each member has its own, the lead too: twice the same would not fit the longest line
        "effective": lead["effective"],
        "python": platform.python_version(),
        "members": outcomes,
    }


def _compared(
    order: Order, members: Mapping[str, Opened], made: Pass, progress: Progress, opened: Callable[[str], Tokenizer]
) -> Mapping[str, Mapping[str, Any]]:
    """By attempt: measurements, and the examples worth showing."""
    language = made.reference.opened["task"] == "causal-lm"
    for attempt, scorer in list(made.variants.items()):
        if scorer.opened["task"] != made.reference.opened["task"]:
            told = f"the reference is a {made.reference.opened['task']} model, and this one {scorer.opened['task']}"
            made.leave(attempt, Unsupported(told))
    data, settings = order["workload"]["data"], order["settings"]
    if not language:
        return samples.compare(made, data, settings, order["task"], progress)
    tokenizer = _tokenizer(order, opened)
    speaking = _speaking(made, members, data, tokenizer, opened)
    apart = made.set_aside(speaking)
    found = tokens.compare(made, data, settings, tokenizer, progress) if made.variants else {}
    for attempt, other in speaking.items():
        assert tokenizer is not None
        found |= by_text.compare(apart, attempt, data, settings, (tokenizer, other), progress)
    made.metric_ns += apart.metric_ns
    made.forward_ns += apart.forward_ns
    return found


def _speaking(
    made: Pass,
    members: Mapping[str, Opened],
    data: Mapping[str, Any],
    tokenizer: Tokenizer | None,
    opened: Callable[[str], Tokenizer],
) -> dict[str, by_text.OtherVocabulary]:
    """The variants that read the text in other tokens than the reference, each with its tokenizer and the reason."""
    found = {}
    read = ReadBy(tokenizer, data)
    for attempt, scorer in list(made.variants.items()):
        path = members[attempt].get("own_tokenizer")
        if not path:
            continue
        sizes = (made.reference.opened["vocabulary_size"], scorer.opened["vocabulary_size"])
        try:
            own = opened(path)
            if why := read.why_apart(own, sizes):
                found[attempt] = by_text.OtherVocabulary(own, why)
            else:
                own.end()  # the reference's reads for both
        except Unsupported as error:
            made.leave(attempt, error)
    return found


def _tokenizer(order: Order, opened: Callable[[str], Tokenizer]) -> Tokenizer | None:
    """The tokenizer; token ids can do without one that cannot be read here."""
    if not order["tokenizer"]:
        return None
    try:
        return opened(order["tokenizer"])
    except Unsupported:
        if order["workload"]["data"]["kind"] != "tokens":
            raise
        return None


def _member(
    attempt: str, scorer: ScorerProcess | None, made: Pass, found: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    task = made.reference.opened["task"]
    failed = made.failed.get(attempt)
    if failed is not None:
        outcome = {"kind": failed.outcome, "reason": failed.reason}
        return {"outcome": outcome, "task": task, "measurements": [], "effective": {}}
    assert scorer is not None  # one that never started has failed
    effective = {
        **scorer.opened["effective"],
        "reference": {**made.reference.opened["effective"], **found[attempt].get("of_reference", {})},
        "metric_cost": {"metric_ns": made.metric_ns, "forward_ns": made.forward_ns},
        **found[attempt]["shown"],
    }
    return {
        "outcome": {"kind": "ok", "reason": ""},
        "task": task,
        "measurements": found[attempt]["measurements"],
        "effective": effective,
    }


def _of_reference(error: ScorerFailed) -> ScorerFailed:
    return ScorerFailed(error.outcome, f"the reference failed, and there is nothing to compare with: {error.reason}")
