"""Keeps a package, while it is imported, from importing others that it can do without."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Modules that cannot be imported meanwhile; what was loaded before is there again afterwards."""
    modules: Any = sys.modules
    before = {name: modules[name] for name in names if name in modules}
    modules.update(dict.fromkeys(names))  # None: not to be imported
    try:
        yield
    finally:
        for name in names:
            del modules[name]
        modules.update(before)
