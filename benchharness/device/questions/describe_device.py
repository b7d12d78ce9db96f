"""Describes the device it runs on as one JSON object on standard output.

`python -m benchharness.device.questions.describe_device`; keys: `version`, `python`, `physical_cores`, `facts`,
`conditions`, `sensors` and, with `--probe SECONDS`, `probe`. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from typing import Any

from benchharness import __version__
from benchharness.device import connected
from benchharness.device.conditions import conditions_now
from benchharness.device.cores import physical_cores
from benchharness.device.noise import probe
from benchharness.device.questions.device_facts import device_facts
from benchharness.device.sensors.inventory import sensors


def describe(probe_s: float = 0.0) -> dict[str, Any]:
    """What this device is, its state, its sensors, and a noise probe of so many seconds; none with 0.

    The state is read before the probe, which would otherwise be seen in it. A device that is connected to this machine
    has none of its cores, sensors and noise.
    """
    here = not connected.udid()
    found: dict[str, Any] = {
        "version": __version__,
        "python": platform.python_version(),
        "physical_cores": physical_cores() if here else None,  # for a model here
        "facts": device_facts(),
        "conditions": conditions_now(),
        "sensors": sensors() if here else {},
    }
    if probe_s > 0 and here:
        found["probe"] = probe(probe_s)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the description."""
    parser = argparse.ArgumentParser(prog="describe_device", description=__doc__)
    parser.add_argument("--probe", type=float, default=0.0, metavar="SECONDS", help="measure the noise for so long")
    options = parser.parse_args(arguments)
    sys.stdout.write(json.dumps(describe(options.probe), allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
