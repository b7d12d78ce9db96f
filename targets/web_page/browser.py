"""One page in one browser, driven by Playwright: the system's Chromium, or Chrome on a phone through adb.

Playwright lives in a thread of its own, so that a caller with a loop of its own can have it too. All that a browser
writes goes to a folder that is gone with it; a worker's, in the worker's own folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from playwright.async_api import Error as DriverError
from playwright.async_api import Page, async_playwright

from benchharness.errors import ModelFailure, Unsupported

#: Names of the browser, the first that is there is taken.
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
_ARGUMENTS = (
    "--disable-features=SpareRendererForSitePerProcess,Translate,OptimizationHints,MediaRouter",
    "--disable-extensions",
)
#: Without these, Linux's Chromium offers no WebGPU.
_WEBGPU = ("--enable-unsafe-webgpu", "--enable-features=Vulkan")
_VERSION = re.compile(r"\d+(?:\.\d+){1,4}")
#: Where Chrome on Android listens for what drives it.
_PHONE_SOCKET = "localabstract:chrome_devtools_remote"
_SERIAL = re.compile(r"[\w.:-]{1,100}")
_PATIENCE_S = 60.0
#: Options of processes for pages of the browser's own.
_NOT_OURS = (b"--top-chrome-webui", b"--extension-process")
#: Of a page's words, and of an answer's parts.
_LONGEST_WORDS = 4000

Answered = TypeVar("Answered")


def executable(named: str | None = None) -> str:
    """The browser's program. Raises `Unsupported` where there is none."""
    found = next((path for path in map(shutil.which, (named,) if named else NAMES) if path), None)
    if found is None:
        raise Unsupported(
            f"options.browser: {named!r} is no program here"
            if named
            else f"no browser is here (looked for {', '.join(NAMES)}); `apt install chromium`, or options.browser"
        )
    return found


def version_of(program: str) -> str:
    """What a browser's program says that it is. Raises `Unsupported`."""
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unsupported(f"{program}: does not start: {error}") from error
    found = _VERSION.search(told.stdout)
    if found is None:
        raise Unsupported(f"{program}: tells no version: {told.stdout[:100]!r}")
    return found[0]


