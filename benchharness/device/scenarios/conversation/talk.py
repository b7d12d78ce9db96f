"""Replays a conversation in one session, and tells of every turn: first token, rate, context, memory.

Every variant is fed the same answers, those of the file or seeded ones, so that all of them read the same conversation.
A runtime that writes by its own loop keeps nothing between calls: there each turn reads everything again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchharness.contract import LanguageSession
from benchharness.device.inputs.requests import check_logits, check_tokens
from benchharness.device.measured import measurement, raw_rows
from benchharness.device.scenarios.conversation.kept import Context, Reading
from benchharness.device.scenarios.conversation.turns import TurnTokens, read_turns, tokens_of
from benchharness.device.scenarios.stage import Stage
from benchharness.device.self_timed import SelfTimed, StreamRequest
from benchharness.device.sensors import memory
from benchharness.device.timing import quiet_collector
from benchharness.errors import Unsupported
from benchharness.records import CONVERSATION_TURNS, TurnEnd, TurnRow

#: (time to the first token in ns, tokens a second after it)
Timed = tuple[int, float]


def measure(stage: Stage) -> list[dict[str, Any]]:
    """Figures by turn, and a row for each. Raises `Unsupported` where not even the first turn has room."""
    session = stage.session
    if isinstance(session, LanguageSession):
        size, length, keeps = session.vocabulary_size, session.context_length, True
    elif isinstance(session, SelfTimed):
        if session.vocabulary_size is None:
            raise Unsupported("a conversation is fed by token ids, and this runtime takes a prompt as text only")
        size, length, keeps = session.vocabulary_size, session.context_length, False
    else:
        raise Unsupported("a conversation needs a causal language model")
    turns = read_turns(Path(stage.settings["file"]))
    told = tokens_of(turns, size, stage.tokenizer)
    for each in told:
        check_tokens("conversation", [*each.said, *each.answer], size)
    context = Context(length, stage.settings["when_full"], keeps)
    rows: list[TurnRow] = []
    for number, (turn, ids) in enumerate(zip(turns, told)):
        stage.progress("turn", number, len(turns))
        if stage.settings["thinks"] and turn.think_s:
            time.sleep(turn.think_s)
        rows.append(_turn(session, number, ids, context))
        if number == 0:
            stage.phases.end("first_request")
        if rows[-1].end == TurnEnd.CONTEXT_FULL:
            rows += [_full(later, told[later], context.used) for later in range(number + 1, len(turns))]
            break
    if rows[0].end == TurnEnd.CONTEXT_FULL:
        raise Unsupported(f"the first turn has {len(told[0])} tokens, more than the model's context of {length}")
    return [*_by_turn(rows), raw_rows(CONVERSATION_TURNS, {}, len(rows), CONVERSATION_TURNS.flat(rows))]


def _turn(session: Any, number: int, ids: TurnTokens, context: Context) -> TurnRow:
    reading = context.next(ids)
    if reading is None:
        return _full(number, ids, context.used)
    with quiet_collector():
        ttft, rate = (
            _self_timed(session, reading, ids) if isinstance(session, SelfTimed) else _fed(session, reading, ids)
        )
    context.took(ids)
    return TurnRow(
        turn=number,
        end=TurnEnd.ANSWERED_ANEW if reading.dropped else TurnEnd.ANSWERED,
        new=len(ids.said),
        read=len(reading.tokens),
        written=len(ids.answer),
        context=context.used,
        ttft=ttft,
        rate=rate,
        resident=memory.read().settled.get("rss", 0),
    )


def _full(number: int, ids: TurnTokens, used: int) -> TurnRow:
    nothing = {"read": 0, "written": 0, "ttft": 0, "rate": 0, "resident": 0}
    return TurnRow(turn=number, end=TurnEnd.CONTEXT_FULL, new=len(ids.said), context=used, **nothing)


def _fed(session: LanguageSession, reading: Reading, ids: TurnTokens) -> Timed:
    """Token by token. The first is chosen from what was read; the last is fed with the turn after it."""
    clock, answer = time.perf_counter_ns, ids.answer
    began = clock()
    if reading.anew:
        session.reset()
    logits = session.extend(list(reading.tokens))
    int(logits.argmax())
    first = last = clock()
    for token in answer[:-1]:
        logits = session.decode(token)
        int(logits.argmax())
        last = clock()
    check_logits(logits, session.vocabulary_size)
    after = len(answer) - 1
    return first - began, after * 1e9 / (last - first) if after else 0.0


def _self_timed(session: SelfTimed, reading: Reading, ids: TurnTokens) -> Timed:
    written = session.write(StreamRequest(list(reading.tokens), len(ids.answer)), len(ids.answer))
    (first,) = session.timed([written.first_ns], "a first token")
    return first, written.after_first * 1e9 / written.span_ns if written.after_first and written.span_ns > 0 else 0.0


def _by_turn(rows: Sequence[TurnRow]) -> list[dict[str, Any]]:
    """The figures of answered turns, from 1 on, and what they come to."""
    found = []
    for row in rows:
        if row.end == TurnEnd.CONTEXT_FULL:
            continue
        turn = {"turn": int(row.turn) + 1}
        found.append(measurement("turn_ttft", turn, row.ttft))
        if row.rate:
            found.append(measurement("turn_decode_rate", turn, row.rate))
        if row.resident:
            found.append(measurement("turn_memory", turn, row.resident))
    answered = [row for row in rows if row.end != TurnEnd.CONTEXT_FULL]
    found.append(measurement("turns_answered", {}, len(answered)))
    found.append(measurement("conversation_ttft", {}, median(row.ttft for row in answered)))
    grown = _grown(answered)
    return [*found, *([measurement("cache_growth", {}, grown)] if grown else [])]


def _grown(rows: Sequence[TurnRow]) -> float:
    """Bytes of resident memory that each further token of context took, from the second turn to the last; 0: unknown.

    The first turn makes buffers of its own. A context that was emptied on the way tells nothing.
    """
    if len(rows) < 3 or any(row.end != TurnEnd.ANSWERED for row in rows) or not all(row.resident for row in rows):
        return 0.0
    tokens, held = rows[-1].context - rows[1].context, rows[-1].resident - rows[1].resident
    return held / tokens if tokens > 0 and held > 0 else 0.0
