"""A secret's value reaches the file it is written to, and nothing else: no journal, plan, event or before-image."""

from __future__ import annotations

import json

from installers.core.model import Secret
from installers.core.resources.command import GuardedCommand
from installers.core.resources.files import File
from installers.core.resources.objects import Objects
from installers.core.resources.secrets import GeneratedSecret
from tests.fake.commands import Call, nothing
from tests.unit.core.engine.workbench import There, Workbench, chain

CANARY = "canary-6f1d0c2b9e7a"
OLD = "old-canary-93ab51"
CONFIG_MAP = """apiVersion: v1
kind: Secret
metadata: {name: app, namespace: default}
stringData: {password: "%s"}
"""


def steps() -> list[object]:
    reference = Secret("db/admin")
    return [
        GeneratedSecret("db/admin"),
        File("/etc/app.conf", f"password={reference}\n", mode=0o600),
        GuardedCommand("tell app", ("app-init",), There("told"), 5, undo="it was told", input=f"{reference}\n"),
        Objects("app", (CONFIG_MAP % reference,)),
    ]


def test_a_planted_secret_stays_where_it_belongs(bench: Workbench) -> None:
    tree = bench.machine.tree
    tree.file("/var/lib/olares/secrets/db/admin", CANARY, mode=0o600)
    tree.file("/etc/app.conf", f"password={OLD}\n", mode=0o600)
    told: list[bytes | None] = []

    def app_init(machine: object, call: Call):  # type: ignore[no-untyped-def]
        told.append(call.input)
        tree.file("/srv/told")
        call.stdout = "initialised\n"
        yield

    bench.machine.commands |= {("app-init",): app_init, ("rm",): nothing}
    bench.machine.cluster.up = True
    resources = steps()
    plan = bench.plan(chain(*resources))  # type: ignore[arg-type]
    result = bench.install(chain(*resources))  # type: ignore[arg-type]
    assert result.status == "done", result
    assert tree.text("/etc/app.conf") == f"password={CANARY}\n"
    assert told == [f"{CANARY}\n".encode()]
    seen = {
        "journal": bench.journal_text(),
        "plan": json.dumps(plan.to_json()),
        "events": repr(bench.events),
        "commands": repr(bench.machine.crash.log),
    }
    bench.uninstall()
    seen |= {"journal after": bench.journal_text(), "events after": repr(bench.events)}
    for place, text in seen.items():
        assert CANARY not in text, place
        assert OLD not in text, place
    readable = {
        path: node.content.decode(errors="replace")
        for path, node in tree.nodes.items()
        if node.type == "file" and node.mode & 0o077
    }
    assert [path for path, text in readable.items() if CANARY in text or OLD in text] == []
    assert tree.text("/etc/app.conf") == f"password={OLD}\n"
