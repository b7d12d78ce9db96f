"""Reports: nothing on a page is fetched or run, and no name or text from outside acts on it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from benchharness.judge.answer import answers
from benchharness.results.result import (
    Job,
    Outcome,
    OutcomeKind,
    Result,
    ResultWarning,
    WarningKind,
)
from reports.model.found import Found
from reports.pages.environment import options_whole
from reports.pages.html import render
from reports.pages.index import entry_of
from reports.pages.site import index_pages, names_of, report_pages, suite_pages
from tests.unit.hostile_samples import hostile, verdicts_of
from tests.unit.report_samples import (
    CHAT,
    COLD,
    RUN,
    WRITTEN,
    Fake,
    page_of,
    pages_of,
    realistic,
    realistic_sections,
    result,
    sections_html,
)


@pytest.fixture(scope="module")
def html() -> str:
    return render(RUN, realistic(), written=WRITTEN)["this-machine"]


class Elements(HTMLParser):
    """Every element of a page: (tag, attributes), the text outside of style sheets, and that inside of figures."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = self.svg_text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag = self.found[-1][0] if self.found else ""
        self.text += data if tag != "style" else ""
        self.svg_text += data if tag == "text" else ""


def test_a_page_loads_nothing_and_runs_nothing(html: str) -> None:
    elements = Elements(html).found
    assert {tag for tag, _ in elements}.isdisjoint({"link", "img", "iframe", "object", "base", "form", "image"})
    assert [attributes for tag, attributes in elements if tag == "script"] == [{}], "one script, in the page itself"
    for tag, attributes in elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("href", "src", "xlink:href", "action", "data", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
        assert "url(" not in (attributes.get("style") or "").replace("url(#", "")
    assert "http" not in re.sub(r"http-equiv", "", html)
    assert "@import" not in html
    policies = [a["content"] for _, a in elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies
    assert policies[0]
    policy = str(policies[0])
    assert policy.startswith("default-src 'none'; style-src-elem 'sha256-")
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy


def test_ids_are_unique_and_every_reference_has_its_target(html: str) -> None:
    elements = Elements(html).found
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"] for _, attributes in elements if "href" in attributes}
    targets |= {f"#{found}" for found in re.findall(r"url\(#([^)]+)\)", html)}
    assert {str(target)[1:] for target in targets} <= set(ids)


#: Each in every place at once, and each short enough for a figure to show it whole: drawing a page takes seconds.
ATTACKS = ('"><img src=x onerror=alert(2)>', "</style><script>{{7*7}}$\\frac$")


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_name_or_text_acts(attack: str) -> None:
    hostile: list[Result] = []
    for variant in ("fp32", attack):
        fake = Fake(0.5, ratio=variant != "fp32")
        metrics = [*fake.first_token(), *fake.steady()]
        for metric in fake.memory(COLD, 3e8):
            hostile_phase = {name: attack if name == "phase" else value for name, value in metric.parameters.items()}
            metrics += [metric, replace(metric, parameters=hostile_phase)]
        verdicts = verdicts_of(attack)
        metrics += [replace(metric, parameters={**metric.parameters, attack: attack}) for metric in metrics]
        metrics.append(replace(metrics[0], name=attack, unit=attack))
        hostile.append(
            result(
                variant,
                configuration=attack,
                scenario=attack,
                metrics=metrics,
                workload={**CHAT, "name": attack, "prompt": {"text": attack}},
                model=attack,
                outcome=Outcome(kind=OutcomeKind.CRASHED, reason=attack, evidence=attack),
                outcomes={attack: 1},
                stopped=attack,
                devices=[attack],
                effective={
                    "accelerators": [attack],
                    attack: attack,
                    "facts": {attack: attack},
                    "placement": {attack: {attack: 1}},
                },
                conditions={
                    attack: attack,
                    "governor": {"unknown": attack},
                    "memory_unknown": {attack: attack},
                    "other": variant,
                },
                verdicts=verdicts,
                warnings=[ResultWarning(kind=WarningKind.UNSTABLE, message=attack, hint=attack)],
            )
        )
    plain = json.loads(json.dumps([each.job.to_json() for each in hostile]))
    hostile = [
        replace(each, job=Job.from_json({**job, "hardware": attack, "recipe": attack}))
        for each, job in zip(hostile, plain, strict=True)
    ]
    page = pages_of(hostile, title=attack, hardware=[attack + "2"], not_run={attack + "3": attack})
    drawn = sections_html(page[attack])
    elements = Elements(drawn)
    known = "h3 p a b ul ol li dl dt dd div small sup table caption thead tbody tr th td details summary pre"
    known += " figure figcaption svg title desc path text"
    assert {tag for tag, _ in elements.found} <= set(known.split())
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith(("on", "style"))]
    # As text it is all there, in the sections and in their figures.
    assert elements.text.count(attack) > 30
    assert attack in elements.svg_text


def test_no_name_acts_on_any_kind_of_page() -> None:
    """Those of a target, of its jobs, of all targets, of several runs, and the index."""
    attack = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
    run, made = hostile(attack)
    found = [
        Found(run=each, hardware=made[0].job.hardware, results=made, answers=answers(made))
        for each in (run, replace(run, id="2"))
    ]
    names = names_of([(run.suite, made[0].job.hardware)])
    pages = suite_pages(found[:1], names, WRITTEN) | report_pages(found, WRITTEN)
    pages |= index_pages([entry_of(found[0], "page.html", "", [run])], WRITTEN)
    assert len(pages) >= 6
    for name, page in pages.items():
        elements = Elements(page)
        assert {tag for tag, _ in elements.found}.isdisjoint({"img", "iframe", "object", "base", "form"}), name
        assert [tag for tag, _ in elements.found].count("script") == 1, name
        assert not [each for _, attributes in elements.found for each in attributes if each.startswith("on")], name
        assert "<img src=x" in elements.text, f"{name} shows it"


def test_names_of_any_length_and_direction_are_shown_and_fit() -> None:
    """A figure cuts what would not fit, and a finding stays a line; what turns the direction of text is spelled out."""
    names = ("x" * 5_000, "a b " * 500, "\u202eevil", "", "模型 🙂")
    fakes = [Fake(0.5, seed=number) for number in range(len(names))]
    results = [
        result(name, metrics=[*fake.first_token(), *fake.memory(COLD, 3e8)], model="m" * 900)
        for name, fake in zip(names, fakes, strict=True)
    ]
    page = page_of(results)
    drawn = sections_html(page)
    assert "\u202e" not in drawn
    assert "\\u202eevil" in drawn
    assert "模型 🙂" in Elements(drawn).svg_text
    findings = [each.finding for several in page.sections.values() for each in several]
    assert all(0 < len(finding) <= 240 and len(finding.split()) <= 25 for finding in findings)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0, 1e300])
