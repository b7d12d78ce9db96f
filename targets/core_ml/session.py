"""A loaded Core ML model: arrays in, arrays out, and where its operators run.

The model is anything with coremltools' `predict(data, state=None)` and `make_state()`: a compiled model on a Mac, the
reference execution elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import EffectiveConfiguration, TensorSpec
from benchharness.errors import AttemptError, ModelFailure, Unsupported
from targets.core_ml.description import ARRAY, Description, Feature
from targets.core_ml.options import REFERENCE

if TYPE_CHECKING:
    from benchharness.contract import Array

#: Tells where operators run, and further facts about it. May raise `Unsupported`.
Placement = Callable[[], "tuple[Mapping[str, Mapping[str, int]], Mapping[str, Any]]"]

LastOperators = Callable[[], Mapping[str, str]]


class CoreMLSession:
    """Any Core ML model. A stateful one gets a new state for every inference, so that none depends on the last."""

    def __init__(
        self,
        model: Any,
        name: str,
        effective: EffectiveConfiguration,
        description: Description,
        placement: Placement,
        last_operators: LastOperators = dict,
    ) -> None:
        self._model = model
        self._name = name  # the model's path, for messages
        self._description = description
        self._placement = placement
        self._last_operators = last_operators
        self._inputs = {feature.name: feature for feature in description.inputs}
        self.inputs: Sequence[TensorSpec] = [feature.spec for feature in description.inputs]
        self.outputs: Sequence[TensorSpec] = [feature.spec for feature in description.outputs]
        self.effective = effective

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One inference: arrays by input name to arrays by output name. Raises `ModelFailure`."""
        missing = [name for name, feature in self._inputs.items() if name not in inputs and not feature.optional]
        unknown = [name for name in inputs if name not in self._inputs]
        if missing or unknown:
            raise ModelFailure(
                f"{self._name}: takes {', '.join(self._inputs)}; missing: {', '.join(missing) or 'nothing'}; "
                f"unknown: {', '.join(unknown) or 'nothing'}"
            )
        pictures = self.effective.accelerators[:1] != (REFERENCE,)
        data = {name: _to_core_ml(self._inputs[name], value, pictures=pictures) for name, value in inputs.items()}
        state = self._make_state() if self._description.states else None
        outputs = self._predict(data, state)
        return {feature.name: _from_core_ml(feature, outputs[feature.name]) for feature in self._description.outputs}

    def placement(self) -> Mapping[str, Mapping[str, int]]:
        """Operators per compute device. Raises `Unsupported` where this system does not tell."""
        placed, facts = self._placement()
        accelerators = self.effective.accelerators
        self.effective = replace(
            self.effective,
            accelerators=(*accelerators, *(place for place in placed if place not in accelerators)),
            facts={**self.effective.facts, **facts},
        )
        return placed

    def last_operators(self) -> Mapping[str, str]:
        """By output, the operator that computes it; nothing of models whose program cannot be read here."""
        return self._last_operators()

    def close(self) -> None:
        """Frees the model. The session cannot run any more."""
        close = getattr(self._model, "close", None)
        if close is not None:
            close()
        del self._model

    def _predict(self, data: dict[str, Any], state: Any) -> Mapping[str, Any]:
        try:
            return self._model.predict(data, state)  # type: ignore[no-any-return]
        except (MemoryError, AttemptError):
            raise
        except Exception as error:  # what coremltools raises shares no base class
            raise self._failure(error) from error

    def _make_state(self) -> Any:
        try:
            return self._model.make_state()
        except (MemoryError, AttemptError):
            raise
        except Exception as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> ModelFailure:
        return ModelFailure(f"{self._name}: Core ML failed while running: {error}")


def _to_core_ml(feature: Feature, value: Any, *, pictures: bool) -> Any:
    """Arrays go in as they are; what Core ML calls a number or a text is one in Python, and a picture one of PIL's.

    `pictures`: the framework takes them; the reference execution takes arrays.
    """
    if feature.is_image:
        return _picture(feature, np.asarray(value)) if pictures else value
    return value if feature.kind == ARRAY else np.asarray(value).reshape(-1)[0].item()


def _picture(feature: Feature, value: Array) -> Any:
    """An array 1 × colours × height × width as a picture, whose colours PIL has in the order red, green, blue."""
    try:
        from PIL import Image
    except ImportError as error:
        raise Unsupported(
            f"the input {feature.name!r} is a picture, which coremltools takes from Pillow: {error}"
        ) from error
    if feature.dtype != "uint8":
        raise Unsupported(f"the input {feature.name!r} is a picture of {feature.dtype}, which Pillow does not have")
    pixels = value.reshape(value.shape[-3:])
    if feature.colours == "BGR":
        pixels = pixels[::-1]
    return Image.fromarray(np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)))


def _from_core_ml(feature: Feature, value: Any) -> Array:
    """An array of the signature's type. Off the framework float16 comes as float32, whose values it keeps exactly."""
    if isinstance(value, Mapping):  # a classifier's probabilities by label, in the order of its labels
        value = list(value.values())
    array = np.asarray(value)
    return array if feature.dtype in ("str", "unknown") else array.astype(feature.dtype, copy=False)
