"""Asks every prompt under every network and policy, and writes down what a user would have seen.

Networks and policies take turns within a prompt, in an order that rotates, so that what drifts drifts for all of them;
every policy meets the same network with the same seed, and so the same fate. First each prompt is asked undisturbed:
that answer is what later ones are held against, and whoever cannot be asked at all fails here.
"""

from __future__ import annotations

import difflib
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchharness.contract import Configuration, LanguageSession, StreamsText
from benchharness.device import adapters
from benchharness.device.measured import raw_rows
from benchharness.device.network.profiles import Network
from benchharness.device.network.simulated import Passed, SimulatedNetworks
from benchharness.device.opening import opened
from benchharness.device.scenarios.hybrid.asking import Asked, followed
from benchharness.device.scenarios.hybrid.local import LocalWriter
from benchharness.device.scenarios.hybrid.policy import ALONE, CONTINUE, Patience, Policy
from benchharness.device.scenarios.hybrid.prompts import Prompt, read_prompts
from benchharness.device.scenarios.hybrid.spent import Spent
from benchharness.device.scenarios.stage import Stage
from benchharness.device.timing import quiet_collector
from benchharness.errors import ModelFailure, Unsupported
from benchharness.records import HANDOVERS, AnsweredBy, CloudEnd, HandoverRow

if TYPE_CHECKING:
    from benchharness.device.line.orders import Opened

#: Undisturbed, an endpoint gets so much longer than a request may take.
_UNDISTURBED = 3
_NO_NETWORK = "no network"


@dataclass(frozen=True)
class Answered:
    """What a user got, and the row that is told of it; its text is told nowhere."""

    row: HandoverRow
    text: str


class Requests:
    """What requests are made with."""

    def __init__(self, stage: Stage, cloud: StreamsText, writer: LocalWriter, networks: SimulatedNetworks) -> None:
        self._settings = stage.settings
        self._cloud, self._writer, self._networks = cloud, writer, networks
        self._count: int = stage.settings["answer_tokens"]
        self._stop: Sequence[str] = stage.settings["stop"]
        self._give_up_ns: int = stage.settings["give_up_ns"]
        self._spent = Spent()

    def undisturbed(self, prompt: Prompt) -> str:
        """The cloud's answer over a good line. Raises `ModelFailure` that says what is wrong with the endpoint."""
        with self._networks.through(Network(), "undisturbed") as passed:
            asked = self._follow(prompt, Policy("undisturbed"), passed, _UNDISTURBED * self._give_up_ns)
        if asked.end is not CloudEnd.COMPLETE or not asked.stamps_ns:
            told = named(asked.end) + (f" ({asked.detail})" if asked.detail else "")
            raise ModelFailure(f"the endpoint does not answer without a simulated network either: {told}")
        return asked.text

    def ask(self, number: int, prompt: Prompt, policy: Policy, network: Network, seed: str, whole: str) -> Answered:
        """One request. `whole`: the undisturbed answer."""
        asked: Asked | None = None
        passed = Passed(0)
        before = self._spent.read()
        asked_ns = time.perf_counter_ns()
        written: Sequence[int] = ()
        kept, text = "", ""
        if policy.asks_cloud:
            # Opened before the clock begins: no application opens a simulation.
            with self._networks.through(network, seed) as passed:
                asked_ns = time.perf_counter_ns()
                asked = self._follow(prompt, policy, passed, self._give_up_ns, asked_ns)
                text = asked.text
                if asked.end is not CloudEnd.COMPLETE and policy.has_device:
                    kept = asked.text if policy.on_failure == CONTINUE else ""
                    written, text = self._go_on(prompt, kept, len(asked.stamps_ns) if kept else 0)
        else:
            written, text = self._go_on(prompt, "", 0)
        ended_ns = written[-1] if written else (asked.ended_ns if asked else asked_ns)
        energy = self._spent.since(before)
        came = tuple(asked.stamps_ns) if asked else ()
        row = _row(number, came, written, asked, kept=bool(kept), asked_ns=asked_ns, ended_ns=ended_ns, passed=passed)
        answered = row.answered_by != AnsweredBy.NOBODY
        return Answered(
            row._replace(
                energy=energy,
                agreement=_agreement(text, whole) if answered else -1,
                right=prompt.right(text) if answered else min(0, prompt.right("")),
            ),
            text,
        )

    def _follow(
        self, prompt: Prompt, policy: Policy, passed: Passed, give_up_ns: int, asked_ns: int | None = None
    ) -> Asked:
        patience = Patience(policy, time.perf_counter_ns() if asked_ns is None else asked_ns, give_up_ns)
        stream = self._cloud.stream(prompt.text, self._count, stop=self._stop, port=passed.port)
        return followed(stream, patience)

    def _go_on(self, prompt: Prompt, kept: str, came: int) -> tuple[Sequence[int], str]:
        """The device's own tokens after the prompt and what is kept of the cloud's answer; the whole answer."""
        answer = self._writer.answer(prompt.text + kept, max(1, self._count - came), self._stop)
        return answer.stamps_ns, kept + answer.text


