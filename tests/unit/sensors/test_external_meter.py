"""An external meter: its lines, its clock against ours, and all that makes what it says unknown."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchharness.device.sensors.meters import external
from benchharness.device.sensors.meters.external import ExternalMeter
from benchharness.device.sensors.meters.lines import Columns, divided
from benchharness.device.sensors.meters.sources import Arrived
from benchharness.device.sensors.readings import Unreadable

DECLARED = {
    "file": "/meter.csv",
    "of": "wall plug",
    "time": 1,
    "time_unit": "s",
    "value": 2,
    "unit": "W",
    "least_uw": 1e6,
    "most_uw": 60e6,
}
#: The meter's clock is so far ahead of ours, in seconds.
AHEAD_S = 1_700_000_000.0
STARTED_NS = 5_000_000_000


class Scripted:
    """Lines that come at moments of ours."""

    name = "/meter.csv"

    def __init__(self, arrivals: Sequence[tuple[float, str]], end: str = "") -> None:
        self.left = [(round(at_s * 1e9) + STARTED_NS, line.encode()) for at_s, line in arrivals]
        self.end = end

    def lines(self) -> list[Arrived]:
        if not self.left and self.end:
            raise Unreadable(self.end)
        return [self.left.pop(0)] if self.left else []

    def close(self) -> None:
        pass


def heard(
    monkeypatch: pytest.MonkeyPatch, arrivals: Sequence[tuple[float, str]], end: str = "", **declared: Any
) -> ExternalMeter:
    monkeypatch.setattr(external, "_source", lambda _: Scripted(arrivals, end))
    meter = ExternalMeter({**DECLARED, **declared}, STARTED_NS)
    for _ in range(len(arrivals) + 1):
        meter.look()
    meter.close()
    return meter


def line(at_s: float, value: object) -> str:
    return f"{AHEAD_S + at_s:.3f},{value}"


def every_second(count: int, watts: float = 10.0, late_s: float = 0.1, begin: int = 0) -> list[tuple[float, str]]:
    return [(at + late_s, line(at, watts)) for at in range(begin, begin + count)]


def told(meter: ExternalMeter) -> dict[str, list[tuple[float, float]]]:
    """By channel, (seconds since the start, joules)."""
    return {name: [(at / 1e9, count / 1e6) for at, count in rows] for name, rows in meter.channels().items()}


def test_power_becomes_energy_and_its_clock_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings of 10 and 20 W in turn: between two of them 15 J a second. The quickest line took 20 ms."""
    lates = [0.1, 0.3, 0.02, 0.2, 0.1]
    arrivals = [(at + late, line(at, 10 if at % 2 == 0 else 20)) for at, late in enumerate(lates)]
    rows = told(heard(monkeypatch, arrivals))["meter_uj.0"]
    assert [at for at, _ in rows] == pytest.approx([0.02, 1.02, 2.02, 3.02, 4.02])
    assert [joules for _, joules in rows] == pytest.approx([0, 15, 30, 45, 60])


