"""What the terminal shows of an answer: verdict first, a table that fits, and no name that breaks or steers it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.console import Console

from benchharness.api import Findings
from benchharness.judge.answer import Answer, AnswerKind
from benchharness.judge.budgets import unmeasured
from benchharness.judge.derive import derive
from benchharness.metrics.limits import parse
from benchharness.results.courses import SessionState
from benchharness.results.result import (
    Attempt,
    Job,
    Outcome,
    OutcomeKind,
    Result,
    ResultWarning,
    WarningKind,
)
from benchharness.terminal.answer import SIGNS, show_answers
from benchharness.terminal.budgets import budgets, why_failed, why_missed
from benchharness.terminal.cells import MARKS
from benchharness.terminal.grid import grid
from benchharness.terminal.markdown import escaped, markdown
from benchharness.terminal.newcomer import what_next
from benchharness.terminal.values import names_within, shortened
from benchharness.terminal.warning_list import show_warnings
from tests.unit.made_up import attempt, job, measured, run
from tests.unit.report_course_samples import course, ladder
from tests.unit.report_samples import judged
from tests.unit.screens import console

RUN = run(jobs=12, attempts=36)
#: Names as long as a tool makes them, that differ at their ends, at their beginnings and in the middle.
LONG = (
    "mobile-chat-135m-float32",
    "mobile-chat-135m-dyn-int8",
    "mobile-chat-135m-wonly-i4",
    "tflite-chat-135m-float32",
    "tflite-chat-135m-dyn-int8",
    "coreml-chat-135m-palette4",
)
BUDGETS: dict[str, str | dict[str, str]] = {
    "model_ttft": "250 ms",
    "itl": {"p95": "40 ms"},
    "peak_memory": "300 MiB",
    "artefact_size": "2 MiB",
}


def of_variant(number: int, variant: str, *, spread: float, **changes: Any) -> tuple[list[Job], list[Attempt]]:
    """A variant's first-token and steady jobs, the later ones faster and smaller."""
    scale = 1.0 - 0.1 * number
    configuration = {"name": f"configuration of letters {number // 2}", "runtime": "onnxruntime", "threads": 2}
    facts = {"variant": variant, "configuration": configuration, "artefact_bytes": 2_100_000 - 200_000 * number}
    jobs, attempts = [], []
    for scenario in ("first-token", "steady"):
        key = f"{scenario[0]}{number:015x}"
        jobs.append(job(key, scenario=scenario, reference=LONG[0], **{**facts, **changes}))
        for round_ in range(5):
            factor = scale * (1 + spread * (round_ - 2))
            values = [measured("peak_memory", 75e6 * factor)]
            if scenario == "first-token":
                values += [measured("model_ttft", 2.2e8 * factor), measured("cold_start_ttft", 9e8 * factor)]
            else:
                gaps = [2e7 * factor * (1 + 0.01 * (at % 5)) for at in range(200)]
                values += [
                    measured("decode_rate", 1100 / factor),
                    measured("prefill_rate", 5200 / factor),
                    measured("itl", 2e7 * factor, gaps),
                ]
            attempts.append(attempt(round_, *values, job=key))
    return jobs, attempts


