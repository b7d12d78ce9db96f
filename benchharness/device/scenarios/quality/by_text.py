"""A variant of another vocabulary beside its reference: the same bytes, each read through its own tokenizer.

No token of one is a token of the other, so what is compared is what both say of texts: how probable each finds the same
stretches of them, after the same text, and what each writes next. The stretches lie between borders of both tokenizers,
so that the tokens of either stand for the same bytes; those that a tokenizer puts before a text begin every one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.line import protocol
from benchharness.device.measured import raw_rows
from benchharness.device.scenarios.quality import sampling
from benchharness.device.scenarios.quality.answers import SLACK, Answer, alike, answer, goes_on
from benchharness.device.scenarios.quality.borders import (
    Borders,
    Side,
    Window,
    borders_of,
    unread,
    windows_of,
)
from benchharness.device.scenarios.quality.divergence import nats_of, softened
from benchharness.device.scenarios.quality.scorer_process import ScorerFailed, ScorerProcess
from benchharness.device.scenarios.quality.texts import texts_of
from benchharness.errors import AttemptError, Unsupported
from benchharness.records import ANSWERS_ALIKE, SCORED_TEXTS, AnswerRow, TextRow

if TYPE_CHECKING:
    from benchharness.device.scenarios.quality.conductor import Pass

_WHOSE = ("the reference", "this variant")
#: A window in an answer, at most: two numbers of 24 characters, four whole ones, commas.
_ROW_BYTES = 120
#: Of a variant that has written so many times as many tokens as the reference, and less, no more is asked.
_MOST_LONGER = 64
_MOST_SHOWN = 4
_PROMPT_SHOWN, _LONGEST_TEXT = 120, 200


class OtherVocabulary(NamedTuple):
    """A variant's own tokenizer, and why its logits are not the reference's."""

    tokenizer: Tokenizer
    why: str


@dataclass(frozen=True)
class _Read:
    """A document as one side reads it."""

    ids: Sequence[int]
    borders: Borders

    def tokens(self, begin: int, end: int) -> Sequence[int]:
        """Those that stand for the characters between two borders."""
        first, last = self.borders.at(np.array([begin, end])).tolist()
        return self.ids[first:last]


class _Stretch(NamedTuple):
    """A window of a document, its bytes that are scored, and for each side what is fed and from where it is scored."""

    document: int
    text: str  # the context
    size: int
    fed: tuple[Sequence[int], Sequence[int]]
    first: tuple[int, int]


def compare(
    made: Pass,
    attempt: str,
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    speaking: tuple[Tokenizer, OtherVocabulary],
    progress: Callable[[str, int, int], None],
) -> dict[str, dict[str, Any]]:
    """By attempt, where it does not fail: measurements `scored_texts` and `answers_alike`, and what is shown.

    Raises what the reference does.
    """
    tokenizers = (speaking[0], speaking[1].tokenizer)
    try:
        texts = _Texts(data, tokenizers, _longest(made, attempt, tokenizers, settings), settings)
        _check_tokens(texts.used, (made.reference, made.variants[attempt]))
    except AttemptError as error:
        made.leave(attempt, error)
        return {}
    both = _Both(made, attempt, tokenizers)
    rows = []
    if not texts.unread:
        for number, stretch in enumerate(texts.used):
            progress("compare", number, len(texts.used))
            row = both.scored(stretch, settings["evaluation"])
            if row is None:
                return {}
            rows.append(row)
    found = both.answers(texts.prompts(settings), settings["continuation_tokens"], progress)
    if found is None:
        return {}
    told = {"evaluation": settings["evaluation"], "chunk_tokens": settings["chunk_tokens"]}
    measured = []
    if rows:
        nats = sum(row.variant for row in rows)
        measured.append(raw_rows(SCORED_TEXTS, {**told, "used": texts.counted}, nats, SCORED_TEXTS.flat(rows)))
    if found.rows:
        parameters = {"continuation_tokens": settings["continuation_tokens"], "used": found.counted(texts.used)}
        same = sum(row.exact for row in found.rows) / len(found.rows)
        measured.append(raw_rows(ANSWERS_ALIKE, parameters, same, ANSWERS_ALIKE.flat(found.rows)))
    if not measured:
        made.leave(attempt, Unsupported(f"{speaking[1].why}; {texts.unread or 'nothing else was asked for'}"))
        return {}
    apart = {"differ": speaking[1].why, **({"unread": texts.unread} if texts.unread else {})}
    shown = {
        "evaluated": texts.facts,
        "vocabularies": apart,
        **({"distillation": distilled} if (distilled := settings.get("distillation")) else {}),
        "tokenizer": tokenizers[1].facts(),
        "continuations": found.shown(),
    }
    return {attempt: {"measurements": measured, "shown": shown, "of_reference": {"tokenizer": tokenizers[0].facts()}}}


def _longest(
    made: Pass, attempt: str, tokenizers: tuple[Tokenizer, Tokenizer], settings: Mapping[str, Any]
) -> tuple[int, int]:
    """How many tokens of a text each side may have in a window: as in chunks, and as its context holds."""
    contexts = [scorer.opened["context_length"] for scorer in (made.reference, made.variants[attempt])]
    theirs = min(settings["chunk_tokens"], contexts[0]) - len(tokenizers[0].leading)
    return theirs, contexts[1] - len(tokenizers[1].leading)


def _check_tokens(stretches: Sequence[_Stretch], scorers: Sequence[ScorerProcess]) -> None:
    """Raises `Unsupported` for a token that a model has no logit for: the tokenizer is another model's."""
    for side, scorer in enumerate(scorers):
        highest, size = max(max(each.fed[side]) for each in stretches), scorer.opened["vocabulary_size"]
        if highest >= size:
            raise Unsupported(
                f"the tokenizer of {_WHOSE[side]} gives token {highest}, and its model's logits end at {size - 1}: it "
                "is another model's tokenizer"
            )


