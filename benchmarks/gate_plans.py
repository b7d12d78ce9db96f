"""What campaigns of gates are made of: which two builds each kind compares, how many gates of it, in which order.

A plan is fixed before its first gate. Its kinds are shuffled by its own seed, and its lines stand in a file of its own:
a plan that comes later disturbs none that has begun.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchharness.errors import UsageError
from benchmarks.dilated.dilated_onnx import SHARE, SIZE, shared_numbers

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "examples" / "demo_model"
DILATED = ROOT / "benchmarks" / "dilated"
#: Of the demo model's process: some 100 MB, of which the candidate holds so many more bytes.
_PERCENT_BYTES = 1_000_000


class Kind(Protocol):
    """Two builds, and how many gates of them."""

    @property
    def gates(self) -> int:
        """How many are planned."""
        ...

    def suites(self, folder: Path, models: Path) -> AbstractContextManager[tuple[str, str]]:
        """The suites of base and candidate, as TOML, good while the context lasts.

        Files they need are made in `folder`; `models` is what `make smollm2` built. Raises `UsageError`.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Dilated:
    """The demo model on one thread, its candidate slower by CPU time added to each step, or with more bytes held."""

    gates: int
    slower: float = 0.0
    more_bytes: int = 0

    @contextmanager
    def suites(self, folder: Path, models: Path) -> Iterator[tuple[str, str]]:
        """Each side has files of its own; what differs between them is told to the adapter, and is no other work."""
        if str(DILATED) not in sys.path:
            sys.path.insert(0, str(DILATED))
            os.environ["PYTHONPATH"] = os.pathsep.join((str(DILATED), str(ROOT), os.environ.get("PYTHONPATH", "")))
        with (
            _dilation(folder / "base.dilation", 0.0) as base,
            _dilation(folder / "candidate.dilation", self.slower) as candidate,
        ):
            yield _dilated_suite(base, 0), _dilated_suite(candidate, self.more_bytes)


@contextmanager
def _dilation(path: Path, share: float) -> Iterator[Path]:
    path.write_bytes(bytes(SIZE))
    with shared_numbers(path) as numbers:
        numbers[SHARE] = share
    yield path.absolute()


def _dilated_suite(dilation: Path, more_bytes: int) -> str:
    return f"""
[models.demo.variants.fp32]
artefact = "{DEMO / "artefacts" / "onnx-fp32"}"
[[configurations]]
name = "dilated"
runtime = "dilated-onnx"
threads = 1
options = {{ dilation = "{dilation}", more_bytes = {more_bytes} }}
[[workloads]]
prompt = {{ tokens = 32 }}
output_tokens = 32
[scenarios.steady]
min_time = "300 ms"
[gate]
primary = ["tpot", "peak_memory"]
"""


@dataclass(frozen=True, kw_only=True)
class SmolLM2:
    """SmolLM2-135M at int4 on one thread against itself. Needs `make smollm2`."""

    gates: int

    def suites(self, folder: Path, models: Path) -> AbstractContextManager[tuple[str, str]]:
        """One suite twice; TTFT and TPOT are of processes of their own."""
        artefact = models.absolute() / "onnx-int4"
        if not (artefact / "model.onnx").is_file():
            raise UsageError(f"SmolLM2 int4 is not in {artefact}; build it with: make smollm2")
        suite = f"""
[models.smollm2]
task = "causal-lm"
[models.smollm2.variants.int4]
artefact = "{artefact}"
[[configurations]]
runtime = "onnxruntime"
threads = 1
[[workloads]]
prompt = {{ tokens = 32 }}
output_tokens = 16
[scenarios.first-token]
[scenarios.steady]
min_time = "1 s"
[gate]
primary = ["model_ttft", "tpot", "peak_memory"]
"""
        return nullcontext((suite, suite))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the demo model lost by its recipe: the base is int8, the candidate the artefact that is named."""

    gates: int
    candidate: str

    def suites(self, folder: Path, models: Path) -> AbstractContextManager[tuple[str, str]]:
        """Both call what they ship by one name, and hold it against the same reference."""
        return nullcontext((_quality_suite("onnx-int8"), _quality_suite(self.candidate)))


def _quality_suite(shipped: str) -> str:
    return f"""
[models.demo]
task = "causal-lm"
reference = "fp32"
evaluation = "{DEMO / "heldout.txt"}"
[models.demo.variants]
fp32 = {{ artefact = "{DEMO / "artefacts" / "onnx-fp32"}" }}
shipped = {{ artefact = "{DEMO / "artefacts" / shipped}" }}
[[configurations]]
runtime = "onnxruntime"
threads = 1
[scenarios.quality]
most_chunks = 8
[gate]
primary = ["tpot"]
[gate.limits]
kld = "0.001 nats"
"""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A campaign: its kinds, the seed of their order, and the file its lines are in."""

    kinds: Mapping[str, Kind]
    seed: int
    file: str

    def order(self) -> list[str]:
        """The kind of each gate, in the order in which they are made."""
        order = [name for name, kind in self.kinds.items() for _ in range(kind.gates)]
        random.Random(self.seed).shuffle(order)
        return order


#: Where "equal" stands in a kind's name, a change that a gate finds is a false one.
EQUAL = "equal"
PLANS: Mapping[str, Plan] = {
    "demo": Plan(
        kinds={
            EQUAL: Dilated(gates=100),
            "5 % slower": Dilated(gates=40, slower=0.05),
            "10 % slower": Dilated(gates=20, slower=0.10),
            "2 % more memory": Dilated(gates=20, more_bytes=2 * _PERCENT_BYTES),
        },
        seed=20261129,
        file="gates.jsonl",
    ),
    "smollm2": Plan(
        kinds={
            "SmolLM2 equal": SmolLM2(gates=20),
            "equal recipe": Recipe(gates=5, candidate="onnx-int8"),
            "another recipe": Recipe(gates=5, candidate="onnx-int4"),
        },
        seed=20261130,
        file="gates-smollm2.jsonl",
    ),
}


def is_equal(kind: str) -> bool:
    """Whether base and candidate of a kind are the same build."""
    return EQUAL in kind
