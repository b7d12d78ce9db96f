"""Where things are kept on the host: the store unless one is named, files of runs that go on, hashes of models."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import PlatformDirs
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from benchharness.errors import StoreError
from benchharness.suite.artefact import DigestCache

_DIRS = PlatformDirs("benchharness", appauthor=False)


#: Names the store, for commands and Python alike.
STORE_VARIABLE = "BENCHHARNESS_STORE"


def default_store() -> str:
    """The URL that the environment names, else that of the user's own store, whose folder is made."""
    named = os.environ.get(STORE_VARIABLE)
    if named:
        return named
    folder = Path(_DIRS.user_data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'store.db'}"


def state_folder(store: str) -> Path:
    """The folder for spools and scratch files: beside an SQLite store, so that the two move and die together."""
    try:
        url = make_url(store)
    except ArgumentError as error:
        raise StoreError(f"{store!r} is not a store's URL; write for example sqlite:///results.db") from error
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        database = url.database.removeprefix("file:") if url.query.get("uri") else url.database
        return Path(f"{database}.state").absolute()
    return Path(_DIRS.user_state_dir)


#: Names the folder of device profiles.
DEVICES_VARIABLE = "BENCHHARNESS_DEVICES"


def devices_folder() -> Path:
    """Where devices' profiles are: the folder that the environment names, else `devices` where the command is given.

    They belong to a project, beside its suites, and go into its repository: they hold no secret.
    """
    return Path(os.environ.get(DEVICES_VARIABLE) or "devices").absolute()


def demo_suite() -> Path:
    """The bundled demo: in an installed wheel it lies inside the package, in a checkout under examples/."""
    package = Path(__file__).parent
    installed = package / "demo_model" / "suite.toml"
    return installed if installed.is_file() else package.parent / "examples" / "demo_model" / "suite.toml"


def digest_cache() -> DigestCache:
    """Hashes of model files by inode, size and time."""
    return DigestCache(Path(_DIRS.user_cache_dir) / "digests.json")


def wheel_cache() -> Path:
    """Wheels that were fetched for devices: another device of the kind takes them from here."""
    return Path(_DIRS.user_cache_dir) / "wheels"


def task_cache() -> Path:
    """What tasks ask, as files: a run that goes on asks the same."""
    return Path(_DIRS.user_cache_dir) / "tasks"
