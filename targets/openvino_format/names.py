"""Names that OpenVINO's files and its runtime share. Needs neither."""

from __future__ import annotations

from targets.onnx_format.causality import Evidence

#: Which row of the batch each sequence goes on from; Optimum's models take it, and one sequence goes on from itself.
BEAMS = "beam_idx"
#: Element types by numpy's names; others keep their own.
DTYPES = {
    **{f"i{bits}": f"int{bits}" for bits in (4, 8, 16, 32, 64)},
    **{f"u{bits}": f"uint{bits}" for bits in (4, 8, 16, 32, 64)},
    "f64": "float64",
    "f32": "float32",
    "f16": "float16",
    "bf16": "bfloat16",
    "boolean": "bool",
    "string": "str",
}
#: Of them those that compute.
FLOATS = {name: dtype for name, dtype in DTYPES.items() if "float" in dtype}


def stateful_evidence(stateful: bool) -> Evidence:
    """Whether a `.xml` model predicts the next token: one that carries a state from token to token does."""
    return Evidence(causal=stateful, words="it has no variables, and no config.json beside it names what it is")
