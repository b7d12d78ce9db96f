"""Asks an OpenAI-compatible endpoint, and follows its answer as it streams.

The artefact is a small JSON file, `NAME.endpoint`: `url` up to and with `/v1`, `model`, `api` ("completions" or
"chat"), `key`, which is the name of an environment variable of the device and never a key, and `context_length`.

Its modules: `endpoint` reads the file, `session` asks, `events` reads what comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import httpx

    from targets.cloud.session import CloudSession
except ImportError as error:
    _missing = f"httpx cannot be imported ({error}); install benchharness[cloud]"
else:
    _missing = ""

from benchharness.contract import Availability, Configuration
from benchharness.errors import Unsupported
from targets.cloud.endpoint import ENDING, read_endpoint

if TYPE_CHECKING:
    from benchharness.contract import Session


class Cloud:
    """The adapter for endpoints."""

    name = "cloud"
    formats: Sequence[str] = (ENDING,)

    def availability(self) -> Availability:
        """httpx's version, or the reason why there is none. Whether an endpoint answers is not asked. Never raises."""
        if _missing:
            return Availability(available=False, reason=_missing)
        return Availability(available=True, version=httpx.__version__, accelerators=("cloud",))

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[Session]:
        """A session; nothing is asked yet. Raises `ModelFailure` for a file that is no endpoint's."""
        if _missing:
            raise Unsupported(_missing)
        if configuration.accelerator not in (None, "cloud"):
            raise Unsupported("an endpoint has no accelerators to choose from")
        if configuration.threads is not None or configuration.options:
            raise Unsupported("an endpoint takes neither threads nor options; leave them out of its configuration")
        session = CloudSession(read_endpoint(Path(artefact)))
        try:
            yield session  # type: ignore[misc]  # it has no inputs and outputs: see `GeneratesTokens`
        finally:
            session.close()
