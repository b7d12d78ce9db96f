"""Runs OpenVINO's own models (`.xml` with its `.bin`) and `.onnx` files in OpenVINO, language models with their state.

A request's `accelerator` is a device as OpenVINO names it ("CPU", "GPU.0", "NPU", "HETERO:GPU,CPU"); None is the CPU.
`threads` is `INFERENCE_NUM_THREADS`, `options` are OpenVINO's properties by their own names. What it took is read back
from the compiled model, and so is the type that each layer is computed in: bfloat16 on processors with AMX, unless
somebody asks for more.

Its modules: `opening` makes a causal language model stateful, `loading` compiles and reads back what was done,
`session` and `language` run. What files say stands in `targets.openvino_format` and `targets.onnx_format`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from benchharness.contract import Availability, Configuration, hidden

try:
    # Its import would send an event over the network, from a thread that runs on beside what is measured. Where the
    # sender is not installed it brings a stub.
    with hidden("openvino_telemetry"):
        import openvino

    from targets.openvino.loading import VERSION
    from targets.openvino.opening import open_session
    from targets.openvino.session import OpenVinoSession
except ImportError as error:
    _missing = f"openvino cannot be imported ({error}); install benchharness[openvino]"
else:
    _missing = ""

from benchharness.errors import Unsupported
from targets.openvino_format.files import ENDINGS, find_model, list_files
from targets.openvino_format.inspection import inspect_model


class OpenVINO:
    """The adapter for OpenVINO."""

    name = "openvino"
    formats: Sequence[str] = ENDINGS
    files, inspect = staticmethod(list_files), staticmethod(inspect_model)

    def availability(self) -> Availability:
        """OpenVINO's version and devices here, or the reason why there is none. Never raises."""
        if _missing:
            return Availability(available=False, reason=_missing)
        try:
            devices = tuple(openvino.Core().available_devices)
        except RuntimeError as error:  # a plug-in that is broken
            return Availability(available=False, reason=f"OpenVINO does not start: {error}")
        return Availability(available=True, version=VERSION, accelerators=devices)

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[OpenVinoSession]:
        """Compiles a model; a causal language model gives a `LanguageSession`.

        Raises, on entering, `ModelFailure` for a bad file and `Unsupported` for a request that cannot be met.
        """
        if _missing:
            raise Unsupported(_missing)
        with closing(open_session(find_model(Path(artefact)), configuration)) as session:
            yield session
