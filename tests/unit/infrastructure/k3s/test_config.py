"""What is written for K3s, against what K3s documents: every key by name and kind of value, for every choice."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from installers.core.facts.protection import Selinux, SelinuxState
from installers.core.resources.templates import Template, rendered
from installers.infrastructure.k3s.config import (
    AGENT_TOKEN,
    DISABLED,
    TOKEN,
    agent,
    environment,
    registries,
    server,
    written,
)
from installers.site import K3s, Network, Node, Paths, Registry, Site
from tests.unit.core.test_resource_cases import GivenFacts

DATA = Path(__file__).parents[3] / "data/k3s"
OPTIONS = yaml.safe_load((DATA / "options.yaml").read_text())
REGISTRIES = yaml.safe_load((DATA / "registries.yaml").read_text())
KINDS: Mapping[str, type] = {"text": str, "number": int, "truth": bool, "list": list, "map": dict}

SITE = Site(
    source="upstream",
    kube="k3s",
    node=Node("mira", "192.0.2.7"),
    network=Network(pods="10.1.0.0/16", services="10.2.0.0/16", dns="10.2.0.7", domain="home.arpa"),
    paths=replace(Paths(), state="/srv/olares"),
)
ETCD = {
    "endpoint": "https://127.0.0.1:2379",
    "ca": "/etc/olares/pki/etcd/ca.crt",
    "certificate": "/etc/olares/pki/etcd/client.crt",
    "key": "/etc/olares/pki/etcd/client.key",
}
CHOICES = [
    K3s(datastore=datastore, runtime=runtime)
    for datastore, runtime in itertools.product(("embedded", "etcd"), ("own", "shared"))
]


def read(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def configuration(role: str, choice: K3s) -> dict[str, Any]:
    """The file as K3s reads it."""
    site = replace(SITE, k3s=choice)
    if role == "agent":
        return read(written(agent(site, server="https://192.0.2.1:6443")))
    return read(written(server(site, ETCD if choice.datastore == "etcd" else {})))


def documented(role: str) -> dict[str, str]:
    """Each option of a role and what it takes; a server has an agent's options too."""
    tables = [OPTIONS["agent"]] if role == "agent" else [OPTIONS["server"], OPTIONS["agent"]]
    return {name: kind for table in tables for kind, names in table.items() for name in names}


def fits(value: object, kind: str) -> bool:
    """Whether a value is what an option takes; repeated options are lists of text."""
    if not isinstance(value, KINDS[kind]) or (kind == "number" and isinstance(value, bool)):
        return False
    return not isinstance(value, list) or (bool(value) and all(isinstance(item, str) for item in value))


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("role", ["server", "agent"])
def test_every_key_is_documented_and_has_the_right_kind(role: str, choice: K3s) -> None:
    known = documented(role)
    found = configuration(role, choice)
    assert found
    for key, value in found.items():
        assert key in known, f"k3s {role} has no option {key}"
        assert fits(value, known[key]), f"{key} takes {known[key]}, not {value!r}"


def test_the_rules_of_this_test_can_say_no() -> None:
    known = documented("server")
    assert "write-kubeconfig-mod" not in known
    assert not fits(384, known["write-kubeconfig-mode"])
    assert not fits("mira", known["node-ip"])
    assert not fits([], known["tls-san"])
    assert not fits("true", known["disable-helm-controller"])
    assert not fits(True, known["https-listen-port"])
    assert "tls-san" not in documented("agent")


def test_no_option_is_listed_twice() -> None:
    for role in ("server", "agent"):
        names = [name for kind in OPTIONS[role].values() for name in kind]
        assert len(names) == len(set(names))
    assert all(len(row["commit"]) == 40 for row in (*OPTIONS["sources"], *REGISTRIES["sources"]))


def test_what_is_disabled_can_be() -> None:
    assert set(DISABLED) <= set(OPTIONS["packaged"])
    assert not {"coredns", "local-storage"} & set(DISABLED), "nothing else would do their work"


def test_the_server_says_what_the_site_says() -> None:
    found = configuration("server", K3s())
    assert found["node-name"] == "mira"
    assert found["node-ip"] == ["192.0.2.7"]
    assert (found["cluster-cidr"], found["service-cidr"]) == (["10.1.0.0/16"], ["10.2.0.0/16"])
    assert (found["cluster-dns"], found["cluster-domain"]) == (["10.2.0.7"], "home.arpa")
    assert found["default-local-storage-path"] == "/srv/olares/volumes"
    assert found["tls-san"] == ["api.olares.internal"], "certificates carry a name, not an address"
    assert found["write-kubeconfig-mode"] == "0600"


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("role", ["server", "agent"])
def test_tokens_stand_in_files_of_their_own(role: str, choice: K3s) -> None:
    found = configuration(role, choice)
    assert not {"token", "agent-token"} & found.keys()
    assert found["token-file"] == (AGENT_TOKEN if role == "agent" else TOKEN)
    assert "secret" not in written(found)


