"""Where the command line begins: streams, signals, which command is meant, and what becomes of errors."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
import atexit
import errno
import gc
import io
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.main import get_command_from_info

from benchharness import __version__, errors
from benchharness.commands import COMMANDS, command, signals
from benchharness.commands.ending import fail
from benchharness.errors import BenchharnessError


def main() -> None:
    """Runs the command line; errors become a sentence on standard error and an exit code."""
    _prepare_streams()
    signals.prepare()
    gc.set_threshold(_OBJECTS_AT_EASE)
    atexit.register(gc.freeze)  # what is left goes with the process: an eighth of `show` went into looking through it
    try:
        code = _answered(_with_bare_resume(sys.argv[1:]))
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


def _answered(arguments: list[str]) -> Any:
    """The exit code. `COMMAND --help` goes to the command itself: on the way there typer would import pydantic."""
    named = arguments[0] if arguments and arguments[0] in COMMANDS else None
    app = application([named] if named else COMMANDS)
    if named and arguments[1:] == ["--help"] and app.registered_commands:
        made = get_command_from_info(app.registered_commands[0], pretty_exceptions_short=True, rich_markup_mode=None)
        return made.main(["--help"], prog_name=f"benchharness {named}", standalone_mode=False)
    return app(arguments, prog_name="benchharness", standalone_mode=False)


def application(names: Iterable[str]) -> typer.Typer:
    """The command line with these commands."""
    app = typer.Typer(
        help="What a compressed model costs on each device it ships to, and what it lost on the way.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback(invoke_without_command=True)(_version)
    for name in names:
        found = command(name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


#: So many objects are made before the collector looks for circles: libraries and results are many, and stay.
_OBJECTS_AT_EASE = 200_000
#: What writing to standard output can fail with; any other system error is a defect of ours, to be seen whole.
_OUTPUT_ERRORS = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG)


def _prepare_streams() -> None:
    """Standard output may be closed, or know ASCII only: neither is a reason to fail."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - it stands in for the process's life
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


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
