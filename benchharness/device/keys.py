"""Where the key of a sealed artefact is found: in an environment variable, or in what a command prints.

A suite, a result and a log have `env:NAME` or `command:PROGRAM ARGUMENTS`, never the key. Whatever goes wrong, no
message shows what the variable held or what the command printed.
"""

from __future__ import annotations

import os
import re
import shlex
from contextlib import suppress

from benchharness.errors import Unsupported

KEY_BYTES = 32
#: How a key is written: 64 hexadecimal digits, on one line.
_WRITTEN = re.compile(rb"[0-9a-fA-F]{64}")
_ENVIRONMENT, _COMMAND = "env:", "command:"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
#: A password manager that asks a person has to be unlocked before.
PATIENCE_S = 30.0
_MOST_BYTES = 4096
_HOW = "a key is 64 hexadecimal digits, as `openssl rand -hex 32` writes them"


def check_source(key_from: str) -> str:
    """The same text. Raises `ValueError`, which does not show it, where it names no place of a key."""
    holds_a_key = _WRITTEN.search(key_from.encode("utf-8", "replace"))
    if not holds_a_key and key_from.startswith(_ENVIRONMENT) and _NAME.fullmatch(key_from[len(_ENVIRONMENT) :]):
        return key_from
    if not holds_a_key and key_from.startswith(_COMMAND):
        with suppress(ValueError):  # a quotation that does not end
            if shlex.split(key_from[len(_COMMAND) :]):
                return key_from
    raise ValueError('says where the key is found, "env:NAME" or "command:PROGRAM ARGUMENTS", and never the key itself')


def key_from(source: str, patience_s: float = PATIENCE_S) -> bytes:
    """The key, `KEY_BYTES` long. Raises `Unsupported` where it cannot be had."""
    try:
        check_source(source)
    except ValueError as error:
        raise Unsupported(f"key_from {error}") from None
    if source.startswith(_ENVIRONMENT):
        return _from_environment(source[len(_ENVIRONMENT) :])
    return _from_command(shlex.split(source[len(_COMMAND) :]), patience_s)


def _from_environment(name: str) -> bytes:
    value = os.environ.get(name)
    if not value:
        raise Unsupported(f"the environment variable {name}, which is to hold the key, is not set on this device")
    return _read(value.encode("utf-8", "replace"), f"the environment variable {name} holds no key")


def _from_command(command: list[str], patience_s: float) -> bytes:
    from benchharness.device.processes import child  # with ctypes, which no other worker needs

    named = f"the command for the key, {command[0]}"
    try:
        answer = child.ask(command, patience_s, most_bytes=_MOST_BYTES)
    except OSError as error:
        raise Unsupported(f"{named}, cannot be started: {error.strerror}") from None
    if answer.code is None:
        raise Unsupported(f"{named}, did not end within {patience_s:g} s and was ended; it may ask nobody for anything")
    if answer.code:
        raise Unsupported(f"{named}, failed with exit code {answer.code}; try it on the device")
    lines = answer.out.strip().splitlines()
    if len(lines) != 1:
        raise Unsupported(f"{named}, printed {len(lines)} lines instead of one; {_HOW}")
    return _read(lines[0], f"{named}, printed no key")


def _read(written: bytes, otherwise: str) -> bytes:
    word = written.strip()
    if not _WRITTEN.fullmatch(word):
        raise Unsupported(f"{otherwise}; {_HOW}")
    return bytes.fromhex(word.decode("ascii"))
