"""Which axis of which input a length input describes, and how large the picture is that another one tells the size of.

Speech models take a padded batch and how much of each row is real: NeMo `(audio_signal [B, 80, T], length [B])`,
icefall and sherpa-onnx `(x [N, T, C], x_lens [N])`, wenet `(speech [B, T, 80], speech_lengths [B])`, piper
`(input [B, T], input_lengths [B])`. The names pair them; the axis is the one that is free, is called time, or is no
number of features. Where that leaves two, it is not known, and whoever asks is told so. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchharness.contract import TensorSpec

#: What stands around a name in a file that TensorFlow's converters wrote.
_AROUND = re.compile(r"^(?:serving_default_)?(.*?)(?::\d+)?$", re.DOTALL)
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BETWEEN = re.compile(r"[^a-z0-9]+")
#: How a length is called: alone, or behind the name of what it is the length of.
LENGTH = re.compile(r"(?:(?P<of>.+?)_)?(?:valid_|seq_|actual_)*(?:len|lens|length|lengths|seqlen|seqlens)(?:_\d+)?")
COUNT = re.compile(r"(?:n|num|nb|number_of)_(?:frames|samples|tokens|steps|phonemes|words)|nframes|seq_?lens?")
#: Inputs that are beside what a length can be of.
_BESIDE = re.compile(r".*(?:mask|scales?|speed|style|cache|cached|state|states|past|sid|speaker|spk)(?:_.*)?")
#: How exporters call the dimension along which a sequence goes on; `T` and `L` as whole words.
_TIME = re.compile(r"(?:.*_)?(?:t|l|times?|frames?|seq\w*|len\w*|samples?|tokens?|steps?|chunk\w*)(?:_.*)?")
#: Numbers of features that a frame has: mel filters and what is stacked of them (FunASR's 560), not a length of speech.
_FEATURES = frozenset((13, 20, 23, 26, 39, 40, 64, 80, 100, 128, 160, 240, 256, 320, 512, 560, 768, 1024))
_CHANNELS = (1, 3, 4)
_PICTURE_RANK = 4


def plain(name: str) -> str:
    """A name in lower case, its words between underscores, without what converters put around it."""
    matched = _AROUND.match(name)
    return _BETWEEN.sub("_", _CAPITAL.sub("_", (matched.group(1) if matched else "") or name).lower()).strip("_")


def is_length(name: str) -> bool:
    """Whether a plain name is that of a length of something."""
    return LENGTH.fullmatch(name) is not None or COUNT.fullmatch(name) is not None


@dataclass(frozen=True)
class Axis:
    """An axis of an input, and whether that one is meant for certain."""

    input: str
    position: int
    length: int
    certain: bool


def described_axis(
    spec: TensorSpec, inputs: Sequence[TensorSpec], shapes: Mapping[str, tuple[int, ...]]
) -> Axis | None:
    """The axis that a length input is the length of; None where there is no input that it can be of."""
    target, known = _target(spec, inputs)
    if target is None:
        return None
    position, sure = _position(target, shapes[target.name])
    return Axis(target.name, position, shapes[target.name][position], known and sure)


def _target(spec: TensorSpec, inputs: Sequence[TensorSpec]) -> tuple[TensorSpec | None, bool]:
    """The input that a length is of: the one that its name begins with, else the only one that it can be of."""
    matched = LENGTH.fullmatch(plain(spec.name))
    others = [each for each in inputs if each.name != spec.name and each.shape and not is_length(plain(each.name))]
    stem = matched.group("of") if matched else None
    if stem:
        for fits in (_same, _begins):
            found = [each for each in others if fits(plain(each.name), stem)]
            if found:
                return found[0], len(found) == 1 or fits is _same
    left = [each for each in others if len(each.shape) > 1 and not _BESIDE.fullmatch(plain(each.name))]
    left = left or [each for each in others if len(each.shape) == 1 and not _BESIDE.fullmatch(plain(each.name))]
    return (left[0], len(left) == 1) if left else (None, False)


def _same(name: str, stem: str) -> bool:
    return name.rstrip("s") == stem.rstrip("s")


def _begins(name: str, stem: str) -> bool:
    """`feature` and `features_in`, `encoder_out` and `encoder_outputs`, `speech` and `speech_pad`."""
    return name.startswith((f"{stem}_", f"{stem}s_", f"{stem}put")) or stem.startswith(f"{name.rstrip('s')}_")


def _position(spec: TensorSpec, shape: Sequence[int]) -> tuple[int, bool]:
    """The axis along which an input goes on, and whether that is certain."""
    rank = len(shape)
    if rank == 1:
        return 0, True
    named = [place for place in range(rank) if _time(spec, place)]
    if len(named) == 1:
        return named[0], True
    axes = [place for place in range(1, rank) if spec.shape[place] != 1] or [rank - 1]
    axes = [place for place in axes if place in named] or axes
    free = [place for place in axes if _free(spec, place)]
    axes = free or axes
    if len(axes) > 1:
        axes = [place for place in axes if shape[place] not in _FEATURES] or axes
    shortest = min(axes, key=lambda place: shape[place])
    alike = len({shape[place] for place in axes}) == 1
    # Of several the shortest is taken: a length beyond its axis reads what is not there.
    return shortest, len(axes) == 1 or alike


def _time(spec: TensorSpec, place: int) -> bool:
    name = spec.shape[place]
    own = f"{plain(spec.name)}_"
    text = plain(name) if isinstance(name, str) else ""
    # NeMo calls dimensions after the input and the axis: `audio_signal_dynamic_axes_2` says nothing of time.
    return bool(text) and not text.startswith(own) and "batch" not in text and _TIME.fullmatch(text) is not None


def _free(spec: TensorSpec, place: int) -> bool:
    length = spec.shape[place]
    return not (isinstance(length, int) and length >= 0)


@dataclass(frozen=True)
class Picture:
    """The input that is a picture, and its size."""

    input: str
    height: int
    width: int


def picture(inputs: Sequence[TensorSpec], shapes: Mapping[str, tuple[int, ...]]) -> Picture | None:
    """The first input that is a picture: four axes, one of them channels; None where there is none."""
    for spec in inputs:
        shape = shapes[spec.name]
        if len(shape) != _PICTURE_RANK or "mask" in plain(spec.name):
            continue
        if shape[1] in _CHANNELS:
            return Picture(spec.name, shape[2], shape[3])
        if shape[3] in _CHANNELS:
            return Picture(spec.name, shape[1], shape[2])
    return None
