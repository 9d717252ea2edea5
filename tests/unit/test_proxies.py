"""Which proxies count: what olares.yaml says, else a command's environment, else what an earlier one's named."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import replace

import pytest

from installers.choice import lock_text
from installers.core.component.sitefile import parse_site
from installers.core.host import knock
from installers.proxies import go_out, of_environment, with_proxy
from installers.site import Node, Paths, Proxy, Site
from tests.fake import FakeMachine, FakeProbe
from tests.fake.debian12 import debian12
from tests.fake.mirrors import Faults, MirrorServer

OWN = "localhost,127.0.0.0/8,::1,10.233.64.0/18,10.96.0.0/16,cluster.local"
SAID = Site(proxy=Proxy("http://a.example:1", "http://b.example:2", ("intra.example",)))
NONE = Site(proxy=Proxy())
WITH_PASSWORD = {"https_proxy": "http://user:canary@p.example:3"}


def went_out(site: Site, environ: dict[str, str]) -> dict[str, str]:
    """The environment a command goes on with; every name stands in both cases or not at all."""
    now = dict(environ)
    go_out(with_proxy(site, FakeProbe(FakeMachine()), environ), now)
    names = {name.lower() for name in now}
    assert now == environ or all(now[name] == now[name.upper()] for name in names if name.endswith("_proxy"))
    return {name: now[name] for name in sorted(names & now.keys())}


@pytest.mark.parametrize(
    ("site", "environ", "expected"),
    [
        (Site(), {}, {}),
        (Site(), {"no_proxy": "x"}, {"no_proxy": "x"}),
        (Site(), {"HTTP_PROXY": "p:3"}, {"http_proxy": "p:3", "no_proxy": OWN}),
        (
            Site(),
            {"all_proxy": "http://p:3", "no_proxy": "x, y"},
            {
                **dict.fromkeys(("all_proxy", "http_proxy", "https_proxy"), "http://p:3"),
                "no_proxy": f"{OWN},x,y",
            },
        ),
        (Site(), WITH_PASSWORD, {**WITH_PASSWORD, "no_proxy": OWN}),
        (Site(node=Node("n", "10.0.0.4")), {"http_proxy": "p:3"}, {"http_proxy": "p:3", "no_proxy": f"{OWN},10.0.0.4"}),
        (
            SAID,
            {"http_proxy": "p:3", "ALL_PROXY": "q:4", "no_proxy": "x"},
            {
                "http_proxy": "http://a.example:1",
                "https_proxy": "http://b.example:2",
                "no_proxy": f"{OWN},intra.example",
            },
        ),
        (SAID, WITH_PASSWORD, went_out(SAID, {})),
        (NONE, {"http_proxy": "p:3", "HTTPS_PROXY": "p:3"}, {}),
    ],
)
def test_what_a_command_goes_on_with(site: Site, environ: dict[str, str], expected: dict[str, str]) -> None:
    assert went_out(site, environ) == expected


@pytest.mark.parametrize(
    ("environ", "kept"),
    [
        ({}, None),
        ({"no_proxy": "x"}, None),
        ({"http_proxy": "p:3"}, Proxy("http://p:3", "", kept=True)),
        ({"ALL_PROXY": "http://p:3/"}, Proxy("http://p:3", "http://p:3", kept=True)),
        (
            {"https_proxy": "http://p:3", "NO_PROXY": '.x,10.0.0.0/8 a"b'},
            Proxy("", "http://p:3", (".x", "10.0.0.0/8"), kept=True),
        ),
        (WITH_PASSWORD, None),
        ({**WITH_PASSWORD, "http_proxy": "p:3"}, None),
        ({"http_proxy": "http://user@p:3"}, None),
        ({"http_proxy": "socks5://p:3"}, None),
        ({"http_proxy": 'http://p"\n:3'}, None),
    ],
)
def test_what_of_an_environment_is_kept(environ: dict[str, str], kept: Proxy | None) -> None:
    assert of_environment(environ) == kept


def test_what_an_environment_named_is_kept_for_a_command_that_has_none() -> None:
    machine = debian12()
    probe = FakeProbe(machine)
    first = with_proxy(Site(), probe, {"https_proxy": "http://p:3", "no_proxy": "x"})
    text = lock_text(replace(first, source="debian", edition="debian", kube="kubernetes"), ())
    machine.tree.directory(Paths().state)
    machine.tree.file(f"{Paths().state}/site.lock", text)
    again = with_proxy(Site(), probe, {})
    assert again == first
    assert with_proxy(Site(), probe, {"https_proxy": "http://q:4"}).proxy == Proxy("", "http://q:4", kept=True)
    assert with_proxy(NONE, probe, {}) == NONE
    environ: dict[str, str] = {}
    go_out(again, environ)
    assert environ["https_proxy"] == "http://p:3"
    # One that may not be kept serves its own command, and services go on with the kept one.
    go_out(with_proxy(Site(), probe, WITH_PASSWORD), environ := dict(WITH_PASSWORD))
    assert environ["https_proxy"] == WITH_PASSWORD["https_proxy"]
    assert with_proxy(Site(), probe, WITH_PASSWORD) == first


@pytest.mark.parametrize(
    "environ", [{"http_proxy": "p:3", "no_proxy": "x,y"}, {"ALL_PROXY": "http://p:3"}, WITH_PASSWORD]
)
@pytest.mark.parametrize("site", [Site(), SAID, NONE, Site(node=Node("n", "10.0.0.4"))])
def test_a_command_that_was_handed_the_environment_takes_it_as_the_first_did(
    site: Site, environ: dict[str, str]
) -> None:
    probe = FakeProbe(FakeMachine())
    first = with_proxy(site, probe, environ)
    go_out(first, handed := dict(environ))
    second = with_proxy(site, probe, handed)
    assert second == first
    go_out(second, again := dict(handed))
    assert again == handed


@pytest.mark.parametrize("proxy", [None, Proxy(), SAID.proxy])
def test_the_lock_keeps_nothing_that_olares_yaml_says(proxy: Proxy | None) -> None:
    assert "proxy" not in json.loads(lock_text(Site(proxy=proxy), ()))


def test_an_empty_section_says_nothing() -> None:
    for text in ("proxy:\n", "proxy: {}\n"):
        assert parse_site(text.encode(), path="f", names={}) == (Site(), ())


@pytest.mark.processes
@pytest.mark.parametrize(
    ("faults", "said", "code"),
    [
        (Faults(), "502", 0),
        (Faults(connect=407), "407", 0),
        (Faults(connect=503), "503", 0),
        (Faults(connect=0), "without a word", 1),
        (None, "Connection refused", 1),
    ],
)
def test_a_proxy_is_told_by_how_it_answers(
    capsys: pytest.CaptureFixture[str], faults: Faults | None, said: str, code: int
) -> None:
    with MirrorServer(b"", faults or Faults()) as proxy:
        port = str(proxy.port)
        if faults:
            assert knock.main(("127.0.0.1", port)) == code
            assert proxy.paths == ["olares.invalid:443"]
    if faults is None:
        assert knock.main(("127.0.0.1", port)) == code
    assert said in capsys.readouterr().out


@pytest.mark.processes
def test_what_is_no_proxy_and_what_says_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knock, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = ("127.0.0.1", str(server.getsockname()[1]))
        assert knock.main(place) == 1
        assert "said nothing" in capsys.readouterr().out
        server.accept()[0].close()

        def greet() -> None:
            with server.accept()[0] as peer:
                peer.recv(1 << 10)
                peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        greeter = threading.Thread(target=greet)
        greeter.start()
        assert knock.main(place) == 1
        greeter.join()
    assert "does not speak HTTP" in capsys.readouterr().out
