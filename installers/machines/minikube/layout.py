"""A minikube machine's settings, its names, and where our record of it lies: below the user's own state directory."""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from installers.core.errors import Failure
from installers.machines.layout import NAME
from installers.site import Paths

PREFIX = "olares"
RUNTIME = "containerd"
OLDEST = (1, 36, 0)
"""The first minikube that prefers vfkit on macOS (its changelog, 2025-05-22)."""

LEAST = {"cpus": 2, "memory": 1800, "disk": 2000}
"""What minikube refuses to go below, MiB (its start_flags.go: minimumCPUS, minUsableMem, minimumDiskSize)."""

DRIVERS = {"darwin": ("vfkit", "docker", "qemu"), "linux": ("docker", "qemu")}
"""VM drivers by sys.platform, the default first."""

PORT = re.compile(r"(?:(?:\d{1,3}\.){3}\d{1,3}:)?(?:\d{1,5}:)?\d{1,5}(?:/(?:tcp|udp))?")
KUBERNETES = re.compile(r"v\d+\.\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a machine is given. ``memory`` and ``disk`` in MiB; ``kubernetes`` "": the one minikube brings."""

    driver: str
    cpus: int = 4
    memory: int = 8192
    disk: int = 81920
    ports: tuple[str, ...] = ()
    kubernetes: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a user asked for; None is what they said nothing about."""

    driver: str | None = None
    cpus: int | None = None
    memory: int | None = None
    disk: int | None = None
    ports: tuple[str, ...] | None = None
    kubernetes: str | None = None

    def over(self, settings: Settings) -> Settings:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(settings, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Profile:
    """One machine. ``home``: minikube's own directory; ``kubeconfig``: the file its context is written to.

    ``record``: our own note that the profile is ours; without it we touch nothing of that name.
    """

    machine: str
    home: str
    kubeconfig: str
    record: str
    settings: Settings

    @property
    def name(self) -> str:
        return profile_name(self.machine)


@dataclass(frozen=True, slots=True)
class Record:
    """What the record says: the profile as we made it, and the key of its machine ("" until it was made whole)."""

    profile: Profile
    key: str = ""

    def to_json(self) -> bytes:
        return json.dumps({"version": 1, **asdict(self)}, indent=1).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Record:
        """Raises ``ValueError`` for what is no record."""
        import msgspec

        row = msgspec.json.decode(content, type=dict[str, object])
        if row.pop("version", None) != 1:
            raise ValueError("it is of a version this program does not know")
        return msgspec.convert(row, cls, strict=True)


def check_name(machine: str) -> None:
    """Refuse what can be no machine's name: ours, and minikube's rules, where none ends in a dash."""
    if not NAME.fullmatch(machine) or machine.endswith("-"):
        raise Failure("OLR-MACH-001", name=machine)


def profile_name(machine: str) -> str:
    """``olares`` for the machine of that name, ``olares-NAME`` for every other."""
    return PREFIX if machine == PREFIX else f"{PREFIX}-{machine}"


def user_paths(environ: Mapping[str, str], system: str = sys.platform) -> Paths:
    """Where a user's own machines are kept: minikube's are never root's. OLARES_STATE_DIR moves it."""
    home = environ.get("HOME") or str(Path.home())
    if system == "darwin":
        default = f"{home}/Library/Application Support/olares"
    else:
        default = f"{environ.get('XDG_STATE_HOME') or f'{home}/.local/state'}/olares"
    return replace(Paths.from_environment(environ), state=environ.get("OLARES_STATE_DIR", default))


def machines_directory(paths: Paths) -> str:
    return f"{paths.state}/minikube"


def record_path(paths: Paths, machine: str) -> str:
    return f"{machines_directory(paths)}/{machine}.json"


def journal_path(paths: Paths, machine: str) -> str:
    return f"{machines_directory(paths)}/{machine}.sqlite"


def lock_path(paths: Paths) -> str:
    """The lease of this user's machines: another than a host's, which root holds and macOS has no place for."""
    return f"{paths.state}/lock"


def minikube_home(environ: Mapping[str, str]) -> str:
    """Where minikube keeps everything, as it finds it itself (pkg/minikube/localpath)."""
    given = environ.get("MINIKUBE_HOME", "")
    if not given:
        return f"{environ.get('HOME') or Path.home()}/.minikube"
    return given if Path(given).name == ".minikube" else f"{given.rstrip('/')}/.minikube"


def kubeconfig_path(environ: Mapping[str, str]) -> str:
    """The file minikube writes a context to: the first of KUBECONFIG, or the user's own."""
    first = next((path for path in environ.get("KUBECONFIG", "").split(":") if path), "")
    return first or f"{environ.get('HOME') or Path.home()}/.kube/config"


def driver_program(driver: str) -> str:
    """The program that must be there for a VM driver."""
    if driver == "qemu":
        return "qemu-system-aarch64" if platform.machine() in ("arm64", "aarch64") else "qemu-system-x86_64"
    return driver


def planned(
    machine: str, wanted: Wanted, *, record: Record | None, paths: Paths, environ: Mapping[str, str]
) -> Profile:
    """The machine of that name as it should be: what was asked for over what it has, or over the defaults.

    Raises ``Failure`` for a setting nobody can have.
    """
    drivers = DRIVERS.get(sys.platform, ("docker",))
    settings = wanted.over(record.profile.settings if record else Settings(drivers[0]))
    _check(settings, drivers)
    return Profile(
        machine=machine,
        home=minikube_home(environ),
        kubeconfig=record.profile.kubeconfig if record else kubeconfig_path(environ),
        record=record_path(paths, machine),
        settings=settings,
    )


def _check(settings: Settings, drivers: tuple[str, ...]) -> None:
    if settings.driver not in drivers:
        known = ", ".join(drivers)
        raise Failure("OLR-MINI-014", option=f"--vm-driver {settings.driver}", why=f"here there are {known}")
    for name, least in LEAST.items():
        if getattr(settings, name) < least:
            unit = "" if name == "cpus" else " MiB"
            raise Failure("OLR-MINI-005", what=name, given=f"{getattr(settings, name)}{unit}", least=f"{least}{unit}")
    if settings.ports and settings.driver != "docker":
        why = f"only docker forwards ports; a {settings.driver} machine has an address of its own"
        raise Failure("OLR-MINI-014", option="--port", why=why)
    for port in settings.ports:
        if not PORT.fullmatch(port):
            raise Failure("OLR-MINI-014", option=f"--port {port}", why="it is [ADDRESS:][HOST:]MACHINE[/udp]")
    if settings.kubernetes and not KUBERNETES.fullmatch(settings.kubernetes):
        why = "it is a whole version, such as v1.33.3"
        raise Failure("OLR-MINI-014", option=f"--kubernetes {settings.kubernetes}", why=why)
