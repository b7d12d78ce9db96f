"""Ids of runs and attempts: UUIDv7, which sort by the moment they were made."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from uuid import uuid7
else:
    from uuid_utils import uuid7


def new_id() -> str:
    """An id that nothing else has."""
    return str(uuid7())
