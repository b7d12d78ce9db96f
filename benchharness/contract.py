"""What an adapter promises the harness: the code that loads one model format in one runtime and runs it.

A session only runs. Warm-up, repeats, clocks, sampling and statistics belong to the harness, so they are the
same for every runtime. Needs Python 3.9 and numpy's types only; the worker imports it on the device.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

#: The task of models that predict the next token; every other takes tensors and gives tensors.
CAUSAL_LM = "causal-lm"

#: How a language session keeps its key/value cache.
CACHE_IN_PLACE = "in-place"  # the graph appends to a buffer that the adapter owns
CACHE_GROWN_BY_GRAPH = "grown-by-graph"  # the graph writes a new copy at every step (Concat)
CACHE_COPIED_BY_BINDING = "copied-by-binding"  # the language binding copies it out and in at every step
CACHE_NONE = "none"  # no cache: each step runs over all tokens again

#: What a session's answers are evidence of.
EXECUTION_DEVICE = "device"  # the runtime that ships, on this device
EXECUTION_REFERENCE = "reference"  # another runtime computes what the weights say: quality, never latency or memory

#: What a configuration wants where the accelerator it names takes only part of the model, or none of it.
FALLBACK_ALLOW = "allow"  # the rest runs elsewhere, and the result tells how much
FALLBACK_WARN = "warn"  # so too, with a warning
FALLBACK_FAIL = "fail"  # the attempt ends `unsupported`


@dataclass(frozen=True)
class Configuration:
    """How a model is to be run, as requested: what the adapter got is in `EffectiveConfiguration`."""

    runtime: str
    accelerator: str | None = None  # execution provider, delegate or compute unit; None: the runtime's own default
    threads: int | None = None  # None: the runtime's own default
    options: Mapping[str, Any] = field(default_factory=dict)  # the runtime's session options, by its own names
    accelerator_options: Mapping[str, Any] = field(default_factory=dict)
    fallback: str = FALLBACK_WARN  # one of FALLBACK_*
    library: str | None = None  # the accelerator's plug-in, a path on the device; None: the runtime's or a package's
    unit: str | None = None  # which of the accelerator's units, as `Availability.units` names them; None: its first
    # What the user says that the model is, which holds where it can be; None: as its signature says.
    task: str | None = None

    @property
    def why_tensors(self) -> str:
        """Why it is opened as a plain `Session` whatever its signature says; empty where the user does not say so."""
        return "" if self.task in (None, CAUSAL_LM) else f'task = "{self.task}" is asked for'


@dataclass(frozen=True)
class Refusal:
    """An accelerator that was tried and took nothing: the session runs without it."""

    reason: str  # the runtime's own words
    lost_ns: int | None  # what trying took before the model was loaded without it; None: a part of the same load


@dataclass(frozen=True)
class EffectiveConfiguration:
    """What the runtime really did, read back from it and never copied from the request.

    The accelerator that was asked for keeps the spelling of the request wherever it is named, here and in placements.
    """

    accelerators: Sequence[str]  # in order of preference, as the runtime reports them for this session
    threads: int | None  # None: the runtime does not tell
    cache: str | None = None  # one of CACHE_*; None: not a language model
    runtime_version: str = "unknown"
    execution: str = EXECUTION_DEVICE  # one of EXECUTION_*
    refusal: Refusal | None = None
    unit: str | None = None  # of the accelerator's units the one that was taken; None: it has no choice of them
    wanted_places: Sequence[str] = ()  # where an accelerator that names several places is wanted; else its own name
    facts: Mapping[str, Any] = field(default_factory=dict)  # anything else worth knowing, JSON values only
    # What floating-point operators are computed in, read back: "float32", "bfloat16", "float16"; several joined by "+".
    # None: the runtime does not tell; say why in facts["precision_unknown"]. Integer operators are no part of it.
    precision: str | None = None
    model_precision: str | None = None  # the same as the model file says it; None: not read, or no such type


@dataclass(frozen=True)
class Availability:
    """Whether an adapter can run on this device, with its version and accelerators, or the reason why not."""

    available: bool
    version: str = "unknown"
    accelerators: Sequence[str] = ()
    reason: str = ""
    units: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by accelerator: "NPU: what it is"


@dataclass(frozen=True)
class TensorSpec:
    """One input or output. `shape` holds a length, the name of a dynamic dimension, or None for unknown."""

    name: str
    dtype: str  # numpy's name: "float32", "int64", "bool"; "str" for strings
    shape: Sequence[int | str | None]


class Session(Protocol):
    """A model loaded in a runtime."""

    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    effective: EffectiveConfiguration

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One inference: arrays by input name to arrays by output name. Raises `ModelFailure`.

        An output that is no tensor (a sequence, a map, an optional that is empty) comes as an array without axes whose
        one object is what the runtime gave.
        """
        ...


