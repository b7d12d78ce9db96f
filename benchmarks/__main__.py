"""`python -m benchmarks`: every bar, one table, one page. Exit code 1 where a bar is missed."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence

import benchmarks
from benchharness.errors import DONE, GATE_FAILED, UsageError
from benchmarks.bars import Bar, Verdict
from benchmarks.options import Options, ending_in_words, parser, read
from benchmarks.page import write_page
from benchmarks.table import print_bars

Measure = Callable[[Options], Bar]


def main() -> int:
    """Measures what was asked for; the exit code."""
    known = discover()
    made = parser(f"Measures the harness's bars: {', '.join(known)}.", "python -m benchmarks --max-time '5 min'")
    made.add_argument("names", nargs="*", metavar="BENCHMARK", help="only these")
    found = made.parse_args()
    with ending_in_words():
        options = read(found)
        bars = []
        for name, measure in _chosen(found.names, known).items():
            print(f"measuring {name} …", flush=True)
            bars.append(measure(options))
            write_page(bars, options.out / "index.html")  # after each: a later failure loses nothing
        print_bars(bars)
        print(f"page: {options.out / 'index.html'}")
    return GATE_FAILED if any(bar.verdict is Verdict.MISS for bar in bars) else DONE


def discover() -> dict[str, Measure]:
    """The package's benchmarks by name: its modules that have a `measure`."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name != "__main__"]
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in names}
    return {name: module.measure for name, module in modules.items() if hasattr(module, "measure")}


def _chosen(names: Sequence[str], known: Mapping[str, Measure]) -> Mapping[str, Measure]:
    for name in names:
        if name not in known:
            raise UsageError(f"no benchmark is called {name!r} (there are: {', '.join(known)})")
    return {name: measure for name, measure in known.items() if not names or name in names}


if __name__ == "__main__":
    raise SystemExit(main())
