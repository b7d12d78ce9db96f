"""What is shown of the field: beside the lab, on a page, in a terminal, and byte for byte."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchharness.device.tally import HISTOGRAMS, parse
from benchharness.errors import UsageError
from benchharness.judge.derive import derive
from benchharness.telemetry.figures import devices_of
from benchharness.telemetry.lab import lab_figures, tallies_of
from benchharness.telemetry.ledger import Ledger
from benchharness.telemetry.privacy import pieces_of, released_pieces, smallest
from benchharness.telemetry.shares import Range
from benchharness.telemetry.told import field_text, told_of, told_of_release
from benchharness.telemetry.votes import Counted, counted, places_of
from benchharness.terminal.telemetry import show_field, show_ledger, show_pieces
from reports.pages.field import field_page, render_field
from tests.conftest import CommandLine
from tests.unit.field_samples import NOW, PERIOD, fleet, merged, released, results, with_times
from tests.unit.made_up import attempt, job, run


def rows(told: dict[str, Any], hardware: str = "pixel-8") -> dict[str, dict[str, Any]]:
    return {row["figure"]: row for group in told["groups"] if group["hardware"] == hardware for row in group["rows"]}


def printed(show: Any, *shown: Any, width: int = 160) -> str:
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        show(*shown, console)
    return captured.get()


# Beside the lab


def test_the_lab_stands_beside_the_field_with_an_interval_of_its_own() -> None:
    told = told_of(merged(), lab_figures(results()))
    row = rows(told)["model TTFT p50"]
    (lab,) = row["lab"]
    assert lab["whose"] == "steady · onnxruntime · 64-token prompt"
    assert re.fullmatch(r"9\d\.\d+ ms", lab["value"])
    assert lab["interval"]
    assert row["interval"]
    assert rows(told)["model TTFT p95"]["lab"][0]["value"].endswith("ms"), "made of the samples: the run derived no p95"
    assert rows(told)["how sessions end: killed"]["lab"][0]["value"] == "25.0 %"


def test_a_run_of_other_hardware_or_variants_stands_beside_nothing() -> None:
    for other in (results(variant="int8"), results(hardware="this-machine")):
        assert not any(row["lab"] for row in rows(told_of(merged(), lab_figures(other))).values())


def test_a_tally_of_a_run_counts_every_sample_in_the_fields_bins() -> None:
    (found,) = tallies_of(run(), results())
    counts = found.counts["int4"]
    assert sum(counts["model_ttft"]) == 600
    assert sum(counts["itl"]) == 300
    assert sum(counts["peak_memory"]) == 3
    assert counts["session_end"][:4] == [3, 0, 0, 1]
    assert counts["throttling"] == [0, 0, 4], "what a result does not tell is unknown"
    edges = HISTOGRAMS["model_ttft"].edges
    (place,) = [at for at, count in enumerate(counts["model_ttft"]) if count]
    assert edges[place - 1] < 9e7
    assert edges[place] >= 9.2e7
    assert parse(found.text().encode()) == found
    assert tallies_of(run(), results()) == [found], "counted twice, a run is one device's file that comes twice"
    with pytest.raises(UsageError, match="model 'my chat' fits in no tally"):
        tallies_of(run(), derive([(job(model="my chat"), "")], [attempt()]))


def test_what_few_devices_say_is_not_made_a_number() -> None:
    told = rows(told_of(merged(20), {}))
    assert told["model TTFT p95"]["value"].startswith("above ")
    assert told["how sessions end: killed"]["interval"] == "0.0 to 16.8"
    assert field_text(Range(value=None, low=None, high=None), "ns") == ("unknown", "")
    assert field_text(Range(value=None, low=1e6, high=2e6), "ns") == ("1.00 ms to 2.00 ms", "")
    assert field_text(Range(value=0.5, low=0.0, high=1.0), "share")[0] == "unknown"
    assert field_text(Range(value=1.4e7, low=9e6, high=8.8e10), "ns") == ("14.0 ms", "9.00 ms to 88.0 s")


def test_a_variant_that_has_no_vote_is_not_said_to_have_been_counted_by_nobody() -> None:
    """A device has one vote over all of its variants: of the other it counted, and says nothing."""
    one = with_times(1, [1e8] * 5)
    one.add("int8", "session_end", "ok")
    counts = counted([one], places_of([one]))
    told = told_of(Counted(period=PERIOD, model="chat", counts=counts), {})
    told_reasons = {row["interval"] for group in told["groups"] if group["variant"] == "int8" for row in group["rows"]}
    assert told_reasons == {"no device has its vote here"}


def test_each_job_of_the_lab_is_named_where_there_are_several() -> None:
    row = {"figure": "peak memory p50", "devices": "9", "value": "70 MiB", "interval": "60 to 80"}
    jobs = [{"whose": f"job {each}", "value": f"{each} MiB", "interval": "1 to 9"} for each in (3, 4)]
    told = {
        "title": "",
        "remarks": [],
        "groups": [{"hardware": "pi", "variant": "int4", "rows": [{**row, "lab": jobs}]}],
    }
    text = printed(show_field, told)
    assert "lab: job 3; job 4: 4 MiB, 1 to 9" in text


# Released


def test_a_release_states_what_it_costs_and_holds_the_truth(tmp_path: Path) -> None:
    found = released(tmp_path)
    told = told_of_release(found, lab_figures(results()))
    assert told["title"] == "Field: chat, 2026-10, epsilon 1, delta 0"
    assert any("may have lost epsilon 1 of 4" in each for each in told["remarks"])
    assert any("scale 2 " in each for each in told["remarks"]), "two histograms share one epsilon"
    low, high = rows(told)["model TTFT p50"]["drawn"][1:]
    assert low < 1e8 <= high
    assert rows(told, "pi")["model TTFT p50"]["value"] == "unknown", "no device of it sent anything"
    assert "too few devices for this much noise" in rows(told, "pi")["model TTFT p50"]["interval"]


def test_nothing_that_is_shown_of_a_release_was_made_of_exact_counts(tmp_path: Path) -> None:
    """It follows from the stored document alone, of which the fleet is no part any more."""
    first = told_of_release(released(tmp_path), {})
    again = told_of_release(released(tmp_path, count=7), {})
    assert first["groups"] == again["groups"]
    assert any("told again for nothing" in each for each in again["remarks"])


def test_the_number_of_devices_is_a_range_where_it_was_released(tmp_path: Path) -> None:
    found = released(tmp_path)
    for each in devices_of(found.counted):
        if each.place[0] == "pixel-8":
            assert each.count.low is not None
            assert each.count.high is not None
            assert each.count.low <= 2000 <= each.count.high
    assert re.fullmatch(r"1,\d{3} to 2,\d{3}", rows(told_of_release(found, {}))["model TTFT p50"]["devices"])


# Shown


def test_the_terminal_shows_every_figure_at_any_width(tmp_path: Path) -> None:
    told = told_of_release(released(tmp_path), lab_figures(results()))
    for width in (60, 100, 200):
        text = " ".join(printed(show_field, told, width=width).split())
        assert "TTFT p50" in text or "T p50" in text
        assert "epsilon 1, delta 0" in text
        assert "or shows that a device was forged" in text
    assert "lost epsilon 1 of 4" in printed(show_ledger, Ledger.read(tmp_path / "fleet.ledger"))


def test_the_page_shows_both_and_draws_times(tmp_path: Path) -> None:
    told = told_of_release(released(tmp_path), lab_figures(results()))
    page = field_page(told, NOW)
    group = next(each for each in page.groups if each.hardware == "pixel-8")
    assert group.chart is not None
    assert [pair.label for pair in group.chart.pairs] == ["model TTFT p50", "model TTFT p95"]
    assert all(len(pair.lab) == 1 for pair in group.chart.pairs)
    html = render_field(told, NOW)
    assert html.count("<svg") == 1
    assert "epsilon 1, delta 0" in html
    assert "forged" in html


def test_names_of_devices_do_nothing_on_a_page() -> None:
    told = told_of(merged(), {})
    attack = "<img src=x onerror=alert(1)>\u202e"
    told["groups"][0]["hardware"] = told["groups"][0]["variant"] = attack
    told["title"] = attack
    html = render_field(told, NOW)
    assert "<img" not in html
    assert "\u202e" not in html
    assert "\x1b" not in printed(show_field, {**told, "title": "\x1b[31m"})


# Byte for byte


def test_what_leaves_a_device_is_shown_byte_for_byte(tmp_path: Path) -> None:
    (found,) = tallies_of(run(), results())
    path = tmp_path / "tally.json"
    path.write_text(found.text(), encoding="ascii")
    pieces = pieces_of(path)
    assert b"".join(each.content for each in pieces) == path.read_bytes()
    assert [each.at for each in pieces] == [sum(len(b.content) for b in pieces[:at]) for at in range(len(pieces))]
    shown = printed(show_pieces, pieces, "", width=20)
    for line in path.read_text().splitlines():
        assert line in shown
    assert f"{path.stat().st_size:,} bytes in all" in " ".join(shown.split())
    told = {each.says.partition(":")[0]: each.says for each in pieces}
    assert "600 counted; one is an answer" in told["model TTFT"]
    assert "ok 3, killed 1" in told["how sessions end"]
    unexplained = [each.content for each in pieces if not each.says]
    assert all(set(each) <= set(b"{}\n") for each in unexplained), "every byte that could say something is explained"


def test_every_field_there_is_stands_in_the_example() -> None:
    content = b"".join(each.content for each in smallest())
    assert list(parse(content).counts["int4"]) == list(HISTOGRAMS)


@pytest.mark.parametrize("layout", ["one line", "indented", "joined"])
def test_a_tally_that_another_program_laid_out_is_shown_whole_and_said_to_be(tmp_path: Path, layout: str) -> None:
    text = fleet(1)[0].text()
    other = {
        "one line": json.dumps(json.loads(text)),
        "indented": json.dumps(json.loads(text), indent=1),
        "joined": text.replace(',\n"itl"', ',"itl"'),
    }[layout]
    path = tmp_path / "tally.json"
    path.write_text(other, encoding="ascii")
    pieces = pieces_of(path)
    assert b"".join(each.content for each in pieces) == other.encode()
    assert "another program laid this out" in pieces[0].says


def test_a_variant_that_is_called_like_a_field_is_a_variant(tmp_path: Path) -> None:
    (path := tmp_path / "tally.json").write_text(with_times(1, [1e8], variant="device").text(), encoding="ascii")
    told = [each.says for each in pieces_of(path) if each.content.startswith(b'"device"')]
    assert [each[:11] for each in told] == ["128 random ", "the variant"]


@pytest.mark.parametrize("content", [b"", b"{}", b"\x1b[2J"])
def test_what_is_no_tally_is_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UsageError, match="is no tally"):
        pieces_of(tmp_path / "x.json")


def test_what_left_a_fleet_is_what_the_ledger_keeps(tmp_path: Path) -> None:
    found = released(tmp_path)
    (piece,) = released_pieces(tmp_path / "fleet.ledger")
    assert json.loads(piece.content) == found.counted.to_json()
    assert "epsilon 1, delta 0" in piece.says


# Commands


def files_of(folder: Path, count: int) -> Path:
    folder.mkdir()
    for tally in fleet(count):
        (folder / f"{tally.device}.json").write_text(tally.text(), encoding="ascii")
    (folder / "bad.json").write_text("{}", encoding="ascii")
    return folder


def test_files_are_merged_into_a_table(benchharness: CommandLine, tmp_path: Path) -> None:
    files_of(tmp_path / "tallies", 30)
    done = benchharness("telemetry", "merge", "tallies")
    assert done.returncode == 0, done.stderr
    assert re.search(r"model TTFT p50 +30 +\d+ ms", done.stdout)
    assert "not counted: bad.json: it names no schema" in done.stderr


def test_a_month_is_released_as_a_user_does_it(benchharness: CommandLine, tmp_path: Path) -> None:
    pytest.importorskip("opendp", reason="OpenDP, 265 MB, is not installed")
    files_of(tmp_path / "tallies", 60)
    declared = ("--model", "chat", "--hardware", "pixel-8", "--variant", "int4")
    assert benchharness("telemetry", "open", "l", "--epsilon", "1.5", *declared).returncode == 0
    asked = ("telemetry", "release", "--ledger", "l", "--period", PERIOD, "--of", "model_ttft", "--json")
    first, again = (
        benchharness(*asked, files, "--epsilon", "1", "--out", "field.html") for files in ("tallies", "gone")
    )
    assert first.returncode == 0, first.stderr
    assert (tmp_path / "field.html").is_file()
    assert json.loads(first.stdout) == json.loads(again.stdout)
    assert json.loads(first.stdout)["noise"]["by"].startswith("OpenDP")
    more = benchharness(*asked, "tallies", "--epsilon", "0.6")
    assert (more.returncode, more.stdout) == (2, "")
    assert "the budget is 1.5 (0.5 left)" in more.stderr
    assert "epsilon 1, delta 0" in benchharness("telemetry", "privacy", "--ledger", "l").stdout
    assert "a tally of chat in 2026-10: 60," in first.stderr
    assert "devices that sent" not in again.stderr, "what was answered needs no files"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("merge", "none"), "no such file or folder"),
        (("merge", "."), "none of the files is a tally"),
        (("ledger", "none"), "open one: benchharness telemetry open"),
        (("privacy", "none"), "cannot be read"),
        (("tally", "latest"), "no run"),
        (("open", "l", "--epsilon", "lots", "--model", "m", "--hardware", "h", "--variant", "v"), "decimal number"),
    ],
)
def test_bad_input_ends_in_a_sentence(benchharness: CommandLine, words: tuple[str, ...], told: str) -> None:
    done = benchharness("telemetry", *words)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
