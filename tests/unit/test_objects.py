"""JSON objects with typed fields: what is read is written again as it was, whatever version or device it is of."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from benchharness.results.requested import Configuration, Data, Workload
from benchharness.results.told import Conditions, Effective


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"runtime": "tflite", "name": "phone"},  # the order of another version
        {"name": "n", "accelerator": None, "library": None},  # a key that says what its absence says
        {"name": "n", "later": {"a": [1, 2.0]}, "threads": 2},  # a key of a newer version
        {"name": 5, "threads": "two", "options": ["x"], "runtime": None},  # nothing of its type
        {"threads": True},  # no number
    ],
)
def test_a_configuration_is_written_as_it_was_read(stored: dict[str, Any]) -> None:
    assert json.dumps(Configuration.from_json(stored).to_json()) == json.dumps(stored)


def test_objects_within_objects_are_written_as_they_were_read() -> None:
    stored = {"prompt": {"length": 3, "seed": 0}, "name": "w", "data": {"sample": 2, "path": "x", "odd": 1}, "asks": 3}
    read = Workload.from_json(stored)
    assert json.dumps(read.to_json()) == json.dumps(stored)
    assert (read.prompt.length, read.asks) == (3, "any")
    assert read.data is not None
    assert read.data.sample == 2


def test_a_field_holds_only_what_is_of_its_type() -> None:
    read = Configuration.from_json({"name": 5, "threads": True, "options": [], "runtime": "tflite", "unit": 1.0})
    assert (read.name, read.threads, read.options, read.runtime, read.unit) == ("", None, {}, "tflite", None)
    assert Data.from_json({"threshold": 1}).threshold == 1


def test_what_is_set_later_is_written_behind_what_was_read() -> None:
    read = Configuration.from_json({"threads": None, "name": "n", "later": 1})
    changed = replace(read, threads=2, threads_by="default")
    assert list(changed.to_json().items()) == [("threads", 2), ("name", "n"), ("later", 1), ("threads_by", "default")]
    assert replace(changed, threads_by=None).to_json() == {"threads": 2, "name": "n", "later": 1}
    assert replace(Configuration.from_json({"name": 5}), name="n").to_json() == {"name": "n"}


def test_two_are_equal_where_they_say_the_same_in_any_order() -> None:
    assert Configuration.from_json({"name": "n", "threads": 2}) == Configuration(threads=2, name="n")
    assert Configuration.from_json({"name": "n", "library": None}) != Configuration(name="n")
    assert Configuration() != Workload()
    assert len({Configuration.from_json({"name": "n", "threads": 2}), Configuration(threads=2, name="n")}) == 1
    assert not Configuration()


@pytest.mark.parametrize("damaged", [None, "text", 5, [["name", "n"]]])
def test_what_is_no_object_is_refused(damaged: Any) -> None:
    with pytest.raises(TypeError, match="an object was expected"):
        Configuration.from_json(damaged)


@pytest.mark.parametrize(
    "told",
    [
        {"os": "Linux", "page_cache": {"unknown": "why"}, "waiting_share": 0, "left_running": ["x"], "python": "3.12"},
        {"times_throttled": {"unknown": "no quota here"}, "entry_gate": {"settled": True}, "sensors": "none"},
    ],
)
def test_conditions_are_written_as_the_device_told_them(told: dict[str, Any]) -> None:
    read = Conditions.from_json(told)
    assert json.dumps(read.to_json()) == json.dumps(told)
    assert (read.times_throttled, read.left_running, read.sensors) == (None, None, {})


def test_what_ran_is_written_as_the_device_told_it_within_a_reference_too() -> None:
    told = {
        "reference": {"threads": 2, "odd": 1},
        "threads": "2",
        "facts": {"a": None},
        "inputs": {},
        "execution": None,
    }
    read = Effective.from_json(told)
    assert json.dumps(read.to_json()) == json.dumps(told)
    assert read.reference is not None
    assert (read.reference.threads, read.threads, read.inputs) == (2, None, {})


@pytest.mark.parametrize(
    ("told", "on_device"),
    [
        ({}, True),
        ({"execution": "device"}, True),
        ({"execution": "reference"}, False),
        ({"execution": ["device"]}, False),
    ],
)
def test_an_execution_that_is_none_known_is_not_on_the_device(told: dict[str, Any], on_device: bool) -> None:
    assert Effective.from_json(told).on_device is on_device


@pytest.mark.parametrize(("told", "read"), [({"phase": "full"}, {"phase": "full"}), ("full", {}), (None, {})])
def test_what_one_scenario_alone_tells_is_read_by_its_key(told: Any, read: dict[str, str]) -> None:
    effective = Effective.from_json({"moonlight": told})
    assert effective.of_scenario("moonlight") == read
    assert effective.of_scenario("daylight") == {}
    assert effective.to_json() == {"moonlight": told}
