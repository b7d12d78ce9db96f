"""The protocol: one JSON object a line, and nothing else gets through."""

from __future__ import annotations

import io
import json
import math
import os
import threading
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchharness.device.line import protocol
from benchharness.errors import ProtocolError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)  # a busy machine is no failure
@given(st.sampled_from(sorted(protocol.TYPES)), st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_a_message_comes_back_as_it_was_sent(kind: str, content: dict[str, Any]) -> None:
    message = {**content, "type": kind}
    line = protocol.encode(message)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert protocol.decode(line) == message


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_json_number_is_not_sent(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        protocol.encode({"type": "measured", "measurements": [number]})


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_what_is_no_json_number_is_refused(number: bytes) -> None:
    with pytest.raises(ProtocolError):
        protocol.decode(b'{"type":"measured","measurements":[' + number + b"]}\n")


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"hello\n",
        b"[]\n",
        b"7\n",
        b"null\n",
        b"{}\n",
        b'{"type":"dance"}\n',
        b'{"type":null}\n',
        b'{"type":[]}\n',
        b'{"type":{}}\n',
        b'{"type":"ready"\n',
        b'{"type":"ready"} {"type":"ready"}\n',
        b'\xff{"type":"ready"}\n',
        b"[" * 200_000 + b"\n",
    ],
    ids=lambda line: repr(line[:30]),
)
def test_what_is_no_message_is_a_protocol_error(line: bytes) -> None:
    with pytest.raises(ProtocolError) as refused:
        protocol.decode(line)
    assert len(str(refused.value)) < 500


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_protocol_error(line: bytes) -> None:
    with suppress(ProtocolError):
        assert protocol.decode(line)["type"] in protocol.TYPES


def test_a_line_that_is_too_long_is_refused_without_reading_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LONGEST_LINE_BYTES", 100)
    fits = json.dumps({"type": "ready", "fill": "x" * 70}).encode() + b"\n"
    assert len(fits) <= 100
    assert protocol.read_message(io.BytesIO(fits)) is not None
    stream = io.BytesIO(b"x" * 1000)
    with pytest.raises(ProtocolError, match="over 100 bytes"):
        protocol.read_message(stream)
    assert stream.tell() <= 101
    with pytest.raises(ProtocolError, match="a line of 1000 bytes"):
        protocol.decode(b"x" * 1000)


def test_messages_are_read_one_by_one_until_the_end() -> None:
    stream = io.BytesIO(b'{"type":"ready"}\n{"type":"stop"}\n')
    assert protocol.read_message(stream) == {"type": "ready"}
    assert protocol.read_message(stream) == {"type": "stop"}
    assert protocol.read_message(stream) is None


def test_half_a_line_is_the_end() -> None:
    assert protocol.read_message(io.BytesIO(b'{"type":"finished","id":"0195')) is None
    assert protocol.read_message(io.BytesIO(b'{"type":"ready"}')) is None


def test_lines_of_several_threads_stay_whole() -> None:
    reading, writing = os.pipe()
    writer = protocol.Writer(writing)
    found: list[dict[str, Any]] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as stream:
            while (message := protocol.read_message(stream)) is not None:
                found.append(message)

    def write(number: int) -> None:
        for index in range(10):
            assert writer.send({"type": "progress", "who": number, "index": index, "fill": "x" * 300_000})

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    os.close(writing)
    reader.join()
    assert sorted((message["who"], message["index"]) for message in found) == [
        (w, i) for w in range(4) for i in range(10)
    ]


def test_sending_to_nobody_is_told_and_not_raised() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    assert protocol.Writer(writing).send({"type": "ready"}) is False
    os.close(writing)


@pytest.mark.parametrize(
    ("words", "sent"), [("short", "short"), ("x" * 3000, "x" * 2000), ("\ud83d", "\\ud83d"), (7, "7")]
)
def test_untrusted_text_is_made_short_and_safe(words: object, sent: str) -> None:
    assert protocol.text(words) == sent
    protocol.text(words).encode("utf-8")
