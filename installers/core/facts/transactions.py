"""What dnf, zypper and pacman say: what is installed, what one transaction would do, why it cannot be done."""

from __future__ import annotations

import re
import xml.etree.ElementTree
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from installers.core.facts.packages import Transaction
from installers.core.model import Output, Probe, Query, Unknown

MANAGERS = ("dnf", "zypper", "pacman")

NOTHING_ELSE = {
    "dnf": "--setopt=install_weak_deps=False",
    "zypper": "--no-recommends",
    "pacman": "--needed",
}
"""The option by which nothing comes that is not needed; what is installed is left at its version by all three."""

NO_CLEANING = {"dnf": "--setopt=clean_requirements_on_remove=False", "zypper": "--no-clean-deps", "pacman": ""}
"""The option by which nothing goes that is not named; pacman's way already."""

SHOWN = "--print-format=%n %v"


@dataclass(frozen=True, slots=True)
class HostPackageVersions:
    """Every installed package with its version, by name, as rpm or pacman has it: one read for all."""

    manager: str

    def load(self, probe: Probe) -> tuple[tuple[str, str], ...] | Unknown:
        return tuple(sorted(installed(probe, self.manager).items()))


def installed(probe: Probe, manager: str) -> Mapping[str, str]:
    """Of a package in several versions (kernels) the last counts."""
    if manager == "pacman":
        text = probe.query(Query("pacman", ("-Q",))).stdout
    else:
        text = probe.query(Query("rpm", ("-qa", "--qf=%{NAME} %{EVR}\n"))).stdout
    rows = (line.split(" ") for line in text.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2}


def simulate(probe: Probe, manager: str, names: Sequence[str]) -> Transaction:
    """What installing these would do, by the manager's own simulation."""
    words = {
        "dnf": ("--assumeno", "install", NOTHING_ELSE["dnf"]),
        "zypper": ("install", "--dry-run", NOTHING_ELSE["zypper"]),
        "pacman": ("-S", "--print", SHOWN, NOTHING_ELSE["pacman"]),
    }[manager]
    answer = probe.query(Query(manager, (*words, *names)))
    plan = parse(manager, answer)
    if plan.new or plan.upgraded or plan.removed:
        here = installed(probe, manager) if manager == "pacman" else {}
        # pacman's list does not say which of them are there in an older version.
        return Transaction(
            tuple(row for row in plan.new if row[0] not in here),
            (*plan.upgraded, *(row for row in plan.new if row[0] in here)),
            plan.removed,
        )
    if answer.code == 0:
        return plan
    id, detail = problem_in(answer)
    return Transaction(problem=id, detail=detail)


def simulate_removal(probe: Probe, manager: str, names: Sequence[str]) -> tuple[str, ...] | None:
    """The packages that would go with these, by name; None when the manager sees no way."""
    words = {
        "dnf": ("--assumeno", "remove", NO_CLEANING["dnf"]),
        "zypper": ("remove", "--dry-run", NO_CLEANING["zypper"]),
        "pacman": ("-R", "--print", SHOWN),
    }[manager]
    answer = probe.query(Query(manager, (*words, *names)))
    plan = parse(manager, answer)
    # pacman names what it would remove the way it names what it would install.
    going = tuple(name for name, _ in plan.new) if manager == "pacman" else plan.removed
    return going or None


def parse(manager: str, answer: Output) -> Transaction:
    """A simulation's output; empty when it holds no transaction."""
    return {"dnf": parse_dnf, "zypper": parse_zypper, "pacman": parse_pacman}[manager](answer.stdout)


_GROUPS = {"Installing": "new", "Upgrading": "upgraded", "Downgrading": "upgraded", "Removing": "removed"}


