"""What a host lets submissions do: its `agent.toml`. A suite is code, so only what stands there is done.

::

    roots = ["/srv/models"]          # files that need not come over the line
    cache = "20 GB"                  # how much of what came is kept
    code = ["9b1c…"]                 # files of submissions that are code, by their SHA-256
    key_sources = ["env:MODEL_KEY"]  # where keys of sealed artefacts may be found

    [keys]
    ann = "3Zk…="                    # whose submissions are made

    [interpreters]
    tflite = "/opt/tflite/bin/python"

    [libraries]
    gpu = "/opt/lib/libdelegate.so"
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from benchharness.device.adapters import BUILT_IN
from benchharness.errors import SuiteError
from benchharness.farm import contents, signing
from benchharness.farm.cache import DEFAULT_CACHE_BYTES
from benchharness.farm.submission import Submission, Unbelievable, commands_in, paths_in
from benchharness.suite.errors import explain
from benchharness.suite.fields import Bytes, Name, Table
from benchharness.suite.tables import Suite, read_toml, restore_table

#: The options that name libraries and programs (`execute.placing`), and one that no submission has.
_LIBRARIES, _PROGRAM, _ENVIRONMENT = "custom_op_libraries", "program", "environment"
#: How names of libraries end; behind that a version may stand.
_LOADED = frozenset({".so", ".dylib", ".dll"})
#: What opens a model and nothing else. Others start programs, or talk to somebody: a host has to list them.
_RUNTIMES = tuple(name for name, row in BUILT_IN.items() if row.opens_only)


class Allowed(Table):
    """A host's list."""

    roots: tuple[Path, ...] = ()
    runtimes: tuple[Name, ...] = ()  # beside the usual ones
    scenarios: tuple[Name, ...] = ()
    keys: dict[Name, str] = Field(default_factory=dict)
    interpreters: dict[Name, Annotated[str, Field(max_length=1000)]] = Field(default_factory=dict)
    libraries: dict[Name, Annotated[str, Field(max_length=1000)]] = Field(default_factory=dict)
    key_sources: tuple[Annotated[str, Field(max_length=1000)], ...] = ()  # of sealed artefacts, as `key_from` has them
    code: tuple[Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...] = ()  # files that are code, by their SHA-256
    cache: Bytes = DEFAULT_CACHE_BYTES  # how much of what came is kept

    @classmethod
    def load(cls, path: Path) -> Allowed:
        """The list in a file. Raises `SuiteError`."""
        try:
            return cls.model_validate(read_toml(path))
        except ValidationError as error:
            raise SuiteError(explain(error, cls, str(path))) from error

    def submission(self, told: str, signature: str, signer: str, labels: Mapping[str, str]) -> Submission:
        """A submission that may be made here. Raises `Unbelievable`: which line of the list it lacks."""
        if not signing.signed_by(told, signature, signer, self.keys):
            raise Unbelievable(f"it is not signed by a key of this host's list, though it says {signer!s:.60}")
        found = Submission.read(told)
        if found.by != signer:
            raise Unbelievable(f"{signer} signed what {found.by!s:.60} wrote")
        if found.until < datetime.now(UTC):
            now = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
            raise Unbelievable(f"its signature was good until {found.until:%Y-%m-%d %H:%M}; it is {now} on this host")
        if not any(all(labels.get(key) == value for key, value in each.items()) for each in found.wanted):
            raise Unbelievable("it was not written for this device")
        return found

    def suites(self, submission: Submission, folder: Path) -> list[Suite]:
        """A submission's suites with the paths that they have here. Raises `Unbelievable`, `SuiteError`.

        Its files lie there already: which of them are code some say themselves.
        """
        suites = [self._suite(table, folder) for table in submission.suites]
        contents.check(submission, suites, folder, code=self.code, keys=self.key_sources)
        return suites

    def _suite(self, table: dict[str, Any], folder: Path) -> Suite:
        if table.get("compared") is not None:
            raise Unbelievable("it says itself what it is compared with")
        for holder, key in paths_in(table):
            holder[key] = str(folder / holder[key])
        for variant in (one for model in table["models"].values() for one in model["variants"].values()):
            if variant.get("key_from") not in (None, *self.key_sources):  # a command is a program to be started
                raise Unbelievable(f"{variant['key_from']!s:.100} is not in this host's key_sources")
        for each in table["configurations"]:
            each["python"] = self._named(each.get("python"), self.interpreters, "interpreters")
            each["library"] = self._named(each.get("library"), self.libraries, "libraries")
            each["accelerator"] = [self._accelerator(one) for one in _listed(each.get("accelerator"))]
            if each.get("runtime") not in (*_RUNTIMES, *self.runtimes):
                raise Unbelievable(f"{each.get('runtime')!s:.100} is not in this host's runtimes")
            options = each.get("options") or {}
            if _ENVIRONMENT in options:
                raise Unbelievable("it sets environment variables")
            if _PROGRAM in options:
                options[_PROGRAM] = self._named(options[_PROGRAM], self.libraries, "libraries")
            if _LIBRARIES in options:
                given = _listed(options.pop(_LIBRARIES))
                options[_LIBRARIES] = [self._named(one, self.libraries, "libraries") for one in given]
            _refuse_paths({key: value for key, value in options.items() if key not in (_LIBRARIES, _PROGRAM)})
            _refuse_paths(each.get("accelerator_options") or {})
        try:
            suite = restore_table(table)
        except SuiteError as error:
            raise Unbelievable(f"its suite is none here: {error!s:.300}") from error
        self._check_scenarios(suite)
        self._refuse_others(suite.model_dump(), folder)
        return suite

    def _check_scenarios(self, suite: Suite) -> None:
        """Raises `Unbelievable` for one that this host does not make, or that starts a program of the suite's."""
        for scenario, _ in suite.scenarios.asked():
            if not scenario.opens_only and scenario.name not in self.scenarios:
                raise Unbelievable(f"{scenario.name} is not in this host's scenarios")
        for name, command in commands_in(suite):
            raise Unbelievable(f"{name} starts a program: {command[0]!s:.100}")

    def _refuse_others(self, value: Any, folder: Path) -> None:
        """Whatever is a path, in whichever table, leads into the submission's folder or to what this host lists."""
        if isinstance(value, Mapping | list | tuple):
            for each in value.values() if isinstance(value, Mapping) else value:
                self._refuse_others(each, folder)
        elif isinstance(value, Path):
            listed = str(value) in (*self.interpreters.values(), *self.libraries.values())
            if not listed and not value.is_relative_to(folder):
                raise Unbelievable(f"a path outside of its own files: {value!s:.100}")

    def _named(self, name: Any, known: Mapping[str, str], where: str) -> str | None:
        if name is None:
            return None
        if name not in known:
            raise Unbelievable(f"{name!s:.100} is not in this host's [{where}]")
        return known[name]

    def _accelerator(self, name: Any) -> Any:
        if name in self.libraries:
            return self.libraries[name]
        _refuse_paths(name)
        return name


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _refuse_paths(value: Any) -> None:
    """A runtime may open whatever an option names. Raises `Unbelievable`."""
    if isinstance(value, Mapping):
        for each in (*value.keys(), *value.values()):
            _refuse_paths(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _refuse_paths(each)
    elif isinstance(value, str) and (
        set("/\\") & set(value) or _LOADED & {each.lower() for each in Path(value).suffixes}
    ):
        raise Unbelievable(f"a path outside of its own files: {value:.100}")
