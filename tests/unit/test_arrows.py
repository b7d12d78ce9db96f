"""Which module may import which: the arrows of the design, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
STANDARD = sys.stdlib_module_names
OURS = {"benchharness", "targets", "reports"}
#: What the device side imports where it needs it and it is installed, never at once (see `test_bundle`).
LATE = {"benchharness.device.tokenizer": {"tokenizers"}, "benchharness.device.sensors.memory": {"psutil"}}
#: The runtimes that adapters are for.
RUNTIMES = {
    "onnxruntime",
    "ai_edge_litert",
    "tflite_runtime",
    "coremltools",
    "onnx",
    "PIL",
}  # coremltools takes pictures as PIL's
#: What adapters for several runtimes use.
SHARED = ("targets.wire", "targets.tokens", "targets.model_files")


def sources(package: str) -> Iterator[tuple[str, Path]]:
    """Dotted names and files of a package's modules."""
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    for path in found:
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it. `from package import module` is the module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            module = node.module or ""
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                found.add(whole if module.partition(".")[0] in OURS and is_module(whole) else module)
    return found


def top(module: str) -> str:
    return module.partition(".")[0]


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


IN_DEVICE = list(sources("benchharness/device"))
IN_TARGETS = list(sources("targets"))
IN_REPORTS = list(sources("reports"))
IN_HARNESS = list(sources("benchharness"))


@pytest.mark.parametrize(("module", "path"), IN_DEVICE, ids=[name for name, _ in IN_DEVICE])
def test_the_device_side_needs_the_standard_library_and_numpy(module: str, path: Path) -> None:
    ours = ("benchharness.contract", "benchharness.errors", "benchharness.records", "benchharness.device")
    others = {
        name
        for name in imports(path)
        if top(name) not in STANDARD and name != "benchharness" and not within(name, "numpy", *ours)
    }
    assert others <= LATE.get(module, set())


def test_the_device_side_takes_only_the_version_from_the_package() -> None:
    for _, path in IN_DEVICE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "benchharness":
                assert [alias.name for alias in node.names] == ["__version__"]


@pytest.mark.parametrize(("module", "path"), IN_TARGETS, ids=[name for name, _ in IN_TARGETS])
def test_an_adapter_knows_no_other_adapter(module: str, path: Path) -> None:
    own = ".".join(module.split(".")[:2])
    others = {name for name in imports(path) if top(name) == "targets" and not within(name, own, *SHARED)}
    assert others == set()


@pytest.mark.parametrize(("module", "path"), IN_TARGETS, ids=[name for name, _ in IN_TARGETS])
def test_an_adapter_knows_the_contract_and_its_runtime(module: str, path: Path) -> None:
    others = {
        name
        for name in imports(path)
        if top(name) not in STANDARD | RUNTIMES
        and not within(name, "numpy", "targets", "benchharness.contract", "benchharness.errors")
    }
    assert others == set()


@pytest.mark.parametrize(("module", "path"), IN_REPORTS, ids=[name for name, _ in IN_REPORTS])
def test_reports_know_results_and_not_how_they_came_about(module: str, path: Path) -> None:
    known = (
        "benchharness.results.requested",
        "benchharness.results.result",
        "benchharness.results.told",
        "benchharness.results.courses",
        "benchharness.metrics",
        "benchharness.records",
        "benchharness.judge.unequal",
        "benchharness.errors",
        "reports",
    )
    assert {name for name in imports(path) if top(name) in OURS and not within(name, *known)} == set()


def test_only_the_composition_root_imports_reports() -> None:
    importers = {module for module, path in IN_HARNESS if any(top(name) == "reports" for name in imports(path))}
    assert importers == {"benchharness.api"}


REFERENCE = "targets.core_ml.reference"


def test_core_mls_reference_execution_is_fenced() -> None:
    """The adapter knows what the package itself says, and loads its parts through that alone."""
    outside = {module: imports(path) for module, path in IN_TARGETS if not within(module, REFERENCE)}
    assert {module for module, found in outside.items() if REFERENCE in found} == {
        "targets.core_ml",
        "targets.core_ml.inspection",
    }
    parts = {name for found in outside.values() for name in found if name.startswith(f"{REFERENCE}.")}
    assert parts == set(), "a part of the reference execution is imported from outside"
    known = ("targets.wire", "targets.core_ml.description", "targets.core_ml.program", "targets.core_ml.weights")
    for module, path in IN_TARGETS:
        if within(module, REFERENCE):
            others = {name for name in imports(path) if top(name) == "targets" and not within(name, REFERENCE, *known)}
            assert others == set(), module


def test_opening_core_mls_adapter_loads_no_part_of_its_reference_execution() -> None:
    code = "import sys\nimport targets.core_ml\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert {name for name in done.stdout.split() if name.startswith(f"{REFERENCE}.")} == set()


def test_readers_of_wire_formats_know_no_adapter() -> None:
    for module, path in IN_TARGETS:
        if within(module, "targets.wire"):
            ours = {name for name in imports(path) if top(name) in OURS}
            assert {name for name in ours if not within(name, "targets.wire", "benchharness.contract")} == set(), module


def test_the_harness_imports_no_adapter_and_no_runtime() -> None:
    for module, path in IN_HARNESS:
        if within(module, "benchharness.compress"):
            continue  # it calls the runtimes' own tools, each in a process of its own
        found = {name for name in imports(path) if top(name) in {"targets"} | RUNTIMES}
        assert found == set(), module


def test_contract_errors_and_records_need_nothing_of_ours() -> None:
    for name in ("contract", "errors", "records"):
        found = imports(ROOT / "benchharness" / f"{name}.py")
        assert {each for each in found if top(each) not in STANDARD} <= {"numpy"}
    # The package names its API for type checkers; at run time it loads nothing (see the tests of `loaded_by`).
    assert loaded_by("import benchharness") <= {"benchharness", "importlib", "typing", *STANDARD}


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\nbefore = set(sys.modules)\n{statement}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return {top(name) for name in done.stdout.split()}


HEAVY = {"onnxruntime", "numpy", "matplotlib", "pandas", "scipy", "pydantic"}


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_by("import benchharness")
    assert "benchharness" in loaded
    assert loaded & HEAVY == set()


def test_importing_the_supervisor_loads_the_standard_library_only() -> None:
    assert loaded_by("import benchharness.device.supervisor") - STANDARD == {"benchharness"}


def test_importing_the_worker_loads_no_runtime_and_no_library_of_the_host() -> None:
    loaded = loaded_by("import benchharness.device.worker")
    assert loaded - STANDARD == {"benchharness"}
