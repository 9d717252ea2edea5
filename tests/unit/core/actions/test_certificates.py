"""Certificates are made by `cryptography`, read back as facts, and taken back by their mark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from installers.core.errors import Failure
from installers.core.facts.certificates import CertificateAt, CertificateState
from installers.core.model import DONE, Action, Change, Left, Resource, Satisfied
from installers.core.resources.certificates import Certificate, CertificateAuthority
from tests.fake import FakeHost, FakeMachine, debian

CA = CertificateAuthority("ca", "/etc/kubernetes/pki/etcd", "etcd-ca")
SERVER = Certificate(
    "server", CA, CA.directory, "node1", ("system:masters",), ("node1", "10.0.0.5"), ("server", "client")
)


class Read(dict[Any, Any]):
    """Facts read from a fake."""

    def __init__(self, host: FakeHost, resource: Resource) -> None:
        super().__init__({fact: fact.load(host) for fact in resource.needs()})


def bring(host: FakeHost, resource: Resource) -> list[Action]:
    """Do what a resource decides, and return the ways back, latest first."""
    decision = resource.decide(Read(host, resource))
    assert isinstance(decision, Change), decision
    back: list[Action] = []
    for action in decision.actions:
        inverse = action.inverse(host)
        assert isinstance(inverse, Action)
        back.insert(0, inverse)
        assert action.execute(host) == DONE
    assert isinstance(resource.decide(Read(host, resource)), Satisfied)
    return back


def files(machine: FakeMachine) -> Mapping[str, Any]:
    host = FakeHost(machine)
    names = [f"{CA.directory}/{name}" for name in host.listdir(CA.directory)]
    return {name: (host.digest(name), (stat := host.stat(name)) and stat.permissions) for name in names}


def test_made_and_taken_back() -> None:
    machine = debian()
    host = FakeHost(machine)
    back = bring(host, CA) + bring(host, SERVER)
    made = files(machine)
    assert {name.rpartition("/")[2]: mode for name, (_, mode) in made.items()} == {
        "ca.crt": 0o644,
        "ca.key": 0o600,
        "server.crt": 0o644,
        "server.key": 0o600,
    }
    state = CertificateAt(SERVER.stem).load(host)
    assert isinstance(state, CertificateState)
    assert (state.organisations, state.addresses, state.days_left) == (("system:masters",), ("10.0.0.5",), 365)
    for _ in range(2):
        assert [action.execute(host) for action in reversed(back)] == [DONE, DONE]
        assert host.stat("/etc/kubernetes") is None


def test_the_chain_verifies() -> None:
    from cryptography import x509
    from cryptography.x509.verification import PolicyBuilder, Store

    host = FakeHost(debian())
    bring(host, CA)
    bring(host, SERVER)
    authority = x509.load_pem_x509_certificate(host.read(f"{CA.stem}.crt"))
    leaf = x509.load_pem_x509_certificate(host.read(f"{SERVER.stem}.crt"))
    builder = PolicyBuilder().store(Store([authority])).time(leaf.not_valid_before_utc)
    assert builder.build_server_verifier(x509.DNSName("node1")).verify(leaf, []) == [leaf, authority]


def test_renewal_keeps_what_the_authority_signed_and_can_be_undone() -> None:
    machine = debian()
    host = FakeHost(machine)
    bring(host, CA)
    bring(host, SERVER)
    before = files(machine)
    machine.tree.live["/proc/stat"] = lambda: f"cpu 1\nbtime {1795341600 + 3640 * 86400}\n"
    [renewal] = bring(host, CA)
    assert host.digest(f"{CA.stem}.crt") != before[f"{CA.stem}.crt"][0]
    assert host.digest(f"{CA.stem}.key") == before[f"{CA.stem}.key"][0]
    assert renewal.execute(host) == DONE
    assert renewal.execute(host) == DONE
    assert files(machine) == before


def test_a_new_address_is_a_new_certificate() -> None:
    machine = debian()
    host = FakeHost(machine)
    bring(host, CA)
    bring(host, SERVER)
    before = files(machine)
    moved = Certificate(
        "server", CA, CA.directory, "node1", ("system:masters",), ("node1", "10.0.0.6"), ("server", "client")
    )
    [back] = bring(host, moved)
    assert back.execute(host) == DONE
    assert files(machine) == before


def test_somebody_elses_certificate_stays() -> None:
    machine = debian()
    host = FakeHost(machine)
    [back] = bring(host, CA)
    machine.tree.file(f"{CA.stem}.crt", "-----BEGIN CERTIFICATE-----\nanother\n-----END CERTIFICATE-----\n")
    outcome = back.execute(host)
    assert isinstance(outcome, Left)
    assert host.stat(f"{CA.stem}.key") is not None


@pytest.mark.parametrize("n", range(1, 6))
def test_a_crash_leaves_nothing_an_undo_does_not_find(n: int) -> None:
    """The way back is known before; whatever was written by then goes with it."""
    from tests.fake import Crash

    machine = debian()
    host = FakeHost(machine)
    decision = CA.decide(Read(host, CA))
    assert isinstance(decision, Change)
    [action] = decision.actions
    back = action.inverse(host)
    assert isinstance(back, Action)
    machine.crash_at(n, "after")
    with pytest.raises(Crash):
        action.execute(host)
    machine.crash.disarm()
    assert back.execute(host) == DONE
    assert host.stat(f"{CA.stem}.crt") is None
    assert host.stat(f"{CA.stem}.key") is None


def test_no_key_to_sign_with() -> None:
    machine = debian()
    host = FakeHost(machine)
    bring(host, CA)
    decision = SERVER.decide(Read(host, SERVER))
    assert isinstance(decision, Change)
    machine.tree.unlink(f"{CA.stem}.key")
    with pytest.raises(Failure, match="OLR-CERT-002"):
        decision.actions[0].execute(host)
