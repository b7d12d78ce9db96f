"""A cloud and a device through the whole harness: a scripted endpoint on loopback, the demo model, and no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchharness import run
from benchharness.device.adapters import formats
from benchharness.execute.jobs import Execution
from benchharness.judge import derive
from benchharness.records import HANDOVERS, AnsweredBy, CloudEnd, HandoverRow
from benchharness.results.result import OutcomeKind, Result
from benchharness.results.store import Store
from benchharness.scenarios.conversation.turns import turns_of
from benchharness.scenarios.hybrid.trade import Kept, trade_of
from benchharness.suite.artefact import DigestCache
from benchharness.suite.hardware import HardwareTarget
from benchharness.suite.materials import gather
from benchharness.suite.plan import plan
from benchharness.suite.tables import load_suite, suite_from_table
from tests.awkward_launcher import AwkwardLauncher
from tests.conftest import ARTEFACTS, CommandLine
from tests.integration.conftest import ADAPTERS, Silence
from tests.loopback_endpoint import ANSWER, Endpoint, serving, status

pytest.importorskip("onnxruntime", reason="NOT TESTED: onnxruntime is not installed")
pytest.importorskip("tokenizers", reason="NOT TESTED: tokenizers is not installed")

KEY = "sk-tattletale-0123456789"
PROMPTS = ("zephyrs vex the bold quixotic jockey", "waltz nymph for quick jigs")
TOKENS = 6
NETWORKS: list[dict[str, Any]] = [
    {"name": "near", "delay": "1 ms"},
    {"name": "hole", "black_hole": True},
    {"name": "shut", "refused": 1},
    {"name": "torn", "cut_after": ["350 ms", "350 ms"]},
]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as made:
        made.key = KEY
        made.pause_s = 0.1  # a token's time is far from that of the cut, and of nobody's patience
        yield made


def suite_of(folder: Path, endpoint: Endpoint, **settings: Any) -> Path:
    """A suite file beside its prompts and its endpoint."""
    lines = [{"prompt": PROMPTS[0], "expected": "QUOKKAS"}, {"prompt": PROMPTS[1], "expected": "nothing of this"}]
    (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (folder / "far.endpoint").write_text(endpoint.file(key="FAR_KEY"), encoding="utf-8")
    told = {
        "models": {
            "demo": {
                "variants": {
                    "int8": {"artefact": str(ARTEFACTS / "onnx-int8")},
                    "far": {"artefact": "far.endpoint", "ships": False},
                }
            }
        },
        "configurations": [{"runtime": "onnxruntime", "threads": 1}, {"runtime": "cloud"}],
        "scenarios": {
            "hybrid": {
                "cloud": "far",
                "prompts": "prompts.jsonl",
                "networks": NETWORKS,
                "policies": [
                    {"name": "again", "first_token": "2 s", "gap": "2 s"},
                    {"name": "on", "first_token": "2 s", "gap": "2 s", "on_failure": "continue"},
                ],
                "requests": 2,
                "answer_tokens": TOKENS,
                "give_up": "3 s",
                **settings,
            }
        },
    }
    file = folder / "suite.toml"
    file.write_text(_toml(told), encoding="utf-8")
    return file


def _toml(told: Any) -> str:
    """Inline tables all the way down: JSON with other signs."""

    def value(each: Any) -> str:
        if isinstance(each, dict):
            return "{" + ", ".join(f"{json.dumps(key)} = {value(inner)}" for key, inner in each.items()) + "}"
        if isinstance(each, list):
            return "[" + ", ".join(map(value, each)) + "]"
        return json.dumps(each)

    return "\n".join(f"{key} = {value(each)}" for key, each in told.items()) + "\n"


def rows(result: Result) -> dict[tuple[str, str], list[HandoverRow]]:
    return {
        (str(metric.parameters["policy"]), str(metric.parameters["network"])): HANDOVERS.rows(
            list(metric.attempts[-1].samples)
        )
        for metric in result.metrics
        if metric.name == HANDOVERS.metric
    }


@pytest.fixture
def result(tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.setenv("FAR_KEY", KEY)
    found = run(load_suite(suite_of(tmp_path, endpoint)), store=f"sqlite:///{tmp_path}/run.db").results
    return found[0]


def test_every_way_meets_every_network(result: Result) -> None:
    assert result.outcome.kind is OutcomeKind.OK, result.outcome
    found = rows(result)
    ways = ("cloud alone", "again", "on")
    assert found.keys() == {(way, each["name"]) for way in ways for each in NETWORKS} | {("device alone", "no network")}
    assert all(len(each) == 2 for each in found.values())
    ends = {pair: {CloudEnd(int(row.cloud)) for row in each} for pair, each in found.items()}
    for way in ways:
        assert ends[way, "near"] == {CloudEnd.COMPLETE}
        assert ends[way, "torn"] == {CloudEnd.CUT}
        assert ends[way, "shut"] <= {CloudEnd.UNREACHABLE, CloudEnd.CUT}
    assert ends["cloud alone", "hole"] == {CloudEnd.GIVEN_UP}
    assert ends["again", "hole"] == {CloudEnd.LATE_FIRST_TOKEN}
    by = {pair: {AnsweredBy(int(row.answered_by)) for row in each} for pair, each in found.items()}
    assert by["cloud alone", "hole"] == by["cloud alone", "torn"] == {AnsweredBy.NOBODY}
    assert by["again", "torn"] == by["on", "shut"] == by["device alone", "no network"] == {AnsweredBy.DEVICE}
    assert by["on", "torn"] == {AnsweredBy.BOTH}
    for row in found["on", "torn"]:
        assert 0 < row.cloud_tokens < TOKENS
        assert row.cloud_tokens + row.device_tokens == TOKENS
        assert (row.wasted_tokens, row.wasted) == (0, 0)
        assert 0 < row.agreement < 1
    for row in found["again", "torn"]:
        assert row.device_tokens == TOKENS
        assert row.wasted_tokens > 0
        assert row.wasted == row.sent + row.received > 0
    for row in found["cloud alone", "near"]:
        assert (row.agreement, row.cloud_tokens, row.wasted_tokens) == (1, TOKENS, 0)
        assert row.first_token > 100e6  # a token's time, and the network's
    for row in found["again", "hole"]:
        assert 2e9 <= row.first_token == row.silence
    assert [row.right for row in found["cloud alone", "near"]] == [1, 0]
    assert [row.right for row in found["cloud alone", "hole"]] == [0, 0]
    unknown = result.effective.of_scenario("hybrid")["energy_unknown"]
    assert all((row.energy < 0) is bool(unknown) for each in found.values() for row in each)
    trade = trade_of(result)
    assert trade is not None
    assert {each.kept for each in trade.candidates} == {Kept.YES}  # there are no budgets


def test_no_key_no_prompt_and_no_answer_is_written_anywhere(
    tmp_path: Path, endpoint: Endpoint, benchharness: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a run, a report and an export leave: logs, store, pages, what was printed, and what failed."""
    monkeypatch.setenv("FAR_KEY", KEY)
    given = tmp_path / "given"
    given.mkdir()
    suite = suite_of(given, endpoint, requests=1, networks=[NETWORKS[0], NETWORKS[3]])
    said = [benchharness("run", suite, report=True)]
    assert said[0].returncode == 0, said[0].stderr
    endpoint.behave = status(401)
    said.append(benchharness("run", suite, report=True))
    assert said[-1].returncode == 4, said[-1].stderr
    assert "does not answer without a simulated network either: unauthorised" in said[-1].stdout + said[-1].stderr
    monkeypatch.delenv("FAR_KEY")
    said.append(benchharness("run", suite))
    assert "environment variable FAR_KEY holds no key" in said[-1].stdout + said[-1].stderr
    said.append(benchharness("export", "--format", "json"))
    said.append(benchharness("show", "--details", "--warnings"))
    written = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and given not in file.parents}
    assert any(file.suffix == ".html" for file in written)
    assert any(b"SQLite" in content[:20] for content in written.values())
    told = {"standard output": "".join(each.stdout for each in said).encode()}
    told["standard error"] = "".join(each.stderr for each in said).encode()
    secrets = (KEY, *PROMPTS, PROMPTS[0].split()[0], *(each.strip() for each in ANSWER[:2]), "QUOKKAS")
    everything = {**told, **{str(file): content for file, content in written.items()}}
    for name, content in everything.items():
        for secret in secrets:
            assert secret.encode() not in content, (name, secret)
    assert any(PROMPTS[0] in str(body) for body in endpoint.bodies), "it was asked, after all"


