"""Models that are no language models compared, sample by sample: classes, embeddings, or plain tensors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.device.measured import measurement
from benchharness.device.quality.codes import meant_by
from benchharness.device.quality.divergence import (
    class_distribution,
    cosine,
    divergence,
    rank_correlation,
    tensor_row,
)
from benchharness.device.quality.evaluation_data import count_samples, has_labels, read_labels
from benchharness.device.quality.matching import EMBEDDING, SCORES, Compared, Matched
from benchharness.device.quality.players import Player
from benchharness.errors import AttemptError, InvalidOutput, Unsupported

if TYPE_CHECKING:
    from benchharness.device.quality.conductor import Pass

    Array = np.ndarray[Any, np.dtype[Any]]
    Outputs = Mapping[str, Array]

_MOST_EXAMPLES = 20
#: All pairs of so many embeddings are compared; of more, the first.
_MOST_RANKED = 500
_FEWEST_RANKED = 3
#: No output has a score for so many classes: one row of them would be 8 GiB.
_MOST_CLASSES = 1 << 30


def compare(
    made: Pass,
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    task: str | None,
    progress: Callable[[str, int, int], None],
) -> dict[str, dict[str, Any]]:
    """By attempt: the measurements of the task, and examples. Raises what the reference raises."""
    if data["kind"] != "npz":
        raise Unsupported("a model that is no language model is evaluated on arrays: give an .npz file")
    path = Path(data["path"])
    total = min(count_samples(path), settings["most_samples"])
    fed = {
        "values": data.get("values"),
        "layouts": data.get("layouts"),
        "codes": meant_by(made, path, data.get("values")),
    }
    kept = {
        attempt: _kept(task, path, made.reference.tensors, player.tensors) for attempt, player in made.variants.items()
    }
    for sample in range(total):
        progress("compare", sample, total)
        made.tell({"type": "run", "path": str(path), "sample": sample, "data": fed})
        reference = made.of_reference(Player.arrays)
        answers = made.of_each(Player.arrays)
        began_ns = time.perf_counter_ns()
        for attempt, outputs in answers.items():
            try:
                kept[attempt].add(sample, reference, outputs)
            except AttemptError as error:
                made.leave(attempt, error)
        made.metric_ns += time.perf_counter_ns() - began_ns
    return {
        attempt: {
            "measurements": kept[attempt].measurements(),
            "shown": {
                "examples": kept[attempt].examples(),
                "tensors": {**player.told.get("fed", {}), **kept[attempt].matched.facts()},
            },
            "of_reference": {"tensors": made.reference.told.get("fed", {})},
        }
        for attempt, player in made.variants.items()
    }


def _kept(
    task: str | None, path: Path, reference: Mapping[str, Any], variant: Mapping[str, Any]
) -> _Classes | _Embeddings | _Tensors:
    """What is kept of one variant; `reference` and `variant` are the suite's words about their tensors."""
    if task == "classifier" or (task is None and has_labels(path)):
        return _Classes(path, Matched(reference, variant, SCORES, _most_label(path)))
    if task == "embedding":
        return _Embeddings(Matched(reference, variant, EMBEDDING))
    return _Tensors(Matched(reference, variant))


def _most_label(path: Path) -> int:
    """The largest label, -1 where there are none. Labels that cannot be are told where they are read for good."""
    try:
        labels = read_labels(path, _MOST_CLASSES)
    except Unsupported:
        return -1
    return -1 if labels is None else int(labels.max(initial=-1))


class _Classes:
    """A classifier: label, both decisions, and the divergence of the distributions, for each sample."""

    def __init__(self, path: Path, matched: Matched) -> None:
        self.matched = matched
        self._path = path
        self._others = _Errors()
        self._labels: Array | None = None
        self._classes = 0
        self._rows: list[tuple[float, float, float, float]] = []

    def add(self, sample: int, reference: Outputs, variant: Outputs) -> None:
        """Compares one sample. Raises `InvalidOutput`, `Unsupported`."""
        (scores, *others) = self.matched(reference, variant)
        one, other = scores.reference.reshape(-1), scores.variant.reshape(-1)
        if not self._rows:
            self._classes = one.size
            self._labels = read_labels(self._path, one.size)
        theirs, ours = class_distribution(one, "the reference"), class_distribution(other, "this variant")
        label = -1.0 if self._labels is None else float(self._labels[sample])
        row = (label, float(one.argmax()), float(other.argmax()), float(divergence(theirs, ours)))
        self._rows.append(row)
        self._others.add_those_that_are_numbers(others, self.matched)

    def measurements(self) -> list[dict[str, Any]]:
        """One row a sample; the value is the share of samples that both classify alike."""
        rows = np.asarray(self._rows)
        agreement = float((rows[:, 1] == rows[:, 2]).mean())
        parameters = {"classes": self._classes}
        samples = rows.reshape(-1).tolist()
        decisions = measurement("class_decisions", parameters, agreement, samples=samples, row_length=4)
        return [decisions, *self._others.measurements()]

    def examples(self) -> list[dict[str, Any]]:
        """Where the two disagree, the worst first."""
        numbered = [(row[3], sample, row) for sample, row in enumerate(self._rows) if row[1] != row[2]]
        return [
            {
                "sample": sample,
                "label": int(row[0]) if row[0] >= 0 else None,
                "reference": int(row[1]),
                "variant": int(row[2]),
                "kld": row[3],
            }
            for _, sample, row in sorted(numbered, reverse=True)[:_MOST_EXAMPLES]
        ]


