"""The ledger, attacked: whatever is asked, in whatever order, by whomever, no device loses more than the budget."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchharness.device.tally import Tally
from benchharness.errors import UsageError
from benchharness.telemetry import ledger as module
from benchharness.telemetry.ledger import Entry, Ledger, Question, ask, shown, spent
from benchharness.telemetry.noise import Noisy, epsilon
from benchharness.telemetry.release import release
from tests.unit.field_samples import NOW, PERIOD, SeededNoise, fleet, with_times

HARDWARE = ("pi", "pixel-8")


def opened(folder: Path, budget: str = "4", **changes: Any) -> Path:
    path = folder / "fleet.ledger"
    Ledger.create(path, budget=budget, model="chat", hardware=HARDWARE, variants=["int4"], **changes)
    return path


def question(
    epsilon: str = "1",
    *,
    period: str = PERIOD,
    hardware: Sequence[str] = HARDWARE,
    of: Sequence[str] = (),
) -> Question:
    return Question.of(period=period, hardware=hardware, histograms=of or ["model_ttft"], epsilon=epsilon)


def exact(counts: Sequence[int], moved: int, epsilon: Fraction) -> Noisy:
    """No noise: what tells what was counted."""
    return Noisy(counts=list(counts), scale=float(moved / epsilon), by="none")


# Repeat


def test_the_same_question_is_answered_alike_and_paid_for_once(tmp_path: Path) -> None:
    path, noise, found = opened(tmp_path), SeededNoise(), fleet(40)
    first = release(path, found, question(), adds=noise, now=NOW)
    for asked in (question(), question("1.0", hardware=HARDWARE[::-1]), question(hardware=[*HARDWARE, "pi"])):
        again = release(path, found, asked, adds=noise, now=NOW)
        assert again.counted == first.counted
        assert (first.anew, again.anew) == (True, False)
    assert noise.asked == [1]
    assert Ledger.read(path).spent == 1


def test_asked_anew_it_is_paid_for_anew(tmp_path: Path) -> None:
    path, noise, found = opened(tmp_path), SeededNoise(), fleet(40)
    answers = [release(path, found, question(), again=True, adds=noise, now=NOW).counted for _ in range(4)]
    assert len({str(each.counts) for each in answers}) == 4
    assert Ledger.read(path).left == 0
    with pytest.raises(UsageError, match=r"bring what a device has lost to 5, and the budget is 4 \(0 left\)"):
        release(path, found, question(), again=True, adds=noise, now=NOW)
    assert len(noise.asked) == 4, "what is refused draws no noise"
    assert release(path, found, question(), adds=noise, now=NOW).counted == answers[-1]


# Split


def test_a_fleet_that_is_split_by_its_files_is_answered_as_the_whole_was(tmp_path: Path) -> None:
    """All but one device and all of them, each asked once: what differs would be that one."""
    path, noise, found = opened(tmp_path), SeededNoise(), fleet(40)
    whole = release(path, found, question(), adds=noise, now=NOW)
    for part in (found[1:], found[:1], []):
        assert release(path, part, question(), adds=noise, now=NOW).counted == whole.counted
    assert noise.asked == [1]


def test_splitting_by_histogram_adds_up(tmp_path: Path) -> None:
    path, noise = opened(tmp_path, "2"), SeededNoise()
    release(path, [], question(of=["model_ttft"]), adds=noise, now=NOW)
    release(path, [], question(of=["itl"]), adds=noise, now=NOW)
    with pytest.raises(UsageError, match="0 left"):
        release(path, [], question("0.01", of=["model_ttft", "itl"]), adds=noise, now=NOW)


def test_splitting_by_hardware_target_does_not_and_by_month_does(tmp_path: Path) -> None:
    path, noise = opened(tmp_path, "3"), SeededNoise()
    for hardware in HARDWARE:
        release(path, [], question(hardware=[hardware]), adds=noise, now=NOW)
    assert Ledger.read(path).spent == 1, "a device is of one hardware target"
    release(path, [], question("0.5", hardware=["pi"]), adds=noise, now=NOW)
    assert Ledger.read(path).spent == Fraction("1.5")
    release(path, [], question(hardware=["pixel-8"], period="2026-09"), adds=noise, now=NOW)
    assert Ledger.read(path).spent == Fraction("2.5"), "nobody knows which devices of two months are the same"
    with pytest.raises(UsageError, match=r"0\.5 left"):
        release(path, [], question(), adds=noise, now=NOW)


ASKED = st.builds(
    lambda epsilon, period, hardware, of: question(epsilon, period=period, hardware=sorted(hardware), of=sorted(of)),
    st.sampled_from(["0.1", "0.3", "1", "1.7", "0.010001"]),
    st.sampled_from(["2026-08", "2026-09", "2026-10"]),
    st.sets(st.sampled_from(HARDWARE), min_size=1),
    st.sets(st.sampled_from(["model_ttft", "itl"]), min_size=1),
)


@given(st.lists(st.tuples(ASKED, st.booleans()), max_size=10), st.sampled_from(["1", "2.5", "4"]))
@settings(max_examples=20, deadline=None)
def test_no_order_of_questions_costs_any_device_more_than_the_budget(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[Question, bool]], budget: str
) -> None:
    path = opened(tmp_path_factory.mktemp("ledger"), budget)
    answered: list[Question] = []
    for each, again in asked:
        try:
            _, anew = ask(path, each, lambda ledger: {}, again=again)
        except UsageError:
            continue
        answered += [each] if anew else []
    months = sorted({each.period for each in answered})
    for lives in itertools.product(HARDWARE, repeat=len(months)):  # whatever a device is in each month
        at = dict(zip(months, lives, strict=True))
        lost = sum((each.epsilon for each in answered if at[each.period] in each.hardware), Fraction(0))
        assert lost <= Fraction(budget)
        assert lost <= Ledger.read(path).spent


def test_ten_tenths_are_one_and_what_is_small_is_not_lost(tmp_path: Path) -> None:
    path = opened(tmp_path, "1")
    for _ in range(10):
        ask(path, question("0.1"), lambda ledger: {}, again=True)
    assert Ledger.read(path).left == 0
    with pytest.raises(UsageError):
        ask(path, question("0.01"), lambda ledger: {}, again=True)


# Replay


def test_a_device_that_is_sent_often_or_in_other_months_counts_once(tmp_path: Path) -> None:
    path = opened(tmp_path)
    one, two = with_times(1, [1e6]), with_times(2, [1e6])
    earlier = Tally(one.device, "2026-09", one.hardware, one.model, one.counts)
    foreign = Tally("f" * 32, PERIOD, one.hardware, "other", one.counts)
    found = release(path, [one, two, one, one, earlier, foreign], question(), adds=exact, now=NOW).counted
    assert sum(map(sum, found.counts.values())) == 2


def test_nothing_that_is_released_is_found_in_the_data(tmp_path: Path) -> None:
    """That a count is there at all would tell of a device: an empty fleet has the same places as a full one."""
    undeclared = with_times(9, [1e6], variant="secret", hardware="prototype")
    answers = [
        release(opened(folder), found, question(), adds=exact, now=NOW).counted
        for folder, found in ((tmp_path / "a", []), (tmp_path / "b", [undeclared]))
        if not folder.mkdir()  # type: ignore[func-returns-value]
    ]
    assert answers[0].to_json() == answers[1].to_json()
    assert "secret" not in json.dumps(answers[1].to_json())


def test_a_month_that_is_not_over_is_not_released(tmp_path: Path) -> None:
    path = opened(tmp_path)
    for period in ("2026-11", "2027-01"):
        with pytest.raises(UsageError, match="is not over"):
            release(path, [], question(period=period), adds=exact, now=NOW)
    assert Ledger.read(path).spent == 0


# Crashes, other programs, other hands


def test_nobody_is_told_before_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = opened(tmp_path)
    seen: list[int] = []
    real = os.fsync

    def looks(descriptor: int) -> None:
        seen.append(len(Ledger.read(path).entries))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", looks)
    ask(path, question(), lambda ledger: {"counts": []})
    assert seen == [1], "written whole, and then waited for"

    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(UsageError, match="nothing was released"):
        ask(path, question("2"), lambda ledger: {"counts": []})


def test_what_is_told_again_is_on_the_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may have been killed between writing a line and waiting for the disk: then nobody was told yet."""
    path = opened(tmp_path)
    ask(path, question(), lambda ledger: {})
    waited: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: waited.append(os.fstat(descriptor).st_ino))
    assert not ask(path, question(), lambda ledger: {})[1]
    assert waited == [path.stat().st_ino]


