"""Every figure on a page leads to the stored attempts that it stands on, and is what their raw samples say."""

from __future__ import annotations

import html
import re
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from benchharness import api
from benchharness.results.result import Attempt, Job, Measurement
from benchharness.results.store import Store
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.hardware import load_hardware
from tests.unit.made_up import STARTED, TWO_VARIANTS, attempt, jobs_of, loaded, measured

SUITE = f"""
{TWO_VARIANTS}
[[workloads]]
prompt = {{ tokens = 8 }}
output_tokens = 8
[budgets]
model_ttft = "12 ms"
"""
WORTH = {"ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9, "tokens/s": 1.0}
MIB = {"B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20}


@dataclass(frozen=True)
class Written:
    """A store, and the pages over it by file name."""

    path: Path
    site: dict[str, str]
    compared: dict[str, str]


def _measurements(job: Job, number: int, random: np.random.Generator) -> Iterator[Measurement]:
    speed = 0.5 if job.variant == "int8" else 1.0
    for metric, typical in _TYPICAL[job.scenario].items():
        samples = typical * speed * (1 + 0.01 * number) * (1 + random.gamma(2, 0.02, 130))
        row = 13 if metric == "itl" else 0
        yield measured(metric, float(np.median(samples)), [float(each) for each in samples], row_length=row)


_TYPICAL = {
    "first-token": {"model_ttft": 20e6, "request_ttft": 21e6, "cold_start_ttft": 400e6},
    "steady": {"itl": 6e6, "tpot": 6.1e6, "decode_rate": 160.0, "prefill_rate": 900.0, "peak_memory": 50e6},
}


def _attempts(job: Job, run: int) -> Iterator[Attempt]:
    random = np.random.default_rng([run, len(job.variant), ord(job.scenario[0])])
    for number in range(5):
        told = f"{run}{job.scenario[:1]}{job.variant}{number}"
        started = STARTED + timedelta(hours=run, seconds=number)
        yield attempt(number, *_measurements(job, number, random), job=job.key, id=told, started=started)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("traces")
    suite = loaded(folder, SUITE)
    url = f"sqlite:///{folder / 'store.db'}"
    store = Store(url)
    ids = []
    for number in (1, 2):
        planned = [each for each in jobs_of(suite) if each.scenario in _TYPICAL]
        run = store.create_run(
            suite=suite.name,
            digest=suite.digest,
            suite_json=suite.model_dump_json(by_alias=True),
            hardware_json=load_hardware(THIS_MACHINE).model_dump_json(),
            planned=planned,
        )
        for each in (made for job in planned for made in _attempts(job, number)):
            store.save_attempt(run, each)
        store.set_state(run, "finished")
        ids.append(run)
    store.close()
    api.site(folder / "site", store=url)
    api.render([api.load(each, store=url) for each in ids], folder / "compared")
    return Written(folder / "store.db", _read(folder / "site"), _read(folder / "compared"))


def _read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def attempts_of(pages: dict[str, str], href: str) -> list[str]:
    """The ids of attempts that a job's details name."""
    file, _, anchor = href.partition("#")
    _, _, details = pages[file].partition(f'<div id="{anchor}">')
    (told,) = re.findall(r'<p class="id">attempts ([^<]*)</p>', details.partition('<div id="job-')[0])
    return html.unescape(told).split()


def figures(pages: dict[str, str], page: str) -> list[tuple[str, str]]:
    """Every figure of a page that leads somewhere: (text, where)."""
    found: list[tuple[str, str]] = re.findall(r'<a href="([^"]+#job-\d+)">([^<]+)</a>', pages[page])
    return [(text, href) for href, text in found]


def test_every_figure_leads_to_attempts_that_are_stored(written: Written) -> None:
    with sqlite3.connect(written.path) as connection:
        stored = dict(connection.execute("select id, run_id from attempts").fetchall())
    newest = {run for name, run in stored.items() if name.startswith("2")}
    shown = figures(written.site, "phones.targets.html")
    assert len(shown) >= 10
    for _, href in shown:
        ids = attempts_of(written.site, href)
        assert len(ids) == 5
        assert {stored[each] for each in ids} == newest
    compared = figures(written.compared, "this-machine.html")
    assert len(compared) >= 20
    for _, href in compared:
        (run,) = {stored[each] for each in attempts_of(written.compared, href)}
        assert run[:12] in href, "each column is of its own run"


def test_every_figure_of_a_targets_own_table_leads_to_its_attempts(written: Written) -> None:
    with sqlite3.connect(written.path) as connection:
        stored = {name for (name,) in connection.execute("select id from attempts")}
    page = written.site["phones.this-machine.html"]
    rows = re.findall(r"</span> (\w+)</summary>.*?<tr class=\"more\">(.*?)</tr>", page, re.DOTALL)
    assert [variant for variant, _ in rows] == ["int8", "fp32"]
    told = [(variant, each) for variant, row in rows for each in re.findall(r"<dt>(.*?)</dd>", row)]
    assert len(told) >= 10
    for variant, each in told:
        (href,) = re.findall(r'<a href="([^"]+#job-\d+)">job</a>', each)
        ids = attempts_of(written.site, href)
        assert set(ids) <= stored
        assert all(variant in name for name in ids)
        if not (metric := _metric_of(each)):
            continue  # the size of a file, which every attempt has
        scenario = "s" if metric in _TYPICAL["steady"] else "f"
        assert ids == [f"2{scenario}{variant}{number}" for number in range(5)], each


def _metric_of(told: str) -> str:
    return next((metric for title, metric in _METRICS.items() if told.startswith(title)), "")


def test_ten_figures_are_what_the_raw_samples_say(written: Written) -> None:
    """Medians of an attempt's stored samples, and the geometric mean of those over attempts: by numpy alone."""
    page = written.site["phones.targets.html"]
    checked = 0
    for title, table in re.findall(r"<summary>(.*?) <span.*?(<tbody>.*?</tbody>)", page, re.DOTALL):
        metric = _METRICS.get(title)
        for variant, href, text in re.findall(
            r'<th scope="row">(\w+)</th>\s*<td[^>]*>\s*<span class="value"><a href="([^"]+)">([^<]+)</a>', table
        ):
            if metric:
                ids = attempts_of(written.site, href)
                assert all(variant in each for each in ids)
                assert_shown(text, _recomputed(written.path, metric, ids))
                checked += 1
    assert checked >= 10


_METRICS = {
    "model TTFT": "model_ttft",
    "cold-start TTFT": "cold_start_ttft",
    "request TTFT": "request_ttft",
    "decode rate (tg)": "decode_rate",
    "prefill rate (pp)": "prefill_rate",
    "ITL p50": "itl",
    "ITL": "itl",
    "TPOT": "tpot",
    "peak memory": "peak_memory",
}


def _recomputed(store: Path, metric: str, ids: list[str]) -> float:
    marks = ", ".join("?" * len(ids))
    query = f"select samples from measurements where metric = ? and attempt_id in ({marks})"
    with sqlite3.connect(store) as connection:
        blobs = connection.execute(query, [metric, *ids]).fetchall()
    medians = [np.median(np.frombuffer(zlib.decompress(blob), dtype="<f8")) for (blob,) in blobs]
    assert len(medians) == len(ids)
    return float(np.exp(np.mean(np.log(medians))))


def assert_shown(text: str, value: float) -> None:
    """What is shown is the value, rounded to the digits that are shown."""
    number, unit = text.split(" ")
    worth = {**WORTH, **MIB}[unit]
    decimals = len(number.partition(".")[2])
    assert abs(float(number.replace(",", "")) - value / worth) <= 0.5001 * 10**-decimals, (text, value)
