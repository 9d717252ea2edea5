"""dpkg and apt: an archive to install from, a database, and their output as the real tools print it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from installers.core.model import Output

if TYPE_CHECKING:
    from tests.fake.machine import FakeMachine

State = Literal["half-installed", "unpacked", "installed", "config-files"]
KEPT = "APT::Keep-Downloaded-Packages"


@dataclass(frozen=True, slots=True)
class Package:
    """A package in the archive: what installing it brings.

    ``units``: unit name to unit file text, started and enabled on install unless policy-rc.d forbids
    it. ``users``: system users (and groups of that name) its postinst makes and purge removes.
    ``purges``: trees that a purge removes whoever wrote them.
    """

    name: str
    version: str = "1.0-1"
    depends: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    conffiles: Mapping[str, str] = field(default_factory=dict)
    directories: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    purges: tuple[str, ...] = ()


@dataclass(slots=True)
class Installed:
    package: Package
    state: State


@dataclass(slots=True)
class Dpkg:
    """The archive, the database and the directories packages brought (``made``)."""

    machine: FakeMachine
    archive: dict[str, Package] = field(default_factory=dict)
    database: dict[str, Installed] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)

    def offer(self, *packages: Package) -> None:
        """Put packages into the archive."""
        self.archive.update({package.name: package for package in packages})

    # changes

    def unpack(self, package: Package) -> Iterator[None]:
        tree = self.machine.tree
        self._record(package, "half-installed")
        yield
        self.made |= {path for path in self._directories(package) if not tree.exists(path)}
        for path in package.directories:
            tree.directory(path)
        for path, text in package.files.items():
            tree.file(path, text, mode=0o755 if "/bin/" in path or "/sbin/" in path else 0o644)
        for path, text in package.conffiles.items():
            if not tree.exists(path):
                tree.file(path, text)
        for unit, text in package.units.items():
            tree.file(f"/lib/systemd/system/{unit}", text)
        tree.file(f"/var/lib/dpkg/info/{package.name}.list", "".join(f"{p}\n" for p in self.paths(package)))
        self._record(package, "unpacked")
        yield

    def configure(self, package: Package) -> Iterator[None]:
        for user in package.users:
            self.machine.users.ensure(user)
        self._record(package, "installed")
        self.machine.units.load()
        for unit in package.units:
            self.machine.units.enable(unit)
            if not self._forbidden():
                self.machine.units.start(unit)
        yield

    def remove(self, name: str, *, purge: bool) -> Iterator[None]:
        tree, package = self.machine.tree, self.database[name].package
        if self.database[name].state != "config-files":
            for unit in package.units:
                self.machine.units.stop(unit)
            yield
            for path in self.paths(package):
                if path not in package.conffiles and tree.find(path, follow=False):
                    tree.unlink(path)
            self._prune(package)
            self._record(package, "config-files")
            yield
        if purge or not package.conffiles:
            for unit in package.units:
                self.machine.units.disable(unit)
            for path in package.conffiles:
                if tree.find(path, follow=False):
                    tree.unlink(path)
            for top in package.purges:
                for path in [*reversed(tree.below(top)), *([top] if tree.exists(top) else [])]:
                    tree.unlink(path)
            self._prune(package)
            for user in package.users:
                self.machine.users.drop(user)
            if tree.exists(f"/var/lib/dpkg/info/{name}.list"):
                tree.unlink(f"/var/lib/dpkg/info/{name}.list")
            del self.database[name]
        self._save()
        self.machine.units.load()
        yield

    def _directories(self, package: Package) -> set[str]:
        parents = {parent for path in self.paths(package) for parent in _parents(path)}
        return {*parents, *package.directories}

    def _prune(self, package: Package) -> None:
        """Directories go when they came with packages and nothing is left in them."""
        tree = self.machine.tree
        for path in sorted(self._directories(package) & self.made, reverse=True):
            if tree.exists(path) and not tree.names(path):
                tree.unlink(path)
                self.made.discard(path)

    def _forbidden(self) -> bool:
        policy = "/usr/sbin/policy-rc.d"
        return self.machine.tree.exists(policy) and b"101" in self.machine.tree.read(policy)

    def _record(self, package: Package, state: State) -> None:
        self.database[package.name] = Installed(package, state)
        self._save()

    def _save(self) -> None:
        self.machine.tree.file("/var/lib/dpkg/status", self.status())

    # questions

    def broken(self) -> list[str]:
        return [name for name, row in self.database.items() if row.state in ("half-installed", "unpacked")]

    def has(self, name: str) -> bool:
        return name in self.database and self.database[name].state == "installed"

    def paths(self, package: Package) -> list[str]:
        units = [f"/lib/systemd/system/{unit}" for unit in package.units]
        return [*package.files, *package.conffiles, *units]

    def status(self) -> str:
        """/var/lib/dpkg/status as dpkg writes it."""
        return "\n".join(_paragraph(row) for _, row in sorted(self.database.items()))

    def wanted(self, names: list[str]) -> list[Package]:
        """What installing names would newly bring, dependencies first. Unknown names raise LookupError."""
        found: dict[str, Package] = {}

        def visit(name: str) -> None:
            package = self.archive[name]
            present = self.database.get(name)
            if name in found or (present and present.state == "installed" and present.package == package):
                return
            for dependency in package.depends:
                if dependency not in found and not self.has(dependency):
                    visit(dependency)
            found[name] = package

        for name in names:
            visit(name.partition("=")[0])
        return list(found.values())

    def taken_along(self, names: list[str]) -> list[str]:
        """What removing names removes: they and everything that depends on them, dependants first."""
        gone = [name for name in names if name in self.database]
        for name in gone:
            for other, row in self.database.items():
                if name in row.package.depends and other not in gone and row.state != "config-files":
                    gone.append(other)
        return gone[::-1]


def _parents(path: str) -> list[str]:
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[: n + 1]) for n in range(len(parts))]


def _paragraph(row: Installed) -> str:
    package = row.package
    want = "deinstall" if row.state == "config-files" else "install"
    lines = [
        f"Package: {package.name}",
        f"Status: {want} ok {row.state}",
        "Priority: optional",
        "Section: admin",
        "Installed-Size: 100",
        "Maintainer: Nobody <nobody@example.org>",
        "Architecture: amd64",
        f"Version: {package.version}",
        *([f"Depends: {', '.join(package.depends)}"] if package.depends else []),
    ]
    if package.conffiles:
        digests = {p: hashlib.md5(t.encode(), usedforsecurity=False).hexdigest() for p, t in package.conffiles.items()}
        lines += ["Conffiles:", *(f" {path} {digest}" for path, digest in digests.items())]
    return "\n".join([*lines, f"Description: {package.name}", " A package of the fake archive.", ""])


def options_of(argv: list[str]) -> tuple[dict[str, str], list[str]]:
    """apt's ``-o`` settings, and the words that are no options."""
    settings: dict[str, str] = {}
    words: list[str] = []
    rest = iter(argv[1:])
    for word in rest:
        if word.startswith("-o"):
            name, _, value = (word[2:] or next(rest)).partition("=")
            settings[name] = value
        elif not word.startswith("-"):
            words.append(word)
    return settings, words


