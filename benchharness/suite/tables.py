"""The suite: the user's TOML file as checked, frozen objects.

A suite is code, trusted like a Makefile: `python =` and custom-operator libraries are executed. Paths are relative
to the suite's own folder. Lists in `threads`, `accelerator`, `tokens`, `output_tokens`, `context_depth` and
`page_cache` expand to one job each (`plan`).
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from benchharness.device.keys import check_source
from benchharness.device.sealed import is_sealed
from benchharness.errors import SuiteError, UsageError
from benchharness.metrics import limits
from benchharness.results.result import TELLS_APART
from benchharness.suite.errors import explain
from benchharness.suite.fields import (
    CHECKED_BEFORE,
    Count,
    Depth,
    Name,
    Pause,
    Seconds,
    Share,
    Table,
    Threads,
    all_different,
    as_list,
    storable,
)
from benchharness.suite.gating import Compared, Gate
from benchharness.suite.scenarios import Scenarios, usual_scenarios

#: What a hardware target's devices run.
System = Literal["linux", "macos", "windows"]
SYSTEMS: tuple[System, ...] = ("linux", "macos", "windows")
#: What a classifier gives for each class.
Scores = Literal["probabilities", "log-probabilities", "logits"]
Threshold = Annotated[float, Field(gt=0, lt=1)]
Task = Literal["causal-lm", "classifier", "embedding", "tensor"]
#: A text prompt or token file longer than this is a mistake: it would be stored with every run.
MOST_PROMPT_BYTES = 4 * 1024 * 1024
#: A suite file is written by hand, or by a program that lists models.
_MOST_SUITE_BYTES = 10 * 1024 * 1024
#: Options of a configuration that name files.
_FILES = frozenset({"custom_op_libraries", "program", "reader"})


def _by_a_comparison(value: Any, info: ValidationInfo) -> Any:
    if value is not None and info.context != CHECKED_BEFORE:
        raise ValueError("is written by whoever compares two builds, and by no suite; see [gate]")
    return value


def _valid_budgets(table: dict[str, Any]) -> dict[str, Any]:
    try:
        limits.parse(table, "suite")
    except UsageError as error:
        raise ValueError(str(error)) from error
    return table


Budgets = Annotated[dict[str, Any], AfterValidator(_valid_budgets)]


def _letters(layout: str) -> str:
    if not re.fullmatch(r"[A-Z]{1,8}", layout) or len(set(layout)) < len(layout):
        raise ValueError('a layout is a letter for each axis, none twice, such as "NCHW"; N counts the samples')
    return layout


def _each_once(table: dict[str, str]) -> dict[str, str]:
    twice = [name for name in table.values() if list(table.values()).count(name) > 1]
    if twice:
        raise ValueError(f"gives the output {twice[0]!r} two names")
    return table


def _one_each(table: dict[str, str]) -> dict[str, str]:
    twice = [name for name in table.values() if list(table.values()).count(name) > 1]
    if twice:
        raise ValueError(f"gives the input {twice[0]!r} two outputs")
    return table


State = Annotated[dict[str, str], AfterValidator(_one_each)]
Layout = Annotated[str, AfterValidator(_letters)]
KeySource = Annotated[str, AfterValidator(check_source)]


class Variant(Table):
    """A model's artefact and the recipe that made it. One that does not ship is measured, and no budget applies.

    Variants of one `precision` are compared across runtimes.
    """

    artefact: Path
    recipe: str = ""
    ships: bool = True
    precision: Name | None = None
    key_from: KeySource | None = None  # of a sealed artefact: where the device finds its key
    tokenizer: Path | None = None  # its own; None: the model's, else the tokenizer.json in or beside the artefact
    # As the model's, which each of them replaces.
    inputs: dict[str, str] | None = None
    outputs: Annotated[dict[str, str], AfterValidator(_each_once)] | None = None
    layouts: dict[str, Layout] | None = None
    state: State | None = None

    @model_validator(mode="after")
    def _sealed_with_a_key(self) -> Variant:
        if is_sealed(self.artefact) and self.key_from is None:
            raise ValueError(f'{self.artefact.name} is sealed; say in a suite where its key is: key_from = "env:NAME"')
        if self.key_from is not None and not is_sealed(self.artefact):
            raise ValueError(f"key_from is of sealed artefacts, and {self.artefact.name} is none: leave it out")
        return self


class Model(Table):
    """A network, its task, and its variants; `reference` names the variant that the others are compared with.

    A list names one for each format: a variant is compared with the first of its own format.
    """

    task: Task | None = None
    reference: Annotated[tuple[str, ...], BeforeValidator(as_list), AfterValidator(all_different)] = ()
    tokenizer: Path | None = None
    evaluation: Path | None = None  # data that variant and reference are compared on
    calibration: Path | None = None  # data that chose the variants' scales: no sample of it may be evaluated on
    allow_overlap: bool = False
    # Left takes what right gives: a model's input an array of the data, the name that an output is compared under one
    # of the model's own outputs. `scores` and `embedding` are what a classifier and an embedding are about.
    inputs: dict[str, str] = Field(default_factory=dict)
    outputs: Annotated[dict[str, str], AfterValidator(_each_once)] = Field(default_factory=dict)
    layouts: dict[str, Layout] = Field(default_factory=dict)  # of the model's own inputs and outputs: "NHWC"
    data_layouts: dict[str, Layout] = Field(default_factory=dict)  # of the data's arrays
    values: Literal["real", "codes"] = "real"  # what the data holds for quantized inputs
    # By output, the input that takes it at the next inference: of recurrent models. None: as their names tell.
    state: State | None = None
    threshold: Threshold | None = None  # a classifier's one score means its class above this probability; None: 0.5
    scores: Scores | None = None  # what a classifier's scores are; None: as its graph says, or else its samples
    variants: Annotated[dict[Name, Variant], Field(min_length=1)]

    @model_validator(mode="after")
    def _reference_exists(self) -> Model:
        for name in self.reference:
            if name not in self.variants:
                raise ValueError(f"reference {name!r} is not a variant (there are: {', '.join(self.variants)})")
        return self

    @model_validator(mode="after")
    def _artefacts_differ(self) -> Model:
        seen: dict[Path, str] = {}
        for name, variant in self.variants.items():
            if variant.artefact in seen:
                raise ValueError(
                    f"variants {seen[variant.artefact]!r} and {name!r} are the same file: {variant.artefact}"
                )
            seen[variant.artefact] = name
        return self


class ConfigurationTable(Table):
    """Runtime, accelerators, threads and options as requested; `only_on` these systems, where it is given."""

    name: Name | None = None
    runtime: Name = "onnxruntime"
    accelerator: Annotated[tuple[Name | None, ...], BeforeValidator(as_list), Field(min_length=1)] = (None,)
    threads: Annotated[tuple[Threads | None, ...], BeforeValidator(as_list), Field(min_length=1)] = (None,)
    options: Annotated[dict[str, Any], AfterValidator(storable)] = Field(default_factory=dict)
    accelerator_options: Annotated[dict[str, Any], AfterValidator(storable)] = Field(default_factory=dict)
    fallback: Literal["allow", "warn", "fail"] = "warn"
    library: Path | None = None  # the accelerator's plug-in
    unit: Name | None = None  # of the accelerator's units
    python: Path | None = None
    only_on: Annotated[tuple[System, ...], BeforeValidator(as_list), Field(min_length=1)] = SYSTEMS


class Prompt(Table):
    """A text, a text file, a file of token ids, or a number of seeded tokens: exactly one of them."""

    text: str | None = None
    file: Path | None = None
    tokens_file: Path | None = None
    tokens: Annotated[tuple[Count, ...], BeforeValidator(as_list), Field(min_length=1)] | None = None
    seed: int = 0

    @model_validator(mode="after")
    def _exactly_one(self) -> Prompt:
        given = [key for key in ("text", "file", "tokens_file", "tokens") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of text, file, tokens_file, tokens (given: {', '.join(given) or 'none'})"
            )
        return self


class Workload(Table):
    """What is asked of a model. With a prompt it is for language models; with dimensions, values or data for others."""

    name: Name | None = None
    models: tuple[Name, ...] | None = None  # None: every model it fits
    prompt: Prompt | None = None
    output_tokens: Annotated[tuple[Count, ...], BeforeValidator(as_list), Field(min_length=1)] = (64,)
    context_depth: Annotated[tuple[Depth, ...], BeforeValidator(as_list), Field(min_length=1)] = (0,)
    continuation: Literal["fixed", "greedy"] = "fixed"
    continuation_file: Path | None = None  # token ids to feed while decoding, instead of seeded ones
    dimensions: dict[str, Count] = Field(default_factory=dict)
    values: dict[str, float | int | bool | str] = Field(default_factory=dict)
    inputs: Path | None = None  # an .npz file of real inputs, first axis samples
    sample: Annotated[tuple[Depth, ...], BeforeValidator(as_list), Field(min_length=1)] = (0,)  # which is fed, from 0
    seed: int = 0

    @model_validator(mode="after")
    def _one_kind(self) -> Workload:
        if self.prompt is not None and (self.dimensions or self.values or self.inputs):
            raise ValueError(
                "a workload has a prompt (language models) or dimensions, values and inputs (others), not both"
            )
        if self.inputs is not None and self.dimensions:
            raise ValueError("with 'inputs' the data has the lengths; leave out 'dimensions'")
        if self.inputs is None and self.sample != (0,):
            raise ValueError("'sample' says which sample of 'inputs' is fed; name the .npz file too")
        return self


class Attempts(Table):
    """How many fresh processes a job gets, and when it stops."""

    at_least: Annotated[int, Field(ge=1, le=1000, strict=True)] = 5
    at_most: Annotated[int, Field(ge=1, le=1000, strict=True)] = 30
    interval: Share | None = None  # half-width asked for, relative; None: exactly `at_least` attempts
    max_time: Seconds | None = None  # for the whole run
    timeout: Seconds = 600.0  # for one attempt
    entry_gate: Pause | None = None  # longest wait before each attempt for a cool, settled device; None: the scenario's
    tells_apart: Share = TELLS_APART  # a ratio is better or worse where its whole interval is so far beyond 1

    @model_validator(mode="after")
    def _in_order(self) -> Attempts:
        if self.at_most < self.at_least:
            raise ValueError(f"at_most = {self.at_most} is fewer than at_least = {self.at_least}")
        return self


class Suite(Table):
    """A checked suite. `name` is the file's stem unless it says otherwise."""

    name: Name
    models: Annotated[dict[Name, Model], Field(min_length=1)]
    configurations: tuple[ConfigurationTable, ...] = (ConfigurationTable(),)
    workloads: tuple[Workload, ...] = (Workload(),)
    scenarios: Scenarios = Scenarios.model_validate(usual_scenarios())
    attempts: Attempts = Attempts()
    budgets: Budgets = Field(default_factory=dict)
    gate: Gate | None = None
    compared: Annotated[Compared | None, BeforeValidator(_by_a_comparison)] = None

    @property
    def digest(self) -> str:
        """SHA-256 of the checked suite, with every default spelled out; how it is compared is no part of it."""
        told = self.model_dump_json(by_alias=True, exclude={"gate", "compared"})
        return hashlib.sha256(told.encode()).hexdigest()


