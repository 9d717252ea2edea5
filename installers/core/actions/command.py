"""Running a program whose result is checked by a fact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.model import DONE, Action, Host, Irreversible, Outcome, Probe


@dataclass(frozen=True, slots=True)
class RunCommand(BaseAction):
    """Run a program to its end. ``timeout``: seconds. ``undo_removes``: the container its undo takes away.

    ``clear_argv`` runs before it: takes away what is left of an incomplete result.
    """

    kind: ClassVar[str] = "command"
    patience: ClassVar[float] = 60.0

    name: str
    argv: tuple[str, ...]
    timeout: float
    undo_argv: tuple[str, ...] = ()
    reason: str = ""
    input: str = ""
    env: tuple[tuple[str, str], ...] = ()
    recover_argv: tuple[str, ...] = ()
    inside: str = ""
    removes: str = ""
    undo_removes: str = ""
    clear_argv: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        return self.name

    def describe(self) -> str:
        return f"run {' '.join(self.argv)}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        if not self.undo_argv:
            return Irreversible(self.reason)
        return RunCommand(
            f"undo {self.name}",
            self.undo_argv,
            self.timeout,
            reason="taking something back is not itself taken back",
            env=self.env,
            inside=self.inside,
            removes=self.undo_removes,
        )

    def execute(self, host: Host) -> Outcome:
        if self.clear_argv:
            self._run(host, self.clear_argv, None)
        self._run(host, self.argv, host.reveal(self.input).encode() if self.input else None)
        return DONE

    def recover(self, host: Host) -> None:
        """Clear what a killed run left, where the component says how; else it is simply run again."""
        if self.recover_argv:
            self._run(host, self.recover_argv, None)

    def _run(self, host: Host, argv: tuple[str, ...], text: bytes | None) -> None:
        lines = 0

        def count(line: str) -> None:
            nonlocal lines
            lines += 1
            host.progress(lines, None, "lines", line)

        host.run(argv, timeout=self.timeout, input=text, env=dict(self.env), on_line=count)


ACTIONS: tuple[type[BaseAction], ...] = (RunCommand,)
