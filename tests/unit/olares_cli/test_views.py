"""A run as it is shown: live, as lines, as JSON lines."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from installers.core.model import Blocked, Change, Deferred, May
from installers.core.model.events import (
    ActionStarted,
    Event,
    Noted,
    Progress,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
)
from olares_cli.ui.amounts import amount, counted, duration, size
from olares_cli.ui.board import Board
from olares_cli.ui.live import drawn
from olares_cli.ui.plan import plan_page, short_reason
from olares_cli.ui.text import plain
from tests.unit.olares_cli.conftest import Run
from tests.unit.olares_cli.verbs_stub import Note, Plan, Planned, Verbs, planned

MIB = 1 << 20
EVENTS: tuple[Event, ...] = (
    RunStarted(at=100.0, run="1", verb="install", phases=(("infrastructure", 2), ("platform", 1))),
    StepStarted(at=100.0, key="packages:etcd", component="etcd", phase="infrastructure", what="install etcd"),
    StepFinished(
        at=103.0, key="packages:etcd", component="etcd", phase="infrastructure", outcome="changed", seconds=3.0
    ),
    StepStarted(at=103.0, key="artifact:k8s", component="kubernetes", phase="infrastructure", what="fetch k8s"),
    ActionStarted(at=103.0, seq=2, key="artifact:k8s", kind="fetch", what="fetch kubernetes.tar"),
    Progress(at=104.0, key="artifact:k8s", done=10 * MIB, total=34 * MIB, unit="bytes"),
    Progress(at=106.0, key="artifact:k8s", done=20 * MIB, total=34 * MIB, unit="bytes"),
    Noted(at=106.0, level="warning", text="redis stands in for kvrocks"),
)
END: tuple[Event, ...] = (
    StepFinished(
        at=120.0,
        key="artifact:k8s",
        component="kubernetes",
        phase="infrastructure",
        outcome="failed",
        seconds=17.0,
        id="OLR-NET-001",
        detail="the mirror is down",
    ),
    RunFinished(at=120.0, run="1", status="failed", changes=1, seconds=20.0, id="OLR-NET-001"),
)


def picture(events: tuple[Event, ...], *, now: float) -> str:
    board = Board()
    for event in events:
        board.update(event)
    console = Console(file=io.StringIO(), width=100, force_terminal=True, no_color=True, color_system=None)
    console.print(drawn(board, now=now))
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def test_the_live_picture() -> None:
    assert picture(EVENTS, now=106.0) == (
        "install  6.0 s elapsed\n"
        "·  infrastructure  1/2\n"
        "·  platform        0/1\n"
        "kubernetes: fetch kubernetes.tar  3.0 s  ━━━━━━━━━━━╸          20.0 MiB of 34.0 MiB  5.0 MiB/s"
    )
    assert picture((*EVENTS, *END), now=120.0) == (
        "install  20 s elapsed\n✗  infrastructure  1/2\n·  platform        0/1"
    )


def test_live_on_a_terminal_and_nothing_of_it_on_standard_output(run: Run, verbs: Verbs, terminal: None) -> None:
    verbs.events = (*EVENTS, *END)
    ended = run("install", "--yes")
    assert ended.out == ""
    assert "\x1b[" in ended.err
    assert "redis stands in for kvrocks" in ended.err
    assert "kubernetes: artifact:k8s failed: the mirror is down" in ended.err
    after = ended.err.rpartition("elapsed")[2]
    assert "Installed" in after.rpartition("\x1b[2K")[2], "the live region is cleared before the result is told"
    assert run("attach").err.rpartition("\x1b[2K")[2].count("Installed") == 1


def test_plain_lines_on_a_pipe(run: Run, verbs: Verbs) -> None:
    verbs.events = (*EVENTS, Progress(at=119.0, key="artifact:k8s", done=30 * MIB, total=0, unit="bytes"), *END)
    ended = run("install", "--yes")
    assert ended.out == ""
    assert ended.err == (
        "install: 3 steps to do\n"
        "[1/3] etcd: packages:etcd changed (3.0 s)\n"
        "Warning: redis stands in for kvrocks\n"
        "  kubernetes: 30.0 MiB\n"
        "[1/3] kubernetes: artifact:k8s failed: the mirror is down\n"
        "Installed: 3 changes.\n"
        "Next: `olares-cli status` shows every component\n"
    )


def test_plain_lines_in_ci_even_on_a_terminal(
    run: Run, verbs: Verbs, terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    verbs.events = EVENTS
    assert "\x1b" not in run("install", "--yes").err


def test_quiet_says_nothing_when_all_is_well(run: Run, verbs: Verbs) -> None:
    verbs.events = EVENTS
    ended = run("install", "--yes", "-q")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_json_lines_are_the_events_and_then_the_result(run: Run, verbs: Verbs) -> None:
    verbs.events = (*EVENTS, *END)
    rows = [json.loads(line) for line in run("install", "--yes", "--output", "jsonl").out.splitlines()]
    assert [row["type"] for row in rows] == [*(event.type for event in verbs.events), "result"]
    assert rows[5] == {
        "type": "progress",
        "at": 104.0,
        "host": "",
        "key": "artifact:k8s",
        "done": 10 * MIB,
        "total": 34 * MIB,
        "unit": "bytes",
        "text": "",
    }


def test_json_is_one_result(run: Run, verbs: Verbs) -> None:
    verbs.events = EVENTS
    content = json.loads(run("install", "--yes", "--output", "json").out)
    assert (content["type"], content["status"], content["changes"]) == ("result", "done", 3)


def page(*items: Planned) -> list[str]:
    return [plain(block) for block in plan_page(Plan(items))]


def test_what_waits_for_a_person_says_what_to_do() -> None:
    waits = Deferred("this computer has been restarted", (), "OLR-BOOT-001")
    rows = page(planned("restart:memory", "host", "host", waits))
    assert rows[2] == "    … restart:memory: decided once this computer has been restarted  (nothing)"
    assert "olares-cli resume" in rows[3]


def test_a_reason_that_many_objects_share_stands_once() -> None:
    names = [f"{kind} kube-system/local" for kind in ("ServiceAccount", "ClusterRole", "Service", "DaemonSet")]
    why = "; ".join(f"{name}: there is no such object" for name in names[:3]) + " and 1 more"
    objects = Change(tuple(Note(f"apply {name}") for name in names), why)
    image = Deferred("the image is built", (May("import-image", "an image"),))
    assert page(
        planned("image:a", "storage", "services", image),
        planned("image:b", "storage", "services", image),
        planned("objects:storage", "storage", "services", objects),
        planned("wait:storage", "storage", "services", Change((Note("wait for it"),), "it is about to change")),
        planned("objects:other", "other", "services", objects),
    )[:19] == [
        "services",
        "  storage",
        "    decided once the image is built:",
        "      … image:a  (import-image)",
        "      … image:b  (import-image)",
        "    there is no such object and 1 more:",
        *(f"      ~ apply {name}" for name in names),
        "    ~ wait for it  (it is about to change)",
        "  other",
        "    there is no such object and 1 more:",
        *(f"      ~ apply {name}" for name in names),
        "",
        "Source debian, engine kubernetes.",
    ]


@pytest.mark.parametrize(
    ("action", "why", "told"),
    [
        ("write /etc/olares/a", "/etc/olares/a does not exist", "it does not exist"),
        ("apply Service a/b", "Service a/b: spec.type differs", "spec.type differs"),
        ("apply Service a/b", "Service c/d: spec.type differs", "Service c/d: spec.type differs"),
        ("install buildah", "not installed: buildah (with 6 they need)", "not installed: buildah (with 6 they need)"),
        ("restart a.service", "its configuration changed", "its configuration changed"),
    ],
)
def test_a_reason_does_not_repeat_what_its_action_names(action: str, why: str, told: str) -> None:
    assert short_reason(why, [action]) == told


def test_no_line_of_a_plan_is_wider_than_the_page() -> None:
    command = "run /usr/local/bin/kubeadm init phase certs apiserver-kubelet-client --config /etc/olares/kubeadm.yaml"
    cannot = Blocked("OLR-RUN-002", {"key": "unit:a", "fact": "UnitInfo('a')", "reason": "systemd is\nnot there " * 6})
    rows = page(
        planned("run:a", "kubernetes", "cluster", Change((Note(command),), "its result is not there")),
        planned("unit:a", "kubernetes", "cluster", cannot),
    )
    assert max(map(len, rows)) <= 80
    assert not any("\n" in row for row in rows)
    words = " ".join(" ".join(rows).split())
    assert f"~ {command} (its result is not there)" in words
    assert "! unit:a cannot be decided" in words
    assert "unit:a: unit:a" not in words


def test_amounts() -> None:
    assert [size(n) for n in (0, 1023, 1536, 5 * MIB, 3 << 30)] == ["0 B", "1023 B", "1.5 KiB", "5.0 MiB", "3.0 GiB"]
    assert [duration(s) for s in (0.04, 9.94, 59.4, 59.6, 7440, 200000)] == [
        "0.0 s",
        "9.9 s",
        "59 s",
        "1 min 00 s",
        "2 h 04 min",
        "2 d",
    ]
    assert amount(3, 0, "packages") == "3 packages"
    assert (counted(1, "change"), counted(0, "change")) == ("1 change", "0 changes")
