"""Options that several commands share."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchharness.scenarios import BUILT_IN

if TYPE_CHECKING:
    from benchharness.suite.asked import Asked


class Undecided(StrEnum):
    """What an undecided budget does to the exit code."""

    WARN = "warn"
    FAIL = "fail"


class WishName(StrEnum):
    """Which of the fit variants is recommended."""

    SMALLEST = "smallest"
    FASTEST = "fastest"


class PartName(StrEnum):
    """How finely a model is taken apart: the values of `benchharness.compress.parts.By`."""

    BLOCK = "block"
    LAYER = "layer"


class Form(StrEnum):
    """What a run is shown as."""

    TABLE = "table"
    MARKDOWN = "markdown"
    JSON = "json"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """How a run is shown: in which form, how much of it, and which of the fit variants its verdict is for."""

    form: Form = Form.TABLE
    details: bool = False
    warnings: bool = False
    wish: WishName = WishName.SMALLEST

    @property
    def is_document(self) -> bool:
        """Whether standard output is for one document, and everything else goes to standard error."""
        return self.form is not Form.TABLE


class TaskName(StrEnum):
    """The tasks a model can have."""

    CAUSAL_LM = "causal-lm"
    CLASSIFIER = "classifier"
    EMBEDDING = "embedding"
    TENSOR = "tensor"


StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store", envvar="BENCHHARNESS_STORE", metavar="URL", help="Where attempts are kept (SQLAlchemy URL)."
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Ask nothing; nothing is asked without a terminal either.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, a unique prefix of it, or 'latest'.")]
OutOption = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the HTML report goes.")]
NoReportOption = Annotated[bool, typer.Option("--no-report", help="Draw no HTML report, only tables.")]
_ON = "this-machine, a device of devices/, a hardware target (any of its devices), or a profile's path"
OnOption = Annotated[str, typer.Option("--on", metavar="TARGET", help=f"Where: {_ON}.")]
OnSeveralOption = Annotated[
    list[str] | None,
    typer.Option("--on", metavar="TARGET", help=f"Where: {_ON}; may be repeated. [default: this-machine]"),
]
ScenarioOption = Annotated[
    list[str] | None,
    typer.Option("--scenario", metavar=f"[{'|'.join(BUILT_IN)}]", help="Only this one; may be repeated."),
]
AttemptsOption = Annotated[int | None, typer.Option("--attempts", min=1, max=1000, help="Fresh processes per job.")]
TargetOption = Annotated[
    str | None,
    typer.Option("--ci-target", metavar="SHARE", help='Go on until 95 % intervals are this narrow, such as "2%".'),
]
MaxTimeOption = Annotated[
    str | None, typer.Option("--max-time", metavar="TIME", help='For the whole run, such as "10 min".')
]
TimeoutOption = Annotated[
    str | None, typer.Option("--timeout", metavar="TIME", help="For one attempt; 10 min unless said.")
]
UndecidedOption = Annotated[
    Undecided, typer.Option("--undecided", help="Whether a budget that no interval decides makes the exit code 1.")
]
EvaluateOption = Annotated[
    Path | None,
    typer.Option("--evaluate", metavar="DATA", help="What quality is measured on: .txt, .jsonl, .tokens, .npz."),
]
ThreadsOption = Annotated[
    list[int] | None,
    typer.Option("--threads", min=1, help="For runtimes that take it; may be repeated, one configuration each."),
]
RuntimeOption = Annotated[
    list[str] | None, typer.Option("--runtime", metavar="NAME", help="Only this one; may be repeated.")
]
BudgetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--budget",
        metavar="METRIC=LIMIT",
        help='Such as "kld=0.1 nats" or "steady_inference.p95=40 ms"; may be repeated.',
    ),
]
DimensionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--dimension",
        metavar="NAME=LENGTH",
        help='A length by its name, or by input and axis, from 0: "x[2]=48"; may be repeated.',
    ),
]
InputOption = Annotated[
    Path | None, typer.Option("--input", metavar="DATA.npz", help="Real inputs, an array for each; first axis samples.")
]
StateOption = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        metavar="OUTPUT=INPUT",
        help='An output that the next call takes as an input: "stateN=state"; may be repeated.',
    ),
]
FormOption = Annotated[Form, typer.Option("--format", help="markdown for a pull request, json as 'export' writes it.")]
DetailsOption = Annotated[
    bool, typer.Option("--details", help="Also every metric by scenario, courses, ladders, contrasts, budgets.")
]
WarningsOption = Annotated[bool, typer.Option("--warnings", help="Also every warning whole, and what helps.")]
WishOption = Annotated[WishName, typer.Option("--wish", help="Which of the fit variants is recommended.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of tables.")]
ToOption = Annotated[
    str, typer.Option("--to", metavar="RECIPE,…", help="Precisions (int8, int4, fp16), recipes by name, or all.")
]
CalibrateOption = Annotated[
    Path | None,
    typer.Option("--calibrate", metavar="DATA", help="Samples for static recipes: .npz, .jsonl, or .txt for text."),
]


def asked_of(
    threads: Sequence[int] | None,
    runtime: Sequence[str] | None,
    budget: Sequence[str] | None,
    dimension: Sequence[str] | None,
    input_: Path | None,
    state: Sequence[str] | None,
    evaluate: Path | None,
) -> "Asked":
    """What the options for models without a suite ask for. Raises `UsageError`."""
    from benchharness.suite.asked import Asked, budgets_from, dimensions_from, state_from

    return Asked(
        threads=tuple(threads or ()),
        runtime=tuple(runtime or ()),
        budgets=budgets_from(budget or ()),
        dimensions=dimensions_from(dimension or ()),
        inputs=input_,
        state=state_from(state or ()),
        evaluate=evaluate,
    )


BasePythonOption = Annotated[
    Path | None,
    typer.Option("--base-python", metavar="PYTHON", help="The base's interpreter: another release of runtime or app."),
]
PrimaryOption = Annotated[
    list[str] | None,
    typer.Option("--primary", metavar="METRIC", help="What is decided on, such as tpot; may be repeated."),
]
MarginOption = Annotated[
    str | None, typer.Option("--margin", metavar="SHARE", help='What does not matter, such as "5 %".')
]
AllowOption = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="WORD", help="A difference between the builds to allow, by its word; repeatable."),
]


def gate_changes(
    primary: Sequence[str] | None, margin: str | None, allow: Sequence[str] | None
) -> "dict[str, Sequence[str] | str]":
    """What the options change of a suite's `[gate]`; only what was given."""
    given = {"primary": primary, "margin": margin, "allow": allow}
    return {key: value for key, value in given.items() if value}
