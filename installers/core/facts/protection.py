"""What stands guard here: firewalls, the flavour of iptables, SELinux, AppArmor; and services that run."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from installers.core.facts.files import TextAt
from installers.core.facts.virtual import text_of
from installers.core.model import Probe, Query, Unknown


@dataclass(frozen=True, slots=True)
class ServiceRuns:
    """Whether a system service runs: by its control group, which systemd makes at start and removes at its end."""

    name: str

    def load(self, probe: Probe) -> bool | Unknown:
        return service_runs(probe, self.name)


def service_runs(probe: Probe, name: str) -> bool:
    roots = ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")
    return any(probe.stat(f"{root}/system.slice/{name}") is not None for root in roots)


@dataclass(frozen=True, slots=True)
class FirewallManagers:
    """Programs that keep a firewall and are switched on: ``ufw``, ``firewalld``, ``pve-firewall``."""

    def load(self, probe: Probe) -> tuple[str, ...] | Unknown:
        found = []
        if re.search(r"^ENABLED=yes", text_of(probe, "/etc/ufw/ufw.conf"), re.MULTILINE | re.IGNORECASE):
            found.append("ufw")
        found += [name for name in ("firewalld", "pve-firewall") if service_runs(probe, f"{name}.service")]
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Iptables:
    """``flavour`` of the program: nft, legacy, "" without one. ``legacy_tables``: tables of the older kind in use."""

    flavour: str
    legacy_tables: tuple[str, ...] = ()


PLACES = ("/usr/sbin/iptables", "/sbin/iptables", "/usr/bin/iptables")


@dataclass(frozen=True, slots=True)
class IptablesFlavour:
    """Which of the two rule sets of the kernel the program iptables works on, by where its links lead."""

    def load(self, probe: Probe) -> Iptables | Unknown:
        goal = next((end for place in PLACES if (end := _end(probe, place))), "")
        flavour = "" if not goal else "nft" if "nft" in goal else "legacy"
        return Iptables(flavour, tuple(sorted(text_of(probe, "/proc/net/ip_tables_names").split())))


def _end(probe: Probe, path: str) -> str:
    """The name at the end of a chain of links, "" when there is nothing."""
    for _ in range(8):
        found = probe.stat(path)
        if found is None:
            return ""
        if not found.is_link:
            break
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), probe.readlink(path)))
        if "nft" in posixpath.basename(path) or "legacy" in posixpath.basename(path):
            break
    return posixpath.basename(path)


@dataclass(frozen=True, slots=True)
class Selinux:
    """``mode``: enforcing or permissive. Whether the policies for containers and for K3s are installed."""

    mode: str
    container_policy: bool = False
    k3s_policy: bool = False

    def missing(self, packages: Sequence[str]) -> tuple[str, ...]:
        """Those of the packages ``container-selinux`` and ``k3s-selinux`` that are not here."""
        here = {"container-selinux": self.container_policy, "k3s-selinux": self.k3s_policy}
        return tuple(name for name in packages if not here[name])

    def having(self, packages: Sequence[str]) -> Selinux:
        """The same with these installed."""
        return Selinux(
            self.mode,
            self.container_policy or "container-selinux" in packages,
            self.k3s_policy or "k3s-selinux" in packages,
        )


@dataclass(frozen=True, slots=True)
class SelinuxState:
    """SELinux as it is now, None where it is off. The policies are known by the files of their packages."""

    def load(self, probe: Probe) -> Selinux | Unknown | None:
        mode = text_of(probe, "/sys/fs/selinux/enforce")
        if not mode:
            return None
        folder = "/usr/share/selinux/packages"
        names = {*probe.listdir(folder), *probe.listdir(f"{folder}/targeted")}
        container, k3s = (any(n.startswith(f"{p}.pp") for n in names) for p in ("container", "k3s"))
        return Selinux("enforcing" if mode == "1" else "permissive", container, k3s)


@dataclass(frozen=True, slots=True)
class SelinuxOn:
    """Whether SELinux is on, enforcing or permissive."""

    def load(self, probe: Probe) -> bool | Unknown:
        return bool(text_of(probe, "/sys/fs/selinux/enforce"))


@dataclass(frozen=True, slots=True)
class Aliases:
    """``path``: the file that says which paths are labelled as others, selabel_file(5); its ``text``.

    ``text`` is None where nobody has said such a thing yet.
    """

    path: str
    text: str | None


@dataclass(frozen=True, slots=True)
class SelinuxAliases:
    """Paths labelled as others, by the policy that is in use: Debian's is ``default``, others' ``targeted``.

    None where SELinux is off. ``semanage fcontext -e`` keeps the same file.
    """

    def load(self, probe: Probe) -> Aliases | Unknown | None:
        if not text_of(probe, "/sys/fs/selinux/enforce"):
            return None
        said = re.search(r"^\s*SELINUXTYPE\s*=\s*(\S+)", text_of(probe, "/etc/selinux/config"), re.MULTILINE)
        if said is None:
            return Unknown("/etc/selinux/config does not say SELINUXTYPE")
        path = f"/etc/selinux/{said[1]}/contexts/files/file_contexts.subs"
        text = TextAt(path).load(probe)
        return text if isinstance(text, Unknown) else Aliases(path, text)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Whether ``programs`` are here, and they and the ``folders`` carry the labels of SELinux' policy.

    What comes to lie in a folder takes its label from there, or from the policy. All below is not looked at: it
    is running containers' own, and may be a million files. A folder that is not here yet is labelled as it is made.
    Of what the policy has no label for (below /mnt, for one), restorecon says only that; it is right as it is.
    """

    costly: ClassVar[bool] = True

    programs: tuple[str, ...]
    folders: tuple[str, ...] = ()

    def load(self, probe: Probe) -> bool | Unknown:
        if any(probe.stat(path) is None for path in self.programs):
            return False
        # Its own -i forgives a missing path only while the directory above is there.
        here = tuple(path for path in self.folders if probe.stat(path) is not None)
        if not (*self.programs, *here):
            return True
        answer = probe.query(Query("restorecon", ("-n", "-v", "-i", *self.programs, *here)))
        if answer.code:
            return Unknown(f"restorecon does not answer: {(answer.stderr or answer.stdout).strip()[:200]}")
        return not re.search("^Would relabel ", answer.stdout, re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Apparmor:
    """``enabled`` in the kernel; ``parser``: the program that loads profiles is there."""

    enabled: bool
    parser: bool


@dataclass(frozen=True, slots=True)
class ApparmorState:
    """AppArmor in the kernel, and its program."""

    def load(self, probe: Probe) -> Apparmor | Unknown:
        parser = any(probe.stat(f"{folder}/apparmor_parser") is not None for folder in ("/sbin", "/usr/sbin"))
        return Apparmor(text_of(probe, "/sys/module/apparmor/parameters/enabled") == "Y", parser)


@dataclass(frozen=True, slots=True)
class LeavesAlone:
    """Patterns of links that NetworkManager is told to leave alone (``interface-name:cali*``), in order."""

    def load(self, probe: Probe) -> tuple[str, ...] | Unknown:
        found: list[str] = []
        for folder in ("/usr/lib/NetworkManager/conf.d", "/run/NetworkManager/conf.d", "/etc/NetworkManager/conf.d"):
            for name in probe.listdir(folder):
                if name.endswith(".conf"):
                    found += parse_unmanaged(text_of(probe, f"{folder}/{name}"))
        found += parse_unmanaged(text_of(probe, "/etc/NetworkManager/NetworkManager.conf"))
        return tuple(dict.fromkeys(found))


def parse_unmanaged(text: str) -> list[str]:
    """NetworkManager.conf(5): values of ``unmanaged-devices``, separated by semicolons or commas."""
    lines = re.findall(r"^\s*unmanaged-devices\s*[+]?=\s*(.*)$", text, re.MULTILINE)
    return [word.strip() for line in lines for word in re.split("[;,]", line) if word.strip()]
