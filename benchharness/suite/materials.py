"""What happens before a job runs: files are read and hashed, and a suite is made where the user gave only models."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchharness.device import adapters
from benchharness.errors import SuiteError, Unsupported, UsageError
from benchharness.results.result import Job
from benchharness.suite.artefact import DigestCache, Manifest, download_bytes, manifest_of, whole
from benchharness.suite.asked import Asked
from benchharness.suite.data_files import RECORD, DataFile, data_file, shared_samples, shared_with
from benchharness.suite.fields import LONGEST_NAME
from benchharness.suite.listing import Lister, list_files
from benchharness.suite.planning import HUB_FOLDER, Materials, artefact_format
from benchharness.suite.tables import Model, Suite, check_suite, read_prompt, read_tokens
from benchharness.suite.vocabularies import vocabularies_of

TOKENIZER = "tokenizer.json"
#: Compressing more than this takes minutes; the download size is then unknown.
MOST_COMPRESSED_BYTES = 2 << 30
#: Compressing this much takes seconds, which the user is told.
_LONG_BYTES = 50 << 20
_MOST_NAMES = 5


def gather(
    suite: Suite, cache: DigestCache, tell: Callable[[str], None] = lambda _: None, *, lister: Lister = list_files
) -> Materials:
    """Reads, hashes and compresses every file that a suite names; `tell` hears of what takes long.

    `lister` tells which files each artefact is. Raises `UsageError` for the first file that cannot be read.
    """
    artefacts = [variant.artefact for model in suite.models.values() for variant in model.variants.values()]
    listings = lister({artefact: _openers(suite, artefact) for artefact in artefacts})
    manifests = {artefact: manifest_of(artefact, cache, listings[artefact]) for artefact in artefacts}
    _check_apart(suite, manifests)
    for artefact, manifest in manifests.items():
        for words in notes(artefact, manifest):
            tell(words)
    downloads = _downloads(manifests, cache, tell)
    tokenizers = _tokenizers(suite)
    digests = _digests(tokenizers.values(), cache)
    vocabularies = vocabularies_of(suite, tokenizers, digests)
    cache.save()
    prompts = [workload.prompt for workload in suite.workloads if workload.prompt is not None]
    token_files = [prompt.tokens_file for prompt in prompts if prompt.tokens_file is not None]
    token_files += [
        workload.continuation_file for workload in suite.workloads if workload.continuation_file is not None
    ]
    return Materials(
        manifests=manifests,
        downloads=downloads,
        texts={prompt.file: read_prompt(prompt.file) for prompt in prompts if prompt.file is not None},
        tokens={file: read_tokens(file) for file in token_files},
        tokenizers=tokenizers,
        digests=digests,
        vocabularies=vocabularies,
        data={**timing_data(suite), **evaluation_data(suite)},
        of_scenarios={scenario.name: scenario.gathered(table) for scenario, table in suite.scenarios.asked()},
    )


def notes(artefact: Path, manifest: Manifest) -> list[str]:
    """What the user has to know of an artefact's files: which model of several runs, and of what it is a part."""
    found, listing = [], manifest.listing
    if listing.siblings and artefact.is_dir() and artefact != listing.root / listing.model:
        others = _some(listing.siblings)
        found.append(f"{artefact.name}: {listing.model} is what runs; also there: {others} (name one to run it)")
    if listing.part:
        found.append(
            f"{artefact.name}: {listing.model} is the {listing.part} of a pipeline, and all figures are of this part "
            f"alone; the others: {_some(listing.pipeline)}"
        )
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (
        f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    )


def _openers(suite: Suite, artefact: Path) -> list[str]:
    """The runtimes of a suite that take an artefact; one that cannot be loaded is told of by whoever plans."""
    found = []
    for name in dict.fromkeys(table.runtime for table in suite.configurations):
        with contextlib.suppress(Unsupported):
            if artefact_format(artefact, adapters.formats(name)) is not None:
                found.append(name)
    return found


def _check_apart(suite: Suite, manifests: Mapping[Path, Manifest]) -> None:
    """Raises `SuiteError` where a folder and the file that runs of it are two variants of one model."""
    for model_name, model in suite.models.items():
        seen: dict[Path, str] = {}
        for name, variant in model.variants.items():
            listing = manifests[variant.artefact].listing
            if not listing.model:
                continue
            file = listing.root / listing.model
            if file in seen:
                raise SuiteError(
                    f"models.{model_name}: variants {seen[file]!r} and {name!r} are the same model, {file}; "
                    "name another file, or leave one out"
                )
            seen[file] = name


