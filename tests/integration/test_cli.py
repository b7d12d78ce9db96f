"""The command line as a user meets it: real models, and bad input that ends in a sentence and an exit code."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

from tests.conftest import ARTEFACTS, CommandLine, command_line
from tests.contract.tiny_models import Variant, build_image_model, build_language_model

QUICK = ("--attempts", "1", "--timeout", "60 s")
#: What makes `suite_of` a suite of one job a scenario.
ONE_JOB = {"shared": "", "threads": "threads = 1", "more": "output_tokens = 8"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    build_language_model(folder / "base", Variant())
    build_language_model(folder / "shared", Variant(cache="shared"))
    build_image_model(folder / "image.onnx")
    return folder


def in_a_folder(factory: pytest.TempPathFactory, name: str) -> CommandLine:
    """The command line with a folder and a store for several tests."""
    folder = factory.mktemp(name)
    return command_line(folder, f"sqlite:///{folder / 'store.db'}")


@pytest.fixture(scope="module")
def compared(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is exported of two models without a suite, the second of them the reference."""
    benchharness = in_a_folder(tmp_path_factory, "compared")
    done = benchharness("run", models / "base", models / "shared", "--reference", models / "shared", *QUICK)
    assert done.returncode == 0, done.stderr
    return exported(benchharness)


