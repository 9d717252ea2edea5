"""What a run is asked to do, handed over to its own process through a file only root can read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from olares_cli.verbs import Everything

Verb = Literal["install", "resume", "undo", "uninstall"]

HANDED_ON = (
    *("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"),
)
"""Variables the run's own unit needs besides OLARES_*; they may hold a proxy's password: never argv."""


@dataclass(frozen=True, slots=True)
class Request:
    """One run. Empty values mean what the configuration file says; ``log`` is the run's file."""

    verb: Verb
    log: str = ""
    phases: tuple[str, ...] = ()
    skip_phases: tuple[str, ...] = ()
    source: str = ""
    kube: str = ""
    accept_eol: bool = False
    trust: str = ""
    everything: Everything = "keep-data"
    saved_plan: dict[str, Any] | None = None
    environment: dict[str, str] = field(default_factory=dict)


def handed_on(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name in HANDED_ON or name.startswith("OLARES_")}


def remembered(request: Request) -> str:
    """A request in one line, for the journal: what was chosen, nothing of the environment it ran in."""
    import msgspec

    return msgspec.json.encode(replace(request, log="", saved_plan=None, environment={})).decode()


def recalled(text: str) -> Request:
    """The request that goes on with a remembered one: what was taken back goes on being taken back.

    ``text`` is "" where an earlier release began the run: that one remembered nothing.
    """
    import msgspec

    if not text:
        return Request("resume")
    request = msgspec.json.decode(text, type=Request)
    return replace(request, verb="resume") if request.verb == "install" else request


def write_request(request: Request, path: str) -> None:
    """Write a request where nobody else can read it; an existing file is refused."""
    import msgspec

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(request))
        file.flush()
        os.fsync(file.fileno())


def take_request(path: str) -> Request:
    """Read a request and remove it."""
    import msgspec

    content = Path(path).read_bytes()
    Path(path).unlink()
    return msgspec.json.decode(content, type=Request)
