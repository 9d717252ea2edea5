"""dnf, zypper and pacman: packages to install from, what is installed, and their output as recordings have it.

What is installed stands in the tree, a line each, so that snapshots see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from installers.core.model import Output, Query
from tests.fake.commands import Call

if TYPE_CHECKING:
    from tests.fake.machine import FakeMachine

RECORD = "/var/lib/host-packages"
OFFERED: Mapping[str, tuple[str, ...]] = {"tool": ("library",), "library": (), "other": ("library",)}
"""Packages by name, and what each needs; every one brings a program of its name, in version 1-1."""


@dataclass(slots=True)
class Manager:
    """One of the three. ``locked``: the next so many runs meet a held lock."""

    machine: FakeMachine
    name: str
    locked: int = 0

    def installed(self) -> list[str]:
        tree = self.machine.tree
        return tree.text(RECORD).split() if tree.exists(RECORD) else []

    def answer(self, query: Query) -> Output:
        if query.args[0] in ("-qa", "-Q"):
            return Output(0, "".join(f"{name} 1-1\n" for name in self.installed()), "")
        names = [word for word in query.args[1:] if not word.startswith("-") and word not in ("install", "remove")]
        removing = "remove" in query.args or query.args[0] == "-R"
        return self._removal(names) if removing else self._installation(names)

    def _installation(self, names: Sequence[str]) -> Output:
        if unknown := [name for name in names if name not in OFFERED]:
            return Output(1, "", f"Error: No match for argument: {unknown[0]}\n")
        return Output(0, self._shown("Installing:", "to-install", self.new(names)), "")

    def _removal(self, names: Sequence[str]) -> Output:
        going = self.going(names)
        if self.name == "pacman" and set(going) != set(names):
            return Output(1, "", "error: failed to prepare transaction (could not satisfy dependencies)\n")
        return Output(0, self._shown("Removing:", "to-remove", going), "")

    def _shown(self, heading: str, group: str, names: Sequence[str]) -> str:
        if self.name == "pacman":
            return "".join(f"{name} 1-1\n" for name in names)
        if self.name == "dnf":
            return f"{heading}\n" + "".join(f" {name} noarch 1-1 local 6.0 k\n" for name in names) if names else ""
        rows = "".join(f'<solvable type="package" name="{name}" edition="1-1"/>' for name in names)
        return f"<stream><{group}>{rows}</{group}></stream>"

    def new(self, names: Sequence[str]) -> list[str]:
        wanted = [*(need for name in names for need in OFFERED[name]), *names]
        return [name for name in dict.fromkeys(wanted) if name not in self.installed()]

    def going(self, names: Sequence[str]) -> list[str]:
        here = self.installed()
        return [name for name in here if name in names or set(OFFERED[name]) & set(names)]

    def run(self, machine: FakeMachine, call: Call) -> Iterator[None]:
        yield
        if self.locked:
            self.locked -= 1
            call.fail(7, "System management is locked by the application with pid 7 (other).")
            return
        names = [word for word in call.argv[1:] if not word.startswith("-") and word not in ("install", "remove")]
        if "remove" in call.argv or "-Rn" in call.argv:
            for name in self.going(names):
                yield from self._take(name)
            return
        # A package's files come first, the record of them after: what a power cut finds in between.
        for name in self.new(names):
            machine.tree.file(f"/usr/bin/{name}", "", mode=0o755)
            yield
            self._record([*self.installed(), name])
            yield

    def _take(self, name: str) -> Iterator[None]:
        if self.machine.tree.exists(f"/usr/bin/{name}"):
            self.machine.tree.unlink(f"/usr/bin/{name}")
        yield
        self._record([one for one in self.installed() if one != name])
        yield

    def _record(self, names: Sequence[str]) -> None:
        if names:
            self.machine.tree.file(RECORD, " ".join(names))
        elif self.machine.tree.exists(RECORD):
            self.machine.tree.unlink(RECORD)


class Answers(dict[Query, Output]):
    """Answers of a manager as it is now."""

    def __init__(self, machine: FakeMachine, manager: Manager) -> None:
        super().__init__(machine.answers)
        self.manager = manager

    def __contains__(self, query: object) -> bool:
        mine = (self.manager.name, "rpm")
        return isinstance(query, Query) and (query.name in mine or super().__contains__(query))

    def __getitem__(self, query: Query) -> Output:
        return self.manager.answer(query) if query.name in (self.manager.name, "rpm") else super().__getitem__(query)


def with_manager(machine: FakeMachine, name: str) -> Manager:
    """Give a machine this package manager."""
    manager = Manager(machine, name)
    machine.answers = Answers(machine, manager)
    machine.commands[name,] = manager.run
    machine.tree.file(f"/usr/bin/{name}", "", mode=0o755)
    return manager
