"""The outputs of a variant with those of its reference, and which of them is meant: by name, never by position.

An output is known by its own name, or by the one that the suite gives it: `outputs = { scores = "logits" }` says that
the model's output `logits` is known as `scores`. Reference and variant are paired by what their outputs are known by.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchharness.contract import TensorSpec
from benchharness.device.inputs.input_lengths import plain
from benchharness.device.inputs.layouts import aligned, without_ones
from benchharness.device.inputs.pairing import OUTPUTS, Pair, Pairing, listed, pair, refusal, toml_line
from benchharness.errors import Unsupported

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]
    Outputs = Mapping[str, Array]

#: What the output that a task is about is known by in a suite, and other names by which it tells itself.
SCORES, EMBEDDING = "scores", "embedding"
_NAMES = {
    SCORES: ("scores", "logits", "probabilities", "probs", "class_scores", "class_logits", "class_probabilities"),
    EMBEDDING: ("embedding", "embeddings", "sentence_embedding", "text_embeds", "image_embeds"),
}
#: What a classifier's one number is called: the probability of one of two classes, or the label of the class itself.
_ONE_SCORE = ("score", "probability", "prob", "logit", "output_probability")
_LABEL = ("label", "output_label", "class_label", "class", "class_id", "prediction", "predicted_class", "predictions")
_WHAT = {SCORES: "holds a score for each class", EMBEDDING: "is one vector, an embedding"}
_NUMBERS = "fiub"
#: A score for each class, or a vector, is no single number.
_FEWEST = 2
#: Outputs beside the one that is meant, such as the hidden states of every layer: each is four numbers an input.
_MOST_OTHERS = 32


class OutputPair(NamedTuple):
    """An output of the reference with the variant's, in one shape; `name` is what it is known by."""

    name: str
    reference: Array
    variant: Array


class Matched:
    """Outputs of one variant with its reference's, matched on the first sample and the same way ever after.

    `role` is the output that the task is about, None where every output counts alike; `most_label` the largest label
    that the data has, -1 for none; `states` those of the reference's outputs that it takes again. `tensors` is what the
    suite says of each: `outputs`, `layouts`.
    """

    def __init__(
        self,
        reference: Mapping[str, Any],
        variant: Mapping[str, Any],
        role: str | None = None,
        most_label: int = -1,
        states: Collection[str] = (),
    ) -> None:
        self._tensors = (reference, variant)
        self._role = role
        self._most_label = most_label
        self._states = states
        self._pairing: Pairing | None = None
        self._own: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {})
        self.meant = ""
        self.not_compared: dict[str, str] = {}

    def __call__(self, reference: Outputs, variant: Outputs) -> list[OutputPair]:
        """What is compared of one sample, the output that is meant first. Raises `Unsupported`."""
        if self._pairing is None:
            self._pairing = self._match(reference, variant)
        found = []
        for each in self._pairing.pairs:
            if each.wanted not in self.not_compared:
                try:
                    found.append(self._compared(each, reference, variant))
                except Unsupported as error:
                    if not self._role or each.wanted == self.meant:
                        raise
                    self.not_compared[each.wanted] = str(error)
        if not found:
            raise Unsupported("there is no output of numbers to compare")
        return sorted(found, key=lambda each: each.name != self.meant)

    def facts(self) -> dict[str, Any]:
        """How each output was matched, which is meant, and what is not compared for which reason: JSON values."""
        pairs = self._pairing.pairs if self._pairing else ()
        ours, theirs = self._own[1], self._own[0]
        told = [
            [theirs[each.wanted], ours[each.given], self._how(each), each.certain, each.wanted]
            for each in pairs
            if each.wanted not in self.not_compared
        ]
        return {"outputs": told, "meant": self.meant, "not_compared": self.not_compared}

    def own_names(self, known: str) -> tuple[str, str]:
        """What the reference's and the variant's output that is known so are called in their own files."""
        assert self._pairing is not None
        given = next(each.given for each in self._pairing.pairs if each.wanted == known)
        return self._own[0][known], self._own[1][given]

    def _how(self, pair_: Pair) -> str:
        by_suite = any(pair_.wanted in (tensors.get("outputs") or {}) for tensors in self._tensors)
        return "mapping" if by_suite else pair_.how

    def _match(self, reference: Outputs, variant: Outputs) -> Pairing:
        theirs = _known_as(reference, self._tensors[0], "the reference")
        ours = _known_as(variant, self._tensors[1], "this variant")
        self._own = (theirs, ours)
        wanted, given = _specs(theirs, reference), _specs(ours, variant)
        unknown = [name for name in self._tensors[1].get("outputs") or {} if name not in theirs]
        if unknown:
            raise Unsupported(
                f"outputs = {{ {unknown[0]} = … }} of this variant: the reference has no output of that name; its "
                f"outputs are {listed(wanted)}"
            )
        aside = _texts_of_one_side(wanted, given)
        wanted, given = ([spec for spec in specs if spec.name not in aside] for specs in (wanted, given))
        found = pair(wanted, given)
        if self._role:
            answers = [spec for spec in wanted if theirs[spec.name] not in self._states]
            self.meant = meant(answers, self._role, self._most_label)
        left = [name for name in found.missing if name == self.meant or not self._role]
        if left and (found.spare or self.meant):
            raise Unsupported(refusal(wanted, given, found, OUTPUTS))
        self.not_compared.update(dict.fromkeys(aside, "holds text, and no output of the other side does"))
        for name in found.missing:
            self.not_compared[name] = "this variant has no output that is known to be it"
        for name in found.spare:
            self.not_compared.setdefault(name, "the reference has no output that is known to be it")
        for each in found.pairs:
            one, other = reference[theirs[each.wanted]], variant[ours[each.given]]
            if one.dtype.kind not in _NUMBERS or other.dtype.kind not in _NUMBERS:
                self.not_compared[each.wanted] = f"holds no numbers ({one.dtype} and {other.dtype})"
        others = [each.wanted for each in found.pairs if each.wanted not in (self.meant, *self.not_compared)]
        for name in others[_MOST_OTHERS:] if self._role else ():
            self.not_compared[name] = f"beside {self.meant} {_MOST_OTHERS} outputs are compared at most"
        return found

    def _compared(self, each: Pair, reference: Outputs, variant: Outputs) -> OutputPair:
        theirs, ours = self._own[0][each.wanted], self._own[1][each.given]
        if theirs not in reference or ours not in variant:
            raise Unsupported(f"output {each.wanted!r} is not there for every sample")
        one, other = reference[theirs], variant[ours]
        layouts = [(tensors.get("layouts") or {}).get(name) for tensors, name in zip(self._tensors, (theirs, ours))]
        turned = aligned(other, one, name=each.wanted, given=layouts[1], wanted=layouts[0])
        return OutputPair(each.wanted, one, turned)


