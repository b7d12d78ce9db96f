"""A machine's test of itself, with real processes of the demo model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import benchharness as package
from benchharness.judge.selftest import told
from tests.conftest import CommandLine


def test_a_machine_tells_what_it_could_see_and_gates_quote_it(
    benchharness: CommandLine, store_url: str, tmp_path: Path
) -> None:
    assert "is not tested: benchharness selftest" in told(None, datetime.now(UTC))
    done = benchharness("selftest", "--pairs", "20")
    assert done.returncode == 0, done.stderr
    printed = " ".join(done.stdout.split())
    assert "This machine:" in printed
    for title in ("TPOT", "peak memory"):
        assert f"{title}: " in printed
    assert "of 1 designs drawn from 20 pairs 0 false alarms" in printed
    (device,) = {device for result in package.load(store=store_url).results for device in result.devices}
    (tested,) = package.api.selftests([device, "another"], store=store_url).values()
    said = told(tested, tested.run.started + timedelta(days=3))
    assert said.startswith(f"selftest of {tested.run.started:%Y-%m-%d} (3 days ago), of the demo model by ")
    assert " by the usual design: this machine sees changes from " in said
    assert "0 of 2 overlapping designs were false alarms" in said
    assert told(tested, tested.run.started + timedelta(days=40)).endswith("; that is long ago: repeat it")
    done = benchharness("report", "--out", str(tmp_path / "page"))
    assert done.returncode == 0, done.stderr
    pages = [page.read_text(encoding="utf-8") for page in (tmp_path / "page").glob("*.html")]
    assert any("(today), of the demo model by the usual design: this machine sees " in page for page in pages)
    assert (
        "(today), of the demo model by the usual design: this machine sees "
        in benchharness("history", "--format", "json").stdout
    )
    refused = benchharness("selftest", "--pairs", "5")
    assert refused.returncode == 2
