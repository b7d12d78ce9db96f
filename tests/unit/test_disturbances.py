"""What makes a machine noisy is named with its remedy, and what is unknown is named by nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from benchharness.judge.design import Design
from benchharness.judge.disturbances import disturbances
from benchharness.judge.selftest import examined, least_visible

QUIET: dict[str, Any] = {
    "facts": {"cores": 4},
    "conditions": {
        "load_average": 0.1,
        "governor": "performance",
        "turbo": "off",
        "temperature_celsius": 45.0,
        "swap_used_bytes": 0.0,
        "power_source": "mains",
        "virtualisation": "none",
        "cgroup_cpu_quota_us": "none",
        "cgroup_cpu_period_us": "none",
    },
    "probe": {"steal_share": 0.0, "waiting_share": 0.001},
}


def changed(part: str, **values: Any) -> dict[str, Any]:
    return {**QUIET, part: {**QUIET[part], **values}}


def test_a_quiet_machine_has_none() -> None:
    assert disturbances(QUIET) == []


@pytest.mark.parametrize(
    "told", [{}, {"conditions": None, "probe": 7, "facts": []}, {"conditions": {"load_average": {"unknown": "x"}}}]
)
def test_what_a_device_does_not_tell_is_none(told: Mapping[str, Any]) -> None:
    assert disturbances(told) == []


@pytest.mark.parametrize(
    ("description", "what", "found"),
    [
        (changed("conditions", load_average=2.0), "load", "a load of 2 on 4 cores"),
        (changed("conditions", governor="powersave"), "governor", "powersave"),
        (changed("conditions", turbo="on"), "turbo", "above its nominal rate"),
        (changed("conditions", temperature_celsius=91.0), "thermal", "91 °C"),
        (changed("conditions", swap_used_bytes=2.0**30), "swap", "1024 MiB"),
        (changed("conditions", power_source="battery"), "power", "runs on battery"),
        (changed("conditions", virtualisation="virtual machine"), "virtualisation", "a virtual machine"),
        (changed("conditions", cgroup_cpu_quota_us=50_000, cgroup_cpu_period_us=100_000), "quota", "0.5 cores"),
        (changed("probe", steal_share=0.3), "steal", "30.0% of the time"),
        (changed("probe", waiting_share=0.1), "waiting", "10.0% of the time"),
    ],
)
def test_each_is_told_with_what_helps(description: Mapping[str, Any], what: str, found: str) -> None:
    (told,) = disturbances(description)
    assert told.what == what
    assert found in told.found
    assert told.remedy


# The self-test


def test_false_alarms_are_counted_in_stretches_as_they_were_recorded() -> None:
    """Equal for 20 pairs, then the candidate is 20 % slower: no design of the first 20 alarms, all of the last do."""
    design = Design(primary=("tpot",))
    rounds = {n: (1e6 * (1 + 1e-4 * (n % 3)), 1e6 * (1 + 1e-4 * (n % 5)) * (1.2 if n >= 20 else 1)) for n in range(40)}
    found = examined(rounds, "tpot", design, 1)
    assert (found.pairs, found.designs, found.apart) == (40, 21, 2)
    assert 0 < found.false_alarms < 21
    assert found.low < 0.5 < found.high
    assert least_visible([found]) is not None
    equal = examined({n: both for n, both in rounds.items() if n < 20}, "tpot", design, 1)
    assert (equal.designs, equal.false_alarms, equal.ended_same) == (1, 0, 1)
    assert equal.visible == pytest.approx(0.01)  # the least that a design calls a change
    with pytest.raises(ValueError, match="19 pairs"):
        examined({n: both for n, both in rounds.items() if n < 19}, "tpot", design, 1)
