"""The worker: one attempt in a fresh process. Opens the adapter, runs one scenario, reports, ends.

It gets one `order` on standard input and answers on a private duplicate of standard output. It imports the standard
library, numpy, one adapter and its runtime, so that it starts fast and leaves the memory to the model.
"""

from __future__ import annotations

import importlib
import os
import platform
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from benchharness.device import adapters
from benchharness.device.failures import failure
from benchharness.device.inputs.shapes import tell_inputs
from benchharness.device.line import protocol
from benchharness.device.modules import how_loaded
from benchharness.device.opening import opened, unsealed
from benchharness.device.phases import Phases
from benchharness.device.quiet_numpy import AS_THEY_ARE, load_numpy
from benchharness.device.session_facts import check_task, effective_facts, why_no_language
from benchharness.errors import InvalidOutput, ModelFailure, Unsupported

if TYPE_CHECKING:
    from benchharness.contract import Adapter, EffectiveConfiguration, Session
    from benchharness.device.inputs.real_inputs import Sample
    from benchharness.device.inputs.requests import TensorRequest
    from benchharness.device.inputs.states import States
    from benchharness.device.inputs.tokenizer import Tokenizer
    from benchharness.device.line.orders import Order

#: A session whose times and memory mean nothing is only shown to answer.
_ONCE = {
    "warmup": 0,
    "repeats": 1,
    "most_repeats": 1,
    "min_time_ns": 0,
    "duration_ns": 0,
    "pauses_ns": (),
    "samples": {},
}
#: A runtime's own words are cut here where a hint follows them: some print a whole graph.
_LONGEST_REASON = 1000
_PROGRESS_EVERY_NS = 200_000_000


def main() -> None:
    """Reads the order, makes the attempt, reports how it went. Never raises."""
    # SIGTERM ends it at once, whatever a shell made its children ignore; what it leaves running the supervisor ends.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    writer = protocol.Writer(protocol.claim_standard_output())
    order = cast("Order | None", protocol.read_message(sys.stdin.buffer))
    if order is None:
        return
    threading.Thread(target=_end_with_parent, args=(sys.stdin.buffer,), daemon=True).start()
    try:
        writer.send(_conduct(order, writer) if order.get("conducts") else _attempt(order, writer))
    except Exception as error:
        traceback.print_exc()
        writer.send(failure(error))
    sys.stderr.flush()
    os._exit(0)  # a runtime's static destructors may hang or crash, and the attempt is told


def _end_with_parent(lifeline: BinaryIO) -> None:
    while lifeline.read(1):
        pass
    os._exit(1)


def _attempt(order: Order, writer: protocol.Writer) -> dict[str, Any]:
    phases = Phases(order["spawned_ns"])
    progress = _Progress(writer, order["id"])
    progress.phase("import")
    adapter, numpys_threads = _adapter(order["adapter"])
    scenario = _scenario(order)
    from benchharness.contract import EXECUTION_DEVICE, AllocatesLate, Configuration, LanguageSession
    from benchharness.device.fallback import placement_facts
    from benchharness.device.inputs.states import States
    from benchharness.device.outputs import tell_zeros
    from benchharness.device.own_report import by_itself
    from benchharness.device.scenarios.stage import Stage

    configuration = Configuration(runtime=order["adapter"], task=order["task"], **order["configuration"])
    with phases.unwatched():
        # Before the model's memory begins to count: what data takes is not the model's.
        sample = _sample(order)
    phases.end("import")
    progress.phase("load")
    sealed = unsealed(adapter, order, phases.end)  # parts of the load, which take memory of their own
    with opened(adapter, order, configuration, sealed) as session, ExitStack() as stack:
        itself = by_itself(session)
        not_the_workers = {} if itself is None else itself.elsewhere()
        language = isinstance(session, LanguageSession) if itself is None else itself.language
        _check_task(order, language, session.effective)
        elsewhere = _computed_elsewhere(session, phases, progress)
        phases.end("load")
        with phases.unwatched():
            phases.note_libraries()
            as_text = itself is not None and itself.takes_text
            tokenizer = _tokenizer(adapter, order, stack) if language and not as_text else None
            states = None if language or not_the_workers else States.of(session, _tensors(order).get("state"))
        # Made here, so that no phase pays for what the harness makes up, nor the model's memory.
        asked, told = (None, {}) if states is None else _asked(session, order, sample, states, phases)
        if asked is not None and isinstance(session, AllocatesLate):
            session.allocate({name: array.shape for name, array in asked.inputs.items()})
        with phases.unwatched():
            placed = placement_facts(configuration, session)
            ran: Session = itself or (session if states is None else _with_states(session, states))
        progress.phase("first request")
        on_device = session.effective.execution == EXECUTION_DEVICE
        stage = Stage(
            session=ran,
            workload=order["workload"],
            settings=order["settings"] if on_device else {**order["settings"], **_ONCE},
            tokenizer=tokenizer,
            phases=phases,
            progress=progress,
            inputs={} if asked is None else asked.inputs,
            tensors=_tensors(order),
            plain=session,
        )
        with _telling_inputs(session, asked):
            measurements = [*scenario.measure(stage), *(() if sealed is None else sealed.measurements())]
            phases.end("measure")
            if asked is not None and stage.outputs.only_zeros:
                with phases.unwatched():
                    told["only_zeros"] = tell_zeros(session, asked.inputs, asked.invented)
        effective = {**effective_facts(session.effective), **placed, **_told_of(ran, tokenizer)}
        effective["facts"].update(elsewhere)
        if asked is not None:
            effective.update({**_input_facts(session.inputs, asked, states), **told})
        effective.update(stage.told)
        measurements = _reported(measurements, session.effective, computed=getattr(scenario, "COMPUTED", False))
    return {
        "type": "measured",
        "task": "causal-lm" if language else "tensor",
        "measurements": [*measurements, *(phases.memory() if on_device and not not_the_workers else ())],
        "effective": effective,
        "python": platform.python_version(),
        "numpy_threads": numpys_threads,
        "harness_modules": how_loaded(time.time() - (time.perf_counter_ns() - phases.spawned_ns) / 1e9),
        **phases.facts(),
        **not_the_workers,
    }


