"""Installing and taking away Debian packages: one apt transaction, nothing started by itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from installers.core.actions.base import BaseAction
from installers.core.actions.files import FINAL
from installers.core.errors import Failure
from installers.core.facts.packages import (
    ABSENT,
    Repository,
    dpkg,
    lists_directory,
    problem_in,
    simulate_install,
    simulate_purge,
)
from installers.core.model import DONE, Action, Host, Irreversible, Left, Outcome, Probe
from installers.site import Paths

POLICY = "/usr/sbin/policy-rc.d"
ASIDE = "/usr/sbin/policy-rc.d.before-olares"
OURS = "#!/bin/sh\n# Written by olares-cli while packages are installed: nothing starts by itself.\nexit 101\n"

ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "DEBCONF_NONINTERACTIVE_SEEN": "true", "NEEDRESTART_SUSPEND": "1"}
LOCK_WAIT = 300
"""Seconds to wait for another package manager; unattended upgrades take minutes."""
DOWNLOAD_TIMEOUT = 3600.0
INSTALL_TIMEOUT = 3600.0
_UNITS = {"B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3}
_NEEDED = re.compile(r"^Need to get ([\d.,]+) ([kMG]?B)(?:/([\d.,]+) ([kMG]?B))? of archives")
_PROCESSING = re.compile(r"^Errors were encountered while processing:\n((?: \S+\n?)+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class InstallPackages(BaseAction):
    """Install those of the names that are missing, with what they depend on, in one transaction.

    Services the packages bring are not started. Packages already there keep their version unless
    a new one needs a later.
    """

    kind: ClassVar[str] = "install-packages"
    lane: ClassVar[str] = "dpkg"
    patience: ClassVar[float] = 900.0

    names: tuple[str, ...]
    release: str = ""
    repository: Repository | None = None

    @property
    def target(self) -> str:
        return " ".join(self.names)

    def describe(self) -> str:
        origin = f" from {self.release}" if self.release else ""
        if self.repository:
            origin = f" from {self.repository.folder}"
        return f"install {', '.join(self.names)}{origin}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        plan = simulate_install(probe, self.names, self.release, self.repository)
        if plan.problem:
            raise Failure(plan.problem, detail=plan.detail, packages=", ".join(self.names))
        return RemovePackages(plan.new)

    def execute(self, host: Host) -> Outcome:
        cache = Paths.from_environment().cache
        for directory in (cache, f"{cache}/apt", f"{cache}/apt/archives", f"{cache}/apt/archives/partial"):
            host.mkdir(directory)
        if self.repository and (wrong := self.repository.wrong(host)):
            raise Failure("OLR-PKG-013", detail=wrong, packages=", ".join(self.names))
        chosen = (f"--target-release={self.release}",) if self.release and not self.repository else ()
        install = (*_common(host), *self._places, *chosen, "--no-install-recommends", "--no-upgrade")
        _apt(host, (*install, "--download-only", "install", *self.names), DOWNLOAD_TIMEOUT, Downloaded(host.progress))
        _hold_services(host)
        try:
            _apt(host, (*install, "--no-download", "install", *self.names), INSTALL_TIMEOUT, _Installed(host))
        finally:
            _release_services(host)
        _drop_old_days(host)
        return DONE

    def recover(self, host: Host) -> None:
        """Finish what a killed dpkg began, still without starting anything."""
        _hold_services(host)
        try:
            _finish_dpkg(host, self._places)
        finally:
            _release_services(host)

    @property
    def _places(self) -> tuple[str, ...]:
        return self.repository.options if self.repository else ()


@dataclass(frozen=True, slots=True)
class RemovePackages(BaseAction):
    """Purge exactly these (name, version at installation), unless apt would take others along."""

    kind: ClassVar[str] = "remove-packages"
    lane: ClassVar[str] = "dpkg"
    patience: ClassVar[float] = 900.0

    packages: tuple[tuple[str, str], ...]

    @property
    def target(self) -> str:
        return " ".join(name for name, _ in self.packages)

    def describe(self) -> str:
        return f"remove {', '.join(name for name, _ in self.packages) or 'no package'}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return FINAL

    def execute(self, host: Host) -> Outcome:
        _finish_dpkg(host)
        present = dpkg(host)
        names = [name for name, _ in self.packages if name in present and present[name].state != "not-installed"]
        if not names:
            return DONE
        installed = [name for name in names if present[name].state not in ABSENT]
        if installed:
            going = simulate_purge(host, installed)
            if going is None:
                return Left(", ".join(installed), "apt sees no way to remove them")
            if others := sorted(set(going) - set(names)):
                return Left(", ".join(installed), f"needed by what was installed since: {', '.join(others)}")
        _apt(host, (*_common(host), "--no-auto-remove", "purge", *names), INSTALL_TIMEOUT, _Installed(host))
        return DONE

    def recover(self, host: Host) -> None:
        _finish_dpkg(host)


def _common(probe: Probe) -> tuple[str, ...]:
    cache = Paths.from_environment().cache
    return (
        *("-y", "-q", "-oDir::Log::Planner=/dev/null", "-oAPT::Status-Fd=1", f"-oDPkg::Lock::Timeout={LOCK_WAIT}"),
        *("-oDpkg::Options::=--force-confold", "-oDpkg::Options::=--force-confdef"),
        *("-oAPT::Keep-Downloaded-Packages=true", "-oAcquire::Retries=3"),
        f"-oDir::Cache::Archives={cache}/apt/archives",
        f"-oDir::State::Lists={lists_directory(probe)}",
    )


def _apt(host: Host, arguments: tuple[str, ...], timeout: float, on_line: Callable[[str], None]) -> None:
    """Run apt-get; what it reports becomes a failure with an id of its own."""
    answer = host.run(
        ("apt-get", *arguments), timeout=timeout + LOCK_WAIT, env=ENVIRONMENT, ok=(0, 1, 100), on_line=on_line
    )
    if answer.code == 0:
        return
    said = answer.stdout + answer.stderr
    id, detail = problem_in(said)
    broken = _PROCESSING.search(said)
    packages = ", ".join(broken[1].split()) if broken else "apt's transaction"
    raise Failure(id, detail=detail, packages=packages)


def _finish_dpkg(host: Host, places: tuple[str, ...] = ()) -> None:
    """Bring dpkg out of the middle of something: configure what is unpacked, complete dependencies."""
    unfinished = host.run(
        ("dpkg", "--force-confold", "--configure", "-a"), timeout=INSTALL_TIMEOUT, env=ENVIRONMENT, ok=(0, 1, 2)
    )
    options = (*_common(host), *places, "--no-auto-remove", "-f", "install")
    try:
        _apt(host, options, INSTALL_TIMEOUT, _Installed(host))
    except Failure as failure:
        if unfinished.code:
            raise Failure("OLR-PKG-006", detail=problem_in(unfinished.stderr)[1], packages="-") from failure
        raise


def _hold_services(host: Host) -> None:
    """Have invoke-rc.d refuse to start anything; a policy that is there steps aside whole."""
    stat = host.stat(POLICY)
    ours = stat is not None and stat.is_file and host.read(POLICY) == OURS.encode()
    if stat is not None and not ours:
        host.move(POLICY, ASIDE)
    host.write(POLICY, OURS.encode(), mode=0o755)


def _release_services(host: Host) -> None:
    stat = host.stat(POLICY)
    if stat is not None and stat.is_file and host.read(POLICY) == OURS.encode():
        host.remove(POLICY)
    if host.stat(ASIDE) is not None and host.stat(POLICY) is None:
        host.move(ASIDE, POLICY)


def _drop_old_days(host: Host) -> None:
    days, _, today = lists_directory(host).rpartition("/")
    for day in host.listdir(days):
        if day != today:
            host.remove_tree(f"{days}/{day}")


class Tell(Protocol):
    """Takes how far a download is, as ``Host.progress`` does."""

    def __call__(self, done: int, total: int | None, unit: str, text: str = "") -> None: ...


class Downloaded:
    """Turns apt's status lines into bytes."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._total = 0

    def __call__(self, line: str) -> None:
        if match := _NEEDED.match(line):
            self._total = round(float(match[1].replace(",", "")) * _UNITS[match[2]])
        elif line.startswith("dlstatus:"):
            _, _, percent, text = line.split(":", 3)
            self._tell(round(self._total * float(percent) / 100), self._total or None, "bytes", text)
        elif line.startswith("Waiting for cache lock"):
            self._tell(0, None, "bytes", line)


class _Installed:
    """Turns apt's and dpkg's status lines into packages done of packages to do."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._total = 0

    def __call__(self, line: str) -> None:
        if match := re.match(r"(\d+) upgraded, (\d+) newly installed, (?:\d+ downgraded, )?(\d+) to remove", line):
            self._total = sum(int(number) for number in match.groups())
        elif line.startswith("pmstatus:"):
            _, package, percent, text = line.split(":", 3)
            done = int(self._total * float(percent) / 100)
            self._host.progress(done, self._total or None, "packages", text or package)
        elif line.startswith("Waiting for cache lock"):
            self._host.progress(0, None, "packages", line)


ACTIONS: tuple[type[BaseAction], ...] = (InstallPackages, RemovePackages)
