"""``facts record`` and the ``--from`` of the commands that read what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from olares_cli import here
from tests.fake.debian import debian
from tests.fake.host import FakeProbe
from tests.unit.olares_cli.conftest import Run
from tests.unit.olares_cli.verbs_stub import Verbs
from tests.unit.test_precheck_run import FILES

HOST = str(Path(__file__).parents[2] / "data/hosts/debian-12-vm.yaml")


@pytest.fixture
def quokka(monkeypatch: pytest.MonkeyPatch, run: Run) -> Run:
    """``run`` on a simulated Debian called quokka-laptop."""
    machine = debian()
    for path, text in FILES.items():
        machine.tree.file(path, text)
    machine.tree.file("/proc/sys/kernel/hostname", "quokka-laptop\n")
    monkeypatch.setattr(here, "probe", lambda site=None: FakeProbe(machine))
    return run


def test_a_recording_is_written_once_and_told_about(
    quokka: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = quokka("facts", "record")
    path = tmp_path / "olares-facts.yaml"
    assert (ended.code, ended.out) == (0, "")
    assert path.stat().st_mode & 0o777 == 0o600
    assert "quokka" not in path.read_text()
    assert "names (2)" in ended.err
    assert "Look through it before you send it" in ended.err
    assert "Next: olares-cli precheck --from olares-facts.yaml" in ended.err
    before = path.read_bytes()
    again = quokka("facts", "record")
    assert again.code == 1
    assert "OLR-REC-004" in again.err
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir() if "facts" in one.name] == ["olares-facts.yaml"]


def test_a_recording_is_of_what_a_plan_reads_itself(quokka: Run, verbs: Verbs) -> None:
    assert quokka("facts", "record", "-").code == 0
    ((_, options),) = [row for row in verbs.asked if row[0] == "plan"]
    assert options.site.lock is None
    assert quokka("plan").code in (0, 3, 4)
    assert verbs.asked[-1][1].site.lock == {}


def test_a_recording_to_standard_output_is_nothing_else(quokka: Run) -> None:
    ended = quokka("facts", "record", "-")
    assert ended.code == 0
    assert ended.out.startswith("schema: 1\nsource: recorded on debian 12, kernel 6.1.0-18-amd64, amd64\n")
    assert "Next:" not in ended.err


def test_a_recording_can_be_told_as_json(quokka: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "one.yaml")
    ended = quokka("--output", "json", "-q", "facts", "record", file)
    assert json.loads(ended.out) == {
        "type": "recording",
        "file": file,
        "scrubbed": {"hardware addresses": 2, "ids": 1, "names": 2},
    }
    assert ended.err == ""


def test_a_recording_in_a_directory_that_is_not_there_is_refused(quokka: Run, tmp_path: Path) -> None:
    ended = quokka("facts", "record", str(tmp_path / "none/one.yaml"))
    assert ended.code == 1
    assert "OLR-REC-006" in ended.err


def test_facts_are_shown_from_a_recording(run: Run) -> None:
    ended = run("--output", "json", "facts", "show", "osrelease", "--from", HOST)
    assert ended.code == 0
    assert json.loads(ended.out)["facts"]["OsRelease"]["codename"] == "bookworm"


def test_a_recorded_host_is_checked_and_can_be_waived(run: Run) -> None:
    ended = run("--output", "json", "precheck", "--from", HOST)
    assert ended.code == 4
    failed = {row["id"] for row in json.loads(ended.out)["checks"] if row["status"] == "failed"}
    assert "systemd" in failed
    waived = run("--output", "json", "precheck", "--from", HOST, "--waive", "systemd")
    assert {row["id"] for row in json.loads(waived.out)["checks"] if row["status"] == "waived"} == {"systemd"}


@pytest.mark.parametrize("command", [("precheck",), ("facts", "show")])
def test_what_is_no_recording_is_refused(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    assert "OLR-CLI-002" in run(*command, "--from", str(tmp_path / "none.yaml")).err
    (tmp_path / "other.yaml").write_text("kind: Pod\n")
    assert "OLR-REC-002" in run(*command, "--from", str(tmp_path / "other.yaml")).err
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in run(*command, "--from", str(tmp_path / "binary.yaml")).err