def test_the_datastore_is_k3s_own_unless_etcd_is_chosen() -> None:
    assert not [key for key in configuration("server", K3s()) if key.startswith(("datastore", "cluster-init", "etcd"))]
    found = configuration("server", K3s(datastore="etcd"))
    assert {key: value for key, value in found.items() if key.startswith("datastore")} == {
        "datastore-endpoint": ETCD["endpoint"],
        "datastore-cafile": ETCD["ca"],
        "datastore-certfile": ETCD["certificate"],
        "datastore-keyfile": ETCD["key"],
    }


@pytest.mark.parametrize("role", ["server", "agent"])
def test_the_runtime_is_k3s_own_unless_the_hosts_is_chosen(role: str) -> None:
    assert "container-runtime-endpoint" not in configuration(role, K3s())
    found = configuration(role, K3s(runtime="shared"))
    assert found["container-runtime-endpoint"] == "unix:///run/containerd/containerd.sock"


def test_the_pod_network_goes_with_the_runtime() -> None:
    assert not {"flannel-backend", "disable-network-policy"} & configuration("server", K3s()).keys()
    found = configuration("server", K3s(runtime="shared"))
    assert (found["flannel-backend"], found["disable-network-policy"]) == ("none", True)
    assert "flannel-backend" not in configuration("agent", K3s(runtime="shared")), "the server tells its agents"


def test_an_agent_joins_by_address_and_decides_nothing_for_the_cluster() -> None:
    found = configuration("agent", K3s(datastore="etcd"))
    assert found == {
        "node-name": "mira",
        "node-ip": ["192.0.2.7"],
        "server": "https://192.0.2.1:6443",
        "token-file": AGENT_TOKEN,
    }


@pytest.mark.parametrize(
    "mirrors",
    [
        {"docker.io": ("https://mirror.example",)},
        {"docker.io": ("https://one.example:5000", "http://two.example"), "*": ("https://mirror.example",)},
        {"quay.io": ("https://mirror.example/v2/quay",)},
    ],
)
def test_registries_have_the_documented_form(mirrors: dict[str, tuple[str, ...]]) -> None:
    found = read(registries(Registry(name, endpoints) for name, endpoints in mirrors.items()))
    assert set(found) <= {"mirrors", "configs"}
    assert set(found["mirrors"]) == set(mirrors)
    for name, row in found["mirrors"].items():
        for key, value in row.items():
            assert fits(value, REGISTRIES["mirrors"][key])
        assert row["endpoint"] == list(mirrors[name])
        assert all(endpoint.startswith(("http://", "https://")) for endpoint in row["endpoint"])


def test_authorities_of_mirrors_have_the_documented_form() -> None:
    found = read(registries([Registry("docker.io", ("https://mirror.example:5000",), "/etc/ssl/mirror.pem")]))
    assert found["configs"] == {"mirror.example:5000": {"tls": {"ca_file": "/etc/ssl/mirror.pem"}}}
    for row in found["configs"].values():
        for section, keys in row.items():
            assert all(fits(value, REGISTRIES["configs"][section][key]) for key, value in keys.items())


def test_without_mirrors_there_is_no_file() -> None:
    assert registries(()) == ""


def test_variables_are_quoted_as_systemd_reads_them() -> None:
    text = environment({"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": 'a b,"c"\\'})
    assert text.splitlines()[1:] == ['HTTPS_PROXY="http://proxy.example:3128"', 'NO_PROXY="a b,\\"c\\"\\\\"']
    assert environment({}) == ""


@pytest.mark.parametrize(
    ("found", "on"),
    [
        (None, False),
        (Selinux("enforcing", container_policy=True), False),
        (Selinux("enforcing", container_policy=True, k3s_policy=True), True),
        (Selinux("permissive", container_policy=True, k3s_policy=True), True),
    ],
)
def test_selinux_is_said_only_where_it_is_on_with_k3s_own_policy(found: Selinux | None, on: bool) -> None:
    plain = written(server(SITE, {}))
    text = Template("config.yaml.j2", package="installers.infrastructure.k3s", text=plain, selinux=SelinuxState())
    made = rendered(text, GivenFacts({SelinuxState(): found}, (SelinuxState(),)))
    assert read(made) == {**read(plain), **({"selinux": True} if on else {})}
    if not on:
        assert made == plain
