"""The test suite that every adapter passes: subclass `AdapterContract`. It is loaded when it is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchharness.testing.adapter_contract import AdapterContract

__all__ = ["AdapterContract"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'benchharness.testing' has no attribute {name!r}")
    from benchharness.testing.adapter_contract import AdapterContract

    return AdapterContract
