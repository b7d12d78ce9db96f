"""Models that do not fit into memory: a recorded outcome, and the others go on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.conftest import CommandLine
from tests.contract.tiny_models import build_image_model
from tests.integration.awkward_run import awkward_suite, python_path, wrapper

CGROUP = Path("/sys/fs/cgroup/memory")


@pytest.fixture(autouse=True)
def awkward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", python_path())


def by_variant(benchharness: CommandLine) -> dict[str, dict[str, Any]]:
    done = benchharness("export")
    assert done.returncode == 0, done.stderr
    return {result["variant"]: result for result in json.loads(done.stdout)["results"]}


def save(path: Path, node: Any, inputs: list[int | str], constant: Any) -> Path:
    """A model of one node, from `x` and a constant `c` to `y`."""
    graph = helper.make_graph(
        [node],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, inputs)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(constant, "c")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def too_large(folder: Path, what: str) -> Path:
    """A model that does not fit into 450 MB of addresses: its weights, what it computes, or its inputs."""
    if what == "weights":
        weights = np.zeros((6_000, 6_000), np.float32)
        return save(folder / f"{what}.onnx", helper.make_node("MatMul", ["x", "c"], ["y"]), [1, 6_000], weights)
    if what == "running":
        shape = np.array([2**16, 2**14], np.int64)
        return save(folder / f"{what}.onnx", helper.make_node("Expand", ["x", "c"], ["y"]), [1], shape)
    return save(folder / f"{what}.onnx", helper.make_node("Add", ["x", "c"], ["y"]), ["rows", 2**14], np.float32(1))


@pytest.mark.parametrize("what", ["weights", "running", "inputs"])
def test_too_few_addresses_are_out_of_memory(benchharness: CommandLine, tmp_path: Path, what: str) -> None:
    too_large(tmp_path, what)
    build_image_model(tmp_path / "small.onnx")
    wrapper(tmp_path / "limited", "ulimit -v 450000")
    (tmp_path / "suite.toml").write_text(
        f"""
        [models.large.variants]
        large = {{ artefact = "{what}.onnx" }}
        [models.small.variants]
        small = {{ artefact = "small.onnx" }}
        [[configurations]]
        threads = 1
        python = "limited"
        [[workloads]]
        {"dimensions = { rows = 65536 }" if what == "inputs" else ""}
        [scenarios.steady]
        min_time = "1 ms"
        [attempts]
        at_least = 1
        """
    )
    done = benchharness("run", "suite.toml")
    assert done.returncode == 3, done.stdout + done.stderr
    found = by_variant(benchharness)
    assert found["large"]["outcome"] == "out-of-memory", found["large"]["reason"]
    assert any(word in found["large"]["reason"].lower() for word in ("bad_alloc", "alloc"))
    assert found["small"]["outcome"] == "ok"


LAST_WORDS = [
    ("std::bad_alloc", "echo \"terminate called after throwing an instance of 'std::bad_alloc'\" >&2; kill -ABRT $$"),
    ("Memory allocation", "echo 'OpenBLAS error: Memory allocation still failed after 10 retries' >&2; exit 1"),
]


@pytest.mark.parametrize(("words", "death"), LAST_WORDS, ids=[words for words, _ in LAST_WORDS])
def test_a_worker_that_dies_of_want_of_memory_is_out_of_memory(
    benchharness: CommandLine, tmp_path: Path, words: str, death: str
) -> None:
    """A C++ library without a handler aborts, OpenBLAS exits; only standard error says why."""
    wrapper(tmp_path / "dying", death)
    assert benchharness("run", awkward_suite(tmp_path, configuration='python = "dying"')).returncode == 4
    result = by_variant(benchharness)["a"]
    assert result["outcome"] == "out-of-memory", result["reason"]
    assert words in result["reason"]


@contextlib.contextmanager
def memory_group(limit_bytes: int) -> Iterator[Path]:
    """A control group of version 1 with a memory limit; skips where none can be made."""
    group = CGROUP / f"benchharness-test-{os.getpid()}"
    if not (CGROUP / "memory.limit_in_bytes").exists():
        pytest.skip("no memory controller of cgroup version 1 is mounted here")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(limit_bytes))
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"control groups cannot be made here: {error}")
    try:
        yield group
    finally:
        for _ in range(100):  # until the kernel has buried the last process
            with contextlib.suppress(OSError):
                group.rmdir()
            if not group.exists():
                break
            time.sleep(0.05)
        assert not group.exists()


def test_a_worker_killed_by_the_kernel_is_out_of_memory_and_the_next_attempts_go_on(
    benchharness: CommandLine, tmp_path: Path
) -> None:
    with memory_group(256 * 2**20) as group:
        wrapper(tmp_path / "limited", f"echo $$ > {group}/cgroup.procs")
        variants = {"large": "load take 512", "small": "fine"}
        suite = awkward_suite(tmp_path, variants, attempts=2, configuration='python = "limited"')
        done = benchharness("run", suite)
    assert done.returncode == 3, done.stdout + done.stderr
    found = by_variant(benchharness)
    assert found["large"]["outcomes"] == {"out-of-memory": 2}
    # Its own group's limit, not ours, where it was looked at after it had moved there and before it died.
    told = r"killed by the kernel for memory in phase load(, the group's limit is 256\.0 MiB.*)?"
    assert re.fullmatch(told, found["large"]["reason"])
    assert found["small"]["outcomes"] == {"ok": 2}
