"""Adding single firewall rules and deleting them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.facts.firewall import PROGRAMS
from installers.core.model import DONE, Action, Host, Irreversible, Outcome, Probe

SECONDS = 30.0
WAIT = ("-w", "20")
"""Seconds to wait for the lock that all iptables programs share; kube-proxy holds it at times."""


def _is_there(host: Host, family: int, rule: tuple[str, ...]) -> bool:
    # 1: no such rule; 2: no such chain or match, so no such rule either.
    table, *rest = rule
    argv = [PROGRAMS[family], *WAIT, "-t", table, "-C", *rest]
    return host.run(argv, timeout=SECONDS, ok=(0, 1, 2)).code == 0


@dataclass(frozen=True, slots=True)
class AddRule(BaseAction):
    """Add a rule at the ``last`` or ``first`` place of a chain; one that is there already stays as it is."""

    kind: ClassVar[str] = "add-firewall-rule"
    lane: ClassVar[str] = "xtables"

    family: int
    table: str
    chain: str
    args: tuple[str, ...]
    place: str = "last"

    @property
    def target(self) -> str:
        return f"{self.family}/{self.table}/{self.chain} {' '.join(self.args)}"

    def describe(self) -> str:
        return f"add {PROGRAMS[self.family]} rule to {self.table}/{self.chain}: {' '.join(self.args)}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return DeleteRule(self.family, self.table, self.chain, self.args)

    def execute(self, host: Host) -> Outcome:
        if not _is_there(host, self.family, (self.table, self.chain, *self.args)):
            verb = "-I" if self.place == "first" else "-A"
            argv = [PROGRAMS[self.family], *WAIT, "-t", self.table, verb, self.chain, *self.args]
            host.run(argv, timeout=SECONDS)
        return DONE


@dataclass(frozen=True, slots=True)
class DeleteRule(BaseAction):
    """Delete a rule if it is there."""

    kind: ClassVar[str] = "delete-firewall-rule"
    lane: ClassVar[str] = "xtables"

    family: int
    table: str
    chain: str
    args: tuple[str, ...]

    @property
    def target(self) -> str:
        return f"{self.family}/{self.table}/{self.chain} {' '.join(self.args)}"

    def describe(self) -> str:
        return f"delete {PROGRAMS[self.family]} rule from {self.table}/{self.chain}: {' '.join(self.args)}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return Irreversible("taking something back is not itself taken back")

    def execute(self, host: Host) -> Outcome:
        if _is_there(host, self.family, (self.table, self.chain, *self.args)):
            argv = [PROGRAMS[self.family], *WAIT, "-t", self.table, "-D", self.chain, *self.args]
            host.run(argv, timeout=SECONDS)
        return DONE


ACTIONS: tuple[type[BaseAction], ...] = (AddRule, DeleteRule)
