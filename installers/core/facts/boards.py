"""Computers and systems with ways of their own: Raspberry Pi, Proxmox VE; page size and programs' word size."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from installers.core.facts.packages import STATUS, dpkg
from installers.core.facts.platform import cgroups
from installers.core.facts.virtual import text_of
from installers.core.model import Probe, Unknown


@dataclass(frozen=True, slots=True)
class Pi:
    """``model`` as the firmware says it; ``cmdline``: the file with the kernel's command line, "" when it is not
    where firmware looks; ``words`` in it; ``config``: the firmware's settings file, "" likewise.
    """

    model: str
    cmdline: str = ""
    words: tuple[str, ...] = ()
    config: str = ""


@dataclass(frozen=True, slots=True)
class RaspberryPi:
    """The Raspberry Pi this is, None on any other computer."""

    def load(self, probe: Probe) -> Pi | Unknown | None:
        model = text_of(probe, "/proc/device-tree/model").strip("\0")
        if "Raspberry Pi" not in model:
            return None
        cmdline = _first(probe, "/boot/firmware/cmdline.txt", "/boot/cmdline.txt")
        words = tuple(text_of(probe, cmdline).split()) if cmdline else ()
        return Pi(model, cmdline, words, _first(probe, "/boot/firmware/config.txt", "/boot/config.txt"))


@dataclass(frozen=True, slots=True)
class MemoryOff:
    """Whether this is a Raspberry Pi whose kernel was started without control groups for memory."""

    def load(self, probe: Probe) -> bool | Unknown:
        if RaspberryPi().load(probe) is None:
            return False
        found = cgroups(probe)
        return found if isinstance(found, Unknown) else "memory" not in found.controllers


def _first(probe: Probe, *paths: str) -> str:
    """The first file of these that is one; on newer systems /boot/cmdline.txt only says where the file went."""
    return next((path for path in paths if (found := probe.stat(path)) is not None and found.is_file), "")


@dataclass(frozen=True, slots=True)
class ProxmoxVersion:
    """The version of Proxmox VE whose host this is, "" when unknown; None elsewhere, in its guests too."""

    def load(self, probe: Probe) -> str | Unknown | None:
        if probe.stat("/etc/pve") is None or probe.stat("/usr/bin/pveversion") is None:
            return None
        found = dpkg(probe).get("pve-manager")
        return found.version if found is not None else ""


AT_PAGESZ = 6


@dataclass(frozen=True, slots=True)
class PageSize:
    """Bytes in a page of memory: 4096, and 16384 on a Raspberry Pi 5's own kernel.

    From the auxiliary vector the kernel gives every process: a few hundred bytes, and no process to start.
    """

    def load(self, probe: Probe) -> int | Unknown:
        found = parse_auxv(probe.read("/proc/self/auxv"))
        return found or Unknown("the kernel does not say AT_PAGESZ")


def parse_auxv(content: bytes) -> int:
    """getauxval(3): pairs of words, of 64 or of 32 bits; 0 when there is no page size among them."""
    for pair in ("<QQ", "<II"):
        usable = len(content) - len(content) % struct.calcsize(pair)
        size = dict(struct.iter_unpack(pair, content[:usable])).get(AT_PAGESZ, 0)
        if size and size & (size - 1) == 0:
            return int(size)
    return 0


LOADERS = {
    "amd64": ("/lib64/ld-linux-x86-64.so.2", "/usr/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"),
    "arm64": ("/lib/ld-linux-aarch64.so.1", "/usr/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-aarch64.so.1"),
    "armhf": ("/lib/ld-linux-armhf.so.3", "/usr/lib/ld-linux-armhf.so.3"),
    "i386": ("/lib/ld-linux.so.2", "/usr/lib/ld-linux.so.2"),
}
"""Dynamic loaders by architecture, in Debian's names for them."""


@dataclass(frozen=True, slots=True)
class Userland:
    """The architecture the installed programs are of, which the kernel's may exceed.

    dpkg's own where there is a dpkg, else that of the dynamic loader.
    """

    def load(self, probe: Probe) -> str | Unknown:
        if probe.stat(STATUS) is not None:
            own = parse_own_architecture(probe.read(STATUS).decode(errors="replace"))
            if own:
                return own
        for name, paths in LOADERS.items():
            if any(probe.stat(path) is not None for path in paths):
                return name
        return Unknown("no dynamic loader is where one is expected")


def parse_own_architecture(status: str) -> str:
    """/var/lib/dpkg/status: the architecture of dpkg itself, "" when it is not in there."""
    stanza = re.search(r"^Package: dpkg\n(?:.+\n)*?Architecture: (\S+)$", status, re.MULTILINE)
    return stanza[1] if stanza else ""