def test_a_device_that_tells_an_endpoints_key_is_not_asked_for_one(
    tmp_path: Path, endpoint: Endpoint, benchharness: CommandLine
) -> None:
    """The way a key would get into a suite is refused where it is read."""
    suite = suite_of(tmp_path, endpoint)
    (tmp_path / "far.endpoint").write_text(endpoint.file(key=KEY), encoding="utf-8")
    done = benchharness("run", suite)
    assert done.returncode == 4
    assert "'key' is the name of an environment variable" in done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr


def test_an_endpoint_that_ships_is_refused(tmp_path: Path, endpoint: Endpoint, benchharness: CommandLine) -> None:
    suite = suite_of(tmp_path, endpoint)
    suite.write_text(suite.read_text().replace(', "ships" = false', ""))
    done = benchharness("run", suite)
    assert done.returncode == 2
    assert "say ships = false" in done.stderr


def test_it_and_a_conversation_run_out_of_the_bundle_on_a_far_device(tmp_path: Path, store_url: str) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "In the beginning"}\n')
    (tmp_path / "talk.jsonl").write_text('{"tokens": 8, "answer_tokens": 4}\n' * 2)
    with serving() as endpoint:
        (tmp_path / "far.endpoint").write_text(endpoint.file())
        suite = suite_from_table(
            {
                "models": {
                    "demo": {
                        "variants": {
                            "int8": {"artefact": str(ARTEFACTS / "onnx-int8")},
                            "far": {"artefact": str(tmp_path / "far.endpoint"), "ships": False},
                        }
                    }
                },
                "configurations": [{"runtime": "onnxruntime", "threads": 1}, {"runtime": "cloud"}],
                "scenarios": {
                    "hybrid": {
                        "cloud": "far",
                        "prompts": str(tmp_path / "prompts.jsonl"),
                        "networks": ["good", "offline"],
                        "requests": 1,
                        "answer_tokens": 4,
                    },
                    "conversation": {"file": str(tmp_path / "talk.jsonl"), "background": ["busy-core"]},
                },
                "attempts": {"at_least": 1, "at_most": 1},
            }
        )
        materials = gather(suite, DigestCache(None))
        store, hardware = Store(store_url), HardwareTarget(name="this-machine")
        run_id = store.create_run(
            suite=suite.name,
            digest=suite.digest,
            suite_json=suite.model_dump_json(by_alias=True),
            hardware_json=hardware.model_dump_json(),
            planned=plan(suite, hardware, materials, formats),
        )
        execution = Execution(store, run_id, rules=suite.attempts, manifests=materials.manifests, observer=Silence())
        execution.walk(AwkwardLauncher(tmp_path / "device", ADAPTERS), tmp_path / "state")
    results = {
        (each.job.scenario, each.job.variant): each
        for each in derive.derive(store.jobs(run_id), store.attempts(run_id))
    }
    hybrid, talk = results["hybrid", "int8"], results["conversation", "int8"]
    assert hybrid.outcome.kind is OutcomeKind.OK, hybrid.outcome
    assert talk.outcome.kind is OutcomeKind.OK, talk.outcome
    trade = trade_of(hybrid)
    assert trade is not None
    cells = {(cell.policy, cell.network): cell for each in trade.candidates for cell in each.cells}
    assert cells["cloud alone", "good"].rows[0].answered_by == AnsweredBy.CLOUD
    assert cells["cloud alone", "offline"].rows[0].answered_by == AnsweredBy.NOBODY
    assert len(turns_of(talk)) == 2
    assert {metric.parameters.get("beside") for metric in talk.metrics if metric.name == "return_ttft"} == {
        "nothing",
        "busy-core",
    }
    # An endpoint takes a prompt as text only: a conversation of token ids is not for it.
    assert results["conversation", "far"].outcome.kind is OutcomeKind.UNSUPPORTED
    assert json.dumps(endpoint.bodies).count("In the beginning") == len(endpoint.bodies) >= 2
