"""Scenarios that start workers and relays of their own, on a device that has nothing of ours but the bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchharness.device.adapters import formats
from benchharness.execute.jobs import Execution
from benchharness.judge import derive
from benchharness.records import AnsweredBy
from benchharness.results.result import OutcomeKind
from benchharness.results.store import Store
from benchharness.scenarios.conversation.turns import turns_of
from benchharness.scenarios.hybrid.trade import trade_of
from benchharness.suite.artefact import DigestCache
from benchharness.suite.hardware import HardwareTarget
from benchharness.suite.materials import gather
from benchharness.suite.plan import plan
from benchharness.suite.tables import suite_from_table
from tests.awkward_launcher import AwkwardLauncher
from tests.conftest import ARTEFACTS
from tests.integration.conftest import ADAPTERS, Silence
from tests.loopback_endpoint import serving

pytest.importorskip("onnxruntime", reason="NOT TESTED: onnxruntime is not installed")
pytest.importorskip("tokenizers", reason="NOT TESTED: tokenizers is not installed")


def test_both_run_out_of_the_bundle(tmp_path: Path, store_url: str) -> None:
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
