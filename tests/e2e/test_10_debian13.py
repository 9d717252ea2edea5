"""The whole way on Debian 13: the host's packages are newer, what is built is the same as on Debian 12."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import compare
from tests.e2e.conftest import Fresh, Tell
from tests.e2e.inside import Inside, Ran
from tests.e2e.test_02_install import COMPONENTS, journaled
from tests.e2e.test_05_uninstall import assert_no_remainder, uninstall

BUILT = {"build-recipe", "fetch-artifact"}


@pytest.fixture(scope="module")
def trixie() -> Iterator[Fresh]:
    """A machine with Debian 13 and our program on it."""
    inside = Inside("debian13")
    try:
        if inside.exists():
            inside.delete()
        inside.create("--release", "trixie")
        before = compare.take(inside)
        inside.ship()
        yield Fresh(inside, before)
        inside.delete()
    finally:
        inside.close()


@pytest.fixture(scope="module")
def ran(trixie: Fresh) -> Ran:
    return trixie.inside.install()


def test_it_is_debian_13_with_a_newer_systemd_and_python(trixie: Fresh) -> None:
    assert trixie.inside.shell(". /etc/os-release; echo $VERSION_CODENAME") == "trixie\n"
    assert trixie.inside.run("systemctl", "is-system-running").out == "running\n"
    assert trixie.inside.run("/opt/olares/current/bin/python", "-V").out.startswith("Python 3.13.")


def test_every_component_runs_with_the_containerd_and_etcd_of_debian_13(trixie: Fresh, ran: Ran) -> None:
    inside = trixie.inside
    assert inside.states() == dict.fromkeys(COMPONENTS, "running")
    versions = inside.run("dpkg-query", "-W", "-f", "${Package} ${Version}\n", "containerd", "etcd-server").out
    assert "containerd 1.7." in versions
    assert "etcd-server 3.5." in versions


def test_nothing_is_built_for_debian_13_alone(trixie: Fresh, ran: Ran, tell: Tell) -> None:
    made = [row["what"] for row in ran.of("action-started") if row["kind"] in BUILT]
    tell(f"install on Debian 13: {ran.seconds:.0f} s, {len(made)} builds and downloads")
    assert made == []


def test_a_second_install_changes_nothing(trixie: Fresh, ran: Ran) -> None:
    before = journaled(trixie.inside)
    assert trixie.inside.install().result["changes"] == 0
    assert journaled(trixie.inside) == before


def test_an_uninstall_leaves_nothing(trixie: Fresh, ran: Ran, tell: Tell) -> None:
    removed = uninstall(trixie.inside)
    tell(f"uninstall on Debian 13: {removed.seconds:.0f} s")
    assert_no_remainder(trixie.inside, trixie.before)