class _Texts:
    """The evaluation data in stretches that both sides read alike."""

    def __init__(
        self,
        data: Mapping[str, Any],
        tokenizers: tuple[Tokenizer, Tokenizer],
        longest: tuple[int, int],
        settings: Mapping[str, Any],
    ) -> None:
        """Raises `Unsupported` for token ids, and where no stretch can be scored."""
        texts = texts_of(data)
        self.unread = ""
        reads = []
        windows: list[tuple[int, Window]] = []
        for document, text in enumerate(texts):
            reads.append([self._read(each, text, whose) for each, whose in zip(tokenizers, _WHOSE)])
            sides = [Side(read.borders, most) for read, most in zip(reads[-1], longest)]
            windows += [(document, window) for window in windows_of(sides, settings["context_share"])]
        if not windows:
            raise Unsupported(
                "there is no stretch of the text between borders of both tokenizers that fits both contexts "
                f"({longest[0]} tokens of the reference's and {longest[1]} of this variant's) with something to score; "
                "give more text, or set another chunk_tokens or context_share under [scenarios.quality]"
            )
        picked = [windows[number] for number in sampling.evenly(len(windows), settings["most_chunks"])]
        self.used = [_stretch(at, texts[at], window, reads[at], tokenizers) for at, window in picked]
        self._windows, self._documents = len(windows), len(texts)
        self._bytes = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
        if _ROW_BYTES * len(self.used) > protocol.LONGEST_LINE_BYTES:
            raise Unsupported(
                f"{len(self.used)} windows do not fit one answer: set a smaller most_chunks under [scenarios.quality]"
            )

    def _read(self, tokenizer: Tokenizer, text: str, whose: str) -> _Read:
        ids, spans = tokenizer.spans(text)
        if not self.unread and (where := unread(text, tokenizer.decode(ids))):
            self.unread = f"the tokenizer of {whose} reads another text than stands there: {where}"
        return _Read(ids, borders_of(spans, len(text)))

    @property
    def counted(self) -> str:
        """`32 of 86 windows, 12034 of 98085 bytes scored`; of several documents, how many too."""
        documents = len({each.document for each in self.used})
        parts = [sampling.told(documents, self._documents, "documents")] if self._documents > 1 else []
        parts.append(sampling.told(len(self.used), self._windows, "windows"))
        parts.append(sampling.told(sum(each.size for each in self.used), self._bytes, "bytes scored"))
        return ", ".join(parts)

    @property
    def facts(self) -> dict[str, Any]:
        """The same as numbers: each [used, all]; and tokens of the reference and the variant."""
        return {
            "documents": [len({each.document for each in self.used}), self._documents],
            "windows": [len(self.used), self._windows],
            "bytes_scored": [sum(each.size for each in self.used), self._bytes],
            "tokens_fed": [sum(len(each.fed[side]) for each in self.used) for side in (0, 1)],
        }

    def prompts(self, settings: Mapping[str, Any]) -> Sequence[_Stretch]:
        """The windows whose contexts are continued."""
        wanted = settings["continuation_prompts"] if settings["continuation_tokens"] else 0
        return [self.used[number] for number in sampling.evenly(len(self.used), wanted)]


def _stretch(
    document: int,
    text: str,
    window: Window,
    reads: Sequence[_Read],
    tokenizers: tuple[Tokenizer, Tokenizer],
) -> _Stretch:
    fed, first = [], []
    for read, tokenizer in zip(reads, tokenizers):
        context = [*tokenizer.leading, *read.tokens(window.begin, window.first)]
        fed.append([*context, *read.tokens(window.first, window.end)])
        first.append(len(context))
    size = len(text[window.first : window.end].encode("utf-8", "surrogatepass"))
    return _Stretch(document, text[window.begin : window.first], size, (fed[0], fed[1]), (first[0], first[1]))


