"""The named recipes: which tool makes a smaller model of which format, with which settings.

A recipe's settings are what the tool is given, word for word; `recipe.json` beside an artefact repeats them. Nothing
here imports a tool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

ONNX, TFLITE, CORE_ML, GGUF = ".onnx", ".tflite", ".mlpackage", ".gguf"
FORMATS = (ONNX, TFLITE, CORE_ML, GGUF)

#: Where every random choice of a tool starts from, if the tool asks Python or numpy for it.
SEED = 0
#: Packages that decide what a recipe makes, first the tool itself.
PACKAGES: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        ONNX: ("onnxruntime", "onnx", "onnx-ir", "numpy"),
        TFLITE: ("ai-edge-quantizer", "ai-edge-litert", "numpy"),
        CORE_ML: ("coremltools", "scikit-learn", "numpy"),
        GGUF: ("gguf", "numpy"),
    }
)
#: What a tool uses where it is there, and does without where it is not: the outcome differs.
OPTIONAL_PACKAGES: Mapping[str, Sequence[str]] = MappingProxyType({CORE_ML: ("kmeans1d",)})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to make a model smaller. `settings` are JSON values, read-only all the way down."""

    name: str
    format: str  # one of FORMATS
    family: str  # "dynamic", "static", "weight-only", "block-wise", "half", "linear", "palette", "pruning"
    precision: str  # what --to may ask for: "int8", "int4", "fp16"; or a name of its own
    bits: int | None  # of a weight; None: as many as before
    settings: Mapping[str, Any] = field(hash=False)  # JSON values
    description: str
    default: bool = False  # what its precision means for its format
    needs_calibration: bool = False
    deterministic: bool = True  # the same input and versions give the same bytes
    why_not_deterministic: str = ""
    left: tuple[str, ...] = ()  # weights that stay as they are, by their tensors' names
    draw: int = 0  # of half of the calibration data; 0: all of it
    of: str = ""  # the recipe in the table that it is, where it is none itself

    @property
    def told(self) -> dict[str, Any]:
        """Everything that decides what it makes, for the record beside an artefact."""
        left = {"left": list(self.left)} if self.left else {}
        return {**plain(self.settings), **left, **({"draw": self.draw} if self.draw else {})}


def plain(value: Any) -> Any:
    """Settings as dictionaries and lists, for JSON and for tools that want those."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, tuple) else value


def frozen(value: Any) -> Any:
    """Settings as a recipe keeps them."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: frozen(each) for key, each in value.items()})
    return tuple(frozen(each) for each in value) if isinstance(value, list | tuple) else value


_FORMAT_BY_PREFIX = {"onnx": ONNX, "tflite": TFLITE, "coreml": CORE_ML, "gguf": GGUF}
_BITS = {"int4": 4, "int8": 8, "fp16": 16}


def _recipe(
    name: str, family: str, precision: str, settings: Mapping[str, Any], description: str, **more: Any
) -> Recipe:
    """A recipe whose format follows from its name, and its bits from its precision unless they are given."""
    return Recipe(
        name=name,
        format=_FORMAT_BY_PREFIX[name.partition("-")[0]],
        family=family,
        precision=precision,
        settings=frozen(settings),
        description=description,
        **{"bits": _BITS.get(precision), **more},
    )


# ONNX: onnxruntime.quantization and onnxruntime.transformers.float16.


def _onnx_dynamic(*, per_channel: bool) -> dict[str, Any]:
    """Of `quantize_dynamic`. An empty list of operators is the tool's own: MatMul, Gemm, Conv, Gather, LSTM, ..."""
    return {
        "per_channel": per_channel,
        "reduce_range": False,
        "weight_type": "QInt8",
        "op_types_to_quantize": [],
        "extra_options": {"EnableSubgraph": True},
    }


def _onnx_static(method: str, **calibrator: Any) -> dict[str, Any]:
    """Of `quant_pre_process`, which folds batch normalisation into weights, `create_calibrator`, `quantize_static`."""
    return {
        "pre_process": {"skip_symbolic_shape": True, "skip_optimization": False, "skip_onnx_shape": False},
        "calibrate_method": method,
        "calibrator": calibrator,
        "quant_format": "QDQ",
        "per_channel": True,
        "reduce_range": False,
        "activation_type": "QInt8",
        "weight_type": "QInt8",
        "op_types_to_quantize": [],  # the tool's own
        # The masks of attention hold the lowest float there is: a range that includes it has room for nothing else.
        "op_types_of_language_models": ["MatMul", "Gemm", "Gather"],
    }


