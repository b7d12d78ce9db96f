"""Which of many are used where not all are: never the first ones, which are the start of one file or one class.

Pure, and the same on every machine and interpreter.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence

#: Of every random choice here.
SEED = 20_260_301


def evenly(total: int, most: int) -> list[int]:
    """At most `most` of the positions 0 to `total` - 1, in order, spread evenly from the first to the last."""
    if total <= most:
        return list(range(total))
    return [round(index * (total - 1) / max(1, most - 1)) for index in range(most)]


def by_label(labels: Sequence[Hashable], most: int, *, seed: int = SEED) -> list[int]:
    """At most `most` positions, in order, so that each label has its share of them, to within one.

    What is over after whole shares goes to the largest remainders; which positions of a label, and which of equal
    remainders, is drawn.
    """
    if len(labels) <= most:
        return list(range(len(labels)))
    drawn = random.Random(seed)
    places: dict[Hashable, list[int]] = {}
    for position, label in enumerate(labels):
        places.setdefault(label, []).append(position)
    whole = {label: most * len(found) // len(labels) for label, found in places.items()}
    over = sorted(places, key=lambda label: (-(most * len(places[label]) % len(labels)), drawn.random()))
    for label in over[: most - sum(whole.values())]:
        whole[label] += 1
    # Ordered by random numbers, of which every interpreter draws the same; `Random.sample` promises no such thing.
    picked = [sorted(found, key=lambda _: drawn.random())[: whole[label]] for label, found in places.items()]
    return sorted(position for found in picked for position in found)


def told(used: int, total: int, what: str) -> str:
    """`500 of 1797 inputs`."""
    return f"{used} of {total} {what}"
