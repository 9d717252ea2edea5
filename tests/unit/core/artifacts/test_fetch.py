"""Fetching from mirrors that stall, lie, forget ranges or send something else."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from installers.core.artifacts.fetch import Fetched, HttpLine, Limits, Wanted, fetch, registry
from installers.core.artifacts.fetch.line import _tls
from installers.core.errors import Failure
from tests.fake.mirrors import Faults, MirrorServer
from tests.fake.tls import server_side

pytestmark = pytest.mark.processes

CONTENT = random.Random(1).randbytes(3_000_000)  # noqa: S311 - any bytes will do
PIECE = 250_000
WANTED = Wanted(
    "thing",
    len(CONTENT),
    hashlib.sha256(CONTENT).hexdigest(),
    f"sha512-{base64.b64encode(hashlib.sha512(CONTENT).digest()).decode()}",
)
PIECES = tuple(hashlib.sha256(CONTENT[at : at + PIECE]).hexdigest() for at in range(0, len(CONTENT), PIECE))
IN_PIECES = replace(WANTED, pieces=PIECES, piece_size=PIECE)
LIMITS = Limits(
    connections=4,
    shortest=256 << 10,
    longest=512 << 10,
    connect=2.0,
    stall=0.3,
    slow_after=0.3,
    long_rest=0.1,
    attempts=4,
    pause=0.01,
    longest_pause=0.05,
    retry_after=0.3,
    tick=0.02,
)


def silent(done: int, total: int, unit: str, text: str = "") -> None:
    """A report nobody reads."""


@contextmanager
def mirrors(*faults: Faults, content: bytes = CONTENT) -> Iterator[list[MirrorServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(MirrorServer(content, row)) for row in faults]


def _fetch(to: Path, servers: list[MirrorServer], wanted: Wanted = WANTED, limits: Limits = LIMITS) -> Fetched:
    return fetch(tuple(server.url for server in servers), wanted, to=to, report=silent, limits=limits)


def named(server: MirrorServer, texts: tuple[str, ...]) -> bool:
    return any(f":{server.port}/" in text for text in texts)


SOUND = Faults()

ALONE = {
    "sound": SOUND,
    "no ranges": Faults(ranges=False),
    "drops": Faults(drop_after=200_000),
    "truncates": Faults(truncate_after=200_000),
    "stalls twice": Faults(stall_after=100_000, stalls=2),
    "busy, seconds": Faults(status=429, refuse=3, retry_after="0"),
    "busy, no word": Faults(status=503, refuse=2),
    "error at first": Faults(status=500, refuse=2),
}


@pytest.mark.parametrize("name", ALONE)
def test_one_mirror_is_enough(tmp_path: Path, name: str) -> None:
    to = tmp_path / "below" / "file"
    with mirrors(ALONE[name]) as servers:
        done = _fetch(to, servers)
    assert to.read_bytes() == CONTENT
    assert [path.name for path in to.parent.iterdir()] == ["file"]
    assert done.warnings == ()


BAD = {
    "html": (Faults(html=True), "web page", True),
    "gone": (Faults(status=404), "404", True),
    "longer": (Faults(extra=10), "3000010", True),
    "other range": (Faults(shifted=True), "another range", True),
    "compressed": (Faults(encoding="gzip"), "compressed", True),
    "wrong byte": (Faults(wrong=tuple(range(0, len(CONTENT), 25_000))), "", True),
    "always 503": (Faults(status=503), "503", False),
    "drops at once": (Faults(drop_after=0), "", False),
    "stalls at once": (Faults(stall_after=0), "", False),
    "slow": (Faults(rate=20_000), "", False),
    "no ranges": (Faults(ranges=False), "", False),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_mirror_beside_a_good_one(tmp_path: Path, name: str) -> None:
    faults, reason, told = BAD[name]
    with mirrors(faults, Faults(rate=6e6)) as servers:
        done = _fetch(tmp_path / "file", servers)
        assert not named(servers[1], done.warnings)
        assert named(servers[0], done.warnings) or not told
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert any(reason in text for text in done.warnings) or not told


@pytest.mark.parametrize("wanted", [WANTED, IN_PIECES], ids=["whole digest", "pieces"])
@pytest.mark.parametrize("honest", [0, 1, 2])
def test_one_honest_among_three_is_enough_and_the_liars_are_named(tmp_path: Path, honest: int, wanted: Wanted) -> None:
    everywhere = tuple(range(honest, len(CONTENT), 15_000))
    liars = (Faults(wrong=everywhere, rate=8e6), Faults(wrong=everywhere[::3], rate=8e6))
    rows = [*liars[:honest], Faults(rate=8e6), *liars[honest:]]
    with mirrors(*rows) as servers:
        done = _fetch(tmp_path / "file", servers, wanted)
        assert [named(server, done.warnings) for server in servers] == [number != honest for number in range(3)]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_liar_costs_no_more_than_the_file_once_more(tmp_path: Path) -> None:
    with mirrors(Faults(wrong=(0, 1_500_000, 2_999_999), rate=8e6), Faults(rate=8e6)) as servers:
        done = _fetch(tmp_path / "file", servers)
    assert done.received <= 2 * len(CONTENT) + 4 * LIMITS.longest


OUT = {
    "wrong": (Faults(wrong=(1_500_000,)), "OLR-ART-005"),
    "html": (Faults(html=True), "OLR-ART-006"),
    "gone": (Faults(status=404), "OLR-ART-004"),
    "circle": (Faults(redirect="/file"), "OLR-ART-004"),
    "elsewhere": (Faults(redirect="ftp://127.0.0.1/"), "OLR-ART-004"),
    "stalls": (Faults(stall_after=0), "OLR-ART-004"),
    "shorter": (Faults(status=416), "OLR-ART-004"),
}


@pytest.mark.parametrize("name", OUT)
def test_out_of_places(tmp_path: Path, name: str) -> None:
    faults, id = OUT[name]
    with mirrors(faults, faults) as servers:
        with pytest.raises(Failure) as caught:
            _fetch(tmp_path / "file", servers)
        assert caught.value.id == id
        assert all(named(server, (caught.value.what,)) for server in servers)
    assert not (tmp_path / "file").exists()


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    with mirrors(SOUND, content=b"") as servers:
        _fetch(tmp_path / "file", servers, Wanted("nothing", 0, hashlib.sha256().hexdigest()))
        assert servers[0].asked == []
    assert (tmp_path / "file").read_bytes() == b""


def test_no_place_at_all(tmp_path: Path) -> None:
    with pytest.raises(Failure) as caught:
        _fetch(tmp_path / "file", [])
    assert caught.value.id == "OLR-ART-004"


def test_a_refused_connection_is_told(tmp_path: Path) -> None:
    with mirrors(SOUND) as servers:
        url = servers[0].url
    with pytest.raises(Failure) as caught:
        fetch((url,), WANTED, to=tmp_path / "file", report=silent, limits=LIMITS)
    assert "refused" in caught.value.what


def test_a_file_that_changes_in_between_is_noticed(tmp_path: Path) -> None:
    with mirrors(Faults(changes_after=6)) as servers:
        _fetch(tmp_path / "file", servers)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_retry_after_is_kept_to_and_has_an_end(tmp_path: Path) -> None:
    later = formatdate(time.time() + 3600, usegmt=True)
    with mirrors(Faults(status=503, refuse=1, retry_after=later)) as servers:
        began = time.monotonic()
        _fetch(tmp_path / "file", servers, limits=replace(LIMITS, connections=1))
    assert LIMITS.retry_after <= time.monotonic() - began < 5


def test_redirects_are_followed_once_and_connections_kept(tmp_path: Path) -> None:
    with mirrors(SOUND) as (target,), mirrors(Faults(redirect=f"{target.url}?signed=1")) as (front,):
        _fetch(tmp_path / "file", [front])
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(front.asked) <= LIMITS.connections
    assert target.sockets <= LIMITS.connections + 2 < len(target.asked)


def test_a_proxy_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mirrors(SOUND) as (proxy,):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        fetch(("http://name:secret@files.invalid/file",), WANTED, to=tmp_path / "file", report=silent, limits=LIMITS)
    assert set(proxy.paths) == {"http://files.invalid/file"}
    assert set(proxy.authorised) == {f"Basic {base64.b64encode(b'name:secret').decode()}"}


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """A server's side of TLS for 127.0.0.1, with a certificate of its own which the system trusts meanwhile."""
    context = server_side(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls.crt"))
    _tls.cache_clear()
    yield context
    _tls.cache_clear()


@pytest.mark.parametrize("faults", [SOUND, Faults(drop_after=300_000), Faults(stall_after=100_000, stalls=2)])
def test_over_tls(tmp_path: Path, tls: ssl.SSLContext, faults: Faults) -> None:
    with MirrorServer(CONTENT, faults, tls) as server:
        _fetch(tmp_path / "file", [server])
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_tls_goes_through_a_proxys_tunnel(tmp_path: Path, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    with MirrorServer(CONTENT, SOUND, tls) as server, MirrorServer(b"") as proxy:
        monkeypatch.setenv("https_proxy", f"http://name:secret@127.0.0.1:{proxy.port}")
        _fetch(tmp_path / "file", [server])
        assert set(proxy.paths) == {f"127.0.0.1:{server.port}"}
        assert set(proxy.authorised) == {f"Basic {base64.b64encode(b'name:secret').decode()}"}
        assert set(server.authorised) == {""}
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_proxys_tunnel_is_named_as_the_server_is(
    tmp_path: Path, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MirrorServer(CONTENT, SOUND, tls) as server, MirrorServer(b"") as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        _fetch(tmp_path / "file", [server])
        assert set(server.hosts) == {f"127.0.0.1:{server.port}"}


def test_a_tunnel_that_was_closed_is_made_again_with_its_tls(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MirrorServer(b"text", Faults(closes=True), tls) as server, MirrorServer(b"") as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        with closing(HttpLine()) as line:
            assert [line.document(server.url, limit=9) for _ in range(3)] == [b"text"] * 3
        assert server.sockets == len(proxy.paths) == 3


def _through(tmp_path: Path, proxy: str, url: str, monkeypatch: pytest.MonkeyPatch) -> Failure:
    """How a fetch ends that goes through a proxy which is no use."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, proxy)
    with pytest.raises(Failure) as caught:
        fetch((url, f"{url}2"), WANTED, to=tmp_path / "file", report=silent, limits=LIMITS)
    assert not (tmp_path / "file").exists()
    assert "canary" not in caught.value.what
    return caught.value


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_nobody_listens_at_is_named_and_not_the_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with mirrors(SOUND) as (gone,):
        port = gone.port
    address = f"http://user:canary@127.0.0.1:{port}"
    failure = _through(tmp_path, address, f"{scheme}://files.invalid/file", monkeypatch)
    assert failure.id == "OLR-PROXY-001"
    assert f"http://127.0.0.1:{port}" in failure.what
    assert "refused" in failure.what
    assert "files.invalid" not in failure.what


@pytest.mark.parametrize(
    ("scheme", "faults", "id", "said"),
    [
        ("http", Faults(status=407), "OLR-PROXY-002", ""),
        ("https", Faults(connect=407), "OLR-PROXY-002", ""),
        ("http", Faults(status=502), "OLR-ART-004", "answered 502"),
        ("https", Faults(connect=502), "OLR-ART-004", "answered 502 Bad Gateway when asked for files.invalid"),
        ("https", Faults(connect=403), "OLR-ART-004", "answered 403 Forbidden when asked for files.invalid"),
        ("http", Faults(html=True), "OLR-ART-006", "web page"),
        ("https", Faults(connect=0), "OLR-PROXY-001", ""),
        ("http", Faults(stall_after=0), "OLR-ART-004", ""),
    ],
)
def test_a_proxy_that_is_no_use_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, faults: Faults, id: str, said: str
) -> None:
    with mirrors(faults) as (proxy,):
        address = f"http://user:canary@127.0.0.1:{proxy.port}"
        failure = _through(tmp_path, address, f"{scheme}://files.invalid/file", monkeypatch)
    assert failure.id == id
    assert said in failure.what
    assert f"http://127.0.0.1:{proxy.port}" in failure.what


def test_a_proxy_that_comes_back_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mirrors(Faults(status=502, refuse=2)) as (proxy,):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        fetch(("http://files.invalid/file",), WANTED, to=tmp_path / "file", report=silent, limits=LIMITS)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_mirror_reached_directly_helps_where_the_proxy_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mirrors(SOUND) as (server,), mirrors(Faults(status=407)) as (proxy,):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "127.0.0.0/8")
        urls = ("http://files.invalid/file", server.url)
        done = fetch(urls, WANTED, to=tmp_path / "file", report=silent, limits=LIMITS)
        assert any("files.invalid" in text and f":{proxy.port}" in text for text in done.warnings)
        assert server.served >= len(CONTENT)
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("ask", ["json", "document"])
def test_a_small_document_names_the_proxy_too(monkeypatch: pytest.MonkeyPatch, ask: str) -> None:
    with mirrors(Faults(status=407)) as (proxy,), closing(HttpLine()) as line:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(Failure) as caught:
            line.json("http://files.invalid/x") if ask == "json" else line.document("http://files.invalid/x", limit=9)
    assert caught.value.id == "OLR-PROXY-002"


def test_what_a_registry_says(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with mirrors(SOUND) as (sound,), mirrors(Faults(html=True)) as (page,), mirrors(Faults(connect=407)) as (proxy,):
        assert registry.asked(sound.url) == {"status": 200, "type": "", "challenge": ""}
        assert registry.main((page.url,)) == 0
        assert json.loads(capsys.readouterr().out)["type"].startswith("text/html")
        monkeypatch.setenv("https_proxy", f"http://user:canary@127.0.0.1:{proxy.port}")
        refused = str(registry.asked("https://mirror.invalid/v2/")["error"])
        assert f"http://127.0.0.1:{proxy.port} asks for a name and a password" in refused
        assert "canary" not in refused
    assert "refused" in str(registry.asked(sound.url)["error"])


def test_a_registrys_own_authority_is_taken(
    tmp_path: Path, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("SSL_CERT_FILE", "")
    with MirrorServer(b"{}", SOUND, tls) as server:
        registry.main((server.url, str(tmp_path / "tls.crt")))
    assert json.loads(capsys.readouterr().out)["status"] == 200


def test_a_certificate_nobody_trusts_is_refused(
    tmp_path: Path, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with MirrorServer(CONTENT, SOUND, tls) as server:
        with pytest.raises(Failure) as caught:
            _fetch(tmp_path / "file", [server])
        assert "CERTIFICATE_VERIFY_FAILED" in caught.value.what
        assert server.asked == []


def test_names_and_passwords_are_not_told(tmp_path: Path) -> None:
    with mirrors(Faults(status=404)) as (server,):
        url = f"http://name:secret@127.0.0.1:{server.port}/file?token=secret"
        with pytest.raises(Failure) as caught:
            fetch((url,), WANTED, to=tmp_path / "file", report=silent, limits=LIMITS)
    assert "secret" not in caught.value.what
    assert "/file" in caught.value.what


def test_a_right_sha256_with_a_wrong_integrity_is_refused(tmp_path: Path) -> None:
    with mirrors(SOUND) as servers, pytest.raises(Failure) as caught:
        _fetch(tmp_path / "file", servers, replace(WANTED, integrity="sha512-AAAA"))
    assert caught.value.id == "OLR-ART-005"


def test_a_full_disk_is_told_before_the_first_byte(tmp_path: Path) -> None:
    with mirrors(SOUND) as servers:
        with pytest.raises(Failure) as caught:
            _fetch(tmp_path / "file", servers, replace(WANTED, size=1 << 60))
        assert caught.value.id == "OLR-ART-002"
        assert servers[0].asked == []
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_ends_it_quickly_and_keeps_what_is_there(tmp_path: Path) -> None:
    def stop(done: int, total: int, unit: str, text: str = "") -> None:
        if done > 1_000_000:
            raise KeyboardInterrupt

    with mirrors(Faults(rate=1e6)) as servers:
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            fetch((servers[0].url,), WANTED, to=tmp_path / "file", report=stop, limits=LIMITS)
        assert time.monotonic() - began < 2
        assert [thread.name for thread in threading.enumerate() if thread.name == "fetch"] == []
    with mirrors(SOUND) as servers:
        done = _fetch(tmp_path / "file", servers)
    assert done.resumed > 1_000_000
    assert done.resumed + done.received < len(CONTENT) + 500_000
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_bytes_of_an_attempt_before_that_are_wrong_are_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"?" * 1000 + CONTENT[1000:])
    (tmp_path / "file.state").write_text(
        f'{{"sha256": "{WANTED.sha256}", "size": {WANTED.size}, "boot": "", "ranges": [[0, {WANTED.size}]]}}'
    )
    with mirrors(SOUND) as servers:
        done = _fetch(tmp_path / "file", servers)
    assert done.warnings == ()
    assert (tmp_path / "file").read_bytes() == CONTENT


CHILD = """
import sys
from pathlib import Path
from installers.core.artifacts.fetch import Wanted, fetch
fetch((sys.argv[1],), Wanted("thing", int(sys.argv[2]), sys.argv[3]), to=Path(sys.argv[4]), report=lambda *_: None)
"""


def test_kill_9_costs_at_most_8_mib(tmp_path: Path) -> None:
    content = random.Random(2).randbytes(48 << 20)  # noqa: S311
    wanted = Wanted("thing", len(content), hashlib.sha256(content).hexdigest())
    with mirrors(Faults(rate=8e6), content=content) as (server,):
        argv = [sys.executable, "-c", CHILD, server.url, str(wanted.size), wanted.sha256, str(tmp_path / "file")]
        kills = 0
        for share in (0.3, 0.6, 0.8):
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
            while server.served < share * wanted.size and child.poll() is None:
                time.sleep(0.005)
            kills += child.poll() is None
            os.kill(child.pid, signal.SIGKILL)
            child.wait(10)
        subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=20, check=True)
        assert kills == 3
        assert server.served <= wanted.size + kills * (8 << 20)
    assert (tmp_path / "file").read_bytes() == content
