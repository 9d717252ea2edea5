"""``machine``: disposable machines on this computer: Debian in systemd-nspawn, or a Kubernetes made by minikube."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from installers.core.errors import Failure
from installers.core.model.events import Event
from olares_cli import here, minikube
from olares_cli.asking import confirm, need_root
from olares_cli.commands.choices import SKIP_PHASE, SOURCE, YES
from olares_cli.options import command, examples
from olares_cli.runs.launch import finish
from olares_cli.runs.perform import stoppable
from olares_cli.runs.records import result_of
from olares_cli.session import Code, Session
from olares_cli.ui.text import Span, Table, show
from olares_cli.ui.view import view_for

if TYPE_CHECKING:
    from installers.machines.driver import Driver, Listed
    from installers.machines.layout import Machine


class Kind(StrEnum):
    """What makes a machine."""

    nspawn = "nspawn"
    minikube = "minikube"


def complete_machine(incomplete: str) -> list[str]:
    names = [machine.name for machine in _driver(Session()).listed()] + minikube.names(Session())
    return [name for name in names if name.startswith(incomplete)]


DRIVER = Annotated[
    Kind | None,
    typer.Option(
        "--driver",
        help="What makes the machine: nspawn (a Debian; the default on Linux) or minikube (a Kubernetes; the default"
        " on macOS; designed, not run).",
        show_default=False,
    ),
]


def complete_release(incomplete: str) -> list[str]:
    from installers.machines.base import releases

    return [release for release in releases() if release.startswith(incomplete)]


RELEASE = Annotated[
    str,
    typer.Option(
        "--release",
        help="Its Debian, by code name; bookworm for a new one.",
        metavar="NAME",
        autocompletion=complete_release,
        show_default=False,
    ),
]
NOTHING = minikube.Given()
NAME = Annotated[str, typer.Argument(metavar="NAME", help="The machine.", autocompletion=complete_machine)]


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    group = typer.Typer(help=help, hidden=hidden, rich_markup_mode=None, no_args_is_help=True)

    def add(function: Callable[..., int], about: str, *lines: str, name: str = "") -> None:
        shown = name or function.__name__
        group.command(shown, help=about, epilog=examples(*lines))(command(function))

    start_ = "sudo olares-cli machine "
    add(
        create,
        "Make a machine and start it.",
        f"{start_}create",
        f"{start_}create two --release trixie",
        "olares-cli machine create --driver minikube --vm-driver docker --memory 6144",
    )
    add(
        up,
        "Make a machine, if there is none, and install Olares in it.",
        f"{start_}up",
        f"{start_}up two --skip-phase platform",
    )
    add(start, "Start a machine.", f"{start_}start olares")
    add(stop, "Stop a machine; it keeps everything.", f"{start_}stop olares")
    add(
        listed,
        "List the machines on this computer.",
        "olares-cli machine list",
        "olares-cli machine list --output json",
        name="list",
    )
    add(
        shell,
        "Open a shell in a machine, or run one command there.",
        f"{start_}shell olares",
        f"{start_}shell olares -- systemctl --failed",
    )
    add(
        delete,
        "Delete a machine with everything in it.",
        f"{start_}delete olares",
        "olares-cli machine delete olares --driver minikube",
    )
    app.add_typer(group, name="machine")


def create(
    session: Session,
    name: NAME = "olares",
    release: RELEASE = "",
    driver: DRIVER = None,
    given: minikube.Given = NOTHING,
) -> int:
    if _kind(driver) is Kind.minikube:
        _refuse_for_minikube(("--release", release, "it has no Debian"))
        return minikube.create(session, name, given)
    given.refuse()
    need_root("machine create")
    return _make(session, lambda nspawn: nspawn.create(name, release=release))


def _make(session: Session, make: Callable[[Driver], Machine]) -> int:
    """Make or start a machine, which gets this computer's proxy and mirrors."""
    from installers.machines.up import settle

    site = here.site(session)
    with _working(session) as nspawn:
        machine = make(nspawn)
        settle(nspawn, machine, site)
    return _ready(session, machine)


def up(
    session: Session,
    name: NAME = "olares",
    wheelhouse: Annotated[
        str,
        typer.Option(
            "--wheelhouse",
            help="The wheels of this program to send there; those it came with unless said.",
            metavar="DIR",
        ),
    ] = "",
    skip_phase: Annotated[list[str] | None, SKIP_PHASE] = None,
    source: Annotated[str, SOURCE] = "",
    release: RELEASE = "",
    driver: DRIVER = None,
    given: minikube.Given = NOTHING,
) -> int:
    if _kind(driver) is Kind.minikube:
        yet = "nothing is installed in a minikube machine yet"
        _refuse_for_minikube(
            ("--release", release, "it has no Debian"),
            *(("--wheelhouse", wheelhouse, yet), ("--skip-phase", skip_phase, yet), ("--source", source, yet)),
        )
        return minikube.up(session, name, given)
    given.refuse()
    need_root("machine up")
    return _up(session, name, wheelhouse=wheelhouse, skip_phase=skip_phase, source=source, release=release)


def _refuse_for_minikube(*given: tuple[str, object, str]) -> None:
    """Options (name, value, why not) that say nothing to minikube."""
    for option, value, why in given:
        if value:
            raise Failure("OLR-MINI-014", option=option, why=why)


