"""The minikube driver against a stand-in for minikube: what it does, refuses, and takes up again."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from installers.core.engine.lease import lease
from installers.core.errors import Failure
from installers.core.host.queries import QUERIES
from installers.core.model.events import Progress
from installers.machines.minikube import actions
from installers.machines.minikube.layout import Wanted, driver_program
from tests.unit.machines.desk import SMALL, Desk

pytestmark = pytest.mark.processes


def refused(desk: Desk, name: str, wanted: Wanted) -> Failure:
    with pytest.raises(Failure) as failure:
        desk.driver().create(name, wanted)
    assert failure.value.what
    assert failure.value.next
    return failure.value


def test_create_makes_a_profile_with_what_was_asked_for(desk: Desk) -> None:
    made = desk.driver().create("dev", Wanted("docker", 3, 6144, 40000, ("8080:80", "30180"), "v1.33.3"))
    config = desk.config("olares-dev")
    assert (config["CPUs"], config["Memory"], config["DiskSize"], config["Driver"]) == (3, 6144, 40000, "docker")
    assert config["ExposedPorts"] == ["8080:80", "30180"]
    assert config["KubernetesConfig"] == {"KubernetesVersion": "v1.33.3", "ContainerRuntime": "containerd"}
    assert (made.state, made.address, made.kubernetes) == ("running", "192.168.64.3", "v1.33.3")
    assert made.profile.kubeconfig == f"{desk.environ['HOME']}/.kube/config"
    (start,) = desk.calls("start")
    assert {"--keep-context", "--interactive=false", "--profile=olares-dev"} <= set(start)
    steps = [event.text for event in desk.events if isinstance(event, Progress)]
    assert any("minikube v1.38.1" in text for text in steps)


def test_create_again_has_nothing_to_do(desk: Desk) -> None:
    desk.driver().create("dev", SMALL)
    before = desk.kept()
    for wanted in (SMALL, Wanted()):
        assert desk.driver().create("dev", wanted).state == "running"
    assert len(desk.calls("start")) == 1
    assert desk.kept() == before


def test_a_qemu_machine_is_one_under_minikubes_own_name_for_it(desk: Desk) -> None:
    """minikube keeps the driver qemu as qemu2: neither other settings nor another driver."""
    desk.program(driver_program("qemu"), "#!/bin/sh\n")
    small = replace(SMALL, driver="qemu")
    for _ in range(2):
        assert desk.driver().create("dev", small).profile.settings.driver == "qemu"
    assert desk.config("olares-dev")["Driver"] == "qemu2"
    assert len(desk.calls("start")) == 1
    assert desk.driver().halt("dev").status == "done"
    assert desk.driver().start("dev").state == "running"
    assert desk.driver().delete("dev").status == "done"
    assert desk.kept() == []


def test_other_settings_are_refused_and_all_named(desk: Desk) -> None:
    desk.driver().create("dev", SMALL)
    before = desk.config("olares-dev")
    failure = refused(desk, "dev", Wanted(cpus=4, memory=8192, ports=("80",), kubernetes="v1.33.3"))
    assert failure.id == "OLR-MINI-007"
    for words in ("CPUs 2, not 4", "memory (MiB) 4096, not 8192", "ports none, not 80", "Kubernetes minikube's own"):
        assert words in failure.what
    assert desk.config("olares-dev") == before
    assert len(desk.calls("start")) == 1


def test_settings_changed_without_us_are_named_as_such(desk: Desk) -> None:
    desk.driver().create("dev", SMALL)
    desk.config("olares-dev", CPUs=7)
    failure = refused(desk, "dev", Wanted())
    assert failure.id == "OLR-MINI-007"
    assert "CPUs 7, not 2 (changed without us)" in failure.what


def test_stop_and_start_keep_the_machine(desk: Desk) -> None:
    driver = desk.driver()
    driver.create("dev", SMALL)
    key = (desk.home / "machines/olares-dev/id_rsa.pub").read_text()
    assert (driver.halt("dev").status, driver.listed()[0].state) == ("done", "stopped")
    assert driver.halt("dev").changes == 0
    assert driver.start("dev").state == "running"
    assert (desk.home / "machines/olares-dev/id_rsa.pub").read_text() == key
    assert "--memory=4096m" not in desk.calls("start")[-1]


def test_a_profile_that_was_there_before_is_neither_used_nor_deleted(desk: Desk) -> None:
    desk.foreign("olares-dev")
    before = desk.kept()
    assert refused(desk, "dev", SMALL).id == "OLR-MINI-008"
    for verb in (desk.driver().delete, desk.driver().halt, desk.driver().start):
        with pytest.raises(Failure) as unknown:
            verb("dev")
        assert unknown.value.id == "OLR-MACH-003"
    assert [name for name in desk.kept() if not name.startswith("minikube/")] == before
    assert (desk.calls("start"), desk.calls("stop"), desk.calls("delete")) == ([], [], [])


def test_a_broken_profile_of_that_name_is_foreign_too(desk: Desk) -> None:
    (desk.home / "profiles/olares-dev").mkdir(parents=True)
    assert refused(desk, "dev", SMALL).id == "OLR-MINI-008"


def test_a_profile_made_anew_by_somebody_is_left_and_said_so(desk: Desk) -> None:
    desk.driver().create("dev", SMALL)
    desk.machine("olares-dev")
    assert desk.driver().listed()[0].state == "foreign"
    assert refused(desk, "dev", Wanted()).id == "OLR-MINI-008"
    with pytest.raises(Failure) as stop:
        desk.driver().halt("dev")
    assert stop.value.id == "OLR-MINI-008"
    result = desk.driver().delete("dev")
    assert (result.status, [left.what for left in result.left]) == ("left", ["minikube profile olares-dev"])
    assert desk.calls("delete") == []
    assert desk.kept() == ["machines/olares-dev", "profiles/olares-dev"]


def test_without_its_record_nothing_is_deleted(desk: Desk) -> None:
    """As when we were killed before it was written, and somebody made a profile of that name since."""
    desk.driver().create("dev", SMALL)
    (desk.state / "minikube/dev.json").unlink()
    result = desk.driver().delete("dev")
    assert (result.status, [left.why for left in result.left]) == ("left", ["there is no record that it is ours"])
    assert desk.calls("delete") == []
    assert desk.kept() == ["machines/olares-dev", "profiles/olares-dev"]


def test_delete_removes_its_own_profile_only_and_nothing_is_left_of_ours(desk: Desk) -> None:
    desk.foreign("somebodys")
    driver = desk.driver()
    for name in ("dev", "olares"):
        driver.create(name, SMALL)
    driver.halt("dev")
    driver.start("dev")
    assert driver.delete("dev").status == "done"
    assert desk.calls("delete") == [["delete", "--output=json", "--profile=olares-dev"]]
    assert [one.profile.machine for one in driver.listed()] == ["olares"]
    assert driver.delete("olares").status == "done"
    assert desk.kept() == ["machines/somebodys", "profiles/somebodys"]
    assert [path.name for path in desk.state.iterdir()] == ["lock"]


def test_deleted_twice_it_is_unknown(desk: Desk) -> None:
    desk.driver().create("dev", SMALL)
    desk.driver().delete("dev")
    with pytest.raises(Failure) as unknown:
        desk.driver().delete("dev")
    assert unknown.value.id == "OLR-MACH-003"


def test_a_profile_removed_by_hand_is_forgotten_or_made_again(desk: Desk) -> None:
    driver = desk.driver()
    driver.create("dev", SMALL)
    subprocess.run([desk.folder / "bin/minikube", "delete", "--profile=olares-dev"], check=True, timeout=20)
    assert driver.listed()[0].state == "gone"
    assert driver.create("dev", Wanted()).state == "running"
    assert desk.config("olares-dev")["Memory"] == 4096
    assert driver.delete("dev").status == "done"
    assert desk.kept() == []


def test_a_profile_nobody_can_read_is_broken_and_can_be_deleted(desk: Desk) -> None:
    desk.driver().create("dev", SMALL)
    (desk.home / "profiles/olares-dev/config.json").write_text("{")
    assert desk.driver().listed()[0].state == "broken"
    assert refused(desk, "dev", Wanted()).id == "OLR-MINI-009"
    assert desk.driver().delete("dev").status == "done"
    assert desk.kept() == []


@pytest.mark.parametrize(
    ("fault", "id", "words"),
    [
        (
            {"name": "PROVIDER_DOCKER_NOT_RUNNING", "code": 63, "message": "Cannot connect to the Docker daemon"},
            "OLR-MINI-004",
            "Cannot connect",
        ),
        (
            {"name": "PROVIDER_VFKIT_NOT_FOUND", "code": 65, "message": "The 'vfkit' provider was not found"},
            "OLR-MINI-003",
            "'vfkit' provider",
        ),
        (
            {"name": "RSRC_DOCKER_STORAGE", "code": 26, "message": "Docker is out of disk space!"},
            "OLR-MINI-006",
            "RSRC_DOCKER_STORAGE",
        ),
        (
            {"name": "HOST_CONFIG_LOAD", "code": 38, "message": "Unable to load config"},
            "OLR-MINI-009",
            "Unable to load",
        ),
        (
            {"name": "GUEST_PROVISION", "code": 80, "message": "error provisioning guest: boom", "advice": "Try again"},
            "OLR-MINI-010",
            "status 80 (GUEST_PROVISION): error provisioning guest: boom",
        ),
        ({"quiet": True, "code": 45}, "OLR-MINI-010", "status 45 (about the internet)"),
        ({"quiet": True, "code": 1}, "OLR-MINI-010", "status 1 (about itself)"),
    ],
    ids=lambda value: value.get("name", value["code"]) if isinstance(value, dict) else "",
)
def test_minikube_ends_with_a_reason_and_the_next_create_goes_on(
    desk: Desk, fault: dict[str, object], id: str, words: str
) -> None:
    desk.home.mkdir(parents=True)
    desk.fault(start=fault)
    failure = refused(desk, "dev", SMALL)
    assert failure.id == id
    assert words in failure.what
    assert desk.driver().listed()[0].state == "unfinished"
    desk.no_fault()
    assert desk.driver().create("dev", Wanted()).state == "running"
    assert desk.driver().delete("dev").status == "done"
    assert desk.kept() == []


def test_refused_by_minikube_for_its_size_it_can_be_asked_for_smaller(desk: Desk) -> None:
    desk.home.mkdir(parents=True)
    desk.fault(start={"name": "RSRC_INSUFFICIENT_SYS_MEMORY", "code": 23, "message": "too much"})
    assert refused(desk, "dev", SMALL).id == "OLR-MINI-006"
    subprocess.run([desk.folder / "bin/minikube", "delete", "--profile=olares-dev"], check=True, timeout=20)
    desk.no_fault()
    assert desk.driver().create("dev", replace(SMALL, memory=2048)).state == "running"
    assert desk.config("olares-dev")["Memory"] == 2048


def test_what_a_failed_create_left_is_deleted_by_delete(desk: Desk) -> None:
    desk.home.mkdir(parents=True)
    desk.fault(start={"name": "GUEST_START", "code": 80, "message": "failed to start node"})
    refused(desk, "dev", SMALL)
    assert desk.driver().delete("dev").status == "done"
    assert desk.kept() == []


def test_a_delete_that_fails_keeps_the_record_for_the_next(desk: Desk) -> None:
    desk.driver().create("dev", SMALL)
    desk.fault(delete={"name": "GUEST_DELETION", "code": 80, "message": "VM is locked"})
    result = desk.driver().delete("dev")
    assert result.status == "left"
    assert "VM is locked" in desk.notes()
    assert desk.driver().listed()[0].state == "running"
    desk.no_fault()
    assert desk.driver().delete("dev").status == "done"
    assert desk.kept() == []


def test_a_minikube_that_hangs_is_ended_and_told_of(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = desk.folder / "gate"
    gate.touch()
    desk.home.mkdir(parents=True)
    desk.fault(start={"hang": str(gate)})
    monkeypatch.setattr(actions, "START", 1.0)
    failure = refused(desk, "dev", SMALL)
    assert minikubes(str(desk.folder)) == []
    assert failure.id == "OLR-MINI-011"
    assert 'its last step was: Starting "olares-dev" primary control-plane node' in failure.what
    assert "the machine now: no machine" in failure.what


@pytest.mark.parametrize("program", ["print('what?'); sys.exit(1)", "time.sleep(60)"], ids=["odd", "hanging"])
def test_no_sure_answer_changes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    desk.driver().create("dev", SMALL)
    before = desk.kept()
    monkeypatch.setitem(QUERIES, "minikube", replace(QUERIES["minikube"], timeout=0.3))
    desk.program("minikube", f"#!{sys.executable} -IS\nimport sys, time\n{program}\n")
    driver = desk.driver()
    for verb in (driver.listed, lambda: driver.create("dev", Wanted()), lambda: driver.delete("dev")):
        with pytest.raises(Failure) as unsure:
            verb()
        assert unsure.value.id == "OLR-MINI-012"
    assert desk.kept() == before


def test_a_second_run_at_once_is_refused_and_told_who_is_at_it(desk: Desk) -> None:
    with lease(str(desk.state / "lock"), verb="create"):
        failure = refused(desk, "dev", SMALL)
    assert (failure.id, failure.fields["pid"]) == ("OLR-RUN-001", str(os.getpid()))


def test_an_interrupt_ends_a_download_and_the_next_create_goes_on(desk: Desk) -> None:
    gate = desk.folder / "gate"
    gate.touch()
    desk.home.mkdir(parents=True)
    desk.fault(start={"hang": str(gate)})
    driver = desk.driver()
    timer = threading.Timer(1.0, driver.stop.set)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        driver.create("dev", SMALL)
    timer.join()
    assert minikubes(str(desk.folder)) == []
    gate.unlink()
    assert desk.driver().create("dev", Wanted()).state == "running"


CREATE = """
import os, sys
os.geteuid = lambda: 1000
from installers.machines.minikube.driver import MinikubeDriver
from installers.machines.minikube.layout import Wanted, user_paths
driver = MinikubeDriver(user_paths(os.environ), lambda event: None)
driver.create("dev", Wanted("docker", 2, 4096, 20000))
"""


@pytest.mark.parametrize("minikube_too", [False, True], ids=["we alone", "minikube too"])
def test_killed_in_the_middle_it_is_taken_up(desk: Desk, minikube_too: bool) -> None:
    gate = desk.folder / "gate"
    gate.touch()
    desk.home.mkdir(parents=True)
    desk.fault(start={"hang": str(gate)})
    ours = subprocess.Popen([sys.executable, "-c", CREATE], stdin=subprocess.DEVNULL, cwd=Path(__file__).parents[3])
    profile = desk.home / "profiles/olares-dev/config.json"
    wait_for(profile.exists)
    wait_for(lambda: bool(minikubes(str(desk.folder))))
    ours.kill()
    ours.wait(10)
    if minikube_too:
        for pid in minikubes(str(desk.folder)):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not minikubes(str(desk.folder)))
        desk.no_fault()
    else:
        # It goes on by itself: the next run ends it before it starts another.
        desk.no_fault()
    assert desk.driver().create("dev", Wanted()).state == "running"
    assert desk.driver().delete("dev").status == "done"
    assert desk.kept() == []


def minikubes(folder: str) -> list[int]:
    """Stand-ins of this test that run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if f"{folder}/bin/minikube" in words and "start" in words:
            found.append(int(path.parent.name))
    return found


