"""Turns a request into onnxruntime-genai's configuration, loads the model, and says in words why it was refused.

genai takes most of what it is told without a word, so what it is told is written down as unconfirmed. Its folder is not
trusted: a configuration that names a library or another file to load or to write is refused.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Callable

import onnxruntime_genai

from benchharness.contract import Configuration, Refusal
from benchharness.errors import ModelFailure, Unsupported
from targets.asked import (
    one_of,
    read_options,
    refuse_accelerator_options,
    refuse_plugins,
    refused,
    table,
    unconfirmed,
    whole_number,
)
from targets.onnx_format.files import GENAI_CONFIG, check_files, describe, find_model, genai_folder, genai_sections

LOGITS, RUNTIME = "logits", "runtime"
_LOOPS = {
    LOGITS: "logits: append_tokens and get_logits for each token, which is chosen outside",
    RUNTIME: "runtime: generate_next_token, as an application writes",
}
_OPTIONS: Mapping[str, Callable[[str, Any], Any]] = {
    "loop": partial(one_of, allowed=_LOOPS),
    "max_length": whole_number,
    "session_options": table,
}
_THREADS = "intra_op_num_threads"
#: What a folder may ask of ONNX Runtime's session. Others load libraries, write profiles, or are not known.
_OF_A_FOLDER = {
    *(_THREADS, "inter_op_num_threads", "enable_cpu_mem_arena", "enable_mem_pattern", "graph_optimization_level"),
    *("log_id", "log_severity_level", "provider_options", "use_env_allocators"),
}
#: The most probable token, and nothing that changes what is most probable.
_GREEDY = {
    "do_sample": False,
    "num_beams": 1,
    "num_return_sequences": 1,
    "batch_size": 1,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "min_length": 0,
}
_TOLD_SEARCH = (*_GREEDY, "chunk_size", "past_present_share_buffer")
#: What genai says where a provider is no part of it, as against one that is here and refuses a model.
_NOT_HERE = re.compile(
    r"not supported in this build|not available|not been built|Unknown provider|Failed to load library|not registered",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Loaded:
    """A loaded model and its one generator."""

    file: Path
    model: Any  # onnxruntime_genai.Model
    generator: Any  # onnxruntime_genai.Generator
    vocabulary_size: int
    max_length: int  # prompt and answer, read back
    search: Mapping[str, Any]  # read back
    loop: str
    refusal: Refusal | None
    facts: Mapping[str, Any]

    @property
    def writes(self) -> bool:
        """Whether its own loop is to choose the tokens."""
        return self.loop == RUNTIME

    @property
    def loop_in_words(self) -> str:
        """Which way a result is of."""
        return _LOOPS[self.loop]


def load(artefact: Path, configuration: Configuration) -> Loaded:
    """Loads a folder's model. Raises `ModelFailure` for bad files, `Unsupported` for what cannot be met."""
    if configuration.why_tensors:
        raise Unsupported(f"{configuration.why_tensors}: onnxruntime-genai runs causal language models only")
    loop, overlay = _checked(configuration)
    file, folder, vocabulary_size = _find(artefact)
    if not _is_cpu(configuration.accelerator):
        _check_provider_options(folder)
    if loop == RUNTIME:
        overlay.update(_overlaid_end(vocabulary_size))
    model, refusal = _load_model(file, folder, configuration, overlay)
    try:
        search = onnxruntime_genai.GeneratorParams(model)
        wanted = configuration.options.get("max_length")
        search.set_search_options(**_GREEDY, **({} if wanted is None else {"max_length": wanted}))
        generator = onnxruntime_genai.Generator(model, search)
        held = search.get_search_options()
    except RuntimeError as error:
        if configuration.options.get("max_length") is not None:
            raise Unsupported(f"options.max_length: {configuration.options['max_length']}: {error}") from error
        raise ModelFailure(f"{file}: onnxruntime-genai cannot make a generator for it: {error}") from error
    asked = overlay["decoder"]["session_options"]
    return Loaded(
        file=file,
        model=model,
        generator=generator,
        vocabulary_size=vocabulary_size,
        max_length=int(held["max_length"]),
        search={key: held[key] for key in _TOLD_SEARCH},
        loop=loop,
        refusal=refusal,
        facts={
            **({"session_options_unconfirmed": asked} if asked else {}),
            **unconfirmed(configuration),
            **({"end_of_text_replaced_by": overlay["eos_token_id"]} if "eos_token_id" in overlay else {}),
        },
    )


def _overlaid_end(vocabulary_size: int) -> dict[str, int]:
    """What keeps its loop from ending at an end of text, since answers of a length are measured.

    The vocabulary's last token stands for it, which models rarely use. As one number it takes the place of a list; a
    list would be added to the folder's.
    """
    return {"eos_token_id": vocabulary_size - 1}


