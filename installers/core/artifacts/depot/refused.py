"""Why a depot is not used, in words for what was asked for: a bundle to install from, or an index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from installers.core.errors import Failure

Kind = Literal["bundle", "index"]


class Refused(Failure):
    """A depot that is not there, not trusted, not whole or not new enough. Its texts name the ``kind`` of thing."""

    def __init__(self, id: str, /, **fields: object) -> None:
        super().__init__(id, **{"kind": "bundle", **fields})


@contextmanager
def asked_for(kind: Kind) -> Iterator[None]:
    """Have what is refused inside be called what was asked for: who opens a depot does not know what it is for."""
    try:
        yield
    except Refused as refused:
        refused.fields["kind"] = kind
        raise
