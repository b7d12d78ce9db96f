"""The programs of the device side by name, for whoever starts one: installed there, or out of the bundle."""

from __future__ import annotations

#: Programs by name, and the module whose `main` each is; it finds its arguments where `python -m` would leave them.
#: `module NAME` is any other module of the bundle, such as a scenario's own.
PROGRAMS = {
    "supervisor": "benchharness.device.supervisor",
    "relay": "benchharness.device.line.relay",
    "worker": "benchharness.device.worker",
    "describe_device": "benchharness.device.questions.describe_device",
    "adapters": "benchharness.device.adapters",
    "describe_model": "benchharness.device.questions.describe_model",
    "list_files": "benchharness.device.questions.list_files",
    "environment": "benchharness.device.questions.environment",
    "portable": "benchharness.device.questions.portable",
    "tidying": "benchharness.device.line.tidying",
}
