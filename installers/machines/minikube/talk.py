"""What minikube says while it works (one CloudEvent a line) and what its exit means to a user."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from installers.core.errors import Failure

EVENT = "io.k8s.sigs.minikube."
EXITING = re.compile(r"Exiting due to ([A-Z][A-Z0-9_]+): (.*)")
"""How a reason is told by a command that knows no JSON (image load)."""

CLASSES = (
    (10, 19, "how it was called"),
    (20, 29, "what this computer can give"),
    (30, 39, "this computer"),
    (40, 49, "the internet"),
    (50, 59, "the VM driver"),
    (60, 69, "what the VM driver stands on"),
    (70, 79, "this computer's network"),
    (80, 89, "the machine itself"),
    (90, 99, "the container runtime"),
    (100, 109, "Kubernetes"),
    (110, 119, "a service in Kubernetes"),
)
"""Exit statuses by what they are about: pkg/minikube/reason/exitcodes.go."""


@dataclass(slots=True)
class Talk:
    """Listens to one call. ``progress`` is told step, number of steps and text."""

    verb: str
    profile: str
    progress: Callable[[int, int | None, str, str], None]
    step: str = ""
    error: dict[str, str] = field(default_factory=dict)
    last: str = ""

    def hear(self, line: str) -> None:
        event = _event(line)
        if event is None:
            if found := EXITING.search(line):
                self.error = {"name": found[1], "message": found[2].strip()}
            self.last = _plain(line) or self.last
            return
        kind, data = event
        message = _plain(data.get("message", ""))
        if kind == "step":
            self.step = message or data.get("name", "")
            number, total = data.get("currentstep", "0"), data.get("totalsteps", "0")
            self.progress(int(number) if number.isdigit() else 0, int(total) or None, "steps", self.step)
        elif kind == "download.progress":
            # A fraction, many a second; the step's own number stays.
            self.progress(0, None, "steps", f"downloading {data.get('artifact', '')}")
        elif kind == "error":
            # Warnings came under this type too, in versions before 1.26; only a reason for ending has a name.
            self.last = message or self.last
            if data.get("name"):
                self.error = {**data, "message": message}

    def failure(self, code: int) -> Failure:
        """The failure a status other than 0 stands for."""
        reason = self.error.get("name", "")
        message = self.error.get("message", "") or self.last or "it says nothing"
        message = " ".join(message.split())[:400]
        if reason.endswith("DOCKER_NOT_RUNNING"):
            return Failure("OLR-MINI-004", problem=message)
        if reason.endswith("_NOT_FOUND") and reason.startswith(("PROVIDER_", "DRV_", "NOT_FOUND_")):
            return Failure("OLR-MINI-003", driver="the VM driver", program=message, hint=self._advice())
        if reason.startswith("RSRC_"):
            return Failure("OLR-MINI-006", reason=reason, message=message)
        if reason in ("HOST_CONFIG_LOAD", "GUEST_CP_CONFIG"):
            return Failure("OLR-MINI-009", profile=self.profile, name=_machine(self.profile), why=message)
        return Failure(
            "OLR-MINI-010",
            verb=self.verb,
            code=code,
            reason=reason or f"about {_about(code)}",
            message=message,
            profile=self.profile,
            advice=self._advice(),
        )

    def hung(self, seconds: float, state: str) -> Failure:
        """The failure of a call that did not end. ``state``: what minikube says of the profile now."""
        step = self.step or "none"
        return Failure(
            "OLR-MINI-011", verb=self.verb, seconds=f"{seconds:g}", step=step, state=state, profile=self.profile
        )

    def _advice(self) -> str:
        return " ".join(self.error.get("advice", "").split())[:300] or "look at what it says"


def _event(line: str) -> tuple[str, dict[str, Any]] | None:
    """Kind and data of an event; None for any other line."""
    if not line.startswith("{"):
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return None
    kind, data = str(row.get("type", "")), row.get("data")
    if not kind.startswith(EVENT) or not isinstance(data, dict):
        return None
    return kind.removeprefix(EVENT), {str(name): str(value) for name, value in data.items()}


def _plain(text: str) -> str:
    """A message without the picture before it."""
    return re.sub(r"^[^\x00-\x7f]+", "", text.strip()).strip()


def _about(code: int) -> str:
    return next((about for first, last, about in CLASSES if first <= code <= last), "itself")


def _machine(profile: str) -> str:
    return profile.removeprefix("olares-")
