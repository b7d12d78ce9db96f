"""Models that are no language models compared, sample by sample: classes, embeddings, or plain tensors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchharness.device.measured import measurement
from benchharness.device.quality.divergence import Compared, cosine, no_direction, rank_correlation, tensor_row
from benchharness.device.quality.evaluation_data import count_samples, has_labels, read_labels
from benchharness.device.quality.players import Player
from benchharness.device.quality.scores import Decision, Divergences, decide
from benchharness.errors import AttemptError, InvalidOutput, Unsupported

if TYPE_CHECKING:
    from benchharness.device.quality.conductor import Pass

    Array = np.ndarray[Any, np.dtype[Any]]
    Outputs = Mapping[str, Array]

_MOST_EXAMPLES = 20
#: All pairs of so many embeddings are compared; of more, the first.
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
    total = min(count_samples(path), settings["most_samples"])
    kept = {
        attempt: _kept(task, path, _Ends(data.get("scores"), _ends_of(made.reference), _ends_of(player)))
        for attempt, player in made.variants.items()
    }
    for sample in range(total):
        progress("compare", sample, total)
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
            "measurements": kept[attempt].measurements(),
            "shown": {"examples": kept[attempt].examples(), **kept[attempt].told()},
        }
        for attempt in made.variants
    }


class _Ends(NamedTuple):
    """What is known of the scores before any is seen: the suite's word, and by output the graphs' last operators."""

    said: str | None
    reference: Mapping[str, str]
    variant: Mapping[str, str]


def _ends_of(player: Player) -> Mapping[str, str]:
    told = player.opened.get("last_operators")
    return told if isinstance(told, Mapping) else {}


def _kept(task: str | None, path: Path, ends: _Ends) -> _Classes | _Embeddings | _Tensors:
    if task == "classifier" or (task is None and has_labels(path)):
        return _Classes(path, ends)
    return _Embeddings() if task == "embedding" else _Tensors()


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


def _scores(outputs: Outputs) -> tuple[str, Array]:
    """The classes' scores, with their output's name: the output of numbers with most elements."""
    numeric = [(name, array) for name, array in outputs.items() if array.dtype.kind in "fiu" and array.size > 1]
    if not numeric:
        raise Unsupported("no output holds a score for each class")
    name, found = max(numeric, key=lambda each: each[1].size)
    return name, found.reshape(-1)


class _Classes:
    """A classifier: label and both decisions for each sample, and how far the scores are apart."""

    def __init__(self, path: Path, ends: _Ends) -> None:
        self._path = path
        self._ends = ends
        self._labels: Array | None = None
        self._classes = 0
        self._divergences: Divergences | None = None
        self._rows: list[tuple[float, float, float]] = []

    def add(self, sample: int, reference: Outputs, variant: Outputs) -> None:
        """Compares one sample. Raises `InvalidOutput`, `Unsupported`."""
        (name, one), (other_name, other) = _scores(reference), _scores(variant)
        if one.size != other.size:
            raise Unsupported(f"the reference tells {one.size} classes apart, and this variant {other.size}")
        if self._divergences is None:
            self._classes = one.size
            self._labels = read_labels(self._path, one.size)
            operators = self._ends.reference.get(name), self._ends.variant.get(other_name)
            self._divergences = Divergences(decide(self._ends.said, *operators))
        self._divergences.add(one, other)
        label = -1.0 if self._labels is None else float(self._labels[sample])
        self._rows.append((label, float(one.argmax()), float(other.argmax())))

    def measurements(self) -> list[dict[str, Any]]:
        """The decisions, one row a sample, whose value is the share that both classify alike; then the divergences."""
        rows = np.asarray(self._rows)
        agreement = float((rows[:, 1] == rows[:, 2]).mean())
        parameters: dict[str, Any] = {"classes": self._classes}
        found = [measurement("class_decisions", parameters, agreement, samples=_flat(self._rows), row_length=3)]
        decision, compared = self._decided()
        if compared:
            mean = float(np.mean([each.divergence for each in compared]))
            parameters = {**parameters, "scores": decision.are, "decided": decision.by}
            found.append(
                measurement(
                    "class_divergence", parameters, mean, samples=_flat([each[:3] for each in compared]), row_length=3
                )
            )
        return found

    def told(self) -> dict[str, Any]:
        """What the scores were taken for, by what, and why no divergence follows where none does."""
        decision, _ = self._decided()
        return {"scores": {"are": decision.are, "by": decision.by, "why_not": decision.why_not}}

    def examples(self) -> list[dict[str, Any]]:
        """Where the two disagree, the worst first; and how far apart their scores are, where that is known."""
        _, compared = self._decided()
        apart = [each.total_variation for each in compared] or [0.0] * len(self._rows)
        numbered = [(apart[sample], sample, row) for sample, row in enumerate(self._rows) if row[1] != row[2]]
        return [
            {
                "sample": sample,
                "label": int(row[0]) if row[0] >= 0 else None,
                "reference": int(row[1]),
                "variant": int(row[2]),
                **({"kld": compared[sample].divergence, "pooled": compared[sample].pooled} if compared else {}),
                **({"total_variation": compared[sample].total_variation} if compared else {}),
            }
            for _, sample, row in sorted(numbered, reverse=True)[:_MOST_EXAMPLES]
        ]

    def _decided(self) -> tuple[Decision, Sequence[Compared]]:
        assert self._divergences is not None
        return self._divergences.decided()


class _Embeddings:
    """An embedding: the cosine of both vectors of each sample, and whether neighbours stay neighbours."""

    def __init__(self) -> None:
        self._cosines: list[float] = []
        self._reference: list[Array] = []
        self._variant: list[Array] = []

    def add(self, _: int, reference: Outputs, variant: Outputs) -> None:
        """Compares one sample. Raises `InvalidOutput`, `Unsupported`."""
        __, one, other = max(_pairs(reference, variant), key=lambda pair: pair[1].size)
        vectors = [np.asarray(array, np.float64).reshape(-1) for array in (one, other)]
        if not all(np.isfinite(vector).all() for vector in vectors):
            raise InvalidOutput("an embedding has NaN or infinite numbers")
        if no_direction(vectors[0], vectors[1]):
            whose = "this variant's" if vectors[0].any() else "the reference's"
            raise InvalidOutput(f"{whose} embedding is all zeros, and has no direction")
        self._cosines.append(cosine(*vectors))
        if len(self._reference) < _MOST_RANKED:
            self._reference.append(vectors[0])
            self._variant.append(vectors[1])

    def measurements(self) -> list[dict[str, Any]]:
        """The cosines, and one rank correlation."""
        mean = float(np.mean(self._cosines))
        found = [measurement("embedding_similarity", {}, mean, samples=list(self._cosines))]
        if len(self._reference) >= _FEWEST_RANKED:
            ranked = rank_correlation(np.stack(self._reference), np.stack(self._variant))
            if ranked is not None:  # one that tells no pair from another has no order
                found.append(measurement("similarity_ranks", {"samples": len(self._reference)}, ranked))
        return found

    def examples(self) -> list[dict[str, Any]]:
        """The samples whose vectors turned most."""
        worst: Sequence[int] = np.argsort(self._cosines)[:_MOST_EXAMPLES].tolist()
        return [{"sample": sample, "cosine": self._cosines[sample]} for sample in worst]

    def told(self) -> dict[str, Any]:
        """Nothing else."""
        return {}


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

    def told(self) -> dict[str, Any]:
        """Nothing else."""
        return {}


def _flat(rows: Sequence[Sequence[float]]) -> list[float]:
    return [number for row in rows for number in row]
