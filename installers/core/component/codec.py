"""How actions are stored: the table of every kind, those of a verb's own included."""

from __future__ import annotations

from collections.abc import Iterable

from installers.core import actions as basic
from installers.core.actions.base import BaseAction
from installers.core.engine.journal import Encoded
from installers.core.errors import Failure
from installers.core.model import Action


class ActionCodec:
    """Actions to journal rows and back. ``more``: kinds that live above ``core.actions``."""

    def __init__(self, more: Iterable[type[BaseAction]] = ()) -> None:
        self._kinds = basic.ACTIONS | {kind.kind: kind for kind in more}

    def encode(self, action: Action) -> Encoded:
        import msgspec

        return action.kind, action.version, msgspec.json.encode(action).decode()

    def decode(self, encoded: Encoded) -> Action:
        """The stored action; ``Failure("OLR-RUN-014")`` for a kind or version this program does not know."""
        import msgspec

        kind, version, payload = encoded
        known = self._kinds.get(kind)
        if known is None or known.version != version:
            raise Failure("OLR-RUN-014", kind=kind, version=version)
        return msgspec.json.decode(payload, type=known)
