"""Which module may import which: the arrows of the design, read from the source."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
STANDARD = sys.stdlib_module_names
OURS = {"benchharness", "targets", "reports"}
#: What the device side imports where it needs it and it is installed, never at once (see `test_bundle`).
LATE = {
    "benchharness.device.inputs.tokenizer": {"tokenizers"},
    "benchharness.device.sensors.memory": {"psutil"},
    "benchharness.device.cores": {"psutil"},
    "benchharness.device.sealed": {"cryptography.exceptions", "cryptography.hazmat.primitives.ciphers.aead"},
}
#: The runtimes that adapters are for.
RUNTIMES = {
    "onnxruntime",
    "onnxruntime_genai",
    "openvino",
    "playwright",
    "ai_edge_litert",
    "tflite_runtime",
    "coremltools",
    "llama_cpp",
    "xllamacpp",
    "httpx",
    "litert_lm",
    "executorch",
    "torch",
    "onnx",
    "PIL",
}  # coremltools takes pictures as PIL's
#: What adapters for several runtimes use.
SHARED = (
    *("targets.wire", "targets.token_checks", "targets.model_files", "targets.asked", "targets.stored_numbers"),
    *("targets.onnx_format", "targets.gguf_format", "targets.openvino_format", "targets.pte_format"),
    "targets.program_output",
    *("targets.litert_lm_bundle", "targets.causal_session", "targets.c_structures"),
    *("targets.web_page", "targets.several", "targets.installed"),
)


def sources(package: str) -> Iterator[tuple[str, Path]]:
    """Dotted names and files of a package's modules."""
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    for path in found:
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


@cache
def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@cache
def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it. `from package import module` is the module."""
    return imports_of(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports_of(nodes: Iterable[ast.AST]) -> set[str]:
    """Every module that one of these nodes imports."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import: {ast.unparse(node)}"
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


#: Of one runtime at two places, the second stands on the first's reading of packages, options and plans.
STANDS_ON = {"targets.core_ml_remote": "targets.core_ml"}


@pytest.mark.parametrize(("module", "path"), IN_TARGETS, ids=[name for name, _ in IN_TARGETS])
def test_an_adapter_knows_no_other_adapter(module: str, path: Path) -> None:
    own = ".".join(module.split(".")[:2])
    known = (own, STANDS_ON.get(own, own), *SHARED)
    others = {name for name in imports(path) if top(name) == "targets" and not within(name, *known)}
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
        "benchharness.results.trends",
        "benchharness.judge.step_words",
        "benchharness.metrics",
        "benchharness.judge.answer",
        "benchharness.judge.builds",
        "benchharness.judge.gate",
        "benchharness.judge.pairs",
        "benchharness.judge.told",
        "benchharness.judge.fleet",
        "benchharness.judge.fleet_words",
        "benchharness.judge.choice",
        "benchharness.judge.trust",
        "benchharness.records",
        "benchharness.judge.unequal",
        "benchharness.units",
        "benchharness.judge.plain",
        "benchharness.scenarios",
        "benchharness.errors",
        "reports",
    )
    assert {name for name in imports(path) if top(name) in OURS and not within(name, *known)} == set()


#: What each room of the reports knows, itself apart; a section knows no other section.
ROOMS = {
    "figures": (),
    "model": ("reports.figures",),
    "sections": ("reports.figures", "reports.model"),
    "pages": ("reports.figures", "reports.model", "reports.sections"),
}


@pytest.mark.parametrize(("module", "path"), IN_REPORTS, ids=[name for name, _ in IN_REPORTS])
def test_the_rooms_of_the_reports_know_those_beneath(module: str, path: Path) -> None:
    _, *inside = module.split(".")
    if not inside:
        assert {name for name in imports(path) if top(name) == "reports"} == set()
        return
    own = ".".join(module.split(".")[: 3 if inside[0] == "sections" and len(inside) > 1 else 2])
    others = {name for name in imports(path) if top(name) == "reports" and not within(name, own, *ROOMS[inside[0]])}
    assert others == set()