@runtime_checkable
class LanguageSession(Protocol):
    """A causal language model with its key/value cache inside. It is a `Session` too."""

    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    effective: EffectiveConfiguration
    vocabulary_size: int
    context_length: int

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One inference on raw inputs, beside the cache. Raises `ModelFailure`."""
        ...

    def reset(self) -> None:
        """Empties the cache."""
        ...

    def extend(self, tokens: Sequence[int]) -> Array:
        """Appends one or more tokens; the logits of the next one, shape (vocabulary_size,), on the host.

        The array may be a view that the next call overwrites. Raises `Unsupported` where the tokens do not fit
        the context, `ModelFailure` where the runtime fails.
        """
        ...

    def decode(self, token: int) -> Array:
        """Appends one token through the cache; the logits of the next one, like `extend([token])`."""
        ...


@dataclass(frozen=True)
class StampClock:
    """The clock that a runtime with a loop of its own stamps its tokens by."""

    timed_by: str  # whose clock: `HARNESS_CLOCK`, "std::chrono::steady_clock", "performance.now"
    stamped_at: str  # one of STAMPED_AT: where the moment was taken
    resolution_ns: int  # its smallest step as measured, not as documented


#: The harness's own clock, which is one for all processes of a machine. Stamps of it are held against the call itself.
HARNESS_CLOCK = "time.perf_counter_ns"
#: Where a token can be stamped: where it was computed, on the host that drives a device, in the page of a browser.
STAMPED_AT = ("device", "host", "browser")


@dataclass(frozen=True)
class TokenStream:
    """What one call of `generate` gave. All stamps are of the session's one clock, in ns."""

    prompt_tokens: int  # those that the runtime fed, whatever it put before the prompt included
    began_ns: int  # the prompt was handed to the runtime
    stamps_ns: Sequence[int]  # when tokens were there, in order
    tokens_per_stamp: Sequence[int]  # how many tokens came with each stamp: runtimes give them in chunks
    tokens: Sequence[int] | None = None  # their ids; None: the runtime gives text only
    text: str | None = None


@runtime_checkable
class GeneratesTokens(Protocol):
    """An optional ability of a session: a runtime, browser, native program or endpoint that writes by its own loop.

    For those that cannot be timed from outside token by token. Their `inputs` and `outputs` are empty, and `run` raises
    `Unsupported`. Of a session that is a `LanguageSession` too, times are those of its stamps, and its logits are for
    quality alone: what a call from outside takes is no part of a token.
    """

    effective: EffectiveConfiguration
    clock: StampClock
    takes_text: bool  # whether a prompt can be text
    vocabulary_size: int | None  # None: a prompt cannot be token ids
    context_length: int

    def generate(self, prompt: Sequence[int] | str, count: int) -> TokenStream:
        """Exactly `count` tokens after the prompt from an empty context, greedily, past an end of text too.

        Stamps are taken where the runtime gives its tokens (its callback, the page, its own report), not where a queue
        hands them on. Raises `Unsupported` where prompt and answer do not fit the context or the prompt's kind is not
        taken, `ModelFailure` where the runtime fails.
        """
        ...


@dataclass(frozen=True)
class OwnRequest:
    """What a program that measures itself is asked: lengths in tokens, as far as its model is a language model's."""

    repeats: int
    prompt_tokens: int
    output_tokens: int
    context_depth: int


@dataclass(frozen=True)
class OwnFigure:
    """A figure that a program tells of itself, in its metric's base unit and as that metric is defined."""

    metric: str
    parameters: Mapping[str, int]
    value: float
    samples: Sequence[float]  # one a repeat; empty where the program tells one figure of all
    took_ns: float  # what the program says that all of it took together: no more than its process lived


@dataclass(frozen=True)
class OwnReport:
    """What such a program told, and what it cannot."""

    figures: Sequence[OwnFigure]
    unknown: Mapping[str, str]  # by metric: why it is not told
    took_ns: int  # its processes lived so long, by the harness's clock


