"""A user's desk for tests: a home, a state directory with a blank in its name, and stand-ins in PATH."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from installers.core.model.events import Event, Noted
from installers.machines.minikube.driver import MinikubeDriver
from installers.machines.minikube.layout import Wanted, user_paths
from tests.fake import minikube

DOCKER = '{"ServerVersion":"28.3.2","NCPU":8,"MemTotal":17179869184}'
SMALL = Wanted(driver="docker", cpus=2, memory=4096, disk=20000)


@dataclass
class Desk:
    """``environ`` is what the driver sees; the stand-in's state is below ``home``."""

    folder: Path
    environ: dict[str, str]
    events: list[Event] = field(default_factory=list)

    @classmethod
    def laid(cls, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
        programs = folder / "bin"
        programs.mkdir()
        desk = cls(
            folder,
            {
                "HOME": str(folder / "home"),
                "OLARES_STATE_DIR": str(folder / "Application Support/olares"),
                "MINIKUBE_HOME": str(folder / "home/.minikube"),
                "PATH": str(programs),
            },
        )
        # Imported and not copied: compiled once, and not at each of hundreds of calls.
        place = Path(minikube.__file__).parent
        start = f"import sys; sys.path.append({str(place)!r}); import minikube; minikube.main()"
        desk.program("minikube", f"#!{sys.executable} -IS\n{start}\n")
        desk.docker(DOCKER)
        for name, value in desk.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("KUBECONFIG", raising=False)
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        return desk

    def program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def docker(self, answer: str, *, code: int = 0) -> None:
        """A docker that says one thing."""
        self.program("docker", f"#!{sys.executable} -IS\nimport sys\nprint({answer!r})\nsys.exit({code})\n")

    def driver(self) -> MinikubeDriver:
        return MinikubeDriver(user_paths(self.environ), self.events.append, environ=self.environ)

    @property
    def home(self) -> Path:
        return self.folder / "home/.minikube"

    @property
    def state(self) -> Path:
        return self.folder / "Application Support/olares"

    def fault(self, **faults: Any) -> None:
        (self.home / "faults.json").write_text(
            json.dumps({name.replace("_", " "): what for name, what in faults.items()})
        )

    def no_fault(self) -> None:
        (self.home / "faults.json").unlink()

    def calls(self, verb: str) -> list[list[str]]:
        """Every call of one verb, without the questions."""
        file = self.home / "calls"
        rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [row for row in rows if row[0] == verb]

    def config(self, name: str, **changes: Any) -> dict[str, Any]:
        """A profile's config as minikube keeps it, after changing it by hand."""
        file = self.home / "profiles" / name / "config.json"
        content = json.loads(file.read_text()) | changes
        file.write_text(json.dumps(content))
        return dict(content)

    def foreign(self, name: str) -> None:
        """A profile somebody made with minikube itself."""
        node = {"Name": "", "IP": "192.168.49.2", "ControlPlane": True}
        folder = self.home / "profiles" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(
            json.dumps(
                {"Name": name, "Driver": "docker", "Memory": 2200, "CPUs": 2, "DiskSize": 20000, "Nodes": [node]}
            )
        )
        self.machine(name)

    def machine(self, name: str) -> None:
        """A machine with a key of its own for a profile, in place of any that was there."""
        folder = self.home / "machines" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "id_rsa.pub").write_text("ssh-rsa somebody's\n")
        (folder / "state").write_text("Running")

    def kept(self) -> list[str]:
        """What minikube keeps, and what we keep, by name."""
        rows = [*self.home.glob("profiles/*"), *self.home.glob("machines/*"), *self.state.glob("minikube/*")]
        return sorted(f"{path.parent.name}/{path.name}" for path in rows)

    def notes(self) -> str:
        return "\n".join(event.text for event in self.events if isinstance(event, Noted))