def simulate(dpkg: Dpkg, argv: list[str]) -> Output:
    """``apt-get -s``: what would be done, as apt prints it."""
    _, (verb, *names) = options_of(argv)
    head = "Reading package lists...\nBuilding dependency tree...\nReading state information...\n"
    if verb == "install":
        unknown = [name for name in names if name.partition("=")[0] not in dpkg.archive]
        if unknown:
            return Output(100, head, "".join(f"E: Unable to locate package {name}\n" for name in unknown))
        new = dpkg.wanted(names)
        lines = [
            f"{word} {p.name} {_was(dpkg, p)}({p.version} Debian:12.5/stable [amd64])"
            for word in ("Inst", "Conf")
            for p in new
        ]
        fresh = sum(1 for p in new if p.name not in dpkg.database)
        summary = f"{len(new) - fresh} upgraded, {fresh} newly installed, 0 to remove and 0 not upgraded."
        return Output(0, head + "\n".join([summary, *lines, ""]), "")
    gone = dpkg.taken_along(names)
    word = "Purg" if verb == "purge" or "--purge" in argv else "Remv"
    lines = [f"{word} {name} [{dpkg.database[name].package.version}]" for name in gone]
    summary = f"0 upgraded, 0 newly installed, {len(gone)} to remove and 0 not upgraded."
    return Output(0, head + "\n".join([summary, *lines, ""]), "")


def _was(dpkg: Dpkg, package: Package) -> str:
    present = dpkg.database.get(package.name)
    return f"[{present.package.version}] " if present and present.state != "config-files" else ""


def policy(dpkg: Dpkg, names: list[str]) -> str:
    """``apt-cache policy``: installed and candidate versions; nothing for names it does not know."""
    text = ""
    for name in names:
        offered, present = dpkg.archive.get(name), dpkg.database.get(name)
        if offered is None and present is None:
            continue
        old = present.package.version if present and present.state != "config-files" else "(none)"
        new = offered.version if offered else old
        text += f"{name}:\n  Installed: {old}\n  Candidate: {new}\n  Version table:\n"
        if offered and new != old:
            text += f"     {new} 500\n        500 http://deb.debian.org/debian bookworm/main amd64 Packages\n"
        if old != "(none)":
            text += f" *** {old} 100\n"
            if offered and new == old:
                text += "        500 http://deb.debian.org/debian bookworm/main amd64 Packages\n"
            text += "        100 /var/lib/dpkg/status\n"
    return text


def dpkg_query(dpkg: Dpkg, args: tuple[str, ...]) -> Output:
    """``-W`` with a format, ``-L`` and ``-S``."""
    verb, rest = args[0], args[1:]
    form = next(
        (w.partition("=")[2] for w in rest if w.startswith(("-f=", "--showformat="))), "${Package}\\t${Version}\\n"
    )
    names = [word for word in rest if not word.startswith("-")]
    if verb == "-S":
        owners = [(n, p) for n, row in dpkg.database.items() for p in dpkg.paths(row.package) if p in names]
        return Output(0 if owners else 1, "".join(f"{name}: {path}\n" for name, path in owners), "")
    missing = "".join(f"dpkg-query: no packages found matching {n}\n" for n in names if n not in dpkg.database)
    rows = [row for name, row in sorted(dpkg.database.items()) if not names or name in names]
    if verb == "-L":
        return Output(1 if missing else 0, "".join(f"{p}\n" for row in rows for p in dpkg.paths(row.package)), missing)
    return Output(1 if missing else 0, "".join(_shown(form, row) for row in rows), missing)


def _shown(form: str, row: Installed) -> str:
    want = "deinstall" if row.state == "config-files" else "install"
    letter = {"half-installed": "H", "unpacked": "U", "installed": "i", "config-files": "c"}[row.state]
    values = {
        "${Package}": row.package.name,
        "${binary:Package}": row.package.name,
        "${Version}": row.package.version,
        "${Architecture}": "amd64",
        "${Status}": f"{want} ok {row.state}",
        "${db:Status-Status}": row.state,
        "${db:Status-Abbrev}": f"{want[0] if want == 'install' else 'r'}{letter} ",
        "\\t": "\t",
        "\\n": "\n",
    }
    for name, value in values.items():
        form = form.replace(name, value)
    return form
