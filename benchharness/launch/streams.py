"""A connection over two byte streams, wherever the supervisor behind them runs."""

from __future__ import annotations

import queue
import threading
from typing import IO, BinaryIO, Protocol

from benchharness.device.line import protocol
from benchharness.device.line.protocol import Message
from benchharness.errors import ConnectionLost, ProtocolError

#: A supervisor without a host ends its worker and what that left running, which takes a fraction of a second.
_GRACE_S = 5.0
#: How long the rest of a dead supervisor's words may take to be read.
_LAST_READ_S = 1.0


class Peer(Protocol):
    """A supervisor's process as it is seen from here."""

    @property
    def stdin(self) -> BinaryIO:
        """What it hears."""
        ...

    @property
    def stdout(self) -> IO[bytes]:
        """What it says."""
        ...

    @property
    def code(self) -> int | None:
        """Its exit code once it has ended; None where the line to it broke and nobody will know."""
        ...

    def ends_within(self, patience_s: float) -> bool:
        """Whether it has ended, or the line to it, waited for so long."""
        ...

    def end(self) -> None:
        """Ends it at once, or gives up on it."""
        ...

    def words(self) -> str:
        """The last that it said on standard error."""
        ...


class StreamConnection:
    """Talks to a supervisor through its standard streams."""

    def __init__(self, peer: Peer, alive_every_s: float = 0.0) -> None:
        """With `alive_every_s` the supervisor hears so often that its host lives."""
        self._peer = peer
        self._ended = threading.Event()
        self._writer = protocol.Writer(peer.stdin.fileno())
        self._inbox: queue.Queue[Message | ProtocolError | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if alive_every_s:
            threading.Thread(target=self._say_alive, args=(alive_every_s,), daemon=True).start()

    def _say_alive(self, every_s: float) -> None:
        while not self._ended.wait(every_s) and self._writer.send({"type": "alive"}):
            pass

    def _read(self) -> None:
        try:
            while (message := protocol.read_message(self._peer.stdout)) is not None:
                self._inbox.put(message)
        except ProtocolError as error:
            self._inbox.put(error)
        except (OSError, ValueError):
            pass  # closed by kill()
        self._inbox.put(None)

    def send(self, message: Message) -> None:
        """Sends one message. Raises `ConnectionLost`."""
        if not self._writer.send(message):
            raise self._gone()

    def receive(self, timeout_s: float) -> Message | None:
        """The next message, None if none came in time. Raises `ConnectionLost` or `ProtocolError`."""
        try:
            message = self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if message is None:
            self._inbox.put(None)  # it stays lost
            raise self._gone()
        if isinstance(message, ProtocolError):
            raise message
        return message

    def kill(self) -> bool:
        """Closes the lifeline, on which a supervisor ends within a second, and makes sure of it where it can."""
        self._ended.set()
        if not self._peer.stdin.closed:
            self._peer.stdin.close()
        if not self._peer.ends_within(_GRACE_S):
            self._peer.end()
            self._peer.ends_within(_GRACE_S)
        self._reader.join(_LAST_READ_S)  # its stream has ended with the process
        if not self._reader.is_alive():  # closing would wait for a blocked reader
            self._peer.stdout.close()
        return self._peer.code is not None

    def _gone(self) -> ConnectionLost:
        words = self._peer.words()
        return ConnectionLost("the supervisor is gone" + (f"; it said: {words}" if words else ""))
