"""The windows and sensors of sustained attempts -> what a course's chart draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from benchharness.results.courses import Course, SessionState, Window
from reports.model.conditions import Unreadable, grouped_by_reason
from reports.model.entries import Entry
from reports.model.numbers import finite, known, rounded
from reports.model.visible import name_text, value_text
from reports.sections.sustained.chart import CourseChart, Shade, TimeLine, TimePanel

#: More points on a line than this are closer than a pixel.
_MOST_POINTS = 150
_MOST_SENSORS = 40
_MOST_EVENTS = 50
Points = list[tuple[float, float]]
_UNDISTURBED = (SessionState.STEADY, SessionState.UNKNOWN)


class Quantity(NamedTuple):
    """A quantity beneath the throughput. `factor` leads from the windows' unit to that of the axis."""

    name: str
    unit: str
    factor: float
    read: Callable[[Window], float | None]
    sensor: str  # whose reason tells why it is missing
    span: float  # of the axis at least: what moves less than this does not matter, and must not look as if it did
    from_zero: bool = False


_WAITS = Quantity("time spent waiting for a core", "%", 100, lambda window: window.wait_share, "waiting", 10, True)
_STEAL = Quantity("time stolen by the hypervisor", "%", 100, lambda window: window.steal_share, "steal", 10, True)
_CELSIUS = Quantity("temperature", "°C", 1, lambda window: window.celsius, "temperature", 10)
_CLOCK = Quantity("clock", "GHz", 1e-6, lambda window: window.clock_khz, "clocks", 0.5)


def chart_of(
    entry: Entry, courses: Sequence[Course], told: Course, colour: int
) -> tuple[CourseChart | None, tuple[str, ...]]:
    """The chart of one job, `told` in front, and sentences on what is not in it; None where no window has a rate."""
    unit = name_text(told.unit)
    main = _panel(f"throughput ({unit})", courses, told, partial(_points, read=lambda window: window.rate))
    if main is None or not any(line.told for line in main.lines):
        return None, ("No window has a rate to draw.",)
    panels = [main]
    silent: list[str] = []
    stolen = any(window.state == SessionState.STEAL for course in courses for window in course.windows)
    for each in (_WAITS, *((_STEAL,) if stolen else ()), _CELSIUS, _CLOCK):
        panel = _panel(
            f"{each.name} ({each.unit})", courses, told, partial(_points, read=each.read, factor=each.factor)
        )
        if panel is None and not any(each.sensor in course.sensors_unknown for course in courses):
            silent.append(f"No {each.name}: no reading was reported.")
        elif panel is not None:
            panels.append(replace(panel, span=each.span, from_zero=each.from_zero))
    longest = max(len(course.windows) for course in courses)
    bundled = -(-longest // _MOST_POINTS)
    return (
        CourseChart(
            title=f"Throughput over time: {entry.who_and_how}",
            unit=unit,
            note=f"A point is the mean of up to {bundled} windows." if bundled > 1 else "",
            colour=colour,
            attempts=len(courses),
            panels=tuple(panels),
            levels=tuple(_levels(told.burst_rate)),
            baseline=_stretch(told, told.baseline, told.burst_rate),
            settled=_stretch(told, told.settled, told.settled_rate),
            shades=tuple(_shades(told.windows)),
            events=tuple(_events(told)),
            change_s=None if (change := known(told.change_s)) is None else rounded(change),
        ),
        tuple(silent),
    )


def _events(course: Course) -> Iterator[float]:
    """Seconds within the course, each once."""
    end = finite([course.windows[-1].end_s]) if course.windows else []
    seconds = (event.second for event in course.events[:_MOST_EVENTS])
    yield from dict.fromkeys(rounded(second) for second in finite(seconds) if end and 0 <= second <= end[0])


def _panel(
    title: str, courses: Sequence[Course], told: Course, points_of: Callable[[Course], Points]
) -> TimePanel | None:
    lines = []
    for course in courses:
        points = _thinned(points_of(course))
        if points:
            seconds, values = zip(*points, strict=True)
            lines.append(TimeLine(told=course is told, seconds=seconds, values=values))
    return TimePanel(title=title, lines=tuple(lines)) if lines else None


def _points(course: Course, read: Callable[[Window], float | None], factor: float = 1.0) -> Points:
    """The middle of each window, and what it tells."""
    found = []
    for window in course.windows:
        value = read(window)
        if value is not None and len(finite([value, window.start_s, window.end_s])) == 3:
            found.append(((window.start_s + window.end_s) / 2, value * factor))
    return found


def _thinned(points: Points) -> Points:
    width = -(-len(points) // _MOST_POINTS) or 1
    bundles = [points[start : start + width] for start in range(0, len(points), width)]
    return [
        (
            rounded(sum(second for second, _ in bundle) / len(bundle)),
            rounded(sum(value for _, value in bundle) / len(bundle)),
        )
        for bundle in bundles
    ]


def _levels(burst: float) -> Iterator[tuple[str, float]]:
    if known(burst) and burst > 0:
        yield from (("burst", rounded(burst)), ("−10 %", rounded(0.9 * burst)), ("−25 %", rounded(0.75 * burst)))


def _stretch(course: Course, windows: tuple[int, int], rate: float | None) -> tuple[float, float, float] | None:
    """From the first window's start to the last one's end, at a rate; None where there are no such windows."""
    start, end = windows
    if rate is None or not 0 <= start < end <= len(course.windows):
        return None
    ends = course.windows[start].start_s, course.windows[end - 1].end_s, rate
    return (rounded(ends[0]), rounded(ends[1]), rounded(rate)) if len(finite(ends)) == 3 else None


def _shades(windows: Sequence[Window]) -> Iterator[Shade]:
    """Neighbouring windows of one state together."""
    current: Shade | None = None
    for window in windows:
        state = name_text(window.state)
        if len(finite([window.start_s, window.end_s])) < 2:
            continue
        if current and current.state == state:
            current = Shade(start=current.start, end=window.end_s, state=state)
            continue
        if current and current.state not in _UNDISTURBED:
            yield current
        current = Shade(start=window.start_s, end=window.end_s, state=state)
    if current and current.state not in _UNDISTURBED:
        yield current


def unreadable_of(courses: Sequence[Course]) -> tuple[Unreadable, ...]:
    """Every sensor that gave nothing in any attempt, those of one reason together."""
    return grouped_by_reason(
        {
            name_text(name): value_text(reason)
            for course in courses
            for name, reason in list(course.sensors_unknown.items())[:_MOST_SENSORS]
        }
    )
