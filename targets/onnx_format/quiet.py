"""ONNX Runtime tells its makers what it runs, from version 1.32 on Linux too: not here.

Importing it would open a database in the user's folder (`~/.cache/Microsoft`), which stays on the device, and start a
thread that sends what stands there beside what is measured. In version 1.32.0 it takes 2 MB of a worker's memory.
"""

from __future__ import annotations

import os

#: Read by ONNX Runtime when it is loaded.
_VARIABLE = "ORT_DISABLE_TELEMETRY"


def keep_quiet() -> None:
    """To be called before ONNX Runtime, or what brings its own, is imported. A user's own word holds."""
    os.environ.setdefault(_VARIABLE, "1")
