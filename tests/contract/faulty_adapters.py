"""Adapters that differ from a sound one by one fault each, with the test of the contract that must catch it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchharness.contract import (
    Configuration,
    EffectiveConfiguration,
    Inferences,
    Refusal,
    StampClock,
    TokenStream,
)
from benchharness.errors import ModelFailure, Unsupported
from tests.contract.sound_adapter import CONTEXT, VOCABULARY, WIDTH, Array, Generating, Language, Sound, Tensors

#: A buffer that answers are handed out in.
SHARED = np.zeros(VOCABULARY, np.float32)


@dataclass(frozen=True)
class Fault:
    """An adapter with one fault, and the test of the contract that must fail for it."""

    adapter: type[Sound]
    caught_by: str


def in_adapter(caught_by: str, **members: Any) -> Fault:
    return Fault(type("Faulty", (Sound,), members), caught_by)


def in_language(caught_by: str, **members: Any) -> Fault:
    return in_adapter(caught_by, language=type("FaultyLanguage", (Language,), members))


def in_generating(caught_by: str, **members: Any) -> Fault:
    return in_adapter(caught_by, generating=type("FaultyGenerating", (Generating,), members))


def in_tensors(caught_by: str, **members: Any) -> Fault:
    return in_adapter(caught_by, tensors=type("FaultyTensors", (Tensors,), members))


def times(*, taken_ns: int, more: int = 0, scale: int = 1) -> Any:
    """A `run_timed` that says so of each inference, and so many more; `scale` is of its answer."""

    def run_timed(self: Tensors, inputs: Mapping[str, Array], count: int) -> Inferences:
        outputs = {name: array * scale for name, array in self.run(inputs).items()}
        return Inferences([taken_ns] * (count + more), outputs)

    return run_timed


def changed(part: str, **fields: Any) -> Callable[..., Any]:
    """A method that gives what the sound adapter's of that name gives, with some fields changed."""

    def method(self: Sound, *arguments: Any) -> Any:
        return replace(getattr(Sound, part)(self, *arguments), **fields)

    return method


def checks_only(*, accelerator: bool = False, options: bool = False, more: bool = False, fail: bool = False) -> Any:
    """A method that checks these parts of a configuration and lets the others pass."""

    def check(self: Sound, asked: Configuration) -> None:
        Sound.check(
            self,
            Configuration(
                runtime=asked.runtime,
                accelerator=asked.accelerator if accelerator else None,
                options=asked.options if options else {},
                accelerator_options=asked.accelerator_options if more else {},
                fallback=asked.fallback if fail else "warn",
            ),
        )

    return check


def writes(**change: Callable[[TokenStream], Any]) -> Callable[..., TokenStream]:
    """The sound stream with some of its fields made anew."""

    def generate(self: Generating, prompt: Sequence[int] | str, count: int) -> TokenStream:
        stream = Generating.generate(self, prompt, count)
        return replace(stream, **{name: made(stream) for name, made in change.items()})

    return generate


def writes_one_more(self: Generating, prompt: Sequence[int] | str, count: int) -> TokenStream:
    return Generating.generate(self, prompt, count + 1)


def writes_within_the_context(self: Generating, prompt: Sequence[int] | str, count: int) -> TokenStream:
    return Generating.generate(self, prompt, min(count, CONTEXT - len(prompt)))


def takes_anything(self: Generating, prompt: Sequence[int] | str, count: int) -> TokenStream:
    return Generating.generate(self, [1] if isinstance(prompt, str) else prompt, count)


def reset_length_only(self: Language) -> None:
    self.length = 0


def forgets_before(self: Language, tokens: Sequence[int]) -> Array:
    self.state = np.zeros(WIDTH, np.float32)
    return Language.rows(self, tokens)


def forgets_before_a_chunk(self: Language, tokens: Sequence[int]) -> Array:
    if len(tokens) > 1:
        self.state = np.zeros(WIDTH, np.float32)
    return Language.rows(self, tokens)


def decodes_without_keeping(self: Language, token: int) -> Array:
    self.check([token])
    kept = self.state
    (row,) = Language.rows(self, [token])
    self.state = kept
    return np.asarray(row)


