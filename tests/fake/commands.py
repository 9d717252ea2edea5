"""What running a program does to the fake: a table from the beginning of argv to an effect.

An effect is a generator: what lies between two yields happens at once, and a crash can fall on each yield.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.fake.packages import KEPT, Package, options_of
from tests.fake.tree import Mount

if TYPE_CHECKING:
    from tests.fake.machine import FakeMachine


@dataclass(slots=True)
class Call:
    """One run of a program, and what it leaves: exit status and both streams."""

    argv: list[str]
    input: bytes | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    code: int = 0
    stdout: str = ""
    stderr: str = ""

    def fail(self, code: int, text: str) -> None:
        self.code, self.stderr = code, f"{self.stderr}{text}\n"


Effect = Callable[["FakeMachine", Call], Iterator[None]]


def systemctl(machine: FakeMachine, call: Call) -> Iterator[None]:
    words = [word for word in call.argv[1:] if not word.startswith("-")]
    verb, units = words[0], [unit if "." in unit else f"{unit}.service" for unit in words[1:]]
    if verb == "daemon-reload":
        machine.units.load()
        return
    if verb == "kill":
        for unit in units:
            machine.units.stop(unit)
        return
    if verb in ("show", "is-active", "is-enabled", "is-system-running", "list-units", "cat"):
        answer = machine.units.query(tuple(call.argv[1:]))
        call.code, call.stdout = answer.code, answer.stdout
        return
    for unit in units:
        if not machine.units.verb(verb, unit):
            missing = not machine.units.fragment(unit)
            call.fail(
                5 if missing else 1, f"Failed to {verb} {unit}: Unit {unit} {'not found' if missing else 'failed'}."
            )
        if "--now" in call.argv:
            machine.units.verb("stop" if verb in ("disable", "mask") else "start", unit)
        yield


def apt_get(machine: FakeMachine, call: Call) -> Iterator[None]:
    settings, words = options_of(call.argv)
    verb, *names = words
    dpkg = machine.dpkg
    if verb == "update":
        lists = settings.get("Dir::State::Lists") or settings.get("Dir::State", "/var/lib/apt") + "/lists"
        machine.tree.file(f"{lists}/deb.debian.org_debian_dists_bookworm_InRelease", "Suite: stable\n")
        return
    fixing = "-f" in call.argv or "--fix-broken" in call.argv
    if dpkg.broken() and not fixing:
        call.fail(100, "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.")
        return
    if verb in ("remove", "purge"):
        gone = dpkg.taken_along(names)
        call.stdout = f"0 upgraded, 0 newly installed, {len(gone)} to remove and 0 not upgraded.\n"
        for name in gone:
            yield from dpkg.remove(name, purge=verb == "purge" or "--purge" in call.argv)
        return
    unknown = [name for name in names if name.partition("=")[0] not in dpkg.archive]
    if unknown:
        call.fail(100, f"E: Unable to locate package {unknown[0]}")
        return
    new = dpkg.wanted([*names, *(dpkg.broken() if fixing else [])])
    call.stdout = f"0 upgraded, {len(new)} newly installed, 0 to remove and 0 not upgraded.\n"
    yield from _install(machine, call, new, settings)


def _install(machine: FakeMachine, call: Call, new: list[Package], settings: Mapping[str, str]) -> Iterator[None]:
    archives = settings.get("Dir::Cache::Archives", "/var/cache/apt/archives").rstrip("/")
    debs = [f"{archives}/{package.name}_{package.version.replace(':', '%3a')}_amd64.deb" for package in new]
    for deb in debs:
        if "--no-download" in call.argv and not machine.tree.exists(deb):
            call.fail(100, f"E: Failed to fetch {deb}")
            return
        machine.tree.file(deb, "a package\n")
        yield
    if "--download-only" in call.argv or "-d" in call.argv:
        return
    for package in new:
        yield from machine.dpkg.unpack(package)
    for package in new:
        yield from machine.dpkg.configure(package)
    if settings.get(KEPT) == "false":
        for deb in debs:
            machine.tree.unlink(deb)


def dpkg(machine: FakeMachine, call: Call) -> Iterator[None]:
    yield
    if "--configure" not in call.argv:
        raise AssertionError(f"the fake has no {' '.join(call.argv)}")
    for name in machine.dpkg.broken():
        row = machine.dpkg.database[name]
        if row.state == "half-installed":
            call.fail(
                1, f"dpkg: error processing package {name} (--configure):\n package is in a very bad inconsistent state"
            )
        else:
            yield from machine.dpkg.configure(row.package)


def accounts(machine: FakeMachine, call: Call) -> Iterator[None]:
    yield
    for code in machine.users.command(call.argv):
        if code < 0:
            yield
        elif code:
            call.fail(code, f"{call.argv[0]}: {call.argv[-1]}: exit status {code}")


def iptables(machine: FakeMachine, call: Call) -> Iterator[None]:
    yield
    wall = machine.network.v6 if call.argv[0].startswith("ip6") else machine.network.v4
    if call.argv[0].endswith("-restore"):
        flush = not {"-n", "--noflush"} & set(call.argv)
        call.code = wall.restore((call.input or b"").decode(), flush=flush)
    else:
        call.code = wall.command(call.argv)
    if call.code:
        call.stderr = f"{call.argv[0]}: Bad rule (does a matching rule exist in that chain?).\n"


def ip(machine: FakeMachine, call: Call) -> Iterator[None]:
    yield
    for code in machine.network.command(call.argv):
        if code:
            call.fail(code, f"Cannot find device or it exists: {' '.join(call.argv)}")


def nft(machine: FakeMachine, call: Call) -> Iterator[None]:
    """``nft delete table FAMILY NAME``: it goes with all its chains."""
    verb, what, family, name = call.argv[1:]
    if (verb, what) != ("delete", "table"):
        raise AssertionError(f"the fake's nft cannot {verb} {what}")
    rules = machine.network.v6 if family == "ip6" else machine.network.v4
    if rules.tables.pop(name, None) is None:
        call.fail(1, "Error: No such file or directory")
        return
    yield


def ipset(machine: FakeMachine, call: Call) -> Iterator[None]:
    yield
    verb, *rest = [word for word in call.argv[1:] if word not in ("-exist", "-!")]
    name = rest[0] if rest else ""
    known = name in machine.network.ipsets
    if verb in ("create", "-N", "add", "flush"):
        machine.network.ipsets += [] if known else [name]
    elif not known:
        call.fail(1, f"ipset v7.17: The set with the given name does not exist: {name}")
    else:
        machine.network.ipsets.remove(name)


def modprobe(machine: FakeMachine, call: Call) -> Iterator[None]:
    yield
    name = call.argv[-1].replace("-", "_")
    if "-r" in call.argv or call.argv[0] == "rmmod":
        for each in (word.replace("-", "_") for word in call.argv[1:] if word != "-r"):
            if machine.kernel.users(each):
                call.fail(1, f"modprobe: FATAL: Module {each} is in use.")
            else:
                machine.kernel.unload(each)
    elif name not in machine.kernel.available and name not in machine.kernel.built_in:
        call.fail(1, f"modprobe: FATAL: Module {name} not found in directory /lib/modules/{machine.kernel.release}")
    else:
        machine.kernel.insert(name)


def mount(machine: FakeMachine, call: Call) -> Iterator[None]:
    yield
    rest = iter(call.argv[1:])
    kind, options, words = "", "rw,relatime", []
    for word in rest:
        if word == "-t":
            kind = next(rest)
        elif word == "-o":
            options = next(rest)
        elif word == "--bind":
            kind = "none"
        elif not word.startswith("-"):
            words.append(word)
    source, point = words
    if not machine.tree.exists(point):
        call.fail(32, f"mount: {point}: mount point does not exist.")
        return
    bind = kind == "none" or "bind" in options.split(",")
    real = machine.tree.real(point)
    machine.tree.mounts.append(
        Mount(real, "/dev/vda1", "ext4", "rw,relatime", source) if bind else Mount(real, source, kind, options)
    )


def umount(machine: FakeMachine, call: Call) -> Iterator[None]:
    yield
    point = machine.tree.real(call.argv[-1])
    found = [m for m in machine.tree.mounts if m.point == point]
    if not found:
        call.fail(32, f"umount: {point}: not mounted.")
    elif any(m.point.startswith(f"{point}/") for m in machine.tree.mounts) or point in machine.busy_mounts:
        call.fail(32, f"umount: {point}: target is busy.")
    else:
        machine.tree.mounts.remove(found[-1])


def ctr(machine: FakeMachine, call: Call) -> Iterator[None]:
    words = [word for word in call.argv[1:] if word not in ("-n", "k8s.io")]
    match [word for word in words if not word.startswith("-") and word != "k8s.io"]:
        case ["images" | "image" | "i", "import", *names]:
            for name, digest in machine.archives.get(names[-1], {}).items():
                machine.images[name] = digest
                yield
            if names[-1] not in machine.archives:
                call.fail(1, f"ctr: open {names[-1]}: no such file or directory")
        case ["images" | "image" | "i", "tag", old, *new]:
            for name in new:
                machine.images[name] = machine.images[old]
                yield
        case ["images" | "image" | "i", "rm" | "remove" | "delete" | "del", *names]:
            for name in names:
                if machine.images.pop(name, None) is None:
                    call.fail(1, f'ctr: image "{name}": not found')
                yield
        case ["images" | "image" | "i", "ls" | "list", *_]:
            call.stdout = machine.image_table("-q" in words)
        case _:
            raise AssertionError(f"the fake has no {' '.join(call.argv)}")


def sysctl(machine: FakeMachine, call: Call) -> Iterator[None]:
    for word in call.argv[1:]:
        key, equals, value = word.partition("=")
        if equals and not word.startswith("--"):
            path = f"/proc/sys/{key.strip().replace('.', '/')}"
            if machine.tree.exists(path):
                machine.tree.file(path, f"{value.strip()}\n")
            else:
                call.fail(1, f"sysctl: cannot stat {path}: No such file or directory")
        yield


def nothing(machine: FakeMachine, call: Call) -> Iterator[None]:
    """A program whose effect no test looks at."""
    yield


COMMANDS: Mapping[tuple[str, ...], Effect] = {
    ("systemctl",): systemctl,
    ("apt-get",): apt_get,
    ("dpkg",): dpkg,
    **{(name,): accounts for name in ("useradd", "userdel", "usermod", "groupadd", "groupdel", "gpasswd")},
    **{(name,): iptables for name in ("iptables", "ip6tables", "iptables-restore", "ip6tables-restore")},
    ("ip",): ip,
    ("ipset",): ipset,
    ("nft",): nft,
    ("modprobe",): modprobe,
    ("rmmod",): modprobe,
    ("mount",): mount,
    ("umount",): umount,
    ("ctr",): ctr,
    ("sysctl",): sysctl,
    ("journalctl",): nothing,
    ("udevadm",): nothing,
    ("ldconfig",): nothing,
}
"""The programs every fake has; a test adds its own to ``FakeMachine.commands``. The longest match counts."""
