"""Where a registry lies is read out of other programs' configuration."""

from __future__ import annotations

import pytest

from installers.core.artifacts.registries import default_registry, registry_in, tarball


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
