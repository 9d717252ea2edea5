"""Devices on the PCI bus."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from installers.core.facts.virtual import text_of
from installers.core.model import Probe, Unknown

FOLDER = "/sys/bus/pci/devices"


@dataclass(frozen=True, slots=True)
class PciDevice:
    """``address`` (``0000:01:00.0``); ``vendor``, ``device`` and ``kind`` (its class) in hex as the bus has them
    (``10de``, ``2b85``, ``030000``); ``driver``: the kernel's, "" when none is bound.
    """

    address: str
    vendor: str
    device: str
    kind: str
    driver: str = ""

    @property
    def graphics(self) -> bool:
        """A display controller: VGA, 3D (a data centre's or laptop's) or other."""
        return self.kind.startswith("03")


@dataclass(frozen=True, slots=True)
class PciDevices:
    """Every device of the bus, by address; none without a bus. A container sees those of the computer."""

    def load(self, probe: Probe) -> tuple[PciDevice, ...] | Unknown:
        return tuple(_device(probe, address) for address in probe.listdir(FOLDER))


def _device(probe: Probe, address: str) -> PciDevice:
    place = f"{FOLDER}/{address}"
    vendor, device, kind = (text_of(probe, f"{place}/{name}").removeprefix("0x") for name in _FIELDS)
    link = probe.stat(f"{place}/driver")
    driver = posixpath.basename(probe.readlink(f"{place}/driver")) if link is not None and link.is_link else ""
    return PciDevice(address, vendor, device, kind, driver)


_FIELDS = ("vendor", "device", "class")
