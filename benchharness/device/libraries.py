"""The shared libraries that workers map, remembered, so that every attempt finds them in memory in the same state.

Resident memory counts every page of a library that the kernel maps, and with a touched page it maps the neighbours that
the page cache holds in one piece. Pages of a freshly installed library lie in larger pieces than those read from disk:
on Linux 6.18 the same attempt held 72 MB after an installation and 66 MB later. So libraries that a worker is seen to
map for the first time are dropped from the page cache once, and read before each worker starts, like the model's files.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness.device import page_cache

if TYPE_CHECKING:
    from benchharness.device.line.orders import Order

_FILE = "libraries.json"
#: A process that maps more libraries than this is not read for.
_MOST = 2000


class Libraries:
    """What the workers of each adapter and interpreter have mapped, kept in a folder that outlives runs."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._known: dict[str, list[str]] = {}
        with contextlib.suppress(
            OSError, ValueError, AttributeError, TypeError
        ):  # lost or damaged: the first attempt tells again
            read: Any = json.loads(self._path.read_text(encoding="utf-8"))
            self._known = {str(key): [str(path) for path in paths] for key, paths in read.items()}

    def of(self, order: Order) -> list[Path]:
        """The libraries that such a worker mapped before, as far as they are there; none before the first one."""
        paths = (Path(path) for path in self._known.get(_key(order), ()))
        return [path for path in paths if path.is_file()]

    def learn(self, order: Order, paths: Iterable[Any]) -> None:
        """Remembers what a worker mapped, and drops from the page cache what no worker mapped before."""
        mapped = sorted({str(path) for path in paths})[:_MOST]
        known = self._known.get(_key(order), [])
        if mapped and mapped != known:
            self._known[_key(order)] = mapped
            for path in set(mapped) - set(known):
                with contextlib.suppress(OSError):  # gone since
                    page_cache.evict([Path(path)])
            with contextlib.suppress(OSError):  # a full disk costs the next run's first attempt, not this one
                self._path.write_text(json.dumps(self._known), encoding="utf-8")


def _key(order: Order) -> str:
    what: Sequence[Any] = (order["adapter"], order.get("python") or "", order["configuration"].get("accelerator") or "")
    return json.dumps(what)
