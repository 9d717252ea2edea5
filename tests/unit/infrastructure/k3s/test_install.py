"""K3s as a component: its unit, its choices, its objects, and what its footprint may not touch."""

from __future__ import annotations

import configparser
import json
from dataclasses import replace
from typing import Any

import jinja2
import msgspec
import pytest
import yaml

from installers.choice import KUBECONFIGS, choose, components, lock_path, lock_text
from installers.core.artifacts.releases import released
from installers.core.artifacts.upstream import upstream
from installers.core.component.load import load
from installers.core.component.steps import Wanted, build_steps
from installers.core.component.values import Platform, Values
from installers.core.engine.gather import FactStore
from installers.core.errors import Failure
from installers.core.facts.footprint import below
from installers.core.resources.artifacts import Binary
from installers.core.resources.files import Absent, File, Symlink
from installers.core.resources.templates import Template
from installers.core.resources.units import Unit
from installers.infrastructure.k3s.config import ENVIRONMENT, REGISTRIES
from installers.infrastructure.k3s.install import FOOTPRINT, resources
from installers.site import K3s, Node, Paths, Proxy, Registry, Site
from tests.fake import FakeMachine, FakeProbe, debian

PATH = "infrastructure/k3s"
SITE = Site(
    source="upstream", edition="upstream", kube="k3s", node=Node("mira", "192.0.2.7"), k3s=K3s("", "embedded", "own")
)


def made(site: Site) -> list[Any]:
    component = load(PATH, "upstream")
    values = Values(
        Platform("bookworm", "amd64"),
        releases={name: released(name, arch="amd64") for name in component.edition.releases},
        published={"etcd": load("infrastructure/etcd", "debian").manifest.publishes},
    )
    return list(resources(site, values))


def rendered(text: Any) -> str:
    return text.render(FactStore(FakeProbe(debian()), {}).view(())) if isinstance(text, Template) else text


def unit(site: Site) -> tuple[configparser.ConfigParser, str]:
    (found,) = [resource for resource in made(site) if isinstance(resource, Unit)]
    text = rendered(found.content)
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser, text


DOCUMENTED = {
    "Type": "notify",
    "KillMode": "process",
    "Delegate": "yes",
    "LimitNOFILE": "1048576",
    "LimitNPROC": "infinity",
    "LimitCORE": "infinity",
    "TasksMax": "infinity",
    "TimeoutStartSec": "0",
    "Restart": "always",
    "RestartSec": "5s",
}
"""What K3s's own installer writes: k3s-io/k3s, install.sh at 0136cf258954a458da1404858396342724b93d24."""


def test_the_unit_has_the_properties_of_k3s_own() -> None:
    parser, _ = unit(SITE)
    assert {key: parser["Service"][key] for key in DOCUMENTED} == DOCUMENTED
    assert parser["Service"]["EnvironmentFile"] == f"-{ENVIRONMENT}"
    assert parser["Unit"]["After"] == parser["Unit"]["Wants"] == "network-online.target"
    assert parser["Install"]["WantedBy"] == "multi-user.target"


def test_everything_is_in_the_file_and_nothing_in_the_command_line() -> None:
    parser, _ = unit(SITE)
    assert parser["Service"]["ExecStart"] == "/usr/local/bin/k3s server"


@pytest.mark.parametrize(
    ("choice", "after"),
    [
        (K3s("", "etcd", "own"), "network-online.target etcd.service"),
        (K3s("", "embedded", "shared"), "network-online.target containerd.service"),
        (K3s("", "etcd", "shared"), "network-online.target etcd.service containerd.service"),
    ],
)
def test_it_starts_after_what_it_takes_from_others(choice: K3s, after: str) -> None:
    parser, _ = unit(replace(SITE, k3s=choice))
    assert parser["Unit"]["After"] == parser["Unit"]["Wants"] == after


def test_an_agents_unit_is_the_same_but_for_its_role() -> None:
    """It tells systemd nothing of its readiness; joining is for later."""
    (found,) = [resource for resource in made(SITE) if isinstance(resource, Unit)]
    assert isinstance(found.content, Template)
    values = dict(found.content.values) | {"role": "agent"}
    text = rendered(Template("k3s.service.j2", package="installers.infrastructure.k3s", **values))
    assert "\nType=exec\n" in text
    assert "\nExecStart=/usr/local/bin/k3s agent\n" in text