def load_suite(path: str | Path) -> Suite:
    """Reads a suite file. Raises `SuiteError` that says which key of which file is wrong, and what to write."""
    file = Path(path)
    table = read_toml(file)
    table.setdefault("name", file.stem)
    return _absolute(check_suite(table, where=str(file)), file.parent.absolute())


def suite_from_table(table: Mapping[str, Any]) -> Suite:
    """A suite from a plain table, its paths relative to the working folder. Raises `SuiteError`."""
    return _absolute(check_suite({"name": "suite", **table}, where="the suite"), Path.cwd())


def check_suite(table: dict[str, Any], *, where: str, stored: bool = False) -> Suite:
    """A suite from a plain table. `where` names its origin in errors; `stored`: units are base units already."""
    try:
        return Suite.model_validate(table, context=CHECKED_BEFORE if stored else None)
    except ValidationError as error:
        raise SuiteError(explain(error, Suite, where)) from error
    except RecursionError as error:
        raise SuiteError(f"{where}: nested too deep") from error


def restore_suite(text: str) -> Suite:
    """The suite that a run stored as JSON."""
    return restore_table(json.loads(text))


def restore_table(table: dict[str, Any]) -> Suite:
    """The suite of a table that was stored."""
    return check_suite(table, where="the stored suite", stored=True)


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as a table. Raises `SuiteError`."""
    try:
        _refuse_no_file(path)
        if path.is_file() and path.stat().st_size > _MOST_SUITE_BYTES:
            raise SuiteError(f"{path}: {path.stat().st_size} bytes; a suite has {_MOST_SUITE_BYTES} at most")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise SuiteError(f"{path}: nested too deep") from error
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"{path}: not valid TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise SuiteError(f"{path}: not a text file in UTF-8: {error.reason}") from error
    except OSError as error:
        raise SuiteError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def _refuse_no_file(path: Path) -> None:
    """A pipe or a device may never end. Raises `SuiteError`."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise SuiteError(f"{path}: is not a file; name one")


