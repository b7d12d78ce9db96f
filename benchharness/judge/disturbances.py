"""What makes a machine noisy, as far as it tells, each with its remedy. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from benchharness.judge.noise import NOISY_LOST_SHARE

#: A load of so much a core is somebody else's work: an idle system has a tenth of it.
_BUSY_LOAD = 0.3
#: Processors slow themselves near 95 to 100 degrees; boards from 80 on.
_HOT_CELSIUS = 80.0


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """Something that disturbs, as it was found, and what helps."""

    what: str
    found: str
    remedy: str


def disturbances(description: Mapping[str, Any]) -> list[Disturbance]:
    """Those in a device's description with a noise probe (`execute.looks.describe_hardware`); unknown is none."""
    conditions = description.get("conditions")
    now = conditions if isinstance(conditions, Mapping) else {}
    return [each for look in _LOOKS for each in look(now, description)]


def _load(now: Mapping[str, Any], description: Mapping[str, Any]) -> Iterator[Disturbance]:
    facts = description.get("facts")
    cores = facts.get("cores") if isinstance(facts, Mapping) else None
    load = now.get("load_average")
    if _number(load) and _number(cores) and cores and load / cores > _BUSY_LOAD:
        found = f"a load of {load:.2g} on {cores} cores"
        yield Disturbance(what="load", found=found, remedy="stop what else runs; look at it with top")


def _governor(now: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[Disturbance]:
    governor = now.get("governor")
    if isinstance(governor, str) and governor != "performance":
        remedy = "fix the clock: cpupower frequency-set --governor performance"
        yield Disturbance(what="governor", found=f"the clock follows the load ({governor})", remedy=remedy)


def _turbo(now: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[Disturbance]:
    if now.get("turbo") == "on":
        found = "the clock goes above its nominal rate as heat allows"
        remedy = "turn it off for comparisons: intel_pstate/no_turbo or cpufreq/boost under /sys/devices/system/cpu"
        yield Disturbance(what="turbo", found=found, remedy=remedy)


def _thermal(now: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[Disturbance]:
    celsius = now.get("temperature_celsius")
    if _number(celsius) and celsius >= _HOT_CELSIUS:
        remedy = "let it cool, or cool it; see entry_gate under [attempts]"
        yield Disturbance(what="thermal", found=f"{celsius:.0f} °C", remedy=remedy)


def _swap(now: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[Disturbance]:
    used = now.get("swap_used_bytes")
    if _number(used) and used > 0:
        found = f"{used / 2**20:.0f} MiB stand in the swap"
        yield Disturbance(what="swap", found=found, remedy="free memory, then swapoff --all && swapon --all")


def _power(now: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[Disturbance]:
    source = now.get("power_source")
    if isinstance(source, str) and source != "mains":
        yield Disturbance(
            what="power", found=f"runs on {source}", remedy="plug it in: many systems slow down on a battery"
        )


def _virtualisation(now: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[Disturbance]:
    told = now.get("virtualisation")
    if isinstance(told, str) and told != "none":
        remedy = "measure on a machine of its own; here compare pairs alone"
        yield Disturbance(
            what="virtualisation", found=f"a {told}: its cores are shared and its clock is hidden", remedy=remedy
        )


def _quota(now: Mapping[str, Any], _: Mapping[str, Any]) -> Iterator[Disturbance]:
    quota, period = now.get("cgroup_cpu_quota_us"), now.get("cgroup_cpu_period_us")
    if _number(quota) and _number(period) and period:
        found = f"a quota of {quota / period:.2g} cores"
        yield Disturbance(what="quota", found=found, remedy="measure outside of the group that has it")


def _stolen(_: Mapping[str, Any], description: Mapping[str, Any]) -> Iterator[Disturbance]:
    probe = description.get("probe")
    for name, found, remedy in (
        ("steal_share", "the hypervisor took {:.1%} of the time", "use a machine of its own, or another hour"),
        ("waiting_share", "{:.1%} of the time went into waiting for a core", "leave a core free, stop what else runs"),
    ):
        share = probe.get(name) if isinstance(probe, Mapping) else None
        if _number(share) and share >= NOISY_LOST_SHARE:
            yield Disturbance(what=name.removesuffix("_share"), found=found.format(share), remedy=remedy)


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


_Look = Callable[[Mapping[str, Any], Mapping[str, Any]], Iterator[Disturbance]]
_LOOKS: tuple[_Look, ...] = (_load, _stolen, _governor, _turbo, _thermal, _swap, _power, _quota, _virtualisation)