def test_an_answer_that_no_release_gives_is_not_told(tmp_path: Path) -> None:
    path = opened(tmp_path)
    for number, answer in enumerate(({}, release_without_noise(), {"noise": [], "counts": 1}), start=1):
        asked = question(f"0.{number}")
        ask(path, asked, lambda ledger, answer=answer: answer)  # type: ignore[misc]
        with pytest.raises(UsageError, match="is none that this version gives"):
            release(path, [], asked, adds=exact, now=NOW)


def release_without_noise() -> dict[str, Any]:
    return {"period": PERIOD, "model": "chat", "noise": None, "counts": []}


def test_killed_at_any_byte_it_is_spent_and_known_or_neither(tmp_path: Path) -> None:
    path = opened(tmp_path)
    ask(path, question("1"), lambda ledger: {"answer": 1})
    before = path.read_bytes()
    ask(path, question("2"), lambda ledger: {"answer": 2})
    after = path.read_bytes()
    for kept in [*range(len(before), len(after) - 1, 7), len(after) - 2]:
        path.write_bytes(after[:kept])
        found = Ledger.read(path)
        assert found.spent == 1
        assert found.torn == (kept > len(before))
    entry, anew = ask(path, question("2"), lambda ledger: {"answer": 3})
    assert (entry.answer, anew) == ({"answer": 3}, True), "what was cut off told nobody anything"
    assert Ledger.read(path).spent == 3
    assert not Ledger.read(path).torn


