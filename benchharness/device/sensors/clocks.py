"""The clocks of the cores and of the graphics processor, as Linux tells them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from benchharness.device.sensors.readings import ROOT, KeptFile, Unreadable, number_or_none
from benchharness.device.sensors.sensor import ANYONE, Sensor

#: Parts of the names that drivers give a graphics processor's clock: Mali, Adreno, and NVIDIA's on Jetson boards.
_GPU_WORDS = ("gpu", "mali", "kgsl", "panfrost", "gm20b", "gp10b", "gv11b", "ga10b")


def find_clocks(_process: int | None, root: Path = ROOT) -> Sensor:
    """`khz.cpu0`, …: cores that share a clock are told once, by the first of them. `khz.gpu` where there is one.

    `scaling_cur_freq` is what the driver set or measured last (Documentation/admin-guide/pm/cpufreq.rst), at most as
    fresh as a scheduler tick. Beside it, once: `highest_khz.cpu0`, what the hardware can do.
    """
    files: dict[str, tuple[KeptFile, float]] = {}
    highest: dict[str, int] = {}
    for name, folder in _policies(root):
        try:
            files[f"khz.{name}"] = (KeptFile(folder / "scaling_cur_freq"), 1)
        except Unreadable:
            continue
        if top := number_or_none(folder / "cpuinfo_max_freq"):
            highest[f"highest_khz.{name}"] = top
    if not files:
        raise Unreadable("no cpufreq: the clock of the cores cannot be read")
    for folder in sorted((root / "sys/class/devfreq").glob("*")):
        if any(word in folder.name.lower() for word in _GPU_WORDS) and (folder / "cur_freq").exists():
            files["khz.gpu"] = (KeptFile(folder / "cur_freq"), 1e-3)  # devfreq counts in Hz

    def read() -> Mapping[str, int]:
        readings = {}
        for channel, (file, in_khz) in files.items():
            try:
                khz = file.number() * in_khz
            except Unreadable:
                continue  # a core that was taken offline
            if khz > 0:
                readings[channel] = round(khz)
        return readings

    return Sensor(
        source="cpufreq" + (", devfreq" if "khz.gpu" in files else ""),
        unit="kHz",
        resolution="1 kHz; the driver's steps are coarser on boards and phones",
        permission=ANYONE,
        read=read,
        period_s=1.0,
        constants=highest,
    )


def _policies(root: Path) -> Iterator[tuple[str, Path]]:
    """The name of the first core of each clock, and the clock's folder."""
    seen = set()
    cores = (root / "sys/devices/system/cpu").glob("cpu[0-9]*")
    for core in sorted(cores, key=lambda each: (len(each.name), each.name)):
        folder = (core / "cpufreq").resolve()
        if folder.is_dir() and folder not in seen:
            seen.add(folder)
            yield core.name, folder
