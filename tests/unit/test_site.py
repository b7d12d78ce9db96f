"""The pages beside a target's own: all targets, runs compared, index and jobs, and how they are linked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from benchharness import api
from benchharness.api import pages
from benchharness.api.findings import findings_in
from benchharness.errors import StoreError, UsageError
from benchharness.judge.answer import Standing, across, answers, worst_last
from benchharness.judge.budgets import judged
from benchharness.judge.derive import derive
from benchharness.metrics.limits import parse
from benchharness.results.result import Estimate, OutcomeKind, Result, Run
from benchharness.results.store import Store
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.hardware import load_hardware
from reports.model.found import Found
from reports.pages.cells import Shown
from reports.pages.changes import changes
from reports.pages.environment import environment
from reports.pages.files import file_names, write
from reports.pages.index import age_text, closest_budget, entry_of, index_page, render_index
from reports.pages.jobs import jobs_page, render_jobs
from reports.pages.runs import RunsPage, runs_page
from reports.pages.site import names_of
from reports.pages.targets import Matrix, Places, render_targets, targets_page
from tests.conftest import CommandLine
from tests.unit.made_up import TWO_VARIANTS, attempt, job, jobs_of, loaded, measured
from tests.unit.report_samples import RUN, WRITTEN, realistic

SIZES = {"fp32": 4000, "int8": 1000}
LATER = replace(RUN, id="0195a3fa", started=RUN.started + timedelta(hours=1))


def results(
    hardware: str = "this-machine", times: Sequence[float] = (100, 50), failing: str = "", **changes: Any
) -> list[Result]:
    """Two variants on a target by their time to the first token in ms, against a limit of 80 ms."""
    jobs = [
        job(
            f"{variant}{hardware}"[:16],
            hardware=hardware,
            variant=variant,
            scenario="first-token",
            **{"artefact_bytes": SIZES[variant], "download_bytes": SIZES[variant] // 2, **changes},
        )
        for variant in SIZES
    ]
    ended = {variant: OutcomeKind.CRASHED if variant == failing else OutcomeKind.OK for variant in SIZES}
    attempts = [
        attempt(
            number,
            *([measured("model_ttft", time * 1e6 * (1 + number / 1000))] if each.variant != failing else ()),
            job=each.key,
            outcome=ended[each.variant],
        )
        for each, time in zip(jobs, times, strict=True)
        for number in range(5)
    ]
    return judged(derive([(each, "") for each in jobs], attempts), parse({"model_ttft": "80 ms"}, "suite"))


def found(made: Sequence[Result], run: Run = RUN) -> Found:
    return Found(run=run, hardware=made[0].job.hardware, results=made, answers=answers(made))


def matrix(*made: Sequence[Result]) -> Matrix:
    every = [found(each) for each in made]
    places = [Places(page=f"{each.hardware}.html", jobs=f"{each.hardware}.jobs.html") for each in every]
    (one,) = targets_page(every, places, "now").matrices
    return one


def cells(made: Matrix, table: int = 0) -> dict[str, tuple[Shown, ...]]:
    return dict(made.tables[table].rows)


# All targets


def test_a_variant_is_told_where_it_passes_and_why_it_does_not() -> None:
    here = [answers(made)[0] for made in (results("pixel-6"), results("pi-5"), results("nano", failing="int8"))]
    lines = {each.variant: each for each in across(here)}
    assert lines["int8"].finding == "int8 passes on 2 of 3: fails on nano: first-token crashed"
    assert lines["fp32"].finding == "fp32 passes on 0 of 3: fails on pixel-6, pi-5, nano: model TTFT"
    assert [each.standing for each in lines["int8"].places] == [Standing.PASSES, Standing.PASSES, Standing.FAILS]
    assert worst_last(across(here))[-1] == 2


def test_the_matrix_has_the_worst_target_last_and_says_why_a_cell_is_empty() -> None:
    only_one = [each for each in results("tv") if each.job.variant == "fp32"]
    made = matrix(results("nano", failing="int8"), only_one, results("pixel-6"))
    assert [head.title for head in made.tables[0].heads] == ["pixel-6", "nano", "tv"]
    assert [head.limit for head in made.tables[0].heads] == ["≤ 80 ms"] * 3
    row = cells(made)["int8"]
    assert [each.state for each in row] == ["pass", "empty", "empty"]
    assert [each.why for each in row] == ["", "failed: first-token crashed", "not run here"]
    assert row[0].href == "pixel-6.jobs.html#job-2"
    assert made.findings[0] == "int8 passes on 1 of 3: fails on nano: first-token crashed; not run on tv."


def test_a_cell_is_tinted_by_its_budget_only() -> None:
    made = matrix(results("fast", (10, 5)), results("slow", (100, 50)))
    assert [each.state for each in cells(made)["fp32"]] == ["pass", "miss"]
    sizes = next(table for table in made.tables if "size" in table.title)
    assert {cell.state for _, row in sizes.rows for cell in row} == {"plain"}
    html = render_targets([found(results())], [Places(page="a.html", jobs="b.html")], [], "now")
    assert "best" not in html[html.index("<body") :].replace("best row", "")


def test_one_metric_has_one_unit_on_all_targets() -> None:
    made = matrix(results("fast", (10, 0.5)), results("slow", (7000, 50)))
    shown = [cell.quantity for row in cells(made).values() for cell in row]
    assert {each.text.split()[-1] for each in shown if each} == {"ms"}


def test_without_budgets_nothing_passes_or_fails() -> None:
    plain = [replace(each, verdicts=()) for each in results()]
    assert matrix(plain).findings == ("No budgets set: nothing passes or fails.",)


def test_many_targets_have_a_line_each_the_worst_first() -> None:
    every = [found(results(f"board-{number}", (10, 100 if number == 7 else 5))) for number in range(13)]
    places = [Places(page=f"{each.hardware}.html", jobs="jobs.html") for each in every]
    (made,) = targets_page(every, places, "now").matrices
    lines = list(made.tables[0].lines)
    assert len(lines) == 13
    assert lines[0][0].title == "board-7"
    assert [each.state for each in lines[0][1]] == ["pass", "miss"]
    html = render_targets(every, places, [], "now")
    assert html.count('<th scope="row"><a href="board-7.html">board-7</a>') == len(made.tables)
    few = render_targets(every[:12], places[:12], [], "now")
    assert '<th scope="row"><a' not in few


def test_an_index_lists_the_newest_of_many_earlier_runs() -> None:
    earlier = [replace(RUN, id=f"run-{number}") for number in range(99)]
    (line,) = index_page([entry_of(found(results()), "a.html", "", earlier)], RUN.started).lines
    assert (len(line.earlier), line.earlier_runs, line.earlier[0][2]) == (20, 99, "run-0")
    html = render_index([entry_of(found(results()), "a.html", "", earlier)], [], RUN.started)
    assert "99 earlier runs" in html
    assert "and 79 before them" in html


# Runs compared


def compared(*made: Sequence[Result], runs: Sequence[Run] = (RUN, LATER)) -> RunsPage:
    every = [found(each, run) for each, run in zip(made, runs, strict=True)]
    return runs_page(every, [f"{at}.jobs.html" for at in range(len(every))], "now")


def test_what_changed_is_told_and_what_did_not_is_not() -> None:
    other = results(digest="cd34" * 16, configuration={"name": "onnxruntime", "runtime": "onnxruntime", "threads": 4})
    page = compared(results(), other, runs=[RUN, replace(LATER, version="0.2.0")])
    assert [change.what for change in page.changes] == [
        "artefact chat · fp32",
        "artefact chat · int8",
        "configuration onnxruntime",
        "benchharness",
    ]
    assert page.changes[0].values == ("ab12ab12ab12 (3.91 KiB)", "cd34cd34cd34 (3.91 KiB)")
    assert page.finding == (
        "Changed: artefact chat · fp32, artefact chat · int8, configuration onnxruntime, benchharness."
    )
    same = compared(results(), results())
    assert same.changes == ()
    assert same.finding == "Nothing that is recorded changed between them."


def test_readings_and_what_cannot_be_read_are_no_changes() -> None:
    first = [replace(each, conditions=_with(each, load_average=0.5, governor="performance")) for each in results()]
    second = [replace(each, conditions=_with(each, load_average=3.5, governor="powersave")) for each in results()]
    (change,) = changes([found(first), found(second, LATER)])
    assert (change.what, change.values) == ("governor", ("performance", "powersave"))


def _with(result: Result, **told: Any) -> Any:
    return type(result.conditions).from_json({**result.conditions.to_json(), **told})


def test_times_of_two_runs_are_neither_better_nor_worse() -> None:
    (subject,) = compared(results(times=(100, 50)), results(times=(100, 40))).compared
    said = {(line.who.split()[0], line.metric): line.said for line in subject.differ}
    assert said == {("int8", "model TTFT"): "\N{MINUS SIGN}20.0 %: only pairs decide"}
    assert {line.said for line in subject.alike if "TTFT" in line.metric} == {"intervals overlap"}
    assert {line.said for line in subject.alike if "size" in line.metric} == {"the same"}
    html = environment().get_template("pages/runs.html.j2").render(page=compared(results(), results()), links=[])
    assert not {"better", "worse", "faster than", "slower"} & set(html[html.index("<main") :].split())


def test_sizes_and_what_is_counted_over_the_same_inputs_are_compared_exactly() -> None:
    (subject,) = compared(results(), results(artefact_bytes=600)).compared
    said = {line.said for line in subject.differ}
    assert said == {"\N{MINUS SIGN}85.0 %, exactly", "\N{MINUS SIGN}40.0 %, exactly"}
    counted = [_counted(0.990), _counted(0.995)]
    (subject,) = compared(*counted).compared
    assert [line.said for line in subject.differ if line.metric == "agreement"] == ["+0.500 points, exactly"]


def _counted(agreement: float) -> list[Result]:
    """Agreement over 200 inputs with an interval far wider than the difference between two runs."""
    made = results()
    estimate = Estimate(value=agreement, low=0.9, high=1.0, count=1, statistic="share", drawn=200, drawn_unit="inputs")
    base = made[1].metrics[0]
    metric = replace(base, name="agreement", unit="share", parameters={}, estimate=estimate, ratio=None)
    return [made[0], replace(made[1], metrics=[*made[1].metrics, metric])]


def test_what_the_last_run_no_longer_measured_stands_first_and_is_not_folded() -> None:
    """A nightly with one variant that failed and one that is missing, against the one before."""
    page = compared(results(), results(failing="int8"))
    (subject,) = page.compared
    assert "No longer measured in full: int8" in page.finding
    (lost,) = [str(each) for each in subject.lost]
    assert lost.startswith("int8")
    assert lost.endswith(": first-token: crashed.")
    assert not any(line.who.startswith("int8") and "TTFT" in line.metric for line in subject.alike)
    page = compared(results(), [each for each in results() if each.job.variant != "int8"])
    assert {each.why for each in page.compared[0].lost} == {"not in this run"}
    html = environment().get_template("pages/runs.html.j2").render(page=page, links=[])
    assert html.index("not in this run.") < html.index("<details")


def test_runs_are_headed_by_what_became_of_the_answer() -> None:
    assert compared(results(times=(100, 50)), results(times=(100, 40))).headline == "Same answer: Ship int8"
    changed = compared(results(times=(100, 50)), results(times=(100, 95))).headline
    assert changed.startswith("New answer: None passes: ")
    assert changed.endswith(" (was: Ship int8)")


def test_variants_that_pass_alike_are_told_in_one_sentence() -> None:
    made = matrix(results("fast", (10, 5)), results("slow", (20, 10)))
    assert made.findings == ("int8, fp32 pass on 2 of 2.",)


def test_jobs_that_were_asked_for_otherwise_stand_apart_with_the_reason() -> None:
    (subject,) = compared(results(), results(settings={"warmup": 9})).compared
    assert subject.differ == subject.alike == ()
    assert {line.said for line in subject.apart if "TTFT" in line.metric} == {"warmup 2 against 9"}


def test_each_column_leads_to_the_jobs_of_its_own_run() -> None:
    (subject,) = compared(results(times=(100, 50)), results(times=(100, 40))).compared
    assert [cell.href for cell in subject.differ[0].cells] == ["0.jobs.html#job-2", "1.jobs.html#job-2"]


# Index


def entries(*made: tuple[Sequence[Result], timedelta]) -> list[Any]:
    return [
        entry_of(found(each, replace(RUN, suite=f"suite {at}", started=WRITTEN - age)), "page.html", "", [RUN])
        for at, (each, age) in enumerate(made)
    ]


def test_what_failed_stands_first_then_what_is_stale() -> None:
    day = timedelta(days=1)
    fresh, old = results(times=(10, 5)), results(times=(10, 5))
    failed = results(times=(10, 5), failing="int8")
    page = index_page(entries((fresh, day), (old, 9 * day), (failed, day)), WRITTEN)
    assert [line.suite for line in page.lines] == ["suite 2", "suite 1", "suite 0"]
    assert [line.tags for line in page.lines] == [("failed",), ("stale",), ()]
    assert page.finding == "1 failed, 1 stale."
    assert [line.jobs for line in page.lines] == ["1 of 2 ok", "2 of 2 ok", "2 of 2 ok"]
    assert [line.age for line in page.lines] == ["1 day", "9 days", "1 day"]
    assert len(page.lines[0].earlier) == 1


def test_an_empty_store_has_an_index() -> None:
    page = index_page([], WRITTEN)
    assert (page.title, page.finding) == ("0 suites on 0 hardware targets", "No run is in this store.")


def test_the_closest_budget_is_the_one_with_the_least_room() -> None:
    made = results(times=(10, 5))
    tight = judged(made, parse({"model_ttft": "80 ms", "size": "1.1 kB"}, "suite"))
    assert closest_budget(answers(tight)[0]) == "size 1.00 kB ✓ ≤ 1.1 kB"
    assert closest_budget(answers([replace(each, verdicts=()) for each in made])[0]) == ""


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=-5), "under a minute"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(hours=23, minutes=59), "23 hours"),
        (timedelta(days=8), "8 days"),
    ],
)
def test_an_age_in_words(age: timedelta, text: str) -> None:
    assert age_text(age) == text


# Jobs


def test_what_all_jobs_have_alike_is_told_once() -> None:
    page = jobs_page(found(realistic()), "now")
    assert ("processor", "A processor @ 2.9 GHz") in page.alike.facts
    told = [fact for group in page.groups for each in group.jobs for fact in each.facts]
    assert not set(told) & set(page.alike.facts)
    assert page.finding == "15 jobs, 1 failed."
    assert [group.title for group in page.groups][:2] == ["smollm2-135m · fp32", "smollm2-135m · int8"]
    lone = jobs_page(found(realistic()[:1]), "now")
    assert lone.alike.facts == ()


def test_a_jobs_page_names_the_attempts_of_each_job_and_how_it_ended() -> None:
    html = render_jobs(found(realistic()), [], "now")
    assert '<p class="id">attempts a0 a1 a2 a3 a4</p>' in html
    assert "the kernel ended the worker" in html
    assert html.count('<div id="job-') == 15


def test_a_jobs_page_does_not_grow_beyond_use() -> None:
    many = [replace(each, job=replace(each.job, variant=f"v{at}")) for at, each in enumerate(realistic() * 7)][:100]
    assert len(render_jobs(found(many), [], "now")) < 1_200_000


# Files


def test_file_names_are_safe_and_differ_even_without_capitals() -> None:
    assert file_names(["../../etc/passwd", "Phone", "phone", "…", ""]) == [
        "etc-passwd.html",
        "Phone.html",
        "phone-2.html",
        "report.html",
        "report-2.html",
    ]
    assert len(set(file_names(["same"] * 5000))) == 5000


def test_no_suite_takes_the_place_of_the_index() -> None:
    names = names_of([("index", "a"), ("Index", "a"), ("a.b", "c"), ("a", "b.c"), ("a", "b.c.jobs")])
    files = [*names.suites.values(), *(file for place in names.targets.values() for file in (place.page, place.jobs))]
    assert "index.html" not in {each.casefold() for each in files}
    assert len({each.casefold() for each in files}) == len(files) == 4 + 2 * 5


def test_pages_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "reports"
    paths = write({"a.html": "a", "b.html": "b"}, folder)
    assert sorted(path.name for path in folder.iterdir()) == [path.name for path in paths] == ["a.html", "b.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write({"a.html": "b"}, tmp_path / "file")


# Over a store


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Two runs of one suite, and one of another, without an attempt."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    store = Store(url)
    suite = loaded(tmp_path, TWO_VARIANTS + "[[workloads]]\nprompt = { tokens = 8 }\noutput_tokens = 8\n")
    for name in ("phones", "phones", "other"):
        store.create_run(
            suite=name,
            digest=suite.digest,
            suite_json=suite.model_dump_json(by_alias=True),
            hardware_json=load_hardware(THIS_MACHINE).model_dump_json(),
            planned=jobs_of(suite),
        )
    assert set(map(tuple, store.hardware_of_runs().values())) == {("this-machine",)}
    store.close()
    return url


@pytest.fixture
def without_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of a target has tests of its own."""
    monkeypatch.setattr("reports.pages.site.page_of", lambda *_, **__: None)
    monkeypatch.setattr("reports.pages.site.render_page", lambda *_: "a target's page")


