"""The suite: what a user may write, and what is said about what may not be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchharness.errors import SuiteError
from benchharness.suite.tables import Suite, load_suite, read_tokens, restore_suite
from tests.unit.made_up import TWO_VARIANTS, loaded, write_suite

COMPLETE = """
name = "release 1.2"

[models.chat]
task = "causal-lm"
reference = "fp32"
tokenizer = "tokenizer.json"
[models.chat.variants.fp32]
artefact = "fp32.onnx"
recipe = "as exported"
[models.chat.variants.int8]
artefact = "int8.onnx"

[[configurations]]
name = "cpu"
runtime = "onnxruntime"
accelerator = "CPUExecutionProvider"
threads = [1, 2]
options = { graph_optimization_level = "ORT_ENABLE_ALL" }
accelerator_options = { use_arena = true }
python = "other/bin/python"

[[workloads]]
name = "chat"
models = ["chat"]
prompt = { tokens = [16, 128], seed = 7 }
output_tokens = 32
context_depth = [0, 512]
continuation = "greedy"

[[workloads]]
name = "scan"
dimensions = { batch = 2 }
values = { whole = 1, real = 1.0, flag = true, word = "a" }

[scenarios.first-token]
page_cache = ["warm", "evicted"]
min_time = "250 ms"
[scenarios.steady]
warmup = 0
repeats = 4