def test_the_quickest_line_of_a_whole_stretch_sets_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute on a busy machine, and one line that came at once."""
    arrivals = [(at + (0.03 if at == 17 else 0.4), line(at, 10)) for at in range(30)]
    assert told(heard(monkeypatch, arrivals))["meter_uj.0"][0][0] == pytest.approx(0.03)


def test_a_counter_of_energy_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = [(at + 0.1, line(at, 700 + 2.5 * at)) for at in range(30)]
    rows = told(heard(monkeypatch, arrivals, unit="mWh"))["meter_uj.0"]
    assert rows[-1] == pytest.approx((29.1, 29 * 2.5 * 3.6))


@pytest.mark.parametrize("text", ["time;watts", "# begins", "", "  ", "a,b"])
def test_a_heading_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = heard(monkeypatch, [(0, text), *every_second(5)])
    assert told(meter)["meter_uj.0"][-1][1] == pytest.approx(40)
    assert meter.described()["left_out"] == {}


def test_its_resolution_and_its_clock_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = [(at + 0.1, line(at, f"{10 + at / 100:.2f}")) for at in range(5)]
    found = heard(monkeypatch, arrivals).described()
    assert found["found"] is True
    assert found["of"] == "wall plug"
    assert found["source"] == "/meter.csv, column 2 in W: wall plug"
    assert found["resolution"].startswith("0.01 W every 1 s")
    assert "its clock is set by when its lines came" in found["resolution"]


def test_a_gap_divides_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = heard(monkeypatch, [*every_second(5), *every_second(5, begin=20)])
    spans = {name: (rows[0][0], rows[-1][0]) for name, rows in told(meter).items()}
    assert spans == {"meter_uj.0": pytest.approx((0.1, 4.1)), "meter_uj.1": pytest.approx((20.1, 24.1))}
    assert meter.described()["left_out"] == {"gaps": "1 gaps, in which nothing is known"}


def test_a_quick_meter_may_be_held_up_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty readings a second, and none for 0.4 s; then none for 0.6 s."""
    at_s = [
        *(at / 50 for at in range(50)),
        *(1.38 + at / 50 for at in range(50)),
        *(2.96 + at / 50 for at in range(50)),
    ]
    found = told(heard(monkeypatch, [(at + 0.001, line(at, 10)) for at in at_s]))
    assert [rows[-1][1] for rows in found.values()] == pytest.approx([10 * 2.36, 10 * 0.98])


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "", "ten", "1e400"])
def test_a_line_without_a_number_is_a_missing_reading(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = every_second(10)
    for at in (4, 5, 6):
        arrivals[at] = (at + 0.1, line(at, value))
    meter = heard(monkeypatch, arrivals)
    assert sorted(told(meter)) == ["meter_uj.0", "meter_uj.1"]
    assert meter.described()["left_out"]["lines"] == "3 lines had no two numbers"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("1,,5.1,0.6", ["1", "", "5.1", "0.6"]),
        ("12,5;3,2\r", ["12,5", "3,2"]),
        ("\t5.1\t0.6", ["", "5.1", "0.6"]),
        (" 1   5.1 ", ["1", "5.1"]),
        ("1, 5.1 , 3", ["1", "5.1", "3"]),
    ],
)
def test_a_column_keeps_its_place(text: str, columns: list[str]) -> None:
    assert divided(text) == columns


