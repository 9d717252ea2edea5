"""What is refused of a signed depot, each with its own id, and what is kept of an accepted one."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from tuf.api.metadata import TargetFile

from installers.core.artifacts.depot.contents import For
from installers.core.artifacts.depot.keys import Publisher, publisher, rotated
from installers.core.artifacts.depot.open import Depot, accept, check_files, nothing, open_depot
from installers.core.artifacts.depot.publish import VALID, latest, renew, sign, targets_of
from installers.core.errors import Failure
from tests.unit.core.artifacts.depot.conftest import CONTENTS, HOST, KEY, Workplace, fill


def opened(work: Workplace, *, trust: str = "", host: For = HOST) -> Depot:
    return open_depot(str(work.depot), work.paths, host, trust=trust)


def accepted(work: Workplace) -> Depot:
    depot = opened(work, trust=work.trust)
    accept(depot, work.paths)
    return depot


def refused(work: Workplace, *, trust: str = "", host: For = HOST) -> Failure:
    with pytest.raises(Failure) as found:
        opened(work, trust=trust, host=host)
    assert found.value.what
    assert found.value.next
    return found.value


def metadata(work: Workplace) -> Path:
    return work.depot / "metadata"


def of_role(work: Workplace, role: str) -> Path:
    (path,) = metadata(work).glob(f"*.{role}.json")
    return path


def edited(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    row = json.loads(path.read_bytes())
    change(row["signed"])
    path.write_text(json.dumps(row))


def resigned(
    work: Workplace, *, by: Publisher | None = None, of: Publisher | None = None, valid: timedelta = VALID
) -> None:
    """The same files once more: signed by one publisher, as another (default: ours) had signed them before."""
    renew(work.depot, by or work.publisher, targets_of(work.depot, of or work.publisher), valid=valid)


def test_a_stranger_is_refused_with_the_fingerprint_and_how_to_accept_it(workplace: Workplace) -> None:
    failure = refused(workplace)
    assert failure.id == "OLR-BND-003"
    assert workplace.trust in failure.what
    assert f"--trust {workplace.trust}" in failure.next
    assert not Path(workplace.paths.state).exists()


def test_trust_given_once_is_kept_and_followed(workplace: Workplace) -> None:
    accepted(workplace)
    resigned(workplace)
    again = opened(workplace)
    assert again.seen is not None
    accept(again, workplace.paths)
    assert opened(workplace).seen is None


def test_looking_keeps_no_trust(workplace: Workplace) -> None:
    opened(workplace, trust=workplace.trust)
    assert refused(workplace).id == "OLR-BND-003"


def test_another_maker_than_the_one_named_is_refused(workplace: Workplace) -> None:
    other = publisher(workplace.folder / "others")
    assert refused(workplace, trust=other.fingerprint).id == "OLR-BND-004"


@pytest.mark.parametrize("given", ["sha256:12", "md5:" + "a" * 64, "x" * 64])
def test_what_is_no_fingerprint_is_said_so(workplace: Workplace, given: str) -> None:
    assert refused(workplace, trust=given).id == "OLR-BND-016"


def test_a_first_root_that_was_changed_is_another_maker(workplace: Workplace) -> None:
    path = metadata(workplace) / "1.root.json"
    path.write_bytes(path.read_bytes() + b"\n")
    assert refused(workplace, trust=workplace.trust).id == "OLR-BND-004"


def test_a_depot_signed_with_other_keys_is_refused(workplace: Workplace) -> None:
    root = (metadata(workplace) / "1.root.json").read_bytes()
    sign(workplace.depot, publisher(workplace.folder / "others"), nothing)
    (metadata(workplace) / "1.root.json").write_bytes(root)
    assert refused(workplace, trust=workplace.trust).id == "OLR-BND-005"


def test_a_changed_timestamp_has_a_wrong_signature(workplace: Workplace) -> None:
    edited(metadata(workplace) / "timestamp.json", lambda row: row.update(expires="2090-01-01T00:00:00Z"))
    assert refused(workplace, trust=workplace.trust).id == "OLR-BND-005"


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_a_changed_part_does_not_belong_to_the_rest(workplace: Workplace, role: str) -> None:
    path = of_role(workplace, role)
    path.write_bytes(path.read_bytes().replace(b"signatures", b"signaturez"))
    assert refused(workplace, trust=workplace.trust).id == "OLR-BND-012"


def test_parts_of_two_versions_are_refused(workplace: Workplace) -> None:
    """Mix and match: an older snapshot, validly signed, under the name of the newer one."""
    old = of_role(workplace, "snapshot").read_bytes()
    resigned(workplace)
    of_role(workplace, "snapshot").write_bytes(old)
    assert refused(workplace, trust=workplace.trust).id == "OLR-BND-012"


def test_an_older_version_than_one_accepted_is_refused(workplace: Workplace) -> None:
    before = workplace.folder / "before"
    shutil.copytree(metadata(workplace), before)
    resigned(workplace)
    accepted(workplace)
    shutil.rmtree(metadata(workplace))
    shutil.copytree(before, metadata(workplace))
    failure = refused(workplace, trust=workplace.trust)
    assert failure.id == "OLR-BND-006"
    assert str(latest(before)) in failure.what


def test_an_expired_one_is_refused_until_it_is_signed_again(workplace: Workplace) -> None:
    renew(
        workplace.depot,
        workplace.publisher,
        targets_of(workplace.depot, workplace.publisher),
        valid=timedelta(seconds=-1),
    )
    assert refused(workplace, trust=workplace.trust).id == "OLR-BND-007"
    resigned(workplace)
    opened(workplace, trust=workplace.trust)


def test_one_that_was_accepted_here_goes_on_after_its_end(workplace: Workplace) -> None:
    renew(
        workplace.depot,
        workplace.publisher,
        targets_of(workplace.depot, workplace.publisher),
        valid=timedelta(seconds=2),
    )
    accepted(workplace)
    stamp = Path(workplace.paths.state) / "trust" / workplace.trust.removeprefix("sha256:") / "timestamp.json"
    for path in (stamp, metadata(workplace) / "timestamp.json"):
        edited(path, lambda row: row.update(expires="2020-01-01T00:00:00Z"))
    assert opened(workplace).contents == CONTENTS


@pytest.mark.parametrize("part", ["1.root", "timestamp", "snapshot", "targets"])
def test_missing_metadata_is_no_bundle(workplace: Workplace, part: str) -> None:
    path = of_role(workplace, part) if part in ("snapshot", "targets") else metadata(workplace) / f"{part}.json"
    path.unlink()
    assert refused(workplace, trust=workplace.trust).id == "OLR-BND-002"


def test_new_keys_are_followed_by_those_who_trust_the_old_ones(workplace: Workplace) -> None:
    accepted(workplace)
    new = rotated(workplace.folder / "keys")
    assert new.fingerprint == workplace.trust
    resigned(workplace, by=new)
    accept(opened(workplace), workplace.paths)
    assert (metadata(workplace) / "2.root.json").is_file()


def test_the_old_keys_sign_nothing_any_more_once_new_ones_were_seen(workplace: Workplace) -> None:
    new = rotated(workplace.folder / "keys")
    resigned(workplace, by=new)
    accepted(workplace)
    resigned(workplace, of=new)
    (metadata(workplace) / "2.root.json").unlink()
    assert refused(workplace).id == "OLR-BND-005"


def test_new_keys_that_the_old_ones_did_not_sign_are_refused(workplace: Workplace) -> None:
    accepted(workplace)
    other = rotated_by_a_thief(workplace)
    resigned(workplace, by=other)
    (metadata(workplace) / "1.root.json").write_bytes(workplace.publisher.roots[0])
    assert refused(workplace).id == "OLR-BND-005"


def rotated_by_a_thief(work: Workplace) -> Publisher:
    publisher(work.folder / "thief")
    return rotated(work.folder / "thief")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("architecture", "arm64"),
        ("release", "trixie"),
        ("family", "ubuntu"),
        ("engine", "k3s"),
        ("edition", "upstream"),
    ],
)
def test_one_for_another_host_is_refused_by_name(workplace: Workplace, field: str, value: str) -> None:
    failure = refused(workplace, trust=workplace.trust, host=dataclasses.replace(HOST, **{field: value}))
    assert failure.id == "OLR-BND-011"
    assert value in failure.what
    assert not Path(workplace.paths.state).exists()


def test_one_that_fits_every_system_says_so_by_saying_nothing(workplace: Workplace) -> None:
    fill(workplace.depot, msgspec.structs.replace(CONTENTS, family="", release=""))
    sign(workplace.depot, workplace.publisher, nothing)
    opened(workplace, trust=workplace.trust, host=For("fedora", "43", "amd64", "kubernetes", "debian"))


@pytest.mark.parametrize("content", [b"", b"not json", b'{"edition": "debian"}', b'{"surprise": 1}'])
def test_contents_that_are_none_are_refused(workplace: Workplace, content: bytes) -> None:
    (workplace.depot / "contents.json").write_bytes(content)
    sign(workplace.depot, workplace.publisher, nothing)
    assert refused(workplace, trust=workplace.trust).id == "OLR-BND-002"


def test_contents_that_were_changed_are_refused(workplace: Workplace) -> None:
    path = workplace.depot / "contents.json"
    path.write_bytes(path.read_bytes().replace(b"amd64", b"arm64"))
    assert refused(workplace, trust=workplace.trust).id == "OLR-BND-009"


@pytest.mark.parametrize(
    ("path", "hashes", "id"),
    [
        ("../../etc/passwd", {"sha256": "0" * 64}, "OLR-BND-008"),
        ("/etc/passwd", {"sha256": "0" * 64}, "OLR-BND-008"),
        ("notes/x", {"sha256": "0" * 64}, "OLR-BND-008"),
        ("fetched/x", {"sha512": "0" * 128}, "OLR-BND-002"),
    ],
)
def test_what_a_maker_signs_is_not_believed_to_be_harmless(
    workplace: Workplace, path: str, hashes: dict[str, str], id: str
) -> None:
    targets = targets_of(workplace.depot, workplace.publisher) | {path: TargetFile(1, hashes, path)}
    renew(workplace.depot, workplace.publisher, targets)
    assert refused(workplace, trust=workplace.trust).id == id


@pytest.mark.processes
def test_an_accepted_one_is_opened_without_the_libraries_that_verify(workplace: Workplace) -> None:
    """`status` must stay quick, and works where an update broke them."""
    accepted(workplace)
    program = (
        "import sys; from installers.core.artifacts.depot.contents import For;"
        "from installers.core.artifacts.depot.open import open_depot; from installers.site import Paths;"
        f"p = Paths(state={workplace.paths.state!r}, cache={workplace.paths.cache!r});"
        f"open_depot({str(workplace.depot)!r}, p, For('debian', 'bookworm', 'amd64'));"
        "print(sorted({'tuf', 'cryptography', 'urllib3', 'securesystemslib'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "[]\n"


def test_no_such_place(workplace: Workplace) -> None:
    shutil.rmtree(workplace.depot)
    assert refused(workplace).id == "OLR-BND-001"


def test_what_was_opened_is_known_after_the_stick_is_out(workplace: Workplace) -> None:
    before = accepted(workplace)
    shutil.rmtree(workplace.depot)
    after = opened(workplace)
    assert (after.contents, after.folder) == (before.contents, workplace.depot)
    assert after.built("apps/x/image", KEY) == before.built("apps/x/image", KEY)


@pytest.mark.parametrize("file", ["fetched/0123456789abcdef-tool.tgz", "apt/Packages"])
def test_a_missing_file_is_named(workplace: Workplace, file: str) -> None:
    depot = opened(workplace, trust=workplace.trust)
    (workplace.depot / file).unlink()
    with pytest.raises(Failure) as found:
        check_files(depot, nothing)
    assert (found.value.id, file in found.value.what) == ("OLR-BND-010", True)


@pytest.mark.parametrize("content", [b"a toot", b"a tool and more", b""])
def test_a_file_with_other_bytes_is_named(workplace: Workplace, content: bytes) -> None:
    depot = opened(workplace, trust=workplace.trust)
    (workplace.depot / "fetched/0123456789abcdef-tool.tgz").write_bytes(content)
    with pytest.raises(Failure) as found:
        check_files(depot, nothing)
    assert found.value.id == "OLR-BND-009"


def test_apt_is_told_of_the_verified_directory_alone(workplace: Workplace) -> None:
    depot = opened(workplace, trust=workplace.trust)
    repository = depot.repository()
    assert repository is not None
    text = Path(repository.sources).read_text()
    assert text == f"deb [trusted=yes] copy:{workplace.depot}/apt ./\n"
    assert repository.packages == depot.targets["apt/Packages"].sha256


def test_another_place_of_the_same_depot_has_lists_of_its_own(workplace: Workplace) -> None:
    """apt names lists by where they came from; those of the old mount point would be no lists at all."""
    here = accepted(workplace).repository()
    moved = workplace.folder / "mounted elsewhere"
    workplace.depot.rename(moved)
    there = open_depot(str(moved), workplace.paths, HOST).repository()
    assert here is not None
    assert there is not None
    assert here.lists != there.lists
    assert "mounted%20elsewhere" in Path(there.sources).read_text()


def test_of_a_build_with_another_key_it_knows_nothing(workplace: Workplace) -> None:
    assert opened(workplace, trust=workplace.trust).built("apps/x/image", "cd" * 32) is None


def test_nobody_signs_again_what_somebody_else_put_there(workplace: Workplace) -> None:
    with pytest.raises(Failure) as found:
        targets_of(workplace.depot, publisher(workplace.folder / "others"))
    assert found.value.id == "OLR-BND-005"


def test_the_maker_signs_again_what_former_keys_signed(workplace: Workplace) -> None:
    new = rotated(workplace.folder / "keys")
    resigned(workplace, by=new, of=new)
    opened(workplace, trust=workplace.trust)
