"""One list of files serves a whole run: size, download, eviction, the device's copy, `--resume`, and what is chosen."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import benchharness
from benchharness.errors import UsageError
from benchharness.execute.jobs import Execution
from benchharness.execute.looks import inspect_model
from benchharness.results.store import Store
from benchharness.suite.artefact import DigestCache
from benchharness.suite.hardware import HardwareTarget
from benchharness.suite.materials import gather
from benchharness.suite.plan import plan
from benchharness.suite.tables import check_suite
from benchharness.terminal.progress import watch
from tests.awkward_launcher import AwkwardLauncher
from tests.integration.conftest import ADAPTERS


def product(path: Path, width: int, *, external: str | None = None, x: str = "x") -> Path:
    """One product with 64 × width random weights, in the file or in another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(width).standard_normal((64, width)).astype(np.float32)
    weights = numpy_helper.from_array(values, "w")
    if external is not None:
        (path.parent / external).parent.mkdir(parents=True, exist_ok=True)
        (path.parent / external).write_bytes(values.tobytes())
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value=external)
    graph = helper.make_graph(
        [helper.make_node("MatMul", [x, "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, width])],
        [weights],
    )
    opsets = [helper.make_opsetid("", 17)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())
    return path


def suite(*artefacts: Path, **more: Any) -> dict[str, Any]:
    return {
        "name": "files",
        "models": {"m": {"variants": {path.stem: {"artefact": str(path)} for path in artefacts}}},
        "configurations": [{"runtime": "onnxruntime", "threads": 1}],
        "scenarios": {"first-token": {"page_cache": "evicted", "min_time": "1 ms"}},
        "attempts": {"at_least": 1},
        **more,
    }


def size_of(*files: Path) -> int:
    return sum(file.stat().st_size for file in files)


def test_weights_beside_the_model_are_counted_everywhere(tmp_path: Path, store_url: str) -> None:
    folder = tmp_path / "m"
    large = product(folder / "large.onnx", 20_000, external="weights/large.data")
    small = product(folder / "small.onnx", 4_000)
    (folder / "cat.png").write_bytes(bytes(1 << 20))
    budgets = {"download_size": "2 MB"}
    found = benchharness.run(suite(large, small, budgets=budgets), store=store_url)
    jobs = {result.job.variant: result for result in found.results}
    assert jobs["large"].job.artefact_bytes == size_of(large, folder / "weights" / "large.data")
    assert jobs["small"].job.artefact_bytes == size_of(small)
    # Random numbers hardly compress: the larger one cannot be downloaded in 2 MB.
    verdicts = {name: [str(verdict.kind) for verdict in result.verdicts] for name, result in jobs.items()}
    assert verdicts == {"large": ["miss"], "small": ["pass"]}
    assert [choice.recommended for choice in found.choices("smallest")] == ["small · onnxruntime 1 thread"]
    exported = {each["variant"]: each["artefact"] for each in json.loads(found.to_json())["results"]}
    for variant, path in (("large", large), ("small", small)):
        inspected = inspect_model(path)
        assert exported[variant]["bytes"] == inspected["bytes"]
        assert exported[variant]["digest"] == inspected["digest"]
        assert list(exported[variant]["files"]["files"]) == [file["path"] for file in inspected["files"]]


def test_every_listed_file_is_evicted_and_counted(tmp_path: Path, store_url: str) -> None:
    """Residency is the share over all files: where only the graph had been evicted, it would be near one."""
    model = product(tmp_path / "m.onnx", 20_000, external="m.onnx.data")
    found = benchharness.run(suite(model), store=store_url)
    (result,) = found.results
    assert result.conditions.page_cache_resident == 0
    table = suite(model)
    table["scenarios"] = {"first-token": {"page_cache": "warm", "min_time": "1 ms"}}
    (result,) = benchharness.run(table, store=store_url).results
    assert result.conditions.page_cache_resident == 1


def test_a_device_gets_the_listed_files_and_runs_them(tmp_path: Path, store_url: str) -> None:
    hub = tmp_path / "hub"
    product(hub / "onnx" / "model.onnx", 300, external="model.onnx_data", x="input_ids")
    product(hub / "onnx" / "model_q4.onnx", 200, x="input_ids")
    for name in ("config.json", "tokenizer.json", "README.md"):
        (hub / name).write_text("{}")
    made = check_suite(suite(hub, hub / "onnx" / "model_q4.onnx"), where="test")
    hardware = HardwareTarget(name="this-machine")
    materials = gather(made, DigestCache(None))
    jobs = plan(made, hardware, materials, lambda name: (".onnx",))
    store = Store(store_url)
    run = store.create_run(
        suite="files",
        digest=made.digest,
        suite_json=made.model_dump_json(by_alias=True),
        hardware_json=hardware.model_dump_json(),
        planned=jobs,
    )
    launcher = AwkwardLauncher(tmp_path / "device", ADAPTERS)
    with watch() as observer:
        Execution(store, run, rules=made.attempts, manifests=materials.manifests, observer=observer).walk(
            launcher, tmp_path / "state"
        )
    attempts = store.attempts(run)
    store.close()
    assert [str(attempt.outcome.kind) for attempt in attempts] == ["ok", "ok"]
    placed = {}
    for artefact, manifest in materials.manifests.items():
        root = tmp_path / "device" / "files" / manifest.digest[:16]
        placed[artefact.name] = sorted(file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())
    assert placed == {
        "hub": ["config.json", "onnx/model.onnx", "onnx/model.onnx_data", "tokenizer.json"],
        "model_q4.onnx": ["config.json", "onnx/model_q4.onnx", "tokenizer.json"],
    }


def test_resuming_is_refused_where_weights_beside_the_model_changed(tmp_path: Path, store_url: str) -> None:
    model = product(tmp_path / "m.onnx", 100, external="m.onnx.data")
    done = benchharness.run(suite(model), store=store_url)
    (tmp_path / "cat.png").write_bytes(b"new, and none of the model's")
    benchharness.resume(done.run.id, store=store_url)
    content = bytearray((tmp_path / "m.onnx.data").read_bytes())
    content[7] ^= 1
    (tmp_path / "m.onnx.data").write_bytes(content)
    with pytest.raises(UsageError, match=r"has changed since this run began: m\.onnx\.data"):
        benchharness.resume(done.run.id, store=store_url)


@pytest.mark.parametrize(
    ("location", "said"), [("../up.data", r"through '\.\.'"), ("gone.data", "missing"), ("/etc/passwd", "absolute")]
)
def test_a_refused_model_is_a_row_with_its_reason_and_no_size(
    tmp_path: Path, store_url: str, location: str, said: str
) -> None:
    product(tmp_path / "in" / "bad.onnx", 10, external="there.data")
    bad = tmp_path / "in" / "bad.onnx"
    content = onnx.load(bad, load_external_data=False)
    content.graph.initializer[0].external_data[0].value = location
    bad.write_bytes(content.SerializeToString())
    (tmp_path / "up.data").write_bytes((tmp_path / "in" / "there.data").read_bytes())
    good = product(tmp_path / "in" / "good.onnx", 10)
    found = benchharness.run(suite(bad, good), store=store_url)
    results = {result.job.variant: result for result in found.results}
    assert results["good"].outcome.ok
    assert not results["bad"].outcome.ok
    assert re.search(said, results["bad"].outcome.reason)
    (told,) = [each for each in json.loads(found.to_json())["results"] if each["variant"] == "bad"]
    assert told["artefact"]["bytes"] is None
    assert re.search(said, told["artefact"]["files"]["unknown"])
    assert "artefact_size" not in [metric["name"] for metric in told["metrics"]]


def test_a_folder_and_the_file_that_runs_of_it_are_not_two_variants(tmp_path: Path, store_url: str) -> None:
    hub = tmp_path / "hub"
    product(hub / "onnx" / "model.onnx", 10)
    with pytest.raises(UsageError, match="are the same model"):
        benchharness.run([hub, hub / "onnx" / "model.onnx"], store=store_url)
