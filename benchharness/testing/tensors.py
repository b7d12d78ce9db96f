"""What holds of any network that takes tensors and gives tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchharness.contract import Session, TimesInferences
from benchharness.device.inputs.states import States
from benchharness.device.timed_inferences import TimedInferences
from benchharness.errors import AttemptError, InvalidOutput
from benchharness.testing.materials import make_inputs
from benchharness.testing.subject import Subject


class TensorContract(Subject):
    """Outputs that are those of the signature, the same for the same inputs, and can be an answer."""

    def test_outputs_are_those_of_the_signature(self, tensor_session: Session) -> None:
        """One array for each output, of the type and the fixed lengths that the signature gives."""
        outputs = tensor_session.run(make_inputs(tensor_session.inputs))
        assert set(outputs) == {spec.name for spec in tensor_session.outputs}
        for spec in tensor_session.outputs:
            array = np.asarray(outputs[spec.name])
            dtype = "str" if array.dtype.kind in "OSU" else array.dtype.name
            assert dtype == spec.dtype, spec.name
            assert array.ndim == len(spec.shape), spec.name
            for length, expected in zip(array.shape, spec.shape, strict=True):
                assert not isinstance(expected, int) or length == expected, spec.name

    def test_outputs_can_be_an_answer(self, tensor_session: Session) -> None:
        """Neither NaN nor one value throughout: what a broken conversion answers. Labels may happen to be one."""
        outputs = tensor_session.run(make_inputs(tensor_session.inputs))
        arrays = {name: np.asarray(array) for name, array in outputs.items()}
        for name, array in arrays.items():
            if np.issubdtype(array.dtype, np.inexact):
                assert_varied(array, name)
        assert any(varies(array) for array in arrays.values()), "every output is one value throughout"

    def test_the_same_inputs_give_the_same_outputs(self, tensor_session: Session) -> None:
        """A session holds nothing over from one inference to the next."""
        inputs = make_inputs(tensor_session.inputs)
        first = {name: np.array(array) for name, array in tensor_session.run(inputs).items()}
        for name, array in tensor_session.run(inputs).items():
            np.testing.assert_array_equal(array, first[name], err_msg=name)

    def test_times_of_its_own_fit_into_the_call(self, tensor_session: Session) -> None:
        """Of a session that times itself: as many as are asked for, and the answer of a plain run."""
        if not isinstance(tensor_session, TimesInferences):
            pytest.skip("this session is timed from outside")
        inputs = make_inputs(tensor_session.inputs)
        timed = TimedInferences.of(tensor_session, States({}, "nobody"))
        assert timed is not None
        try:
            _, outputs = timed.made(inputs, 3)
        except InvalidOutput as error:
            pytest.fail(str(error))
        found = {name: np.array(array) for name, array in outputs.items()}
        for name, array in tensor_session.run(inputs).items():
            np.testing.assert_array_equal(found[name], array, err_msg=name)

    def test_a_missing_input_is_refused(self, tensor_session: Session) -> None:
        """An inference without its inputs ends the attempt and not the worker."""
        with pytest.raises(AttemptError):
            tensor_session.run({})


def assert_varied(array: NDArray[Any], what: str) -> None:
    """Fails for NaN, infinity, and for one value throughout more than one element."""
    assert np.isfinite(array).all(), f"{what}: not all finite"
    assert varies(array), f"{what}: one value throughout, {array.flat[0]}"


def varies(array: NDArray[Any]) -> bool:
    """Whether an array holds different values, or too few to tell."""
    return array.size < 2 or bool((array != array.flat[0]).any())
