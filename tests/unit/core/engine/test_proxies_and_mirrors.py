"""Proxies and mirrors on the fake machine: put there, changed, taken away, with no more restarts than that takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from installers.core.component.values import Platform
from installers.core.model import Step
from installers.core.model.events import ActionStarted
from installers.core.resources.packages import Packages
from installers.infrastructure.containerd.registries import FOLDER
from installers.install import component_steps
from installers.site import Node, Proxy, Registry, Site
from tests.unit.core.engine.debian_install import debian_bench
from tests.unit.core.engine.workbench import Workbench

PLAIN = Site(source="debian", edition="debian", kube="kubernetes", node=Node("box", "192.168.1.20"))
PROXY = replace(PLAIN, proxy=Proxy("http://p.example:3128", "http://p.example:3128"))
MIRROR = replace(PLAIN, registries=(Registry("docker.io", ("https://m.example",)),))
OTHER = replace(PLAIN, registries=(Registry("docker.io", ("https://n.example",)),))
MORE = replace(PLAIN, registries=(*MIRROR.registries, Registry("quay.example:5000", ("https://m.example",))))
HOSTS = "/etc/containerd/certs.d/docker.io/hosts.toml"
DROPIN = "/etc/systemd/system/containerd.service.d/olares.conf"


def steps(site: Site) -> list[Step]:
    """containerd's own, with the packages of its phase."""
    every = component_steps(site, Platform("bookworm", "amd64"))
    return [step for step in every if step.component == "containerd" or isinstance(step.resource, Packages)]


def install(bench: Workbench, site: Site) -> list[str]:
    """Install, and what was started or restarted for it."""
    bench.events.clear()
    result = bench.install(steps(site))
    assert result.status == "done", result.failure
    assert bench.plan(steps(site)).changes() == ()
    return [event.what for event in bench.events if isinstance(event, ActionStarted) and event.kind == "start-unit"]


@pytest.fixture
def bench(tmp_path: Path, hasty: None) -> Workbench:
    return debian_bench(tmp_path / "bench")


def test_a_proxy_comes_and_goes_with_a_restart(bench: Workbench) -> None:
    install(bench, PLAIN)
    before = bench.machine.tree.text(DROPIN)
    assert len(install(bench, PROXY)) == 1
    assert 'HTTPS_PROXY=http://p.example:3128"' in bench.machine.tree.text(DROPIN)
    assert install(bench, PROXY) == []
    assert len(install(bench, PLAIN)) == 1
    assert bench.machine.tree.text(DROPIN) == before


def test_only_the_first_mirror_and_the_last_restart_containerd(bench: Workbench) -> None:
    install(bench, PLAIN)
    assert len(install(bench, MIRROR)) == 1
    assert install(bench, OTHER) == []
    assert "n.example" in bench.machine.tree.text(HOSTS)
    assert install(bench, MORE) == []
    assert len(install(bench, PLAIN)) == 1


SECOND = "/etc/containerd/certs.d/quay.example_5000_/hosts.toml"


def test_a_mirror_that_is_named_no_more_goes_and_an_undo_brings_it_back(bench: Workbench) -> None:
    install(bench, MORE)
    text = bench.machine.tree.text(SECOND)
    assert [item.step.resource.key for item in bench.plan(steps(MIRROR)).changes()] == [f"former:{FOLDER}"]
    assert install(bench, MIRROR) == [], "it is read at each pull"
    assert not bench.machine.tree.exists(SECOND)
    assert bench.machine.tree.exists(HOSTS)
    assert bench.undo().status == "done"
    assert bench.machine.tree.text(SECOND) == text


@pytest.mark.parametrize("name", ["quay.example", "quay.example_5000_"])
def test_a_file_of_the_users_own_or_one_he_edited_stays(bench: Workbench, name: str) -> None:
    install(bench, MORE)
    path = f"{FOLDER}/{name}/hosts.toml"
    text = bench.machine.tree.text(SECOND).replace("m.example", "mine.example") if path == SECOND else "# mine\n"
    bench.machine.tree.file(path, text)
    install(bench, PLAIN)
    assert bench.machine.tree.text(path) == text
    assert bench.machine.tree.exists(SECOND) is (path == SECOND)


def test_a_mirror_put_taken_away_and_put_again_leaves_nothing(bench: Workbench) -> None:
    for site in (MORE, PLAIN, MORE, PLAIN, MIRROR):
        install(bench, site)
    assert bench.uninstall().status == "done"
    assert [path for path in bench.machine.tree.nodes if "certs.d" in path] == []


def test_an_uninstall_leaves_nothing_of_them(bench: Workbench) -> None:
    install(bench, replace(MORE, proxy=PROXY.proxy))
    assert bench.machine.tree.exists(HOSTS)
    assert bench.uninstall().status == "done"
    left = [path for path in bench.machine.tree.nodes if "certs.d" in path or "containerd.service.d" in path]
    assert left == []
