"""What a careful programmer writes against a runtime alone, without benchharness: the rivals of the harness's paths.

Each knows the bundled demo model's layout only. `answer` gives the stamps that the harness takes.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.raw_loop import RawAnswer
from benchmarks.raw_web_page import WebPage

_ENDLESS = {"eos_token_id": 1023}  # no token of an answer; as a number it takes the place of the folder's


class GenaiLogits:
    """onnxruntime-genai's generator, asked for the logits of each token."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._generator = _generator(folder, threads)
        self._token = np.zeros(1, np.int32)

    def answer(self, prompt: Sequence[int], fed: Sequence[int] | None, output_tokens: int) -> RawAnswer:
        """Prefills, then decodes: chooses greedily, and feeds the choice or, where `fed` is given, its tokens."""
        generator, token, clock = self._generator, self._token, time.perf_counter_ns
        chosen, tokens = [0] * output_tokens, [0] * output_tokens
        generator.rewind_to(0)
        handed = clock()
        generator.append_tokens(np.array(prompt, np.int32))
        logits = generator.get_logits()[0, -1]
        prefilled = clock()
        tokens[0] = int(logits.argmax())
        chosen[0] = clock()
        for index in range(1, output_tokens):
            token[0] = tokens[index - 1] if fed is None else fed[index - 1]
            generator.append_tokens(token)
            tokens[index] = int(generator.get_logits()[0, -1].argmax())
            chosen[index] = clock()
        return RawAnswer(handed=handed, prefilled=prefilled, chosen=chosen, tokens=tokens)


class GenaiStream:
    """onnxruntime-genai's own loop, as its examples have it."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._generator = _generator(folder, threads)

    def answer(self, prompt: Sequence[int], fed: Sequence[int] | None, output_tokens: int) -> RawAnswer:
        """Its own choice, greedily, whatever `fed` says."""
        generator, clock = self._generator, time.perf_counter_ns
        chosen, tokens = [0] * output_tokens, [0] * output_tokens
        generator.rewind_to(0)
        handed = clock()
        generator.append_tokens(np.array(prompt, np.int32))
        for index in range(output_tokens):
            generator.generate_next_token()
            tokens[index] = int(generator.get_next_tokens()[0])
            chosen[index] = clock()
        return RawAnswer(handed=handed, prefilled=chosen[0], chosen=chosen, tokens=tokens)


class OpenVinoState:
    """OpenVINO with the cache in the model's variables, by names and copies as its documentation shows."""

    def __init__(self, folder: Path, threads: int) -> None:
        import openvino
        from openvino._offline_transformations import apply_make_stateful_transformation

        core = openvino.Core()
        model = core.read_model(folder / "model.onnx")
        names = [port.get_any_name() for port in model.inputs]
        pasts = {name: name.replace("past_key_values", "present") for name in names if "past" in name}
        model.reshape({name: [1, 2, -1, 16] if name in pasts else [1, -1] for name in names})
        apply_make_stateful_transformation(model, pasts)
        properties = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        self._request = core.compile_model(model, "CPU", properties).create_infer_request()

    def answer(self, prompt: Sequence[int], fed: Sequence[int] | None, output_tokens: int) -> RawAnswer:
        """Prefills, then decodes: chooses greedily, and feeds the choice or, where `fed` is given, its tokens."""
        clock = time.perf_counter_ns
        chosen, tokens = [0] * output_tokens, [0] * output_tokens
        self._request.reset_state()
        handed = clock()
        logits = self._step(prompt, 0)
        prefilled = clock()
        tokens[0] = int(logits.argmax())
        chosen[0] = clock()
        for index in range(1, output_tokens):
            logits = self._step([tokens[index - 1] if fed is None else fed[index - 1]], len(prompt) + index - 1)
            tokens[index] = int(logits.argmax())
            chosen[index] = clock()
        return RawAnswer(handed=handed, prefilled=prefilled, chosen=chosen, tokens=tokens)

    def _step(self, ids: Sequence[int], start: int) -> np.ndarray[Any, Any]:
        stop = start + len(ids)
        feed = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, stop), np.int64),
            "position_ids": np.arange(start, stop, dtype=np.int64)[None],
        }
        last: np.ndarray[Any, Any] = self._request.infer(feed, share_inputs=True, share_outputs=True)["logits"][0, -1]
        return last


class LiteRtLm:
    """LiteRT-LM's own loop, stamped in a callback of one's own; no benchmark mode, which the harness counts by."""

    def __init__(self, folder: Path, threads: int) -> None:
        import litert_lm

        backend = litert_lm.Backend.CPU(thread_count=threads)
        self._engine = litert_lm.Engine(str(folder / "model.litertlm"), backend=backend, cache_dir=":nocache")
        self._sampler = litert_lm.SamplerConfig(top_k=1, top_p=1.0, temperature=1.0, seed=0)

    def answer(self, prompt: str, fed: Sequence[int] | None, output_tokens: int) -> RawAnswer:
        """Its own choice, greedily, whatever `fed` says; the tokens are the bytes that it wrote."""
        from litert_lm._ffi import STREAM_CALLBACK_TYPE

        chosen: list[int] = []
        written: list[bytes] = []
        done, clock = threading.Event(), time.perf_counter_ns
        session = self._engine.create_session(
            apply_prompt_template=False, sampler_config=self._sampler, max_output_tokens=output_tokens
        )
        text_of, is_last = session._lib.litert_lm_stream_chunk_get_text, session._lib.litert_lm_stream_chunk_is_final

        def take(_: Any, chunk: Any) -> None:
            now_ns = clock()
            text = text_of(chunk)
            if text:
                chosen.append(now_ns)
                written.append(text)
            if is_last(chunk):
                done.set()

        callback = STREAM_CALLBACK_TYPE(take)
        handed = clock()
        session.run_prefill([prompt])
        assert session._lib.litert_lm_session_run_decode_async(session._ptr, callback, None) == 0
        done.wait()
        session.close()
        assert len(chosen) == output_tokens
        return RawAnswer(handed=handed, prefilled=chosen[0], chosen=chosen, tokens=list(b"".join(written)))


def _generator(folder: Path, threads: int) -> Any:
    import onnxruntime_genai

    config = onnxruntime_genai.Config(str(folder))
    config.clear_providers()
    session = {"decoder": {"session_options": {"intra_op_num_threads": threads}}}
    config.overlay(json.dumps({"model": {**session, **_ENDLESS}}))
    model = onnxruntime_genai.Model(config)
    parameters = onnxruntime_genai.GeneratorParams(model)
    parameters.set_search_options(do_sample=False)
    return onnxruntime_genai.Generator(model, parameters)


#: By case, what its rival is made of.
RAW_LOOPS: Mapping[str, Callable[[Path, int], Any]] = {
    "genai logits": GenaiLogits,
    "genai stream": GenaiStream,
    "openvino": OpenVinoState,
    "litert-lm": LiteRtLm,
    "web": WebPage,
}
