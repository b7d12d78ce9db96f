"""llama.cpp's adapter on the demo model as GGUF: the contract, torch's logits, what is read back, what is refused."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import targets.llama_cpp as adapter_module
from benchharness.contract import FALLBACK_FAIL, Adapter, Configuration
from benchharness.errors import ModelFailure, Unsupported
from benchharness.testing import AdapterContract
from targets.llama_cpp import LlamaCpp, library
from targets.llama_cpp.library import ContextParams, Library, ModelParams
from targets.llama_cpp.log import Log
from targets.llama_cpp.session import LlamaSession
from tests.conftest import ROOT
from tests.contract.gguf_models import float_model, smaller_model
from tests.contract.test_one_model_in_three_runtimes import GOLDEN, greedy, greedy_after

#: In float32 throughout: llama.cpp's own defaults keep the cache in float16 and use flash attention.
EXACT = {"type_k": "f32", "type_v": "f32", "flash_attn": False}


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return float_model(tmp_path_factory.mktemp("gguf"))


@pytest.fixture(scope="session")
def q8_0(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return smaller_model(model, "gguf-q8_0", tmp_path_factory.mktemp("gguf-q8_0"))


@pytest.fixture(scope="session")
def q4_0(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return smaller_model(model, "gguf-q4_0", tmp_path_factory.mktemp("gguf-q4_0"))


@pytest.fixture(scope="session")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


@contextmanager
def opened(path: Path, **options: Any) -> Iterator[LlamaSession]:
    configuration = Configuration(runtime="llama-cpp", threads=1, options=options)
    with LlamaCpp().open(path, configuration) as session:
        yield session


class LlamaContract(AdapterContract):
    @pytest.fixture
    def adapter(self) -> Adapter:
        return LlamaCpp()


class TestFloat32(LlamaContract):
    @pytest.fixture
    def configuration(self) -> Configuration:
        return Configuration(runtime="llama-cpp", threads=1, options=EXACT)

    @pytest.fixture
    def language_artefact(self, model: Path) -> Path | None:
        return model


class TestAsLlamaCppDoesByItself(LlamaContract):
    #: A cache in float16 and flash attention: one pass and token by token differed by up to 4e-3.
    tolerance = 2e-2

    @pytest.fixture
    def language_artefact(self, model: Path) -> Path | None:
        return model


class TestQuantized(LlamaContract):
    chunks_agree = False

    @pytest.fixture
    def language_artefact(self, q8_0: Path) -> Path | None:
        return q8_0


# The numbers.


def test_logits_are_torchs(model: Path, golden: dict[str, np.ndarray]) -> None:
    tokens = golden["tokens"].tolist()
    with opened(model, **EXACT) as session:
        scored = session.score(tokens)
        steps = np.array([np.array(session.decode(token)) for token in tokens])
    np.testing.assert_allclose(scored, golden["logits"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(steps, golden["logits"], rtol=0, atol=1e-3)


def test_greedy_continuations_are_those_of_onnx(model: Path, golden: dict[str, np.ndarray]) -> None:
    expected = greedy("onnx-fp32", "onnxruntime", None)
    with opened(model, **EXACT) as session:
        chosen = [int(np.argmax(session.extend(golden["tokens"][:16].tolist())))]
        while len(chosen) < len(expected):
            chosen.append(int(np.argmax(session.decode(chosen[-1]))))
    assert chosen == expected


def test_a_prompt_longer_than_a_batch_goes_in_several(model: Path, golden: dict[str, np.ndarray]) -> None:
    """llama_decode ends the process over more tokens than a batch takes."""
    tokens = golden["tokens"].tolist()
    with opened(model, n_batch=7, n_ubatch=5, **EXACT) as session:
        assert session.effective.facts["n_batch"] < len(tokens)
        np.testing.assert_allclose(session.extend(tokens), golden["logits"][-1], rtol=0, atol=1e-3)
        session.reset()
        np.testing.assert_allclose(session.score(tokens), golden["logits"], rtol=0, atol=1e-3)


def test_llama_cpp_itself_ends_the_process_over_more_than_a_batch(model: Path) -> None:
    """Why a prompt goes in several: no error comes back. Where one does by now, the trap is gone."""
    code = (
        "import sys; from pathlib import Path; from benchharness.contract import Configuration\n"
        "from targets.llama_cpp import LlamaCpp\n"
        "asked = Configuration(runtime='llama-cpp', threads=1, options={'n_batch': 8, 'n_ubatch': 8})\n"
        "with LlamaCpp().open(Path(sys.argv[1]), asked) as session:\n"
        "    session._batch_tokens = 100\n"
        "    session.extend(range(40))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GGML_NO_BACKTRACE"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(model)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
    )
    assert done.returncode == -signal.SIGABRT, done.stderr[-500:]
    assert "n_batch" in done.stderr.splitlines()[-1], "what ended it is not the last that is told"


def test_running_raw_tokens_needs_an_empty_cache(model: Path, golden: dict[str, np.ndarray]) -> None:
    tokens = golden["tokens"]
    with opened(model, **EXACT) as session:
        np.testing.assert_allclose(session.run({"tokens": tokens})["logits"], golden["logits"], rtol=0, atol=1e-3)
        session.extend([1])
        with pytest.raises(Unsupported, match="holds 1 tokens of another text"):
            session.run({"tokens": tokens})
        with pytest.raises(ModelFailure, match="'tokens' is missing"):
            session.run({})


# What was effective.


def test_what_llama_cpp_did_is_read_back(model: Path) -> None:
    with opened(model, n_ctx=256, n_ubatch=64, n_batch=128, use_mmap=False, **EXACT) as session:
        effective, placement = session.effective, session.placement()
        assert session.context_length == 256
    facts = effective.facts
    assert (effective.threads, facts["threads_batch"]) == (1, 1)
    assert (facts["n_ctx"], facts["n_batch"], facts["n_ubatch"]) == (256, 128, 64)
    assert (facts["type_k"], facts["type_v"], facts["flash_attn"], facts["load_mode"]) == ("f32", "f32", False, "none")
    assert facts["system_info"].startswith("CPU : ")
    assert placement == {"CPU": {"layer": 5}}
    assert effective.accelerators == ("CPU",)
    buffers = facts["buffers_mib"]
    assert buffers["CPU model"] == pytest.approx(1.88, abs=0.02)  # 492,384 float32
    assert buffers["CPU KV"] == pytest.approx(256 * 4 * 2 * 32 * 4 / 2**20, abs=0.01)
    assert effective.model_precision == "float32"


def test_what_llama_cpp_does_by_itself_is_read_back(model: Path, q4_0: Path) -> None:
    with opened(model) as session:
        facts = session.effective.facts
    assert (facts["type_k"], facts["type_v"], facts["flash_attn"], facts["load_mode"]) == ("f16", "f16", True, "mmap")
    with opened(q4_0) as session:
        facts = session.effective.facts
    # Weights are brought into another form where the build and the processor have kernels for one.
    assert bool(facts["repacked"]) is all(f"{able} = 1" in facts["system_info"] for able in ("REPACK", "AVX2"))
    with opened(q4_0, use_extra_bufts=False) as session:
        assert session.effective.facts["repacked"] == {}


def test_a_log_line_of_a_gpu_build_is_understood() -> None:
    """As a CUDA build logs; there is none here."""
    log = Log()
    for line in (
        "load_tensors: layer   0 assigned to device CUDA0, is_swa = 0",
        "load_tensors: layer   1 assigned to device CUDA0, is_swa = 0",
        "load_tensors: layer   2 assigned to device CPU, is_swa = 0",
        "load_tensors:        CUDA0 model buffer size =   100.25 MiB",
        "load_tensors:   CPU_Mapped model buffer size =    10.00 MiB",
        "load_tensors:   CPU_Mapped model buffer size =     5.00 MiB",
        "repack: repack tensor blk.0.attn_q.weight with q4_0_8x8",
        "tensor: amx repack tensor blk.0.attn_q.weight of type q8_0",
    ):
        log.hear(2, line + "\n")
    assert log.layers == {"CUDA0": 2, "CPU": 1}
    assert log.buffers_mib == {"CUDA0 model": 100.25, "CPU_Mapped model": 15.0}
    assert log.repacked == {"q4_0_8x8": 1, "amx q8_0": 1}


def test_no_layer_is_guessed_to_be_on_the_cpu(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that says other words than those known here, in a build that has another device."""
    monkeypatch.setattr(adapter_module, "listen", lambda functions: Log())
    with opened(model) as session:  # where there is nothing but the CPU it is certain
        assert session.effective.accelerators == ("CPU",)
    real = Library.devices
    monkeypatch.setattr(Library, "devices", lambda self: {"CUDA0": 0, **real(self)})
    with pytest.raises(Unsupported, match=r"has CUDA0, CPU and logged no device .* unknown"), opened(model):
        pass
    on_cpu = Configuration(runtime="llama-cpp", threads=1, accelerator="CPU")
    with LlamaCpp().open(model, on_cpu) as session:
        assert session.effective.accelerators == ("CPU",)


