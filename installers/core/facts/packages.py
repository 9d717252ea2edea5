"""Debian packages: what is installed, what could be, what one transaction would do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import ClassVar

from installers.core.facts.platform import OsRelease
from installers.core.model import Output, Probe, Query, Unknown
from installers.site import Paths

STATUS = "/var/lib/dpkg/status"
WORKING = frozenset({"installed", "triggers-pending", "triggers-awaited"})
ABSENT = frozenset({"not-installed", "config-files"})


@dataclass(frozen=True, slots=True)
class Package:
    """One package as dpkg has it. ``state``: dpkg's third status word (installed, config-files, unpacked...)."""

    name: str
    version: str
    state: str


@dataclass(frozen=True, slots=True)
class PackageVersion:
    """The version of an installed package, None when it is not installed."""

    name: str

    def load(self, probe: Probe) -> str | Unknown | None:
        found = dpkg(probe).get(self.name)
        return found.version if found and found.state in WORKING else None


def upstream_version(version: str) -> str:
    """What the project itself calls a package's version: without epoch, repacking and Debian's revision."""
    return re.split(r"[-~+]", version.partition(":")[2] or version)[0]


@dataclass(frozen=True, slots=True)
class InstalledPackages:
    """Every installed package with its version, by name."""

    def load(self, probe: Probe) -> tuple[tuple[str, str], ...] | Unknown:
        return tuple((p.name, p.version) for p in sorted_packages(probe) if p.state in WORKING)


@dataclass(frozen=True, slots=True)
class UnfinishedPackages:
    """Packages that dpkg began with and did not finish; apt refuses new work until they are configured."""

    def load(self, probe: Probe) -> tuple[str, ...] | Unknown:
        return tuple(p.name for p in sorted_packages(probe) if p.state not in WORKING | ABSENT)


@dataclass(frozen=True, slots=True)
class Transaction:
    """What apt would do, by its own simulation: (name, version) pairs, and names it would remove.

    ``upgraded`` are packages that were there before: an undo leaves them as they are then.
    ``problem``: the id of why it cannot be done at all, with ``detail`` in apt's words.
    """

    new: tuple[tuple[str, str], ...] = ()
    upgraded: tuple[tuple[str, str], ...] = ()
    removed: tuple[str, ...] = ()
    problem: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Repository:
    """A flat repository on this host that packages come from in place of the system's sources, which are not asked.

    ``folder`` holds it; ``sources`` is the sources.list that names it, ``lists`` where apt keeps what it read.
    It carries no signature of its own: ``packages`` and ``release``, the sha256 of its Packages and Release,
    come from whoever verified it, and are compared before each use.
    """

    folder: str
    sources: str
    lists: str
    packages: str
    release: str

    @property
    def options(self) -> tuple[str, ...]:
        """What makes apt read this one and nothing of the system's."""
        return (
            *(f"-oDir::Etc::sourcelist={self.sources}", "-oDir::Etc::sourceparts=/dev/null"),
            *("-oDir::Etc::preferences=/dev/null", "-oDir::Etc::preferencesparts=/dev/null"),
            # The host's own choice of a release names one that is not here.
            *("-oAPT::Default-Release=", f"-oDir::State::Lists={self.lists}"),
        )

    def wrong(self, probe: Probe) -> str:
        """The path of what is not as it was verified, else ""."""
        for name, sha256 in (("Packages", self.packages), ("Release", self.release)):
            path = f"{self.folder}/{name}"
            stat = probe.stat(path)
            if stat is None or not stat.is_file or probe.digest(path) != sha256:
                return path
        return ""


@dataclass(frozen=True, slots=True)
class PackageTransaction:
    """What installing the names that are missing would do; nothing is asked when none is.

    Package lists are our own, below the cache directory: the system's are neither read nor changed.
    ``repository``: where the packages come from, None for the system's sources.
    """

    costly: ClassVar[bool] = True

    names: tuple[str, ...]
    release: str = ""
    repository: Repository | None = None

    def load(self, probe: Probe) -> Transaction | Unknown:
        present = dpkg(probe)
        if all(name in present and present[name].state in WORKING for name in self.names):
            return Transaction()
        return simulate_install(probe, self.names, self.release, self.repository)


