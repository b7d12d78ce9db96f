"""Speech: word and character error rates by jiwer, after a normaliser that the result tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchharness.scenarios.task.datasets import shown
from benchharness.scenarios.task.datasets.card import Card
from benchharness.scenarios.task.sets import LOWER, Measure, Scores, TaskFailed

_LONGEST = 100_000


def word_errors(card: Card, documents: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> Scores:
    """Words put in, left out and put for others, over the words that were said."""
    import jiwer

    return _errors(card, documents, answers, "wer", jiwer.process_words)


def character_errors(card: Card, documents: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> Scores:
    """The same of characters."""
    import jiwer

    return _errors(card, documents, answers, "cer", jiwer.process_characters)


def _errors(
    card: Card,
    documents: Sequence[Mapping[str, Any]],
    answers: Sequence[Any],
    name: str,
    aligned: Callable[[str, str], Any],
) -> Scores:
    import jiwer

    normalised = _normaliser(card.normaliser)
    errors, said, told = [], [], []
    for document, answer in zip(documents, answers, strict=True):
        if not isinstance(answer, str):
            raise TaskFailed(
                f"an answer of speech is a text, and this one is {type(answer).__name__}; name a function that makes a "
                "text of what the model gives (after, in the card)"
            )
        target, heard = normalised(str(document[card.column("text")])), normalised(answer[:_LONGEST])
        if not target:
            raise TaskFailed("a document has no words once it is normalised, and a rate of none is no number")
        found = aligned(target, heard)
        errors.append(float(found.substitutions + found.deletions + found.insertions))
        said.append(float(found.hits + found.substitutions + found.deletions))
        told.append(shown(card, document, target, heard))
    steps = ", ".join(card.normaliser) or "none"
    return Scores(
        documents=told,
        measures=[Measure(name=name, better=LOWER, totals=errors, weights=said)],
        told={"normaliser": steps, "by": f"jiwer {_version(jiwer)}"},
    )


def _normaliser(steps: Sequence[str]) -> Callable[[str], str]:
    """What is done to both texts before they are compared."""
    import jiwer

    made = {
        "lower": jiwer.ToLowerCase(),
        "punctuation": jiwer.RemovePunctuation(),
        "spaces": jiwer.Compose([jiwer.RemoveMultipleSpaces(), jiwer.Strip()]),
    }
    whole = jiwer.Compose([made[step] for step in steps]) if steps else str
    return lambda text: str(whole(text)) if text else ""


def _version(package: Any) -> str:
    from importlib.metadata import version

    return version(package.__name__)
