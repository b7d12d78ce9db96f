"""What a recurrent model gives at one inference and takes at the next: fed back, as an application does it.

The suite says it (`state = { stateN = "state" }`, an output and the input that takes it), else the names do: both have
one core, such as `state` and `stateN`, `h` and `hn`, `cached_len_0` and `new_cached_len_0`, `past.0.key` and
`present.0.key`, and the input is called as states are. A state that changes its shape from call to call (a cache that
grows) is no such pair: it is left as it is at the first call, and the result says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchharness.contract import EffectiveConfiguration, Session, TensorSpec
from benchharness.device.inputs.input_lengths import plain
from benchharness.device.inputs.pairing import listed, shown_shape, toml_line
from benchharness.device.inputs.state_names import called_a_state
from benchharness.errors import Unsupported

if TYPE_CHECKING:
    from benchharness.contract import Array

BY_SUITE, BY_NAMES = "suite", "names"

#: Words that tell an output from the input it becomes, and the other way round.
_GIVEN = frozenset(("new", "next", "out", "output", "updated", "present", "n"))
_TAKEN = frozenset(("in", "input", "prev", "previous", "past", "old", "init", "initial"))
_KEY_VALUES = re.compile(r"\b(past|present)_key_values(?=_|$)")


class States:
    """Which outputs become which inputs. `found` are all pairs, `carried` those whose shapes agree."""

    def __init__(self, found: Mapping[str, str], by: str) -> None:
        self.found = dict(found)
        self.by = by
        self.not_carried: dict[str, str] = {}

    @classmethod
    def of(cls, session: Session, said: Mapping[str, str] | None) -> States:
        """As the suite says (an empty table: none), else as names do. Raises `Unsupported` for names not there."""
        if said is None:
            return cls(_by_names(session.inputs, session.outputs), BY_NAMES)
        for what, specs, names in (
            ("output", session.outputs, list(said)),
            ("input", session.inputs, list(said.values())),
        ):
            missing = [name for name in names if name not in {spec.name for spec in specs}]
            if missing:
                raise Unsupported(
                    f"{toml_line('state', said)}: the model has no {what} {missing[0]!r}; it has {listed(specs)}"
                )
        return cls(said, BY_SUITE)

    @property
    def inputs(self) -> frozenset[str]:
        """The inputs that are states: zeros before the first inference."""
        return frozenset(self.found.values())

    @property
    def carried(self) -> dict[str, str]:
        """The pairs that are fed back."""
        return {given: taken for given, taken in self.found.items() if given not in self.not_carried}

    def check(self, outputs: Mapping[str, Array], inputs: Mapping[str, Array]) -> None:
        """Leaves out what does not fit, seen at the first inference. Raises `Unsupported` where the suite named it."""
        for given, taken in self.carried.items():
            gave, took = outputs[given], inputs[taken]
            if gave.shape == took.shape and gave.dtype == took.dtype:
                continue
            told = (
                f"output {given!r} is {gave.dtype} {shown_shape(gave.shape)}, and input {taken!r} was {took.dtype} "
                f"{shown_shape(took.shape)}"
            )
            if self.by == BY_SUITE:
                raise Unsupported(
                    f"{toml_line('state', {given: taken})}: {told}: what is fed back has to be alike; set lengths with "
                    "'dimensions' in the workload, or leave it out"
                )
            self.not_carried[given] = told

    def facts(self) -> dict[str, Any]:
        """For the result, JSON values."""
        return {"carried": self.carried, "by": self.by, "not_carried": self.not_carried}


class Carried:
    """A session that gives its states from one inference to the next; the first begins with those it is handed."""

    def __init__(self, session: Session, states: States) -> None:
        self._session = session
        self._states = states
        self._kept: dict[str, Array] | None = None
        self.inputs: Sequence[TensorSpec] = session.inputs
        self.outputs: Sequence[TensorSpec] = session.outputs
        self.effective: EffectiveConfiguration = session.effective

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One inference. Raises `ModelFailure`; `Unsupported` where a state that the suite names does not fit."""
        outputs = self._session.run({**inputs, **self._kept} if self._kept else inputs)
        if self._kept is None:
            self._states.check(outputs, inputs)
        self._kept = {taken: outputs[given] for given, taken in self._states.carried.items()}
        return outputs


def _by_names(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> dict[str, str]:
    """Pairs of one core, where no other output or input has it."""
    takers = [spec for spec in inputs if called_a_state(spec.name)]
    if len(takers) == len(inputs):
        return {}  # then it is what the model is about
    found: dict[str, str] = {}
    for spec in outputs:
        fitting = [each for each in takers if _may_be(spec, each)]
        rivals = [each for each in outputs for taker in fitting if each is not spec and _may_be(each, taker)]
        if len(fitting) == 1 and not rivals:
            found[spec.name] = fitting[0].name
    return found


def _may_be(given: TensorSpec, taken: TensorSpec) -> bool:
    if given.dtype != taken.dtype or not _cores(given.name, _GIVEN) & _cores(taken.name, _TAKEN):
        return False
    if not given.shape:
        return True  # unknown, as files may leave it
    return len(given.shape) == len(taken.shape) and all(
        one == other or not isinstance(one, int) or not isinstance(other, int) or min(one, other) < 0
        for one, other in zip(given.shape, taken.shape)
    )


def _cores(name: str, marks: frozenset[str]) -> set[tuple[str, ...]]:
    """What a name says without the words that tell giving from taking: `hn` and `h_n`, `h0` and `h_0` are `h`."""
    words = _KEY_VALUES.sub(r"\1", plain(name)).split("_")
    core = [word for word in words if word not in marks]
    if not core:
        return {()} if words in (["past"], ["present"]) else {tuple(words)}
    found = {tuple(core)}
    mark = "n" if marks is _GIVEN else "0"
    if len(core) > 1 and core[-1] == mark:
        found.add(tuple(core[:-1]))
    if len(core[-1]) > 1 and core[-1].endswith(mark):
        found.add((*core[:-1], core[-1][:-1]))
    return found