@dataclass(frozen=True, slots=True)
class PackageCandidate:
    """The version apt would install, None when its sources have none."""

    name: str

    def load(self, probe: Probe) -> str | Unknown | None:
        if not listed(probe):
            refresh_lists(probe)
        lists = f"-oDir::State::Lists={lists_directory(probe)}"
        answer = probe.query(Query("apt-cache", ("policy", lists, self.name)))
        return parse_policy(answer.stdout).get(self.name)


def dpkg(probe: Probe) -> dict[str, Package]:
    """dpkg's own record; empty on a system that has none."""
    if probe.stat(STATUS) is None:
        return {}
    return parse_status(probe.read(STATUS).decode(errors="replace"))


def sorted_packages(probe: Probe) -> list[Package]:
    return [package for _, package in sorted(dpkg(probe).items())]


@lru_cache(maxsize=2)
def parse_status(text: str) -> dict[str, Package]:
    """/var/lib/dpkg/status. Of a package in several architectures the installed one counts."""
    found: dict[str, Package] = {}
    for stanza in text.split("\n\n"):
        fields: dict[str, str] = {}
        for line in stanza.splitlines():
            if line.startswith(("Package: ", "Status: ", "Version: ")):
                name, _, value = line.partition(": ")
                fields[name] = value.strip()
        name, state = fields.get("Package", ""), fields.get("Status", "").rpartition(" ")[2]
        if name and (name not in found or state in WORKING):
            found[name] = Package(name, fields.get("Version", ""), state)
    return found


def parse_policy(text: str) -> dict[str, str | None]:
    """``apt-cache policy``: each name's candidate."""
    found: dict[str, str | None] = {}
    name = ""
    for line in text.splitlines():
        if line and not line.startswith(" ") and line.endswith(":"):
            name = line[:-1]
        elif line.startswith("  Candidate: "):
            version = line.removeprefix("  Candidate: ")
            found[name] = None if version == "(none)" else version
    return found


_INSTALL = re.compile(r"^Inst (\S+) (?:\[([^\]]+)\] )?\((\S+)")
_REMOVE = re.compile(r"^(?:Remv|Purg) (\S+)")


def parse_simulation(text: str) -> Transaction:
    """``apt-get -s``: what is new, what gets another version, what goes."""
    new: list[tuple[str, str]] = []
    upgraded: list[tuple[str, str]] = []
    removed: list[str] = []
    for line in text.splitlines():
        if match := _INSTALL.match(line):
            (upgraded if match[2] else new).append((_bare(match[1]), match[3]))
        elif match := _REMOVE.match(line):
            removed.append(_bare(match[1]))
    return Transaction(tuple(new), tuple(upgraded), tuple(removed))


def _bare(name: str) -> str:
    return name.partition(":")[0]


PROBLEMS: tuple[tuple[str, str], ...] = (
    (r"Could not get lock|Unable to acquire the dpkg frontend lock|Unable to lock", "OLR-PKG-003"),
    (r"\b407\s+Proxy Authentication", "OLR-PKG-012"),
    (r"Hash Sum mismatch|File has unexpected size|Writing more data than expected", "OLR-PKG-004"),
    (r"NO_PUBKEY|EXPKEYSIG|BADSIG|is not signed|not valid yet|is expired|cannot be authenticated", "OLR-PKG-010"),
    (r"enough free space|No space left on device", "OLR-PKG-007"),
    (r"dpkg was interrupted|Sub-process \S*dpkg returned an error|error processing (package|archive)", "OLR-PKG-008"),
    (r"Unable to locate package|has no installation candidate|was not found|invalid for APT::Default", "OLR-PKG-001"),
    (r"Failed to fetch|Could not (resolve|connect)|Unable to connect|Temporary failure|Connection (timed|failed)"
     r"|Some index files failed|Clearsigned file isn't valid|no longer has a Release", "OLR-PKG-002"),
    (r"Try 'apt --fix-broken install'", "OLR-PKG-006"),
    (r"unmet dependencies|held (broken )?packages|Unable to correct problems", "OLR-PKG-005"),
)  # fmt: skip
"""What apt says, and the id of what it means; the first that matches."""


