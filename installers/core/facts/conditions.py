"""What an install meets on a machine: room, locks, package sources, routes, name servers, the clock."""

from __future__ import annotations

import errno
import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from installers.core.facts.mounts import parse_mountinfo
from installers.core.facts.packages import WORKING, dpkg, parse_policy
from installers.core.model import Probe, Query, Unknown


@dataclass(frozen=True, slots=True)
class Ours:
    """The components and packages of which this installation has something on the machine, by its journal.

    Only the journal knows; whoever asks gives the answer. Value: names.
    """

    journal: str

    def load(self, probe: Probe) -> frozenset[str] | Unknown:
        return Unknown("nobody has read the journal")


@dataclass(frozen=True, slots=True)
class Space:
    """Where a path would really land: the nearest directory there is, its device, bytes free for root."""

    at: str
    device: int
    free: int


@dataclass(frozen=True, slots=True)
class Room:
    """The file system a path lies on or would lie on, links followed."""

    path: str

    def load(self, probe: Probe) -> Space | Unknown:
        at = landing(probe, self.path)
        found = probe.stat(at)
        return Unknown(f"{at} is gone") if found is None else Space(at, found.device, probe.free_bytes(at))


def landing(probe: Probe, path: str) -> str:
    """The deepest existing directory on the way to a path, links followed."""
    at, hops = "/", 0
    parts = path.split("/")
    while parts:
        part = parts.pop(0)
        if part in ("", "."):
            continue
        if part == "..":
            at = posixpath.dirname(at)
            continue
        here = posixpath.join(at, part)
        found = probe.stat(here)
        if found is not None and found.is_link:
            hops += 1
            if hops > 40:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = probe.readlink(here)
            at = "/" if target.startswith("/") else at
            parts = [*target.split("/"), *parts]
        elif found is not None and found.is_dir:
            at = here
        else:
            break
    return at


@dataclass(frozen=True, slots=True)
class EntryNames:
    """Names in a directory that begin with a prefix, sorted; none without the directory."""

    directory: str
    prefix: str

    def load(self, probe: Probe) -> tuple[str, ...] | Unknown:
        return tuple(name for name in probe.listdir(self.directory) if name.startswith(self.prefix))


@dataclass(frozen=True, slots=True)
class ReadOnlyCgroups:
    """Control group trees that cannot be written here, by controller (``unified`` for the v2 tree), sorted."""

    def load(self, probe: Probe) -> tuple[str, ...] | Unknown:
        return parse_read_only_cgroups(probe.read("/proc/self/mountinfo").decode())


def parse_read_only_cgroups(mountinfo: str) -> tuple[str, ...]:
    """/proc/self/mountinfo: ``ro`` of the mount or of the file system; of mounts at one place the last counts."""
    topmost = {m.where: m for m in parse_mountinfo(mountinfo) if m.type in ("cgroup", "cgroup2")}
    return tuple(
        sorted(
            "unified" if mount.type == "cgroup2" else posixpath.basename(where)
            for where, mount in topmost.items()
            if "ro" in mount.options
        )
    )


LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/cache/apt/archives/lock")
"""The locks an installation of packages takes."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock: path, process id and name, "" when the process is hidden from us."""

    path: str
    pid: int
    process: str


@dataclass(frozen=True, slots=True)
class PackageLock:
    """Who is installing packages right now, None when nobody is."""

    def load(self, probe: Probe) -> Holder | Unknown | None:
        holders = parse_locks(probe.read("/proc/locks").decode())
        for path in LOCKS:
            found = probe.stat(path)
            if found is not None and (pid := holders.get((found.device, found.inode))):
                return Holder(path, pid, _name(probe, pid))
        return None


_LOCK = re.compile(r"^\d+: (?:POSIX|FLOCK)\s+\w+\s+WRITE (\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) ", re.MULTILINE)


