"""Footprints: what running processes leave behind that no action of ours created."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process may write while it runs. Undo removes matches minus the baseline, nothing else.

    trees: directories that are the process's own. contents: directories whose entries are its own
    while the directory itself belongs to someone else. mounts: prefixes of mount points. links: name
    globs of network links. netns: globs of names under /run/netns. chains: prefixes of iptables
    chains (all tables, v4 and v6; rules that jump to them too). ipsets: name prefixes. cgroups:
    globs of cgroup paths below every hierarchy; what runs in them is ended. sysctls: keys whose value
    it changes. modules: globs of kernel modules the kernel loads for it. holds: the container
    (``cluster``, ``containerd``) that is gone with its trees.
    """

    trees: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    netns: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    ipsets: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    sysctls: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    holds: str = ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What matched a footprint before the first start: each as ``kind:name``, and old sysctl values."""

    present: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
