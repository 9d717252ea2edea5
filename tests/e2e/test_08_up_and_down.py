"""`make up` brings a machine with a running Olares, and `make down` takes all of it away again."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import urllib.request
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
import yaml

from installers.core.resources.firewall import FirewallRule
from installers.core.resources.network import Link
from installers.machines import resources
from tests.e2e import compare, outside
from tests.e2e.conftest import Fresh, Tell
from tests.e2e.inside import WHEELS, Inside, Ran, outer

ARTIFACTS = "artifacts"
"""The phase of downloads and builds: what a warm cache spares."""


@pytest.fixture(scope="module")
def gone(fresh: Fresh) -> Inside:
    """After `make down`; the cache stays warm."""
    if fresh.inside.exists():
        fresh.inside.ended(outer("machine", "delete", fresh.inside.name, "--yes"))
    return fresh.inside


@pytest.fixture(scope="module")
def quiet(gone: Inside) -> compare.Snapshot:
    """This computer with no machine on it and no package that was installed for one."""
    if others := [machine.name for machine in gone.driver.listed()]:
        pytest.skip(f"other machines are here: {', '.join(others)}")
    return outside.take()


def up(inside: Inside) -> Ran:
    words = ("--output", "jsonl", "machine", "up", inside.name, "--wheelhouse", str(WHEELS))
    return inside.ended(outer(*words, timeout=1800))


def of(ran: Ran, type: str) -> list[dict[str, Any]]:
    """Records of one type; machines are no run with a result, so the last line is of its own type."""
    return [row for row in map(json.loads, ran.out.splitlines()) if row["type"] == type]


def test_up_after_down_executes_everything_but_fetches_and_builds(
    quiet: compare.Snapshot, gone: Inside, tell: Tell
) -> None:
    gone.create()
    gone.ship()
    steps = gone.plan(ok=(3,))["steps"]
    wanted = {step["key"] for step in steps if step["decision"] != "satisfied"}
    spared = {step["key"] for step in steps if step["phase"] == ARTIFACTS}
    gone.delete()
    ran = up(gone)
    inner = [row for row in of(ran, "step-finished") if row["phase"] != "machine"]
    executed = {row["key"] for row in inner if row["outcome"] in ("changed", "satisfied")}
    kinds = {row["kind"] for row in of(ran, "action-finished")}
    tell(f"make up with a warm cache: {ran.seconds:.0f} s, {len(of(ran, 'action-finished'))} actions")
    assert wanted & spared == set(), "the cache was not warm"
    assert wanted - spared - executed == set()
    assert not kinds & {"fetch-artifact", "build-recipe", "build-base"}
    assert ran.seconds <= 120


def test_up_again_finds_everything_there_in_seconds(gone: Inside, tell: Tell) -> None:
    ran = up(gone)
    tell(f"make up once more: {ran.seconds:.1f} s")
    assert of(ran, "action-finished") == []
    assert ran.seconds <= 10


def test_what_the_computer_around_it_lost_is_repaired_by_the_next_up(gone: Inside) -> None:
    """The kinds of resource no component inside has: a network link and firewall rules."""
    shared = list(resources.shared(gone.driver.paths, "bookworm"))
    rules = [resource for resource in shared if isinstance(resource, FirewallRule)]
    (link,) = (resource for resource in shared if isinstance(resource, Link))
    for rule in rules:
        run("iptables", "-w", "20", "-t", rule.table, "-D", rule.chain, *rule.args)
    run("ip", "address", "del", link.addresses[0], "dev", link.name)
    ran = up(gone)
    changed = {row["key"] for row in of(ran, "step-finished") if row["outcome"] == "changed"}
    assert changed == {link.key, *(rule.key for rule in rules)}
    assert gone.run("id", "-un").out == "root\n"


def run(*words: str) -> None:
    subprocess.run(words, stdin=subprocess.DEVNULL, check=True, timeout=30)


def test_the_kubeconfig_that_up_names_works_from_this_computer(gone: Inside) -> None:
    (told,) = of(up(gone), "up")
    path = Path(told["kubeconfig"])
    assert path.stat().st_mode & 0o777 == 0o600
    config = yaml.safe_load(path.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trust = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with NamedTemporaryFile("wb") as both:
        both.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        both.flush()
        trust.load_cert_chain(both.name)
        with urllib.request.urlopen(f"{cluster['server']}/readyz", timeout=10, context=trust) as answer:  # noqa: S310
            assert answer.read() == b"ok"


def test_down_leaves_this_computer_as_it_was(quiet: compare.Snapshot, gone: Inside) -> None:
    gone.ended(outer("machine", "delete", gone.name, "--yes"))
    found = compare.differences(quiet, outside.take())
    assert not found, compare.listed(found)
