"""A device over SSH, for real: an OpenSSH server on loopback, as another user, in another root, with another Python."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchharness import api, devices
from benchharness.errors import LaunchError, UsageError
from benchharness.launch import ask
from benchharness.launch.far import FarLauncher
from benchharness.launch.porter import Porter
from benchharness.launch.ssh.host_key import host_key_of
from benchharness.launch.ssh.route import SshRoute
from benchharness.suite.device import Device, written
from benchharness.suite.tables import restore_suite
from tests import ssh_server
from tests.conftest import CommandLine
from tests.ssh_server import Server
from tests.unit.test_environment import PIP
from tests.unit.test_wheels import Index, wheel

#: What is sent at once.
CHUNK = 1 << 18
DIGITS = Path(__file__).parent.parent.parent / "examples" / "digits" / "artefacts" / "fp32.onnx"

pytestmark = pytest.mark.skipif(bool(ssh_server.missing()), reason=ssh_server.missing() or "a server can be had")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with ssh_server.serving(tmp_path_factory.mktemp("ssh")) as found:
        yield found


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "devices"
    monkeypatch.setenv("BENCHHARNESS_DEVICES", str(folder))
    monkeypatch.setenv("BENCHHARNESS_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    return folder


@pytest.fixture
def launcher(server: Server, tmp_path: Path) -> Iterator[FarLauncher]:
    made = FarLauncher(server.device(work=f"{server.home}/{tmp_path.name}").route, tmp_path / "scratch")
    yield made
    made.close()


def profile(folder: Path, device: Device) -> str:
    folder.mkdir(exist_ok=True)
    (folder / f"{device.name}.toml").write_text(written(device), encoding="utf-8")
    return device.name


def route_of(server: Server) -> SshRoute:
    route = server.device().route
    assert isinstance(route, SshRoute)
    return route


def put(launcher: FarLauncher, file: Path, name: str) -> str:
    return launcher.put(file, name, hashlib.sha256(file.read_bytes()).hexdigest())


def test_a_model_runs_there_as_it_does_here(server: Server, profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = profile(profiles, server.device())
    asked: dict[str, Any] = {"attempts": 2, "scenarios": ["steady"]}
    here, there = api.run_on(["this-machine", name], [DIGITS], **asked)
    (here_result,), (there_result,) = here.results, there.results
    assert there_result.outcome.ok
    assert (there.hardware, here.hardware) == ("test-board", "this-machine")
    assert {each.name for each in there_result.metrics} == {each.name for each in here_result.metrics}
    assert not (server.home / ".benchharness" / "runs" / there.run.id).exists()
    assert server.processes() == []

    sent: list[Path] = []
    send = Porter._send

    def counted(self: Porter, file: Path, have: int, size: int) -> None:
        sent.append(file)
        send(self, file, have, size)

    monkeypatch.setattr(Porter, "_send", counted)
    again = api.run([DIGITS], on=name, **asked)
    assert again.results[0].outcome.ok
    assert sent == [], "what is there already was put there again"


def test_a_target_means_any_of_its_devices_that_answers(server: Server, profiles: Path) -> None:
    profile(profiles, server.device(name="a-dead-one", connect="ssh://nobody@127.0.0.1:9"))
    profile(profiles, server.device(name="living"))
    found = api.run([DIGITS], on="test-board", attempts=1, scenarios=["steady"])
    assert found.results[0].outcome.ok
    with pytest.raises(LaunchError, match="cannot be reached"):
        api.run([DIGITS], on="a-dead-one", attempts=1)


def test_the_only_device_that_cannot_be_reached_is_told_of_once(
    server: Server, profiles: Path, benchharness: CommandLine
) -> None:
    gone = profile(profiles, server.device(name="gone", connect="ssh://127.0.0.1:1"))
    done = benchharness("run", DIGITS, "--on", gone)
    assert done.returncode == 4
    assert (done.stdout + done.stderr).count("cannot be reached") == 1
    both = benchharness("run", DIGITS, "--on", gone, "--on", "this-machine", "--attempts", "1", "--scenario", "steady")
    assert both.returncode == 0, both.stderr
    assert "gone is left out: gone (ssh://127.0.0.1:1) cannot be reached" in both.stdout + both.stderr


def test_questions_go_to_the_device(server: Server, profiles: Path) -> None:
    name = profile(profiles, server.device())
    onnxruntime = next(each for each in api.adapters(name) if each.name == "onnxruntime")
    assert onnxruntime.available
    assert api.inspect(DIGITS, on=name)["digest"] == api.inspect(DIGITS)["digest"]


def test_another_host_key_ends_it_before_anything_is_sent(server: Server, tmp_path: Path) -> None:
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVKQwyXnoO4nU0KDrEAmFKTtMFWfYJUlAwUkACbZf2o"
    made = FarLauncher(server.device(host_key=other, work=f"{server.home}/never").route, tmp_path)
    with pytest.raises(LaunchError, match=r"host key is not the one in its profile.* --name loopback --again"):
        ask.description_of_device(made, 0)
    made.close()
    assert not (server.home / "never").exists()


def test_an_unknown_host_key_is_trusted_by_its_fingerprint_alone(server: Server, profiles: Path) -> None:
    asked = devices.asked(server.device().connect, name="new", key=server.key, python=server.device().python)
    presented = devices.host_key(asked)
    assert presented is not None
    assert presented.text == server.host_key
    assert not presented.is_known
    path, added = devices.add(asked, presented)
    assert path == profiles / "new.toml"
    assert added.found["python"]
    assert "onnxruntime" in str(added.found["runtimes"])
    assert [each.name for each in devices.known()] == ["new"]
    assert devices.known()[0].host_key == server.host_key
    with pytest.raises(UsageError, match="has a profile already"):
        devices.add(asked, presented)


def test_a_host_key_among_the_users_known_hosts_is_known(server: Server, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
    assert host_key_of(route_of(server), known).is_known
    known.write_text(f"[127.0.0.1]:{server.port + 1} {server.host_key}\n")
    assert not host_key_of(route_of(server), known).is_known


def test_a_host_key_is_asked_for_from_a_notebook_too(server: Server) -> None:
    """What runs a loop already allows no second one in its thread."""

    async def cell() -> str:
        return host_key_of(route_of(server)).text

    with ThreadPoolExecutor(max_workers=1) as thread:  # another test's browser may have left a loop in this one
        assert thread.submit(lambda: asyncio.run(cell())).result() == server.host_key


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"python": "/nowhere/python"}, "'/nowhere/python' cannot be started there"),
        ({"python": "/bin/true"}, "the line broke, or what runs there ended"),
        ({"key": "/nowhere/key"}, "there is no key /nowhere/key here"),
        ({"connect": "ssh://127.0.0.1:9"}, "cannot be reached"),
        ({"work": "link"}, "links are not followed"),
        ({"work": "/root/ours"}, "Permission denied"),
        ({"work": "{home}/full"}, "the disk is full"),
    ],
)
def test_what_is_wrong_there_is_said(server: Server, tmp_path: Path, changes: dict[str, str], said: str) -> None:
    (server.home / "link").unlink(missing_ok=True)
    (server.home / "link").symlink_to(server.home / "site")
    changed = {key: value.format(home=server.home) for key, value in changes.items()}
    if changed.get("work") == "link":
        changed["work"] = str(server.home / "link")
    made = FarLauncher(server.device(**changed).route, tmp_path)
    with pytest.raises(LaunchError, match=said):
        ask.description_of_device(made, 0)
    made.close()
    assert server.processes() == []


def test_a_broken_line_goes_on_where_it_was(launcher: FarLauncher, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(range(256)) * (1 << 17))
    size = file.stat().st_size
    seen: list[int] = []
    cuts: list[int] = []

    def cut(what: str, done: int, total: int) -> None:
        seen.append(done)
        if len(seen) == 60 and not cuts:
            cuts.append(done)
            server.drop_lines()

    launcher._porter._sent = cut
    path = put(launcher, file, "models/large")
    assert cuts, "nothing was cut"
    assert Path(path).read_bytes() == file.read_bytes()
    assert len(seen) * CHUNK < size + 60 * CHUNK, "it was sent from its beginning, or into a dead line"
    assert not Path(f"{path}.part").exists()


def test_a_line_that_never_holds_is_given_up(launcher: FarLauncher, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(CHUNK * 40))

    def cut(what: str, done: int, total: int) -> None:
        server.drop_lines()

    launcher._porter._sent = cut
    with pytest.raises(LaunchError, match="the line broke"):
        put(launcher, file, "models/large")


def test_a_file_that_changed_there_is_put_again(launcher: FarLauncher, tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_bytes(b"as it should be")
    path = Path(put(launcher, file, "models/model"))
    path.unlink()
    path.write_bytes(b"as it is not...")
    launcher._placed.clear()
    assert Path(put(launcher, file, "models/model")).read_bytes() == b"as it should be"


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside", "a//b", "."])
def test_no_name_leads_out_of_the_work_folder(launcher: FarLauncher, server: Server, tmp_path: Path, name: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    with pytest.raises(LaunchError, match="is no name inside the work folder"):
        put(launcher, file, name)
    for path in ("/etc/hostname", f"{launcher.contact.work}/../site"):
        with pytest.raises(LaunchError, match=r"outside|no name inside"):
            launcher.fetch(path)
        with pytest.raises(LaunchError, match=r"outside|no name inside"):
            launcher.remove(path)
    assert (server.home / "site").exists()


def test_a_link_inside_the_work_folder_is_not_followed(launcher: FarLauncher, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    work = Path(launcher.contact.work)
    put(launcher, file, "first")
    (work / "files" / "away").symlink_to(server.home)
    with pytest.raises(LaunchError, match="links are not followed"):
        put(launcher, file, "away/file")
    (work / "files" / "target").symlink_to(server.home / "authorized_keys")
    path = put(launcher, file, "target")
    assert not Path(path).is_symlink()
    assert (server.home / "authorized_keys").read_bytes() != b"x"


def test_a_login_shell_may_greet(launcher: FarLauncher, server: Server) -> None:
    greeting = server.home / ".bashrc"
    before = greeting.read_text()
    greeting.write_text('echo "{\\"type\\": \\"ready\\"} Welcome to pi5!"\n' * 100)
    try:
        assert ask.description_of_device(launcher, 0)["facts"]["machine"]
    finally:
        greeting.write_text(before)


def test_an_environment_is_made_there_once_and_goes_into_the_profile(
    server: Server, profiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of wheels that stand in for those of the package index."""
    if PIP is None:
        pytest.skip("this Python comes without a wheel of pip")
    Index(tmp_path / "index", monkeypatch).add(PIP, wheel(tmp_path, "tiny", text="SIZE = 3"))
    monkeypatch.setattr("benchharness.devices.wheel_cache", lambda: tmp_path / "wheels")
    device = server.device(python="/usr/bin/python3", packages=["tiny"], work=f"{server.home}/prepared")
    name = profile(profiles, device)
    told: list[str] = []
    made = devices.prepare(name, tell=told.append)
    assert (made.made, made.locked, made.packages) == (True, True, {"tiny": "1.0"})
    assert made.python.startswith(f"{server.home}/prepared/environments/")
    assert devices.named(name).python == made.python
    assert "--hash=sha256:" in (profiles / f"{name}.lock").read_text()
    again = devices.prepare(name, tell=told.append)
    assert (again.made, again.locked, again.python) == (False, False, made.python)
    assert set(devices.clean(name, everything=True).removed) >= {"files", "environments"}
    with pytest.raises(LaunchError, match=f"benchharness device prepare {name}"):
        devices.check(name, probe_s=0.0)


