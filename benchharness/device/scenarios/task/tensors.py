"""What a model that is no language model gives for the samples of a dataset: arrays, as text that a line can carry."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.device.scenarios.quality.evaluation_data import count_samples
from benchharness.device.scenarios.quality.inputs import Inputs
from benchharness.device.scenarios.quality.no_tensors import tensor_of
from benchharness.errors import InvalidOutput, Unsupported

if TYPE_CHECKING:
    from benchharness.device.scenarios.stage import Stage

#: What all outputs may take as arrays: as text a third more, and a line has 64 MiB.
MOST_BYTES = 40 << 20


def answered(stage: Stage) -> list[dict[str, Any]]:
    """By sample, the outputs that are asked for, all where none is named. `stage.told` has how inputs were fed.

    Raises `Unsupported` where they would not cross the line, `InvalidOutput` for one that is not finite.
    """
    data, settings = stage.workload["data"], stage.settings
    path = Path(data["path"])
    # Every sample is a beginning: states are fed as zeros each time, and carried nowhere.
    inputs = Inputs(stage.plain or stage.session, stage.tensors)
    wanted = settings.get("outputs") or ()
    samples: Sequence[int] = settings.get("rows") or range(count_samples(path))
    found: list[dict[str, Any]] = []
    used = 0
    for number, sample in enumerate(samples):
        stage.progress("answer", number, len(samples))
        arrays = _wanted(inputs.run(path, sample, data), wanted)
        used += sum(array.nbytes for array in arrays.values())
        if used * len(samples) > MOST_BYTES * (number + 1) and used > MOST_BYTES // 8:
            raise Unsupported(
                f"the outputs of {len(samples)} documents take about {used * len(samples) // (number + 1)} bytes, and "
                f"{MOST_BYTES} at most are brought to the host: name the outputs that are needed (outputs, in the "
                "dataset's card), or ask fewer documents (most_documents)"
            )
        found.append({name: _told(name, array, sample) for name, array in arrays.items()})
    stage.told["tensors"] = inputs.facts()
    return found


def _wanted(outputs: Mapping[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
    missing = [name for name in wanted if name not in outputs]
    if missing:
        raise Unsupported(f"the card asks for the output {missing[0]!r}, and there are: {', '.join(outputs)}")
    arrays = {name: tensor_of(outputs[name]) for name in (wanted or outputs)}
    found = {name: np.asarray(array, order="C") for name, array in arrays.items() if array is not None}
    if not found:
        raise Unsupported("the model gives no tensor")
    return found


def _told(name: str, array: Any, sample: int) -> list[Any]:
    """Type, shape and numbers, little-endian, in base 64."""
    if array.dtype.kind not in "biuf":
        raise Unsupported(f"output {name!r} holds {array.dtype}, which is no number")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise InvalidOutput(f"output {name!r} of sample {sample} holds NaN")
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return [little.dtype.str, list(array.shape), base64.b64encode(little.tobytes()).decode("ascii")]
