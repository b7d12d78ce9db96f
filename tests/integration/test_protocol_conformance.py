"""The published schema and what really goes over the lines say the same."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import psutil
import pytest
from jsonschema import Draft202012Validator

from benchharness.device.line import protocol
from benchharness.launch.bundle import write_bundle
from tests.integration.conftest import Bench
from tests.looks import so_within

SCHEMA = json.loads(files("benchharness.device.line").joinpath("protocol.schema.json").read_text())
ATTEMPT = "01a20000-0000-7000-8000-000000000001"


def validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator({**SCHEMA, "oneOf": [{"$ref": f"#/$defs/{kind}"}]})


def instructions(artefact: Path, **changes: Any) -> dict[str, Any]:
    return {
        "id": ATTEMPT,
        "job": "job",
        "round": 0,
        "adapter": "awkward",
        "configuration": {"accelerator": None, "threads": None, "options": {}, "accelerator_options": {}},
        "python": None,
        "artefact": str(artefact),
        "files": [str(artefact)],
        "tokenizer": None,
        "task": None,
        "workload": {
            "name": "w",
            "asks": "any",
            "prompt": {"length": 4, "seed": 0},
            "output_tokens": 4,
            "context_depth": 0,
            "continuation": "fixed",
            "dimensions": {},
            "values": {},
            "seed": 0,
        },
        "scenario": "first-token",
        "module": "benchharness.device.scenarios.first_token",
        "settings": {"warmup": 1, "repeats": 2, "most_repeats": 2, "min_time_ns": 1, "page_cache": "warm"},
        "timeout_s": 120.0,
        **changes,
    }


class Conversation:
    """Speaks to a program line by line, and holds every answer against the schema."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, seconds: float) -> int:
        return self._process.wait(seconds)

    def say(self, message: dict[str, Any]) -> None:
        validator(message["type"]).validate(message)
        self.say_raw(protocol.encode(message))

    def say_raw(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        message = protocol.read_message(self._process.stdout)
        assert message is not None, "the conversation ended"
        validator(message["type"]).validate(message)
        return message

    def hear_until(self, kind: str) -> dict[str, Any]:
        while (message := self.hear())["type"] != kind:
            pass
        return message

    def ends_within(self, seconds: float) -> bool:
        assert self._process.stdin is not None
        if not self._process.stdin.closed:
            self._process.stdin.close()
        return so_within(seconds, lambda: self._process.poll() is not None)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def supervisor(bench: Bench, tmp_path: Path) -> Iterator[Conversation]:
    bundle, _ = write_bundle(tmp_path)
    command = [sys.executable, "-m", "benchharness.device.supervisor"]
    conversation = Conversation([*command, "--work", str(tmp_path / "work"), "--bundle", str(bundle)])
    yield conversation
    conversation.close()


@pytest.fixture
def worker(bench: Bench) -> Iterator[Conversation]:
    conversation = Conversation([sys.executable, "-m", "benchharness.device.worker"])
    yield conversation
    conversation.close()


def test_the_schema_is_a_schema_and_describes_every_message() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert {reference["$ref"].rsplit("/", 1)[1] for reference in SCHEMA["oneOf"]} == protocol.PUBLIC


def test_a_supervisor_speaks_the_schema_from_ready_to_the_end(supervisor: Conversation, bench: Bench) -> None:
    assert supervisor.hear()["type"] == "ready"
    supervisor.say({"type": "attempt", **instructions(bench.model("fine"))})
    finished = supervisor.hear_until("finished")
    assert finished["outcome"]["kind"] == "ok"
    assert finished["id"] == ATTEMPT
    supervisor.say({"type": "acknowledge", "id": ATTEMPT})
    supervisor.say({"type": "stop"})
    assert supervisor.ends_within(2)


@pytest.mark.parametrize("words", ["load segfault", "run nan", "load refuse"])
def test_failures_speak_the_schema_too(supervisor: Conversation, bench: Bench, words: str) -> None:
    supervisor.hear()
    supervisor.say({"type": "attempt", **instructions(bench.model(words))})
    assert supervisor.hear_until("finished")["outcome"]["kind"] != "ok"


def test_a_running_attempt_can_be_cancelled(supervisor: Conversation, bench: Bench) -> None:
    supervisor.hear()
    supervisor.say({"type": "attempt", **instructions(bench.model("load hang"))})
    supervisor.hear_until("progress")
    supervisor.say({"type": "cancel", "id": ATTEMPT})
    assert supervisor.hear_until("finished")["outcome"] == {
        "kind": "killed",
        "reason": "cancelled by the host",
        "evidence": "",
    }


#: Makes no copy of its bundle, and never answers as a tokenizer, nor as a worker.
SILENT = """#!/bin/sh
case "$3" in *.bytecode) exit 1;; *.tokenizer_program) echo $$ > "$0.part"; mv "$0.part" "$0.trying";; esac
exec sleep 1000
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's script stands for an interpreter")
def test_the_trial_of_a_tokenizer_ends_with_its_attempt(supervisor: Conversation, bench: Bench, tmp_path: Path) -> None:
    """It may go on for two minutes, and the next order would wait for it."""
    python, trying = tmp_path / "python", tmp_path / "python.trying"
    python.write_text(SILENT)
    python.chmod(0o755)
    (tmp_path / "tokenizer.json").touch()
    order = instructions(bench.model("fine"), python=str(python), tokenizer=str(tmp_path / "tokenizer.json"))
    order["workload"]["prompt"] = {"text": "And it came to pass", "seed": 0}
    supervisor.hear()
    supervisor.say({"type": "attempt", **order, "timeout_s": 100_000.0})
    assert supervisor.hear_until("progress")["phase"] == "tokenizer"
    assert comes(trying.exists)
    supervisor.say({"type": "cancel", "id": ATTEMPT})
    assert supervisor.hear_until("finished")["outcome"]["reason"] == "cancelled by the host"
    process = int(trying.read_text())
    assert comes(lambda: not psutil.pid_exists(process))


def comes(holds: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return holds()


def test_one_attempt_at_a_time(supervisor: Conversation, bench: Bench) -> None:
    supervisor.hear()
    model = bench.model("load hang")
    supervisor.say({"type": "attempt", **instructions(model)})
    supervisor.say({"type": "attempt", **instructions(model, id=ATTEMPT.replace("1", "2"))})
    assert "still running" in supervisor.hear_until("refused")["reason"]


@pytest.mark.parametrize("line", [b"not json\n", b"[1]\n", b'{"type":"dance"}\n', b'{"type":"attempt","id":"x"}\n'])
def test_what_is_not_protocol_is_refused_or_ends_the_conversation(supervisor: Conversation, line: bytes) -> None:
    supervisor.hear()
    supervisor.say_raw(line)
    assert supervisor.hear()["type"] == "refused"


def test_an_unacknowledged_attempt_is_told_again(bench: Bench, tmp_path: Path) -> None:
    bundle, _ = write_bundle(tmp_path)
    command = [sys.executable, "-m", "benchharness.device.supervisor", "--work", str(tmp_path / "work")]
    first = Conversation([*command, "--bundle", str(bundle)])
    first.hear()
    first.say({"type": "attempt", **instructions(bench.model("fine"))})
    told = first.hear_until("finished")
    first.close()
    second = Conversation([*command, "--bundle", str(bundle)])
    assert second.hear()["waiting"] == 1
    assert second.hear() == told
    second.close()


def test_a_second_supervisor_in_one_folder_refuses(supervisor: Conversation, tmp_path: Path) -> None:
    supervisor.hear()
    command = [
        sys.executable,
        "-m",
        "benchharness.device.supervisor",
        "--work",
        str(tmp_path / "work"),
        "--bundle",
        "x",
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert "another supervisor is at work" in done.stderr


def test_a_supervisor_ends_when_its_host_is_gone_even_with_a_hanging_worker(
    supervisor: Conversation, bench: Bench
) -> None:
    supervisor.hear()
    supervisor.say({"type": "attempt", **instructions(bench.model("run hang-holding-the-lock"))})
    supervisor.hear_until("progress")
    assert supervisor.ends_within(1)


def test_a_worker_speaks_the_schema(worker: Conversation, bench: Bench) -> None:
    worker.say({"type": "order", **instructions(bench.model("fine")), "spawned_ns": time.perf_counter_ns()})
    assert worker.hear()["type"] == "progress"
    assert worker.hear_until("measured")["task"] == "causal-lm"


def test_a_worker_without_an_order_ends(worker: Conversation) -> None:
    assert worker.ends_within(5)
