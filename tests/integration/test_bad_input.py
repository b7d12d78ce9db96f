"""Suites, names and options that cannot be: each ends in a sentence, soon, and never in a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import CommandLine
from tests.integration.awkward_run import SOON_S, awkward_suite, python_path, refused, results


@pytest.fixture(autouse=True)
def awkward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", python_path())


def test_a_suite_of_50_megabytes_is_refused(benchharness: CommandLine, tmp_path: Path) -> None:
    suite = awkward_suite(tmp_path, more=f'b = {{ artefact = "0.awkward", recipe = "{"x" * 50_000_000}" }}')
    refused(benchharness("run", suite, timeout=SOON_S), "suite.toml", "50")


DEEP = {
    "lists": "x = " + "[" * 100_000 + "]" * 100_000,
    "options": "[configurations.options." + ".".join("a" * 2000) + "]\nb = 1",
    "stored options": "[configurations.options." + ".".join("a" * 400) + "]\nb = 1",
}


@pytest.mark.parametrize("what", DEEP)
def test_a_suite_nested_too_deep_is_refused(benchharness: CommandLine, tmp_path: Path, what: str) -> None:
    suite = awkward_suite(tmp_path)
    text = suite.read_text()
    suite.write_text(
        f"{DEEP[what]}\n{text}" if what == "lists" else text.replace("[scenarios", f"{DEEP[what]}\n[scenarios", 1)
    )
    refused(benchharness("run", suite, timeout=SOON_S), "suite.toml", "deep")


def test_thousands_of_mistakes_are_not_all_listed(benchharness: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text("[models.m.variants]\n" + "\n".join(f"v{n} = 1" for n in range(5000)))
    refused(benchharness("run", "suite.toml"), "models.m.variants.v0")


def test_names_in_any_script_are_shown_as_they_are(benchharness: CommandLine, tmp_path: Path) -> None:
    names = ["mödel ünï", "日本語", "نموذج", "a|b [red]c[/red]"]
    suite = awkward_suite(tmp_path, {f'"{name}"': "fine" for name in names})
    done = benchharness("run", suite)
    assert done.returncode == 0, done.stderr
    assert [result["variant"] for result in results(benchharness)] == names
    assert all(name in done.stdout for name in names)


@pytest.mark.parametrize("name", [r"a\nb", r"a\u001b[31mb", r"a\u009b31mb", r"a\u202eb", r"a\u2028b", "", "x" * 101])
def test_names_that_would_steer_a_terminal_are_refused(benchharness: CommandLine, tmp_path: Path, name: str) -> None:
    done = benchharness("run", awkward_suite(tmp_path, {f'"{name}"': "fine"}))
    refused(done, "1 to 100 characters")
    assert not set(done.stderr) & set("\x1b\x9b\u202e\u2028")


BAD_OPTIONS = [
    ("--timeout", "0 s"),
    ("--timeout", "9" * 400 + " s"),
    ("--max-time", "0 s"),
    ("--ci-target", "0 %"),
    ("--ci-target", "200 %"),
]


@pytest.mark.parametrize(("option", "value"), BAD_OPTIONS, ids=lambda word: word[:12])
def test_a_limit_that_no_suite_could_set_is_refused_before_anything_runs(
    benchharness: CommandLine, tmp_path: Path, option: str, value: str
) -> None:
    done = benchharness("run", awkward_suite(tmp_path), option, value)
    refused(done)
    assert done.stdout == ""
    assert benchharness("show").returncode == 2, "no run that cannot be read again is left in the store"
    assert "holds no run yet" in benchharness("show").stderr
