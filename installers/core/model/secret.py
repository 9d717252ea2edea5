"""Secrets by name: values never travel through plans, actions, journals or logs."""

from __future__ import annotations

import re
from dataclasses import dataclass

_REFERENCE = re.compile(r"\x02([a-z0-9][a-z0-9./-]*)(?::([a-z0-9]+))?\x03")


@dataclass(frozen=True, slots=True)
class Secret:
    """The name of a secret in the host's root-only store, e.g. ``postgres/admin``.

    Inside text it is written with ``str()``: a reference which only the host fills in, at the
    moment of writing. ``encoding`` names the form wanted there: plain, or ``base64``.
    """

    name: str
    encoding: str = "plain"

    def __str__(self) -> str:
        return f"\x02{self.name}:{self.encoding}\x03"


def secrets_in(text: str) -> tuple[Secret, ...]:
    """The secrets a text refers to, in order, each once."""
    found = (Secret(name, encoding or "plain") for name, encoding in _REFERENCE.findall(text))
    return tuple(dict.fromkeys(found))


def masked(text: str) -> str:
    """The text as it may be shown: each reference as ``<secret NAME>``."""
    return _REFERENCE.sub(lambda m: f"<secret {m[1]}>", text)
