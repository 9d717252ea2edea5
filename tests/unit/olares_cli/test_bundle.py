"""``bundle`` as a person and as a program see it, on a small depot of our own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from installers import bundle
from installers.core.artifacts.depot.contents import FORMAT, Contents, Served
from installers.core.artifacts.depot.open import examine, nothing
from installers.core.artifacts.depot.pack import pack
from installers.core.artifacts.depot.publish import VALID, sign
from installers.core.errors import Failure
from installers.site import Paths
from olares_cli.session import Session
from olares_cli.ui.telling import Telling
from tests.unit.core.artifacts.depot.conftest import CONTENTS, Workplace, fill, workplace
from tests.unit.olares_cli.conftest import Run

__all__ = ["workplace"]


@pytest.fixture(autouse=True)
def _here(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLARES_STATE_DIR", workplace.paths.state)
    monkeypatch.setenv("OLARES_CACHE_DIR", workplace.paths.cache)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid())


def test_show_says_what_it_is_for_without_asking_for_trust(run: Run, workplace: Workplace) -> None:
    ended = run("bundle", "show", str(workplace.depot))
    assert ended.code == 0
    for said in ("debian bookworm", "amd64", "kubernetes", "containerd, etcd", workplace.trust, "not trusted here"):
        assert said in " ".join(ended.out.split()), said


def test_programs_get_one_record(run: Run, workplace: Workplace) -> None:
    (record,) = map(json.loads, run("--output", "jsonl", "bundle", "show", str(workplace.depot)).out.splitlines())
    assert (record["type"], record["fingerprint"], record["files"]) == ("bundle", workplace.trust, 7)
    assert record["contents"]["release"] == CONTENTS.release


def test_verify_wants_to_know_whom_to_trust(run: Run, workplace: Workplace) -> None:
    ended = run("bundle", "verify", str(workplace.depot))
    assert ended.code == 1
    assert "OLR-BND-003" in ended.err
    assert f"--trust {workplace.trust}" in ended.err


@pytest.mark.parametrize("packed", [False, True])
def test_verify_reads_everything_and_writes_nothing(run: Run, workplace: Workplace, packed: bool) -> None:
    place = workplace.depot
    if packed:
        place = workplace.folder / "olares.tar.zst"
        pack(workplace.depot, place, nothing)
    ended = run("bundle", "verify", str(place), "--trust", workplace.trust)
    assert ended.code == 0, ended.err
    assert "all 7 files" in ended.err
    assert not Path(workplace.paths.state).exists()
    assert not Path(workplace.paths.cache).exists()


def test_verify_names_the_file_that_differs(run: Run, workplace: Workplace) -> None:
    (workplace.depot / "apt/hello_2.10-3_amd64.deb").write_bytes(b"other")
    ended = run("bundle", "verify", str(workplace.depot), "--trust", workplace.trust)
    assert (ended.code, "OLR-BND-009" in ended.err, "hello_2.10-3" in ended.err) == (1, True, True)


@pytest.mark.parametrize("packed", [False, True])
def test_a_bundle_of_one_s_own_is_signed_again(workplace: Workplace, packed: bool) -> None:
    place = workplace.depot
    if packed:
        place = workplace.folder / "olares.tar.zst"
        pack(workplace.depot, place, nothing)
    before = examine(str(place), workplace.paths, trust=workplace.trust)
    bundle.sign_again(place, workplace.folder / "keys", 2 * VALID, nothing)
    after = examine(str(place), workplace.paths, trust=workplace.trust)
    assert after.expires > before.expires
    assert after.targets == before.targets
    assert not [path for path in workplace.folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("name", "made"), [("there.tar.zst", "file"), ("there", "full"), ("there", "file"), ("no/such/place.tar.zst", "")]
)
def test_nothing_is_written_over(tmp_path: Path, name: str, made: str) -> None:
    output = tmp_path / name
    if made == "file":
        output.write_text("precious")
    elif made == "full":
        output.mkdir()
        (output / "precious").write_text("x")
    with pytest.raises(Failure) as found:
        bundle.require_output(output)
    assert found.value.id == "OLR-BND-017"


def test_what_the_maker_reads_at_the_end_is_the_fingerprint_to_hand_on(
    run: Run, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(order: bundle.Order, probe: object, emit: object) -> bundle.Made:
        assert (order.site.source, order.site.edition, order.keys) == ("debian", "debian", Path("/etc/olares/keys"))
        return bundle.Made(order.output, Contents("debian", "kubernetes", "amd64", (), "", ""), workplace.trust, 3, 5)

    monkeypatch.setattr(bundle, "create", made)
    monkeypatch.setattr("olares_cli.commands.bundle.need_root", lambda what: None)
    ended = run("bundle", "create", "-o", "olares.tar.zst")
    assert ended.code == 0, ended.err
    assert f"--trust {workplace.trust}" in ended.err


IMAGES = (
    Served("a.example/b:1@sha256:11", "sha256:11", "sha256:22"),
    Served("a.example/c:2", "sha256:33", "sha256:44", by_tag=True),
)


@pytest.mark.parametrize("accepted", [False, True])
def test_the_maker_reads_which_digests_are_theirs_to_vouch_for(
    run: Run, workplace: Workplace, monkeypatch: pytest.MonkeyPatch, accepted: bool
) -> None:
    contents = Contents("upstream", "k3s", "amd64", (), "", "", images=IMAGES if accepted else IMAGES[:1])

    def made(order: bundle.Order, probe: object, emit: object) -> bundle.Made:
        assert (order.site.edition, order.accept_tags) == ("upstream", accepted)
        return bundle.Made(order.output, contents, workplace.trust, 3, 5)

    monkeypatch.setattr(bundle, "create", made)
    monkeypatch.setattr("olares_cli.commands.bundle.need_root", lambda what: None)
    words = ["--accept-tags"] if accepted else []
    ended = run("bundle", "create", "--edition", "upstream", *words, "-o", "olares.tar.zst")
    assert ended.code == 0, ended.err
    assert ("a.example/c:2\n    sha256:33" in ended.err) == accepted
    assert "a.example/b" not in ended.err


def test_show_names_every_image_and_by_which_digest_it_was_fetched(run: Run, workplace: Workplace) -> None:
    fill(workplace.depot, msgspec.structs.replace(CONTENTS, images=IMAGES))
    sign(workplace.depot, workplace.publisher, nothing)
    said = " ".join(run("bundle", "show", str(workplace.depot)).out.split())
    assert "a.example/b:1 sha256:11 a.example/c:2 sha256:33, by its tag when the bundle was made" in said
    (record,) = map(json.loads, run("--output", "jsonl", "bundle", "show", str(workplace.depot)).out.splitlines())
    assert record["contents"]["images"][1]["by_tag"] is True


def test_a_bundle_made_before_there_were_images_is_read(workplace: Workplace) -> None:
    older = {**msgspec.to_builtins(CONTENTS), "format": 1}
    del older["images"]
    (workplace.depot / "contents.json").write_bytes(msgspec.json.encode(older))
    sign(workplace.depot, workplace.publisher, nothing)
    assert examine(str(workplace.depot), workplace.paths, trust=workplace.trust).contents.images == ()


def test_one_of_a_later_format_is_not(workplace: Workplace) -> None:
    fill(workplace.depot, msgspec.structs.replace(CONTENTS, format=FORMAT + 1))
    sign(workplace.depot, workplace.publisher, nothing)
    with pytest.raises(Failure, match="OLR-BND-002"):
        examine(str(workplace.depot), workplace.paths, trust=workplace.trust)


def test_the_paths_of_the_tests_are_their_own(workplace: Workplace) -> None:
    assert workplace.paths.state != Paths().state


def test_what_takes_long_says_so_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = iter([0.0, 1.0, 4.9, 5.0, 6.0, 10.5])
    telling = Telling(Session(), clock=lambda: next(now))
    for done in range(1, 7):
        telling(done << 20, 100 << 20, "bytes", "unpacking")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "unpacking" in lines[0]


def test_what_is_short_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Telling(Session(), clock=lambda: 1.0)(1, 1, "bytes")
    assert capsys.readouterr().err == ""