def begins_without_a_cache(self: Language, seed: int, effective: EffectiveConfiguration) -> None:
    Language.__init__(self, seed, effective)
    self.effective = replace(self.effective, cache=None)


def answers_for_the_first(self: Language, tokens: Sequence[int]) -> Array:
    self.check(tokens)
    return np.asarray(self.rows(tokens)[0])


def answers_before_the_last(self: Language, tokens: Sequence[int]) -> Array:
    """Logits of the state before each token, tilted: those of the empty state would be one value throughout."""
    rows = []
    for token in tokens:
        rows.append(self.state @ self.output)
        self.state = np.tanh(self.embedding[token] + self.state @ self.recurrent)
    self.length += len(tokens)
    return np.asarray(np.array(rows) + 1e-3 * np.arange(VOCABULARY, dtype=np.float32))


def scores_from_the_second(self: Language, tokens: Sequence[int]) -> Array:
    return np.roll(Language.score(self, tokens), 1, axis=0)


def scores_and_keeps(self: Language, tokens: Sequence[int]) -> Array:
    self.reset()
    return self.rows(tokens)


def rewinds_the_length(self: Language, tokens: int) -> None:
    if not 0 <= tokens <= self.length:
        raise Unsupported("no")
    self.length = tokens


def rewinds_anywhere(self: Language, tokens: int) -> None:
    Language.rewind(self, min(max(tokens, 0), self.length))


def nan_in_prefill(self: Language, tokens: Sequence[int]) -> Array:
    """A buffer that the next call overwrites, so that looking later shows the next answer."""
    SHARED[:] = Language.extend(self, tokens)
    if len(tokens) > 1:
        SHARED[5] = np.nan
    return SHARED


def extends(answer: Callable[[Array], Any]) -> Callable[[Language, Sequence[int]], Any]:
    def extend(self: Language, tokens: Sequence[int]) -> Any:
        return answer(Language.extend(self, tokens))

    return extend


def scores(answer: Callable[[Array], Any]) -> Callable[[Tensors, Array], Any]:
    def method(self: Tensors, x: Array) -> Any:
        return answer(Tensors.scores(self, x))

    return method


def shares_one_text(self: Language) -> Language:
    return self


def stamps_at_the_end(self: Language, prompts: Sequence[Sequence[int] | str], count: int) -> Sequence[TokenStream]:
    """What a runtime gives that hands whole answers over."""
    answers = Language.answer_several(self, prompts, count)
    return [replace(each, stamps_ns=each.stamps_ns[-1:], tokens_per_stamp=[count]) for each in answers]


def lets_any_request_pass(self: Language, prompt: Sequence[int] | str, count: int) -> None:
    pass


