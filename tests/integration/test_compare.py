"""Two builds through the command line: a runtime whose times are scripted, so that the right verdict is known."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft7Validator

from benchharness import api, builds
from benchharness.errors import UsageError
from benchharness.judge.pairs import Change
from benchharness.results.store import Store
from benchmarks import gate_lines
from tests.conftest import ROOT, CommandLine
from tests.integration.awkward_run import Background

GAP_NS = 3_000_000
#: What the format's own page states of it: benchmarks of measures of numbers, `value` always there.
BENCHER = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": {name: {"type": "number"} for name in ("value", "lower_value", "upper_value")},
            "required": ["value"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(autouse=True)
def own_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "own_loop"))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'tests' / 'own_loop'}:{os.environ.get('PYTHONPATH', '')}")


def nights(store_url: str) -> list[str]:
    """The ids of the runs in a store, newest first."""
    store = Store(store_url)
    try:
        return [each.id for each in store.list_runs()]
    finally:
        store.close()


def suite(folder: Path, gap_ns: int = GAP_NS, *, gate: str = "", name: str = "suite", looks: str = "[8, 10]") -> Path:
    """A suite and its model in a folder of their own; ten pairs of it take some seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.loop").write_text(json.dumps({"ttft_ns": 1_000_000, "gap_ns": gap_ns}))
    path = folder / f"{name}.toml"
    path.write_text(
        f"""
        [models.chat.variants.engine]
        artefact = "model.loop"
        [[configurations]]
        runtime = "own-loop"
        [[workloads]]
        prompt = {{ tokens = 8 }}
        output_tokens = 4
        [scenarios.steady]
        min_time = "1 ms"
        [gate]
        primary = ["tpot"]
        looks = {looks}
        {gate}
        """
    )
    return path


