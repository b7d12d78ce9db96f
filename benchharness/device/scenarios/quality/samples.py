"""Models that are no language models compared, sample by sample: classes, embeddings, or plain tensors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchharness.device.measured import measurement, raw_rows
from benchharness.device.scenarios.quality import sampling
from benchharness.device.scenarios.quality.chosen import Label, OneScore, Scores
from benchharness.device.scenarios.quality.codes import meant_by
from benchharness.device.scenarios.quality.divergence import (
    Compared,
    cosine,
    no_direction,
    rank_correlation,
    tensor_row,
)
from benchharness.device.scenarios.quality.evaluation_data import count_samples, has_labels, known_labels, read_labels
from benchharness.device.scenarios.quality.matching import EMBEDDING, SCORES, Matched, OutputPair
from benchharness.device.scenarios.quality.scorer_process import ScorerProcess
from benchharness.device.scenarios.quality.scores import Decision, Divergences, decide
from benchharness.errors import AttemptError, InvalidOutput, Unsupported
from benchharness.records import (
    CLASS_DECISIONS,
    CLASS_DIVERGENCE,
    EMBEDDING_SIMILARITY,
    TENSOR_ERROR,
    ClassDivergenceRow,
    DecisionRow,
    TensorRow,
)

if TYPE_CHECKING:
    from benchharness.device.scenarios.quality.conductor import Pass

    Array = np.ndarray[Any, np.dtype[Any]]
    Outputs = Mapping[str, Array]

_MOST_EXAMPLES = 20
#: All pairs of so many embeddings are compared; of more, so many, spread evenly.
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
    picked, used = _picked(path, settings["most_samples"])
    fed = {
        "values": data.get("values"),
        "layouts": data.get("layouts"),
        "codes": meant_by(made, path, data.get("values")),
    }
    kept = {
        attempt: _kept(task, path, len(picked), _Sides(_Word.of(data, task), made.reference, scorer))
        for attempt, scorer in made.variants.items()
    }
    for number, sample in enumerate(picked):
        progress("compare", number, len(picked))
        made.tell({"type": "run", "path": str(path), "sample": sample, "data": fed})
        reference = made.of_reference(ScorerProcess.arrays)
        answers = made.of_each(ScorerProcess.arrays)
        began_ns = time.perf_counter_ns()
        for attempt, outputs in answers.items():
            try:
                with _naming(made.reference, made.variants[attempt]):
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
                "tensors": _told_of(scorer, made.reference, kept[attempt].matched),
                **kept[attempt].told(),
            },
            "of_reference": {"tensors": made.reference.told.get("fed", {})},
        }
        for attempt, scorer in made.variants.items()
    }


@contextmanager
def _naming(reference: ScorerProcess, variant: ScorerProcess) -> Iterator[None]:
    """Around a comparison: a refusal tells of outputs that are no tensors, too."""
    try:
        yield
    except Unsupported as error:
        told = [
            f"output {name!r} of {whose} is {what}"
            for scorer, whose in ((reference, "the reference"), (variant, "this variant"))
            for name, what in _no_tensors(scorer).items()
        ]
        raise (Unsupported(f"{error}; {', '.join(told)}: no tensor to compare") if told else error) from error


def _no_tensors(scorer: ScorerProcess) -> Mapping[str, str]:
    told = scorer.told.get("no_tensors")
    return told if isinstance(told, Mapping) else {}


def _told_of(scorer: ScorerProcess, reference: ScorerProcess, matched: Matched) -> dict[str, Any]:
    """How inputs were fed and outputs matched; what is no tensor is compared with nothing."""
    facts = matched.facts()
    for name, what in {**_no_tensors(reference), **_no_tensors(scorer)}.items():
        facts["not_compared"].setdefault(name, f"is {what}")
    return {**scorer.told.get("fed", {}), **facts}


def _picked(path: Path, most: int) -> tuple[list[int], str]:
    """The samples to use, in order, and how many of how many they are: in proportion to their labels, or evenly."""
    total, labels = count_samples(path), known_labels(path)
    if labels is not None and total > most:
        picked = sampling.by_label(labels, most)
        return picked, f"{sampling.told(most, total, 'inputs')} in proportion to their labels, seed {sampling.SEED}"
    return sampling.evenly(total, most), sampling.told(min(most, total), total, "inputs")


def _with(made: dict[str, Any], used: str) -> dict[str, Any]:
    return {**made, "parameters": {"used": used, **made["parameters"]}}


class _Word(NamedTuple):
    """What the suite says of a classifier."""

    scores: str | None
    threshold: float | None
    classifier: bool

    @classmethod
    def of(cls, data: Mapping[str, Any], task: str | None) -> _Word:
        """From a quality order."""
        return cls(data.get("scores"), data.get("threshold"), task == "classifier")


class _Sides(NamedTuple):
    """The reference and a variant, and the suite's word on what they are."""

    said: _Word
    reference: ScorerProcess
    variant: ScorerProcess

    def matched(self, role: str | None = None, most_label: int = -1) -> Matched:
        """Their outputs, by what the suite says of each side's tensors."""
        states = self.reference.opened.get("states") or ()
        return Matched(self.reference.tensors, self.variant.tensors, role, most_label, states)

    def answers(self, own_names: tuple[str, str], scores: OutputPair) -> Scores | OneScore | Label:
        """What the output that is meant holds; `own_names` are the two outputs'."""
        last = [_last_operator(scorer, name) for scorer, name in zip((self.reference, self.variant), own_names)]
        size, threshold = scores.reference.size, self.said.threshold
        if size == 1 and scores.reference.dtype.kind != "f":
            return Label(threshold)
        if size == 1:
            return OneScore(self.said.scores, *last, threshold=threshold, classifier=self.said.classifier)
        return Scores(decide(self.said.scores, *last), size, threshold)


