"""Commands of other tools, guarded by a fact about their result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from installers.core.actions.command import RunCommand
from installers.core.model import Change, Decision, Fact, Facts, Satisfied, secrets_in


@dataclass(frozen=True, slots=True)
class GuardedCommand:
    """A program run once, until ``done_when`` has the value ``equals``.

    ``done_when`` is a fact about the result and never a marker file. ``undo_argv`` takes the result
    away again and may be run twice; without one, ``undo`` says why there is none. ``input``: text on
    its standard input, where secret references are filled in. ``timeout``: seconds. ``recover_argv``
    clears what a killed run left half-done; ``clear_argv`` runs before the program each time, where a
    result that lost a part would stop it. ``inside``: the container its result lies in;
    ``removes``: the container its undo takes away.
    """

    name: str
    argv: tuple[str, ...]
    done_when: Fact[Any]
    timeout: float
    equals: Any = True
    undo_argv: tuple[str, ...] = ()
    undo: str = ""
    input: str = ""
    env: tuple[tuple[str, str], ...] = ()
    recover_argv: tuple[str, ...] = ()
    inside: str = ""
    removes: str = ""
    clear_argv: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.undo_argv) == bool(self.undo):
            raise ValueError(f"{self.name}: either an undo_argv, or in undo the reason why there is none")
        words = (*self.argv, *self.undo_argv, *self.recover_argv, *self.clear_argv, *(value for _, value in self.env))
        if any(secrets_in(word) for word in words):
            raise ValueError(f"{self.name}: a secret may not stand in a command line or an environment")

    @property
    def key(self) -> str:
        return f"command:{self.name}"

    @property
    def listens(self) -> tuple[str, ...]:
        return ()

    def needs(self) -> tuple[Fact[Any], ...]:
        return (self.done_when,)

    def decide(self, facts: Facts) -> Decision:
        present = facts[self.done_when]
        if present == self.equals:
            return Satisfied("its result is there")
        action = RunCommand(
            self.name,
            self.argv,
            self.timeout,
            self.undo_argv,
            self.undo,
            self.input,
            self.env,
            self.recover_argv,
            self.inside,
            undo_removes=self.removes,
            clear_argv=self.clear_argv,
        )
        return Change((action,), f"its result is not there ({present!r:.80})", {self.done_when: self.equals})
