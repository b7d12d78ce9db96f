"""A `.tflite` model that remembers is known for it, by the file; and it does remember."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchharness.contract import Configuration, TellsKeptState
from targets.tflite import TFLite
from targets.tflite.kept_state import keeps_state
from tests.contract.tflite_models import build_image_model, build_recurrent_model

TINY = Configuration(runtime="tflite", threads=1)


def test_a_model_with_a_memory_answers_the_same_input_otherwise(tmp_path: Path) -> None:
    x = np.array([[1, 2, 3, 4]], np.float32)
    with TFLite().open(build_recurrent_model(tmp_path / "m.tflite"), TINY) as session:
        (first,), (second,) = (session.run({"x": x}).values() for _ in range(2))
        np.testing.assert_array_equal(first, x)
        np.testing.assert_array_equal(second, 2 * x)
        assert isinstance(session, TellsKeptState)
        assert session.keeps_state()


def test_a_model_without_one_is_not_taken_for_it(tmp_path: Path) -> None:
    assert not keeps_state(build_image_model(tmp_path / "image.tflite"))
    (tmp_path / "broken.tflite").write_bytes(b"\x10\0\0\0TFL3" + bytes(40))
    assert not keeps_state(tmp_path / "broken.tflite")
