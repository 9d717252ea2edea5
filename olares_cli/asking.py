"""Asking a person before something changes."""

from __future__ import annotations

import os

import typer

from installers.core.errors import Failure, Interrupted
from olares_cli.session import Code, Session


def need_root(what: str) -> None:
    """Changes to the machine need root; reading it does not."""
    if os.geteuid() != 0:
        raise Failure("OLR-CLI-008", command=what)


def confirm(session: Session, question: str) -> None:
    """Go on only with a yes; without a person to ask, say which option answers."""
    _need_person(session)
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        raise Interrupted from None
    if not agreed:
        session.say("Nothing was changed.")
        raise typer.Exit(Code.FAILED)


def confirm_name(session: Session, question: str, name: str) -> None:
    """Go on only when the name has been typed."""
    _need_person(session)
    try:
        typed = typer.prompt(question, err=True)
    except typer.Abort:
        raise Interrupted from None
    if typed != name:
        raise Failure("OLR-CLI-010", name=name)


def _need_person(session: Session) -> None:
    if not session.interactive:
        raise Failure("OLR-CLI-004")
