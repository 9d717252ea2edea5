"""One machine in memory: everything actions can change, by subject, and a snapshot to compare."""

from __future__ import annotations

import fnmatch
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from installers.core.model import Output, Query
from tests.fake.cluster import Cluster
from tests.fake.commands import COMMANDS, Effect
from tests.fake.crash import Injector, When
from tests.fake.network import Network
from tests.fake.packages import Dpkg, dpkg_query, policy, simulate
from tests.fake.tree import Tree
from tests.fake.units import Units
from tests.fake.users import Users

BOOT = "11111111-2222-4333-8444-555555555555"
VOLATILE = ("/proc/self/*", "/proc/stat", "/proc/uptime", "/var/lib/dpkg/status", "/sys/fs/cgroup/*")
"""Paths a snapshot leaves out: they are views of what it holds under other names."""


@dataclass(slots=True)
class Kernel:
    """``available``: modules that can be loaded. ``needs``: what each brings along and uses. ``busy``: loaded
    ones that cannot be unloaded.
    """

    tree: Tree
    release: str = "6.1.0-18-amd64"
    available: set[str] = field(default_factory=lambda: {"overlay", "br_netfilter", "ip_vs", "nf_conntrack", "fuse"})
    built_in: set[str] = field(default_factory=set)
    needs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    loaded: list[str] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)

    def modules(self) -> str:
        return "".join(f"{name} 16384 {self.users(name)} - Live 0x0000000000000000\n" for name in self.loaded)

    def users(self, name: str) -> int:
        return (name in self.busy) + sum(name in self.needs.get(other, ()) for other in self.loaded)

    def insert(self, name: str) -> None:
        if name in self.built_in or name in self.loaded:
            return
        for need in reversed(self.needs.get(name, ())):
            self.insert(need)
        self.loaded.insert(0, name)
        self.tree.directory(f"/sys/module/{name}")
        if name == "br_netfilter":
            for family in ("iptables", "ip6tables", "arptables"):
                self.tree.file(f"/proc/sys/net/bridge/bridge-nf-call-{family}", "1\n")

    def unload(self, name: str) -> None:
        if name in self.loaded:
            self.loaded.remove(name)
            self.tree.unlink(f"/sys/module/{name}")
        if name == "br_netfilter":
            for path in [*reversed(self.tree.below("/proc/sys/net/bridge")), "/proc/sys/net/bridge"]:
                self.tree.unlink(path)


