"""Language models compared: every scored token's divergence, and how long greedy answers stay the same.

A chunk's first part is context only (see `texts`); from there each token of the text is predicted by both, token by
token through the cache (`decode`) or in one pass over the chunk (`prefill`). The two differ under dynamic
quantization, whose scales span whatever is computed at once.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.line import protocol
from benchharness.device.measured import raw_rows
from benchharness.device.scenarios.quality import sampling
from benchharness.device.scenarios.quality.answers import alike, answer
from benchharness.device.scenarios.quality.divergence import divergence_of, softened, tempered, token_row
from benchharness.device.scenarios.quality.scorer_process import ScorerProcess
from benchharness.device.scenarios.quality.sizes import Sizes
from benchharness.device.scenarios.quality.texts import Chunk, Used, chunks_of
from benchharness.errors import AttemptError, Unsupported
from benchharness.records import (
    ANSWERS_ALIKE,
    GREEDY_PREFIX,
    SCORED_CHUNKS,
    TEMPERED_DIVERGENCE,
    TOKEN_DIVERGENCE,
    AnswerRow,
    ChunkRow,
    TokenRow,
)

if TYPE_CHECKING:
    from benchharness.device.scenarios.quality.conductor import Pass

#: A scored token in an answer, at most: three numbers of 24 characters, one of 3, commas; and what else is told.
_ROW_BYTES = 80
_NUMBER_BYTES = 25  # of its divergence at a temperature
#: A chunk in an answer, at most: three whole numbers of up to 10 digits each.
_CHUNK_BYTES = 40
_MOST_EXAMPLES = 20
_MOST_CONTINUATIONS = 4
_LONGEST_TEXT = 200
_CONTEXT_SHOWN = 24  # tokens
_NAME_IT = 'name the variant\'s own, tokenizer = "…" under the variant, to compare them by bits per byte and answers'


def compare(
    made: Pass,
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    tokenizer: Tokenizer | None,
    progress: Callable[[str, int, int], None],
) -> dict[str, dict[str, Any]]:
    """By attempt: measurements `token_divergence` and `greedy_prefix`, and examples. Raises what the reference does."""
    length = settings["chunk_tokens"]
    used = chunks_of(
        data, tokenizer, length=length, most=settings["most_chunks"], context_share=settings["context_share"]
    )
    chunks = used.chunks
    _check_models(made, chunks, settings["continuation_tokens"])
    temperature = (settings.get("distillation") or {}).get("temperature", 1.0)
    _check_answer(chunks, len(made.variants), _ROW_BYTES + (_NUMBER_BYTES if temperature != 1 else 0))
    kept = {attempt: _Kept(temperature) for attempt in made.variants}
    sizes = Sizes(used, tokenizer)  # a tokenizer that cannot spell is refused before models compute for hours
    for number, chunk in enumerate(chunks):
        progress("compare", number, len(chunks))
        _compare_chunk(made, chunk, settings["evaluation"], kept)
    greedy = _greedy(made, chunks, settings, tokenizer, progress)
    parameters = _parameters(used, settings)
    told = {"evaluated": used.facts, **({"tokenizer": tokenizer.facts()} if tokenizer else {})}
    if distilled := settings.get("distillation"):
        told["distillation"] = distilled
    if sizes.unread:
        told["vocabularies"] = {"unread": sizes.unread}
    return {
        attempt: {
            "measurements": [
                *kept[attempt].measurements(parameters, chunks),
                *sizes.measurements(kept[attempt].losses, parameters),
                *greedy[attempt].measurements,
            ],
            "shown": {
                "examples": kept[attempt].examples(chunks, tokenizer),
                "continuations": greedy[attempt].shown(tokenizer),
                **told,
            },
        }
        for attempt in made.variants
    }


def _parameters(used: Used, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the figures stand on. Where all chunks are scored alike, it is said from where and how many tokens."""
    length, alike = settings["chunk_tokens"], {(chunk.first, chunk.scored) for chunk in used.chunks}
    first, scored = next(iter(alike))
    return {
        "evaluation": settings["evaluation"],
        "chunk_tokens": length,
        **({"scored_from": first, "scored": scored} if len(alike) == 1 else {}),
        "chunks": len(used.chunks),
        "used": used.counted,
        "leading_tokens": used.leading,
        **({"prefill_chunk": length} if settings["evaluation"] == "prefill" else {}),
    }


