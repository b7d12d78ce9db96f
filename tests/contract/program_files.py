"""`.pte` files for tests, written field by field by the package flatbuffers: what a reader of them may meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import flatbuffers

FLOAT32, INT64 = 6, 4
_INT, _TENSOR = 2, 5
_KERNEL_CALL, _DELEGATE_CALL = 1, 2


@dataclass(frozen=True)
class Tensor:
    """A value. `stored`: its numbers are in the file."""

    dtype: int
    sizes: Sequence[int]
    bounded: bool = False
    stored: bool = False


@dataclass(frozen=True)
class Plan:
    """A method: `calls` are names of operators, or of delegates behind "@"."""

    inputs: Sequence[Tensor] = ()
    outputs: Sequence[Tensor | int] = ()
    others: Sequence[Tensor] = ()
    calls: Sequence[str] = ()


def language_model(**changes: int) -> dict[str, Plan]:
    """A program as ExecuTorch's exporter of language models writes it, for tokens up to 31 at a time."""
    constants = {"get_vocab_size": 50, "get_max_context_len": 32, "use_kv_cache": 1, **changes}
    forward = Plan(
        inputs=[Tensor(INT64, [1, 31], bounded=True), Tensor(INT64, [31], bounded=True)],
        outputs=[Tensor(FLOAT32, [1, 31, 50], bounded=True)],
        others=[Tensor(FLOAT32, [50, 8], stored=True), Tensor(FLOAT32, [8], stored=True)],
        calls=["aten::embedding", "@XnnpackBackend", "@XnnpackBackend", "aten::index_put", "aten::copy_"],
    )
    return {"forward": forward, **{name: Plan(outputs=[value]) for name, value in constants.items()}}


def write(path: Path, plans: Mapping[str, Plan]) -> Path:
    """Writes a program."""
    builder = flatbuffers.Builder(1024)
    made = [_plan(builder, name, plan) for name, plan in plans.items()]
    listed = _vector(builder, made)
    root = _table(builder, {1: lambda: builder.PrependUOffsetTRelativeSlot(1, listed, 0)})
    builder.Finish(root, b"ET12")
    path.write_bytes(builder.Output())
    return path


def _plan(builder: flatbuffers.Builder, name: str, plan: Plan) -> int:
    values = [*plan.inputs, *plan.outputs, *plan.others]
    made = _vector(builder, [_value(builder, each) for each in values])
    count, outputs = len(plan.inputs), len(plan.outputs)
    ins, outs = _numbers(builder, range(count)), _numbers(builder, range(count, count + outputs))
    kernels = list(dict.fromkeys(each for each in plan.calls if not each.startswith("@")))
    delegates = list(dict.fromkeys(each for each in plan.calls if each.startswith("@")))
    steps = [_step(builder, each, delegates if each.startswith("@") else kernels) for each in plan.calls]
    chain = _table(builder, {2: _offset(builder, 2, _vector(builder, steps))})
    chains = _vector(builder, [chain])
    operators = _vector(builder, [_named(builder, each) for each in kernels])
    backends = _vector(builder, [_named(builder, each[1:]) for each in delegates])
    title = builder.CreateString(name)
    fields = {0: title, 2: made, 3: ins, 4: outs, 5: chains, 6: operators, 7: backends}
    return _table(builder, {number: _offset(builder, number, at) for number, at in fields.items()})


def _value(builder: flatbuffers.Builder, value: Tensor | int) -> int:
    if isinstance(value, int):
        held, kind = _table(builder, {0: lambda: builder.PrependInt64Slot(0, value, 0)}), _INT
    else:
        held, kind = _tensor(builder, value), _TENSOR
    return _union(builder, kind, held)


def _tensor(builder: flatbuffers.Builder, tensor: Tensor) -> int:
    sizes = _numbers(builder, tensor.sizes)
    fields = {
        0: lambda: builder.PrependInt8Slot(0, tensor.dtype, 0),
        2: _offset(builder, 2, sizes),
        5: lambda: builder.PrependUint32Slot(5, int(tensor.stored), 0),
        8: lambda: builder.PrependInt8Slot(8, int(tensor.bounded), 0),
    }
    return _table(builder, fields)


def _step(builder: flatbuffers.Builder, call: str, among: Sequence[str]) -> int:
    place = among.index(call)
    held = _table(builder, {0: lambda: builder.PrependInt32Slot(0, place, -1)})
    return _union(builder, _DELEGATE_CALL if call.startswith("@") else _KERNEL_CALL, held)


def _named(builder: flatbuffers.Builder, name: str) -> int:
    return _table(builder, {0: _offset(builder, 0, builder.CreateString(name))})


def _union(builder: flatbuffers.Builder, kind: int, held: int) -> int:
    return _table(builder, {0: lambda: builder.PrependUint8Slot(0, kind, 0), 1: _offset(builder, 1, held)})


def _offset(builder: flatbuffers.Builder, number: int, at: int) -> Callable[[], None]:
    return lambda: builder.PrependUOffsetTRelativeSlot(number, at, 0)


def _table(builder: flatbuffers.Builder, fields: Mapping[int, Callable[[], None]]) -> int:
    builder.StartObject(10)
    for write_field in fields.values():
        write_field()
    return int(builder.EndObject())


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for each in reversed(offsets):
        builder.PrependUOffsetTRelative(each)
    return int(builder.EndVector())


def _numbers(builder: flatbuffers.Builder, numbers: Sequence[int]) -> int:
    builder.StartVector(4, len(numbers), 4)
    for each in reversed(numbers):
        builder.PrependInt32(each)
    return int(builder.EndVector())
