"""Text whose values may be facts, filled in when the decision is made."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, cast, runtime_checkable

from installers.core.model import Fact, Facts, Probe, Secret, Unknown, secrets_in


@runtime_checkable
class Expression(Protocol):
    """A value computed from facts, so that predictions of those facts reach it."""

    def needs(self) -> tuple[Fact[Any], ...]: ...
    def value(self, facts: Facts) -> object: ...


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a yes-or-no fact."""

    fact: Fact[bool]

    def needs(self) -> tuple[Fact[Any], ...]:
        return (self.fact,)

    def value(self, facts: Facts) -> object:
        return not facts[self.fact]


@runtime_checkable
class _Loads(Protocol):
    def load(self, probe: Probe) -> object | Unknown: ...


@dataclass(frozen=True, slots=True, init=False)
class Template:
    """A Jinja2 file in a component's package and its values: plain ones, secrets, facts, expressions.

    ``package`` is where the file lies; by default the package of the module that writes
    ``Template(...)``. A name the template uses and nobody gave is an error (StrictUndefined).
    """

    name: str
    package: str
    values: tuple[tuple[str, Any], ...]

    def __init__(self, name: str, /, *, package: str = "", **values: object) -> None:
        # The caller's own package: a component names its files the way it sees them, beside it.
        caller = sys._getframe(1).f_globals
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "package", package or str(caller["__name__"]).rpartition(".")[0])
        object.__setattr__(self, "values", tuple(sorted(values.items())))

    def needs(self) -> tuple[Fact[Any], ...]:
        """The facts its values stand for."""
        return tuple(dict.fromkeys(self._facts()))

    def _facts(self) -> Iterator[Fact[Any]]:
        for _, value in self.values:
            if isinstance(value, Expression):
                yield from value.needs()
            elif isinstance(value, _Loads):
                yield cast(Fact[Any], value)

    def secrets(self) -> tuple[Secret, ...]:
        """The secrets among its values, also those inside texts."""
        found: list[Secret] = []
        for _, value in self.values:
            found += [value] if isinstance(value, Secret) else secrets_in(value) if isinstance(value, str) else []
        return tuple(dict.fromkeys(found))

    def render(self, facts: Facts) -> str:
        """The text, with secrets as references; raises ``FactUnknown``."""
        template = _template(self.package, self.name)
        return str(template.render({name: _given(value, facts) for name, value in self.values}))


@lru_cache(maxsize=64)
def _template(package: str, name: str) -> Any:
    """A template of ours, read once: a plan renders each several times."""
    from importlib import resources

    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 (configuration files, not HTML)
    )
    return environment.from_string(resources.files(package).joinpath(name).read_text())


def _given(value: object, facts: Facts) -> object:
    if isinstance(value, Expression):
        return value.value(facts)
    if isinstance(value, _Loads):
        return facts[cast(Fact[Any], value)]
    return str(value) if isinstance(value, Secret) else value


Text = str | Template
"""Content of a file: as it is, or filled in from facts."""


def text_needs(text: Text) -> tuple[Fact[Any], ...]:
    return text.needs() if isinstance(text, Template) else ()


def text_secrets(text: Text) -> tuple[Secret, ...]:
    return text.secrets() if isinstance(text, Template) else secrets_in(text)


def rendered(text: Text, facts: Facts) -> str:
    return text.render(facts) if isinstance(text, Template) else text
