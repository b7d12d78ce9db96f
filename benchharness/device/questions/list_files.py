"""Lists the files of artefacts in a process of its own: they are not trusted, and a runtime may end its process.

`python -m benchharness.device.questions.list_files` reads `[[path, [adapter, ...]], ...]` from standard input and
prints one line of JSON, an answer each: `{"files": {...}}`, `{"failed": "reason", "several": bool}`, or null where no
adapter can tell.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchharness.contract import ListsFiles, OpensBytes, hidden
from benchharness.device import adapters
from benchharness.device.line import protocol
from benchharness.device.sealed import is_sealed
from benchharness.errors import AttemptError, SeveralModels, Unsupported

#: What the built-in adapters run models with.
_RUNTIMES = frozenset(module for row in adapters.BUILT_IN.values() for module in row.runs_with)


def main() -> None:
    """Answers what standard input asks."""
    answers = os.fdopen(protocol.claim_standard_output(), "wb")
    asked = json.load(sys.stdin)
    # What an adapter of ours imports meanwhile does without its runtime: some take seconds, and no listing needs one.
    # Adapters say that it is missing, and list files all the same.
    with hidden(*_RUNTIMES):
        for name in adapters.BUILT_IN.keys() & {name for _, names in asked for name in names}:
            with suppress(Unsupported):  # so says `files_of`
                adapters.load(name)
    answers.write(protocol.encode({"answers": [files_of(Path(path), names) for path, names in asked]}))
    answers.flush()


def files_of(path: Path, names: Sequence[str]) -> dict[str, Any] | None:
    """What the first of the adapters that lists files says of an artefact."""
    for name in names:
        try:
            adapter = adapters.load(name)
        except Unsupported:
            continue  # so says whoever opens it
        if isinstance(adapter, ListsFiles) and (isinstance(adapter, OpensBytes) or not is_sealed(path)):
            return _asked(adapter, name, path)
    return None


def _asked(adapter: ListsFiles, name: str, path: Path) -> dict[str, Any]:
    try:
        found = adapter.files(path)
        return {"files": {**dataclasses.asdict(found), "root": str(found.root)}}
    except AttemptError as error:
        return {"failed": protocol.text(error), "several": isinstance(error, SeveralModels)}
    except OSError as error:
        return {"failed": protocol.text(f"{path}: cannot be read ({error.strerror or error})")}
    except Exception as error:  # of another package's adapter: its own failure
        return {"failed": protocol.text(f"{path}: the adapter {name!r} failed: {type(error).__name__}: {error}")}


if __name__ == "__main__":
    main()
