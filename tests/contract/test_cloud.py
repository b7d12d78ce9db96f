"""The cloud target: what it asks and hears, every way in which an endpoint goes wrong, and what is told of that."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchharness.contract import (
    STREAM_ENDS,
    AnswersSeveral,
    Configuration,
    GeneratesTokens,
    StreamEnd,
    StreamsText,
    TextPiece,
)
from benchharness.device import adapters
from benchharness.device.self_timed import SelfTimed, StreamRequest
from benchharness.errors import ModelFailure, Unsupported
from targets.cloud import Cloud
from targets.cloud.endpoint import read_endpoint
from targets.cloud.events import MOST_EVENT_BYTES
from tests.loopback_endpoint import ANSWER, Asked, Endpoint, serving, status, words

KEY = "sk-tattletale-0123456789"
PROMPT = "whisper nobody may hear"
CONFIGURATION = Configuration(runtime="cloud")
PATIENCE_S = 120.0


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as made:
        yield made


def heard(session: StreamsText, count: int = 4, **how: Any) -> tuple[list[TextPiece], StreamEnd]:
    """Everything up to the end."""
    stream = session.stream(PROMPT, count, **how)
    pieces = []
    while isinstance(came := stream.next(PATIENCE_S), TextPiece):
        pieces.append(came)
    stream.close()
    assert isinstance(came, StreamEnd)
    assert came.why in STREAM_ENDS
    for secret in (KEY, PROMPT, "sesquipedalian"):
        assert secret not in came.detail
    return pieces, came


def opened(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "some.endpoint"
    file.write_text(text, encoding="utf-8")
    return Cloud().open(file, CONFIGURATION)


def test_it_is_registered_as_the_class_says() -> None:
    row = adapters.row("cloud")
    assert tuple(row.formats) == tuple(Cloud.formats) == (".endpoint",)
    assert Cloud().availability().available


def test_an_answer_is_followed_token_by_token(tmp_path: Path, endpoint: Endpoint) -> None:
    with opened(tmp_path, endpoint.file()) as session:
        assert isinstance(session, StreamsText)
        assert isinstance(session, GeneratesTokens)
        before = time.perf_counter_ns()
        pieces, end = heard(session, 4, stop=("\n",))
    assert [piece.text for piece in pieces] == list(ANSWER[:4])
    stamps = [before, *(piece.stamp_ns for piece in pieces), end.stamp_ns]
    assert stamps == sorted(stamps)
    assert (end.why, end.tokens, end.prompt_tokens) == ("complete", 4, 3)
    assert endpoint.bodies == [
        {
            "path": "/v1/completions",
            "model": "scripted",
            "prompt": PROMPT,
            "max_tokens": 4,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            "stop": ["\n"],
        }
    ]
    assert "Authorization" not in endpoint.headers[0]


def test_the_chat_way_and_a_key_by_its_name(
    tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    endpoint.key = KEY
    with opened(tmp_path, endpoint.file(api="chat", key="SOME_KEY")) as session:
        pieces, end = heard(session)
    assert end.why == "complete"
    assert len(pieces) == 4
    assert endpoint.bodies[0]["path"] == "/v1/chat/completions"
    assert endpoint.bodies[0]["messages"] == [{"role": "user", "content": PROMPT}]
    assert endpoint.headers[0]["Host"] == f"127.0.0.1:{endpoint.port}"


def test_it_is_measured_by_its_own_stamps(tmp_path: Path, endpoint: Endpoint) -> None:
    with opened(tmp_path, endpoint.file()) as session:
        timed = SelfTimed.of(session)
        assert timed is not None
        written = timed.write(StreamRequest(PROMPT, 5), 5)
    assert written.prompt_tokens == 3
    assert list(written.tokens) == [1] * 5
    assert written.first_ns > 0


def test_tokens_that_come_together_are_not_told_apart(tmp_path: Path, endpoint: Endpoint) -> None:
    def two_at_once(asked: Asked) -> None:
        asked.begin()
        asked.word("one two")
        asked.end(2)

    endpoint.behave = two_at_once
    with opened(tmp_path, endpoint.file()) as session, pytest.raises(Unsupported, match="2 tokens in 1 events"):
        session.generate(PROMPT, 2)


def test_an_answer_that_ends_early_is_not_taken_for_a_whole_one(tmp_path: Path, endpoint: Endpoint) -> None:
    def short(asked: Asked) -> None:
        asked.begin()
        asked.word("one")
        asked.end(1)

    endpoint.behave = short
    with opened(tmp_path, endpoint.file()) as session, pytest.raises(Unsupported, match="after 1 of 3 tokens"):
        session.generate(PROMPT, 3)


def raw(data: bytes, kind: str = "text/event-stream") -> Callable[[Asked], None]:
    def behave(asked: Asked) -> None:
        asked.begin(kind)
        asked.wfile.write(data)

    return behave


def endless(asked: Asked) -> None:
    asked.begin()
    while True:
        asked.word("and")


def endless_comments(asked: Asked) -> None:
    asked.begin()
    while True:
        asked.wfile.write(b": " + b"x" * 4096 + b"\n")


def half(asked: Asked) -> None:
    asked.begin()
    asked.word("one")


def error_inside(asked: Asked) -> None:
    asked.begin()
    asked.word("one")
    asked.event({"error": {"message": f"{KEY} {PROMPT}"}})


CHOICE = b'data: {"choices": '
FAULTS = {
    "unauthorised": status(401),
    "forbidden": status(403),
    "too many requests": status(429),
    "server error": status(500),
    "bad gateway": status(502),
    "refused": status(404),
    "redirected": status(302, Location="http://127.0.0.2:9/elsewhere"),
    "redirected for good": status(308, Location="https://elsewhere.invalid/"),
    "no events": raw(b"{}", "application/json"),
    "a page": raw(b"<html>", "text/html; charset=utf-8"),
    "no json": raw(b"data: {nonsense\n\n"),
    "no choices": raw(b'data: {"id": 1}\n\n'),
    "a list": raw(b"data: []\n\n"),
    "text that is none": raw(CHOICE + b'[{"text": 3}]}\n\n'),
    "a delta that is none": raw(CHOICE + b'[{"delta": 3}]}\n\n'),
    "a choice that is none": raw(CHOICE + b"[3]}\n\n"),
    "deep": raw(b"data: " + b"[" * 100_000 + b"\n\n"),
    "not utf-8": raw(b'data: {"choices": [{"text": "\xff\xfe"}]}\n\n'),
    "binary": raw(bytes(range(256)) * 4 + b"\n\n"),
    "an endless answer": endless,
    "endless comments": endless_comments,
    "a huge event": raw(b"data: " + b"x" * (MOST_EVENT_BYTES + 10) + b"\n\n"),
    "a huge line": raw(b"x" * (MOST_EVENT_BYTES * 2)),
    "half an answer": half,
    "nothing": raw(b""),
    "an error inside": error_inside,
}
NAMES = {
    "unauthorised": ("unauthorised", "forbidden"),
    "too many requests": ("too many requests",),
    "server error": ("server error", "bad gateway", "an error inside"),
    "refused": ("refused",),
    "redirected": ("redirected", "redirected for good"),
    "wrong content": ("no events", "a page"),
    "too long": ("an endless answer", "endless comments", "a huge event", "a huge line"),
    "cut": ("half an answer", "nothing"),
}
WHY = {name: why for why, names in NAMES.items() for name in names}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_has_its_name(
    name: str, tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    endpoint.behave = FAULTS[name]
    with opened(tmp_path, endpoint.file(key="SOME_KEY")) as session:
        pieces, end = heard(session)
        assert len(pieces) <= 4  # no more than was asked for
        assert end.why == WHY.get(name, "malformed")
        endpoint.behave = words
        assert heard(session)[1].why == "complete"  # and it is of no matter to the next


@pytest.mark.parametrize("value", [None, "", "two words", "line\nbreak", "schlüssel", "x" * 5000])
def test_without_a_key_nothing_is_asked(
    value: str | None, tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("SOME_KEY", value)
    with opened(tmp_path, endpoint.file(key="SOME_KEY")) as session:
        pieces, end = heard(session)
    assert (pieces, end.why) == ([], "no key")
    assert end.detail == "the environment variable SOME_KEY holds no key"
    assert endpoint.bodies == []


def test_nobody_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    text = json.dumps({"url": f"http://127.0.0.1:{port}/v1", "model": "m"})
    with opened(tmp_path, text) as session:
        assert heard(session)[1].why == "unreachable"


def test_a_server_that_speaks_no_tls(tmp_path: Path, endpoint: Endpoint) -> None:
    with opened(tmp_path, endpoint.file().replace("http://", "https://")) as session:
        assert heard(session)[1].why == "tls failure"


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    context = _self_signed(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with server.accept()[0] as line, pytest.raises(ssl.SSLError):
                context.wrap_socket(line, server_side=True)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        text = json.dumps({"url": f"https://127.0.0.1:{server.getsockname()[1]}/v1", "model": "m"})
        with opened(tmp_path, text) as session:
            assert heard(session)[1].why == "tls failure"
        thread.join(PATIENCE_S)


def _self_signed(folder: Path) -> ssl.SSLContext:
    x509 = pytest.importorskip("cryptography.x509", reason="NOT TESTED: a self-signed certificate; no cryptography")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1)).sign(
        key, hashes.SHA256()
    )
    private = serialization.PrivateFormat.PKCS8
    none = serialization.NoEncryption()
    (folder / "pair.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, private, none) + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")
    return context


def test_proxies_of_the_environment_are_not_taken(
    tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with opened(tmp_path, endpoint.file()) as session:
        assert heard(session)[1].why == "complete"


def test_who_gives_up_closes_the_connection(tmp_path: Path, endpoint: Endpoint) -> None:
    closed = threading.Event()

    def stalls(asked: Asked) -> None:
        asked.begin()
        asked.word("one")
        asked.connection.settimeout(PATIENCE_S)
        if not asked.connection.recv(1):
            closed.set()

    endpoint.behave = stalls
    with opened(tmp_path, endpoint.file()) as session:
        stream = session.stream(PROMPT, 4)
        assert isinstance(stream.next(PATIENCE_S), TextPiece)
        assert stream.next(0.01) is None
        stream.close()
        assert closed.wait(PATIENCE_S)


# The file


@pytest.mark.parametrize(
    "told",
    [
        "nonsense",
        "[]",
        "{}",
        '{"url": "https://h/v1"}',
        '{"model": "m"}',
        '{"url": "ftp://h/v1", "model": "m"}',
        '{"url": "https:///v1", "model": "m"}',
        '{"url": "https://user:secret@h/v1", "model": "m"}',
        '{"url": "https://h/v1?key=secret", "model": "m"}',
        '{"url": "https://h:99999/v1", "model": "m"}',
        '{"url": "https://h/v1", "model": "m", "key": "sk-secret-0123"}',
        '{"url": "https://h/v1", "model": "m", "api_key": "secret"}',
        '{"url": "http://example.invalid/v1", "model": "m", "key": "SECRET_NAME"}',
        '{"url": "https://h/v1", "model": "m", "api": "secret"}',
        '{"url": "https://h/v1", "model": "m", "context_length": true}',
        '{"url": "https://h/v1", "model": "a\\nb"}',
        '{"url": "https://h/v1\\r\\nX: secret", "model": "m"}',
        "[" * 50_000,
        " " * 70_000,
    ],
)
def test_a_file_that_is_no_endpoint_is_refused_and_not_quoted(tmp_path: Path, told: str) -> None:
    with pytest.raises(ModelFailure) as refused, opened(tmp_path, told):
        pass
    assert "secret" not in str(refused.value).lower()


def test_a_file_says_where_to_ask(tmp_path: Path) -> None:
    file = tmp_path / "a.endpoint"
    file.write_text('{"url": "https://api.example.com/v1/", "model": "big", "key": "BIG_KEY", "context_length": 8192}')
    found = read_endpoint(file)
    assert (found.secure, found.host, found.port, found.path) == (True, "api.example.com", 443, "/v1/completions")
    assert (found.key, found.context_length, found.way) == ("BIG_KEY", 8192, "completions")


def test_what_an_endpoint_does_not_take(tmp_path: Path) -> None:
    file = tmp_path / "a.endpoint"
    file.write_text('{"url": "https://h/v1", "model": "m"}')
    for how in ({"threads": 2}, {"accelerator": "GPU"}, {"options": {"a": 1}}):
        with pytest.raises(Unsupported), Cloud().open(file, Configuration(runtime="cloud", **how)):
            pass


def test_tokens_that_nobody_counts_are_not_made_up(tmp_path: Path, endpoint: Endpoint) -> None:
    def uncounted(asked: Asked) -> None:
        asked.begin()
        asked.word("one")
        asked.word("two")
        asked.event("[DONE]")

    endpoint.behave = uncounted
    with opened(tmp_path, endpoint.file()) as session:
        assert heard(session)[1].why == "complete"
        with pytest.raises(Unsupported, match="does not count the tokens"):
            session.generate(PROMPT, 2)


def test_one_that_is_given_up_at_once_is_over_at_once(tmp_path: Path, endpoint: Endpoint) -> None:
    with opened(tmp_path, endpoint.file()) as session:
        for _ in range(20):
            stream = session.stream(PROMPT, 4)
            stream.close()
            assert stream.over


# Several requests at once


def by_prompt(asked: Asked) -> None:
    """Words that depend on the prompt, and nothing before all three have asked: the requests overlap."""
    TOGETHER.wait(PATIENCE_S)
    asked.begin()
    for number in range(asked.body["max_tokens"]):
        asked.word(f" {asked.body['prompt']}{number}")
    asked.end(asked.body["max_tokens"])


TOGETHER = threading.Barrier(3)


def raw_answer(port: int, prompt: str, count: int) -> str:
    """A request by plain HTTP."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request(
        "POST", "/v1/completions", json.dumps({"prompt": prompt, "max_tokens": count}), {"Content-Type": "x/y"}
    )
    events = connection.getresponse().read().decode().split("\n\n")
    told = [json.loads(event[6:]) for event in events if event.startswith("data: {")]
    return "".join(choice["text"] for each in told for choice in each["choices"])


