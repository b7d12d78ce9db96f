"""Tight memory of a model that is in another process than the worker, as a page's is."""

from __future__ import annotations

from typing import Any

import pytest

from benchharness.device.scenarios.constrained import conductor, limits
from benchharness.device.scenarios.constrained.trial import Tried
from benchharness.records import CONSTRAINED_TRIALS, TrialEnd

SETTINGS = {
    "trials": 1,
    "needed": 1,
    "slowest": 10.0,
    "bracket": 0.5,
    "memory": True,
    "limits_bytes": [1 << 20],
    "quotas": [],
    "cores": [],
    "background": [],
}


class Group(limits.AddressSpace):
    """A way that counts memory."""

    floor_name = limits.MEMORY_FLOOR


def conducted(monkeypatch: pytest.MonkeyPatch, way: limits.Way, **facts: str) -> tuple[Any, list[Any], str]:
    tried: list[Any] = []

    def one(self: Any, order: Any, limit_s: float | None = None, **limited: Any) -> Tried:
        tried.append(limited)
        told = {"effective": {"threads": 1, "facts": facts}}
        return Tried(TrialEnd.ANSWERED, 10**6, answer_ns=10**5, peak_bytes=1 << 22, told=told)

    monkeypatch.setattr(conductor._Conductor, "_try", one)
    order: Any = {"id": "one", "settings": SETTINGS, "scenario": "constrained"}
    made = conductor._Conductor(order, lambda *_: None, None, way)
    made.unconstrained()
    tried.clear()
    return made, tried, made.everything()


def test_an_address_space_is_not_searched_for_what_another_process_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser reserves a thousand times of what it uses, and the worker beside it nothing of the model."""
    made, tried, memory = conducted(monkeypatch, limits.AddressSpace(), computed_in="the page's process")
    assert memory == "a limit on an address space is each process's own, and not of the page's process alone"
    assert tried == []
    assert [each["samples"] for each in made.measurements[1:]] == [[], []]
    (unconstrained,) = CONSTRAINED_TRIALS.rows(made.measurements[0]["samples"])
    assert unconstrained.peak == 0, "what the worker itself had mapped"


def test_of_a_group_it_is_said_who_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _, _ = conducted(monkeypatch, Group(), computed_in="the page's process")
    assert any("everything that was started for the page's process" in note for note in made.facts()["notes"])


def test_a_worker_that_computes_itself_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    _, tried, memory = conducted(monkeypatch, limits.AddressSpace())
    assert "each process's own" not in memory
    assert tried
