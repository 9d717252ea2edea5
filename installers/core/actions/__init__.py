"""Everything that may ever be done to a host: the closed family of actions."""

from __future__ import annotations

from installers.core.actions import (
    allowances,
    aside,
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
    services,
    units,
    users,
    wait,
    words,
)
from installers.core.actions.base import BaseAction

_MODULES = (
    allowances,
    aside,
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
    services,
    units,
    users,
    wait,
    words,
)

ACTIONS: dict[str, type[BaseAction]] = {action.kind: action for module in _MODULES for action in module.ACTIONS}
"""Every kind of action by its name; each module's own are in its ``ACTIONS``."""


__all__ = ["ACTIONS", "BaseAction"]
