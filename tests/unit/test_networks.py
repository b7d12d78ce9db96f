"""Simulated networks: the same seed gives the same moments, whatever pieces the bytes come in; and the relay itself."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchharness.device.network.course import DOWN, STRETCH_BYTES, UP, Course, Fate
from benchharness.device.network.profiles import NETWORKS, Network
from benchharness.device.network.simulated import SimulatedNetworks

PIECES = ([200] * 30, [6000], [1, 255, 256, 257, 4000, 1231])


def arrivals(network: Network, seed: str, sizes: list[int], direction: str = DOWN) -> list[float]:
    """When each byte arrives, all of them handed over at the beginning."""
    course = Course(network, seed, direction, Fate.drawn(network, seed))
    return [due for size in sizes for due, count in course.arrivals(0.0, size) for _ in range(count)]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_reproduces_itself_by_its_seed(name: str) -> None:
    network = NETWORKS[name]
    fates = [[Fate.drawn(network, f"7 {number}") for number in range(50)] for _ in range(2)]
    assert fates[0] == fates[1]
    one, other = (arrivals(network, "7", PIECES[0]) for _ in range(2))
    assert one == other
    if network.jitter_ms:
        assert one != arrivals(network, "8", PIECES[0])
        assert one != arrivals(network, "7", PIECES[0], UP)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_does_not_matter_in_which_pieces_bytes_come(name: str) -> None:
    unlimited = Network.from_json({**NETWORKS[name].to_json(), "down_kbit": 0})
    whole, *others = [arrivals(unlimited, "3", list(sizes)) for sizes in PIECES]
    for other in others:
        assert other == whole[: len(other)]


def test_delay_jitter_and_order() -> None:
    network = Network(delay_ms=100, jitter_ms=30)
    moments = arrivals(network, "1", [STRETCH_BYTES] * 400)
    assert moments == sorted(moments)
    assert 0.07 <= moments[0] <= 0.13
    assert moments[-1] <= 0.13
    assert len(set(moments)) > 3


def test_a_rate_is_kept() -> None:
    moments = arrivals(Network(delay_ms=10, down_kbit=80), "1", [10_000])  # 10,000 bytes a second
    assert moments[-1] == pytest.approx(1.01)
    assert moments[4999] == pytest.approx(0.51, abs=0.03)
    assert arrivals(Network(delay_ms=10, down_kbit=80), "1", [10_000], UP)[-1] == pytest.approx(0.01)


def test_a_loss_holds_up_what_follows() -> None:
    network = Network(delay_ms=10, loss=0.3, loss_ms=500)
    moments = arrivals(network, "1", [STRETCH_BYTES] * 20)
    first = next(place for place, moment in enumerate(moments) if moment > 0.1)
    assert moments[first] == pytest.approx(0.51)
    assert min(moments[first:]) == moments[first]


def test_in_a_stall_nothing_passes() -> None:
    network = Network(delay_ms=10, stall_after_ms=(200, 200), stall_ms=(1000, 1000))
    fate = Fate.drawn(network, "1")
    course = Course(network, "1", DOWN, fate)
    before, inside, after = (next(course.arrivals(now, 10))[0] for now in (0.1, 0.2, 1.5))
    assert (before, inside, after) == pytest.approx((0.11, 1.2, 1.51))


def test_what_connections_draw_lies_where_it_is_asked() -> None:
    elevator, cut = NETWORKS["elevator"], NETWORKS["cut"]
    for number in range(200):
        fate = Fate.drawn(elevator, str(number))
        assert 0.1 <= fate.stall_from_s <= 1.5
        assert 2 <= fate.stall_until_s - fate.stall_from_s <= 5
        assert (fate.refused, fate.cut_s) == (False, math.inf)
        assert 0.15 <= Fate.drawn(cut, str(number)).cut_s <= 1.5
    refused = sum(Fate.drawn(NETWORKS["lossy"], str(number)).refused for number in range(1000))
    assert 60 <= refused <= 140  # one in ten
    assert all(Fate.drawn(NETWORKS["offline"], str(number)).refused for number in range(100))


# The relay


@contextmanager
def echoing() -> Iterator[tuple[str, int]]:
    """A server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    line, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=echo, args=(line,), daemon=True).start()

        def echo(line: socket.socket) -> None:
            with line:
                try:
                    while data := line.recv(65536):
                        line.sendall(data)
                    line.shutdown(socket.SHUT_WR)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()


@pytest.fixture(scope="module")
def networks() -> Iterator[SimulatedNetworks]:
    with echoing() as address, SimulatedNetworks(address) as made:
        yield made


def talk(port: int, said: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=120) as line:
        line.sendall(said)
        line.shutdown(socket.SHUT_WR)
        heard = b""
        while data := line.recv(65536):
            heard += data
        return heard


def test_bytes_pass_unchanged_and_are_counted(networks: SimulatedNetworks) -> None:
    said = bytes(range(256)) * 400
    with networks.through(Network(delay_ms=5, jitter_ms=5, loss=0.01, loss_ms=20), "1") as passed:
        assert talk(passed.port, said) == said
    assert (passed.sent, passed.received) == (len(said), len(said))
    assert passed.late_ns >= 0


def connected(port: int, timeout_s: float = 120) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=timeout_s)


def refused(port: int) -> bool:
    """Whether a line is broken off, be it while it is still being made."""
    try:
        with connected(port) as line:
            return broken(line)
    except ConnectionResetError:
        return True


def test_nothing_is_earlier_than_asked(networks: SimulatedNetworks) -> None:
    times = []
    with networks.through(Network(delay_ms=40), "1") as passed, connected(passed.port) as line:
        for _ in range(3):
            began = time.perf_counter()
            line.sendall(b"x")
            assert line.recv(10) == b"x"
            times.append(time.perf_counter() - began)
    assert min(times) >= 0.08


def test_a_handshake_takes_a_round_trip(networks: SimulatedNetworks) -> None:
    with networks.through(Network(delay_ms=40), "1") as passed:
        began = time.perf_counter()
        with connected(passed.port) as line:
            line.sendall(b"x")
            assert line.recv(10) == b"x"
            assert time.perf_counter() - began >= 0.16


def broken(line: socket.socket) -> bool:
    """Whether the line breaks while it is used."""
    try:
        for _ in range(1000):
            line.sendall(b"x")
            if not line.recv(10):
                return True
    except ConnectionError:
        return True
    return False


def test_a_line_that_is_refused_or_cut(networks: SimulatedNetworks) -> None:
    with networks.through(NETWORKS["offline"], "1") as passed:
        assert refused(passed.port)
    assert (passed.sent, passed.received) == (0, 0)
    network = Network(delay_ms=1, cut_after_ms=(60, 60))
    with networks.through(network, "1") as passed:
        assert refused(passed.port)


def test_a_line_that_leads_nowhere(networks: SimulatedNetworks) -> None:
    with networks.through(NETWORKS["dead-zone"], "1") as passed, connected(passed.port, 0.2) as line:
        line.sendall(b"x" * 100)
        with pytest.raises(TimeoutError):
            line.recv(10)
    assert (passed.sent, passed.received) == (100, 0)


def test_nobody_at_the_other_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = unused.getsockname()
    with SimulatedNetworks(address) as networks, networks.through(Network(), "1") as passed:
        assert refused(passed.port)