# What is refused.


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"n_gpu_layers": 99}, r"n_gpu_layers = 99: there is no device to offload layers to .* without a word"),
        ({"n_gpu_layers": 1 << 40}, r"n_gpu_layers: 1099511627776 is more than 2147483647"),
        ({"n_gpu_layers": True}, r"n_gpu_layers: True is no number of layers; -1 means all"),
        ({"n_gpu_layers": -2}, r"n_gpu_layers: -2 is no number of layers; -1 means all"),
        ({"n_ctx": 4096}, r"n_ctx = 4096: the model was trained for 512"),
        ({"n_batch": 0}, r"n_batch: 0 is not a whole number above zero"),
        ({"n_batch": 1 << 31}, r"n_batch: 2147483648 is more than 2147483647, .* ask for fewer"),
        ({"type_k": "q9"}, r"type_k: 'q9' is none of f32, f16"),
        ({"flash_attn": 1}, r"flash_attn: 1 is none of auto, false, true"),
        ({"type_k": "q8_0", "type_v": "q8_0"}, r"cannot make a context for it \(type_k = q8_0.*block"),
        ({"n_gpu_layer": 1}, r"n_gpu_layer: unknown; the llama-cpp adapter takes n_ctx, "),
    ],
)
def test_what_cannot_be_met_is_refused(model: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(Unsupported, match=told), opened(model, **options):
        pass


def test_offloading_to_the_processor_is_a_contradiction(model: Path) -> None:
    asked = Configuration(runtime="llama-cpp", accelerator="CPU", fallback=FALLBACK_FAIL, options={"n_gpu_layers": 1})
    with pytest.raises(Unsupported, match=r"accelerator: CPU"), LlamaCpp().open(model, asked):
        pass


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no such file"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 16, "18446744073709551615 tensors"),
        (b"PK\x03\x04 something else entirely", "begins with b'PK"),
        (b"GGUF\0\0\0\x03" + bytes(16), "big-endian"),
    ],
)
def test_a_bad_file_is_named_with_the_reason(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "bad.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((ModelFailure, Unsupported), match=rf"bad\.gguf.*{told}"), opened(path):
        pass


def test_the_reason_that_llama_cpp_logs_is_told(model: Path, tmp_path: Path) -> None:
    """A file that reads well and is no model: a matrix has the name of none that the architecture wants."""
    path = tmp_path / "odd.gguf"
    path.write_bytes(model.read_bytes().replace(b"blk.3.ffn_down.weight", b"blk.3.ffn_dumb.weight"))
    told = r"odd\.gguf: llama\.cpp cannot load it: .*blk\.3\.ffn_down\.weight"
    with pytest.raises(ModelFailure, match=told), opened(path):
        pass


@pytest.mark.parametrize("tokens", [0, (1 << 31) + 5])
def test_a_context_that_no_model_has_is_the_files_fault(model: Path, tmp_path: Path, tokens: int) -> None:
    """llama.cpp gives it as a number with a sign; as a size to reserve it would be all memory that there is."""
    key = b"llama.context_length" + struct.pack("<I", 4)  # and its type
    before, after = model.read_bytes().split(key)
    path = tmp_path / "odd.gguf"
    path.write_bytes(before + key + struct.pack("<I", tokens) + after[4:])
    told = rf"odd\.gguf: llama\.context_length is {tokens}, which no model was trained for; convert it again"
    for options in ({}, {"n_ctx": 64}):
        with pytest.raises(ModelFailure, match=told), opened(path, **options):
            pass


def test_another_task_is_refused(model: Path) -> None:
    asked = Configuration(runtime="llama-cpp", task="classifier")
    with pytest.raises(Unsupported, match="causal language models only"), LlamaCpp().open(model, asked):
        pass


# The library.


def test_structures_that_are_one_field_off_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    if adapter_module._library is None or adapter_module._library.package != "xllamacpp":
        pytest.skip("llama-cpp-python describes its own structures")
    path = adapter_module._library.functions._name
    library.check_structures(ctypes.CDLL(path))
    for whole in (ModelParams, ContextParams):
        fields = list(whole._fields_)
        for without in (3, len(fields) // 2):
            off = type("Off", (ctypes.Structure,), {"_fields_": tuple(fields[:without] + fields[without + 1 :])})
            monkeypatch.setattr(library, whole.__name__, off)
            with pytest.raises(OSError, match="are not those of the source"):
                library.check_structures(ctypes.CDLL(path))
            monkeypatch.setattr(library, whole.__name__, whole)


def test_another_version_of_xllamacpp_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "find_spec", lambda name: None if name == "llama_cpp" else SimpleNamespace())
    monkeypatch.setattr(library, "version_of", lambda _: "2027.1.1")
    with pytest.raises(Unsupported, match=r"xllamacpp 2027\.1\.1 is installed.*pip install 'xllamacpp=="):
        library.load_library()


def test_without_a_library_one_line_tells_how_to_get_it(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    monkeypatch.setattr(library, "find_spec", lambda _: None)
    with pytest.raises(Unsupported, match=r"install benchharness\[llama-cpp\]") as missing:
        library.load_library()
    monkeypatch.setattr(adapter_module, "_library", None)
    monkeypatch.setattr(adapter_module, "_missing", str(missing.value))
    assert "llama-cpp-python" in LlamaCpp().availability().reason
    assert LlamaCpp().inspect(model).task == "causal-lm"
    with pytest.raises(Unsupported, match=r"benchharness\[llama-cpp\]"), opened(model):
        pass


@pytest.mark.parametrize(("options", "warned"), [({}, True), ({"use_extra_bufts": False}, False)])
def test_the_cure_of_a_known_crash_stands_on_standard_error_before_it(
    q8_0: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    warned: bool,
) -> None:
    """Builds for processors with AMX ended with SIGSEGV over quantized weights that they had repacked."""
    monkeypatch.setattr(Library, "system_info", property(lambda _: "CPU : AMX_INT8 = 1"))
    with opened(q8_0, **options):
        pass
    assert ("use_extra_bufts = false" in capfd.readouterr().err) is warned


def test_floats_are_not_warned_of(
    model: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Library, "system_info", property(lambda _: "CPU : AMX_INT8 = 1"))
    with opened(model):
        pass
    assert capfd.readouterr().err == ""


# Several requests at once.


def test_several_answers_are_another_runtimes(model: Path, golden: dict[str, np.ndarray]) -> None:
    """Greedy answers to three prompts in one batch, and ONNX Runtime's to each alone: the same weights, other code."""
    tokens = golden["tokens"].tolist()
    prompts = [tokens[:16], tokens[3:10], tokens[5:40]]
    with opened(model, **EXACT) as session:
        answers = session.answer_several(prompts, 12)
        session.extend(tokens[:4])  # its own text is not in their way
        again = session.answer_several(prompts[:2], 12)
    expected = [greedy_after(prompt, 12) for prompt in prompts]
    assert [list(answer.tokens or ()) for answer in answers] == expected
    assert [list(answer.tokens or ()) for answer in again] == expected[:2]


def test_prompts_longer_than_a_batch_are_read_in_several(model: Path) -> None:
    """Eleven tokens in batches of four: the first text's last token stands in the third."""
    prompts = [list(range(1, 12)), list(range(20, 25))]
    with opened(model, **EXACT, n_batch=4, n_ubatch=4) as session:
        cut = session.answer_several(prompts, 5)
    with opened(model, **EXACT) as session:
        whole = session.answer_several(prompts, 5)
    assert [answer.tokens for answer in cut] == [answer.tokens for answer in whole]
    assert cut[0].stamps_ns[0] < cut[1].stamps_ns[0]


def test_one_context_serves_fewer_texts_and_grows(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A context for each number would keep the caches of all of them. One that cannot be made leaves none behind."""
    made: list[tuple[int, int]] = []
    prompt = list(range(1, 9))
    with opened(model, **EXACT) as session:
        together = session._together
        make = together._make

        def noted(texts: int, tokens: int) -> int:
            made.append((texts, tokens))
            return make(texts, tokens)

        monkeypatch.setattr(together, "_make", noted)
        first = session.answer_several([prompt], 4)
        session.answer_several([prompt] * 3, 4)
        fewer = session.answer_several([prompt], 4)
        session.answer_several([[*prompt] * 33], 4)
        assert made == [(1, 256), (3, 256), (3, 512)]
        assert first[0].tokens == fewer[0].tokens
        with monkeypatch.context() as failing:
            failing.setattr(together, "_make", lambda *_: 0)
            with pytest.raises(Unsupported, match="no context for 4 texts of 512 tokens"):
                session.answer_several([prompt] * 4, 4)
        assert session.answer_several([prompt], 4)[0].tokens == first[0].tokens
    assert made[-1] == (1, 256)
