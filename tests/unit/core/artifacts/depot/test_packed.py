"""A depot as one file: what is refused of it, and that nothing is ever written outside its own place."""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from installers.core.artifacts.depot.open import Depot, accept, nothing, open_depot
from installers.core.artifacts.depot.pack import pack
from installers.core.errors import Failure
from tests.unit.core.artifacts.depot.conftest import HOST, IMAGE, KEY, Workplace

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BUILT = f"built/apps-x-image-{KEY[:16]}/image.tar"


def packed(work: Workplace) -> Path:
    to = work.folder / "olares.tar.zst"
    pack(work.depot, to, nothing)
    return to


def opened(work: Workplace, file: Path) -> Depot:
    return open_depot(str(file), work.paths, HOST, trust=work.trust)


def refused(work: Workplace, file: Path) -> Failure:
    before = set(work.folder.rglob("*"))
    with pytest.raises(Failure) as found:
        opened(work, file)
    assert found.value.what
    after = {path for path in work.folder.rglob("*") if path.is_file()} - before
    cache = Path(work.paths.cache)
    assert not [path for path in after if not path.is_relative_to(cache)]
    assert not list((cache / "bundles").glob("*"))
    return found.value


def rewritten(file: Path, change: Callable[[tarfile.TarFile, tarfile.TarInfo, bytes], None]) -> Path:
    """The same depot with its members passed through ``change``, which adds what it likes."""
    plain = io.BytesIO(zstd.decompress(file.read_bytes()))
    made = io.BytesIO()
    with tarfile.open(fileobj=plain) as old, tarfile.open(fileobj=made, mode="w") as new:
        for entry in old:
            content = old.extractfile(entry)
            change(new, entry, content.read() if content else b"")
    file.write_bytes(zstd.compress(made.getvalue()))
    return file


def kept(tar: tarfile.TarFile, entry: tarfile.TarInfo, content: bytes) -> None:
    tar.addfile(entry, io.BytesIO(content))


def test_it_is_unpacked_once_and_whole(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    file = packed(workplace)
    depot = opened(workplace, file)
    accept(depot, workplace.paths)
    assert (depot.folder / BUILT).read_bytes() == IMAGE
    assert depot.folder == Path(workplace.paths.cache) / "bundles" / depot.id
    monkeypatch.setattr("installers.core.artifacts.depot.unpack.unpack", None)
    assert opened(workplace, file).folder == depot.folder


def test_an_accepted_newer_one_takes_the_place_of_the_older(workplace: Workplace) -> None:
    from installers.core.artifacts.depot.publish import sign

    accept(opened(workplace, packed(workplace)), workplace.paths)
    sign(workplace.depot, workplace.publisher, nothing)
    newer = opened(workplace, packed(workplace))
    accept(newer, workplace.paths)
    assert [path.name for path in (Path(workplace.paths.cache) / "bundles").iterdir()] == [newer.id]


def test_the_same_depot_gives_the_same_file(workplace: Workplace) -> None:
    first = packed(workplace).read_bytes()
    assert packed(workplace).read_bytes() == first


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x28\xb5\x2f\xfd nonsense", b"\x1f\x8b gzip", zstd.compress(b"no tar")]
)
def test_a_file_of_another_kind_is_no_bundle(workplace: Workplace, content: bytes) -> None:
    file = workplace.folder / "holiday.tar.zst"
    file.write_bytes(content)
    assert refused(workplace, file).id == "OLR-BND-002"


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.999])
def test_one_that_is_cut_short_is_refused_wherever_it_ends(workplace: Workplace, share: float) -> None:
    file = packed(workplace)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    assert refused(workplace, file).id == "OLR-BND-002"


def test_a_tar_that_ends_early_lacks_files(workplace: Workplace) -> None:
    def without_image(tar: tarfile.TarFile, entry: tarfile.TarInfo, content: bytes) -> None:
        if entry.name != BUILT:
            kept(tar, entry, content)

    failure = refused(workplace, rewritten(packed(workplace), without_image))
    assert (failure.id, BUILT in failure.what) == ("OLR-BND-010", True)


def entry_named(name: str, *, type: bytes = tarfile.REGTYPE, link: str = "", size: int = 4) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size = type, link, size if type == tarfile.REGTYPE else 0
    return entry


