"""How long `benchharness --help` takes against an interpreter that does nothing: who asks for help waits for imports.

A round is a bare interpreter and each kind of help, in random order; fifteen rounds.
"""

from __future__ import annotations

import functools
import random
import sys

from benchmarks.bars import Bar, Finding, at_most
from benchmarks.options import Options, run_alone
from benchmarks.pairs import Round, in_random_order, median_of, ratio_of
from benchmarks.processes import load_average, run_timed

LIMIT = 9.0
ROUNDS = 15
BARE = "a bare interpreter"
#: What is asked, by how it is called.
HELP = {"--help": ["--help"], "run --help": ["run", "--help"]}


def measure(options: Options) -> Bar:
    """Ratios help / bare interpreter of wall times."""
    before, order = load_average(), random.Random(options.seed)
    rounds = [_round(order) for _ in range(ROUNDS)]
    bare = f"{BARE} {median_of(rounds, BARE) * 1e3:.0f} ms"
    findings = [
        Finding(
            label=f"benchharness {name}",
            ratio=ratio_of(rounds, name),
            per_round=[each.ratios[name] for each in rounds],
            absolute=f"{median_of(rounds, name) * 1e3:.0f} ms, {bare}",
            criterion=at_most(LIMIT),
        )
        for name in HELP
    ]
    return Bar(
        name="help",
        claim=f"help takes at most {LIMIT:g} times the start of a bare interpreter",
        findings=findings,
        conditions=[f"{ROUNDS} rounds, files in the page cache after the first"],
        load=(before, load_average()),
    )


def _round(order: random.Random) -> Round:
    commands = {BARE: ["-c", "pass"], **{name: ["-m", "benchharness", *words] for name, words in HELP.items()}}
    sides = {name: functools.partial(run_timed, [sys.executable, *words]) for name, words in commands.items()}
    walls = {name: wall_s for name, (wall_s, _) in in_random_order(sides, order).items()}
    return Round(ratios={name: walls[name] / walls[BARE] for name in HELP}, values=walls)


if __name__ == "__main__":
    run_alone(measure, description=__doc__ or "", example="python -m benchmarks.help_start")
