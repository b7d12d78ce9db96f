"""What the terminal shows."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from benchharness.errors import UsageError
from benchharness.judge.answer import answers
from benchharness.judge.derive import derive
from benchharness.results.result import Attempt, Estimate, Job, Outcome, OutcomeKind, Result
from benchharness.terminal import values as terminal_values
from benchharness.terminal.answer import show_answers
from benchharness.terminal.console import tell
from benchharness.terminal.details import details
from benchharness.terminal.job import find_job, show_job
from benchharness.terminal.progress import JobLines, ProgressBar
from benchharness.terminal.run_list import run_lines
from benchharness.units import duration_text, quantity_text, scale_for
from tests.unit.made_up import attempt, job, measured, run
from tests.unit.report_course_samples import everything
from tests.unit.report_samples import realistic
from tests.unit.screens import console

RUN = run(id="0195a3c2")
INT8 = job()
FP32 = job("fedcba9876543210", variant="fp32")


def shown(jobs: Sequence[Job], attempts: Sequence[Attempt], width: int = 200) -> str:
    return printed(derive([(each, "") for each in jobs], attempts), width)


def printed(results: Sequence[Result], width: int = 200) -> str:
    """All that `show --details` prints."""
    made, buffer = console(width)
    found = answers(results)
    show_answers(found, results, made)
    details(found, results, (), made)
    return buffer.getvalue()


def attempts_of(key: str, value: float, **changes: Any) -> list[Attempt]:
    spread = (0.99, 1.0, 1.01, 0.99, 1.01)
    return [
        attempt(round_, measured("decode_rate", value * each), job=key, **changes) for round_, each in enumerate(spread)
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.4, "9.4 s"),
        (12, "12 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (999_600, "ns", "1.00 ms"),
        (0.0012, "J", "1.20 mJ"),
        (2**41, "bytes", "2.00 TiB"),
        (0.9998, "share", "99.980 %"),
        (float("inf"), "ns", "∞ ns"),
        (812_345_678, "ns", "812 ms"),
        (1_500_000_000, "ns", "1.50 s"),
        (36, "ns", "36.0 ns"),
        (0, "ns", "0 ns"),
        (0.25, "ns", "0.250 ns"),
        (7_200, "ns", "7.20 µs"),
        (136_314_880, "bytes", "130 MiB"),
        (1000, "bytes", "1,000 B"),
        (16.44, "tokens/s", "16.4 tokens/s"),
        (3, "inferences/s", "3.00 inferences/s"),
    ],
)
def test_quantities_have_a_readable_unit_and_three_digits(value: float, unit: str, text: str) -> None:
    assert quantity_text(value, unit) == text


@pytest.mark.parametrize(
    ("value", "half", "text"),
    [
        (12_345_678, 49_000, "12.346 ms"),
        (12_345_678, 400_000, "12.35 ms"),
        (12_345_678, 6_100_000, "12.3 ms"),
        (123_456_789, 25_000_000, "123 ms"),
        (9_876, 1_234, "9.9 µs"),
        (1_234_567_890, 1, "1.234568 s"),
    ],
)
def test_digits_follow_the_interval(value: float, half: float, text: str) -> None:
    estimate = Estimate(value=value, low=value - half, high=value + half)
    assert terminal_values.estimated(estimate, "ns") == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.8, 1.2, "× 1.00 [0.80, 1.20]"),
        (0.999, 1.001, "× 1.0000 [0.9990, 1.0010]"),
        (1.0, 1.0, "× 1.00 [1.00, 1.00]"),
    ],
)
def test_a_ratio_has_the_decimals_that_its_interval_carries(low: float, high: float, text: str) -> None:
    assert terminal_values.times(Estimate(value=(low + high) / 2, low=low, high=high)) == text


@pytest.mark.parametrize(
    ("value", "unit", "wish", "text"),
    [
        (57_872_384, "bytes", "MB", "57.9 MB"),
        (57_872_384, "bytes", "MiB", "55.2 MiB"),
        (57_872_384, "bytes", "", "55.2 MiB"),
        (57_872_384, "bytes", "GB", "0.0579 GB"),
        (57_872_384, "bytes", "ms", "55.2 MiB"),  # of another kind
        (57_872_384, "ns", "ms", "57.9 ms"),
        (1.5e9, "ns", "ms", "1,500 ms"),
        (0.5, "J", "mJ", "500 mJ"),
    ],
)
def test_units_are_the_users(value: float, unit: str, wish: str, text: str) -> None:
    assert quantity_text(value, unit, scale_for(unit, value, wish)) == text


def test_a_summary_shows_every_variant_with_interval_and_ratio() -> None:
    text = shown([FP32, INT8], [*attempts_of(FP32.key, 20.0), *attempts_of(INT8.key, 30.0)])
    rows = text.partition("decode rate (tg), tokens/s\n")[2].splitlines()
    assert rows[0].split() == ["fp32", "*", "20.00", "19.75", "to", "20.25"]  # two digits of half the interval
    assert rows[1].split() == ["int8", "30.00", "29.63", "to", "30.37", "×", "1.50", "[1.50,", "1.50]"]
    assert "30.00 ±1" in text
    assert "×1.50" in text


GREEN, RED = "\x1b[32m", "\x1b[31m"


@pytest.mark.parametrize(("metric", "colour"), [("decode_rate", GREEN), ("model_ttft", RED)])
def test_a_ratio_is_coloured_by_what_is_better_where_its_interval_excludes_one(metric: str, colour: str) -> None:
    def coloured(scale: float, spread: float) -> str:
        made, buffer = console(force_terminal=True, color_system="standard")
        ours = [attempt(i, measured(metric, 1e9 * scale * (1 + spread * (i % 2)))) for i in range(5)]
        theirs = [attempt(i, measured(metric, 1e9), job=FP32.key) for i in range(5)]
        results = derive([(FP32, ""), (INT8, "")], [*theirs, *ours])
        details(answers(results), results, (), made)
        return buffer.getvalue()

    assert f"{colour}× 1.5" in coloured(1.5, 0.01)
    unsure = coloured(1.0, 0.05)
    assert "× 1.0" in unsure
    assert f"{GREEN}×" not in unsure
    assert f"{RED}×" not in unsure


def test_a_failed_job_is_a_row_that_says_how() -> None:
    failed = attempt(0, job=INT8.key, outcome=Outcome(kind=OutcomeKind.TIMEOUT, reason="no result within 3 s"))
    text = shown([FP32, INT8], [*attempts_of(FP32.key, 20.0), failed])
    assert "timeout: no result within 3 s" in text


def test_an_unknown_interval_is_called_unknown() -> None:
    assert "20.0  ± unknown" in shown([FP32], [attempt(0, measured("decode_rate", 20.0), job=FP32.key)])


def test_what_tells_rows_apart_stands_in_their_names() -> None:
    other = job("1" * 16, configuration={**INT8.configuration.to_json(), "name": "2 threads"})
    assert "int8 · onnxruntime\n" not in details_of([FP32, INT8])
    told = details_of([INT8, other])
    assert "int8 · onnxruntime: timeout" in told
    assert "int8 · 2 threads: timeout" in told


def details_of(jobs: Sequence[Job], attempts: Sequence[Attempt] = (), width: int = 200) -> str:
    made, buffer = console(width)
    results = derive([(each, "") for each in jobs], attempts)
    details(answers(results), results, (), made)
    return buffer.getvalue()


def test_a_runtime_that_takes_texts_alone_says_so_in_the_details_too() -> None:
    ours = [attempt(number, measured("request_ttft", 1e6)) for number in range(5)]
    theirs = [attempt(number, measured("model_ttft", 1e6), job=FP32.key) for number in range(5)]
    assert "takes a text: request TTFT alone" in details_of([FP32, INT8], [*ours, *theirs])


LONG_NAMES = ("a-variant-quantized-int8", "a-variant-quantized-int4")


@pytest.mark.parametrize("width", [60, 80])
def test_no_row_of_the_details_breaks(width: int) -> None:
    jobs = [replace(INT8, key=str(at) * 16, variant=name) for at, name in enumerate(LONG_NAMES)]
    jobs += [
        replace(
            each, key=f"a{each.key[1:]}", configuration=replace(each.configuration, name="onnxruntime with 2 threads")
        )
        for each in jobs
    ]
    text = details_of(jobs, [each for made in jobs for each in attempts_of(made.key, 2345.6)], width)
    rows = text.partition("decode rate (tg), tokens/s\n")[2].splitlines()[: len(jobs)]
    assert len({row.partition("2,346")[0] for row in rows}) == len(jobs), "told apart"
    for row in rows:
        assert re.search(r"2,346  2,317 to 2,375$", row), row
    assert max(map(cell_len, text.splitlines())) <= width


def test_no_row_of_sessions_pauses_and_ladders_breaks() -> None:
    made, buffer = console(80)
    results = everything()
    details(answers(results), results, (), made)
    text = buffer.getvalue()
    assert max(map(cell_len, text.splitlines())) <= 80
    session = r"^  session 1 of 3  throttled \(quota\) +31.0 tokens/s +21.6 tokens/s +69.6 %$"
    assert re.search(session, text, re.MULTILINE)
    assert re.search(r"^memory 300 MiB    thrashing     1 of 5    19.3 s    12,345  300 MiB$", text, re.MULTILINE)
    assert re.search(r"^  fp32 · cpu 2 threads   10 s         1.061 s  ±4 %$", text, re.MULTILINE)
    assert re.search(r"^fp32 · cpu 2 threads   300 MiB  int8         2.10 s  1.20 s$", text, re.MULTILINE)


def test_the_details_are_in_the_unit_of_the_budget() -> None:
    made, buffer = console(80)
    results = realistic()
    show_job(next(each for each in results if any(verdict.metric == "peak_memory" for verdict in each.verdicts)), made)
    details(answers(results), results, (), made)
    assert "peak memory, MiB" in buffer.getvalue()
    judged = [
        replace(
            each, verdicts=[replace(verdict, unit="MB") for verdict in each.verdicts if verdict.metric == "peak_memory"]
        )
        for each in results
    ]
    made, buffer = console(80)
    details(answers(judged), judged, (), made)
    show_job(next(each for each in judged if each.verdicts), made)
    assert "peak memory, MB" in buffer.getvalue()
    assert re.search(r"^peak memory.*\n  .* MB ", buffer.getvalue(), re.MULTILINE)


def test_a_kind_of_warning_is_a_line_with_how_many_jobs_it_concerns() -> None:
    attempts = [*attempts_of(FP32.key, 20.0)[:2], *attempts_of(INT8.key, 30.0)[:2]]
    assert shown([FP32, INT8], attempts).count("2 of 2 jobs have too few attempts for narrow intervals") == 1


def test_names_are_shown_as_they_are() -> None:
    named = job(variant="[bold]int8[/bold]", model="[red]chat")
    text = shown([named], attempts_of(INT8.key, 30.0))
    assert "[bold]int8[/bold]" in text
    assert "[red]chat" in text


ESCAPES = "\x1b]0;title\x07\x1b[2J\x9b31m"


def test_a_devices_words_cannot_steer_the_terminal() -> None:
    outcome = Outcome(kind=OutcomeKind.CRASHED, reason=f"before{ESCAPES}after")
    text = shown([INT8], [attempt(0, job=INT8.key, outcome=outcome)])
    assert "before" in text
    assert not {"\x1b", "\x07", "\x9b"} & set(text)


@pytest.mark.parametrize("observer", [JobLines, ProgressBar])
def test_a_devices_words_cannot_steer_the_terminal_during_a_run(observer: Any) -> None:
    made, buffer = console()
    outcome = Outcome(kind=OutcomeKind.CRASHED, reason=f"before{ESCAPES}after")
    with observer(made) as watching:
        watching.begins([job(variant=f"named{ESCAPES}")], 1, 5, 5, None)
        watching.phase(f"load{ESCAPES}", 0, 1)
        watching.ended(INT8, attempt(0, outcome=outcome))
    assert "before" in buffer.getvalue()
    assert not {"\x1b", "\x07", "\x9b"} & set(buffer.getvalue())


def test_where_there_is_no_terminal_a_job_is_a_line_with_its_figure() -> None:
    made, buffer = console(60)
    attempts = attempts_of(INT8.key, 30.0)
    (result,) = derive([(INT8, "5 attempts, as asked")], attempts)
    with JobLines(made) as watching:
        for number, each in enumerate(attempts, start=1):
            watching.begins([INT8], number, 5, 6 - number, 70.0)
            watching.phase("load", 0, 0)
            watching.ended(INT8, each)
            assert buffer.getvalue() == ""
        watching.done(result)
    assert buffer.getvalue() == f"{INT8.title}: ok, decode rate (tg) 30.00 tokens/s ±1 %, 5 attempts, as asked\n"


def test_where_there_is_no_terminal_a_failure_is_said_at_once_and_once() -> None:
    made, buffer = console()
    failed = attempt(0, outcome=Outcome(kind=OutcomeKind.CRASHED, reason="so"))
    with JobLines(made) as watching:
        watching.begins([INT8], 1, 5, 5, None)
        watching.ended(INT8, failed)
        assert buffer.getvalue() == f"{INT8.title}: crashed: so\n"
        watching.done(derive([(INT8, "given up")], [failed])[0])
        assert buffer.getvalue().count("\n") == 1
        watching.done(derive([(FP32, "the time was over")], [])[0])  # never tried
    assert buffer.getvalue().splitlines()[1].startswith(f"{FP32.title}: timeout: ")


def drawn(jobs: Sequence[Job], attempt: int, of: int, left: int, left_s: float | None, width: int = 300) -> str:
    buffer = io.StringIO()
    made = Console(file=buffer, width=width, force_terminal=True, color_system=None)
    with ProgressBar(made) as watching:
        watching.begins(jobs, attempt, of, left, left_s)
        watching.phase("measure", 3, 7)
    return buffer.getvalue()


def test_progress_names_every_variant_of_a_pass() -> None:
    passes = [job(key, variant=key, scenario="quality") for key in ("int8", "int4", "fp16")]
    assert "chat · int8, int4, fp16 · 64-token prompt · quality · attempt 1 of 1" in drawn(passes, 1, 1, 3, None)
    other = replace(passes[0], configuration=replace(passes[0].configuration, name="npu"))
    assert "int8 on onnxruntime, int8 on npu" in drawn([passes[0], other], 1, 1, 2, None)


def test_progress_cuts_nothing_at_80_columns() -> None:
    names = [f"a-variant-quantized-to-{number}-bits" for number in (8, 6, 4)]
    passes = [job(name, variant=name, scenario="quality") for name in names]
    text = drawn(passes, 1, 1, 3, 70.0, width=80)
    for name in (*names, "attempt 1 of 1", "measure", "3/7", "about 1 min 10 s left", "0/3"):
        assert name in text.replace("\r\n", " ").replace("\n", " "), name
    assert "…" not in text
    assert max(cell_len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line)) for line in text.splitlines()) <= 80


def test_progress_says_what_is_left() -> None:
    text = drawn([INT8], 2, 17, 40, 70.0)
    assert f"{INT8.title} · attempt 2 of 17 · measure 3/7" in text
    assert "about 1 min 10 s left" in text
    assert "0/40" in text


LONG_SUITE = replace(RUN, id="0195a3c2-7b1e-7c44-9d0f-3f6f2f5e8a11", suite="a suite with a long\nname " * 4)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_an_id_stands_whole_in_the_list_of_runs(width: int) -> None:
    lines = list(run_lines([LONG_SUITE, RUN], width))
    assert len(lines) == 3
    assert [line.split()[0] for line in lines] == ["run", LONG_SUITE.id, RUN.id]
    if width >= 60:
        assert max(map(len, lines)) <= width


def test_runs_are_listed_with_what_they_were() -> None:
    text = "\n".join(run_lines([RUN], 120))
    for part in ("0195a3c2", "phones", "finished", "2", "10"):
        assert part in text


def test_a_job_is_found_by_its_key_or_a_part_of_its_title() -> None:
    results = derive([(INT8, ""), (FP32, "")], [])
    assert find_job(results, INT8.key).job is INT8
    assert find_job(results, FP32.key[:5]).job is FP32
    assert find_job(results, "Chat · INT8").job is INT8
    with pytest.raises(UsageError, match="2 jobs are named 'steady'") as told:
        find_job(results, "steady")
    assert INT8.key in str(told.value)
    with pytest.raises(UsageError, match="no job is named 'int4'"):
        find_job(results, "int4")


def test_everything_of_a_job_is_shown() -> None:
    failed = attempt(5, outcome=Outcome(kind=OutcomeKind.CRASHED, reason="so", evidence=f"the end\nof it{ESCAPES}"))
    results = derive([(INT8, "5 attempts, as asked")], [*attempts_of(INT8.key, 30.0), failed])
    made, buffer = console(160)
    show_job(results[0], made)
    text = buffer.getvalue()
    for part in (
        INT8.key,
        "30.00 tokens/s ±1 %",
        "5 ok, 1 crashed; 5 attempts, as asked",
        "effective",
        "accelerators",
        "unknown: no cpufreq on this system",
        "conditions",
        INT8.digest,
        attempts_of(INT8.key, 30.0)[0].id,
        "some-attempts-failed: ",
    ):
        assert part in text, part
    assert not {"\x1b", "\x07", "\x9b"} & set(text)
    only = derive([(INT8, "given up")], [failed])
    show_job(only[0], made)
    assert "  | the end\n  | of it" in buffer.getvalue()


def test_a_reference_execution_tells_quality_and_nothing_else() -> None:
    weights_only = {"execution": "reference"}
    assert "reference execution, weights only" in shown([INT8], [attempt(effective=weights_only)])
    rows = [0.5, 0.6, 0.25, 1.0] * 12
    parameters = {"scored": 2, "scored_from": 2, "chunks": 6}
    divergence = measured("token_divergence", 0.25, rows, parameters=parameters, row_length=4)
    compared = job(scenario="quality", against={"variant": "fp32"})
    told = shown([compared], [attempt(0, divergence, effective=weights_only)])
    assert "0.250 nats" in told
    assert "reference execution, weights only" not in told.split("quality · onnxruntime")[1].split("Intervals")[0]


def test_how_much_of_the_evaluation_data_was_used_stands_under_the_table() -> None:
    parameters: dict[str, int | float | str] = {"scored": 2, "scored_from": 2, "chunks": 6, "leading_tokens": "1 <bos>"}
    parameters["used"] = "6 of 60 chunks, 24 of 250 tokens"
    rows = [0.5, 0.6, 0.25, 1.0] * 12
    divergence = measured("token_divergence", 0.25, rows, parameters=parameters, row_length=4)
    told = " ".join(shown([job(scenario="quality", against={"variant": "fp32"})], [attempt(0, divergence)]).split())
    assert "evaluated on 6 of 60 chunks, 24 of 250 tokens; leading token of each chunk: 1 <bos>" in told
    decisions = measured("class_decisions", 1.0, [0.0] * 8, parameters={"used": "2 of 9 inputs"}, row_length=4)
    told = " ".join(shown([job(scenario="quality", against={"variant": "fp32"})], [attempt(0, decisions)]).split())
    assert "evaluated on 2 of 9 inputs" in told


def test_details_have_the_ratios_of_sizes() -> None:
    smaller = replace(INT8, artefact_bytes=FP32.artefact_bytes // 4)
    attempts = [*attempts_of(FP32.key, 20.0), *attempts_of(INT8.key, 20.0)]
    text = shown([FP32, smaller], attempts)
    (sizes,) = re.findall(r"size, B\n(.*?)\ndecode", text, re.DOTALL)
    assert [line.split() for line in sizes.splitlines()] == [["fp32", "*", "1,000"], ["int8", "250", "×", "0.250"]]


def test_a_number_stays_with_its_unit_at_the_end_of_a_line() -> None:
    sentence = "It keeps all 3 budgets: peak memory 77.212 MB, size 16.5 kB, agreement 100.00 %, limit ≤ 400 ms."
    for width in range(20, 90):
        made, buffer = console(width)
        tell(made, sentence)
        lines = buffer.getvalue().splitlines()
        assert " ".join(lines) == sentence
        assert max(map(len, lines)) <= width
        assert not [line for line in lines if re.match(r"(MB|kB|%|ms)\b|[%]", line) or line.endswith("≤")]


def test_the_brief_interval_of_a_share_at_its_end_has_one_side() -> None:
    scale = scale_for("share", 1.0)
    assert terminal_values.brief_spread(Estimate(value=1.0, low=0.9926, high=1.0), "share", scale) == "−0.74"
    assert terminal_values.brief_spread(Estimate(value=0.9, low=0.85, high=0.93), "share", scale).startswith("±")
    copy = Estimate(value=1.0, low=1.0, high=1.0, drawn=32, drawn_unit="chunks")
    assert terminal_values.plus_minus(copy, "share", scale) == ""
    assert terminal_values.brief_spread(copy, "share", scale) == ""
    assert terminal_values.interval(copy, "tokens") == ""
    over_attempts = Estimate(value=1.0, low=1.0, high=1.0, count=3)
    assert terminal_values.plus_minus(over_attempts, "tokens") == "±0 %"
