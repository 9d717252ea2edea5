"""YAML as everything here reads it: plain data only, by PyYAML's loader in C where it was built with one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def document(text: str | bytes) -> Any:
    """The one document of a text; ``yaml.YAMLError`` for what is none."""
    import yaml

    return yaml.load(text, Loader=_loader())  # noqa: S506 (a safe loader)


def documents(text: str | bytes) -> Iterator[Any]:
    """Each document of a text that is not empty; ``yaml.YAMLError`` where one is none."""
    import yaml

    return (found for found in yaml.load_all(text, Loader=_loader()) if found)


def _loader() -> Any:
    """The one in C is several times as fast; both are safe."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
