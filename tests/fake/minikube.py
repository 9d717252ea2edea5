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

The tests call it hundreds of times, and pathlib and typing take longer to import than all it does.
"""

from __future__ import annotations

import json
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

VERSION = "v1.38.1"
ALIASES = {"qemu": "qemu2"}
STEPS = ("Initial Minikube Setup", "Selecting Driver", "Starting Node", "Creating VM", "Verifying Kubernetes", "Done")


def read(path: str) -> str:
    """A file's text, "" where there is none."""
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(path: str, text: str, mode: str = "w") -> None:
    with open(path, mode) as file:
        file.write(text)


def entries(folder: str) -> list[str]:
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


class Minikube:
    """One call."""

    def __init__(self, argv: list[str]) -> None:
        self.home = os.environ["MINIKUBE_HOME"]
        os.makedirs(self.home, exist_ok=True)
        self.flags = dict(word.lstrip("-").partition("=")[::2] for word in argv if word.startswith("--"))
        self.words = [word for word in argv if not word.startswith("--")]
        self.name = self.flags.get("profile", "minikube")
        self.json = self.flags.get("output") == "json"
        self.profile = f"{self.home}/profiles/{self.name}"
        self.machine = f"{self.home}/machines/{self.name}"
        self.made = f"{self.profile}/config.json"
        write(f"{self.home}/calls", json.dumps(argv) + "\n", "a")

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
        fault = json.loads(read(f"{self.home}/faults.json") or "{}").get(verb, {})
        if fault.get("profile", self.name) != self.name:
            return
        if hang := fault.get("hang"):
            while os.path.exists(hang):
                time.sleep(0.02)
        elif fault.get("quiet"):
            sys.exit(fault["code"])
        elif fault:
            self.exit(fault["name"], fault["code"], fault["message"], fault.get("advice", ""))

    def config(self) -> dict[str, Any]:
        return dict(json.loads(read(self.made)))

    def state(self, new: str = "") -> str:
        if new:
            write(f"{self.machine}/state", new)
        return read(f"{self.machine}/state")

    def images(self, new: list[str] | None = None) -> list[str]:
        if new is not None:
            write(f"{self.machine}/images", "\n".join(new))
        return read(f"{self.machine}/images").split()


def version(call: Minikube) -> None:
    said = read(f"{call.home}/version") or VERSION
    sys.stdout.write(json.dumps({"commit": "c93a4cb9311efc66b90d33ea03f75f2c4120e9b0", "minikubeVersion": said}) + "\n")


def profile(call: Minikube) -> None:
    valid = []
    for name in entries(f"{call.home}/profiles"):
        try:
            config = json.loads(read(f"{call.home}/profiles/{name}/config.json"))
        except (OSError, ValueError):
            continue
        valid.append({"Name": name, "Status": "Skipped", "Config": config, "Active": False})
    sys.stdout.write(json.dumps({"invalid": [], "valid": valid}))


def status(call: Minikube) -> None:
    call.fault("status")
    if not os.path.exists(call.made):
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
    if os.path.exists(call.made):
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
        os.makedirs(call.profile, exist_ok=True)
        write(call.made, json.dumps(config))
    call.step(1, "✨  Using the vfkit driver based on user configuration")
    call.step(2, f'👍  Starting "{call.name}" primary control-plane node')
    call.fault("start")
    if not call.state():
        os.makedirs(call.machine, exist_ok=True)
        write(f"{call.machine}/id_rsa.pub", f"ssh-rsa {os.urandom(16).hex()}\n")
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
        for name in entries(folder):
            os.unlink(f"{folder}/{name}")
        if os.path.isdir(folder):
            os.rmdir(folder)
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
            call.images([*call.images(), *read(f"{archive}.tags").split()])
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
