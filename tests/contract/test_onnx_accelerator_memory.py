"""Language models on a provider whose memory is not the host's.

No such accelerator is at hand in CI. A stand-in has ONNX Runtime's one rule that matters, as it was met on an H200 with
`CUDAExecutionProvider`: an input is copied when it is bound, and what is written to its array afterwards is not seen.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from benchharness.contract import (
    CACHE_COPIED_BY_BINDING,
    CACHE_GROWN_BY_GRAPH,
    CACHE_IN_PLACE,
    Configuration,
)
from targets.onnx_runtime import OnnxRuntime, memory

ROOT = Path(__file__).parents[2]
ARTEFACTS = ROOT / "examples" / "demo_model" / "artefacts"
GOLDEN = np.load(ROOT / "tests" / "golden" / "demo_logits.npz")
TOKENS = [int(token) for token in GOLDEN["tokens"].ravel()]

#: Memories as ONNX Runtime calls them: one in which its Python package can keep values, one in which it cannot.
_MEMORIES = ("Cuda", "Npu")


class CopyingBinding:
    """A binding to a device: a copy of each input is bound; what is to stay on the device stays here."""

    def __init__(self, binding: Any) -> None:
        self._binding = binding
        self._copies: dict[str, Any] = {}
        self.to_host = 0

    def bind_input(self, name: str, kind: str, number: int, dtype: Any, shape: Any, address: int) -> None:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        raw = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        self.bind_cpu_input(name, raw.copy().view(dtype).reshape(shape))

    def bind_cpu_input(self, name: str, array: Any) -> None:
        self._copies[name] = np.ascontiguousarray(array).copy()
        self._binding.bind_cpu_input(name, self._copies[name])

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        if getattr(value, "on_device", False) or name not in self._copies:
            self._binding.bind_ortvalue_input(name, value)
        else:
            self.bind_cpu_input(name, value.numpy())

    def bind_output(self, name: str, kind: str = "cpu", number: int = 0, *rest: Any) -> None:
        self.to_host += kind == "cpu" and name != "logits"
        self._binding.bind_output(name, "cpu", 0, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._binding, name)


class OnDevice:
    """A session that says its tensors are in a device's memory."""

    def __init__(self, session: Any, kind: str) -> None:
        self._session, self._kind = session, kind
        self.bindings: list[CopyingBinding] = []

    def io_binding(self) -> CopyingBinding:
        self.bindings.append(CopyingBinding(self._session.io_binding()))
        return self.bindings[-1]

    def run_with_iobinding(self, binding: CopyingBinding) -> None:
        self._session.run_with_iobinding(binding._binding)

    def get_input_memory_infos(self) -> list[Any]:
        return [self._info() for _ in self._session.get_inputs()]

    def get_output_memory_infos(self) -> list[Any]:
        return [self._info() for _ in self._session.get_outputs()]

    def _info(self) -> Any:
        return SimpleNamespace(name=self._kind, device_id=0, device_mem_type=SimpleNamespace(name="DEFAULT"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


@pytest.fixture(params=_MEMORIES)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The memory in which the adapter's sessions now are."""
    kind: str = request.param
    made = onnxruntime.InferenceSession

    def session(*arguments: Any, **named: Any) -> OnDevice:
        return OnDevice(made(*arguments, **named), kind)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    from_numpy = onnxruntime.OrtValue.ortvalue_from_numpy

    def value(array: Any, device: str = "cpu", number: int = 0) -> Any:
        assert device in ("cpu", "cuda"), "what ONNX Runtime's Python package allocates"
        return from_numpy(array)

    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_numpy", staticmethod(value))
    return kind


def opened(variant: str) -> Any:
    return OnnxRuntime().open(ARTEFACTS / variant, Configuration(runtime="onnxruntime"))


@pytest.mark.parametrize("variant", ["onnx-fp32", "onnx-gqa-fp32"])
def test_decoding_sees_each_token(kind: str, variant: str) -> None:
    """What was decoded with stale inputs differed by 16 from what one pass gives; a figure of quality was 6.9 nats."""
    with opened(variant) as session:
        assert isinstance(session._session, OnDevice)
        session.extend(TOKENS[:8])
        rows = [session.decode(token).copy() for token in TOKENS[8:20]]
        assert np.abs(np.stack(rows) - GOLDEN["logits"][8:20]).max() < 1e-3
        session.reset()
        session.extend(TOKENS[:4])
        again = [session.decode(token).copy() for token in TOKENS[4:8]]
        assert np.abs(np.stack(again) - GOLDEN["logits"][4:8]).max() < 1e-3
        assert np.abs(session.score(TOKENS) - GOLDEN["logits"]).max() < 1e-3


def test_a_cache_stays_where_it_can(kind: str) -> None:
    """In memory that can be allocated it is not copied; elsewhere it is, and that is told."""
    expected = {
        "Cuda": {"onnx-fp32": CACHE_GROWN_BY_GRAPH, "onnx-gqa-fp32": CACHE_IN_PLACE},
        "Npu": dict.fromkeys(("onnx-fp32", "onnx-gqa-fp32"), CACHE_COPIED_BY_BINDING),
    }[kind]
    for variant, told in expected.items():
        with opened(variant) as session:
            assert session.effective.cache == told
            session.extend(TOKENS[:8])
            session.decode(TOKENS[8])
            assert session.effective.facts["memory_elsewhere"] == kind.lower()
            copies = session._binding.to_host
            assert (copies > 0) == (told == CACHE_COPIED_BY_BINDING)


def test_an_onnx_runtime_that_tells_no_memories() -> None:
    """Before 1.23 the providers decide: the CPU's is the host's, another's memory is anybody's guess."""
    for providers, copied in (
        (["CPUExecutionProvider"], False),
        (["CUDAExecutionProvider", "CPUExecutionProvider"], True),
    ):
        old = SimpleNamespace(get_providers=lambda providers=providers: providers)
        memories = memory.read_memories(old)
        assert memories.copy_inputs() is copied
        assert memories.shared(["past"], ["present"]) == (None if copied else memory.HOST)


def test_a_cache_half_in_the_host() -> None:
    """Tensors of one cache in two memories are in no one memory."""
    memories = memory.Memories(inputs={"a": memory.HOST, "b": memory.Memory("cuda")}, outputs={"c": memory.HOST})
    assert memories.copy_inputs()
    assert memories.shared(["a", "b"], ["c"]) is None
    assert memories.shared(["a"], ["c"]) == memory.HOST


def test_memory_of_the_host_is_counted() -> None:
    """A provider of its own memory is told of, even where all that goes in and out is the host's."""
    with opened("onnx-fp32") as session:
        assert "memory_elsewhere" not in session.effective.facts
    for providers, told in ((["CPUExecutionProvider"], None), (["WebGpuExecutionProvider"], "WebGpuExecutionProvider")):
        plain = SimpleNamespace(get_providers=lambda providers=providers: providers)
        assert memory.uncounted(plain, memory.Memories()) == told
