"""``machine``: disposable Debian machines on this computer."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from installers.core.model.events import Event
from olares_cli.asking import confirm, need_root
from olares_cli.commands.choices import YES
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


def complete_machine(incomplete: str) -> list[str]:
    return [machine.name for machine in _driver(Session()).listed() if machine.name.startswith(incomplete)]


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
NAME = Annotated[str, typer.Argument(metavar="[NAME]", help="The machine.", autocompletion=complete_machine)]


def register(app: typer.Typer, *, help: str, hidden: bool) -> None:
    group = typer.Typer(help=help, hidden=hidden, rich_markup_mode=None, no_args_is_help=True)

    def add(function: Callable[..., int], about: str, *lines: str, name: str = "") -> None:
        shown = name or function.__name__
        group.command(shown, help=about, epilog=examples(*lines))(command(function))

    start_ = "sudo olares-cli machine "
    add(create, "Make a machine and start it.", f"{start_}create", f"{start_}create two --release trixie")
    add(
        up,
        "Make a machine and install Olares in it; everything there already is only found.",
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
    add(delete, "Delete a machine with everything in it.", f"{start_}delete olares")
    app.add_typer(group, name="machine")


def create(session: Session, name: NAME = "olares", release: RELEASE = "") -> int:
    need_root("machine create")
    with _working(session) as driver:
        machine = driver.create(name, release=release)
    return _ready(session, machine)


def up(
    session: Session,
    name: NAME = "olares",
    wheelhouse: Annotated[str, typer.Option("--wheelhouse", help="The wheels to ship.", metavar="DIR")] = "",
    skip_phase: Annotated[list[str] | None, typer.Option("--skip-phase", help="Leave out a phase.")] = None,
    source: Annotated[str, typer.Option("--source", help="Where the bits come from.")] = "",
    release: RELEASE = "",
) -> int:
    from installers.machines.up import up as bring_up

    need_root("machine up")
    words = [word for phase in skip_phase or () for word in ("--skip-phase", phase)]
    words += ["--source", source] if source else []
    with _working(session) as driver:
        wheels = wheelhouse or _own_wheels()
        ready = bring_up(driver, name, wheelhouse=wheels, words=words, emit=driver.emit, release=release)
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
    import sys
    from pathlib import Path

    import installers

    kept = Path(sys.prefix, "wheelhouse")
    return str(kept if kept.is_dir() else Path(installers.__file__).parents[1] / "build/wheelhouse")


def start(session: Session, name: NAME = "olares") -> int:
    need_root("machine start")
    with _working(session) as driver:
        machine = driver.start(name)
    return _ready(session, machine)


def stop(session: Session, name: NAME = "olares") -> int:
    need_root("machine stop")
    with _working(session) as driver:
        result = driver.halt(name)
    return finish(session, result_of("machine stop", result))


def delete(
    session: Session,
    name: NAME = "olares",
    keep_tools: Annotated[bool, typer.Option("--keep-tools", help="Keep the packages machines needed.")] = False,
    yes: Annotated[bool, YES] = False,
) -> int:
    from installers.machines.driver import TOOLS

    need_root("machine delete")
    if not yes:
        confirm(session, f"Delete machine {name} with everything in it?")
    with _working(session) as driver:
        result = driver.delete(name, keep=(TOOLS,) if keep_tools else ())
    return finish(session, result_of("machine delete", result))


def listed(session: Session) -> int:
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
        list[str] | None, typer.Argument(metavar="[-- COMMAND...]", help="A command and its arguments.")
    ] = None,
) -> int:
    need_root("machine shell")
    ssh = _driver(session).shell(name, argv or [])
    os.execvp(ssh[0], ssh)  # noqa: S606 - ssh takes our place, with the terminal and the exit status


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
