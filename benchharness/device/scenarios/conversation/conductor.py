"""Conducts an attempt: one worker replays the conversation, another unloads the model and comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness.contract import EXECUTION_DEVICE
from benchharness.device.inputs.tokenizer_apart import refusal
from benchharness.device.scenarios.conversation.turns import read_turns
from benchharness.device.scenarios.own_worker import WorkerFailed, measured_by

if TYPE_CHECKING:
    from benchharness.device.line.orders import Order

_PACKAGE = "benchharness.device.scenarios.conversation"


def conduct(order: Order, progress: Callable[[str, int, int], None], bundle: str | None = None) -> dict[str, Any]:
    """What both workers measured. Raises `WorkerFailed` where the conversation cannot be replayed.

    Where only coming back cannot be measured, the reason is among the facts.
    """
    file = order["workload"]["data"]["path"]
    settings = {**order["settings"], "file": file}
    said = [text for turn in read_turns(Path(file)) for text in (turn.text, turn.answer) if text is not None]
    texts = bool(said)
    if texts:
        order = {**order, "tried": refusal(order, said, bundle)}
    talk = measured_by(f"{_PACKAGE}.talk", order, settings, progress, bundle, text=texts)
    facts: dict[str, Any] = {}
    found = list(talk["measurements"])
    if settings["come_back"] and talk["effective"].get("execution", EXECUTION_DEVICE) == EXECUTION_DEVICE:
        try:
            back = measured_by(f"{_PACKAGE}.returning", order, settings, progress, bundle, conducts=True, text=texts)
            found += back["measurements"]
            facts = dict(back["effective"])
        except WorkerFailed as error:
            facts = {"return_unknown": str(error)}
    return {**talk, "measurements": found, "effective": {**talk["effective"], "conversation": facts}}
