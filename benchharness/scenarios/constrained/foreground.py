"""An application in the foreground beside the model: what a suite says of one."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from benchharness.suite.fields import Command, Pause, Table

#: Android's own rule (https://developer.android.com/build/configure-app-module#set-application-id), and its length.
_PACKAGE = re.compile(r"[A-Za-z]\w{0,99}(\.[A-Za-z]\w{0,99}){1,20}", re.ASCII)
#: The programs of Android that start an application, and the option before its name.
_STARTERS = {"am": "-n", "monkey": "-p"}


def _package(value: str) -> str:
    if not _PACKAGE.fullmatch(value):
        raise ValueError(f"{value!r} is no name of an Android application, such as com.android.chrome")
    return value


class Foreground(Table):
    """How an application is started on the device and stopped, and by what name Android knows it.

    `package` is that of `am start -n PACKAGE/ACTIVITY` where it is not said. With one its being in front is read back;
    without one the command is a process that has to live.
    """

    start: Annotated[Command, Field(min_length=1)]
    stop: Command = ()
    package: Annotated[str, AfterValidator(_package)] | None = None
    settle: Pause = 5.0

    @model_validator(mode="before")
    @classmethod
    def _named_by_its_command(cls, table: Any) -> Any:
        if isinstance(table, dict) and not table.get("package"):
            found = _named_in(table.get("start"))
            return {**table, "package": found} if found else table
        return table

    @model_validator(mode="after")
    def _told(self) -> Foreground:
        program = self.start[0].rpartition("/")[2]
        if program in _STARTERS and self.package is None:
            raise ValueError(
                f"which application {program} brings to the front is not said: write it as package, such as "
                '"com.android.chrome"'
            )
        return self


def _named_in(command: Any) -> str | None:
    """The package in a command that starts an application by its name."""
    words = [word for word in command if isinstance(word, str)] if isinstance(command, list | tuple) else []
    option = _STARTERS.get(words[0].rpartition("/")[2]) if words else None
    if option not in words[:-1]:
        return None
    return words[words.index(option) + 1].partition("/")[0]