def test_secrets_are_private_files() -> None:
    files = {resource.path: resource for resource in made(SITE) if isinstance(resource, File)}
    private = ("/etc/rancher/k3s/config.yaml", "/etc/rancher/k3s/token", "/etc/rancher/k3s/agent-token")
    assert sorted(files) == sorted(private)
    assert {files[path].mode for path in private} == {0o600}
    assert "k3s/token" in rendered(files["/etc/rancher/k3s/token"].content)


def test_the_images_lie_where_k3s_reads_them_and_before_it_starts() -> None:
    found = made(SITE)
    binaries = {r.path: r.mode for r in found if isinstance(r, Binary)}
    archive = "/var/lib/rancher/k3s/agent/images/k3s-airgap-images-amd64.tar.zst"
    assert binaries == {"/usr/local/bin/k3s": 0o755, archive: 0o644}
    keys = [resource.key for resource in found]
    assert keys.index(f"file:{archive}") < keys.index("unit:k3s.service")


def test_with_the_hosts_containerd_its_programs_stay_its_own() -> None:
    """And no archive is laid out that nobody would read."""
    found = made(replace(SITE, k3s=K3s("", "embedded", "shared")))
    assert [r.path for r in found if isinstance(r, Symlink)] == ["/usr/local/bin/kubectl"]
    assert [r.path for r in found if isinstance(r, Binary)] == ["/usr/local/bin/k3s"]


def fetched(site: Site) -> set[str]:
    component = load(PATH, "upstream")
    alone = replace(component, manifest=msgspec.structs.replace(component.manifest, requires=()))
    steps = build_steps([Wanted(alone, "cluster")], site, Platform("bookworm", "amd64"))
    return {step.resource.key for step in steps if step.background}


def test_only_what_is_used_is_fetched() -> None:
    assert fetched(SITE) == {"fetched:k3s", "fetched:k3s-images"}
    assert fetched(replace(SITE, k3s=K3s("", "embedded", "shared"))) == {"fetched:k3s"}


def test_the_hosts_containerd_and_a_bundle_do_not_go_together() -> None:
    with pytest.raises(Failure, match="OLR-KUBE-005"):
        made(replace(SITE, source="bundle", k3s=K3s("", "embedded", "shared")))


def test_the_version_is_the_pinned_one() -> None:
    known = upstream().releases
    assert load(PATH, "upstream").edition.version == known["k3s"].version == known["k3s-images"].version


def test_each_engine_says_where_its_kubeconfig_is() -> None:
    for kube, path in KUBECONFIGS.items():
        edition = "debian" if kube == "kubernetes" else "upstream"
        assert load(f"infrastructure/{kube}", edition).manifest.publishes["kubeconfig"] == path


def test_user_data_and_the_cluster_of_another_are_not_in_the_footprint() -> None:
    volumes = Paths().volumes
    trees = (*FOOTPRINT.trees, *FOOTPRINT.contents)
    assert not below(volumes, trees)
    assert not [tree for tree in trees if below(tree, (volumes, "/etc/kubernetes", "/var/lib/containerd"))]


def test_claims_find_their_directories_again() -> None:
    """The layout is that of the engine kubernetes: VOLUMES/NAMESPACE/CLAIM, kept when a claim goes."""
    ((_, text),) = load(PATH, "upstream").manifests
    plain = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False).from_string(text).render()  # noqa: S701
    objects = {item["kind"]: item for item in yaml.safe_load_all(plain)}
    assert objects["Namespace"]["metadata"]["name"] == "os-platform"
    storage = objects["StorageClass"]
    assert (storage["metadata"]["name"], storage["reclaimPolicy"]) == ("local", "Retain")
    assert storage["parameters"] == {"pathPattern": "{{ .PVC.Namespace }}/{{ .PVC.Name }}/"}