def _check_models(made: Pass, chunks: Sequence[Chunk], continuation: int) -> None:
    size, context = made.reference.opened["vocabulary_size"], made.reference.opened["context_length"]
    needed = max(len(chunk.tokens) for chunk in chunks) + continuation
    highest = max(max(chunk.tokens) for chunk in chunks)
    if highest >= size:
        raise Unsupported(f"the evaluation data has token {highest}, and the reference's vocabulary ends at {size - 1}")
    if needed > context:
        raise Unsupported(f"chunk and continuation take {needed} tokens, and the reference's context has {context}")
    for attempt, scorer in list(made.variants.items()):
        theirs = scorer.opened["vocabulary_size"]
        if theirs != size:
            told = f"the vocabularies differ: the reference has {size} tokens, this variant {theirs}; {_NAME_IT}"
            made.leave(attempt, Unsupported(told))
        elif needed > scorer.opened["context_length"]:
            told = f"chunk and continuation take {needed} tokens, and this variant's context has "
            made.leave(attempt, Unsupported(f"{told}{scorer.opened['context_length']}; set a smaller chunk_tokens"))


def _check_answer(chunks: Sequence[Chunk], variants: int, row_bytes: int) -> None:
    """Raises `Unsupported` where the rows of all variants would not fit one line, before anything is computed."""
    variants, scored = max(1, variants), max(chunk.scored for chunk in chunks)
    needed = variants * sum(row_bytes * chunk.scored + _CHUNK_BYTES for chunk in chunks)
    if needed > protocol.LONGEST_LINE_BYTES:
        most = protocol.LONGEST_LINE_BYTES // ((row_bytes * scored + _CHUNK_BYTES) * variants)
        raise Unsupported(
            f"{len(chunks)} chunks of {scored} scored tokens for {variants} variants do not fit one answer: set "
            f"most_chunks to {most} or less under [scenarios.quality], or measure fewer variants at once"
        )


class _Kept:
    """What is kept of one variant: four numbers a token, and the two most probable tokens where they differ most."""

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature
        self._rows = array("d")  # boxed numbers would take four times the memory
        self._tempered = array("d")  # the divergence at that temperature, where it is not 1
        self._worst: list[tuple[float, int, int, int]] = []  # KLD, index, reference's top, variant's top

    def add(self, row: TokenRow, reference_top: int, variant_top: int) -> None:
        """The next scored token's numbers."""
        index = TOKEN_DIVERGENCE.count(self._rows)
        self._rows.extend(row)
        divergence = row.kld
        if divergence > 0 and (len(self._worst) < _MOST_EXAMPLES or divergence > self._worst[-1][0]):
            self._worst.append((divergence, index, reference_top, variant_top))
            self._worst = sorted(self._worst, reverse=True)[:_MOST_EXAMPLES]

    def add_tempered(self, divergence: float) -> None:
        """The same token's divergence at the temperature asked for."""
        self._tempered.append(divergence)

    @property
    def losses(self) -> tuple[Any, Any]:
        """-ln p of each scored token, of the reference and of the variant."""
        columns = TOKEN_DIVERGENCE.by_name(np.frombuffer(self._rows))
        return columns["nll_reference"], columns["nll_variant"]

    def measurements(self, parameters: Mapping[str, Any], chunks: Sequence[Chunk]) -> list[dict[str, Any]]:
        """The rows, and which chunk of which document each belongs to."""
        divergence = TOKEN_DIVERGENCE.by_name(np.frombuffer(self._rows))["kld"]
        of_chunks = (ChunkRow(document=chunk.document, first=chunk.first, scored=chunk.scored) for chunk in chunks)
        found = [
            raw_rows(TOKEN_DIVERGENCE, parameters, float(divergence.mean()), self._rows.tolist()),
            raw_rows(SCORED_CHUNKS, {}, len(divergence), SCORED_CHUNKS.flat(of_chunks)),
        ]
        if self._tempered:
            told = {"temperature": self.temperature}
            mean = float(np.frombuffer(self._tempered).mean())
            found.append(raw_rows(TEMPERED_DIVERGENCE, told, mean, self._tempered.tolist()))
        return found

    def examples(self, chunks: Sequence[Chunk], tokenizer: Tokenizer | None) -> list[dict[str, Any]]:
        """The worst positions, in words where there is a tokenizer."""
        ends = np.cumsum([chunk.scored for chunk in chunks])
        found = []
        for divergence, index, reference, variant in self._worst:
            number = int(np.searchsorted(ends, index, side="right"))
            chunk = chunks[number]
            position = len(chunk.tokens) - int(ends[number]) + index
            before = chunk.tokens[max(0, position - _CONTEXT_SHOWN) : position]
            found.append(
                {
                    "chunk": number,
                    "position": position,
                    "kld": divergence,
                    "context": _text(tokenizer, before),
                    "target": _text(tokenizer, [chunk.tokens[position]]),
                    "reference_top": _text(tokenizer, [reference]),
                    "variant_top": _text(tokenizer, [variant]),
                }
            )
        return found


