"""Paths in a configuration: each is the device's own, or its file is put there."""

from __future__ import annotations

from pathlib import Path

from benchharness.execute.placing import PATHS, Libraries, Whose
from benchharness.results.requested import Configuration
from benchharness.suite.tables import ConfigurationTable
from tests.awkward_launcher import AwkwardLauncher
from tests.integration.conftest import ADAPTERS


def test_whose_each_path_is_stands_in_the_table() -> None:
    paths = {name for name, field in ConfigurationTable.model_fields.items() if "Path" in str(field.annotation)}
    assert paths == {"library", "python"}
    assert paths <= {key for key, *_ in PATHS}


def test_libraries_are_put_on_the_device_and_its_own_paths_stay(tmp_path: Path) -> None:
    for name in ("libep.so", "libops.so", "python"):
        (tmp_path / name).write_text(name)
    asked = Configuration(
        runtime="onnxruntime",
        accelerator=str(tmp_path / "libep.so"),
        python=str(tmp_path / "python"),
        library=str(tmp_path / "libep.so"),
        options={"custom_op_libraries": [str(tmp_path / "libops.so"), "/vendor/lib64/libops.so"], "threads": 2},
    )
    placed = Libraries(AwkwardLauncher(tmp_path / "device", ADAPTERS)).put(asked)
    for there, name in ((placed.library, "libep.so"), (placed.options["custom_op_libraries"][0], "libops.so")):
        assert there is not None
        assert Path(there).is_relative_to(tmp_path / "device" / "files" / "libraries")
        assert Path(there).read_text() == name == Path(there).name
    assert placed.options["custom_op_libraries"][1:] == ["/vendor/lib64/libops.so"]
    assert placed.options["threads"] == 2
    own = [key for (key, *below), whose in PATHS.items() if whose is Whose.DEVICE]
    assert [getattr(placed, key) for key in own] == [getattr(asked, key) for key in own]


def test_a_path_that_is_no_file_here_is_the_devices_own(tmp_path: Path) -> None:
    asked = Configuration(library="/vendor/lib64/libep.so", options={"custom_op_libraries": "no list"})
    assert Libraries(AwkwardLauncher(tmp_path / "device", ADAPTERS)).put(asked) == asked
