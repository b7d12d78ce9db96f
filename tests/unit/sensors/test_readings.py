"""What a program of the system prints: any bytes, any number of them, for as long as it likes."""

from __future__ import annotations

import sys
import time

import pytest

from benchharness.device.sensors import readings
from benchharness.device.sensors.readings import Unreadable, output_of


def told(code: str) -> str:
    return output_of([sys.executable, "-I", "-c", f"import os, sys, time; {code}"])


def test_bytes_that_are_no_text_are_shown_as_such_and_cost_nothing_else() -> None:
    assert told(r"os.write(1, b'[ro.product.model]: [\xffone]\n')") == "[ro.product.model]: [\ufffdone]"


def test_a_program_that_never_stops_printing_is_ended() -> None:
    with pytest.raises(Unreadable, match="said more than 1048576 bytes"):
        told("[os.write(1, b'x' * 65536) for _ in iter(int, 1)]")


@pytest.mark.parametrize("first", ["pass", "os.close(1)"])
def test_a_program_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    monkeypatch.setattr(readings, "_PATIENCE_S", 0.5)
    began_s = time.monotonic()
    with pytest.raises(Unreadable, match=r"not done after 0.5 s|exit code"):
        told(f"{first}; time.sleep(300)")
    assert time.monotonic() - began_s < 200


def test_it_hears_nothing_of_what_its_asker_is_told_and_its_code_counts() -> None:
    assert told("print(sys.stdin.read())") == ""
    with pytest.raises(Unreadable, match="ended with exit code 3"):
        told("print(1); sys.exit(3)")
    with pytest.raises(Unreadable, match="/no/such: FileNotFoundError"):
        output_of(["/no/such"])
