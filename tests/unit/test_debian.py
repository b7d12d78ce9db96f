"""Packages of a mirror that is made up here: what is believed of it, and what is not."""

from __future__ import annotations

import hashlib
import http.client
import io
import lzma
import tarfile
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import which

import pytest

from benchharness.device.questions.portable import ARCHIVE
from benchharness.errors import LaunchError, UsageError
from benchharness.launch import debian, portable

NAMES = ("one", "two")


def package(files: Mapping[str, bytes | str]) -> bytes:
    """A `.deb`: an ar archive with a tar in it. A text is where a symbolic link leads."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": data.getvalue()}
    return b"!<arch>\n" + b"".join(
        f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(each):<10}`\n".encode() + each + b"\n" * (len(each) % 2)
        for name, each in parts.items()
    )


class Mirror:
    """What it serves, by path; `got` is what was asked for."""

    def __init__(self, architecture: str = "arm64") -> None:
        self.packages = {name: package({f"usr/share/{name}": name.encode() * 10}) for name in NAMES}
        index = "\nPackage: other\nFilename: pool/x.deb\nSize: 1\nSHA256: 00\n\n" + "".join(
            f"\nPackage: {name}\nVersion: 1:2-3\nFilename: pool/main/{name}_2-3_{architecture}.deb\n"
            f"Size: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n"
            for name, data in self.packages.items()
        )
        packed = lzma.compress(index.encode())
        place = f"main/binary-{architecture}/Packages.xz"
        self.served = {f"pool/main/{name}_2-3_{architecture}.deb": data for name, data in self.packages.items()}
        self.served[f"dists/bookworm/{place}"] = packed
        self.served["dists/bookworm/InRelease"] = (
            f"Codename: bookworm\nSHA256:\n {'0' * 64} 12 main/other\n"
            f" {hashlib.sha256(packed).hexdigest()} {len(packed)} {place}\n"
        ).encode()
        self.got: list[str] = []

    def get(self, path: str, size: int | None) -> bytes:
        self.got.append(path)
        if path not in self.served:
            raise UsageError(f"{path}: HTTP Error 404")
        return self.served[path]


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Mirror:
    made = Mirror()
    monkeypatch.setenv("BENCHHARNESS_DEBIAN_MIRROR", "https://mirror.test/debian/")
    monkeypatch.setattr(debian, "_KEYS", Path("/nowhere"))  # TLS vouches for it
    monkeypatch.setattr(debian, "_got", made.get)
    return made


def test_what_is_found_is_locked_and_kept_to(mirror: Mirror, tmp_path: Path) -> None:
    lock = tmp_path / "devices" / "pi.python.lock"
    found = debian.locked(NAMES, "arm64", lock)
    assert [each.path for each in found] == ["pool/main/one_2-3_arm64.deb", "pool/main/two_2-3_arm64.deb"]
    files = [debian.fetched(each, tmp_path / "cache") for each in found]
    assert list(debian.contents(files[0])) == [("usr/share/one", "", b"one" * 10)]
    mirror.got.clear()
    assert debian.locked(NAMES, "arm64", lock) == found
    assert [debian.fetched(each, tmp_path / "cache") for each in found] == files
    assert mirror.got == [], "what is here already was fetched again"
    files[0].write_bytes(b"something else")
    assert debian.fetched(found[0], tmp_path / "cache").read_bytes() == mirror.packages["one"]
    with pytest.raises(UsageError, match="has no packages for amd64"):
        debian.locked(NAMES, "amd64", lock)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda m: m.served.update({"pool/main/one_2-3_arm64.deb": b"another"}), "is not what the lock says"),
        (lambda m: m.served.pop("pool/main/one_2-3_arm64.deb"), "where the mirror has a newer one by now, delete the"),
        (lambda m: m.served.update({"dists/bookworm/main/binary-arm64/Packages.xz": b"x"}), "not the one that its"),
    ],
)
def test_what_is_not_what_was_promised_is_not_used(
    mirror: Mirror, tmp_path: Path, spoil: Callable[[Mirror], object], words: str
) -> None:
    spoil(mirror)
    with pytest.raises(UsageError, match=words):
        debian.fetched(debian.locked(NAMES, "arm64", tmp_path / "lock")[0], tmp_path)
    assert not list(tmp_path.glob("*.deb"))


def test_an_index_that_cannot_be_unpacked_says_so(mirror: Mirror, tmp_path: Path) -> None:
    place = "main/binary-arm64/Packages.xz"
    digest = hashlib.sha256(b"odd").hexdigest()
    mirror.served[f"dists/bookworm/{place}"] = b"odd"
    mirror.served["dists/bookworm/InRelease"] = f"Codename: bookworm\nSHA256:\n {digest} 3 {place}\n".encode()
    with pytest.raises(UsageError, match="cannot be unpacked"):
        debian.locked(NAMES, "arm64", tmp_path / "lock")


def test_another_release_is_not_taken_for_the_one_asked_for(mirror: Mirror, tmp_path: Path) -> None:
    """Debian has signed all of its releases, those with known holes too."""
    release = mirror.served["dists/bookworm/InRelease"]
    mirror.served["dists/bookworm/InRelease"] = release.replace(b"Codename: bookworm", b"Codename: buzz")
    with pytest.raises(UsageError, match="is another release"):
        debian.locked(NAMES, "arm64", tmp_path / "lock")


@pytest.mark.parametrize("spoil", [lambda text: text[:-40], lambda text: text.partition("\n")[0] + "\n"])
def test_a_lock_that_is_not_whole_says_so(mirror: Mirror, tmp_path: Path, spoil: Callable[[str], str]) -> None:
    """One that was cut short in the writing would give a Python without its last packages."""
    lock = tmp_path / "lock"
    debian.locked(NAMES, "arm64", lock)
    lock.write_text(spoil(lock.read_text()))
    with pytest.raises(UsageError, match=r"has [01] of 2"):
        debian.locked(NAMES, "arm64", lock)


@pytest.mark.parametrize("path", ["../odd", "one two", "pool/x.deb\u2028"])
def test_what_a_lock_cannot_hold_is_never_locked(mirror: Mirror, tmp_path: Path, path: str) -> None:
    place = "main/binary-arm64/Packages.xz"
    index = "".join(f"\nPackage: {name}\nFilename: {path}\nSize: 1\nSHA256: {'0' * 64}\n\n" for name in NAMES)
    packed = lzma.compress(index.encode())
    mirror.served[f"dists/bookworm/{place}"] = packed
    digest = hashlib.sha256(packed).hexdigest()
    mirror.served["dists/bookworm/InRelease"] = (
        f"Codename: bookworm\nSHA256:\n {digest} {len(packed)} {place}\n".encode()
    )
    with pytest.raises(UsageError, match="has no one for arm64"):
        debian.locked(NAMES, "arm64", tmp_path / "lock")


@pytest.mark.parametrize("name", ["usr/lib/python3.11/../../../escaped", "/etc/passwd", "usr/../../x"])
def test_a_path_that_leads_out_of_a_package_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.deb").write_bytes(package({name: b"odd"}))
    with pytest.raises(UsageError, match=r"is no package of Debian: .* leads out of it"):
        list(debian.contents(tmp_path / "x.deb"))


def test_a_package_that_swells_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "_MOST_UNPACKED_BYTES", 1 << 20)
    halves = dict.fromkeys(NAMES, b"\x00" * (600 << 10))
    (tmp_path / "x.deb").write_bytes(package(halves))
    with pytest.raises(UsageError, match=r"is no package of Debian: .* more than"):
        list(debian.contents(tmp_path / "x.deb"))


def test_devices_and_hard_links_are_left_out(tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        for kind in (tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.LNKTYPE):
            member = tarfile.TarInfo(f"./{kind!r}")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    parts = b"!<arch>\n" + f"{'data.tar.xz':<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data.getvalue()):<10}`\n".encode()
    (tmp_path / "x.deb").write_bytes(parts + data.getvalue())
    assert list(debian.contents(tmp_path / "x.deb")) == []


def test_a_package_that_lacks_a_part_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python.deb").write_bytes(package({"usr/bin/python3.11": b"program"}))
    monkeypatch.setattr(portable, "locked", lambda *_, **__: ["one"])
    monkeypatch.setattr(portable, "fetched", lambda *_: tmp_path / "python.deb")
    with pytest.raises(UsageError, match=r"hold no usr/bin/python3\.11|hold no ld-linux-aarch64\.so\.1"):
        portable.portable("aarch64", lock=tmp_path / "lock", cache=tmp_path)


class Answer(io.BytesIO):
    """What a server answered, and from where."""

    def __init__(self, address: str, data: bytes) -> None:
        super().__init__(data)
        self.geturl = lambda: address


def test_tls_does_not_vouch_for_what_came_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may send its client on, to where anybody on the way can answer."""
    monkeypatch.setenv("BENCHHARNESS_DEBIAN_MIRROR", "https://mirror.test/debian")
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Answer("http://mirror.test/debian/x", b"odd"))
    with pytest.raises(UsageError, match="sent on to http://mirror"):
        debian._got("x", None)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Answer("https://other.test/x", b"fine"))
    assert debian._got("x", None) == b"fine"


