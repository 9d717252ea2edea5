"""Pinned upstream releases, and their projects' lists of digests."""

from __future__ import annotations

import hashlib

import pytest

from installers.core.artifacts.upstream import (
    File,
    Release,
    State,
    Upstream,
    compare,
    parse_sums,
    parse_upstream,
    upstream,
)
from installers.core.errors import Failure

A, B = "a1" * 32, "b2" * 32
RELEASES = parse_upstream(f"""
releases:
  tool:
    why: a test
    version: "1.2+k3s1"
    base: "https://example.test/v{{version}}/{{arch}}/"
    sums: "{{name}}.sha256"
    files:
      amd64: {{name: "tool-{{version}}.tgz", sha256: "{A}"}}
      arm64: {{name: "tool-{{version}}.tgz"}}
""")
WHERE = "https://example.test/v1.2%2Bk3s1/{}/tool-1.2%2Bk3s1.tgz"


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (f"{A}\n", A),
        (f"{A.upper()}  tool.tgz\n", A),
        (f"{B}  other.tgz\n{A} *tool.tgz\n", A),
        (f"{A}  ./dist/tool.tgz\n", A),
        (f"SHA256 (tool.tgz) = {A}\n", A),
        (f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{A}  tool.tgz\n-----BEGIN PGP SIGNATURE-----\n", A),
        (f"{A}  tool.tgz\n{A}  tool.tgz\n", A),
        (f"{B}  tool.tgz.asc\n", None),
        (f"{A[:-1]}  tool.tgz\n", None),
        (f"{A}{A}  tool.tgz\n", None),
        ("<!DOCTYPE html>\n", None),
        ("", None),
    ],
)
def test_digests_are_found_in_every_form_of_list(text: str, digest: str | None) -> None:
    assert parse_sums(text, "tool.tgz") == digest


def test_a_list_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="2 different digests"):
        parse_sums(f"{A}  tool.tgz\n{B}  tool.tgz\n", "tool.tgz")


def asked(answers: dict[str, str]) -> dict[str, tuple[State, str, str]]:
    def text(url: str) -> str:
        if url not in answers:
            raise OSError("no route")
        return answers[url]

    return {row.arch: (row.state, row.url, row.published) for row in compare(text=text, among=RELEASES)}


@pytest.mark.parametrize(
    ("published", "state"), [(A, State.SAME), (B, State.DIFFERS), (f"{A}  another", State.UNNAMED)]
)
def test_a_pinned_digest_is_held_against_the_published_one(published: str, state: State) -> None:
    found = asked({f"{WHERE.format('amd64')}.sha256": published, f"{WHERE.format('arm64')}.sha256": B})
    assert found["amd64"][:2] == (state, WHERE.format("amd64"))
    assert found["arm64"] == (State.NEW, WHERE.format("arm64"), B)


@pytest.mark.parametrize(("text", "state"), [("kind: List\n", State.SAME), ("kind: Pod\n", State.DIFFERS)])
def test_a_file_that_no_list_names_is_held_against_itself(text: str, state: State) -> None:
    files = {"amd64": File("all.yaml", hashlib.sha256(b"kind: List\n").hexdigest())}
    release = Release("a manifest", "1.0", "https://example.test/v{version}/", files)

    def answer(url: str) -> str:
        return {"https://example.test/v1.0/all.yaml": text}[url]

    (found,) = compare(text=answer, among=Upstream({"all": release}))
    assert found.state is state


def test_a_site_that_is_not_reached_is_told_apart() -> None:
    found = asked({f"{WHERE.format('amd64')}.sha256": A})
    assert {arch: state for arch, (state, _, _) in found.items()} == {"amd64": State.SAME, "arm64": State.UNREACHED}


def test_an_unknown_release_is_refused_by_name() -> None:
    with pytest.raises(Failure) as failure:
        compare(["tol"], among=RELEASES)
    assert (failure.value.id, failure.value.fields["known"]) == ("OLR-ART-015", "tool")


@pytest.mark.parametrize(("name", "release"), upstream().releases.items())
def test_the_shipped_releases_are_whole(name: str, release: object) -> None:
    one = upstream().releases[name]
    assert set(one.files) == {"amd64", "arm64"}
    for arch, file in one.files.items():
        assert one.url(arch).startswith("https://")
        assert one.sums_url(arch).startswith("https://")
        assert "{" not in one.url(arch) + one.sums_url(arch)
        assert file.sha256 == "" or len(bytes.fromhex(file.sha256)) == 32
    digests = [file.sha256 for file in one.files.values() if file.sha256]
    made_for_one = name != "calico"
    assert len(set(digests)) == (len(digests) if made_for_one else 1), "two architectures with one digest"
