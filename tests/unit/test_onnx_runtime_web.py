"""What a page may ask of its server and say of itself, and where onnxruntime-web's files come from."""

from __future__ import annotations

import http.client
import http.server
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("playwright", reason="NOT TESTED: playwright is not installed")

from benchharness.contract import EffectiveConfiguration, StampClock
from benchharness.errors import ModelFailure, Unsupported
from targets.onnx_format.graph import GraphFacts
from targets.onnx_runtime_web import fetch
from targets.onnx_runtime_web.library import BUILDS, find
from targets.onnx_runtime_web.sessions import WebSession
from targets.web_page import page
from targets.web_page.server import GIVE, Server
from targets.web_page.told import specs, stamps_ns


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "model.onnx").write_bytes(b"weights")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    made = Server(isolated=True)
    made.files.update({"": b"<!doctype html>", "model/0": tmp_path / "model.onnx", "give": GIVE})
    yield made
    made.close()


def ask(server: Server, path: str, *, host: str = "", method: str = "GET", body: bytes | None = None) -> Any:
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    try:
        line.request(method, path, body, {"Host": host or f"localhost:{server.port}"})
        answer = line.getresponse()
        return answer.status, answer.read(), dict(answer.headers)
    finally:
        line.close()


def word(server: Server) -> str:
    return server.address.split("/")[3]


def test_what_is_listed_is_served_and_isolated(server: Server) -> None:
    status, content, headers = ask(server, f"/{word(server)}/model/0")
    assert (status, content) == (200, b"weights")
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert ask(server, f"/{word(server)}/")[1] == b"<!doctype html>"
    assert len(word(server)) >= 32


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/model/0", "/WORD", "/WORD/secret.txt", "/WORD/model/../secret.txt", "/WORD//etc/passwd"),
        *("/wrong/model/0", "/WORD/model/%2e%2e/secret.txt", "/WORD/model/0?x", "/%/model/0"),
    ],
)
def test_nothing_else_is_served(server: Server, path: str) -> None:
    assert ask(server, path.replace("WORD", word(server)))[:2] == (404, b"")


@pytest.mark.parametrize("host", ["evil.example", "localhost", "localhost:1", "127.0.0.1.evil.example:80"])
def test_another_name_for_this_machine_finds_nothing(server: Server, host: str) -> None:
    """A page elsewhere whose name is made to point here (DNS rebinding) names itself."""
    assert ask(server, f"/{word(server)}/model/0", host=host)[0] == 404
    assert ask(server, f"/{word(server)}/give", host=host, method="POST", body=b"x")[0] == 404
    assert server.taken == b""


def test_tensors_are_taken_at_one_place(server: Server) -> None:
    assert ask(server, f"/{word(server)}/give", method="POST", body=b"numbers")[0] == 204
    assert server.taken == b"numbers"
    assert ask(server, f"/{word(server)}/model/0", method="POST", body=b"weights")[0] == 404
    assert ask(server, f"/{word(server)}/give", method="PUT", body=b"x")[0] == 501
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    line.putrequest("POST", f"/{word(server)}/give", skip_host=True)
    line.putheader("Host", f"localhost:{server.port}")
    line.putheader("Content-Length", str(1 << 40))
    line.endheaders()
    assert line.getresponse().status == 413
    line.close()
    assert server.taken == b"numbers"


# What a page says


class Page:
    """Answers what it is made to."""

    name, provider, clock = "model.onnx", "wasm", StampClock("performance.now", "browser", 5_000)

    def __init__(self, answer: Any, content: bytes) -> None:
        self.told: dict[str, Any] = {"inputs": [], "outputs": []}
        self.server, self._answer = self, answer
        self.files: dict[str, bytes] = {}
        self.taken = content

    def ask(self, verb: str, asked: Any = None) -> Any:
        return self._answer

    ask_table = page.Page.ask_table


