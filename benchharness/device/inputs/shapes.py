"""The shapes of a model's inputs: what the file fixes, what the workload gives, what is left to be assumed.

An assumed length is a guess that lets a model run at all. It is stored with the result, and the workload's `dimensions`
override it: `height = 320` by the dimension's name, `"x[2]" = 320` by its position in an input, from 0. Dimensions that
belong together agree: a batch that the workload gives is every input's, and a dimension that an exporter calls
`past_sequence_length + 1` is what its name says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchharness.contract import TensorSpec
from benchharness.device.inputs.input_lengths import is_length, plain

BATCH = 1
#: Tokens of a text, frames of a recording: what a language model's default prompt has.
SEQUENCE = 64
#: Samples of a signal: 32 ms at 16 kHz, the frame of streaming voice detectors such as silero-vad.
SIGNAL = 512
CHANNELS = 3
#: What earlier calls left: nothing, before the first.
PAST = 0
#: Pixels: ImageNet's classifiers, and a multiple of 32, which detectors want.
PICTURE = 224

#: Lengths by what a dimension's name contains, first match.
BY_NAME = (
    (("batch",), BATCH),
    (("past",), PAST),
    (("sample", "audio", "wave", "signal"), SIGNAL),
    (("seq", "len", "token", "time", "frame"), SEQUENCE),
    (("channel",), CHANNELS),
    (("height", "width", "image"), PICTURE),
)
#: Names that exporters give to every dimension that has none.
_PLACEHOLDERS = ("", "?", "None", "-1")
#: Names of inputs that carry what the previous call gave: (layers, batch, size), whatever the dimensions are called.
_STATES = ("state", "hidden", "cell")
_TOTAL = "total_"
_PICTURE_DIMENSIONS = 4
_CHANNEL_COUNTS = (1, 3, 4)


@dataclass(frozen=True)
class Shapes:
    """The shapes that inputs get. A dimension goes by its name, or by `input[position]` where it has none."""

    by_input: Mapping[str, tuple[int, ...]]
    assumed: Mapping[str, int]  # dimensions that neither the file nor the workload fixes
    unused: Sequence[str]  # lengths of the workload that fit no dimension of this model


def input_shapes(inputs: Sequence[TensorSpec], given: Mapping[str, int]) -> Shapes:
    """Shapes for a model's inputs; `given` are lengths by name or by `input[position]`.

    A name stands for one length: where its uses suggest different ones, the longest is taken.
    """
    assumed: dict[str, int] = {}
    free = [(spec, position) for spec in inputs for position in range(len(spec.shape)) if _is_free(spec, position)]
    asked = list(given)
    given = {**_named_by_place(free, given), **given}
    batch = _given_batch(free, given)
    for spec, position in free:
        name = _name(spec, position)
        if name not in given and _place(spec, position) not in given:
            likely = _assume(spec, position)
            likely = batch if likely == BATCH and position == 0 else likely
            assumed[name] = max(assumed.get(name, 0), likely)
    for name in [name for name in assumed if _is_sum(name)]:
        total = _sum_of(name, {**assumed, **given})
        if total is not None:
            assumed[name] = total

    def length(spec: TensorSpec, position: int) -> int:
        fixed = spec.shape[position]
        if isinstance(fixed, int) and not _is_free(spec, position):
            return fixed
        by_place = given.get(_place(spec, position))
        name = _name(spec, position)
        return by_place if by_place is not None else given[name] if name in given else assumed[name]

    known = {key for spec, position in free for key in (_name(spec, position), _place(spec, position))}
    return Shapes(
        by_input={spec.name: tuple(length(spec, position) for position in range(len(spec.shape))) for spec in inputs},
        assumed=assumed,
        unused=[name for name in asked if name not in known and not _is_fixed(name, given[name], inputs)],
    )


def lengths_of(inputs: Sequence[TensorSpec], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The lengths of free dimensions that arrays of these shapes have, as a workload would give them."""
    found: dict[str, int] = {}
    for spec in inputs:
        for position, length in enumerate(shapes.get(spec.name, ())):
            if position < len(spec.shape) and _is_free(spec, position):
                found[_name(spec, position)] = found[_place(spec, position)] = length
    return found


def _named_by_place(free: Sequence[tuple[TensorSpec, int]], given: Mapping[str, int]) -> dict[str, int]:
    """Lengths of dimensions with a name of their own that are given by place: a name stands for one length."""
    found: dict[str, set[int]] = {}
    for spec, position in free:
        if _place(spec, position) in given:
            found.setdefault(_name(spec, position), set()).add(given[_place(spec, position)])
    return {name: lengths.pop() for name, lengths in found.items() if len(lengths) == 1}


def _given_batch(free: Sequence[tuple[TensorSpec, int]], given: Mapping[str, int]) -> int:
    """The batch that the workload gives, where it gives one: what nobody gives a batch for has the same."""
    asked = {
        given[key]
        for spec, position in free
        if position == 0 and len(spec.shape) > 1
        for key in (_place(spec, position), _name(spec, position))
        if key in given
    }
    return asked.pop() if len(asked) == 1 else BATCH