class _Embeddings:
    """An embedding: the cosine of both vectors of each sample, and whether neighbours stay neighbours."""

    def __init__(self, matched: Matched) -> None:
        self.matched = matched
        self._others = _Errors()
        self._cosines: list[float] = []
        self._reference: list[Array] = []
        self._variant: list[Array] = []

    def add(self, _: int, reference: Outputs, variant: Outputs) -> None:
        """Compares one sample. Raises `InvalidOutput`, `Unsupported`."""
        (embedding, *others) = self.matched(reference, variant)
        vectors = [np.asarray(each, np.float64).reshape(-1) for each in (embedding.reference, embedding.variant)]
        if not all(np.isfinite(vector).all() for vector in vectors):
            raise InvalidOutput("an embedding has NaN or infinite numbers")
        self._cosines.append(cosine(*vectors))
        if len(self._reference) < _MOST_RANKED:
            self._reference.append(vectors[0])
            self._variant.append(vectors[1])
        self._others.add_those_that_are_numbers(others, self.matched)

    def measurements(self) -> list[dict[str, Any]]:
        """The cosines, and one rank correlation."""
        mean = float(np.mean(self._cosines))
        found = [measurement("embedding_similarity", {}, mean, samples=list(self._cosines))]
        if len(self._reference) >= _FEWEST_RANKED:
            ranked = rank_correlation(np.stack(self._reference), np.stack(self._variant))
            found.append(measurement("similarity_ranks", {"samples": len(self._reference)}, ranked))
        return [*found, *self._others.measurements()]

    def examples(self) -> list[dict[str, Any]]:
        """The samples whose vectors turned most."""
        worst: Sequence[int] = np.argsort(self._cosines)[:_MOST_EXAMPLES].tolist()
        return [{"sample": sample, "cosine": self._cosines[sample]} for sample in worst]


class _Errors:
    """Signal, noise, cosine and largest error of outputs, by output."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[float, float, float, float]]] = {}

    def add(self, outputs: Sequence[Compared]) -> None:
        """Compares one sample. Raises `InvalidOutput`."""
        for each in outputs:
            self.rows.setdefault(each.name, []).append(tensor_row(each.reference, each.variant))

    def add_those_that_are_numbers(self, outputs: Sequence[Compared], matched: Matched) -> None:
        """Compares outputs beside the one that is meant: one that cannot be compared is left out from now on."""
        for each in outputs:
            try:
                self.add([each])
            except InvalidOutput as error:
                matched.not_compared[each.name] = str(error)
                self.rows.pop(each.name, None)

    def measurements(self) -> list[dict[str, Any]]:
        """One measurement for each output; its value is the largest error."""
        return [
            measurement(
                "tensor_error", {"output": name}, max(row[3] for row in rows), samples=_flat(rows), row_length=4
            )
            for name, rows in self.rows.items()
        ]


class _Tensors:
    """Anything else: every output counts alike."""

    def __init__(self, matched: Matched) -> None:
        self.matched = matched
        self._errors = _Errors()

    def add(self, _: int, reference: Outputs, variant: Outputs) -> None:
        """Compares one sample. Raises `InvalidOutput`, `Unsupported`."""
        self._errors.add(self.matched(reference, variant))

    def measurements(self) -> list[dict[str, Any]]:
        """One measurement for each output; its value is the largest error."""
        return self._errors.measurements()

    def examples(self) -> list[dict[str, Any]]:
        """The samples with the largest error of any output."""
        largest: dict[int, float] = {}
        for rows in self._errors.rows.values():
            for sample, row in enumerate(rows):
                largest[sample] = max(largest.get(sample, 0.0), row[3])
        worst = sorted(largest, key=lambda sample: -largest[sample])[:_MOST_EXAMPLES]
        return [{"sample": sample, "largest_error": largest[sample]} for sample in worst]


def _flat(rows: Sequence[Sequence[float]]) -> list[float]:
    return [number for row in rows for number in row]