def parse_locks(text: str) -> dict[tuple[int, int], int]:
    """/proc/locks: process by (device, inode) of what it has locked; those that only wait are left out."""
    return {
        (os.makedev(int(major, 16), int(minor, 16)), int(inode)): int(pid)
        for pid, major, minor, inode in _LOCK.findall(text)
    }


def _name(probe: Probe, pid: int) -> str:
    try:
        return probe.read(f"/proc/{pid}/comm").decode(errors="replace").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class AptSource:
    """One place apt takes binary packages from: URI, suite (``bookworm``, ``bookworm-security``), components, and
    the file it stands in.
    """

    uri: str
    suite: str
    components: tuple[str, ...] = ()
    file: str = ""


@dataclass(frozen=True, slots=True)
class AptSources:
    """Every enabled source of binary packages, in the order of the files."""

    def load(self, probe: Probe) -> tuple[AptSource, ...] | Unknown:
        found: list[AptSource] = []
        if probe.stat("/etc/apt/sources.list") is not None:
            text = probe.read("/etc/apt/sources.list").decode(errors="replace")
            found += parse_source_lines(text, "/etc/apt/sources.list")
        for name in probe.listdir("/etc/apt/sources.list.d"):
            if name.endswith((".list", ".sources")):
                file = f"/etc/apt/sources.list.d/{name}"
                text = probe.read(file).decode(errors="replace")
                parse = parse_source_lines if name.endswith(".list") else parse_source_stanzas
                found += parse(text, file)
        return tuple(dict.fromkeys(found))


def parse_source_lines(text: str, file: str) -> Iterator[AptSource]:
    """sources.list(5), one line each: ``deb [options] uri suite component...``."""
    for line in text.splitlines():
        words = re.sub(r"\[[^\]]*\]", " ", line.partition("#")[0]).split()
        if len(words) >= 3 and words[0] == "deb":
            yield AptSource(words[1], words[2], tuple(words[3:]), file)


def parse_source_stanzas(text: str, file: str) -> Iterator[AptSource]:
    """sources.list(5), deb822: stanzas of fields, a field going on in lines that begin with a blank."""
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", kept):
        fields: dict[str, list[str]] = {}
        name = ""
        for line in stanza.splitlines():
            if not line[:1].isspace():
                name, _, line = line.partition(":")
            fields.setdefault(name.strip().lower(), []).extend(line.split())
        if "deb" in fields.get("types", ()) and fields.get("enabled", ["yes"])[0] not in ("no", "false", "0"):
            parts = tuple(fields.get("components", ()))
            yield from (
                AptSource(uri, suite, parts, file)
                for uri in fields.get("uris", ())
                for suite in fields.get("suites", ())
            )


@dataclass(frozen=True, slots=True)
class ContainerdVersion:
    """The version of containerd that is installed, else the one apt would install; None when it knows of none.

    Only its beginning (``1.6``) where the release alone decides. Nothing is fetched.
    """

    def load(self, probe: Probe) -> str | Unknown | None:
        installed = dpkg(probe).get("containerd")
        if installed is not None and installed.state in WORKING:
            return installed.version
        # apt needs half a second or more of a processor to answer; a stable release's archive keeps its series.
        if series := SERIES.get(archives(probe)):
            return series
        answer = probe.query(Query("apt-cache", ("policy", "containerd")))
        if answer.code:
            return Unknown(f"apt does not answer: {answer.stderr.strip()[:200]}")
        return parse_policy(answer.stdout).get("containerd")


SERIES = {frozenset({("Debian", "bookworm")}): "1.6", frozenset({("Debian", "trixie")}): "1.7"}
"""containerd's series where all of apt's lists are of this origin and release."""
LISTS = "/var/lib/apt/lists"