def parse_dnf(text: str) -> Transaction:
    """dnf's table: a heading for each kind of change, below it ``name arch version repository size`` each in a line.

    A name too long for its column has a line of its own. The table ends at the summary; what dnf 5 says of packages
    that are replaced stands below them and further in.
    """
    found: dict[str, list[tuple[str, str]]] = {"new": [], "upgraded": [], "removed": []}
    group, alone = "", ""
    for line in text.splitlines():
        if line.startswith("Transaction Summary"):
            break
        if line and not line[0].isspace():
            group = _GROUPS.get(line.split(" ")[0].rstrip(":"), "") if line.endswith(":") else ""
            continue
        words = line.split()
        if not group or not words or words[0] == "replacing":
            continue
        if len(words) == 1:
            alone = words[0]
            continue
        words = [alone, *words] if alone else words
        alone = ""
        if len(words) >= 4:
            found[group].append((words[0], words[2]))
    return Transaction(tuple(found["new"]), tuple(found["upgraded"]), tuple(name for name, _ in found["removed"]))


def parse_zypper(text: str) -> Transaction:
    """``zypper --xmlout``: the summary of an installation or a removal."""
    return Transaction(
        tuple(_solvables(text, "to-install")),
        (*_solvables(text, "to-upgrade"), *_solvables(text, "to-downgrade")),
        tuple(name for name, _ in _solvables(text, "to-remove")),
    )


def _solvables(text: str, group: str) -> Iterator[tuple[str, str]]:
    # The stream is torn where zypper was ended: only what is asked for is read, whole or not at all.
    match = re.search(f"<{group}>.*?</{group}>", text, re.DOTALL)
    if match:
        for one in xml.etree.ElementTree.fromstring(match[0]).iter("solvable"):  # noqa: S314 (zypper's own words)
            if one.get("type") == "package":
                yield one.get("name", ""), one.get("edition", "")


def parse_pacman(text: str) -> Transaction:
    """``pacman --print``: name and version in each line."""
    rows = (line.split(" ") for line in text.splitlines() if not line.startswith(":"))
    return Transaction(tuple((row[0], row[1]) for row in rows if len(row) == 2))


PROBLEMS: tuple[tuple[str, str], ...] = (
    (r"already locked by|can't create transaction lock|Waiting for process with pid|System management is locked"
     r"|could not lock database|unable to lock database|Failed to obtain .*lock", "OLR-PKG-022"),
    (r"[Nn]o space left|[Nn]ot enough (free )?(disk )?space|needs \d+\S* more space"
     r"|Partition .* too full", "OLR-PKG-024"),
    (r"GPG check FAILED|[Ss]ignature verification failed|[Ii]nvalid or corrupted package|is not signed"
     r"|unknown trust|[Cc]annot be authenticated", "OLR-PKG-025"),
    (r"Unable to find a match|No match for argument|No provider of|target not found", "OLR-PKG-020"),
    (r"nothing provides|conflicting requests|could not satisfy dependencies|unable to satisfy dependency"
     r"|are in conflict|conflicts with|package .* requires", "OLR-PKG-023"),
    (r"Failed to download|All mirrors were tried|Curl error|Failed to retrieve|failed retrieving file"
     r"|Could not resolve host|Connection failed|failed to synchronize", "OLR-PKG-021"),
)  # fmt: skip
"""What the three say, and the id of what it means; the first that matches."""

_MIRROR = next(re.compile(pattern) for pattern, id in PROBLEMS if id == "OLR-PKG-021")


def problem_in(answer: Output) -> tuple[str, str]:
    """The id of what went wrong and the line that says so."""
    lines = [re.sub(r"<[^>]*>|^error: |^Error: ", "", line).strip() for line in _lines(answer)]
    lines = [line for line in lines if line] or ["it said nothing"]
    for pattern, id in PROBLEMS:
        if line := next((line for line in lines if re.search(pattern, line)), ""):
            # A source that does not answer explains a missing package better than its absence does.
            dead = next((line for line in lines if _MIRROR.search(line)), "")
            return ("OLR-PKG-021", dead) if id in ("OLR-PKG-020", "OLR-PKG-023") and dead else (id, line)
    return "OLR-PKG-026", lines[-1]


def _lines(answer: Output) -> list[str]:
    text = (answer.stdout + answer.stderr).replace("&apos;", "'").replace("&quot;", '"').replace("&lt;", "<")
    return text.splitlines()
