"""Programs that measure themselves, by the reader of llama-bench: what is asked, what is believed, what is refused.

llama-bench's lines are what its version 0.7.0 (Debian's llama.cpp-tools) printed here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchharness.contract import Configuration, OwnFigure, OwnReport, OwnRequest
from benchharness.device.own_report import OwnReporter
from benchharness.device.phases import Phases
from benchharness.device.scenarios import first_token, steady
from benchharness.device.scenarios.stage import Stage
from benchharness.errors import InvalidOutput, ModelFailure, Unsupported
from targets.native_program import NativeProgram
from targets.program_output.reader import names, reader

LLAMA_PREFILL: Mapping[str, Any] = {
    "build_commit": "Debian",
    "build_number": 11669,
    "cpu_info": "AMD EPYC",
    "backends": "CPU",
    "model_type": "llama ?B all F32",
    "n_threads": 1,
    "type_k": "f16",
    "type_v": "f16",
    "flash_attn": -1,
    "n_prompt": 16,
    "n_gen": 0,
    "n_depth": 0,
    "avg_ns": 874124,
    "stddev_ns": 94669,
    "samples_ns": [982566, 807996, 831811],
    "samples_ts": [16283.9, 19802.1, 19235.1],
}
LLAMA_DECODE = {
    **LLAMA_PREFILL,
    "n_prompt": 0,
    "n_gen": 7,
    "n_depth": 16,
    "samples_ns": [725112, 583731, 26822427],
    "samples_ts": [9653.68, 11991.8, 260.976],
}
REQUEST = OwnRequest(repeats=3, prompt_tokens=16, output_tokens=8, context_depth=0)
SECOND = 1_000_000_000


def a_program(folder: Path, name: str, code: str, model: str) -> Path:
    """A program of that name that waits long enough for what it tells to be true, and a model for it."""
    path = folder / name
    path.write_text(f"#!{sys.executable} -IS\nimport sys, time\n{code}\n")
    path.chmod(0o700)
    (folder / model).write_bytes(b"weights")
    return path


def told(folder: Path, name: str, code: str, model: str, *metrics: str, **options: Any) -> tuple[OwnReport, Any]:
    program = a_program(folder, name, code, model)
    asked = Configuration(
        runtime="native-program", options={"program": str(program), **options}, threads=options.pop("threads", None)
    )
    with NativeProgram().open(folder / model, asked) as session:
        return session.measure(REQUEST, metrics), session.effective


def llama(changes: Mapping[str, Any] | None = None, sleep_s: float = 0.05) -> str:
    """A llama-bench that says what it said here."""
    rows = [{**LLAMA_PREFILL, **(changes or {})}, {**LLAMA_DECODE, **(changes or {})}]
    return (
        f"rows = {rows!r}\nimport json\ntime.sleep({sleep_s})\n"
        "if '--version' in sys.argv: print('version: 0.7.0 (build 11669, commit Debian)'); sys.exit()\n"
        "sys.stderr.write('load_backend: loaded CPU backend\\n')\n"
        "print(json.dumps(rows[0 if sys.argv[sys.argv.index('-p') + 1] != '0' else 1]))"
    )


def test_llama_bench_tells_rates_of_each_repetition_and_what_it_ran(tmp_path: Path) -> None:
    report, effective = told(tmp_path, "llama-bench", llama(), "m.gguf", "prefill_rate", "decode_rate", "tpot")
    figures = {each.metric: each for each in report.figures}
    assert figures["prefill_rate"].samples == pytest.approx(LLAMA_PREFILL["samples_ts"], rel=1e-4)
    assert figures["prefill_rate"].parameters == {"prompt_tokens": 16, "context_depth": 0}
    assert figures["decode_rate"].samples == pytest.approx(LLAMA_DECODE["samples_ts"], rel=1e-4)
    assert figures["decode_rate"].parameters == {"output_tokens": 8, "context_depth": 16}
    assert figures["tpot"].value == pytest.approx(725112 / 7)
    assert report.unknown["itl"].startswith("llama-bench times whole answers")
    assert (effective.runtime_version, effective.threads, effective.accelerators) == (
        "0.7.0 (build 11669, commit Debian)",
        1,
        ("CPU",),
    )
    assert [each.split("/")[-1] for each in effective.facts["commands"]] == [
        "m.gguf -o jsonl -r 3 -p 16 -n 0 -d 0",
        "m.gguf -o jsonl -r 3 -p 0 -n 7 -d 16",
    ]
    assert len(effective.facts["program_sha256"]) == 64


def test_a_program_of_the_users_keeps_its_permissions(tmp_path: Path) -> None:
    program = a_program(tmp_path, "llama-bench", llama(), "m.gguf")
    program.chmod(0o644)
    with NativeProgram().open(tmp_path / "m.gguf", Configuration(runtime="x", options={"program": str(program)})):
        assert program.stat().st_mode & 0o777 == 0o744


def waiting_llama(before_s: float, after_s: float) -> str:
    """One that takes its time before its row and after it."""
    return (
        f"import json\ntime.sleep({before_s})\nprint(json.dumps({LLAMA_PREFILL!r}), flush=True)\ntime.sleep({after_s})"
    )


def test_a_cold_start_ends_with_the_row_and_not_with_the_program(tmp_path: Path) -> None:
    report, effective = told(tmp_path, "llama-bench", waiting_llama(0.3, 3.0), "m.gguf", "cold_start_ttft")
    (figure,) = report.figures
    assert (figure.metric, figure.parameters) == ("cold_start_ttft", {})
    assert 0.3 * SECOND <= figure.value <= report.took_ns - 1.0 * SECOND
    assert [each.split("/")[-1] for each in effective.facts["commands"]] == [
        "m.gguf -o jsonl -r 1 --no-warmup -p 16 -n 0"
    ]


def test_a_cold_start_of_another_prompt_is_none(tmp_path: Path) -> None:
    code = llama({"n_prompt": 512})
    with pytest.raises(InvalidOutput, match="tells 0 rows with n_prompt 16, n_gen 0, n_depth 0"):
        told(tmp_path, "llama-bench", code, "m.gguf", "cold_start_ttft")


def test_a_build_without_an_argument_tells_the_rest(tmp_path: Path) -> None:
    refuses = "sys.exit('error: invalid parameter for argument: --no-warmup') if '--no-warmup' in sys.argv else None\n"
    report, _ = told(tmp_path, "llama-bench", refuses + llama(), "m.gguf", "cold_start_ttft", "model_ttft")
    assert [each.metric for each in report.figures] == ["model_ttft"]
    assert report.unknown["cold_start_ttft"].startswith("this build cannot be asked for it: llama-bench ended with")
    with pytest.raises(ModelFailure, match="out of magic"):
        told(tmp_path, "llama-bench", "sys.exit('out of magic')", "m.gguf", "cold_start_ttft")


HOLDS = """held = bytearray(int(sys.argv[2].split(".")[0].rpartition("/")[2]) << 20)
held[::4096] = b'x' * len(held[::4096])
import json, os, re
{before}
row = {row!r}
row["cpu_info"] = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
print(json.dumps(row), flush=True)
{after}"""
#: At the end of such a program: that its row was read, however late, and that it is there when it is looked at then.
IS_LOOKED_AT = """held = None
import fcntl, struct, termios
while struct.unpack("i", fcntl.ioctl(1, termios.FIONREAD, bytes(4)))[0]: time.sleep(0.01)
time.sleep(0.4)"""
#: What a worker is: a process that holds little.
OF_A_SMALL_PROCESS = """
import json, sys
from benchharness.contract import Configuration, OwnRequest
from targets.native_program import NativeProgram
asked = Configuration(runtime="native-program", options={"program": sys.argv[1]})
with NativeProgram().open(sys.argv[2], asked) as session:
    report = session.measure(OwnRequest(3, 16, 8, 0), ["model_ttft", "cold_start_ttft"])
    print(json.dumps([report.peak_bytes, int(session.effective.facts["processor"]) * 1024, report.unknown]))
