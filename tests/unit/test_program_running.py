"""How a program is heard out: when its rows were told, what it held with others between, and how it ended."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchharness.contract import Configuration
from benchharness.device.attempt import RunningAttempt
from benchharness.device.failures import failure
from benchharness.errors import InvalidOutput, ModelFailure, Unsupported
from targets.native_program import NativeProgram, running
from targets.native_program.running import Ran, peak_of
from targets.program_output.figures import Output, read
from targets.program_output.reader import UNTIL_TOLD, FigureRule, reader
from targets.program_output.rows import Row
from tests.unit.test_native_program import (
    HOLDS,
    IS_LOOKED_AT,
    LLAMA_PREFILL,
    OF_A_SMALL_PROCESS,
    REQUEST,
    SECOND,
    a_program,
    told,
)
from tests.unit.test_program_readers import BENCHMARK_MODEL_ONCE

#: What benchmark_model prints of its operators after its figures, where it is asked for them.
PROFILE = """\
INFO: Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
Timings (microseconds): count=16027 first=23 curr=16 min=13 max=4630 avg=20.794 std=122
Memory (bytes): count=0
8 nodes observed
"""
ROW = json.dumps(LLAMA_PREFILL)
MIB = 1 << 20


def says(*said: str, apart_s: float) -> str:
    """Such a program, one thing after the other."""
    parts = (f"time.sleep({apart_s})\nsys.stdout.write({each!r})\nsys.stdout.flush()" for each in said)
    return "\n".join(["'--version' in sys.argv and sys.exit()", *parts])


@pytest.mark.parametrize(
    ("reader", "said", "told_at"),
    [
        ("llama-bench", (f"{ROW}\n", "all done\n"), 1),
        ("llama-bench", (ROW, "\n"), 1),
        ("llama-bench", (ROW[:40], f"{ROW[40:]}\n", "\n"), 2),
        ("benchmark_model", (BENCHMARK_MODEL_ONCE, PROFILE), 1),
    ],
)
def test_a_cold_start_ends_with_the_row_whatever_is_said_later(
    tmp_path: Path, reader: str, said: tuple[str, ...], told_at: int
) -> None:
    """As with --enable_op_profiling, whose tables follow the figures: tensorflow/tensorflow#42507."""
    metric = "cold_start_ttft" if reader == "llama-bench" else "cold_start_inference"
    report, _ = told(tmp_path, reader, says(*said, apart_s=0.5), "m.gguf", metric)
    (figure,) = report.figures
    later_s = 0.5 * (len(said) - told_at)
    assert 0.5 * told_at * SECOND <= figure.value <= report.took_ns - 0.2 * later_s * SECOND  # heard late, at worst


def test_a_reader_that_cannot_read_half_of_it_is_asked_for_more() -> None:
    """Another package's function raises what it likes at a text that is not whole."""

    def rows(text: str) -> list[Row]:
        assert text.endswith("end")
        return [{"said": text}]

    of_text = replace(reader("benchmark_model"), rows=rows)
    rule = FigureRule("cold_start_inference", UNTIL_TOLD)
    _, (figure,) = read(of_text, [rule], Output(b"the end", [(2, 10), (5, 20), (7, 30)]), {"repeats": "3"}, "x")
    assert figure.value == 30


def test_a_program_that_says_nothing_has_no_cold_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidOutput, match="benchmark_model tells nothing; is it built without its log"):
        told(tmp_path, "benchmark_model", "time.sleep(0.1)", "m.tflite", "cold_start_inference")


def test_what_is_heard_after_the_end_is_within_the_time_that_it_took(tmp_path: Path) -> None:
    """A program that ends with its row may be seen to end before the row is heard."""
    code = f"import os\nif os.fork(): os._exit(0)\n{says(ROW, apart_s=0.3)}"
    report, _ = told(tmp_path, "llama-bench", code, "m.gguf", "cold_start_ttft")
    (figure,) = report.figures
    assert 0.3 * SECOND <= figure.value <= report.took_ns


def test_what_a_program_left_behind_is_waited_for_once_and_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_LEFT_S", 0.1)
    code = "import os\nleft = os.fork()\nif not left: time.sleep(30); os._exit(0)\nopen(sys.argv[0] + str(left), 'w')"
    code += f"\n'--version' in sys.argv and sys.exit()\nprint({ROW!r})\nsys.stdout.flush(); os.kill(os.getpid(), 11)"
    try:
        with pytest.raises(ModelFailure, match="SIGSEGV"):
            told(tmp_path, "llama-bench", code, "m.gguf", "model_ttft")
    finally:
        left = [int(path.name.removeprefix("llama-bench")) for path in tmp_path.glob("llama-bench?*")]
        for each in left:
            os.kill(each, signal.SIGKILL)  # all are there still, or this raises
    assert len(left) == 2


def wrapped_peak(folder: Path, mebibytes: int, line: str) -> tuple[int | None, int, dict[str, str]]:
    """What is told of a script around a program that holds so much, and what that says itself."""
    code = HOLDS.format(row=LLAMA_PREFILL, before="", after=IS_LOOKED_AT)
    program = a_program(folder, "inside", code, f"{mebibytes}.gguf")
    wrapper = folder / "llama-bench"
    wrapper.write_text(f"#!/bin/sh\n{line.format(shlex.quote(str(program)))}\n")
    wrapper.chmod(0o700)
    command = [sys.executable, "-c", OF_A_SMALL_PROCESS, str(wrapper), str(folder / f"{mebibytes}.gguf")]
    peak, own, unknown = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return peak, own, unknown