def _find(artefact: Path) -> tuple[Path, Path, int]:
    """The model's file, its folder, and how many tokens it knows."""
    file = find_model(artefact)
    check_files(file)
    folder = genai_folder(file)
    if folder is None:
        raise ModelFailure(
            f"{file}: no {GENAI_CONFIG} beside it names it; onnxruntime-genai needs one, and `onnxruntime` none"
        )
    sections = genai_sections(folder)
    decoder = sections["decoder"] if isinstance(sections.get("decoder"), dict) else {}
    others = [name for name, told in sections.items() if isinstance(told, dict) and name != "decoder"]
    if "pipeline" in decoder or any("filename" in sections[name] for name in others):
        raise Unsupported(f"{folder}: {GENAI_CONFIG} names a pipeline of models; this adapter runs single decoders")
    options = decoder.get("session_options", {})
    foreign = sorted(set(options) - _OF_A_FOLDER) if isinstance(options, dict) else ["session_options"]
    if foreign:
        raise Unsupported(
            f"{folder / GENAI_CONFIG}: session_options.{foreign[0]}: a model's folder may not ask for it; take it out, "
            "and give it in the configuration: options = { session_options = { … } }"
        )
    size = describe(file).vocabulary_size
    if size is None:
        raise ModelFailure(f"{folder / GENAI_CONFIG}: model.vocab_size is missing; export the model again")
    return file, folder, size


def _check_provider_options(folder: Path) -> None:
    """Raises `Unsupported` where a folder gives a provider options: genai joins them with the request's, untold.

    One may be the path of a library. Whichever provider is meant: genai knows each by several names.
    """
    told = genai_sections(folder)["decoder"].get("session_options", {}).get("provider_options", [])
    entries = told if isinstance(told, list) else [told]
    if any(options for each in entries if isinstance(each, dict) for options in each.values()):
        raise Unsupported(
            f"{folder / GENAI_CONFIG}: session_options.provider_options: a model's folder may not give an accelerator "
            "options; take them out, and give them in the configuration: accelerator_options = { … }"
        )


def _checked(configuration: Configuration) -> tuple[str, dict[str, Any]]:
    """The loop, and what is laid over the folder's `model` section. Raises `Unsupported`."""
    options = read_options(configuration, _OPTIONS, "onnxruntime-genai")
    session = options.get("session_options", {})
    if configuration.threads is not None:
        if _THREADS in session:
            raise Unsupported(f"options.session_options.{_THREADS}: threads says it already; leave one out")
        session[_THREADS] = whole_number("threads", configuration.threads)
    refuse_plugins(configuration, "onnxruntime-genai's providers are part of it")
    if _is_cpu(configuration.accelerator):
        refuse_accelerator_options(configuration, "the CPU has none")
    return options.get("loop", LOGITS), {"decoder": {"session_options": session}}


def _load_model(
    file: Path, folder: Path, configuration: Configuration, overlay: Mapping[str, Any]
) -> tuple[Any, Refusal | None]:
    """The model on the accelerator asked for, or, where the configuration allows it, without."""
    name = configuration.accelerator
    if name is None or _is_cpu(name):
        return _model(file, _configure(folder, overlay)), None
    began_ns = time.perf_counter_ns()
    config = _configure(folder, overlay)
    try:
        config.append_provider(name)
        for key, value in configuration.accelerator_options.items():
            config.set_provider_option(name, str(key), str(value))
        return onnxruntime_genai.Model(config), None
    except RuntimeError as error:
        lost_ns, words = time.perf_counter_ns() - began_ns, str(error).strip()
    if _NOT_HERE.search(words):
        raise Unsupported(f"accelerator {name!r}: this onnxruntime-genai does not have it: {words}")
    refusal = refused(name, file, words, lost_ns, configuration)
    return _model(file, _configure(folder, overlay)), refusal


def _configure(folder: Path, overlay: Mapping[str, Any]) -> Any:
    try:
        config = onnxruntime_genai.Config(str(folder))
    except RuntimeError as error:
        raise ModelFailure(f"{folder}: onnxruntime-genai cannot read its {GENAI_CONFIG}: {error}") from error
    config.clear_providers()  # the request says where it runs, and not the folder
    try:
        config.overlay(json.dumps({"model": overlay}))
    except RuntimeError as error:
        raise Unsupported(f"options.session_options: onnxruntime-genai does not take them: {error}") from error
    return config


def _model(file: Path, config: Any) -> Any:
    try:
        return onnxruntime_genai.Model(config)
    except RuntimeError as error:
        if "session_options" in str(error):  # some are looked at when the session is made
            raise Unsupported(f"options.session_options: onnxruntime-genai does not take them: {error}") from error
        version = onnxruntime_genai.__version__
        raise ModelFailure(f"{file}: onnxruntime-genai {version} cannot load it: {error}") from error


def _is_cpu(accelerator: str | None) -> bool:
    return accelerator is None or accelerator.casefold() == "cpu"
