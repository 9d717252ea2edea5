"""What containerd is told of proxies and mirrors; without them it is told what it was told before."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest

from installers.core.component.values import Platform
from installers.core.facts.platform import CgroupMode, Cgroups, MayLowerOomScore
from installers.core.model import Resource
from installers.core.resources.files import File
from installers.core.resources.templates import rendered
from installers.core.resources.units import Unit
from installers.infrastructure.containerd.install import CONFIG
from installers.infrastructure.containerd.registries import FOLDER, hosts_files, hosts_toml
from installers.install import component_steps
from installers.site import Node, Proxy, Registry, Site
from tests.unit.core.test_resource_cases import GivenFacts

FACTS = {CgroupMode(): Cgroups("v2", ()), MayLowerOomScore(): True}
DEBIAN = Site(source="debian", edition="debian", kube="kubernetes")
MIRRORS = (
    Registry("docker.io", ("https://mirror.example", "http://10.0.0.7:5000/")),
    Registry("registry.example:5000", ("https://mirror.example/v2/registry",), "/etc/ssl/certs/mirror.pem"),
)


def resources(site: Site) -> dict[str, Resource]:
    steps = component_steps(site, Platform("bookworm", "amd64"))
    return {step.resource.key: step.resource for step in steps if step.component == "containerd"}


def text(site: Site) -> str:
    found = resources(site)[f"file:{CONFIG}"]
    assert isinstance(found, File)
    return rendered(found.content, GivenFacts(FACTS, tuple(FACTS)))


def dropin(site: Site) -> str:
    unit = resources(site)["unit:containerd.service"]
    assert isinstance(unit, Unit)
    ((name, content),) = unit.dropins
    assert name == "olares.conf"
    return rendered(content, GivenFacts({}, ()))


def test_without_proxies_and_mirrors_nothing_changes() -> None:
    for site in (DEBIAN, replace(DEBIAN, proxy=Proxy()), replace(DEBIAN, proxy=Proxy(direct=("10.0.0.0/8",)))):
        assert resources(site).keys() == resources(DEBIAN).keys()
        assert not [key for key in resources(site) if key.startswith("file:/etc/containerd/")]
        assert "registry" not in text(site)
        assert dropin(site) == f"[Service]\nExecStart=\nExecStart=/usr/bin/containerd --config {CONFIG}\n"


def test_mirrors_are_files_and_containerd_is_told_where() -> None:
    site = replace(DEBIAN, registries=MIRRORS)
    config = tomllib.loads(text(site))
    assert config["plugins"]["io.containerd.grpc.v1.cri"]["registry"] == {"config_path": FOLDER}
    added = resources(site).keys() - resources(DEBIAN).keys()
    assert added == {
        "file:/etc/containerd/certs.d/docker.io/hosts.toml",
        "file:/etc/containerd/certs.d/registry.example_5000_/hosts.toml",
    }
    unit = resources(site)["unit:containerd.service"]
    assert isinstance(unit, Unit)
    assert unit.restart_on == (CONFIG,), "hosts.toml is read at each pull"


def test_hosts_toml_says_what_containerd_needs() -> None:
    first, second = (tomllib.loads(content) for _, content in hosts_files(MIRRORS))
    able = {"capabilities": ["pull", "resolve"]}
    assert first == {"host": {"https://mirror.example": able, "http://10.0.0.7:5000": able}}
    assert list(first["host"]) == ["https://mirror.example", "http://10.0.0.7:5000"], "asked in this order"
    there = {"override_path": True, "ca": "/etc/ssl/certs/mirror.pem"}
    assert second == {"host": {"https://mirror.example/v2/registry": able | there}}


@pytest.mark.parametrize("odd", ['a"b', "a\\b", "a\nb"])
def test_no_text_breaks_out_of_its_quotes(odd: str) -> None:
    found = tomllib.loads(hosts_toml(Registry("docker.io", ("https://m.example",), odd)))
    assert found["host"]["https://m.example"]["ca"] == odd


def test_a_proxy_reaches_the_service_with_all_that_is_reached_without() -> None:
    proxy = Proxy("http://proxy.example:3128", "http://other.example:3128", ("intra.example", "10.0.0.0/8"))
    site = replace(DEBIAN, node=Node("box", "192.168.1.20"), proxy=proxy)
    lines = dropin(site).splitlines()[3:]
    direct = "localhost,127.0.0.0/8,::1,10.233.64.0/18,10.96.0.0/16,cluster.local,192.168.1.20,intra.example,10.0.0.0/8"
    assert lines == [
        'Environment="HTTP_PROXY=http://proxy.example:3128"',
        'Environment="HTTPS_PROXY=http://other.example:3128"',
        f'Environment="NO_PROXY={direct}"',
    ]
    assert "HTTP_PROXY" not in dropin(replace(DEBIAN, proxy=Proxy(https="http://other.example:3128")))


def test_the_projects_own_containerd_is_told_the_same() -> None:
    plain = Site(source="upstream", edition="upstream", kube="kubernetes")
    proxies = Proxy("http://proxy.example:3128", "http://proxy.example:3128")
    site = replace(plain, registries=MIRRORS, proxy=proxies)
    assert resources(site).keys() - resources(plain).keys() == {f"file:{path}" for path, _ in hosts_files(MIRRORS)}
    for one in (plain, site):
        images = tomllib.loads(text(one))["plugins"]["io.containerd.cri.v1.images"]
        assert images["registry"] == {"config_path": FOLDER}
    assert text(site) == text(plain)
    assert "HTTPS_PROXY=http://proxy.example:3128" in dropin(site)
    assert "PROXY" not in dropin(plain)