def timing_data(suite: Suite) -> dict[Path, DataFile]:
    """The workloads' real inputs. Raises `SuiteError` for a file of another kind."""
    found = {}
    for position, workload in enumerate(suite.workloads):
        if workload.inputs is None:
            continue
        data = data_file(workload.inputs)
        if data.kind != "npz":
            raise SuiteError(
                f"workloads[{position}].inputs: {workload.inputs.name} holds no arrays; real inputs are read "
                "from an .npz file, one array for each input (language models are timed on a prompt)"
            )
        found[workload.inputs] = data
    return found


def evaluation_data(suite: Suite) -> dict[Path, DataFile]:
    """The models' evaluation data. Raises `SuiteError` where a variant was calibrated on samples of it."""
    found = {}
    wanted = any(scenario.evaluates for scenario, _ in suite.scenarios.asked())
    for name, model in suite.models.items():
        if not wanted or model.evaluation is None:
            continue
        evaluation = data_file(model.evaluation)
        shared, where = _shared(model, evaluation)
        found[model.evaluation] = replace(evaluation, shared_samples=shared)
        if shared and not model.allow_overlap:
            raise SuiteError(
                f"models.{name}: {shared} samples of {model.evaluation.name} {where}: a variant was fitted to them, "
                "and its quality would read too good; evaluate on other data, or set allow_overlap = true"
            )
    return found


def _shared(model: Model, evaluation: DataFile) -> tuple[int, str]:
    """The most samples that a variant was calibrated on, by the suite's word or by the record beside it; and where."""
    found = [(0, "")]
    if model.calibration is not None:
        named = shared_samples(evaluation, data_file(model.calibration))
        found.append((named, f"stand in {model.calibration.name} too"))
    for name, variant in model.variants.items():
        told = f"calibrated variants.{name}, as {RECORD} beside it says"
        found.append((shared_with(evaluation, variant.artefact), told))
    return max(found, key=lambda each: each[0])


def _downloads(manifests: Mapping[Path, Manifest], cache: DigestCache, tell: Callable[[str], None]) -> dict[Path, int]:
    """Compressed sizes; of artefacts too large to compress in passing there is none."""
    found = {}
    for artefact, manifest in manifests.items():
        if manifest.bytes > MOST_COMPRESSED_BYTES or manifest.listing.unknown:
            continue
        if manifest.bytes > _LONG_BYTES and not cache.knows_compressed(manifest):
            tell(f"compressing {artefact.name} once, to know its download size")
        found[artefact] = download_bytes(manifest, cache)
    return found


def verify(manifests: Mapping[Path, Manifest], jobs: Iterable[Job]) -> None:
    """Raises `UsageError` if an artefact is no longer the one that a run began with: numbers would be mixed."""
    for job in jobs:
        _verify(Path(job.artefact), job.digest, job.files, manifests)
        for other in (job.against, *job.chain):
            if other is not None:
                _verify(Path(other.artefact), other.digest or job.digest, {}, manifests)


def _verify(artefact: Path, digest: str, files: Mapping[str, Any], manifests: Mapping[Path, Manifest]) -> None:
    manifest = manifests.get(artefact)
    if manifest is None or manifest.digest == digest:
        return
    if not files and manifest_of(artefact, DigestCache(None), whole(artefact)).digest == digest:
        raise UsageError(
            f"{artefact} has not changed, but this run began with an earlier version of benchharness, which took the "
            "file alone or all of the folder for the model; now it is the files that the model reads "
            f"({len(manifest.entries)} of them, {manifest.bytes} bytes). Start a new run instead of resuming"
        )
    before, now = files.get("files", {}), {entry.path: entry.sha256 for entry in manifest.entries}
    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name)) if before else []
    which = f": {_some(changed)}" if changed else ""
    raise UsageError(
        f"{artefact} has changed since this run began{which} (digest {manifest.digest[:12]}, was {digest[:12]}); "
        "start a new run instead of resuming"
    )


