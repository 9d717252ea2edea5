"""Taking, showing, using and dropping a signed index as a person and as a program do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

# Now and not in a test: a library it brings along tries out a socket when it is imported.
import installers.core.artifacts.depot.client  # noqa: F401
from tests.unit.olares_cli.conftest import Run


@pytest.fixture
def place(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("installers.core.artifacts.index.platform.machine", lambda: "x86_64")
    monkeypatch.setattr("os.geteuid", lambda: Path(tmp_path).stat().st_uid)
    return str(tmp_path / "published")


@pytest.fixture
def trust(run: Run, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("olares_cli.commands.index.need_root", lambda what: None)
    monkeypatch.setattr("olares_cli.commands.index.LOCK", str(tmp_path / "lock"))
    ended = run("index", "publish", place, "--keys", str(tmp_path / "keys"))
    assert ended.code == 0, ended.err
    return ended.out.strip()


def test_from_publishing_to_the_way_back(run: Run, place: str, trust: str) -> None:
    assert "the program's own" in run("index", "show").out
    ended = run("index", "take", place, "--trust", trust)
    assert (ended.code, trust in ended.err) == (0, True), ended.err
    shown = run("index", "show").out
    assert trust in shown
    assert place in shown
    (record,) = map(json.loads, run("--output", "jsonl", "index", "show").out.splitlines())
    assert (record["used"]["fingerprint"], record["changes"]) == (trust, [])
    assert run("index", "drop").code == 0
    assert "the program's own" in run("index", "show").out


def test_an_installed_host_is_told_what_would_change(run: Run, place: str, trust: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "site.lock").write_text("{}")
    path = Path(place) / "index/upstream.yaml"
    path.write_text(path.read_text().replace('version: "1.36.4+k3s1"', 'version: "1.36.9+k3s1"'))
    assert run("index", "publish", place, "--keys", str(tmp_path / "keys")).code == 0
    ended = run("index", "take", place, "--trust", trust)
    assert "index use" in ended.err
    shown = run("index", "show").out
    assert "in use: the program's own" in shown
    assert "k3s: 1.36.4+k3s1" in shown
    assert "-> 1.36.9+k3s1" in shown
    assert run("index", "use").code == 0
    assert place in run("index", "show").out


@pytest.mark.parametrize("verb", [("take", "/x"), ("use",), ("drop",), ("publish", "/x")])
def test_only_root_changes_it(run: Run, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...]) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    ended = run("index", *verb)
    assert (ended.code, "OLR-CLI-008" in ended.err) == (1, True)


def test_a_stranger_is_refused_by_id(run: Run, place: str, trust: str) -> None:
    ended = run("index", "take", place)
    assert (ended.code, "OLR-BND-003" in ended.err) == (1, True)
    assert "the program's own" in run("index", "show").out


def test_what_nobody_took_is_not_gone_by(run: Run, place: str, trust: str) -> None:
    ended = run("index", "use")
    assert (ended.code, "OLR-IDX-005" in ended.err) == (1, True)