def meant(outputs: Sequence[TensorSpec], role: str, most_label: int = -1) -> str:
    """What the output that a task is about is known by: as the suite says, else by its own name, else the only one
    that can be it. Raises `Unsupported` with the outputs and the line to write.
    """
    fitting = [spec for spec in outputs if _can_be(spec, role)]
    if role == SCORES and any(spec.name == role and _size(spec) == 1 and _is_number(spec) for spec in outputs):
        return role  # as the suite says, or the file itself
    for names in ([role], _NAMES[role]):
        named = [spec.name for spec in fitting if spec.name in names]
        if len(named) == 1:
            return named[0]
    large = [spec for spec in fitting if _size(spec) > most_label]
    for left in (fitting, large):
        if len(left) == 1:
            return left[0].name
    if role == SCORES and not fitting:
        alone = _one_number(outputs)
        if alone:
            return alone
    if not fitting:
        raise Unsupported(f"no output {_WHAT[role]}; the reference's outputs are {listed(outputs)}")
    raise Unsupported(
        f"which output {_WHAT[role]} is not known: the reference's outputs are {listed(outputs)}; write "
        f"{toml_line('outputs', {role: '…'})} under the model or the variant, where … is the one that is meant"
    )


def _texts_of_one_side(*sides: Sequence[TensorSpec]) -> list[str]:
    """Outputs of text, such as the label beside a classifier's scores, where the other side has none."""
    texts = [[spec.name for spec in specs if spec.dtype == "str"] for specs in sides]
    return [name for side in texts for name in side] if not all(texts) else []


def _can_be(spec: TensorSpec, role: str) -> bool:
    """By shape and type: scores are one row of numbers, an embedding is of floats."""
    kind = np.dtype(spec.dtype).kind
    if _size(spec) < _FEWEST:
        return False
    return kind in "fiu" and len(without_ones(spec.shape)) == 1 if role == SCORES else kind == "f"


def _one_number(outputs: Sequence[TensorSpec]) -> str:
    """The output of a classifier that gives one number: a score of one of two classes, else a label; "" for none.

    Of several one is known by its name.
    """
    numbers = [spec for spec in outputs if _size(spec) == 1]
    for kinds, names in (("f", (*_NAMES[SCORES], *_ONE_SCORE)), ("i", _LABEL)):
        fitting = [spec.name for spec in numbers if np.dtype(spec.dtype).kind == kinds and _is_number(spec)]
        named = [name for name in fitting if plain(name) in names]
        if len(fitting) == 1 or len(named) == 1:
            return (named if len(named) == 1 else fitting)[0]
    return ""


def _is_number(spec: TensorSpec) -> bool:
    """Real, or of a type that labels have; a byte may be a quantized score, whose scale is not known."""
    return np.dtype(spec.dtype).kind == "f" or spec.dtype in ("int32", "int64")


def _size(spec: TensorSpec) -> int:
    return math.prod(length for length in spec.shape if isinstance(length, int))


def _known_as(outputs: Outputs, tensors: Mapping[str, Any], whose: str) -> dict[str, str]:
    """By what each output is known by: its own name. Raises `Unsupported` for a line that names what is not there."""
    mapping: Mapping[str, str] = tensors.get("outputs") or {}
    for name, own in mapping.items():
        if own not in outputs:
            raise Unsupported(
                f"{toml_line('outputs', {name: own})}: {whose} has no output {own!r} (there are: {', '.join(outputs)})"
            )
    renamed = {own: name for name, own in mapping.items()}
    found: dict[str, str] = {}
    for own in outputs:
        name = renamed.get(own, own)
        if name in found or len(renamed) < len(mapping):
            raise Unsupported(
                f"two outputs of {whose} would be known as {name!r}; give each a name of its own: "
                f"{toml_line('outputs', {**mapping, '…': own})}"
            )
        found[name] = own
    return found


def _specs(known: Mapping[str, str], outputs: Outputs) -> list[TensorSpec]:
    return [TensorSpec(name, _type(outputs[own]), tuple(outputs[own].shape)) for name, own in known.items()]


def _type(array: Array) -> str:
    return array.dtype.name if array.dtype.kind in _NUMBERS else "str"
