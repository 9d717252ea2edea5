"""What is done to the outer host for a machine: build and unpack the base, make it, boot it, stop it."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.actions.files import make_parents
from installers.core.artifacts.actions import KeepCache
from installers.core.artifacts.cache import Cache, digest
from installers.core.errors import Failure
from installers.core.facts.artifacts import Built, BuiltFile
from installers.core.model import DONE, Action, Host, Irreversible, Outcome, Probe
from installers.machines.base import base_root
from installers.machines.facts import MachinePid
from installers.machines.layout import SUBNET, Machine

BUILD = 1200.0
"""Seconds mmdebstrap may take; about one minute with a near mirror."""

STOP = 60.0
"""Seconds a machine has to shut down before its processes are killed; about three when idle."""

TAR = "base.tar"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class BuildBase(BaseAction):
    """Make the base root's archive with mmdebstrap, into the cache."""

    kind: ClassVar[str] = "build-base"
    cache: str
    ledger: str
    key: str
    release: str = "bookworm"
    """As written before machines could have another."""

    @property
    def target(self) -> str:
        return f"base root {self.key[:12]}"

    def describe(self) -> str:
        return "build the machines' base root from Debian packages"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return KeepCache(self.target)

    def execute(self, host: Host) -> Outcome:
        base, cache = base_root(self.release), Cache(Path(self.cache), Path(self.ledger))
        with cache.lock("machine-base", lambda done, total, unit, text="": host.progress(done, total, unit, text)):
            began, folder = time.time(), cache.temporary("machine-base")
            seen = 0

            def line(text: str) -> None:
                nonlocal seen
                seen += text.startswith("I: ")
                host.progress(seen, None, "steps", text.removeprefix("I: "))

            host.run(_mmdebstrap(base.suite, base.packages, f"{folder}/{TAR}"), timeout=BUILD, on_line=line)
            made = folder / TAR
            file = BuiltFile(TAR, digest(made), made.stat().st_size)
            cache.place(folder, cache.folder("machine-base", self.key))
            cache.record(Built("machine-base", self.key, (file,), time.time() - began, began))
        return DONE


def _mmdebstrap(suite: str, packages: tuple[str, ...], tar: str) -> list[str]:
    """No mirror is named: mmdebstrap takes Debian's own and writes the matching sources.list."""
    unwanted = ("man", "doc", "locale", "info")
    return [
        *("mmdebstrap", "--variant=minbase", "--mode=root", f"--include={','.join(packages)}"),
        '--aptopt=Acquire::Languages "none"',
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in unwanted),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        *(suite, tar),
    ]


@dataclass(frozen=True, slots=True)
class UnpackBase(BaseAction):
    """Unpack the base root once, put our configuration on it, and give it its name as the last step."""

    kind: ClassVar[str] = "unpack-base"
    archive: str
    directory: str
    release: str = "bookworm"

    @property
    def target(self) -> str:
        return self.directory

    def describe(self) -> str:
        return f"unpack the base root into {self.directory}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return RemoveTree(self.directory)

    def execute(self, host: Host) -> Outcome:
        base, root = base_root(self.release), f"{self.directory}.new"
        host.remove_tree(root)
        make_parents(host, root)
        host.mkdir(root)
        host.run(["tar", "-C", root, "--numeric-owner", "--xattrs", "-xpf", self.archive], timeout=300)
        units = f"{root}/etc/systemd/system"
        for path in base.removed:
            host.remove(root + path)
        for unit in base.masked:
            _link(host, f"{units}/{unit}", "/dev/null")
        for path, target in base.enabled:
            make_parents(host, f"{units}/{path}")
            _link(host, f"{units}/{path}", target)
        for file in base.files:
            make_parents(host, root + file.path)
            host.write(root + file.path, file.content, mode=file.mode)
        # An empty file, not an absent one: systemd then takes this for no first boot and keeps our links.
        host.write(f"{root}/etc/machine-id", b"", mode=0o444)
        host.move(root, self.directory)
        return DONE

    def recover(self, host: Host) -> None:
        host.remove_tree(f"{self.directory}.new")


def _link(host: Host, path: str, target: str) -> None:
    host.remove(path)
    host.symlink(path, target)


@dataclass(frozen=True, slots=True)
class RemoveTree(BaseAction):
    """Remove a directory that is wholly ours."""

    kind: ClassVar[str] = "remove-machine-tree"
    directory: str

    @property
    def target(self) -> str:
        return self.directory

    def describe(self) -> str:
        return f"remove {self.directory}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return Irreversible("what was in it is gone")

    def execute(self, host: Host) -> Outcome:
        host.remove_tree(self.directory)
        return DONE


@dataclass(frozen=True, slots=True)
class MakeMachine(BaseAction):
    """Write a machine's directory: keys, addresses, what it must know of the outer host's network."""

    kind: ClassVar[str] = "make-machine"
    machine: Machine

    @property
    def target(self) -> str:
        return self.machine.home

    def describe(self) -> str:
        return f"make machine {self.machine.name} at {self.machine.address}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return RemoveTree(self.machine.home)

    def execute(self, host: Host) -> Outcome:
        machine = self.machine
        for path in (f"{machine.stub}/usr", f"{machine.stub}/etc", machine.upper, machine.data):
            make_parents(host, path)
            host.mkdir(path)
        for path in (machine.built, machine.cache):
            make_parents(host, f"{path}/.")
        host.write(f"{machine.stub}/etc/os-release", host.read(f"{machine.base}/usr/lib/os-release"))
        for path in (f"{machine.upper}/root", f"{machine.upper}/root/.ssh"):
            host.mkdir(path, mode=0o700)
        for path, content, mode in _contents(machine, host):
            make_parents(host, path)
            host.write(path, content, mode=mode)
        # Last, since it is what says that there is a machine.
        host.write(machine.spec, machine.to_json())
        return DONE


