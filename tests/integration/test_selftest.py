"""A machine's test of itself, with real processes of the demo model."""

from __future__ import annotations

import benchharness as package
from benchharness.builds import machine
from tests.conftest import CommandLine


def test_a_machine_tells_what_it_could_see_and_gates_quote_it(benchharness: CommandLine, store_url: str) -> None:
    assert "is not known" in machine.told(machine.latest("nowhere", store=store_url))
    done = benchharness("selftest", "--pairs", "20")
    assert done.returncode == 0, done.stderr
    printed = " ".join(done.stdout.split())
    assert "This machine:" in printed
    for title in ("TPOT", "peak memory"):
        assert f"{title}: " in printed
    assert "of 1 designs drawn from 20 pairs 0 false alarms" in printed
    (device,) = {device for result in package.load(store=store_url).results for device in result.devices}
    assert machine.told(machine.latest(device, store=store_url)).startswith("selftest today: this machine sees")
    assert machine.latest("another", store=store_url) is None
    refused = benchharness("selftest", "--pairs", "5")
    assert refused.returncode == 2
