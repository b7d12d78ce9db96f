"""Runs programs that load, repeat and time by themselves, as runtimes ship them: `llama-bench`, `benchmark_model`, …

`options.program` is the program, a file that is put on the device or a name that is known there; `options.reader` says
how it is asked and understood, and is the program's name unless said. `options.arguments` are added to its command
line, and `options.environment` to its environment.

`running` starts a program and hears it out; what it printed is read in `targets.program_output`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchharness.contract import (
    PLACE_NOT_TOLD,
    Availability,
    Configuration,
    EffectiveConfiguration,
    OwnFigure,
    OwnReport,
    OwnRequest,
    TensorSpec,
)
from benchharness.errors import ModelFailure, Unsupported
from targets.native_program.running import Ran, peak_of, run, version_of
from targets.program_output.figures import read
from targets.program_output.reader import Reader, names, reader

_OPTIONS = ("program", "reader", "arguments", "environment")
_NO_PEAK = (
    "it held less than the process that started it, which the kernel counts into its peak, and had ended when it was "
    "looked at, or had started others; or this system keeps no peak"
)
_NO_VERSION = "not told"


class NativeProgram:
    """The adapter. A program of another package is a subclass with a name, formats and a reader of its own."""

    name = "native-program"
    formats: Sequence[str] = (".gguf", ".tflite", ".onnx", ".ort", ".pte")

    def availability(self) -> Availability:
        """Always there; whether the program is, the configuration that names it finds out."""
        return Availability(available=True, version=f"readers: {', '.join(names())}"[:200])

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[ProgramSession]:
        """Finds program and reader; the model is the program's to open. Raises `Unsupported`, `ModelFailure`."""
        options = configuration.options
        if unknown := next((each for each in options if each not in _OPTIONS), ""):
            raise Unsupported(f"no option is called {unknown!r} here (there are: {', '.join(_OPTIONS)})")
        if configuration.accelerator_options:
            raise Unsupported("accelerator_options: a program takes arguments; give options.arguments")
        program = _program(options.get("program"))
        how = reader(str(options.get("reader") or program.stem))
        model = Path(artefact).absolute()  # it is started in a folder of its own
        if model.is_dir():
            model = _only(model, how.formats)
        if not model.is_file():
            raise ModelFailure(f"{model}: no such file")
        yield ProgramSession(program, how, model, configuration)


