"""Measurements of runtimes that people reported in public and that were of something else: each says so here.

Log lines and figures are theirs, carried over from the issues that are named.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

import targets.executorch as executorch_adapter
import targets.llama_cpp as llama_adapter
from benchharness.contract import FALLBACK_FAIL, Configuration, EffectiveConfiguration, OwnRequest
from benchharness.errors import InvalidOutput, Unsupported
from benchharness.judge.derive import derive_one
from benchharness.results.result import ResultWarning, WarningKind
from targets.llama_cpp.log import Log
from targets.llama_cpp.options import read_request
from targets.native_program import NativeProgram
from targets.pte_format.program import read_program
from tests.conftest import ROOT
from tests.contract.program_files import FLOAT32, Plan, Tensor, write
from tests.unit.made_up import attempt, job, measured

DIGITS = ROOT / "examples" / "digits" / "artefacts" / "fp32.onnx"

#: ggml-org/llama.cpp issue 12614: built for CUDA, and asked why the model ran on the processor all the same.
OFFLOADED_NOTHING = """load_tensors: loading model tensors, this can take a while... (mmap = true)
make_cpu_buft_list: disabling extra buffer types (i.e. repacking) since a GPU device is available
load_tensors: offloading 0 repeating layers to GPU
load_tensors: offloaded 0/29 layers to GPU
load_tensors:   CPU_Mapped model buffer size = 14526.27 MiB
llama_context:        CPU  output buffer size =     0.58 MiB
init:        CPU KV buffer size =   224.00 MiB
llama_context:      CUDA0 compute buffer size =  1480.00 MiB
llama_context:  CUDA_Host compute buffer size =    15.01 MiB"""
#: What llama.cpp logs of each layer below that, where somebody listens.
LAYERS = "\n".join(f"load_tensors: layer {layer:3} assigned to device CPU, is_swa = 0" for layer in range(29))
#: pytorch/executorch issue 1231: resnet18 took two and a half minutes; by then the runner told no time of its own.
RESNET18 = """I 00:00:00.382397 executorch:executor_runner.cpp:133] Model file ./resnet18.pte is loaded.
I 00:00:00.437272 executorch:executor_runner.cpp:213] Method loaded.
I 00:02:23.767346 executorch:executor_runner.cpp:228] Model executed successfully.
"""


def heard(lines: str) -> Log:
    log = Log()
    for line in lines.splitlines():
        log.hear(2, line + "\n")
    return log


def warned(effective: EffectiveConfiguration, **configuration: Any) -> list[ResultWarning]:
    """What stands beside a result whose attempts ran so."""
    told = {
        "accelerators": list(effective.accelerators),
        "threads": effective.threads,
        "precision": effective.precision,
        "model_precision": effective.model_precision,
    }
    attempts = [attempt(round_, measured("steady_inference", 1e7), effective=told) for round_ in range(5)]
    asked = {**job().configuration.to_json(), **configuration}
    return list(derive_one(job(configuration=asked), attempts, "").warnings)


def test_a_gpu_that_only_had_a_buffer_ran_no_layer() -> None:
    """Its compute buffer of 1.5 GB is on the GPU, which a look at the GPU's memory takes for the model."""
    model, devices = Path("qwen.gguf"), ["CUDA0", "CPU"]
    log = heard(OFFLOADED_NOTHING)
    request = read_request(Configuration(runtime="llama-cpp", accelerator="CUDA0"), devices)
    with pytest.raises(Unsupported, match="what ran where is unknown"):
        llama_adapter._places(model, log, request, devices)
    log = heard(f"{LAYERS}\n{OFFLOADED_NOTHING}")
    places = llama_adapter._places(model, log, request, devices)
    assert (list(places), dict(log.layers)) == (["CPU"], {"CPU": 29})
    assert log.buffers_mib["CPU_Mapped model"] == 14526.27
    assert log.buffers_mib["CPU KV"] == 224.0
    (told,) = warned(EffectiveConfiguration(accelerators=places, threads=None), accelerator="CUDA0")
    assert (told.kind, told.message) == (WarningKind.NOT_APPLIED, "CUDA0 was requested and the runtime used CPU")


