"""Comparisons of builds in words, the same in the terminal, in a gate's exports and on pages. Pure."""

from __future__ import annotations

from benchharness.judge.builds import Comparison
from benchharness.judge.design import Design
from benchharness.judge.pairs import Change
from benchharness.metrics import METRICS, Unit
from benchharness.results.result import Estimate
from benchharness.units import quantity_text, scale_for

_MINUS, _BLANK = "\u2212", "\u00a0"  # a number and its sign stay on one line
_OF_TIME = (Unit.NANOSECONDS, Unit.TOKENS_PER_SECOND, Unit.INFERENCES_PER_SECOND)
#: For the worse, for the better, and a change for the worse as a noun.
_WORDS = {True: ("slower", "faster", "slowdown"), False: ("larger", "smaller", "growth")}
_ANY = ("worse", "better", "worsening")
#: Digits of a change: its interval's own size decides, and nothing below a hundredth of a percent is told.
_FINEST = 2


def words_of(metric: str) -> tuple[str, str, str]:
    """How a metric is worse, how it is better, and what a change for the worse is called."""
    unit = METRICS[metric].unit if metric else Unit.NUMBER
    return _WORDS[unit in _OF_TIME] if unit in _OF_TIME or unit is Unit.BYTES else _ANY


def verdict_of(comparison: Comparison, design: Design) -> str:
    """`slower`, `no slowdown beyond 5 %`, `the same within 5 %`, `undecided`."""
    worse, better, noun = words_of(comparison.metric)
    if comparison.difference is not None and comparison.kind in (Change.SAME, Change.NO_WORSE):
        return "the same" if comparison.kind is Change.SAME else "no worse than allowed"
    return {
        Change.WORSE: worse,
        Change.BETTER: better,
        Change.SAME: f"the same within {percent(design.margin)}",
        Change.NO_WORSE: f"no {noun} beyond {percent(design.margin)}",
        Change.UNDECIDED: "undecided",
    }[comparison.kind]


def change_of(comparison: Comparison) -> str:
    """`+13.2 % [+10.1 %, +16.4 %]`: of the metric itself, from base to candidate; "" without one."""
    ratio = comparison.ratio
    if comparison.difference is not None:
        return _difference(comparison.difference, METRICS[comparison.metric].unit)
    if ratio.value is None:
        return ""
    if ratio.low is None or ratio.high is None:
        return signed(ratio.value - 1)
    width = ratio.high - ratio.low
    low, value, high = (signed(each - 1, width) for each in (ratio.low, ratio.value, ratio.high))
    return value if ratio.low == ratio.high else f"{value} [{low}, {high}]"


def _difference(found: Estimate, unit: str) -> str:
    """`+0.012 nats [+0.010, +0.014]`, or that nothing differs."""
    if found.value is None:
        return ""
    if found.drawn and found.value == found.low == found.high == 0:
        return f"none of {found.drawn:,} {found.drawn_unit} differs"
    ends = [each for each in (found.low, found.high) if each is not None]
    scale = scale_for(unit, max((abs(each) for each in (found.value, *ends)), default=0.0))
    half = (ends[1] - ends[0]) / 2 if len(ends) == 2 else 0.0
    value, *others = (_with_sign(quantity_text(each, unit, scale, half)) for each in (found.value, *ends))
    return f"{value} [{', '.join(others)}]" if others else value


def _with_sign(text: str) -> str:
    """A quantity above none gets its plus."""
    return text if text.startswith((_MINUS, "≈", "0 ")) or text == "0" else f"+{text}"


def told_of(comparison: Comparison, design: Design) -> str:
    """A comparison in one sentence without its subject: verdict, change, how sure, after how many pairs, and why."""
    change = change_of(comparison)
    parts = [f"{verdict_of(comparison, design)}{f': {change}' if change else ''}"]
    if comparison.p_value is not None and comparison.kind in (Change.WORSE, Change.BETTER):
        parts.append(f"p = {comparison.p_value:.1g}")
    if comparison.pairs and change:
        parts.append(f"{comparison.pairs} pairs")
    if comparison.kind is Change.UNDECIDED and comparison.visible is not None:
        parts.append(f"{percent(comparison.visible)} would have been seen")
    why = f" ({comparison.reason})" if comparison.reason else ""
    return f"{', '.join(parts)}{why}"


def subject_of(comparison: Comparison) -> str:
    """What it is of: `steady inference · fp32 · onnxruntime`; a whole job where one of the builds gave nothing."""
    job = comparison.job
    named = [METRICS[comparison.metric].title] if comparison.metric else []
    told = [f"{key.replace('_', ' ')} {value}" for key, value in comparison.parameters.items() if key != "percentile"]
    return " · ".join((*named, *told, job.variant, job.configuration.name, job.workload.name, job.scenario))


def percent(share: float) -> str:
    """`5 %`, `0.5 %`."""
    return f"{share * 100:.2g}{_BLANK}%"


def signed(share: float, width: float = 0.0) -> str:
    """`+1.2 %`, with the digits that an interval of this width carries."""
    digits = 1 if not width else next((n for n in range(_FINEST) if width * 100 >= 10**-n), _FINEST)
    text = f"{abs(share) * 100:.{digits}f}"
    sign = "" if float(text) == 0 else _MINUS if share < 0 else "+"
    return f"{sign}{text}{_BLANK}%"


def told_together(design: Design) -> str:
    """What a design's errors are over."""
    gates = f" of {design.family} gates" if design.family > 1 else ""
    return f"all primary metrics and looks{gates}"
