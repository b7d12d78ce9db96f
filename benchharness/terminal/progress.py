"""Progress while a run goes on: a bar on a terminal or in a notebook, a line for each job elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from benchharness.metrics import METRICS
from benchharness.results.result import EXACT, Attempt, Job, Result
from benchharness.terminal.console import console, say
from benchharness.terminal.values import estimated, one_line, plus_minus
from benchharness.units import duration_text

#: Redraws a second: each one costs the measured machine some of its time.
_REDRAWS_PER_S = 2
#: Of a failure's reason: it may say which line of a suite mends it.
_LONGEST = 2000


def watch(*, stderr: bool = False) -> ProgressBar | JobLines:
    """Progress for wherever this runs; on standard error where standard output is for a document."""
    made = console(stderr=stderr)
    return ProgressBar(made) if made.is_terminal or made.is_jupyter else JobLines(made)


class _Titled(Progress):
    """A bar below a line on what goes on, which is wrapped where it is long: a column would cut it."""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from (Text(task.description, no_wrap=False, overflow="fold") for task in self.tasks)
        yield self.make_tasks_table(self.tasks)


class ProgressBar:
    """An `execute.Observer` for a terminal: what is measured, attempt, phase, and an estimate of the time left."""

    def __init__(self, console: Console) -> None:
        self._progress = _Titled(
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            refresh_per_second=_REDRAWS_PER_S,
            transient=True,
        )
        self._task: TaskID = self._progress.add_task("begins", total=None, left="")
        self._done = 0
        self._title = ""

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begins(self, jobs: Sequence[Job], attempt: int, of: int, left: int, left_s: float | None) -> None:
        """Draws what the attempt is of, how many are left, and how long they take."""
        self._title = f"{title_of(jobs)} · attempt {attempt} of {of}"
        told = "" if left_s is None else f"about {duration_text(left_s)} left"
        self._progress.update(self._task, description=self._title, left=told, total=self._done + left)

    def phase(self, phase: str, done: int, total: int) -> None:
        """Draws what the attempt is doing."""
        counted = f" {done}/{total}" if 1 < total >= done else ""
        self._progress.update(self._task, description=f"{self._title} · {one_line(phase)}{counted}")

    def ended(self, job: Job, attempt: Attempt) -> None:
        """Counts it, and says at once how it failed if it did."""
        self._done += 1
        self._progress.update(self._task, completed=self._done)
        if not attempt.outcome.ok:
            say(self._progress.console, _failure(job, attempt), "red")

    def done(self, result: Result) -> None:
        """Nothing: what it yielded is shown with all others."""


class JobLines:
    """An `execute.Observer` for logs: one line a job when it is done, and one a failure at once."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._failed: set[str] = set()

    def __enter__(self) -> JobLines:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def begins(self, jobs: Sequence[Job], attempt: int, of: int, left: int, left_s: float | None) -> None:
        """Nothing: a log wants results, not what is going on."""

    def phase(self, phase: str, done: int, total: int) -> None:
        """Nothing."""

    def ended(self, job: Job, attempt: Attempt) -> None:
        """Says how it failed if it did."""
        if not attempt.outcome.ok:
            self._failed.add(job.key)
            say(self._console, _failure(job, attempt), "red")

    def done(self, result: Result) -> None:
        """Says what it yielded; how it failed was said."""
        if result.outcome.ok or result.job.key not in self._failed:
            parts = [one_line(result.outcome, _LONGEST), *_figure(result), one_line(result.stopped)]
            say(self._console, f"{one_line(result.job.title)}: {', '.join(filter(None, parts))}")


def title_of(jobs: Sequence[Job]) -> str:
    """What an attempt is of: a job, or every variant of a pass that serves several."""
    first = jobs[0]
    if len(jobs) == 1:
        return one_line(first.title)
    told_apart = len({job.variant for job in jobs}) < len(jobs)
    names = [f"{job.variant} on {job.configuration.name}" if told_apart else job.variant for job in jobs]
    return one_line(" · ".join((first.model, ", ".join(names), first.workload.name, first.scenario)))


def _failure(job: Job, attempt: Attempt) -> str:
    return f"{one_line(job.title)}: {one_line(attempt.outcome, _LONGEST)}"


def _figure(result: Result) -> Iterator[str]:
    """The first of a result's headline metrics that was measured."""
    for name, metric in METRICS.items():
        for each in (each for each in result.metrics if each.name == name and metric.headline):
            if each.estimate.value is not None and each.estimate.statistic != EXACT:
                shown = " ".join(
                    filter(None, (estimated(each.estimate, each.unit), plus_minus(each.estimate, each.unit)))
                )
                yield f"{metric.title} {shown}"
                return
