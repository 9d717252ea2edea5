"""A machine and where its parts lie: one directory below the state directory, one cache for all."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

from installers.core.errors import Failure
from installers.core.model import Probe
from installers.site import Paths

BRIDGE = "olares0"
SUBNET = "10.199.7"
"""First three octets of the machines' own /24; the bridge is .1, machines count up from .11."""

FIRST, LAST = 11, 250
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine's fixed properties. ``base``: the directory of the base root under its overlay."""

    name: str
    address: str
    home: str
    base: str
    cache: str
    built: str
    run: str

    @property
    def release(self) -> str:
        """Debian's code name: the base root's directory begins with it."""
        return self.base.rpartition("/")[2].rpartition("-")[0]

    @property
    def upper(self) -> str:
        return f"{self.home}/upper"

    @property
    def stub(self) -> str:
        """What nspawn is shown as the root directory before the overlay covers it."""
        return f"{self.home}/root"

    @property
    def data(self) -> str:
        """A plain directory bound over the machine's /var/lib/olares: an overlay cannot hold another one."""
        return f"{self.home}/data"

    @property
    def key(self) -> str:
        """Private key for root's SSH into the machine."""
        return f"{self.home}/key"

    @property
    def known_hosts(self) -> str:
        return f"{self.home}/known_hosts"

    @property
    def spec(self) -> str:
        return f"{self.home}/machine.json"

    @property
    def console(self) -> str:
        return f"{self.home}/console.log"

    @property
    def pids(self) -> str:
        """While it runs: nspawn's pid and start time, as JSON."""
        return f"{self.run}/{self.name}.json"

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()


def machines_directory(paths: Paths) -> str:
    return f"{paths.state}/machines"


def shared_journal(paths: Paths) -> str:
    return f"{paths.state}/machines.sqlite"


def machine_journal(paths: Paths, name: str) -> str:
    return f"{machines_directory(paths)}/{name}.sqlite"


def known(probe: Probe, paths: Paths) -> tuple[Machine, ...]:
    """Every machine that has a directory, by name."""
    found = []
    for name in probe.listdir(machines_directory(paths)):
        spec = f"{machines_directory(paths)}/{name}/machine.json"
        if probe.stat(spec):
            found.append(Machine(**json.loads(probe.read(spec))))
    return tuple(found)


def planned(name: str, *, existing: tuple[Machine, ...], paths: Paths, base: str) -> Machine:
    """The machine of that name, or a new one at the first free address."""
    if not NAME.fullmatch(name):
        raise Failure("OLR-MACH-001", name=name)
    for machine in existing:
        if machine.name == name:
            return machine
    taken = {machine.address for machine in existing}
    free = next((a for n in range(FIRST, LAST) if (a := f"{SUBNET}.{n}") not in taken), None)
    if free is None:
        raise Failure("OLR-MACH-002", count=len(taken))
    return Machine(
        name=name,
        address=free,
        home=f"{machines_directory(paths)}/{name}",
        base=base,
        cache=paths.cache,
        built=paths.built,
        run=f"{paths.run}/machines",
    )
