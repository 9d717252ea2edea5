"""What names this machine and its people, as far as it can be known without asking anybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from installers.core.errors import Failure
from installers.core.model import Probe

PEOPLE = range(1000, 60000)
"""User ids of people; those below belong to the system (Debian policy 9.2.2, login.defs elsewhere)."""

SERIALS = (
    *("/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/random/boot_id"),
    *("/sys/class/dmi/id/product_uuid", "/sys/class/dmi/id/product_serial", "/sys/class/dmi/id/board_serial"),
    *("/sys/class/dmi/id/chassis_serial", "/sys/class/dmi/id/chassis_asset_tag", "/sys/class/dmi/id/board_asset_tag"),
    *("/proc/device-tree/serial-number", "/sys/firmware/devicetree/base/serial-number"),
)
"""Files that hold nothing but an id of this machine."""
DISK_SERIALS = ("/device/serial", "/device/wwid", "/serial", "/wwid", "/device/cid", "/dm/uuid")
NOBODYS = re.compile(
    r"(none|default string|to be filled.*|not (specified|applicable)|system serial.*|0+|1234567890?)$", re.I
)
"""What makers write where they could have written a serial number."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Host names, people's names, names of wireless networks, ids of machine and disks, hardware addresses."""

    hosts: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    serials: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()


def read_identity(probe: Probe) -> Identity:
    """Everything of this machine that can be read; what cannot be read is left out."""
    return Identity(
        hosts=_unique(_hosts(probe)),
        users=_unique(_users(probe)),
        networks=_unique(_networks(probe)),
        serials=_unique(_serials(probe)),
        macs=_unique(
            _text(probe, f"/sys/class/net/{link}/address").lower() for link in _names(probe, "/sys/class/net")
        ),
    )


def _unique(found: Iterator[str]) -> tuple[str, ...]:
    return tuple(sorted({one for one in found if one}, key=lambda one: (-len(one), one)))


def _text(probe: Probe, path: str) -> str:
    try:
        return probe.read(path).decode(errors="replace").strip(" \t\r\n\0")
    except (OSError, Failure):
        return ""


def _names(probe: Probe, path: str) -> tuple[str, ...]:
    try:
        return probe.listdir(path)
    except (OSError, Failure):
        return ()


def _hosts(probe: Probe) -> Iterator[str]:
    for path in ("/proc/sys/kernel/hostname", "/etc/hostname"):
        name = _text(probe, path)
        if name and not name.startswith("localhost"):
            yield name
            yield name.partition(".")[0]
    domain = _text(probe, "/proc/sys/kernel/domainname")
    if domain != "(none)":
        yield domain
    for words in re.findall(r"^(?:search|domain)\s+(.*)$", _text(probe, "/etc/resolv.conf"), re.MULTILINE):
        yield from (word for word in words.split() if len(word) > 1)


def _users(probe: Probe) -> Iterator[str]:
    for line in _text(probe, "/etc/passwd").splitlines():
        fields = line.split(":")
        if len(fields) == 7 and fields[2].isdigit() and int(fields[2]) in PEOPLE:
            yield fields[0]
            yield fields[4].partition(",")[0]
    for line in _text(probe, "/etc/group").splitlines():
        fields = line.split(":")
        if len(fields) == 4 and fields[2].isdigit() and int(fields[2]) in PEOPLE:
            yield fields[0]


def _networks(probe: Probe) -> Iterator[str]:
    for folder in ("/etc/NetworkManager/system-connections", "/var/lib/iwd"):
        for name in _names(probe, folder):
            found = re.sub(r"\.(nmconnection|psk|open|8021x)$", "", name)
            if not fnmatchcase(found, "Wired connection*") and found not in ("lo", "preconfigured"):
                yield found


def _serials(probe: Probe) -> Iterator[str]:
    for path in SERIALS:
        yield _own(_text(probe, path))
    for disk in _names(probe, "/sys/block"):
        for end in DISK_SERIALS:
            yield _own(bare_id(_text(probe, f"/sys/block/{disk}{end}")))


def bare_id(text: str) -> str:
    """A disk's world-wide id without what kind of id it is (``naa.5000c500a1b2c3d4``): it is written both ways."""
    return re.sub(r"^(naa|eui|t10|uuid|nvme)\.", "", text)


def _own(text: str) -> str:
    """A serial number that is one."""
    return text if len(text) >= 5 and any(map(str.isdigit, text)) and not NOBODYS.match(text) else ""
