"""Tokenizers of hostile files: each refused by name, within its time and memory, and nothing else ends with it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest

from benchharness.compress.calibration import read_text
from benchharness.device.inputs import tokenizer_apart, tokenizer_program
from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.inputs.tokenizer_apart import TokenizerApart, opened_apart, refusal
from benchharness.device.line import protocol
from benchharness.device.rehearsal import Rehearsal
from benchharness.device.worker import _tokenizer
from benchharness.errors import Unsupported, UsageError
from tests.conftest import ARTEFACTS, DEMO

DEMO_TOKENIZER = ARTEFACTS / "onnx-fp32" / "tokenizer.json"


def split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def grows(times: int) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * times}


#: Tries every way to cut 18 characters, from each on: 2^18 steps for each, and the engine's own limit is 10 million.
SLOW = split("(?:.|.){18}(?![ -z])")
#: By what becomes of the package: it says so, panics, is stopped, ends its process.
HOSTILE = {
    "a pattern that is none": ({"pre_tokenizer": split("(a")}, "not a readable tokenizer.json: Oniguruma error"),
    "a pattern in 20,000 brackets": (
        {"pre_tokenizer": split("(" * 20_000 + "a" + ")" * 20_000)},
        "not a readable tokenizer.json: Oniguruma error: parse depth limit over",
    ),
    "a pattern of too many steps": ({"pre_tokenizer": split("(a+)+$")}, "Regex search error: retry-limit-in-match"),
    "a pattern of many steps at each place": ({"pre_tokenizer": SLOW}, "of processor time; a pattern in it may try"),
    "an empty text replaced": ({"normalizer": {"type": "Replace", "pattern": {"String": ""}, "content": "x"}}, "index"),
    "a text that grows a thousandfold, four times": (
        {"normalizer": {"type": "Sequence", "normalizers": [grows(1000)] * 4}},
        "it ended the process that read it (SIGABRT); it may take more memory than is allowed",
    ),
}


def written(folder: Path, parts: Any) -> Path:
    """The demo model's tokenizer with parts of it replaced; or a text as it is."""
    path = folder / "tokenizer.json"
    said = json.loads(DEMO_TOKENIZER.read_text(encoding="utf-8"))
    path.write_text(parts if isinstance(parts, str) else json.dumps({**said, **parts}), encoding="utf-8")
    return path


@contextmanager
def apart(path: Path, limit_s: float = 10.0) -> Iterator[TokenizerApart]:
    made = TokenizerApart(path, limit_s=limit_s)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def by_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends a tokenizer is its processor time, however many others compete for the cores."""
    monkeypatch.setattr(tokenizer_apart, "_BY_THE_CLOCK", 100)


def test_apart_it_says_what_it_says_here() -> None:
    here, text = Tokenizer(DEMO_TOKENIZER), (DEMO / "heldout.txt").read_text(encoding="utf-8")
    with apart(DEMO_TOKENIZER) as there:
        tokens, spans = there.spans(text)
        assert (tokens, spans) == here.spans(text)
        assert there.encode("And 我") == here.encode("And 我")
        assert there.decode(tokens[:99]) == here.decode(tokens[:99])
        assert (there.words(), there.specials()) == (here.words(), here.specials())
        assert (there.around, there.facts(), there.named([0, 5])) == (here.around, here.facts(), here.named([0, 5]))
        with pytest.raises(Unsupported, match="cannot spell tokens"):
            there.decode([1 << 40])
        assert there.decode(tokens[:9]) == here.decode(tokens[:9]), "a refused question is not its end"
    with pytest.raises(Unsupported, match="was ended"):
        there.decode(tokens)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory and processor time are Linux's here")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_and_says_why(tmp_path: Path, name: str, by_its_own_time: None) -> None:
    parts, told = HOSTILE[name]
    limit_s = 0.4 if parts.get("pre_tokenizer") == SLOW else 10.0
    with pytest.raises(Unsupported) as refused, apart(written(tmp_path, parts), limit_s) as tokenizer:
        tokenizer.spans("a" * 2000 + "!b")
    assert told in str(refused.value)


#: An interpreter under which there is no memory for a text.
NO_MEMORY = """#!/bin/sh
exec {python} -c '
import os
from benchharness.device.inputs import tokenizer_program