def suite_from_models(
    artefacts: Sequence[Path],
    formats: Mapping[str, Sequence[str]],
    *,
    reference: Path | None,
    task: str | None,
    asked: Asked | None = None,
) -> Suite:
    """A suite for `benchharness run a.onnx b.onnx`: one model, its variants named after what tells the paths apart.

    `formats` are the file endings by runtime; each runtime that opens one of the models gets a configuration.
    """
    asked = asked or Asked()
    formats = asked.among(formats)
    paths = [artefact.expanduser().absolute() for artefact in artefacts]
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder; check the path")
        if paths.count(path) > 1:
            raise UsageError(f"{path}: named twice; name each variant once")
        if not _is_text(path):
            raise UsageError(f"{path}: its path is not UTF-8, and no store or report can hold it; rename it")
    runtimes = [name for name, known in formats.items() if any(artefact_format(path, known) for path in paths)]
    if not runtimes:
        endings = ", ".join(sorted({ending for known in formats.values() for ending in known}))
        who = "no adapter" if not asked.runtimes else f"{' and '.join(asked.runtimes)}, asked for by --runtime, never"
        raise UsageError(f"{paths[0]}: {who} opens it; models end in {endings}, or are folders that hold such a file")
    names = _variant_names(paths)
    table: dict[str, Any] = {
        "variants": {name: {"artefact": path} for name, path in names.items()},
        "task": task,
        **asked.of_model(),
    }
    if reference is not None:
        wanted = reference.expanduser().absolute()
        found = [name for name, path in names.items() if path == wanted]
        if not found:
            raise UsageError(f"--reference {reference}: is not one of the models given")
        table["reference"] = found
    model = _model_name(paths)
    configurations = [{"runtime": name, **asked.of_runtime(name)} for name in runtimes]
    suite = {"name": model, "models": {model: table}, "configurations": configurations, **asked.of_suite()}
    return check_suite(suite, where="the command line")


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _variant_names(paths: Sequence[Path]) -> dict[str, Path]:
    """Short names: the shortest tail of the path that no other path shares, without its ending where that will do."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        for with_ending in (False, True):
            names = [_tail(path, depth, with_ending=with_ending) for path in paths]
            if len(set(names)) == len(names):
                return dict(zip(names, paths, strict=True))
    # Names so long that their last parts are the same.
    return {f"{number} {_tail(path, 1, with_ending=True)[4:]}": path for number, path in enumerate(paths, start=1)}


def _tail(path: Path, depth: int, *, with_ending: bool) -> str:
    last = path.stem if path.is_file() and not with_ending else path.name
    return _fit_name("/".join((*path.parts[:-1], last)[-depth:]))


def _fit_name(text: str) -> str:
    """A name as a suite takes it: whatever would not print is spelled out, and its last part is what tells."""
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)
    return shown[-LONGEST_NAME:]


def _model_name(paths: Sequence[Path]) -> str:
    folder = paths[0].parent
    return _fit_name(folder.parent.name if folder.name == HUB_FOLDER else folder.name) or "model"


def _tokenizers(suite: Suite) -> dict[Path, Path]:
    """Each artefact's tokenizer.json: the one that it or its model names, else the one in or beside the artefact."""
    found: dict[Path, Path] = {}
    for name, model in suite.models.items():
        _check_named(model.tokenizer, f"models.{name}.tokenizer")
        for called, variant in model.variants.items():
            _check_named(variant.tokenizer, f"models.{name}.variants.{called}.tokenizer")
            named = variant.tokenizer or model.tokenizer
            folder = variant.artefact if variant.artefact.is_dir() else variant.artefact.parent
            folders = [folder, folder.parent] if folder.name == HUB_FOLDER else [folder]
            for candidate in [named] if named else [each / TOKENIZER for each in folders]:
                if candidate.is_file():
                    found.setdefault(variant.artefact, candidate)
    return found


def _check_named(tokenizer: Path | None, key: str) -> None:
    if tokenizer is not None and not tokenizer.is_file():
        raise SuiteError(f"{key}: {tokenizer} is not a file")


def _digests(files: Iterable[Path], cache: DigestCache) -> dict[Path, str]:
    """SHA-256 of those that can be read: what nobody needs may be unreadable."""
    found: dict[Path, str] = {}
    for file in files:
        with contextlib.suppress(OSError):
            found[file] = cache.sha256(file)
    return found
