"""Makes a model by every recipe of its format, in this process, and prints a digest or a failure for each as JSON.

Tests start it as the program that makes artefacts is started, twice, and compare: the start of a tool takes longer than
what it makes of a small model.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from benchharness.compress import RECIPES, one
from benchharness.device.line import protocol
from benchharness.errors import BenchharnessError
from benchharness.suite.artefact import DigestCache, manifest_of


def main() -> None:
    answers = os.fdopen(protocol.claim_standard_output(), "w")
    format_, model, data = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    tools = one._load_tools(format_)
    found = tools.look(model)
    samples = one._read_data(found, Path(data[0])) if data else None
    made = {}
    for name, recipe in RECIPES.items():
        if recipe.format != format_ or (recipe.needs_calibration and samples is None):
            continue
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
            target = Path(folder) / f"model{format_}"
            try:
                tools.compress(found, recipe, target, Path(scratch), samples if recipe.needs_calibration else None)
                made[name] = manifest_of(Path(folder), DigestCache(None)).digest
            except BenchharnessError as error:
                made[name] = f"failed: {error}"
    json.dump(made, answers)
    answers.flush()


if __name__ == "__main__":
    main()
