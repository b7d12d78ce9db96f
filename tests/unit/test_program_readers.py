"""The bundled readers against what their programs print, as it was printed here, and as older versions print it.

`executor_runner`: of pytorch/executorch at cff6f4d (1.5.0), linked to the libraries of the wheel executorch 1.5.1, on
a network of 1.3 million numbers for XNNPACK. The lines of cpuinfo_utils.cpp are left out, and the blank at the end of
the last line.
`benchmark_model`: of google-ai-edge/LiteRT at f674577 without XNNPACK, on examples/digits/artefacts/fp32.tflite,
and once on int8.tflite beside it.
`onnxruntime_perf_test`: of intel/onnxruntime at cc8e901 (1.30.0), linked to the library of the wheel onnxruntime
1.32.0, on examples/digits/artefacts/fp32.onnx.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from benchharness.contract import Configuration, OwnFigure, OwnReport, OwnRequest
from benchharness.errors import InvalidOutput, ModelFailure, Unsupported
from targets.native_program import NativeProgram

EXECUTORCH_ONCE = """\
I 00:00:00.000581 executorch:executor_runner.cpp:340] Resetting threadpool with num threads = 2
I 00:00:00.010672 executorch:threadpool.cpp:66] Resetting threadpool to 2 threads.
I 00:00:00.010806 executorch:executor_runner.cpp:476] Model file m.pte is loaded.
I 00:00:00.010810 executorch:executor_runner.cpp:486] Using method forward
I 00:00:00.010818 executorch:executor_runner.cpp:556] Setting up CPU planned buffer 0, size 12400.
I 00:00:00.023733 executorch:executor_runner.cpp:624] Model loaded in 12.942734 ms.
I 00:00:00.033607 executorch:executor_runner.cpp:779] Iteration 1 of 1: 0.517292 ms
I 00:00:00.033636 executorch:executor_runner.cpp:789] Model executed successfully 1 time(s) in 0.517292 ms.
I 00:00:00.033646 executorch:executor_runner.cpp:798] 1 outputs:
"""
EXECUTORCH_FOUR_TIMES = """\
I 00:00:00.000624 executorch:executor_runner.cpp:340] Resetting threadpool with num threads = 2
I 00:00:00.000772 executorch:threadpool.cpp:66] Resetting threadpool to 2 threads.
I 00:00:00.000807 executorch:executor_runner.cpp:476] Model file m.pte is loaded.
I 00:00:00.000809 executorch:executor_runner.cpp:486] Using method forward
I 00:00:00.000815 executorch:executor_runner.cpp:556] Setting up CPU planned buffer 0, size 12400.
I 00:00:00.019084 executorch:executor_runner.cpp:624] Model loaded in 18.288531 ms.
I 00:00:00.028222 executorch:executor_runner.cpp:779] Iteration 1 of 4: 0.249803 ms
I 00:00:00.028354 executorch:executor_runner.cpp:779] Iteration 2 of 4: 0.096745 ms
I 00:00:00.028444 executorch:executor_runner.cpp:779] Iteration 3 of 4: 0.072838 ms
I 00:00:00.028882 executorch:executor_runner.cpp:779] Iteration 4 of 4: 0.426006 ms
I 00:00:00.028895 executorch:executor_runner.cpp:789] Model executed successfully 4 time(s) in 0.845392 ms.
I 00:00:00.028904 executorch:executor_runner.cpp:798] 1 outputs:
"""
#: Before 1.3, by its source, with figures of our own; and what gflags says there of a flag that came with 1.3.
EXECUTORCH_1_2 = """\
I 00:00:00.003987 executorch:executor_runner.cpp:166] Model file add.pte is loaded.
I 00:00:00.005262 executorch:executor_runner.cpp:251] Method loaded.
I 00:00:00.006576 executorch:executor_runner.cpp:284] Model executed successfully 1 time(s) in 0.691078 ms.
I 00:00:00.006583 executorch:executor_runner.cpp:288] 1 outputs:
"""
EXECUTORCH_1_2_REFUSES = "ERROR: unknown command line flag 'print_output'\n"
#: A file that was cut, with exit code 1.
EXECUTORCH_CUT = """\
E 00:00:00.000604 executorch:program.cpp:114] File size is too small. Expected file size from extended header is \
5266600, actual file size from data loader is 100000
E 00:00:00.000607 executorch:executor_runner.cpp:473] Failed to parse model file models/cut.pte
"""
#: Each line but the errors on stdout.
BENCHMARK_MODEL = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Min num runs: [30]
INFO: Num threads: [2]
INFO: Min warmup runs: [1]
INFO: Graph: [m.tflite]
INFO: Signature to run: []
INFO: #threads used for CPU inference: [2]
INFO: Loaded model m.tflite
INFO: The input model file size (MB): 0.053456
INFO: Initialized session in 0.187ms.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=13929 first=192 curr=5323 min=14 max=12056 avg=36.0211 std=324 p5=15 median=15 p95=16

INFO: Running benchmark for at least 30 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=25076 first=19 curr=8087 min=14 max=20299 avg=39.8928 std=418 p5=15 median=15 p95=16

INFO: Inference timings in us: Init: 187, First inference: 192, Warmup (avg): 36.0211, Inference (avg): 39.8928
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual \
memory footprint of the model at runtime. Take the information at your discretion.
INFO: Memory footprint delta from the start of the tool (MB): init=0.679688 overall=1.55469
"""
#: The end of it after one warm-up and nothing else.
BENCHMARK_MODEL_ONCE = """\
INFO: #threads used for CPU inference: [2]
INFO: Loaded model m.tflite
INFO: The input model file size (MB): 0.019104
INFO: Initialized session in 0.171ms.
INFO: Running benchmark for at least 1 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
INFO: count=1 curr=15005 p5=15005 median=15005 p95=15005

INFO: Running benchmark for at least 0 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
INFO: count=0 p5=0 median=0 p95=0

INFO: Inference timings in us: Init: 171, First inference: 15005, Warmup (avg): 15005, Inference (avg): 0
INFO: Memory footprint delta from the start of the tool (MB): init=0 overall=0
"""
#: Its second line where it has no GPU delegate; it ends with exit code 0, and figures of the CPU.
BENCHMARK_MODEL_IGNORES = "WARN: Unconsumed cmdline flags: --use_gpu=true\n"
#: By its source: a build with one.
BENCHMARK_MODEL_GPU = (
    "INFO: Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.\n"
)
PERF_TEST = """\
artefacts,1.2158e-05,33890304,-1,0
artefacts,8.102e-06,33890304,-1,1
artefacts,7.711e-06,33890304,-1,2
"""


