"""suite x hardware target -> jobs. Pure: files have been read and hashed before (`Materials`)."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from benchharness.errors import SuiteError
from benchharness.results.objects import written
from benchharness.results.requested import EQUAL_THREADS, Configuration, Opened, Prompt, Workload
from benchharness.results.result import Job
from benchharness.suite.artefact import Manifest
from benchharness.suite.data_files import TEXT_KINDS, DataFile
from benchharness.suite.hardware import HardwareTarget
from benchharness.suite.sampling import samples_wanted
from benchharness.suite.tables import ConfigurationTable, Model, Suite
from benchharness.suite.tables import Prompt as PromptTable
from benchharness.suite.tables import Workload as WorkloadTable

#: The prompt of a language model where the suite asks for none: seeded tokens, so that any vocabulary will do.
DEFAULT_PROMPT = PromptTable(tokens=(64,))

#: Where hubs keep the models of a repository, below its configuration and tokenizer; and which.
HUB_FOLDER, _HUB_ENDINGS = "onnx", (".onnx", ".ort")
_MOST_FILES_KEPT = 200
#: What every configuration says; the rest only where it is given: a job without it is the job that it was.
_ALWAYS_SAID = ("name", "runtime", "accelerator", "threads", "options", "accelerator_options", "fallback", "python")


_Asked = TypeVar("_Asked", Configuration, Workload)


@dataclass(frozen=True, kw_only=True)
class Materials:
    """What the files named in a suite hold."""

    manifests: Mapping[Path, Manifest]
    texts: Mapping[Path, str] = field(default_factory=dict)  # prompt files
    downloads: Mapping[Path, int] = field(default_factory=dict)  # artefact -> compressed bytes, where computed
    tokens: Mapping[Path, Sequence[int]] = field(default_factory=dict)  # token files
    tokenizers: Mapping[Path, Path] = field(default_factory=dict)  # artefact -> tokenizer.json, where there is one
    data: Mapping[Path, DataFile] = field(default_factory=dict)  # evaluation data


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
    scenarios = list(_scenarios(suite, hardware))
    if not scenarios and suite.scenarios.quality is None:
        raise SuiteError("suite: no scenario is named; add [scenarios.first-token] or [scenarios.steady]")
    _check_models(suite)
    if threads is not None:
        configurations = _equally_threaded(configurations, suite.models.values(), formats, threads)
    jobs: list[Job] = []
    for model_name, model in suite.models.items():
        fitting = [workload for workload in workloads if _fits(workload, model_name, model)]
        if scenarios and not fitting:
            raise SuiteError(f"models.{model_name}: no workload is for it; add one, or widen 'models' of another")
        pairs = list(_pairs(model_name, model, configurations, formats))
        for variant, configuration in pairs:
            opened = formats(configuration.runtime)
            reference = _reference(model, variant, opened)
            for workload, (scenario, settings) in itertools.product(fitting, scenarios):
                what = (model_name, variant, reference, configuration, workload, scenario, settings)
                chain = _chain(suite, materials, model_name, configuration, opened) if scenario == "constrained" else []
                leads = bool(chain) and chain[0].variant == variant
                jobs.append(_job(suite, hardware, materials, *what, chain=chain if leads else []))
        jobs += _quality_jobs(suite, hardware, materials, model_name, pairs)
    return jobs


def _quality_jobs(
    suite: Suite, hardware: HardwareTarget, materials: Materials, name: str, pairs: Sequence[tuple[str, Configuration]]
) -> Iterator[Job]:
    """The model's variants, each against the model's first reference, wherever they run; threads change no answer.

    The reference runs in the first configuration that opens it, and is not compared with itself.
    """
    model, settings = suite.models[name], suite.scenarios.quality
    if settings is None or model.evaluation is None:
        return
    reference = (model.reference or tuple(model.variants))[0]
    theirs = next(configuration for variant, configuration in pairs if variant == reference)
    against = Opened(
        variant=reference,
        artefact=str(model.variants[reference].artefact),
        digest=materials.manifests[model.variants[reference].artefact].digest,
        configuration=theirs,
        tensors=_told_of_tensors(model, reference).get("tensors", {}),
    )
    data = materials.data[model.evaluation]
    workload = Workload.from_json(
        {
            "name": model.evaluation.name,
            "asks": "any",
            "prompt": {"length": 1, "seed": 0},
            "output_tokens": 1,
            "context_depth": 0,
            "continuation": "greedy",
            "dimensions": {},
            "values": {},
            "seed": 0,
            "data": {
                "path": str(model.evaluation),
                "kind": data.kind,
                "sha256": data.sha256,
                "calibration": model.calibration.name if model.calibration else None,
                "shared_samples": data.shared_samples,
                **({"scores": model.scores} if model.scores else {}),
                **({"threshold": model.threshold} if model.threshold is not None else {}),
            },
        }
    )
    seen: set[str] = {_apart_from_threads(reference, theirs)}
    for variant, configuration in pairs:
        what = _apart_from_threads(variant, configuration)
        if what not in seen:
            seen.add(what)
            parts = (name, variant, reference, configuration, workload, "quality", settings.model_dump())
            yield _job(suite, hardware, materials, *parts, against=against)


def _told_of_tensors(model: Model, variant: str) -> dict[str, dict[str, dict[str, str]]]:
    """What the suite says of a variant's tensors; nothing where it says nothing, as runs of before did."""
    of_one = model.variants[variant]
    told = {
        key: getattr(model, key) if getattr(of_one, key) is None else getattr(of_one, key)
        for key in ("inputs", "outputs", "layouts")
    }
    told = {key: table for key, table in told.items() if table}
    told.update(_told_of_state(model, variant))
    return {"tensors": told} if told else {}