"""


def peak(folder: Path, mebibytes: int, after: str = "", before: str = "") -> tuple[int | None, int, Mapping[str, str]]:
    """What is told of a program that holds so much, and what it says itself."""
    program = a_program(
        folder, "llama-bench", HOLDS.format(row=LLAMA_PREFILL, before=before, after=after), f"{mebibytes}.gguf"
    )
    command = [sys.executable, "-c", OF_A_SMALL_PROCESS, str(program), str(folder / f"{mebibytes}.gguf")]
    told_peak, own_peak, unknown = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return told_peak, own_peak, unknown


def test_the_peak_is_what_the_program_itself_would_say(tmp_path: Path) -> None:
    told_peak, own_peak, _ = peak(tmp_path, 200)
    assert told_peak == pytest.approx(own_peak, rel=0.01)
    assert own_peak > 200 << 20


def test_a_program_smaller_than_what_started_it_is_looked_at_when_it_has_told(tmp_path: Path) -> None:
    """Linux counts what started it into the peak of a program that began as its copy."""
    told_peak, own_peak, _ = peak(tmp_path, 0, IS_LOOKED_AT)
    assert told_peak == pytest.approx(own_peak, rel=0.05)
    assert own_peak < 20 << 20


def test_one_that_has_ended_by_then_has_no_peak(tmp_path: Path) -> None:
    """What it tells comes by a process that outlives it."""
    told_peak, _, unknown = peak(tmp_path, 0, "", "os.fork() and os._exit(0) or time.sleep(0.5)")
    assert told_peak is None
    assert unknown["peak_memory"].startswith("it held less than the process that started it")


def test_only_commands_that_are_wanted_are_run(tmp_path: Path) -> None:
    report, effective = told(tmp_path, "llama-bench", llama(), "m.gguf", "model_ttft")
    (figure,) = report.figures
    assert (figure.metric, figure.value) == ("model_ttft", 831811)
    assert len(effective.facts["commands"]) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"samples_ns": []}, "holds 0 times"),
        ({"samples_ns": [-1]}, "or one that none can be"),
        ({"samples_ns": ["1"]}, "no number"),
        ({"samples_ns": [True]}, "no number"),
        ({"samples_ns": [1e300]}, "or one that none can be"),
        ({"samples_ns": [10**400]}, "no number"),
        ({"n_gen": 10**400}, "tells 0 rows"),
        ({"n_prompt": 17}, "tells 0 rows with n_prompt 16"),
        ({"n_prompt": 16, "samples_ns": None}, "holds 0 times"),
    ],
)
def test_what_cannot_be_is_no_figure(tmp_path: Path, changes: Mapping[str, Any], words: str) -> None:
    with pytest.raises(InvalidOutput, match=words):
        told(tmp_path, "llama-bench", llama(changes), "m.gguf", "prefill_rate")


def test_no_token_with_a_normal_exit_is_no_rate(tmp_path: Path) -> None:
    with pytest.raises(InvalidOutput, match="tells 0 rows with n_prompt 0, n_gen 7"):
        told(tmp_path, "llama-bench", llama({"n_gen": 0}), "m.gguf", "decode_rate")


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("print('{')", InvalidOutput, "cannot read"),
        ("print('{' * 100000)", InvalidOutput, "cannot read"),
        ("pass", InvalidOutput, "tells 0 rows"),
        (f"for _ in 'ab': print({json.dumps(LLAMA_PREFILL)!r})", InvalidOutput, "tells 2 rows with n_prompt 16"),
        ("sys.exit('out of magic')", ModelFailure, "exit code 1: out of magic"),
    ],
)
def test_what_is_not_its_output_says_so(tmp_path: Path, code: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        told(tmp_path, "llama-bench", f"if '--version' not in sys.argv:\n  {code}", "m.gguf", "prefill_rate")


def test_a_program_that_prints_for_ever_is_cut_off_and_heard_out(tmp_path: Path) -> None:
    code = f"if '--version' not in sys.argv:\n  for _ in range(20): print('x' * (1 << 20))\n{llama()}"
    with pytest.raises(InvalidOutput, match="tells more than 16 MiB: its end was not read"):
        told(tmp_path, "llama-bench", code, "m.gguf", "prefill_rate")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "say which program"),
        ({"program": "/nowhere/llama-bench"}, "there is no such program"),
        ({"program": "/bin/true", "reader": "nobody"}, "no reader is called 'nobody' .*llama-bench"),
        ({"program": "/bin/true", "reader": "/nowhere/x.toml"}, "cannot be read"),
        ({"program": "/bin/true", "reader": "llama-bench", "colour": 1}, "no option is called 'colour'"),
        ({"program": "/bin/true", "reader": "llama-bench", "arguments": "-x"}, "no list of texts"),
        ({"program": "/bin/true", "reader": "llama-bench", "environment": {"A": 1}}, "no table of texts"),
        ({"program": "/bin/true", "reader": "llama-bench", "environment": {"A": "\0"}}, "cannot be started .* null"),
    ],
)
def test_what_is_asked_wrongly_is_said(tmp_path: Path, options: Mapping[str, Any], words: str) -> None:
    (tmp_path / "m.gguf").write_bytes(b"")
    with (
        pytest.raises(Unsupported, match=words),
        NativeProgram().open(tmp_path / "m.gguf", Configuration(runtime="native-program", options=options)),
    ):
        pass


def test_options_of_an_accelerator_are_refused(tmp_path: Path) -> None:
    asked = Configuration(runtime="x", options={"program": "/bin/true"}, accelerator_options={"program": 1})
    with pytest.raises(Unsupported, match=r"give options\.arguments"), NativeProgram().open(tmp_path, asked):
        pass


def test_every_reader_that_is_bundled_can_be_read() -> None:
    assert {"llama-bench", "benchmark_model", "onnxruntime_perf_test", "executor_runner"} <= set(names())
    for name in ("llama-bench", "benchmark_model", "onnxruntime_perf_test", "executor_runner"):
        assert set(reader(name).formats) <= set(NativeProgram.formats)


JSON = "formats = ['.x']\nrows = 'json'\n"
COMMAND = "[[commands]]\narguments = []\nfigures = "


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("formats = [", "TOMLDecodeError"),
        ("colour = 1", "'colour'"),
        ("formats = ['.x']\ncommands = []", "what its rows are"),
        ("formats = ['.x']\nrows = 'yaml'\ncommands = []", "yaml"),
        ("formats = ['.x']\nrows = 'text'\ncommands = []\npatterns = { a = '(' }", "unterminated"),
        ("formats = ['.x']\nrows = 'text'\ncommands = []\npatterns = { a = '(b) (c)' }", "a catches 2 things"),
        ("formats = '.x'\nrows = 'json'\ncommands = []", "formats is no list"),
        (f"{JSON}threads = '-t'\ncommands = []", "threads is no list"),
        (f"{JSON}commands = []\naccelerators = {{ gpu = '--gpu' }}", "gpu is no list"),
        (f"{JSON}[[commands]]\narguments = '-m'", "arguments is no list"),
        (f"{JSON}ignored = 'no notice'\ncommands = []", "ignored catches 0 things"),
        (f"{JSON}version = {{ arguments = [], pattern = 'v' }}\ncommands = []", "pattern catches 0 things"),
        (f"{JSON}version = {{ arguments = [], pattern = '(' }}\ncommands = []", "unterminated"),
        (f"{JSON}{COMMAND}[{{ metric = 'tpot', times = 3 }}]", "no name of a field"),
        (f"{JSON}{COMMAND}[{{ metric = 'tpot', times = 't', where = [1] }}]", "no table as where"),
        (
            f"{JSON}{COMMAND}[{{ metric = 'tpot', times = 's' }}, {{ metric = 'tpot', times = 't' }}]",
            "tells a metric twice",
        ),
        (
            "formats = ['.x']\nrows = 'json'\n[[commands]]\narguments = []\n"
            "figures = [{ metric = 'itl', times = 't', unit = 'h' }]",
            "the unit 'h'",
        ),
        *(
            (
                "formats = ['.x']\nrows = 'json'\n[[commands]]\narguments = []\n"
                f"figures = [{{ metric = '{metric}', times = '{{until_told}}'{more} }}]",
                words,
            )
            for metric, more, words in [
                ("first_inference", "", "first_inference is no time from the program's start"),
                ("cold_start_ttft", ", mean = true", "has no unit, count or mean"),
                ("cold_start_ttft", ", count = 10", "has no unit, count or mean"),
                ("cold_start_inference", ", unit = 'us'", "has no unit, count or mean"),
            ]
        ),
    ],
)
def test_a_reader_that_is_none_says_why(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(Unsupported, match=words):
        reader(str(tmp_path / "mine.toml"))


def test_a_metric_of_several_commands_is_told_by_the_first_that_a_build_knows(tmp_path: Path) -> None:
    figures = "figures = [{ metric = 'steady_inference', times = 't' }]\n"
    (tmp_path / "mine.toml").write_text(
        f"formats = ['.x']\nrows = 'json-lines'\n[[commands]]\narguments = ['new']\nrefused = 'unknown'\n{figures}"
        f"[[commands]]\narguments = ['old']\n{figures}[[commands]]\narguments = ['oldest']\n{figures}"
    )
    code = "if 'new' in sys.argv: sys.exit('unknown')\nprint('{\"t\": 9}' if 'old' in sys.argv else '{\"t\": 7}')"
    report, _ = told(tmp_path, "p", code, "m.x", "steady_inference", reader=str(tmp_path / "mine.toml"))
    assert [figure.value for figure in report.figures] == [9]


THEIRS = """
import re
READER = "formats = ['.x']\\n[[commands]]\\narguments = []\\nfigures = [{ metric = 'tpot', times = 't' }]"
def rows(output): return [{"t": int(re.search("t=(.)", output)[1])}]
"""


def test_what_a_readers_own_code_raises_is_output_that_it_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("targets.program_output.reader._third_party", lambda: {"theirs": "theirs"})
    report, _ = told(tmp_path, "p", "print('t=5')", "m.x", "tpot", reader="theirs")
    assert report.figures[0].value == 5
    with pytest.raises(InvalidOutput, match="prints what reader 'theirs' cannot read: 'NoneType'"):
        told(tmp_path, "p", "print('nothing')", "m.x", "tpot", reader="theirs")


def test_what_ends_a_line_elsewhere_may_stand_in_a_text_of_json(tmp_path: Path) -> None:
    row = json.dumps({**LLAMA_PREFILL, "cpu_info": "a\u2028b\x85c"}, ensure_ascii=False)
    code = f"time.sleep(0.05)\nsys.stdout.buffer.write({row.encode()!r} + bytes([13, 10]))"
    _, effective = told(tmp_path, "llama-bench", code, "m.gguf", "prefill_rate")
    assert effective.facts["processor"] == "a\u2028b\x85c"


class Liar:
    """A session whose figures are given."""

    effective = None
    language = True

    def __init__(self, **figure: Any) -> None:
        values: dict[str, Any] = {
            "metric": "decode_rate",
            "parameters": {},
            "value": 10.0,
            "samples": [9.0, 10.0, 11.0],
            "took_ns": SECOND,
        }
        self._figure = OwnFigure(**{**values, **figure})

    def measure(self, request: OwnRequest, metrics: Any) -> OwnReport:
        return OwnReport(figures=[self._figure], unknown={"itl": "why", "peak_memory": "no"}, took_ns=2 * SECOND)


WORKLOAD: Mapping[str, Any] = {
    "asks": "language",
    "prompt": {"length": 16, "tokens": None, "text": None},
    "output_tokens": 8,
    "context_depth": 0,
}


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        ({"took_ns": 3 * SECOND}, "took 3000000000 ns, and it lived 2000000000 ns"),
        ({"value": 12.0}, "outside of its samples"),
        ({"value": float("nan"), "samples": []}, "as nan"),
        ({"value": 0.0, "samples": []}, "as 0"),
        ({"samples": [9.0, float("inf")]}, "as 10"),
        ({"metric": "peak_memory"}, "peak_memory as"),
        ({"metric": "itl", "value": 3e9, "samples": []}, "itl took 3000000000 ns, and it lived 2000000000 ns"),
        ({"metric": "itl", "value": 1.5e9, "samples": [1.5e9, 1.5e9]}, "itl took 3000000000 ns, and it lived"),
    ],
)
def test_a_figure_that_the_harness_cannot_believe_ends_the_attempt(figure: Mapping[str, Any], words: str) -> None:
    reporter = OwnReporter.of(Liar(**figure))
    assert reporter is not None
    with pytest.raises(InvalidOutput, match=words):
        reporter.told(WORKLOAD, 3, ["decode_rate", "itl"])


def test_inputs_that_a_program_is_not_given_are_refused() -> None:
    """It makes up its own: at a batch of its own, a time would stand beside others' of the batch asked for."""
    liar = Liar(metric="steady_inference")
    liar.language = False
    reporter = OwnReporter.of(liar)
    assert reporter is not None
    asked = {**WORKLOAD, "asks": "tensor", "dimensions": {"batch": 8}}
    with pytest.raises(Unsupported, match="makes its inputs itself"):
        reporter.told(asked, 3, ["steady_inference"])
    assert reporter.told({**WORKLOAD, "asks": "any"}, 3, ["steady_inference"])