class Browser:
    """A started browser with one page. `close` ends it with all its processes."""

    def __init__(self, *, program: str | None, phone: str | None, port: int, webgpu: bool) -> None:
        self.version = ""
        self.sandboxed = True
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._stack = contextlib.AsyncExitStack()
        self._page: Page | None = None
        self._crashed = False
        self._phone = phone
        self._home = ""
        try:
            if phone is None:
                self._wait(self._launch(executable(program), webgpu=webgpu))
            else:
                self._wait(self._reach(phone, port))
        except DriverError as error:
            self.close()
            raise Unsupported(f"the browser cannot be driven: {_words(error)}") from error
        except BaseException:
            self.close()
            raise

    async def _launch(self, program: str, *, webgpu: bool) -> None:
        self.sandboxed = not hasattr(os, "geteuid") or os.geteuid() != 0  # Chromium refuses to have one as root
        self._home = self._stack.enter_context(_home())
        with _temporary_files_in(self._home):
            driver = await self._stack.enter_async_context(async_playwright())
        browser = await driver.chromium.launch(
            executable_path=program,
            args=[*_ARGUMENTS, *(_WEBGPU if webgpu else ())],
            chromium_sandbox=self.sandboxed,
            env={**os.environ, "XDG_CONFIG_HOME": self._home, "XDG_CACHE_HOME": self._home},
            timeout=_PATIENCE_S * 1000,
        )
        self._stack.push_async_callback(browser.close)
        self.version = browser.version
        self._watch(await browser.new_page())

    async def _reach(self, phone: str, port: int) -> None:
        """Chrome on a phone, as `adb` reaches it: its door here, and our server's there."""
        door = _adb(phone, "forward", "tcp:0", _PHONE_SOCKET)
        self._stack.callback(_adb, phone, "forward", "--remove", f"tcp:{door}", fails=False)
        _adb(phone, "reverse", f"tcp:{port}", f"tcp:{port}")
        self._stack.callback(_adb, phone, "reverse", "--remove", f"tcp:{port}", fails=False)
        driver = await self._stack.enter_async_context(async_playwright())
        browser = await driver.chromium.connect_over_cdp(f"http://127.0.0.1:{door}", timeout=_PATIENCE_S * 1000)
        self.version = browser.version
        page = await browser.contexts[0].new_page()
        self._stack.push_async_callback(page.close)
        self._watch(page)

    def _watch(self, page: Page) -> None:
        def crashed(_: Page) -> None:
            self._crashed = True

        page.on("crash", crashed)
        self._page = page

    def show(self, address: str) -> None:
        """Opens a page. Raises `ModelFailure`."""
        try:
            self._wait(self._show(address))
        except DriverError as error:
            raise self._failure(error, "the page") from error

    async def _show(self, address: str) -> None:
        assert self._page is not None
        await self._page.goto(address)
        await self._page.wait_for_function("globalThis.bench !== undefined")

    def ask(self, verb: str, asked: Any = None, *, of: str) -> Any:
        """What our page answers. Raises `ModelFailure` with its words where it fails, and where it is gone."""
        assert self._page is not None
        try:
            answer = self._wait(self._page.evaluate("([verb, asked]) => bench(verb, asked)", [verb, asked]))
        except DriverError as error:
            raise self._failure(error, of) from error
        if not isinstance(answer, dict) or not ("done" in answer or isinstance(answer.get("failed"), str)):
            raise ModelFailure(f"{of}: the page answered what cannot be")
        if "done" in answer:
            return answer["done"]
        words = str(answer["failed"])[:_LONGEST_WORDS]
        raise ModelFailure(f"{of}: the runtime failed in the page: {words}")

    def _failure(self, error: DriverError, of: str) -> ModelFailure:
        words = _words(error)
        if self._crashed or "crash" in words.lower():
            return ModelFailure(
                f"{of}: the page's process has ended: it crashed, or was killed, as a system does that has no more "
                f"memory ({words})"
            )
        return ModelFailure(f"{of}: the browser failed: {words}")

    def process(self) -> int:
        """The page's process here. Raises `Unsupported`."""
        if self._phone is not None:
            raise Unsupported("the page's process is on another device")
        found = _renderers(self._home)
        if len(found) != 1:
            raise Unsupported(f"the browser has {len(found)} processes for pages, and does not tell which is ours")
        return found[0]

    def _wait(self, coroutine: Coroutine[Any, Any, Answered]) -> Answered:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        """Ends the browser and what drives it; on a phone our page alone."""
        with contextlib.suppress(DriverError, OSError):  # it has crashed
            self._wait(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _words(error: Exception) -> str:
    return str(error).partition("\nCall log:")[0].strip()[:_LONGEST_WORDS]


@contextlib.contextmanager
def _home() -> Iterator[str]:
    """A folder for all that a browser writes: in the current one, which is a worker's own and is cleared after it."""
    place = Path.cwd() if os.access(Path.cwd(), os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="browser-", dir=place, ignore_cleanup_errors=True) as home:
        yield home


@contextlib.contextmanager
def _temporary_files_in(folder: str) -> Iterator[None]:
    """What starts meanwhile puts its temporary files there: the driver has no other way to be told."""
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before


def _adb(phone: str, *command: str, fails: bool = True) -> str:
    """What adb answers, with the phone of that serial. Raises `Unsupported`."""
    if not _SERIAL.fullmatch(phone):
        raise Unsupported(f"options.phone: {phone[:100]!r} is no serial number as `adb devices` lists them")
    try:
        told = subprocess.run(
            ["adb", "-s", phone, *command], capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except FileNotFoundError:
        raise Unsupported("options.phone: there is no adb here; `apt install adb`") from None
    except subprocess.TimeoutExpired:
        raise Unsupported(f"options.phone: adb does not answer within {_PATIENCE_S:g} s") from None
    if told.returncode and fails:
        raise Unsupported(f"options.phone: adb {command[0]}: {told.stderr.strip()[:500]}")
    return told.stdout.strip()


def _renderers(home: str) -> list[int]:
    """Processes for pages of the browser that keeps its files in a folder (Linux)."""
    parents: dict[int, int] = {}
    pages, browsers = set(), set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # it has just ended
            pid, words = int(folder.name), (folder / "cmdline").read_bytes()
            parents[pid] = int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
            if b"--type=renderer" in words and not any(word in words for word in _NOT_OURS):
                pages.add(pid)
            elif b"--type=" not in words and f"--user-data-dir={home}/".encode() in words:
                browsers.add(pid)
    return sorted(page for page in pages if browsers & _line_of(page, parents))


def _line_of(pid: int, parents: Mapping[int, int]) -> set[int]:
    """A process's parent, its parent, and so on."""
    line: set[int] = set()
    while pid in parents and parents[pid] not in line:
        pid = parents[pid]
        line.add(pid)
    return line