@pytest.fixture(scope="module")
def measured(models: Path, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """The command line beside a finished run of one job; for tests that leave its store as it is."""
    benchharness = in_a_folder(tmp_path_factory, "measured")
    done = benchharness("run", models / "base", "--scenario", "steady", *QUICK)
    assert done.returncode == 0, done.stderr
    return benchharness


def suite_of(folder: Path, models: Path, **replaced: str) -> Path:
    """A suite over two language models, two thread counts and two depths; `replaced` changes a line of it."""
    lines = {
        "base": f'base = {{ artefact = "{models / "base"}" }}',
        "shared": f'shared = {{ artefact = "{models / "shared"}" }}',
        "threads": "threads = [1, 2]",
        "prompt": "prompt = { tokens = 8 }",
        "more": "output_tokens = 8\ncontext_depth = [0, 16]",
        "attempts": "at_least = 1",
        **replaced,
    }
    path = folder / "suite.toml"
    path.write_text(
        f"""
[models.tiny]
task = "causal-lm"
[models.tiny.variants]
{lines["base"]}
{lines["shared"]}
[[configurations]]
runtime = "onnxruntime"
{lines["threads"]}
[[workloads]]
name = "w"
{lines["prompt"]}
{lines["more"]}
[scenarios]
first-token = {{ min_time = "10 ms" }}
steady = {{ min_time = "10 ms" }}
[attempts]
{lines["attempts"]}
"""
    )
    return path


def exported(benchharness: CommandLine, *arguments: str) -> dict[str, Any]:
    done = benchharness("export", *arguments)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_suite_runs_to_tables_report_and_export(benchharness: CommandLine, models: Path, tmp_path: Path) -> None:
    options = ("--scenario", "steady", "--out", tmp_path / "out")
    done = benchharness("run", suite_of(tmp_path, models), *options, report=True)
    assert done.returncode == 0, done.stderr
    assert "decode rate (tg)" in done.stdout
    assert "base · onnxruntime 1 thread *" in done.stdout
    assert "* reference" in done.stdout
    page = (tmp_path / "out" / "this-machine.html").read_text()
    assert page.count("<script") == 1
    document = exported(benchharness)
    # two variants x two thread counts x two depths
    assert len(document["results"]) == 8
    assert {result["outcome"] for result in document["results"]} == {"ok"}
    caches = {result["variant"]: result["effective"]["cache"] for result in document["results"]}
    assert caches == {"base": "grown-by-graph", "shared": "in-place"}
    assert {result["effective"]["threads"] for result in document["results"]} == {1, 2}


def test_the_export_is_schema_1(compared: dict[str, Any]) -> None:
    document = compared
    assert document["schema"] == 1
    assert {"id", "suite", "started"} <= set(document["run"])
    keys = {"hardware", "device", "model", "variant", "configuration", "workload", "scenario", "outcome", "conditions"}
    for result in document["results"]:
        assert keys | {"warnings", "metrics"} <= set(result)
        for metric in result["metrics"]:
            assert {"name", "parameters", "unit", "value", "low", "high", "statistic", "attempts"} <= set(metric)
            assert not any(character.isdigit() for character in metric["name"])
            for attempt in metric["attempts"]:
                assert {"id", "device", "value", "samples"} <= set(attempt)
    rates = [
        metric for result in document["results"] for metric in result["metrics"] if metric["name"] == "decode_rate"
    ]
    assert all(metric["unit"] == "tokens/s" and metric["parameters"]["output_tokens"] == 64 for metric in rates)


def test_models_without_a_suite_are_compared_with_the_reference_named(compared: dict[str, Any]) -> None:
    results = compared["results"]
    assert {result["scenario"] for result in results} == {"first-token", "steady"}
    assert {result["reference"] for result in results} == {"shared"}
    ratios = [metric["ratio"] for result in results if result["variant"] == "base" for metric in result["metrics"]]
    known = [ratio["value"] for ratio in ratios if ratio is not None and ratio["value"] is not None]
    assert known
    assert min(known) > 0


def test_any_other_model_is_measured_too(benchharness: CommandLine, models: Path, tmp_path: Path) -> None:
    done = benchharness("run", models / "image.onnx", "--no-report", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "report:" not in done.stdout
    assert not (tmp_path / "report").exists()
    names = {metric["name"] for result in exported(benchharness)["results"] for metric in result["metrics"]}
    assert {"first_inference", "cold_start_inference", "steady_inference", "inference_rate"} <= names


def test_chosen_scenario_show_runs_report_and_csv(measured: CommandLine, tmp_path: Path) -> None:
    (result,) = exported(measured)["results"]
    assert result["scenario"] == "steady"
    run = exported(measured, "latest")["run"]["id"]
    assert run in measured("runs").stdout
    assert measured("show", run[:20]).stdout.startswith("– No budgets set: what base costs\n")
    (key,) = {line.split()[1] for line in measured("show", "--job", "base").stdout.splitlines() if line[:4] == "key "}
    assert "context_depth" in measured("show", "--job", key[:6]).stdout
    assert "no job is named 'other'" in measured("show", "--job", "other").stderr
    assert "what helps: " in measured("show", "--warnings").stdout
    assert measured("report", run, "--out", tmp_path / "again").returncode == 0
    assert (tmp_path / "again" / "this-machine.html").is_file()
    rows = list(csv.DictReader(io.StringIO(measured("export", "--format", "csv").stdout)))
    assert {row["scenario"] for row in rows} == {"steady"}


def test_attempts_go_on_until_the_interval_or_the_time_is_reached(
    benchharness: CommandLine, models: Path, tmp_path: Path
) -> None:
    suite = suite_of(tmp_path, models, **ONE_JOB, attempts="at_least = 1\nat_most = 1000")
    arguments = ("--attempts", "2", "--ci-target", "0.01%", "--scenario", "steady")
    for seconds in (6, 90):  # the more of them for a machine on which two attempts take the less
        done = benchharness("run", suite, *arguments, "--max-time", f"{seconds} s")
        assert done.returncode == 0, done.stderr
        (result,) = exported(benchharness)["results"]
        assert f"time budget of {seconds} s ended; interval not reached" in result["stopped"]
        if result["outcomes"]["ok"] > 2:
            break
    assert result["outcomes"]["ok"] > 2
    assert any(warning["kind"] == "interval-not-reached" for warning in result["warnings"])
    benchharness("run", models / "base", "--ci-target", "99%", "--attempts", "2", "--scenario", "steady")
    (result,) = exported(benchharness)["results"]
    assert "intervals within" in result["stopped"]


def test_an_evicted_page_cache_is_a_condition(benchharness: CommandLine, models: Path, tmp_path: Path) -> None:
    suite = suite_of(tmp_path, models, **ONE_JOB)
    text = suite.read_text().replace("first-token = {", 'first-token = { page_cache = ["warm", "evicted"],')
    suite.write_text(text)
    assert benchharness("run", suite, "--scenario", "first-token").returncode == 0
    found = {
        (result["settings"]["page_cache"], result["conditions"]["page_cache"])
        for result in exported(benchharness)["results"]
    }
    assert found == {("warm", "warm"), ("evicted", "evicted")}


def test_adapters_says_what_runs_here(benchharness: CommandLine) -> None:
    done = benchharness("adapters")
    assert done.returncode == 0
    assert "onnxruntime" in done.stdout
    assert "CPUExecutionProvider" in done.stdout


def broken(folder: Path, models: Path, what: str) -> Path:
    path = folder / f"{what}.onnx"
    whole = (models / "base" / "model.onnx").read_bytes()
    if what == "empty":
        path.write_bytes(b"")
    elif what == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif what == "text":
        path.write_text("this is not a model\n")
    elif what == "newer":
        model = onnx.load(models / "base" / "model.onnx")
        model.opset_import[0].version = 999
        onnx.save(model, path)
    return path


BROKEN = ("empty", "truncated", "text", "newer")


@pytest.fixture(scope="module")
def beside_bad_ones(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Results by variant of a run of one good model and every bad one."""
    benchharness, folder = in_a_folder(tmp_path_factory, "bad"), tmp_path_factory.mktemp("broken")
    bad = [broken(folder, models, what) for what in BROKEN]
    done = benchharness("run", models / "base" / "model.onnx", *bad, "--scenario", "steady", *QUICK)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return {result["variant"]: result for result in exported(benchharness)["results"]}


@pytest.mark.parametrize("what", BROKEN)
def test_a_bad_model_file_is_a_recorded_outcome_and_the_good_one_is_measured(
    beside_bad_ones: dict[str, dict[str, Any]], what: str
) -> None:
    assert beside_bad_ones["model"]["outcome"] == "ok"
    assert beside_bad_ones[what]["outcome"] in ("runtime-error", "unsupported")
    assert f"/{what}.onnx" in beside_bad_ones[what]["reason"]


def test_only_bad_models_is_exit_code_4(benchharness: CommandLine, models: Path, tmp_path: Path) -> None:
    done = benchharness("run", broken(tmp_path, models, "text"), *QUICK)
    assert done.returncode == 4
    assert "not one of 2 jobs gave a result" in done.stderr
    alone = benchharness("run", broken(tmp_path, models, "text"), "--scenario", "steady", *QUICK)
    assert alone.returncode == 4
    assert "the one job gave no result: runtime-error: " in alone.stderr


def test_an_unknown_provider_is_a_recorded_outcome_naming_the_known(
    benchharness: CommandLine, models: Path, tmp_path: Path
) -> None:
    suite = suite_of(tmp_path, models, **{**ONE_JOB, "threads": 'accelerator = "CPUExecutionProvidr"'})
    assert benchharness("run", suite).returncode == 4
    result = exported(benchharness)["results"][0]
    assert result["outcome"] == "unsupported"
    assert "CPUExecutionProvider" in result["reason"]


def test_a_prompt_longer_than_the_context_says_both_lengths(
    benchharness: CommandLine, models: Path, tmp_path: Path
) -> None:
    suite = suite_of(tmp_path, models, **ONE_JOB, prompt="prompt = { tokens = 159 }")
    assert benchharness("run", suite).returncode == 4
    result = exported(benchharness)["results"][0]
    assert result["outcome"] == "unsupported"
    assert "159 of prompt + 8 of output = 167, more than the model's context of 160" in result["reason"]


def test_a_text_prompt_without_a_tokenizer_says_what_to_do(
    benchharness: CommandLine, models: Path, tmp_path: Path
) -> None:
    suite = suite_of(tmp_path, models, **ONE_JOB, prompt='prompt = { text = "hello" }')
    assert benchharness("run", suite).returncode == 4
    assert "tokenizer" in exported(benchharness)["results"][0]["reason"]


BAD_WORDS = [
    (("run", "nowhere.onnx"), "nowhere.onnx: no such file"),
    (("run", "nowhere.toml"), "nowhere.toml: cannot be read"),
    (("run",), "name a suite"),
    (("run", "notes.txt"), "no adapter opens it"),
    (("run", "--attempts", "0", "x.onnx"), "--attempts"),
    (("run", "x.onnx", "--ci-target", "2"), 'such as "2 %"'),
    (("run", "x.onnx", "--max-time", "10 parsecs"), "is not a duration"),
    (("run", "x.onnx", "--on", "phone"), "no hardware target is called 'phone'"),
    (("run", "x.onnx", "x.onnx"), "named twice"),
    (("run", "x.onnx", "--reference", "y.onnx"), "is not one of the models given"),
    (("run", "--resume", "abc"), "no run begins with 'abc'"),
    (("run", "x.onnx", "--resume"), "leave the suite, models and scenarios away"),
    (("show",), "holds no run yet"),
    (("show", "--store", "nonsense"), "not a store's URL"),
    (("show", "--store", "sqlite:////nowhere/at/all.db"), "unable to open database file"),
    (("run", "x.onnx", "--budget", "speed=3 ms"), "'speed' is no metric; metrics are for example download, size"),
    (("history", "--metric", "speed"), "'speed' is no metric; metrics are for example download, size"),
    (("show", "--store", "sqlite:///notes.txt"), "notes.txt is a file, but not a database; name another store"),
    (("dance",), "dance"),
    (("run", "--scenario", "fast", "x.onnx"), "fast"),
]


@pytest.mark.parametrize(("words", "sentence"), BAD_WORDS, ids=[" ".join(words) for words, _ in BAD_WORDS])
def test_bad_words_end_in_a_sentence_and_exit_code_2(
    benchharness: CommandLine, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "x.onnx").write_text("x")
    (tmp_path / "y.onnx").write_text("y")
    (tmp_path / "notes.txt").write_text("notes")
    done = benchharness(*words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert sentence in done.stderr
    assert len(done.stderr) < 1000
    assert "Traceback" not in done.stderr


BAD_SUITES = [
    ({"threads": "thread = 1"}, "unknown key 'configurations[0].thread'; did you mean 'threads'?"),
    ({"attempts": "at_leest = 1"}, "unknown key 'attempts.at_leest'; did you mean 'at_least'?"),
    ({"attempts": "timeout = 10"}, "has no unit"),
    ({"base": 'shared = { artefact = "other" }'}, "not valid TOML"),
    ({"base": 'base = { artefact = "missing.onnx" }'}, "missing.onnx: no such file"),
    ({"threads": "threads = [1, 1]"}, "two configurations are called"),
    ({"prompt": 'prompt = { tokens = 8, text = "x" }'}, "give exactly one of"),
]


@pytest.mark.parametrize(("change", "sentence"), BAD_SUITES, ids=[sentence for _, sentence in BAD_SUITES])
def test_a_bad_suite_says_which_key_and_what_to_write(
    benchharness: CommandLine, models: Path, tmp_path: Path, change: dict[str, str], sentence: str
) -> None:
    done = benchharness("run", suite_of(tmp_path, models, **change))
    assert done.returncode == 2, done.stdout + done.stderr
    assert sentence in done.stderr
    assert "suite" in done.stderr or "missing" in done.stderr


def test_a_model_that_changed_is_not_resumed(benchharness: CommandLine, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "base", tmp_path / "base")
    assert benchharness("run", "base", "--scenario", "steady", *QUICK).returncode == 0
    (tmp_path / "base" / "model.onnx").write_bytes((models / "shared" / "model.onnx").read_bytes())
    done = benchharness("run", "--resume")
    assert done.returncode == 2
    assert "has changed since this run began" in done.stderr


def test_resuming_a_finished_run_repeats_nothing(measured: CommandLine) -> None:
    before = [attempt["id"] for attempt in exported(measured)["results"][0]["metrics"][0]["attempts"]]
    assert measured("run", "--resume").returncode == 0
    after = [attempt["id"] for attempt in exported(measured)["results"][0]["metrics"][0]["attempts"]]
    assert after == before


@pytest.mark.parametrize("command", ["run", "demo", "runs", "show", "report", "export", "adapters"])
def test_every_command_has_help_with_an_example_and_takes_a_store(benchharness: CommandLine, command: str) -> None:
    done = benchharness(command, "--help")
    assert done.returncode == 0
    assert f"Example:\n    benchharness {command}" in done.stdout
    assert "--store" in done.stdout


def test_prompts_from_token_files_and_text_files_are_what_the_model_gets(
    benchharness: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "prompt.txt").write_text("In the beginning God created the heaven and the earth.")
    (tmp_path / "tokens.json").write_text("[5, 6, 7, 8, 9]")
    (tmp_path / "next.txt").write_text(" ".join(map(str, range(10, 18))))
    (tmp_path / "prompts.toml").write_text(
        f"""
[models.demo.variants]
int4 = {{ artefact = "{ARTEFACTS / "onnx-int4"}" }}
[[workloads]]
name = "file"
prompt = {{ file = "prompt.txt" }}
output_tokens = 8
continuation = "greedy"
[[workloads]]
name = "tokens"
prompt = {{ tokens_file = "tokens.json" }}
continuation_file = "next.txt"
output_tokens = 8
[scenarios]
first-token = {{ min_time = "10 ms" }}
[attempts]
at_least = 1
"""
    )
    done = benchharness("run", "prompts.toml")
    assert done.returncode == 0, done.stderr
    found = {}
    for result in exported(benchharness)["results"]:
        found[result["workload"]["name"]] = {metric["name"]: metric for metric in result["metrics"]}
    assert found["tokens"]["model_ttft"]["parameters"]["prompt_tokens"] == 5
    assert "request_ttft" not in found["tokens"]  # there is nothing to tokenise
    text = found["file"]
    assert text["model_ttft"]["parameters"]["prompt_tokens"] == len(encoded(tmp_path / "prompt.txt"))
    assert text["request_ttft"]["value"] > text["model_ttft"]["value"]


def encoded(path: Path) -> list[int]:
    """The prompt through the demo model's tokenizer, without benchharness."""
    from tokenizers import Tokenizer

    ids: list[int] = Tokenizer.from_file(str(ARTEFACTS / "onnx-int4" / "tokenizer.json")).encode(path.read_text()).ids
    return ids


@pytest.mark.parametrize("command", ["run", "show"])
def test_a_document_stands_alone_on_standard_output(benchharness: CommandLine, models: Path, command: str) -> None:
    asked: tuple[str | Path, ...] = ("run", models / "base", "--scenario", "steady", *QUICK)
    if command == "show":
        assert benchharness(*asked).returncode == 0
    done = benchharness(*(asked if command == "run" else ["show"]), "--format", "json", report=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == exported(benchharness)
    if command == "run":
        assert " · base · onnxruntime · default · steady: ok, " in done.stderr
        assert "report: " in done.stderr
    done = benchharness("show", "--format", "markdown")
    assert done.stdout.startswith("**– No budgets set: what base costs** (")
    assert "\n| variant | " in done.stdout


def test_the_last_line_says_why_some_jobs_failed(benchharness: CommandLine, models: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    suite = suite_of(tmp_path, models, shared='shared = { artefact = "bad.onnx" }', threads="threads = 1", more="")
    done = benchharness("run", suite)
    assert done.returncode == 3, done.stderr
    assert done.stderr.splitlines()[-1].startswith("benchharness: 2 of 4 jobs failed: tiny · shared · ")
    assert done.stdout.count("tiny · shared · onnxruntime 1 thread · w · steady: ") == 1, "said at once, and once"