@dataclass(frozen=True)
class _Answers:
    """Greedy answers of both sides to the same prompts."""

    rows: Sequence[AnswerRow]
    pairs: Sequence[tuple[str, str, str]]  # prompt, reference's, variant's

    def counted(self, windows: Sequence[_Stretch]) -> str:
        return sampling.told(len(self.rows), len(windows), "windows as prompts")

    def shown(self) -> list[dict[str, Any]]:
        """The answers that part soonest."""
        soonest = sorted(range(len(self.rows)), key=lambda at: self.rows[at].shared)[:_MOST_SHOWN]
        return [
            {
                "prompt": self.pairs[at][0][-_PROMPT_SHOWN:],
                "reference": self.pairs[at][1][:_LONGEST_TEXT],
                "variant": self.pairs[at][2][:_LONGEST_TEXT],
                "shared": int(self.rows[at].shared),
            }
            for at in soonest
        ]


class _Both:
    """The reference and one variant, asked in turn. What fails of the variant ends its part; of the reference, all."""

    def __init__(self, made: Pass, attempt: str, tokenizers: tuple[Tokenizer, Tokenizer]) -> None:
        self._made = made
        self._attempt = attempt
        self._tokenizers = tokenizers
        self._scorers = (made.reference, made.variants[attempt])

    def scored(self, stretch: _Stretch, evaluation: str) -> TextRow | None:
        """What both make of a stretch; None where the variant has failed."""
        for scorer, tokens, first in zip(self._scorers, stretch.fed, stretch.first):
            scorer.tell({"type": "score", "tokens": tokens, "from": first, "evaluation": evaluation})
        targets = [tokens[first:] for tokens, first in zip(stretch.fed, stretch.first)]
        nats = [0.0, 0.0]
        failed: AttemptError | None = None
        for pair in zip_longest(*targets):  # in turn, so that both work at once
            for side, target in enumerate(pair):
                if target is None or (side and failed):
                    continue
                try:
                    row = self._row(side)
                    nats[side] += 0.0 if failed else self._nats(row, side, target)
                except AttemptError as error:
                    if isinstance(error, ScorerFailed) and not side:
                        raise
                    failed = failed or error  # what the reference still sends is read, and thrown away
        self._made.of_reference(ScorerProcess.json)
        if failed:
            self._made.leave(self._attempt, failed)
        if failed or not self._ask(ScorerProcess.json):
            return None
        return TextRow(
            document=float(stretch.document),
            size=float(stretch.size),
            reference=nats[0],
            variant=nats[1],
            reference_tokens=float(len(targets[0])),
            variant_tokens=float(len(targets[1])),
        )

    def _row(self, side: int) -> Any:
        scorer = self._scorers[side]
        size = scorer.opened["vocabulary_size"]
        return self._made.of_reference(lambda asked: asked.row(size), scorer)

    def _nats(self, row: Any, side: int, target: int) -> float:
        began_ns = time.perf_counter_ns()
        found = nats_of(softened(row, _WHOSE[side]), target)
        self._made.metric_ns += time.perf_counter_ns() - began_ns
        return found

    def _ask(self, ask: Callable[[ScorerProcess], Any]) -> Any:
        """What the variant gives; None where it fails, and then it has left."""
        try:
            return self._made.of_reference(ask, self._scorers[1])
        except AttemptError as error:
            self._made.leave(self._attempt, error)
            return None

    def answers(
        self, prompts: Sequence[_Stretch], count: int, progress: Callable[[str, int, int], None]
    ) -> _Answers | None:
        """What both write behind the same texts; None where the variant has failed.

        A prompt is left out where the reference writes nothing that can be read, or where a context is full too soon.
        """
        rows, pairs = [], []
        for number, prompt in enumerate(prompts):
            progress("continue", number, len(prompts))
            contexts = [tokens[:first] for tokens, first in zip(prompt.fed, prompt.first)]
            if len(contexts[0]) + count > self._scorers[0].opened["context_length"]:
                continue
            theirs = self._answer(0, contexts[0], count)
            if not theirs.text and not theirs.ended:
                continue
            try:
                ours = self._as_long(contexts[1], theirs, count)
            except AttemptError as error:
                self._made.leave(self._attempt, error)
                return None
            if ours is not None:
                rows.append(alike(theirs, ours))
                pairs.append((prompt.text, theirs.text, ours.text[: len(theirs.text) + SLACK]))
        return _Answers(rows, pairs)

    def _as_long(self, context: Sequence[int], theirs: Answer, count: int) -> Answer | None:
        """The variant's answer, as long as the reference's in characters; None where its context ends before."""
        room = self._scorers[1].opened["context_length"] - len(context)
        most = count * _MOST_LONGER
        while True:
            ours = self._answer(1, context, min(count, room))
            if not goes_on(theirs, ours) or count >= most:
                return ours
            if count >= room:
                over = len(ours.text) - len(theirs.text)
                return ours if over > 0 or (over == 0 and not theirs.ended) else None
            count *= 2

    def _answer(self, side: int, context: Sequence[int], count: int) -> Answer:
        scorer = self._scorers[side]
        scorer.tell({"type": "continue", "tokens": context, "count": count})
        tokens = self._made.of_reference(lambda asked: asked.json()["tokens"], scorer)
        self._made.of_reference(ScorerProcess.json, scorer)
        return answer(self._tokenizers[side], context, tokens)
