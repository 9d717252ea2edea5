"""What registries say, as data: which manifest is taken, what is refused, what a challenge asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from installers.core.artifacts.oci.documents import (
    DOCKER_MANIFEST,
    MANIFEST,
    challenge,
    chosen,
    document,
    media_type,
    parts_of,
    require_platform,
)
from installers.core.errors import Failure

OCI = "application/vnd.oci.image"


def row(arch: str, number: int, **platform: str) -> dict[str, Any]:
    digest = f"sha256:{number:064x}"
    return {
        "mediaType": MANIFEST,
        "digest": digest,
        "size": 2,
        "platform": {"os": "linux", "architecture": arch, **platform},
    }


@pytest.mark.parametrize(
    ("rows", "arch", "number"),
    [
        ([row("arm64", 1), row("amd64", 2)], "amd64", 2),
        ([row("arm64", 1, variant="v8"), row("amd64", 2)], "arm64", 1),
        ([row("amd64", 1, os="windows"), row("amd64", 2)], "amd64", 2),
        ([row("amd64", 1, variant="v3"), row("amd64", 2)], "amd64", 2),
        ([row("unknown", 1, os="unknown"), row("amd64", 2), row("amd64", 3)], "amd64", 2),
        (["no row", {"digest": "x"}, row("amd64", 2)], "amd64", 2),
    ],
)
def test_the_manifest_of_one_architecture(rows: list[Any], arch: str, number: int) -> None:
    assert chosen({"manifests": rows}, arch, image="i").digest == f"sha256:{number:064x}"


@pytest.mark.parametrize(
    ("index", "known"),
    [
        ({"manifests": [row("amd64", 1), row("arm", 2, variant="v7")]}, "amd64, arm/v7"),
        ({"manifests": [row("arm64", 1, variant="v9")]}, "arm64/v9"),
        ({"manifests": []}, "none for Linux"),
        ({"manifests": "x"}, "none for Linux"),
        ({}, "none for Linux"),
    ],
)
def test_an_architecture_that_is_not_there_is_told_with_those_that_are(index: Mapping[str, Any], known: str) -> None:
    with pytest.raises(Failure) as found:
        chosen(index, "arm64", image="i")
    assert (found.value.id, found.value.fields["known"]) == ("OLR-IMAGE-010", known)


def config(**changes: Any) -> dict[str, Any]:
    return {"mediaType": f"{OCI}.config.v1+json", "digest": f"sha256:{1:064x}", "size": 5, **changes}


def layer(**changes: Any) -> dict[str, Any]:
    return {"mediaType": f"{OCI}.layer.v1.tar+gzip", "digest": f"sha256:{2:064x}", "size": 7, **changes}


def test_parts_of_a_manifest() -> None:
    found, layers = parts_of(
        {"config": config(), "layers": [layer(), layer(mediaType=f"{OCI}.layer.v1.tar")]}, image="i"
    )
    assert (found.sha256, found.size, [one.size for one in layers]) == (f"{1:064x}", 5, [7, 7])


@pytest.mark.parametrize(
    "manifest",
    [
        {"layers": [layer()]},
        {"config": config(mediaType="application/vnd.cncf.helm.config.v1+json"), "layers": [layer()]},
        {"config": config(size=1 << 30), "layers": [layer()]},
        {"config": config(digest="sha256:short"), "layers": [layer()]},
        {"config": config(digest=f"sha512:{1:0128x}"), "layers": [layer()]},
        {"config": config(size=True), "layers": [layer()]},
        {"config": config(size=-1), "layers": [layer()]},
        {"config": config(), "layers": []},
        {"config": config(), "layers": [layer(mediaType=f"{OCI}.layer.nondistributable.v1.tar+gzip")]},
        {"config": config(), "layers": [layer(mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")]},
        {"config": config(), "layers": [layer(size=1 << 40)]},
        {"config": config(), "layers": [layer(digest="../../etc/passwd")]},
        {"config": config(), "layers": "all"},
    ],
)
def test_what_would_fail_later_is_refused(manifest: Mapping[str, Any]) -> None:
    with pytest.raises(Failure, match="OLR-IMAGE-011"):
        parts_of(manifest, image="i")


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b'{"schemaVersion": 1}', b"{}", b'"text"'])
def test_no_document(content: bytes) -> None:
    with pytest.raises(Failure, match="OLR-IMAGE-011"):
        document(content, image="i")


def test_a_documents_own_word_counts() -> None:
    assert media_type({"mediaType": DOCKER_MANIFEST}, MANIFEST) == DOCKER_MANIFEST
    assert media_type({}, f"{MANIFEST}; charset=utf-8") == MANIFEST
    assert media_type({"mediaType": 3}, "") == ""


@pytest.mark.parametrize("content", [b"[]", b"x", json.dumps({"os": "linux", "architecture": "s390x"}).encode()])
def test_whom_a_configuration_is_for(content: bytes) -> None:
    require_platform(b'{"os": "linux", "architecture": "amd64"}', "amd64", image="i")
    with pytest.raises(Failure, match="OLR-IMAGE-01"):
        require_platform(content, "amd64", image="i")


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ('Bearer realm="https://a.example/t",service="s"', {"realm": "https://a.example/t", "service": "s"}),
        (
            'bearer realm=https://a.example/t , scope="repository:a/b:pull,push"',
            {"realm": "https://a.example/t", "scope": "repository:a/b:pull,push"},
        ),
        (
            'Bearer Realm="https://a.example/t",service="a \\"b\\", c"',
            {"realm": "https://a.example/t", "service": 'a "b", c'},
        ),
        ('Basic realm="https://a.example/t"', {}),
        ('Bearer service="s"', {}),
        ('Bearer realm="file:///etc/passwd"', {}),
        ("", {}),
    ],
)
def test_challenges(header: str, wanted: Mapping[str, str]) -> None:
    assert challenge(header) == wanted
