"""From nothing to a running Olares in a machine: make it, ship this program, install there, say where things are."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from installers.choice import KUBECONFIGS
from installers.core.errors import Failure
from installers.core.model.events import Noted
from installers.core.remote.bootstrap import PROGRAM
from installers.core.remote.client import Remote, connect
from installers.core.remote.ship import relay, ship
from installers.machines.driver import Driver
from installers.machines.inherit import concerns, hand_over
from installers.machines.layout import Machine
from installers.site import Site

INSTALL = 3600.0
"""Seconds an install may take with nothing cached on a slow line; a quarter of that is usual."""

INTERRUPTED = 130
"""Exit status of a run that was asked to stop and can be resumed."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Where things are once a machine runs Olares. ``kubeconfig`` is a file on this computer, mode 0600."""

    machine: Machine
    kubeconfig: str


def up(driver: Driver, name: str, site: Site, *, wheelhouse: str, words: Sequence[str], release: str = "") -> Ready:
    """A machine of that name with Olares running in it; what is there already is found and left alone.

    site: this computer's, whose proxy and mirrors the machine gets. release: as for ``Driver.create``.
    words: further arguments for ``olares-cli install`` in the machine. Raises ``Failure``.
    """
    machine = driver.create(name, release=release)
    with connect(driver.address(machine)) as remote:
        if wrong := hand_over(remote, site, os.environ):
            if wrong.id == "OLR-MACH-010":
                raise wrong
            driver.emit(noted(wrong))
        ship(remote, wheelhouse)
        argv = [f"{PROGRAM}/current/bin/olares-cli", "--output", "jsonl", "install", "--yes", *words]
        status, talk = relay(remote, argv, host=name, emit=driver.emit, timeout=INSTALL, stop=driver.stop)
        if status == INTERRUPTED:
            raise KeyboardInterrupt
        if status:
            raise Failure("OLR-MACH-006", name=name, status=status, tail=_told(talk))
        return Ready(machine, _fetch_kubeconfig(remote, machine))


def settle(driver: Driver, machine: Machine, site: Site) -> None:
    """Hand a machine that runs this computer's proxy and mirrors; where it cannot go that way, say so."""
    if concerns(site, os.environ):
        with connect(driver.address(machine)) as remote:
            if wrong := hand_over(remote, site, os.environ):
                driver.emit(noted(wrong))


def noted(wrong: Failure) -> Noted:
    return Noted(at=time.time(), level="warning", text=f"{wrong} {wrong.next}")


def _told(talk: Sequence[str]) -> str:
    """The line in which the other side said what went wrong."""
    told = [line.strip() for line in talk if line.strip()]
    return next((line for line in told if line.startswith("Error")), told[-1] if told else "it said nothing")


def _fetch_kubeconfig(remote: Remote, machine: Machine) -> str:
    """The administrator's kubeconfig for use from outside: the machine's address in place of its own name."""
    lines: list[str] = []
    # One engine is installed in it, and leaves one of these.
    if all(remote.run(["cat", path], timeout=30, on_line=lines.append) for path in KUBECONFIGS.values()):
        places = " nor ".join(KUBECONFIGS.values())
        raise Failure("OLR-MACH-006", name=machine.name, status=1, tail=f"there is neither {places}")
    text = re.sub(r"server: https://[^:]+:", f"server: https://{machine.address}:", "\n".join(lines) + "\n")
    path, beside = Path(machine.home, "kubeconfig"), Path(machine.home, ".kubeconfig.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        os.fsync(descriptor)
    beside.rename(path)
    return str(path)