def test_a_gate_on_two_devices_gives_each_a_verdict_and_the_worst_exit_code(
    server: Server, profiles: Path, benchharness: CommandLine, tmp_path: Path
) -> None:
    """The candidate's artefact is larger, which is exact: red on both. One that cannot be reached is no green."""
    name, gone = (
        profile(profiles, server.device()),
        profile(profiles, server.device(name="gone", connect=f"ssh://{server.user}@127.0.0.1:1")),
    )
    paths = []
    for build, limit in (("int8.onnx", ""), ("fp32.onnx", '[gate.limits]\nartefact_size = "2 %"')):
        paths.append(tmp_path / f"{build}.toml")
        paths[-1].write_text(
            f"""
            [models.digits.variants.engine]
            artefact = "{DIGITS.parent / build}"
            [[configurations]]
            runtime = "onnxruntime"
            [scenarios.steady]
            min_time = "1 ms"
            [gate]
            primary = ["peak_memory"]
            looks = [2]
            {limit}
            """
        )
    base, candidate = paths
    asked = ("gate", candidate, "--base", base, "--on", "this-machine", "--on", name)
    done = benchharness(*asked, "--out", "gate")
    assert done.returncode == 1, done.stderr
    printed = " ".join(done.stdout.split())
    assert "✗ this-machine: gate red: 1 of 2 failed" in printed
    assert f"✗ {name}: gate red: 1 of 2 failed" in printed
    assert f"this-machine: gate red: 1 of 2 failed, 1 undecided; {name}: gate red" in " ".join(done.stderr.split())
    cases = {each.get("classname", "") for each in ElementTree.parse(tmp_path / "gate" / "junit.xml").iter("testcase")}
    subject = "digits/engine/onnxruntime/default/steady"
    assert cases == {f"this-machine/{subject}", f"{name}/{subject}"}
    assert {*json.loads((tmp_path / "gate" / "bencher.json").read_text())} == cases
    smaller = json.loads((tmp_path / "gate" / "benchmark-action-smaller.json").read_text())
    assert {each["name"].split("/")[0] for each in smaller} == {"this-machine", name}
    summary = (tmp_path / "gate" / "summary.md").read_text()
    assert "### ❌ this-machine: gate red" in summary
    assert f"### ❌ {name}: gate red" in summary
    assert "looks of 2 gates" in summary
    assert summary.count("What this machine can see is not tested: benchharness selftest tells, in a minute.") == 2
    with contextlib.closing(api.open_store()) as store:
        kept = [restore_suite(store.suite_and_hardware(run.id)[0]).gate for run in store.list_runs()]
    assert [each.family for each in kept if each] == [2, 2]
    unreached = benchharness("gate", candidate, "--base", base, "--on", gone, "--on", name, "--out", "gate")
    assert unreached.returncode == 4, unreached.stderr
    assert "gone is not gated: " in unreached.stderr
    assert ElementTree.parse(tmp_path / "gate" / "junit.xml").find("testcase[@classname='gone']/error") is not None
    assert "gone: not gated" in (tmp_path / "gate" / "summary.md").read_text()
    assert f"{name}: gate red" in " ".join(unreached.stdout.split())