def wait_for(happened: object) -> None:
    deadline = time.monotonic() + 10
    assert callable(happened)
    while not happened():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def test_killed_while_deleting_the_next_delete_ends_it(desk: Desk) -> None:
    desk.driver().create("dev", SMALL)
    gate = desk.folder / "gate"
    gate.touch()
    desk.fault(delete={"hang": str(gate)})
    program = CREATE.replace('driver.create("dev", Wanted("docker", 2, 4096, 20000))', 'driver.delete("dev")')
    ours = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.DEVNULL, cwd=Path(__file__).parents[3])
    wait_for(lambda: bool(desk.calls("delete")))
    ours.kill()
    ours.wait(10)
    gate.unlink()
    assert desk.driver().delete("dev").status == "done"
    assert desk.kept() == []


def archive(folder: Path, *tags: str) -> str:
    """An archive as docker save writes it, as far as it is read, and what the stand-in will take from it."""
    path = folder / "images.tar"
    content = json.dumps([{"Config": "c.json", "RepoTags": list(tags), "Layers": []}]).encode()
    member = tarfile.TarInfo("manifest.json")
    member.size = len(content)
    with tarfile.open(path, "w") as file:
        file.addfile(member, io.BytesIO(content))
    (folder / "images.tar.tags").write_text("docker.io/library/mine:1 ghcr.io/ada/tool:2")
    return str(path)


