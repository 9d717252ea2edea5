"""containerd 2 for real: the one of Debian testing reads what the edition upstream writes for it.

Testing moves on by itself, so that this is no part of what a change must pass: ``make e2e-long``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.e2e.conftest import Tell
from tests.e2e.inside import Inside
from tests.unit.infrastructure.test_upstream_edition import file

pytestmark = pytest.mark.long

CONFIG = "/etc/olares/containerd.toml"
PROGRAM = "/root/testing/usr/bin/containerd"
CTR = "/root/testing/usr/bin/ctr"
FETCH = """
set -e
mkdir -p /etc/olares /root/lists/partial
cd /root
mirror=$(apt-get --print-uris update | sed -n "s|^'\\(.*\\)/dists/trixie/.*|\\1|p" | head -1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror testing main" > testing.list
set -- -q -o Dir::Etc::sourcelist=/root/testing.list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::Lists=/root/lists
# A mirror may lag behind; signatures are still checked.
apt-get "$@" -o Acquire::Check-Valid-Until=false update
apt-get "$@" download containerd
dpkg-deb -x containerd_*.deb testing
"""
START = "systemd-run --quiet --unit=testing --property=Delegate=yes"


@pytest.fixture(scope="module")
def testing() -> Iterator[Inside]:
    """A machine with Debian 13 and testing's containerd beside it, not installed."""
    inside = Inside("containerd2")
    try:
        if inside.exists():
            inside.delete()
        inside.create("--release", "trixie")
        inside.shell(FETCH, timeout=600)
        yield inside
        inside.delete()
    finally:
        inside.close()


def leaves(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each value with the keys above it."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name), value


def test_it_keeps_every_value_and_its_plugins_start(testing: Inside, tell: Tell) -> None:
    version = testing.run(PROGRAM, "--version").out.split()[2]
    tell(f"containerd of Debian testing: {version}")
    assert int(version.partition(".")[0]) >= 2
    text = file(CONFIG)
    testing.write(CONFIG, text)
    understood = dict(leaves(tomllib.loads(testing.run(PROGRAM, "--config", CONFIG, "config", "dump").out)))
    # It prints the newest version of the format it knows.
    wanted = {keys: value for keys, value in leaves(tomllib.loads(text)) if keys != ("version",)}
    assert {keys: understood.get(keys) for keys in wanted} == wanted
    testing.shell(
        f"{START} {PROGRAM} --config {CONFIG}; until {PROGRAM.rpartition('/')[0]}/ctr version; do sleep 1; done"
    )
    plugins = [line.split() for line in testing.run(CTR, "plugins", "ls").out.splitlines()]
    cri = {row[1]: row[-1] for row in plugins if row and row[0].startswith("io.containerd.cri.v1")}
    assert cri == {"images": "ok", "runtime": "ok"}
    assert [row[-1] for row in plugins if row and row[:2] == ["io.containerd.grpc.v1", "cri"]] == ["ok"]
    assert said(testing) == []


def said(inside: Inside) -> list[str]:
    """Lines of its log about keys it does not know."""
    log = inside.shell("journalctl --unit=testing --output=cat --no-pager")
    return [line for line in log.splitlines() if "unknown key" in line.lower() or "strict mode" in line.lower()]


def test_a_misspelt_key_would_have_been_seen(testing: Inside) -> None:
    testing.shell("systemctl stop testing")
    testing.write(CONFIG, file(CONFIG).replace("bin_dirs", "bin_dirz"))
    testing.shell(f"{START} {PROGRAM} --config {CONFIG}; sleep 5")
    assert [line for line in said(testing) if "bin_dirz" in line]
