"""The machine the tests run on, recorded: nothing a fact or a check asks is missing from its recording."""

from __future__ import annotations

import pytest

from installers.core.host.archive import decode
from installers.core.host.identity import read_identity
from installers.core.host.local import LocalProbe
from installers.core.host.replay import ReplayProbe
from installers.core.model import Unknown
from installers.precheck.record import load_facts, record, recorded_precheck
from installers.site import Site
from olares_cli.commands.facts import known

pytestmark = pytest.mark.processes


def test_a_recording_of_this_machine_answers_everything() -> None:
    made = record(Site(), LocalProbe(), known(), made_with="a test")
    assert len(made.text) < 1 << 20
    probe = ReplayProbe(decode(made.text, path="a test"))
    again = load_facts(probe, known())
    recorded_precheck(made.archive, probe)
    assert probe.missed == []
    for fact, value in again.items():
        assert isinstance(value, Unknown) == isinstance(made.answers[fact], Unknown), fact


def test_nothing_that_names_this_machine_is_in_it() -> None:
    probe = LocalProbe()
    text = record(Site(), probe, known(), made_with="a test").text.lower()
    identity = read_identity(probe)
    assert [mac for mac in identity.macs if mac.strip("0:f") and mac in text] == []
    assert [serial for serial in identity.serials if serial.lower() in text] == []
