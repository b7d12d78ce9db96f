"""The device side as one zip file: the same bytes for the same code, and nothing in it that a device may lack."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchharness.device.processes.device_program import with_bytecode
from benchharness.launch import bundle
from benchharness.launch.bundle import write_bundle
from benchharness.launch.programs import PROGRAMS

#: What a module of the bundle may import while it is being imported.
RUNTIMES = {
    *("onnxruntime", "onnxruntime_genai", "openvino", "playwright"),
    *("ai_edge_litert", "tflite_runtime", "coremltools", "onnx", "llama_cpp", "xllamacpp", "httpx"),
    *("litert_lm", "executorch", "torch"),
}
ON_THE_DEVICE = {"benchharness", "targets", "numpy", *RUNTIMES}


@pytest.fixture(autouse=True)
def _packed_anew() -> Iterator[None]:
    bundle._packed.cache_clear()
    yield
    bundle._packed.cache_clear()


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write_bundle(tmp_path)[0]


def modules(archive: zipfile.ZipFile) -> list[str]:
    """The Python in it; a page or a reader is no module."""
    return [name for name in archive.namelist() if name.endswith(".py")]


def imported_at_once(source: bytes) -> set[str]:
    """Top-level packages that are imported when the module is: not those inside functions or for type checkers."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(source)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add((node.module or "").partition(".")[0])
        pending.extend(ast.iter_child_nodes(node))
    return found


def test_the_same_code_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, digest = write_bundle(tmp_path / "one")
    contents = list(bundle._contents())
    monkeypatch.setattr(bundle, "_contents", lambda: iter(contents[::-1]))
    bundle._packed.cache_clear()
    other, again = write_bundle(tmp_path / "other")
    assert one.read_bytes() == other.read_bytes()
    assert digest == again == hashlib.sha256(one.read_bytes()).hexdigest()
    assert one.name == other.name == f"device-{digest[:12]}.pyz"


def test_other_code_gives_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, digest = write_bundle(tmp_path)
    monkeypatch.setattr(bundle, "_MAIN", b"print('other')\n")
    bundle._packed.cache_clear()
    other, changed = write_bundle(tmp_path)
    assert (path != other, digest != changed) == (True, True)


def test_a_damaged_bundle_is_written_again(tmp_path: Path) -> None:
    path, digest = write_bundle(tmp_path)
    path.write_bytes(b"half of it")
    write_bundle(tmp_path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


def test_it_holds_the_device_side_and_the_adapters_only(written: Path) -> None:
    names = set(zipfile.ZipFile(written).namelist())
    assert "benchharness/contract/sessions.py" in names
    assert "benchharness/device/scenarios/first_token.py" in names
    assert "targets/onnx_runtime/__init__.py" in names
    assert {"targets/web_page/page.html", "targets/web_page/bench.js", "targets/onnx_runtime_web/page.js"} <= names
    allowed = ("benchharness/contract/", "benchharness/device/", "targets/")
    others = {name for name in names if not name.startswith(allowed)}
    top = {"__init__.py", "errors.py", "records.py"}
    assert others == {"__main__.py"} | {f"benchharness/{name}" for name in top}


def test_it_imports_nothing_that_a_device_may_lack(written: Path) -> None:
    allowed = sys.stdlib_module_names | ON_THE_DEVICE
    with zipfile.ZipFile(written) as archive:
        found = {name: imported_at_once(archive.read(name)) - allowed for name in modules(archive)}
    assert {name: foreign for name, foreign in found.items() if foreign} == {}


def test_only_adapters_import_a_runtime_at_once(written: Path) -> None:
    with zipfile.ZipFile(written) as archive:
        found = {name for name in modules(archive) if RUNTIMES & imported_at_once(archive.read(name))}
    assert found
    assert all(name.startswith("targets/") for name in found)


def assert_helps(python: str, bundle_file: Path) -> None:
    done = subprocess.run(
        [python, "-I", str(bundle_file), "supervisor", "--help"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=bundle_file.parent,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--work" in done.stdout


def test_its_supervisor_starts_with_nothing_else_installed(written: Path) -> None:
    assert_helps(sys.executable, written)


def test_its_supervisor_starts_under_the_oldest_python(written: Path) -> None:
    python = shutil.which("python3.9")
    if python is None or subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip("no working python3.9 on PATH: the device side is not tried under the oldest Python it promises")
    assert_helps(python, written)


def test_the_oldest_python_makes_its_copy_with_bytecode_and_starts_out_of_that(written: Path) -> None:
    python = shutil.which("python3.9")
    if python is None or subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip("no working python3.9 on PATH: the device side is not tried under the oldest Python it promises")
    copy = Path(with_bytecode(python, str(written)))
    assert copy.name.startswith(f"{written.name}.cpython-39-")
    assert_helps(python, copy)
    asked = "import benchharness.device.worker as worker; print(worker.__file__)"
    told = {**os.environ, "PYTHONPATH": str(copy)}
    command = [python, "-c", asked]
    done = subprocess.run(command, env=told, cwd=written.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{copy}/benchharness/device/worker.pyc"


def test_every_module_of_it_is_written_for_the_oldest_python(written: Path) -> None:
    with zipfile.ZipFile(written) as archive:
        for name in modules(archive):
            ast.parse(archive.read(name), name, feature_version=(3, 9))


def test_its_worker_ends_with_its_host(written: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(written), "worker"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        check=False,
        cwd=written.parent,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_program_is_called_after_its_module_in_the_bundle_and_out_of_it() -> None:
    """A question to a device names one, and runs there as a module or out of the bundle."""
    assert [name for name, module in PROGRAMS.items() if module.rpartition(".")[2] != name] == []
    for module in PROGRAMS.values():
        assert importlib.util.find_spec(module) is not None, module