@dataclass(slots=True)
class FakeMachine:
    """The state of a machine. ``FakeProbe`` reads it and ``FakeHost`` changes it.

    ``commands``: programs beside the common ones, by the beginning of argv. ``missing``: programs
    that are not there. ``archives``: what an image archive at a path holds, name to digest.
    ``registries``: whether anybody serves images. ``answers``: fixed answers to queries, before anything else.
    """

    tree: Tree = field(default_factory=Tree)
    crash: Injector = field(default_factory=Injector)
    network: Network = field(default_factory=Network)
    cluster: Cluster = field(default_factory=Cluster)
    commands: dict[tuple[str, ...], Effect] = field(default_factory=lambda: dict(COMMANDS))
    missing: set[str] = field(default_factory=set)
    images: dict[str, str] = field(default_factory=dict)
    archives: dict[str, Mapping[str, str]] = field(default_factory=dict)
    registries: bool = True
    answers: dict[Query, Output] = field(default_factory=dict)
    busy_mounts: set[str] = field(default_factory=set)
    free: int = 100 << 30
    lock: threading.RLock = field(default_factory=threading.RLock)
    kernel: Kernel = field(init=False)
    dpkg: Dpkg = field(init=False)
    units: Units = field(init=False)
    users: Users = field(init=False)

    def __post_init__(self) -> None:
        self.kernel, self.dpkg, self.units, self.users = Kernel(self.tree), Dpkg(self), Units(self), Users(self)
        self.tree.live |= {
            "/proc/self/mountinfo": self.tree.mountinfo,
            "/proc/modules": self.kernel.modules,
            "/proc/stat": lambda: "cpu  1 0 1 1 0 0 0 0 0 0\nbtime 1795341600\n",
            "/proc/uptime": lambda: "3600.00 7000.00\n",
        }

    def crash_at(self, n: int, when: When, *, step: int = 1) -> None:
        """Raise ``Crash`` before, inside (at its step-th moment) or after the n-th mutation from now."""
        self.crash.arm(n, when, step=step)

    def effect(self, argv: list[str]) -> Effect | None:
        """What running argv does, by the longest entry that begins it; None when the program is missing."""
        if argv[0] in self.missing:
            return None
        if argv[0].startswith("/") and self.tree.exists(argv[0]):
            argv = [argv[0].rpartition("/")[2], *argv[1:]]
        fitting = [key for key in self.commands if tuple(argv[: len(key)]) == key]
        return self.commands[max(fitting, key=len)] if fitting else None

    def image_table(self, quiet: bool) -> str:
        if quiet:
            return "".join(f"{name}\n" for name in sorted(self.images))
        head = "REF TYPE DIGEST SIZE PLATFORMS LABELS\n"
        kind = "application/vnd.oci.image.manifest.v1+json"
        rows = (
            f"{n} {kind} {d} 1.0 MiB linux/amd64 io.cri-containerd.image=managed\n"
            for n, d in sorted(self.images.items())
        )
        return head + "".join(rows)

    def ask(self, query: Query) -> Output:
        """The text the real program would print."""
        if query in self.answers:
            return self.answers[query]
        args = query.args
        match query.name:
            case "dpkg-query":
                return dpkg_query(self.dpkg, args)
            case "apt-cache" if args[0] == "policy":
                return Output(0, policy(self.dpkg, [a for a in args[1:] if not a.startswith("-")]), "")
            case "apt-get":
                return simulate(self.dpkg, ["apt-get", *args[1:]])
            case "apt-lists":
                lists = next(a for a in args if a.startswith("-oDir::State::Lists=")).partition("=")[2]
                self.tree.file(f"{lists}/deb.debian.org_debian_dists_bookworm_InRelease", "Suite: stable\n")
                return Output(0, "", "")
            case "dpkg" if args == ("--print-architecture",):
                return Output(0, "amd64\n", "")
            case "dpkg" if args == ("--audit",):
                return Output(0, "".join(f" {name}\n" for name in self.dpkg.broken()), "")
            case "systemctl":
                return self.units.query(args)
            case "iptables-save":
                return Output(0, self.network.v4.save(), "")
            case "ip6tables-save":
                return Output(0, self.network.v6.save(), "")
            case "nft":
                return Output(0, json.dumps({"nftables": [{"metainfo": {"json_schema_version": 1}}]}), "")
            case "ipset":
                return Output(0, "".join(f"{name}\n" for name in self.network.ipsets), "")
            case "ip":
                return Output(0, self.network.query(args), "")
            case "getent" if args[0] in ("passwd", "group"):
                rows = self.users.rows(f"/etc/{args[0]}")
                chosen = [rows[name] for name in args[1:] or rows if name in rows]
                return Output(0 if chosen else 2, "".join(":".join(row) + "\n" for row in chosen), "")
            case "ctr":
                return self._ctr(args)
            case "systemd-detect-virt":
                return Output(1, "none\n", "")
        raise AssertionError(f"the fake has no answer to {query}; put one into machine.answers")

    def _ctr(self, args: tuple[str, ...]) -> Output:
        if not self.tree.exists("/run/containerd/containerd.sock"):
            return Output(1, "", 'ctr: failed to dial "/run/containerd/containerd.sock": no such file or directory\n')
        return Output(
            0, self.image_table("-q" in args) if args[0] == "images" else "CONTAINER    IMAGE    RUNTIME    \n", ""
        )

    def snapshot(self, *ignore: str) -> dict[str, object]:
        """Everything there is, by name, for comparing two states; ``ignore``: globs of paths to leave out."""
        left_out = (*VOLATILE, *ignore)
        found: dict[str, object] = {
            f"path {path}": (node.type, oct(node.mode), node.uid, node.gid, node.content)
            for path, node in self.tree.nodes.items()
            if not any(fnmatch.fnmatchcase(path, glob) for glob in left_out)
        }
        found |= {f"mount {n} {m.point}": (m.source, m.type, m.options, m.root) for n, m in enumerate(self.tree.mounts)}
        found |= {f"package {n}": (row.package.version, row.state) for n, row in self.dpkg.database.items()}
        found |= {f"running {unit}": True for unit in self.units.running}
        found |= {f"failed {unit}": True for unit in self.units.failed}
        found |= {f"stale {unit}": tuple(paths) for unit, paths in self.units.stale().items()}
        found |= {f"module {name}": True for name in self.kernel.loaded}
        for family, wall in (("v4", self.network.v4), ("v6", self.network.v6)):
            for table, chains in wall.tables.items():
                # A table that was merely looked at holds its built-in chains, empty: that is no difference.
                rules = {f"rules {family} {table} {chain}": tuple(rules) for chain, rules in chains.items()}
                found |= {name: value for name, value in rules.items() if value or not name.split(" ")[3].isupper()}
                found |= {f"chain {family} {table} {chain}": True for chain in chains if "-" in chain}
        links = self.network.links.values()
        found |= {f"link {link.name}": (link.kind, link.up, tuple(link.addresses)) for link in links}
        found |= {f"netns {name}": True for name in self.network.netns}
        found |= {f"ipset {name}": True for name in self.network.ipsets}
        found |= {f"image {name}": digest for name, digest in self.images.items()}
        found |= {f"object {' '.join(key)}": _content(value) for key, value in self.cluster.objects.items()}
        return found


def _content(value: Mapping[str, object]) -> str:
    """An object without what the server counts and numbers."""
    plain = json.loads(json.dumps(value))
    for name in ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"):
        plain["metadata"].pop(name, None)
    return json.dumps(plain, sort_keys=True)


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """What differs between two snapshots, one line each: ``+`` new, ``-`` gone, ``~`` changed."""
    lines = []
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            lines.append(f"+ {name}")
        elif name not in after:
            lines.append(f"- {name}")
        elif before[name] != after[name]:
            lines.append(f"~ {name}: {before[name]!r} -> {after[name]!r}")
    return lines