def _told(model: Model, variant: str, *, data: bool) -> dict[str, dict[str, dict[str, str]]]:
    """The same for a job: without data only what holds for made-up inputs too."""
    if data:
        return _told_of_tensors(model, variant)
    state = _told_of_state(model, variant)
    return {"tensors": state} if state else {}


def _told_of_state(model: Model, variant: str) -> dict[str, dict[str, str]]:
    """What the suite says of states, which go in whatever is fed; an empty table says that there are none."""
    state = model.state if model.variants[variant].state is None else model.variants[variant].state
    return {} if state is None else {"state": state}


def _as_asked(workload: Workload, model: Model) -> Workload:
    """A workload as it is stored with a model's job, with what the suite says of the data that the model is fed."""
    data = workload.data and replace(workload.data, values=model.values, layouts=model.data_layouts)
    return replace(workload, models=None, data=data)


def _apart_from_threads(variant: str, configuration: Configuration) -> str:
    return json.dumps([variant, configuration.apart_from_threads], sort_keys=True)


def _check_models(suite: Suite) -> None:
    for position, workload in enumerate(suite.workloads):
        unknown = [name for name in workload.models or () if name not in suite.models]
        if unknown:
            known = ", ".join(suite.models)
            raise SuiteError(f"workloads[{position}].models: no model is called {unknown[0]!r} (there are: {known})")
    chain = suite.scenarios.constrained.fallback_chain if suite.scenarios.constrained else ()
    if not any(_has_all(model.variants, chain) for model in suite.models.values()):
        raise SuiteError(f"scenarios.constrained.fallback_chain: no model has all the variants {', '.join(chain)}")


def artefact_format(artefact: Path, known: Sequence[str]) -> str | None:
    """Which of the known file endings an artefact has: its own, or for a folder that of a file in it or in `onnx/`."""
    for ending in known:
        if artefact.name.endswith(ending) or (artefact.is_dir() and any(artefact.glob(f"*{ending}"))):
            return ending
    below = artefact / HUB_FOLDER
    return next((ending for ending in known if ending in _HUB_ENDINGS and any(below.glob(f"*{ending}"))), None)


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


def _reference(model: Model, variant: str, opened: Sequence[str]) -> str:
    """The variant that another is compared with: the first reference in a format that the same runtime opens."""
    named = model.reference or tuple(model.variants)[:1]
    fitting = (name for name in named if artefact_format(model.variants[name].artefact, opened) is not None)
    return variant if variant in named else next(fitting, named[0])


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