def _absolute(suite: Suite, folder: Path) -> Suite:
    """The same suite with its paths relative to `folder` made absolute, and prompt files read into it."""
    table = suite.model_dump(by_alias=True)
    for model in table["models"].values():
        for key in ("tokenizer", "evaluation", "calibration"):
            model[key] = model[key] and folder / model[key].expanduser()
        for variant in model["variants"].values():
            for key in ("artefact", "tokenizer"):
                variant[key] = variant[key] and folder / variant[key].expanduser()
    for configuration in table["configurations"]:
        for key in ("python", "library"):
            configuration[key] = configuration[key] and folder / configuration[key].expanduser()
        for key in _FILES.intersection(configuration["options"]):
            configuration["options"][key] = _absolute_files(configuration["options"][key], folder)
    for workload in table["workloads"]:
        _absolute_workload(workload, folder)
    for settings in table["scenarios"].values():
        for key, value in (settings or {}).items():
            settings[key] = _absolute_paths(value, folder)
    return check_suite(table, where=suite.name, stored=True)


def _absolute_files(value: Any, folder: Path) -> Any:
    """Of an option that names files: a path to one, from the suite's folder, is that; all else is the device's own."""
    if isinstance(value, list):
        return [_absolute_files(each, folder) for each in value]
    if not isinstance(value, str) or not ("/" in value or value.endswith(".toml")):
        return value
    try:
        path = folder / Path(value).expanduser()
        return str(path) if path.is_file() else value
    except (OSError, RuntimeError):  # too long, or of a user that is not here
        return value


