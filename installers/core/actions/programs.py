"""Installing and taking away packages by dnf, zypper or pacman: what is needed comes, what we brought goes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.actions.files import FINAL
from installers.core.errors import Failure
from installers.core.facts.transactions import (
    NO_CLEANING,
    NOTHING_ELSE,
    installed,
    problem_in,
    simulate,
    simulate_removal,
)
from installers.core.model import DONE, Action, Host, Irreversible, Left, Outcome, Probe
from installers.site import Paths

TIMEOUT = 3600.0
LOCK_WAIT = 300.0
"""Seconds to wait for another package manager; automatic upgrades take minutes."""
PAUSE = 5.0

DONE_TOO = {"dnf": (), "zypper": (100, 101, 102, 103, 106), "pacman": ()}
"""zypper(8): statuses of work done that also say something: updates wait, a restart is due, a source was skipped."""


RELABEL = 600.0
"""Seconds for labels of single paths, which takes no time but where the policy is being rebuilt."""


def command(manager: str, verb: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The command line that installs or removes; it asks nobody. What is fetched comes below our own cache."""
    cache = Paths.from_environment().cache
    keep = tuple(word for word in (NO_CLEANING[manager],) if word)
    words = {
        "dnf": ("dnf", "-y", f"--setopt=cachedir={cache}/dnf", "--setopt=exit_on_lock=True"),
        "zypper": ("zypper", "--non-interactive", "--xmlout", f"--cache-dir={cache}/zypp"),
        "pacman": ("pacman", "-S" if verb == "install" else "-Rn", "--noconfirm", "--noprogressbar"),
    }[manager]
    said = () if manager == "pacman" else (verb,)
    return (*words, *said, *((NOTHING_ELSE[manager],) if verb == "install" else keep), *names)


@dataclass(frozen=True, slots=True)
class InstallHostPackages(BaseAction):
    """Install these packages, and what they need, in one transaction of the host's own package manager."""

    kind: ClassVar[str] = "install-host-packages"
    lane: ClassVar[str] = "dpkg"
    patience: ClassVar[float] = 900.0

    manager: str
    names: tuple[str, ...]

    @property
    def target(self) -> str:
        return " ".join(self.names)

    def describe(self) -> str:
        return f"install {', '.join(self.names)} by {self.manager}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        plan = simulate(probe, self.manager, self.names)
        if plan.problem:
            raise Failure(plan.problem, detail=plan.detail, packages=" ".join(self.names), manager=self.manager)
        return RemoveHostPackages(self.manager, plan.new)

    def execute(self, host: Host) -> Outcome:
        _run(host, self.manager, "install", self.names)
        return DONE

    def recover(self, host: Host) -> None:
        """Complete what a killed transaction began: its files may lie here without the manager's record of them."""
        _run(host, self.manager, "install", self.names)


@dataclass(frozen=True, slots=True)
class RemoveHostPackages(BaseAction):
    """Remove exactly these (name, version at installation), unless others would go along."""

    kind: ClassVar[str] = "remove-host-packages"
    lane: ClassVar[str] = "dpkg"
    patience: ClassVar[float] = 900.0

    manager: str
    packages: tuple[tuple[str, str], ...]

    @property
    def target(self) -> str:
        return " ".join(name for name, _ in self.packages)

    def describe(self) -> str:
        return f"remove {', '.join(name for name, _ in self.packages) or 'no package'} by {self.manager}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def execute(self, host: Host) -> Outcome:
        here = installed(host, self.manager)
        names = tuple(name for name, _ in self.packages if name in here)
        if not names:
            return DONE
        going = simulate_removal(host, self.manager, names)
        if going is None:
            return Left(", ".join(names), f"{self.manager} sees no way to remove them: others need them")
        if others := sorted(set(going) - set(names)):
            return Left(", ".join(names), f"needed by what was installed since: {', '.join(others)}")
        _run(host, self.manager, "remove", names)
        return DONE


def _run(host: Host, manager: str, verb: str, names: tuple[str, ...]) -> None:
    """Run the manager, again while another one holds its lock; what it reports becomes a failure with an id."""
    argv, ends = command(manager, verb, names), time.monotonic() + LOCK_WAIT
    while True:
        answer = host.run(argv, timeout=TIMEOUT, ok=range(256), on_line=lambda line: _tell(host, line))
        if answer.code == 0 or answer.code in DONE_TOO[manager]:
            return
        id, detail = problem_in(answer)
        if id != "OLR-PKG-022" or time.monotonic() + PAUSE > ends:
            raise Failure(id, detail=detail, packages=" ".join(names), manager=manager)
        host.progress(0, None, "packages", detail)
        time.sleep(PAUSE)


def _tell(host: Host, line: str) -> None:
    if line.strip() and not line.startswith("<"):
        host.progress(0, None, "packages", line.strip())


@dataclass(frozen=True, slots=True)
class PutLabels(BaseAction):
    """Give those of these paths that are here the labels SELinux's policy has for them; nothing below them.

    Which label a path had is not kept: what is removed takes its own with it, and what stays is right by the policy.
    """

    kind: ClassVar[str] = "put-labels"

    name: str
    paths: tuple[str, ...]

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"give the files of {self.name} the labels of SELinux's policy"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return PutLabels(self.name, self.paths)

    def execute(self, host: Host) -> Outcome:
        # restorecon's own -i forgives a missing path only while the directory above is there.
        here = tuple(path for path in self.paths if host.stat(path) is not None)
        if here:
            host.run(("restorecon", "-i", *here), timeout=RELABEL)
        return DONE


ACTIONS: tuple[type[BaseAction], ...] = (InstallHostPackages, RemoveHostPackages, PutLabels)
