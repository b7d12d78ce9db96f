"""Tells a causal language model by what ExecuTorch's own exporter and runner agree on.

`export_llm` writes beside `forward` methods that give a number each (`get_vocab_size`, `get_max_context_len`,
`use_kv_cache`), and `forward` takes tokens (1, n) and where they begin: one position, or one for each token.
Read from the runner: https://github.com/pytorch/executorch/tree/main/extension/llm/runner.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchharness.contract import TensorSpec
from targets.pte_format.program import Method, Program

FORWARD = "forward"
_INTEGERS = ("int64", "int32")
_VOCABULARY, _CONTEXT, _LONGEST, _CACHED = "get_vocab_size", "get_max_context_len", "get_max_seq_len", "use_kv_cache"


@dataclass(frozen=True)
class LanguageSignature:
    """A causal language model as its program describes it."""

    vocabulary_size: int
    context_length: int
    longest: int  # tokens that one call takes
    token_dtype: str
    position_dtype: str
    positions: bool  # one for each token; else the first one's alone
    all_logits: bool  # of every token; else of the last one


def why_no_language_model(program: Program) -> str:
    """The reason why a program is not a causal language model that can be run here; empty where it is one."""
    method = program.methods.get(FORWARD)
    if method is None or program.constant(_VOCABULARY) is None:
        missing = FORWARD if method is None else _VOCABULARY
        return f"it has no method {missing}, which ExecuTorch's exporter of language models writes"
    if program.constant(_CACHED) == 0 or len(method.inputs) == 1:
        return "it was exported without a key/value cache"
    return _why_not_shaped(method)


def _why_not_shaped(method: Method) -> str:
    tokens, positions = (*method.inputs, None, None)[:2]
    logits = method.outputs[0] if method.outputs else None
    if len(method.inputs) != 2 or tokens is None or positions is None or logits is None:
        return f"{FORWARD} takes {len(method.inputs)} inputs, and tokens and their positions were expected"
    if tokens.dtype not in _INTEGERS or positions.dtype not in _INTEGERS or len(tokens.shape) != 2:
        return (
            f"{FORWARD} takes {_words(tokens)} and {_words(positions)}, and tokens (1, n) and positions were expected"
        )
    if tokens.shape[0] != 1 or len(positions.shape) != 1 or len(logits.shape) not in (2, 3):
        return f"{FORWARD} gives {_words(logits)} of {_words(tokens)}; one text at a time was expected"
    if tokens.shape[1] != 1 and not method.bounded[0]:
        return f"{FORWARD} takes {tokens.shape[1]} tokens at a time and no fewer"
    return ""


def read_signature(program: Program) -> LanguageSignature:
    """The signature of a causal language model."""
    method = program.methods[FORWARD]
    tokens, positions = method.inputs
    logits = method.outputs[0]
    assert tokens is not None
    assert positions is not None
    assert logits is not None
    longest = int(tokens.shape[1] or 1)
    context = program.constant(_CONTEXT) or program.constant(_LONGEST) or longest
    return LanguageSignature(
        vocabulary_size=program.constant(_VOCABULARY) or 0,
        context_length=context,
        longest=longest,
        token_dtype=tokens.dtype,
        position_dtype=positions.dtype,
        positions=positions.shape[0] != 1 or method.bounded[1],
        all_logits=len(logits.shape) == 3,
    )


def _words(spec: TensorSpec) -> str:
    return f"{spec.dtype} ({', '.join(map(str, spec.shape))})"
