"""suite x hardware target -> jobs. Pure: files have been read and hashed before (`Materials`)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from benchharness.errors import SuiteError
from benchharness.results.requested import EQUAL_THREADS, Configuration, Prompt, Workload
from benchharness.results.result import Job
from benchharness.scenarios import SCENARIOS
from benchharness.scenarios.definition import Scenario, ScenarioSettings
from benchharness.suite.hardware import HardwareTarget
from benchharness.suite.planning import Materials, Planning, artefact_format
from benchharness.suite.sampling import samples_wanted
from benchharness.suite.tables import ConfigurationTable, Model, Suite
from benchharness.suite.tables import Prompt as PromptTable
from benchharness.suite.tables import Workload as WorkloadTable

#: The prompt of a language model where the suite asks for none: seeded tokens, so that any vocabulary will do.
DEFAULT_PROMPT = PromptTable(tokens=(64,))
#: What every configuration says; the rest only where it is given: a job without it is the job that it was.
_ALWAYS_SAID = ("name", "runtime", "accelerator", "threads", "options", "accelerator_options", "fallback", "python")

_Asked = TypeVar("_Asked", Configuration, Workload)


def plan(
    suite: Suite,
    hardware: HardwareTarget,
    materials: Materials,
    formats: Callable[[str], Sequence[str]],
    threads: int | None = None,
) -> list[Job]:
    """Every job of a suite on one hardware target, in the suite's order.

    `formats` gives the file endings a runtime takes; a configuration is paired with the variants it can open. `threads`
    is what each of several runtimes is asked for that open variants of one model, where the suite names no number:
    their own defaults differ. None leaves each its own. Raises `SuiteError` for names used twice and for variants that
    no configuration opens.
    """
    here = [table for table in suite.configurations if hardware.system in table.only_on]
    if not here:
        raise SuiteError(f"suite: every configuration is for other systems than {hardware.system}; see 'only_on'")
    configurations = _named([each for table in here for each in _configurations(table)], "configuration")
    workloads = _named([each for table in suite.workloads for each in _workloads(table, materials)], "workload")
    asked = list(suite.scenarios.asked())
    if not asked:
        usual = " or ".join(f"[scenarios.{each.name}]" for each in SCENARIOS.usable() if each.by_default)
        raise SuiteError(f"suite: no scenario is named; add {usual}")
    alone = [each for each in asked if each[0].alone]
    expanded = [(*each, settings) for each in alone for settings in _expanded(*each, suite, hardware)]
    _check_models(suite)
    for scenario, table in asked:
        scenario.check(table, suite.models)
    if threads is not None:
        configurations = _equally_threaded(configurations, suite.models.values(), formats, threads)
    jobs: list[Job] = []
    for model_name, model in suite.models.items():
        fitting = [workload for workload in workloads if _fits(workload, model_name, model)]
        if alone and not fitting:
            raise SuiteError(f"models.{model_name}: no workload is for it; add one, or widen 'models' of another")
        pairs = list(_pairs(model_name, model, configurations, formats))
        planning = Planning(
            suite=suite, hardware=hardware, materials=materials, name=model_name, pairs=pairs, formats=formats
        )
        for variant, configuration in pairs:
            reference = planning.reference(variant, configuration)
            for workload, (scenario, table, settings) in itertools.product(fitting, expanded):
                what = (variant, reference, configuration, workload, scenario.name, settings)
                jobs.append(planning.job(*what, adds=scenario.adds(planning, table, variant, configuration)))
        for scenario, table in asked:
            if not scenario.alone:
                jobs += scenario.jobs(planning, table)
    return jobs


def _check_models(suite: Suite) -> None:
    for position, workload in enumerate(suite.workloads):
        unknown = [name for name in workload.models or () if name not in suite.models]
        if unknown:
            known = ", ".join(suite.models)
            raise SuiteError(f"workloads[{position}].models: no model is called {unknown[0]!r} (there are: {known})")


def _pairs(
    model_name: str,
    model: Model,
    configurations: Sequence[Configuration],
    formats: Callable[[str], Sequence[str]],
) -> Iterator[tuple[str, Configuration]]:
    for name, variant in model.variants.items():
        opened = [
            configuration
            for configuration in configurations
            if artefact_format(variant.artefact, formats(configuration.runtime)) is not None
        ]
        if not opened:
            runtimes = ", ".join(sorted({configuration.runtime for configuration in configurations}))
            raise SuiteError(
                f"models.{model_name}.variants.{name}: no configuration opens {variant.artefact} ({runtimes}); "
                "point to a model file such as model.onnx or the folder that holds it, or add a [[configurations]]"
            )
        for configuration in opened:
            yield name, configuration


def _configurations(table: ConfigurationTable) -> Iterator[Configuration]:
    for accelerator, threads in itertools.product(table.accelerator, table.threads):
        parts = [table.name or table.runtime]
        if accelerator is not None and (table.name is None or len(table.accelerator) > 1):
            parts.append(accelerator)
        if threads is not None and (table.name is None or len(table.threads) > 1):
            parts.append(f"{threads} thread{'s' if threads > 1 else ''}")
        yield Configuration(
            name=" ".join(parts),
            runtime=table.runtime,
            accelerator=accelerator,
            threads=threads,
            options=table.options,
            accelerator_options=table.accelerator_options,
            fallback=table.fallback,
            python=str(table.python) if table.python else None,
            library=str(table.library) if table.library else None,
            unit=table.unit or None,
            order=_ALWAYS_SAID,
        )


def _equally_threaded(
    configurations: Sequence[Configuration],
    models: Iterable[Model],
    formats: Callable[[str], Sequence[str]],
    threads: int,
) -> list[Configuration]:
    """Configurations without a number of threads ask for this one where another runtime runs the same model so."""
    unasked = dict.fromkeys(each.runtime for each in configurations if each.threads is None)
    compared: set[str] = set()
    for model in models:
        opening = {
            runtime
            for runtime in unasked
            if any(artefact_format(variant.artefact, formats(runtime)) for variant in model.variants.values())
        }
        compared |= opening if len(opening) > 1 else set()
    return [
        replace(each, threads=threads, threads_by=EQUAL_THREADS)
        if each.threads is None and each.runtime in compared
        else each
        for each in configurations
    ]


def _workloads(table: WorkloadTable, materials: Materials) -> Iterator[Workload]:
    base = {
        "asks": _asks(table),
        "continuation": table.continuation,
        "dimensions": table.dimensions,
        "values": table.values,
        "seed": table.seed,
    }
    prompts = list(_prompts(table, materials))
    samples = list(_real_inputs(table, materials))
    for prompt, output, depth, data in itertools.product(prompts, table.output_tokens, table.context_depth, samples):
        title = [table.name] if table.name else [table.inputs.name] if table.inputs else []
        if len(samples) > 1:
            title.append(f"sample {data['sample']}")
        if len(prompts) > 1 or (table.prompt and not table.name):
            title.append(_prompt_title(prompt))
        if len(table.output_tokens) > 1:
            title.append(f"{output} out")
        if len(table.context_depth) > 1 or (depth and not table.name):
            title.append(f"depth {depth}")
        said = {
            **base,
            **({"data": data} if data else {}),
            "name": " ".join(title) or "default",
            "prompt": prompt,
            "output_tokens": output,
            "context_depth": depth,
        }
        yield replace(Workload.from_json(said), models=table.models)


def _asks(table: WorkloadTable) -> str:
    if table.prompt:
        return "language"
    return "tensor" if table.dimensions or table.values or table.inputs else "any"


def _real_inputs(table: WorkloadTable, materials: Materials) -> Iterator[Mapping[str, Any]]:
    """The data of each sample that is asked for; empty once where inputs are invented, as in runs of before."""
    if table.inputs is None:
        yield {}
        return
    file = materials.data[table.inputs]
    for sample in table.sample:
        yield {"path": str(table.inputs), "kind": file.kind, "sha256": file.sha256, "sample": sample}


def _prompts(table: WorkloadTable, materials: Materials) -> Iterator[Prompt]:
    prompt = table.prompt or DEFAULT_PROMPT
    common: dict[str, Any] = {"seed": prompt.seed}
    if table.continuation_file is not None:
        common["continuation_tokens"] = list(materials.tokens[table.continuation_file])
    if prompt.text is not None:
        yield Prompt.from_json({**common, "text": prompt.text})
    elif prompt.file is not None:
        yield Prompt.from_json({**common, "text": materials.texts[prompt.file], "file": prompt.file.name})
    elif prompt.tokens_file is not None:
        tokens = list(materials.tokens[prompt.tokens_file])
        yield Prompt.from_json({**common, "tokens": tokens, "file": prompt.tokens_file.name})
    else:
        yield from (Prompt.from_json({**common, "length": length}) for length in prompt.tokens or ())


def _prompt_title(prompt: Prompt) -> str:
    return f"{prompt.length}-token prompt" if prompt.length is not None else prompt.file or "text prompt"


def _expanded(
    scenario: Scenario, table: ScenarioSettings, suite: Suite, hardware: HardwareTarget
) -> Iterator[dict[str, Any]]:
    """Each of a scenario's settings; what holds for every attempt is among them."""
    gate = {} if suite.attempts.entry_gate is None else {"entry_gate_s": suite.attempts.entry_gate}
    for settings in table.expanded():
        yield {**settings, **gate, **samples_wanted(suite, hardware, scenario)}


def _fits(workload: Workload, name: str, model: Model) -> bool:
    if workload.models is not None:
        return name in workload.models
    if model.task is None or workload.asks == "any":
        return True
    return (workload.asks == "language") == (model.task == "causal-lm")


def _named(found: list[_Asked], what: str) -> list[_Asked]:
    seen: set[str] = set()
    for each in found:
        if each.name in seen:
            raise SuiteError(f"suite: two {what}s are called {each.name!r}; give each a 'name' of its own")
        seen.add(each.name)
    return found
