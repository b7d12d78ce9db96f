"""A worker of a conductor's own: one model in a fresh process, in the interpreter that was asked for."""

from __future__ import annotations

import queue
import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from benchharness.device.line import protocol
from benchharness.device.processes.child import Child, signal_name
from benchharness.device.processes.device_program import device_program
from benchharness.errors import AttemptError, ProtocolError

if TYPE_CHECKING:
    from benchharness.device.line.orders import Order

_GRACE_S = 5.0


class WorkerFailed(AttemptError):
    """The worker gave up or died: `outcome` as an attempt's."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


def measured_by(
    module: str,
    order: Order,
    settings: Mapping[str, Any],
    progress: Callable[[str, int, int], None],
    bundle: str | None,
    *,
    conducts: bool = False,
    text: bool = False,
) -> dict[str, Any]:
    """The `measured` message of a worker that runs this module on the order's model. Raises `WorkerFailed`.

    `conducts`: the module opens the model itself. `text`: it is to be given a tokenizer. Of the workload's data only
    what stands in the settings reaches it: the file is the module's to read.
    """
    workload = {key: value for key, value in order["workload"].items() if key != "data"}
    if text:
        workload["prompt"] = {"text": "", "seed": 0}
    told = {
        **order,
        "type": "order",
        "module": module,
        "conducts": conducts,
        "workload": workload,
        "settings": dict(settings),
        "bundle": bundle,
    }
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
    command = device_program("benchharness.device.worker", order.get("python"), bundle)
    child = Child(command, protocol.read_message, heard.put)
    try:
        child.write(protocol.encode({**told, "spawned_ns": child.spawned_ns}))
        while True:
            message = heard.get()
            if isinstance(message, ProtocolError):
                raise WorkerFailed("crashed", protocol.text(message))
            if message is None or message["type"] != "progress":
                break
            progress(protocol.text(message.get("phase"), 40), int(message["done"]), int(message["total"]))
    finally:
        child.end(_GRACE_S)
    if message is None:
        raise WorkerFailed(*_ended(child.code or 0))
    if message["type"] == "failed":
        raise WorkerFailed(str(message.get("outcome")), protocol.text(message.get("reason")))
    result: dict[str, Any] = message
    return result


def _ended(code: int) -> tuple[str, str]:
    if code >= 0:
        return "crashed", f"the model's process ended with exit code {code}"
    return ("killed" if -code == signal.SIGKILL else "crashed"), f"the model's process: {signal_name(code)}"
