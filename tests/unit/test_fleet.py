"""One job on several devices of a hardware target: what they say together, what they do not, and who stands out."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from benchharness import api
from benchharness.commands import ending
from benchharness.judge.fleet import Fleet, FleetFigure, Measured, fleets
from benchharness.judge.fleet_json import to_json
from benchharness.judge.fleet_whole import whole_of
from benchharness.judge.fleet_words import headline, note_text
from benchharness.results.result import Estimate, MetricResult, Outcome, OutcomeKind, Result
from benchharness.terminal.fleet import show_fleet
from reports.model.found import Found
from reports.pages.fleet import fleet_page
from tests.conftest import CommandLine
from tests.unit.fleet_samples import FP32, INT8, PHONE, crashed, fleet_of, measured_on, stored
from tests.unit.made_up import STARTED, job

BASE = job("b" * 16, hardware="pixel-8", side="base", pair="p", digest="00ff" * 16)
CANDIDATE = job("c" * 16, hardware="pixel-8", side="candidate", pair="p")


def figure(fleet: Fleet, metric: str = "tpot", variant: str = "int8") -> FleetFigure:
    (found,) = (each for each in fleet.figures if each.metric == metric and each.job.variant == variant)
    return found


def width(estimate: Estimate | None) -> float:
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return math.log(estimate.high / estimate.low)


def test_a_target_is_the_mean_of_its_devices_and_each_stands_beside_it() -> None:
    factors = {"phone-1": 1.0, "phone-2": 1.05, "phone-3": 1.12}
    fleet = fleet_of(*(measured_on(name, factor=factor) for name, factor in factors.items()))
    assert [unit.name for unit in fleet.units] == list(factors)
    found = figure(fleet)
    own = [each.value for each in found.of]
    assert [each / 1e7 for each in own if each] == pytest.approx(list(factors.values()), rel=0.02)
    logs = np.log(np.array(own, float))
    low, high = stats.t.interval(0.95, 2, loc=logs.mean(), scale=stats.sem(logs))
    assert found.whole.value == pytest.approx(math.exp(logs.mean()))
    assert found.whole.low == pytest.approx(math.exp(low))
    assert found.whole.high == pytest.approx(math.exp(high))
    assert found.farthest is not None
    assert fleet.units[found.farthest.at].name == "phone-3"
    assert not found.farthest.stands_out


def test_ratios_between_variants_are_as_sure_as_devices_agree_on_them() -> None:
    """Units differ by 30 %, int8 is half of fp32 on each: over devices the ratio is sure, and the values are not."""
    factors = (1.0, 1.15, 1.3)
    fleet = fleet_of(*(measured_on(f"phone-{at}", factor=each, scale={"int8": 0.5}) for at, each in enumerate(factors)))
    found = figure(fleet)
    assert found.ratio is not None
    assert found.ratio.value == pytest.approx(0.5, rel=0.02)
    assert width(found.ratio) < 0.1 < width(found.whole) / 5


def test_one_device_says_that_it_speaks_of_this_unit_alone() -> None:
    fleet = fleet_of(measured_on("phone-1"))
    assert headline(fleet) == "pixel-8 by one device: phone-1 alone"
    assert fleet.told[0].startswith(
        "One device: every interval speaks of phone-1 alone. How far other units of pixel-8"
    )
    assert figure(fleet).whole.low is None
    assert not fleet.together


def test_two_devices_say_how_wide_they_are_and_why() -> None:
    fleet = fleet_of(measured_on("phone-1", noise=0.0005), measured_on("phone-2", factor=1.1, noise=0.0005))
    assert "which of the two is the odd one nobody can tell" in headline(fleet)
    assert "12.7 times as wide as the two are apart" in fleet.told[0]
    found = figure(fleet)
    assert width(found.whole) == pytest.approx(12.7 * math.log(1.1), rel=0.02)  # as it is told
    assert note_text(fleet, found).startswith("phone-2 is +10")
    three = fleet_of(*(measured_on(f"p{at}", factor=1 + at / 20, noise=0.0005) for at in range(3)))
    assert width(figure(three).whole) == pytest.approx(2.48 * math.log(1.1), rel=0.05)  # a fifth of it


def test_a_device_that_stands_out_is_named() -> None:
    factors = (1.0, 1.01, 0.99, 1.005, 1.2)
    fleet = fleet_of(*(measured_on(f"phone-{at}", factor=each, noise=0.003) for at, each in enumerate(factors)))
    assert list(fleet.odd) == ["phone-4"]
    assert headline(fleet).startswith("pixel-8 by 5 devices: phone-4 stands out in 2 of 2 figures (model TTFT fp32 +")
    assert note_text(fleet, figure(fleet)).startswith("phone-4 stands out: +")


def test_quiet_attempts_on_each_of_several_devices_make_no_sure_figure() -> None:
    """As pytorch/executorch issue 8603 has it: on a device farm the variance between iterations was low in each job,
    and the difference between jobs sizable. One heap of all attempts is ten times surer than its devices.
    """
    fleet = fleet_of(*(measured_on(f"farm-{at}", factor=each, noise=0.002) for at, each in enumerate((1.0, 1.25, 1.4))))
    found = figure(fleet)
    assert max(width(each) for each in found.of) < 0.02
    assert found.whole.low is not None
    assert found.whole.high is not None
    for own in found.of:  # each device's own interval excludes the others; the target's holds them all
        assert found.whole.low < (own.low or 0) < (own.high or 0) < found.whole.high


def test_units_of_several_models_are_not_passed_off_as_one() -> None:
    """As tetherto/qvac pull request 3068 tells it: `pixel9` ran on a Pixel 9, a 9 Pro and a 9 Pro XL, of 12 and 16 GB,
    and a baseline was the mean of them without a word.
    """
    others = {"model": "Pixel 9 Pro XL", "memory_bytes": 15_600_000_000}
    fleet = fleet_of(measured_on("a"), measured_on("b"), measured_on("c", conditions={**PHONE, **others}))
    told = [each for each in fleet.told if each.startswith("These are not units of one model")]
    assert len(told) == 2
    assert "model Pixel 8 on a, b; Pixel 9 Pro XL on c" in told[0]
    assert "memory 7700000000 on a, b; 15600000000 on c" in told[1]
    # A kernel that keeps some megabytes more for itself is no other model.
    nearly = fleet_of(measured_on("a"), measured_on("b", conditions={**PHONE, "memory_bytes": 7_690_000_000}))
    assert not any("one model" in each for each in nearly.told)


def test_what_devices_did_not_do_alike_is_not_taken_together() -> None:
    other = replace(INT8, digest="cd34" * 16)
    for second, words in (
        (measured_on("b", jobs=[FP32, other]), "other artefacts"),
        (measured_on("b", effective={"runtime_version": "1.21"}), "runtime 1.20 against 1.21"),
        (measured_on("b", effective={"threads": 4}), "threads"),
    ):
        fleet = fleet_of(measured_on("a"), second)
        found = figure(fleet)
        assert found.whole.value is None
        assert words in found.whole.reason
        assert found.farthest is None
        assert any(words in each for each in fleet.told)


def test_a_device_without_a_figure_says_why_and_the_others_count() -> None:
    fleet = fleet_of(measured_on("a"), measured_on("b", factor=1.1), crashed("c"))
    found = figure(fleet)
    assert found.devices == 2
    assert found.of[2].reason == "its job ended with crashed"
    assert found.whole.drawn == 2
    assert figure(fleet, variant="fp32").whole.drawn == 3
    assert note_text(fleet, found).startswith("2 of 3 devices have it; b is +10")
    assert "of 3 devices" not in note_text(fleet, figure(fleet, variant="fp32"))


def test_one_that_failed_says_nothing_of_what_the_others_did_alike() -> None:
    broken = crashed("c")
    digests = [replace(each, job=replace(each.job, digest="")) if not each.metrics else each for each in broken.results]
    found = figure(fleet_of(measured_on("a"), measured_on("b", factor=1.1), replace(broken, results=digests)))
    assert found.whole.drawn == 2


def test_the_newest_run_of_a_device_counts_and_runs_of_none_are_left_out() -> None:
    fleet = fleet_of(measured_on("a"), measured_on("a", hours=2, factor=2.0), measured_on("b", factor=2.0))
    assert fleet.units[0].run.id == "run-of-a-2"
    assert figure(fleet).whole.value == pytest.approx(2e7, rel=0.05)
    assert "1 earlier run of these devices left out: the newest of each counts" in fleet.told


def test_what_is_computed_is_the_same_or_not_taken_together() -> None:
    fleet = fleet_of(measured_on("a"), measured_on("b"))
    size = figure(fleet, "artefact_size")
    assert size.whole.value == 1000
    assert size.farthest is None


def with_quality(measured: Measured, perplexity: float, ratio: float) -> Measured:
    """As quality is stored: its interval is over texts; its ratio is of attempts that are all alike."""

    def told(result: Result) -> Result:
        value = Estimate(value=perplexity, low=8.0, high=12.0, count=1, drawn=40, drawn_unit="chunks")
        over_attempts = Estimate(value=ratio, low=ratio, high=ratio, count=3)
        made = MetricResult(name="perplexity", unit="", parameters={}, estimate=value, attempts=[], ratio=over_attempts)
        return replace(result, metrics=[*result.metrics, made])

    return replace(measured, results=[told(each) for each in measured.results])


def test_a_ratio_of_quality_is_no_figure_that_devices_draw() -> None:
    """It is the same on all of them, or told on each alone: no spread of devices is made of it."""
    alike = fleet_of(*(with_quality(measured_on(name), 10.0, 1.02) for name in "abc"))
    found = figure(alike, "perplexity")
    assert (found.whole.value, found.whole.low, found.whole.drawn_unit) == (10.0, 8.0, "chunks")
    assert found.ratio is not None
    assert "devices" not in (found.ratio.statistic, found.ratio.drawn_unit)
    other = fleet_of(*(with_quality(measured_on(name), 10 + at, 1.02 + at / 100) for at, name in enumerate("abc")))
    assert figure(other, "perplexity").whole.reason == "computed, and not the same on all devices"
    assert figure(other, "perplexity").ratio is None


def test_a_value_that_all_have_is_that_value() -> None:
    value = 57872384.0  # a byte less by logarithms and back
    (found, _) = whole_of([Estimate(value=value, low=value, high=value, count=5)] * 3, "")
    assert found.low == found.value == found.high == value


def test_changes_of_builds_that_ran_otherwise_are_not_taken_together() -> None:
    """On one host the interpreter has another release of the runtime: it is another pair of builds."""
    sides: dict[str, Any] = {"jobs": [BASE, CANDIDATE], "count": 10, "scale": {"candidate": 1.05}, "primary": ("tpot",)}
    one, other = measured_on("a", **sides), measured_on("b", effective={"runtime_version": "1.21"}, **sides)
    (found,) = fleet_of(one, other).figures
    assert found.change
    assert found.whole.value is None
    assert "candidate: runtime 1.20 against 1.21; base: runtime 1.20 against 1.21" in found.whole.reason
    failed = Outcome(kind=OutcomeKind.CRASHED, reason="it left")
    results = [replace(each, outcome=failed) if each.job.side == "candidate" else each for each in one.results]
    assert fleet_of(measured_on("b", **sides), replace(one, results=results)).figures[0].devices == 1


def test_pairs_stay_on_their_device_and_their_ratios_are_taken_together() -> None:
    """The candidate is 5 % slower on each; the devices themselves differ by a third."""
    several = [
        measured_on(
            f"phone-{at}", jobs=[BASE, CANDIDATE], factor=each, count=10, scale={"candidate": 1.05}, primary=("tpot",)
        )
        for at, each in enumerate((1.0, 1.2, 1.33))
    ]
    (fleet,) = fleets(several)
    (found,) = fleet.figures
    assert found.change
    assert found.whole.value == pytest.approx(1.05, rel=0.01)
    assert found.whole.low is not None
    assert found.whole.low > 1.0
    assert all(each.count == 10 for each in found.of)
    assert found.farthest is not None
    assert not found.farthest.stands_out
    assert fleet.together


def test_two_devices_that_are_called_alike_are_told_apart() -> None:
    one, other = measured_on("a"), measured_on("b", conditions={**PHONE, "farm": {"device": "a"}})
    assert [unit.name for unit in fleet_of(one, other).units] == ["a (id-a)", "a (id-b)"]
    twice = fleet_of(
        one, replace(other, results=[replace(each, devices=["id-a"]) for each in measured_on("c").results])
    )
    assert "a and c are one device, id-a" in twice.told
    nobody = fleet_of(measured_on("a", conditions={**PHONE, "farm": {"device": 5}}))
    assert nobody.units[0].name == "id-a"


def test_nothing_was_measured() -> None:
    assert fleets([]) == []
    empty = replace(measured_on("a"), results=[replace(each, devices=[]) for each in measured_on("a").results])
    fleet = fleet_of(empty)
    assert headline(fleet) == "pixel-8: no device gave a result"
    assert "no device answered" in fleet.told[-1]


# Shown


def three() -> Fleet:
    return fleet_of(*(measured_on(f"phone-{at}", factor=each) for at, each in enumerate((1.0, 1.05, 1.2))))


def shown(fleet: Fleet, width_: int = 140) -> str:
    console = Console(width=width_, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    show_fleet(fleet, console)
    console.file.close()
    return console.export_text()


def test_the_terminal_has_the_targets_figure_and_each_devices() -> None:
    text = shown(three())
    assert text.startswith("pixel-8 by 3 devices: no device stands out")
    row = next(line for line in text.splitlines() if "model TTFT" in line)
    assert "[" in row
    assert "farthest: phone-2" in text
    assert "run-of-phone-1-0, device id-phone-1" in text
    many = fleet_of(*(measured_on(f"phone-{at}", factor=1 + at / 100) for at in range(8)))
    assert "least" in shown(many)
    assert "phone-7" in shown(many)


def test_the_page_has_them_too_and_names_nothing_as_it_came() -> None:
    odd = fleet_of(*(measured_on(name, factor=each) for name, each in (("<b>x", 1.0), ("b", 1.1), ("c", 1.2))))
    found = [Found(run=unit.run, hardware="pixel-8", results=measured_on(unit.name).results) for unit in odd.units]
    page = fleet_page(odd, found, ["x.html", "", "z.html"], STARTED)
    assert [device.name for device in page.devices] == ["<b>x", "b", "c"]
    assert page.devices[0].href == "x.html"
    (line, *_) = page.jobs[0].lines
    assert line.whole.quantity is not None
    assert " to " in line.whole.quantity.interval
    assert len(line.cells) == 3


def test_as_json_it_has_everything() -> None:
    told = json.loads(json.dumps(to_json(three())))
    assert told["schema"] == 1
    assert [each["name"] for each in told["devices"]] == ["phone-0", "phone-1", "phone-2"]
    tpot = next(each for each in told["figures"] if each["metric"] == "tpot" and each["variant"] == "int8")
    assert tpot["devices"].keys() == {"phone-0", "phone-1", "phone-2"}
    assert tpot["low"] < tpot["value"] < tpot["high"]
    assert len(to_json(three(), headlines=True)["figures"]) < len(told["figures"])


def test_a_report_on_runs_of_several_devices_is_of_the_devices(tmp_path: Path) -> None:
    url = stored(tmp_path, [("a", 0, 1.0), ("b", 1, 1.1), ("c", 2, 1.2)])
    runs = [each.id for each in api.runs(store=url)]
    paths = api.render([api.load(each, store=url) for each in runs], tmp_path / "out")
    text = (tmp_path / "out" / "pixel-8.html").read_text()
    assert "pixel-8 by 3 devices" in text
    assert len(paths) == 4  # and the jobs of each


def test_a_command_on_several_units_ends_with_what_they_say_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `run --on a --on b` and `gate --on a --on b` do: nothing where it was one unit all the time."""
    url = stored(tmp_path, [("a", 0, 1.0), ("b", 1, 1.1), ("a", 2, 1.0)])
    newest, second, first = (api.load(each.id, store=url) for each in api.runs(store=url))
    ending.show_shared([first, newest])
    ending.show_shared([second])
    assert capsys.readouterr().out == ""
    ending.show_shared([first, second])
    assert "pixel-8 by 2 devices" in capsys.readouterr().out


