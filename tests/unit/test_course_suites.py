"""Sessions, pauses and constraints in a suite: what may be written, which jobs it makes, and what they are called."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchharness.errors import SuiteError
from benchharness.results.result import Job
from benchharness.suite.tables import Suite, load_suite, restore_suite
from tests.unit.made_up import TWO_VARIANTS, attempt, jobs_of, loaded, measured, write_suite
from tests.unit.test_terminal import printed

SESSION = """
[scenarios.sustained]
duration = "90 s"
every = ["500 ms", "2 s"]
duty = [0.5, "25 %"]
window = "2 s"
window_inferences = 50
warmup = 1
entry_gate = "30 s"
"""

COMPLETE = (
    TWO_VARIANTS
    + SESSION
    + """
[scenarios.steady]
think_time = ["0 s", "1 s", "10 s"]
think_repeats = 4
[scenarios.constrained]
memory = true
limits = ["300 MiB", "1 GB"]
quotas = ["50 %"]
cores = 1
background = "busy-core"
trials = 4
needed = 3
slowest = 5.0
bracket = "20 %"
answers = 3
fallback_chain = ["fp32", "int8"]
[attempts]
at_least = 1
timeout = "100 s"
entry_gate = "5 s"
"""
)


def suite_of(folder: Path, text: str) -> Suite:
    return loaded(folder, TWO_VARIANTS + text)


def jobs(folder: Path, text: str) -> list[Job]:
    return jobs_of(suite_of(folder, text))


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(SuiteError) as refused:
        jobs(folder, text)
    return str(refused.value)


def test_settings_are_read_in_base_units(tmp_path: Path) -> None:
    scenarios = loaded(tmp_path, COMPLETE).scenarios
    session, steady, constrained = scenarios.sustained, scenarios.steady, scenarios.constrained
    assert session is not None
    assert steady is not None
    assert constrained is not None
    assert (session.duration, session.every, session.window) == (90.0, (0.5, 2.0), 2.0)
    assert session.duty == pytest.approx((0.5, 0.25))
    assert steady.think_time == (0.0, 1.0, 10.0)
    assert constrained.limits == (300 * 2**20, 1e9)
    assert (constrained.quotas, constrained.cores, constrained.background) == ((0.5,), (1,), ("busy-core",))


FOREGROUND = """
[scenarios.constrained.foreground.maps]
start = ["am", "start", "-W", "-n", "com.google.android.apps.maps/.MapsActivity"]
settle = "10 s"
[scenarios.constrained.foreground.player]
start = ["/usr/bin/mpv", "--loop", "a film.mkv"]
stop = ["pkill", "mpv"]
"""


def test_applications_in_the_foreground_are_named_with_their_commands(tmp_path: Path) -> None:
    suite = loaded(tmp_path, COMPLETE + FOREGROUND)
    (planned,) = [job for job in jobs_of(suite) if job.scenario == "constrained"][:1]
    maps, player = planned.settings["foreground"].values()
    assert (maps["package"], maps["settle"], maps["stop"]) == ("com.google.android.apps.maps", 10.0, [])
    assert (player["package"], player["settle"]) == (None, 5.0)
    assert player["start"] == ["/usr/bin/mpv", "--loop", "a film.mkv"]
    restored = restore_suite(suite.model_dump_json(by_alias=True))
    assert [job.key for job in jobs_of(restored)] == [job.key for job in jobs_of(suite)]
    without = next(job for job in jobs_of(loaded(tmp_path, COMPLETE)) if job.scenario == "constrained")
    assert "foreground" not in without.settings, "what was measured before there were any is another job"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('x = {start = "am start -n a.b/.C"}', r'a list of its words.*\["am", "start", "-n", "a.b/.C"\]'),
        ("x = {start = []}", "at least 1"),
        ('x = {start = [""]}', "the program, is empty"),
        ('x = {start = ["a\\u0000b"]}', "zero byte"),
        ("x = {}", "start"),
        ('x = {start = ["am", "start", "-d", "geo:0,0"]}', "write it as package"),
        ('x = {start = ["am", "start", "-n", "com.x;reboot/.C"]}', "no name of an Android application"),
        ('x = {start = ["sleep", "9"], package = "-x"}', "no name of an Android application"),
        ('x = {start = ["sleep", "9"], settle = 5}', "has no unit"),
        ('a-name-longer-than-any-table = {start = ["sleep", "9"]}', "at most 25"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert re.search(words, refusal(tmp_path, f"[scenarios.constrained.foreground]\n{text}\n"))


def test_a_stored_suite_with_sizes_and_pauses_comes_back_equal(tmp_path: Path) -> None:
    suite = loaded(tmp_path, COMPLETE)
    restored = restore_suite(suite.model_dump_json(by_alias=True))
    assert restored == suite
    assert restored.digest == suite.digest
    assert [job.key for job in jobs_of(restored)] == [job.key for job in jobs_of(suite)]


def test_settings_travel_in_nanoseconds(tmp_path: Path) -> None:
    first = jobs(tmp_path, SESSION)[0]
    assert first.settings == {
        "duration_ns": 90_000_000_000,
        "every_ns": 500_000_000,
        "window_ns": 2_000_000_000,
        "window_inferences": 50,
        "warmup": 1,
        "entry_gate_s": 30.0,
    }


@pytest.mark.parametrize(
    ("text", "paces"),
    [
        ("", [("", None, None)]),
        ('every = "500 ms"', [("every 500 ms", 5e8, None)]),
        ("duty = 0.5", [("at 50 % duty", None, 0.5)]),
        ('duty = "12.5 %"', [("at 12.5 % duty", None, 0.125)]),
        ('every = ["20 ms", "1.5 s"]', [("every 20 ms", 2e7, None), ("every 1.5 s", 1.5e9, None)]),
        ('every = "1 s"\nduty = "50 %"', [("every 1 s", 1e9, None), ("at 50 % duty", None, 0.5)]),
    ],
)
def test_every_pace_is_a_job_with_a_name_of_its_own(tmp_path: Path, text: str, paces: list[Any]) -> None:
    found = [job for job in jobs(tmp_path, f"[scenarios.sustained]\n{text}") if job.variant == "int8"]
    assert [(job.pace, job.settings.get("every_ns"), job.settings.get("duty")) for job in found] == paces
    assert [job.title.rpartition(" · ")[2] for job in found] == [f"sustained {pace}".strip() for pace, *_ in paces]
    assert len({job.key for job in found}) == len(found)


def test_the_terminal_tells_paces_apart(tmp_path: Path) -> None:
    from benchharness.judge.derive import derive
    from tests.unit.test_sustained import rows, session, windows

    planned = jobs(tmp_path, '[scenarios.sustained]\nevery = ["500 ms", "2 s"]')
    attempts = [session(0, windows(rows()), job=job.key) for job in planned]
    said = printed(derive([(job, "") for job in planned], attempts), 300)
    assert said.count("every 500 ms") >= 2
    assert said.count("every 2 s") >= 2


def test_other_scenarios_have_no_pace(tmp_path: Path) -> None:
    assert {job.pace for job in jobs(tmp_path, "[scenarios.steady]\n[scenarios.first-token]")} == {""}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[scenarios.sustained]\nduration = 60",
            'scenarios.sustained.duration: 60 has no unit: write it as text, such as "60 s"',
        ),
        ('[scenarios.sustained]\nduration = "0 s"', "scenarios.sustained.duration"),
        ('[scenarios.sustained]\nduration = "3 h"', "scenarios.sustained.duration"),
        ('[scenarios.sustained]\nduration = "60 %"', "'60 %' is not a duration"),
        ("[scenarios.sustained]\nevery = 0.5", "0.5 has no unit"),
        ('[scenarios.sustained]\nevery = ["1 s", "1000 ms"]', "names one twice"),
        ("[scenarios.sustained]\nduty = 50", "scenarios.sustained.duty"),
        ('[scenarios.sustained]\nduty = "100 %"', "scenarios.sustained.duty"),
        ('[scenarios.sustained]\nduty = "0 %"', "scenarios.sustained.duty"),
        ("[scenarios.sustained]\nduty = 0.0", "scenarios.sustained.duty"),
        ('[scenarios.sustained]\nduty = "500 ms"', "'500 ms' is not a share"),
        ("[scenarios.sustained]\nwindow_inferences = 0", "scenarios.sustained.window_inferences"),
        ('[scenarios.sustained]\npace = "1 s"', "unknown key 'scenarios.sustained.pace'"),
        ("[scenarios.steady]\nthink_time = [1, 2]", "1 has no unit"),
        ('[scenarios.steady]\nthink_time = ["-1 s"]', "'-1 s' is not a duration"),
        ('[scenarios.steady]\nthink_time = ["1 s", "1 s"]', "names one twice"),
        ("[scenarios.steady]\nthink_repeats = 0", "scenarios.steady.think_repeats"),
        ("[attempts]\nentry_gate = 60", "60 has no unit"),
        ('[attempts]\nentry_gate = "warm"', "'warm' is not a duration"),
        ("[scenarios.constrained]\nneeded = 6", "needed = 6 is more than trials = 5"),
        ("[scenarios.constrained]\nlimits = [1000000]", 'write it as text, such as "1000000 '),
        ('[scenarios.constrained]\nlimits = "300 s"', "'300 s' is not a size"),
        ('[scenarios.constrained]\nlimits = ["1 KiB", "1024 B"]', "names one twice"),
        ('[scenarios.constrained]\nbackground = ["noise"]', "scenarios.constrained.background"),
        ("[scenarios.constrained]\nslowest = 1.0", "scenarios.constrained.slowest"),
        ("[scenarios.constrained]\nanswers = 1", "scenarios.constrained.answers"),
        ('[scenarios.constrained]\nfallback_chain = ["int8"]', "a fallback_chain has two variants or more"),
        ('[scenarios.constrained]\nfallback_chain = ["int8", "int8"]', "names one twice"),
        ('[scenarios.constrained]\nfallback_chain = ["int8", "int3"]', "no model has all the variants int8, int3"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_an_entry_gate_of_nothing_is_allowed(tmp_path: Path) -> None:
    assert suite_of(tmp_path, '[attempts]\nentry_gate = "0 s"').attempts.entry_gate == 0.0
    assert suite_of(tmp_path, "").attempts.entry_gate is None


def gates(folder: Path, text: str) -> set[Any]:
    return {job.settings.get("entry_gate_s") for job in jobs(folder, text)}


def test_the_gate_of_all_attempts_goes_before_a_scenario_s_own(tmp_path: Path) -> None:
    assert gates(tmp_path, "[scenarios.steady]") == {None}
    assert gates(tmp_path, "[scenarios.sustained]") == {60.0}
    assert gates(tmp_path, "[scenarios.sustained]\n[attempts]\nentry_gate = '0 s'") == {0.0}
    assert gates(tmp_path, "[scenarios.steady]\n[scenarios.sustained]\n[attempts]\nentry_gate = '9 s'") == {9.0}


@pytest.mark.parametrize(
    ("scenario", "limit_s"),
    [
        ("[scenarios.steady]", 30.0),
        ('[scenarios.sustained]\nduration = "10 min"\nentry_gate = "5 min"', 630.0),
        ('[scenarios.steady]\nthink_time = ["0 s", "1 s", "10 s"]\nthink_repeats = 4', 74.0),
        ("[scenarios.first-token]", 30.0),
    ],
)
def test_time_that_was_asked_for_is_no_delay(tmp_path: Path, scenario: str, limit_s: float) -> None:
    found = jobs(tmp_path, f"{scenario}\n[attempts]\ntimeout = '30 s'")
    assert {job.timeout_s for job in found} == {limit_s}


CHAIN = '[scenarios.steady]\n[scenarios.constrained]\nfallback_chain = ["int8", "fp32"]'


def test_a_chain_is_measured_once_by_its_first_variant(tmp_path: Path) -> None:
    found = jobs(tmp_path, CHAIN + "\n[[configurations]]\nthreads = [1, 2]")
    led = [(job.variant, job.scenario, job.configuration.threads) for job in found if job.chain]
    assert led == [("int8", "constrained", 1), ("int8", "constrained", 2)]
    (first, *_) = [job for job in found if job.chain]
    assert [(link.variant, Path(link.artefact).name) for link in first.chain] == [
        ("int8", "int8.onnx"),
        ("fp32", "fp32.onnx"),
    ]
    assert all(link.configuration == first.configuration for link in first.chain)
    assert len({link.digest for link in first.chain}) == 2
    without = {job.key for job in jobs(tmp_path, CHAIN.replace('fallback_chain = ["int8", "fp32"]', ""))}
    assert first.key not in without, "what is tried in turn belongs to what the job is"


def test_a_chain_comes_back_from_the_store(tmp_path: Path) -> None:
    (led,) = [job for job in jobs(tmp_path, CHAIN) if job.chain]
    assert Job.from_json(json.loads(json.dumps(led.to_json()))) == led


def both_formats(folder: Path, chain: str) -> list[Job]:
    text = f"""
    [[configurations]]
    runtime = "onnxruntime"
    [[configurations]]
    runtime = "another"
    [models.chat.variants]
    fp32 = {{ artefact = "fp32.onnx" }}
    int8 = {{ artefact = "int8.onnx" }}
    theirs = {{ artefact = "int8.other" }}
    [scenarios.constrained]
    fallback_chain = {chain}
    """
    contents = {name: name.encode() for name in ("fp32.onnx", "int8.onnx", "int8.other")}
    return jobs_of(load_suite(write_suite(folder, text, contents=contents)))


def test_a_chain_of_one_runtime_does_not_concern_another(tmp_path: Path) -> None:
    found = both_formats(tmp_path, '["int8", "fp32"]')
    assert [(job.variant, bool(job.chain)) for job in found] == [("fp32", False), ("int8", True), ("theirs", False)]


def test_a_chain_across_runtimes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SuiteError, match=r"onnxruntime does not open 'theirs'; a product falls back within one runtime"
    ):
        both_formats(tmp_path, '["int8", "theirs"]')


def test_a_model_without_the_chain_s_variants_has_none(tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(b"tiny")
    found = jobs(tmp_path, CHAIN + '\n[models.scan.variants.only]\nartefact = "tiny.onnx"')
    assert {(job.model, job.variant) for job in found if job.chain} == {("chat", "int8")}


def test_pauses_are_shown_with_what_follows_them(tmp_path: Path) -> None:
    from benchharness.judge.derive import derive

    planned = jobs(tmp_path, '[scenarios.steady]\nthink_time = ["0 s", "1 s"]')
    after = [
        measured("ttft_after_pause", value, [value], parameters={"pause_s": pause})
        for pause, value in ((0.0, 2e7), (1.0, 5e7))
    ]
    attempts = [attempt(at, *after, job=job.key) for job in planned for at in range(2)]
    results = derive([(job, "") for job in planned], attempts)
    found = {metric.parameters["pause_s"]: metric for metric in results[0].metrics if "pause" in metric.name}
    assert found[0.0].estimate.value == pytest.approx(2e7)
    assert found[1.0].estimate.value == pytest.approx(5e7)
    assert "TTFT after a pause" in printed(results, 300)
