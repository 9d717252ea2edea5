"""What dnf, zypper and pacman really said, each in a file of tests/data/transactions, and what we make of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from installers.core.errors import Failure
from installers.core.facts.transactions import installed, parse_dnf, problem_in, simulate, simulate_removal
from installers.core.model import Output, Query
from tests.unit.core.cases import RecordedProbe

RECORDED = sorted((Path(__file__).parents[3] / "data/transactions").glob("*.yaml"))


class Said:
    """A probe whose every query has the same answer, but for what is installed."""

    def __init__(self, answer: Output, installed: str = "") -> None:
        self.answer, self.installed = answer, installed
        self.asked: list[Query] = []

    def query(self, query: Query) -> Output:
        self.asked.append(query)
        return Output(0, self.installed, "") if query.args[0] in ("-Q", "-qa") else self.answer


def _case(path: Path) -> tuple[dict[str, Any], Output]:
    case = yaml.safe_load(path.read_text())
    return case, Output(case["code"], case["stdout"], case["stderr"])


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_what_they_really_said(path: Path) -> None:
    case, answer = _case(path)
    says = case["says"]
    if case["verb"] == "run":
        assert problem_in(answer) == (says["problem"], says["detail"])
        return
    probe: Any = Said(answer)
    if case["verb"] == "remove":
        assert simulate_removal(probe, case["manager"], ("x",)) == (tuple(says.get("removed", ())) or None)
        return
    found = simulate(probe, case["manager"], ("x",))
    assert [list(row) for row in found.new] == says.get("new", [])
    assert (found.upgraded, found.removed) == ((), ())
    assert found.problem == says.get("problem", "")
    assert found.detail == says.get("detail", found.detail)
    if found.problem:
        assert Failure(found.problem, detail=found.detail, packages="x", manager=case["manager"]).what


def test_what_pacman_would_upgrade_was_there_before() -> None:
    probe: Any = Said(Output(0, "glibc 2.40-1\nsocat 1.8-1\n", ""), "glibc 2.39-1\n")
    found = simulate(probe, "pacman", ("socat",))
    assert found.new == (("socat", "1.8-1"),)
    assert found.upgraded == (("glibc", "2.40-1"),)


DNF5 = """\
Package              Arch   Version       Repository      Size
Installing:
 socat               x86_64 1.8.0.3-1.fc43 fedora     812.3 KiB
Upgrading:
 openssl-libs        x86_64 1:3.5.1-2.fc43 updates      8.9 MiB
   replacing openssl-libs x86_64 1:3.5.0-1.fc43 fedora   8.9 MiB
Removing:
 rival               noarch 1.0-1         @System      12.0   B

Transaction Summary:
 Installing:         1 package
"""
"""Written after the dnf5 documentation's examples; dnf 5 itself was not run."""


def test_the_table_of_dnf_5() -> None:
    found = parse_dnf(DNF5)
    assert found.new == (("socat", "1.8.0.3-1.fc43"),)
    assert found.upgraded == (("openssl-libs", "1:3.5.1-2.fc43"),)
    assert found.removed == ("rival",)


def test_a_name_in_a_line_of_its_own() -> None:
    text = "Installing:\n a-very-long-name\n          noarch 2.0-1 local 6.0 k\n b  noarch 1-1 local 51  \n"
    assert parse_dnf(text).new == (("a-very-long-name", "2.0-1"), ("b", "1-1"))


def test_a_dead_mirror_explains_a_missing_package() -> None:
    said = "Error: Failed to download metadata for repo 'x': All mirrors were tried\nError: Unable to find a match: y\n"
    assert problem_in(Output(1, "", said))[0] == "OLR-PKG-021"


def test_what_nobody_has_words_for() -> None:
    assert problem_in(Output(1, "", "Error: the moon is full\n")) == ("OLR-PKG-026", "the moon is full")
    assert problem_in(Output(1, "", "")) == ("OLR-PKG-026", "it said nothing")


@pytest.mark.parametrize(
    ("manager", "program", "args"),
    [("dnf", "rpm", ["-qa", "--qf=%{NAME} %{EVR}\n"]), ("pacman", "pacman", ["-Q"])],
)
def test_installed_packages_in_one_read(manager: str, program: str, args: list[str]) -> None:
    answer = {"name": program, "args": args, "stdout": "socat 1.7-1\niproute 6.1-2\n\n"}
    assert dict(installed(RecordedProbe({}, [answer]), manager)) == {"socat": "1.7-1", "iproute": "6.1-2"}