def archives(probe: Probe) -> frozenset[tuple[str, str]]:
    """Origin and code name of every package list the system has; updates and security are of the release itself."""
    found = set()
    for name in probe.listdir(LISTS):
        if name.endswith(("_InRelease", "_Release")):
            text = probe.read(f"{LISTS}/{name}").decode(errors="replace")
            fields = dict(re.findall(r"^(Origin|Codename): (\S+)$", text, re.MULTILINE))
            codename = re.sub("-(updates|security)$", "", fields.get("Codename", ""))
            found.add((fields.get("Origin", ""), codename))
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the main table: network (CIDR) and link."""

    network: str
    link: str


@dataclass(frozen=True, slots=True)
class Routes:
    """Every IPv4 route but the default ones."""

    def load(self, probe: Probe) -> tuple[Route, ...] | Unknown:
        return parse_routes(probe.read("/proc/net/route").decode())


def parse_routes(text: str) -> tuple[Route, ...]:
    """/proc/net/route: networks and masks as little-endian words in hex."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[7] != "00000000":
            network = ".".join(str(byte) for byte in reversed(bytes.fromhex(fields[1])))
            found.append(Route(f"{network}/{int(fields[7], 16).bit_count()}", fields[0]))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class NameServers:
    """The name servers asked in the end: those behind systemd-resolved where resolv.conf names only itself."""

    def load(self, probe: Probe) -> tuple[str, ...] | Unknown:
        found: tuple[str, ...] = ()
        # resolv.conf is often a link, which a probe's read follows; resolved keeps the real servers beside it.
        for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
            if probe.stat(path) is not None:
                found = parse_resolv_conf(probe.read(path).decode(errors="replace")) or found
                if not all(map(is_loopback, found)):
                    break
        return found


def parse_resolv_conf(text: str) -> tuple[str, ...]:
    """resolv.conf(5): its name servers."""
    return tuple(re.findall(r"^\s*nameserver\s+(\S+)", text, re.MULTILINE))


def is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


@dataclass(frozen=True, slots=True)
class Clock:
    """``now``: seconds since the epoch. ``keeper``: the program that keeps it right, "" for none seen.

    ``synchronised``: whether the keeper has set it since boot; None when the keeper leaves no mark.
    """

    now: int
    keeper: str = ""
    synchronised: bool | None = None


@dataclass(frozen=True, slots=True)
class ClockState:
    """What time it is here, and who says so."""

    def load(self, probe: Probe) -> Clock | Unknown:
        boot = re.search(r"^btime (\d+)$", probe.read("/proc/stat").decode(), re.MULTILINE)
        if boot is None:
            return Unknown("the kernel does not say btime")
        now = int(boot[1]) + int(float(probe.read("/proc/uptime").split()[0]))
        container = probe.read("/run/systemd/container") if probe.stat("/run/systemd/container") else b""
        if container:
            return Clock(now, f"the computer around this {container.decode().strip()} container")
        if probe.stat("/run/systemd/timesync") is not None:
            synchronised = probe.stat("/run/systemd/timesync/synchronized") is not None
            return Clock(now, "systemd-timesyncd", synchronised)
        for keeper, path in CLOCK_KEEPERS:
            if probe.stat(path) is not None:
                return Clock(now, keeper)
        return Clock(now)


CLOCK_KEEPERS = (
    ("chrony", "/run/chrony/chronyd.pid"),
    ("chrony", "/run/chronyd.pid"),
    ("ntpd", "/run/ntpd.pid"),
    ("ntpsec", "/run/ntpsec/ntpd.pid"),
)


@dataclass(frozen=True, slots=True)
class Confinement:
    """Kernel security modules that confine programs here: ``AppArmor``, ``SELinux (enforcing)``."""

    def load(self, probe: Probe) -> tuple[str, ...] | Unknown:
        found = []
        if _says(probe, "/sys/module/apparmor/parameters/enabled") == "Y":
            found.append("AppArmor")
        if mode := _says(probe, "/sys/fs/selinux/enforce"):
            found.append("SELinux (enforcing)" if mode == "1" else "SELinux (permissive)")
        return tuple(found)


def _says(probe: Probe, path: str) -> str:
    return probe.read(path).decode().strip() if probe.stat(path) is not None else ""
