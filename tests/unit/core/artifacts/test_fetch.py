"""Fetching against places that stall, lie, forget ranges or send something else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from installers.core.artifacts.fetch import Answer, Wanted, fetch
from installers.core.errors import Failure

CONTENT = bytes(range(256)) * 80_000
WANTED = Wanted(
    "thing",
    len(CONTENT),
    hashlib.sha256(CONTENT).hexdigest(),
    f"sha512-{base64.b64encode(hashlib.sha512(CONTENT).digest()).decode()}",
)


@dataclass
class Reply:
    status_code: int
    headers: httpx.Headers
    chunks: Callable[[int], Iterator[bytes]]

    def iter_bytes(self, chunk_size: int) -> Iterator[bytes]:
        return self.chunks(chunk_size)


Place = Callable[[int], Reply]


@dataclass
class Places:
    """A client whose places are functions of the offset asked for."""

    at: dict[str, Place]
    asked: list[tuple[str, int]] = field(default_factory=list)

    def get(self, url: str, offset: int) -> Iterator[Answer]:
        self.asked.append((url, offset))
        yield self.at[url](offset)


def _pieces(content: bytes, *, then: Exception | None = None) -> Callable[[int], Iterator[bytes]]:
    def pieces(size: int) -> Iterator[bytes]:
        for start in range(0, len(content), size):
            yield content[start : start + size]
        if then:
            raise then

    return pieces


def ranged(content: bytes = CONTENT, *, stop: int | None = None, error: Exception | None = None) -> Place:
    """A sound server, or one that gives ``stop`` bytes an answer and then ends or fails."""

    def place(offset: int) -> Reply:
        part = content[offset:][:stop]
        headers = httpx.Headers(
            {"content-range": f"bytes {offset}-{len(content) - 1}/{len(content)}"} if offset else {}
        )
        return Reply(206 if offset else 200, headers, _pieces(part, then=error))

    return place


def rangeless(offset: int) -> Reply:
    return Reply(200, httpx.Headers(), _pieces(CONTENT))


def web_page(offset: int) -> Reply:
    return Reply(200, httpx.Headers({"content-type": "text/html; charset=utf-8"}), _pieces(b"<html>sign in</html>"))


def gone(offset: int) -> Reply:
    return Reply(404, httpx.Headers(), _pieces(b""))


def silent(done: int, total: int, unit: str, text: str = "") -> None:
    """A report nobody reads."""


def at_once(seconds: float) -> None:
    """A sleep that is over."""


def _fetch(to: Path, places: Places, wanted: Wanted = WANTED) -> None:
    fetch(tuple(places.at), wanted, to=to, report=silent, client=places, sleep=at_once)


def test_a_whole_file_arrives(tmp_path: Path) -> None:
    to = tmp_path / "below" / "file"
    _fetch(to, Places({"a": ranged()}))
    assert to.read_bytes() == CONTENT
    assert [path.name for path in to.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [None, httpx.ReadTimeout("stalled"), httpx.ReadError("reset")])
def test_it_goes_on_where_it_stopped(tmp_path: Path, error: Exception | None) -> None:
    places = Places({"a": ranged(stop=9_000_000, error=error)})
    _fetch(tmp_path / "file", places)
    assert [offset for _, offset in places.asked] == [0, 9_000_000, 18_000_000]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_killed_fetch_goes_on_and_fetches_little_twice(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def killed(offset: int) -> Reply:
        def pieces(size: int) -> Iterator[bytes]:
            yield from _pieces(CONTENT[:17_000_000])(size)
            raise Killed

        return Reply(200, httpx.Headers(), pieces)

    with pytest.raises(Killed):
        _fetch(tmp_path / "file", Places({"a": killed}))
    places = Places({"a": ranged()})
    _fetch(tmp_path / "file", places)
    assert 17_000_000 - (8 << 20) - (1 << 18) <= places.asked[0][1] <= 17_000_000
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_part_of_another_file_is_not_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    (tmp_path / "file.state").write_text('{"sha256": "of something else", "sure": 1000}')
    places = Places({"a": ranged()})
    _fetch(tmp_path / "file", places)
    assert places.asked == [("a", 0)]


def test_bytes_that_never_reached_the_disk_are_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:5000] + b"\0" * 5000)
    (tmp_path / "file.state").write_text(f'{{"sha256": "{WANTED.sha256}", "sure": 5000}}')
    places = Places({"a": ranged()})
    _fetch(tmp_path / "file", places)
    assert places.asked == [("a", 5000)]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_place_without_ranges_starts_over(tmp_path: Path) -> None:
    places = Places({"short": ranged(stop=9_000_000), "rangeless": rangeless})
    _fetch(tmp_path / "file", places)
    assert places.asked == [("short", 0), ("rangeless", 9_000_000)]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_place_that_lies_is_not_asked_again(tmp_path: Path) -> None:
    other = CONTENT[:-1] + b"?"
    places = Places({"liar": ranged(other), "page": web_page, "gone": gone, "good": ranged()})
    _fetch(tmp_path / "file", places)
    assert [url for url, _ in places.asked] == ["liar", "page", "gone", "good"]
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("place", "id", "asked"),
    [(ranged(CONTENT[:-1] + b"?"), "OLR-ART-005", 1), (web_page, "OLR-ART-006", 1), (gone, "OLR-ART-004", 6)],
)
def test_out_of_places(tmp_path: Path, place: Place, id: str, asked: int) -> None:
    places = Places({"a": place})
    with pytest.raises(Failure) as caught:
        _fetch(tmp_path / "file", places)
    assert caught.value.id == id
    assert caught.value.what
    assert len(places.asked) == asked
    assert not (tmp_path / "file").exists()


def test_a_right_sha256_with_a_wrong_integrity_is_refused(tmp_path: Path) -> None:
    wanted = Wanted("thing", WANTED.size, WANTED.sha256, "sha512-AAAA")
    with pytest.raises(Failure) as caught:
        _fetch(tmp_path / "file", Places({"a": ranged()}), wanted)
    assert caught.value.id == "OLR-ART-005"


def test_what_follows_the_file_is_not_taken(tmp_path: Path) -> None:
    _fetch(tmp_path / "file", Places({"a": ranged(CONTENT + b"more")}))
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_fetch_killed_before_its_last_step_asks_nobody(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    (tmp_path / "file.state").write_text(f'{{"sha256": "{WANTED.sha256}", "sure": {WANTED.size}}}')
    places = Places({"a": ranged()})
    _fetch(tmp_path / "file", places)
    assert places.asked == []
    assert (tmp_path / "file").read_bytes() == CONTENT