def _compare_chunk(made: Pass, chunk: Chunk, evaluation: str, kept: Mapping[str, _Kept]) -> None:
    """Token by token: nothing waits here but one row of each model."""
    made.tell({"type": "score", "tokens": chunk.tokens, "from": chunk.first, "evaluation": evaluation})
    size = made.reference.opened["vocabulary_size"]
    for target in chunk.tokens[chunk.first :]:
        reference = made.of_reference(lambda scorer: scorer.row(size))
        answers = made.of_each(lambda scorer: scorer.row(size))
        began_ns = time.perf_counter_ns()
        theirs = softened(reference, "the reference")
        temperature = next((kept[attempt].temperature for attempt in answers), 1.0)
        warmed = tempered(reference, temperature, "the reference") if temperature != 1 else None
        for attempt, row in answers.items():
            try:
                ours = softened(row, "this variant")
                kept[attempt].add(token_row(theirs, ours, target), theirs.top, ours.top)
                if warmed is not None:
                    kept[attempt].add_tempered(divergence_of(warmed, tempered(row, temperature, "this variant")))
            except AttemptError as error:
                made.leave(attempt, error)
        made.metric_ns += time.perf_counter_ns() - began_ns
    made.of_reference(ScorerProcess.json)
    made.of_each(ScorerProcess.json)


class _Greedy:
    """Greedy continuations of one variant beside the reference's."""

    def __init__(self) -> None:
        self.measurements: list[dict[str, Any]] = []
        self._pairs: list[tuple[Sequence[int], Sequence[int], Sequence[int], int]] = []

    def alike(self, tokenizer: Tokenizer) -> list[AnswerRow]:
        """Both as texts."""
        both = (
            [answer(tokenizer, prompt, tokens) for tokens in (reference, variant)]
            for prompt, reference, variant, _ in self._pairs
        )
        return [alike(*pair) for pair in both if pair[0].text or pair[0].ended]

    def add(self, prompt: Sequence[int], reference: Sequence[int], variant: Sequence[int]) -> int:
        """Notes both; the length of what they share."""
        same = next((at for at, pair in enumerate(zip(reference, variant)) if pair[0] != pair[1]), len(reference))
        self._pairs.append((prompt, reference, variant, same))
        return same

    def shown(self, tokenizer: Tokenizer | None) -> list[dict[str, Any]]:
        """The continuations that part soonest."""
        soonest = sorted(self._pairs, key=lambda pair: pair[3])[:_MOST_CONTINUATIONS]
        return [
            {
                "prompt": _text(tokenizer, prompt[-_CONTEXT_SHOWN:]),
                "reference": _text(tokenizer, reference),
                "variant": _text(tokenizer, variant),
                "same": same,
            }
            for prompt, reference, variant, same in soonest
        ]


def _greedy(
    made: Pass,
    chunks: Sequence[Chunk],
    settings: Mapping[str, Any],
    tokenizer: Tokenizer | None,
    progress: Callable[[str, int, int], None],
) -> dict[str, _Greedy]:
    """Greedy answers to the context of some chunks."""
    count = settings["continuation_tokens"]
    picked = sampling.evenly(len(chunks), settings["continuation_prompts"] if count else 0)
    prompts = [chunks[number].tokens[: chunks[number].first] for number in picked]
    found = {attempt: _Greedy() for attempt in made.variants}
    lengths: dict[str, list[float]] = {attempt: [] for attempt in made.variants}
    for number, prompt in enumerate(prompts):
        progress("continue", number, len(prompts))
        made.tell({"type": "continue", "tokens": prompt, "count": count})
        reference = made.of_reference(_continued)
        for attempt, variant in made.of_each(_continued).items():
            lengths[attempt].append(float(found[attempt].add(prompt, reference, variant)))
    for attempt, samples in lengths.items():
        if samples:
            shortest, longest = min(map(len, prompts)), max(map(len, prompts))
            parameters = {
                "prompt_tokens": shortest if shortest == longest else f"{shortest} to {longest}",
                "continuation_tokens": count,
                "used": sampling.told(len(prompts), len(chunks), "chunks as prompts"),
            }
            mean = sum(samples) / len(samples)
            found[attempt].measurements.append(raw_rows(GREEDY_PREFIX, parameters, mean, samples))
            rows = found[attempt].alike(tokenizer) if tokenizer else []
            if rows:
                told = {
                    "continuation_tokens": count,
                    "used": sampling.told(len(rows), len(chunks), "chunks as prompts"),
                }
                same = sum(row.exact for row in rows) / len(rows)
                found[attempt].measurements.append(raw_rows(ANSWERS_ALIKE, told, same, ANSWERS_ALIKE.flat(rows)))
    return found


def _continued(scorer: ScorerProcess) -> Sequence[int]:
    tokens: Sequence[int] = scorer.json()["tokens"]
    scorer.json()
    return tokens


def _text(tokenizer: Tokenizer | None, tokens: Sequence[int]) -> str:
    if tokenizer is None:
        return " ".join(str(token) for token in tokens)[-_LONGEST_TEXT:]
    return tokenizer.decode(tokens)[-_LONGEST_TEXT:]
