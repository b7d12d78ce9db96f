"""Builds the wheel, looks at what it holds, and runs the demo from it in an empty environment outside the checkout.

`python .ci/package.py [PYTHON ...]`: for the interpreter that runs it and each named one. Dependencies come from the
package index, as a user's would.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
MOST_BYTES = 12 << 20
#: Importing these is what every command does first; the rest comes with the demo.
LOOKS = """
import importlib, pathlib, pkgutil, sys
import benchharness, reports, targets
for package in (benchharness, reports, targets):
    assert pathlib.Path(package.__file__).is_relative_to(sys.prefix), package.__file__
others = set()  # packages of other extras, which some modules begin with
for module in pkgutil.walk_packages(benchharness.__path__, "benchharness."):
    if not module.name.endswith("__main__") and ".migrations" not in module.name:
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            others.add(error.name.partition(".")[0])
known = "ai_edge_litert ai_edge_quantizer coremltools flatbuffers gguf kmeans1d onnx onnx_ir pandas pytest sklearn"
known += " croniter cryptography lm_eval procrastinate psycopg"
assert others <= set(known.split()), others
"""


def main(others: list[str]) -> None:
    """Everything in order; the first thing that is wrong ends it."""
    with tempfile.TemporaryDirectory(prefix="package-") as name:
        folder = Path(name)
        wheel = build(folder / "dist")
        check_contents(wheel)
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, holds what it must and nothing else")
        for number, python in enumerate([sys.executable, *others]):
            try_out(python, wheel, folder / str(number))


def run(*command: str | Path, cwd: Path, codes: tuple[int, ...] = (0,)) -> str:
    """Runs a command with nothing of the checkout in its environment; its standard output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BENCHHARNESS"))}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(into: Path) -> Path:
    """The wheel, built as `pip install` builds it."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", into, ROOT, cwd=ROOT)
    (wheel,) = into.glob("*.whl")
    return wheel


def must_hold() -> set[str]:
    """What git has of the packages, and the demo's files under the names that the wheel gives them."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        target = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]
    names = tracked(*target["packages"])
    for source, inside in target["force-include"].items():
        names |= {inside + name.removeprefix(source) for name in tracked(source)}
    return names


def tracked(*paths: str) -> set[str]:
    """Files that belong to the repository, new ones too."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *paths, cwd=ROOT)
    return {name for name in listed.splitlines() if (ROOT / name).is_file()}


def check_contents(wheel: Path) -> None:
    """Ends the program where a file is missing, too many, or the whole is too large."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = must_hold()
    if held != expected:
        sys.exit(f"the wheel lacks {sorted(expected - held)}, and holds beside what it must {sorted(held - expected)}")
    if wheel.stat().st_size > MOST_BYTES:
        sys.exit(f"the wheel has {wheel.stat().st_size} bytes, more than {MOST_BYTES}")


def try_out(python: str, wheel: Path, folder: Path) -> None:
    """An empty environment, the wheel with its `onnx` extra, the demo, its report and its results."""
    folder.mkdir()
    run(python, "-m", "venv", folder / "env", cwd=folder)
    binaries = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    run(binaries / "python", "-m", "pip", "install", "--quiet", f"{wheel}[onnx]", cwd=folder)
    run(binaries / "python", "-c", LOOKS, cwd=folder)
    store = ("--store", f"sqlite:///{folder / 'demo.db'}")
    # 3: some jobs did not run, here those whose runtimes come with other extras
    run(binaries / "benchharness", "demo", "--out", folder / "report", *store, cwd=folder, codes=(3,))
    exported = json.loads(run(binaries / "benchharness", "export", *store, cwd=folder))
    outcomes = {(result["configuration"]["runtime"], result["outcome"]) for result in exported["results"]}
    pages = sorted((folder / "report").glob("*.html"), key=lambda page: len(page.name))
    if outcomes != {("onnxruntime", "ok"), ("tflite", "unsupported"), ("coreml", "unsupported")} or not pages:
        sys.exit(f"the demo came to {outcomes}, and {len(pages)} pages")
    version = run(binaries / "python", "--version", cwd=folder).strip()
    print(f"{version}: the demo ran from the wheel and wrote {pages[0].name}")


if __name__ == "__main__":
    main(sys.argv[1:])
