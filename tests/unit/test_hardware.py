"""Hardware targets: this machine, or a profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchharness.errors import SuiteError
from benchharness.suite.hardware import load_hardware


def profile(folder: Path, text: str) -> str:
    (folder / "board.toml").write_text(text)
    return str(folder / "board.toml")


def test_this_machine_needs_no_profile() -> None:
    target = load_hardware("this-machine")
    assert (target.name, target.device, target.python) == ("this-machine", None, None)


def test_a_profile_is_named_by_its_file_unless_it_says_otherwise(tmp_path: Path) -> None:
    assert load_hardware(profile(tmp_path, "")).name == "board"
    assert load_hardware(profile(tmp_path, 'name = "Board 5"')).name == "Board 5"


def test_an_interpreter_is_looked_for_beside_the_profile(tmp_path: Path) -> None:
    assert load_hardware(profile(tmp_path, 'python = "venv/bin/python"')).python == tmp_path / "venv/bin/python"
    assert load_hardware(profile(tmp_path, 'python = "/usr/bin/python3"')).python == Path("/usr/bin/python3")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('pyhton = "x"', "unknown key 'pyhton'; did you mean 'python'?"),
        ('reach = "telepathy"', "unknown key 'reach'"),
        ("name = ", "not valid TOML"),
    ],
)
def test_a_wrong_profile_is_refused_with_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    path = profile(tmp_path, text)
    with pytest.raises(SuiteError) as refused:
        load_hardware(path)
    assert said in str(refused.value)
    assert path in str(refused.value)


def test_a_name_that_is_neither_is_refused_with_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"write 'this-machine', or the path of a profile ending in \.toml"):
        load_hardware("raspberry-pi-5")
    with pytest.raises(SuiteError, match="cannot be read"):
        load_hardware(str(tmp_path / "nowhere.toml"))