def _onnx_blocks(bits: int) -> dict[str, Any]:
    """Of `MatMulNBitsQuantizer`: matrices only; an embedding stays as it is."""
    return {
        "bits": bits,
        "block_size": 32,
        "is_symmetric": True,
        "accuracy_level": None,
        "op_types_to_quantize": ["MatMul"],
    }


# TFLite: rules of ai-edge-quantizer, in its own JSON form. A later rule overrides an earlier one.


def _weights(bits: int, *, granularity: str = "CHANNELWISE", dtype: str = "INT") -> dict[str, Any]:
    return {"num_bits": bits, "symmetric": True, "granularity": granularity, "dtype": dtype}


def _rule(operation: str, op_config: Mapping[str, Any], algorithm: str = "min_max_uniform_quantize") -> dict[str, Any]:
    return {"regex": ".*", "operation": operation, "algorithm_key": algorithm, "op_config": op_config}


def _dynamic(weights: Mapping[str, Any]) -> dict[str, Any]:
    return {"weight_tensor_config": weights, "compute_precision": "INTEGER", "explicit_dequantize": False}


def _weight_only(weights: Mapping[str, Any]) -> dict[str, Any]:
    return {"weight_tensor_config": weights, "compute_precision": "FLOAT", "explicit_dequantize": True}


_IN_BLOCKS = _dynamic(_weights(4, granularity="BLOCKWISE_32"))
_IN_HALF = _weight_only(_weights(16, granularity="TENSORWISE", dtype="FLOAT"))
_HALF_OPERATIONS = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D_TRANSPOSE", "EMBEDDING_LOOKUP")
_STATIC = {
    "activation_tensor_config": {"num_bits": 8, "symmetric": False, "granularity": "TENSORWISE", "dtype": "INT"},
    "weight_tensor_config": _weights(8),
    "compute_precision": "INTEGER",
    "explicit_dequantize": False,
}
#: A model's inputs and outputs stay as they are, so that every variant takes and gives the same.
_KEEP_BORDERS = [_rule(border, {}, "no_quantize") for border in ("INPUT", "OUTPUT")]


# Core ML: coremltools.optimize.coreml, the arguments of the named configuration class.


def _linear(dtype: str, granularity: str, block_size: int) -> dict[str, Any]:
    return {
        "mode": "linear_symmetric",
        "dtype": dtype,
        "granularity": granularity,
        "block_size": block_size,
        "weight_threshold": 2048,
    }


def _palette(bits: int, mode: str) -> dict[str, Any]:
    return {"nbits": bits, "mode": mode, "granularity": "per_tensor", "weight_threshold": 2048}


# GGUF: the type that matrices get, by gguf.quants, or by llama.cpp's own program where that alone can.


def _gguf(type_: str, tool: str = "gguf.quants") -> dict[str, Any]:
    return {"tool": tool, "type": type_}


def _palettes(mode: str, ending: str, words: str) -> list[Recipe]:
    return [
        _recipe(
            f"coreml-palette{bits}{ending}",
            "palette",
            f"palette{bits}{ending}",
            _palette(bits, mode),
            f"{2**bits} {words}, a palette per weight tensor",
            bits=bits,
        )
        for bits in (4, 6, 8)
    ]