def _is_sum(name: str) -> bool:
    return "+" in name or name.startswith(_TOTAL)


def _sum_of(name: str, known: Mapping[str, int]) -> int | None:
    """What a name such as `past_sequence_length + 1` adds up to; None where it has an unknown part.

    A `total_sequence_length` is that of the past and the present.
    """
    rest = name[len(_TOTAL) :]
    parts = [rest, f"past_{rest}"] if name.startswith(_TOTAL) else [part.strip() for part in name.split("+")]
    found = [int(part) if part.isdecimal() else known.get(part) for part in parts]
    if name.startswith(_TOTAL) and found[1] is None:
        found[1] = PAST
    lengths = [length for length in found if length is not None]
    return sum(lengths) if len(lengths) == len(found) else None


def _is_fixed(name: str, length: int, inputs: Sequence[TensorSpec]) -> bool:
    """Whether a model without such a free dimension does what is asked for: its file fixes that length there."""
    if name == "batch" and inputs and all(list(spec.shape[:1]) == [length] for spec in inputs):
        return True
    return any(
        name == _place(spec, position) and fixed == length
        for spec in inputs
        for position, fixed in enumerate(spec.shape)
    )


def tell_inputs(inputs: Sequence[TensorSpec], shapes: Shapes) -> str:
    """What was tried and how to try something else, for the message of a model that failed on it."""
    tried = ", ".join(
        f"{spec.name} {spec.dtype} {' × '.join(map(str, shapes.by_input[spec.name])) or '(one number)'}"
        for spec in inputs
    )
    assumed = ", ".join(f"{name} = {length}" for name, length in shapes.assumed.items())
    hint = f" Assumed, because neither the file nor the workload says: {assumed}." if assumed else ""
    likely = [name for name, length in shapes.assumed.items() if length != BATCH]
    example = next(iter(likely or shapes.assumed), f"{inputs[0].name}[0]" if inputs else "x[0]")
    value = inputs[0].name if inputs else "x"
    return (
        f"The inputs were {tried}.{hint} --dimension and --input set others; in a suite, a workload sets lengths with "
        f"dimensions = {{ {key(example)} = … }} and contents with values = {{ {key(value)} = … }} or "
        'inputs = "real.npz".'
    )


def _is_free(spec: TensorSpec, position: int) -> bool:
    """Whether the file leaves a length open. Zero is a length: an input of the past may be empty for good."""
    length = spec.shape[position]
    return not (isinstance(length, int) and length >= 0)


def _place(spec: TensorSpec, position: int) -> str:
    return f"{spec.name}[{position}]"


def _name(spec: TensorSpec, position: int) -> str:
    """The dimension's own name, or its place where it has none."""
    name = spec.shape[position]
    return name if isinstance(name, str) and name not in _PLACEHOLDERS else _place(spec, position)


def _assume(spec: TensorSpec, position: int) -> int:
    own = spec.shape[position]
    name = own.lower() if isinstance(own, str) else ""
    if is_length(plain(spec.name)) and len(spec.shape) == 1:
        return BATCH  # one for each row of what it is the length of
    if name.startswith(f"{spec.name.lower()}_dynamic_axes_"):
        name = ""  # NeMo's: the input's name and the axis
    for parts, length in BY_NAME:
        if any(part in name for part in parts):
            if length == SIGNAL and position == 0 and len(spec.shape) > 1:
                return BATCH  # tables count their rows as samples
            return SIGNAL if length == SEQUENCE and _is_signal(spec, position) else length
    return _assume_by_position(spec, position)


def _assume_by_position(spec: TensorSpec, position: int) -> int:
    """For a dimension whose name says nothing."""
    rank, first = len(spec.shape), spec.shape[0]
    if position == 0 or _is_state(spec, first):
        return BATCH
    if rank == _PICTURE_DIMENSIONS:
        channels_last = spec.shape[3] in _CHANNEL_COUNTS and spec.shape[1] not in _CHANNEL_COUNTS
        return CHANNELS if position == (3 if channels_last else 1) else PICTURE
    if _is_signal(spec, position):
        return SIGNAL
    return SEQUENCE if rank in (2, 3) else 1


def _is_signal(spec: TensorSpec, position: int) -> bool:
    """Whether this is the time of a raw signal: floats in (batch, samples) or (batch, 1, samples)."""
    rank = len(spec.shape)
    middle = (rank == 2 and "mask" not in spec.name.lower()) or (rank == 3 and spec.shape[1] == 1)
    return middle and position == rank - 1 and spec.dtype.startswith("float")


def _is_state(spec: TensorSpec, first: int | str | None) -> bool:
    """Whether an input carries state. One of three dimensions that starts with more than one layer does."""
    layers = len(spec.shape) == 3 and isinstance(first, int) and first > 1
    return layers or any(part in spec.name.lower() for part in _STATES)


def key(name: str) -> str:
    """A TOML key: bare where it can be."""
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else f'"{name}"'
