"""What a careful programmer writes against onnxruntime alone, without benchharness: the rival of the harness's path.

One IO binding; the cache is one buffer of exactly the length needed, bound as past and present; the mask grows by
rebinding its pointer; token and logits are bound once. Knows the layout of onnxruntime-genai's model builder only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

_ERRORS_ONLY = 3
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class RawAnswer:
    """Stamps of one answer in ns, as the harness takes them, and the tokens chosen."""

    handed: int  # the prompt was handed to the runtime
    prefilled: int  # its logits were on the host
    chosen: Sequence[int]  # each token was chosen
    tokens: Sequence[int]


class RawLoop:
    """A loaded model and its buffers, for prompts of one length and outputs of at most another."""

    def __init__(
        self, folder: Path, *, threads: int, spinning: bool | None, prompt_tokens: int, output_tokens: int
    ) -> None:
        self._session = _load(folder / "model.onnx", threads, spinning)
        logits = next(node for node in self._session.get_outputs() if node.name == "logits")
        vocabulary, dtype = logits.shape[-1], _DTYPES[logits.type]
        length = prompt_tokens + output_tokens
        self._prompt = np.zeros((1, prompt_tokens), np.int64)
        self._prompt_logits = np.zeros((1, prompt_tokens, vocabulary), dtype)
        self._token = np.zeros((1, 1), np.int64)
        self._token_logits = np.zeros((1, 1, vocabulary), dtype)
        self._mask = np.ones((1, length), np.int64)
        self._binding = self._session.io_binding()
        self._cache = self._bind_cache(length, _head_size(folder))

    def prefill(self, prompt: Sequence[int]) -> np.ndarray[Any, Any]:
        """Runs a prompt into an empty cache; the logits of the next token, shape (vocabulary,)."""
        self._prompt[0] = prompt
        self._bind_input("input_ids", self._prompt)
        self._bind_input("attention_mask", self._mask[:, : len(prompt)])
        self._bind_output("logits", self._prompt_logits)
        self._session.run_with_iobinding(self._binding)
        last: np.ndarray[Any, Any] = self._prompt_logits[0, -1]
        return last

    def answer(self, prompt: Sequence[int], fed: Sequence[int] | None, output_tokens: int) -> RawAnswer:
        """Prefills, then decodes: chooses greedily, and feeds the choice or, where `fed` is given, its tokens."""
        clock = time.perf_counter_ns
        chosen, tokens = [0] * output_tokens, [0] * output_tokens
        handed = clock()
        logits = self.prefill(prompt)
        prefilled = clock()
        tokens[0] = int(logits.argmax())
        chosen[0] = clock()
        self._bind_input("input_ids", self._token)
        self._bind_output("logits", self._token_logits)
        token, row, mask = self._token, self._token_logits[0, 0], self._mask.ctypes.data
        bind_input, run, binding = self._binding.bind_input, self._session.run_with_iobinding, self._binding
        depth = len(prompt)
        for index in range(1, output_tokens):
            depth += 1
            token[0, 0] = tokens[index - 1] if fed is None else fed[index - 1]
            bind_input("attention_mask", "cpu", 0, np.int64, (1, depth), mask)
            run(binding)
            tokens[index] = int(row.argmax())
            chosen[index] = clock()
        return RawAnswer(handed=handed, prefilled=prefilled, chosen=chosen, tokens=tokens)

    def _bind_cache(self, length: int, head_size: int) -> list[np.ndarray[Any, Any]]:
        """Binds each cache buffer as what is taken and what is given. The caller keeps them alive."""
        buffers = []
        for node in self._session.get_inputs():
            if node.name.startswith("past_key_values."):
                buffer = np.zeros((1, node.shape[1], length, head_size), _DTYPES[node.type])
                self._bind_input(node.name, buffer)
                self._bind_output(node.name.replace("past_key_values", "present"), buffer)
                buffers.append(buffer)
        return buffers

    def _bind_input(self, name: str, array: np.ndarray[Any, Any]) -> None:
        self._binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def _bind_output(self, name: str, array: np.ndarray[Any, Any]) -> None:
        self._binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)


def _load(model: Path, threads: int, spinning: bool | None) -> Any:
    """A session. `spinning` None leaves onnxruntime's default."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads
    if spinning is not None:
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _head_size(folder: Path) -> int:
    """The graph leaves it open; the builder wrote it beside."""
    return int(json.loads((folder / "genai_config.json").read_text())["model"]["decoder"]["head_size"])
