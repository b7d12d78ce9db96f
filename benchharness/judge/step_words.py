"""Steps and gaps in words, for terminal and pages alike. Whoever prints them makes names safe."""

from __future__ import annotations

from collections.abc import Sequence

from benchharness.metrics import METRICS
from benchharness.results.trends import Bridged, Certainty, FleetStep, FleetTrend, Gap, History, Step, Trend
from benchharness.units import interval_ends, quantity_text

#: What each certainty is called where one word stands.
WORDS = {Certainty.CONFIRMED: "confirmed", Certainty.LIKELY: "likely", Certainty.DRIFT: "machine's drift"}
#: Of a bridge so many figures are told at once; the page and the JSON have each.
_MOST_FACTORS = 3
NOTHING_CHANGED = "nothing that is recorded changed that night"


def figure_text(trend: Trend) -> str:
    """Which figure a trend is of: the metric's title and its parameters."""
    told = [f"p{value}" if name == "percentile" else f"{name} {value}" for name, value in trend.parameters.items()]
    return " ".join([METRICS[trend.metric].title, *told])


def whose_text(trend: Trend, *, device: bool = True) -> str:
    """Whose figure it is, within one hardware target and model; with its device, where others have the figure too."""
    unit = trend.device if device and trend.among else ""
    parts = (trend.variant, trend.configuration, trend.workload, trend.scenario, unit)
    return " · ".join(part for part in parts if part) or trend.variant


def size_text(step: Step, unit: str) -> str:
    """How large a step is, with its sign: in percent, or in the unit where that would mislead."""
    sign = "+" if step.size > 0 else "\N{MINUS SIGN}"
    if not step.relative:
        return f"{sign}{quantity_text(abs(step.size), unit)}"
    return f"{sign}{quantity_text(100 * abs(step.size), '', half=50 * (step.high - step.low))} %"


def interval_text(step: Step) -> str:
    """The 95 % interval of a relative step, in percent; "" for exact ones and others."""
    if not step.relative or step.low == step.high:
        return ""
    ends = (f"{100 * end:+.1f}".replace("-", "\N{MINUS SIGN}") for end in (step.low, step.high))
    return f"[{', '.join(ends)}]"


def worse_text(step: Step) -> str:
    """`worse`, `better`, or "" where the metric has no better side."""
    return "" if step.worse is None else "worse" if step.worse else "better"


def cause_text(step: Step) -> str:
    """What else was another that night, and how the base moved: what stands beside a step as its likely cause."""
    changed = ", ".join(f"{cause.what} {cause.before} → {cause.after}" for cause in step.causes)
    base = "" if step.base_size is None else f"{100 * step.base_size:+.1f} %".replace("-", "\N{MINUS SIGN}")
    if step.certainty is Certainty.DRIFT:
        told = f"the machine's drift: the base moved too, by {base}"
        return f"{told}; changed: {changed}" if changed else told
    if step.certainty is Certainty.LIKELY and base:
        return f"{changed or NOTHING_CHANGED}; the base moved by {base}"
    return changed or NOTHING_CHANGED


def date_text(history: History, night: int) -> str:
    """A night's date."""
    return f"{history.nights[night].started:%Y-%m-%d}"


def when_text(history: History, step: Step) -> str:
    """The first night of the new level, and from which to which it may be where that is not sure."""
    night, first, last = (date_text(history, each) for each in (step.night, step.first, step.last))
    return night if first == last else f"{night} (or {first} to {last})"


def gap_text(gap: Gap) -> str:
    """Since when a figure is missing, and what is known of why."""
    nights = f"{gap.nights} night{'' if gap.nights == 1 else 's'}"
    told = f"{'failed' if gap.failed else 'missing'} for {nights}, since {gap.since:%Y-%m-%d}"
    return f"{told}: {gap.reason}" if gap.reason else told


def headline(history: History) -> str:
    """How many changes are confirmed, likely, and missing; in one sentence."""
    if not history.trends:
        return "No figure in these nights"
    worse = sum(bool(step.worse) for _, step in history.steps(Certainty.CONFIRMED))
    confirmed = len(history.steps(Certainty.CONFIRMED))
    likely, missing = len(history.steps(Certainty.LIKELY)), len(history.missing)
    parts = [f"{confirmed or 'No'} confirmed change{'' if confirmed == 1 else 's'}"]
    parts += [f"{worse} worse"] if worse else []
    parts += [f"{likely} likely"] if likely else []
    parts += [f"{missing} missing"] if missing else []
    return ", ".join(parts)


def nights_text(history: History) -> str:
    """How many nights, by their dates, and from when to when."""
    if not history.nights:
        return "no night"
    dates = len({night.started.date() for night in history.nights})
    told = f"{dates} night{'' if dates == 1 else 's'}"
    told += f" ({len(history.nights):,} runs)" if len(history.nights) != dates else ""
    return f"{told}, {date_text(history, 0)} to {date_text(history, len(history.nights) - 1)}"


def family_text(history: History) -> str:
    """What was tested together, and how sure that is."""
    family = f"{history.tested} series tested as one family"
    return f"{family}: {100 * history.alpha:g} % chance of any false step among them"


