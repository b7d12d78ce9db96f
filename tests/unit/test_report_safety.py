"""Reports: nothing on a page is fetched or run, and no name or text from outside acts on it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from benchharness.results.result import (
    Job,
    Outcome,
    OutcomeKind,
    Result,
    ResultWarning,
    Verdict,
    VerdictKind,
    WarningKind,
)
from reports.pages.html import render
from tests.unit.report_samples import CHAT, COLD, RUN, WRITTEN, Fake, realistic_page, result


@pytest.fixture(scope="module")
def html() -> str:
    return realistic_page()


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
    assert {tag for tag, _ in elements}.isdisjoint(
        {"script", "link", "img", "iframe", "object", "base", "form", "image"}
    )
    for tag, attributes in elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("href", "src", "xlink:href", "action", "data", "srcset"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
        assert "url(" not in (attributes.get("style") or "").replace("url(#", "")
    assert "http" not in re.sub(r"http-equiv", "", html)
    assert "@import" not in html
    policies = [a["content"] for _, a in elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies
    assert policies[0]
    assert policies[0].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


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
        verdicts = [
            Verdict(
                budget=attack,
                origin=attack,
                metric=name,
                parameters={attack: attack},
                limit=1.0,
                kind=kind,
                reason=attack,
            )
            for name in ("model_ttft", attack)
            for kind in VerdictKind
        ]
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
    run = replace(RUN, id=attack, suite=attack, suite_digest=attack, state=attack, version=attack)
    page = render(run, hostile, written=WRITTEN, title=attack, not_run={attack: attack}, unmeasured=[(attack, attack)])[
        attack
    ]
    elements = Elements(page)
    known = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "section",
        "h1",
        "h2",
        "h3",
        "h4",
        "p",
        "a",
    }
    known |= {
        "b",
        "i",
        "br",
        "dl",
        "dt",
        "dd",
        "div",
        "span",
        "ul",
        "li",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "caption",
    }
    known |= {
        "details",
        "summary",
        "pre",
        "figure",
        "figcaption",
        "svg",
        "g",
        "path",
        "defs",
        "use",
        "text",
        "clippath",
        "rect",
    }
    assert {tag for tag, _ in elements.found} <= known
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    # As text it is all there, in the page and in its figures.
    assert elements.text.count(attack) > 30
    assert attack in elements.svg_text


def test_hidden_characters_become_visible(html: str) -> None:
    assert "\\x1b[31mRuntimeError\\x1b[0m: weights\\x00 of 1.2 GiB do not fit\\ud83d" in html
    html.encode("utf-8")