def test_float32_that_goes_in_is_not_what_is_computed_in() -> None:
    """openvinotoolkit/openvino issue 28032: `benchmark_app -ip f32` sets the type of inputs, and ran in bfloat16."""
    openvino = pytest.importorskip("openvino", reason="NOT TESTED: openvino is not installed")
    from targets.openvino import OpenVINO

    computes = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    for options, lower in (({}, computes), ({"INFERENCE_PRECISION_HINT": "f32"}, False)):
        asked = Configuration(runtime="openvino", threads=1, options=options)
        with OpenVINO().open(DIGITS, asked) as session:
            assert {spec.dtype for spec in session.inputs} == {"float32"}
            effective = session.effective
        assert effective.model_precision == "float32"
        assert effective.precision is not None
        assert ("bfloat16" in effective.precision.split("+")) is lower
        assert (WarningKind.LOWER_PRECISION in {each.kind for each in warned(effective)}) is lower
    slow = EffectiveConfiguration(
        accelerators=("CPU",), threads=1, precision="bfloat16+float32", model_precision="float32"
    )
    (told,) = warned(slow)
    assert told.message == "the model file says float32 and the runtime computed in bfloat16+float32"


def mobilenet(folder: Path, *, lowered: bool) -> Path:
    """As the issue's script exports it, without a partitioner, or with one: the calls alone."""
    calls = ["@XnnpackBackend"] if lowered else ["aten::convolution", "aten::hardswish", "aten::mean", "aten::addmm"]
    image, classes = Tensor(FLOAT32, [1, 3, 224, 224]), Tensor(FLOAT32, [1, 1000])
    return write(folder / "mobilenet_v3_small.pte", {"forward": Plan([image], [classes], calls=calls)})


def test_a_program_that_nobody_lowered_runs_on_no_accelerator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pytorch/executorch issues 7880 and 4005: MobileNet V3 four times slower than before, in portable kernels."""
    monkeypatch.setattr(executorch_adapter, "_backends", lambda: ("XnnpackBackend",))
    model = mobilenet(tmp_path, lowered=False)
    described = executorch_adapter.ExecuTorch().inspect(model)
    assert list(described.operators) == ["CPU kernels"]
    method = read_program(model).methods["forward"]
    asked = Configuration(runtime="executorch", accelerator="XnnpackBackend")
    refusal = executorch_adapter._refusal(asked, model, method)
    assert refusal is not None
    assert refusal.reason == "nothing in mobilenet_v3_small.pte was exported for it"
    strict = Configuration(runtime="executorch", accelerator="XnnpackBackend", fallback=FALLBACK_FAIL)
    with pytest.raises(Unsupported, match="XnnpackBackend takes no part in"):
        executorch_adapter._refusal(strict, model, method)
    lowered = read_program(mobilenet(tmp_path, lowered=True)).methods["forward"]
    assert executorch_adapter._refusal(asked, model, lowered) is None


def test_a_runner_that_tells_no_time_gives_no_figure(tmp_path: Path) -> None:
    """What stands before its lines is when they were logged, and no time of an inference."""
    runner = tmp_path / "executor_runner"
    runner.write_text(f"#!{sys.executable} -IS\nimport sys\nsys.stderr.write({RESNET18!r})\n")
    runner.chmod(0o700)
    (tmp_path / "resnet18.pte").write_bytes(b"weights")
    asked = Configuration(runtime="native-program", options={"program": str(runner)})
    with NativeProgram().open(tmp_path / "resnet18.pte", asked) as session:
        request = OwnRequest(repeats=1, prompt_tokens=1, output_tokens=1, context_depth=0)
        with pytest.raises(InvalidOutput, match=re.escape("executor_runner")):
            session.measure(request, ["first_inference"])
