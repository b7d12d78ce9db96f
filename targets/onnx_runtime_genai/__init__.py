"""Runs folders with a `genai_config.json` in onnxruntime-genai's own generator, as applications ship them.

`options.loop` says which of its two ways is measured. "logits", the default: tokens in, the next one's logits out, as
other runtimes here are measured, and as quality needs it. "runtime": its own loop chooses the tokens, as an
application calls it (`generate_next_token`), and no logits are copied out. `options.max_length` is the room for prompt
and answer, for which memory is reserved; `options.session_options` go to ONNX Runtime as genai's configuration has
them. `accelerator` is a provider by a name that genai knows.

Its modules: `request` turns what is asked for into genai's configuration, `sessions` are the two ways.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

try:
    from targets.onnx_format.quiet import keep_quiet

    keep_quiet()
    import onnxruntime_genai

    from targets.onnx_runtime_genai.request import Loaded, load
    from targets.onnx_runtime_genai.sessions import LogitsSession, StreamSession
except ImportError as error:
    _missing = f"onnxruntime-genai cannot be imported ({error}); install benchharness[genai]"
else:
    _missing = ""

from benchharness.contract import (
    CACHE_GROWN_BY_GRAPH,
    CACHE_IN_PLACE,
    Availability,
    Configuration,
    EffectiveConfiguration,
)
from benchharness.errors import Unsupported
from targets.onnx_format.files import list_files
from targets.onnx_format.graph import read_graph_facts
from targets.onnx_format.inspection import inspect_model

CPU = "CPU"


class OnnxRuntimeGenai:
    """The adapter for onnxruntime-genai."""

    name = "onnxruntime-genai"
    formats: Sequence[str] = (".onnx",)
    files, inspect = staticmethod(list_files), staticmethod(inspect_model)

    def availability(self) -> Availability:
        """Its version here, or why there is none. Never raises.

        Of providers only the CPU's is sure: `is_openvino_available()` and its like say yes on builds without.
        """
        if _missing:
            return Availability(available=False, reason=_missing)
        return Availability(available=True, version=onnxruntime_genai.__version__, accelerators=(CPU,))

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[LogitsSession | StreamSession]:
        """Loads the folder, or the model in it that its configuration names.

        Raises, on entering, `ModelFailure` for a bad file and `Unsupported` for a request that cannot be met.
        """
        if _missing:
            raise Unsupported(_missing)
        loaded = load(Path(artefact), configuration)
        kind = StreamSession if loaded.writes else LogitsSession
        with closing(kind(loaded, _effective(loaded, configuration))) as session:
            yield session


def _effective(loaded: Loaded, configuration: Configuration) -> EffectiveConfiguration:
    device = loaded.model.device_type
    asked = configuration.accelerator
    # One that was asked for keeps its spelling: "CUDAExecutionProvider" runs on device type "CUDA".
    is_it = asked is not None and loaded.refusal is None and device.casefold() in asked.casefold()
    floats = read_graph_facts(loaded.file).floats
    return EffectiveConfiguration(
        accelerators=(asked if asked is not None and is_it else device,),
        threads=None,
        cache=CACHE_IN_PLACE if loaded.search["past_present_share_buffer"] else CACHE_GROWN_BY_GRAPH,
        runtime_version=onnxruntime_genai.__version__,
        refusal=loaded.refusal,
        model_precision="+".join(sorted(floats or ())) or None,
        facts={
            "layout": "genai",
            "loop": loaded.loop_in_words,
            "device_type": device,
            "model_type": loaded.model.type,
            "max_length": loaded.max_length,
            "search": loaded.search,
            "precision_unknown": "onnxruntime-genai does not tell in what type it computes",
            "threads_source": "unknown: onnxruntime-genai does not tell how many threads run",
            **loaded.facts,
        },
    )
