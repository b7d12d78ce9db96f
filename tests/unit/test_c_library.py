"""Which C library a Python is built for, by the loader that its own file names."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from benchharness.device.questions import environment

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="programs are ELF files on Linux")


def program(path: Path, loader: Path, *, wide: bool = True, order: str = "<") -> Path:
    """An ELF file of two segments, of which the second names its loader."""
    name = str(loader).encode() + b"\0"
    ident = b"\x7fELF" + bytes((2 if wide else 1, 1 if order == "<" else 2, 1)).ljust(12, b"\0")
    if wide:
        head = ident + struct.pack(f"{order}HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
        rows = [struct.pack(f"{order}IIQQQQQQ", kind, 4, 176, 0, 0, len(name), len(name), 1) for kind in (6, 3)]
    else:
        head = ident + struct.pack(f"{order}HHIIIIIHHHHHH", 3, 40, 1, 0, 52, 0, 0, 52, 32, 2, 0, 0, 0)
        rows = [struct.pack(f"{order}IIIIIIII", kind, 116, 0, 0, len(name), len(name), 4, 1) for kind in (6, 3)]
    path.write_bytes(head + b"".join(rows) + name)
    return path


@on_linux
@pytest.mark.parametrize(("wide", "order"), [(True, "<"), (False, "<"), (True, ">")])
def test_a_musl_python_is_known_wherever_its_loader_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wide: bool, order: str
) -> None:
    """As on a phone, which has nothing in /lib; what the loader says is musl's."""
    loader = tmp_path / "ld-musl-aarch64.so.1"
    loader.write_text(
        "#!/bin/sh\nprintf 'musl libc (aarch64)\\nVersion 1.2.5\\nDynamic Program Loader\\n' >&2; exit 1\n"
    )
    loader.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program(tmp_path / "python", loader, wide=wide, order=order)))
    assert environment.facts()["musl"] == "1.2"
    loader.unlink()
    assert environment.facts()["musl"] == ""


@on_linux
def test_another_loader_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = tmp_path / "ld-linux.so.2"
    loader.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked; echo Version 1.2 >&2\n")
    loader.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program(tmp_path / "python", loader)))
    assert environment.facts()["musl"] == ""
    assert not (tmp_path / "asked").exists()


@on_linux
@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF\x02\x01", b"\x7fELF\x02\x01" + b"\xff" * 60])
def test_what_is_no_program_names_no_loader(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "python").write_bytes(content)
    assert environment._loader(tmp_path / "python") == ""
    assert environment._loader(tmp_path / "none") == ""


@on_linux
def test_this_python_names_its_loader() -> None:
    loader = environment._loader(Path(sys.executable).resolve())
    assert not loader or Path(loader).is_file()
    assert ("musl" in loader) == bool(environment.facts()["musl"])
