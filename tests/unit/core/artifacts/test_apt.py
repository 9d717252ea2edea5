"""Debian's own sources are found among all a host has, and nothing else of its apt configuration travels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from installers.core.artifacts.apt import Mirror, Release, Source, debian_sources, of_release, parse_release, settings
from installers.core.errors import Failure

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://mirror.example/off
Suites: bookworm
Components: main
"""
OTHERS = """\
deb [arch=amd64 signed-by=/etc/apt/keyrings/docker.asc] http://docker.example/linux/debian bookworm stable
deb http://postgres.example/apt bookworm-pgdg main
# deb http://mirror.example/commented bookworm main
deb-src http://mirror.example/sources bookworm main
"""
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def test_debians_suites_are_taken_and_others_are_not() -> None:
    files = {"/etc/apt/sources.list.d/debian.sources": DEB822, "/etc/apt/sources.list.d/others.list": OTHERS}
    assert debian_sources(files, "bookworm") == (
        Source(("http://mirror.example/debian",), ("bookworm", "bookworm-updates"), ("main",), KEYRING),
        Source(("http://mirror.example/debian-security",), ("bookworm-security",), ("main",)),
    )


def test_one_line_sources() -> None:
    text = "deb [ signed-by=/k.gpg ] http://mirror.example/debian bookworm main non-free # ours\n"
    found = debian_sources({"/etc/apt/sources.list": text}, "bookworm")
    assert found == (Source(("http://mirror.example/debian",), ("bookworm",), ("main",), "/k.gpg"),)
    assert list(found[0].lines()) == [
        "deb [signed-by=/k.gpg] http://mirror.example/debian bookworm main",
        "deb-src [signed-by=/k.gpg] http://mirror.example/debian bookworm main",
    ]


def test_a_mirror_is_asked_for_another_release_than_the_hosts() -> None:
    hosts = (
        Source(("http://mirror.example/debian",), ("trixie", "trixie-updates"), ("main",), KEYRING),
        Source(("http://mirror.example/debian-security",), ("trixie-security",), ("main",)),
    )
    assert of_release(hosts, here="trixie", wanted="bookworm") == (
        Source(("http://mirror.example/debian",), ("bookworm", "bookworm-updates"), ("main",), KEYRING),
        Source(("http://mirror.example/debian-security",), ("bookworm-security",), ("main",)),
    )
    assert of_release(hosts, here="trixie", wanted="trixie") == hosts


@pytest.mark.parametrize("text", ["", OTHERS, "deb http://mirror.example/debian trixie main\n"])
def test_a_host_without_its_debian_is_refused(text: str) -> None:
    with pytest.raises(Failure) as caught:
        debian_sources({"/etc/apt/sources.list": text}, "bookworm")
    assert caught.value.id == "OLR-ART-013"


def test_only_ways_out_travel_from_apts_settings() -> None:
    dump = """\
Acquire "";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::Verify-Peer "true";
Acquire::Languages:: "none";
APT::Get::Assume-Yes "true";
"""
    found = settings(dump)
    assert found == (("Acquire::http::Proxy", "http://proxy.example:3128"), ("Acquire::https::Verify-Peer", "true"))
    assert Mirror("bookworm", (), found).proxies() == {"http_proxy": "http://proxy.example:3128"}


def test_the_configuration_laid_for_a_root_names_places_as_the_root_sees_them(tmp_path: Path) -> None:
    key = tmp_path / "key.gpg"
    key.write_bytes(b"key")
    source = Source(("http://mirror.example/debian",), ("bookworm",), ("main",), str(key))
    mirror = Mirror("bookworm", (source,), (("Acquire::http::Proxy", "http://u:p@proxy"),))
    conf = mirror.lay(tmp_path / "host", seen="/run/there")
    assert conf.stat().st_mode & 0o077 == 0, "a proxy may carry a password"
    assert 'Acquire::http::Proxy "http://u:p@proxy";' in conf.read_text()
    assert str(tmp_path) not in conf.read_text()
    assert "[signed-by=/run/there/key.gpg]" in (tmp_path / "host/sources.list").read_text()
    assert (tmp_path / "host/key.gpg").read_bytes() == b"key"


def test_a_keyring_by_its_name_of_debian_13_is_laid_by_the_name_debian_12_knows(tmp_path: Path) -> None:
    key = tmp_path / "keyring.pgp"
    key.write_bytes(b"key")
    source = Source(("http://mirror.example/debian",), ("bookworm",), ("main",), str(key))
    Mirror("bookworm", (source,)).lay(tmp_path / "host", seen="/run/there")
    assert "[signed-by=/run/there/keyring.gpg]" in (tmp_path / "host/sources.list").read_text()
    assert (tmp_path / "host/keyring.gpg").read_bytes() == b"key"


SOURCES = (
    Source(("http://mirror.example/debian", "http://intra.example/debian"), ("bookworm",), ("main",)),
    Source(("http://mirror.example:80/debian", "https://safe.example/debian"), ("bookworm-security",), ("main",)),
)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (
            (),
            {
                "http::Proxy::mirror.example": "http://u:p@p.example:3",
                "https::Proxy::safe.example": "http://q.example:4",
            },
        ),
        (
            (("Acquire::http::Proxy", "DIRECT"),),
            {"http::Proxy": "DIRECT", "https::Proxy::safe.example": "http://q.example:4"},
        ),
        (
            (("Acquire::http::Proxy-Auto-Detect", "/x"), ("Acquire::https::Proxy::safe.example", "http://o:1")),
            {"http::Proxy-Auto-Detect": "/x", "https::Proxy::safe.example": "http://o:1"},
        ),
    ],
)
def test_the_environments_proxy_is_laid_where_apt_has_none_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: tuple[tuple[str, str], ...], expected: dict[str, str]
) -> None:
    monkeypatch.setenv("http_proxy", "http://u:p@p.example:3")
    monkeypatch.setenv("https_proxy", "http://q.example:4")
    monkeypatch.setenv("no_proxy", "intra.example")
    conf = Mirror("bookworm", SOURCES, own).lay(tmp_path / "host", seen="/run/there")
    found = re.findall(r'^Acquire::(\S*Proxy\S*) "(.*)";$', conf.read_text(), re.MULTILINE)
    assert dict(found) == expected


def test_apts_word_for_no_proxy_is_no_address() -> None:
    direct = (("Acquire::http::Proxy", "DIRECT"),)
    assert Mirror("bookworm", (), direct).proxies() == {"http_proxy": ""}


def test_release() -> None:
    text = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian\n'
    assert parse_release(text) == Release("debian", "12", "bookworm")