@pytest.mark.parametrize(
    ("choice", "outside"),
    [
        (K3s("", "embedded", "own"), set()),
        (K3s("", "etcd", "own"), {"etcd"}),
        (K3s("", "embedded", "shared"), {"containerd", "calico"}),
        (K3s("", "etcd", "shared"), {"etcd", "containerd", "calico"}),
    ],
)
def test_what_is_chosen_from_outside_is_required_and_not_brought(choice: K3s, outside: set[str]) -> None:
    (k3s,) = [c for c in components(replace(SITE, k3s=choice)) if c.name == "k3s"]
    everything = {"containerd", "etcd", "calico", "kubernetes", "coredns", "storage"}
    assert set(k3s.manifest.requires) == {"kernel"} | outside
    assert set(k3s.manifest.includes) == everything - outside
    assert (k3s.edition.substitute is None) == ("calico" in outside), "flannel stands in for Calico where it runs"


def test_with_its_own_parts_k3s_is_all_there_is() -> None:
    names = {c.name for c in components(SITE)}
    assert "k3s" in names
    assert not names & {"containerd", "etcd", "calico", "kubernetes", "coredns", "storage"}


def locked(machine: FakeMachine, site: Site) -> FakeProbe:
    machine.tree.file(lock_path(site), lock_text(site, ()))
    return FakeProbe(machine)


def test_datastore_and_runtime_are_chosen_once() -> None:
    site = choose(Site(), FakeProbe(debian()))
    assert (site.kube, site.k3s) == ("k3s", K3s("", "embedded", "own"))
    asked = choose(Site(k3s=K3s(datastore="etcd")), FakeProbe(debian()))
    probe = locked(debian(), asked)
    assert choose(Site(), probe).k3s == K3s("", "etcd", "own")
    assert choose(Site(k3s=K3s(datastore="etcd")), probe).k3s.datastore == "etcd"
    with pytest.raises(Failure, match="OLR-PLAN-006") as caught:
        choose(Site(k3s=K3s(datastore="embedded")), probe)
    assert caught.value.fields == {"name": "k3s.datastore", "wanted": "embedded", "has": "etcd"}


def test_what_is_asked_of_k3s_changes_no_other_engine() -> None:
    kubernetes = choose(Site(source="debian", k3s=K3s(datastore="etcd")), FakeProbe(debian()))
    probe = locked(debian(), kubernetes)
    assert "k3s" not in json.loads(probe.read(lock_path(kubernetes)))
    assert choose(Site(k3s=K3s(datastore="etcd")), probe).kube == "kubernetes"
    assert "etcd" in {c.name for c in components(choose(Site(source="debian"), probe))}


def test_proxies_and_mirrors_reach_k3s_and_nothing_is_written_without_them() -> None:
    assert not {one.path for one in made(SITE) if isinstance(one, File)} & {REGISTRIES, ENVIRONMENT}
    proxy = Proxy(https="http://proxy.lan:3128", direct=("lan",))
    wanted = replace(SITE, proxy=proxy, registries=(Registry("docker.io", ("https://mirror.lan",)),))
    found = {one.path: one for one in made(wanted) if isinstance(one, File)}
    assert "https://mirror.lan" in rendered(found[REGISTRIES].content)
    variables = rendered(found[ENVIRONMENT].content)
    assert 'HTTPS_PROXY="http://proxy.lan:3128"' in variables
    assert f'NO_PROXY="{",".join(wanted.reached_directly())}"' in variables
    assert {found[path].mode for path in (REGISTRIES, ENVIRONMENT)} == {0o600}
    # The host's containerd has them as its own component's files.
    shared = {one.path for one in made(replace(wanted, k3s=K3s("", "embedded", "shared"))) if isinstance(one, File)}
    assert REGISTRIES not in shared


def test_files_that_olares_yaml_asks_for_no_more_go_and_k3s_restarts() -> None:
    assert {one.path for one in made(SITE) if isinstance(one, Absent)} == {REGISTRIES, ENVIRONMENT}
    (unit,) = [one for one in made(SITE) if isinstance(one, Unit)]
    for path in (REGISTRIES, ENVIRONMENT):
        assert {f"file:{path}", f"absent:{path}"} <= set(unit.listens)
