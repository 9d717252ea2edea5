"""What the running kernel can do: modules, features, parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass

from installers.core.model import Probe, Unknown

BUILT_IN, LOADED, AVAILABLE, MISSING, NO_MODULES = "built-in", "loaded", "available", "missing", "no-modules"


@dataclass(frozen=True, slots=True)
class KernelRelease:
    """The running kernel, as ``uname -r`` says it."""

    def load(self, probe: Probe) -> str | Unknown:
        return probe.read("/proc/sys/kernel/osrelease").decode().strip()


@dataclass(frozen=True, slots=True)
class KernelVersion:
    """The running kernel's version as numbers (6, 1, 0); what follows them is the distribution's."""

    def load(self, probe: Probe) -> tuple[int, ...] | Unknown:
        release = probe.read("/proc/sys/kernel/osrelease").decode().strip()
        match = re.match(r"\d+(?:\.\d+)*", release)
        return tuple(int(part) for part in match[0].split(".")) if match else Unknown(f"the kernel is called {release}")


@dataclass(frozen=True, slots=True)
class ModuleTree:
    """Whether the running kernel's modules lie in this root: in a container they usually do not."""

    def load(self, probe: Probe) -> bool | Unknown:
        return any(probe.stat(f"{tree}/modules.dep") is not None for tree in _trees(probe))


@dataclass(frozen=True, slots=True)
class ModuleState:
    """One of ``built-in``, ``loaded``, ``available`` (a file modprobe can load), ``missing``, and
    ``no-modules``: not known to a kernel that cannot load any.
    """

    name: str

    def load(self, probe: Probe) -> str | Unknown:
        name = self.name.replace("-", "_")
        loadable = probe.stat("/proc/modules") is not None
        if name in loaded_modules(probe):
            return LOADED
        for tree in _trees(probe):
            if name in _names(probe, f"{tree}/modules.builtin"):
                return BUILT_IN
            if loadable and name in _names(probe, f"{tree}/modules.dep"):
                return AVAILABLE
        if probe.stat(f"/sys/module/{name}") is not None:
            return BUILT_IN
        return MISSING if loadable else NO_MODULES


@dataclass(frozen=True, slots=True)
class Evidence:
    """Whether the kernel shows a feature: ``/path`` exists, or ``/path:word`` stands in a file."""

    where: str

    def load(self, probe: Probe) -> bool | Unknown:
        path, _, word = self.where.partition(":")
        if probe.stat(path) is None:
            return False
        return not word or word in re.findall(r"[^\s,]+", probe.read(path).decode(errors="replace"))


@dataclass(frozen=True, slots=True)
class SysctlValue:
    """A kernel parameter with blanks evened out, None where the kernel has no such parameter."""

    key: str

    def load(self, probe: Probe) -> str | Unknown | None:
        path = sysctl_path(self.key)
        if probe.stat(path) is None:
            return None
        return even(probe.read(path).decode())


def sysctl_path(key: str) -> str:
    """``net.ipv4.ip_forward``; with a ``/`` in it, dots are part of names (``net/ipv4/conf/eth0.1/forwarding``)."""
    return f"/proc/sys/{key if '/' in key else key.replace('.', '/')}"


def even(value: str) -> str:
    """A parameter's value with one blank between numbers: the kernel writes tabs."""
    return " ".join(value.split())


def loaded_modules(probe: Probe) -> dict[str, int]:
    """Loaded modules, each with how many use it; empty for a kernel that loads none."""
    return parse_modules(probe.read("/proc/modules").decode()) if probe.stat("/proc/modules") is not None else {}


def parse_modules(text: str) -> dict[str, int]:
    """/proc/modules: loaded modules, each with how many use it. A kernel that cannot unload any counts none."""
    rows = (line.split(" ") for line in text.splitlines() if line)
    return {row[0]: int(row[2]) if row[2].isdigit() else 1 for row in rows}


def absent_needs(probe: Probe, name: str) -> tuple[str, ...]:
    """The modules that would be loaded along with one, its nearest need first."""
    loaded = loaded_modules(probe)
    for path in (f"{tree}/modules.dep" for tree in _trees(probe)):
        for line in probe.read(path).decode().splitlines() if probe.stat(path) is not None else ():
            file, _, needs = line.partition(":")
            if _module(file) == name.replace("-", "_"):
                return tuple(need for need in map(_module, needs.split()) if need not in loaded)
    return ()


def _trees(probe: Probe) -> tuple[str, ...]:
    """Where the running kernel's modules may lie."""
    release = probe.read("/proc/sys/kernel/osrelease").decode().strip()
    return f"/lib/modules/{release}", f"/usr/lib/modules/{release}"


def parse_module_files(text: str) -> frozenset[str]:
    """modules.builtin and modules.dep: module names from their files' paths."""
    return frozenset(_module(line.partition(":")[0]) for line in text.splitlines() if line)


def _module(file: str) -> str:
    """A module's name from its file's path."""
    return file.rpartition("/")[2].split(".ko", 1)[0].replace("-", "_")


def _names(probe: Probe, path: str) -> frozenset[str]:
    return parse_module_files(probe.read(path).decode()) if probe.stat(path) is not None else frozenset()
