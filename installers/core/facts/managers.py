"""The system's package manager, whichever it is, and whether it can work now."""

from __future__ import annotations

import re
from dataclasses import dataclass

from installers.core.facts.virtual import text_of
from installers.core.model import Probe, Unknown

PROGRAMS = (
    ("apt", "/usr/bin/apt-get"),
    ("dnf", "/usr/bin/dnf"),
    ("dnf", "/usr/bin/dnf5"),
    ("zypper", "/usr/bin/zypper"),
    ("pacman", "/usr/bin/pacman"),
    ("apk", "/sbin/apk"),
    ("rpm-ostree", "/usr/bin/rpm-ostree"),
)
"""Package managers and the program each is known by; an image-based system has rpm-ostree beside dnf."""

LOCKS = {
    "zypper": ("/run/zypp.pid",),
    "pacman": ("/var/lib/pacman/db.lck",),
}
"""Files that are there only while one works, or after one was cut off. dpkg and rpm lock without any: see
``PackageLock`` for dpkg; a held lock of rpm's cannot be told from an old file without trying.
"""


@dataclass(frozen=True, slots=True)
class Manager:
    """``name``: apt, dnf, zypper, pacman, apk, rpm-ostree. ``lock``: its lock file, "" while it is free."""

    name: str
    lock: str = ""


@dataclass(frozen=True, slots=True)
class PackageManager:
    """The program that installs packages here, None when none is known."""

    def load(self, probe: Probe) -> Manager | Unknown | None:
        found = [name for name, path in PROGRAMS if probe.stat(path) is not None]
        if not found:
            return None
        name = "rpm-ostree" if "rpm-ostree" in found else found[0]
        return Manager(name, next((path for path in LOCKS.get(name, ()) if probe.stat(path) is not None), ""))


@dataclass(frozen=True, slots=True)
class AutomaticUpgrades:
    """The program that upgrades packages by itself here, "" when none is switched on."""

    def load(self, probe: Probe) -> str | Unknown:
        if probe.stat("/usr/bin/unattended-upgrade") is not None:
            folder = "/etc/apt/apt.conf.d"
            said = [parse_periodic(text_of(probe, f"{folder}/{name}")) for name in probe.listdir(folder)]
            if [word for word in said if word is not None][-1:] not in ([], ["0"]):
                return "unattended-upgrades"
        for folder in ("/etc/systemd/system/timers.target.wants", "/etc/systemd/system/multi-user.target.wants"):
            if any(name.startswith("dnf") and "automatic" in name for name in probe.listdir(folder)):
                return "dnf-automatic"
        return ""


def parse_periodic(text: str) -> str | None:
    """apt.conf(5): the last ``APT::Periodic::Unattended-Upgrade "1";`` that is no comment; None without one."""
    found = re.findall(r'^\s*APT::Periodic::Unattended-Upgrade\s+"?(\w+)"?\s*;', text, re.MULTILINE)
    return str(found[-1]) if found else None
