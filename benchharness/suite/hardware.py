"""Hardware targets: a kind of device that people ship to, from a TOML profile; `this-machine` needs none."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from benchharness.errors import SuiteError
from benchharness.suite.device import Device
from benchharness.suite.errors import explain
from benchharness.suite.fields import THIS_MACHINE, Name, Table
from benchharness.suite.meter import Meter
from benchharness.suite.tables import Budgets, System, read_toml


class HardwareTarget(Table):
    """One kind of device, and the one of them that a run is on; without one it is this machine."""

    name: Name
    description: Annotated[str, Field(max_length=1000)] = ""
    budgets: Budgets = {}  # noqa: RUF012 - pydantic copies it
    python: Path | None = None  # this machine's interpreter for the device side; None: the harness's own
    device: Device | None = None
    labels: Mapping[str, str] = {}  # what a farm can be asked for this machine by
    meter: Meter | None = None  # an external one of this machine's power; a device's stands in its own profile

    @model_validator(mode="before")
    @classmethod
    def _without_reach(cls, table: Any) -> Any:
        """Profiles and runs of before say `reach = "local"`, which was all that there was."""
        if isinstance(table, dict) and table.get("reach") == "local":
            return {key: value for key, value in table.items() if key != "reach"}
        return table

    @property
    def system(self) -> System:
        """What the device runs."""
        if self.device is not None:
            return self.device.system
        systems: dict[str, System] = {"darwin": "macos", "win32": "windows"}
        return systems.get(sys.platform, "linux")

    @property
    def declared_meter(self) -> dict[str, Any] | None:
        """The external meter of the device that a run is on, as that is told; None where there is none."""
        meter = self.meter if self.device is None else self.device.meter
        return None if meter is None else meter.told()


def load_hardware(given: str) -> HardwareTarget:
    """`this-machine`, or the profile in a TOML file. Raises `SuiteError`."""
    if given == THIS_MACHINE:
        return HardwareTarget(name=THIS_MACHINE, description="the machine that benchharness runs on")
    path = Path(given)
    if path.suffix != ".toml":
        raise SuiteError(f"hardware target {given!r}: write {THIS_MACHINE!r}, or the path of a profile ending in .toml")
    table = read_toml(path)
    table.setdefault("name", path.stem)
    try:
        target = HardwareTarget.model_validate(table)
    except ValidationError as error:
        raise SuiteError(explain(error, HardwareTarget, str(path))) from error
    if target.python is not None:
        target = target.model_copy(update={"python": path.parent.absolute() / target.python.expanduser()})
    return target
