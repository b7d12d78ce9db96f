"""`--help` answers at once: it imports no library that help does not need, and its example can be copied."""

from __future__ import annotations

import keyword
import os
import subprocess
import sys

import pytest
import typer

from benchharness.commands import COMMANDS, command

#: Half a second each on a small machine, and no help needs one of them.
SLOW = (
    "rich",
    "pydantic",
    "numpy",
    "scipy",
    "sqlalchemy",
    "pandas",
    "onnxruntime",
    "benchharness.results.result",
    "markdown_it",
)

TOLD = """
import sys
sys.argv = ["benchharness", *sys.argv[1:]]
from benchharness.commands.entry import main
try:
    main()
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""


def helped(*arguments: str) -> tuple[str, set[str]]:
    """What help says in a narrow terminal, and the modules it imported."""
    environment = {**os.environ, "COLUMNS": "60"}
    command = [sys.executable, "-c", TOLD, *arguments, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return done.stdout, set(done.stderr.split())


@pytest.mark.parametrize("arguments", [(), ("run",), ("sweep",)])
def test_help_imports_nothing_slow(arguments: tuple[str, ...]) -> None:
    text, modules = helped(*arguments)
    assert text.startswith(f"Usage: {' '.join(('benchharness', *arguments))} [OPTIONS]")
    assert not modules.intersection(SLOW)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_on_one_line(command: str) -> None:
    text, _ = helped(command)
    after = text.partition("Example:\n")[2].splitlines()[0]
    assert after.strip().startswith(f"benchharness {command}")
    assert "[bold]" not in text
    assert "\b" not in text


def test_a_command_imports_no_other() -> None:
    _, modules = helped("runs")
    assert {name for name in modules if name in COMMANDS.values()} == {COMMANDS["runs"]}


def test_every_command_is_a_function_of_its_modules_name_with_a_line_of_help() -> None:
    text, _ = helped()
    lines = [line.split()[0] for line in text.partition("Commands:\n")[2].splitlines() if line[2:3].strip()]
    assert lines == list(COMMANDS)
    for name, module in COMMANDS.items():
        spelled = f"{name}_" if keyword.iskeyword(name) else name
        assert module == f"benchharness.commands.{spelled}"
        found = command(name)
        assert isinstance(found, typer.Typer) or found.__name__ == spelled
