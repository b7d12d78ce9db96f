"""Core ML models that take pictures: fed from arrays, scaled as the model says, against NumPy and an ONNX twin."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.contract import Configuration, EffectiveConfiguration
from benchharness.device.inputs.conversion import converted
from benchharness.device.inputs.requests import tensor_request
from benchharness.errors import Unsupported
from targets.core_ml import CoreML
from targets.core_ml.description import describe
from targets.core_ml.session import CoreMLSession
from tests.contract.mil_programs import convert, ct, declared, mb

REFERENCE = Configuration("coreml", accelerator="reference")
PIXELS = np.random.default_rng(3).integers(0, 256, (1, 3, 4, 5)).astype(np.uint8)
IOS17 = ct.target.iOS17


def model(folder: Path, channels: int = 3, **image: Any) -> Path:
    @declared(mb.TensorSpec((1, channels, 4, 5)), opset=IOS17)
    def program(image: Any) -> Any:
        return mb.reduce_mean(x=image, axes=[2, 3], name="mean")

    picture = ct.ImageType(name="image", shape=(1, channels, 4, 5), **image)
    return convert(program, folder, inputs=[picture], minimum_deployment_target=IOS17)


def mean(path: Path, pixels: Any) -> Any:
    with CoreML().open(path, REFERENCE) as session:
        (spec,) = session.inputs
        (found,) = session.run({"image": converted(pixels, spec, None).array}).values()
    return found


@pytest.mark.parametrize(
    ("channels", "image", "expected"),
    [
        (3, {}, lambda each: each),
        (3, {"scale": 1 / 255.0}, lambda each: each / 255),
        (3, {"scale": 1 / 127.5, "bias": [-1, -0.5, 0]}, lambda each: each / 127.5 + [-1, -0.5, 0]),
        (3, {"color_layout": ct.colorlayout.BGR, "scale": 2.0}, lambda each: each * 2),
        (
            1,
            {"color_layout": ct.colorlayout.GRAYSCALE, "scale": 1 / 255.0, "bias": -0.5},
            lambda each: each / 255 - 0.5,
        ),
    ],
)
def test_a_picture_is_scaled_as_the_model_says(
    tmp_path: Path, channels: int, image: dict[str, Any], expected: Any
) -> None:
    pixels = PIXELS[:, :channels]
    found = mean(model(tmp_path, channels, **image), pixels.astype(np.float32))
    np.testing.assert_allclose(found, expected(pixels.mean((2, 3))), rtol=1e-5, atol=1e-6)


def test_a_picture_holds_bytes(tmp_path: Path) -> None:
    path = model(tmp_path, scale=1 / 255.0)
    for wrong in (PIXELS / 255, PIXELS.astype(np.float32) * 2):
        with pytest.raises(Unsupported, match="input 'image' takes uint8"):
            mean(path, wrong)
    with CoreML().open(path, REFERENCE) as session:
        asked = tensor_request(session, {"dimensions": {}, "values": {}, "seed": 0})
        assert session.effective.facts["image_inputs"] == {"image": "RGB"}
    assert asked.inputs["image"].dtype == np.uint8
    assert asked.inputs["image"].max() > 200
    assert asked.invented["image"].explained


@pytest.mark.parametrize("flexibility", ["range", "list"])
def test_sizes_that_are_not_fixed(tmp_path: Path, flexibility: str) -> None:
    from coremltools.models.neural_network import flexible_shape_utils as flexible

    path = model(tmp_path)
    loaded = ct.models.MLModel(str(path), skip_model_load=True)
    spec = loaded.get_spec()
    if flexibility == "range":
        sizes = flexible.NeuralNetworkImageSizeRange()
        sizes.add_height_range((4, 8))
        sizes.add_width_range((5, -1))
        flexible.update_image_size_range(spec, "image", sizes)
    else:
        flexible.add_enumerated_image_sizes(spec, "image", [flexible.NeuralNetworkImageSize(8, 10)])
    ct.models.MLModel(spec, skip_model_load=True, weights_dir=loaded.weights_dir).save(str(tmp_path / "b.mlpackage"))
    (feature,) = describe(tmp_path / "b.mlpackage").inputs
    assert feature.shape == (1, 3, None, None)
    assert feature.bounds[2:] == (((4, 8), (5, None)) if flexibility == "range" else ((4, 8), (5, 10)))
    assert tuple(sorted(feature.shapes)) == (() if flexibility == "range" else ((1, 3, 4, 5), (1, 3, 8, 10)))


class Mac:
    """Takes pictures as coremltools does on a Mac."""

    def predict(self, data: dict[str, Any], _: Any = None) -> dict[str, Any]:
        self.given = data["image"]
        return {"mean": np.zeros((1, 3), np.float32)}


@pytest.mark.parametrize("colours", ["RGB", "BGR"])
def test_a_mac_is_given_a_picture_in_the_order_that_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, colours: str
) -> None:
    """PIL's are red, green, blue; an array's channels stand as the model has them."""
    pillow = types.SimpleNamespace(Image=types.SimpleNamespace(fromarray=lambda array: array))
    monkeypatch.setitem(sys.modules, "PIL", pillow)
    description = describe(model(tmp_path, color_layout=getattr(ct.colorlayout, colours)))
    mac = Mac()
    effective = EffectiveConfiguration(accelerators=("ALL", "CPU"), threads=None)
    CoreMLSession(mac, "m", effective, description, lambda: ({}, {})).run({"image": PIXELS})
    expected = PIXELS[0] if colours == "RGB" else PIXELS[0, ::-1]
    np.testing.assert_array_equal(mac.given, expected.transpose(1, 2, 0))
