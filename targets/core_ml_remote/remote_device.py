"""Finds the device that is connected to this Mac, and has coremltools' model runner on it: `remote_device`, used."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchharness.contract.connected import CONNECTED_DEVICE
from benchharness.errors import Unsupported


def connected() -> Any:
    """The `Device` for which this machine speaks. Raises `Unsupported`."""
    from coremltools.models.ml_program.experimental import remote_device

    udid = os.environ.get(CONNECTED_DEVICE, "")
    if not udid:
        raise Unsupported(
            "no device is named: add one with 'benchharness device add coreml://UDID --name NAME', and run with --on "
            "NAME"
        )
    try:
        found = [each for each in remote_device.Device.get_devices() if each.udid == udid]
    except Exception as error:  # a plain ValueError, or one of its own that shares no base class
        raise Unsupported(f"Xcode's devicectl does not list devices: {error}") from error
    if not found:
        raise Unsupported(
            f"Xcode does not see {udid}: connect it by cable, unlock it, trust this Mac; it needs iOS or iPadOS 17 or "
            "later"
        )
    device = found[0]
    if device.state != remote_device.DeviceState.CONNECTED:
        raise Unsupported(
            f"Xcode sees {udid} and is not connected to it ({device.state.value}): unlock it, and try "
            f"'xcrun devicectl device info details -d {udid}'"
        )
    if device.developer_mode_state not in ("", "enabled"):
        raise Unsupported(f"its developer mode is {device.developer_mode_state}: turn it on under Privacy & Security")
    return device


def prepared(loop: asyncio.AbstractEventLoop, device: Any, credentials: Mapping[str, str], folder: Path) -> Any:
    """The device with the model runner started on it; built where it is not yet. Raises `Unsupported`."""
    from coremltools.models.ml_program.experimental import remote_device

    signing = remote_device.AppSigningCredentials(**credentials)
    try:
        return loop.run_until_complete(
            device.prepare_for_model_debugging(credentials=signing, working_directory=folder, clean=False)
        )
    except MemoryError:
        raise
    except Exception as error:
        raise Unsupported(
            f"coremltools' model runner cannot be built for the device and started there ({error}); most often it is "
            "not signed: give options.development_team"
        ) from error


def release(device: Any) -> None:
    """Ends the model runner on the device, and removes what went to and fro."""
    with suppress(Exception):  # whatever goes wrong with it, the attempt is told already
        device.session.stop()
    shutil.rmtree(device.session.working_directory, ignore_errors=True)


@contextmanager
def temporary_folder() -> Iterator[None]:
    """A place for what coremltools leaves behind: inputs of each prediction, and compiled models until Python ends.

    A worker ends without Python's own end.
    """
    before, folder = tempfile.tempdir, tempfile.mkdtemp(prefix="benchharness-core-ml-remote-")
    tempfile.tempdir = folder
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)
