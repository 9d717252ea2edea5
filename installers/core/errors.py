"""Failures a user can meet: a stable id, what happened, what to do.

The texts live in ``core/catalogue/*.toml`` and are read only when a failure is shown,
so raising one costs nothing and `olares-cli explain` works offline.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Entry:
    """One catalogue entry: templates over the failure's fields, and the long explanation."""

    what: str
    next: str
    why: str


class Failure(Exception):
    """A failure with an id from the catalogue and the fields its texts need."""

    def __init__(self, id: str, /, **fields: object) -> None:
        super().__init__(id)
        self.id = id
        self.fields = fields

    @property
    def what(self) -> str:
        """One line: what happened, with this failure's fields filled in."""
        return entry(self.id).what.format(**self.fields)

    @property
    def next(self) -> str:
        """One line: what the user types or does next."""
        return entry(self.id).next.format(**self.fields)

    def __str__(self) -> str:
        return f"{self.id}: {self.what}"


class Interrupted(Exception):
    """The user asked to stop; everything done so far is in the journal and can be resumed."""


@cache
def catalogue() -> dict[str, Entry]:
    """Every known failure by id, from all catalogue files."""
    import tomllib
    from importlib import resources

    entries: dict[str, Entry] = {}
    for source in sorted(resources.files("installers.core").joinpath("catalogue").iterdir(), key=lambda f: f.name):
        if source.name.endswith(".toml"):
            for id, row in tomllib.loads(source.read_text()).items():
                entries[id] = Entry(**row)
    return entries


def entry(id: str) -> Entry:
    """The catalogue entry of an id; an unknown id is a programming error and says so."""
    return catalogue()[id]
