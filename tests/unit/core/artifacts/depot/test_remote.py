"""A depot on a web server: the same signatures, whatever the server does."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from installers.core.artifacts.depot.open import check_files, claimed, examine, nothing
from installers.core.errors import Failure
from tests.unit.core.artifacts.depot.conftest import CONTENTS, Workplace

pytestmark = pytest.mark.processes


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that hangs up in the middle is what some of these tests are about."""


@pytest.fixture
def address(workplace: Workplace) -> Iterator[str]:
    handler = functools.partial(Silent, directory=str(workplace.depot))
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_it_is_verified_like_one_on_a_stick(workplace: Workplace, address: str) -> None:
    assert claimed(address, workplace.paths) == workplace.trust
    depot = examine(address, workplace.paths, trust=workplace.trust)
    assert depot.contents == CONTENTS
    check_files(depot, nothing)


def refused(workplace: Workplace, address: str) -> str:
    with pytest.raises(Failure) as found:
        check_files(examine(address, workplace.paths, trust=workplace.trust), nothing)
    assert found.value.what
    return found.value.id


@pytest.mark.parametrize("content", [b"<html>Sign in</html>", b"a toot", b"a tool" * 100_000, b""])
def test_another_file_is_refused(workplace: Workplace, address: str, content: bytes) -> None:
    (workplace.depot / "fetched/0123456789abcdef-tool.tgz").write_bytes(content)
    assert refused(workplace, address) == "OLR-BND-009"


def test_a_missing_file_is_named(workplace: Workplace, address: str) -> None:
    (workplace.depot / "fetched/0123456789abcdef-tool.tgz").unlink()
    assert refused(workplace, address) == "OLR-BND-010"


def test_a_server_with_something_else_is_no_bundle(workplace: Workplace, address: str) -> None:
    assert refused(workplace, f"{address}/apt") == "OLR-BND-002"


def test_metadata_without_an_end_is_not_read_to_it(
    workplace: Workplace, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("installers.core.artifacts.depot.client.LIMIT", 4096)
    (workplace.depot / "metadata/timestamp.json").write_bytes(b" " * (1 << 20))
    assert refused(workplace, address) in {"OLR-BND-012", "OLR-BND-018"}


def test_a_server_that_is_not_there(workplace: Workplace, tmp_path: Path) -> None:
    assert refused(workplace, "http://127.0.0.1:9") == "OLR-BND-018"
