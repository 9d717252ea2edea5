"""An address with a password in it is refused wherever one is given, and is repeated by nothing said or written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.olares_cli.conftest import Run

CANARY = "canary-5d1e"
OPEN = f"http://me:{CANARY}@127.0.0.1:9/olares"


def everything(folder: Path) -> str:
    """All that lies below a folder, names and contents."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return " ".join(f"{path} {path.read_bytes().decode(errors='replace')}" for path in files)


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "--source", f"mirror:{OPEN}"),
        ("plan", "--source", f"mirror:http://127.0.0.1:9/olares,{OPEN}"),
        ("install", "--yes", "--source", f"mirror:{OPEN}"),
        ("install", "--yes", "--source", f"mirror:http://me:{CANARY}/x@127.0.0.1/olares"),
        ("machine", "up", "--source", f"mirror:{OPEN}"),
        ("index", "take", OPEN),
        ("bundle", "show", OPEN),
        ("bundle", "verify", OPEN),
        ("--output", "jsonl", "plan", "--source", f"mirror:{OPEN}"),
    ],
)
def test_an_address_with_a_password_is_refused_and_nowhere_repeated(
    run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    ended = run(*words)
    assert ended.code == 2
    assert "OLR-CLI-016" in ended.out + ended.err
    assert CANARY not in ended.out + ended.err + everything(tmp_path)


def test_one_in_the_configuration_is_refused_and_not_repeated(run: Run, tmp_path: Path) -> None:
    (tmp_path / "olares.yaml").write_text(f"source: mirror:{OPEN}\n")
    ended = run("plan")
    assert (ended.code, ".netrc" in ended.err) == (2, True), ended.err
    (tmp_path / "olares.yaml").unlink()
    assert CANARY not in ended.out + ended.err + everything(tmp_path)
