"""Where the operators of an interpreter's main graph run: which of them a delegate took, one by one.

After delegation the interpreter lists the operators of the file and, behind them, one `DELEGATE` node for each part of
the graph that a delegate took. Such a node names the tensors that enter and leave its part, and from these its
operators follow: whatever computes what leaves, back to what enters. An operator whose result a reader outside would
have to take from the part is outside; the few whose results nobody needs (those that write variables) are told by the
tensors that they read. Where that leaves a doubt, nothing is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchharness.errors import Unsupported
from targets.tflite.options import CPU, XNNPACK

_DELEGATE = "DELEGATE"
#: Runs another graph of the file inside the interpreter; XNNPACK takes no such operator.
_RUNS_A_GRAPH = "CALL_ONCE"
_LEFT_OUT = -1  # an optional input that is not given


@dataclass(frozen=True)
class Node:
    """An operator, or a delegate's part of the graph: its name and the tensors it reads and writes."""

    name: str
    inputs: frozenset[int]
    outputs: frozenset[int]


def count_nodes(interpreter: Any) -> int:
    """Nodes of the main graph. Raises `Unsupported` where this release does not tell."""
    try:
        return int(interpreter._interpreter.NumNodes())
    except AttributeError as error:
        raise Unsupported("this release of the runtime does not tell where operators run") from error


def parts_of(interpreter: Any, delegate: str | None, first_of_xnnpack: int) -> list[str]:
    """The delegates that took part of the main graph, in the order in which they were asked."""
    wrapped = interpreter._interpreter
    try:
        found = [number for number in range(wrapped.NumNodes()) if wrapped.NodeName(number) == _DELEGATE]
    except AttributeError:
        return []
    owners = [delegate if delegate is not None and number < first_of_xnnpack else XNNPACK for number in found]
    return list(dict.fromkeys(owners))


def read_nodes(interpreter: Any) -> list[Node]:
    """The nodes of the main graph, the delegates' last. Raises `Unsupported` where this release does not tell."""
    wrapped = interpreter._interpreter
    try:
        return [
            Node(wrapped.NodeName(index), _tensors(wrapped.NodeInputs(index)), _tensors(wrapped.NodeOutputs(index)))
            for index in range(wrapped.NumNodes())
        ]
    except AttributeError as error:
        raise Unsupported("this release of the runtime does not tell where operators run") from error


def place(
    nodes: Sequence[Node], results: frozenset[int], delegate: str | None, first_of_xnnpack: int
) -> dict[str, dict[str, int]]:
    """Operators per place: {"XNNPACK": {"CONV_2D": 5}, "CPU": {"RESHAPE": 1}}. `results` are the graph's outputs.

    `DELEGATE` nodes before the number `first_of_xnnpack` are those of `delegate`. Raises `Unsupported` for an operator
    that may have been taken or not.
    """
    operators = [node for node in nodes if node.name != _DELEGATE]
    makers = {tensor: index for index, node in enumerate(operators) for tensor in node.outputs}
    parts = [(number, node) for number, node in enumerate(nodes) if node.name == _DELEGATE]
    taken = [_needed(part, operators, makers) for _, part in parts]
    unread = _unread(operators, results.union(*(part.inputs for _, part in parts)), set().union(*taken))
    owners: dict[int, str] = {}
    for (number, part), inside in zip(parts, taken):
        owner = delegate if delegate is not None and number < first_of_xnnpack else XNNPACK
        for index in inside | _claimed(part, inside, unread, operators):
            if index in owners:
                raise Unsupported(
                    f"the runtime's list of nodes says that two delegates took one {operators[index].name}"
                )
            owners[index] = owner
    placed: dict[str, Counter[str]] = {}
    for index, node in enumerate(operators):
        placed.setdefault(owners.get(index, CPU), Counter())[node.name] += 1
    return {where: dict(counts.most_common()) for where, counts in placed.items()}


def _needed(part: Node, operators: Sequence[Node], makers: Mapping[int, int]) -> set[int]:
    """The operators that compute what leaves a part."""
    found: set[int] = set()
    waiting = set(part.outputs)
    while waiting:
        maker = makers.get(waiting.pop())
        if maker is None:
            raise Unsupported("the runtime's list of delegated parts does not fit the graph")
        if maker not in found:
            found.add(maker)
            waiting |= {tensor for tensor in operators[maker].inputs - part.inputs if tensor in makers}
    return found


def _unread(operators: Sequence[Node], read: frozenset[int], taken: set[int]) -> set[int]:
    """Operators outside every part as far as is known, whose results nobody outside is known to read."""
    unread: set[int] = set()
    needed = set(read)
    for index in reversed(range(len(operators))):  # the file lists an operator before those that read its results
        if index in taken:
            continue
        if operators[index].outputs & needed or operators[index].name == _RUNS_A_GRAPH:
            needed |= operators[index].inputs
        else:
            unread.add(index)
    return unread


def _claimed(part: Node, inside: set[int], unread: set[int], operators: Sequence[Node]) -> set[int]:
    """Which of the unread operators a part holds. Raises `Unsupported` for one that it may hold or not."""
    made = {tensor for index in inside for tensor in operators[index].outputs}
    possible: set[int] = set()
    for index in sorted(unread):
        if operators[index].inputs <= part.inputs | made:
            possible.add(index)
            made |= operators[index].outputs
    explained = {tensor for index in inside for tensor in operators[index].inputs}
    claimed: set[int] = set()
    for tensor in (part.inputs - explained) | (made - part.outputs):
        readers = {index for index in possible if tensor in operators[index].inputs}
        if len(readers) == 1 or tensor not in part.inputs:  # what does not leave the part is read inside it
            claimed |= readers
    if possible - claimed:
        name = operators[min(possible - claimed)].name
        raise Unsupported(f"whether a delegate took {name} cannot be told: nobody reads its result")
    return claimed


def _tensors(numbers: Any) -> frozenset[int]:
    return frozenset(int(number) for number in numbers) - {_LEFT_OUT}
