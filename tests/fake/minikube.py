"""A stand-in for minikube, for tests only: a program that keeps profiles as files and answers in minikube's forms.

It knows what `installers/machines/minikube` asks and nothing else, starts no machine and serves no Kubernetes. What it
says (events, statuses, reasons, refusals) follows minikube's sources at v1.38; a case of its own tests is not proof
that minikube does the same. Its state is below $MINIKUBE_HOME, as minikube's is:

    profiles/NAME/config.json   as `profile list` prints it; written before the machine is there
    machines/NAME/id_rsa.pub    another one in every machine; state: Running or Stopped
    faults.json                 {"start": {"name": "...", "code": 80, "message": "..."}}: end so
                                {"start": {"hang": "FILE"}}: after the profile is written, wait until FILE is gone
                                {"start": {"quiet": true, "code": 1}}: end so and say nothing
                                {"status": {"profile": "NAME", "hang": "FILE"}}: only for that profile
    calls                       every call, a line of JSON
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

VERSION = "v1.38.1"
ALIASES = {"qemu": "qemu2"}
STEPS = ("Initial Minikube Setup", "Selecting Driver", "Starting Node", "Creating VM", "Verifying Kubernetes", "Done")


class Minikube:
    """One call."""

    def __init__(self, argv: list[str]) -> None:
        self.home = Path(os.environ["MINIKUBE_HOME"])
        self.home.mkdir(parents=True, exist_ok=True)
        self.flags = dict(word.lstrip("-").partition("=")[::2] for word in argv if word.startswith("--"))
        self.words = [word for word in argv if not word.startswith("--")]
        self.name = self.flags.get("profile", "minikube")
        self.json = self.flags.get("output") == "json"
        self.profile = self.home / "profiles" / self.name
        self.machine = self.home / "machines" / self.name
        with (self.home / "calls").open("a") as calls:
            calls.write(json.dumps(argv) + "\n")

    def event(self, kind: str, **data: str) -> None:
        row = {
            "specversion": "1.0",
            "id": "0",
            "source": "https://minikube.sigs.k8s.io/",
            "type": f"io.k8s.sigs.minikube.{kind}",
            "datacontenttype": "application/json",
            "data": data,
        }
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def step(self, number: int, message: str) -> None:
        if self.json:
            total = str(len(STEPS) - 1)
            self.event("step", currentstep=str(number), totalsteps=total, name=STEPS[number], message=message)

    def exit(self, name: str, code: int, message: str, advice: str = "") -> NoReturn:
        if self.json:
            self.event("error", name=name, exitcode=str(code), message=message, advice=advice, issues="", url="")
        else:
            sys.stderr.write(f"\nX Exiting due to {name}: {message}\n")
        sys.exit(code)

    def fault(self, verb: str) -> None:
        file = self.home / "faults.json"
        fault = json.loads(file.read_text()).get(verb, {}) if file.exists() else {}
        if fault.get("profile", self.name) != self.name:
            return
        if hang := fault.get("hang"):
            while Path(hang).exists():
                time.sleep(0.02)
        elif fault.get("quiet"):
            sys.exit(fault["code"])
        elif fault:
            self.exit(fault["name"], fault["code"], fault["message"], fault.get("advice", ""))

    def config(self) -> dict[str, Any]:
        return dict(json.loads((self.profile / "config.json").read_text()))

    def state(self, new: str = "") -> str:
        file = self.machine / "state"
        if new:
            file.write_text(new)
        return file.read_text() if file.exists() else ""

    def images(self, new: list[str] | None = None) -> list[str]:
        file = self.machine / "images"
        if new is not None:
            file.write_text("\n".join(new))
        return file.read_text().split() if file.exists() else []


def version(call: Minikube) -> None:
    file = call.home / "version"
    said = file.read_text() if file.exists() else VERSION
    sys.stdout.write(json.dumps({"commit": "c93a4cb9311efc66b90d33ea03f75f2c4120e9b0", "minikubeVersion": said}) + "\n")


def profile(call: Minikube) -> None:
    valid = []
    for folder in sorted((call.home / "profiles").glob("*")):
        try:
            config = json.loads((folder / "config.json").read_text())
        except (OSError, ValueError):
            continue
        valid.append({"Name": folder.name, "Status": "Skipped", "Config": config, "Active": False})
    sys.stdout.write(json.dumps({"invalid": [], "valid": valid}))


def status(call: Minikube) -> None:
    call.fault("status")
    if not (call.profile / "config.json").exists():
        call.step(0, f'🤷  Profile "{call.name}" not found. Run "minikube profile list" to view all profiles.')
        sys.exit(85)
    state = call.state()
    if not state:
        sys.stdout.write("null")
        sys.exit(7)
    kubeconfig = "Configured" if state == "Running" else "Misconfigured"
    said = dict.fromkeys(("Host", "Kubelet", "APIServer"), state)
    sys.stdout.write(json.dumps({"Name": call.name, **said, "Kubeconfig": kubeconfig, "Worker": False}))
    sys.exit(0 if state == "Running" else 7)


def start(call: Minikube) -> None:
    flags = call.flags
    call.step(0, "😄  minikube v1.38.1 on Darwin 26.1 (arm64)")
    config_file = call.profile / "config.json"
    if config_file.exists():
        driver = call.config()["Driver"]
        if ALIASES.get(flags.get("driver", driver), flags.get("driver", driver)) != driver:
            message = f'The existing "{call.name}" cluster was created using the "{driver}" driver'
            call.exit("GUEST_DRIVER_MISMATCH", 81, message)
        if "memory" in flags and int(flags["memory"].rstrip("m")) != call.config()["Memory"]:
            call.event("warning", message="You cannot change the memory size for an existing minikube cluster.")
    else:
        memory = int(flags.get("memory", "2200m").rstrip("m"))
        if memory < 1800:
            message = f"Requested memory allocation {memory}MiB is less than the usable minimum of 1800MB"
            call.exit("RSRC_INSUFFICIENT_REQ_MEMORY", 23, message)
        kubernetes = flags.get("kubernetes-version", "v1.35.1")
        node = {"Name": "", "IP": "192.168.64.3", "Port": 8443, "KubernetesVersion": kubernetes, "ControlPlane": True}
        config = {
            "Name": call.name,
            "Memory": memory,
            "CPUs": int(flags["cpus"]),
            "DiskSize": int(flags["disk-size"].rstrip("m")),
            "Driver": ALIASES.get(flags["driver"], flags["driver"]),
            "ExposedPorts": flags["ports"].split(",") if "ports" in flags else [],
            "KubernetesConfig": {"KubernetesVersion": kubernetes, "ContainerRuntime": flags["container-runtime"]},
            "Nodes": [node],
        }
        call.profile.mkdir(parents=True, exist_ok=True)
        config_file.write_text(json.dumps(config))
    call.step(1, "✨  Using the vfkit driver based on user configuration")
    call.step(2, f'👍  Starting "{call.name}" primary control-plane node')
    call.fault("start")
    if not call.state():
        call.machine.mkdir(parents=True, exist_ok=True)
        (call.machine / "id_rsa.pub").write_text(f"ssh-rsa {os.urandom(16).hex()}\n")
        call.step(3, "🔥  Creating vfkit VM (CPUs=4, Memory=8192MB, Disk=81920MB) ...")
    call.state("Running")
    call.step(4, "🔎  Verifying Kubernetes components...")
    call.step(5, f'🏄  Done! kubectl is now configured to use "{call.name}" cluster and "default" namespace by default')


def stop(call: Minikube) -> None:
    call.fault("stop")
    call.state("Stopped")
    call.step(5, "🛑  1 node stopped.")


def delete(call: Minikube) -> None:
    call.fault("delete")
    for folder in (call.machine, call.profile):
        for file in folder.glob("*"):
            file.unlink()
        if folder.exists():
            folder.rmdir()
    call.step(5, f'💀  Removed all traces of the "{call.name}" cluster.')


def image(call: Minikube) -> None:
    if call.state() != "Running":
        call.exit("GUEST_IMAGE_LIST", 80, "Failed to list images")
    match call.words[1:]:
        case ["ls"]:
            sys.stdout.write(json.dumps([{"id": "sha256:1", "repoDigests": [], "repoTags": call.images()}]) + "\n")
        case ["load", archive]:
            call.fault("image load")
            # A file beside the archive says what the real one would read out of it.
            call.images([*call.images(), *Path(f"{archive}.tags").read_text().split()])
        case ["rm", *tags]:
            call.images([tag for tag in call.images() if tag not in tags])


VERBS = {
    "version": version,
    "profile": profile,
    "status": status,
    "start": start,
    "stop": stop,
    "delete": delete,
    "image": image,
}


def main() -> None:
    call = Minikube(sys.argv[1:])
    VERBS[call.words[0]](call)


if __name__ == "__main__":
    main()