def test_pauses_that_it_does_not_make_are_told_as_unknown() -> None:
    reporter = OwnReporter.of(Liar())
    assert reporter is not None
    stage = Stage(
        session=reporter,
        workload=WORKLOAD,  # type: ignore[arg-type] # as much of it as is looked at
        settings={"repeats": 3, "most_repeats": 3, "pauses_ns": [SECOND]},
        tokenizer=None,
        phases=Phases(0),
        progress=lambda *_: None,
    )
    assert [each["metric"] for each in steady.measure(stage)] == ["decode_rate"]
    assert set(reporter.facts()["unknown_metrics"]) == {
        *("itl", "peak_memory", "ttft_after_pause", "decode_rate_after_pause"),
    }


def test_a_figure_that_can_be_is_a_measurement_and_the_rest_has_a_reason() -> None:
    reporter = OwnReporter.of(Liar())
    assert reporter is not None
    (found,) = reporter.told(WORKLOAD, 3, ["decode_rate", "itl"])
    assert (found["metric"], found["value"], found["samples"]) == ("decode_rate", 10.0, [9.0, 10.0, 11.0])
    assert reporter.facts() == {"unknown_metrics": {"itl": "why", "peak_memory": "no"}}
    assert reporter.elsewhere()["memory_unknown"]["memory"].startswith("the program runs in")
    text = {**WORKLOAD, "prompt": {"text": "hello"}}
    with pytest.raises(Unsupported, match="by its length only"):
        reporter.told(text, 3, ["decode_rate"])


