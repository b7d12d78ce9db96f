"""How exactly simulated networks delay: `python -m benchmarks.networks`.

One byte after another goes through the relay to an echo and back; what a round trip took beyond that without the relay
and beyond twice the delay that was asked for is the relay's own doing, half of it each way. A bar: within 2 ms one way.
"""

from __future__ import annotations

import os
import socket
import statistics
import threading
import time

from benchharness.device.network.profiles import Network
from benchharness.device.network.simulated import SimulatedNetworks

DELAYS_MS = (0.0, 10.0, 35.0, 150.0, 420.0)
_SAMPLES = 60
BAR_MS = 2.0


def main() -> None:
    """Prints, for each delay, the median, p95 and most of what was added to it one way."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_echo_all, args=(server,), daemon=True).start()
        address = server.getsockname()
        bare = statistics.median(_round_trips_ms(address))
        print(f"round trip without the relay {bare:.3f} ms; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        with SimulatedNetworks(address) as networks:
            for delay in DELAYS_MS:
                with networks.through(Network(delay_ms=delay), "benchmark") as passed:
                    trips = _round_trips_ms(("127.0.0.1", passed.port))
                added = sorted((trip - bare - 2 * delay) / 2 for trip in trips)
                middle, high, most = statistics.median(added), added[int(0.95 * len(added))], added[-1]
                within = sum(abs(each) <= BAR_MS for each in added)
                told = f"added one way: p50 {middle:+.2f}, p95 {high:+.2f}, most {most:+.2f} ms"
                late = f"the relay says {passed.late_ns / 1e6:.2f} ms at most"
                print(f"{delay:5.0f} ms asked, {told}; {within} of {len(added)} within {BAR_MS:g} ms; {late}")


def _round_trips_ms(address: tuple[str, int]) -> list[float]:
    with socket.create_connection(address) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.sendall(b"x")
        line.recv(16)  # the handshake
        found = []
        for _ in range(_SAMPLES):
            began = time.perf_counter()
            line.sendall(b"x")
            line.recv(16)
            found.append((time.perf_counter() - began) * 1e3)
        return found


def _echo_all(server: socket.socket) -> None:
    while True:
        try:
            line, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_echo, args=(line,), daemon=True).start()


def _echo(line: socket.socket) -> None:
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with line:
        while data := line.recv(65536):
            line.sendall(data)


if __name__ == "__main__":
    main()