def _scenarios(suite: Suite, hardware: HardwareTarget) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each scenario with each of its settings; what holds for every attempt is among them."""
    gate = {} if suite.attempts.entry_gate is None else {"entry_gate_s": suite.attempts.entry_gate}
    for name, settings in suite.scenarios.expanded():
        yield name, {**settings, **gate, **samples_wanted(suite, hardware, name)}


def _chain(
    suite: Suite, materials: Materials, name: str, configuration: Configuration, opened: Sequence[str]
) -> list[Opened]:
    """The variants that a product would try one after another, each as it is opened. Raises `SuiteError`."""
    variants, settings = suite.models[name].variants, suite.scenarios.constrained
    names = settings.fallback_chain if settings else ()
    if not _has_all(variants, names):
        return []
    closed = [each for each in names if artefact_format(variants[each].artefact, opened) is None]
    if len(closed) == len(names):
        return []  # the chain is another runtime's
    if closed:
        raise SuiteError(
            f"scenarios.constrained.fallback_chain: {configuration.name} does not open {closed[0]!r}; a product "
            "falls back within one runtime: name variants of one format"
        )
    return [
        Opened(
            variant=each,
            artefact=str(variants[each].artefact),
            digest=materials.manifests[variants[each].artefact].digest,
            configuration=configuration,
        )
        for each in names
    ]


def _has_all(variants: Mapping[str, Any], names: Sequence[str]) -> bool:
    return all(name in variants for name in names)


def _asked_for_ns(settings: Mapping[str, Any]) -> int:
    """How long an attempt takes because its settings say so."""
    pauses = sum(settings.get("pauses_ns", ())) * settings.get("pause_repeats", 0)
    return int(settings.get("duration_ns", 0) + pauses)


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


def _job(
    suite: Suite,
    hardware: HardwareTarget,
    materials: Materials,
    model_name: str,
    variant_name: str,
    reference: str,
    configuration: Configuration,
    workload: Workload,
    scenario: str,
    settings: dict[str, Any],
    *,
    against: Opened | None = None,
    chain: Sequence[Opened] = (),
) -> Job:
    model = suite.models[model_name]
    variant = model.variants[variant_name]
    manifest = materials.manifests[variant.artefact]
    data_kind = workload.data.kind if workload.data else ""
    asks_for_text = workload.prompt.text is not None or data_kind in TEXT_KINDS
    speaks = Path(against.artefact) if against else variant.artefact  # one tokenizer for a whole pass
    tokenizer = materials.tokenizers.get(speaks) if asks_for_text else None
    facts: dict[str, Any] = {
        "hardware": hardware.name,
        "model": model_name,
        "task": model.task,
        "variant": variant_name,
        "reference": reference,
        "artefact": str(variant.artefact),
        "digest": manifest.digest,
        "artefact_bytes": 0 if manifest.listing.unknown else manifest.bytes,
        "recipe": variant.recipe,
        "tokenizer": str(tokenizer) if tokenizer else None,
        "configuration": configuration,
        "workload": _as_asked(workload, model),
        "scenario": scenario,
        "settings": settings,
        # A session's own time and the pauses asked for are no delay; the wait for a cool start is before it.
        "timeout_s": suite.attempts.timeout + _asked_for_ns(settings) / 1e9,
        **({"against": against} if against else {}),
        **_told(model, variant_name, data=workload.data is not None),
        **({"chain": list(chain)} if chain else {}),
    }
    told = json.dumps({name: written(value) for name, value in facts.items()}, sort_keys=True)
    key = hashlib.sha256(told.encode()).hexdigest()[:16]
    # What follows does not change what is run, and so not which job this is.
    return Job(
        key=key,
        **facts,
        download_bytes=materials.downloads.get(variant.artefact),
        ships=variant.ships,
        precision=variant.precision,
        files=_files(manifest),
    )


def _files(manifest: Manifest) -> dict[str, Any]:
    """What a job keeps of its artefact's files; of a package with very many, not each."""
    listing = manifest.listing
    hashes = {entry.path: entry.sha256 for entry in manifest.entries}
    return {
        "model": listing.model,
        "files": hashes if len(hashes) <= _MOST_FILES_KEPT else {},
        "count": len(hashes),
        "part": listing.part,
        "pipeline": list(listing.pipeline),
        "siblings": list(listing.siblings),
        "unknown": listing.unknown,
    }