def test_images_are_loaded_once_and_only_after_the_machine_runs(desk: Desk) -> None:
    path = archive(desk.folder, "mine:1", "ghcr.io/ada/tool:2")
    for _ in range(2):
        desk.driver().create("dev", SMALL, [path])
    loads = [row for row in desk.calls("image") if row[1] == "load"]
    assert loads == [["image", "load", path, "--profile=olares-dev"]]


def test_an_image_that_will_not_load_is_told_by_minikubes_reason(desk: Desk) -> None:
    path = archive(desk.folder, "mine:1")
    desk.home.mkdir(parents=True)
    desk.fault(image_load={"name": "GUEST_IMAGE_LOAD", "code": 80, "message": "Failed to load image"})
    with pytest.raises(Failure) as failure:
        desk.driver().create("dev", SMALL, [path])
    assert failure.value.id == "OLR-MINI-010"
    assert "status 80 (GUEST_IMAGE_LOAD): Failed to load image" in failure.value.what


@pytest.mark.parametrize("content", [b"no tar", b""], ids=["text", "empty"])
def test_what_is_no_archive_is_refused_before_anything_begins(desk: Desk, content: bytes) -> None:
    (desk.folder / "x.tar").write_bytes(content)
    with pytest.raises(Failure) as failure:
        desk.driver().create("dev", SMALL, [str(desk.folder / "x.tar")])
    assert failure.value.id == "OLR-MINI-015"
    assert desk.kept() == []


