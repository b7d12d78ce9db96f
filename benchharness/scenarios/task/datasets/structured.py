"""What a program has to read of a model's answer: JSON that fits a schema, calls of tools that are exactly right."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from benchharness.scenarios.task.datasets import shown
from benchharness.scenarios.task.datasets.card import Card
from benchharness.scenarios.task.sets import HIGHER, Measure, Scores, TaskFailed

_NOTHING = object()


def fitting(card: Card, documents: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> Scores:
    """`valid`: the whole answer is JSON and fits the schema. `exact`: it is the `target`, where every document has one.

    Nothing is taken out of an answer: a program that reads it would not either. Raises `TaskFailed`.
    """
    import jsonschema
    from jsonschema_specifications import REGISTRY  # nothing that a schema refers to is fetched

    valid, exact, told = [], [], []
    target_column = card.column("target")
    for document, answer in zip(documents, answers, strict=True):
        schema = document.get(card.column("schema"), card.schema)
        if schema is None:
            raise TaskFailed('a document has no schema, and the card has none: write schema = "schema.json" there')
        try:
            checker = jsonschema.validators.validator_for(schema)
            checker.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise TaskFailed(f"the schema is none: {error.message[:300]}") from error
        said = _parsed(answer)
        valid.append(float(said is not _NOTHING and checker(schema, registry=REGISTRY).is_valid(said)))
        exact.append(float(said is not _NOTHING and _same(said, document.get(target_column, _NOTHING))))
        told.append(shown(card, document, json.dumps(document.get(target_column, schema)), _text(answer)))
    ones = [1.0] * len(valid)
    measures = [Measure(name="valid", better=HIGHER, totals=valid, weights=ones)]
    if all(target_column in each for each in documents):
        measures.append(Measure(name="exact", better=HIGHER, totals=exact, weights=ones))
    return Scores(documents=told, measures=measures, told={"by": "jsonschema"})


def called(card: Card, documents: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> Scores:
    """`exact`: the answer is the calls that are right, in their order. `names`: it calls the right tools.

    A call is `{"name": …, "arguments": {…}}`; an answer is one, or a list of them, as JSON. Raises `TaskFailed`.
    """
    exact, names, told = [], [], []
    for document, answer in zip(documents, answers, strict=True):
        wanted = _calls(document[card.column("calls")])
        if wanted is None:
            raise TaskFailed('a document\'s calls are none: each is {"name": "…", "arguments": {…}}')
        given = _calls(_parsed(answer))
        exact.append(float(given is not None and _same(given, wanted)))
        names.append(float(given is not None and [each["name"] for each in given] == [each["name"] for each in wanted]))
        told.append(shown(card, document, json.dumps(wanted), _text(answer)))
    ones = [1.0] * len(exact)
    return Scores(
        documents=told,
        measures=[
            Measure(name="exact", better=HIGHER, totals=exact, weights=ones),
            Measure(name="names", better=HIGHER, totals=names, weights=ones),
        ],
    )


def _parsed(answer: Any) -> Any:
    """What an answer says as JSON; what an `after` has parsed already is taken as it is."""
    if not isinstance(answer, str):
        return answer
    try:
        return json.loads(answer, parse_constant=_refused)
    except (ValueError, RecursionError):
        return _NOTHING


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _calls(said: Any) -> list[dict[str, Any]] | None:
    listed = said if isinstance(said, list) else [said]
    calls = []
    for each in listed:
        if not isinstance(each, Mapping) or set(each) != {"name", "arguments"}:
            return None
        if not isinstance(each["name"], str) or not isinstance(each["arguments"], Mapping):
            return None
        calls.append({"name": each["name"], "arguments": dict(each["arguments"])})
    return calls


def _same(one: Any, other: Any) -> bool:
    """Whether both are the same JSON: 1 and 1.0 are, 1 and true are not, and the order of keys says nothing."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(*pair) for pair in zip(one, other, strict=True))
    return type(one) is type(other) and one == other if isinstance(one, str) else one == other


def _text(answer: Any) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer, default=str)
