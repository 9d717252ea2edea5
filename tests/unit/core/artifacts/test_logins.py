"""A web server's name and password come from ~/.netrc, go to that server alone, and are told by no failure."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from installers.core.artifacts.fetch import HttpLine, Wanted, fetch
from installers.core.artifacts.index import File, Pinned, Registry
from installers.core.artifacts.releases import require_reach
from installers.core.errors import Failure
from tests.fake.webserver import WebServer, basic

pytestmark = pytest.mark.processes

CANARY = "canary-5d1e"


def netrc(text: str, mode: int = 0o600) -> None:
    path = Path(os.environ["HOME"]) / ".netrc"
    path.write_text(text)
    path.chmod(mode)


def known(host: str) -> None:
    netrc(f"machine {host} login me password {CANARY}\n")


def test_a_plain_mirror_behind_a_password(tmp_path: Path) -> None:
    (tmp_path / "www/fetched").mkdir(parents=True)
    content = b"a tool of upstream's"
    pin = Pinned("tool", Registry.RELEASE, "tool", "1", File("tool.tgz", 0, "0" * 64), "")
    (tmp_path / "www" / pin.entry).write_bytes(content)
    with WebServer(tmp_path / "www", login=f"me:{CANARY}") as web:
        with pytest.raises(Failure) as caught:
            require_reach((pin,), places=(web.url,))
        assert (caught.value.id, "~/.netrc" in caught.value.what) == ("OLR-ART-019", True)
        known("elsewhere.example")
        with pytest.raises(Failure):
            require_reach((pin,), places=(web.url,))
        known("127.0.0.1")
        require_reach((pin,), places=(web.url,))
        wanted = Wanted("tool", len(content), "0" * 64)
        with pytest.raises(Failure) as caught:
            fetch((f"{web.url}/{pin.entry}",), wanted, to=tmp_path / "got", report=lambda *_: None)
    assert caught.value.id == "OLR-ART-005"
    assert CANARY not in caught.value.what


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (f"machine 127.0.0.1 login me password {CANARY}\n", 0o644, "others may read it"),
        (f"machine 127.0.0.1 login me\nsecret {CANARY}\n", 0o600, "line"),
        (f"machine 127.0.0.1 login me password\n{CANARY} {CANARY}\n", 0o600, "line"),
    ],
)
def test_a_netrc_that_cannot_be_used_is_told_to_who_needs_it_without_what_is_in_it(
    tmp_path: Path, text: str, mode: int, said: str
) -> None:
    netrc(text, mode)
    (tmp_path / "x").write_bytes(b"x")
    with WebServer(tmp_path) as web, closing(HttpLine()) as line:
        assert line.document(f"{web.url}/x", limit=9) == b"x"
        web.login = f"me:{CANARY}"
        with pytest.raises(ValueError, match=said) as caught:
            line.document(f"{web.url}/x", limit=9)
    assert CANARY not in str(caught.value)


def test_a_host_nobody_named_is_told_no_password(tmp_path: Path) -> None:
    netrc(f"machine other.example login me password {CANARY}\ndefault login me password {CANARY}\n")
    (tmp_path / "x").write_bytes(b"x")
    with WebServer(tmp_path) as web, closing(HttpLine()) as line:
        assert line.document(f"{web.url}/x", limit=9) == b"x"


def test_a_token_that_is_brought_counts_before_the_file(tmp_path: Path) -> None:
    known("127.0.0.1")
    (tmp_path / "x").write_bytes(b"x")
    with WebServer(tmp_path, login="me:another") as web, closing(HttpLine()) as line:
        with closing(line.get(f"{web.url}/x", {})) as answer:
            assert answer.status == 401
        with closing(line.get(f"{web.url}/x", {"Authorization": basic("me:another")})) as answer:
            assert (answer.status, answer.read(9)) == (200, b"x")
