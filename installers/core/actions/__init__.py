"""Everything that may ever be done to a host: the closed family of actions and their stored form."""

from __future__ import annotations

from installers.core.actions import (
    certificates,
    command,
    files,
    firewall,
    footprint,
    images,
    kernel,
    mounts,
    network,
    objects,
    packages,
    secrets,
    units,
    users,
    wait,
)
from installers.core.actions.base import BaseAction
from installers.core.model import Action

_MODULES = (
    certificates,
    command,
    files,
    firewall,
    footprint,
    images,
    kernel,
    mounts,
    network,
    objects,
    packages,
    secrets,
    units,
    users,
    wait,
)

ACTIONS: dict[str, type[BaseAction]] = {action.kind: action for module in _MODULES for action in module.ACTIONS}
"""Every kind of action by its name; each module's own are in its ``ACTIONS``."""


def encode(action: Action) -> tuple[str, int, str]:
    """An action as the journal keeps it: kind, version and its fields as JSON."""
    import msgspec

    return action.kind, action.version, msgspec.json.encode(action).decode()


def decode(kind: str, version: int, payload: str) -> Action:
    """The action a journal row stands for; ``KeyError`` for a kind or version of a newer program."""
    import msgspec

    action = ACTIONS[kind]
    if action.version != version:
        raise KeyError(f"{kind} version {version}")
    return msgspec.json.decode(payload, type=action)


__all__ = ["ACTIONS", "BaseAction", "decode", "encode"]
