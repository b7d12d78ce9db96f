"""What an oracle answers: margins that agree with verdicts, noise on the safe side, and answers of before."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from benchharness.device.rules import RULES
from benchharness.errors import UsageError
from benchharness.judge.derive import derive
from benchharness.judge.hopeless import HOPELESS, Hopeless
from benchharness.launch import Question
from benchharness.metrics.limits import parse
from benchharness.results.result import Estimate, OutcomeKind, Result, VerdictKind
from benchharness.results.store import Store
from benchharness.search import measure
from benchharness.search.earlier import why_another_state, why_not_alike, why_other_jobs
from benchharness.suite.tables import Attempts
from tests.unit.made_up import DEVICE, STARTED, attempt, job, measured, run
from tests.unit.search_samples import answered, exactly, figure, over_attempts

NOISY = [1.9e6, 2.0e6, 2.1e6]


@pytest.mark.parametrize(
    ("limit", "kind"), [("3 ms", VerdictKind.PASS), ("2 ms", VerdictKind.UNDECIDED), ("1 ms", VerdictKind.MISS)]
)
def test_a_constraint_is_kept_where_the_verdict_passes_and_nowhere_else(limit: str, kind: VerdictKind) -> None:
    told = answered({"tpot": limit}, [figure("tpot", over_attempts(NOISY))])
    (margin,) = told.margins
    found = over_attempts(NOISY)
    assert found.value is not None
    assert found.high is not None
    assert margin.kind is kind
    assert told.keeps is (kind is VerdictKind.PASS)
    assert (told.constraints["tpot"] <= 0) is told.keeps
    assert margin.value == margin.limit - found.value
    assert margin.low == margin.limit - found.high
    assert margin.noise == pytest.approx(found.high - found.value)
    assert told.constraints["tpot"] == pytest.approx((found.high - margin.limit) / margin.limit), "not the mean's"
    assert told.at_worst("tpot") == found.high


def test_of_a_rate_the_worst_end_is_the_lower_one() -> None:
    found = over_attempts([95.0, 100.0, 105.0])
    told = answered({"decode_rate": "80 tokens/s"}, [figure("decode_rate", found)])
    (margin,) = told.margins
    assert found.low is not None
    assert margin.low == found.low - 80
    assert told.at_worst("decode_rate") == found.low
    assert told.keeps is (found.low >= 80)
    assert answered({}, []).at_worst("decode_rate") == -math.inf


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ([], "nothing that was measured says anything of it"),
        ([figure("tpot", over_attempts([1e6]))], "one attempt says nothing about spread"),
    ],
)
def test_what_nobody_knows_is_no_constraint_that_is_kept(metrics: list[Any], reason: str) -> None:
    told = answered({"tpot": "2 ms"}, metrics)
    assert told.constraints == {"tpot": math.inf}
    assert told.margins[0].noise == math.inf
    assert told.margins[0].reason == reason
    assert told.at_worst("tpot") == math.inf
    assert not told.keeps


def test_a_figure_that_is_no_evidence_keeps_nothing() -> None:
    """Well within its limit, but of attempts most of which ended otherwise."""
    told = answered({"tpot": "9 ms"}, [figure("tpot", over_attempts(NOISY))], outcome=OutcomeKind.CRASHED)
    assert told.margins[0].kind is VerdictKind.UNDECIDED
    assert told.constraints == {"tpot": math.inf}
    assert "no evidence" in told.margins[0].reason


def test_an_exact_figure_has_no_noise_and_a_budget_of_several_figures_the_worst_of_them() -> None:
    first, second = over_attempts([1e9, 1.1e9]), over_attempts([3e9, 3.1e9])
    metrics = [
        figure("artefact_size", exactly(900.0)),
        figure("cold_start_phase", first, phase="a"),
        figure("cold_start_phase", second, phase="b"),
    ]
    told = answered({"size": "1 kB", "cold_start_phase": "1.5 s"}, metrics)
    assert [margin.budget for margin in told.margins] == ["artefact_size", "cold_start_phase", "cold_start_phase"]
    assert told.margins[0].noise == 0.0
    assert told.constraints["artefact_size"] == pytest.approx(-0.1)
    assert told.constraints["cold_start_phase"] > 1
    assert told.figure("cold_start_phase").value == pytest.approx(math.sqrt(3e9 * 3.1e9))
    assert told.at_worst("cold_start_phase") == second.high
    wide = over_attempts([0.5e9, 5e9])
    assert (
        answered({}, [*metrics, figure("cold_start_phase", wide, phase="c")]).at_worst("cold_start_phase") == wide.high
    )
    unknown = figure("cold_start_phase", over_attempts([1e9]), phase="d")
    assert answered({}, [*metrics, unknown]).at_worst("cold_start_phase") == math.inf


def test_a_ratio_to_the_reference_has_its_margin_in_ratios() -> None:
    ours, theirs = job("a" * 16), job("b" * 16, variant="fp32", ships=False)
    made = [
        attempt(at, measured("decode_rate", rate * (1 + at / 50)), job=each.key)
        for at in range(4)
        for each, rate in ((ours, 90.0), (theirs, 100.0))
    ]
    results = [each for each in derive([(ours, ""), (theirs, "")], made) if each.job.ships]
    told = answered({"decode_rate": {"worse_by": "20 %", "against": "reference"}}, results[0].metrics)
    (margin,) = told.margins
    assert margin.value == pytest.approx(1.2 - 100 / 90)
    assert margin.limit == pytest.approx(1.2)
    assert told.keeps
    assert "× 0.9" in str(told)


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'tpot'"):
        answered({}, []).figure("tpott")


def test_it_says_in_words_what_it_found() -> None:
    stopped = f"{HOPELESS}tpot 2.000 ms after 3 of 9 attempts, all of it beyond tpot 1 ms"
    told = answered(
        {"tpot": "1 ms", "size": "1 kB"},
        [figure("tpot", over_attempts(NOISY)), figure("artefact_size", exactly(900.0))],
        stopped=stopped,
        false_stops=0.01,
    )
    text = str(told)
    assert "✗ tpot 1 ms: 2.00 ms" in text
    assert "of the limit too much, at worst" in text
    assert "✓ artefact_size 1 kB: 0.900 kB; 10 % of the limit left\n" in text
    claim = "of what keeps every budget 1.0 % at most is stopped so, while the machine is 5 % slower at most"
    assert text.endswith(f"({claim})")
    assert repr(told) == "<Measured 'model.onnx': tpot 1 ms: miss, artefact_size 1 kB: pass>"
    hostile = answered({}, [], artefact=Path("a\x1b[31m.onnx"), failure="crashed\nby\x07 a bell")
    assert "\x1b" not in str(hostile)
    assert "\x07" not in str(hostile)


LIMITS = parse({"tpot": "2 ms"}, "suite")


def looks(attempts: int = 5, limit: str = "2 ms") -> Hopeless:
    return Hopeless(budgets=parse({"tpot": limit}, "suite"), attempts=attempts)


def results_of(*, values: float = 3e6, count: int = 3, stopped: str = "", **changes: Any) -> list[Result]:
    made = [attempt(at, measured("tpot", values + at), **changes) for at in range(count)]
    return derive([(job(), stopped)], made)


@pytest.mark.parametrize(
    ("changes", "asked", "why"),
    [
        ({}, {}, ""),
        ({"version": "0.0.9"}, {}, "it was measured by benchharness 0.0.9"),
        ({}, {"at_least": 9}, "other attempts were asked for"),
        ({}, {"tells_apart": "3 %"}, ""),
    ],
)
def test_an_earlier_run_answers_what_it_was_asked(changes: dict[str, Any], asked: dict[str, Any], why: str) -> None:
    then, now = Attempts(), Attempts.model_validate(asked)
    assert why_not_alike(run(**changes), (then, now), results_of(), looks()) == why


def test_a_run_that_ended_early_answers_only_where_it_would_end_again() -> None:
    ended = results_of(stopped=f"{HOPELESS}tpot 3.000 ms")
    asked = (Attempts(), Attempts())
    assert why_not_alike(run(), asked, ended, looks()) == ""
    assert why_not_alike(run(), asked, ended, looks(limit="9 ms")) == "its measuring ended early, for other budgets"
    assert why_not_alike(run(), asked, results_of(), looks(limit="9 ms")) == "", "one that went on to its end is whole"


def test_what_was_never_tried_is_an_answer_where_it_would_not_be_tried_again() -> None:
    asked = (Attempts(), Attempts())
    untried = (job("e" * 16, scenario="quality"), f"{HOPELESS}tpot 3.000 ms")
    made = [attempt(at, measured("tpot", 3e6 + at)) for at in range(3)]
    ended = derive([(job(), untried[1]), untried], made)
    assert why_not_alike(run(), asked, ended, looks()) == ""
    late = derive([(job(), "5 attempts, as asked"), (untried[0], "time budget of 9 s ended")], made)
    assert why_not_alike(run(), asked, late, looks()) == "its time was over before all of it was tried"


def test_an_accident_is_no_answer_and_what_is_never_supported_is() -> None:
    asked = (Attempts(), Attempts())
    assert (
        why_not_alike(run(), asked, results_of(outcome=OutcomeKind.CRASHED), looks()) == "it ended otherwise: crashed"
    )
    assert why_not_alike(run(), asked, results_of(outcome=OutcomeKind.UNSUPPORTED, count=1), looks()) == ""


class Device:
    """A launcher whose device answers as it is told to."""

    def __init__(self, conditions: dict[str, Any], version: str = "1.22", device: str = DEVICE) -> None:
        self._told = {"facts": {"device": device}, "conditions": conditions}
        self._version = version

    def ask(self, question: Question) -> Any:
        import json

        from benchharness.device.processes.child import Answer

        told = self._told if question.program == "describe_device" else {"available": True, "version": self._version}
        return Answer(code=0, out=json.dumps(told).encode(), words="")


STATE = {"governor": "performance", "power_source": "mains", "load_average": 0.5, "turbo": {"unknown": "nothing tells"}}


@pytest.mark.parametrize(
    ("device", "why"),
    [
        (Device(STATE), ""),
        (Device({**STATE, "load_average": 3.25}), ""),  # a reading
        (Device({**STATE, "turbo": {"unknown": "another reason"}, "new": 1}), ""),
        (Device({**STATE, "power_source": "battery"}), "power_source was mains, and is battery"),
        (Device({**STATE, "governor": "powersave\x1b"}), "governor was performance, and is powersave\x1b"),
        (Device(STATE, version="1.23"), "onnxruntime was 1.22, and is 1.23"),
        (Device(STATE, device="another"), "it was measured on another device"),
        (Device([]), ""),  # type: ignore[arg-type]
    ],
)
def test_another_state_of_the_device_is_told(device: Any, why: str) -> None:
    results = results_of(
        effective={"runtime_version": "1.22", "rules": RULES}, conditions={**STATE, "page_cache": "warm"}
    )
    assert why_another_state(results, device) == why


def test_an_interpreter_of_its_own_and_an_unknown_version_are_not_taken_for_the_same() -> None:
    assert "nobody knows" in why_another_state(results_of(conditions=STATE), Device(STATE))  # type: ignore[arg-type]
    own = job(configuration={"name": "o", "runtime": "onnxruntime", "python": "/opt/python"})
    results = derive([(own, "")], [attempt(0, effective={"runtime_version": "1.22"}, conditions=STATE)])
    assert "interpreter of its own" in why_another_state(results, Device(STATE))  # type: ignore[arg-type]


def test_jobs_of_the_same_cells_may_ship_another_variant_or_read_another_tokenizer() -> None:
    timed, reference = job(), job("b" * 16, digest="cd" * 32, ships=False)
    assert why_other_jobs([reference, timed], [timed, reference]) == ""
    both = job("b" * 16, digest="cd" * 32)
    assert why_other_jobs([timed, both], [timed, reference]) == "another variant was the one that ships"
    one, other = (job(own_tokenizer="/t.json", own_tokenizer_digest=digest) for digest in ("1" * 64, "2" * 64))
    assert one.cell == other.cell
    assert why_other_jobs([one], [other]) == "a variant's own tokenizer is another"
    assert why_other_jobs([one], [one]) == ""


@pytest.mark.parametrize(
    "named", [{"library": "/opt/delegate.so"}, {"options": {"custom_op_libraries": ["/opt/o.so"]}}]
)
def test_a_library_that_may_have_been_built_again_is_not_taken_for_the_same(named: dict[str, Any]) -> None:
    made = job(configuration={"name": "o", "runtime": "onnxruntime", **named})
    assert "may be another behind the same name" in why_other_jobs([made], [made])


def test_a_store_finds_runs_of_the_same_jobs_wherever_their_files_lay(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")

    def made(*planned: Any, state: str = "finished") -> str:
        told = store.create_run(suite="s", digest="", suite_json="{}", hardware_json="{}", planned=planned)
        store.set_state(told, state)
        return told

    timed, compared = job("a" * 16), job("b" * 16, scenario="quality")
    moved = job("c" * 16, artefact="/elsewhere/m.onnx", variant="another name")
    first, second = made(timed, compared), made(moved, compared)
    made(timed)
    made(timed, compared, state="interrupted")
    made(job("a" * 16, digest="cd" * 32), compared)
    made(job("a" * 16, settings={"warmup": 3}), compared)
    assert store.runs_of([compared, timed], STARTED - timedelta(days=9999)) == [second, first]
    assert store.runs_of([compared, timed], store.run(second).started) == [second]
    assert store.runs_of([job("d" * 16, digest="ef" * 32)], STARTED) == []
    store.close()


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"budgets": {"tpot": "2 lightyears"}}, "lightyears"),
        ({"budgets": {"tpto": "2 ms"}}, "did you mean 'tpot'"),
        ({"budgets": "tpot=2 ms"}, "is no table"),
        ({"budgets": {"tpot": {"worse_by": "5 %", "against": "base"}}}, "no base runs beside one artefact"),
        ({"false_stops": 0.9}, "no chance"),
        ({"false_stops": 0}, "no chance"),
        ({"no_older_than": "long ago"}, "long ago"),
        ({"reference": "model.onnx"}, "is the reference itself"),
        ({"artefact": "missing.onnx"}, "no such file"),
        ({"artefact": {"models": {"m": {"variants": {"a": {"artefact": "model.onnx"}, "b": {"artefact": "b.onnx"}}}}}},
         "one artefact is measured at a time, and 2 variants"),
        ({"artefact": {"models": {"m": {"variants": {"a": {"artefact": "model.onnx"}}}}, "budgets": {"tpot": "1 ms"}},
          "budgets": {"tpot": "2 ms"}}, "has a budget for it already"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("model.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(b"no model")
    told = {"artefact": "model.onnx", **asked}
    with pytest.raises(UsageError, match=why):
        measure(told.pop("artefact"), told.pop("budgets", {}), store=f"sqlite:///{tmp_path / 'store.db'}", **told)
    assert not (tmp_path / "store.db").exists()


def test_noise_is_infinite_and_never_zero_where_it_is_unknown() -> None:
    told = answered({"kld": "1 nats"}, [figure("kld", Estimate(value=0.1, reason="too few chunks"))])
    assert told.margins[0].noise == math.inf
    assert told.constraints == {"kld": math.inf}
