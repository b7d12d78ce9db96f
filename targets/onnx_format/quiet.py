"""ONNX Runtime's telemetry, which version 1.32.0 has on Linux too: not here.

Opening a model would open a database in the user's folder (`~/.cache/Microsoft`), which stays on the device, and start
a thread beside what is measured: 2 MB of a worker's memory, and what goes out, to an address of Microsoft's that stands
in the library, is nobody's business here.
"""

from __future__ import annotations

import os

#: Read by ONNX Runtime when it is loaded.
_VARIABLE = "ORT_DISABLE_TELEMETRY"


def keep_quiet() -> None:
    """To be called before ONNX Runtime, or what brings its own, is imported. A user's own word holds."""
    os.environ.setdefault(_VARIABLE, "1")