@pytest.mark.parametrize(
    ("mebibytes", "line", "known"),
    [
        (100, '{} "$@"; true', True),
        (0, 'exec {} "$@"', True),
        (0, '{} "$@"; true', False),
        (0, '{} "$@" & exec sleep 0.6', False),  # it waits for none
        (0, '{} "$@"; echo; exec sleep 0.5', False),  # it has none any more
    ],
)
def test_a_script_around_a_program_is_never_taken_for_it(
    tmp_path: Path, mebibytes: int, line: str, known: bool
) -> None:
    """A shell that replaces itself passes its own peak on, and one that waits holds little: davidsd/hyperion#4."""
    peak, own, unknown = wrapped_peak(tmp_path, mebibytes, line)
    assert own > (mebibytes + 4) * MIB
    if known:
        assert peak == pytest.approx(own, rel=0.05)
    else:
        assert peak is None
        assert "or had started others" in unknown["peak_memory"]


@pytest.mark.parametrize(
    ("held", "most"),
    [
        ([(60, 60), (70, 70)], 70),
        ([(60, 60), (None, 40)], 60),  # no more than what started it, which held less
        ([(60, 60), (None, 65)], None),
        ([(10, 40), (None, 40)], None),  # which of them is the larger?
        ([(10, 40), (12, 40)], 12),
        ([(None, 40)], None),
        ([(None, None)], None),
        ([(60, 60), (None, None)], None),
        ([], None),
    ],
)
def test_the_peak_of_several_is_known_where_none_may_be_above_it(held: list[Any], most: int | None) -> None:
    """As rsalesc/rbx#725: at or below what the parent held, a figure of the kernel is the parent's."""
    all_ran = [Ran("x", Output(b"", []), 1, peak, at_most) for peak, at_most in held]
    assert peak_of(all_ran) == most


@pytest.mark.parametrize(
    ("name", "words", "outcome"),
    [
        ("SIGSEGV", "", "crashed"),
        ("SIGKILL", "", "killed"),
        ("SIGABRT", "terminate called: std::bad_alloc", "out-of-memory"),
    ],
)
def test_a_program_that_a_signal_ends_says_which(tmp_path: Path, name: str, words: str, outcome: str) -> None:
    code = f"import os, signal\nsys.stderr.write({words!r}); sys.stderr.flush(); os.kill(os.getpid(), signal.{name})"
    with pytest.raises(ModelFailure, match=f"llama-bench was ended by {name}") as caught:
        told(tmp_path, "llama-bench", code, "m.gguf", "model_ttft")
    assert failure(caught.value)["outcome"] == outcome
    assert str(caught.value).endswith(words or name)


@pytest.mark.parametrize(
    ("kind", "by_the_kernel", "told_as"),
    [
        ("killed", True, ("out-of-memory", "killed by the kernel for memory: why")),
        ("killed", False, ("killed", "why")),
        ("crashed", True, ("crashed", "why")),
    ],
)
def test_a_program_that_the_kernel_killed_for_memory_had_none(
    monkeypatch: pytest.MonkeyPatch, kind: str, by_the_kernel: bool, told_as: tuple[str, str]
) -> None:
    """Whether the kernel has killed meanwhile the supervisor counts; the worker lives and tells of its program."""
    attempt: Any = object.__new__(RunningAttempt)
    attempt._child, attempt.phase = SimpleNamespace(end=lambda _: None), "measure"
    monkeypatch.setattr(RunningAttempt, "_killed_for_memory", lambda _: by_the_kernel)
    monkeypatch.setattr(RunningAttempt, "_finished", lambda _, *told: told)
    assert attempt.failed({"outcome": kind, "reason": "why"})[:2] == told_as


def test_a_signal_without_a_name_is_told_by_its_number(tmp_path: Path) -> None:
    code = f"import os\nos.kill(os.getpid(), {signal.SIGRTMIN + 3})"
    with pytest.raises(ModelFailure, match=f"was ended by signal {signal.SIGRTMIN + 3}|by SIG"):
        told(tmp_path, "llama-bench", code, "m.gguf", "model_ttft")


def test_a_script_whose_interpreter_is_absent_says_so(tmp_path: Path) -> None:
    """The system says of the script that there is no such file."""
    script = a_program(tmp_path, "llama-bench", "", "m.gguf")
    script.write_text("#!/nowhere/bin/sh\n")
    with (
        pytest.raises(Unsupported, match="cannot be started here: its interpreter is not here"),
        NativeProgram().open(tmp_path / "m.gguf", Configuration(runtime="x", options={"program": str(script)})),
    ):
        pass


def test_a_program_is_found_from_where_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is started in a folder of its own, where neither lies."""
    a_program(tmp_path, "llama-bench", f"assert open(sys.argv[2]).read()\nprint({ROW!r})", "m.gguf")
    monkeypatch.chdir(tmp_path)
    configuration = Configuration(runtime="x", options={"program": "./llama-bench"})
    with NativeProgram().open(Path("m.gguf"), configuration) as session:
        assert session.measure(REQUEST, ["model_ttft"]).figures[0].value == 831811
