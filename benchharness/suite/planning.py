"""One model's part of a plan, as a scenario is given it: who is paired with what, and how a job is made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchharness.device.sealed import plain_name
from benchharness.results.objects import written
from benchharness.results.requested import Configuration, Opened, Workload
from benchharness.results.result import Job
from benchharness.suite.artefact import Manifest
from benchharness.suite.data_files import REQUESTS, TEXT_KINDS, DataFile
from benchharness.suite.hardware import HardwareTarget
from benchharness.suite.tables import Model, Suite
from benchharness.suite.vocabularies import Vocabulary

#: Where hubs keep the models of a repository, below its configuration and tokenizer; and which.
HUB_FOLDER, _HUB_ENDINGS = "onnx", (".onnx", ".ort")
_MOST_FILES_KEPT = 200


@dataclass(frozen=True, kw_only=True)
class Materials:
    """What the files named in a suite hold."""

    manifests: Mapping[Path, Manifest]
    texts: Mapping[Path, str] = field(default_factory=dict)  # prompt files
    downloads: Mapping[Path, int] = field(default_factory=dict)  # artefact -> compressed bytes, where computed
    tokens: Mapping[Path, Sequence[int]] = field(default_factory=dict)  # token files
    tokenizers: Mapping[Path, Path] = field(default_factory=dict)  # artefact -> tokenizer.json, where there is one
    data: Mapping[Path, DataFile] = field(default_factory=dict)  # evaluation data
    digests: Mapping[Path, str] = field(default_factory=dict)  # SHA-256 of the tokenizers
    # In which tokens each artefact reads a text, in models whose variants differ in that.
    vocabularies: Mapping[Path, Vocabulary] = field(default_factory=dict)
    of_scenarios: Mapping[str, Any] = field(default_factory=dict)  # by scenario: what `gathered` made of its files


@dataclass(frozen=True, kw_only=True)
class Planning:
    """A model of a suite on one hardware target; `pairs` are its variants, each with what opens it."""

    suite: Suite
    hardware: HardwareTarget
    materials: Materials
    name: str
    pairs: Sequence[tuple[str, Configuration]]
    formats: Callable[[str], Sequence[str]]

    @property
    def model(self) -> Model:
        """The model's table."""
        return self.suite.models[self.name]

    def opens(self, variant: str, configuration: Configuration) -> bool:
        """Whether the configuration's runtime takes the variant's format."""
        known = self.formats(configuration.runtime)
        return artefact_format(self.model.variants[variant].artefact, known) is not None

    def opened(
        self, variant: str, configuration: Configuration, tensors: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Opened:
        """What a session beside the job's own is opened with."""
        found = self.model.variants[variant]
        return Opened(
            variant=variant,
            artefact=str(found.artefact),
            digest=self.materials.manifests[found.artefact].digest,
            configuration=configuration,
            tensors=tensors or {},
            key_from=found.key_from,
        )

    def reference(self, variant: str, configuration: Configuration) -> str:
        """The variant that another is compared with: the first reference in a format that the same runtime opens."""
        named = self.model.reference or tuple(self.model.variants)[:1]
        fitting = (name for name in named if self.opens(name, configuration))
        return variant if variant in named else next(fitting, named[0])

    def own_tokenizer(self, variant: str, other: str) -> Path | None:
        """A variant's tokenizer, where it is not known to cut a text as the other's does: the device looks."""
        variants, materials = self.model.variants, self.materials
        ours, theirs = (variants[name].artefact for name in (variant, other))
        spoken = [materials.vocabularies.get(each) for each in (ours, theirs)]
        named = variants[variant].tokenizer is not None
        return materials.tokenizers.get(ours) if named or spoken[0] != spoken[1] else None

    def told_of_tensors(self, variant: str) -> dict[str, dict[str, str]]:
        """What the suite says of a variant's tensors; nothing where it says nothing."""
        return _told_of_tensors(self.model, variant).get("tensors", {})

    def job(
        self,
        variant_name: str,
        reference: str,
        configuration: Configuration,
        workload: Workload,
        scenario: str,
        settings: dict[str, Any],
        *,
        adds: Mapping[str, Any],
    ) -> Job:
        """One job. `adds` are facts of its scenario: `against`, `chain`."""
        model, materials = self.model, self.materials
        variant = model.variants[variant_name]
        manifest = materials.manifests[variant.artefact]
        data_kind = workload.data.kind if workload.data else ""
        asks_for_text = workload.prompt.text is not None or data_kind in (*TEXT_KINDS, REQUESTS)
        against = adds.get("against")
        speaks = Path(against.artefact) if against else variant.artefact  # one tokenizer for a whole pass
        tokenizer = materials.tokenizers.get(speaks) if asks_for_text else None
        own = self.own_tokenizer(variant_name, against.variant) if against and asks_for_text else None
        vocabulary = spoken.name if (spoken := materials.vocabularies.get(variant.artefact)) else ""
        facts: dict[str, Any] = {
            "hardware": self.hardware.name,
            "model": self.name,
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
            "timeout_s": self.suite.attempts.timeout + _asked_for_ns(settings) / 1e9,
            **adds,
            **_told(model, variant_name, data=workload.data is not None),
            **({"key_from": variant.key_from} if variant.key_from else {}),
            **({"own_tokenizer": str(own)} if own else {}),
            **({"vocabulary": vocabulary} if vocabulary else {}),
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
            tokenizer_digest=materials.digests.get(tokenizer) if tokenizer else None,
            own_tokenizer_digest=materials.digests.get(own) if own else None,
        )


def artefact_format(artefact: Path, known: Sequence[str]) -> str | None:
    """Which of the known file endings an artefact has: its own, or for a folder that of a file in it or in `onnx/`.

    That of a sealed file is what it had before.
    """
    for ending in known:
        if plain_name(artefact.name).endswith(ending) or (artefact.is_dir() and any(artefact.glob(f"*{ending}"))):
            return ending
    below = artefact / HUB_FOLDER
    return next((ending for ending in known if ending in _HUB_ENDINGS and any(below.glob(f"*{ending}"))), None)


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


def _asked_for_ns(settings: Mapping[str, Any]) -> int:
    """How long an attempt takes because its settings say so."""
    pauses = sum(settings.get("pauses_ns", ())) * settings.get("pause_repeats", 0)
    return int(settings.get("duration_ns", 0) + settings.get("longest_ns", 0) + pauses)


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
