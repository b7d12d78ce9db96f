"""What a careful programmer writes against ai-edge-litert alone, without benchharness: the rival of the harness's path.

One `CompiledModel`; one set of buffers is the cache's past and present, as in LiteRT-LM on CPUs; the prompt goes
through the prefill that is as long as it, its last token through `decode`, which is where logits come from. Knows the
layout of litert-torch's exporter only.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel, CpuOptions, HardwareAccelerator, Options

from benchmarks.raw_loop import RawAnswer

_HIDDEN = -1e9


class RawLitertLoop:
    """A loaded model and its buffers, for prompts of one length: one token more than one of its prefills takes."""

    def __init__(self, folder: Path, *, threads: int, prompt_tokens: int, output_tokens: int) -> None:
        options = Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=CpuOptions(num_threads=threads))
        self._model = CompiledModel.from_file(str(folder / "model.tflite"), options=options)
        self._prefill_key = f"prefill_{prompt_tokens - 1}"
        details = self._model.get_input_tensor_details("decode")
        context = details["mask"]["shape"][-1]
        assert prompt_tokens + output_tokens <= context, f"the model's cache has {context} places"
        self._cache = {}
        for name, one in details.items():
            if name.startswith("kv_cache"):
                buffer = self._model.create_input_buffer_by_name("decode", name)
                buffer.write(np.zeros(one["shape"], one["dtype"]))
                self._cache[name] = buffer
        self._prefill, self._prefill_out = self._buffers(self._prefill_key)
        self._decode, self._decode_out = self._buffers("decode")
        self._vocabulary = self._model.get_output_tensor_details("decode")["logits"]["shape"][-1]
        self._token, self._position = np.zeros((1, 1), np.int32), np.zeros(1, np.int32)
        self._step_mask = np.full(details["mask"]["shape"], _HIDDEN, np.float32)
        self._prompt_mask = np.full((1, 1, prompt_tokens - 1, context), _HIDDEN, np.float32)
        for row in range(prompt_tokens - 1):
            self._prompt_mask[..., row, : row + 1] = 0

    def prefill(self, prompt: Sequence[int]) -> np.ndarray[Any, Any]:
        """Runs a prompt into an empty cache; the logits of the next token, shape (vocabulary,)."""
        taken = self._prefill
        taken["tokens"].write(np.array([prompt[:-1]], np.int32))
        taken["input_pos"].write(np.arange(len(prompt) - 1, dtype=np.int32))
        taken["mask"].write(self._prompt_mask)
        self._model.run_by_name(self._prefill_key, taken, self._prefill_out)
        self._step_mask[..., : len(prompt) - 1] = 0
        self._step_mask[..., len(prompt) - 1 :] = _HIDDEN
        return self._step(prompt[-1], len(prompt) - 1)

    def answer(self, prompt: Sequence[int], fed: Sequence[int] | None, output_tokens: int) -> RawAnswer:
        """Prefills, then decodes: chooses greedily, and feeds the choice or, where `fed` is given, its tokens."""
        clock = time.perf_counter_ns
        chosen, tokens = [0] * output_tokens, [0] * output_tokens
        handed = clock()
        logits = self.prefill(prompt)
        prefilled = clock()
        tokens[0] = int(logits.argmax())
        chosen[0] = clock()
        depth = len(prompt)
        for index in range(1, output_tokens):
            logits = self._step(tokens[index - 1] if fed is None else fed[index - 1], depth)
            depth += 1
            tokens[index] = int(logits.argmax())
            chosen[index] = clock()
        return RawAnswer(handed=handed, prefilled=prefilled, chosen=chosen, tokens=tokens)

    def _step(self, token: int, position: int) -> np.ndarray[Any, Any]:
        self._token[0, 0], self._position[0] = token, position
        self._step_mask[..., position] = 0
        taken = self._decode
        taken["tokens"].write(self._token)
        taken["input_pos"].write(self._position)
        taken["mask"].write(self._step_mask)
        self._model.run_by_name("decode", taken, self._decode_out)
        logits: np.ndarray[Any, Any] = self._decode_out["logits"].read(self._vocabulary, np.float32)
        return logits

    def _buffers(self, key: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a signature takes and gives, the cache's buffers in both."""
        names = self._model.get_signature_list()[key]
        taken = {
            name: self._cache[name] if name in self._cache else self._model.create_input_buffer_by_name(key, name)
            for name in names["inputs"]
        }
        given = {
            name: self._cache[name] if name in self._cache else self._model.create_output_buffer_by_name(key, name)
            for name in names["outputs"]
        }
        return taken, given