def test_several_requests_overlap_and_each_gets_its_own_answer(tmp_path: Path, endpoint: Endpoint) -> None:
    prompts = ["one", "two", "three"]
    endpoint.behave = by_prompt
    with opened(tmp_path, endpoint.file()) as session:
        assert isinstance(session, AnswersSeveral)
        before = time.perf_counter_ns()
        answers = session.answer_several(prompts, 4)
        after = time.perf_counter_ns()
    with ThreadPoolExecutor(3) as pool:
        raw = list(pool.map(lambda prompt: raw_answer(endpoint.port, prompt, 4), prompts))
    assert [answer.text for answer in answers] == raw
    assert answers[1].text == " two0 two1 two2 two3"
    for answer in answers:
        assert before <= answer.began_ns <= answer.stamps_ns[0] <= answer.stamps_ns[-1] <= after


def test_one_failure_of_several_is_told(tmp_path: Path, endpoint: Endpoint) -> None:
    endpoint.behave = lambda asked: (status(429) if asked.body["prompt"] == "two" else words)(asked)
    with opened(tmp_path, endpoint.file()) as session, pytest.raises(ModelFailure, match="too many requests") as told:
        session.answer_several(["one", "two", "three"], 4)
    assert "two" not in str(told.value)
    with opened(tmp_path, endpoint.file()) as session, pytest.raises(Unsupported, match="65 requests at once"):
        session.answer_several(["one"] * 65, 4)
