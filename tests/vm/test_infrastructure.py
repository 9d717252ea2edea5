"""The infrastructure on Debian's own kernel: all of it comes, works, and goes again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from installers.choice import components
from installers.site import Site
from tests.vm import picture
from tests.vm.conftest import Fresh, Installed, say
from tests.vm.guest import Guest

DEBIAN = Site(source="debian", kube="kubernetes", edition="debian")
COMPONENTS = {one.name for one in components(DEBIAN) if one.manifest.phase != "platform"}
STATES = """
import json, sys
from installers.core.facts.kernel import ModuleState
from installers.core.host.local import LocalProbe
print(json.dumps({name: ModuleState(name).load(LocalProbe()) for name in sys.argv[1:]}))
"""
CACHE = "/run/vm-kubectl"
"""kubectl's own files, removed by the scenario that takes the picture."""

KUBECTL = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", f"--cache-dir={CACHE}")
RESOLVE = "import socket, sys; print(*(socket.gethostbyname(name) for name in sys.argv[1:]))"
POD = "dns-client"


def states(guest: Guest, *names: str) -> dict[str, str]:
    """What our program says of kernel modules there."""
    found: dict[str, str] = json.loads(guest.run("/opt/olares/current/bin/python", "-c", STATES, *names).out)
    return found


def kubectl(guest: Guest, *words: str) -> str:
    return guest.run(*KUBECTL, *words).out


def running(guest: Guest) -> dict[str, str]:
    (status,) = guest.cli("status", ok=(0, 3)).of("status")
    return {row["name"]: row["state"] for row in status["components"]}


def test_the_kernel_is_debians_and_has_cgroups_of_version_two_alone(fresh: Fresh) -> None:
    release = fresh.guest.run("uname", "-r").out
    assert release.endswith("-cloud-amd64")
    kinds = {line.split()[2] for line in fresh.guest.run("cat", "/proc/mounts").lines}
    assert "cgroup2" in kinds
    assert "cgroup" not in kinds


def test_modules_are_told_apart(fresh: Fresh) -> None:
    found = states(fresh.guest, "br_netfilter", "virtio_blk", "ext4", "no_such_module")
    assert found == {
        "br_netfilter": "available",
        "virtio_blk": "loaded",
        "ext4": "built-in",
        "no_such_module": "missing",
    }


def test_every_component_runs_after_the_install(installed: Installed) -> None:
    now = running(installed.guest)
    assert {name: now[name] for name in COMPONENTS} == dict.fromkeys(COMPONENTS, "running")
    say(f"the install took {installed.ran.seconds:.0f} s here, {finished(installed)['seconds']:.0f} s there")


def finished(installed: Installed) -> dict[str, Any]:
    (record,) = installed.ran.of("run-finished")
    return record


def test_nothing_was_built_in_the_guest(installed: Installed) -> None:
    kinds = {record["kind"] for record in installed.ran.of("action-started")}
    assert not {kind for kind in kinds if kind.startswith("build")}


def test_the_module_was_loaded_by_us(installed: Installed) -> None:
    loads = [record["what"] for record in installed.ran.of("action-started") if record["kind"] == "load-module"]
    assert any("br_netfilter" in what for what in loads)
    assert states(installed.guest, "br_netfilter") == {"br_netfilter": "loaded"}
    assert installed.guest.run("cat", "/proc/sys/net/bridge/bridge-nf-call-iptables").out == "1"


def test_systemd_keeps_the_pods_in_its_cgroups(installed: Installed) -> None:
    guest = installed.guest
    assert "SystemdCgroup = true" in guest.run("cat", "/etc/olares/containerd.toml").out
    assert "cgroupDriver: systemd" in guest.run("cat", "/var/lib/kubelet/config.yaml").out
    assert guest.run("systemctl", "is-active", "kubepods.slice").out == "active"
    assert guest.run("ls", "/sys/fs/cgroup/kubepods.slice").lines


def test_a_pod_starts_and_resolves_names(installed: Installed) -> None:
    guest = installed.guest
    deployment = json.loads(kubectl(guest, "get", "deployment/cluster-dns", "-n", "kube-system", "-o", "json"))
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    made = ("run", POD, f"--image={image}", "--image-pull-policy=Never", "--restart=Never")
    kubectl(guest, *made, "--command", "--", "sleep", "infinity")
    kubectl(guest, "wait", f"pod/{POD}", "--for=condition=Ready", "--timeout=120s")
    names = ("kubernetes", "kubernetes.default.svc.cluster.local")
    answers = kubectl(guest, "exec", POD, "--", "python3", "-c", RESOLVE, *names)
    service = kubectl(guest, "get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}")
    assert answers.split() == [service, service]
    kubectl(guest, "delete", "pod", POD, "--grace-period=1")


def test_a_second_install_changes_nothing(installed: Installed) -> None:
    ran = installed.guest.cli("install", "--yes", "--source", "debian", "--accept-eol", "--skip-phase", "platform")
    (record,) = ran.of("run-finished")
    assert (record["status"], record["changes"]) == ("done", 0)


def test_uninstall_leaves_the_guest_as_it_was(installed: Installed) -> None:
    guest = installed.guest
    say("everything is uninstalled")
    ran = guest.cli("uninstall", "--yes", ok=(0, 3))
    guest.run("rm", "-rf", CACHE)
    say("a picture of what is left")
    rest = picture.remainder(installed.before, picture.take(guest))
    told = [f"{row['what']}: {row['why']}" for row in ran.of("result")[0]["left"]]
    assert not rest, listed([*told, *(f"{name}: {said}" for name, said in rest.items())])
    assert ran.code == 0, str(ran)


def listed(lines: Iterable[str]) -> str:
    rows = list(lines)
    return "\n".join([f"{len(rows)} differences", *rows[:80]])
