"""Execution providers that come as packages or libraries of their own, and are registered at run time.

Accelerators' makers ship ONNX Runtime providers so: `onnxruntime-ep-openvino`, `onnxruntime-ep-webgpu`,
`onnxruntime-qnn` and others, each a package whose module tells the provider's name and the path of its library. ONNX
Runtime knows none of them until the library is registered, and registers it under the provider's own name only. A
library is registered where an accelerator of its name is asked for, never in passing: what it starts would run beside
measurements that have nothing to do with it.
"""

from __future__ import annotations

import importlib
import pkgutil
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime

from benchharness.contract import EXECUTION_DEVICE, EXECUTION_REFERENCE
from benchharness.errors import Unsupported
from targets.installed import version_of

#: How the modules of providers' packages are called.
_PREFIX, _NAMES = "onnxruntime_ep_", ("onnxruntime_qnn",)
#: Qualcomm's provider brings an emulator of its NPU for this processor: what it computes is right, when is not.
_QNN, _EMULATED_ON = "QNNExecutionProvider", ("x86_64", "amd64")
_QNN_ON_THE_PROCESSOR = "cpu"  # its backend that is no emulator
_LONGEST_NAME = 200

#: Providers whose library this process has registered.
_registered: set[str] = set()


@dataclass(frozen=True)
class Plugin:
    """A provider's library and where it is from: a package with its version, or a path that was given."""

    provider: str
    library: str
    source: str


@dataclass(frozen=True)
class Unit:
    """One of the units of a provider: how a configuration names it, what it is, ONNX Runtime's own handle of it."""

    name: str  # "NPU"; "GPU:1" for the second of a kind
    description: str
    handle: Any  # onnxruntime.OrtEpDevice


def installed() -> list[Plugin]:
    """The providers of all installed packages that can be imported. Never raises."""
    return _look()[0]


def broken() -> list[str]:
    """The packages of providers that are installed and cannot be imported, with the reason. Never raises."""
    return _look()[1]


def _look() -> tuple[list[Plugin], list[str]]:
    found, failed = [], []
    for module in sorted({each.name for each in pkgutil.iter_modules() if _is_plugin(each.name)}):
        try:
            found += _of_package(module)
        except Exception as error:
            failed.append(f"{module.replace('_', '-')} cannot be imported: {type(error).__name__}: {error}")
    return found, failed


def find(accelerator: str, library: str | None) -> Plugin | None:
    """The plug-in that has this provider: the library given, else an installed package's; None where there is none.

    Raises `Unsupported` where a library is given that is no file.
    """
    if library is not None:
        path = Path(library).expanduser()
        if not path.is_file():
            raise Unsupported(f"library {library!r}: no such file on this device")
        return Plugin(provider=accelerator, library=str(path.absolute()), source=path.name)
    # A provider may name variants of itself, as in OpenVINOExecutionProvider.AUTO.
    return next((each for each in installed() if each.provider in (accelerator, accelerator.partition(".")[0])), None)


def register(plugin: Plugin) -> None:
    """Makes a provider known to ONNX Runtime, once. Raises `Unsupported` with ONNX Runtime's words."""
    if plugin.provider in _registered:
        return
    try:
        onnxruntime.register_execution_provider_library(plugin.provider, plugin.library)
    except AttributeError as error:
        raise Unsupported(
            f"{plugin.provider}: onnxruntime {onnxruntime.__version__} takes no plug-ins; 1.23 and later do"
        ) from error
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        raise Unsupported(f"{plugin.provider}: {plugin.source} cannot be registered: {error}") from error
    _registered.add(plugin.provider)


def is_registered(provider: str) -> bool:
    """Whether a provider is a plug-in that this process has registered."""
    return provider.partition(".")[0] in {name.partition(".")[0] for name in _registered}


def units(provider: str) -> list[Unit]:
    """The units of a registered provider, in the order in which it prefers them."""
    found: list[Unit] = []
    for handle in onnxruntime.get_ep_devices():
        if handle.ep_name == provider:
            kind = handle.device.type.name
            before = sum(unit.name.partition(":")[0] == kind for unit in found)
            found.append(Unit(f"{kind}:{before}" if before else kind, _description(handle), handle))
    return found


def choose(plugin: Plugin, provider: str, wanted: str | None) -> Unit:
    """The unit asked for, else the first. Raises `Unsupported` with those that there are."""
    found = units(provider)
    if not found:
        others = ", ".join(sorted({device.ep_name for device in onnxruntime.get_ep_devices()}))
        raise Unsupported(f"{provider}: {plugin.source} finds no unit of it here; onnxruntime now has {others}")
    if wanted is None:
        return found[0]
    for unit in found:
        if unit.name.lower() == wanted.lower():
            return unit
    listed = ", ".join(f"{unit.name} ({unit.description})" for unit in found)
    raise Unsupported(f"unit {wanted!r}: {provider} has no such unit here; it has {listed}")


def units_here() -> dict[str, Sequence[str]]:
    """The units of every provider that an installed package has, in words, by provider. Never raises.

    Registers all of them: for telling what there is, not for a process that measures.
    """
    for plugin in installed():
        try:
            register(plugin)
        except Unsupported:
            continue
    try:
        names = {device.ep_name for device in onnxruntime.get_ep_devices()} - set(_plain_providers())
    except AttributeError:  # before 1.23
        return {}
    return {name: [f"{unit.name}: {unit.description}" for unit in units(name)] for name in sorted(names)}


def execution(provider: str, options: Mapping[str, str]) -> str:
    """What a session on this provider is evidence of: an emulator's time is nobody's."""
    if provider != _QNN or platform.machine().lower() not in _EMULATED_ON:
        return EXECUTION_DEVICE
    backend = options.get("backend_type") or Path(options.get("backend_path", "")).name.lower()
    return EXECUTION_DEVICE if _QNN_ON_THE_PROCESSOR in backend else EXECUTION_REFERENCE


def _plain_providers() -> Sequence[str]:
    """What ONNX Runtime's own build has."""
    return [name for name in onnxruntime.get_available_providers() if not is_registered(name)]


def _is_plugin(module: str) -> bool:
    return module.startswith(_PREFIX) or module in _NAMES


def _of_package(module: str) -> list[Plugin]:
    package = importlib.import_module(module)
    version = version_of(module.replace("_", "-"))
    names = package.get_ep_names() if hasattr(package, "get_ep_names") else [package.get_ep_name()]
    library = str(package.get_library_path())
    return [Plugin(str(name), library, f"{module.replace('_', '-')} {version}") for name in names]


def _description(handle: Any) -> str:
    told = dict(handle.ep_metadata).get("FULL_DEVICE_NAME") or handle.device.vendor or handle.ep_vendor
    return str(told)[:_LONGEST_NAME]
