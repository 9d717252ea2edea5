"""Source, engine and edition: chosen once, locked, never changed silently."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from installers.choice import (
    choose,
    components,
    kubeconfig,
    left_out,
    lock_path,
    lock_text,
    locked_node,
    locked_proxy,
    with_lock,
)
from installers.core.errors import Failure
from installers.site import MACHINE, Node, Site
from tests.fake import FakeMachine, FakeProbe


def chosen(site: Site, machine: FakeMachine | None = None) -> tuple[str, str, str]:
    found = choose(site, FakeProbe(machine or FakeMachine()))
    return found.source, found.kube, found.edition


@pytest.mark.parametrize(
    ("source", "kube", "expected"),
    [
        ("", "", ("upstream", "k3s", "upstream")),
        ("", "kubernetes", ("upstream", "kubernetes", "upstream")),
        ("mirror", "", ("mirror", "k3s", "upstream")),
        ("debian", "", ("debian", "kubernetes", "debian")),
    ],
)
def test_a_host_takes_what_upstream_released(source: str, kube: str, expected: tuple[str, str, str]) -> None:
    assert chosen(Site(source=source, kube=kube)) == expected


def test_a_machine_takes_debians_packages() -> None:
    machine = FakeMachine()
    machine.tree.file(f"{MACHINE}/machine", "")
    assert chosen(Site(), machine) == ("debian", "kubernetes", "debian")
    assert chosen(Site(source="upstream"), machine) == ("upstream", "k3s", "upstream")


def test_an_engine_the_source_does_not_have_is_refused() -> None:
    with pytest.raises(Failure, match="OLR-PLAN-007"):
        chosen(Site(source="debian", kube="k3s"))


def locked() -> tuple[Site, FakeMachine]:
    site = replace(
        choose(Site(source="mirror", places=("https://a.lan",)), FakeProbe(FakeMachine())),
        node=Node("one", "192.0.2.1"),
    )
    machine = FakeMachine()
    machine.tree.file(lock_path(site), lock_text(site, components(site)))
    return site, machine


def test_a_password_that_an_earlier_lock_holds_is_left_behind() -> None:
    site, machine = locked()
    machine.tree.file(lock_path(site), lock_text(replace(site, places=("https://me:canary@a.lan/x",)), ()))
    found = choose(Site(), FakeProbe(machine))
    assert found.places == ("https://a.lan/x",)
    assert "canary" not in lock_text(found, ())


def test_what_is_locked_is_not_asked_again() -> None:
    site, machine = locked()
    machine.tree.file(f"{MACHINE}/machine", "")
    again = choose(Site(), FakeProbe(machine))
    assert replace(again, node=site.node) == site
    assert locked_node(site, FakeProbe(machine)) == Node("one", "192.0.2.1")
    assert locked_node(site, FakeProbe(FakeMachine())) is None


def test_a_lock_of_before_there_were_editions_is_read() -> None:
    machine = FakeMachine()
    row = {"source": "debian", "kube": "kubernetes", "node": {"name": "one", "address": "192.0.2.1"}}
    machine.tree.file(lock_path(Site()), json.dumps(row))
    assert chosen(Site(), machine) == ("debian", "kubernetes", "debian")


def test_another_place_for_the_same_bits_is_no_other_choice() -> None:
    _, machine = locked()
    moved = choose(Site(source="mirror", places=("https://b.lan",)), FakeProbe(machine))
    assert moved.places == ("https://b.lan",)


@pytest.mark.parametrize("asked", [Site(source="debian"), Site(kube="kubernetes")])
def test_another_choice_than_the_locked_one_is_refused_by_name(asked: Site) -> None:
    _, machine = locked()
    with pytest.raises(Failure, match="OLR-PLAN-006"):
        choose(asked, FakeProbe(machine))


def test_the_lock_names_every_version_and_substitute() -> None:
    site = choose(Site(source="debian"), FakeProbe(FakeMachine()))
    row = json.loads(lock_text(site, components(site)))
    assert row["systems"]["coredns"] == {"version": "9.18", "substitute": "BIND with a watcher"}
    assert row["systems"]["containerd"]["substitute"] == ""


def test_what_an_edition_does_not_have_is_left_out_aloud() -> None:
    debian = choose(Site(source="debian", skip=("nats",)), FakeProbe(FakeMachine()))
    assert [(row.name, row.why) for row in left_out(debian)] == [("nats", "it is left out by skip: in olares.yaml")]
    nowhere = replace(debian, edition="nowhere", skip=())
    assert components(nowhere) == ()
    assert {row.why for row in left_out(nowhere)} == {"it does not exist in the edition nowhere yet"}
    # Another engine's parts are not missed: K3s needs no kubeadm.
    assert "kubernetes" not in {row.name for row in left_out(replace(nowhere, kube="k3s"))}


def test_the_cluster_is_that_of_the_engine_and_no_other() -> None:
    """Somebody's admin.conf on a host that takes K3s leads to a cluster that is not ours."""
    machine = FakeMachine()
    machine.tree.file("/etc/kubernetes/admin.conf", "theirs\n")
    assert kubeconfig(Site(), FakeProbe(machine)) == "/etc/rancher/k3s/k3s.yaml"
    assert kubeconfig(Site(kube="kubernetes"), FakeProbe(machine)) == "/etc/kubernetes/admin.conf"


def test_an_installations_cluster_is_found_whatever_is_asked_for_now() -> None:
    """Undo and uninstall go by the lock: a file that asks for something else must not keep them from it."""
    site, machine = locked()
    for asked in (Site(source="debian"), Site(source="debian", kube="k3s"), Site(kube="kubernetes")):
        assert kubeconfig(asked, FakeProbe(machine)) == "/etc/rancher/k3s/k3s.yaml"
    assert site.kube == "k3s"


class Counting(FakeProbe):
    """Notes what is read."""

    def __init__(self, machine: FakeMachine) -> None:
        super().__init__(machine)
        self.asked: list[str] = []

    def read(self, path: str) -> bytes:
        self.asked.append(path)
        return super().read(path)


@pytest.mark.parametrize("installed", [True, False])
def test_one_command_goes_by_one_reading_of_the_lock(*, installed: bool) -> None:
    site, machine = locked()
    probe = Counting(machine if installed else FakeMachine())
    read = with_lock(Site(source="mirror", places=("https://a.lan",)), probe)
    answers = (choose, kubeconfig, locked_node, locked_proxy)
    found = [ask(read, probe) for ask in answers]
    assert probe.asked == ([lock_path(site)] if installed else [])
    assert [ask(replace(read, lock=None), probe) for ask in answers] == found
    # Another run writes one meanwhile: this command stays with what it saw.
    probe.machine.tree.file(lock_path(site), lock_text(replace(site, source="debian", places=()), ()))
    assert [ask(read, probe) for ask in answers] == found
