"""A flat repository as apt reads it, and what is asked of the real apt to fill one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from installers.core.artifacts.depot import flat
from installers.core.artifacts.depot.open import nothing
from installers.core.errors import Failure
from installers.core.facts.packages import Repository
from installers.core.model import Output
from tests.fake import FakeMachine, FakeProbe, debian

FIELDS = (
    "Package: hello\nVersion: 2.10-3\nArchitecture: amd64\nDepends: libc6 (>= 2.34)\nDescription: greets\n more of it\n"
)


def test_the_index_says_of_each_package_what_apt_compares(tmp_path: Path) -> None:
    (tmp_path / "hello_2.10-3_amd64.deb").write_bytes(b"!<arch>\nhello")
    (tmp_path / "abc_1_all.deb").write_bytes(b"!<arch>\nabc")
    flat.index(tmp_path, lambda path: FIELDS if path.name.startswith("hello") else "Package: abc\nVersion: 1\n")
    packages = (tmp_path / "Packages").read_text()
    first, second = packages.split("\n\n")
    assert first.startswith("Package: abc\n")
    assert second == (
        f"{FIELDS}Filename: ./hello_2.10-3_amd64.deb\nSize: 13\n"
        f"SHA256: {hashlib.sha256(b'!<arch>' + bytes([10]) + b'hello').hexdigest()}\n"
    )
    digest = hashlib.sha256(packages.encode()).hexdigest()
    assert f"SHA256:\n {digest} {len(packages)} Packages\n" in (tmp_path / "Release").read_text()


def test_a_clock_that_is_wrong_makes_no_difference(tmp_path: Path) -> None:
    flat.index(tmp_path, lambda path: "")
    assert "Date: Sat, 01 Jan 2000 00:00:00 UTC\n" in (tmp_path / "Release").read_text()


class Apt:
    """Stands for the real one: leaves these files in its archives, ends with this status."""

    def __init__(self, files: Sequence[str], answer: Output) -> None:
        self.files, self.answer = files, answer
        self.argv: list[str] = []

    def __call__(
        self, argv: Sequence[str], *, timeout: float, env: Mapping[str, str], ok: object, on_line: Any
    ) -> Output:
        self.argv = list(argv)
        (place,) = (word.partition("=")[2] for word in argv if word.startswith("-oDir::Cache::Archives="))
        for name in self.files:
            (Path(place) / name).write_bytes(b"!<arch>\n")
        return self.answer


@pytest.fixture
def probe() -> FakeProbe:
    machine: FakeMachine = debian()
    return FakeProbe(machine)


def test_packages_are_resolved_as_on_a_system_that_has_none(
    tmp_path: Path, probe: FakeProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = Apt(("ethtool_1%3a6.1-1_amd64.deb", "libmnl0_1.0.4-3_amd64.deb"), Output(0, "", ""))
    monkeypatch.setattr(flat, "run_process", apt)
    flat.gather(("ethtool",), tmp_path / "apt", probe, nothing)
    assert {path.name for path in (tmp_path / "apt").iterdir()} == {
        "ethtool_6.1-1_amd64.deb",
        "libmnl0_1.0.4-3_amd64.deb",
    }
    assert "-oDir::State::status=/dev/null" in apt.argv
    assert "--download-only" in apt.argv
    assert not list(tmp_path.glob(".*"))


def test_what_apt_refuses_has_its_id_and_leaves_nothing(
    tmp_path: Path, probe: FakeProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = Apt(("half.deb",), Output(100, "", "E: Failed to fetch x  Hash Sum mismatch\n"))
    monkeypatch.setattr(flat, "run_process", apt)
    with pytest.raises(Failure) as found:
        flat.gather(("ethtool",), tmp_path / "apt", probe, nothing)
    assert found.value.id == "OLR-PKG-004"
    assert list(tmp_path.iterdir()) == []


def test_the_system_s_sources_and_pins_play_no_part() -> None:
    options = Repository("/d/apt", "/c/sources.list", "/c/lists", "a", "b").options
    assert {word.split("=")[0] for word in options} == {
        "-oDir::Etc::sourcelist",
        "-oDir::Etc::sourceparts",
        "-oDir::Etc::preferences",
        "-oDir::Etc::preferencesparts",
        "-oAPT::Default-Release",
        "-oDir::State::Lists",
    }