def _adapter(name: str) -> tuple[Adapter, str]:
    """The adapter, its runtime imported, and what numpy's own threads do beside it."""
    numpys_threads = load_numpy() if adapters.leaves_numpy_to_us(name) else AS_THEY_ARE
    return adapters.load(name), numpys_threads


def _reported(
    found: list[dict[str, Any]], effective: EffectiveConfiguration, *, computed: bool
) -> list[dict[str, Any]]:
    """What was measured, and what a refused accelerator cost; of a reference execution only what is computed."""
    from benchharness.contract import EXECUTION_DEVICE
    from benchharness.device.measured import measurement

    if effective.execution != EXECUTION_DEVICE:
        return found if computed else []
    refused = effective.refusal
    lost = [measurement("refused_load", {}, refused.lost_ns)] if refused is not None and refused.lost_ns else []
    return [*found, *lost]


def _computed_elsewhere(session: object, phases: Phases, progress: _Progress) -> dict[str, str]:
    """Where another process computes, which is looked at from now on instead of this one; else nothing."""
    from benchharness.contract import ComputesElsewhere

    if not isinstance(session, ComputesElsewhere):
        return {}
    try:
        process = session.process()
    except Unsupported as reason:
        phases.computed_by(None, str(reason))
        return {"computed_in": f"{session.computed_in}; {reason}"}
    phases.computed_by(process, session.computed_in)
    progress.computed_by(process)
    return {"computed_in": session.computed_in}


def _with_states(session: Session, states: States) -> Session:
    """What runs a model that is no language model, timed from here or by itself."""
    from benchharness.device.inputs.states import Carried
    from benchharness.device.timed_inferences import TimedInferences

    return TimedInferences.of(session, states) or Carried(session, states)


def _told_of(ran: Session, tokenizer: Tokenizer | None) -> dict[str, Any]:
    """Whose clock timed it, where that was not the harness's, and what encoded a text."""
    told = ran.facts() if hasattr(ran, "facts") else {}
    return told if tokenizer is None else {**told, "tokenizer": tokenizer.facts()}


def _tokenizer(adapter: Adapter, order: Order, stack: ExitStack) -> Tokenizer | None:
    """Of a text prompt, or a task's texts, the tokenizer that the host names, else the one inside the artefact.

    A task's is in a process of its own: nothing of it is timed, and its texts are many. Raises `Unsupported`.
    """
    workload = order["workload"]
    of_task = (workload.get("data") or {}).get("kind") == "requests"
    if workload["prompt"].get("text") is None and not of_task:
        return None
    from benchharness.contract import FindsTokenizer
    from benchharness.device.inputs.tokenizer import Tokenizer

    path = None if order["tokenizer"] is None else Path(order["tokenizer"])
    if path is None and isinstance(adapter, FindsTokenizer):
        path = adapter.tokenizer(Path(order["artefact"]))
    if path is None:
        return None
    if order.get("tried"):
        raise Unsupported(order["tried"])
    if of_task:
        from benchharness.device.inputs.tokenizer_apart import opened_apart

        apart = opened_apart(order, str(path), order.get("bundle"))
        stack.callback(apart.end)
        return apart
    return Tokenizer(path)


def _conduct(order: Order, writer: protocol.Writer) -> dict[str, Any]:
    from benchharness.device.processes import leftovers  # with ctypes, which a worker with a model would pay for

    conductor = _scenario(order)
    leftovers.adopt_orphans()
    try:
        message: dict[str, Any] = conductor.conduct(order, _Progress(writer, order["id"]), order.get("bundle"))
    except Exception as error:
        traceback.print_exc()
        message = failure(error)
    return {**message, "left_running": leftovers.told()}


