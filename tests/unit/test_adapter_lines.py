"""An adapter is small, and adding one changes no module but its own: counted, so that it stays so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchharness.device import adapters

ROOT = Path(__file__).parent.parent.parent
TARGETS = ROOT / "targets"
#: Lines of an adapter's own folder, blank ones and comments among them: "about 600".
BAR = 620
#: Older than that bar, and of formats that no other adapter opens: they only may not grow.
OLDER = {"core_ml": 5750, "tflite": 2750, "onnx_runtime": 1475}
#: An ability beyond running one text, in a module of its own, counts for itself: answers to several requests at once.
APART, APART_BAR = "several.py", 150
#: What several adapters stand on, or what a file says without its runtime. A room is not where an adapter hides.
ROOMS = {
    "onnx_format": 1800,
    "wire": 430,
    "web_page": 750,
    "gguf_format": 400,
    "openvino_format": 300,
    "pte_format": 350,
    "program_output": 390,
}
#: A module beside the folders is what several of them stand on, and one thing; or it has a bar of its own, for else it
#: would be where its only adapter hides: a C library that nobody describes, and two adapters that are a module each.
SHARED_BAR, OF_ONE = 200, {"c_structures": 70, "null": 75, "python_function": 120}
#: Modules of the harness that name a runtime. A recipe's format has the adapter that knows its files; readers are data.
NAME_ONE = {"benchharness/compress/source.py", "benchharness/launch/bundle.py"}
BUILT_IN = [name for name, row in adapters.BUILT_IN.items() if row.requires]


def lines(folder: Path) -> int:
    """Of all that runs. What `native-program` reads its programs by is data, a file a program."""
    return sum(
        lines_of(path)
        for path in folder.rglob("*")
        if path.suffix in (".py", ".js", ".html", ".css") and path.name != APART
    )


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def modules() -> list[Path]:
    return [path for path in sorted(TARGETS.glob("*.py")) if path.name != "__init__.py"]


def standing_on(module: str) -> set[str]:
    """The folders that import a module beside them."""
    words = rf"^\s*(?:from targets\.{module} import|import targets\.{module}\b|from targets import .*\b{module}\b)"
    return {
        folder.name
        for folder in folders()
        for path in folder.rglob("*.py")
        if re.search(words, path.read_text(encoding="utf-8"), re.MULTILINE)
    }


def folders() -> list[Path]:
    return [path for path in sorted(TARGETS.iterdir()) if (path / "__init__.py").is_file()]


def home(name: str) -> str:
    """`targets.llama_cpp:LlamaCpp` is in `llama_cpp`."""
    return adapters.BUILT_IN[name].adapter.partition(":")[0].removeprefix("targets.")


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: str(folder.name))
def test_a_folder_has_no_more_lines_than_its_bar(folder: Path) -> None:
    assert lines(folder) <= {**OLDER, **ROOMS}.get(folder.name, BAR)


def test_an_ability_apart_is_small_too() -> None:
    found = list(TARGETS.glob(f"*/{APART}"))
    assert found
    assert all(lines_of(path) <= APART_BAR for path in found)


@pytest.mark.parametrize("module", modules(), ids=lambda module: str(module.stem))
def test_a_module_beside_the_folders_is_of_several_or_has_its_bar(module: Path) -> None:
    assert (len(standing_on(module.stem)) > 1) == (module.stem not in OF_ONE)
    assert lines_of(module) <= OF_ONE.get(module.stem, SHARED_BAR)


def test_every_folder_is_an_adapters_or_a_room() -> None:
    found = {folder.name for folder in folders()}
    of_adapters = {home(name) for name in adapters.BUILT_IN} & found
    assert found == of_adapters | ROOMS.keys()
    assert not of_adapters & ROOMS.keys()
    assert of_adapters > OLDER.keys()
    assert len(of_adapters) == 12


def test_an_adapter_is_its_folder_a_row_an_extra_and_its_page() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    listed = {re.split(r"[<>=;\[ ]", each)[0] for extra in extras.values() for each in extra}
    pages = "".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    for name in BUILT_IN:
        wanted = {re.split("[<>=]", each)[0] for each in adapters.BUILT_IN[name].requires}
        assert name == "executorch" or wanted <= listed, f"{name} has no extra"  # torch: an environment of its own
        assert f"`{name}`" in pages, f"{name} has no page"


def test_no_other_module_of_the_harness_names_an_adapter() -> None:
    """Of those that came after the bar: what the harness has to know of one before it is loaded stands in its row."""
    newer = [name for name in BUILT_IN if home(name) not in OLDER and name != "cloud"]  # a word with other meanings
    names = "|".join(re.escape(each) for name in [*newer, "native-program"] for each in (name, f"targets.{home(name)}"))
    named = re.compile(rf"[\"'](?:{names})[\"':/]")
    found = {
        path.relative_to(ROOT).as_posix()
        for package in ("benchharness", "reports")
        for path in (ROOT / package).rglob("*.py")
        if path != ROOT / "benchharness" / "device" / "adapters.py" and named.search(path.read_text(encoding="utf-8"))
    }
    assert len(newer) == 7
    assert found - NAME_ONE == set()


WITHOUT_RUNTIMES = """
import json
from benchharness.contract import hidden
from benchharness.device import adapters

with hidden(*{module for row in adapters.BUILT_IN.values() for module in row.runs_with}):
    loaded = {name: adapters.load(name) for name in adapters.BUILT_IN}
    print(json.dumps({name: adapter.availability().reason for name, adapter in loaded.items()}))
"""


def test_adapters_load_without_what_they_run_models_with() -> None:
    """So that they list files, and say how to get their runtimes, wherever they are asked."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_RUNTIMES], capture_output=True, text=True, check=True, cwd=ROOT
    )
    reasons = json.loads(done.stdout)
    for name in BUILT_IN:
        modules = adapters.BUILT_IN[name].runs_with
        assert modules, name
        assert any(module in reasons[name].replace("-", "_") for module in modules), (name, reasons[name])
    assert [name for name in reasons if not reasons[name]] == [
        name for name in adapters.BUILT_IN if not adapters.BUILT_IN[name].runs_with
    ]