def test_reports_stand_in_four_rooms() -> None:
    found = {path.name for path in (ROOT / "reports").iterdir() if path.name not in ("__pycache__", "py.typed")}
    assert found == {"__init__.py", *ROOMS}


def test_only_the_composition_root_imports_reports() -> None:
    importers = {module for module, path in IN_HARNESS if any(top(name) == "reports" for name in imports(path))}
    assert {room(module) for module in importers} == {"api"}


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


@pytest.mark.slow
def test_opening_core_mls_adapter_loads_no_part_of_its_reference_execution_and_no_framework() -> None:
    """coremltools imports all that it converts from: their memory would be the model's. Later they can be had."""
    code = "import sys\nimport targets.core_ml\nprint(*sys.modules)\nimport sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = done.stdout.split()
    assert "coremltools" in loaded
    assert {name for name in loaded if name.startswith(f"{REFERENCE}.")} == set()
    assert not {"sklearn", "tensorflow", "torch", "xgboost"} & set(loaded)


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


def room(module: str) -> str:
    """`benchharness.judge.derive` stands in `judge`, `benchharness.api` in `api`, `reports.html` in `reports`."""
    parts = module.split(".")
    return parts[0] if parts[0] != "benchharness" else (parts[1] if len(parts) > 1 else "benchharness")


#: Rules of the device side that its judges apply again.
SHARED_RULES = {
    "device.adapters",
    "device.rules",
    "device.inputs.pairing",
    "device.inputs.shapes",
    "device.inputs.state_names",
}
#: What each room of the host may import, beside itself and `PLAIN`. A name with a dot is that module alone.
ARROWS = {
    "__main__": {"commands"},
    "commands": {
        "api",
        "builds",
        "compress",
        "devices",
        "execute.checking",
        "farm",
        "launch.ssh.host_key",
        "results.result",
        "scenarios",
        "sensitivity",
        "stores",
        "suite",
        "telemetry",
        "terminal",
    },
    "api": {
        "execute.looks",
        "judge",
        "launch",
        "measure",
        "reading",
        "reports",
        "results",
        "suite",
        "terminal.printed",
    },
    "reading": {"judge", "results", "suite.judging"},
    "measure": {"device.adapters", "execute", "launch", "results", "suite", "terminal.console", "terminal.progress"},
    "lmeval": {"device", "execute", "measure", "results", "scenarios", "suite"},
    "stores": {"api", "judge", "reading", "results", "scenarios", "suite.judging"},
    "devices": {"api", "execute", "launch", "suite"},
    "farm": {"api", "builds", "device.adapters", "execute.hygiene", "measure", "results", "stores", "suite"},
    "builds": {"api", "ci", "judge", "measure", "results.ids", "results.result", "suite"},
    "ci": {"judge", "results.result"},
    "execute": {
        "device.adapters",
        "device.cores",
        "device.line.protocol",
        "judge",
        "launch",
        "results",
        "scenarios",
        "suite",
    },
    "launch": {"device"},
    "suite": {
        "device.adapters",
        "device.keys",
        "device.sealed",
        "device.sensors.cgroup",
        "device.sensors.readings",
        "judge.design",
        "launch.ask",
        "launch.adb.route",
        "launch.core_ml.route",
        "launch.route",
        "launch.ssh.route",
        "results.objects",
        "results.requested",
        "results.result",
        "scenarios",
    },
    "judge": {*SHARED_RULES, "results", "scenarios"},
    "scenarios": {
        "device",
        "judge",
        "results",
        "suite.data_files",
        "suite.fields",
        "suite.planning",
        "suite.tables",
    },
    "results": {"judge.choice"},
    "telemetry": {"device.tally", "judge.percentiles", "results.result"},
    "terminal": {
        "execute.checking",
        "judge",
        "launch.ask",
        "results",
        "suite.device",
        "telemetry.ledger",
        "telemetry.privacy",
    },
    "reports": {"judge", "results", "scenarios"},
    "compress": {"device", "suite", "targets", "terminal.values"},
    "sensitivity": {"api", "compress", "measure", "results.result", "suite.asked", "terminal.values"},
    "search": {"api", "execute.devices", "judge", "launch", "measure", "results.result", "suite", "terminal.values"},
    "testing": {"api", "builds", "device", "judge", "results.result"},
    "locations": {"suite.artefact"},
    "metrics": set(),
    "units": set(),
    "records": set(),
}
#: What every room of the host may import.
PLAIN = {"benchharness", "contract", "errors", "records", "units", "metrics", "locations"}
#: Where attempts and results are kept: known to who makes runs, to who composes, to who looks after stores, and
#: to nobody else.
KNOW_THE_STORE = {
    "benchharness.api.findings",
    "benchharness.api.pages",
    "benchharness.execute.jobs",
    "benchharness.measure",
    "benchharness.reading",
    "benchharness.results.importing",
    "benchharness.results.parcels",
    "benchharness.results.prune",
    "benchharness.results.verify",
    "benchharness.stores",
}


