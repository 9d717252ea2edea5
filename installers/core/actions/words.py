"""Words in a file of one line that belongs to others: a kernel's command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.actions.files import FINAL, clear_half_written
from installers.core.facts.lines import line_with, line_without
from installers.core.model import DONE, Action, Host, Irreversible, Outcome, Probe


def _words(probe: Probe, path: str) -> frozenset[str]:
    return frozenset(probe.read(path).decode(errors="replace").split())


def _rewrite(host: Host, path: str, content: bytes) -> None:
    """As it was in mode and owner: on the FAT of a boot partition no others can be had."""
    stat = host.stat(path)
    if stat is not None:
        host.write(path, content, mode=stat.permissions, uid=stat.uid, gid=stat.gid)


@dataclass(frozen=True, slots=True)
class AddWords(BaseAction):
    """Put those words that are not there at the end of a file's first line; every other byte stays."""

    kind: ClassVar[str] = "add-words"

    path: str
    words: tuple[str, ...]

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return f"add {' '.join(self.words)} to the line in {self.path}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        there = _words(probe, self.path)
        return RemoveWords(self.path, tuple(word for word in self.words if word not in there))

    def execute(self, host: Host) -> Outcome:
        there = _words(host, self.path)
        new = tuple(word for word in self.words if word not in there)
        _rewrite(host, self.path, line_with(host.read(self.path), new))
        return DONE

    def recover(self, host: Host) -> None:
        clear_half_written(host, self.path)


@dataclass(frozen=True, slots=True)
class RemoveWords(BaseAction):
    """Take our words out of a file's first line; what others wrote since stays."""

    kind: ClassVar[str] = "remove-words"

    path: str
    words: tuple[str, ...]

    @property
    def target(self) -> str:
        return self.path

    def describe(self) -> str:
        return f"take {' '.join(self.words)} out of the line in {self.path}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def execute(self, host: Host) -> Outcome:
        if host.stat(self.path) is not None:
            content = host.read(self.path)
            if (after := line_without(content, self.words)) != content:
                _rewrite(host, self.path, after)
        return DONE

    def recover(self, host: Host) -> None:
        clear_half_written(host, self.path)


ACTIONS: tuple[type[BaseAction], ...] = (AddWords, RemoveWords)
