"""Where a session wants its inputs and leaves its outputs: in host memory, or in an accelerator's own.

ONNX Runtime copies an input to the accelerator when it is *bound*, not when the model runs. An array that is rewritten
afterwards is not seen there: what changes between two runs has to be bound again, unless it is read in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

#: Providers that keep a model's weights in memory of their own, whatever they do with its inputs.
_WITH_OWN_MEMORY = (
    *("CUDAExecutionProvider", "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider"),
    *("ROCMExecutionProvider", "MIGraphXExecutionProvider", "DmlExecutionProvider", "WebGpuExecutionProvider"),
)
#: Providers that compute in host memory, for releases of ONNX Runtime (before 1.23) that do not tell it by tensor.
_IN_HOST_MEMORY = frozenset({"CPUExecutionProvider", "XnnpackExecutionProvider", "DnnlExecutionProvider"})


class Memory(NamedTuple):
    """A memory as ONNX Runtime calls its kind, and which one of them."""

    kind: str
    number: int = 0


HOST = Memory("cpu")
#: Kinds in which ONNX Runtime's Python package can allocate values and bind them.
_ALLOCATED = frozenset({HOST.kind, "cuda"})
_UNTOLD = Memory("untold")


@dataclass(frozen=True)
class Memories:
    """The memory of every input and output of a session, by name; `others` is that of names not listed."""

    inputs: Mapping[str, Memory] = field(default_factory=dict)
    outputs: Mapping[str, Memory] = field(default_factory=dict)
    others: Memory = HOST

    def copy_inputs(self) -> bool:
        """Whether binding an input copies it, for one of them at least."""
        return any(memory != HOST for memory in (self.others, *self.inputs.values()))

    def shared(self, inputs: Sequence[str], outputs: Sequence[str]) -> Memory | None:
        """The one memory of all these, in which values can be kept; None where there is no such memory."""
        found = {self.inputs.get(name, self.others) for name in inputs}
        found |= {self.outputs.get(name, self.others) for name in outputs}
        memory = found.pop() if len(found) == 1 else _UNTOLD
        return memory if memory.kind in _ALLOCATED else None


def uncounted(session: Any, memories: Memories) -> str | None:
    """The memory in which a session keeps what no reading of this process shows; None where there is none."""
    kinds = {each.kind for each in (*memories.inputs.values(), *memories.outputs.values())} - {HOST.kind}
    providers = [each for each in session.get_providers() if each.partition(".")[0] in _WITH_OWN_MEMORY]
    return ", ".join(sorted(kinds) or providers) or None


def read_memories(session: Any) -> Memories:
    """Where a session's inputs and outputs are, as ONNX Runtime tells it."""
    try:
        inputs, outputs = session.get_input_memory_infos(), session.get_output_memory_infos()
    except AttributeError:  # before 1.23
        in_host = set(session.get_providers()) <= _IN_HOST_MEMORY
        return Memories(others=HOST if in_host else _UNTOLD)
    return Memories(
        inputs={node.name: _memory(info) for node, info in zip(session.get_inputs(), inputs)},
        outputs={node.name: _memory(info) for node, info in zip(session.get_outputs(), outputs)},
    )


def _memory(info: Any) -> Memory:
    """The host's for all that the host reads and writes as its own, which some accelerators' memory is too."""
    name = info.name.lower()
    if name.startswith("cpu") or getattr(info.device_mem_type, "name", "") == "HOST_ACCESSIBLE":
        return HOST
    return Memory(name, info.device_id)