@dataclass
class ProgramSession:
    """A program that has not been started yet."""

    program: Path
    reader: Reader
    model: Path
    configuration: Configuration
    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()

    def __post_init__(self) -> None:
        self.language = self.reader.language
        self._extra = [*self._threads(), *self._accelerator(), *_texts("arguments", self.configuration.options)]
        self._environment = _environment(self.configuration.options)
        self.effective = EffectiveConfiguration(
            accelerators=(PLACE_NOT_TOLD,),
            threads=None,
            runtime_version=version_of(self.program, self.reader, self._environment) or _NO_VERSION,
            facts={
                "program": self.program.name,
                "program_sha256": _digest(self.program),
                "reader": self.reader.name,
                "differs": self.reader.how,
                "precision_unknown": "the program does not tell in what type it computes",
            },
        )

    def run(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Refused."""
        raise Unsupported(f"{self.program.name} measures itself; nothing can be asked of its model")

    def measure(self, request: OwnRequest, metrics: Collection[str]) -> OwnReport:
        """Starts the program for each command that is wanted. Raises `ModelFailure`, `InvalidOutput`, `Unsupported`."""
        asked = _asked(request, self.model, self.configuration.threads)
        told: list[Ran] = []
        figures: list[OwnFigure] = []
        unknown = {"peak_memory": _NO_PEAK, **self.reader.unknown}
        for command in self.reader.commands:
            had = {figure.metric for figure in figures}  # by an earlier command, which a build may refuse
            rules = [rule for rule in command.figures if rule.metric in metrics and rule.metric not in had]
            if not rules:
                continue
            arguments = [*command.arguments, *self._extra]
            try:
                ran = run(self.program, arguments, asked, self.reader.output, self._environment)
            except ModelFailure as failure:
                if not (command.refused and re.search(command.refused, str(failure))):
                    raise
                unknown.update({rule.metric: f"this build cannot be asked for it: {failure}" for rule in rules})
                continue
            if self.reader.ignored and (argument := re.search(self.reader.ignored, ran.output.text())):
                told_of = (argument[1] or argument[0]).strip()[:200]
                raise Unsupported(f"this {self.program.name} takes no notice of {told_of}")
            told.append(ran)
            rows, found = read(self.reader, rules, ran.output, asked, self.program.name)
            figures += found
            self._learn(rows)
        lines = [ran.command for ran in told]
        self.effective = replace(self.effective, facts={**self.effective.facts, "commands": lines})
        return OwnReport(
            figures=figures,
            unknown=unknown,
            took_ns=sum(ran.took_ns for ran in told),
            peak_bytes=peak_of(told),
        )

    def _learn(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """What its rows say of itself."""
        said = {name: rows[0][key] for name, key in self.reader.tells.items() if rows and key in rows[0]}
        threads = said.pop("threads", None)
        accelerators = said.pop("accelerators", None)
        self.effective = replace(
            self.effective,
            threads=threads if isinstance(threads, int) and 0 < threads < 1 << 16 else self.effective.threads,
            accelerators=(str(accelerators)[:100],) if accelerators else self.effective.accelerators,
            facts={**self.effective.facts, **{name: str(value)[:200] for name, value in said.items()}},
        )

    def _threads(self) -> Sequence[str]:
        if self.configuration.threads is not None and not self.reader.threads:
            raise Unsupported(f"threads: {self.program.name} cannot be told how many; leave it out")
        return self.reader.threads if self.configuration.threads is not None else ()

    def _accelerator(self) -> Sequence[str]:
        asked, known = self.configuration.accelerator, self.reader.accelerators
        if asked is not None and asked not in known:
            raise Unsupported(
                f"accelerator {asked!r}: the reader {self.reader.name!r} knows {', '.join(known) or 'none'}"
            )
        return () if asked is None else known[asked]


def _digest(program: Path) -> str:
    """In pieces: what this process holds is counted into the program's peak."""
    found = hashlib.sha256()
    with program.open("rb") as stream:
        while piece := stream.read(1 << 16):
            found.update(piece)
    return found.hexdigest()


def _asked(request: OwnRequest, model: Path, threads: int | None) -> dict[str, str]:
    """What stands for each name between braces in a reader."""
    asked: dict[str, Any] = {
        "model": model,
        "threads": threads,
        "repeats": request.repeats,
        "repeats_and_first": request.repeats + 1,  # the first one is told with the others, and is none of them
        "prompt_tokens": request.prompt_tokens,
        "context_depth": request.context_depth,
        "output_tokens": request.output_tokens,
        "decoded_tokens": max(request.output_tokens - 1, 1),  # the first one belongs to the prompt
        "decode_depth": request.context_depth + request.prompt_tokens,
    }
    return {name: str(value) for name, value in asked.items()}


def _program(named: Any) -> Path:
    """The program's file. One that was put there for us may have come without leave to be started."""
    if not isinstance(named, str) or not named:
        raise Unsupported('say which program: options = { program = "/path/to/llama-bench" } in the configuration')
    path = Path(named if "/" in named else shutil.which(named) or named)
    if not path.is_file():
        raise Unsupported(f"options.program: {named}: there is no such program here")
    if not path.stat().st_mode & stat.S_IXUSR:
        try:
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        except OSError as error:
            raise Unsupported(f"options.program: {named}: may not be started here: {error.strerror}") from error
    return path.absolute()


def _only(folder: Path, formats: Sequence[str]) -> Path:
    """The one file of a folder that has the format. Raises `ModelFailure`."""
    found = [path for path in sorted(folder.iterdir()) if path.name.endswith(tuple(formats))]
    if len(found) != 1:
        raise ModelFailure(f"{folder}: holds {len(found)} files that end in {' or '.join(formats)}, not one")
    return found[0]


def _texts(name: str, options: Mapping[str, Any]) -> list[str]:
    found = options.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise Unsupported(f"options.{name}: {found!r} is no list of texts")
    return found


def _environment(options: Mapping[str, Any]) -> dict[str, str]:
    found = options.get("environment", {})
    if not isinstance(found, Mapping) or not all(isinstance(each, str) for each in found.values()):
        raise Unsupported(f"options.environment: {found!r} is no table of texts")
    return dict(found)
