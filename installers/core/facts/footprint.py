"""What matches a footprint on this machine now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from installers.core.errors import Failure
from installers.core.facts.firewall import Ruleset, read_ruleset
from installers.core.facts.kernel import loaded_modules, sysctl_path
from installers.core.host.mounts import mount_points
from installers.core.model import Baseline, Footprint, Probe, Query, Unknown

MOUNTINFO = "/proc/self/mountinfo"

LEGACY = ("iptables-legacy", "/proc/net/ip_tables_names"), ("ip6tables-legacy", "/proc/net/ip6_tables_names")


@dataclass(frozen=True, slots=True)
class Matches:
    """Everything that matches a footprint, as ``kind:name``, and the values of its sysctls."""

    footprint: Footprint

    def load(self, probe: Probe) -> Baseline | Unknown:
        footprint = self.footprint
        chains = _chains(probe, footprint)
        if isinstance(chains, Unknown):
            return chains
        found: list[str] = [*_trees(probe, footprint), *_contents(probe, footprint.contents)]
        mountinfo = _text(probe, MOUNTINFO)
        found += [f"mount:{point}" for point in mounts_in(mountinfo, footprint.mounts)]
        found += [f"link:{name}" for name in links(probe, footprint.links)]
        found += [f"netns:{name}" for name in namespaces(probe, footprint.netns)]
        found += chains
        found += [f"ipset:{name}" for name in ipsets(probe, footprint.ipsets)]
        found += [f"cgroup:{path}" for path in cgroups(probe, mountinfo, footprint.cgroups)]
        found += [f"module:{name}" for name in matching(loaded_modules(probe), footprint.modules)]
        values = ((key, sysctl_value(probe, key)) for key in footprint.sysctls)
        return Baseline(tuple(found), tuple((key, value) for key, value in values if value is not None))


def _text(probe: Probe, path: str) -> str:
    return probe.read(path).decode(errors="replace")


def matching(names: Iterable[str], globs: tuple[str, ...]) -> list[str]:
    return [name for name in names if any(fnmatchcase(name, glob) for glob in globs)]


def links(probe: Probe, globs: tuple[str, ...]) -> list[str]:
    """Names of network links that match."""
    return _named(probe, ("-j", "link", "show"), "ifname", globs)


def namespaces(probe: Probe, globs: tuple[str, ...]) -> list[str]:
    """Names of network namespaces that match."""
    return _named(probe, ("-j", "netns", "list"), "name", globs)


def _named(probe: Probe, args: tuple[str, ...], field: str, globs: tuple[str, ...]) -> list[str]:
    if not globs:
        return []
    # `ip netns list` prints nothing at all where there is none.
    rows = json.loads(probe.query(Query("ip", args)).stdout or "[]")
    return matching((row[field] for row in rows if field in row), globs)


def below(path: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a path is one of the prefixes or lies below one; ``/var/lib/kubeletx`` is not in ``/var/lib/kubelet``."""
    return any(path == prefix or path.startswith(f"{prefix.rstrip('/')}/") for prefix in prefixes)


def mounts_in(mountinfo: str, prefixes: tuple[str, ...]) -> list[str]:
    """Mount points at or below the prefixes, in the order they were mounted."""
    return [point for point in mount_points(mountinfo) if below(point, prefixes)]


def _trees(probe: Probe, footprint: Footprint) -> Iterator[str]:
    """A tree that is there already belongs to someone: then its entries count, as in ``contents``."""
    for path in footprint.trees:
        stat = probe.stat(path)
        if stat is not None:
            yield f"tree:{path}"
            if stat.is_dir:
                yield from _contents(probe, (path,))


def _contents(probe: Probe, paths: tuple[str, ...]) -> Iterator[str]:
    for path in paths:
        for name in probe.listdir(path):
            yield f"content:{path}/{name}"


def programs(probe: Probe) -> tuple[str, ...]:
    """The iptables programs to ask: the system's own, and the legacy ones where the kernel has such tables."""
    old = [program for program, tables in LEGACY if probe.stat(tables) is not None and probe.read(tables).strip()]
    return ("iptables", "ip6tables", *old)


def doomed_chains(ruleset: Ruleset, prefixes: tuple[str, ...]) -> list[tuple[str, str]]:
    """Chains, by table and name, that begin with one of the prefixes."""
    return [(table, name) for table, name, policy in ruleset.chains if policy == "-" and name.startswith(prefixes)]


def _chains(probe: Probe, footprint: Footprint) -> list[str] | Unknown:
    found: list[str] = []
    for program in programs(probe) if footprint.chains else ():
        ruleset = read_ruleset(probe, program)
        if isinstance(ruleset, Unknown):
            return ruleset
        found += [f"table:{program}/{table}" for table in ruleset.tables]
        found += [f"chain:{program}/{table}/{name}" for table, name in doomed_chains(ruleset, footprint.chains)]
    return found


def ipsets(probe: Probe, prefixes: tuple[str, ...]) -> list[str]:
    """Names of IP sets with one of the prefixes; none where there is no ipset program."""
    if not prefixes:
        return []
    try:
        answer = probe.query(Query("ipset", ("list", "-n")))
    except Failure as failure:
        if failure.id == "OLR-HOST-003":
            return []
        raise
    return [name for name in answer.stdout.split() if name.startswith(prefixes)]


def hierarchies(mountinfo: str) -> tuple[str, ...]:
    """Where cgroup hierarchies are mounted, of version 1 and 2."""
    found = (
        line.split(" ")[4]
        for line in mountinfo.splitlines()
        if line.partition(" - ")[2].split(" ")[0] in ("cgroup", "cgroup2")
    )
    return tuple(dict.fromkeys(found))


def cgroups(probe: Probe, mountinfo: str, globs: tuple[str, ...]) -> list[str]:
    """Directories of cgroups whose path in their hierarchy matches a glob, component by component."""
    found: dict[str, None] = {}
    for root in hierarchies(mountinfo) if globs else ():
        for glob in globs:
            found.update(dict.fromkeys(_matching_below(probe, root, tuple(glob.strip("/").split("/")))))
    return list(found)


def _matching_below(probe: Probe, directory: str, parts: tuple[str, ...]) -> Iterator[str]:
    for name in matching(probe.listdir(directory), (parts[0],)):
        path = f"{directory}/{name}"
        stat = probe.stat(path)
        if stat is not None and stat.is_dir:
            yield from _matching_below(probe, path, parts[1:]) if len(parts) > 1 else (path,)


def with_children(probe: Probe, directory: str) -> Iterator[str]:
    """A directory's subdirectories at any depth and then itself: deepest first."""
    for name in probe.listdir(directory):
        stat = probe.stat(f"{directory}/{name}")
        if stat is not None and stat.is_dir:
            yield from with_children(probe, f"{directory}/{name}")
    yield directory


def sysctl_value(probe: Probe, key: str) -> str | None:
    """A sysctl's value, None where this kernel has none of that name."""
    path = sysctl_path(key)
    return _text(probe, path).strip() if probe.stat(path) is not None else None