def spans(tokenizer, text):
    {how}

tokenizer_program.Tokenizer.spans = spans
tokenizer_program.main()
'
"""
LONG = ": the text has 0.002 million characters, and takes some 0.0003 GB to be read at once. Evaluation data may be"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's script stands for an interpreter")
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("raise MemoryError", "it takes more memory than is allowed"),
        ("os.abort()", "it ended the process that read it (SIGABRT); it may take more memory than is allowed"),
    ],
)
def test_who_gives_a_text_that_takes_too_much_memory_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, told: str
) -> None:
    """However the process took it: Python raises, the package aborts. A short text is not what took it."""
    python = tmp_path / "python"
    python.write_text(NO_MEMORY.format(python=sys.executable, how=how))
    python.chmod(0o755)
    asked = cast("Any", {**order(DEMO_TOKENIZER), "python": str(python)})
    assert refusal(asked, ["a" * 2000], str(tmp_path)) == f"tokenizer.json: refused: {told}"
    monkeypatch.setattr(tokenizer_apart, "_LONG_TEXT", 2000)
    assert refusal(asked, ["a" * 2000], str(tmp_path)).startswith(f"tokenizer.json: refused: {told}{LONG}")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory and processor time are Linux's here")
def test_address_space_that_an_allocator_reserves_is_not_the_tokenizers() -> None:
    """Android's reserves 8.25 GiB in every process: a limit of 4 GiB in all refused every tokenizer there."""
    reserving = (
        "import mmap\n"
        "kept = mmap.mmap(-1, 8 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0)\n"
        "from benchharness.device.inputs import tokenizer_program\n"
        "tokenizer_program.main()\n"
    )
    request = json.dumps({"ask": "open", "path": str(DEMO_TOKENIZER), "cpu_s": 20.0})
    done = subprocess.run(
        [sys.executable, "-c", reserving], input=request + "\n", capture_output=True, text=True, timeout=300, check=True
    )
    assert "specials" in json.loads(done.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_a_limit_that_a_system_cannot_count_to_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ended of it would be taken for a tokenizer that takes too much."""
    import resource

    asked: list[int] = []

    def counts_in_32_bits(kind: int, limits: tuple[int, int]) -> None:
        if limits[0] >= 1 << 31:
            raise OverflowError("Python int too large to convert to C long")
        asked.append(kind)

    monkeypatch.setattr(resource, "setrlimit", counts_in_32_bits)
    monkeypatch.setattr(tokenizer_program, "_MOST_SHARE", 1e9)
    tokenizer_program._limit_memory()
    assert asked == [resource.RLIMIT_CORE]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("[" * 1_000_000, "not a readable tokenizer.json"),
        ('{"model": ' * 100_000, "not a readable tokenizer.json"),
        (json.dumps({"model": {"type": "BPE", "vocab": {"a": 1e999}, "merges": []}}), "not a readable tokenizer.json"),
        ("", "not a readable tokenizer.json"),
    ],
)
def test_what_is_no_tokenizer_is_refused(tmp_path: Path, said: str, told: str) -> None:
    with pytest.raises(Unsupported, match=f"^tokenizer.json: {told}"):
        TokenizerApart(written(tmp_path, said))


def test_a_file_that_is_too_large_is_not_opened(tmp_path: Path) -> None:
    with (tmp_path / "tokenizer.json").open("wb") as stream:
        stream.truncate(300 << 20)
    with pytest.raises(Unsupported, match=r"314572800 bytes; 268435456 at most are read as a tokenizer"):
        TokenizerApart(tmp_path / "tokenizer.json")


def test_a_text_that_is_longer_than_a_line_is_spelled_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LONGEST_LINE_BYTES", 1 << 17)
    with apart(DEMO_TOKENIZER) as there:
        here, text = Tokenizer(DEMO_TOKENIZER), "And it came to pass, 我 " * 9_000
        tokens = here.encode(text)
        assert there.decode(tokens) == here.decode(tokens)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of processor time are Linux's here")
def test_many_questions_have_one_limit_in_all(tmp_path: Path, by_its_own_time: None) -> None:
    """Each alone would be over in time: about a third of it."""
    path = written(tmp_path, {"pre_tokenizer": SLOW})
    for limit_s in (0.5, 2.0, 8.0):  # one of which leaves a slow machine time for the first
        with suppress(Unsupported), apart(path, limit_s) as tokenizer:
            tokenizer.spans("a" * 60)
            break
    else:
        pytest.fail("not even one question was answered")
    with pytest.raises(Unsupported, match="of processor time"), apart(path, limit_s) as tokenizer:
        [tokenizer.spans("a" * 60) for _ in range(100)]


def test_a_panic_here_is_a_refusal_and_no_end_of_the_process(tmp_path: Path) -> None:
    """The package's panics are no `Exception`."""
    tokenizer = Tokenizer(written(tmp_path, {"pre_tokenizer": split("(a+)+$")}))
    for ask in (tokenizer.encode, tokenizer.spans):
        with pytest.raises(Unsupported, match=r"the tokenizer cannot read the text: .*retry-limit-in-match over"):
            ask("a" * 40 + "!b")
    fused = [{"type": "Fuse"}, {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "x"}]
    spelling = Tokenizer(written(tmp_path, {"decoder": {"type": "Sequence", "decoders": fused}}))
    with pytest.raises(Unsupported, match=r"the tokenizer cannot spell tokens: .*retry-limit-in-match over"):
        spelling.decode(spelling.encode("a" * 40 + "!b"))


def test_a_dropout_of_merges_is_switched_off(tmp_path: Path) -> None:
    said = json.loads(DEMO_TOKENIZER.read_text(encoding="utf-8"))
    said["model"]["dropout"] = 0.9
    tokenizer = Tokenizer(written(tmp_path, said))
    text = "And it came to pass in the days of Amraphel"
    assert tokenizer.encode(text) == Tokenizer(DEMO_TOKENIZER).encode(text)
    assert tokenizer.facts()["switched_off"] == "dropout"


def order(path: Path | None, text: str | None = "And it came to pass") -> Any:
    workload = {"prompt": {"seed": 0, **({} if text is None else {"text": text})}}
    return cast("Any", {"tokenizer": path and str(path), "workload": workload, "timeout_s": 10.0, "python": None})


def _told(rehearsal: Rehearsal) -> Any:
    _comes(lambda: rehearsal.told() is not None)
    return rehearsal.told()


def _comes(holds: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return holds()


def test_a_prompt_is_tried_before_a_worker_starts_and_once(tmp_path: Path) -> None:
    rehearsal = Rehearsal("")
    path = written(tmp_path, {"pre_tokenizer": split("(a+)+$")})

    def told(asked: Any) -> Any:
        rehearsal.begin(asked)
        return _told(rehearsal)

    hostile = order(path, "a" * 40 + "!b")
    assert "retry-limit-in-match over" in told(hostile)["tried"]
    assert told(order(path)) == {"tried": ""}
    path.unlink()
    assert "retry-limit-in-match over" in told(hostile)["tried"], "what was found is remembered"
    assert told(order(path, None)) == told(order(None)) == {}, "where no text is read nothing is tried"


#: Makes no copy of its bundle, and never answers as a tokenizer.
SILENT = """#!/bin/sh
case "$3" in *.bytecode) exit 1;; *) touch "$0.trying"; exec sleep 1000;; esac
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's script stands for an interpreter")
def test_a_trial_ends_with_its_attempt_and_nobody_waits_for_it(tmp_path: Path) -> None:
    python, trying = tmp_path / "python", tmp_path / "python.trying"
    python.write_text(SILENT)
    python.chmod(0o755)
    silent = cast("Any", {**order(DEMO_TOKENIZER), "timeout_s": 100_000.0, "python": str(python)})  # tried for 120 s
    rehearsal = Rehearsal(str(tmp_path / "none"))
    for _ in range(2):  # what was not found out is not remembered
        rehearsal.begin(silent)
        assert rehearsal.told() is None
        assert _comes(trying.exists)
        trying.unlink()
        rehearsal.cancel()
    rehearsal.begin(order(DEMO_TOKENIZER))
    assert _told(rehearsal) == {"tried": ""}
    rehearsal.cancel()  # nothing is being tried
    rehearsal.begin(order(DEMO_TOKENIZER))
    assert rehearsal.told() == {"tried": ""}


def test_a_file_has_a_part_of_the_attempts_time_and_of_a_pass_one_models() -> None:
    def limit_s(timeout_s: float, models: int = 1) -> float:
        made = opened_apart(
            cast("Any", {**order(None), "timeout_s": timeout_s}), str(DEMO_TOKENIZER), None, models=models
        )
        made.end()
        return made.limit_s

    assert limit_s(600) == pytest.approx(30, abs=0.1)
    assert limit_s(40) == limit_s(80, 2) == pytest.approx(10, abs=0.1)


def test_what_has_to_be_spelled_is_spelled_in_the_trial(tmp_path: Path) -> None:
    fused = [{"type": "Fuse"}, {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "x"}]
    path, text = written(tmp_path, {"decoder": {"type": "Sequence", "decoders": fused}}), "a" * 40 + "!b"
    assert refusal(order(path), [text], None) == ""
    assert refusal(order(path), [text], None, spells=True).startswith("the tokenizer cannot spell tokens")


#: Makes a copy of its bundle, and says what it is started out of.
INTERPRETER = """#!/bin/sh
case "$3" in *.bytecode) touch "$1.kind"; echo kind;; *) echo "{\\"refused\\": \\"out of $1\\"}";; esac
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's script stands for an interpreter")
def test_it_starts_out_of_the_bundle_with_its_bytecode_as_a_worker_does(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(INTERPRETER)
    python.chmod(0o755)
    asked = {**order(DEMO_TOKENIZER), "python": str(python)}
    bundle = str(tmp_path / "device-0123456789ab.pyz")
    assert refusal(cast("Any", asked), ["a"], bundle) == f"out of {bundle}.kind"
    python.unlink()
    gone = {**asked, "python": str(tmp_path / "gone")}
    assert refusal(cast("Any", gone), ["a"], bundle).endswith("gone: No such file or directory")


def test_calibration_refuses_a_hostile_tokenizer_as_a_mistake_of_the_users(tmp_path: Path) -> None:
    path = written(tmp_path, {"pre_tokenizer": split("(a+)+$")})
    (tmp_path / "text.txt").write_text("a" * 400 + "!b")
    with pytest.raises(UsageError, match="retry-limit-in-match over"):
        read_text(tmp_path / "text.txt", path, 64)


def test_a_worker_that_is_told_so_opens_no_tokenizer(tmp_path: Path) -> None:
    told = {**order(DEMO_TOKENIZER), "tried": "tokenizer.json: refused"}
    with ExitStack() as stack, pytest.raises(Unsupported, match=r"^tokenizer.json: refused$"):
        _tokenizer(cast("Any", None), cast("Any", told), stack)
    with ExitStack() as stack:
        assert _tokenizer(cast("Any", None), order(DEMO_TOKENIZER), stack) is not None
