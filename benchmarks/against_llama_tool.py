"""Cold start and peak memory of llama.cpp in the harness against llama.cpp's own tool: one build, one file.

A round is four processes in random order, with the file in the page cache. The tool (`llama-bench`, one prompt, no
warm-up) from its start to its end, as `/usr/bin/time -v` has it. The same tool as adapter `native-program` has it,
whose cold start ends with the tool's row, and is held against the tool's until then. A worker of ours, on the library
that the tool is linked with, from its start to the first token's logits, with its own peak. And a worker that runs no
model: what of ours is the interpreter, numpy and the worker. Of the worker both are told: all of it over the tool's,
and it without that part. CPU time stands beside the clock's: other work on the machine changes it little. It is of all
threads, but for what the harness takes for itself, as in every time of a worker. The tool's end is in its times,
unmapping the file with it; a worker's is not.
"""

from __future__ import annotations

import functools
import json
import random
import sys
from pathlib import Path
from typing import Any

from benchharness.errors import NothingRan, UsageError
from benchmarks.bars import Bar, Finding, equal
from benchmarks.built_llama import Build, found
from benchmarks.options import ROOT, Options, run_alone
from benchmarks.pairs import Round, collect, in_random_order, median_of, ratio_of
from benchmarks.processes import compile_as_pip_does, load_average, run_program
from benchmarks.smollm2 import gguf_in_float32

WITHIN = 0.05
PROMPT_TOKENS = 64
NAMES = ("cold start", "its CPU time", "peak memory")
#: Of a worker, in the same order.
_METRICS = ("cold_start_ttft", "cpu", "peak_memory")
#: What the tool tells through the harness: what it does not use itself, a worker cannot tell of it.
_NATIVE = ("cold start", "peak memory")
_UNTIL_TOLD = "until its row"
_OF_NATIVE, _WITHOUT = "as a native program", "without Python"
_JUDGED = [*(f"{name}, {_WITHOUT}" for name in NAMES), *(f"{name}, {_OF_NATIVE}" for name in _NATIVE)]
#: Workers that also tell their CPU time. The adapter of native programs tells what its program took, not what it took.
_WORKER = ["-m", "benchmarks.programs.first_token_worker"]
_LLAMA_WORKER, _EMPTY_WORKER = [*_WORKER, "built"], [*_WORKER, "pip"]
_NATIVE_WORKER = ["-m", "benchharness.device.worker"]


def measure(options: Options) -> Bar:
    """Ratios worker / tool of the time to a first token and of the peak of memory, by thread count."""
    claim = "cold start and memory equal to llama.cpp's own tool on the same file; of a worker, but for its interpreter"
    before = load_average()
    try:
        build, model = found("llama-bench"), gguf_in_float32(options)
    except UsageError as error:
        return Bar(name="against_llama_tool", claim=claim, findings=[], conditions=[str(error)], load=(before, before))
    compile_as_pip_does()
    order, findings = random.Random(options.seed), []
    for threads in options.threads:
        once = functools.partial(_round, build, model, threads, order)
        once()  # the file comes into the page cache
        share_s = options.max_time_s / len(options.threads)
        rounds = collect(once, max_time_s=share_s, names=_JUDGED)
        label = f"{model.parent.name}, {threads} thread{'' if threads == 1 else 's'}"
        for name in rounds[0].ratios:
            findings.append(
                Finding(
                    label=f"{label}: {name}",
                    ratio=ratio_of(rounds, name),
                    per_round=[each.ratios[name] for each in rounds],
                    absolute=_absolute(rounds, name),
                    criterion=equal(WITHIN) if name in _JUDGED else None,
                )
            )
    return Bar(
        name="against_llama_tool",
        claim=claim,
        findings=findings,
        conditions=[
            f"prompt {PROMPT_TOKENS} tokens; llama-bench --no-warmup -r 1, its end in its time; page cache warm",
            f"{model} of {model.stat().st_size / 2**20:.0f} MiB; the library in {build.library.parent}",
        ],
        load=(before, load_average()),
    )


