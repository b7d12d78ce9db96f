"""What a Raspberry Pi 5's power management chip gives to each of its rails, read through the firmware.

`vcgencmd pmic_read_adc` tells a current and a voltage of each rail
(https://www.raspberrypi.com/documentation/computers/os.html#vcgencmd). Their products are what processor, memory and
the like were given, after the chip's own losses; what is taken from the 5 V input beside the chip (USB, fans, most of
a HAT) is not among them: the input has a voltage and no current. So their sum is less than what a plug gives.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from benchharness.device.sensors.readings import ROOT, Unreadable, output_of
from benchharness.device.sensors.sensor import Sensor

#: The sum over all rails; no rail's own name.
ALL_RAILS = "power_uw.PMIC"
_LINE = re.compile(r"^\s*(\w{1,32})_([AV])\s+(?:current|volt)\(\d{1,3}\)=(\d{1,4}\.\d{1,12})[AV]\s*$", re.ASCII)
_MOST_RAILS = 64
#: No rail of such a board carries more.
_MOST_AMPERES, _MOST_VOLTS = 25.0, 25.0


def find_pmic_rails(_process: int | None, root: Path = ROOT) -> Sensor:
    """`power_uw.PMIC`, the sum, and `power_uw.PMIC <rail>`. Raises `Unreadable` where no firmware tells them."""
    program = shutil.which("vcgencmd") if root == ROOT else None
    if program is None:
        raise Unreadable("no vcgencmd, which Raspberry Pis have")
    command = [program, "pmic_read_adc"]
    parse_rails(output_of(command))
    return Sensor(
        source="vcgencmd pmic_read_adc",
        unit="µW",
        resolution="of the chip's converters; about 1 mW",
        permission="members of the group video",
        read=lambda: parse_rails(output_of(command)),
        period_s=1.0,
    )


def parse_rails(listing: str) -> Mapping[str, int]:
    """µW by channel: every rail with a current and a voltage, and their sum. Raises `Unreadable`."""
    told: dict[str, dict[str, float]] = {}
    for line in listing.splitlines()[: 2 * _MOST_RAILS]:
        found = _LINE.match(line)
        if found is not None:
            rail, kind, number = found[1], found[2], float(found[3])
            if number > (_MOST_AMPERES if kind == "A" else _MOST_VOLTS):
                raise Unreadable(f"pmic_read_adc tells {number:g} {kind} of {rail}")
            told.setdefault(rail, {})[kind] = number
    rails = {rail: round(each["A"] * each["V"] * 1e6) for rail, each in told.items() if len(each) == 2}
    if not rails:
        raise Unreadable("pmic_read_adc tells no rail's current and voltage: only a Raspberry Pi 5 has such a chip")
    return {ALL_RAILS: sum(rails.values()), **{f"{ALL_RAILS} {rail}": power for rail, power in rails.items()}}
