"""The root-only store of generated secrets: one file each, read only at the moment of writing."""

from __future__ import annotations

import base64
from collections.abc import Callable

from installers.core.errors import Failure
from installers.core.model import Secret, secrets_in
from installers.site import Paths


def secret_path(paths: Paths, name: str) -> str:
    """Where a secret's bytes lie; ``ValueError`` for a name that leads out of the store."""
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise ValueError(f"not a secret's name: {name}")
    return f"{paths.secrets}/{name}"


def reveal(text: str, paths: Paths, read: Callable[[str], bytes]) -> str:
    """The text with its references filled in; ``Failure("OLR-HOST-007")`` when one is not in the store."""
    for secret in secrets_in(text):
        path = secret_path(paths, secret.name)
        try:
            value = read(path)
        except FileNotFoundError:
            raise Failure("OLR-HOST-007", name=secret.name, path=path) from None
        text = text.replace(str(secret), _encoded(secret, value))
        if secret.encoding == "plain":
            # A reference may leave its encoding out.
            text = text.replace(f"\x02{secret.name}\x03", _encoded(secret, value))
    return text


def _encoded(secret: Secret, value: bytes) -> str:
    if secret.encoding == "plain":
        return value.decode()
    if secret.encoding == "base64":
        return base64.b64encode(value).decode()
    raise ValueError(f"no encoding is called {secret.encoding}")
