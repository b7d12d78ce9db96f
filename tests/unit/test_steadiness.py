"""Whether a device left its own history: how often that is said of one that did not, and of one that did."""

from __future__ import annotations

import numpy as np
import pytest

from benchharness import builds
from benchharness.judge.steadiness import LEAST_NIGHTS, LEAST_PAIRS, left_its_history, told


def spreads(count: int, sd: float, drawn: np.random.Generator, *, pairs: int = LEAST_PAIRS) -> list[float]:
    """As that many nights of pairs show them, of a device that does not change."""
    return [float(np.std(drawn.normal(0, sd, pairs), ddof=1)) for _ in range(count)]


@pytest.mark.parametrize(("nights", "most"), [(LEAST_NIGHTS, 2), (30, 0)])
def test_a_device_that_stays_as_it_is_stays(nights: int, most: int) -> None:
    drawn = np.random.default_rng(nights)
    alarms = sum(left_its_history(spreads(nights, 0.02, drawn), spreads(1, 0.02, drawn)[0]) for _ in range(3000))
    assert alarms <= most


def test_one_that_spreads_six_times_as_far_is_found() -> None:
    drawn = np.random.default_rng(2)
    found = sum(left_its_history(spreads(20, 0.02, drawn), spreads(1, 0.12, drawn)[0]) for _ in range(300))
    assert found > 200


def test_a_device_that_always_spread_wildly_is_held_against_itself() -> None:
    wild = [0.01, 0.08, 0.02, 0.06, 0.01, 0.09, 0.03, 0.02, 0.07]
    assert not left_its_history(wild, 0.15)
    assert left_its_history([0.01] * 9, 0.15)
    assert not left_its_history([0.01] * (LEAST_NIGHTS - 1), 5.0)
    assert not left_its_history([0.02] * 20, 0.0001)  # calmer is no trouble


def test_it_says_which_and_by_how_much() -> None:
    earlier = [{("cell", "tpot"): 0.01}] * 9
    assert told(earlier, {("cell", "tpot"): 0.01}) == ""
    assert told(earlier, {("other", "tpot"): 0.9}) == ""
    words = told(earlier, {("cell", "tpot"): 0.08})
    assert words == "a build is 8.0 times as far from itself in tpot as in 9 nights before (8.0 % instead of 1.0 %)"


@pytest.fixture
def nights(database: str) -> list[str]:
    """Ten nights in which a build was compared with itself, the last of them on a device that spreads."""
    import json
    from contextlib import closing

    from benchharness.results.result import Job
    from benchharness.results.store import Store
    from benchharness.suite.tables import suite_from_table
    from tests.unit.made_up import attempt, job, measured

    table = {
        "name": "phones",
        "models": {"chat": {"variants": {"int8": {"artefact": "/models/int8.onnx"}}}},
        "gate": {"primary": ["steady_inference"]},
    }
    plain = json.loads(suite_from_table(table).model_dump_json(by_alias=True))
    compared = {"base": plain, "base_told": "it", "candidate_told": "itself"}
    sides = [
        Job.from_json({**job(key=key * 16, side=side, pair="p").to_json()})
        for key, side in (("a", "base"), ("b", "candidate"))
    ]
    drawn = np.random.default_rng(3)
    made = []
    with closing(Store(database)) as store:
        for night in range(10):
            run = store.create_run(
                suite="phones",
                digest="5f" * 32,
                suite_json=json.dumps({**plain, "compared": compared}),
                hardware_json='{"name": "this-machine"}',
                planned=sides,
            )
            for round_ in range(10):
                for side in sides:
                    value = float(1e6 * np.exp(drawn.normal(0, 0.01 if night < 9 else 0.2)))
                    name = f"{night}-{round_}-{side.key[0]}"
                    store.save_attempt(
                        run, attempt(round_, measured("steady_inference", value, [value] * 5), job=side.key, id=name)
                    )
            store.set_state(run, "finished")
            made.append(run)
    return made


def test_a_night_is_held_against_those_before(nights: list[str], database: str) -> None:
    assert builds.unsteady(nights[8], store=database) == ""
    assert "as far from itself in steady_inference as in 9 nights before" in builds.unsteady(nights[9], store=database)