@pytest.mark.parametrize(
    "bad",
    [
        entry_named("../../outside"),
        entry_named("/etc/cron.d/outside"),
        entry_named("built/../../outside"),
        entry_named("built/unlisted"),
        entry_named("metadata/../outside.json"),
        entry_named("fetched/\x1b[31moutside"),
        entry_named("built/link", type=tarfile.SYMTYPE, link="/etc/shadow"),
        entry_named("built/hard", type=tarfile.LNKTYPE, link="contents.json"),
        entry_named("built/null", type=tarfile.CHRTYPE),
        entry_named("built/disk", type=tarfile.BLKTYPE),
        entry_named("built/pipe", type=tarfile.FIFOTYPE),
        entry_named("built", type=tarfile.DIRTYPE),
        entry_named(BUILT, type=tarfile.SYMTYPE, link="/etc/shadow"),
    ],
    ids=lambda entry: f"{entry.name!r}-{entry.type!r}",
)
@pytest.mark.parametrize("where", ["first", "before the image"])
def test_a_member_that_has_no_place_is_refused(workplace: Workplace, bad: tarfile.TarInfo, where: str) -> None:
    added: list[bool] = []

    def smuggle(tar: tarfile.TarFile, entry: tarfile.TarInfo, content: bytes) -> None:
        if not added and (where == "first" or entry.name == BUILT):
            added.append(True)
            tar.addfile(bad, io.BytesIO(b"evil") if bad.isreg() else None)
        kept(tar, entry, content)

    failure = refused(workplace, rewritten(packed(workplace), smuggle))
    # A stranger's file in front of everything makes it another kind of archive altogether.
    assert failure.id in ({"OLR-BND-008", "OLR-BND-002"} if where == "first" else {"OLR-BND-008"})
    assert "\x1b" not in failure.what


def test_a_member_that_is_there_twice_is_refused(workplace: Workplace) -> None:
    def twice(tar: tarfile.TarFile, entry: tarfile.TarInfo, content: bytes) -> None:
        kept(tar, entry, content)
        if entry.name == BUILT:
            kept(tar, entry, content)

    assert refused(workplace, rewritten(packed(workplace), twice)).id == "OLR-BND-008"


@pytest.mark.parametrize("content", [IMAGE[:-1] + b"x", IMAGE[:-1], IMAGE + b"\0" * 20_000_000])
def test_other_bytes_than_signed_are_refused(workplace: Workplace, content: bytes) -> None:
    def changed(tar: tarfile.TarFile, entry: tarfile.TarInfo, old: bytes) -> None:
        if entry.name == BUILT:
            entry.size, old = len(content), content
        kept(tar, entry, old)

    assert refused(workplace, rewritten(packed(workplace), changed)).id == "OLR-BND-009"


def test_headers_that_swell_are_refused_before_they_fill_the_memory(workplace: Workplace) -> None:
    """A long-name header of 200 MiB is 20 KiB when it is packed."""
    file = packed(workplace)

    def swollen(tar: tarfile.TarFile, entry: tarfile.TarInfo, content: bytes) -> None:
        if entry.name == BUILT:
            long = tarfile.TarInfo("././@LongLink")
            long.type, long.size = tarfile.GNUTYPE_LONGNAME, 200 << 20
            tar.addfile(long, io.BytesIO(bytes(200 << 20)))
        kept(tar, entry, content)

    failure = refused(workplace, rewritten(file, swollen))
    assert (failure.id, "account for" in failure.what) == ("OLR-BND-002", True)


def test_metadata_that_swells_is_refused(workplace: Workplace) -> None:
    def swollen(tar: tarfile.TarFile, entry: tarfile.TarInfo, content: bytes) -> None:
        if entry.name == "metadata/timestamp.json":
            content += b" " * (9 << 20)
            entry.size = len(content)
        kept(tar, entry, content)

    assert refused(workplace, rewritten(packed(workplace), swollen)).id == "OLR-BND-009"


def test_it_asks_for_its_room_first(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    file = packed(workplace)
    monkeypatch.setattr("installers.core.artifacts.cache.free_bytes", lambda where: 1000)
    assert refused(workplace, file).id == "OLR-ART-002"


def test_what_is_neither_file_nor_directory_is_refused(workplace: Workplace) -> None:
    assert refused(workplace, Path("/dev/null")).id == "OLR-BND-002"