def told(
    folder: Path, name: str, code: str, model: str, *metrics: str, **asked: Any
) -> tuple[dict[str, OwnFigure], OwnReport, Any]:
    """What the reader of that name makes of a program that does this: by metric, and whole, and what it ran on."""
    program = folder / name
    program.write_text(f"#!{sys.executable} -IS\nimport sys, time\n{code}\ntime.sleep(0.05)\n")
    program.chmod(0o700)
    (folder / model).write_bytes(b"weights")
    options = {"program": str(program), **asked.pop("options", {})}
    configuration = Configuration(runtime="native-program", options=options, **asked)
    with NativeProgram().open(folder / model, configuration) as session:
        report = session.measure(OwnRequest(repeats=3, prompt_tokens=0, output_tokens=0, context_depth=0), metrics)
        return {each.metric: each for each in report.figures}, report, session.effective


def executor_runner(once: str, often: str) -> str:
    """One that logs this of one execution, and that of several."""
    return (
        f"log = {once!r} if '--num_executions=1' in sys.argv else {often!r}\n"
        "sys.stderr.write(log)\n"
        "if 'ERROR' in log: sys.exit(1)"
    )


EXECUTORCH = ("cold_start_inference", "first_inference", "steady_inference", "inference_rate")


def test_executor_runner_tells_its_first_execution_and_each_later_one(tmp_path: Path) -> None:
    code = executor_runner(EXECUTORCH_ONCE, EXECUTORCH_FOUR_TIMES)
    figures, report, effective = told(tmp_path, "executor_runner", code, "m.pte", *EXECUTORCH, threads=2)
    assert figures["first_inference"].value == pytest.approx(517_292)
    assert figures["steady_inference"].samples == pytest.approx([96_745, 72_838, 426_006])
    assert figures["steady_inference"].value == pytest.approx(96_745)
    assert 0 < figures["cold_start_inference"].value < report.took_ns
    assert effective.threads == 2
    assert "inference_rate" not in figures
    assert "between them" in report.unknown["inference_rate"]
    once, often = (each.split("/")[-1] for each in effective.facts["commands"])
    assert once == "m.pte --num_executions=1 --cpu_threads=2"
    assert often == "m.pte --num_executions=4 --print_output=none --cpu_threads=2"


def test_an_older_executor_runner_tells_no_later_execution(tmp_path: Path) -> None:
    code = executor_runner(EXECUTORCH_1_2, EXECUTORCH_1_2_REFUSES)
    figures, report, effective = told(tmp_path, "executor_runner", code, "m.pte", *EXECUTORCH)
    assert figures["first_inference"].value == pytest.approx(691_078)
    assert set(figures) == {"first_inference", "cold_start_inference"}
    assert "unknown command line flag 'print_output'" in report.unknown["steady_inference"]
    assert effective.threads is None


@pytest.mark.parametrize("said", ["0", "-3"])
def test_a_pool_that_executor_runner_left_as_it_was_is_no_number_of_threads(tmp_path: Path, said: str) -> None:
    log = EXECUTORCH_ONCE.replace("num threads = 2", f"num threads = {said}")
    _, _, effective = told(tmp_path, "executor_runner", executor_runner(log, log), "m.pte", "first_inference")
    assert effective.threads is None


def test_an_executor_runner_that_was_built_without_its_log_gives_no_figure(tmp_path: Path) -> None:
    """As CMake's build type Release does unless EXECUTORCH_ENABLE_LOGGING is asked for."""
    with pytest.raises(InvalidOutput, match="prints no one execution; is it built without its log"):
        told(tmp_path, "executor_runner", executor_runner("", ""), "m.pte", "first_inference")