_ALL_RECIPES = [
    _recipe(
        "onnx-int8-dynamic",
        "dynamic",
        "int8",
        _onnx_dynamic(per_channel=False),
        "weights int8, a scale per tensor; activations quantized at run time",
        default=True,
    ),
    _recipe(
        "onnx-int8-dynamic-per-channel",
        "dynamic",
        "int8",
        _onnx_dynamic(per_channel=True),
        "weights int8, a scale per output channel; activations quantized at run time",
    ),
    _recipe(
        "onnx-int8-static",
        "static",
        "int8",
        _onnx_static("MinMax"),
        "weights int8 per channel, activations int8 (QDQ), ranges: smallest to largest value seen",
        needs_calibration=True,
    ),
    _recipe(
        "onnx-int8-static-entropy",
        "static",
        "int8",
        # The tool's own 128 bins would leave nothing to cut off: the outcome would be onnx-int8-static again.
        _onnx_static("Entropy", num_bins=512, num_quantized_bins=128),
        "as onnx-int8-static, ranges that lose least information",
        needs_calibration=True,
    ),
    _recipe(
        "onnx-int8-static-percentile",
        "static",
        "int8",
        _onnx_static("Percentile", num_bins=2048, percentile=99.99, symmetric=True),
        "as onnx-int8-static, ranges that hold 99.99 % of the values seen",
        needs_calibration=True,
    ),
    _recipe("onnx-int8-block32", "block-wise", "int8", _onnx_blocks(8), "matrices int8 in blocks of 32 (MatMulNBits)"),
    _recipe(
        "onnx-int4-block32",
        "block-wise",
        "int4",
        _onnx_blocks(4),
        "matrices int4 in blocks of 32 (MatMulNBits)",
        default=True,
    ),
    _recipe(
        "onnx-fp16",
        "half",
        "fp16",
        {"keep_io_types": "all but the cache", "op_block_list": None, "force_fp16_initializers": False},
        "weights and arithmetic float16; inputs and outputs as before, but a key/value cache in float16",
        default=True,
    ),
    _recipe(
        "tflite-int8-dynamic",
        "dynamic",
        "int8",
        {"rules": [_rule("*", _dynamic(_weights(8)))]},
        "weights int8 per channel; activations quantized at run time",
        default=True,
    ),
    _recipe(
        "tflite-int8-weight-only",
        "weight-only",
        "int8",
        {"rules": [_rule("*", _weight_only(_weights(8)))]},
        "weights int8 per channel; arithmetic float32",
    ),
    _recipe(
        "tflite-int8-static",
        "static",
        "int8",
        {"rules": [_rule("*", _STATIC), *_KEEP_BORDERS], "calibration_threads": 1},
        "weights int8 per channel, activations int8; inputs and outputs as before",
        needs_calibration=True,
    ),
    _recipe(
        "tflite-int4-block32",
        "block-wise",
        "int4",
        {
            "rules": [
                _rule("CONV_2D", _dynamic(_weights(4))),
                _rule("EMBEDDING_LOOKUP", _IN_BLOCKS),
                _rule("FULLY_CONNECTED", _IN_BLOCKS),
            ]
        },
        "matrices and embeddings int4 in blocks of 32, convolutions per channel; activations quantized at run time",
        default=True,
    ),
    _recipe(
        "tflite-int4-dynamic",
        "dynamic",
        "int4",
        {"rules": [_rule("*", _dynamic(_weights(4)))]},
        "weights int4 per channel; activations quantized at run time",
    ),
    _recipe(
        "tflite-int4-weight-only",
        "weight-only",
        "int4",
        {"rules": [_rule("*", _weight_only(_weights(4)))]},
        "weights int4 per channel; arithmetic float32",
    ),
    _recipe(
        "tflite-fp16",
        "half",
        "fp16",
        {"rules": [_rule(operation, _IN_HALF, "float_casting") for operation in _HALF_OPERATIONS]},
        "weights float16; arithmetic float32",
        default=True,
    ),
    _recipe(
        "coreml-int8",
        "linear",
        "int8",
        _linear("int8", "per_channel", 32),
        "weights int8, a scale per output channel",
        default=True,
    ),
    _recipe(
        "coreml-int4-block32",
        "linear",
        "int4",
        _linear("int4", "per_block", 32),
        "weights int4 in blocks of 32; needs a model converted for iOS 18 or later",
        default=True,
    ),
    *_palettes("kmeans", "", "values found by k-means"),
    *_palettes("uniform", "-uniform", "values at equal distances"),
    _recipe(
        "coreml-prune50",
        "pruning",
        "prune50",
        {"target_sparsity": 0.5, "weight_threshold": 2048},
        "the half of each weight tensor that is nearest to zero becomes zero",
    ),
    _recipe(
        "gguf-q8_0",
        "block-wise",
        "int8",
        _gguf("Q8_0"),
        "matrices int8 in blocks of 32 with a float16 scale; embedding and output too",
        default=True,
    ),
    _recipe(
        "gguf-q4_0",
        "block-wise",
        "int4",
        _gguf("Q4_0"),
        "matrices int4 in blocks of 32 with a float16 scale; embedding and output too",
        default=True,
    ),
    _recipe("gguf-q4_1", "block-wise", "int4", _gguf("Q4_1"), "as gguf-q4_0, with a smallest value a block as well"),
    _recipe("gguf-fp16", "half", "fp16", _gguf("F16"), "matrices float16", default=True),
    _recipe(
        "gguf-q4_k_m",
        "block-wise",
        "int4",
        _gguf("Q4_K_M", "llama-quantize"),
        "int4 in super-blocks of 256, some matrices in six bits; needs llama.cpp's llama-quantize on the PATH",
    ),
]

RECIPES: Mapping[str, Recipe] = MappingProxyType({recipe.name: recipe for recipe in _ALL_RECIPES})
