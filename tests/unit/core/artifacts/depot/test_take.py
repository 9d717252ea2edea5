"""Out of a depot into the cache: right or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from installers.core.artifacts.cache import Cache, verify_all
from installers.core.artifacts.depot.open import nothing, open_depot
from installers.core.artifacts.depot.take import Supply, take
from installers.core.errors import Failure
from installers.core.facts.artifacts import Built, Held
from tests.unit.core.artifacts.depot.conftest import HOST, IMAGE, KEY, Workplace

ENTRY = f"built/apps-x-image-{KEY[:16]}/image.tar"


@pytest.fixture
def cache(workplace: Workplace) -> Cache:
    return Cache(Path(workplace.paths.cache), Path(workplace.paths.built))


def supply(work: Workplace, entry: str = ENTRY) -> tuple[Supply, Built | None]:
    depot = open_depot(str(work.depot), work.paths, HOST, trust=work.trust)
    target = depot.targets[entry]
    return Supply(str(depot.folder / entry), entry, target.sha256, target.size), depot.built("apps/x/image", KEY)


def test_a_build_comes_with_its_record(workplace: Workplace, cache: Cache) -> None:
    one, built = supply(workplace)
    take("x", (one,), built, cache=cache, report=nothing)
    record = cache.recorded("apps/x/image", KEY)
    assert record == built
    assert record is not None
    assert verify_all(cache.files(record)) is Held.GOOD


def test_a_file_of_somebody_elses_is_copied_and_not_linked(workplace: Workplace, cache: Cache) -> None:
    one, built = supply(workplace)
    take("x", (one,), built, cache=cache, report=nothing)
    assert (cache.root / ENTRY).stat().st_nlink == 1


def test_a_file_of_our_own_is_there_once(workplace: Workplace, cache: Cache) -> None:
    one, built = supply(workplace)
    own = cache.root / "bundles/x" / ENTRY
    own.parent.mkdir(parents=True)
    own.write_bytes(IMAGE)
    take("x", (Supply(str(own), one.entry, one.sha256, one.size),), built, cache=cache, report=nothing)
    assert (cache.root / ENTRY).stat().st_ino == own.stat().st_ino


@pytest.mark.parametrize(
    ("content", "id"),
    [(IMAGE[:-1] + b"!", "OLR-BND-009"), (IMAGE + b"!" * (3 << 20), "OLR-BND-009"), (None, "OLR-BND-010")],
)
def test_another_file_is_refused_and_nothing_is_there(
    workplace: Workplace, cache: Cache, content: bytes | None, id: str
) -> None:
    one, built = supply(workplace)
    Path(one.source).unlink()
    if content is not None:
        Path(one.source).write_bytes(content)
    with pytest.raises(Failure) as found:
        take("x", (one,), built, cache=cache, report=nothing)
    assert found.value.id == id
    assert not (cache.root / "built").exists()
    assert not list((cache.root / "temporary").iterdir())


def test_a_damaged_one_in_the_cache_is_set_aside(workplace: Workplace, cache: Cache) -> None:
    one, _ = supply(workplace, "fetched/0123456789abcdef-tool.tgz")
    path = cache.root / one.entry
    path.parent.mkdir(parents=True)
    path.write_text("damaged")
    take("tool", (one,), None, cache=cache, report=nothing)
    assert path.read_bytes() == b"a tool"
    assert [p.read_text() for p in (cache.root / "aside").iterdir()] == ["damaged"]
