"""Models that are no language models compared, sample by sample: classes, embeddings, or plain tensors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.device.measured import measurement
from benchharness.device.quality import sampling
from benchharness.device.quality.divergence import (
    class_distribution,
    cosine,
    divergence,
    rank_correlation,
    tensor_row,
)
from benchharness.device.quality.evaluation_data import count_samples, has_labels, known_labels, read_labels
from benchharness.device.quality.players import Player
from benchharness.errors import AttemptError, InvalidOutput, Unsupported

if TYPE_CHECKING:
    from benchharness.device.quality.conductor import Pass

    Array = np.ndarray[Any, np.dtype[Any]]
    Outputs = Mapping[str, Array]

_MOST_EXAMPLES = 20
#: All pairs of so many embeddings are compared; of more, so many, spread evenly.
_MOST_RANKED = 500
_FEWEST_RANKED = 3


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
    picked, used = _picked(path, settings["most_samples"])
    kept = {attempt: _kept(task, path, len(picked)) for attempt in made.variants}
    for number, sample in enumerate(picked):
        progress("compare", number, len(picked))
        made.tell({"type": "run", "path": str(path), "sample": sample})
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
            "measurements": [_with(each, used) for each in kept[attempt].measurements()],
            "shown": {
                "examples": [{**each, "sample": picked[each["sample"]]} for each in kept[attempt].examples()],
                "evaluated": {"inputs": [len(picked), count_samples(path)], "picked": used},
            },
        }
        for attempt in made.variants
    }


def _picked(path: Path, most: int) -> tuple[list[int], str]:
    """The samples to use, in order, and how many of how many they are: in proportion to their labels, or evenly."""
    total, labels = count_samples(path), known_labels(path)
    if labels is not None and total > most:
        picked = sampling.by_label(labels, most)
        return picked, f"{sampling.told(most, total, 'inputs')} in proportion to their labels, seed {sampling.SEED}"
    return sampling.evenly(total, most), sampling.told(min(most, total), total, "inputs")


def _with(made: dict[str, Any], used: str) -> dict[str, Any]:
    return {**made, "parameters": {"used": used, **made["parameters"]}}


def _kept(task: str | None, path: Path, total: int) -> _Classes | _Embeddings | _Tensors:
    if task == "classifier" or (task is None and has_labels(path)):
        return _Classes(path)
    return _Embeddings(total) if task == "embedding" else _Tensors()


def _pairs(reference: Outputs, variant: Outputs) -> list[tuple[str, Array, Array]]:
    """Outputs that belong together: by name, else by their order. Raises `Unsupported` where they do not match."""
    if len(reference) != len(variant):
        raise Unsupported(f"the reference has {len(reference)} outputs, and this variant {len(variant)}")
    same_names = set(reference) == set(variant)
    others = [variant[name] for name in reference] if same_names else list(variant.values())
    pairs = []
    for (name, one), other in zip(reference.items(), others):
        if one.size != other.size:
            raise Unsupported(f"output {name!r} has the shape {one.shape}, and of this variant {other.shape}")
        if one.dtype.kind in "fiu" and other.dtype.kind in "fiu":
            pairs.append((name, one, other))
    if not pairs:
        raise Unsupported("there is no output of numbers to compare")
    return pairs


def _scores(outputs: Outputs) -> Array:
    """The classes' scores: the output of numbers with most elements."""
    numeric = [array for array in outputs.values() if array.dtype.kind in "fiu" and array.size > 1]
    if not numeric:
        raise Unsupported("no output holds a score for each class")
    return max(numeric, key=lambda array: array.size).reshape(-1)


