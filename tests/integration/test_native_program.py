"""Programs that measure themselves, through the whole harness; one by a reader of another package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import benchharness
from benchharness.results.result import OutcomeKind, Result
from tests.conftest import ROOT
from tests.far import DIGITS

OWN = ROOT / "tests" / "own_program"
#: Laps of 100 to 129 µs, and as long a life as they take.
STOPWATCH = """import sys, time
if "--version" in sys.argv:
    print("stopwatch 2.5")
    sys.exit()
laps = [100 + at for at in range(int(sys.argv[2]))]
time.sleep(sum(laps) / 1e6)
for at, lap in enumerate(laps):
    print(f"lap {at}: {lap * FACTOR} microseconds")
"""


def run(folder: Path, code: str, **attempts: Any) -> dict[str, Result]:
    program = folder / "stopwatch"
    program.write_text(f"#!{sys.executable} -IS\n{code}")
    program.chmod(0o755)
    suite = {
        "configurations": [{"runtime": "native-program", "options": {"program": str(program)}}],
        "models": {"digits": {"variants": {"fp32": {"artefact": str(DIGITS)}}}},
        "attempts": {"at_least": 1, "at_most": 1, "timeout": "60 s", **attempts},
        "scenarios": {"steady": {"min_time": "1 ms"}, "first-token": {"min_time": "1 ms"}},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(OWN))
        patch.setenv("PYTHONPATH", f"{OWN}:{ROOT}")
        found = benchharness.run(suite, store=f"sqlite:///{folder}/store.db")
    return {result.job.scenario: result for result in found.results}


def test_a_reader_of_another_package_reads_its_program(tmp_path: Path) -> None:
    results = run(tmp_path, STOPWATCH.replace("FACTOR", "1"))
    steady = results["steady"]
    assert steady.outcome.kind is OutcomeKind.OK, steady.outcome
    found = {(each.name, each.parameters.get("percentile")): each.estimate for each in steady.metrics}
    assert found["steady_inference", 50].value == pytest.approx(114_500)
    assert found["inference_rate", None].value is None
    assert found["inference_rate", None].reason == "stopwatch does not look at the whole"
    assert not {name for name, _ in found} & {"model_memory", "cold_start_inference"}
    peak = found["peak_memory", None]  # a small program: known where it was still there when it had told its last lap
    assert (peak.value or 8 << 20) < 40 << 20
    assert peak.value or peak.reason.startswith("it held less than the process that started it")
    facts = steady.effective.facts
    assert steady.effective.runtime_version == "2.5"
    assert facts["commands"] == [f"{tmp_path}/stopwatch {DIGITS} 30"]
    assert facts["reader"] == "stopwatch"
    assert steady.conditions.to_json()["memory_unknown"]["memory"].endswith("a peak is known at most")
    assert steady.conditions.to_json()["libraries"]["unknown"].startswith("the program maps its own")
    first = results["first-token"].outcome
    assert (first.kind, "tells nothing that this scenario measures" in first.reason) == (OutcomeKind.UNSUPPORTED, True)


def test_a_program_that_says_more_than_it_lived_is_not_believed(tmp_path: Path) -> None:
    outcome = run(tmp_path, STOPWATCH.replace("FACTOR", "100000"))["steady"].outcome
    assert outcome.kind is OutcomeKind.INVALID
    assert "and it lived" in outcome.reason


def test_a_program_that_hangs_is_ended_with_its_attempt(tmp_path: Path) -> None:
    outcome = run(tmp_path, "import sys, time\nif '--version' not in sys.argv: time.sleep(600)", timeout="6 s")[
        "steady"
    ].outcome
    assert outcome.kind is OutcomeKind.TIMEOUT
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [each for each in commands if str(tmp_path).encode() in each]