def test_numbers_that_make_no_sense_break_no_section(value: float) -> None:
    fake = Fake(1.0, attempts=2)
    odd = [
        replace(
            metric,
            estimate=replace(metric.estimate, value=value, low=value, high=value),
            ratio=metric.ratio and replace(metric.ratio, value=value, low=value, high=value),
            attempts=[replace(each, value=value, samples=[value] * len(each.samples)) for each in metric.attempts],
        )
        for metric in [*fake.first_token(), *fake.steady(), *fake.memory(COLD, 3e8)]
    ]
    assert sections_html(page_of([result("fp32", metrics=odd), result("int8", metrics=odd)]))
    assert sections_html(page_of([result("int8", metrics=odd)]))


def test_one_result_and_none_have_sections() -> None:
    assert "Its numbers do not carry over" in sections_html(page_of([result()]))
    (page,) = pages_of([], hardware=["phone"]).values()
    assert [name for name, several in page.sections.items() if several] == ["methods"]


def test_hidden_characters_become_visible() -> None:
    told = "\\x1b[31mRuntimeError\\x1b[0m: weights\\x00 of 1.2 GiB do not fit\\ud83d"
    assert told in realistic_sections()
    realistic_sections().encode("utf-8")


def test_no_line_ends_within_an_option_and_what_stands_around_it_is_escaped() -> None:
    shown = options_whole('set --budget "A=1" of <b>--x-y</b>')
    assert str(shown) == (
        'set <span class="option">--budget</span> &#34;A=1&#34; of &lt;b&gt;<span class="option">--x-y</span>&lt;/b&gt;'
    )
