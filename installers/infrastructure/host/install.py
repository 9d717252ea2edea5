"""What differs from computer to computer: firewalls, NetworkManager, Raspberry Pi, containers of systems."""

from __future__ import annotations

from collections.abc import Iterator

from installers.core.component.values import Values
from installers.core.facts.boards import MemoryOff
from installers.core.facts.protection import ServiceRuns
from installers.core.facts.storage import RootShared
from installers.core.facts.virtual import KernelMessages
from installers.core.model import Resource
from installers.core.resources.allowances import Allowance
from installers.core.resources.boot import FirmwareWords, Restarted
from installers.core.resources.files import File, Symlink
from installers.core.resources.services import ServiceFile
from installers.core.resources.templates import Template
from installers.core.resources.units import Unit
from installers.core.resources.where import Is, Where
from installers.site import Site

MEMORY = ("cgroup_memory=1", "cgroup_enable=memory")
"""What K3s' documentation has Raspberry Pis add to cmdline.txt: their firmware passes cgroup_disable=memory."""

LINKS = (
    *("cali*", "tunl*", "vxlan.calico", "vxlan-v6.calico", "wireguard.cali", "wg-v6.cali"),
    *("flannel*", "cni*", "veth*"),
)
"""Links of Calico as its documentation tells NetworkManager to leave them alone, of flannel and of the CNI plugins."""

UNMANAGED = f"""\
# Written by olares-cli; changes made here are undone by the next install.
[keyfile]
unmanaged-devices+={";".join(f"interface-name:{name}" for name in LINKS)}
"""

CONSOLE = """\
# Written by olares-cli. The kubelet does not start without this file, and LXC makes none.
L /dev/kmsg - - - - /dev/console
"""


def resources(site: Site, values: Values) -> Iterator[Resource]:
    """Nothing of this on a computer that needs nothing. What needs a restart comes last: it ends the run."""
    manager = "NetworkManager.service"
    yield Where(
        Is(ServiceRuns(manager), True),
        ServiceFile(manager, "/etc/NetworkManager/conf.d/90-olares.conf", UNMANAGED),
        "NetworkManager does not run here",
    )
    yield from _let_through(site, values)
    yield from _in_a_container()
    yield Where(Is(MemoryOff(), True), FirmwareWords(MEMORY), "control groups for memory are on, or this is no Pi")
    yield Restarted("memory", Is(MemoryOff(), True), "OLR-BOOT-001")


def _let_through(site: Site, values: Values) -> Iterator[Resource]:
    """Pods and services reach this machine, and pods what lies beyond it; the ports others come in by."""
    ranges = (site.network.pods, site.network.services)
    ports = tuple(f"port {port}/tcp" for port in values.opens)
    # It empties iptables at each reload. Whoever looks after rules of their own puts them back; the bridge plugin,
    # which masquerades each pod as it makes it, does not.
    hidden = (f"masquerade {site.network.pods}",) if site.edition == "debian" else ()
    for what in (*(f"source {range}" for range in ranges), *hidden, *ports):
        yield Allowance("firewalld", what)
    # firewalld's trusted zone forwards what comes from its sources; ufw asks for a rule of its own.
    for what in (*(f"source {range}" for range in ranges), f"forward {site.network.pods}", *ports):
        yield Allowance("ufw", what)


def _in_a_container() -> Iterator[Resource]:
    """What systemd does on a computer of its own, and leaves to the manager of a container: LXC's does not."""
    yield Where(
        Is(RootShared(), False),
        Unit("olares-shared-mounts.service", content=Template("shared-mounts.service.j2")),
        "mounts below / are shared",
    )
    missing = Is(KernelMessages(), "missing")
    yield Where(missing, File("/etc/tmpfiles.d/olares-kmsg.conf", CONSOLE), "/dev/kmsg is there")
    yield Where(missing, Symlink("/dev/kmsg", "/dev/console"), "/dev/kmsg is there")