def other_bases(history: History) -> str:
    """That a base was another build on some nights, so that ratios begin later; "" where each had one base."""
    some = [trend for trend in history.trends if trend.ratio and trend.why_no_ratio and not trend.exact]
    if not some:
        return ""
    count = f"{len(some)} figure{' has' if len(some) == 1 else 's have'}"
    return (
        f"{count} no ratio on some nights: {some[0].why_no_ratio} (now {some[0].base_build}). A run of both bases "
        "joins them: benchharness compare OLD NEW, then history --bridge RUN"
    )


def bridges(history: History) -> list[str]:
    """By which runs the nights beside another base are told against one, and what those say of some figures."""
    told: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for trend in history.trends:
        for each in trend.bridged:
            factor = f"{figure_text(trend)} × {_factor(each)}"
            told.setdefault((trend.base_build, each.build, tuple(each.runs)), []).append(factor)
    return [_bridge(*key, factors) for key, factors in told.items()]


def _bridge(base: str, build: str, runs: Sequence[str], factors: Sequence[str]) -> str:
    figures = f"{len(factors)} figure{'' if len(factors) == 1 else 's'}"
    joined = f"Beside base {build}, ratios of {figures} are told against {base}"
    if not runs:
        return f"{joined} with a factor of 1, as --base named both: they differ in the harness alone"
    more = f" and {len(factors) - _MOST_FACTORS} more" if len(factors) > _MOST_FACTORS else ""
    said = f"by bridge run {', '.join(runs)} ({'; '.join(factors[:_MOST_FACTORS])}{more})"
    return f"{joined} {said}; its error is in their intervals, and in steps between these nights and others"


def bridged_text(trend: Trend) -> list[str]:
    """Of one figure: the nights beside another base, what that is to the trend's own, and which run says so."""
    found = []
    for each in trend.bridged:
        nights = f"{len(each.nights)} night{'' if len(each.nights) == 1 else 's'}"
        by = f"bridge run {', '.join(each.runs)}" if each.runs else "--base took both for one"
        found.append(f"{nights} beside base {each.build}, × {_factor(each)} of {trend.base_build}: {by}")
    return found


def _factor(bridged: Bridged) -> str:
    if bridged.low == bridged.high:
        return f"{bridged.value:.6g}"
    return f"{bridged.value:.4g} [{bridged.low:.4g}, {bridged.high:.4g}]"


def machines_text(history: History) -> list[str]:
    """What each device could see: those of whom the same is told, such as that they were not tested, in one line."""
    alike: dict[str, list[str]] = {}
    for device, text in history.machines.items():
        alike.setdefault(text, []).append(device)
    if len(history.machines) == 1:
        return list(alike)
    return [
        f"{devices[0] if len(devices) == 1 else f'{len(devices)} devices'}: {text}" for text, devices in alike.items()
    ]


def without_base(history: History) -> str:
    """That absolute values are all there is, of how many figures; "" where every figure has ratios."""
    measured = [trend for trend in history.trends if not trend.exact]
    alone = [trend for trend in measured if not trend.ratio]
    if not alone:
        return ""
    unused = next(
        (trend.why_no_ratio for trend in alone if trend.base_build), ""
    )  # a base ran, and is not the one asked
    which = f"Of {len(alone)} of {len(measured)} figures there are absolute values only"
    if len(alone) == len(measured):
        which = f"These figures have no ratios ({unused})" if unused else "No base build ran beside these figures"
    return f"{which}: a step in them is at most likely, as the machine's own drift is in them too."


def fleet_lines(history: History) -> list[tuple[FleetTrend, str]]:
    """Each figure of several devices in a sentence: what it is over them, who is farthest, and whose steps it has."""
    return [(each, _fleet_text(history, each)) for each in history.fleets]


def _fleet_text(history: History, fleet: FleetTrend) -> str:
    trend, track = fleet.trends[0], fleet.absolute
    low, high = track.lows[-1], track.highs[-1]
    half = 0.0 if low is None or high is None else (high - low) / 2
    told = quantity_text(track.values[-1], trend.unit, half=half)
    if low is not None and high is not None:
        told += f" [{' , '.join(interval_ends(low, high, track.values[-1], trend.unit))}]".replace(" , ", ", ")
    parts = [f"{told} over {track.counts[-1]} devices on {date_text(history, track.nights[-1])}"]
    if fleet.farthest:
        verb = "stands out" if fleet.stands_out else "is farthest"
        parts.append(f"{fleet.farthest} {verb}: {_percent(fleet.far)} to the others")
    parts += [_fleet_step(history, step) for step in fleet.steps[-_MOST_FACTORS:]]
    return "; ".join(parts)


def _fleet_step(history: History, step: FleetStep) -> str:
    ends = "" if step.low is None or step.high is None else f" [{_percent(step.low)}, {_percent(step.high)}]"
    if len(step.seen) == step.devices:
        whose = f"on all {step.devices} devices"
    else:
        whose = f"on {len(step.seen)} of {step.devices} devices alone ({', '.join(step.seen)})"
    return f"step of {date_text(history, step.night)}: {_percent(step.size)}{ends} over devices, seen {whose}"


def _percent(share: float) -> str:
    return f"{100 * share:+.1f} %".replace("-", "\N{MINUS SIGN}")


def remarks(history: History) -> list[str]:
    """What must be known of the nights, and of what their figures can tell."""
    return [each for each in (*history.told, *bridges(history), other_bases(history), without_base(history)) if each]
