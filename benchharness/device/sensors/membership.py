"""Which control groups a process is in, looked at again and again (Linux).

Systems move what goes to the background to another group: what was read of the group that it began in says nothing of
it from then on. A look is one small read; what is known of the groups themselves is looked for when it has changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchharness.device.sensors.cgroup import NO_CGROUPS, Groups, group_path, groups_in
from benchharness.device.sensors.readings import ROOT, KeptFile, Unreadable, text_or_nothing


class Membership:
    """One process's groups, by what /proc/PID/cgroup says. Raises `Unreadable` where there is no such file."""

    def __init__(self, process: str, root: Path = ROOT) -> None:
        self.text = b""  # at the last look
        self._root = root
        self._process = root / "proc" / process
        try:
            self._file = KeptFile(self._process / "cgroup")
        except Unreadable as error:
            raise Unreadable(f"{NO_CGROUPS} ({error})") from error

    def moved(self) -> bool:
        """Whether it is in other groups than at the last look; a process that has ended stays where it was."""
        try:
            text = self._file.read()
        except Unreadable:
            return False
        if text == self.text or self._has_ended():
            return False
        self.text = text
        return True

    def _has_ended(self) -> bool:
        """The kernel takes the memory of who ends first, and then takes it out of its groups, into the top one."""
        return text_or_nothing(self._process / "statm").startswith("0 0 ")

    def groups(self, controller: str) -> Groups:
        """Its own group with a controller and those above it, at the last look. Raises `Unreadable`."""
        return groups_in(self._words(), controller, self._root)

    def path(self, controller: str) -> str:
        """Its own group's path in the hierarchy of a controller, at the last look; empty where it has none."""
        return group_path(self._words(), controller)[1]

    def _words(self) -> str:
        return self.text.decode("utf-8", "backslashreplace")


class GroupFiles:
    """Files of the groups that a process is in, kept open for as long as it is in them."""

    def __init__(self) -> None:
        self._files: dict[Path, KeptFile] = {}

    def follow(self, paths: Iterable[Path]) -> None:
        """Opens those that are there and closes all others. One that was made anew under its old name is another."""
        kept = {path: file for path, file in self._files.items() if file.is_current()}
        self._files = {path: kept.get(path) or KeptFile(path) for path in paths if path.exists()}

    def read(self) -> dict[KeptFile, bytes]:
        """What each of them says now. Raises `Unreadable` where one is of a group that is gone."""
        return {file: file.read() for file in self._files.values()}