@contextmanager
def _telling_inputs(session: Session, asked: TensorRequest | None) -> Iterator[None]:
    """Around what is measured: a failure on inputs that were made here says which, and how to change them."""
    try:
        yield
    except (ModelFailure, InvalidOutput) as error:
        if asked is None:
            raise
        told = tell_inputs(session.inputs, asked.shapes)
        raise type(error)(f"{str(error)[:_LONGEST_REASON]}. {told}") from error


def _sample(order: Order) -> Sample | None:
    """The sample that the workload's data holds for this model, None where it has none: its scenario reads the rest."""
    if (order["workload"].get("data") or {}).get("sample") is None:
        return None
    from benchharness.device.inputs.real_inputs import Sample

    return Sample(order["workload"]["data"])


def _tensors(order: Order) -> Mapping[str, Any]:
    """What the suite says of this variant's inputs and outputs."""
    return order.get("tensors") or {}


def _asked(
    session: Session, order: Order, sample: Sample | None, states: States, phases: Phases
) -> tuple[TensorRequest, dict[str, Any]]:
    """What a model that is no language model is fed, and what is told of real data."""
    with phases.for_itself():
        from benchharness.device.inputs.requests import tensor_request

        workload = order["workload"]
        if sample is None:
            return tensor_request(session, workload, _rows(session), states=states.inputs), {}
        arrays, how = sample.inputs(session, _tensors(order), workload["values"])
        asked = tensor_request(session, workload, real=arrays, states=states.inputs)
        return asked, {"tensors": how, "real_inputs": sample.fact()}


def _input_facts(inputs: Any, asked: TensorRequest, states: States | None) -> dict[str, Any]:
    """What was really fed, what of it was invented, and which lengths were assumed or asked for in vain."""
    fed_back = {} if states is None else {taken: given for given, taken in states.carried.items()}
    invented = {name: filling.fact() for name, filling in asked.invented.items()}
    for name in invented.keys() & fed_back.keys():
        invented[name]["value"] += f", then output {fed_back[name]} of the inference before"
    return {
        "inputs": {spec.name: [spec.dtype, *asked.inputs[spec.name].shape] for spec in inputs},
        "invented_inputs": invented,
        **({} if states is None or not states.found else {"state": states.facts()}),
        "assumed_dimensions": dict(asked.shapes.assumed),
        "unused_dimensions": list(asked.shapes.unused),
    }


def _rows(session: Session) -> Mapping[str, int]:
    """How many rows the tables have that whole-number inputs pick from, where the session tells."""
    from benchharness.contract import ReportsInputRows

    return session.input_rows() if isinstance(session, ReportsInputRows) else {}


def _scenario(order: Mapping[str, Any]) -> Any:
    """The scenario's module, which the host names. Raises `Unsupported` where this device does not have it."""
    name, module = order["scenario"], order["module"]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Unsupported(f"scenario {name!r}: {module} cannot be loaded on this device: {error}") from error


def _check_task(order: Order, language: bool, effective: EffectiveConfiguration) -> None:
    """The suite's word about the task, and what a workload asks for, against what the model turned out to be."""
    check_task(order["task"], language, order["adapter"], effective)
    asks = order["workload"]["asks"]
    if asks == "language" and not language:
        told = why_no_language(effective)
        raise Unsupported(f"the workload has a prompt, and the model is not a causal language model{told}")
    if asks == "tensor" and language:
        raise Unsupported(
            "the workload has input dimensions, values or data, and the model is a causal language model; give a "
            'prompt, or say task = "tensor" of the model'
        )


class _Progress:
    """Tells the supervisor what the attempt is doing: every phase, and repeats now and then."""

    def __init__(self, writer: protocol.Writer, attempt: str) -> None:
        self._writer = writer
        self._attempt = attempt
        self._next_ns = 0
        self._phase = ""

    def phase(self, name: str) -> None:
        self._writer.send({"type": "progress", "id": self._attempt, "phase": name, "done": 0, "total": 0})

    def computed_by(self, process: int) -> None:
        """Another process computes: the supervisor is to look at that one."""
        message = {"type": "progress", "id": self._attempt, "phase": "load", "done": 0, "total": 0, "process": process}
        self._writer.send(message)

    def __call__(self, phase: str, done: int, total: int) -> None:
        now = time.perf_counter_ns()
        if phase == self._phase and now < self._next_ns:
            return
        self._phase, self._next_ns = phase, now + _PROGRESS_EVERY_NS
        message = {"type": "progress", "id": self._attempt, "phase": phase, "done": done, "total": total}
        self._writer.send(message)


if __name__ == "__main__":
    main()