@runtime_checkable
class MeasuresItself(Protocol):
    """An optional ability of a session: a program that loads a model, repeats and times by itself, and tells the end.

    It runs in processes of its own, of which the harness sees what they print. Its `inputs` and `outputs` are empty.
    """

    effective: EffectiveConfiguration  # complete when `measure` has returned
    language: bool

    def measure(self, request: OwnRequest, metrics: Collection[str]) -> OwnReport:
        """Those of these metrics that it tells. Raises `ModelFailure` where it fails, `InvalidOutput` for nonsense."""
        ...


@dataclass(frozen=True)
class Inferences:
    """What one call of `run_timed` gave."""

    taken_ns: Sequence[int]  # of each inference, in order: inputs there until its outputs were there
    outputs: Mapping[str, Array]  # of the last one


@runtime_checkable
class TimesInferences(Protocol):
    """An optional ability of a session that is no language model: times its inferences where they are made.

    For those that answer across a border, such as a page in a browser: what the way there takes is no part of an
    inference.
    """

    clock: StampClock

    def run_timed(self, inputs: Mapping[str, Array], count: int) -> Inferences:
        """So many inferences on the same inputs, one right after the other. Raises `ModelFailure`."""
        ...


@runtime_checkable
class ComputesElsewhere(Protocol):
    """An optional ability of a session: another process than the caller's holds the model and computes.

    Memory and time on a core are then read of that process.
    """

    computed_in: str  # "the page's process (chromium --type=renderer)"

    def process(self) -> int:
        """Its id on this machine. Raises `Unsupported` where it has none here, or cannot be told from others."""
        ...


class Adapter(Protocol):
    """Loads one or more model formats in one runtime."""

    name: str  # "onnxruntime"
    formats: Sequence[str]  # (".onnx",)

    def availability(self) -> Availability:
        """What runs here, or the reason why nothing does. Never raises."""
        ...

    def open(self, artefact: Path, configuration: Configuration) -> AbstractContextManager[Session]:
        """Loads the model. Raises `ModelFailure` for a bad file, `Unsupported` for a request it cannot meet.

        An accelerator that this device has and that refuses the whole model ends in `Unsupported` where the
        configuration's fallback is `fail`; otherwise the model is loaded without it, and `refusal` tells.
        """
        ...


@dataclass(frozen=True)
class AdapterRow:
    """How an adapter is registered: what has to be known of it before, and without, its runtime being loaded.

    Built-in adapters stand in `benchharness.device.adapters`, others in the entry-point group `benchharness.targets`,
    whose value is a row in a module that imports no runtime, or the class itself: its attributes are the row then.
    """

    adapter: str  # the class, "numpy_linear:NumpyLinear"
    formats: Sequence[str]  # as the class has them
    #: The accelerator that is the runtime's plain CPU path, where that is not what it does by default.
    plain_accelerator: str | None = None
    #: What pip installs for it on a device: "onnxruntime>=1.20".
    requires: Sequence[str] = ()
    #: Of the formats those that it opens where it is named only: another runtime is their own.
    on_request: Sequence[str] = ()


@runtime_checkable
class FindsTokenizer(Protocol):
    """An optional ability of an adapter: finds the tokenizer that an artefact carries inside."""

    def tokenizer(self, artefact: Path) -> Path | None:
        """The path of its `tokenizer.json`, None where it has none. Raises `Unsupported` for one of another kind."""
        ...


@dataclass(frozen=True)
class ArtefactFiles:
    """What an adapter reads when it opens an artefact. Paths are relative to `root`, with forward slashes.

    `root` follows from the model alone, so that an artefact named by its folder or by its file is the same one.
    """

    root: Path  # a folder that holds all of them: the artefact itself, or one above it
    model: str  # the file or package that is opened
    files: Sequence[str]  # every file that is read, those of a package each
    part: str = ""  # of a pipeline: "encoder"; empty where the model is the whole
    pipeline: Sequence[str] = ()  # the models of its other parts
    siblings: Sequence[str] = ()  # other models in the same place, which are not read


@runtime_checkable
class OpensBytes(Protocol):
    """An optional ability of an adapter: opens a model whose content is in memory and nowhere else, a sealed one."""

    def open_bytes(
        self, artefact: Path, content: bytes, configuration: Configuration
    ) -> AbstractContextManager[Session]:
        """As `open` does. `artefact` stands for the model in messages and among its neighbours; there is no such file.

        Writes nothing of the content anywhere. Raises `Unsupported` for a request that would.
        """
        ...


