"""Profiles of devices, and what `--on` means."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from benchharness.errors import SuiteError, UsageError
from benchharness.execute.adding import _facts, write_profile
from benchharness.launch.ssh.route import Address, SshRoute, address
from benchharness.suite.device import Device, load_device, set_prepared, written
from benchharness.suite.hardware import HardwareTarget
from benchharness.suite.targets import as_known_now, target
from benchharness.terminal.device_list import device_lines, has_runtimes


def profile(folder: Path, name: str, text: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(f'hardware = "raspberry-pi-5"\nconnect = "ssh://bench@{name}.lab"\n{text}', encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ssh://bench@pi5.lab", Address("pi5.lab", None, "bench")),
        ("ssh://pi5.lab:2222", Address("pi5.lab", 2222, None)),
        ("ssh://bench@[fe80::1]:22", Address("fe80::1", 22, "bench")),
    ],
)
def test_an_address_is_read(text: str, found: Address) -> None:
    assert address(text) == found
    assert address(f"ssh://{found.text}") == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://pi5.lab", "write it as ssh://"),
        ("pi5.lab", "write it as ssh://"),
        ("ssh://", "write it as ssh://"),
        ("ssh://pi5.lab/etc", "write it as ssh://"),
        ("ssh://bench:secret@pi5.lab", "holds a password"),
        ("ssh://-oProxyCommand=x", "does not begin with a hyphen"),
    ],
)
def test_what_is_no_address_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        address(text)


def test_a_profile_is_read_and_its_key_is_a_file_beside_it(tmp_path: Path) -> None:
    path = profile(
        tmp_path / "devices", "pi5", 'key = "keys/pi"\ndetached = true\npackages = ["onnxruntime==1.23.2"]\n'
    )
    device = load_device(path)
    assert (device.name, device.hardware, device.python) == ("pi5", "raspberry-pi-5", "python3")
    assert device.key == tmp_path / "devices" / "keys" / "pi"
    assert device.lease_s == 3600
    assert isinstance(device.route, SshRoute)
    assert device.route.address == Address("pi5.lab", None, "bench")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('pyhton = "x"', "unknown key 'pyhton'; did you mean 'python'?"),
        ('name = "../etc"', "a device's name is letters"),
        ('name = "this-machine"', "choose another name"),
        ('jump = "gate.lab"', "write it as ssh://"),
        ('lease = "5"', "lease"),
        ('system = "amiga"', "system"),
    ],
)
def test_a_wrong_profile_is_refused_with_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    path = profile(tmp_path, "pi5", text)
    with pytest.raises(SuiteError) as refused:
        load_device(path)
    assert said in str(refused.value)
    assert "pi5.toml" in str(refused.value)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    made = Device.model_validate(
        {
            "name": "nuc",
            "hardware": 'a "quoted" \\ name',
            "connect": "ssh://bench@nuc.lab:2222",
            "jump": "ssh://gate.lab",
            "host_key": "ssh-ed25519 AAAA",
            "python": "/opt/ours/bin/python",
            "packages": ["numpy==2.3"],
            "lease": "90 s",
            "found": {"processor": "Intel", "memory_bytes": 8 << 30},
        }
    )
    path = write_profile(made, tmp_path / "devices", again=False)
    assert load_device(path) == made
    with pytest.raises(UsageError, match="is there already"):
        write_profile(made, tmp_path / "devices", again=False)
    assert write_profile(made, tmp_path / "devices", again=True) == path
    assert [each.name for each in path.parent.iterdir()] == ["nuc.toml"]
    assert "found" in tomllib.loads(written(made))


def test_a_profile_is_not_written_through_a_link(tmp_path: Path) -> None:
    made = load_device(profile(tmp_path / "there", "pi5"))
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "pi5.toml").symlink_to(other)
    with pytest.raises(UsageError, match="is there already"):
        write_profile(made, tmp_path / "devices", again=True)
    assert other.read_text() == "precious"


def test_on_means_a_device_a_target_or_a_profile(tmp_path: Path) -> None:
    folder = tmp_path / "devices"
    first, second = profile(folder, "pi5-a"), profile(folder, "pi5-b")
    assert [each.name for each in target("raspberry-pi-5", folder).devices] == ["pi5-a", "pi5-b"]
    one = target("pi5-b", folder)
    assert ([each.name for each in one.devices], one.hardware.name) == (["pi5-b"], "raspberry-pi-5")
    assert [each.name for each in target(str(first), folder).devices] == ["pi5-a"]
    assert target("this-machine", folder).devices == ()
    assert second.is_file()


def test_budgets_are_the_hardware_targets(tmp_path: Path) -> None:
    folder = tmp_path / "devices"
    profile(folder, "pi5-a")
    hardware = tmp_path / "hardware" / "raspberry-pi-5.toml"
    assert target("pi5-a", folder).hardware.budgets == {}
    hardware.parent.mkdir()
    hardware.write_text('description = "Pi 5"\n[budgets]\npeak_memory = "200 MB"\n')
    for word in ("pi5-a", "raspberry-pi-5", str(hardware)):
        found = target(word, folder)
        assert found.hardware.description == "Pi 5"
        assert [each.name for each in found.devices] == ["pi5-a"]


def test_an_unknown_word_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    profile(tmp_path / "devices", "pi5-a")
    with pytest.raises(SuiteError, match=r"'pi5a'; did you mean 'pi5-a'\?.*raspberry-pi-5, this-machine"):
        target("pi5a", tmp_path / "devices")


def test_a_run_that_goes_on_reaches_its_device_as_the_profile_says_now(tmp_path: Path) -> None:
    folder = tmp_path / "devices"
    device = load_device(profile(folder, "pi5"))
    stored = HardwareTarget(name="raspberry-pi-5", device=device)
    profile(folder, "pi5", 'python = "/new/python"')
    now = as_known_now(HardwareTarget.model_validate_json(stored.model_dump_json()), folder)
    assert now.device is not None
    assert now.device.python == "/new/python"
    (folder / "pi5.toml").unlink()
    assert as_known_now(stored, folder) == stored


def test_what_a_device_says_of_itself_is_bounded() -> None:
    told = {
        "facts": {"os": "x" * 5000, "cores": "many", "memory_bytes": 8, "processor": ["a"]},
        "sensors": {"waiting\n\x1b[31m": {"found": True}, "b": None},
        "python": None,
    }
    found = _facts(told)
    assert len(str(found["os"])) == 200
    assert found["sensors"] == "waiting[31m"
    assert ("cores" in found, "processor" in found, found["memory_bytes"]) == (False, False, 8)
    assert _facts({})["sensors"] == "none"


def test_what_was_prepared_goes_into_the_profile_and_all_else_stays(tmp_path: Path) -> None:
    """Or the list would go on saying that nothing runs there."""
    path = profile(tmp_path, "pi5", '# mine\n[found]  # then\ncores = 4\nruntimes = "none"\n')
    added = load_device(path)
    assert not has_runtimes(added)
    assert [line for line in device_lines([added]) if line.endswith("4 cores, no runtime yet")]
    set_prepared(path, "/home/bench/env/bin/python", "onnxruntime 1.32.0")
    made = load_device(path)
    assert (made.python, made.found) == ("/home/bench/env/bin/python", {"cores": 4, "runtimes": "onnxruntime 1.32.0"})
    assert [line for line in device_lines([made]) if line.endswith("4 cores, onnxruntime 1.32.0")]
    assert "# mine" in path.read_text()
    set_prepared(path, "/elsewhere/python", "")
    again = load_device(path)
    assert (again.python, again.found) == ("/elsewhere/python", made.found), "of what is not known nothing is said"


def test_a_profile_written_by_hand_is_given_an_interpreter_and_nothing_that_was_found(tmp_path: Path) -> None:
    path = profile(tmp_path, "pi5", "detached = true\n")
    set_prepared(path, "/made/python", "onnxruntime 1.32.0")
    assert path.read_text().splitlines()[-1] == 'python = "/made/python"'
    assert load_device(path).found == {}
