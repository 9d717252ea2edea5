"""Where a registry lies is read out of other programs' configuration."""

from __future__ import annotations

import pytest

from installers.core.artifacts.fetch.proxy import blamed
from installers.core.artifacts.registries import default_registry, pip_reason, registry_in, tarball, wheel_tags


@pytest.mark.parametrize(
    ("npmrc", "registry"),
    [
        ("registry=https://mirror.example/npm/\n", "https://mirror.example/npm/"),
        ("fund=false\n registry = 'https://mirror.example/npm'\n", "https://mirror.example/npm"),
        ("registry=https://first.example\nregistry=https://second.example\n", "https://second.example"),
        ("@scope:registry=https://mirror.example/\n; registry=https://comment.example\n", ""),
        ("", ""),
    ],
)
def test_npmrc(npmrc: str, registry: str) -> None:
    assert registry_in(npmrc) == registry


def test_npms_own_default_is_read_from_what_defines_it() -> None:
    definitions = """
define('read-only', {
  default: false,
})

define('registry', {
  default: 'https://registry.example/',
  type: url,
})
"""
    assert default_registry(definitions) == "https://registry.example/"
    assert default_registry(definitions.replace("'registry'", "'registries'")) == ""


def test_a_version_names_its_tarball() -> None:
    assert tarball({"dist": {"tarball": "https://registry.example/a.tgz"}}) == "https://registry.example/a.tgz"


@pytest.mark.parametrize("document", [None, [], {}, {"dist": {}}, {"dist": {"tarball": "file:///etc/shadow"}}])
def test_an_answer_without_tarball_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="no tarball"):
        tarball(document)


PIP = """\
WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by '{}': /simple/six/
ERROR: Could not find a version that satisfies the requirement six==1.16.0 (from versions: 1.17.0)
ERROR: No matching distribution found for six==1.16.0
"""
REFUSED = "[Errno 111] Connection refused"
NO_PROXY = f"""NewConnectionError("HTTPSConnection(host='127.0.0.1', port=9): Failed to connect: {REFUSED}")"""
OLD_NO_PROXY = f"""ProxyError('Cannot connect to proxy.', NewConnectionError('<object>: {REFUSED}'))"""
LOCKED = (
    "ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407 Proxy Authentication Required'))"
)
FORBIDDEN = "ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 403 Forbidden'))"
OTHER = (
    """NewConnectionError("HTTPSConnection(host='files.example', port=443): Failed: [Errno 111] Connection refused")"""
)


@pytest.mark.parametrize(
    ("said", "id", "reason"),
    [
        (NO_PROXY, "OLR-PROXY-001", REFUSED),
        (OLD_NO_PROXY, "OLR-PROXY-001", REFUSED),
        (LOCKED, "OLR-PROXY-002", None),
        (FORBIDDEN, "", None),
        (OTHER, "", None),
    ],
)
def test_pips_words_about_a_proxy(monkeypatch: pytest.MonkeyPatch, said: str, id: str, reason: str | None) -> None:
    reason_of_pip = pip_reason(PIP.format(said))
    assert said in reason_of_pip
    assert blamed(reason_of_pip) is None, "without a proxy it is nobody's"
    monkeypatch.setenv("https_proxy", "http://user:canary@127.0.0.1:9")
    fault = blamed(reason_of_pip)
    assert (fault.id if fault else "") == id
    if fault:
        assert fault.fields["proxy"] == "http://127.0.0.1:9"
        assert fault.fields.get("reason") == reason
        assert "canary" not in fault.what


def test_pips_last_word_counts_where_no_connection_broke() -> None:
    assert pip_reason("a\nERROR: one\nERROR: two\n") == "two"
    assert pip_reason("") == "it named another file"


def test_a_wheel_made_for_one_python_is_asked_for_by_its_own_tags() -> None:
    tags = wheel_tags("msgspec-0.22.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl")
    assert tags == [
        *("--only-binary=:all:", "--implementation=cp", "--python-version=3.11", "--abi=cp311"),
        *("--platform=manylinux2014_x86_64", "--platform=manylinux_2_17_x86_64"),
    ]


@pytest.mark.parametrize(
    "file", ["h11-0.16.0-py3-none-any.whl", "bcrypt-5.0.0-cp39-abi3-manylinux2014_x86_64.whl", "x-1.tar.gz"]
)
def test_what_fits_every_python_needs_no_tags(file: str) -> None:
    assert wheel_tags(file) == []
