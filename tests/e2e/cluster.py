"""The cluster in a machine, and pods in it that do what an application would."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.inside import Inside, Ran, Unexpected

ADMIN = "/etc/kubernetes/admin.conf"
CACHE = "/run/e2e-kubectl"
"""kubectl's own cache, kept out of root's home."""

KUBECTL = ("kubectl", f"--kubeconfig={ADMIN}", f"--cache-dir={CACHE}")
PLATFORM = "os-platform"
PROGRAMS = Path(__file__).with_name("pods")


@dataclass(frozen=True, slots=True)
class Cluster:
    """kubectl in the machine."""

    inside: Inside

    def kubectl(self, *words: str, input: str | None = None, ok: Sequence[int] = (0,), timeout: float = 120.0) -> Ran:
        return self.inside.run(*KUBECTL, *words, input=input, ok=ok, timeout=timeout)

    def get(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", "-o", "json", *words).out)
        return found

    def apply(self, *objects: Mapping[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def image(self, workload: str, namespace: str = PLATFORM) -> str:
        """The image a workload runs: it is on the node already."""
        found = self.get(workload, "-n", namespace)
        image: str = found["spec"]["template"]["spec"]["containers"][0]["image"]
        return image

    def pod(
        self,
        name: str,
        image: str,
        *,
        namespace: str = PLATFORM,
        secrets: Mapping[str, str] | None = None,
        user: int = 65532,
    ) -> Pod:
        """A pod of that image which waits to be told what to do. ``secrets``: Secret → where it is mounted."""
        secrets = secrets or {}
        container = {
            "name": "main",
            "image": image,
            "imagePullPolicy": "Never",
            "command": ["sleep", "infinity"],
            "volumeMounts": [{"name": one, "mountPath": where, "readOnly": True} for one, where in secrets.items()],
        }
        spec = {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "restartPolicy": "Never",
            "securityContext": {"runAsUser": user, "runAsGroup": user, "fsGroup": user},
            "containers": [container],
            "volumes": [{"name": one, "secret": {"secretName": one, "defaultMode": 0o440}} for one in secrets],
        }
        labels = {"e2e": name}
        metadata = {"name": name, "namespace": namespace, "labels": labels}
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        self.kubectl("wait", "-n", namespace, f"pod/{name}", "--for=condition=Ready", "--timeout=90s")
        return Pod(self, name, namespace)

    def restart(self, pod: str, namespace: str = PLATFORM, *, deadline: float = 120.0) -> None:
        """Delete a StatefulSet's pod and wait until the one in its place is ready."""
        before = self.get("pod", pod, "-n", namespace)["metadata"]["uid"]
        self.kubectl("delete", "pod", pod, "-n", namespace)
        until = time.monotonic() + deadline
        while time.monotonic() < until:
            found = self.kubectl("get", "pod", pod, "-n", namespace, "-o", "json", ok=(0, 1))
            if found.code == 0 and _ready(json.loads(found.out), before):
                return
            time.sleep(0.5)
        raise Unexpected(f"no new {pod} after {deadline:g} s")


def _ready(pod: Mapping[str, Any], before: str) -> bool:
    conditions = {row["type"]: row["status"] for row in pod["status"].get("conditions", ())}
    return pod["metadata"]["uid"] != before and conditions.get("Ready") == "True"


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod to run programs in."""

    cluster: Cluster
    name: str
    namespace: str

    def run(self, *argv: str, input: str | None = None, ok: Sequence[int] = (0,), timeout: float = 60.0) -> Ran:
        words = ("exec", "-i", "-n", self.namespace, self.name, "--", *argv)
        return self.cluster.kubectl(*words, input=input, ok=ok, timeout=timeout)

    def sh(self, script: str, *, ok: Sequence[int] = (0,)) -> Ran:
        return self.run("sh", "-c", script, ok=ok)

    def python(self, program: str, *arguments: str, timeout: float = 60.0) -> str:
        """Run one of the programs in ``pods/`` with the pod's own python3."""
        text = (PROGRAMS / f"{program}.py").read_text()
        return self.run("python3", "-c", text, *arguments, timeout=timeout).out

    def begin(self, program: str, *arguments: str) -> subprocess.Popen[str]:
        """Start one of the programs in ``pods/`` and go on."""
        text = (PROGRAMS / f"{program}.py").read_text()
        words = ("exec", "-n", self.namespace, self.name, "--", "python3", "-c", text, *arguments)
        return self.cluster.inside.begin(*KUBECTL, *words)
