"""Ways back survive the journal: what is decoded years later is what was encoded."""

from __future__ import annotations

import pytest

from installers.core.actions.certificates import RestoreCertificate
from installers.core.actions.firewall import DeleteRule
from installers.core.actions.footprint import ClaimFootprint, SweepFootprint
from installers.core.actions.images import RestoreImage
from installers.core.actions.network import DeleteLink, RestoreLink
from installers.core.actions.objects import ApplyObject, DeleteObject
from installers.core.actions.secrets import KeepSecret, RemoveSecret
from installers.core.actions.wait import Nothing
from installers.core.component.codec import ActionCodec
from installers.core.facts.files import BeforeImage
from installers.core.facts.objects import ref_of
from installers.core.model import Action, Baseline, Footprint, Secret

CODEC = ActionCodec()

WEB = ref_of("apps/v1/Deployment/default/web")
FOOTPRINT = Footprint(trees=("/var/lib/x",), sysctls=("vm.x",))


@pytest.mark.parametrize(
    "action",
    [
        RestoreCertificate(
            "/pki/ca", "00" * 8, BeforeImage(parents=("/pki",)), BeforeImage("file", 0o600, store="/b/x")
        ),
        DeleteRule(4, "nat", "POSTROUTING", ("-j", "ACCEPT")),
        ClaimFootprint("unit:x.service", FOOTPRINT),
        SweepFootprint("unit:x.service", FOOTPRINT, Baseline(("tree:/var/lib/x",), (("vm.x", "1"),))),
        RestoreImage("a:1", "sha256:x", "sha256:y"),
        DeleteLink("x0", "bridge"),
        RestoreLink("x0", "bridge", ("10.0.0.1/24",), True),
        ApplyObject(WEB, f'{{"password":"{Secret("a/b")}"}}'),
        DeleteObject(WEB),
        RemoveSecret("a/b"),
        KeepSecret("a/b"),
        Nothing("x"),
    ],
    ids=lambda action: str(action.kind),
)
def test_there_and_back(action: Action) -> None:
    assert CODEC.decode(CODEC.encode(action)) == action
    assert action.describe()
