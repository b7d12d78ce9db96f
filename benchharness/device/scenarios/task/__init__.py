"""Scenario `task`: what a task asks of the model is answered here, and scored on the host.

Of language models `asked` is what a task asks, `texts` makes tokens of it, `reader` feeds them, `writer` has the model
write; `tensors` feeds all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchharness.contract import LanguageSession
from benchharness.device.measured import raw_rows
from benchharness.device.own_report import OwnReporter
from benchharness.device.scenarios.task.asked import GENERATE, LIKELIHOOD, Request, read
from benchharness.device.scenarios.task.reader import Reader
from benchharness.device.scenarios.task.tensors import answered
from benchharness.device.scenarios.task.texts import Split, Texts
from benchharness.device.scenarios.task.writer import Writer
from benchharness.device.self_timed import NO_LOGITS, SelfTimed
from benchharness.errors import Unsupported
from benchharness.records import TASK_LIKELIHOODS, LikelihoodRow

if TYPE_CHECKING:
    from benchharness.device.scenarios.stage import Stage

#: Nothing here is timed: what another runtime computes is an answer, too.
COMPUTED = True


def measure(stage: Stage) -> list[dict[str, Any]]:
    """Rows `task_likelihoods`; what the model wrote is told in `answers`, by request, and tensors in `outputs`."""
    session = stage.session
    if isinstance(session, SelfTimed):
        raise Unsupported(NO_LOGITS)
    if isinstance(session, OwnReporter):
        raise Unsupported("this program measures itself, and hands no answer out; ask tasks through another adapter")
    if not isinstance(session, LanguageSession):
        stage.told["outputs"] = answered(stage)
        return []
    return _Answers(stage, session).measured(read(stage.workload["data"]))


class _Answers:
    """The answers of a language model."""

    def __init__(self, stage: Stage, session: LanguageSession) -> None:
        if stage.tokenizer is None:
            raise Unsupported("there is no tokenizer.json beside the model; name one with 'tokenizer'")
        settings = stage.settings
        self._stage = stage
        self._context_length = session.context_length
        self._vocabulary = session.vocabulary_size
        self._texts = Texts(stage.tokenizer, settings.get("prefix_token"))
        self._reader = Reader(session, settings["evaluation"])
        self._writer = Writer(self._reader, stage.tokenizer, settings.get("end_tokens") or (), session.context_length)

    def measured(self, requests: Sequence[Request]) -> list[dict[str, Any]]:
        """All of them, in their order; what fits no context is refused before any is answered."""
        asked = [self._asked(request) for request in requests]
        self._check(requests, asked)
        rows, texts = [], {}
        for number, (request, splits) in enumerate(zip(requests, asked)):
            self._stage.progress("answer", number, len(requests))
            if request.kind == GENERATE:
                texts[str(number)] = self._writer.written(splits[0].context, request.until, request.most_tokens)
            else:
                rows.append(self._likelihood(number, splits))
        self._stage.told["answers"] = texts
        self._stage.told["asked"] = {
            "requests": len(requests),
            "prefills": self._reader.prefills,
            "merged": sum(split.merged for splits in asked for split in splits),
            "in_windows": sum(len(splits) > 1 for splits in asked),
        }
        total = sum(row.log_likelihood for row in rows)
        return [raw_rows(TASK_LIKELIHOODS, {}, total, TASK_LIKELIHOODS.flat(rows))] if rows else []

    def _asked(self, request: Request) -> list[Split]:
        if request.kind == GENERATE:
            return [Split(self._texts.prompt(request.before), ())]
        if request.kind == LIKELIHOOD:
            return [self._texts.split(request.before, request.text)]
        return self._texts.windows(request.text, self._context_length)

    def _likelihood(self, number: int, splits: Sequence[Split]) -> LikelihoodRow:
        found = [self._reader.likelihood(split.context, split.tokens) for split in splits]
        return LikelihoodRow(
            request=number,
            log_likelihood=sum(each.nats for each in found),
            greedy=int(all(each.greedy for each in found)),
            tokens=sum(len(split.tokens) for split in splits),
        )

    def _check(self, requests: Sequence[Request], asked: Sequence[Sequence[Split]]) -> None:
        """Nothing is cut to fit: a document without its beginning is another one."""
        needed = [
            max((len(split.context) + max(len(split.tokens) - 1, 0) for split in splits), default=0) for splits in asked
        ]
        limits: Mapping[str, int] = {GENERATE: self._context_length - 1}  # room for one token at least
        over = [
            tokens
            for request, tokens in zip(requests, needed)
            if tokens > limits.get(request.kind, self._context_length)
        ]
        if over:
            raise Unsupported(
                f"{len(over)} of {len(requests)} requests do not fit this model's context of {self._context_length} "
                f"tokens, the longest takes {max(over)}; ask with fewer examples (fewshot), or leave them out"
            )
        highest = max(
            (token for splits in asked for split in splits for token in (*split.context, *split.tokens)), default=0
        )
        if highest >= self._vocabulary:
            raise Unsupported(
                f"the tokenizer gives token {highest}, and the model's vocabulary ends at {self._vocabulary - 1}"
            )