@pytest.mark.parametrize("name", ARROWS)
def test_a_room_imports_what_its_arrows_say(name: str) -> None:
    allowed = ARROWS[name] | PLAIN | {name}
    for module, path in [*IN_HARNESS, *IN_REPORTS]:
        if room(module) != name:
            continue
        ours = {each for each in imports(path) if top(each) in OURS}
        others = {
            each for each in ours if room(each) not in allowed and each.removeprefix("benchharness.") not in allowed
        }
        assert others == set(), module


def test_few_modules_stand_beside_the_rooms() -> None:
    """Whoever opens the package sees its rooms, and not a row of modules beside them."""
    beside = sorted(path.name for path in (ROOT / "benchharness").glob("*.py"))
    assert len(beside) <= 12, beside


def test_every_room_of_the_host_has_its_arrows() -> None:
    rooms = {room(module) for module, _ in [*IN_HARNESS, *IN_REPORTS]}
    assert rooms - {"benchharness", "contract", "errors", "device"} == set(ARROWS)


def test_nothing_but_the_way_in_imports_commands() -> None:
    everything = [*IN_HARNESS, *IN_REPORTS, *IN_TARGETS]
    importers = {module for module, path in everything if "commands" in {room(each) for each in imports(path)}}
    assert {each for each in importers if room(each) != "commands"} == {"benchharness.__main__"}


def test_few_know_the_store() -> None:
    everything = [*IN_HARNESS, *IN_REPORTS]
    importers = {module for module, path in everything if "benchharness.results.store" in imports(path)}
    assert importers == KNOW_THE_STORE


def test_only_the_device_side_and_launchers_start_processes_on_a_device() -> None:
    """Whoever asks a device something goes through its launcher, so that it may be far away."""
    for module, path in IN_HARNESS:
        if room(module) in ("device", "launch", "compress", "testing") or module == "benchharness.suite.revision":
            continue  # git is asked here, where the suite is
        if module in ("benchharness.farm.server", "benchharness.farm.making"):
            continue  # PostgreSQL's own programs, and a process here for each job
        assert not imports(path) & {"subprocess", "benchharness.device.processes.child"}, module


def late_imports(path: Path) -> set[str]:
    """Every import of a file, those inside functions too, but for what type checkers alone see."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unseen = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    return imports_of(node for node in ast.walk(tree) if id(node) not in unseen)


def test_there_is_no_circle_of_imports_anywhere() -> None:
    everything = [*IN_HARNESS, *IN_REPORTS, *IN_TARGETS]
    arrows = {module: late_imports(path) - {module} for module, path in everything}
    sorter = graphlib.TopologicalSorter({module: found & arrows.keys() for module, found in arrows.items()})
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_contract_errors_and_records_need_nothing_of_ours() -> None:
    plain = {module: imports(path) for module, path in IN_HARNESS if room(module) in ("contract", "errors", "records")}
    assert {"benchharness.contract", "benchharness.errors", "benchharness.records"} <= plain.keys()
    for module, found in plain.items():
        own = "benchharness.contract" if room(module) == "contract" else module
        assert {each for each in found if top(each) not in STANDARD and not within(each, own)} <= {"numpy"}, module
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