def test_a_server_that_speaks_no_http_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(*_: object, **__: object) -> None:
        raise http.client.BadStatusLine("odd")

    monkeypatch.setattr(urllib.request, "urlopen", odd)
    with pytest.raises(UsageError, match="cannot be fetched"):
        debian._got("x", None)


def test_a_package_that_there_is_not_is_named(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no three for arm64"):
        debian.locked([*NAMES, "three"], "arm64", tmp_path / "lock")
    assert not (tmp_path / "lock").exists()


def test_without_keys_only_tls_vouches(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHHARNESS_DEBIAN_MIRROR", "http://mirror.test/debian")
    with pytest.raises(UsageError, match=r"neither a signature .* nor TLS vouches for it"):
        debian.locked(NAMES, "arm64", tmp_path / "lock")


def test_with_keys_what_debian_has_not_signed_is_refused(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if which("gpgv") is None or not keys.is_file():
        pytest.skip("no gpgv with Debian's keys here")
    monkeypatch.setattr(debian, "_KEYS", keys)
    with pytest.raises(UsageError, match="is not signed by Debian's keys"):
        debian.locked(NAMES, "arm64", tmp_path / "lock")


@pytest.mark.parametrize(
    ("file", "text", "mirror_of_it"),
    [
        (
            "sources.list.d/debian.sources",
            "Types: deb\n# https://old\nURIs: http://deb.debian.org/debian\nSuites: bookworm\n",
            "http://deb.debian.org/debian",
        ),
        (
            "sources.list",
            "# deb https://no/debian x main\ndeb [signed-by=/k] https://ftp.de.debian.org/debian/ trixie main\n",
            "https://ftp.de.debian.org/debian",
        ),
        (
            "sources.list",
            "deb https://packages.example.org/apt stable main\ndeb http://s/debian-security x main\n",
            None,
        ),
    ],
)
def test_the_mirror_is_this_machines_own(tmp_path: Path, file: str, text: str, mirror_of_it: str | None) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / file).write_text(text)
    assert debian._of_this_machine(tmp_path) == mirror_of_it


@pytest.mark.parametrize("data", [b"", b"!<arch>\n", b"nothing", package({})[:200]])
def test_what_is_no_package_says_so(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.deb").write_bytes(data)
    with pytest.raises(UsageError, match="is no package of Debian"):
        list(debian.contents(tmp_path / "x.deb"))


def test_a_python_is_sorted_into_what_starts_it_and_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries go by the names that they are asked for by; what a link leads to goes by the link's."""
    lib = "usr/lib/aarch64-linux-gnu"
    files: dict[str, bytes | str] = {
        "usr/bin/python3.11": b"program",
        "usr/lib/python3.11/os.py": b"os",
        "usr/lib/python3.11/test/big.py": b"left out",
        "usr/lib/python3.11/same.py": "os.py",
        "lib/aarch64-linux-gnu/ld-linux-aarch64.so.1": b"loader",
        "lib/aarch64-linux-gnu/libc.so.6": b"c",
        "lib/aarch64-linux-gnu/libm.so.6": b"m",
        f"{lib}/libz.so.1": "libz.so.1.2.13",
        f"{lib}/libz.so.1.2.13": b"z",
        "lib/aarch64-linux-gnu/libexpat.so.1": b"expat",
        f"{lib}/libssl.so.3": b"ssl",
        f"{lib}/gconv/UTF-7.so": b"left out",
    }
    (tmp_path / "python.deb").write_bytes(package(files))
    monkeypatch.setattr(portable, "locked", lambda *_, **__: ["one"])
    monkeypatch.setattr(portable, "fetched", lambda *_: tmp_path / "python.deb")
    made = portable.portable("aarch64", lock=tmp_path / "lock", cache=tmp_path)
    assert {name: path.read_bytes() for name, path in made.files.items() if name != ARCHIVE} == {
        "bin/python3.11": b"program",
        "lib/ld-linux-aarch64.so.1": b"loader",
        "lib/libc.so.6": b"c",
        "lib/libm.so.6": b"m",
        "lib/libz.so.1": b"z",
        "lib/libexpat.so.1": b"expat",
        "lib/python3.11/os.py": b"os",
    }
    import zipfile

    with zipfile.ZipFile(made.files[ARCHIVE]) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "os.py": b"os",
            "same.py": b"os",
            "libraries/libssl.so.3": b"ssl",
        }
    again = portable.portable("aarch64", lock=tmp_path / "lock", cache=tmp_path / "elsewhere")
    assert again.name == made.name
    starter = made.starter("/data/local/tmp/a 'folder'", "/system/bin/sh").decode()
    assert starter.startswith("#!/system/bin/sh\n")
    assert """'/data/local/tmp/a '"'"'folder'"'"'/lib'""" in starter
    with pytest.raises(LaunchError, match=r"no Python to be put on a 'armv7l', only on aarch64 and x86_64"):
        portable.portable("armv7l", lock=tmp_path / "lock", cache=tmp_path)
