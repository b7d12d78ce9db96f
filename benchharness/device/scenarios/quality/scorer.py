"""One loaded model that answers what the conductor asks: a process of its own, under the model's own interpreter.

Commands are JSON lines on standard input: `open`, `score` (logits of a chunk of tokens), `continue` (greedy tokens),
`run` (outputs for one sample), `close`. Answers are frames on a private duplicate of standard output.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from benchharness.contract import Configuration, LanguageSession, ScoresText, Session, TellsLastOperators
from benchharness.device import adapters
from benchharness.device.failures import failure
from benchharness.device.fallback import placement_facts
from benchharness.device.line import protocol
from benchharness.device.opening import opened
from benchharness.device.scenarios.quality import frames
from benchharness.device.scenarios.quality.inputs import Inputs
from benchharness.device.scenarios.quality.no_tensors import said_of, tensor_of
from benchharness.device.self_timed import NO_LOGITS, SelfTimed
from benchharness.device.session_facts import check_task, effective_facts
from benchharness.errors import ProtocolError, Unsupported

if TYPE_CHECKING:
    from benchharness.device.line.orders import Opened


def main() -> None:
    """Opens a model and answers until the conductor has gone. Never raises."""
    answers = protocol.claim_standard_output()
    commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, commands), daemon=True).start()
    try:
        _serve(commands, answers)
    except Exception as error:
        traceback.print_exc()
        frames.send_json(answers, failure(error))
    sys.stderr.flush()
    os._exit(0)  # a runtime's static destructors may hang or crash


def _read(lifeline: BinaryIO, commands: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Hands commands on, and ends the process with its conductor, whatever the runtime is doing."""
    while True:
        try:
            command = protocol.read_message(lifeline)
        except ProtocolError:
            command = None
        if command is None:
            os._exit(1)
        commands.put(command)


def _serve(commands: queue.SimpleQueue[dict[str, Any]], answers: int) -> None:
    order = commands.get()
    adapter = adapters.load(order["adapter"])
    configuration = Configuration(runtime=order["adapter"], task=order["task"], **order["configuration"])
    with opened(adapter, cast("Opened", order), configuration) as session:
        inputs = Inputs(session, order["tensors"])
        frames.send_json(answers, _opened(session, configuration, inputs))
        while True:
            command = commands.get()
            if command["type"] == "close":  # what a session has open elsewhere, as a page on a phone, goes with it
                return
            if command["type"] == "score":
                _score(session, command, answers)
            elif command["type"] == "continue":
                _continue(session, command, answers)
            else:
                outputs = inputs.run(Path(command["path"]), command["sample"], command["data"])
                arrays = {name: found for name, value in outputs.items() if (found := tensor_of(value)) is not None}
                for name, array in arrays.items():
                    frames.send_array(answers, name, array)
                others = {name: said_of(value) for name, value in outputs.items() if name not in arrays}
                frames.send_json(answers, {"type": "done", "fed": inputs.facts(), "no_tensors": others})
                continue
            frames.send_json(answers, {"type": "done", "fed": inputs.facts()})


def _opened(session: Session, configuration: Configuration, inputs: Inputs) -> dict[str, Any]:
    language = isinstance(session, LanguageSession)
    if not language and SelfTimed.of(session) is not None:
        raise Unsupported(NO_LOGITS)
    check_task(configuration.task, language, configuration.runtime, session.effective)
    return {
        "type": "opened",
        "task": "causal-lm" if language else "tensor",
        "vocabulary_size": session.vocabulary_size if isinstance(session, LanguageSession) else None,
        "context_length": session.context_length if isinstance(session, LanguageSession) else None,
        "inputs": [[spec.name, spec.dtype, list(spec.shape)] for spec in inputs.fed(())],
        "states": sorted(inputs.states.found),
        "last_operators": dict(session.last_operators()) if isinstance(session, TellsLastOperators) else {},
        "effective": {**effective_facts(session.effective), **placement_facts(configuration, session)},
    }


def _score(session: Session, command: Mapping[str, Any], answers: int) -> None:
    """Sends the logits that predict tokens `from` to the last of a chunk, one row each."""
    assert isinstance(session, LanguageSession)
    tokens, first = command["tokens"], command["from"]
    session.reset()
    if command["evaluation"] == "prefill":
        if not isinstance(session, ScoresText):
            raise Unsupported('this model gives no logits of all positions in one pass; use evaluation = "decode"')
        for row in session.score(tokens)[first - 1 : -1]:
            _send_row(answers, row)
        return
    logits = session.extend(tokens[:1])
    for position in range(1, len(tokens)):
        if position >= first:
            _send_row(answers, logits)
        if position + 1 < len(tokens):
            logits = session.decode(tokens[position])


def _send_row(answers: int, row: Any) -> None:
    """A row as float32, which holds every type of logits that runtimes give but float64."""
    array = np.asarray(row)
    wide = array if array.dtype == np.float64 else array.astype(np.float32, copy=False)
    frames.send(answers, frames.ROW, np.ascontiguousarray(wide).data.cast("B"))


def _continue(session: Session, command: Mapping[str, Any], answers: int) -> None:
    """Sends the greedy continuation of a prompt, fed through the cache."""
    assert isinstance(session, LanguageSession)
    session.reset()
    logits = session.extend(command["tokens"])
    chosen = []
    for _ in range(command["count"]):
        chosen.append(int(np.argmax(logits)))
        if len(chosen) < command["count"]:
            logits = session.decode(chosen[-1])
    frames.send_json(answers, {"type": "continued", "tokens": chosen})


if __name__ == "__main__":
    main()
