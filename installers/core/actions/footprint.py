"""Claiming a footprint before a process first starts, and sweeping it after the process is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import monotonic, sleep
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.errors import Failure
from installers.core.facts.firewall import Ruleset, read_ruleset
from installers.core.facts.footprint import (
    MOUNTINFO,
    Matches,
    cgroups,
    doomed_chains,
    ipsets,
    links,
    matching,
    mounts_in,
    namespaces,
    programs,
    sysctl_value,
    with_children,
)
from installers.core.facts.kernel import loaded_modules, sysctl_path
from installers.core.host.mounts import mount_below
from installers.core.model import (
    DONE,
    Action,
    Baseline,
    Footprint,
    Host,
    Irreversible,
    Left,
    Outcome,
    Probe,
    Unknown,
)

SECONDS = 60.0
POLITE, FINAL = 10.0, 10.0
"""Seconds processes in our cgroups have to end after SIGTERM, and the kernel to end them after SIGKILL."""

NFT = "/usr/sbin/nft"
RMMOD = "/usr/sbin/rmmod"


@dataclass(frozen=True, slots=True)
class ClaimFootprint(BaseAction):
    """Put on record what a process may leave behind and what of that was there before it."""

    kind: ClassVar[str] = "claim-footprint"

    key: str
    footprint: Footprint

    @property
    def target(self) -> str:
        return f"footprint:{self.key}"

    def describe(self) -> str:
        return f"record what {self.key} finds before its first start"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        baseline = Matches(self.footprint).load(probe)
        if isinstance(baseline, Unknown):
            raise Failure("OLR-FOOTPRINT-001", key=self.key, reason=baseline.reason)
        return SweepFootprint(self.key, self.footprint, baseline)

    def execute(self, host: Host) -> Outcome:
        return DONE


@dataclass(frozen=True, slots=True)
class SweepFootprint(BaseAction):
    """Remove what matches a footprint and was not there before; put sysctls back.

    Ends processes only inside the footprint's cgroups. Nothing is removed across a mount point.
    """

    kind: ClassVar[str] = "sweep-footprint"
    lane: ClassVar[str] = "xtables"
    patience: ClassVar[float] = 30.0

    key: str
    footprint: Footprint
    baseline: Baseline

    @property
    def target(self) -> str:
        return f"footprint:{self.key}"

    @property
    def removes(self) -> str:
        return self.footprint.holds

    def describe(self) -> str:
        return f"sweep what {self.key} has left behind"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return Irreversible("what a process has left behind is not put back")

    def execute(self, host: Host) -> Outcome:
        stayed = [
            *self._sweep_cgroups(host),
            *self._sweep_mounts(host),
            *self._sweep_network(host),
            *self._sweep_chains(host),
            *self._sweep_files(host),
        ]
        for key, value in self.baseline.sysctls:
            if sysctl_value(host, key) not in (None, value):
                host.set(sysctl_path(key), value)
        self._sweep_modules(host)
        if stayed:
            return Left(", ".join(what for what, _ in stayed), "; ".join(dict.fromkeys(why for _, why in stayed)))
        return DONE

    def _ours(self, kind: str, names: Iterable[str]) -> list[str]:
        """The names that were not there before."""
        present = frozenset(self.baseline.present)
        return [name for name in names if f"{kind}:{name}" not in present]

    def _sweep_cgroups(self, host: Host) -> Iterator[tuple[str, str]]:
        groups = self._ours("cgroup", cgroups(host, _mountinfo(host), self.footprint.cgroups))
        for signal, patience in (("TERM", POLITE), ("KILL", FINAL)):
            if pids := _pids(host, groups):
                host.run(["kill", "-s", signal, "--", *pids], timeout=SECONDS, ok=(0, 1))
                _until_empty(host, groups, patience)
        # The systemd driver's groups are units: removed under systemd's hands they would stay active for ever.
        for unit in dict.fromkeys(name for group in groups if (name := group.rpartition("/")[2]).endswith(".slice")):
            host.run(["systemctl", "stop", unit], timeout=SECONDS, ok=(0, 1, 5))
        for group in groups:
            if pids := _pids(host, [group]):
                yield group, f"processes {' '.join(pids)} do not end"
                continue
            for directory in with_children(host, group):
                try:
                    host.remove(directory)
                except OSError:
                    # cgroup file systems cannot be synced; what counts is that it is gone.
                    if host.stat(directory) is not None:
                        raise

    def _sweep_mounts(self, host: Host) -> Iterator[tuple[str, str]]:
        points = self._ours("mount", mounts_in(_mountinfo(host), self.footprint.mounts))
        # The last one first: nothing is mounted on it or in it.
        for point in reversed(points):
            host.run(["umount", "--", point], timeout=SECONDS, ok=(0, 1, 32))
        for point in self._ours("mount", mounts_in(_mountinfo(host), self.footprint.mounts)):
            yield point, "it is still in use and stays mounted"

    def _sweep_network(self, host: Host) -> Iterator[tuple[str, str]]:
        for name in self._ours("netns", namespaces(host, self.footprint.netns)):
            host.run(["ip", "netns", "delete", name], timeout=SECONDS, ok=(0, 1))
        for name in self._ours("link", links(host, self.footprint.links)):
            # A veth goes with its other end, so it may be gone by its turn.
            host.run(["ip", "link", "delete", name], timeout=SECONDS, ok=(0, 1))
        for name in self._ours("link", links(host, self.footprint.links)):
            yield name, "the link cannot be deleted"

    def _sweep_chains(self, host: Host) -> Iterator[tuple[str, str]]:
        for program in programs(host) if self.footprint.chains else ():
            ruleset = _ruleset(host, program)
            ours = self._ours("chain", (f"{program}/{table}/{name}" for table, name in self._doomed(ruleset)))
            if ours:
                doomed = [(name.split("/")[1], name.split("/")[2]) for name in ours]
                text = removal(ruleset, doomed)
                host.run([f"{program}-restore", "--noflush", "-w", "20"], timeout=SECONDS, input=text.encode())
            self._sweep_tables(host, program)
        # After the rules, some of which refer to sets.
        for name in self._ours("ipset", ipsets(host, self.footprint.ipsets)):
            if host.run(["ipset", "destroy", name], timeout=SECONDS, ok=(0, 1)).code:
                yield name, "the IP set is still in use"

    def _doomed(self, ruleset: Ruleset) -> list[tuple[str, str]]:
        return doomed_chains(ruleset, self.footprint.chains)

    def _sweep_tables(self, host: Host, program: str) -> None:
        """Delete the tables iptables made on the way (nft keeps them), as far as nobody uses them."""
        if "legacy" in program or host.stat(NFT) is None:
            return
        ruleset = _ruleset(host, program)
        used = {rule.table for rule in ruleset.rules}
        used |= {table for table, _, policy in ruleset.chains if policy != "ACCEPT"}
        for name in self._ours("table", (f"{program}/{table}" for table in ruleset.tables if table not in used)):
            family = "ip6" if program.startswith("ip6") else "ip"
            host.run(["nft", "delete", "table", family, name.split("/")[1]], timeout=SECONDS, ok=(0, 1))

    def _sweep_modules(self, host: Host) -> None:
        """Unload what the kernel loaded on demand and nobody uses; with each, what only it used becomes idle."""
        tried: set[str] = set()
        while host.stat(RMMOD) is not None:
            idle = (name for name, users in loaded_modules(host).items() if not users)
            ours = set(self._ours("module", matching(idle, self.footprint.modules)))
            if ours <= tried:
                return
            # What does not go is in use after all, or the kernel is not this machine's: then it stays.
            host.run(["rmmod", *sorted(ours - tried)], timeout=SECONDS, ok=(0, 1))
            tried |= ours

    def _sweep_files(self, host: Host) -> Iterator[tuple[str, str]]:
        before = frozenset(self.baseline.present)
        doomed: list[str] = []
        for tree in self.footprint.trees:
            inside = [f"{tree}/{name}" for name in host.listdir(tree)]
            doomed += self._ours("content", inside) if f"tree:{tree}" in before else [tree]
        for directory in self.footprint.contents:
            doomed += self._ours("content", (f"{directory}/{name}" for name in host.listdir(directory)))
        mountinfo = _mountinfo(host)
        for path in doomed:
            if (mount := mount_below(mountinfo, path)) is not None:
                yield path, f"{mount} is mounted there"
                continue
            stat = host.stat(path)
            if stat is not None:
                host.remove_tree(path) if stat.is_dir else host.remove(path)


def _mountinfo(host: Probe) -> str:
    return host.read(MOUNTINFO).decode(errors="replace")


def _ruleset(host: Probe, program: str) -> Ruleset:
    ruleset = read_ruleset(host, program)
    if isinstance(ruleset, Unknown):
        raise Failure("OLR-FIREWALL-001", reason=ruleset.reason)
    return ruleset


def _pids(host: Probe, groups: Iterable[str]) -> list[str]:
    """Processes in these cgroups and all below them."""
    pids: dict[str, None] = {}
    for group in groups:
        for directory in with_children(host, group) if host.stat(group) is not None else ():
            try:
                pids.update(dict.fromkeys(host.read(f"{directory}/cgroup.procs").decode().split()))
            except OSError:
                # It went away between the two looks, or is a threaded one, whose domain lists the processes.
                continue
    return list(pids)


def _until_empty(host: Probe, groups: list[str], patience: float) -> None:
    deadline = monotonic() + patience
    while _pids(host, groups) and monotonic() < deadline:
        sleep(0.1)


def removal(ruleset: Ruleset, doomed: list[tuple[str, str]]) -> str:
    """Input for ``iptables-restore --noflush``: rules that lead to these chains, then the chains, table by table."""
    lines: list[str] = []
    for table in ruleset.tables:
        names = [name for in_table, name in doomed if in_table == table]
        if not names:
            continue
        lines.append(f"*{table}")
        lines += [
            f"-D {rule.chain} {rule.text}"
            for rule in ruleset.rules
            if rule.table == table and rule.chain not in names and rule.jump in names
        ]
        lines += [f"-F {name}" for name in names]
        lines += [f"-X {name}" for name in names]
        lines.append("COMMIT")
    return "".join(f"{line}\n" for line in lines)


ACTIONS: tuple[type[BaseAction], ...] = (ClaimFootprint, SweepFootprint)
