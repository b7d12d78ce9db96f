"""Conducts a hybrid attempt: one worker with the device's model, which asks the cloud too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness.device.inputs.tokenizer_apart import refusal
from benchharness.device.scenarios.hybrid.prompts import read_prompts
from benchharness.device.scenarios.hybrid.requests import opened_cloud
from benchharness.device.scenarios.hybrid.spent import Spent
from benchharness.device.scenarios.own_worker import measured_by
from benchharness.errors import Unsupported

if TYPE_CHECKING:
    from benchharness.device.line.orders import Order

_REQUESTS = "benchharness.device.scenarios.hybrid.requests"


def conduct(order: Order, progress: Callable[[str, int, int], None], bundle: str | None = None) -> dict[str, Any]:
    """The worker's message. Raises `WorkerFailed`, and `Unsupported` where the order names no cloud."""
    if not order.get("chain"):
        raise Unsupported("the order names no cloud to ask first")
    settings = {
        **order["settings"],
        "cloud": order["chain"][0],
        "prompts": order["workload"]["data"]["path"],
        "bundle": bundle,
    }
    with opened_cloud(order["chain"][0]) as cloud:  # a file that is no endpoint fails before any model is loaded
        asked = dict(cloud.effective.facts)
    prompts = read_prompts(Path(settings["prompts"]))
    order = {**order, "tried": refusal(order, [prompt.text for prompt in prompts], bundle, spells=True)}
    message = measured_by(_REQUESTS, order, settings, progress, bundle, text=True)
    facts = {"networks": "simulated on loopback", "energy_unknown": Spent().unknown, "cloud": asked}
    return {**message, "effective": {**message["effective"], "hybrid": facts}}