def test_runs_of_one_device_are_compared_as_ever(tmp_path: Path) -> None:
    url = stored(tmp_path, [("a", 0, 1.0), ("a", 1, 1.1)])
    api.render([api.load(each.id, store=url) for each in api.runs(store=url)], tmp_path / "out")
    assert "2 runs on pixel-8" in (tmp_path / "out" / "pixel-8.html").read_text()


def test_a_site_has_the_devices_of_the_newest_night(tmp_path: Path) -> None:
    nights = [("a", 0, 1.0), ("b", 1, 1.1), ("a", 48, 1.0), ("b", 49, 1.1), ("c", 50, 1.2)]
    names = [each.name for each in api.site(tmp_path / "site", store=stored(tmp_path, nights))]
    assert "phones.pixel-8.devices.html" in names
    text = (tmp_path / "site" / "phones.pixel-8.devices.html").read_text()
    assert "pixel-8 by 3 devices" in text
    assert "earlier run" not in text
    assert "3 devices of pixel-8" in (tmp_path / "site" / "phones.pixel-8.html").read_text()


def test_several_runs_are_shown_together(benchharness: CommandLine, tmp_path: Path) -> None:
    url = stored(tmp_path, [("a", 0, 1.0), ("b", 1, 1.1), ("c", 2, 1.2)])
    runs = [each.id for each in api.runs(store=url)]
    done = benchharness("show", *runs, "--store", url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "pixel-8 by 3 devices" in done.stdout
    (told,) = json.loads(benchharness("show", *runs, "--format", "json", "--store", url).stdout)
    assert told["hardware"] == "pixel-8"
    for words in (("--job", "x"), ("--format", "markdown")):
        done = benchharness("show", *runs, *words, "--store", url)
        assert (done.returncode, done.stdout) == (2, "")
        assert "of several runs there is a table or JSON" in done.stderr
    one = benchharness("show", runs[0], "--store", url)
    assert "intervals speak of one device, id-c, alone, and of no other unit of pixel-8" in one.stdout
