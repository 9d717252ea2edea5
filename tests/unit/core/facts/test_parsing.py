"""What apt says turned into an id, unit names, and shared files around a block."""

from __future__ import annotations

import pytest

from installers.core.errors import catalogue
from installers.core.facts.files import split_block, with_block, without_block
from installers.core.facts.packages import PROBLEMS, problem_in, upstream_version
from installers.core.facts.units import escape_path


@pytest.mark.parametrize(
    ("said", "id", "detail"),
    [
        (
            "Waiting for cache lock: Could not get lock /var/lib/dpkg/lock-frontend. "
            "It is held by process 28430 (python3)...\n"
            "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n",
            "OLR-PKG-003",
            "held by process 28430 (python3)",
        ),
        (
            "Waiting for cache lock: Could not get lock /x. It is held by process 7 (apt)...\nSetting up a\n"
            "E: Sub-process /usr/bin/dpkg returned an error code (1)\n",
            "OLR-PKG-008",
            "Sub-process /usr/bin/dpkg returned an error code (1)",
        ),
        (
            "E: Failed to fetch http://m/a.deb  Hash Sum mismatch\n   Hashes of expected file:\n",
            "OLR-PKG-004",
            "Failed to fetch http://m/a.deb  Hash Sum mismatch",
        ),
        (
            "E: Unable to correct problems, you have held broken packages.\n",
            "OLR-PKG-005",
            "Unable to correct problems, you have held broken packages.",
        ),
        (
            "E: You don't have enough free space in /var/cache/apt/archives/.\n",
            "OLR-PKG-007",
            "You don't have enough free space in /var/cache/apt/archives/.",
        ),
        (
            "E: Failed to fetch http://m/dists/x/InRelease  407  Proxy Authentication Required [IP: 10.0.0.1 3128]\n"
            "E: Some index files failed to download. They have been ignored, or old ones used instead.\n",
            "OLR-PKG-012",
            "Failed to fetch http://m/dists/x/InRelease  407  Proxy Authentication Required [IP: 10.0.0.1 3128]",
        ),
        (
            "E: Failed to fetch http://m/InRelease  Could not connect to 10.0.0.1:3128 (10.0.0.1). - connect (111)\n",
            "OLR-PKG-002",
            "Failed to fetch http://m/InRelease  Could not connect to 10.0.0.1:3128 (10.0.0.1). - connect (111)",
        ),
        ("", "OLR-PKG-011", "apt said nothing"),
    ],
)
def test_problem(said: str, id: str, detail: str) -> None:
    assert problem_in(said) == (id, detail)


def test_every_problem_is_in_the_catalogue() -> None:
    assert {id for _, id in PROBLEMS} <= set(catalogue())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/var/lib/a-b c/.x", r"var-lib-a\x2db\x20c-.x"),
        ("/mnt/ä", r"mnt-\xc3\xa4"),
        ("/", "-"),
        ("/.hidden", r"\x2ehidden"),
    ],
)
def test_unit_name_of_a_path(path: str, name: str) -> None:
    """As ``systemd-escape --path`` of systemd 252 prints them."""
    assert escape_path(path) == name


def test_unclosed_block_takes_nothing_with_it() -> None:
    text = "one\n# BEGIN olares n\ntheirs\n"
    assert split_block(text, "n").tail == "theirs\n"
    assert without_block(text, "n") == "one\ntheirs\n"
    assert with_block(text, "n", "x") == "one\n# BEGIN olares n\nx\n# END olares n\ntheirs\n"


@pytest.mark.parametrize(
    ("of_the_package", "of_the_project"),
    [
        ("1.6.20~ds1-1+deb12u1", "1.6.20"),
        ("3.4.23-4+b4", "3.4.23"),
        ("1:9.18.33-1~deb12u2", "9.18.33"),
        ("5:27.5.1-1~debian.12~bookworm", "27.5.1"),
        ("20230311", "20230311"),
    ],
)
def test_a_packages_version_as_its_project_calls_it(of_the_package: str, of_the_project: str) -> None:
    assert upstream_version(of_the_package) == of_the_project
