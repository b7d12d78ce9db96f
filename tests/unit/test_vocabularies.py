"""Which variants speak another vocabulary: found by what their tokenizers hold, and by nothing else in the file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchharness.errors import SuiteError
from benchharness.farm.submission import paths_in
from benchharness.judge.derive import derive_one
from benchharness.judge.unequal import Factor, differences
from benchharness.results.result import Job
from benchharness.scenarios.task.planned import _settings, _speaks
from benchharness.suite.artefact import DigestCache
from benchharness.suite.hardware import load_hardware
from benchharness.suite.materials import gather
from benchharness.suite.plan import plan
from benchharness.suite.planning import Planning
from benchharness.suite.tables import Suite, load_suite
from benchharness.suite.vocabularies import _told
from tests.unit.made_up import as_they_are, attempt, job, measured, onnx_only

SUITE = """
[models.chat]
task = "causal-lm"
evaluation = "text.txt"
{model}
[models.chat.variants]
teacher = {{ artefact = "teacher/model.onnx" }}
int8 = {{ artefact = "int8/model.onnx" }}
student = {{ artefact = "student/model.onnx"{student} }}
[[configurations]]
threads = 1
[[workloads]]
prompt = {{ tokens = 16 }}
[scenarios]
steady = {{}}
quality = {{}}
"""
WORDS = {"<s>": 0, "a": 1, "b": 2}
OTHER = {"<s>": 0, "b": 1, "a": 2}


def tokenizer(words: dict[str, int], **more: Any) -> str:
    added = [{"id": 3, "content": "<pad>", "special": True}]
    return json.dumps({"version": "1.0", "added_tokens": added, "model": {"type": "BPE", "vocab": words}, **more})


BYTES: dict[str, Any] = {"type": "ByteLevel", "add_prefix_space": False}
MODEL: dict[str, Any] = {
    "type": "BPE",
    "vocab": WORDS,
    "merges": [["a", "b"], ["b", "a"]],
    "unk_token": None,
    **dict.fromkeys(("fuse_unk", "byte_fallback", "ignore_merges"), False),
}
PAD: dict[str, Any] = {"id": 3, "content": "<pad>", "special": True, "normalized": False, "lstrip": False}


def cutting(**parts: Any) -> str:
    """A tokenizer whose merges and pre-tokenizer say how a text is cut, with parts of it replaced."""
    return json.dumps({"added_tokens": [PAD], "pre_tokenizer": BYTES, "model": MODEL, **parts})


def around(*pieces: dict[str, Any]) -> dict[str, Any]:
    return {"type": "TemplateProcessing", "single": pieces, "pair": [], "special_tokens": {"<s>": {"ids": [0]}}}


def written(folder: Path, *, student: str | None, suite_student: str = "", model: str = "", teacher: str = "") -> Suite:
    (folder / "text.txt").write_text("a b")
    kept = {
        "teacher": teacher or tokenizer(WORDS),
        "int8": teacher or tokenizer(WORDS, padding={"strategy": "BatchLongest"}),
        "student": student,
    }
    for name, said in kept.items():
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "model.onnx").write_text(name)
        (folder / name / "config.json").write_text(json.dumps({"eos_token_id": {"student": 2}.get(name, 1)}))
        if said is not None:
            (folder / name / "tokenizer.json").write_text(said)
    (folder / "suite.toml").write_text(SUITE.format(student=suite_student, model=model))
    return load_suite(folder / "suite.toml")


def planned(suite: Suite) -> list[Job]:
    return plan(suite, load_hardware("this-machine"), gather(suite, DigestCache(None), lister=as_they_are), onnx_only)


def of(jobs: Sequence[Job], variant: str, scenario: str) -> Job:
    (found,) = [each for each in jobs if (each.variant, each.scenario) == (variant, scenario)]
    return found


def test_a_student_of_other_ids_brings_its_own_tokenizer_and_nobody_else_does(tmp_path: Path) -> None:
    jobs = planned(written(tmp_path, student=tokenizer(OTHER)))
    student, int8 = (of(jobs, name, "quality") for name in ("student", "int8"))
    assert student.tokenizer == int8.tokenizer == str(tmp_path / "teacher" / "tokenizer.json")
    assert student.own_tokenizer == str(tmp_path / "student" / "tokenizer.json")
    assert student.own_tokenizer_digest
    assert int8.own_tokenizer is None, "another file, and the same tokens"
    assert student.comparison_pass == int8.comparison_pass
    assert Job.from_json(student.to_json()).own_tokenizer == student.own_tokenizer
    spoken = {each.variant: each.vocabulary for each in jobs}
    assert spoken["teacher"] == spoken["int8"] != spoken["student"]


def test_jobs_of_one_vocabulary_are_what_they_always_were(tmp_path: Path) -> None:
    alike, apart = (planned(written(tmp_path, student=said)) for said in (tokenizer(WORDS), tokenizer(OTHER)))
    assert {each.vocabulary for each in alike} == {""}
    assert {each.own_tokenizer for each in alike} == {None}
    assert of(alike, "int8", "quality").cell == of(apart, "int8", "quality").cell


@pytest.mark.parametrize(
    "said",
    [
        *(None, "{}", "[" * 5000, json.dumps({"model": {"vocab": 3}})),
        *('{"model": {"vocab": {"a": 1e999}}}', '{"model": {"vocab": [[]]}}', '{"model": {"vocab": {"a": NaN}}}'),
    ],
)
def test_what_cannot_be_read_as_a_tokenizer_stops_no_plan(tmp_path: Path, said: str | None) -> None:
    jobs = planned(written(tmp_path, student=said))
    own = of(jobs, "student", "quality").own_tokenizer
    assert own is None if said is None else own is not None  # the device says what is wrong with it


def test_a_file_that_would_fill_the_hosts_memory_is_left_to_the_device(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    whole = json.loads(cutting())
    path.write_text(json.dumps({**whole, "more": [[]] * 1000}))
    assert _told(path) is not None
    path.write_text(json.dumps(whole)[:-1] + ',"more":[' + "[]," * 2_000_000 + "[]]}")
    assert _told(path) is None


def unigram(*scores: float) -> str:
    vocab = list(map(list, zip([*WORDS, "<pad>"], scores, strict=True)))
    return json.dumps({"model": {"type": "Unigram", "vocab": vocab, "unk_id": 0}})


def test_a_list_of_words_with_scores_is_a_vocabulary_too_and_its_scores_cut(tmp_path: Path) -> None:
    for name, scores in (("one", (0, -1, -1, 0)), ("same", (0, -1.0, -1, 0)), ("other", (0, -2, -1, 0))):
        (tmp_path / name).write_text(unigram(*scores))
    one, same, other = (_told(tmp_path / name) for name in ("one", "same", "other"))
    assert one is not None
    assert other is not None
    assert one == same
    assert (one.words, one.led) == (other.words, other.led)
    assert one.cut != other.cut


#: What a tokenizer's file may say otherwise than the teacher's, and whether that may change an id.
SAID: dict[str, Any] = {
    "merges in another order": ({"model": {**MODEL, "merges": [["a", "b"], ["b", "a"]][::-1]}}, True),
    "fewer merges": ({"model": {**MODEL, "merges": []}}, True),
    "bytes for unknown words": ({"model": {**MODEL, "byte_fallback": True}}, True),
    "a normalizer": ({"normalizer": {"type": "Lowercase"}}, True),
    "another pattern": ({"pre_tokenizer": {**BYTES, "use_regex": False}}, True),
    "an added token that takes the blank": ({"added_tokens": [{**PAD, "lstrip": True}]}, True),
    "an added token that is found in the normalized text": ({"added_tokens": [{**PAD, "normalized": True}]}, True),
    "merges as words": ({"model": {**MODEL, "merges": ["a b", "b a"]}}, False),
    "defaults left out": ({"model": {key: MODEL[key] for key in ("type", "vocab", "merges")}}, False),
    "a default written out": ({"pre_tokenizer": {**BYTES, "use_regex": True}}, False),
    "offsets": ({"pre_tokenizer": {**BYTES, "trim_offsets": True}}, False),
    "a list of one part": ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [BYTES]}}, False),
    "a list of nothing": ({"normalizer": {"type": "Sequence", "normalizers": []}}, False),
    "a decoder": ({"decoder": {"type": "Fuse"}}, False),
    "padding": ({"padding": {"strategy": "BatchLongest"}}, False),
    "truncation": ({"truncation": {"max_length": 3}}, False),
    "a dropout of merges": ({"model": {**MODEL, "dropout": 0.1}}, False),
    "what goes behind a text": ({"post_processor": around({"Sequence": {}}, {"SpecialToken": {"id": "<s>"}})}, False),
}


@pytest.mark.parametrize("name", SAID)
def test_only_what_may_change_an_id_makes_the_device_look(tmp_path: Path, name: str) -> None:
    said, differs = SAID[name]
    jobs = planned(written(tmp_path, teacher=cutting(), student=cutting(**said)))
    student, teacher = of(jobs, "student", "quality"), of(jobs, "teacher", "steady")
    assert (student.own_tokenizer is not None) == differs
    if differs:
        assert teacher.vocabulary.partition("-")[0] == student.vocabulary.partition("-")[0] != ""
        assert teacher.vocabulary != student.vocabulary
    else:
        assert {each.vocabulary for each in jobs} == {""}, "jobs are what they always were"


def test_what_goes_before_a_text_makes_the_device_look_and_changes_no_rate(tmp_path: Path) -> None:
    led = {"post_processor": around({"SpecialToken": {"id": "<s>"}}, {"Sequence": {}})}
    jobs = planned(written(tmp_path, teacher=cutting(), student=cutting(**led)))
    assert of(jobs, "student", "quality").own_tokenizer is not None
    assert {each.vocabulary for each in jobs} == {""}


def test_a_tokenizer_for_all_variants_leaves_nothing_to_look_at(tmp_path: Path) -> None:
    said = cutting(model={**MODEL, "merges": []})
    (tmp_path / "all.json").write_text(cutting())
    jobs = planned(written(tmp_path, teacher=cutting(), student=said, model='tokenizer = "all.json"'))
    assert {each.own_tokenizer for each in jobs} == {None}
    assert {each.tokenizer for each in jobs if each.scenario == "quality"} == {str(tmp_path / "all.json")}


def test_a_named_tokenizer_is_looked_at_by_the_device_whatever_it_holds(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(tokenizer(WORDS))
    jobs = planned(written(tmp_path, student=None, suite_student=', tokenizer = "mine.json"'))
    assert of(jobs, "student", "quality").own_tokenizer == str(tmp_path / "mine.json")
    with pytest.raises(SuiteError, match=r"models.chat.variants.student.tokenizer: .*none.json is not a file"):
        planned(written(tmp_path, student=None, suite_student=', tokenizer = "none.json"'))


def test_a_variants_tokenizer_comes_along_to_a_farm(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(tokenizer(OTHER))
    suite = written(tmp_path, student=None, suite_student=', tokenizer = "mine.json"')
    table = suite.model_dump(mode="json", by_alias=True)
    assert str(tmp_path / "mine.json") in {holder[key] for holder, key in paths_in(table)}


def test_rates_of_two_vocabularies_have_no_ratio_and_answers_do(tmp_path: Path) -> None:
    def made(vocabulary: str, **more: Any) -> Any:
        rate = measured("decode_rate", 100.0, [100.0] * 5)
        return derive_one(job(vocabulary=vocabulary, **more), [attempt(0, rate)], "one attempt")

    told = differences(made("aaa"), made("bbb"), Factor.VARIANT)
    assert told == ["tokens of another vocabulary"]
    assert differences(made("aaa-b"), made("aaa-c"), Factor.VARIANT) == ["a text in other tokens of one vocabulary"]
    assert differences(made("aaa-b"), made("bbb-b"), Factor.VARIANT) == ["tokens of another vocabulary"]
    for same in ("aaa", "aaa-b"):  # how it cuts is told where the variants of that run differ in it
        assert differences(made("aaa"), made(same), Factor.VARIANT) == []
    assert differences(made("aaa"), made(""), Factor.VARIANT) == []


def test_a_tasks_answers_end_by_the_ids_of_each_vocabulary(tmp_path: Path) -> None:
    from benchharness.scenarios.task import Task

    suite = written(tmp_path, student=tokenizer(OTHER))
    materials = gather(suite, DigestCache(None), lister=as_they_are)
    planning = Planning(
        suite=suite,
        hardware=load_hardware("this-machine"),
        materials=materials,
        name="chat",
        pairs=(),
        formats=onnx_only,
    )
    settings = Task.model_validate({"datasets": ["data"], "end_tokens": [1, 3]})
    ends = {
        name: _settings(settings, planning, *_speaks(planning, name, "teacher"))["end_tokens"]
        for name in ("teacher", "int8", "student")
    }
    assert ends == {"teacher": [1, 3], "int8": [1, 3], "student": [2]}


def test_an_id_means_the_same_where_only_the_cut_differs(tmp_path: Path) -> None:
    from benchharness.scenarios.task import Task

    suite = written(tmp_path, teacher=cutting(), student=cutting(model={**MODEL, "merges": []}))
    planning = Planning(
        suite=suite,
        hardware=load_hardware("this-machine"),
        materials=gather(suite, DigestCache(None), lister=as_they_are),
        name="chat",
        pairs=(),
        formats=onnx_only,
    )
    settings = Task.model_validate({"datasets": ["data"], "end_tokens": [1, 3]})
    told = _settings(settings, planning, *_speaks(planning, "student", "teacher"))
    assert told["end_tokens"] == [1, 3]