def runs_without_looking(self: Tensors, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
    return Tensors.run(self, {"x": inputs["x"]})


def drifts(self: Tensors, x: Array) -> Array:
    self.matrix += 1
    return Tensors.scores(self, x)


class Forks(Sound):
    """Its helper sees no reason to end."""

    def effective(self, configuration: Configuration) -> EffectiveConfiguration:
        fork_a_helper()
        return super().effective(configuration)


class ForksWhenRefused(Sound):
    """Tells of its failures by way of a helper."""

    def check(self, configuration: Configuration) -> None:
        if configuration.accelerator not in (None, "cpu", "npu"):
            fork_a_helper()
        super().check(configuration)


class KeepsAThread(Sound):
    """Its pool is never shut down."""

    def effective(self, configuration: Configuration) -> EffectiveConfiguration:
        threading.Thread(target=time.sleep, args=(60,), name="pool").start()
        return super().effective(configuration)


def fork_a_helper() -> None:
    if os.fork() == 0:
        os.setsid()
        time.sleep(60)
        os._exit(0)


def reads_anything(self: Sound, artefact: Path) -> dict[str, Any]:
    try:
        return Sound.read(self, artefact)
    except ModelFailure:
        return {"kind": "tensors", "seed": 0}


def reads_the_beginning(self: Sound, artefact: Path) -> dict[str, Any]:
    if artefact.is_file() and artefact.read_text().startswith('{"kind"'):
        return {"kind": "tensors", "seed": 0}
    return Sound.read(self, artefact)


def reads_without_a_name(self: Sound, artefact: Path) -> dict[str, Any]:
    try:
        return Sound.read(self, artefact)
    except ModelFailure:
        raise ModelFailure("bad file") from None


def reads_bare(self: Sound, artefact: Path) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(artefact.read_text())
    return model


def opens_another(self: Sound, artefact: Path, content: bytes, configuration: Configuration) -> Any:
    return Sound.open_bytes(self, artefact, content.replace(b"3", b"4"), configuration)


def writes_what_it_opens(self: Sound, artefact: Path, content: bytes, configuration: Configuration) -> Any:
    artefact.write_bytes(content)
    return Sound.open(self, artefact, configuration)


def places(placement: Mapping[str, Mapping[str, int]]) -> Any:
    return lambda self: placement


def check_with(**bounds: bool) -> Callable[[Language, Sequence[int]], None]:
    """Lets pass what the sound model refuses for the reasons named."""

    def check(self: Language, tokens: Sequence[int]) -> None:
        if not tokens and bounds.get("empty"):
            tokens = [1]
        if bounds.get("vocabulary"):
            tokens = [token % VOCABULARY for token in tokens]
        if bounds.get("context") and self.length + len(tokens) > CONTEXT:
            self.reset()
            tokens = tokens[:CONTEXT]
        Language.check(self, tokens)

    return check


def extends_nothing(self: Language, tokens: Sequence[int]) -> Array:
    return Language.extend(self, tokens) if tokens else np.asarray(self.state @ self.output)


def wraps(self: Language, tokens: Sequence[int]) -> Array:
    return Language.rows(self, [token % VOCABULARY for token in tokens])


FAULTS: dict[str, Fault] = {
    # The cache.
    "reset leaves the cache": in_language("test_the_same_tokens_give_the_same_logits", reset=reset_length_only),
    "cache ignored": in_language("test_the_past_matters", rows=forgets_before),
    "cache ignored by chunks": in_language("test_appending_at_depth_equals_one_pass", rows=forgets_before_a_chunk),
    "decoded tokens not kept": in_language("test_token_by_token_equals_one_pass", decode=decodes_without_keeping),
    # The row.
    "row of the first token": in_language("test_token_by_token_equals_one_pass", extend=answers_for_the_first),
    "row before the last token": in_language("test_the_last_token_matters", rows=answers_before_the_last),
    "scored rows shifted": in_language("test_score_gives_the_logits_of_all_positions", score=scores_from_the_second),
    "scoring leaves a cache": in_language("test_score_gives_the_logits_of_all_positions", score=scores_and_keeps),
    # What cannot be an answer.
    "rewinding leaves the end": in_language("test_rewinding_leaves_the_beginning", rewind=rewinds_the_length),
    "one text for several": in_language("test_several_answers_are_those_of_each_alone", alone=shares_one_text),
    "several stamped at the end": in_language(
        "test_several_answers_have_stamps_that_can_be", answer_several=stamps_at_the_end
    ),
    "any several": in_language("test_several_that_do_not_fit_are_refused", check_request=lets_any_request_pass),
    "rewinding beyond the text": in_language("test_rewinding_leaves_the_beginning", rewind=rewinds_anywhere),
    "logits of zeros": in_language("test_logits_are_one_finite_row", extend=extends(np.zeros_like)),
    "logits of NaN": in_language("test_logits_are_one_finite_row", extend=extends(lambda row: row * np.nan)),
    "NaN in a buffer used again": in_language("test_logits_are_one_finite_row", extend=nan_in_prefill),
    "logits of integers": in_language("test_logits_are_one_finite_row", extend=extends(lambda row: row.astype(int))),
    "logits in a batch": in_language("test_logits_are_one_finite_row", extend=extends(lambda row: row[None])),
    "outputs of zeros": in_tensors("test_outputs_can_be_an_answer", scores=scores(np.zeros_like)),
    "outputs of one value": in_tensors("test_outputs_can_be_an_answer", scores=scores(lambda s: np.full_like(s, 2.5))),
    "one NaN": in_tensors("test_outputs_can_be_an_answer", scores=scores(lambda s: np.where(s == s.max(), np.nan, s))),
    "labels of zeros only": in_tensors(
        "test_outputs_can_be_an_answer",
        run=lambda self, inputs: {"label": np.zeros(2, np.int64)},
    ),
    # The signature.
    "outputs of another type": in_tensors(
        "test_outputs_are_those_of_the_signature", scores=scores(lambda s: s.astype(np.float64))
    ),
    "outputs of another shape": in_tensors(
        "test_outputs_are_those_of_the_signature", scores=scores(lambda s: s[:, :2])
    ),
    "outputs of another rank": in_tensors("test_outputs_are_those_of_the_signature", scores=scores(lambda s: s[None])),
    "an output missing": in_tensors(
        "test_outputs_are_those_of_the_signature", run=lambda self, inputs: {"scores": self.scores(inputs["x"])}
    ),
    "outputs that drift": in_tensors("test_the_same_inputs_give_the_same_outputs", scores=drifts),
    "a missing input is a KeyError": in_tensors("test_a_missing_input_is_refused", run=runs_without_looking),
    # Requests.
    "an unknown accelerator replaced": in_adapter(
        "test_an_unknown_accelerator_is_refused", check=checks_only(options=True, more=True)
    ),
    "an unknown option ignored": in_adapter(
        "test_an_unknown_option_is_refused", check=checks_only(accelerator=True, more=True, fail=True)
    ),
    "an unknown accelerator option ignored": in_adapter(
        "test_an_unknown_accelerator_option_is_refused_or_told",
        check=checks_only(accelerator=True, options=True, fail=True),
    ),
    "an accelerator left out in silence": in_adapter(
        "test_an_accelerator_takes_part_or_refuses", effective=changed("effective", refusal=None)
    ),
    "an accelerator in another spelling": in_adapter(
        "test_an_accelerator_takes_part_or_refuses", effective=changed("effective", accelerators=("CPU",))
    ),
    "a refusal without a reason": in_adapter(
        "test_an_accelerator_takes_part_or_refuses", effective=changed("effective", refusal=Refusal("", 1))
    ),
    "a refusal that does not fail": in_adapter(
        "test_a_refusal_can_be_made_to_fail", check=checks_only(accelerator=True, options=True, more=True)
    ),
    # Processes.
    "a helper that runs on": Fault(Forks, "test_nothing_runs_on_when_a_session_has_closed"),
    "a thread that runs on": Fault(KeepsAThread, "test_nothing_runs_on_when_a_session_has_closed"),
    "a helper for failures": Fault(ForksWhenRefused, "test_a_refused_accelerator_leaves_nothing_running"),
    # Files.
    "a bad file accepted": in_adapter("test_a_bad_file_is_named", read=reads_anything),
    "half a file accepted": in_adapter("test_a_truncated_artefact_is_named", read=reads_the_beginning),
    "a bad file without its name": in_adapter("test_a_bad_file_is_named", read=reads_without_a_name),
    "a bad file's error let through": in_adapter("test_a_bad_file_is_named", read=reads_bare),
    "another model in memory": in_adapter("test_a_model_in_memory_answers_as_its_file", open_bytes=opens_another),
    "what is in memory written": in_adapter(
        "test_a_model_in_memory_answers_as_its_file", open_bytes=writes_what_it_opens
    ),
    "a bad file described": in_adapter("test_inspection_names_a_bad_file", read=reads_anything),
    "another task described": in_adapter("test_inspection_tells_what_opens", inspect=changed("inspect", task="tensor")),
    # What is told.
    "no operators placed": in_language("test_placement_counts_operators", placement=places({})),
    "operators placed in no number": in_language("test_placement_counts_operators", placement=places({"cpu": {}})),
    "operators placed zero times": in_language(
        "test_placement_counts_operators", placement=places({"cpu": {"MatMul": 0}})
    ),
    "operators placed elsewhere": in_language(
        "test_placement_counts_operators", placement=places({"CPU": {"MatMul": 2}})
    ),
    "no effective accelerator": in_adapter(
        "test_the_effective_configuration_is_told", effective=changed("effective", accelerators=())
    ),
    "another version": in_adapter(
        "test_the_effective_configuration_is_told", effective=changed("effective", runtime_version="unknown")
    ),
    "facts that are no JSON": in_adapter(
        "test_the_effective_configuration_is_told", effective=changed("effective", facts={"path": Path()})
    ),
    "a kind of cache that there is not": in_language(
        "test_the_effective_configuration_is_told",
        __init__=begins_without_a_cache,
    ),
    "available without a version": in_adapter(
        "test_availability_names_a_version_or_a_reason", availability=changed("availability", version="unknown")
    ),
    "unavailable without a reason": in_adapter(
        "test_availability_names_a_version_or_a_reason", availability=changed("availability", available=False)
    ),
    "formats as one text": in_adapter("test_name_and_formats_are_words", formats=".sound"),
    # Tokens.
    "tokens beyond the vocabulary wrapped": in_language(
        "test_a_token_beyond_the_vocabulary_is_refused", check=check_with(vocabulary=True), rows=wraps
    ),
    "no tokens answered": in_language(
        "test_no_tokens_are_refused", check=check_with(empty=True), extend=extends_nothing
    ),
    "a long prompt cut": in_language(
        "test_a_prompt_longer_than_the_context_is_refused", check=check_with(context=True)
    ),
    "a full context begun anew": in_language("test_a_full_context_takes_no_more", check=check_with(context=True)),
    # Times of its own, and another process.
    "times that the call did not take": in_tensors(
        "test_times_of_its_own_fit_into_the_call", run_timed=times(taken_ns=10**10)
    ),
    "a time too many": in_tensors("test_times_of_its_own_fit_into_the_call", run_timed=times(taken_ns=1, more=1)),
    "another answer where it is timed": in_tensors(
        "test_times_of_its_own_fit_into_the_call", run_timed=times(taken_ns=1, scale=2)
    ),
    "memory of the process itself": in_language(
        "test_the_process_that_computes_was_started_here", process=lambda self: os.getpid()
    ),
    "memory of another's process": in_language(
        "test_the_process_that_computes_was_started_here", process=lambda self: 1
    ),
    "a process without a name": in_language("test_the_process_that_computes_was_started_here", computed_in=""),
    # A loop of its own.
    "stamps by no clock": in_generating("test_the_clock_is_told", clock=StampClock("", "host", 1)),
    "stamps by a clock without steps": in_generating("test_the_clock_is_told", clock=StampClock("rdtsc", "host", 0)),
    "one token more": in_generating("test_as_many_tokens_come_as_are_asked_for", generate=writes_one_more),
    "neither tokens nor text": in_generating(
        "test_as_many_tokens_come_as_are_asked_for", generate=writes(tokens=lambda stream: None)
    ),
    "stamps that go back": in_generating(
        "test_stamps_are_in_order_and_within_the_call",
        generate=writes(stamps_ns=lambda stream: list(stream.stamps_ns)[::-1]),
    ),
    "stamps of another clock": in_generating(
        "test_stamps_are_in_order_and_within_the_call",
        generate=writes(
            began_ns=lambda stream: stream.began_ns - 10**9,
            stamps_ns=lambda stream: [stamp - 10**9 for stamp in stream.stamps_ns],
        ),
    ),
    "stamps in another unit": in_generating(
        "test_stamps_are_in_order_and_within_the_call",
        clock=StampClock("its own", "device", 1),
        generate=writes(
            began_ns=lambda stream: 0,
            stamps_ns=lambda stream: [1000 * (stamp - stream.began_ns) for stamp in stream.stamps_ns],
        ),
    ),
    "an answer that goes on": in_generating("test_the_same_prompt_gives_the_same_answer", begin=lambda self: None),
    "a long answer cut": in_generating(
        "test_an_answer_beyond_the_context_is_refused", generate=writes_within_the_context
    ),
    "any prompt taken": in_generating("test_a_prompt_of_a_kind_that_is_not_taken_is_refused", generate=takes_anything),
}

ADAPTERS: dict[str, type[Sound]] = {"sound": Sound, **{name: fault.adapter for name, fault in FAULTS.items()}}