@pytest.mark.parametrize("peak_bytes", [0, -1, 1 << 60, True])
def test_a_peak_that_none_can_be_ends_the_attempt(peak_bytes: int) -> None:
    class Holder(Liar):
        def measure(self, request: OwnRequest, metrics: Any) -> OwnReport:
            return replace(super().measure(request, metrics), peak_bytes=peak_bytes)

    reporter = OwnReporter.of(Holder())
    assert reporter is not None
    with pytest.raises(InvalidOutput, match="bytes at most"):
        reporter.told(WORKLOAD, 3, ["decode_rate"])


@pytest.mark.parametrize(("depth", "cold"), [(0, True), (512, False)])
def test_a_cold_start_begins_with_an_empty_context(depth: int, cold: bool) -> None:
    asked: list[str] = []

    class Asked(Liar):
        def measure(self, request: OwnRequest, metrics: Any) -> OwnReport:
            asked.extend(metrics)
            return replace(super().measure(request, metrics), peak_bytes=3 << 20)

    reporter = OwnReporter.of(Asked(metric="model_ttft"))
    assert reporter is not None
    workload: Any = {**WORKLOAD, "context_depth": depth}  # as much of one as is looked at
    stage = Stage(
        session=reporter,
        workload=workload,
        settings={"repeats": 3},
        tokenizer=None,
        phases=Phases(0),
        progress=lambda *_: None,
    )
    assert [(each["metric"], each["value"]) for each in first_token.measure(stage)] == [
        ("model_ttft", 10.0),
        ("peak_memory", 3 << 20),
    ]
    assert ("cold_start_ttft" in asked) is cold
