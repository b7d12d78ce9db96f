"""What a command line, or a Python caller, says of models that no suite names: the same as a suite's keys say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from benchharness.errors import UsageError

#: Runtimes that neither take nor tell a number of threads.
_WITHOUT_THREADS = ("coreml",)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Wishes for models without a suite. Empty ones leave a suite's defaults."""

    threads: int | Sequence[int] | None = None  # of runtimes that take them; one configuration each
    runtime: str | Sequence[str] | None = None  # these alone, of those that open the models
    budgets: Mapping[str, Any] = field(default_factory=dict)
    dimensions: Mapping[str, int] = field(default_factory=dict)  # by name, or by input and axis: "x[2]"
    inputs: str | Path | None = None  # real inputs, .npz
    evaluate: str | Path | None = None  # data that variants are compared on
    state: Mapping[str, str] = field(default_factory=dict)  # by output, the input that it is fed to in the next call

    @property
    def given(self) -> list[str]:
        """The names of the wishes that are not empty."""
        return [each.name for each in fields(self) if getattr(self, each.name) not in (None, {}, (), [])]

    @property
    def runtimes(self) -> Sequence[str]:
        """The runtimes asked for."""
        return [self.runtime] if isinstance(self.runtime, str) else list(self.runtime or ())

    def among(self, formats: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        """The runtimes, with their formats, that may run. Raises `UsageError` for one that there is not."""
        for name in self.runtimes:
            if name not in formats:
                raise UsageError(f"no runtime is called {name!r} (there are: {', '.join(formats)})")
        return {name: known for name, known in formats.items() if not self.runtimes or name in self.runtimes}

    def of_runtime(self, name: str) -> dict[str, Any]:
        """What a configuration of a runtime says beside its name."""
        wanted = () if name in _WITHOUT_THREADS or self.threads is None else self.threads
        return {"threads": [wanted] if isinstance(wanted, int) else list(wanted)} if wanted else {}

    def of_model(self) -> dict[str, Any]:
        """What the table of the model says beside its variants and its task."""
        evaluation = {"evaluation": str(Path(self.evaluate).expanduser().absolute())} if self.evaluate else {}
        return {**evaluation, **({"state": dict(self.state)} if self.state else {})}

    def of_suite(self) -> dict[str, Any]:
        """The tables beside models and configurations; those that say nothing are left out."""
        from benchharness.suite.scenarios import usual_scenarios  # pydantic takes long to load

        workload: dict[str, Any] = {"dimensions": dict(self.dimensions)} if self.dimensions else {}
        if self.inputs:
            workload["inputs"] = str(Path(self.inputs).expanduser().absolute())
        scenarios: dict[str, Any] = usual_scenarios(evaluated=True) if self.evaluate else {}
        found = {"workloads": [workload] if workload else [], "budgets": dict(self.budgets), "scenarios": scenarios}
        return {key: table for key, table in found.items() if table}


def budgets_from(given: Sequence[str]) -> dict[str, Any]:
    """`["peak_memory=600 MiB", "steady_inference.p95=40 ms"]` as a suite's table. Raises `UsageError`."""
    table: dict[str, Any] = {}
    for text in given:
        key, limit = _pair("--budget", text, '"peak_memory=600 MiB" or "steady_inference.p95=40 ms"')
        metric, dot, part = key.partition(".")
        within = table.setdefault(metric, {}) if dot else table
        if not isinstance(within, dict) or (part or metric) in within:
            raise UsageError(f"--budget {text!r}: {metric} has a budget already; write one limit for each")
        within[part or metric] = limit
    return table


def dimensions_from(given: Sequence[str]) -> dict[str, int]:
    """`["height=320", "x[2]=48"]` as a workload's table. Raises `UsageError`."""
    table: dict[str, int] = {}
    for text in given:
        # Exporters put what they like into a dimension's name, "=" too.
        name, _, length = (part.strip() for part in text.rpartition("="))
        if not name or not length.isdecimal() or int(length) < 1:
            raise UsageError(f'--dimension {text!r}: write its name, or input and axis, and a length: "x[2]=48"')
        if table.setdefault(name, int(length)) != int(length):
            raise UsageError(f"--dimension {text!r}: {name} is {table[name]} already; a dimension has one length")
    return table


def state_from(given: Sequence[str]) -> dict[str, str]:
    """`["stateN=state"]` as a model's table: output to input. Raises `UsageError`."""
    table: dict[str, str] = {}
    for text in given:
        output, taken = _pair("--state", text, '"stateN=state": an output and the input that takes it')
        if output in table:
            raise UsageError(f"--state {text!r}: {output} is fed to {table[output]} already")
        table[output] = taken
    return table


def _pair(option: str, text: str, example: str) -> tuple[str, str]:
    left, equals, right = (part.strip() for part in text.partition("="))
    if not equals or not left or not right:
        raise UsageError(f'{option} {text!r}: write two things with "=" between them, such as {example}')
    return left, right
