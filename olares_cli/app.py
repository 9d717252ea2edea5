"""The command line: its commands, how failures look, and the one place that exits or prints a traceback."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, NoReturn

import typer

from installers.core.errors import Failure, Interrupted
from olares_cli.options import NoColorOption, OutputOption, QuietOption, VerboseOption, merged
from olares_cli.session import Code, Session

NAME = "olares-cli"
COMPLETE = "_OLARES_CLI_COMPLETE"


@dataclass(frozen=True, slots=True)
class Row:
    """One command: its module under ``commands`` and its line in the help, so that ``--help`` imports none."""

    name: str
    help: str
    module: str = ""
    hidden: bool = False

    @property
    def source(self) -> str:
        return f"olares_cli.commands.{self.module or self.name}"


COMMANDS = (
    Row("precheck", "Check whether this machine can run Olares; change nothing."),
    Row("plan", "Show what install would change; change nothing."),
    Row("install", "Install Olares on this machine, or repair what differs."),
    Row("attach", "Follow a run that was started elsewhere or lost its terminal."),
    Row("status", "Show every component: state, version, substitutes."),
    Row("resume", "Go on with a run that was interrupted."),
    Row("undo", "Take back the latest run."),
    Row("uninstall", "Remove Olares from this machine; user data stays."),
    Row("machine", "Make, use and remove disposable machines on this computer."),
    Row("explain", "Explain an error by its id; works offline."),
    Row("facts", "Show or record what Olares knows about this machine."),
    Row("bundle", "Make and check signed bundles, for hosts with no way out."),
    Row("index", "Show, take or publish a signed index; compare it with upstream."),
    Row("version", "Show the version of this program."),
    Row("config", "Describe the configuration file.", hidden=True),
    Row("run", "Carry out a run in its own unit.", hidden=True),
)


def build(wanted: Sequence[str]) -> typer.Typer:
    """The application with the wanted commands complete and the others as their line in the help."""
    app = typer.Typer(
        name=NAME,
        help="Turn this computer into a personal cloud.",
        epilog=(
            "\b\nStart here:\n"
            "  olares-cli precheck    # can this machine run it?\n"
            "  olares-cli plan        # what would change?\n"
            "  olares-cli install"
        ),
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback(invoke_without_command=True)(_root)
    for row in COMMANDS:
        if row.name in wanted:
            importlib.import_module(row.source).register(app, help=row.help, hidden=row.hidden)
        else:
            app.command(row.name, help=row.help, hidden=row.hidden)(_placeholder)
    return app


def _placeholder() -> None:
    """Stands for a command that was not named; never called."""


def _root(
    ctx: typer.Context,
    *,
    output: OutputOption = None,
    verbose: VerboseOption = 0,
    quiet: QuietOption = 0,
    no_color: NoColorOption = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    ctx.obj = merged(Session(), output=output, verbose=verbose, quiet=quiet, no_color=no_color)
    if version:
        from olares_cli.commands.version import show

        raise typer.Exit(show(ctx.obj))
    if ctx.invoked_subcommand is None:
        ctx.fail("Missing command.")


def run(arguments: Sequence[str], *, environ: Mapping[str, str] = os.environ) -> int:
    """Run one command line and return its exit code; every failure has been told by then."""
    names = [row.name for row in COMMANDS]
    wanted = names if COMPLETE in environ else [a for a in arguments if a in names]
    session = _early(arguments)
    try:
        build(wanted)(list(arguments), prog_name=NAME, complete_var=COMPLETE)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else Code.FAILED
    except (KeyboardInterrupt, Interrupted):
        again = "The same command" if "machine" in wanted else "`olares-cli resume`"
        session.say(f"Interrupted. {again} goes on with a run that had begun.")
        return Code.INTERRUPTED
    except Failure as failure:
        from olares_cli.ui.trouble import show_failure

        show_failure(session, failure)
        if session.verbosity > 1:
            print(traceback.format_exc(), file=session.err)
        return exit_code(failure.id)
    except Exception as error:  # noqa: BLE001 - this is the top: the last place that can still tell the user
        return _unexpected(session, error)
    return Code.FINE


def exit_code(id: str) -> Code:
    """The exit code of a failure: usage for the command line and the configuration file."""
    if id.startswith("OLR-CFG-"):
        return Code.USAGE
    return CODES.get(id, Code.FAILED)


CODES = {
    "OLR-CLI-001": Code.USAGE,
    "OLR-CLI-015": Code.USAGE,
    "OLR-CLI-002": Code.USAGE,
    "OLR-CLI-003": Code.USAGE,
    "OLR-CLI-004": Code.USAGE,
    "OLR-CLI-005": Code.BLOCKED,
    "OLR-CLI-010": Code.USAGE,
    "OLR-CLI-012": Code.BLOCKED,
    "OLR-CLI-016": Code.USAGE,
    "OLR-BND-023": Code.USAGE,
    "OLR-MINI-014": Code.USAGE,
}


def _early(arguments: Sequence[str]) -> Session:
    """The session as far as it can be told from bare arguments, for failures outside any command."""
    from olares_cli.session import Output

    chosen = [b for a, b in itertools.pairwise(arguments) if a == "--output"]
    chosen += [a.partition("=")[2] for a in arguments if a.startswith("--output=")]
    known = [Output(value) for value in chosen if value in set(Output)]
    verbose = sum(a.count("v") for a in arguments if a == "--verbose" or a.strip("v") == "-")
    quiet = sum(1 for a in arguments if a in ("-q", "--quiet"))
    return Session(
        output=known[-1] if known else Output.human, verbosity=verbose - quiet, colour="--no-color" not in arguments
    )


def _unexpected(session: Session, error: Exception) -> int:
    """A mistake of ours: one line, the whole story in a file, the traceback only when asked for."""
    from olares_cli.ui.trouble import show_failure

    story = "".join(traceback.format_exception(error))
    where = debug_log(session, story)
    show_failure(session, Failure("OLR-CLI-009", error=f"{type(error).__name__}: {error}", log=where))
    if session.verbosity > 0:
        print(story, file=session.err)
    return Code.FAILED


def debug_log(session: Session, story: str) -> str:
    """Keep a traceback, readable by its owner only, in the log directory if there is one.

    Returns the file's path, or why there is none.
    """
    import tempfile

    for directory in (session.paths.logs, tempfile.gettempdir()):
        try:
            descriptor, name = tempfile.mkstemp(prefix="debug-", suffix=".log", dir=directory)
        except OSError:
            continue
        with os.fdopen(descriptor, "w") as file:
            file.write(story)
        return name
    return "nowhere (no directory could be written)"


def main() -> NoReturn:
    """The entry point of ``olares-cli``."""
    sys.exit(run(sys.argv[1:]))
