"""What every benchmark can be told, and the frame in which one runs alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchharness import units as quantity
from benchharness.errors import INTERRUPTED, BenchharnessError, UsageError
from benchmarks.bars import Bar

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line's choices. `max_time_s` is for one benchmark; rounds that have begun are ended."""

    max_time_s: float
    models: Path
    variants: Sequence[str]
    threads: Sequence[int]
    genai_python: Path
    seed: int
    out: Path


def parser(description: str, example: str) -> argparse.ArgumentParser:
    """The options that all benchmarks share; each uses those that concern it."""
    made = argparse.ArgumentParser(
        description=description,
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--max-time", default="10 min", help="for one benchmark, such as '90 s' (default: %(default)s)")
    made.add_argument(
        "--models", type=Path, default=ROOT / "build" / "smollm2", help="what 'make smollm2' built (build/smollm2)"
    )
    made.add_argument("--variants", default="fp32,int4", help="of the model (default: %(default)s)")
    made.add_argument("--threads", default="1,2", help="intra-op thread counts (default: %(default)s)")
    made.add_argument(
        "--genai-python",
        type=Path,
        default=ROOT / ".venv-models" / "bin" / "python",
        help="an interpreter that has onnxruntime-genai (.venv-models/bin/python)",
    )
    made.add_argument("--seed", type=int, default=0, help="of the order in rounds (default: %(default)s)")
    made.add_argument(
        "--out", type=Path, default=ROOT / "build" / "benchmarks", help="where the page goes (build/benchmarks)"
    )
    return made


def read(found: argparse.Namespace) -> Options:
    """Checked options. Raises `UsageError`."""
    try:
        threads = [int(count) for count in found.threads.split(",")]
    except ValueError as error:
        raise UsageError(f"--threads {found.threads}: write whole numbers, such as 1,2") from error
    return Options(
        max_time_s=quantity.seconds(found.max_time),
        models=found.models.absolute(),
        variants=found.variants.split(","),
        threads=threads,
        genai_python=found.genai_python.absolute(),
        seed=found.seed,
        out=found.out,
    )


def run_alone(measure: Callable[[Options], Bar], *, description: str, example: str) -> None:
    """Runs one benchmark from the command line, prints its table and writes its page."""
    from benchmarks.page import write_page
    from benchmarks.table import print_bars

    found = parser(description, example).parse_args()
    with ending_in_words():
        options = read(found)
        bars = [measure(options)]
        print_bars(bars)
        print(f"page: {write_page(bars, options.out / f'{bars[0].name}.html')}")


@contextmanager
def ending_in_words() -> Iterator[None]:
    """Turns a user's error into a sentence and its exit code, and an interrupt into silence."""
    try:
        yield
    except BenchharnessError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
