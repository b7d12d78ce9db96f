"""The command line: one module a command, and how it begins and ends.

A command is a function of its module's name (`run.run`; `import_.import_`, as Python has an `import` of its own), with
its options, its help and an example, or a group of them (`device.device`). Everything that it does is
`benchharness.api`'s.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import typer

#: Every command and its module, in the order of `benchharness --help`. A module is imported when it is asked for.
COMMANDS = {
    "run": "benchharness.commands.run",
    "demo": "benchharness.commands.demo",
    "runs": "benchharness.commands.runs",
    "show": "benchharness.commands.show",
    "compare": "benchharness.commands.compare",
    "gate": "benchharness.commands.gate",
    "bisect": "benchharness.commands.bisect",
    "selftest": "benchharness.commands.selftest",
    "history": "benchharness.commands.history",
    "report": "benchharness.commands.report",
    "export": "benchharness.commands.export",
    "prune": "benchharness.commands.prune",
    "import": "benchharness.commands.import_",
    "verify": "benchharness.commands.verify",
    "adapters": "benchharness.commands.adapters",
    "hardware": "benchharness.commands.hardware",
    "inspect": "benchharness.commands.inspect",
    "compress": "benchharness.commands.compress",
    "sweep": "benchharness.commands.sweep",
    "seal": "benchharness.commands.seal",
    "device": "benchharness.commands.device",
    "farm": "benchharness.commands.farm",
    "telemetry": "benchharness.commands.telemetry",
}


def command(name: str) -> Callable[..., Any] | typer.Typer:
    """The function behind a command, or the group of functions."""
    module = COMMANDS[name]
    found: Callable[..., Any] | typer.Typer = getattr(importlib.import_module(module), module.rpartition(".")[2])
    return found
