"""The code that loads model formats in one runtime, how it is registered, and what it may tell of an artefact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from benchharness.contract.configuration import Configuration
from benchharness.contract.sessions import Session


@dataclass(frozen=True)
class Availability:
    """Whether an adapter can run on this device, with its version and accelerators, or the reason why not."""

    available: bool
    version: str = "unknown"
    accelerators: Sequence[str] = ()
    reason: str = ""
    units: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by accelerator: "NPU: what it is"


class Adapter(Protocol):
    """Loads one or more model formats in one runtime."""

    name: str  # "onnxruntime"
    formats: Sequence[str]  # (".onnx",)

    def availability(self) -> Availability:
        """What runs here, or the reason why nothing does. Never raises."""
        ...

    def open(self, artefact: Path, configuration: Configuration) -> AbstractContextManager[Session]:
        """Loads the model. Raises `ModelFailure` for a bad file, `Unsupported` for a request it cannot meet.

        An accelerator that this device has and that refuses the whole model ends in `Unsupported` where the
        configuration's fallback is `fail`; otherwise the model is loaded without it, and `refusal` tells.
        """
        ...


@dataclass(frozen=True)
class AdapterRow:
    """How an adapter is registered: what has to be known of it before, and without, its runtime being loaded.

    Built-in adapters stand in `benchharness.device.adapters`, others in the entry-point group `benchharness.targets`,
    whose value is a row in a module that imports no runtime, or the class itself: its attributes are the row then.
    """

    adapter: str  # the class, "numpy_linear:NumpyLinear"
    formats: Sequence[str]  # as the class has them
    #: The accelerator that is the runtime's plain CPU path, where that is not what it does by default.
    plain_accelerator: str | None = None
    #: What pip installs for it on a device: "onnxruntime>=1.20".
    requires: Sequence[str] = ()
    #: Of the formats those that it opens where it is named only: another runtime is their own.
    on_request: Sequence[str] = ()
    #: The modules that it runs models with. Its own module loads without them, and lists files all the same.
    runs_with: Sequence[str] = ()
    #: Whether it opens a model and nothing else, starts no program and talks to nobody: a farm's host takes it unasked.
    opens_only: bool = False
    #: Whether it computes on a device that is connected to its machine (`connected`), and never on the machine itself.
    reaches_connected: bool = False


@runtime_checkable
class FindsTokenizer(Protocol):
    """An optional ability of an adapter: finds the tokenizer that an artefact carries inside."""

    def tokenizer(self, artefact: Path) -> Path | None:
        """The path of its `tokenizer.json`, None where it has none. Raises `Unsupported` for one of another kind."""
        ...


@dataclass(frozen=True)
class ArtefactFiles:
    """What an adapter reads when it opens an artefact. Paths are relative to `root`, with forward slashes.

    `root` follows from the model alone, so that an artefact named by its folder or by its file is the same one.
    """

    root: Path  # a folder that holds all of them: the artefact itself, or one above it
    model: str  # the file or package that is opened
    files: Sequence[str]  # every file that is read, those of a package each
    part: str = ""  # of a pipeline: "encoder"; empty where the model is the whole
    pipeline: Sequence[str] = ()  # the models of its other parts
    siblings: Sequence[str] = ()  # other models in the same place, which are not read


@runtime_checkable
class OpensBytes(Protocol):
    """An optional ability of an adapter: opens a model whose content is in memory and nowhere else, a sealed one."""

    def open_bytes(
        self, artefact: Path, content: bytes, configuration: Configuration
    ) -> AbstractContextManager[Session]:
        """As `open` does. `artefact` stands for the model in messages and among its neighbours; there is no such file.

        Writes nothing of the content anywhere. Raises `Unsupported` for a request that would.
        """
        ...


@runtime_checkable
class ListsFiles(Protocol):
    """An optional ability of an adapter: tells which files an artefact is. Without it, it is all of a folder's."""

    def files(self, artefact: Path) -> ArtefactFiles:
        """The files that `open` reads, found as it finds them. The artefact is not trusted, and nothing is run.

        Raises `ModelFailure` where there is no model, more than one to choose from, a file that is missing, or one
        that a model must not name.
        """
        ...
