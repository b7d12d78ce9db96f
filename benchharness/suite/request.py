"""What a caller names to be run, as a suite: a suite's path, table or object, or models without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchharness.device import adapters
from benchharness.errors import UsageError
from benchharness.suite.asked import Asked
from benchharness.suite.materials import suite_from_models
from benchharness.suite.tables import Suite, load_suite, suite_from_table


def suite_of(
    what: Suite | Mapping[str, Any] | str | Path | Sequence[str | Path],
    reference: str | Path | None,
    task: str | None,
    asked: Asked,
) -> Suite:
    """The suite that is meant; `reference`, `task` and `asked` are for models alone. Raises `UsageError`."""
    beside = [*(["reference"] if reference else []), *(["task"] if task else []), *asked.given]
    if isinstance(what, Suite | Mapping):
        _refuse_beside_a_suite(beside)
        return what if isinstance(what, Suite) else suite_from_table(what)
    paths = [Path(what)] if isinstance(what, str | Path) else [Path(path) for path in what]
    if not paths:
        raise UsageError("name a suite (suite.toml) or one or more models (model.onnx); or try: benchharness demo")
    if not any(path.suffix == ".toml" for path in paths):
        known = {name: adapters.formats(name) for name in adapters.usable()}
        reference = Path(reference) if reference else None
        return suite_from_models(paths, known, reference=reference, task=task, asked=asked)
    if len(paths) > 1:
        raise UsageError("name one suite, or models; not both, and not two suites")
    _refuse_beside_a_suite(beside)
    return load_suite(paths[0])


def _refuse_beside_a_suite(given: Sequence[str]) -> None:
    if given:
        raise UsageError(
            f"{' and '.join(given)}: for models without a suite; a suite says it in its own tables "
            "([models], [[configurations]], [[workloads]], [budgets])"
        )
