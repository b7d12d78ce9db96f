"""Values for inputs that nobody gave: each rule is a row of a table, and what it did is said on the result.

A row is asked in its order. It recognises an input by its name and type, fills it, and says by what in words that the
report shows. What no row explains is filled as ever (whole numbers 0 to 9, booleans True) and marked: the time of a
model whose input means nothing may be the time of other work. Where the meaning was read is told beside each row.
Names are compared as `input_lengths.plain` gives them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Optional

import numpy as np

from benchharness.contract import TensorSpec
from benchharness.device.inputs.input_lengths import described_axis, is_length, picture, plain
from benchharness.device.inputs.state_names import CACHED_LENGTHS, STATE_NAMES
from benchharness.errors import Unsupported

if TYPE_CHECKING:
    from benchharness.contract import Array

#: What speech models run at.
SAMPLE_RATE_HZ = 16_000
#: Whole numbers that nothing is known of are below this, and ids of a vocabulary whose size is in no file.
FEW = 10
#: Tokens that a model generates itself, where it asks how many.
_GENERATED = 64
STATE_BEFORE = "the state before the first call: zeros"
#: The side of the picture that a segmenter's answer is scaled to, where no input is a picture: what SAM was trained on.
_SEGMENTED = 1024


@dataclass(frozen=True)
class Filling:
    """What an input was filled with, by what, and whether its meaning is known."""

    array: Array
    by: str
    value: str
    explained: bool = True

    def fact(self) -> dict[str, Any]:
        """As it stands on a result, JSON values."""
        return {"by": self.by, "value": self.value, "explained": self.explained}


@dataclass(frozen=True)
class Input:
    """What a rule may look at: the input, and the model around it."""

    spec: TensorSpec
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    inputs: Sequence[TensorSpec]
    shapes: Mapping[str, tuple[int, ...]]
    rows: int | None  # of the table that its numbers pick from
    quantization: Mapping[str, Any] | None
    generator: np.random.Generator

    def constant(self, value: Any, by: str, *, explained: bool = True) -> Filling | None:
        """Every number the same; None where the type does not hold it."""
        if self.dtype.kind in "iu" and not np.iinfo(self.dtype).min <= value <= np.iinfo(self.dtype).max:
            return None
        shown = str(bool(value)) if self.dtype.kind == "b" else f"{value:g}"
        return Filling(np.full(self.shape, value, self.dtype), by, shown, explained)

    def below(self, limit: int, by: str, *, explained: bool = True) -> Filling:
        """Random whole numbers from 0 on, of which `limit` is the first that is too large."""
        limit = max(1, min(limit, int(np.iinfo(self.dtype).max) + 1))
        array = self.generator.integers(0, limit, self.shape).astype(self.dtype)
        return Filling(array, by, f"random, 0 to {limit - 1}" if limit > 1 else "0", explained)


Fill = Callable[[Input], Optional[Filling]]


@dataclass(frozen=True)
class Rule:
    """Fills inputs of these names (a regular expression of the whole plain name) and kinds (numpy's letters)."""

    names: str
    kinds: str
    fill: Fill  # None: it is another row's after all

    def fits(self, name: str, kind: str) -> bool:
        """Whether the row is asked."""
        return kind in self.kinds and re.fullmatch(self.names, name) is not None


def invent(
    inputs: Sequence[TensorSpec],
    shapes: Mapping[str, tuple[int, ...]],
    seed: int,
    *,
    rows: Mapping[str, int],
    quantization: Mapping[str, Any],
    given: Mapping[str, Array],
    states: Collection[str] = (),
) -> tuple[dict[str, Array], dict[str, Filling]]:
    """Arrays for all inputs in their order, `given` ones as they are, and what was invented for the others.

    `states` take what the inference before gave, and are zeros before the first.

    The same for a seed on every machine. Raises `Unsupported` for a type that no values can be made for.
    """
    generator = np.random.default_rng(seed)
    arrays: dict[str, Array] = {}
    invented: dict[str, Filling] = {}
    for spec in inputs:
        if spec.name not in given:
            how = quantization.get(spec.name)
            place = Input(spec, shapes[spec.name], dtype_of(spec), inputs, shapes, rows.get(spec.name), how, generator)
            empty = place.constant(0, STATE_BEFORE) if spec.name in states else None
            invented[spec.name] = empty or _fill(place)
        arrays[spec.name] = given[spec.name] if spec.name in given else invented[spec.name].array
    return arrays, invented


def dtype_of(spec: TensorSpec) -> np.dtype[Any]:
    """numpy's type of an input. Raises `Unsupported` where it has none."""
    try:
        return np.dtype(object if spec.dtype == "str" else spec.dtype)
    except TypeError as error:
        raise _no_values(spec) from error


def _no_values(spec: TensorSpec) -> Unsupported:
    return Unsupported(
        f"input {spec.name!r} is of type {spec.dtype}, which is none of NumPy's, so no values can be made for it; "
        "export the model with inputs of float32 or another type of NumPy's"
    )


def _fill(place: Input) -> Filling:
    kind, name = place.dtype.kind, plain(place.spec.name)
    if kind == "O":
        return Filling(np.full(place.shape, "a", dtype=object), "text that says nothing", "a")
    for rule in RULES:
        if rule.fits(name, kind):
            filling = rule.fill(place)
            if filling is not None:
                return filling
    if kind == "f":
        return Filling(place.generator.random(place.shape).astype(place.dtype), "real numbers", "random, [0, 1)")
    if kind == "b":
        return Filling(np.ones(place.shape, place.dtype), "a guess: nothing says what it means", "True", False)
    if kind in "iu":
        return place.below(FEW, "a guess: nothing says what it means", explained=False)
    raise _no_values(place.spec)


def _always(value: Any, by: str, *, explained: bool = True) -> Fill:
    return lambda place: place.constant(value, by, explained=explained)


def _length(place: Input) -> Filling | None:
    """All of the axis that it is the length of."""
    if len(place.shape) > 2:
        return None
    axis = described_axis(place.spec, place.inputs, place.shapes)
    if axis is None:
        return None
    by = f"length of axis {axis.position} of {axis.input}" + (
        "" if axis.certain else ", which may not be the one meant"
    )
    return place.constant(axis.length, by, explained=axis.certain)


def _last_token(place: Input) -> Filling | None:
    """com.microsoft.GroupQueryAttention: "total_sequence_lengths - 1"."""
    axis = described_axis(place.spec, place.inputs, place.shapes)
    if axis is None:
        return None
    by = f"length of axis {axis.position} of {axis.input}, less one"
    return place.constant(max(0, axis.length - 1), by, explained=axis.certain)


def _float_length(place: Input) -> Filling | None:
    """SpeechBrain's `wav_lens` are shares of the longest row; other floats may be shares or counts."""
    share = re.fullmatch("wav_len(s|gths)|rel.*", plain(place.spec.name)) is not None
    return place.constant(1.0, "the whole row, as a share of it", explained=share)


def _positions(place: Input) -> Filling | None:
    """0, 1, 2 … along the last axis, as long as the table of positions goes."""
    if not place.shape:
        return place.constant(0, "the first position")
    count = place.shape[-1]
    last = min(count, place.rows or count, int(np.iinfo(place.dtype).max) + 1) - 1
    line = np.minimum(np.arange(count), max(last, 0)).astype(place.dtype)
    by = "positions in order" if last == count - 1 else f"positions in order; the model knows {last + 1} of them"
    return Filling(np.broadcast_to(line, place.shape).copy(), by, f"0 to {last}", last == count - 1)


def _ids(place: Input) -> Filling | None:
    """Ids of the whole vocabulary, where the file tells how large the table is that they pick from."""
    if place.rows is not None:
        return place.below(place.rows, f"ids of the {place.rows} rows of the table that they pick from")
    return None


def _few_ids(place: Input) -> Filling | None:
    return place.below(FEW, f"ids; the file does not tell how many there are, so the first {FEW}")


def _first_id(place: Input) -> Filling | None:
    return place.constant(0, "the first of them")


def _nodes(place: Input) -> Filling | None:
    """PyTorch Geometric: edges between the rows of `x`."""
    nodes = next((each for each in place.inputs if plain(each.name) in ("x", "node_features")), None)
    if nodes is None or not place.shapes[nodes.name]:
        return None
    return place.below(place.shapes[nodes.name][0], f"rows of {nodes.name}")


def _size(order: str) -> Fill:
    """The size of the picture; `order` is `hw` or `wh`, and a third number is its scale."""

    def fill(place: Input) -> Filling | None:
        found = picture(place.inputs, place.shapes)
        wide = place.shape[-1] if place.shape else 0
        if wide not in (2, 3):
            return None
        height, width = (found.height, found.width) if found else (_SEGMENTED, _SEGMENTED)
        pair = [height, width] if order == "hw" else [width, height]
        values = [*pair, 1][:wide]
        by = f"{'height, width' if order == 'hw' else 'width, height'} of " + (
            found.input if found else "a picture of this size, by which the answer is scaled"
        )
        if place.dtype.kind in "iu" and max(values) > np.iinfo(place.dtype).max:
            return None
        array = np.broadcast_to(np.asarray(values, place.dtype), place.shape).copy()
        return Filling(array, by, ", ".join(map(str, values)), found is not None)

    return fill


def _scales(place: Input) -> Filling | None:
    """piper: noise, length, noise of the length; its own defaults."""
    if place.shape[-1:] != (3,):
        return None
    values = [0.667, 1.0, 0.8]
    array = np.broadcast_to(np.asarray(values, place.dtype), place.shape).copy()
    return Filling(array, "noise scale, length scale, noise width: piper's defaults", "0.667, 1, 0.8")


def _state(place: Input) -> Filling | None:
    """Empty at the start, unless it is all that the model is given: then it is what a model is about."""
    if not any(each.name != place.spec.name and not is_length(plain(each.name)) for each in place.inputs):
        return None
    return place.constant(0, STATE_BEFORE if 0 not in place.shape else "nothing of the past")


def _quantized(place: Input) -> Filling | None:
    """Real numbers in [0, 1) as a quantized input takes them: a float variant is given the same."""
    how = place.quantization or {}
    scales, points = list(how.get("scale") or ()), list(how.get("zero_point") or (0,))
    if len(scales) != 1 or len(points) != 1 or not float(scales[0]) > 0:
        return None
    limits = np.iinfo(place.dtype)
    steps = np.round(place.generator.random(place.shape) / float(scales[0])) + int(points[0])
    array = np.clip(steps, limits.min, limits.max).astype(place.dtype)
    return Filling(array, "real numbers, quantized by its scale", "random, [0, 1)")


def _pixels(place: Input) -> Filling | None:
    """A byte a colour."""
    found = picture([place.spec], place.shapes)
    return place.below(256, "colours of a picture") if found else None


#: Asked in this order; the first that fills an input has it.
RULES: tuple[Rule, ...] = (
    # A quantized input holds real numbers, whatever it is called.
    Rule(".*", "iu", _quantized),
    # Nothing has been processed yet: NeMo `cache_last_channel_len`, icefall `processed_lens` and `cached_len_0`, wenet
    # `offset`, nemotron in onnxruntime-genai. Before the lengths: they are of the cache, not of what is fed.
    Rule(CACHED_LENGTHS, "iu", _always(0, "nothing is cached before the first call")),
    # onnxruntime's contrib operators: GroupQueryAttention.
    Rule("seq_?lens_k|seqlens_k", "iu", _last_token),
    # onnxruntime's BeamSearch and WhisperBeamSearch; how much is generated is the work, and nobody said how much.
    Rule(
        r"max_(?:length|len|new_tokens|tokens)",
        "iu",
        _always(_GENERATED, "tokens to generate, which nobody gave", explained=False),
    ),
    Rule(r"min_(?:length|len|new_tokens|tokens)", "iu", _always(0, "no least number of tokens")),
    Rule("num_beams|beam_size|beams?|num_return_sequences", "iu", _always(1, "one, without a search in width")),
    # Hugging Face transformers: of how many tokens from the end logits are wanted, 0 for all; its generate asks for 1.
    Rule("(?:num_)?logits_to_keep", "iu", _always(1, "logits of the last token, as in generating")),
    # NeMo, icefall, sherpa-onnx, wenet, FunASR, piper, Matcha: see `input_lengths`. microsoft/onnxruntime-genai#2036.
    Rule(r"total_sequence_length|prompt_length", "iu", _length),
    Rule(r"(?:.*_)?(?:len|lens|length|lengths|seqlen|seqlens)(?:_\d+)?", "iu", _length),
    Rule(r"(?:n|num|nb|number_of)_(?:frames|samples|tokens|steps|phonemes|words)|nframes", "iu", _length),
    Rule(r"(?:.*_)?(?:lens|lengths?)", "f", _float_length),
    # Masks. Hugging Face: 1 is kept; Longformer: 0 is local attention; BEiT and wav2vec 2.0: True is masked out.
    Rule("bool_masked_pos|mask_time_indices|special_tokens_mask", "iub", _always(0, "nothing is masked out")),
    Rule("global_attention_mask", "iub", _always(0, "local attention everywhere")),
    # torch.nn.MultiheadAttention: True is padding, to be ignored.
    Rule(r"(?:.*_)?key_padding_mask", "b", _always(False, "nothing is padding: True would be, as torch has it")),
    # Padding is True in fairseq, and what is kept is True in KerasHub; attention masks likewise in torch's two ways.
    Rule(
        r"(?:.*_)?(?:padding|pad)_mask|(?:attn|src|tgt|memory)_mask",
        "b",
        _always(True, "ones; whether True is kept or is left out depends on the exporter", explained=False),
    ),
    # Segment Anything: no earlier mask is given. Added to logits alike, a float mask of ones changes nothing.
    Rule("mask_input", "f", _always(0, "no earlier mask")),
    Rule("has_mask_input|has_.*", "fiub", _always(0, "absent")),
    Rule(r"(?:.*_)?masks?(?:_\d+)?", "fiub", _always(1, "a mask of ones: everything counts")),
    # BERT and its kin; a model may know one type only.
    Rule(r"(?:.*_)?(?:token_type|segment)(?:_ids?|s)?|(?:.*_)?type_ids", "iu", _always(0, "one segment")),
    Rule(r"(?:.*_)?(?:position_ids?|cache_position|positions|pos_ids)", "iu", _positions),
    # Optimum's merged decoders: False is the branch that ignores the past. huggingface/optimum#647, #926.
    Rule("use_cache_branch", "iub", _always(0, "the branch without a past, as for the first token")),
    Rule("(?:is_)?training|is_train|train|training_mode|phase_train|learning_phase", "iub", _always(0, "not training")),
    Rule("keep_prob", "f", _always(1.0, "nothing is dropped")),
    Rule("dropout(?:_.*)?", "f", _always(0.0, "nothing is dropped")),
    # silero-vad, and others that run at 16 kHz.
    Rule(r"sr|(?:.*_)?(?:sample|sampling)_?rate(?:_hz)?", "fiu", _always(SAMPLE_RATE_HZ, "16 kHz, as speech models")),
    # Text to speech: piper (`scales`, `sid`), Matcha and MeloTTS in sherpa-onnx, Kokoro (`speed`).
    Rule("scales", "f", _scales),
    Rule("noise_scale", "f", _always(0.667, "piper's default")),
    Rule("noise_scale_w|noise_w", "f", _always(0.8, "piper's default")),
    Rule("length_scale|speed|duration_scale", "fiu", _always(1, "unchanged speed")),
    Rule(r"sid|spk|spk_?id|speaker(?:_?ids?)?|voice_?id", "iu", _first_id),
    Rule(
        r"lang|language|lang_?ids?|language_?ids?|text_norm|textnorm|task|task_?ids?",
        "iu",
        _always(0, "the first; which language or task that is, the file does not tell", explained=False),
    ),
    # Detectors. RT-DETR and D-FINE want width, height (lyuwenyu/RT-DETR#251), PaddleDetection and YOLOv3 the reverse.
    Rule("orig_target_sizes", "fiu", _size("wh")),
    Rule(
        r"(?:image|im|img|input_image|original_image|target|orig|original|orig_im|orig_image)_(?:shape|size|sizes|info)s?",
        "fiu",
        _size("hw"),
    ),
    Rule("scale_factor", "f", _always(1.0, "the picture was not scaled")),
    Rule(r"(?:nms_)?iou_thresh(?:old)?", "f", _always(0.45, "a detector's usual threshold")),
    Rule(r"(?:.*_)?(?:score|conf|confidence)_?thresh(?:old)?", "f", _always(0.25, "a detector's usual threshold")),
    Rule(r"max_output_boxes(?:_per_class)?|max_det(?:ections)?|keep_top_?k", "iu", _always(100, "at most 100 boxes")),
    Rule("top_?k", "iu", _always(50, "the best 50")),
    Rule("(?:point|input)_labels", "fiu", _always(1, "points of the foreground, as in Segment Anything")),
    # Diffusion: 1 to 999, and a small one lies in every table of steps.
    Rule(r"time_?steps?", "iu", _always(1, "a step of diffusion")),
    Rule("temperature|top_p|length_penalty|repetition_penalty", "f", _always(1.0, "no influence")),
    Rule(STATE_NAMES, "fiu", _state),
    Rule("edge_index", "iu", _nodes),
    # What picks rows of a table that the file holds is an id, whatever it is called.
    Rule(".*", "iu", _ids),
    Rule(r"(?:.*_)?(?:ids?|tokens?|phonemes?|text|texts|words?|tones?|targets?|labels?)(?:_\d+)?", "iu", _few_ids),
    Rule(".*", "u", lambda place: _pixels(place) if place.dtype.itemsize == 1 else None),
)
