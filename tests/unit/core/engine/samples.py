"""A sample of every kind of action, made from the types of its fields."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

from installers.core.actions import ACTIONS
from installers.core.actions.base import BaseAction
from installers.core.artifacts.actions import ACTIONS as ARTIFACT_ACTIONS

KINDS: dict[str, type[BaseAction]] = ACTIONS | {kind.kind: kind for kind in ARTIFACT_ACTIONS}
PLAIN = {str: "text", int: 4, float: 1.5, bool: True}


def sample(kind: type[Any]) -> Any:
    """An instance in which every field has a value, those with a default too."""
    hints = typing.get_type_hints(kind)
    return kind(**{field.name: value(hints[field.name]) for field in dataclasses.fields(kind)})


def value(hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in PLAIN:
        return PLAIN[hint]
    if origin in (types.UnionType, typing.Union):
        return value(next(arg for arg in args if arg is not type(None)))
    if origin is typing.Literal:
        return args[0]
    if origin is tuple:
        return (value(args[0]),) if args[1:] == (...,) else tuple(value(arg) for arg in args)
    if dataclasses.is_dataclass(hint):
        return sample(typing.cast(type[Any], hint))
    raise AssertionError(f"an action may not have a field of type {hint}")
