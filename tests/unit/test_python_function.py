"""Functions of Python files as models: what is measured, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.contract import Configuration
from benchharness.errors import ModelFailure, Unsupported
from targets.python_function import PythonFunction

FILE = """
import dataclasses
from beside import VALUE

@dataclasses.dataclass
class Holder:
    one: int = 1

def numbers(): return [VALUE, 2.0]
def nothing(): return None
def text(): return "text"
def broken(): raise KeyError("no")
class Group:
    @staticmethod
    def inner(): return 3
value = 7
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("VALUE = 1.5\n")
    path = tmp_path / "theirs.py"
    path.write_text(FILE)
    return path


def opened(path: Path, **options: Any) -> Any:
    return PythonFunction().open(path, Configuration(runtime="python", options=options))


@pytest.mark.parametrize(
    ("name", "outputs"), [("numbers", [1.5, 2.0]), ("Group.inner", 3), ("nothing", None), ("text", None)]
)
def test_what_it_returns_is_an_output_where_it_is_numbers(file: Path, name: str, outputs: Any) -> None:
    with opened(file, function=name) as session:
        found = session.run({})
        assert session.inputs == ()
        if outputs is None:
            assert (found, session.outputs) == ({}, ())
        else:
            (spec,) = session.outputs
            np.testing.assert_array_equal(found[spec.name], outputs)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({}, Unsupported, "say which function"),
        ({"function": "numbers", "threads": 2}, Unsupported, "no option is called 'threads'"),
        ({"function": "missing"}, ModelFailure, "missing"),
        ({"function": "value"}, ModelFailure, "cannot be called"),
        ({"function": "broken"}, ModelFailure, "raised KeyError"),
    ],
)
def test_what_cannot_be_called_is_refused(
    file: Path, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said), opened(file, **options):
        pass


def test_a_file_that_cannot_be_imported_is_a_failure_of_the_model(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(ModelFailure, match="ModuleNotFoundError"), opened(tmp_path / "theirs.py", function="f"):
        pass


def test_without_the_option_nothing_of_the_file_is_run(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(Unsupported), opened(tmp_path / "theirs.py"):
        pass
    assert not (tmp_path / "ran").exists()
