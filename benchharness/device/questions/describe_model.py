"""Describes a model file in a process of its own: the file is not trusted, and importing a runtime may end a process.

`python -m benchharness.device.questions.describe_model ADAPTER PATH` prints one line of JSON:
`{"description": {...}, "files": ...}` with the answer of `benchharness.device.questions.list_files`, or
`{"failed": "unsupported" | "model-failure", "reason": "..."}`.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

from benchharness.contract import Inspects
from benchharness.device import adapters
from benchharness.device.line import protocol
from benchharness.device.questions.list_files import files_of
from benchharness.device.sealed import is_sealed
from benchharness.errors import AttemptError, Unsupported


def main() -> None:
    """Prints the description of the file that the command line names, or why there is none."""
    answers = os.fdopen(protocol.claim_standard_output(), "wb")
    name, path = sys.argv[1:]
    try:
        answer: dict[str, Any] = {"description": _description(name, Path(path)), "files": files_of(Path(path), [name])}
    except AttemptError as error:
        kind = "unsupported" if isinstance(error, Unsupported) else "model-failure"
        answer = {"failed": kind, "reason": protocol.text(error)}
    answers.write(protocol.encode(answer))
    answers.flush()


def _description(name: str, path: Path) -> dict[str, Any]:
    if is_sealed(path):
        raise Unsupported(f"{path}: is sealed, and only a run opens it; inspect the model that was sealed")
    adapter = adapters.load(name)
    if not isinstance(adapter, Inspects):
        raise Unsupported(f"the adapter {name!r} cannot look into a model without running it")
    return dataclasses.asdict(adapter.inspect(path))


if __name__ == "__main__":
    main()
