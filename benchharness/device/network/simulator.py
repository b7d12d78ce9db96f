"""The relay of simulated networks: `python -m benchharness.device.network.simulator`, a JSON object a line.

`{"open": NETWORK, "seed": TEXT, "to": [HOST, PORT]}` is answered with `{"port": N}`, where connections to HOST are then
taken; `{"close": N}` with what passed there: `sent` and `received` bytes, `connections`, and `late_ns`, the most by
which bytes were written later than their course said. It ends with its standard input. It looks at no byte and keeps
none.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
import threading
import time
from typing import Any

from benchharness.device.network.course import DOWN, UP, Course, Fate
from benchharness.device.network.profiles import Network

_READ_BYTES = 1 << 16
#: Pieces of a direction that may wait: beyond them the sender waits, as with a full window.
_MOST_WAITING = 4096
#: An event loop wakes up to a millisecond late; the last of a wait is slept by the system's own finer timer.
_LAST_S = 0.0012
_CONNECT_S = 10.0
#: It works for microseconds at a time, and takes nothing from the model worth telling.
_PRIORITY = -10


class Gate:
    """A port that leads to somewhere through one network."""

    def __init__(self, network: Network, seed: str, to: tuple[str, int]) -> None:
        self._network, self._seed, self._to = network, seed, to
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.told = {"connections": 0, "sent": 0, "received": 0, "late_ns": 0}

    async def open(self) -> int:
        """Begins to listen; the port."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> dict[str, int]:
        """Ends all connections; what passed."""
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return self.told

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        seed = f"{self._seed} {self.told['connections']}"
        self.told["connections"] += 1
        fate = Fate.drawn(self._network, seed)
        try:
            if fate.refused:
                _reset(writer)
                return
            if fate.cut_s == float("inf"):
                await self._relay(reader, writer, seed, fate)
            else:
                try:
                    await asyncio.wait_for(self._relay(reader, writer, seed, fate), fate.cut_s)
                except asyncio.TimeoutError:
                    _reset(writer)
        except OSError:
            _reset(writer)  # nobody is there, or has gone
        except asyncio.CancelledError:
            pass  # the gate is closed
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seed: str, fate: Fate) -> None:
        opened_s = time.perf_counter()
        if self._network.black_hole:
            while data := await reader.read(_READ_BYTES):
                self.told["sent"] += len(data)
            return
        there = await asyncio.wait_for(asyncio.open_connection(*self._to), _CONNECT_S)
        self._writers.add(there[1])
        try:
            # A handshake is a round trip: what is sent in it waits for its end.
            handshake_s = opened_s + 2 * self._network.delay_ms / 1e3
            up = self._pass(reader, there[1], Course(self._network, seed, UP, fate), opened_s, "sent", handshake_s)
            down = self._pass(there[0], writer, Course(self._network, seed, DOWN, fate), opened_s, "received", opened_s)
            upwards = asyncio.ensure_future(up)
            try:
                await down  # the answer's end is the connection's
                writer.close()
                await writer.wait_closed()  # with all that was written
            finally:
                upwards.cancel()
                await asyncio.gather(upwards, return_exceptions=True)
        finally:
            there[1].transport.abort()
            self._writers.discard(there[1])

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        course: Course,
        opened_s: float,
        counted: str,
        not_before_s: float,
    ) -> None:
        """One direction up to its end, which arrives when its last byte does."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_WAITING)
        deliver = asyncio.ensure_future(self._deliver(waiting, writer, opened_s))
        try:
            while data := await reader.read(_READ_BYTES):
                self.told[counted] += len(data)
                now_s = max(time.perf_counter(), not_before_s) - opened_s
                at = 0
                for due_s, size in course.arrivals(now_s, len(data)):
                    await waiting.put((due_s, data[at : at + size]))
                    at += size
            await waiting.put((0.0, b""))
            await deliver
        finally:
            deliver.cancel()
            await asyncio.gather(deliver, return_exceptions=True)

    async def _deliver(
        self, waiting: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, opened_s: float
    ) -> None:
        while True:
            due_s, data = await waiting.get()
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            left_s = opened_s + due_s - time.perf_counter()
            if left_s > _LAST_S:
                await asyncio.sleep(left_s - _LAST_S)
                left_s = opened_s + due_s - time.perf_counter()
            if left_s > 0:
                time.sleep(left_s)
            writer.write(data)
            late_ns = round((time.perf_counter() - opened_s - due_s) * 1e9)
            self.told["late_ns"] = max(self.told["late_ns"], late_ns)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """The connection ends with a reset, not as if all had been said."""
    line = writer.get_extra_info("socket")
    if line is not None:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if os.name == "nt" else "ii", 1, 0))


class Simulator:
    """The gates that are open."""

    def __init__(self) -> None:
        self._gates: dict[int, Gate] = {}

    async def answer(self, told: dict[str, Any]) -> dict[str, Any]:
        """One command's answer."""
        if "open" in told:
            gate = Gate(Network.from_json(told["open"]), str(told["seed"]), (told["to"][0], int(told["to"][1])))
            port = await gate.open()
            self._gates[port] = gate
            return {"port": port}
        return await self._gates.pop(int(told["close"])).close()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    commands: asyncio.Queue[bytes] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin.buffer:
            loop.call_soon_threadsafe(commands.put_nowait, line)
        loop.call_soon_threadsafe(commands.put_nowait, b"")

    threading.Thread(target=read, daemon=True).start()
    simulator = Simulator()
    while line := await commands.get():
        answer = await simulator.answer(json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Relays until standard input ends. A network waits for nobody's processor: it goes first where it may."""
    with contextlib.suppress(OSError):  # only an administrator may
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, 0, _PRIORITY)
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