def _round(build: Build, model: Path, threads: int, order: random.Random) -> Round:
    sides = in_random_order(
        {
            "tool": lambda: _tool(build, model, threads),
            "native": lambda: _worker(_NATIVE_WORKER, "native-program", model, threads, {"program": str(build.tool())}),
            "ours": lambda: _worker(_LLAMA_WORKER, "llama-cpp", model, threads, {"n_ctx": PROMPT_TOKENS + 2}),
            "python": lambda: _worker(_EMPTY_WORKER, "null", _nothing(), threads, {}),
        },
        order,
    )
    ratios, values = {}, {}
    for name in NAMES:
        tool, ours, python = (sides[side][name] for side in ("tool", "ours", "python"))
        ratios[f"{name}, {_WITHOUT}"] = (ours - python) / tool
        ratios[f"{name}, all of it"] = ours / tool
        values.update({f"{name} tool": tool, f"{name} ours": ours, f"{name} python": python})
    told = {**sides["tool"], "cold start": sides["tool"][_UNTIL_TOLD]}
    for name in _NATIVE:
        values[f"{name} native"], values[f"{name} told"] = sides["native"][name], told[name]
        ratios[f"{name}, {_OF_NATIVE}"] = sides["native"][name] / told[name]
    return Round(ratios=ratios, values=values)


def _nothing() -> Path:
    """An artefact of the adapter that does nothing; it looks at no content."""
    path = ROOT / "build" / "benchmarks" / "nothing.null"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def _tool(build: Build, model: Path, threads: int) -> dict[str, float]:
    options = ["-p", str(PROMPT_TOKENS), "-n", "0", "-r", "1", "--no-warmup", "-t", str(threads), "-o", "jsonl"]
    answer = run_program("whole_process", {"command": [str(build.tool()), "-m", str(model), *options]}).answer
    row = json.loads(answer["output"].splitlines()[-1])
    if (row["n_prompt"], row["n_gen"], row["n_threads"]) != (PROMPT_TOKENS, 0, threads):
        raise NothingRan(f"{build.tool()} ran something else than it was asked for: {row}")
    told = (*NAMES, _UNTIL_TOLD)
    return dict(zip(told, (answer[key] for key in ("wall_ns", "cpu_ns", "maxrss", "told_ns")), strict=True))


def _worker(
    command: list[str], adapter: str, artefact: Path, threads: int, options: dict[str, int | str]
) -> dict[str, float]:
    order: dict[str, Any] = {
        "id": "against-llama-tool",
        "adapter": adapter,
        "configuration": {"accelerator": None, "threads": threads, "options": options, "accelerator_options": {}},
        "artefact": str(artefact),
        "tokenizer": None,
        "task": "causal-lm",
        "workload": {
            "asks": "language",
            "prompt": {"seed": 0, "length": PROMPT_TOKENS},
            "continuation": "fixed",
            "output_tokens": 2,  # as few as a program that measures itself takes; the first is what counts
            "context_depth": 0,
            "dimensions": {},
            "values": {},
            "seed": 0,
        },
        "scenario": "first-token",
        "module": "benchharness.device.scenarios.first_token",
        "settings": {"warmup": 0, "repeats": 1, "most_repeats": 1, "min_time_ns": 1, "most_inferences": 1},
    }
    request = {"arguments": command, "order": order, "watch": False}
    told = run_program("watched_worker", request, python=Path(sys.executable)).answer["told"]
    if told.get("type") != "measured":
        raise NothingRan(f"the worker did not measure: {told.get('reason', 'it ended')}")
    values = {each["metric"]: each["value"] for each in told["measurements"] if not each.get("parameters")}
    return {name: values[metric] for name, metric in zip(NAMES, _METRICS, strict=True) if metric in values}


def _absolute(rounds: list[Round], label: str) -> str:
    name, _, part = label.partition(", ")
    ours, python, tool = (median_of(rounds, f"{name} {side}") for side in ("ours", "python", "tool"))
    if part == _OF_NATIVE:
        native, tool = median_of(rounds, f"{name} native"), median_of(rounds, f"{name} told")
        if name == "peak memory":
            return f"{native / 2**20:.1f} MiB against {tool / 2**20:.1f} MiB"
        return f"{native / 1e9:.3f} s against {tool / 1e9:.3f} s"
    if name != "peak memory":
        return f"{ours / 1e9:.3f} s, of these Python {python / 1e9:.3f}, against {tool / 1e9:.3f} s"
    return f"{ours / 2**20:.1f} MiB, of these Python {python / 2**20:.1f}, against {tool / 2**20:.1f} MiB"


if __name__ == "__main__":
    run_alone(
        measure,
        description=__doc__ or "",
        example="BENCHHARNESS_LLAMA_CPP=~/llama.cpp python -m benchmarks.against_llama_tool --max-time '5 min'",
    )