def _last_operator(scorer: ScorerProcess, output: str) -> str | None:
    told = scorer.opened.get("last_operators")
    return told.get(output) if isinstance(told, Mapping) else None


def _kept(task: str | None, path: Path, total: int, sides: _Sides) -> _Classes | _Embeddings | _Tensors:
    """What is kept of one variant."""
    if task == "classifier" or (task is None and has_labels(path)):
        return _Classes(path, sides)
    if task == "embedding":
        return _Embeddings(total, sides.matched(EMBEDDING))
    return _Tensors(sides.matched())


def _most_label(path: Path) -> int:
    """The largest label, -1 where there are none. Labels that cannot be are told where they are read for good."""
    try:
        labels = read_labels(path, _MOST_CLASSES)
    except Unsupported:
        return -1
    return -1 if labels is None else int(labels.max(initial=-1))


class _Classes:
    """A classifier: label and both decisions for each sample, and how far the scores are apart."""

    def __init__(self, path: Path, sides: _Sides) -> None:
        self.matched = sides.matched(SCORES, _most_label(path))
        self._sides = sides
        self._path = path
        self._others = _Errors()
        self._labels: Array | None = None
        self._answers: Scores | OneScore | Label | None = None
        self._divergences: Divergences | None = None
        self._rows: list[DecisionRow] = []

    def add(self, sample: int, reference: Outputs, variant: Outputs) -> None:
        """Compares one sample. Raises `InvalidOutput`, `Unsupported`."""
        (scores, *others) = self.matched(reference, variant)
        if self._answers is None or self._divergences is None:
            self._answers = self._sides.answers(self.matched.own_names(scores.name), scores)
            self._labels = read_labels(self._path, self._answers.classes or _MOST_CLASSES)
            self._divergences = Divergences(self._answers.decision)
        sides = [self._answers.of(each.reshape(-1), whose) for whose, each in enumerate(scores[1:])]
        self._divergences.add(sides[0].scores, sides[1].scores)
        label = -1.0 if self._labels is None else float(self._labels[sample])
        self._rows.append(DecisionRow(label, *(float(side.chosen) for side in sides)))
        self._others.add_those_that_are_numbers(others, self.matched)

    def measurements(self) -> list[dict[str, Any]]:
        """The decisions, one row a sample, whose value is the share that both classify alike; then the divergences."""
        agreement = float(np.mean([row.reference == row.variant for row in self._rows]))
        assert self._answers is not None
        parameters: dict[str, Any] = self._answers.parameters()
        found = [raw_rows(CLASS_DECISIONS, parameters, agreement, CLASS_DECISIONS.flat(self._rows))]
        decision, compared = self._decided()
        if compared:
            mean = float(np.mean([each.divergence for each in compared]))
            parameters = {**parameters, "scores": decision.are, "decided": decision.by}
            apart = [ClassDivergenceRow(each.divergence, each.total_variation, each.pooled) for each in compared]
            found.append(raw_rows(CLASS_DIVERGENCE, parameters, mean, CLASS_DIVERGENCE.flat(apart)))
        return [*found, *self._others.measurements()]

    def told(self) -> dict[str, Any]:
        """What the scores were taken for, by what, and why no divergence follows where none does."""
        decision, _ = self._decided()
        return {"scores": {"are": decision.are, "by": decision.by, "why_not": decision.why_not}}

    def examples(self) -> list[dict[str, Any]]:
        """Where the two disagree, the worst first; and how far apart their scores are, where that is known."""
        _, compared = self._decided()
        apart = [each.total_variation for each in compared] or [0.0] * len(self._rows)
        numbered = [
            (apart[sample], sample, row) for sample, row in enumerate(self._rows) if row.reference != row.variant
        ]
        return [
            {
                "sample": sample,
                "label": int(row.label) if row.label >= 0 else None,
                "reference": int(row.reference),
                "variant": int(row.variant),
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

    def __init__(self, total: int, matched: Matched) -> None:
        self.matched = matched
        self._others = _Errors()
        self._total = total
        self._ranked = frozenset(sampling.evenly(total, _MOST_RANKED))
        self._cosines: list[float] = []
        self._reference: list[Array] = []
        self._variant: list[Array] = []

    def add(self, _: int, reference: Outputs, variant: Outputs) -> None:
        """Compares one sample. Raises `InvalidOutput`, `Unsupported`."""
        (embedding, *others) = self.matched(reference, variant)
        vectors = [np.asarray(each, np.float64).reshape(-1) for each in (embedding.reference, embedding.variant)]
        if not all(np.isfinite(vector).all() for vector in vectors):
            raise InvalidOutput("an embedding has NaN or infinite numbers")
        if no_direction(vectors[0], vectors[1]):
            whose = "this variant's" if vectors[0].any() else "the reference's"
            raise InvalidOutput(f"{whose} embedding is all zeros, and has no direction")
        if len(self._cosines) in self._ranked:
            self._reference.append(vectors[0])
            self._variant.append(vectors[1])
        self._cosines.append(cosine(*vectors))
        self._others.add_those_that_are_numbers(others, self.matched)

    def measurements(self) -> list[dict[str, Any]]:
        """The cosines, and one rank correlation."""
        mean = float(np.mean(self._cosines))
        found = [raw_rows(EMBEDDING_SIMILARITY, {}, mean, self._cosines)]
        if len(self._reference) >= _FEWEST_RANKED:
            ranked = rank_correlation(np.stack(self._reference), np.stack(self._variant))
            if ranked is not None:  # one that tells no pair from another has no order
                count = len(self._reference)
                parameters: dict[str, Any] = {"samples": count}
                if count < self._total:
                    parameters["used"] = sampling.told(count, self._total, "inputs compared")
                found.append(measurement("similarity_ranks", parameters, ranked))
        return [*found, *self._others.measurements()]

    def examples(self) -> list[dict[str, Any]]:
        """The samples whose vectors turned most."""
        worst: Sequence[int] = np.argsort(self._cosines)[:_MOST_EXAMPLES].tolist()
        return [{"sample": sample, "cosine": self._cosines[sample]} for sample in worst]

    def told(self) -> dict[str, Any]:
        """Nothing else."""
        return {}


class _Errors:
    """Signal, noise, cosine and largest error of outputs, by output."""

    def __init__(self) -> None:
        self.rows: dict[str, list[TensorRow]] = {}

    def add(self, outputs: Sequence[OutputPair]) -> None:
        """Compares one sample. Raises `InvalidOutput`."""
        for each in outputs:
            self.rows.setdefault(each.name, []).append(tensor_row(each.reference, each.variant))

    def add_those_that_are_numbers(self, outputs: Sequence[OutputPair], matched: Matched) -> None:
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
            raw_rows(TENSOR_ERROR, {"output": name}, max(row.largest_error for row in rows), TENSOR_ERROR.flat(rows))
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
                largest[sample] = max(largest.get(sample, 0.0), row.largest_error)
        worst = sorted(largest, key=lambda sample: -largest[sample])[:_MOST_EXAMPLES]
        return [{"sample": sample, "largest_error": largest[sample]} for sample in worst]

    def told(self) -> dict[str, Any]:
        """Nothing else."""
        return {}