def measure(stage: Stage) -> list[dict[str, Any]]:
    """One table of rows for each policy and network. Raises `Unsupported` and `ModelFailure`."""
    session, settings = stage.session, stage.settings
    if not isinstance(session, LanguageSession):
        raise Unsupported("hybrid needs a model on the device that gives its answer token by token, as logits")
    if stage.tokenizer is None:
        raise Unsupported("hybrid asks with texts, and there is no tokenizer.json beside the model; name one")
    prompts = read_prompts(Path(settings["prompts"]))
    writer = LocalWriter(session, stage.tokenizer)
    writer.answer(prompts[0].text, 1)  # the model's first answer is slower, and a loaded application has given it
    stage.phases.end("first_request")
    with (
        opened_cloud(settings["cloud"]) as cloud,
        SimulatedNetworks(cloud.address, bundle=settings["bundle"]) as networks,
    ):
        rows = _rows(stage, Requests(stage, cloud, writer, networks), prompts)
    return [_table(policy, network, found) for (policy, network), found in rows.items()]


@contextmanager
def opened_cloud(told: Opened) -> Iterator[StreamsText]:
    """A session at the endpoint. Raises `Unsupported` for what is none."""
    adapter = adapters.load(told["adapter"])
    configuration = Configuration(runtime=told["adapter"], **told["configuration"])
    with opened(adapter, told, configuration) as session:
        if not isinstance(session, StreamsText):
            raise Unsupported(
                f"{Path(told['artefact']).name}: is no endpoint whose answers can be followed as they come"
            )
        yield session


def _rows(stage: Stage, requests: Requests, prompts: Sequence[Prompt]) -> Mapping[tuple[str, str], list[HandoverRow]]:
    settings = stage.settings
    policies = [*ALONE, *(Policy.from_json(each) for each in settings["policies"])]
    networks = {name: Network.from_json(told) for name, told in settings["networks"].items()}
    pairs = [
        (policy, name)
        for name, policy in itertools.product(networks, policies)
        if policy.asks_cloud or name == next(iter(networks))  # the device alone meets no network
    ]
    whole: dict[int, str] = {}
    found: dict[tuple[str, str], list[HandoverRow]] = {}
    total = settings["requests"] * len(pairs)
    for request in range(settings["requests"]):
        number = request % len(prompts)
        prompt = prompts[number]
        if number not in whole:
            stage.progress("undisturbed", number, len(prompts))
            whole[number] = requests.undisturbed(prompt)
        for place in range(len(pairs)):
            policy, name = pairs[(place + request) % len(pairs)]
            stage.progress(name[:40], request * len(pairs) + place, total)
            seed = f"{settings['seed']} {name} {request}"
            with quiet_collector():
                answered = requests.ask(number, prompt, policy, networks[name], seed, whole[number])
            found.setdefault((policy.name, name if policy.asks_cloud else _NO_NETWORK), []).append(answered.row)
    return found


def _row(
    number: int,
    came: Sequence[int],
    written: Sequence[int],
    asked: Asked | None,
    *,
    kept: bool,
    asked_ns: int,
    ended_ns: int,
    passed: Passed,
) -> HandoverRow:
    """What happened, from the moments of the cloud's pieces and of the device's own tokens."""
    seen = [*came, *written]  # a restart shows the cloud's part, too, and then begins again
    moments = [asked_ns, *seen, *([] if written or (asked and asked.end is CloudEnd.COMPLETE) else [ended_ns])]
    in_answer = len(came) if kept or not written else 0
    if written:
        by = AnsweredBy.BOTH if kept else AnsweredBy.DEVICE
    else:
        by = AnsweredBy.CLOUD if asked is not None and asked.end is CloudEnd.COMPLETE and came else AnsweredBy.NOBODY
    if by is AnsweredBy.NOBODY:
        in_answer = 0
    nothing_kept = by in (AnsweredBy.DEVICE, AnsweredBy.NOBODY)
    return HandoverRow(
        prompt=number,
        answered_by=by,
        cloud=CloudEnd.NOT_ASKED if asked is None else asked.end,
        first_token=seen[0] - asked_ns if seen else 0,
        silence=max((later - sooner for sooner, later in zip(moments, moments[1:])), default=0),
        whole=max(1, ended_ns - asked_ns),
        cloud_tokens=in_answer,
        device_tokens=len(written),
        wasted_tokens=len(came) - in_answer,
        sent=passed.sent,
        received=passed.received,
        wasted=passed.sent + passed.received if nothing_kept else 0,
        energy=-1,
        agreement=-1,
        right=-1,
        late=max(0, passed.late_ns),
    )


def _agreement(answer: str, whole: str) -> float:
    """How alike two answers are, word by word: difflib's ratio, twice the words in common over the words of both."""
    return difflib.SequenceMatcher(None, answer.split(), whole.split(), autojunk=False).ratio()


def named(end: CloudEnd) -> str:
    """An end in words: `too many requests`."""
    return end.name.lower().replace("_", " ")


def _table(policy: str, network: str, rows: Sequence[HandoverRow]) -> dict[str, Any]:
    parameters = {"policy": policy, "network": network}
    return raw_rows(HANDOVERS, parameters, median(row.whole for row in rows), HANDOVERS.flat(rows))
