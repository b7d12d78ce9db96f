"""The harness's judgement of where operators run, the same for every runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from benchharness.contract import PLACE_NOT_TOLD, Configuration, EffectiveConfiguration, Refusal, TensorSpec
from benchharness.device.fallback import placement_facts
from benchharness.errors import Unsupported

Placement = Mapping[str, Mapping[str, int]]

NPU, CPU = "npu", "cpu"
PARTLY: Placement = {NPU: {"MatMul": 5}, CPU: {"Gather": 2, "Cast": 1}}


class Session:
    """A session that does not tell where operators run."""

    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()

    def __init__(self, accelerators: tuple[str, ...], refusal: Refusal | None) -> None:
        self.effective = EffectiveConfiguration(accelerators=accelerators, threads=None, refusal=refusal)

    def run(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        raise NotImplementedError


class PlacedSession(Session):
    def __init__(self, placement: Placement | Unsupported, *rest: Any) -> None:
        super().__init__(*rest)
        self._placement = placement

    def placement(self) -> Placement:
        if isinstance(self._placement, Unsupported):
            raise self._placement
        return self._placement


def facts(
    placement: Placement | Unsupported | None,
    *,
    accelerator: str | None = NPU,
    fallback: str = "warn",
    accelerators: tuple[str, ...] = (NPU, CPU),
    refusal: Refusal | None = None,
) -> dict[str, Any]:
    rest = (accelerators, refusal)
    session = Session(*rest) if placement is None else PlacedSession(placement, *rest)
    configuration = Configuration(runtime="r", accelerator=accelerator, fallback=fallback)
    return placement_facts(configuration, session)


def test_all_operators_on_the_accelerator_are_no_fallback() -> None:
    whole = {NPU: {"MatMul": 5}}
    assert facts(whole) == facts(whole, fallback="fail") == {"placement": whole}


@pytest.mark.parametrize("fallback", ["warn", "allow"])
def test_operators_elsewhere_are_counted_and_named(fallback: str) -> None:
    assert facts(PARTLY, fallback=fallback) == {
        "placement": PARTLY,
        "fallback": {
            "summary": "3 of 8 operators do not run on npu: 2 Gather on cpu, 1 Cast on cpu",
            "lost_ns": None,
            "operators": 8,
            "operators_elsewhere": 3,
        },
    }


def test_operators_elsewhere_fail_where_they_must() -> None:
    with pytest.raises(Unsupported, match=r'^fallback = "fail": 3 of 8 operators do not run on npu: 2 Gather on cpu'):
        facts(PARTLY, fallback="fail")


def test_the_commonest_operators_are_named_and_the_rest_counted() -> None:
    elsewhere = {f"Op{count}": count for count in range(1, 9)}
    summary = facts({NPU: {"MatMul": 4}, CPU: elsewhere})["fallback"]["summary"]
    assert summary == (
        "36 of 40 operators do not run on npu: 8 Op8 on cpu, 7 Op7 on cpu, 6 Op6 on cpu, 5 Op5 on cpu, 4 Op4 on cpu "
        "and 3 more kinds"
    )


def test_without_a_request_nothing_falls_back() -> None:
    assert facts(PARTLY, accelerator=None, fallback="fail") == {"placement": PARTLY}


def test_a_refusal_is_told_in_the_runtimes_words_with_what_it_cost() -> None:
    found = facts({CPU: {"MatMul": 5}}, accelerators=(CPU,), refusal=Refusal("no such driver", 1234))["fallback"]
    assert found == {
        "summary": "5 of 5 operators do not run on npu: 5 MatMul on cpu; no such driver",
        "lost_ns": 1234,
        "operators": 5,
        "operators_elsewhere": 5,
    }


def test_a_refusal_needs_no_placement() -> None:
    found = facts(None, accelerators=(CPU,), refusal=Refusal("no such driver", 1234))
    assert found["fallback"]["summary"] == "npu takes no part; no such driver"
    assert (found["fallback"]["operators"], found["fallback"]["operators_elsewhere"]) == (None, None)
    assert found["placement_unknown"] == "this adapter does not tell where operators run"


def test_an_accelerator_left_out_in_silence_is_noticed() -> None:
    summary = facts(None, accelerators=(CPU, "gpu"))["fallback"]["summary"]
    assert summary == "npu takes no part; the runtime used cpu, gpu and does not say why"
    with pytest.raises(Unsupported, match="does not say why"):
        facts(None, accelerators=(CPU,), fallback="fail")


def test_an_accelerator_of_which_nothing_is_told_has_not_been_left_out() -> None:
    """A native program that was given a flag for one and says nothing of it."""
    assert "fallback" not in facts(None, accelerators=(PLACE_NOT_TOLD,))
    with pytest.raises(Unsupported, match="whether all operators run on npu is unknown"):
        facts(None, accelerators=(PLACE_NOT_TOLD,), fallback="fail")


@pytest.mark.parametrize(
    ("placement", "why"),
    [
        (None, "this adapter does not tell where operators run"),
        (Unsupported("1.24 and later tell"), "1.24 and later tell"),
    ],
)
def test_a_placement_that_is_not_told_is_unknown_and_fails_where_it_must_be_known(
    placement: Unsupported | None, why: str
) -> None:
    assert facts(placement) == {"placement_unknown": why}
    assert facts(placement, accelerator=None, fallback="fail") == {"placement_unknown": why}
    with pytest.raises(Unsupported) as refused:
        facts(placement, fallback="fail")
    assert str(refused.value) == f'fallback = "fail": whether all operators run on npu is unknown ({why})'


@pytest.mark.parametrize("asked", [{"unit": "NPU"}, {"library": "/opt/libnpu.so"}])
def test_a_unit_or_a_plugin_that_no_adapter_took_notice_of_is_refused(asked: dict[str, str]) -> None:
    configuration = Configuration(runtime="r", accelerator=NPU, **asked)  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match=next(iter(asked))):
        placement_facts(configuration, Session((NPU,), None))
    left_out = Session((CPU,), Refusal("no driver", None))
    assert "fallback" in placement_facts(configuration, left_out), "a refusal is told by what was refused"


def test_a_library_that_belongs_to_no_unit_is_told_in_the_facts() -> None:
    session = Session((NPU,), None)
    session.effective = EffectiveConfiguration(accelerators=(NPU,), threads=None, facts={"library": "/opt/dist"})
    placement_facts(Configuration(runtime="r", library="/opt/dist"), session)
    wrong: list[dict[str, Any]] = [{"library": "/opt/other"}, {"library": "/opt/dist", "unit": "NPU"}]
    for asked in wrong:
        with pytest.raises(Unsupported, match="leave it out"):
            placement_facts(Configuration(runtime="r", **asked), session)
