"""The adapters' test suite itself: it passes a sound adapter, and each fault fails the test that is there for it."""

from __future__ import annotations

import inspect

import pytest

from benchharness.testing import AdapterContract
from tests.contract.faulty_adapters import FAULTS

pytest_plugins = ["pytester"]

#: A third party's test module, with a class for each adapter.
HEAD = """
import pytest
from benchharness.testing import AdapterContract
from tests.contract.faulty_adapters import ADAPTERS
from tests.contract.sound_adapter import write_models

class Subject(AdapterContract):
    @pytest.fixture
    def adapter(self):
        return ADAPTERS[self.name]()

    @pytest.fixture
    def language_artefact(self, tmp_path):
        return write_models(tmp_path)[0]

    @pytest.fixture
    def tensor_artefact(self, tmp_path):
        return write_models(tmp_path)[1]

    @pytest.fixture
    def generating_artefact(self, tmp_path):
        return write_models(tmp_path)[2]
"""
CLASS = """
class Test{number}(Subject):
    name = {name!r}
"""


def test_a_sound_adapter_passes_every_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(HEAD + CLASS.format(number=0, name="sound"))
    outcomes = pytester.runpytest_inprocess("-p", "no:cacheprovider").parseoutcomes()
    assert outcomes.keys() == {"passed"}
    assert outcomes["passed"] >= len(contract_tests())


def test_each_fault_fails_the_test_that_is_there_for_it(pytester: pytest.Pytester) -> None:
    classes = [CLASS.format(number=number, name=name) for number, name in enumerate(FAULTS)]
    path = pytester.makepyfile(HEAD + "".join(classes))
    tests = [f"{path.name}::Test{number}::{fault.caught_by}" for number, fault in enumerate(FAULTS.values())]
    ran = pytester.inline_run("-p", "no:cacheprovider", *tests)
    _, _, failed = ran.listoutcomes()
    caught = {report.nodeid.partition("[")[0] for report in failed}
    assert [name for name, test in zip(FAULTS, tests, strict=True) if test not in caught] == []


def test_every_test_of_the_contract_catches_a_fault() -> None:
    assert contract_tests() == {fault.caught_by for fault in FAULTS.values()}


def contract_tests() -> set[str]:
    return {name for name, _ in inspect.getmembers(AdapterContract) if name.startswith("test_")}