def _contents(machine: Machine, probe: Probe) -> list[tuple[str, bytes, int]]:
    """Every file of a new machine as path, content, mode."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    def pair() -> tuple[bytes, bytes]:
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        return private, key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n"

    user, user_public = pair()
    own, own_public = pair()
    upper, gateway = machine.upper, f"{SUBNET}.1"
    network = (
        f"[Match]\nName=host0\n\n[Network]\nAddress={machine.address}/24\nGateway={gateway}\n"
        "LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
    )
    hosts = f"127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 {machine.name}\n"
    files = [
        (machine.key, user, 0o600),
        (machine.known_hosts, machine.address.encode() + b" " + own_public, 0o644),
        (f"{upper}/root/.ssh/authorized_keys", user_public, 0o600),
        (f"{upper}/etc/ssh/ssh_host_ed25519_key", own, 0o600),
        (f"{upper}/etc/ssh/ssh_host_ed25519_key.pub", own_public, 0o644),
        (f"{upper}/etc/systemd/network/80-container-host0.network", network.encode(), 0o644),
        (f"{upper}/etc/hostname", f"{machine.name}\n".encode(), 0o644),
        (f"{upper}/etc/hosts", hosts.encode(), 0o644),
        (f"{upper}/etc/resolv.conf", _resolvers(probe), 0o644),
        (f"{upper}/etc/machine-id", os.urandom(16).hex().encode() + b"\n", 0o444),
    ]
    if probe.stat(CERTIFICATES):
        files.append((upper + CERTIFICATES, probe.read(CERTIFICATES), 0o644))
    return files


def _resolvers(probe: Probe) -> bytes:
    """The outer host's name servers. systemd-resolved's stub is loopback there: its real list is taken."""
    for path in ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"):
        if probe.stat(path):
            lines = probe.read(path).decode().splitlines()
            servers = [line for line in lines if line.startswith("nameserver") and " 127." not in line]
            if servers:
                return ("\n".join(servers) + "\n").encode()
    return b""


@dataclass(frozen=True, slots=True)
class StartMachine(BaseAction):
    """Boot a machine and wait until its systemd says that it is up."""

    kind: ClassVar[str] = "start-machine"
    machine: Machine

    @property
    def target(self) -> str:
        return self.machine.name

    def describe(self) -> str:
        return f"boot machine {self.machine.name}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return StopMachine(self.machine)

    def execute(self, host: Host) -> Outcome:
        host.mkdir(self.machine.run)
        host.run([sys.executable, "-m", "installers.machines.launch", self.machine.spec], timeout=120)
        return DONE

    def recover(self, host: Host) -> None:
        StopMachine(self.machine).execute(host)


@dataclass(frozen=True, slots=True)
class StopMachine(BaseAction):
    """Shut a machine down and clear the cgroups it had; nothing happens when it is down already."""

    kind: ClassVar[str] = "stop-machine"
    machine: Machine

    @property
    def target(self) -> str:
        return self.machine.name

    def describe(self) -> str:
        return f"shut machine {self.machine.name} down"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return StartMachine(self.machine)

    def execute(self, host: Host) -> Outcome:
        pids = MachinePid(self.machine.pids)
        pid = pids.load(host)
        if isinstance(pid, int):
            _signal_leader(pid)
            if not _ended(pids, host, STOP):
                os.kill(pid, signal.SIGKILL)
                if not _ended(pids, host, 10.0):
                    raise Failure("OLR-MACH-005", name=self.machine.name, pid=pid)
        host.remove(self.machine.pids)
        host.remove(f"{self.machine.home}/notify")
        _clear_cgroups(self.machine.name)
        for leftover in (f"/run/systemd/nspawn/propagate/{self.machine.name}",):
            with suppress(OSError):
                host.remove(leftover)
        return DONE


def _signal_leader(nspawn: int) -> None:
    """Ask the machine's PID 1 to power off; nspawn's only child is that."""
    children = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGRTMIN + 4)


def _ended(pids: MachinePid, probe: Probe, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if pids.load(probe) is None:
            return True
        time.sleep(0.05)
    return False


def _clear_cgroups(name: str) -> None:
    """Remove the machine's own cgroups, deepest first; what is busy is still somebody's and stays."""
    from installers.machines.launch import cgroups

    for group in cgroups(name):
        below = sorted((path for path in group.rglob("*") if path.is_dir()), key=lambda p: len(p.parts), reverse=True)
        for path in [*below, group]:
            with suppress(OSError):
                path.rmdir()


ACTIONS: tuple[type[BaseAction], ...] = (
    BuildBase,
    KeepCache,
    MakeMachine,
    RemoveTree,
    StartMachine,
    StopMachine,
    UnpackBase,
)
