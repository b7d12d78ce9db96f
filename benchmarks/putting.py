"""Whether a large artefact goes to a device once, and how much later than here a prepared device's first result comes.

`python -m benchmarks.putting --megabytes 500 --rounds 5`, as root on Linux with OpenSSH: the device is this machine
over SSH, as another user in another root. What goes over the line is counted by the kernel on the loopback interface,
so nothing else may talk there meanwhile. Exit code 1 where a second run puts the artefact again, or the median
difference of a round (one run here, one there, in random order) is above three seconds.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import psutil
from onnx import TensorProto, helper

from benchharness import api
from benchharness.locations import DEVICES_VARIABLE
from benchharness.suite.device import written
from benchharness.suite.fields import THIS_MACHINE
from benchmarks.chaos import DIGITS
from tests.ssh_server import missing, serving

_MEGABYTE = 1_000_000
#: What orders, answers and the device side itself may take on the line, in bytes.
_BESIDE = 5 * _MEGABYTE
_LATER_S = 3.0


def large(folder: Path, megabytes: int) -> Path:
    """A model that looks rows up in a table of so many megabytes, which stands in a file of its own."""
    rows = megabytes * _MEGABYTE // 4096
    with (folder / "table.data").open("wb") as file:
        random_numbers = np.random.default_rng(1)
        for _ in range(rows):
            file.write(random_numbers.standard_normal(1024, np.float32).tobytes())
    table = TensorProto(name="table", data_type=TensorProto.FLOAT, dims=[rows, 1024])
    table.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "table.data"), ("offset", "0"), ("length", str(rows * 4096))):
        table.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "zeros"], ["row"]), helper.make_node("Add", ["row", "x"], ["y"])],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1024])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1024])],
        [table, helper.make_tensor("zeros", TensorProto.INT64, [1], [0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(model, str(folder / "large.onnx"))
    return folder / "large.onnx"


def on_the_line(model: Path, store: str) -> tuple[int, float]:
    """Bytes over loopback and seconds of one run there. Raises `SystemExit` where it is not measured."""
    before, began_s = psutil.net_io_counters(pernic=True)["lo"].bytes_sent, time.monotonic()
    found = api.run([model], on="loopback", attempts=1, scenarios=["steady"], store=store)
    if trouble := [str(each.outcome) for each in found.results if not each.outcome.ok]:
        raise SystemExit("\n".join(trouble))
    return psutil.net_io_counters(pernic=True)["lo"].bytes_sent - before, time.monotonic() - began_s


def seconds(on: str, store: str) -> float:
    """Of a run of one attempt, from the call to its stored result."""
    began_s = time.monotonic()
    found = api.run([DIGITS], on=on, attempts=1, scenarios=["first-token"], store=store)
    if not all(each.outcome.ok for each in found.results):
        raise SystemExit(f"{on}: {[str(each.outcome) for each in found.results]}")
    return time.monotonic() - began_s


def main() -> int:
    """Prints what was seen; the exit code."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.putting", description=__doc__)
    options.add_argument("--megabytes", type=int, default=500)
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    if trouble := missing():
        sys.stderr.write(f"benchmarks.putting {trouble}\n")
        return 2
    with tempfile.TemporaryDirectory() as made, serving(Path(made)) as server:
        folder = Path(made)
        os.environ[DEVICES_VARIABLE] = str(folder / "devices")
        (folder / "devices").mkdir()
        (folder / "devices/loopback.toml").write_text(written(server.device()), encoding="utf-8")
        store = f"sqlite:///{folder}/store.db"
        model = large(folder, given.megabytes)
        first, second = on_the_line(model, store), on_the_line(model, store)
        sys.stdout.write(f"first run: {first[0]:,} bytes on the line in {first[1]:.1f} s\n")
        sys.stdout.write(f"second run: {second[0]:,} bytes on the line in {second[1]:.1f} s\n")
        for on in (THIS_MACHINE, "loopback"):  # what is put once is put now
            seconds(on, store)
        later = [_later(store) for _ in range(given.rounds)]
    told = ", ".join(f"{each:.2f}" for each in sorted(later))
    sys.stdout.write(f"first result, there minus here: median {statistics.median(later):.2f} s of {told}\n")
    return int(second[0] > _BESIDE or statistics.median(later) > _LATER_S)


def _later(store: str) -> float:
    sides = [THIS_MACHINE, "loopback"]
    random.shuffle(sides)
    found = {on: seconds(on, store) for on in sides}
    return found["loopback"] - found[THIS_MACHINE]


if __name__ == "__main__":
    raise SystemExit(main())
