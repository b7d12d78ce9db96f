"""The best compression of the demo model under limits on speed and size, looked for by Optuna and measured here.

`python examples/search/search.py` asks Optuna for recipes (bits, block size, a block of layers that is left as it is),
makes each variant, lets `benchharness.search.measure` say what it costs, and tells Optuna. Least divergence from the
original wins, of those that keep the limits; and it is measured again before anybody believes it. See README.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna

from benchharness.compress import RECIPES, Recipe
from benchharness.compress.making import open_workshop
from benchharness.compress.parts import By, Part, parts_of
from benchharness.results.result import VerdictKind
from benchharness.search import Measured, measure
from benchharness.terminal.progress import watch

DEMO = Path(__file__).parents[1] / "demo_model"
ORIGINAL = DEMO / "artefacts" / "onnx-fp32"
#: What is made as small as can be within the limits: how far a variant's answers are from the original's.
OBJECTIVE = "kld"
#: What is noisy, and has a limit.
LIMITED = "tpot"
NOTHING = "nothing"


@dataclass(frozen=True)
class Choice:
    """A point of the search space. `left`: the part of the model that is not compressed."""

    bits: int
    block: int
    left: str = NOTHING

    def __str__(self) -> str:
        return f"int{self.bits}, blocks of {self.block}, leaves {self.left}"


@dataclass(frozen=True)
class Tried:
    """What became of a trial."""

    choice: Choice
    measured: Measured


class NotMadeError(Exception):
    """A choice of which the tools make no variant; the search goes on without it."""


#: Says what a choice costs; `again`: as if nobody had asked before. Raises `NotMadeError`.
Oracle = Callable[[Choice, bool], Measured]
Tell = Callable[[str], None]


def suggested(trial: optuna.Trial, parts: Sequence[str]) -> Choice:
    """A point of the search space: there are 2 x 4 x (parts + 1)."""
    return Choice(
        bits=trial.suggest_categorical("bits", [4, 8]),
        block=trial.suggest_categorical("block", [16, 32, 64, 128]),
        left=trial.suggest_categorical("left", [NOTHING, *parts]),
    )


def search(study: optuna.Study, oracle: Oracle, parts: Sequence[str], trials: int, tell: Tell = print) -> list[Tried]:
    """Asks, measures, tells. Of a noisy figure Optuna is told its worst end, as an objective and as a constraint."""
    tried = []
    for _ in range(trials):
        trial = study.ask()
        choice = suggested(trial, parts)
        try:
            measured = oracle(choice, False)
        except NotMadeError as error:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            tell(f"{trial.number:3}  {choice}: not made, {error}")
            continue
        for budget, violation in measured.constraints.items():
            trial.set_constraint(budget, violation)
        if measured.failure:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:  # infinite where measuring ended before it was known: the constraints say how far off that is
            study.tell(trial, measured.at_worst(OBJECTIVE))
        tried.append(Tried(choice, measured))
        tell(f"{trial.number:3}  {choice}: {outcome(measured)}")
    return tried


def outcome(measured: Measured) -> str:
    """A trial in a line."""
    figures = [f"{name} {shown(measured, name)}" for name in (LIMITED, OBJECTIVE)]
    kept = {kind: [each.budget for each in measured.margins if each.kind is kind] for kind in VerdictKind}
    missed, undecided = (", ".join(kept[kind]) for kind in (VerdictKind.MISS, VerdictKind.UNDECIDED))
    ended = f"not kept: {missed}" if missed else f"undecided: {undecided}" if undecided else "keeps every limit"
    how = "known already" if measured.cached else measured.stopped or f"{measured.attempts} attempts"
    return "; ".join([*(each for each in figures if "unknown" not in each), measured.failure or ended, how])


def shown(measured: Measured, metric: str) -> str:
    """A figure with its interval, times in ms."""
    found, scale = measured.figure(metric), 1e6 if metric == LIMITED else 1.0
    if found.value is None or found.low is None or found.high is None:
        return f"unknown ({found.reason})"
    unit = " ms" if metric == LIMITED else ""
    return f"{found.value / scale:.4g}{unit} [{found.low / scale:.4g}, {found.high / scale:.4g}]"


def winners(tried: Sequence[Tried]) -> list[Tried]:
    """Those that keep every limit, the best first, each artefact once."""
    keeping = {each.measured.digest: each for each in tried if each.measured.keeps}
    return sorted(keeping.values(), key=lambda each: each.measured.at_worst(OBJECTIVE))


def believed(tried: Sequence[Tried], oracle: Oracle, tell: Tell = print) -> Tried | None:
    """The best that keeps every limit twice: once when it was chosen for how well it read, and once more."""
    for each in winners(tried):
        second = oracle(each.choice, True)
        tell(f"winner: {each.choice}")
        for when, measured in (("first", each.measured), ("again", second)):
            tell(f"  {when}: {LIMITED} {shown(measured, LIMITED)}, {OBJECTIVE} {shown(measured, OBJECTIVE)}")
        if second.keeps:
            tell("  it keeps every limit again: the second figure is the one to quote")
            return replace(each, measured=second)
        tell(f"  not believed: {outcome(second)}")
    tell("no variant keeps every limit twice")
    return None


class Demo:
    """The demo model's variants, made as they are asked for, and what measures them."""

    def __init__(self, out: Path, budgets: Mapping[str, Any], attempts: int, store: str | None) -> None:
        self._workshop = open_workshop(ORIGINAL, out)
        self._parts = {part.name: part for part in parts_of(self._workshop.weights, By.BLOCK)}
        self._budgets, self._attempts, self._store = budgets, attempts, store

    @property
    def parts(self) -> list[str]:
        return list(self._parts)

    def oracle(self, choice: Choice, again: bool) -> Measured:
        """Makes a variant, or keeps that of before, and measures it."""
        (made,) = self._workshop.make_all([recipe_of(choice, self._parts.get(choice.left))])
        if made.path is None:
            raise NotMadeError(made.failure)
        asked = suite_of(made.path, self._attempts)
        return measure(asked, self._budgets, store=self._store, again=again, watching=watch(stderr=True))


