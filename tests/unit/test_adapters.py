"""The plug board: adapters by name, and what is said about names that are none."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from benchharness.contract import AdapterRow
from benchharness.device import adapters
from benchharness.errors import Unsupported
from benchharness.judge import plain
from tests.unit.made_up import job


class Mine:
    """A third party's adapter."""

    name = "mine"
    formats = (".mine",)


@pytest.fixture
def third_parties(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {
        "mine": EntryPoint("mine", f"{__name__}:Mine", adapters.ENTRY_POINT_GROUP),
        "broken": EntryPoint("broken", "no_such_module_at_all:Adapter", adapters.ENTRY_POINT_GROUP),
    }
    monkeypatch.setattr(adapters, "third_party", lambda: points)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Mine.__module__])


def test_a_name_that_is_none_is_answered_with_the_nearest_and_all(third_parties: None) -> None:
    with pytest.raises(Unsupported, match="no adapter is called 'onnxruntme'; did you mean 'onnxruntime'"):
        adapters.load("onnxruntme")
    with pytest.raises(Unsupported, match=rf"\(there are: {', '.join(adapters.names())}\)"):
        adapters.load("zzzzzz")


def test_a_third_partys_adapter_is_loaded_by_its_entry_point(third_parties: None) -> None:
    assert adapters.load("mine").name == "mine"
    assert adapters.formats("mine") == (".mine",)
    assert adapters.names() == [*adapters.BUILT_IN, "broken", "mine"]
    assert adapters.usable() == [*adapters.BUILT_IN, "mine"]


def test_an_adapter_whose_runtime_is_missing_says_so(third_parties: None) -> None:
    with pytest.raises(
        Unsupported, match=r"'broken' cannot be loaded here: .*: No module named 'no_such_module_at_all'"
    ):
        adapters.load("broken")


class RaisesAtOnce:
    def __init__(self) -> None:
        raise RuntimeError("no licence")


class OneText:
    name = "text"
    formats = ".mine"


@pytest.mark.parametrize(
    ("attribute", "why"), [("Nowhere", "AttributeError"), ("RaisesAtOnce", "no licence"), ("OneText", "one text")]
)
def test_a_third_partys_broken_adapter_is_a_reason_and_harms_nobody(
    monkeypatch: pytest.MonkeyPatch, attribute: str, why: str
) -> None:
    point = EntryPoint("bad", f"{__name__}:{attribute}", adapters.ENTRY_POINT_GROUP)
    monkeypatch.setattr(adapters, "third_party", lambda: {"bad": point})
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Mine.__module__])
    with pytest.raises(Unsupported, match=f"'bad'.*{why}"):
        adapters.load("bad")
    assert "bad" not in adapters.usable()
    assert "onnxruntime" in adapters.usable()


def test_what_stands_in_a_row_is_known_without_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "load", lambda name: pytest.fail(f"{name} was loaded"))
    assert adapters.formats("onnxruntime") == (".onnx", ".ort")
    assert adapters.plain_accelerator("coreml") == "CPU_ONLY"
    assert adapters.plain_accelerator("onnxruntime") is None
    assert adapters.plain_accelerator("nobody's") is None


def test_a_format_is_one_runtimes_own_and_others_on_request() -> None:
    """`benchharness run model.onnx` measures it once; a suite, or `--runtime`, names the others."""
    of_onnx = [name for name in adapters.names() if ".onnx" in adapters.own_formats(name)]
    assert of_onnx == ["onnxruntime"]
    assert adapters.formats("openvino") == (".xml", ".onnx")
    assert adapters.own_formats("openvino") == (".xml",)
    assert adapters.own_formats("onnxruntime-genai") == ()


@pytest.mark.parametrize("name", adapters.BUILT_IN)
def test_a_built_in_row_says_what_the_class_says(name: str) -> None:
    adapter = adapters.load(name)
    assert tuple(adapter.formats) == adapters.BUILT_IN[name].formats
    assert adapter.name == name


ROW = AdapterRow("a_runtime_that_is_not_installed:Heavy", (".heavy",), "host")


class Light:
    """A class that is its own row."""

    name = "light"
    formats = (".light",)
    plain_accelerator = "scalar"


def test_a_third_partys_row_is_known_without_its_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {
        "heavy": EntryPoint("heavy", f"{__name__}:ROW", adapters.ENTRY_POINT_GROUP),
        "light": EntryPoint("light", f"{__name__}:Light", adapters.ENTRY_POINT_GROUP),
    }
    monkeypatch.setattr(adapters, "third_party", lambda: points)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Mine.__module__])
    assert (adapters.formats("heavy"), adapters.plain_accelerator("heavy")) == ((".heavy",), "host")
    assert (adapters.formats("light"), adapters.plain_accelerator("light")) == ((".light",), "scalar")
    assert adapters.usable() == [*adapters.BUILT_IN, "heavy", "light"]
    with pytest.raises(Unsupported, match="'heavy' cannot be loaded here: ModuleNotFoundError"):
        adapters.load("heavy")
    plain._of_runtime.cache_clear()
    assert plain.plain_accelerator(job(configuration={"runtime": "heavy"})) == "host"
    plain._of_runtime.cache_clear()


def test_a_third_party_cannot_take_a_built_in_name(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("onnxruntime", f"{__name__}:Mine", adapters.ENTRY_POINT_GROUP)

    class Points(list[EntryPoint]):
        def select(self, group: str) -> list[EntryPoint]:
            return [each for each in self if each.group == group]

    monkeypatch.setattr("importlib.metadata.entry_points", lambda: Points([point]))
    assert adapters.third_party() == {}
    assert adapters.names() == [*adapters.BUILT_IN]