def run_on(answer: Any, content: bytes = b"\0" * 8) -> Any:
    effective = EffectiveConfiguration(accelerators=("wasm",), threads=1)
    page: Any = Page(answer, content)
    return WebSession(page, effective, GraphFacts()).run_timed({"x": np.zeros(3, np.float32)}, 1)


def output(**fields: Any) -> dict[str, Any]:
    return {"name": "y", "type": "float32", "dims": [2], "length": 8, **fields}


def test_what_a_page_gives_is_read_as_it_says() -> None:
    given = run_on({"stamps": [1.0, 1.5], "outputs": [output()]}, np.array([1, 2], np.float32).tobytes())
    assert list(given.taken_ns) == [500_000]
    np.testing.assert_array_equal(given.outputs["y"], [1, 2])


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {"stamps": [1.0], "outputs": [output()]},
        {"stamps": "12", "outputs": [output()]},
        {"stamps": [1.0, math.nan], "outputs": [output()]},
        {"stamps": [1.0, 1e300], "outputs": [output()]},
        {"stamps": [1.0, True], "outputs": [output()]},
        {"stamps": [1.0, 1.5], "outputs": None},
        {"stamps": [1.0, 1.5], "outputs": [output()] * 2},
        {"stamps": [1.0, 1.5], "outputs": [output(dims=[3])]},
        {"stamps": [1.0, 1.5], "outputs": [output(dims=[1])]},
        {"stamps": [1.0, 1.5], "outputs": [output(dims=[-2])]},
        {"stamps": [1.0, 1.5], "outputs": [output(dims=[2.0])]},
        {"stamps": [1.0, 1.5], "outputs": [output(dims=[1 << 31, 1 << 31, 0.5])]},
        {"stamps": [1.0, 1.5], "outputs": [output(dims=[1 << 31, 1 << 31])]},
        {"stamps": [1.0, 1.5], "outputs": [output(type="object")]},
        {"stamps": [1.0, 1.5], "outputs": [output(type=["float32"])]},
        {"stamps": [1.0, 1.5], "outputs": [output(name=7)]},
        {"stamps": [1.0, 1.5], "outputs": ["y"]},
    ],
)
def test_what_a_page_cannot_have_measured_is_a_failure(answer: Any) -> None:
    with pytest.raises(ModelFailure):
        run_on(answer)


@pytest.mark.parametrize(
    "told", [None, {}, ["x"], [{}], [{"name": "x", "shape": "ab"}], [{"name": "x", "type": 1}], [{"name": "x"}] * 2000]
)
def test_a_signature_that_cannot_be_is_a_failure(told: Any) -> None:
    with pytest.raises(ModelFailure):
        specs(told, "model.onnx")


def test_stamps_are_whole_nanoseconds() -> None:
    assert stamps_ns([0, 1.005, 2], 3, "model.onnx") == [0, 1_005_000, 2_000_000]


# Where the files come from


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A registry that gives another archive."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"another archive")

        def log_message(self, *_: Any) -> None: ...

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_address[1]}/")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_another_archive_is_not_kept(registry: list[str], tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"is not onnxruntime-web 1\.30\.0: its SHA-512 is"):
        fetch.fetch()
    assert registry == ["/onnxruntime-web/-/onnxruntime-web-1.30.0.tgz"]
    assert not list((tmp_path / "cache" / "benchharness").iterdir())


def test_a_registry_that_is_a_file_is_refused(registry: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "file:///etc")
    with pytest.raises(Unsupported, match="no address of the web"):
        fetch.fetch()


def test_a_folder_of_another_thing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="name the dist folder"):
        find(str(tmp_path))
    (tmp_path / BUILDS["wasm"][0]).write_text("// nothing")
    with pytest.raises(Unsupported, match="does not say which version"):
        find(str(tmp_path))
    (tmp_path / BUILDS["wasm"][0]).write_text("/*! ONNX Runtime Web v1.29.1 */")
    assert find(str(tmp_path)).version == "1.29.1"
    with pytest.raises(Unsupported, match=r"has no ort-wasm-simd-threaded\.mjs"):
        find(str(tmp_path)).check("wasm")
