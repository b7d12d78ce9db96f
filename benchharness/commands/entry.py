"""Where the command line begins and ends: streams, signals, and what becomes of errors."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.main import get_command_from_info

from benchharness import errors
from benchharness.errors import BenchharnessError

#: A job runner's polite end and a lost terminal are Ctrl-C to us.
_POLITE_ENDS = ("SIGINT", "SIGTERM", "SIGHUP")


def main() -> None:
    """Runs the command line; errors become a sentence on standard error and an exit code."""
    from benchharness.commands.variants import app  # every command: it adds its own to those of `cli`

    _prepare_streams()
    _prepare_signals()
    try:
        code = _answered(app, _with_bare_resume(sys.argv[1:]))
        sys.stdout.flush()
    except BenchharnessError as error:
        fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        fail("interrupted", errors.INTERRUPTED)
    except BrokenPipeError:
        _leave_quietly()
    except SystemExit as ended:
        if ended.code != 1:  # ours; the option parser says 1 where a reader has left, and 1 is a missed budget here
            raise
        _leave_quietly()
    except OSError as error:
        if error.errno not in _OUTPUT_ERRORS:
            raise
        _leave_quietly(f"standard output cannot be written: {error.strerror}")
    except Exception as error:
        if not hasattr(error, "format_message"):  # click's own errors about options have a sentence; others are ours
            raise
        fail(f"{error.format_message()}; see: benchharness --help", errors.USAGE)
    else:
        sys.exit(code if isinstance(code, int) else errors.DONE)


def _answered(app: typer.Typer, arguments: list[str]) -> Any:
    """The exit code. `COMMAND --help` goes to the command itself: on the way there typer would import pydantic."""
    if len(arguments) == 2 and arguments[1] == "--help":
        for info in app.registered_commands:
            if info.callback is not None and info.callback.__name__ == arguments[0]:
                made = get_command_from_info(info, pretty_exceptions_short=True, rich_markup_mode=None)
                return made.main(["--help"], prog_name=f"benchharness {arguments[0]}", standalone_mode=False)
    return app(arguments, prog_name="benchharness", standalone_mode=False)


#: What writing to standard output can fail with; any other system error is a defect of ours, to be seen whole.
_OUTPUT_ERRORS = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG)


def _prepare_streams() -> None:
    """Standard output may be closed, or know ASCII only: neither is a reason to fail."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - it stands in for the process's life
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _prepare_signals() -> None:
    """A job runner's polite end and a lost terminal are Ctrl-C; what `nohup` ignores stays ignored."""
    for name in _POLITE_ENDS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _as_interrupt)


def _as_interrupt(_signal: int, _frame: Any) -> None:
    _answer_signals_with(_take_no_notice)  # once is enough: what follows ends workers and keeps results
    raise KeyboardInterrupt


def _take_no_notice(_signal: int, _frame: Any) -> None:
    """Not SIG_IGN: a signal that was on its way while that is set makes Python complain of a race."""


def _answer_signals_with(handler: Any) -> None:
    for name in _POLITE_ENDS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handler)


def _leave_quietly(message: str = "") -> NoReturn:
    """Ends without the interpreter trying to flush what nobody reads; with a sentence where there is one."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if message:
        fail(message, errors.USAGE)
    sys.exit(errors.READER_LEFT)


def _with_bare_resume(arguments: Sequence[str]) -> list[str]:
    """`--resume` alone means the latest run; the option parser wants that said."""
    spelled = []
    for position, argument in enumerate(arguments):
        spelled.append(argument)
        following = arguments[position + 1] if position + 1 < len(arguments) else "-"
        if argument == "--resume" and following.startswith("-"):
            spelled.append("latest")
    return spelled


def fail(message: str, code: int) -> NoReturn:
    """Ends the process with a sentence on standard error and an exit code."""
    from benchharness.terminal.tables import console
    from benchharness.terminal.values import visible

    line = visible(f"benchharness: {message}")
    console(stderr=True).print(line, style="red", markup=False, highlight=False, soft_wrap=True)
    if code == errors.INTERRUPTED:
        _answer_signals_with(signal.SIG_IGN)  # a leaving interpreter forgets our own handler, and would die of the next
    sys.exit(code)
