"""A run and its terminal, apart: the file, following it, stopping it, its own unit."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from installers.core.errors import Failure
from installers.core.host.scopes import boot_id, start_time
from installers.core.model.events import TYPES, Noted, RunStarted, StepFinished
from olares_cli.runs import follow as following
from olares_cli.runs import unit
from olares_cli.runs.follow import Follower
from olares_cli.runs.records import Process, Record, Result, Thing, Trouble, decode, encode
from olares_cli.runs.request import Request, handed_on, recalled, remembered, take_request, write_request
from tests.unit.olares_cli.conftest import Run
from tests.unit.olares_cli.verbs_stub import Asked, RunResult, Verbs

CANARY = "canary-5ecret"


def examples() -> Iterator[Record]:
    """One record of every kind, with every field filled in."""
    values = {"int": 3, "float": 1.5, "str": "text"}
    for kind in TYPES.values():
        given = {f.name: values.get(str(f.type), (("host", 2),)) for f in fields(kind)}
        yield kind(**given)  # type: ignore[arg-type]
    yield Process(1, 2, "b", "install")
    yield Result("undo", "left", 3, Trouble("OLR-X-1", "what", "next", ("p",)), (Thing("a", "b"),), (Thing("c", "d"),))


@pytest.mark.parametrize("record", tuple(examples()), ids=lambda record: record.type)
def test_records_survive_the_file(record: Record) -> None:
    line = encode(record)
    assert line.count(b"\n") == 1
    assert json.loads(line)["type"] == record.type
    assert decode(line) == record


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"type": "from-the-future"}', b'{"type": "noted"}', b"\xff"])
def test_what_cannot_be_read_is_passed_over(line: bytes) -> None:
    assert decode(line) is None


def own() -> Process:
    return Process(os.getpid(), start_time(os.getpid()), boot_id(), "install")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PAUSE", 0.0)


def followed(path: Path) -> Follower:
    return Follower(path.open("rb", buffering=0), str(path))


def test_following_sees_every_record_even_torn_ones_and_ends_with_the_result(tmp_path: Path) -> None:
    path = tmp_path / "run-1.jsonl"
    whole = encode(own()) + encode(Noted(level="info", text="é")) + encode(Result("install", "done"))
    path.write_bytes(whole[:-30])
    follower = followed(path)
    with follower.file:
        records = follower.records()
        seen = [next(records), next(records), next(records)]
        path.write_bytes(whole)
        seen += list(records)
    assert [record.type for record in seen if record] == ["process", "noted", "result"]


def test_a_run_that_died_is_told_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "run-1.jsonl"
    for gone in (Process(os.getpid(), 1, boot_id(), "install"), Process(os.getpid(), own().start_time, "x", "install")):
        path.write_bytes(encode(gone))
        follower = followed(path)
        with follower.file, pytest.raises(Failure, match="OLR-CLI-006"):
            list(follower.records())


def test_a_run_that_never_begins_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "BEGIN", 0.0)
    path = tmp_path / "run-1.jsonl"
    path.touch()
    follower = followed(path)
    with follower.file, pytest.raises(Failure, match="OLR-CLI-007"):
        list(follower.records())


def test_attach_replays_the_latest_run_and_ends_as_it_ended(run: Run, verbs: Verbs, tmp_path: Path) -> None:
    assert "OLR-CLI-013" in run("attach").err
    verbs.events = (Noted(level="info", text="hello"),)
    verbs.result = RunResult("interrupted", 2)
    assert run("install", "--yes").code == 130
    ended = run("attach", "--output", "jsonl")
    assert ended.code == 130
    assert [json.loads(line)["type"] for line in ended.out.splitlines()] == ["noted", "result"]
    assert run("attach", "nothing").code == 1


def test_the_first_ctrl_c_stops_the_run_the_second_only_the_watching(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log" / "run-1.jsonl"
    path.parent.mkdir()
    path.write_bytes(encode(own()))
    asked: list[int] = []

    def asked_to_stop(handle: int, number: int) -> None:
        asked.append(number)
        if len(asked) == 1:
            with path.open("ab") as file:
                file.write(encode(Result("install", "interrupted", 4)))

    monkeypatch.setattr(following.signal, "pidfd_send_signal", asked_to_stop)  # type: ignore[attr-defined]
    pressed = iter([True])

    def pause(seconds: float) -> None:
        if next(pressed, False):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(following.time, "sleep", pause)  # type: ignore[attr-defined]
    ended = run("attach")
    assert asked == [signal.SIGINT]
    assert ended.code == 130
    assert "Interrupted after 4 changes" in ended.err
    assert "`olares-cli resume` goes on from here" in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_the_engine_to_stop_in_good_order(
    run: Run, verbs: Verbs, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def interrupted(asked: Asked, **_: object) -> RunResult:
        assert asked.stop is not None
        assert not asked.stop.is_set()
        signal.raise_signal(number)
        return RunResult("interrupted" if asked.stop.is_set() else "done", 1)

    monkeypatch.setattr(verbs, "resume", interrupted)
    before = signal.getsignal(number)
    assert run("resume").code == 130
    assert signal.getsignal(number) == before


def test_resume_goes_on_with_the_choices_of_the_run_that_was_cut_off(run: Run, verbs: Verbs) -> None:
    verbs.former = remembered(Request("install", log="/l", phases=("platform",), environment={"https_proxy": CANARY}))
    assert CANARY not in verbs.former
    assert run("resume").code == 0
    (asked,) = verbs.asked
    assert (asked[0], asked[1].phases) == ("resume", ("platform",))
    assert recalled(asked[1].request).phases == ("platform",)


def test_resume_after_an_uninstall_that_was_cut_off_uninstalls(run: Run, verbs: Verbs) -> None:
    verbs.former = remembered(Request("uninstall", everything="all"))
    assert run("resume").code == 0
    (asked,) = verbs.asked
    assert (asked[0], asked[2]) == ("uninstall", "all")


def test_resume_with_nothing_cut_off_says_so(run: Run, verbs: Verbs) -> None:
    verbs.former = None
    ended = run("resume")
    assert (ended.code, verbs.asked) == (0, [])
    assert "Nothing to resume" in ended.err


def test_a_second_ctrl_c_stops_watching(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log" / "run-1.jsonl"
    path.parent.mkdir()
    path.write_bytes(encode(own()))
    monkeypatch.setattr(following.signal, "pidfd_send_signal", lambda *_: None)  # type: ignore[attr-defined]
    monkeypatch.setattr(following.time, "sleep", lambda _: signal.raise_signal(signal.SIGINT))  # type: ignore[attr-defined]
    ended = run("attach")
    assert ended.code == 130
    assert "Not watching any more" in ended.err


def test_the_unit_is_started_without_a_secret_in_sight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, ...]] = []
    monkeypatch.setattr(unit, "run_process", lambda argv, *, timeout: started.append(argv))
    environment = handed_on({"OLARES_STATE_DIR": "/s", "https_proxy": f"http://u:{CANARY}@proxy", "EDITOR": CANARY})
    request = Request("install", log="/l", source="debian", saved_plan={"version": 1}, environment=environment)
    unit.start(request, "7", directory=str(tmp_path))
    (argv,) = started
    assert CANARY not in " ".join(argv)
    assert argv[:2] == ("systemd-run", "--unit=olares-run-7.service")
    assert argv[-2:] == ("run", str(tmp_path / "run-7.json"))
    assert (tmp_path / "run-7.json").stat().st_mode & 0o077 == 0
    assert take_request(argv[-1]) == request
    assert not list(tmp_path.iterdir())
    assert set(environment) == {"OLARES_STATE_DIR", "https_proxy"}


def test_a_unit_that_does_not_start_leaves_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(argv: tuple[str, ...], *, timeout: float) -> None:
        raise Failure("OLR-HOST-001")

    monkeypatch.setattr(unit, "run_process", fails)
    with pytest.raises(Failure):
        unit.start(Request("undo"), "7", directory=str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_units_own_command_carries_the_request_out(run: Run, verbs: Verbs, tmp_path: Path) -> None:
    log = tmp_path / "run-7.jsonl"
    write_request(Request("resume", log=str(log), environment={}), str(tmp_path / "run-7.json"))
    ended = run("run", str(tmp_path / "run-7.json"))
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert [json.loads(line)["type"] for line in log.read_text().splitlines()] == ["process", "result"]
    assert verbs.asked[0][0] == "resume"
    assert not (tmp_path / "run-7.json").exists()


@pytest.mark.parametrize("arguments", [(), ("-v",), ("--output", "json"), ("--output", "jsonl"), ("-q",)])
def test_no_secret_of_the_environment_appears_anywhere(
    run: Run, verbs: Verbs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("https_proxy", f"http://user:{CANARY}@proxy")
    verbs.events = (
        RunStarted(run="1", verb="install", phases=(("platform", 1),)),
        StepFinished(key="k", component="c", phase="platform", outcome="changed", seconds=1.0),
    )
    verbs.result = RuntimeError("something else")
    ended = run("install", "--yes", *arguments)
    files = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "step-finished" in files
    assert CANARY not in ended.out + ended.err + files


def test_proxies_of_the_configuration_reach_the_run_and_what_it_starts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        for one in (name, name.upper()):
            monkeypatch.setenv(one, "x")
    monkeypatch.setenv("https_proxy", f"http://user:{CANARY}@proxy")
    (tmp_path / "olares.yaml").write_text("proxy: {https: http://p.example:3128, direct: [intra.example]}")
    assert run("install", "--yes").code == 0
    assert {os.environ[name] for name in ("https_proxy", "HTTPS_PROXY")} == {"http://p.example:3128"}
    assert "http_proxy" not in os.environ
    assert os.environ["no_proxy"].endswith(",cluster.local,intra.example")


def test_a_password_in_the_configuration_is_refused_and_not_repeated(run: Run, tmp_path: Path) -> None:
    (tmp_path / "olares.yaml").write_text(f"proxy: {{https: 'http://user:{CANARY}@p.example:3128'}}")
    for arguments in (("install", "--yes"), ("plan", "--output", "json"), ("precheck",)):
        ended = run(*arguments)
        assert ended.code == 2
        assert "proxy.https" in ended.out + ended.err
        assert CANARY not in ended.out + ended.err