def test_a_slower_build_is_called_so_with_its_size(benchharness: CommandLine, tmp_path: Path) -> None:
    base, candidate = suite(tmp_path / "v1"), suite(tmp_path / "v2", GAP_NS * 6 // 5)
    done = benchharness("compare", base, candidate, "--json")
    assert done.returncode == 1, done.stderr
    assert "1 of 1 primary metrics are worse" in done.stderr
    (row,) = [each for each in json.loads(done.stdout)["comparisons"] if each["primary"]]
    assert row["verdict"] == "worse"
    assert row["ratio"] == pytest.approx(1.2)
    assert row["pairs"] == 8
    assert row["base"] == pytest.approx(GAP_NS)


def test_pairs_take_turns_at_random_and_stop_when_nothing_is_open(tmp_path: Path, store_url: str) -> None:
    found = builds.compare(suite(tmp_path / "v1"), suite(tmp_path / "v2"), store=store_url)
    assert [each.kind for each in found.comparisons if each.primary] == [Change.SAME]
    store = Store(store_url)
    attempts = sorted(store.attempts(found.findings.run.id), key=lambda each: each.started)
    sides = {job.key: job.side for job, _ in store.jobs(found.findings.run.id)}
    store.close()
    rounds = [tuple(sides[each.job] for each in attempts if each.round == round_) for round_ in range(8)]
    assert len(attempts) == 16
    assert [each.round for each in attempts] == sorted(each.round for each in attempts), "a pair is made at once"
    assert set(rounds) == {("base", "candidate"), ("candidate", "base")}


def test_a_gate_writes_what_continuous_integration_reads(
    benchharness: CommandLine, tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite(tmp_path, name="base")
    candidate = suite(tmp_path / "new", GAP_NS * 6 // 5, gate='base = "../base.toml"')
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    done = benchharness("gate", candidate, "--out", "gate")
    assert done.returncode == 1, done.stderr
    assert "gate red: 1 of 1 failed" in done.stderr
    assert "; and again: slower" in done.stdout.replace("\n", " ")
    assert "\n::error title=TPOT%3A red::chat/engine/own-loop" in f"\n{done.stdout}"
    assert "gate red" in (tmp_path / "step.md").read_text()
    case = ElementTree.parse(tmp_path / "gate" / "junit.xml").getroot().find(".//testcase")
    assert case is not None
    assert case.get("name") == "TPOT"
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message", "").startswith("slower: +20")
    bencher = json.loads((tmp_path / "gate" / "bencher.json").read_text())
    Draft7Validator(BENCHER).validate(bencher)
    measures = bencher["chat/engine/own-loop/8-token prompt/steady"]
    assert next(value for name, value in measures.items() if name.startswith("tpot"))["value"] == pytest.approx(
        GAP_NS * 1.2
    )
    smaller = json.loads((tmp_path / "gate" / "benchmark-action-smaller.json").read_text())
    assert {"name", "unit", "value"} <= set(smaller[0])
    # The run that repeated it, which a page shows, says what both came to.
    since = api.load("latest", store=store_url).since
    assert since is not None
    assert since.gated is not None
    assert since.gated.colour == "red"
    assert "; and again: slower" in since.gated.findings[0].told
    shown = benchharness("show").stdout
    assert shown.startswith("✗ gate red: 1 of 1 failed, 0 undecided\n")
    assert "No budgets set" not in shown


def test_a_gate_that_cannot_decide_ends_with_a_code_of_its_own(benchharness: CommandLine, tmp_path: Path) -> None:
    base = suite(tmp_path / "v1")
    candidate = suite(tmp_path / "v2", GAP_NS * 6 // 5, looks="[3]")
    done = benchharness("gate", candidate, "--base", base, "--out", "gate")
    assert done.returncode == 5, done.stderr
    assert "gate undecided" in done.stderr
    assert "no look of this design could call" in done.stdout.replace("\n", " ")
    case = ElementTree.parse(tmp_path / "gate" / "junit.xml").getroot().find(".//testcase/error")
    assert case is not None


@pytest.mark.parametrize("where", [3, 16])
def test_a_killed_gate_gives_the_verdict_of_an_undisturbed_one(
    benchharness: CommandLine, tmp_path: Path, store_url: str, where: int
) -> None:
    """Killed within its first comparison, of fourteen attempts, or within the one that repeats it."""
    base, candidate = suite(tmp_path / "v1", looks="[7]"), suite(tmp_path / "v2", GAP_NS * 6 // 5, looks="[7]")
    undisturbed = benchharness("gate", candidate, "--base", base, "--store", f"sqlite:///{tmp_path}/other.db")
    running = Background(tmp_path, store_url, candidate, "--base", base, name="gate", command="gate")
    try:
        deadline = time.monotonic() + 300
        while running.stored() < where and running.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert where <= running.stored() < 28, running.said + running.complained
        running.send(signal.SIGKILL)
        running.wait()
    finally:
        running.end()
    resumed = benchharness("gate", "--resume")
    assert resumed.returncode == undisturbed.returncode == 1, resumed.stderr
    assert verdicts(resumed.stdout) == verdicts(undisturbed.stdout)
    assert len(nights(store_url)) == 2


@pytest.mark.parametrize("where", [3, 35])
def test_a_killed_gate_on_several_devices_goes_on_with_all_of_them(
    benchharness: CommandLine, tmp_path: Path, store_url: str, where: int
) -> None:
    """Killed before the second was begun, or in it: what resumes tells both."""
    base, candidate = suite(tmp_path / "v1", looks="[8]"), suite(tmp_path / "v2", GAP_NS * 6 // 5, looks="[8]")
    places: list[str] = []
    for name in ("left", "right"):
        (tmp_path / f"{name}.toml").write_text(f'name = "{name}"\n')
        places += ["--on", str(tmp_path / f"{name}.toml")]
    asked: tuple[str | Path, ...] = (candidate, "--base", base, *places)
    undisturbed = benchharness("gate", *asked, "--store", f"sqlite:///{tmp_path}/other.db")
    assert len(verdicts(undisturbed.stdout)) >= 2, undisturbed.stderr
    running = Background(tmp_path, store_url, *asked, name="gate", command="gate")
    try:
        deadline = time.monotonic() + 300
        while running.stored() < where and running.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert running.process.poll() is None, running.said + running.complained
        running.send(signal.SIGKILL)
        running.wait()
    finally:
        running.end()
    resumed = benchharness("gate", "--resume", "--out", "gate")
    assert resumed.returncode == undisturbed.returncode == 1, resumed.stderr
    assert verdicts(resumed.stdout) == verdicts(undisturbed.stdout)
    assert len(nights(store_url)) == 4
    told = {case.get("classname", "") for case in ElementTree.parse(tmp_path / "gate/junit.xml").iter("testcase")}
    assert len(told) == 2, told


def test_a_suite_of_more_gates_than_a_command_keeps_its_family(tmp_path: Path, store_url: str) -> None:
    base, candidate = suite(tmp_path / "v1"), suite(tmp_path / "v2", gate="family = 6", looks="[1]")
    for name in ("left", "right"):
        (tmp_path / f"{name}.toml").write_text(f'name = "{name}"\n')
    on = [str(tmp_path / "left.toml"), str(tmp_path / "right.toml")]
    found = builds.gate_on(on, candidate, base=base, store=store_url)
    assert [each.first.gate.family for each in found.gatings] == [6, 6]
    with pytest.raises(UsageError, match="name a device"):
        builds.gate_on([], candidate, base=base, store=store_url)


def test_one_device_that_cannot_be_gated_costs_no_verdict_of_another(
    tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, candidate = suite(tmp_path / "v1"), suite(tmp_path / "v2", looks="[1]")
    (tmp_path / "left.toml").write_text('name = "left"\n')
    gate = builds.gate

    def refused(suite: Path, *, on: str, **asked: Any) -> builds.Gating:
        if on == "this-machine":
            raise UsageError("every configuration is for other systems")
        return gate(suite, on=on, **asked)

    monkeypatch.setattr("benchharness.builds.several.gate", refused)
    found = builds.gate_on([str(tmp_path / "left.toml"), "this-machine"], candidate, base=base, store=store_url)
    assert (len(found.gatings), found.unreached) == (1, {"this-machine": "every configuration is for other systems"})
    assert found.ended()[0] == 4


def verdicts(printed: str) -> list[str]:
    """The lines with a sign: all that a gate decides. Which look of which run is in them, and no time."""
    return [line for line in printed.splitlines() if line.startswith(("✗", "✓", "?"))]


def test_a_base_of_another_revision_is_checked_out(benchharness: CommandLine, tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    suite(tmp_path)
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    git("tag", "v1")
    suite(tmp_path, GAP_NS * 2)
    done = benchharness("compare", "v1:suite.toml", "suite.toml", "--json")
    assert done.returncode == 1, done.stderr
    (row,) = [each for each in json.loads(done.stdout)["comparisons"] if each["primary"]]
    assert row["ratio"] == pytest.approx(2)
    refused = benchharness("compare", "v2:suite.toml", "suite.toml")
    assert refused.returncode == 2
    assert "git knows no such revision" in refused.stderr
    assert benchharness("compare", "v1:nothing.toml", "suite.toml").returncode == 2
    assert benchharness("compare", "v1:../suite.toml", "suite.toml").returncode == 2


def test_another_environment_is_a_build_too(benchharness: CommandLine, tmp_path: Path) -> None:
    path = suite(tmp_path / "v1", looks="[8]")
    used, python = tmp_path / "used", tmp_path / "old-python"
    python.write_text(f'#!/bin/sh\necho "$*" >> {used}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    done = benchharness("compare", path, "--base-python", python)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"against {path} with {python}" in " ".join(done.stdout.split())
    workers = [line for line in used.read_text().splitlines() if line.endswith("benchharness.device.worker")]
    assert len(workers) == 8, "the base alone, once a pair"


def test_the_build_that_got_worse_is_found_among_five(benchharness: CommandLine, tmp_path: Path) -> None:
    factors = (1.0, 1.0, 1.0, 1.2, 1.2)
    builds_ = [suite(tmp_path / f"v{at}", int(GAP_NS * factor), looks="[8]") for at, factor in enumerate(factors)]
    done = benchharness("bisect", *builds_)
    assert done.returncode == 1, done.stderr
    assert f"first worse: {builds_[3]}; last good: {builds_[2]}; confirmed in 3 comparisons" in done.stdout
    gone = benchharness("bisect", builds_[0], builds_[1])
    assert gone.returncode == 0, gone.stderr
    assert "the step is gone: the last is no worse" in gone.stdout


def test_a_step_between_two_nights_is_run_again(benchharness: CommandLine, tmp_path: Path, store_url: str) -> None:
    for folder, gap_ns in (("v1", GAP_NS), ("v2", GAP_NS * 2)):
        assert benchharness("run", suite(tmp_path / folder, gap_ns, looks="[8]"), "--attempts", "1").returncode == 0
    newer, older = nights(store_url)
    done = benchharness("bisect", older, newer)
    assert done.returncode == 1, done.stderr
    assert f"first worse: {newer}" in done.stdout
    (tmp_path / "v2" / "model.loop").write_text("{}")
    changed = benchharness("bisect", older, newer)
    assert changed.returncode == 2
    assert "model.loop" in changed.stderr


def test_two_stored_runs_are_the_weaker_test(benchharness: CommandLine, tmp_path: Path, store_url: str) -> None:
    for folder, gap_ns in (("v1", GAP_NS), ("v2", GAP_NS * 2)):
        assert benchharness("run", suite(tmp_path / folder, gap_ns), "--attempts", "2").returncode == 0
    newer, older = nights(store_url)
    done = benchharness("compare", older, newer)
    assert done.returncode == 1, done.stderr
    assert "the weaker test" in done.stdout.replace("\n", " ")
    assert "slower: +100" in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["compare", "v1/suite.toml"], 2, "name a candidate too, or an environment"),
        (["compare"], 2, "name a base and a candidate"),
        (["compare", "v1/suite.toml", "nothing.toml"], 2, "nothing.toml"),
        (["compare", "latest", "v1/suite.toml"], 2, "a stored run is compared with another stored run"),
        (["compare", "v1/suite.toml", "v1/suite.toml", "--base-python", "v1/python"], 2, "is no interpreter"),
        (["compare", "v1/suite.toml", "v1/suite.toml", "--primary", "kld"], 2, "it is a difference, or may be zero"),
        (["compare", "v1/suite.toml", "v1/suite.toml", "--primary", "tpott"], 2, "did you mean 'tpot'?"),
        (["compare", "v1/suite", "v2/suite"], 2, "nor is it a file or folder here"),
        (["compare", "v1/suite.toml", "v1/suite.toml", "--margin", "1%"], 2, "least, 0.01, is to be smaller"),
        (["compare", "v1/suite.toml", "other/suite.toml"], 2, "have no job in common"),
        (["gate", "v1/suite.toml"], 2, "say what to compare with"),
        (["gate", "--resume"], 2, "no run"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    benchharness: CommandLine, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    suite(tmp_path / "v1")
    path = suite(tmp_path / "other")
    path.write_text(path.read_text().replace("tokens = 8", "tokens = 9"))
    done = benchharness(*words)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_candidate_that_cannot_run_is_a_regression_and_a_base_that_cannot_is_none(
    benchharness: CommandLine, tmp_path: Path
) -> None:
    good, bad = suite(tmp_path / "v1"), suite(tmp_path / "v2")
    (bad.parent / "model.loop").write_text("no model")
    broken = benchharness("compare", good, bad)
    assert broken.returncode == 1, broken.stderr
    assert "the candidate ended with" in broken.stdout.replace("\n", " ")
    baseless = benchharness("compare", bad, good)
    assert baseless.returncode == 4, baseless.stderr
    assert "there is nothing to compare with" in baseless.stderr


def test_what_is_over_before_a_look_is_undecided_and_quick(benchharness: CommandLine, tmp_path: Path) -> None:
    base = suite(tmp_path / "v1")
    began = time.monotonic()
    done = benchharness("compare", base, base, "--max-time", "1 s")
    assert done.returncode in (4, 5), done.stderr
    assert time.monotonic() - began < 300


@pytest.fixture(scope="module")
def lossier(tmp_path_factory: pytest.TempPathFactory) -> builds.Found:
    """The digits at int8, and as a candidate under the same name at int4: what was lost on 200 pictures."""
    folder = tmp_path_factory.mktemp("lossier")
    examples = ROOT / "examples" / "digits"
    paths = []
    for side, file in (("base", "int8.tflite"), ("candidate", "int4.tflite")):
        path = folder / f"{side}.toml"
        path.write_text(
            f"""
            [models.digits]
            task = "classifier"
            reference = "fp32"
            evaluation = "{examples}/evaluation.npz"
            [models.digits.variants]
            fp32 = {{ artefact = "{examples}/artefacts/fp32.tflite" }}
            small = {{ artefact = "{examples}/artefacts/{file}" }}
            [[configurations]]
            runtime = "tflite"
            threads = 1
            [scenarios.quality]
            most_samples = 200
            [gate.limits]
            agreement = "1 %"
            kld = "10 nats"
            """
        )
        paths.append(path)
    return builds.compare(*paths, store=f"sqlite:///{folder}/store.db")


def test_quality_is_compared_input_by_input(lossier: builds.Found) -> None:
    found = {each.metric: each for each in lossier.comparisons if each.difference is not None}
    base, candidate = ({m.name: m for m in result.metrics} for result in lossier.findings.results)
    for name in ("agreement", "kld"):
        ours, theirs = candidate[name].estimate.value, base[name].estimate.value
        assert ours is not None
        assert theirs is not None
        difference = found[name].difference
        assert difference is not None
        assert difference.value == pytest.approx(ours - theirs)
        assert difference.low is not None
    assert found["kld"].kind is Change.NO_WORSE, "far within its limit"
    assert found["agreement"].kind in (Change.WORSE, Change.UNDECIDED)
    assert not any(each.ratio.value for each in lossier.comparisons if each.metric == "kld"), "no ratio of two losses"
    assert len(base["class_decisions"].attempts[0].samples) > 0


def test_a_comparison_of_quality_alone_is_a_comparison(lossier: builds.Found) -> None:
    code, why = lossier.ended()
    assert code == (1 if lossier.changed(Change.WORSE) else 5), why


def test_a_gate_of_builds_that_both_fail_ran_nothing(benchharness: CommandLine, tmp_path: Path) -> None:
    base, candidate = suite(tmp_path / "v1"), suite(tmp_path / "v2")
    for each in (base, candidate):
        (each.parent / "model.loop").write_text("no model")
    done = benchharness("gate", candidate, "--base", base)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "neither build gave a result" in done.stderr


def test_a_loss_of_quality_is_accepted_without_a_share(benchharness: CommandLine, tmp_path: Path) -> None:
    accepted = 'metric = "kld"\nworse_by = "5 %"\nowner = "ann"\nreason = "known"\nuntil = 2030-01-01'
    path = suite(tmp_path / "v1", gate=f"[[gate.accepted]]\n{accepted}")
    done = benchharness("compare", path, path)
    assert done.returncode == 2, done.stdout
    assert "kld has no ratio, so leave worse_by out" in done.stderr


def test_what_quality_may_lose_is_written_with_its_unit(benchharness: CommandLine, tmp_path: Path) -> None:
    for limit, said in (
        ('kld = "1 %"', "kld"),
        ("artefact_size = 2", "has no unit"),
        ('nothing = "1 %"', "is no metric"),
    ):
        path = suite(tmp_path / "v1", gate=f"[gate.limits]\n{limit}")
        done = benchharness("compare", path, path)
        assert done.returncode == 2, done.stdout
        assert said in done.stderr


def test_a_base_that_is_gone_or_fails_is_told_with_how_to_go_on(benchharness: CommandLine, tmp_path: Path) -> None:
    base, candidate = suite(tmp_path / "v1"), suite(tmp_path / "v2")
    (tmp_path / "v1" / "model.loop").write_text("no model")
    done = benchharness("gate", candidate, "--base", base)
    assert done.returncode == 5, done.stderr
    assert "gave no result. To go on with a newer base, run both side by side" in " ".join(done.stderr.split())
    (tmp_path / "v1" / "model.loop").unlink()
    done = benchharness("gate", candidate, "--base", base)
    assert done.returncode == 2, done.stderr
    told = " ".join(done.stderr.split())
    assert "cannot be run: " in told
    assert "benchharness compare OLD NEW; then write that run under [gate]" in told


def test_a_run_of_both_bases_joins_the_nights_of_either(
    benchharness: CommandLine, store_url: str, tmp_path: Path
) -> None:
    """Scripted times: the new base is 20 % slower than the old one, and the candidate as fast as the old one."""
    old, new = suite(tmp_path / "v1", looks="[2]"), suite(tmp_path / "v2", GAP_NS * 6 // 5, looks="[2]")
    candidate = suite(tmp_path / "v3", GAP_NS, looks="[2]")
    (tmp_path / "v3" / "model.loop").write_text(json.dumps({"ttft_ns": 1_000_000, "gap_ns": GAP_NS}, indent=1))
    assert benchharness("gate", candidate, "--base", old).returncode in (0, 5)
    assert benchharness("compare", old, new).returncode in (0, 5)
    bridge = nights(store_url)[0]
    assert benchharness("gate", candidate, "--base", new).returncode in (0, 5)

    def ratios(*asked: str) -> list[float]:
        done = benchharness("history", "--format", "json", "--metric", "tpot", *asked)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        (trend,) = [each for each in told["trends"] if each["ratio"]["nights"]]
        return list(trend["ratio"]["values"])

    assert ratios("--bridge", bridge[:30]) == pytest.approx([1, 1], abs=0.02)
    apart = benchharness("history", "--metric", "tpot")
    assert "no bridge joins them" in " ".join(apart.stdout.split())
    joined = benchharness("history", "--metric", "tpot", "--bridge", bridge)
    assert f"by bridge run {bridge}" in " ".join(joined.stdout.split())
    refused = benchharness("history", "--bridge", "nothing")
    assert refused.returncode == 2, refused.stderr


def test_a_campaign_keeps_of_each_pair_what_was_compared(tmp_path: Path, store_url: str) -> None:
    found = builds.compare(suite(tmp_path / "v1"), suite(tmp_path / "v2", GAP_NS * 6 // 5), store=store_url)
    (verdict,) = gate_lines.verdicts(found, store_url)
    assert verdict["kind"] == "worse"
    assert verdict["base"] == [GAP_NS] * 8
    assert verdict["candidate"] == [GAP_NS * 6 // 5] * 8
    store = Store(store_url)
    attempts = sorted(store.attempts(found.findings.run.id), key=lambda each: each.started)
    sides = {job.key: job.side for job, _ in store.jobs(found.findings.run.id)}
    store.close()
    assert verdict["began"] == "".join(sides[each.job][0] for each in attempts[::2])