@runtime_checkable
class ListsFiles(Protocol):
    """An optional ability of an adapter: tells which files an artefact is. Without it, it is all of a folder's."""

    def files(self, artefact: Path) -> ArtefactFiles:
        """The files that `open` reads, found as it finds them. The artefact is not trusted, and nothing is run.

        Raises `ModelFailure` where there is no model, more than one to choose from, a file that is missing, or one
        that a model must not name.
        """
        ...


@runtime_checkable
class ReportsPlacement(Protocol):
    """An optional ability: tells where the operators run."""

    def placement(self) -> Mapping[str, Mapping[str, int]]:
        """Operators per accelerator: {"CPUExecutionProvider": {"MatMul": 31, ...}, ...}."""
        ...


@runtime_checkable
class TellsKeptState(Protocol):
    """An optional ability: tells whether an inference leaves something behind for the next that nobody can reset."""

    def keeps_state(self) -> bool:
        """Whether the model keeps a state inside. One that goes in and out as tensors is none."""
        ...


@runtime_checkable
class TellsLastOperators(Protocol):
    """An optional ability: tells what computes the outputs, so that scores are known for probabilities or logits."""

    def last_operators(self) -> Mapping[str, str]:
        """By output, the operator that computes it, by the format's own name: {"probs": "Softmax"}.

        Operators that only rename, reshape, cast or rescale numbers (Identity, Reshape, QuantizeLinear) are seen
        through. Outputs of which nothing is known are left out.
        """
        ...


@runtime_checkable
class ReportsInputRows(Protocol):
    """An optional ability of a session: tells which inputs are ids, and of how many."""

    def input_rows(self) -> Mapping[str, int]:
        """By input: the rows of the smallest stored table that its numbers pick from. Never raises; {} for none."""
        ...


@runtime_checkable
class AllocatesLate(Protocol):
    """An optional ability: a model that cannot have memory before the shapes of its inputs are known."""

    def allocate(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Memory for inputs of these shapes, where loading could give none; else nothing. Raises `ModelFailure`.

        `effective` and `placement` tell what the runtime did from then on.
        """
        ...


@runtime_checkable
class ScoresText(Protocol):
    """An optional ability: the logits of all positions in one pass."""

    def score(self, tokens: Sequence[int]) -> Array:
        """Logits after each token, shape (len(tokens), vocabulary_size), from an empty cache."""
        ...


@runtime_checkable
class Rewinds(Protocol):
    """An optional ability of a `LanguageSession`: forgets the end of its text, so that another can follow."""

    def rewind(self, tokens: int) -> None:
        """Keeps the first `tokens` of what the cache holds, from none to all.

        Raises `Unsupported` where it holds fewer, or where this model's cache cannot be cut.
        """
        ...


@dataclass(frozen=True)
class StoredNumbers:
    """All stored tensors of one type and role in a model file."""

    dtype: str  # as they mean it: "float32", "int8", and "uint4" also where two of them share a byte of another type
    role: str  # "weights", or "scales" for the scales and zero points that quantization adds
    tensors: int
    numbers: int
    bytes: int


@dataclass(frozen=True)
class Quantization:
    """One way in which a model file is quantized, and what is quantized in that way."""

    method: str  # {block-wise, static, dynamic, palettized, pruned} weights, {static, dynamic} activations, half
    # precision
    dtype: str  # of the quantized weights or activations
    operators: Mapping[str, int]  # how many do it, by operator; empty where it is no operator's doing
    granularity: str  # what shares a scale: "per-tensor", "per-channel", "blocks of 32"; else "unknown" or "none"
    symmetric: bool | None  # whether every zero point is zero; None: cannot be told


@dataclass(frozen=True)
class ModelDescription:
    """What a model file says of itself, read without running it."""

    format: str  # "onnx"
    task: str  # "causal-lm" where the adapter would open it as one, else "tensor"
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    operators: Mapping[str, Mapping[str, int]]  # how many, by domain and name
    parameters: Sequence[StoredNumbers]
    quantization: Sequence[Quantization]
    external_files: Mapping[str, int | None]  # bytes of files beside the model's own; None: not there
    facts: Mapping[str, Any] = field(default_factory=dict)  # anything else worth knowing, JSON values only


@runtime_checkable
class Inspects(Protocol):
    """An optional ability of an adapter: tells what is in a model file without running it."""

    def inspect(self, artefact: Path) -> ModelDescription:
        """What the file says. It is not trusted: raises `ModelFailure` for whatever cannot be read."""
        ...
