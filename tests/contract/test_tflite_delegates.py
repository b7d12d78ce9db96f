"""Delegates from a library: what they take is told operator by operator, and what they refuse is said in their words.

The library is `tflite_delegate.c`, which takes additions and refuses as its option `mode` says.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from benchharness.contract import CACHE_COPIED_BY_BINDING, FALLBACK_ALLOW, FALLBACK_FAIL, FALLBACK_WARN, Configuration
from benchharness.errors import Unsupported
from targets.tflite import TFLite
from targets.tflite.placement import Node, place
from tests.contract.tflite_models import (
    Variant,
    build_additions,
    build_chain,
    build_language_model,
)

SOURCE = Path(__file__).with_name("tflite_delegate.c")
ADDITIONS = 3
ALLOWING = pytest.mark.parametrize("fallback", [FALLBACK_ALLOW, FALLBACK_WARN])
REFUSALS = pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("create", "the test delegate finds no device"),
        ("prepare", "the test delegate has no driver"),
        ("kernel", "the test delegate cannot prepare its kernel"),
    ],
)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("NO C COMPILER HERE: delegates from a library are not tested")
    path = tmp_path_factory.mktemp("delegate") / "libtest_delegate.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", str(SOURCE), "-o", str(path)], check=True)
    return str(path)


@pytest.fixture(scope="session")
def additions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_additions(tmp_path_factory.mktemp("additions") / "additions.tflite", ADDITIONS)


def open_model(path: Path, library: str, mode: str | None = None, **fields: Any) -> Any:
    options = {} if mode is None else {"mode": mode}
    configuration = {"runtime": "tflite", "accelerator": library, "accelerator_options": options, **fields}
    return TFLite().open(path, Configuration(**configuration))


def assert_runs(session: Any) -> None:
    (output,) = session.run({"x": np.arange(4, dtype=np.float32) / 8}).values()
    np.testing.assert_allclose(output, np.exp(2**ADDITIONS * np.arange(4) / 8), rtol=1e-6)


def test_a_delegate_takes_what_it_can(library: str, additions: Path) -> None:
    with open_model(additions, library) as session:
        assert_runs(session)
        assert session.effective.accelerators == (library, "XNNPACK", "CPU")
        assert session.effective.refusal is None
        assert session.placement() == {library: {"ADD": ADDITIONS}, "XNNPACK": {"EXP": 1}}
    with open_model(additions, library, options={"xnnpack": False}) as session:
        assert_runs(session)
        assert session.effective.accelerators == (library, "CPU")
        assert session.placement() == {library: {"ADD": ADDITIONS}, "CPU": {"EXP": 1}}


def test_a_delegate_is_called_as_asked_where_its_library_is_named_beside_it(library: str, additions: Path) -> None:
    def opened(accelerator: str | None, **fields: Any) -> Any:
        return TFLite().open(additions, Configuration(runtime="tflite", accelerator=accelerator, **fields))

    with opened("adder", library=library) as session:
        assert_runs(session)
        assert session.effective.accelerators == ("adder", "XNNPACK", "CPU")
        assert session.placement() == {"adder": {"ADD": ADDITIONS}, "XNNPACK": {"EXP": 1}}
    for accelerator in (None, "CPU", "XNNPACK"):
        with pytest.raises(Unsupported, match="has a name of yours"), opened(accelerator, library=library):
            pass
    with pytest.raises(Unsupported, match="no library = … beside it"), opened("adder"):
        pass


def test_a_delegate_may_take_one_operator_of_several(library: str, additions: Path) -> None:
    with open_model(additions, library, "first") as session:
        assert_runs(session)
        assert session.placement() == {library: {"ADD": 1}, "XNNPACK": {"ADD": ADDITIONS - 1, "EXP": 1}}


def test_a_delegate_that_takes_nothing_refuses(library: str, additions: Path) -> None:
    with open_model(additions, library, "nothing") as session:
        assert_runs(session)
        assert session.effective.accelerators == ("XNNPACK", "CPU")
        assert session.effective.refusal is not None
        assert session.effective.refusal.lost_ns is None
        assert session.placement() == {"XNNPACK": {"ADD": ADDITIONS, "EXP": 1}}
    words = "takes no operator of the model"
    with pytest.raises(Unsupported, match=words), open_model(additions, library, "nothing", fallback=FALLBACK_FAIL):
        pass


@ALLOWING
@REFUSALS
def test_a_delegate_that_refuses_is_left_out(
    library: str, additions: Path, mode: str, words: str, fallback: str
) -> None:
    with open_model(additions, library, mode, fallback=fallback) as session:
        assert_runs(session)
        refusal = session.effective.refusal
        assert session.effective.accelerators == ("XNNPACK", "CPU")
        assert session.placement() == {"XNNPACK": {"ADD": ADDITIONS, "EXP": 1}}
    assert refusal is not None
    assert words in refusal.reason
    assert (refusal.lost_ns or 0) > 0


@REFUSALS
def test_a_delegate_that_refuses_fails_where_asked(library: str, additions: Path, mode: str, words: str) -> None:
    expected = rf"(?s){library}: refuses .*additions\.tflite: .*{words}"
    with pytest.raises(Unsupported, match=expected), open_model(additions, library, mode, fallback=FALLBACK_FAIL):
        pass


def test_xnnpack_that_takes_nothing_refuses(tmp_path: Path) -> None:
    path = build_chain(tmp_path / "zeros.tflite", [schema.BuiltinOperator.ZEROS_LIKE])
    configuration = Configuration(runtime="tflite", accelerator="XNNPACK")
    with TFLite().open(path, configuration) as session:
        assert session.effective.accelerators == ("CPU",)
        assert session.effective.refusal is not None
        assert session.effective.refusal.lost_ns is None, "the model was not loaded twice"
    failing = dataclasses.replace(configuration, fallback=FALLBACK_FAIL)
    with pytest.raises(Unsupported, match="XNNPACK: refuses"), TFLite().open(path, failing):
        pass
    with TFLite().open(path, dataclasses.replace(configuration, accelerator=None)) as session:
        assert session.effective.refusal is None, "by default nobody asked for it"


def test_an_option_that_the_delegate_does_not_know_is_its_refusal(library: str, additions: Path) -> None:
    fields: dict[str, Any] = {"accelerator_options": {"speed": 9}, "fallback": FALLBACK_FAIL}
    with pytest.raises(Unsupported, match="knows no such option"), open_model(additions, library, **fields):
        pass


def test_a_bad_model_is_not_the_delegates_fault(library: str, tmp_path: Path) -> None:
    path = build_chain(tmp_path / "new.tflite", ["ShinyOp"])
    with pytest.raises(Unsupported, match=r"new\.tflite.*custom operator"), open_model(path, library):
        pass


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"no library", "cannot be loaded"), ("libm", "tflite_plugin_create_delegate")],
)
@pytest.mark.parametrize("fallback", [FALLBACK_WARN, FALLBACK_FAIL])
def test_a_library_that_is_no_delegate_is_named(
    additions: Path, tmp_path: Path, content: bytes | str | None, message: str, fallback: str
) -> None:
    path = tmp_path / "libdelegate.so"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("NO C COMPILER HERE: a library without a delegate is not tested")
        subprocess.run([compiler, "-shared", "-fPIC", "-x", "c", "/dev/null", "-o", str(path)], check=True)
    with (
        pytest.raises(Unsupported, match=rf"libdelegate\.so: .*{message}"),
        open_model(additions, str(path), fallback=fallback),
    ):
        pass


def test_a_language_model_runs_with_a_delegate(library: str, tmp_path: Path) -> None:
    """`CompiledModel` takes no such delegates: its signatures run through the interpreter, which copies the cache."""
    model = build_language_model(tmp_path / "model.tflite", Variant())
    expected = model.logits(list(range(9)))
    with open_model(model.file, library) as session:
        assert session.effective.cache == CACHE_COPIED_BY_BINDING
        assert session.effective.accelerators == (library, "XNNPACK", "CPU")
        np.testing.assert_allclose(session.extend(list(range(8))), expected[7], atol=2e-5)
        np.testing.assert_allclose(session.decode(8), expected[8], atol=2e-5)
        with pytest.raises(Unsupported, match="first graph"):
            session.placement()
    with open_model(model.file, library, "prepare") as session:
        assert session.effective.refusal is not None
        assert session.effective.facts["api"] == "CompiledModel"
        np.testing.assert_allclose(session.extend(list(range(9))), expected[8], atol=2e-5)


# Attribution, on lists of nodes as the runtime gives them.


def node(name: str, inputs: list[int], outputs: list[int]) -> Node:
    return Node(name, frozenset(inputs), frozenset(outputs))


WRITES_A_VARIABLE = [
    node("CALL_ONCE", [], []),
    node("VAR_HANDLE", [], [1]),
    node("READ_VARIABLE", [1], [2]),
    node("ADD", [0, 2], [3]),
    node("ASSIGN_VARIABLE", [1, 3], []),
    node("EXP", [3], [4]),
]


def placed(nodes: list[Node], results: list[int]) -> dict[str, dict[str, int]]:
    return place(nodes, frozenset(results), None, 0)


def test_operators_whose_result_nobody_reads_are_told_by_what_they_read() -> None:
    whole = [*WRITES_A_VARIABLE, node("DELEGATE", [0], [4])]
    assert placed(whole, [4])["CPU"] == {"CALL_ONCE": 1}
    alone = [*WRITES_A_VARIABLE, node("DELEGATE", [0, 2], [3])]
    assert placed(alone, [4])["XNNPACK"] == {"ADD": 1}
    # Nobody else in the part reads the variable's handle, which enters it.
    without_reading = [*WRITES_A_VARIABLE, node("DELEGATE", [0, 1, 2], [4])]
    assert placed(without_reading, [4])["XNNPACK"] == {"ADD": 1, "EXP": 1, "ASSIGN_VARIABLE": 1}


def test_what_may_be_inside_or_outside_is_not_told() -> None:
    nodes = [node("ADD", [0], [1]), node("NEG", [0], [2]), node("DELEGATE", [0], [1])]
    with pytest.raises(Unsupported, match="NEG cannot be told"):
        placed(nodes, [1])
    assert placed(nodes, [1, 2]) == {"XNNPACK": {"ADD": 1}, "CPU": {"NEG": 1}}


def test_a_part_that_is_not_in_the_graph_is_not_believed() -> None:
    with pytest.raises(Unsupported, match="does not fit the graph"):
        placed([node("ADD", [0], [1]), node("DELEGATE", [0], [7])], [1])
    with pytest.raises(Unsupported, match="two delegates"):
        placed([node("ADD", [0], [1]), node("DELEGATE", [0], [1]), node("DELEGATE", [0], [1])], [1])