def _up(
    session: Session, name: str, *, wheelhouse: str, skip_phase: list[str] | None, source: str, release: str
) -> int:
    from installers.machines.up import up as bring_up

    words = [word for phase in skip_phase or () for word in ("--skip-phase", phase)]
    words += ["--source", source] if source else []
    if source.startswith("mirror:"):
        here.require_open(source, given="--source")
    site = here.site(session)
    with _working(session) as nspawn:
        wheels = wheelhouse or _own_wheels()
        ready = bring_up(nspawn, name, site, wheelhouse=wheels, words=words, release=release)
    if not session.human:
        session.record({"type": "up", **_record(ready.machine, running=True), "kubeconfig": ready.kubeconfig})
        return Code.FINE
    session.data(f"Olares runs in machine {name} at {ready.machine.address}.")
    session.say(f"""
  A shell in it    sudo olares-cli machine shell {name}
  Its pods         sudo olares-cli machine shell {name} -- kubectl get pods -A
  Its state        sudo olares-cli machine shell {name} -- olares-cli status
  Its database     sudo olares-cli machine shell {name} -- kubectl -n os-platform exec postgres-0 -c postgres -- psql -l
  kubeconfig       {ready.kubeconfig}
  Stop / start     sudo olares-cli machine stop {name}; sudo olares-cli machine start {name}
  Remove it all    sudo olares-cli machine delete {name}""")
    return Code.FINE


def _own_wheels() -> str:
    """The wheels this program was installed from, which it keeps; in a checkout those ``make wheelhouse`` made."""
    from pathlib import Path

    import installers

    kept = Path(sys.prefix, "wheelhouse")
    return str(kept if kept.is_dir() else Path(installers.__file__).parents[1] / "build/wheelhouse")


def start(session: Session, name: NAME = "olares", driver: DRIVER = None) -> int:
    if _kind(driver) is Kind.minikube:
        return minikube.start(session, name)
    need_root("machine start")
    return _make(session, lambda nspawn: nspawn.start(name))


def stop(session: Session, name: NAME = "olares", driver: DRIVER = None) -> int:
    if _kind(driver) is Kind.minikube:
        return minikube.stop(session, name)
    need_root("machine stop")
    with _working(session) as nspawn:
        result = nspawn.halt(name)
    return finish(session, result_of("machine stop", result))


def delete(
    session: Session,
    name: NAME = "olares",
    keep_tools: Annotated[bool, typer.Option("--keep-tools", help="Keep the packages machines needed.")] = False,
    driver: DRIVER = None,
    yes: Annotated[bool, YES] = False,
) -> int:
    from installers.machines.driver import TOOLS

    if _kind(driver) is Kind.minikube:
        if keep_tools:
            raise Failure("OLR-MINI-014", option="--keep-tools", why="nothing was installed for a minikube machine")
        return minikube.delete(session, name, yes=yes)
    need_root("machine delete")
    if not yes:
        confirm(session, f"Delete machine {name} with everything in it?")
    with _working(session) as nspawn:
        result = nspawn.delete(name, keep=(TOOLS,) if keep_tools else ())
    return finish(session, result_of("machine delete", result))


def listed(session: Session, driver: DRIVER = None) -> int:
    if _kind(driver) is Kind.minikube:
        return minikube.listed(session)
    machines = [_record(m, running=m.pid is not None) for m in _driver(session).listed()]
    if not session.human:
        session.record({"type": "machines", "machines": machines})
    elif not machines:
        session.say("No machines. `olares-cli machine create` makes one.")
    else:
        rows = tuple(
            (
                Span(m["name"]),
                Span(m["state"], "good" if m["state"] == "running" else "faint"),
                Span(m["address"]),
                Span(m["release"]),
            )
            for m in machines
        )
        show(session, [Table(("MACHINE", "STATE", "ADDRESS", "DEBIAN"), rows)], stream=session.out)
    return Code.FINE


def shell(
    session: Session,
    name: NAME = "olares",
    argv: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND", help="After `--`: a command and its arguments.")
    ] = None,
    driver: DRIVER = None,
) -> int:
    if _kind(driver) is Kind.minikube:
        words = minikube.shell(session, name, argv or [])
        os.execvp(words[0], words)  # noqa: S606 - minikube takes our place, with the terminal and the exit status
    need_root("machine shell")
    ssh = _driver(session).shell(name, argv or [])
    os.execvp(ssh[0], ssh)  # noqa: S606 - ssh takes our place, with the terminal and the exit status


def _kind(given: Kind | None) -> Kind:
    """What makes machines here unless it was said."""
    return given or (Kind.minikube if sys.platform == "darwin" else Kind.nspawn)


def _ready(session: Session, machine: Machine) -> int:
    name = machine.name
    if session.human:
        session.data(f"{name} {machine.address}")
    else:
        session.record({"type": "machine", **_record(machine, running=True)})
    session.say(f"Next: `olares-cli machine shell {name}`; `olares-cli machine delete {name}` removes it.")
    return Code.FINE


def _record(machine: Machine | Listed, *, running: bool) -> dict[str, Any]:
    state = "running" if running else "stopped"
    return {"name": machine.name, "state": state, "address": machine.address, "release": machine.release}


def _driver(session: Session) -> Driver:
    """The driver for questions: nothing is told and nothing interrupted."""
    from installers.machines.driver import Driver

    return Driver(session.paths, lambda event: None)


@contextmanager
def _working(session: Session) -> Iterator[Driver]:
    """The driver for changes: its events are shown; the first Ctrl-C lets it stop in good order."""
    from installers.machines.driver import Driver

    guard = threading.Lock()
    with view_for(session) as view, stoppable(session) as stop:

        def emit(event: Event) -> None:
            # Events come from the engine's threads.
            with guard:
                view.show(event)

        yield Driver(session.paths, emit, stop)