def test_executor_runner_says_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    code = f"sys.stderr.write({EXECUTORCH_CUT!r}); sys.exit(1)"
    with pytest.raises(ModelFailure, match=r"exit code 1: .*File size is too small"):
        told(tmp_path, "executor_runner", code, "m.pte", "first_inference")


def benchmark_model(log: str = BENCHMARK_MODEL, once: str = BENCHMARK_MODEL_ONCE) -> str:
    return f"sys.stdout.write({once!r} if '--num_runs=0' in sys.argv else {log!r})"


BENCHMARK = ("cold_start_inference", "first_inference", "inference_rate", "steady_inference")


def test_benchmark_model_tells_a_cold_start_its_first_inference_and_a_mean(tmp_path: Path) -> None:
    figures, report, effective = told(tmp_path, "benchmark_model", benchmark_model(), "m.tflite", *BENCHMARK, threads=2)
    assert figures["first_inference"].value == 15_005_000
    assert 0 < figures["cold_start_inference"].value < report.took_ns
    assert figures["inference_rate"].value == pytest.approx(1e6 / 39.8928)
    assert list(figures["inference_rate"].samples) == []
    assert "not each one" in report.unknown["steady_inference"]
    assert effective.threads == 2
    cold, warm = (each.split("m.tflite ")[-1] for each in effective.facts["commands"])
    assert cold == "--warmup_runs=1 --warmup_min_secs=0 --num_runs=0 --min_secs=0 --num_threads=2"
    assert warm == "--num_runs=3 --warmup_runs=1 --num_threads=2"


def test_counts_of_operators_are_none_of_inferences(tmp_path: Path) -> None:
    """As with --enable_op_profiling, and without the prefix that it has had since 2020: tensorflow/tensorflow#42507."""
    profile = "Timings (microseconds): count=16027 first=23 avg=20.794 std=122\nMemory (bytes): count=0\n"
    code = benchmark_model(f"{BENCHMARK_MODEL}{profile}".replace("INFO: ", ""))
    figures, _, _ = told(tmp_path, "benchmark_model", code, "m.tflite", "inference_rate")
    assert figures["inference_rate"].took_ns == pytest.approx(25_076 * 39_892.8)


@pytest.mark.parametrize("count", ["25076", "nan", "0", "-5"])
def test_a_mean_took_as_long_as_all_that_it_is_of(tmp_path: Path, count: str) -> None:
    """A mean alone could be wrong by as many times as it was repeated, and still fit into the program's life."""
    code = benchmark_model(BENCHMARK_MODEL.replace("count=25076", f"count={count}"))
    if count != "25076":
        with pytest.raises(InvalidOutput, match="runs is"):
            told(tmp_path, "benchmark_model", code, "m.tflite", "inference_rate")
        return
    figures, _, _ = told(tmp_path, "benchmark_model", code, "m.tflite", "inference_rate")
    assert figures["inference_rate"].took_ns == pytest.approx(25_076 * 39_892.8)


def test_an_accelerator_and_arguments_come_after_the_readers(tmp_path: Path) -> None:
    code = benchmark_model(BENCHMARK_MODEL_GPU + BENCHMARK_MODEL)
    options = {"arguments": ["--x=1"]}
    asked = {"accelerator": "gpu", "threads": 4, "options": options}
    _, _, effective = told(tmp_path, "benchmark_model", code, "m.tflite", "inference_rate", **asked)
    (line,) = effective.facts["commands"]
    assert line.endswith("--num_runs=3 --warmup_runs=1 --num_threads=4 --use_gpu=true --x=1")
    assert effective.facts["delegate"].startswith("Explicitly applied GPU delegate")
    with pytest.raises(Unsupported, match="knows gpu, nnapi"):
        told(tmp_path, "benchmark_model", code, "m.tflite", "inference_rate", accelerator="npu")


def test_a_program_that_takes_no_notice_of_an_argument_measured_something_else(tmp_path: Path) -> None:
    code = benchmark_model(BENCHMARK_MODEL_IGNORES + BENCHMARK_MODEL)
    with pytest.raises(Unsupported, match="takes no notice of --use_gpu=true"):
        told(tmp_path, "benchmark_model", code, "m.tflite", "inference_rate", accelerator="gpu")


def test_perf_test_writes_each_inference_into_a_file(tmp_path: Path) -> None:
    code = f"open(sys.argv[sys.argv.index('-x') - 1], 'a').write({PERF_TEST!r})"
    metrics = ("steady_inference", "first_inference", "cold_start_inference", "inference_rate")
    figures, report, effective = told(tmp_path, "onnxruntime_perf_test", code, "m.onnx", *metrics, threads=2)
    assert figures["steady_inference"].samples == pytest.approx([12_158, 8_102, 7_711])
    assert figures["steady_inference"].value == pytest.approx(8_102)
    assert set(figures) | set(report.unknown) >= set(metrics)
    assert set(figures) == {"steady_inference"}
    assert (effective.runtime_version, effective.threads) == ("not told", None)
