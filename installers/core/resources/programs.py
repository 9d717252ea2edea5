"""Programs and policies that come in packages of the host's own distribution, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from installers.core.actions.files import PutBlock
from installers.core.actions.packages import InstallPackages
from installers.core.actions.programs import InstallHostPackages, PutLabels
from installers.core.facts.files import split_block, with_block
from installers.core.facts.managers import PackageManager
from installers.core.facts.packages import UnfinishedPackages
from installers.core.facts.programs import HostPackages, MissingPolicies, MissingPrograms, Need, PackagesFor
from installers.core.facts.protection import Aliases, Labelled, SelinuxAliases, SelinuxOn, SelinuxState
from installers.core.model import Action, Blocked, Change, Decision, Fact, Facts, Satisfied
from installers.core.resources.base import BaseResource


@dataclass(frozen=True, slots=True)
class Programs(BaseResource):
    """These programs on the host. Who has them from elsewhere keeps them; only what is missing is installed.

    ``name``: whose need it is. ``offline``: the network is not asked, so what is missing is its owner's to install.
    """

    name: str
    wanted: tuple[Need, ...]
    offline: bool = False

    @property
    def key(self) -> str:
        return f"programs:{self.name}"

    def without_network(self) -> Programs:
        return replace(self, offline=True)

    def _missing(self) -> MissingPrograms:
        return MissingPrograms(tuple(need.program for need in self.wanted))

    def needs(self) -> tuple[Fact[Any], ...]:
        return (self._missing(), PackagesFor(self.wanted), UnfinishedPackages())

    def decide(self, facts: Facts) -> Decision:
        gone = facts[self._missing()]
        if not gone:
            return Satisfied(f"here: {', '.join(need.program for need in self.wanted)}")
        if self.offline:
            return Blocked("OLR-PKG-029", {"programs": ", ".join(gone)})
        todo = facts[PackagesFor(self.wanted)]
        if not todo.manager:
            return Blocked("OLR-PKG-028", {"programs": ", ".join(gone)})
        unfinished = facts[UnfinishedPackages()]
        if todo.manager == "apt" and unfinished:
            detail = f"not configured: {', '.join(unfinished)}"
            return Blocked("OLR-PKG-006", {"packages": ", ".join(unfinished), "detail": detail})
        return _refused(todo) or Change(_install(todo), _why(gone, todo), {self._missing(): ()})


@dataclass(frozen=True, slots=True)
class SelinuxPolicies(BaseResource):
    """Where SELinux is on, the policies of these packages: ``container-selinux``, ``k3s-selinux``.

    Where it only watches (permissive), what cannot be had is no reason to stop. Nor is it with apt: Debian packages
    neither, its policy lets services without one of their own do as they like, and their containers with them.
    """

    names: tuple[str, ...]
    offline: bool = False

    @property
    def key(self) -> str:
        return f"selinux:{' '.join(self.names)}"

    def without_network(self) -> SelinuxPolicies:
        return replace(self, offline=True)

    def needs(self) -> tuple[Fact[Any], ...]:
        return (SelinuxState(), PackageManager(), MissingPolicies(self.names))

    def decide(self, facts: Facts) -> Decision:
        found = facts[SelinuxState()]
        if found is None:
            return Satisfied("SELinux is off")
        gone = found.missing(self.names)
        if not gone:
            return Satisfied(f"SELinux is {found.mode}, with {', '.join(self.names)}")
        manager = facts[PackageManager()]
        if manager is not None and manager.name == "apt":
            return Satisfied(
                f"SELinux is {found.mode}, without {', '.join(gone)}: containers get no labels of their own"
            )
        without = Satisfied(f"SELinux is permissive, without {', '.join(gone)}: what it would forbid is logged")
        todo = None if self.offline else facts[MissingPolicies(self.names)]
        if todo is None or not todo.manager or todo.transaction.problem == "OLR-PKG-020":
            detail = todo.transaction.detail if todo and todo.manager else "no packages can be had here"
            fields = {"missing": " and ".join(gone), "packages": " ".join(gone), "detail": detail}
            return without if found.mode == "permissive" else Blocked("OLR-PKG-030", fields)
        after: dict[Fact[Any], Any] = {SelinuxState(): found.having(gone)}
        return _refused(todo) or Change(_install(todo), _why(gone, todo), after)


@dataclass(frozen=True, slots=True)
class LabelledAs(BaseResource):
    """Where SELinux is on, a directory whose files get the labels of another one's, for its policy knows only that."""

    path: str
    known: str

    @property
    def key(self) -> str:
        return f"labelled-as:{self.path}"

    def needs(self) -> tuple[Fact[Any], ...]:
        return (SelinuxAliases(),)

    def decide(self, facts: Facts) -> Decision:
        found = facts[SelinuxAliases()]
        if found is None:
            return Satisfied("SELinux is off")
        line, text = f"{self.path} {self.known}\n", found.text or ""
        # semanage(8) writes the file anew, without comments: our line is right without our marks too.
        if split_block(text, MARK).block == line or line in text.splitlines(keepends=True):
            return Satisfied(f"files below {self.path} are labelled as those below {self.known}")
        after = Aliases(found.path, with_block(text, MARK, line))
        why = f"SELinux has no labels for {self.path}"
        return Change((PutBlock(found.path, MARK, line),), why, {SelinuxAliases(): after})


MARK = "olares"


@dataclass(frozen=True, slots=True)
class Labels(BaseResource):
    """The labels SELinux's policy has for programs and folders of ours: a file made gets its directory's."""

    name: str
    programs: tuple[str, ...]
    folders: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"labels:{self.name}"

    def _fact(self) -> Labelled:
        return Labelled(self.programs, self.folders)

    def needs(self) -> tuple[Fact[Any], ...]:
        return (SelinuxOn(), self._fact())

    def decide(self, facts: Facts) -> Decision:
        if not facts[SelinuxOn()]:
            return Satisfied("SELinux is off")
        if facts[self._fact()]:
            return Satisfied("labelled as SELinux's policy says")
        action = PutLabels(self.name, (*self.programs, *self.folders))
        return Change((action,), "not labelled as SELinux's policy says", {self._fact(): True})


def _refused(todo: HostPackages) -> Blocked | None:
    """Why this transaction is not for us to make."""
    plan, packages = todo.transaction, ", ".join(todo.names)
    if plan.problem:
        return Blocked(plan.problem, {"packages": packages, "detail": plan.detail, "manager": todo.manager})
    if plan.removed:
        fields = {"packages": packages, "detail": ", ".join(plan.removed), "manager": todo.manager}
        return Blocked("OLR-PKG-009" if todo.manager == "apt" else "OLR-PKG-027", fields)
    return None


def _install(todo: HostPackages) -> tuple[Action, ...]:
    if todo.manager == "apt":
        return (InstallPackages(todo.names),)
    return (InstallHostPackages(todo.manager, todo.names),)


def _why(gone: tuple[str, ...], todo: HostPackages) -> str:
    why = f"missing: {', '.join(gone)}; {todo.manager} has {', '.join(todo.names)}"
    if extra := len(todo.transaction.new) - len(todo.names):
        why += f" (with {extra} they need)" if extra > 0 else ""
    if todo.transaction.upgraded:
        why += f"; upgrades {', '.join(name for name, _ in todo.transaction.upgraded)}"
    return why