def test_a_last_line_without_its_end_was_told_and_is_not_given_back(tmp_path: Path) -> None:
    """A copy or an editor may have cut it off: then it looks as if it had never been finished, and was."""
    path = opened(tmp_path, "3")
    for each in ("1", "2"):
        path.write_bytes(path.read_bytes().removesuffix(b"\n"))
        ask(path, question(each), lambda ledger: {"answers before": len(ledger.entries)})
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    found = Ledger.read(path)
    assert found.spent == 3
    assert not found.torn
    assert ask(path, question("2"), lambda ledger: {})[0].answer == {"answers before": 1}
    with pytest.raises(UsageError, match="0 left"):
        ask(path, question("0.1"), lambda ledger: {})


def test_who_asks_at_once_shares_one_budget(tmp_path: Path) -> None:
    path = opened(tmp_path, "5")
    told: list[bool] = []

    def slowly(ledger: Ledger) -> dict[str, Any]:
        time.sleep(0.02)  # the others are at it meanwhile
        return {}

    def asks() -> None:
        for _ in range(3):
            try:
                told.append(ask(path, question(), slowly, again=True)[1])
            except UsageError:
                told.append(False)

    threads = [threading.Thread(target=asks) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (len(told), sum(told)) == (12, 5)
    assert len(Ledger.read(path).entries) == 5


def test_another_name_for_the_file_is_not_another_budget(tmp_path: Path) -> None:
    path = opened(tmp_path, "1")
    link = tmp_path / "link"
    link.symlink_to(path)
    ask(link, question(), lambda ledger: {})
    with pytest.raises(UsageError, match="0 left"):
        ask(path, question("0.5"), lambda ledger: {})


def forged(lines: list[bytes]) -> Mapping[str, list[bytes]]:
    """What another hand may have done to a ledger of a head and three entries."""
    return {
        "cheaper": [lines[0], lines[1].replace(b'"epsilon":"1"', b'"epsilon":"0.01"'), *lines[2:]],
        "richer": [lines[0].replace(b'"epsilon":"4"', b'"epsilon":"20"'), *lines[1:]],
        "shorter": [lines[0], *lines[2:]],
        "shuffled": [lines[0], lines[2], lines[1], lines[3]],
        "twice": [*lines[:2], *lines[1:]],
        "garbage": [*lines, b"{}\n"],
        "headless": lines[1:],
    }


@pytest.mark.parametrize("how", forged([b""] * 4))
def test_a_ledger_of_another_hand_answers_nothing(tmp_path: Path, how: str) -> None:
    path = opened(tmp_path)
    for each in ("1", "0.5", "0.25"):
        ask(path, question(each), lambda ledger: {})
    path.write_bytes(b"".join(forged(path.read_bytes().splitlines(keepends=True))[how]))
    with pytest.raises(UsageError, match=r"line|ledger"):
        ask(path, question(), lambda ledger: {})


def test_a_budget_is_set_once(tmp_path: Path) -> None:
    path = opened(tmp_path)
    with pytest.raises(UsageError, match="once and for all"):
        opened(tmp_path, "20")
    assert Ledger.read(path).budget == 4
    with pytest.raises(UsageError, match="open one: benchharness telemetry open"):
        Ledger.read(tmp_path / "none")
    with pytest.raises(UsageError, match="its folder is not there"):
        Ledger.create(tmp_path / "a" / "b", budget="1", model="m", hardware=["h"], variants=["v"])
    assert not (tmp_path / "a").exists()
    (tmp_path / "text").write_text("hello\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no line of a ledger"):
        Ledger.read(tmp_path / "text")


@pytest.mark.parametrize("text", ["0", "-1", "1e3", "nan", "inf", "21", "0.009", "0.0000001", "", "1,5", "½", "1" * 99])
def test_an_epsilon_is_a_plain_decimal_within_reason(text: str) -> None:
    with pytest.raises(UsageError, match="write a decimal number"):
        epsilon(text)


def test_questions_that_no_ledger_answers_are_refused_by_name(tmp_path: Path) -> None:
    path = opened(tmp_path)
    with pytest.raises(UsageError, match="histogram 'request': there is none; there are model_ttft"):
        question(of=["request"])
    with pytest.raises(UsageError, match="write a month"):
        question(period="October")
    with pytest.raises(UsageError, match=r"'tv' is not declared in .* which has pi, pixel-8"):
        ask(path, question(hardware=["tv"]), lambda ledger: {})
    for hardware, variant in (([], ["a"]), (["a", "a"], ["a"]), (["a/b"], ["a"]), (["a"], [])):
        with pytest.raises(UsageError, match=r"ledger declares|no tally can be of it"):
            Ledger.create(tmp_path / "new", budget="1", model="chat", hardware=hardware, variants=variant)
    assert not (tmp_path / "new").exists()


def test_what_was_spent_is_shown_exactly() -> None:
    assert [shown(Fraction(each)) for each in ("1", "0.1", "10", "0.000001", "2.50")] == [
        "1", "0.1", "10", "0.000001", "2.5"
    ]  # fmt: skip
    assert spent([Entry(at="", question=question("0.1"), answer={})] * 3) == Fraction("0.3")
    assert module.SCHEMA == "benchharness-ledger-1"