@pytest.mark.usefixtures("without_drawing")
def test_a_site_has_the_newest_run_in_full_and_lists_earlier_ones(url: str, tmp_path: Path) -> None:
    index, *others = api.site(tmp_path / "site", store=url)
    assert index.name == "index.html"
    assert {path.name for path in others} == {
        f"{suite}.{what}.html"
        for suite in ("phones", "other")
        for what in ("targets", "this-machine", "this-machine.jobs")
    }
    text = index.read_text(encoding="utf-8")
    assert text.count("1 earlier run<") == 1
    assert "History" not in text
    assert {run.id for run in api.runs(store=url) if run.id in text} == {api.runs(store=url)[-1].id}


@pytest.mark.usefixtures("without_drawing")
def test_a_run_that_cannot_be_read_stands_in_the_index_with_the_reason(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = findings_in

    def damaged(store: Store, run: str) -> api.Findings:
        if store.run(run).suite == "other":
            raise StoreError("the store holds what cannot be read")
        return read(store, run)

    monkeypatch.setattr(pages, "findings_in", damaged)
    index, *others = api.site(tmp_path / "site", store=url)
    assert "it cannot be read: the store holds what cannot be read" in index.read_text(encoding="utf-8")
    assert {path.name.partition(".")[0] for path in others} == {"phones"}


def test_the_command_writes_a_site_and_refuses_a_run_beside_it(
    url: str, tmp_path: Path, benchharness: CommandLine
) -> None:
    done = benchharness("report", "--site", "public", "--store", url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["report: public/index.html"]
    assert (tmp_path / "public" / "other.this-machine.html").is_file()
    refused = benchharness("report", "latest", "--site", "public", "--store", url)
    assert refused.returncode == 2
    assert "name no run beside it" in refused.stderr
    first, second = (run.id for run in api.runs(store=url)[1:])
    compared = benchharness("report", first, second, "--store", url)
    assert compared.returncode == 0, compared.stderr
    assert len(compared.stdout.splitlines()) == 3
    assert "2 runs on this-machine" in (tmp_path / "report" / "this-machine.html").read_text(encoding="utf-8")