def recipe_of(choice: Choice, left: Part | None) -> Recipe:
    """One of benchharness's recipes with another block size, which keeps its hands off one part."""
    usual = RECIPES[f"onnx-int{choice.bits}-block32"]
    but = f"-but-{left.name.replace('/', '.').strip('.')}" if left else ""
    return replace(
        usual,
        name=f"int{choice.bits}-block{choice.block}{but}",
        of=usual.name,
        settings={**usual.settings, "block_size": choice.block},
        left=left.weights if left else (),
        description=str(choice),
        default=False,
    )


def suite_of(artefact: Path, attempts: int) -> dict[str, Any]:
    """What is asked of a variant. The original is what it is held against, and no limit is on it."""
    original = {"artefact": str(ORIGINAL), "ships": False}
    return {
        "name": "search",
        "models": {
            "demo": {
                "task": "causal-lm",
                "evaluation": str(DEMO / "heldout.txt"),
                "reference": "original",
                "variants": {"original": original, "candidate": {"artefact": str(artefact)}},
            }
        },
        "configurations": [{"runtime": "onnxruntime", "threads": 1}],
        "workloads": [{"name": "verse", "prompt": {"tokens": 32}, "output_tokens": 64}],
        "scenarios": {"steady": {}, "quality": {"most_chunks": 8, "continuation_prompts": 0}},
        "attempts": {"at_least": attempts},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The whole search. 0 where a winner is believed, 1 where none is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--attempts", type=int, default=6, help="fresh processes for a variant that may be kept")
    parser.add_argument("--tpot", help='limit on the time per token, such as "0.5 ms" [1.25 times the original\'s]')
    parser.add_argument("--size", default="1.15 MB", help="limit on the artefact")
    parser.add_argument("--out", type=Path, default=Path("build/search"), help="where variants are made")
    parser.add_argument("--store", help="where runs are kept [the user's own]")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Against the original, which runs beside it in the same rounds: a machine that drifts, drifts for both.
    limits = {LIMITED: asked.tpot or {"worse_by": "25 %", "against": "reference"}, "size": asked.size}
    demo = Demo(asked.out, limits, asked.attempts, asked.store)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=asked.seed, n_startup_trials=8))
    tried = search(study, demo.oracle, demo.parts, asked.trials)
    artefacts = len({each.measured.digest for each in tried})
    known = sum(each.measured.cached for each in tried)
    print(f"{len(study.trials)} trials, {artefacts} artefacts; {known} known already")
    return 0 if believed(tried, demo.oracle) else 1


if __name__ == "__main__":
    sys.exit(main())