[attempts]
at_least = 7
interval = "2 %"
max_time = "10 min"
timeout = "90 s"
"""


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(SuiteError) as refused:
        loaded(folder, text)
    assert str(folder / "phones.toml") in str(refused.value)
    return str(refused.value)


def test_a_complete_suite_is_read_with_base_units_and_absolute_paths(tmp_path: Path) -> None:
    suite = loaded(tmp_path, COMPLETE)

    assert suite.name == "release 1.2"
    assert suite.models["chat"].variants["int8"].artefact == tmp_path / "int8.onnx"
    assert suite.models["chat"].tokenizer == tmp_path / "tokenizer.json"
    configuration = suite.configurations[0]
    assert configuration.threads == (1, 2)
    assert configuration.accelerator == ("CPUExecutionProvider",)
    assert configuration.python == tmp_path / "other/bin/python"
    prompt = suite.workloads[0].prompt
    assert prompt is not None
    assert prompt.tokens == (16, 128)
    assert suite.workloads[0].output_tokens == (32,)
    assert suite.workloads[1].values == {"whole": 1, "real": 1.0, "flag": True, "word": "a"}
    assert suite.scenarios.first_token is not None
    assert suite.scenarios.first_token.min_time == pytest.approx(0.25)
    attempts = suite.attempts
    assert (attempts.at_least, attempts.at_most) == (7, 30)
    assert (attempts.interval, attempts.max_time, attempts.timeout) == pytest.approx((0.02, 600, 90))


def test_options_that_name_files_beside_the_suite_are_their_paths(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    for name in ("build/bench", "mine.toml", "one.so"):
        (tmp_path / name).write_text("")
    options = 'program = "PROGRAM", reader = "mine.toml", custom_op_libraries = ["./one.so", "/vendor/two.so"]'
    text = f"""[models.m.variants.v]\nartefact = "m.onnx"\n[[configurations]]\noptions = {{ {options} }}"""
    given = loaded(tmp_path, text.replace("PROGRAM", "build/bench")).configurations[0].options
    assert given["program"] == str(tmp_path / "build/bench")
    assert given["reader"] == str(tmp_path / "mine.toml")
    assert [Path(each) for each in given["custom_op_libraries"]] == [tmp_path / "one.so", Path("/vendor/two.so")]
    for of_the_device in ("llama-bench", "build/none", "/vendor/bench", "~nobody-here/x", "x/" * 3000):
        (tmp_path / "llama-bench").write_text("a name is one that the device knows")
        found = loaded(tmp_path, text.replace("PROGRAM", of_the_device)).configurations[0].options["program"]
        assert found == of_the_device


def test_a_suite_needs_no_more_than_one_artefact(tmp_path: Path) -> None:
    suite = loaded(tmp_path, '[models.chat.variants.fp32]\nartefact = "fp32.onnx"')
    assert suite.name == "phones"
    assert suite.scenarios.first_token is not None
    assert suite.scenarios.steady is not None
    assert suite.attempts.at_least == 5


@pytest.mark.parametrize("text", [COMPLETE, TWO_VARIANTS])
def test_a_stored_suite_comes_back_equal_and_with_the_same_digest(tmp_path: Path, text: str) -> None:
    suite = loaded(tmp_path, text)
    restored = restore_suite(suite.model_dump_json(by_alias=True))
    assert restored == suite
    assert restored.digest == suite.digest


def test_the_digest_tells_suites_apart(tmp_path: Path) -> None:
    one = loaded(tmp_path, COMPLETE)
    other = loaded(tmp_path, COMPLETE.replace("at_least = 7", "at_least = 8"))
    assert one.digest != other.digest


@pytest.mark.parametrize(
    ("right", "wrong", "key", "nearest"),
    [
        ("[models.chat]\nreference", "[models.chat]\nreferense", "models.chat.referense", "reference"),
        ("artefact =", "artifact =", "models.chat.variants.fp32.artifact", "artefact"),
        ("accelerator =", "acelerator =", "configurations[0].acelerator", "accelerator"),
        ("prompt = { tokens =", "prompt = { tokns =", "workloads[0].prompt.tokns", "tokens"),
        ("dimensions =", "dimension =", "workloads[1].dimension", "dimensions"),
        ("[scenarios.first-token]", "[scenarios.first_token]", "scenarios.first_token", "first-token"),
        ("repeats = 4", "repeat = 4", "scenarios.steady.repeat", "repeats"),
        ("at_least =", "atleast =", "attempts.atleast", "at_least"),
        ("[attempts]", "[attempt]", "attempt", "attempts"),
    ],
)
def test_a_misspelt_key_is_named_with_its_place_and_the_nearest_valid_one(
    tmp_path: Path, right: str, wrong: str, key: str, nearest: str
) -> None:
    suite = COMPLETE.replace('task = "causal-lm"\n', "")
    assert suite.count(right) > 0
    message = refusal(tmp_path, suite.replace(right, wrong, 1))
    assert f"unknown key '{key}'; did you mean '{nearest}'?" in message


def test_a_key_like_no_other_is_answered_with_the_valid_ones(tmp_path: Path) -> None:
    message = refusal(tmp_path, TWO_VARIANTS + "[attempts]\nzzz = 1")
    assert "unknown key 'attempts.zzz'; valid here: at_least, at_most, interval, max_time, timeout" in message


def test_a_model_named_like_a_key_of_its_table_gets_the_right_hint(tmp_path: Path) -> None:
    message = refusal(tmp_path, TWO_VARIANTS.replace("chat", "variants") + '[models.variants]\nreferense = "fp32"')
    assert "did you mean 'reference'?" in message


def test_every_problem_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, TWO_VARIANTS + "[attempts]\natleast = 5\n[scenarios.steady]\nwarm = 1")
    assert "attempts.atleast" in message
    assert "scenarios.steady.warm" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[scenarios.steady]\nmin_time = 3",
            'scenarios.steady.min_time: 3 has no unit: write it as text, such as "3 s"',
        ),
        ("[attempts]\ninterval = 2", 'attempts.interval: 2 has no unit: write it as text, such as "2 %"'),
        ("[attempts]\ninterval = 0.02", "attempts.interval: 0.02 has no unit"),
        ('[attempts]\ntimeout = "90"', "attempts.timeout: '90' is not a duration"),
    ],
)
def test_a_number_without_its_unit_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, TWO_VARIANTS + text)


def test_a_wrong_unit_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    assert "write a number and a unit (ns, us, µs, ms, s, min, h)" in refusal(
        tmp_path, TWO_VARIANTS + '[attempts]\nmax_time = "2 %"'
    )
    assert "'2 ms' is not a share: write a number and a unit (%)" in refusal(
        tmp_path, TWO_VARIANTS + '[attempts]\ninterval = "2 ms"'
    )


@pytest.mark.parametrize("value", ['"0 %"', '"100 %"', '"-2 %"'])
def test_an_interval_is_between_nothing_and_everything(tmp_path: Path, value: str) -> None:
    assert "attempts.interval" in refusal(tmp_path, TWO_VARIANTS + f"[attempts]\ninterval = {value}")


def test_a_reference_that_is_no_variant_is_refused_with_the_variants(tmp_path: Path) -> None:
    message = refusal(tmp_path, TWO_VARIANTS + '[models.chat]\nreference = "fp16"')
    assert "models.chat: reference 'fp16' is not a variant (there are: fp32, int8)" in message


def test_the_same_artefact_twice_is_refused_with_both_names(tmp_path: Path) -> None:
    message = refusal(tmp_path, TWO_VARIANTS.replace("int8.onnx", "./fp32.onnx"))
    assert "variants 'fp32' and 'int8' are the same file: fp32.onnx" in message


@pytest.mark.parametrize(
    ("prompt", "given"), [('{ text = "hello", tokens = 3 }', "text, tokens"), ("{ seed = 1 }", "none")]
)
def test_a_prompt_is_exactly_one_thing(tmp_path: Path, prompt: str, given: str) -> None:
    message = refusal(tmp_path, TWO_VARIANTS + f"[[workloads]]\nprompt = {prompt}")
    assert f"workloads[0].prompt: give exactly one of text, file, tokens_file, tokens (given: {given})" in message


def test_a_workload_is_for_one_kind_of_model(tmp_path: Path) -> None:
    message = refusal(tmp_path, TWO_VARIANTS + "[[workloads]]\nprompt = { tokens = 3 }\ndimensions = { batch = 2 }")
    assert "workloads[0]: a workload has a prompt" in message


@pytest.mark.parametrize("count", ["0", "-1", "1.5", '"4"', "true", "[]"])
def test_a_count_is_a_whole_number_above_zero(tmp_path: Path, count: str) -> None:
    assert "configurations[0].threads" in refusal(tmp_path, TWO_VARIANTS + f"[[configurations]]\nthreads = {count}")


def test_no_machine_has_so_many_cores(tmp_path: Path) -> None:
    """LiteRT-LM, onnxruntime-genai and ExecuTorch started all of 100,000 threads: two cores stood still for minutes."""
    told = refusal(tmp_path, TWO_VARIANTS + "[[configurations]]\nthreads = [4096, 100_000]")
    assert "configurations[0].threads[1]: Input should be less than or equal to 4096 (it is 100000)" in told
    assert "threads[0]" not in told


def test_a_list_of_page_cache_states_is_not_empty(tmp_path: Path) -> None:
    text = "[scenarios.steady]\n[scenarios.first-token]\npage_cache = []"
    assert "scenarios.first-token.page_cache" in refusal(tmp_path, TWO_VARIANTS + text)


def test_a_wrong_value_of_an_input_is_named_by_its_own_key(tmp_path: Path) -> None:
    message = refusal(tmp_path, TWO_VARIANTS + "[[workloads]]\nvalues = { scale = [1] }")
    assert "workloads[0].values.scale: " in message


@pytest.mark.parametrize("value", ["nan", "inf", "2026-03-04"])
def test_an_option_that_cannot_be_stored_is_refused(tmp_path: Path, value: str) -> None:
    assert "configurations[0]" in refusal(tmp_path, TWO_VARIANTS + f"[[configurations]]\noptions = {{ x = {value} }}")


def test_a_syntax_error_names_file_and_line(tmp_path: Path) -> None:
    assert "line 3" in refusal(tmp_path, "\n\n[models.chat\n")


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = write_suite(tmp_path, TWO_VARIANTS)
    path.write_bytes('# caf\xe9\n[models.a.variants.b]\nartefact = "x"'.encode("latin-1"))
    with pytest.raises(SuiteError, match="not a text file in UTF-8") as refused:
        load_suite(path)
    assert str(path) in str(refused.value)


def test_a_missing_file_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="cannot be read") as refused:
        load_suite(tmp_path / "nowhere.toml")
    assert str(tmp_path / "nowhere.toml") in str(refused.value)


def test_a_suite_cannot_be_changed(tmp_path: Path) -> None:
    suite: Suite = loaded(tmp_path, TWO_VARIANTS)
    with pytest.raises(ValueError, match="frozen"):
        suite.name = "other"


@pytest.mark.parametrize("text", ["[1, 2, 3]", "1 2\n3", "1,2,\n3\n"])
def test_tokens_are_read_from_json_and_from_plain_numbers(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokens").write_text(text)
    assert read_tokens(tmp_path / "tokens") == [1, 2, 3]


@pytest.mark.parametrize(("text", "said"), [("", "no token ids"), ("1 -2", "negative"), ("1 two", "not a list")])
def test_tokens_that_are_none_are_refused_with_the_file(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "tokens").write_text(text)
    with pytest.raises(SuiteError, match=said) as refused:
        read_tokens(tmp_path / "tokens")
    assert str(tmp_path / "tokens") in str(refused.value)
