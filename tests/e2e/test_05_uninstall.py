"""An uninstall leaves nothing behind, and touches nothing that is not ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.e2e import compare, data
from tests.e2e.cluster import CACHE, Cluster
from tests.e2e.conftest import Fresh, Installed, Tell
from tests.e2e.inside import Inside, Ran, Unexpected, lines_of

UNINSTALL = 600.0
COMPONENTS = "rm -r /opt/olares/current/lib/python3*/site-packages/installers/infrastructure" + (
    " /opt/olares/current/lib/python3*/site-packages/installers/platform"
)
BESIDE = (
    "/etc/olares/mine",
    "/etc/kubernetes/mine",
    "/etc/cni/net.d/99-mine.conflist",
    "/etc/systemd/system/containerd.service.d/mine.conf",
    "/usr/local/bin/mine",
    "/var/lib/olares/mine",
)
"""Files a user put beside ours."""

LINES = {"/etc/hosts": "192.0.2.7 mine.example\n", "/etc/fstab": "tmpfs /mine tmpfs noauto 0 0\n"}
DEPENDENT = """
mkdir -p /tmp/mine/DEBIAN
printf 'Package: mine\\nVersion: 1\\nArchitecture: all\\nMaintainer: me <me@example>\\n%s\\nDescription: mine\\n' \
  'Depends: socat' > /tmp/mine/DEBIAN/control
dpkg-deb --build /tmp/mine /tmp/mine.deb
dpkg --install /tmp/mine.deb
rm -r /tmp/mine /tmp/mine.deb
"""
"""A package of the user's that needs one of ours."""


def uninstall(inside: Inside, *, ok: tuple[int, ...] = (0,)) -> Ran:
    return inside.cli("uninstall", "--yes", ok=ok, timeout=UNINSTALL)


def assert_no_remainder(inside: Inside, before: compare.Snapshot, *, without_data: bool = False) -> None:
    """The machine is what it was, exceptions aside; ``without_data``: nothing was ever stored in it."""
    inside.run("rm", "-rf", CACHE)  # kubectl's, of the test itself
    after = compare.take(inside)
    rest, unused = compare.remainder(before, after)
    assert not rest, compare.listed(rest)
    kept = {"/var/lib/olares/volumes", "/var/lib/olares/secrets"}
    assert not (set(unused) - kept if without_data else unused), "exceptions that match nothing"
    assert not (unknown := compare.unknown_unsteady(before, after)), f"not on this machine: {unknown}"


def again(inside: Inside) -> Ran:
    """Bring the program and the installation back."""
    inside.shell("rm -rf /opt/olares")
    inside.ship()
    return inside.install()


@pytest.fixture(scope="module")
def used(installed: Installed) -> Iterator[Installed]:
    """The machine with data in its platform and the user's own things beside ours."""
    inside, cluster = installed.inside, Cluster(installed.inside)
    data.clients(cluster).put()
    data.remove(cluster)
    for path in BESIDE:
        inside.write(path, "mine\n")
    for path, line in LINES.items():
        inside.run("tee", "-a", path, input=line)
    inside.shell(DEPENDENT)
    yield installed
    inside.shell("dpkg --purge mine; rm -f " + " ".join(BESIDE), ok=())


@pytest.fixture(scope="module")
def accounts(used: Installed) -> Mapping[str, str]:
    """Digests of the kept secrets: the same account is one with the same password."""
    return secrets(used.inside)


@pytest.fixture(scope="module")
def removed(used: Installed, accounts: Mapping[str, str]) -> Ran:
    used.inside.shell(COMPONENTS)
    return uninstall(used.inside, ok=())


def test_an_uninstall_without_its_component_folders_finishes_and_names_what_was_left(removed: Ran) -> None:
    assert removed.code == 3, str(removed)
    left = {row["what"]: row["why"] for row in removed.result["left"]}
    socat = [why for what, why in left.items() if "socat" in what]
    assert socat, f"the package that is still needed is not named: {left}"
    assert "mine" in socat[0]
    named = " ".join([*left, *left.values()])
    assert "/etc/kubernetes" in named
    assert "/etc/cni/net.d" in named


