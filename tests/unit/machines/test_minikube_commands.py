"""``machine`` with the minikube driver as it is typed: on a desk like a Mac's, in JSON, and what it will not do."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from installers.core.host.queries import QUERIES
from installers.machines.minikube.layout import Wanted
from olares_cli import app
from tests.unit.machines.desk import Desk

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[3]
SMALL = ("--vm-driver", "docker", "--cpus", "2", "--memory", "4096", "--disk", "20000")


class Mac:
    """The command line in a process of its own that sees no Linux."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def __call__(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "tests.unit.machines.mac", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            env={**self.desk.environ, "LC_ALL": "C.UTF-8", "COLUMNS": "100"},
        )
        assert done.returncode == code, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *words: str, code: int = 0) -> dict[str, Any]:
        lines = self(*words, "--output", "jsonl", code=code).stdout.splitlines()
        return dict(json.loads(lines[-1]))


@pytest.fixture
def mac(desk: Desk) -> Mac:
    return Mac(desk)


@pytest.mark.timeout(90)
def test_a_whole_life_touches_nothing_of_linux(mac: Mac, desk: Desk) -> None:
    """No --driver: minikube is what a Mac has. A sudo is neither asked for nor wanted."""
    made = mac.json("machine", "create", "dev", *SMALL)
    assert made["type"] == "machine"
    assert (made["name"], made["state"], made["profile"], made["context"]) == (
        "dev",
        "running",
        "olares-dev",
        "olares-dev",
    )
    assert (made["driver"], made["vm_driver"], made["cpus"], made["memory_mib"]) == ("minikube", "docker", 2, 4096)
    assert made["kubeconfig"] == f"{desk.environ['HOME']}/.kube/config"
    assert mac("machine", "stop", "dev").returncode == 0
    (stopped,) = mac.json("machine", "list")["machines"]
    assert (stopped["name"], stopped["state"]) == ("dev", "stopped")
    assert mac("machine", "start", "dev").stdout == "dev 192.168.64.3\n"
    assert mac("machine", "delete", "dev", "--yes").returncode == 0
    assert desk.kept() == []


def test_a_mac_makes_its_machine_with_vfkit_unless_told_otherwise(mac: Mac, desk: Desk) -> None:
    desk.program("vfkit", "#!/bin/sh\n")
    for _ in range(2):
        made = mac.json("machine", "create")
        assert (made["name"], made["profile"], made["vm_driver"], made["ports"]) == ("olares", "olares", "vfkit", [])
    (start,) = desk.calls("start")
    assert {"--driver=vfkit", "--cpus=4", "--memory=8192m", "--disk-size=81920m"} <= set(start)
    assert not [word for word in start if word.startswith("--ports")]


@pytest.mark.parametrize(("system", "wheels"), [("Darwin", False), ("Linux", True)])
def test_make_up_ships_wheels_only_where_they_are_installed(system: str, wheels: bool) -> None:
    told = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "--always-make", "up", f"SYSTEM={system}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )
    assert told.stdout.splitlines()[-1] == ".venv/bin/olares-cli machine up olares"
    assert ("tools.wheelhouse" in told.stdout) == wheels


def test_the_list_says_why_a_state_is_unknown(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.driver().create("dev", Wanted("docker", 2, 4096, 20000))
    gate = desk.folder / "gate"
    gate.touch()
    desk.fault(status={"hang": str(gate)})
    monkeypatch.setitem(QUERIES, "minikube", replace(QUERIES["minikube"], timeout=1.0))
    assert app.run(["machine", "list", "--driver", "minikube"]) == 0
    told = capsys.readouterr().out
    assert "\ndev      unknown  docker" in told
    assert "\ndev: OLR-HOST-002: minikube did not finish within 1 s" in told
    assert app.run(["machine", "list", "--driver", "minikube", "--output", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["machines"]
    assert (row["name"], row["state"]) == ("dev", "unknown")
    assert "did not finish within 1 s" in row["why"]


def test_delete_asks_first_and_without_a_person_does_nothing(mac: Mac, desk: Desk) -> None:
    desk.driver().create("dev", Wanted("docker", 2, 4096, 20000))
    refused = mac("machine", "delete", "dev", code=2)
    assert "OLR-CLI-004" in refused.stderr
    assert "minikube/dev.json" in desk.kept()


def test_up_gives_a_kubernetes_and_says_what_is_not_in_it(mac: Mac) -> None:
    said = mac("machine", "up", "dev", *SMALL, "--output", "jsonl", code=3)
    assert "Olares itself is not installed" in said.stderr
    told = json.loads(said.stdout.splitlines()[-1])
    assert (told["type"], told["state"]) == ("up", "running")
    assert {"postgresql", "kvrocks", "nats", "prometheus"} <= set(told["not_installed"])
    assert "kubernetes" not in told["not_installed"]


@pytest.mark.parametrize(
    ("words", "id"),
    [
        (("create", "../x"), "OLR-MACH-001"),
        (("delete", "../x", "--yes"), "OLR-MACH-001"),
        (("create", "Dev"), "OLR-MACH-001"),
        (("create", "dev-"), "OLR-MACH-001"),
        (("create", "dev", "--vm-driver", "kvm2"), "OLR-MINI-014"),
        (("create", "dev", "--vm-driver", "vfkit", "--port", "80"), "OLR-MINI-014"),
        (("create", "dev", "--vm-driver", "docker", "--port", "80:80:80"), "OLR-MINI-014"),
        (("create", "dev", "--kubernetes", "latest"), "OLR-MINI-014"),
        (("create", "dev", "--memory", "1000"), "OLR-MINI-005"),
        (("create", "dev", "--cpus", "1"), "OLR-MINI-005"),
        (("create", "dev", "--disk", "100"), "OLR-MINI-005"),
        (("create", "dev", "--image", "/nothing.tar"), "OLR-MINI-015"),
        (("create", "dev"), "OLR-MINI-003"),
        (("up", "dev", "--skip-phase", "platform"), "OLR-MINI-014"),
        (("delete", "dev", "--keep-tools", "--yes"), "OLR-MINI-014"),
        (("start", "nobody"), "OLR-MACH-003"),
        (("stop", "nobody"), "OLR-MACH-003"),
        (("shell", "nobody"), "OLR-MACH-003"),
        (("create", "dev", "--driver", "nspawn", "--cpus", "2"), "OLR-MINI-014"),
        (("create", "dev", "--driver", "nspawn"), "OLR-CLI-008"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_what_cannot_be_is_refused_by_id_and_nothing_is_made(
    desk: Desk, words: tuple[str, ...], id: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Read now: what this Python was built for does not change with what it says it runs on.
    sysconfig.get_config_vars()
    monkeypatch.setattr(sys, "platform", "darwin")
    code = app.run(["machine", *words, "--output", "jsonl"])
    assert code == (2 if id == "OLR-MINI-014" else 1)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["id"] == id
    assert told["next"]
    assert desk.kept() == []
