"""suite x hardware target -> jobs: which there are, what they are called, and what identifies them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchharness.device import cores
from benchharness.errors import SuiteError
from benchharness.results.result import Job
from benchharness.suite.artefact import DigestCache
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.hardware import load_hardware
from benchharness.suite.materials import gather
from benchharness.suite.plan import plan
from benchharness.suite.tables import load_suite
from tests.conftest import ROOT
from tests.unit.made_up import TWO_VARIANTS, jobs_of, loaded, onnx_only, write_suite

GRID = (
    TWO_VARIANTS
    + """
[[configurations]]
threads = [1, 2]
[[workloads]]
name = "chat"
prompt = { tokens = 16 }
context_depth = [0, 512]
[scenarios.first-token]
[scenarios.steady]
"""
)

PRINT_KEYS = """
import sys
from pathlib import Path
from benchharness.suite.tables import load_suite
from tests.unit.made_up import jobs_of

print(*(job.key for job in jobs_of(load_suite(Path(sys.argv[1])))))
"""


def test_a_grid_expands_to_every_combination_once(tmp_path: Path) -> None:
    jobs = jobs_of(loaded(tmp_path, GRID))

    cells = [(job.variant, job.configuration.threads, job.workload.context_depth, job.scenario) for job in jobs]
    assert cells == [
        (variant, threads, depth, scenario)
        for variant in ("fp32", "int8")
        for threads in (1, 2)
        for depth in (0, 512)
        for scenario in ("first-token", "steady")
    ]
    assert len({job.key for job in jobs}) == 16
    assert len({job.title for job in jobs}) == 16


def test_names_say_what_was_expanded(tmp_path: Path) -> None:
    jobs = jobs_of(loaded(tmp_path, GRID))
    assert {job.configuration.name for job in jobs} == {"onnxruntime 1 thread", "onnxruntime 2 threads"}
    assert {job.workload.name for job in jobs} == {"chat depth 0", "chat depth 512"}


def test_keys_are_the_same_in_every_process(tmp_path: Path) -> None:
    path = write_suite(tmp_path, GRID)
    printed = [
        subprocess.run(
            [sys.executable, "-c", PRINT_KEYS, str(path)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent.parent.parent,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1] == [job.key for job in jobs_of(loaded(tmp_path, GRID))]


def test_a_changed_artefact_changes_the_keys_of_its_jobs_only(tmp_path: Path) -> None:
    suite = loaded(tmp_path, GRID)
    before = {job.key: job for job in jobs_of(suite)}
    (tmp_path / "int8.onnx").write_bytes(b"SMALLER")  # of the same size
    after = {job.key: job for job in jobs_of(suite)}

    assert {before[key].variant for key in before.keys() - after.keys()} == {"int8"}
    assert {before[key].variant for key in before.keys() & after.keys()} == {"fp32"}
    assert len(before.keys() & after.keys()) == 8


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("threads = [1, 2]", "threads = [1, 3]"),
        ("tokens = 16", "tokens = 17"),
        ("[scenarios.steady]", "[scenarios.steady]\nrepeats = 9"),
        ("threads = [1, 2]", "threads = [1, 2]\noptions = { spin = 0 }"),
        ("[scenarios.steady]", "[scenarios.steady]\n[attempts]\ntimeout = '3 s'"),
    ],
)
def test_what_changes_a_measurement_changes_a_key(tmp_path: Path, one: str, other: str) -> None:
    before = {job.key for job in jobs_of(loaded(tmp_path, GRID))}
    after = {job.key for job in jobs_of(loaded(tmp_path, GRID.replace(one, other)))}
    assert before != after


def test_how_many_attempts_are_made_changes_no_key(tmp_path: Path) -> None:
    before = [job.key for job in jobs_of(loaded(tmp_path, GRID))]
    after = [job.key for job in jobs_of(loaded(tmp_path, GRID + "[attempts]\nat_least = 9"))]
    assert before == after


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[configurations]]\n[[configurations]]\noptions = { a = 1 }", "two configurations are called 'onnxruntime'"),
        ("[[configurations]]\nthreads = [2, 2]", "two configurations are called 'onnxruntime 2 threads'"),
        ("[[workloads]]\nname = 'chat'\n[[workloads]]\nname = 'chat'", "two workloads are called 'chat'"),
        ("[[workloads]]\nname = 'chat'\noutput_tokens = [8, 8]", "two workloads are called 'chat 8 out'"),
    ],
)
def test_a_name_used_twice_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SuiteError, match=said):
        jobs_of(loaded(tmp_path, TWO_VARIANTS + text))


def test_the_same_page_cache_state_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="page_cache"):
        jobs_of(loaded(tmp_path, TWO_VARIANTS + '[scenarios.first-token]\npage_cache = ["warm", "warm"]'))


@pytest.mark.parametrize("scenarios", ["[scenarios]", "[scenarios.first-token]\npage_cache = []"])
def test_a_suite_without_a_single_job_is_refused(tmp_path: Path, scenarios: str) -> None:
    with pytest.raises(SuiteError, match="scenario"):
        jobs_of(loaded(tmp_path, TWO_VARIANTS + scenarios))


@pytest.mark.parametrize("task", ["classifier", "embedding", "tensor"])
def test_a_prompt_is_not_for_a_model_of_another_task(tmp_path: Path, task: str) -> None:
    text = TWO_VARIANTS + (
        f"[models.chat]\ntask = '{task}'\n"
        "[[workloads]]\nname = 'ask'\nprompt = { tokens = 8 }\n[[workloads]]\nname = 'scan'\ndimensions = { batch = 2 }"
    )
    assert {job.workload.name for job in jobs_of(loaded(tmp_path, text))} == {"scan"}


def test_dimensions_are_not_for_a_language_model(tmp_path: Path) -> None:
    text = TWO_VARIANTS + (
        "[models.chat]\ntask = 'causal-lm'\n"
        "[[workloads]]\nname = 'ask'\nprompt = { tokens = 8 }\n[[workloads]]\nname = 'scan'\ndimensions = { batch = 2 }"
    )
    assert {job.workload.name for job in jobs_of(loaded(tmp_path, text))} == {"ask"}


def test_a_model_whose_task_is_not_said_gets_every_workload(tmp_path: Path) -> None:
    text = TWO_VARIANTS + "[[workloads]]\nname = 'ask'\nprompt = { tokens = 8 }\n[[workloads]]\nname = 'any'\n"
    assert {job.workload.name for job in jobs_of(loaded(tmp_path, text))} == {"ask", "any"}


def test_a_model_that_no_workload_is_for_is_refused(tmp_path: Path) -> None:
    text = TWO_VARIANTS + "[models.chat]\ntask = 'tensor'\n[[workloads]]\nprompt = { tokens = 8 }"
    with pytest.raises(SuiteError, match=r"models\.chat: no workload is for it"):
        jobs_of(loaded(tmp_path, text))


def test_a_workload_for_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    text = TWO_VARIANTS + "[[workloads]]\nname = 'any'\n[[workloads]]\nname = 'ask'\nmodels = ['chta']"
    with pytest.raises(SuiteError, match="chta"):
        jobs_of(loaded(tmp_path, text))


def test_a_variant_that_no_configuration_opens_is_refused_with_its_place(tmp_path: Path) -> None:
    write_suite(tmp_path, "", contents={"fp32.onnx": b"1", "int8.tflite": b"2"})
    with pytest.raises(SuiteError, match=r"models\.chat\.variants\.int8: no configuration opens .*int8\.tflite"):
        jobs_of(loaded(tmp_path, TWO_VARIANTS.replace("int8.onnx", "int8.tflite")))


def test_a_variant_is_paired_with_the_configurations_that_open_it(tmp_path: Path) -> None:
    (tmp_path / "int8.other").write_bytes(b"3")
    text = TWO_VARIANTS.replace("int8.onnx", "int8.other") + (
        "[[configurations]]\n[[configurations]]\nruntime = 'another'\n[scenarios.steady]"
    )
    pairs = [(job.variant, job.configuration.runtime) for job in jobs_of(loaded(tmp_path, text))]
    assert pairs == [("fp32", "onnxruntime"), ("int8", "another")]


def test_a_folder_is_opened_by_the_model_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model.onnx").write_bytes(b"1")
    assert len(jobs_of(loaded(tmp_path, '[models.chat.variants.all]\nartefact = "folder"'))) == 2


def test_the_reference_is_the_first_variant_unless_said(tmp_path: Path) -> None:
    assert {job.reference for job in jobs_of(loaded(tmp_path, TWO_VARIANTS))} == {"fp32"}
    said = jobs_of(loaded(tmp_path, TWO_VARIANTS + "[models.chat]\nreference = 'int8'"))
    assert {job.reference for job in said} == {"int8"}
    assert {job.variant for job in said if job.is_reference} == {"int8"}


def test_texts_and_tokens_are_in_the_job(tmp_path: Path) -> None:
    (tmp_path / "ask.txt").write_text("What?", encoding="utf-8")
    (tmp_path / "ids").write_text("[4, 5]")
    (tmp_path / "next").write_text("[6]")
    (tmp_path / "tokenizer.json").write_text("{}")
    text = TWO_VARIANTS + (
        "[[workloads]]\nprompt = { file = 'ask.txt' }\n"
        "[[workloads]]\nprompt = { tokens_file = 'ids' }\ncontinuation_file = 'next'\n[scenarios.steady]"
    )
    first, second, *_ = jobs_of(loaded(tmp_path, text))
    assert first.workload.prompt.to_json() == {"seed": 0, "text": "What?", "file": "ask.txt"}
    assert first.tokenizer == str(tmp_path / "tokenizer.json")
    assert first.tokenizer_digest == hashlib.sha256(b"{}").hexdigest()
    assert second.workload.prompt.to_json() == {"seed": 0, "tokens": [4, 5], "file": "ids", "continuation_tokens": [6]}
    assert second.tokenizer is None


def test_two_models_with_two_variants_and_two_configurations_each_expand_to_their_jobs(tmp_path: Path) -> None:
    """The demo model and SmolLM2 in one suite; SmolLM2's folders stand in where they are not built."""
    for name in ("smollm2-fp32", "smollm2-int4"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.onnx").write_text(name)
    demo = ROOT / "examples" / "demo_model" / "artefacts"
    (tmp_path / "both.toml").write_text(
        f"""
        [models.demo.variants]
        fp32 = {{ artefact = "{demo / "onnx-fp32"}" }}
        int4 = {{ artefact = "{demo / "onnx-int4"}" }}
        [models.smollm2.variants]
        fp32 = {{ artefact = "smollm2-fp32" }}
        int4 = {{ artefact = "smollm2-int4" }}
        [[configurations]]
        threads = [1, 2]
        """
    )
    jobs = jobs_of(load_suite(tmp_path / "both.toml"))
    cells = {(job.model, job.variant, job.configuration.threads, job.scenario) for job in jobs}
    assert cells == {
        (model, variant, threads, scenario)
        for model in ("demo", "smollm2")
        for variant in ("fp32", "int4")
        for threads in (1, 2)
        for scenario in ("first-token", "steady")
    }
    assert len(jobs) == len(cells) == 16


def test_a_reference_of_each_format(tmp_path: Path) -> None:
    text = """
    [[configurations]]
    runtime = "onnxruntime"
    [[configurations]]
    runtime = "another"
    [models.chat]
    reference = ["fp32", "theirs"]
    [models.chat.variants]
    fp32 = { artefact = "fp32.onnx", precision = "fp32" }
    int8 = { artefact = "int8.onnx", precision = "int8" }
    theirs = { artefact = "fp32.other", precision = "fp32" }
    small = { artefact = "int8.other" }
    """
    contents = {name: name.encode() for name in ("fp32.onnx", "int8.onnx", "fp32.other", "int8.other")}
    jobs = jobs_of(load_suite(write_suite(tmp_path, text, contents=contents)))
    found = {job.variant: (job.reference, job.precision) for job in jobs}
    assert found == {
        "fp32": ("fp32", "fp32"),
        "int8": ("fp32", "int8"),
        "theirs": ("theirs", "fp32"),
        "small": ("theirs", None),
    }


def test_a_configuration_for_another_system_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TWO_VARIANTS + '\n[[configurations]]\nname = "a"\nonly_on = "macos"\n[[configurations]]\nname = "b"\n'
    suite = loaded(tmp_path, text)
    monkeypatch.setattr(sys, "platform", "linux")
    assert {job.configuration.name for job in jobs_of(suite)} == {"b"}
    monkeypatch.setattr(sys, "platform", "darwin")
    assert {job.configuration.name for job in jobs_of(suite)} == {"a", "b"}


def test_a_suite_for_another_system_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(SuiteError, match="other systems than linux"):
        jobs_of(loaded(tmp_path, TWO_VARIANTS + '\n[[configurations]]\nonly_on = ["macos", "windows"]\n'))


def test_what_the_scores_are_goes_along_only_where_it_is_said(tmp_path: Path) -> None:
    """A suite that says nothing plans the jobs that it planned before there was such a key."""
    np.savez(tmp_path / "data.npz", x=np.zeros((2, 3)))
    text = 'evaluation = "data.npz"\n' + TWO_VARIANTS + "[scenarios]\nquality = {}\n"
    said: dict[str, Job] = {}
    for word in ("", 'scores = "probabilities"\n'):
        (said[word],) = jobs_of(loaded(tmp_path, "[models.chat]\n" + word + text))
    silent, told = said.values()
    assert silent.workload.data is not None
    assert told.workload.data is not None
    assert "scores" not in silent.workload.data.to_json()
    assert told.workload.data.scores == "probabilities"
    assert silent.key != told.key
    with pytest.raises(SuiteError, match=r"models\.chat\.scores"):
        loaded(tmp_path, '[models.chat]\nscores = "softmax"\n' + text)


TWO_RUNTIMES = """
[models.chat.variants.fp32]
artefact = "fp32.onnx"
[models.chat.variants.lite]
artefact = "lite.other"
[[workloads]]
name = "chat"
prompt = { tokens = 16 }
[scenarios.steady]
[[configurations]]
runtime = "onnxruntime"
"""


def planned_threads(folder: Path, text: str, threads: int | None = 4) -> dict[str, tuple[object, object]]:
    contents = {"fp32.onnx": b"as exported", "int8.onnx": b"smaller", "lite.other": b"elsewhere"}
    suite = load_suite(write_suite(folder, text, contents=contents))
    materials = gather(suite, DigestCache(None))
    jobs = plan(suite, load_hardware(THIS_MACHINE), materials, onnx_only, threads=threads)
    return {job.configuration.name: (job.configuration.threads, job.configuration.threads_by) for job in jobs}


def test_runtimes_of_one_model_are_asked_for_equal_threads_where_nobody_names_a_number(tmp_path: Path) -> None:
    told = planned_threads(tmp_path, TWO_RUNTIMES + '[[configurations]]\nruntime = "tflite"\n')
    assert told == dict.fromkeys(("onnxruntime", "tflite"), (4, "default: equal for all runtimes"))


def test_a_number_that_is_named_stays_and_one_runtime_keeps_its_own_default(tmp_path: Path) -> None:
    named = planned_threads(tmp_path, TWO_RUNTIMES + 'threads = 1\n[[configurations]]\nruntime = "tflite"\n')
    assert named == {"onnxruntime 1 thread": (1, None), "tflite": (None, None)}
    alone = GRID.replace("threads = [1, 2]", 'runtime = "onnxruntime"')
    assert planned_threads(tmp_path, alone) == {"onnxruntime": (None, None)}
    split = TWO_RUNTIMES.replace("[models.chat.variants.lite]", "[models.other.variants.lite]")
    assert set(planned_threads(tmp_path, split + '[[configurations]]\nruntime = "tflite"\n').values()) == {(None, None)}
    unknown = planned_threads(tmp_path, TWO_RUNTIMES + '[[configurations]]\nruntime = "tflite"\n', threads=None)
    assert set(unknown.values()) == {(None, None)}


def machine(root: Path, topology: dict[int, tuple[int, int]]) -> Path:
    for cpu, (package, core) in topology.items():
        folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text(f"{package}\n")
        (folder / "core_id").write_text(f"{core}\n")
    return root


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux tells which cores a process may use")
def test_physical_cores_are_those_that_the_process_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads_of_two = {0: (0, 0), 1: (0, 1), 2: (0, 0), 3: (0, 1), 4: (1, 0)}
    root = machine(tmp_path, threads_of_two)
    for allowed, expected in (({0, 1, 2, 3, 4}, 3), ({0, 2}, 1), ({1, 4}, 2)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, allowed=allowed: allowed)
        monkeypatch.setattr(cores, "cpu_quota_us", lambda _: "none")
        assert cores.physical_cores(root) == expected
        monkeypatch.setattr(cores, "cpu_quota_us", lambda _: (150_000, 100_000))
        assert cores.physical_cores(root) == 1


def test_states_and_a_threshold_go_along_only_where_they_are_said(tmp_path: Path) -> None:
    """State goes in whatever is fed, so it is in every job; an empty table says that there is none."""
    np.savez(tmp_path / "data.npz", x=np.zeros((2, 3)))
    scenarios = TWO_VARIANTS + "[scenarios]\nsteady = {}\nquality = {}\n"
    said: list[dict[tuple[str, str], Job]] = []
    for told in ("", 'threshold = 0.3\nstate = { n = "s" }\n'):
        text = f'[models.chat]\nevaluation = "data.npz"\n{told}{scenarios}'
        said.append({(job.scenario, job.variant): job for job in jobs_of(loaded(tmp_path, text))})
    silent, told_ = said
    for (scenario, variant), job in silent.items():
        assert not job.tensors
        assert told_[scenario, variant].tensors == {"state": {"n": "s"}}
        assert told_[scenario, variant].key != job.key
    thresholds = {key: job.workload.data.threshold for key, job in told_.items() if job.workload.data is not None}
    assert set(thresholds.values()) == {0.3}
    assert all(job.workload.data is None or "threshold" not in job.workload.data.to_json() for job in silent.values())


@pytest.mark.parametrize(
    ("told", "key"),
    [
        ("threshold = 1.0", "threshold"),
        ("threshold = 0", "threshold"),
        ('state = { a = "s", b = "s" }', r"state.*two outputs"),
    ],
)
def test_a_threshold_is_a_probability_and_an_input_takes_one_output(tmp_path: Path, told: str, key: str) -> None:
    with pytest.raises(SuiteError, match=rf"models\.chat\.{key}"):
        loaded(tmp_path, f"[models.chat]\n{told}\n" + TWO_VARIANTS)


def test_an_empty_table_of_a_variant_says_that_it_has_no_state(tmp_path: Path) -> None:
    text = TWO_VARIANTS.replace("[models.chat.variants.int8]\n", "[models.chat.variants.int8]\nstate = {}\n")
    assert text != TWO_VARIANTS
    jobs = jobs_of(loaded(tmp_path, f'[models.chat]\nstate = {{ n = "s" }}\n{text}[scenarios]\nsteady = {{}}\n'))
    assert {job.variant: job.tensors for job in jobs} == {"fp32": {"state": {"n": "s"}}, "int8": {"state": {}}}
