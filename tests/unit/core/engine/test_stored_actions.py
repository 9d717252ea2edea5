"""What the journal stores must be readable for ever: every kind, in every version that was ever released."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from installers.core.component.codec import ActionCodec
from installers.core.errors import Failure
from installers.core.model import Action
from installers.install import CODEC
from tests.unit.core.engine.samples import KINDS, sample

TABLE = Path(__file__).parents[3] / "data/engine/actions.json"
"""Payloads by kind and version. They are only ever added: what was stored once must be readable."""
STORED: dict[str, list[str]] = json.loads(TABLE.read_text()) if TABLE.exists() else {}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_comes_back_as_it_was_stored(kind: str) -> None:
    action = sample(KINDS[kind])
    encoded = CODEC.encode(action)
    assert encoded[:2] == (kind, KINDS[kind].version)
    assert CODEC.decode(encoded) == action


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_a_whole_action(kind: str) -> None:
    action = sample(KINDS[kind])
    assert isinstance(action, Action)
    assert action.target
    assert action.describe()
    assert "\n" not in action.describe()
    assert isinstance(action.lane, str)
    assert action.patience >= 0


@pytest.mark.parametrize(("name", "payload"), [(name, row) for name, rows in STORED.items() for row in rows])
def test_a_stored_action_of_any_release_is_understood(name: str, payload: str) -> None:
    kind, _, version = name.rpartition(" ")
    action = CODEC.decode((kind, int(version), payload))
    assert action.kind == kind
    assert action.describe()


def test_the_table_has_every_kind_in_its_present_form() -> None:
    """Run with WRITE_TABLES=1 to add what is new."""
    now = {f"{kind} {cls.version}": CODEC.encode(sample(cls))[2] for kind, cls in KINDS.items()}
    missing = {name: payload for name, payload in now.items() if payload not in STORED.get(name, ())}
    if missing and "WRITE_TABLES" in os.environ:
        grown = STORED | {name: [*STORED.get(name, ()), payload] for name, payload in missing.items()}
        TABLE.write_text(json.dumps(dict(sorted(grown.items())), indent=1) + "\n")
    assert not missing


def test_kinds_in_the_codec_are_those_that_exist() -> None:
    assert CODEC._kinds == KINDS


@pytest.mark.parametrize(("kind", "version"), [("from-the-future", 1), ("put-file", 99)])
def test_what_a_newer_program_wrote_is_refused_by_name(kind: str, version: int) -> None:
    with pytest.raises(Failure) as refused:
        ActionCodec().decode((kind, version, "{}"))
    assert (refused.value.id, refused.value.fields) == ("OLR-RUN-014", {"kind": kind, "version": version})