def problem_in(text: str) -> tuple[str, str]:
    """The id of what went wrong and the lines that say so, from apt's output."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith("E:")] or lines or ["apt said nothing"]
    for pattern, id in PROBLEMS:
        if line := next((line for line in telling if re.search(pattern, line)), ""):
            # apt names the holder of the lock only while it waits, in another line.
            holder = re.search(r"held by process \d+ \([^)]*\)", text) if id == "OLR-PKG-003" else None
            return id, holder[0] if holder else line.removeprefix("E: ")
    return "OLR-PKG-011", telling[-1].removeprefix("E: ")


def lists_directory(probe: Probe) -> str:
    """Today's package lists. A new directory each day: one in use by an installation never changes.

    By code name, since machines of several releases share a cache.
    """
    boot = re.search(r"^btime (\d+)$", probe.read("/proc/stat").decode(), re.MULTILINE)
    uptime = float(probe.read("/proc/uptime").split()[0])
    today = datetime.fromtimestamp(int(boot[1] if boot else 0) + uptime, UTC).date()
    here = OsRelease().load(probe)
    release = "" if isinstance(here, Unknown) else here.codename
    return "/".join((Paths.from_environment().cache, "apt/day", *filter(None, (release, today.isoformat()))))


def listed(probe: Probe) -> bool:
    """Whether today's lists have been fetched."""
    return any(name.endswith("_InRelease") for name in probe.listdir(lists_directory(probe)))


def refresh_lists(probe: Probe) -> Output:
    """Fetch today's lists from the system's sources; apt makes the directory."""
    return probe.query(Query("apt-lists", ("update", f"-oDir::State::Lists={lists_directory(probe)}")))


def simulate_install(
    probe: Probe, names: Sequence[str], release: str = "", repository: Repository | None = None
) -> Transaction:
    """apt's own simulation, with today's lists, fetched when they are missing; or with a repository's."""
    if repository and (wrong := repository.wrong(probe)):
        return Transaction(problem="OLR-PKG-013", detail=wrong)
    chosen = (f"--target-release={release}",) if release and not repository else ()
    lists = repository.options if repository else (f"-oDir::State::Lists={lists_directory(probe)}",)
    ask = Query("apt-get", ("-s", "install", "--no-install-recommends", "--no-upgrade", *lists, *chosen, *names))
    fetched = _repository_lists(probe, repository) if repository else _lists(probe)
    answer = probe.query(ask)
    if answer.code == 0:
        return parse_simulation(answer.stdout)
    # A mirror that is down explains a missing package better than its absence does.
    if fetched.code:
        id, detail = problem_in(fetched.stdout + fetched.stderr)
    else:
        id, detail = problem_in(answer.stdout + answer.stderr)
    return Transaction(problem=id, detail=detail)


def _lists(probe: Probe) -> Output:
    return Output(0, "", "") if listed(probe) else refresh_lists(probe)


def _repository_lists(probe: Probe, repository: Repository) -> Output:
    """Have apt read a repository once; it never changes, so what apt read of it holds."""
    if any("_Packages" in name for name in probe.listdir(repository.lists)):
        return Output(0, "", "")
    return probe.query(Query("apt-lists", ("update", *repository.options)))


def simulate_purge(probe: Probe, names: Sequence[str]) -> tuple[str, ...] | None:
    """The packages that would go with these; None when apt sees no way."""
    answer = probe.query(Query("apt-get", ("-s", "purge", "--no-auto-remove", *names)))
    return parse_simulation(answer.stdout).removed if answer.code == 0 else None