class _Classes:
    """A classifier: label, both decisions, and the divergence of the distributions, for each sample."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._labels: Array | None = None
        self._classes = 0
        self._rows: list[tuple[float, float, float, float]] = []

    def add(self, sample: int, reference: Outputs, variant: Outputs) -> None:
        """Compares one sample. Raises `InvalidOutput`, `Unsupported`."""
        one, other = _scores(reference), _scores(variant)
        if one.size != other.size:
            raise Unsupported(f"the reference tells {one.size} classes apart, and this variant {other.size}")
        if not self._rows:
            self._classes = one.size
            self._labels = read_labels(self._path, one.size)
        theirs, ours = class_distribution(one, "the reference"), class_distribution(other, "this variant")
        label = -1.0 if self._labels is None else float(self._labels[sample])
        row = (label, float(one.argmax()), float(other.argmax()), float(divergence(theirs, ours)))
        self._rows.append(row)

    def measurements(self) -> list[dict[str, Any]]:
        """One row a sample; the value is the share of samples that both classify alike."""
        rows = np.asarray(self._rows)
        agreement = float((rows[:, 1] == rows[:, 2]).mean())
        parameters = {"classes": self._classes}
        samples = rows.reshape(-1).tolist()
        return [measurement("class_decisions", parameters, agreement, samples=samples, row_length=4)]

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

    def __init__(self, total: int) -> None:
        self._total = total
        self._ranked = frozenset(sampling.evenly(total, _MOST_RANKED))
        self._cosines: list[float] = []
        self._reference: list[Array] = []
        self._variant: list[Array] = []

    def add(self, _: int, reference: Outputs, variant: Outputs) -> None:
        """Compares one sample. Raises `InvalidOutput`, `Unsupported`."""
        __, one, other = max(_pairs(reference, variant), key=lambda pair: pair[1].size)
        vectors = [np.asarray(array, np.float64).reshape(-1) for array in (one, other)]
        if not all(np.isfinite(vector).all() for vector in vectors):
            raise InvalidOutput("an embedding has NaN or infinite numbers")
        if len(self._cosines) in self._ranked:
            self._reference.append(vectors[0])
            self._variant.append(vectors[1])
        self._cosines.append(cosine(*vectors))

    def measurements(self) -> list[dict[str, Any]]:
        """The cosines, and one rank correlation."""
        mean = float(np.mean(self._cosines))
        found = [measurement("embedding_similarity", {}, mean, samples=list(self._cosines))]
        if len(self._reference) >= _FEWEST_RANKED:
            ranked = rank_correlation(np.stack(self._reference), np.stack(self._variant))
            count = len(self._reference)
            parameters: dict[str, Any] = {"samples": count}
            if count < self._total:
                parameters["used"] = sampling.told(count, self._total, "inputs compared")
            found.append(measurement("similarity_ranks", parameters, ranked))
        return found

    def examples(self) -> list[dict[str, Any]]:
        """The samples whose vectors turned most."""
        worst: Sequence[int] = np.argsort(self._cosines)[:_MOST_EXAMPLES].tolist()
        return [{"sample": sample, "cosine": self._cosines[sample]} for sample in worst]


class _Tensors:
    """Anything else: signal, noise, cosine and largest error, by output."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[float, float, float, float]]] = {}

    def add(self, _: int, reference: Outputs, variant: Outputs) -> None:
        """Compares one sample. Raises `InvalidOutput`, `Unsupported`."""
        for name, one, other in _pairs(reference, variant):
            self._rows.setdefault(name, []).append(tensor_row(one, other))

    def measurements(self) -> list[dict[str, Any]]:
        """One measurement for each output; its value is the largest error."""
        return [
            measurement(
                "tensor_error", {"output": name}, max(row[3] for row in rows), samples=_flat(rows), row_length=4
            )
            for name, rows in self._rows.items()
        ]

    def examples(self) -> list[dict[str, Any]]:
        """The samples with the largest error of any output."""
        largest: dict[int, float] = {}
        for rows in self._rows.values():
            for sample, row in enumerate(rows):
                largest[sample] = max(largest.get(sample, 0.0), row[3])
        worst = sorted(largest, key=lambda sample: -largest[sample])[:_MOST_EXAMPLES]
        return [{"sample": sample, "largest_error": largest[sample]} for sample in worst]


def _flat(rows: Sequence[Sequence[float]]) -> list[float]:
    return [number for row in rows for number in row]