def test_what_it_stands_on_is_looked_at_before_anything_is_changed(desk: Desk) -> None:
    cases = []
    desk.docker('{"ServerErrors":["Cannot connect to the Docker daemon"]}', code=1)
    cases.append(refused(desk, "dev", SMALL).id)
    desk.docker('{"ServerVersion":"28.3.2","NCPU":8,"MemTotal":4000000000}')
    cases.append(refused(desk, "dev", SMALL).id)
    (desk.folder / "bin/docker").unlink()
    cases.append(refused(desk, "dev", SMALL).id)
    desk.home.mkdir(parents=True, exist_ok=True)
    (desk.home / "version").write_text("v1.35.0")
    cases.append(refused(desk, "dev", SMALL).id)
    (desk.folder / "bin/minikube").unlink()
    cases.append(refused(desk, "dev", SMALL).id)
    assert cases == ["OLR-MINI-004", "OLR-MINI-006", "OLR-MINI-003", "OLR-MINI-002", "OLR-MINI-001"]
    assert desk.kept() == []


def test_without_minikube_a_machine_is_not_forgotten(desk: Desk) -> None:
    desk.driver().create("dev", SMALL)
    (desk.folder / "bin/minikube").unlink()
    with pytest.raises(Failure) as failure:
        desk.driver().delete("dev")
    assert failure.value.id == "OLR-MINI-001"
    with pytest.raises(Failure) as listed:
        desk.driver().listed()
    assert listed.value.id == "OLR-MINI-001"
    assert "minikube/dev.json" in desk.kept()


def test_another_minikube_home_is_refused_not_taken_for_deleted(desk: Desk) -> None:
    desk.driver().create("dev", SMALL)
    desk.environ["MINIKUBE_HOME"] = str(desk.folder / "elsewhere")
    for verb in (desk.driver().delete, desk.driver().halt, desk.driver().start):
        with pytest.raises(Failure) as failure:
            verb("dev")
        assert failure.value.id == "OLR-MINI-013"
    assert refused(desk, "dev", Wanted()).id == "OLR-MINI-013"


def test_root_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert refused(desk, "dev", SMALL).id == "OLR-MINI-016"


def test_the_shells_words_stay_words(desk: Desk) -> None:
    desk.driver().create("dev", SMALL)
    assert desk.driver().shell("dev", []) == ["minikube", "ssh", "--profile=olares-dev"]
    words = desk.driver().shell("dev", ["sh", "-c", "echo 'a b' $HOME"])
    assert words[:4] == ["minikube", "ssh", "--profile=olares-dev", "--"]
    assert words[4:] == ["sh -c 'echo '\"'\"'a b'\"'\"' $HOME'"]