def test_what_the_user_added_survives(removed: Ran, used: Installed) -> None:
    inside = used.inside
    assert [path for path in BESIDE if inside.run("cat", path, ok=()).out != "mine\n"] == []
    for path, line in LINES.items():
        assert line in inside.read(path)
        assert "olares" not in inside.read(path)
    assert inside.run("dpkg-query", "-W", "-f", "${Status}", "mine", "socat").out.count("ok installed") == 2


def test_data_and_the_secrets_that_open_it_are_kept(removed: Ran, used: Installed, accounts: Mapping[str, str]) -> None:
    assert secrets(used.inside) == accounts
    assert used.inside.shell("ls /var/lib/olares/volumes").split()


def test_nothing_is_left_once_the_user_took_his_things_away(removed: Ran, used: Installed) -> None:
    inside = used.inside
    needed = [row["what"].replace(",", "") for row in removed.result["left"] if "socat" in row["what"]]
    inside.shell(f"apt-get -y -q purge mine {' '.join(needed)}")
    inside.shell("rm -f " + " ".join(BESIDE))
    for directory in ("/etc/olares", "/etc/kubernetes", "/etc/cni/net.d", "/etc/systemd/system/containerd.service.d"):
        inside.run("rmdir", "-p", "--ignore-fail-on-non-empty", directory, ok=())
    for path, line in LINES.items():
        inside.run("sed", "-i", f"\\|^{line.strip()}$|d", path)
    inside.run("systemctl", "daemon-reload")
    assert_no_remainder(inside, used.before)


def test_the_next_install_finds_the_same_account_and_the_same_row(
    removed: Ran, used: Installed, accounts: Mapping[str, str]
) -> None:
    again(used.inside)
    assert secrets(used.inside) == accounts
    cluster = Cluster(used.inside)
    clients = data.clients(cluster)
    assert clients.missing() == []
    data.remove(cluster)


def secrets(inside: Inside) -> Mapping[str, str]:
    """Kept secrets by name, as digests."""
    lines = inside.shell("cd /var/lib/olares/secrets; find . -type f -exec sha256sum {} +").splitlines()
    return {line.split()[1]: line.split()[0] for line in lines}


def test_an_uninstall_finishes_with_the_api_dead(installed: Installed, tell: Tell) -> None:
    inside = installed.inside
    inside.shell(
        "systemctl kill --signal=KILL etcd.service; systemctl stop etcd.service; pkill -KILL -x kube-apiserver"
    )
    ran = uninstall(inside)
    slowest = sorted(ran.of("action-finished"), key=lambda row: row["seconds"])[-3:]
    said = ", ".join(f"{row['kind']} {row['key']} {row['seconds']:.0f} s" for row in reversed(slowest))
    tell(f"uninstall with the API dead: {ran.seconds:.0f} s, the longest: {said}")
    assert_no_remainder(inside, installed.before)


def test_an_uninstall_finishes_from_a_half_done_install(shipped: Fresh) -> None:
    inside = shipped.inside
    inside.ship()
    cut_off(inside, after="start kubelet.service")
    uninstall(inside)
    assert_no_remainder(inside, shipped.before)
    again(inside)


def cut_off(inside: Inside, *, after: str) -> None:
    """Begin an install and kill all of it once the action that says ``after`` has begun."""
    process = inside.begin(*inside.command("install", "--yes"))
    for record in lines_of(process):
        if record["type"] == "action-started" and record["what"].startswith(after):
            inside.shell("systemctl kill --signal=KILL 'olares-run-*.service'")
            process.communicate(timeout=60)
            return
    raise Unexpected(f"the install never came to: {after}")