def results_of(names: Sequence[str] = LONG, *, spread: float = 0.02, **changes: Any) -> list[Result]:
    """As often as a test changes nothing of it, the same."""
    found = _results_of(len(names), spread)
    jobs = [replace(each.job, variant=names[at // 2], **changes) for at, each in enumerate(found)]
    return [replace(each, job=job) for each, job in zip(found, jobs, strict=True)]


@cache
def _results_of(count: int, spread: float) -> Sequence[Result]:
    made = [of_variant(number, LONG[number], spread=spread) for number in range(count)]
    jobs = [(each, "5 attempts, as asked") for some, _ in made for each in some]
    return derive(jobs, [each for _, some in made for each in some])


def found_of(results: Sequence[Result], asked: Mapping[str, Any] | None = None) -> Findings:
    wanted = parse(asked or {}, "suite")
    told = judged(results, **(asked or {}))
    return Findings(run=RUN, results=told, unmeasured_budgets=unmeasured(told, wanted))


def shown(found: Findings, width: int = 80) -> str:
    made, screen = console(width)
    show_answers(found.answers(), found.results, made)
    return screen.getvalue()


def rows_of(text: str, names: Sequence[str]) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(tuple(names))]


@pytest.mark.parametrize("spread", [0.001, 0.02, 0.3])
@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_too_long_and_no_cell_is_broken(width: int, spread: float) -> None:
    for asked in ({}, BUDGETS):
        found = found_of(results_of(spread=spread), asked)
        text = shown(found, width)
        assert max(cell_len(line) for line in text.splitlines()) <= width
        assert len(text.splitlines()) <= 40
        (answer,) = found.answers()
        laid_out = grid(answer, console(width)[0])
        assert laid_out.shown >= 1
        bodies = [line.plain for line in laid_out.lines[-len(LONG) :]]
        assert [body.split()[0] for body in bodies] == [name.split()[0] for name in laid_out.names]
        for body in bodies:  # a row each: every column has its value, and that its unit or its interval
            assert sum(body.count(mark) for mark in ("±", "[")) == sum(
                cell.estimate is not None and cell.estimate.statistic != "exact"
                for cell in _cells(answer, body, laid_out)
            )


def _cells(answer: Answer, body: str, laid_out: Any) -> Sequence[Any]:
    at = next(at for at, name in enumerate(laid_out.names) if body.startswith(name))
    return answer.rows[at].cells[: laid_out.shown]


def test_at_80_columns_four_to_six_columns_have_room_and_the_others_are_named() -> None:
    text = shown(found_of(results_of(), BUDGETS))
    for head in ("≤ 250 ms", "≤ 40 ms", "≤ 300 MiB", "≤ 2 MiB"):
        assert head in text
    assert "--details has" in text
    wide = shown(found_of(results_of(), BUDGETS), 200)
    assert "--details has" not in wide
    for title in ("cold-start", "prefill", "decode"):
        assert title in wide


def test_budgeted_columns_stand_first_with_a_mark_in_every_cell() -> None:
    text = shown(found_of(results_of(), {"model_ttft": "150 ms", "decode_rate": "1 tokens/s"}), 200)
    assert text.index("≤ 150 ms") < text.index("≥ 1 tokens/s") < text.index("KiB" if "KiB" in text else "MiB")
    rows = [line for line in text.splitlines() if "chat-135m" in line and "±" in line]
    assert len(rows) == len(LONG)
    assert all(sum(row.count(mark) for mark in MARKS.values()) == 2 for row in rows)


def test_a_ratio_stands_only_where_it_is_clear() -> None:
    names = LONG[:2]
    clear = shown(found_of(results_of(names, spread=0.01)), 200)
    assert "×0.90" in clear
    same = [of_variant(0, name, spread=0.01, artefact_bytes=1) for name in names]
    alike = [replace(each, key=f"b{each.key}", variant=names[1]) for each in same[1][0]]
    attempts = [*same[0][1], *(replace(each, job=f"b{each.job}", id=f"b{each.id}") for each in same[1][1])]
    text = shown(found_of(derive([(each, "") for each in (*same[0][0], *alike)], attempts)), 200)
    assert "×" not in text


def test_the_first_line_is_the_verdict() -> None:
    assert shown(found_of(results_of(), BUDGETS)).startswith("✓ Ship coreml-chat-135m-palette4\n  It keeps all 4")


KINDS = {
    AnswerKind.SHIP: lambda: found_of(results_of(), BUDGETS),
    AnswerKind.NONE: lambda: found_of(results_of(), {"model_ttft": "1 ms"}),
    AnswerKind.UNDECIDED: lambda: found_of(results_of(LONG[:1], spread=0.1), {"model_ttft": "220 ms"}),
    AnswerKind.NO_BUDGETS: lambda: found_of(results_of()),
    AnswerKind.NOT_TRUSTWORTHY: lambda: found_of(
        derive([(job(), "")], [attempt(0, outcome=Outcome(kind=OutcomeKind.CRASHED, reason="so"))])
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_answer_has_its_sign(kind: AnswerKind) -> None:
    found = KINDS[kind]()
    assert [answer.kind for answer in found.answers()] == [kind]
    sign, _ = SIGNS[kind]
    assert shown(found).startswith(f"{sign} {found.answers()[0].headline.split(',')[0][:40]}")
    assert str(found).startswith(sign)
    assert markdown(RUN, found.answers(), found.results).startswith(f"**{sign} ")


def test_colour_and_sign_both_tell_the_kind() -> None:
    assert len({sign for sign, _ in SIGNS.values()}) == len({*SIGNS}) == len(AnswerKind)
    made, screen = console(80, force_terminal=True, color_system="standard")
    found = found_of(results_of(), BUDGETS)
    show_answers(found.answers(), found.results, made)
    text = screen.getvalue()
    assert text.startswith("\x1b[1;32m✓ Ship")
    assert "\x1b[32m✓" in text


def test_what_all_of_several_models_say_is_said_once() -> None:
    results = [*results_of(model="chat"), *results_of(model="other")]
    text = shown(found_of(results))
    assert text.count("A limit makes it a verdict") == 1
    first, second = (f"– {model} · 64-token prompt · this-machine: No budgets set" for model in ("chat", "other"))
    assert text.startswith(first)
    assert text.index(second) < text.index("model TTFT"), "all verdicts stand before the first table"


HOSTILE = {
    "escapes": "\x1b]0;title\x07\x1b[2J\x9b31mname",
    "right to left": "\u202eeman\u202c \u05e9\u05dd",
    "newlines": "one\ntwo\r\nthree\x0bfour\u2028five",
    "empty": "",
    "spaces": "   ",
    "huge": "x" * 10_000,
    "huge words": "name " * 2_000,
    "wide": "模型" * 40,
    "no width": "a" + "\u0301" * 10_000,
    "markup": "[bold]int8[/bold] [red]",
    "html": "<script>alert(1)</script><img src=x onerror=y>",
    "markdown": "a|b`c`*d*_e_[f](http://evil) @someone #12 ![i](x) ~~s~~ \\",
}


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_name_stands_on_one_line_and_steers_nothing(name: str, width: int) -> None:
    names: dict[str, Any] = {"model": name, "workload": replace(job().workload, name=name), "hardware": name}
    results = results_of([LONG[0], name], **names)
    warned = [
        ResultWarning(kind=WarningKind.FALLBACK, message=name),
        ResultWarning(kind=WarningKind.UNSTABLE, message=name),
    ]
    results = [replace(each, warnings=warned, courses=[course(evidence=[name])]) for each in results]
    found = found_of(results, {"model_ttft": "1 ms"})
    text = shown(found, width)
    # a line is as wide as its terminal, whatever a name says; letters without width have none there either
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert max(map(len, text.splitlines())) <= 1600
    assert len(text.splitlines()) < 120
    assert not set("\x1b\x07\x9b\u202e\u202c\u2028\x0b\r") & set(text)
    (answer,) = found.answers()
    lines = grid(answer, console(width)[0]).lines
    assert all("\n" not in line.plain for line in lines)
    for other in (
        str(found),
        markdown(RUN, found.answers(), found.results),
        why_missed(found.answers(), (), undecided_fails=False),
    ):
        assert not set("\x1b\x07\x9b\u202e\u202c\u2028\x0b\r") & set(other)
        assert len(other) < 20_000
    assert len(why_missed(found.answers(), (), undecided_fails=False).splitlines()) == 1


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_name_is_nothing_but_text_in_markdown(name: str) -> None:
    results = [
        replace(each, warnings=[ResultWarning(kind=WarningKind.FALLBACK, message=name)])
        for each in results_of([LONG[0], name], model=name, hardware=name)
    ]
    found = found_of(results, {"model_ttft": "1 ms"})
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    text = markdown(RUN, found.answers(), found.results)
    tokens = [inner for token in parser.parse(text) for inner in (token, *(token.children or ()))]
    kinds = {token.type for token in tokens}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "code_inline", "em_open", "s_open", "fence"}
    assert "heading_open" not in kinds
    tables = sum(token.type == "table_open" for token in tokens)
    columns = sum(token.type == "th_open" for token in tokens)
    cells = sum(token.type == "td_open" for token in tokens)
    (answer,) = found.answers()
    assert (tables, columns, cells) == (1, 1 + len(answer.columns), len(answer.rows) * (1 + len(answer.columns)))
    assert "@someone" not in text
    assert "#12 " not in text
    assert "://evil" not in text


def test_markdown_leaves_plain_words_alone() -> None:
    assert escaped("int8-dynamic (2 threads): 12.3 ms ±3 %, 1,234") == "int8-dynamic (2 threads): 12.3 ms ±3 %, 1,234"
    assert escaped("- item") == "\\- item"
    assert escaped("1. item") == "&#49;. item"
    found = found_of(results_of(), BUDGETS)
    text = markdown(RUN, found.answers(), found.results)
    assert text.startswith("**✓ Ship coreml-chat-135m-palette4** (chat · 64-token prompt · this-machine)\n")
    assert "| variant | model TTFT (≤ 250 ms) | peak memory (≤ 300 MiB) | size (≤ 2 MiB) | ITL p95 (≤ 40 ms) |" in text
    assert "| 2.0027 ✗ |" in text, "not 2.00, which would keep it"
    assert "| mobile-chat-135m-float32 (reference) |" in text
    assert RUN.id in text


def test_names_are_cut_in_the_middle_and_still_told_apart() -> None:
    assert shortened("mobilenet-v3-large-int8-per-channel", 20) == "mobilenet-…r-channel"
    assert shortened("short", 20) == "short"
    assert cell_len(shortened("模型" * 40, 21)) <= 21
    alike = [f"{'a' * 30}{number}{'b' * 30}" for number in range(30)]
    for names in (LONG, [f"{name} tail of it" for name in LONG], [f"head of it {name}" for name in LONG], alike):
        cut = names_within(names, 16)
        assert len(set(cut)) == len(names)
        assert max(map(cell_len, cut)) <= 16


def test_the_rows_of_a_table_keep_their_names_apart() -> None:
    found = found_of(results_of([f"model-with-a-long-name-{at}-of-many-variants" for at in range(6)]))
    laid_out = grid(found.answers()[0], console(80)[0])
    assert len(set(laid_out.names)) == 6
    assert all("…" in name for name in laid_out.names)


def test_a_terminal_of_few_letters_gets_words_instead_of_question_marks() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    found = found_of(results_of(), {"model_ttft": "145 ms"})
    show_answers(found.answers(), found.results, Console(file=file, width=80, color_system=None))
    file.flush()
    text = file.buffer.getvalue().decode("ascii")
    assert text.startswith("ok Ship")
    assert "+-" in text
    assert "MISS" in text
    assert "?" not in text


def test_each_kind_of_warning_is_a_line_and_the_whole_is_asked_for() -> None:
    message, hint = "attempts spread by 30 % of their mean", "close other programs"
    warned = [ResultWarning(kind=WarningKind.CONTENDED, message=f"{message} {at}", hint=hint) for at in range(6)]
    results = [replace(each, warnings=[warning]) for each, warning in zip(results_of()[:6], warned, strict=True)]
    found = found_of(results)
    text = shown(found)
    assert text.splitlines()[-1] == "6 of 6 jobs waited for a core; --warnings says why, and what helps"
    assert message not in text
    made, screen = console(80)
    show_warnings(found.results, made)
    whole = screen.getvalue()
    assert whole.count(message) == 6
    assert whole.count(f"what helps: {hint}") == 1, "once, as it is the same for all"
    warned[0] = replace(warned[0], hint="use fewer threads")
    results = [replace(each, warnings=[warning]) for each, warning in zip(results_of()[:6], warned, strict=True)]
    made, screen = console(80)
    show_warnings(results, made)
    assert screen.getvalue().count("what helps: ") == 6


def test_sessions_floors_and_fallbacks_are_lines_and_no_cells() -> None:
    results = results_of(LONG[:1])
    fallback = ResultWarning(
        kind=WarningKind.FALLBACK, message="2 of 34 operators do not run on the NPU: 1 Cast, 1 Add"
    )
    courses = [course(SessionState.CONTENTION, evidence=["waited for 22 % of the time"]), course()]
    results[0] = replace(results[0], courses=courses, ladders=[ladder()], warnings=[fallback])
    text = shown(found_of(results), 400)
    assert "disturbed (contention) in 1 of 2 sessions; burst " in text
    assert "waited for 22 % of the time" in text
    assert "steady in 1 of 2 sessions" in text
    assert "memory floor" in text
    assert text.count(fallback.message) == 1
    assert "ran partly" not in text


def test_why_a_cell_is_unknown_is_said_below_the_table() -> None:
    results = results_of()
    crashed = Outcome(kind=OutcomeKind.CRASHED, reason="the worker was gone")
    results[2:4] = [replace(each, outcome=crashed, metrics=()) for each in results[2:4]]
    text = shown(found_of(results), 200)
    assert f"{LONG[1]}, first-token, steady: crashed: the worker was gone" in " ".join(text.split())
    assert why_failed(results) == (f"2 of 12 jobs failed: {results[2].job.title}: crashed: the worker was gone")


def test_the_last_line_says_which_budgets_were_missed_by_how_much_and_by_whom() -> None:
    asked = {"model_ttft": "200 ms", "decode_rate": "1 tokens/s", "itl": {"p95": "1 s"}, "peak_memory": "1 GiB"}
    found = found_of(results_of(LONG[:2], spread=0.001), asked)
    line = why_missed(found.answers(), (), undecided_fails=False)
    assert line.startswith("1 of 4 budgets missed: model_ttft 220.")
    assert line.endswith(f"(limit 200 ms) for {LONG[0]} · configuration of letters 0")
    asked = {"model_ttft": "200 ms", "peak_memory": "1 MiB"}
    found = found_of(results_of(LONG[:2], spread=0.001), asked)
    line = why_missed(found.answers(), ["kld 0.1 nats"], undecided_fails=True)
    assert line.startswith("2 of 3 budgets missed: model_ttft ")
    assert "; peak_memory " in line
    assert line.endswith(" and 1 more")


def test_the_last_line_of_what_is_undecided_names_it() -> None:
    found = found_of(results_of(LONG[:1], spread=0.1), {"model_ttft": "220 ms"})
    line = why_missed(found.answers(), ["kld 0.1 nats"], undecided_fails=True)
    assert line.startswith("2 of 2 budgets undecided, which --undecided fail counts as missed: model_ttft ")
    assert line.endswith("; kld 0.1 nats, which nothing measured")


def test_budgets_are_a_row_each() -> None:
    found = found_of(results_of(), BUDGETS)
    made, screen = console(160)
    budgets(found.answers(), ["kld 0.1 nats"], made)
    text = screen.getvalue()
    title, _, *lines = text.splitlines()
    assert title.startswith("budgets")
    assert len(lines) == len(BUDGETS) + 1
    assert "219.9 ms ±4 %  mobile-chat-135m-float32" in next(line for line in lines if "model_ttft 250 ms" in line)
    assert "nothing measured it" in lines[-1]


def test_printing_a_run_takes_about_ten_lines() -> None:
    found = found_of(results_of(), BUDGETS)
    lines = str(found).splitlines()
    assert lines[0] == "✓ chat · 64-token prompt · this-machine: Ship coreml-chat-135m-palette4"
    assert 8 <= len(lines) <= 12
    assert lines[-1].startswith(f"run {RUN.id}")
    assert max(map(len, lines)) <= 100
    assert repr(found) == f"<Findings of run {RUN.id}: 12 results>"


def test_a_newcomer_gets_three_lines_and_hears_of_a_noisy_machine_once() -> None:
    quiet = list(what_next(results_of(), [Path("report/this-machine.html")]))
    assert quiet[0] == "Open the report:     report/this-machine.html"
    assert len(quiet) == 3
    assert "--budget" in quiet[2]
    noise = [ResultWarning(kind=WarningKind.CONTENDED, message="waited")]
    noisy = list(what_next([replace(each, warnings=noise) for each in results_of()], [Path("p")]))
    assert [line for line in noisy if "noisy" in line] == noisy[:1]
    assert noisy[1:] == ["Open the report:     p", *quiet[1:]]


def test_the_json_of_a_run_is_as_exported() -> None:
    document = json.loads(found_of(results_of()).to_json())
    assert document["schema"] == 1
    assert len(document["results"]) == 12
