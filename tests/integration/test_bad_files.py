"""Files that no suite should name: each ends in a sentence or a recorded outcome, soon, and never in a traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import Starter, started_behind
from tests.conftest import CommandLine, command_line
from tests.contract.tiny_models import Variant, build_language_model
from tests.integration.awkward_run import (
    SOON_S,
    Background,
    awkward_suite,
    python_path,
    refused,
    results,
)

QUICK = ("--attempts", "1", "--scenario", "steady")


@pytest.fixture(autouse=True)
def awkward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", python_path())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_language_model(tmp_path_factory.mktemp("models") / "model", Variant()).folder


def prompt_suite(folder: Path, model: Path, prompt: str) -> Path:
    path = folder / "suite.toml"
    path.write_text(
        f"""
        [models.m.variants]
        a = {{ artefact = '{model}' }}
        [[workloads]]
        prompt = {{ {prompt} }}
        [scenarios.steady]
        min_time = "1 ms"
        [attempts]
        at_least = 1
        """
    )
    return path


@pytest.fixture(scope="module")
def _limited_starter() -> Iterator[Starter]:
    yield from started_behind(("sh", "-c", 'ulimit -v 4000000; exec "$@"', "sh"))


@pytest.fixture
def limited(_limited_starter: Starter, tmp_path: Path, store_url: str) -> CommandLine:
    """The command line with 4 GB of addresses, so that reading without end does not take the machine with it."""
    return command_line(tmp_path, store_url, _limited_starter)


NO_FILES = ["fifo", "endless device", "empty device", "socket", "link to itself"]


def place(path: Path, what: str) -> None:
    if what == "fifo":
        os.mkfifo(path)
    elif what == "socket":
        code = f"import socket; socket.socket(socket.AF_UNIX).bind({path.name!r})"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=path.parent)
    else:
        path.symlink_to({"endless device": "/dev/zero", "empty device": "/dev/null"}.get(what, path.name))


@pytest.mark.parametrize("what", NO_FILES)
def test_an_artefact_that_is_no_file_is_refused_at_once(benchharness: CommandLine, tmp_path: Path, what: str) -> None:
    place(tmp_path / "model.onnx", what)
    refused(benchharness("run", "model.onnx", *QUICK, timeout=SOON_S), "model.onnx")


@pytest.mark.parametrize("what", NO_FILES)
def test_a_suite_that_is_no_file_is_refused_at_once(limited: CommandLine, tmp_path: Path, what: str) -> None:
    place(tmp_path / "suite.toml", what)
    refused(limited("run", "suite.toml", timeout=SOON_S), "suite.toml" if what == "endless device" else "suite")


@pytest.mark.parametrize("what", NO_FILES)
def test_a_prompt_that_is_no_file_is_refused_at_once(
    limited: CommandLine, tmp_path: Path, model: Path, what: str
) -> None:
    place(tmp_path / "prompt", what)
    refused(limited("run", prompt_suite(tmp_path, model, "file = 'prompt'"), timeout=SOON_S), "prompt")


def test_links_that_go_round_inside_an_artefact_are_not_followed(
    benchharness: CommandLine, tmp_path: Path, model: Path
) -> None:
    shutil.copytree(model, tmp_path / "round")
    (tmp_path / "round" / "self").symlink_to(".")
    (tmp_path / "round" / "up").symlink_to("../round")
    done = benchharness("run", "round", *QUICK, timeout=SOON_S)
    assert done.returncode == 0, done.stderr
    (result,) = results(benchharness)
    assert result["artefact"]["bytes"] == sum(file.stat().st_size for file in model.iterdir())


@pytest.mark.parametrize("what", ["file", "folder"])
def test_only_an_unreadable_part_of_an_artefact_is_refused(
    unprivileged: CommandLine, tmp_path: Path, model: Path, what: str
) -> None:
    """Left out it would be missing from the digest, which is the artefact's identity. What the model does not read is
    no part of it."""
    folder = shutil.copytree(model, tmp_path / "model")
    closed = folder / "config.json" if what == "file" else folder / "more"
    closed.mkdir(exist_ok=True) if what == "folder" else None
    closed.chmod(0)
    done = unprivileged("run", "model", *QUICK, timeout=300)
    closed.chmod(0o755)
    if what == "file":
        refused(done, "Permission denied")
    else:
        assert done.returncode == 0, done.stderr


def test_an_artefact_deleted_during_a_run_is_an_outcome_and_the_other_goes_on(
    benchharness: CommandLine, tmp_path: Path, store_url: str
) -> None:
    suite = awkward_suite(tmp_path, {"gone": "fine", "stays": "fine"}, attempts=4, min_time="100 ms")
    run = Background(tmp_path, store_url, suite)
    try:
        run.wait_for_attempts(2)
        (tmp_path / "0.awkward").unlink()
        assert run.wait() == 3, run.complained
    finally:
        run.end()
    assert "Traceback" not in run.complained
    gone, stays = results(benchharness)
    assert stays["outcomes"] == {"ok": 4}
    assert gone["outcome"] == "runtime-error"
    assert "0.awkward" in gone["reason"]


@pytest.mark.parametrize("content", [b"this is not JSON", b'{"version": "1.0"}', b"\x00\xff\xfe", b""])
def test_a_tokenizer_that_is_none_is_an_outcome(
    benchharness: CommandLine, tmp_path: Path, model: Path, content: bytes
) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    (folder / "tokenizer.json").write_bytes(content)
    assert benchharness("run", prompt_suite(tmp_path, folder, 'text = "hello"')).returncode == 4
    (result,) = results(benchharness)
    assert result["outcome"] == "unsupported"
    assert "tokenizer.json: not a readable tokenizer.json" in result["reason"]


BAD_PROMPTS = [
    ("file", b"hi \xff\xfe", "UTF-8"),
    ("file", b"x" * (4 * 2**20 + 1), "cut"),
    ("tokens_file", b"1 2 1e3", "'1e3'"),
    ("tokens_file", b"1 -2", "negative"),
    ("tokens_file", b"", "no token ids"),
    ("tokens_file", b"[[1], [2]]", "not a list of token ids"),
    ("tokens_file", b"1 " + b"9" * 5000, "not a list of token ids"),
]


@pytest.mark.parametrize(("key", "content", "word"), BAD_PROMPTS, ids=[word for _, _, word in BAD_PROMPTS])
def test_a_bad_prompt_file_is_refused(
    benchharness: CommandLine, tmp_path: Path, model: Path, key: str, content: bytes, word: str
) -> None:
    (tmp_path / "prompt").write_bytes(content)
    refused(benchharness("run", prompt_suite(tmp_path, model, f"{key} = 'prompt'")), "prompt", word)


def test_a_huge_token_is_an_outcome_that_names_it(benchharness: CommandLine, tmp_path: Path, model: Path) -> None:
    (tmp_path / "prompt").write_text("1 2 " + "9" * 30)
    assert benchharness("run", prompt_suite(tmp_path, model, "tokens_file = 'prompt'")).returncode == 4
    (result,) = results(benchharness)
    assert result["outcome"] == "unsupported"
    assert f"token {'9' * 30}, and the vocabulary ends at 36" in result["reason"]


@pytest.mark.parametrize("where", ["folder", "file"])
def test_a_path_that_is_not_utf_8_is_a_sentence_or_measured(
    benchharness: CommandLine, tmp_path: Path, model: Path, where: str
) -> None:
    raw = os.fsdecode(b"bad\xff")
    folder = shutil.copytree(model, tmp_path / (raw if where == "folder" else "good"))
    if where == "file":
        (folder / raw).write_text("x")
    done = benchharness("run", folder, *QUICK)
    assert "Traceback" not in done.stderr, done.stderr[-1500:]
    assert done.returncode in (0, 2)


def test_two_variants_of_the_same_content_are_two_variants(
    benchharness: CommandLine, tmp_path: Path, model: Path
) -> None:
    """Comparing a model with itself is how a bench is tried out."""
    for name in ("one", "two"):
        shutil.copytree(model, tmp_path / name)
    assert benchharness("run", "one", "two", *QUICK).returncode == 0
    one, two = results(benchharness)
    assert one["artefact"]["digest"] == two["artefact"]["digest"]
    assert (one["variant"], two["variant"]) == ("one", "two")
