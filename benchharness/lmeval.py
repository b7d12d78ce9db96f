"""lm-eval's own command line on a session of ours: its tasks, its options, this device and this artefact.

::

    python -m benchharness.lmeval run --model benchharness --tasks hellaswag \
        --model_args artefact=models/int4,runtime=onnxruntime,threads=4,on=pi5

lm-eval finds models in a registry of its own and reads no entry points (0.4.13), so this starts it with one more model.
Where it is a library: `lm_eval.simple_evaluate(model=BenchharnessLM(artefact=…), …)`. All requests of a kind are one
attempt on the device; nothing of it is kept in a store.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lm_eval.api.registry import register_model

from benchharness.device import adapters as plug_board
from benchharness.device.scenarios.task.asked import Request
from benchharness.errors import UsageError
from benchharness.execute.devices import choose, reached
from benchharness.execute.link import DeviceLink
from benchharness.locations import default_store, digest_cache, state_folder
from benchharness.measure import target_of
from benchharness.records import TASK_LIKELIHOODS
from benchharness.results.ids import new_id
from benchharness.results.result import Attempt, Job
from benchharness.scenarios.task import Task
from benchharness.scenarios.task.answers import answers_of
from benchharness.scenarios.task.lm_eval_model import MOST_WRITTEN, SessionLM
from benchharness.scenarios.task.planned import planned
from benchharness.scenarios.task.sets import Answer, Scores, kept
from benchharness.suite.data_files import REQUESTS
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.materials import gather
from benchharness.suite.plan import plan
from benchharness.suite.planning import Materials, Planning
from benchharness.suite.tables import Suite, suite_from_table

_MODEL = "model"


@dataclass(frozen=True)
class _Asked:
    """What lm-eval asks at once, as a task whose scores are its own."""

    path: Path
    sha256: str
    requests: Sequence[Request]
    name: str = "lm-eval"
    language: bool = True
    kind: str = REQUESTS

    @property
    def used(self) -> int:
        return len(self.requests)

    total = used

    @property
    def settings(self) -> Mapping[str, Any]:
        return {}

    def scores(self, effective: Mapping[str, Any], rows: Sequence[float]) -> Scores:
        raise NotImplementedError("lm-eval scores these answers")


class BenchharnessLM(SessionLM):
    """A model that is opened on a device as a suite would open it. `--model_args` are its arguments."""

    def __init__(
        self,
        artefact: str,
        runtime: str = "onnxruntime",
        on: str = THIS_MACHINE,
        tokenizer: str | None = None,
        threads: int | None = None,
        accelerator: str | None = None,
        python: str | None = None,
        evaluation: str = "decode",
        prefix_token: int | None = None,
        timeout: str = "1 h",
        max_gen_toks: int = MOST_WRITTEN,
        **others: Any,
    ) -> None:
        """`others` are lm-eval's own (batch_size, device), which are for models in its process.

        Raises `UsageError` for what a suite would refuse, and for any other argument.
        """
        super().__init__(self.ask, max_gen_toks)
        unknown = sorted(set(others) - {"batch_size", "max_batch_size", "device"})
        if unknown:
            raise UsageError(f"model_args: {unknown[0]!r} is none of benchharness's")
        configuration = {"runtime": runtime, "threads": threads, "accelerator": accelerator, "python": python}
        model = {"task": "causal-lm", "tokenizer": tokenizer, "variants": {_MODEL: {"artefact": artefact}}}
        table = {
            "models": {_MODEL: model},
            "configurations": [{key: value for key, value in configuration.items() if value is not None}],
            "attempts": {"at_least": 1, "timeout": timeout},
        }
        self._suite: Suite = suite_from_table(table)
        self._settings = Task.model_construct(evaluation=evaluation, prefix_token=prefix_token)
        self._materials: Materials = gather(self._suite, digest_cache())
        self._on = on

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """The device's answers: one attempt. Raises `UsageError` where it gave none, with its reason."""
        chosen = choose(target_of(self._on), state_folder(default_store()))
        path, digest = kept(requests)
        asked = _Asked(path, digest, requests)
        timed = plan(self._suite, chosen.hardware, self._materials, plug_board.formats)[0]
        planning = Planning(
            suite=self._suite,
            hardware=chosen.hardware,
            materials=replace(self._materials, of_scenarios={"task": [asked]}),
            name=_MODEL,
            pairs=[(_MODEL, timed.configuration)],
            formats=plug_board.formats,
        )
        (job,) = planned(planning, self._settings)
        attempt = self._attempt(job, chosen.hardware)
        if not attempt.outcome.ok:
            raise UsageError(f"the device gave no answers: {attempt.outcome}")
        rows = next((each.samples for each in attempt.measurements if each.metric == TASK_LIKELIHOODS.metric), ())
        return answers_of(requests, attempt.effective.to_json(), rows)

    def _attempt(self, job: Job, hardware: Any) -> Attempt:
        with tempfile.TemporaryDirectory() as folder, reached(hardware, Path(folder)) as launcher:
            link = DeviceLink(launcher, run=new_id(), scratch=Path(folder), save=lambda attempt: attempt)
            try:
                return link.attempt(
                    job, self._materials.manifests, attempt=new_id(), round_=0, progress=lambda *_: None
                )
            finally:
                link.leave()


def main() -> None:
    """lm-eval's command line, with one more model."""
    from lm_eval.__main__ import cli_evaluate

    register_model("benchharness")(BenchharnessLM)
    cli_evaluate()


if __name__ == "__main__":
    main()
