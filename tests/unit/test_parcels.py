"""A run as one JSON text: it comes out as it went in, and whatever somebody else makes of one is refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchharness import api, stores
from benchharness.results.store import Store
from tests.unit.made_up import attempt, job, measured

Said = dict[str, Any]


@pytest.fixture
def source(tmp_path: Path) -> tuple[str, str]:
    """A store with a run, and the run's id."""
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    with closing(Store(url)) as store:
        run = store.create_run(
            suite="s", digest="5f" * 32, suite_json="{}", hardware_json='{"name": "board"}', planned=[job()]
        )
        for round_ in range(3):
            latency = measured("steady_inference", 1e6 + round_, [1e6 + round_, 2e6, 3e6])
            store.save_attempt(run, attempt(round_, latency, conditions={"os": "é\u2028"}))
        store.set_state(run, "finished")
    return url, run


@pytest.fixture
def mine(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mine.db'}"


def test_a_run_comes_out_as_it_went_in(source: tuple[str, str], mine: str) -> None:
    url, run = source
    parcel = stores.parcel_of(run, store=url)
    assert stores.take_in([("farm: a/b", parcel), ("farm: a/b", parcel)], store=mine) == [(run, "")] * 2
    assert json.loads(api.load(run, store=mine).to_json()) == json.loads(api.load(run, store=url).to_json())
    assert [each.origin for each in api.runs(store=mine)] == ["farm: a/b"]
    with closing(Store(mine)) as here, closing(Store(url)) as there:
        assert here.attempts(run) == there.attempts(run)


def test_conditions_are_told_with_every_attempt(source: tuple[str, str], mine: str) -> None:
    url, run = source
    stores.take_in([("x", stores.parcel_of(run, store=url, conditions={"battery": 80}))], store=mine)
    with closing(Store(mine)) as here:
        assert [each.conditions.others for each in here.attempts(run)] == [
            {"os": "é\u2028", "farm": {"battery": 80}}
        ] * 3


def test_a_gate_that_was_red_brings_the_run_that_repeats_it(source: tuple[str, str], mine: str) -> None:
    url, run = source
    with closing(Store(url)) as store:
        again = store.create_run(
            suite="s", digest="", suite_json="{}", hardware_json='{"name": "board"}', planned=[job()]
        )
        store.set_state(again, "finished")
    parcel = stores.parcel_of(again, run, store=url)
    assert stores.take_in([("x", parcel)], store=mine) == [(again, "")]
    assert {each.id for each in api.runs(store=mine)} == {run, again}


def _set(table: str, **values: Any) -> Callable[[Said], object]:
    return lambda said: said[table][0].update(values)


@pytest.mark.parametrize(
    "change",
    [
        _set("measurements", value=-1.0),
        _set("measurements", value="many"),
        _set("measurements", samples="!!!"),
        _set("measurements", samples="AAAA"),
        _set("measurements", metric="x" * 61),
        _set("attempts", outcome="splendid"),
        _set("attempts", job_key="ffffffffffffffff"),
        _set("attempts", started="yesterday"),
        _set("attempts", started="1970-01-01T00:00:00"),
        _set("runs", id="latest"),
        _set("runs", id=5),
        _set("runs", other="column"),
        _set("jobs", job_json="{}"),
        lambda said: said.update(format=2),
        lambda said: said.update(runs=[]),
        lambda said: said.update(attempts=5),
        lambda said: said["runs"].append(said["runs"][0]),
        lambda said: said.pop("jobs"),
        lambda said: said["attempts"].append(said["attempts"][0]),
    ],
)
def test_what_was_changed_on_the_way_is_refused_and_others_come(
    source: tuple[str, str], mine: str, change: Callable[[Said], object]
) -> None:
    url, run = source
    good = stores.parcel_of(run, store=url)
    said = json.loads(good)
    change(said)
    (bad, why), (came, no_trouble) = stores.take_in([("x", json.dumps(said)), ("x", good)], store=mine)
    assert bad == ""
    assert why
    assert (came, no_trouble) == (run, "")


@pytest.mark.parametrize("text", ["", "[", "5", "null", "[" * 100_000, '{"format": 1}'])
def test_what_is_no_parcel_is_refused(mine: str, text: str) -> None:
    ((run, why),) = stores.take_in([("x", text)], store=mine)
    assert run == ""
    assert why