def _absolute_workload(workload: dict[str, Any], folder: Path) -> None:
    for key in ("continuation_file", "inputs"):
        if workload[key]:
            workload[key] = folder / workload[key].expanduser()
    for key in ("file", "tokens_file"):
        if workload["prompt"] and workload["prompt"][key]:
            workload["prompt"][key] = folder / workload["prompt"][key].expanduser()


def _absolute_paths(value: Any, folder: Path) -> Any:
    """A scenario's setting: its paths, alone or in a list, are relative to the suite, too."""
    if isinstance(value, tuple):
        return tuple(_absolute_paths(each, folder) for each in value)
    return folder / value.expanduser() if isinstance(value, Path) else value


def read_prompt(path: Path) -> str:
    """A prompt's text. Raises `SuiteError`."""
    try:
        _refuse_no_file(path)
        if path.stat().st_size > MOST_PROMPT_BYTES:
            raise SuiteError(f"{path}: longer than {MOST_PROMPT_BYTES} bytes; cut the prompt")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path}: the prompt cannot be read as UTF-8 text: {error}") from error


def read_tokens(path: Path) -> list[int]:
    """Token ids from a file: a JSON list, or whole numbers between blanks, commas or line ends."""
    text = read_prompt(path)
    try:
        tokens = [int(word) for word in text.strip().strip("[]").replace(",", " ").split()]
    except ValueError as error:
        raise SuiteError(f"{path}: not a list of token ids: {error}") from error
    if not tokens or min(tokens) < 0:
        raise SuiteError(f"{path}: holds {'a negative number' if tokens else 'no token ids'}")
    return tokens
