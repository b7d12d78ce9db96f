"""Runs linear classifiers in numpy: `.linear.npz` holds `weights` (features, classes) and `bias` (classes,)."""

from contextlib import contextmanager

import numpy as np

from benchharness.contract import Availability, EffectiveConfiguration, TensorSpec
from benchharness.errors import ModelFailure, Unsupported


class NumpyLinear:
    name = "numpy-linear"
    formats = (".linear.npz",)

    def availability(self):
        return Availability(available=True, version=np.__version__, accelerators=("cpu",))

    @contextmanager
    def open(self, artefact, configuration):
        if configuration.accelerator not in (None, "cpu"):
            raise Unsupported(f"accelerator {configuration.accelerator!r}: numpy has the cpu only; leave it out")
        for option in (*configuration.options, *configuration.accelerator_options):
            raise Unsupported(f"option {option!r}: numpy-linear has no options; leave it out")
        try:
            with artefact.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                weights, bias = file["weights"].astype(np.float32), file["bias"].astype(np.float32)
            if bias.ndim != 1 or weights.shape[1:] != bias.shape:
                raise ValueError(f"weights {weights.shape} and bias {bias.shape} do not fit together")
        except MemoryError:
            raise
        except Exception as error:  # a damaged archive fails in a dozen ways
            raise ModelFailure(f"{artefact}: is no linear classifier: {error}") from error
        yield LinearSession(weights, bias)


class LinearSession:
    effective = EffectiveConfiguration(accelerators=("cpu",), threads=1, runtime_version=np.__version__)

    def __init__(self, weights, bias):
        self._weights, self._bias = weights, bias
        self.inputs = (TensorSpec("x", "float32", ("batch", len(weights))),)
        self.outputs = (TensorSpec("scores", "float32", ("batch", len(bias))),)

    def run(self, inputs):
        try:  # `@` may hand over to a library that starts threads, which nobody asked for
            return {"scores": np.einsum("bf,fc->bc", inputs["x"], self._weights) + self._bias}
        except (KeyError, ValueError) as error:
            raise ModelFailure(f"the inputs do not fit: {error}") from error
