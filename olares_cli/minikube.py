"""``machine`` with the minikube driver: what its verbs ask, call and show."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from installers.core.errors import Failure
from installers.core.model.events import Event
from olares_cli.asking import confirm
from olares_cli.runs.launch import finish
from olares_cli.runs.perform import stoppable
from olares_cli.runs.records import result_of
from olares_cli.session import Code, Session
from olares_cli.ui.text import Span, Table, line, show
from olares_cli.ui.view import view_for

if TYPE_CHECKING:
    from installers.machines.minikube.driver import Listed, MinikubeDriver


def complete_vm_driver(incomplete: str) -> list[str]:
    from installers.machines.minikube.layout import DRIVERS

    return [name for name in DRIVERS.get(sys.platform, ()) if name.startswith(incomplete)]


@dataclass(frozen=True, slots=True)
class Given:
    """Options that only a minikube machine has, as they were typed."""

    vm_driver: Annotated[
        str | None,
        typer.Option(
            "--vm-driver", metavar="NAME", help="minikube: vfkit, docker or qemu.", autocompletion=complete_vm_driver
        ),
    ] = None
    cpus: Annotated[
        int | None, typer.Option("--cpus", metavar="N", help="minikube: processors; 4 unless said otherwise.")
    ] = None
    memory: Annotated[
        int | None, typer.Option("--memory", metavar="MIB", help="minikube: memory; 8192 unless said.")
    ] = None
    disk: Annotated[int | None, typer.Option("--disk", metavar="MIB", help="minikube: disk; 81920 unless said.")] = None
    port: Annotated[
        list[str] | None,
        typer.Option("--port", metavar="[HOST:]PORT", help="minikube with docker: a port to be reached from here."),
    ] = None
    kubernetes: Annotated[
        str | None, typer.Option("--kubernetes", metavar="VERSION", help="minikube: its Kubernetes, as v1.33.3.")
    ] = None
    image: Annotated[
        list[str] | None, typer.Option("--image", metavar="FILE", help="minikube: an image archive to load.")
    ] = None

    def refuse(self) -> None:
        """Say so where one was given for another kind of machine."""
        for field in fields(self):
            if getattr(self, field.name) is not None:
                option = f"--{field.name.replace('_', '-')}"
                raise Failure("OLR-MINI-014", option=option, why="it is for --driver minikube")


def create(session: Session, name: str, given: Given) -> int:
    machine = _made(session, name, given)
    _tell(session, machine, "machine")
    session.say(f"Next: `kubectl --context {machine.profile.name} get nodes`; {_removes(name)}")
    return Code.FINE


def up(session: Session, name: str, given: Given) -> int:
    """A Kubernetes and nothing in it yet: said plainly, and by the exit code of what is not all there."""
    missing = not_installed()
    machine = _made(session, name, given)
    _tell(session, machine, "up", not_installed=missing)
    session.say(
        f"Olares itself is not installed: nothing of ours runs in a minikube cluster yet ({', '.join(missing)}).\n"
        f"Next: `kubectl --context {machine.profile.name} get nodes`; {_removes(name)}"
    )
    return Code.PENDING


def not_installed() -> list[str]:
    """What an install on Linux would bring; an infrastructure minikube has of its own."""
    from installers.phases import PHASES

    folders = [folder for phase in PHASES for folder in phase.components]
    return [folder.rpartition("/")[2] for folder in folders if not folder.startswith("infrastructure/")]


def start(session: Session, name: str) -> int:
    with _working(session) as driver:
        machine = driver.start(name)
    _tell(session, machine, "machine")
    return Code.FINE


def stop(session: Session, name: str) -> int:
    with _working(session) as driver:
        result = driver.halt(name)
    return finish(session, result_of("machine stop", result))


def delete(session: Session, name: str, *, yes: bool) -> int:
    if not yes:
        confirm(session, f"Delete machine {name} with everything in it?")
    with _working(session) as driver:
        result = driver.delete(name)
    return finish(session, result_of("machine delete", result))


def listed(session: Session) -> int:
    machines = _driver(session).listed()
    if not session.human:
        session.record({"type": "machines", "machines": [_record(machine) for machine in machines]})
    elif not machines:
        session.say("No minikube machines. `olares-cli machine create --driver minikube` makes one.")
    else:
        rows = tuple(
            (
                Span(one.profile.machine),
                Span(one.state, "good" if one.state == "running" else "faint"),
                Span(one.profile.settings.driver),
                Span(one.address),
                Span(one.profile.name),
            )
            for one in machines
        )
        table = Table(("MACHINE", "STATE", "VM DRIVER", "ADDRESS", "CONTEXT"), rows)
        whys = [line(f"{one.profile.machine}: {one.why}") for one in machines if one.why]
        show(session, [table, *([line(), *whys] if whys else [])], stream=session.out)
    return Code.FINE


def shell(session: Session, name: str, argv: list[str]) -> list[str]:
    return _driver(session).shell(name, argv)


def names(session: Session) -> list[str]:
    """The machines there are records of; nobody is asked."""
    from installers.machines.minikube.layout import machines_directory, user_paths

    return sorted(path.stem for path in Path(machines_directory(user_paths(session.environ))).glob("*.json"))


def _made(session: Session, name: str, given: Given) -> Listed:
    from installers.machines.minikube.layout import Wanted

    wanted = Wanted(
        driver=given.vm_driver,
        cpus=given.cpus,
        memory=given.memory,
        disk=given.disk,
        ports=None if given.port is None else tuple(given.port),
        kubernetes=given.kubernetes,
    )
    with _working(session) as driver:
        return driver.create(name, wanted, given.image or ())


def _tell(session: Session, machine: Listed, kind: str, **more: Any) -> None:
    if not session.human:
        session.record({"type": kind, **_record(machine), **more})
        return
    profile = machine.profile
    session.data(f"{profile.machine} {machine.address}")
    session.say(
        f"A Kubernetes {machine.kubernetes} runs in minikube profile {profile.name}.\n"
        f"  kubeconfig   {profile.kubeconfig}\n  context      {profile.name} (your current one was left as it is)"
    )


def _removes(name: str) -> str:
    return f"`olares-cli machine delete {name} --driver minikube` removes it."


def _record(machine: Listed) -> dict[str, Any]:
    profile, settings = machine.profile, machine.profile.settings
    return {
        "name": profile.machine,
        "driver": "minikube",
        "state": machine.state,
        "address": machine.address,
        "profile": profile.name,
        "context": profile.name,
        "kubeconfig": profile.kubeconfig,
        "vm_driver": settings.driver,
        "cpus": settings.cpus,
        "memory_mib": settings.memory,
        "disk_mib": settings.disk,
        "ports": list(settings.ports),
        "kubernetes": machine.kubernetes,
        **({"why": machine.why} if machine.why else {}),
    }


def _driver(session: Session) -> MinikubeDriver:
    """The driver for questions: nothing is told and nothing interrupted."""
    from installers.machines.minikube.driver import MinikubeDriver
    from installers.machines.minikube.layout import user_paths

    return MinikubeDriver(user_paths(session.environ), lambda event: None, environ=session.environ)


@contextmanager
def _working(session: Session) -> Iterator[MinikubeDriver]:
    """The driver for changes: its events are shown; the first Ctrl-C lets it stop in good order."""
    from installers.machines.minikube.driver import MinikubeDriver
    from installers.machines.minikube.layout import user_paths

    guard = threading.Lock()
    with view_for(session) as view, stoppable(session) as stop:

        def emit(event: Event) -> None:
            # Events come from the engine's threads.
            with guard:
                view.show(event)

        yield MinikubeDriver(user_paths(session.environ), emit, stop, session.environ)