@pytest.mark.parametrize("text", ["{at},,5.1", "{at},0;3,2"])
def test_what_stands_in_another_column_is_not_taken_for_it(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power that is missing, with volts behind it; and decimal commas: both would be 1 to 60 W."""
    meter = heard(monkeypatch, [(at + 0.1, text.format(at=at)) for at in range(30)])
    assert meter.described()["reason"].endswith("none of its 30 lines had a number in columns 1 and 2")


@pytest.mark.parametrize(("worth", "watts"), [(1000, "1e+04"), (0.001, "0.01"), (0, "0")])
def test_a_unit_that_is_wrong_by_a_thousand_is_refused(
    worth: float, watts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """google/perfetto issue 1441: a phone's current in mA where µA are documented, and everything a thousandth."""
    meter = heard(monkeypatch, every_second(20, watts=10 * worth))
    assert meter.channels() == {}
    reason = meter.described()["reason"]
    assert f"it tells {watts} W, and the profile says 1 to 60 W: is it in another unit?" in reason


def test_and_so_is_a_counter_of_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = [(at + 0.1, line(at, 2.5 * at)) for at in range(30)]
    meter = heard(monkeypatch, arrivals, unit="Wh")
    assert meter.channels() == {}
    assert "it tells 9000 W, and the profile says 1 to 60 W" in meter.described()["reason"]


def test_one_reading_that_cannot_be_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = [*every_second(5), (5.1, line(5, 9999)), *every_second(5, begin=6)]
    assert [len(rows) for rows in told(heard(monkeypatch, arrivals)).values()] == [5, 5]


def test_a_clock_that_goes_back_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = [*every_second(5), (5.1, line(2, 10)), *every_second(5, begin=6)]
    meter = heard(monkeypatch, arrivals)
    assert [rows[-1][0] for rows in told(meter).values()] == pytest.approx([4.1])
    assert meter.described()["left_out"] == {"from some moment on": "its clock went back by 2 s"}


def test_a_clock_that_stands_still_tells_one_of_its_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock of whole seconds, read twice in each."""
    arrivals = [(at / 2 + 0.1, f"{int(AHEAD_S + at // 2)},{10 + at % 2}") for at in range(12)]
    meter = heard(monkeypatch, arrivals)
    assert told(meter)["meter_uj.0"][-1][1] == pytest.approx(50)
    assert meter.described()["left_out"] == {"time": "6 lines had the time of the one before"}


def test_a_clock_that_runs_apart_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute of its seconds takes 63 of ours."""
    arrivals = [(at * 1.05 + 0.1, line(at, 10)) for at in range(60)]
    meter = heard(monkeypatch, arrivals)
    assert meter.channels() == {}
    assert "its clock and ours ran apart by" in meter.described()["reason"]


@pytest.mark.parametrize("rate", [0.5, 0.001])
def test_and_so_is_one_that_hardly_moves(rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds that are declared as milliseconds would squeeze a course into its beginning."""
    meter = heard(monkeypatch, [(at + 0.1, line(at * rate, 10)) for at in range(8)])
    assert "its clock and ours ran apart by" in meter.described()["reason"]


def test_lines_that_are_kept_back_all_the_time_have_no_known_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program whose output is buffered: all of it comes at its end."""
    meter = heard(monkeypatch, [(60.0, line(at, 10)) for at in range(60)])
    assert meter.channels() == {}
    assert "its lines came all at once" in meter.described()["reason"]


def test_lines_that_come_in_lots_are_told_by_the_last_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = [(at - at % 5 + 4.05, line(at, 10)) for at in range(30)]
    assert told(heard(monkeypatch, arrivals))["meter_uj.0"][0][0] == pytest.approx(0.05)


def test_a_meter_that_stops_tells_nothing_of_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = heard(monkeypatch, every_second(5), end="the connection was closed at the other end")
    assert told(meter)["meter_uj.0"][-1][0] == pytest.approx(4.1)
    assert meter.described()["left_out"] == {"from some moment on": "the connection was closed at the other end"}


def test_a_counter_that_begins_anew_leaves_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [*range(700, 730), *range(30)]
    meter = heard(monkeypatch, [(at + 0.1, line(at, value * 10)) for at, value in enumerate(values)], unit="J")
    assert [rows[-1][1] for rows in told(meter).values()] == pytest.approx([290, 280])


def test_a_counter_that_is_too_coarse_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = heard(monkeypatch, [(at + 0.1, line(at, at // 10)) for at in range(60)], unit="mWh")
    assert meter.channels() == {}
    assert "its counter moved 5 times, and has to 20 times" in meter.described()["reason"]


def test_a_long_course_is_thinned_and_keeps_its_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = [(at / 1000 + 0.001, line(at / 1000, 10)) for at in range(5001)]
    rows = told(heard(monkeypatch, arrivals))["meter_uj.0"]
    assert len(rows) < 60
    assert rows[-1] == pytest.approx((5.001, 50.0))


@pytest.mark.parametrize(
    "wrong", [{"unit": "A"}, {"time": 0}, {"value": 65}, {"least_uw": 7, "most_uw": 7}, {"time_unit": "h"}]
)
def test_a_table_that_no_profile_can_have_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError)):
        Columns({**DECLARED, **wrong})


def test_nanoseconds_since_1970_are_exact() -> None:
    reading = Columns({**DECLARED, "time_unit": "ns"}).reading(b"1700000000123456789\t10")
    assert reading is not None
    assert reading.moment_ns == 1_700_000_000_123_456_789


# Where the lines come from


def appended(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def followed(path: Path) -> ExternalMeter:
    return ExternalMeter({**DECLARED, "file": str(path)}, time.perf_counter_ns())


def test_a_file_is_read_from_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    path.write_text("time,watts\n1,10\n2,10\n3,1")
    meter = followed(path)
    appended(path, "0\n")  # the rest of a line of before
    for at in range(5):
        appended(path, f"{4 + at / 20},10\n")
        meter.look()
        time.sleep(0.05)
    appended(path, "5,")
    meter.look()
    meter.close()
    ((_, rows),) = meter.channels().items()
    assert rows[-1][1] / 1e6 == pytest.approx(10 * 0.2)
    assert 0 <= rows[0][0] < rows[-1][0] <= time.perf_counter_ns()


def test_a_file_that_is_replaced_or_cut_ends_it(tmp_path: Path) -> None:
    for change in ("cut", "replaced", "removed"):
        path = tmp_path / f"{change}.csv"
        path.write_text("1,10\n")
        meter = followed(path)
        if change == "cut":
            path.write_text("")
        else:
            path.unlink()
            if change == "replaced":
                path.write_text("1,10\n2,10\n")
        meter.look()
        assert meter.described()["found"] is False
        meter.close()


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_what_is_no_file_is_told(kind: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"No such file|no file that is appended to"):
        followed(tmp_path if kind == "folder" else tmp_path / "none.csv")


def test_a_line_without_end_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    path.write_text("")
    meter = followed(path)
    appended(path, "1" * 5000)
    meter.look()
    meter.close()
    assert "a line of more than 4096 bytes" in meter.described()["reason"]


@contextlib.contextmanager
def streaming(*pieces: bytes, pause_s: float = 0.02) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(pause_s)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(60)


def connected(port: int) -> ExternalMeter:
    where = {name: value for name, value in DECLARED.items() if name != "file"}
    return ExternalMeter({**where, "host": "127.0.0.1", "port": port}, time.perf_counter_ns())


def listened(meter: ExternalMeter) -> ExternalMeter:
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s and meter._source is not None:
        meter.look()
        time.sleep(0.01)
    meter.close()
    return meter


def test_a_socket_streams_lines_that_arrive_in_pieces() -> None:
    text = "".join(f"{at / 50} 10\n" for at in range(20)).encode()
    pieces = [text[at : at + 7] for at in range(0, len(text), 7)]
    with streaming(*pieces) as port:
        meter = listened(connected(port))
    ((_, rows),) = meter.channels().items()
    assert rows[-1][1] / 1e6 == pytest.approx(10 * 18 / 50), "its first line may have begun before"
    assert meter.described()["left_out"] == {"from some moment on": "the connection was closed at the other end"}


def test_a_socket_that_streams_no_lines_is_given_up() -> None:
    with streaming(*[b"x" * 3000] * 3) as port:
        meter = listened(connected(port))
    assert "a line of more than 4096 bytes" in meter.described()["reason"]


def test_half_a_line_at_the_beginning_of_a_stream_is_none() -> None:
    """Of "31.0 10" the end, which is a moment and a power, too."""
    text = "".join(f"{at / 50} 10\n" for at in range(20))
    with streaming(f"1.0 10\n{text}".encode()[2:], text.encode()) as port:
        meter = connected(port)
        assert meter._source is not None
        while not (came := meter._source.lines()):
            time.sleep(0.01)
        meter.close()
    assert came[0][1] == b"0.0 10"


def test_a_stream_of_other_lines_says_so_when_it_ends() -> None:
    with streaming(b"power\n", b"12,5;3,2\n" * 3) as port:
        reason = listened(connected(port)).described()["reason"]
    assert "none of its 3 lines had a number in columns 1 and 2; the connection was closed" in reason


def test_nobody_at_the_other_end_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert listened(connected(port)).described()["reason"].endswith("wall plug: Connection refused")


def test_a_host_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker runs already, and its looks are due."""
    asked, answered = threading.Event(), threading.Event()

    def slow(*_: object, **__: object) -> None:
        asked.set()
        answered.wait(60)
        raise OSError("timed out")

    monkeypatch.setattr(socket, "create_connection", slow)
    meter = connected(1)
    assert asked.wait(60)
    meter.look()
    assert meter.described()["reason"].endswith("it said nothing")
    answered.set()
    assert listened(meter).described()["reason"].endswith("timed out")
