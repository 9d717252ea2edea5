"""The parts of a fetch that need no socket: ranges, mirrors, who fetches what, what is believed after a kill."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import urllib.parse
from dataclasses import replace
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path

import pytest

from installers.core.artifacts.fetch import crew
from installers.core.artifacts.fetch.mirrors import Fault, Mirror, public, retry_after
from installers.core.artifacts.fetch.part import Part, believed
from installers.core.artifacts.fetch.pieces import Pieces
from installers.core.artifacts.fetch.proxy import ProxyFault, is_direct, proxy_for
from installers.core.artifacts.fetch.spans import NOBODY, Range, Spans
from installers.core.artifacts.fetch.wanted import Limits, Wanted
from installers.core.artifacts.fetch.work import Stretch, Work
from installers.core.errors import Failure

A, B = frozenset({(0, 0)}), frozenset({(1, 0)})
LIMITS = Limits(connections=4, shortest=100, longest=1000)
MIB = 1 << 20


def test_spans_agree_with_one_byte_at_a_time() -> None:
    dice = random.Random(7)  # noqa: S311 - a fixed walk
    for _ in range(300):
        spans, bytes_ = Spans(), [None] * 40
        for _ in range(12):
            start = dice.randrange(40)
            end = dice.randrange(start, 41)
            voices = dice.choice([A, B, NOBODY, None])
            if voices is None:
                spans.remove(start, end)
            else:
                spans.add(start, end, voices)
            bytes_[start:end] = [voices] * (end - start)  # type: ignore[list-item]
        rows = list(spans)
        found = [None] * 40
        for low, high, who in rows:
            assert low < high
            found[low:high] = [who] * (high - low)  # type: ignore[list-item]
        assert found == bytes_
        assert all(before[1] <= after[0] for before, after in pairwise(rows))
        assert not any(b[1] == a[0] and b[2] == a[2] for b, a in pairwise(rows)), "not merged"
        assert spans.total == sum(byte is not None for byte in bytes_)
        assert sum(high - low for low, high in spans.missing(40)) == bytes_.count(None)


def test_spans_know_who_gave_what() -> None:
    spans = Spans()
    spans.add(0, 10, A)
    spans.add(10, 20, B)
    spans.add(20, 30, A | B)
    assert spans.frontier(0) == 30
    assert spans.without((0, 0), 40) == [(10, 20), (30, 40)]
    assert spans.voices(5, 15) == A | B
    assert spans.forget(1) == [(10, 20)]
    assert (spans.frontier(0), spans.frontier(10)) == (10, 10)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("", None), ("7", 7.0), ("soon", None), (formatdate(1000, usegmt=True), 100.0), ("-5", None)],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, now=900.0) == seconds


def test_a_date_that_is_over_asks_for_no_wait() -> None:
    assert retry_after(formatdate(1000, usegmt=True), now=2000.0) == 0.0


def test_a_mirror_waits_longer_after_each_failure_and_is_dropped_in_the_end() -> None:
    limits = Limits(attempts=4, pause=1.0, longest_pause=3.0)
    mirror, waits = Mirror(0, "http://a.example/", limits), []
    while not mirror.dropped:
        mirror.not_before = 0.0
        mirror.failed("stalled", now=0.0)
        waits.append(mirror.not_before)
    assert len(waits) == 4
    assert all(0.7 * pause <= wait <= 1.3 * pause for wait, pause in zip(waits, (1, 2, 3, 3), strict=True))
    assert mirror.dropped.reason == "stalled"


def test_a_byte_between_makes_up_for_a_failure() -> None:
    mirror = Mirror(0, "http://a.example/", Limits(attempts=2))
    for _ in range(5):
        mirror.failed("dropped", now=0.0)
        mirror.gave(1, 1.0)
    assert mirror.dropped is None


def test_a_server_cannot_ask_for_any_wait() -> None:
    mirror = Mirror(0, "http://a.example/", Limits(retry_after=60.0))
    mirror.failed("answered 503", now=10.0, after=1e9)
    assert mirror.not_before == 70.0


def test_another_version_is_noticed_and_speaks_with_another_voice() -> None:
    mirror = Mirror(3, "http://a.example/")
    assert [mirror.showed(etag) for etag in ('"1"', "", '"1"', '"2"')] == [False, False, False, True]
    assert mirror.voice == (3, 1)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://a.example/x", "https://a.example/x"),
        ("https://me:word@a.example:8443/x?sig=1#y", "https://a.example:8443/x"),
    ],
)
def test_an_address_is_told_without_secrets(url: str, told: str) -> None:
    assert public(url) == told


def _work(size: int, *speeds: float, limits: Limits = LIMITS, grid: int = 1) -> Work:
    mirrors = [Mirror(number, f"http://{number}.example/", limits, speed) for number, speed in enumerate(speeds)]
    return Work([(0, size)], mirrors, limits, grid)


def _take(work: Work, now: float = 0.0) -> Stretch:
    stretch = work.take(now)
    assert stretch is not None
    return stretch


def _came(stretch: Stretch, to: int, now: float) -> None:
    stretch.claimed = stretch.at = to
    stretch.last = now


def test_stretches_are_handed_out_in_order_and_cover_the_file() -> None:
    work, ranges = _work(10_000, 0.0), []
    while work.free:
        stretch = _take(work)
        ranges.append((stretch.start, stretch.end))
        _came(stretch, stretch.end, 1.0)
        work.back(stretch)
    assert [start for start, _ in ranges] == [0, *(end for _, end in ranges[:-1])]
    assert ranges[-1][1] == 10_000
    assert work.over


def test_a_slow_mirror_gets_fewer_connections_and_shorter_stretches() -> None:
    work = _work(100_000, 100.0, 1000.0)
    taken = [_take(work) for _ in range(4)]
    assert [stretch.mirror.number for stretch in taken].count(1) == 3
    assert {stretch.mirror.number: stretch.end - stretch.start for stretch in taken} == {0: 100, 1: 1000}


def test_nobody_is_asked_before_its_time_nor_after_it_was_dropped() -> None:
    work = _work(1000, 1.0, 1.0)
    work.mirrors[0].not_before = 5.0
    work.mirrors[1].drop(Fault.LIED, "wrong")
    assert work.take(0.0) is None
    assert _take(work, 5.0).mirror.number == 0
    work.mirrors[0].drop(Fault.FAILED, "gone")
    assert not work.stuck, "one connection is still at it"
    work.back(work.stretches[0])
    assert work.stuck


def test_what_broke_off_is_free_again() -> None:
    work = _work(1000, 0.0)
    stretch = _take(work)
    _came(stretch, 40, 1.0)
    work.back(stretch)
    assert work.free[0][0] == 40


def test_the_rest_of_a_silent_connection_goes_to_another() -> None:
    work = _work(100, 1000.0)
    first = _take(work)
    _came(first, 30, 0.0)
    assert work.take(0.5) is None
    second = _take(work, 2.0)
    assert (second.start, second.end) == (30, 100)
    assert first.taken
    assert work.cut == [first]
    assert work.back(first) is None
    assert work.free == []


def test_a_long_rest_is_divided_by_speed() -> None:
    limits = replace(LIMITS, shortest=100 * MIB, longest=100 * MIB)
    work = _work(100 * MIB, 1.0 * MIB, 3.0 * MIB, limits=limits)
    work.mirrors[1].not_before = 10.0
    first = _take(work)
    _came(first, 10 * MIB, 10.0)
    second = _take(work, 10.0)
    assert second.mirror.number == 1
    assert first.end == second.start
    assert (second.end - second.start) / (first.end - first.at) == pytest.approx(3.0, rel=0.05)


def test_bytes_on_their_way_to_disk_are_nobody_elses() -> None:
    work = _work(100, 1000.0)
    first = _take(work)
    first.claimed = 60
    assert _take(work, 5.0).start == 60


def test_a_crawling_connection_is_given_up_only_beside_a_fast_one() -> None:
    work = _work(10_000, 0.0, 0.0)
    stretch = _take(work)
    _came(stretch, 10, 1.0)
    assert work.slow(100.0) == []
    work.mirrors[1 - stretch.mirror.number].speed = 1000.0
    assert work.slow(LIMITS.slow_after / 2) == []
    assert work.slow(100.0) == [stretch]
    assert stretch.mirror.speed < 1


def test_a_mirror_without_ranges_is_asked_for_all_and_only_when_there_is_no_other() -> None:
    work = _work(1000, 1.0, 1.0)
    work.mirrors[0].ranged = False
    work.free = [(0, 100), (500, 700)]
    assert _take(work).mirror.number == 1
    work = _work(1000, 1.0)
    work.mirrors[0].ranged = False
    work.free = [(100, 200), (500, 700)]
    stretch = _take(work)
    assert (stretch.start, stretch.end) == (100, 700)
    assert stretch.within(0, 600) == [(100, 200), (500, 600)]
    assert work.take(50.0) is None
    _came(stretch, 600, 1.0)
    work.back(stretch)
    assert work.free == [(600, 700)]


def test_stretches_keep_to_the_grid_of_pieces() -> None:
    work = _work(1000, 150.0, grid=64)
    stretch = _take(work)
    assert stretch.end % 64 == 0
    _came(stretch, 100, 1.0)
    assert work.back(stretch, whole=frozenset({1})) == (64, 100), "a piece that was mixed comes from one mirror"
    assert work.free == [(64, 1000)]


def test_pieces_are_asked_about_once_they_are_there() -> None:
    wanted = Wanted("thing", 250, "x", pieces=("a", "b", "c"), piece_size=100)
    pieces, spans = Pieces(wanted), Spans([(50, 250)])
    assert pieces.complete(spans) == 1
    pieces.judged(1, right=False)
    assert pieces.whole == {1}
    pieces.judged(1, right=True)
    assert (pieces.whole, pieces.complete(spans), pieces.range(2)) == (frozenset(), 2, (200, 250))


def test_pieces_that_do_not_cover_the_file_are_refused() -> None:
    with pytest.raises(ValueError, match="cover"):
        Wanted("thing", 301, "x", pieces=("a", "b", "c"), piece_size=100)


WANTED = Wanted("thing", 1000, hashlib.sha256(b"x" * 1000).hexdigest())


def _row(ranges: list[list[int]], **changed: object) -> str:
    return json.dumps({"sha256": WANTED.sha256, "size": 1000, "boot": "now", "ranges": ranges, **changed})


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        (_row([[0, 10], [20, 30]]), [(0, 10), (20, 30)]),
        (_row([[0, 10]], boot="earlier"), []),
        (_row([[0, 10]], sha256="of another file"), []),
        (_row([[0, 10]], size=999), []),
        (_row([[0, 1001]]), []),
        (_row([[10, 5]]), []),
        (_row([[-5, 5]]), []),
        (_row([[1]]), []),
        ("", []),
        ("{", []),
        ("[]", []),
        ('{"sha256": "x", "sure": 5}', []),
    ],
)
def test_what_a_record_says(text: str, ranges: list[Range]) -> None:
    assert believed(text, WANTED, boot="now") == ranges


def _left(to: Path, *, written: str, synced: str) -> None:
    to.with_name("file.part").write_bytes(b"x" * 1000)
    to.with_name("file.written").write_text(written)
    to.with_name("file.state").write_text(synced)


@pytest.mark.parametrize(
    ("boot", "ranges"), [("now", [(0, 500)]), ("after a loss of power", [(0, 100)]), ("", [(0, 100)])]
)
def test_only_flushed_bytes_outlive_a_loss_of_power(tmp_path: Path, boot: str, ranges: list[Range]) -> None:
    _left(tmp_path / "file", written=_row([[0, 500]]), synced=_row([[0, 100]]))
    part = Part(tmp_path / "file", WANTED, boot=boot)
    assert part.spans.ranges() == ranges
    part.close()


def test_a_part_of_another_length_is_not_believed(tmp_path: Path) -> None:
    _left(tmp_path / "file", written=_row([[0, 500]]), synced=_row([[0, 100]]))
    (tmp_path / "file.part").write_bytes(b"x" * 999)
    part = Part(tmp_path / "file", WANTED, boot="now")
    assert part.spans.ranges() == []
    assert (tmp_path / "file.part").stat().st_size == 1000
    part.close()


def test_a_part_becomes_the_file(tmp_path: Path) -> None:
    part = Part(tmp_path / "file", WANTED, boot="now")
    part.write(b"x" * 1000, 0)
    part.spans.add(0, 1000, A)
    part.save(part.row(part.spans.ranges()))
    part.save_synced(part.row(part.spans.ranges()))
    assert part.right()
    part.finish()
    part.close()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_forgotten_bytes_are_not_sure_any_more(tmp_path: Path) -> None:
    part = Part(tmp_path / "file", WANTED, boot="now")
    part.spans.add(0, 1000, A)
    part.synced = [(0, 800)]
    part.hash_to(300)
    assert not part.forget([(400, 500)])
    assert part.forget([(200, 250)])
    assert part.synced == [(0, 200), (250, 400), (500, 800)]
    part.close()


@pytest.mark.parametrize(("number", "id"), [(errno.ENOSPC, "OLR-ART-002"), (errno.EIO, "OLR-ART-030")])
def test_a_disk_that_refuses_is_no_fault_of_a_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, id: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    part = Part(tmp_path / "file", WANTED, boot="now")
    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(Failure) as caught:
        part.write(b"x", 0)
    part.close()
    assert caught.value.id == id
    assert caught.value.what


@pytest.mark.parametrize(
    ("settings", "url", "proxy"),
    [
        ({}, "http://a.example/x", None),
        ({"http_proxy": "http://p.example:3128"}, "http://a.example/x", "p.example:3128"),
        ({"http_proxy": "p.example:3128"}, "http://a.example/x", "p.example:3128"),
        ({"https_proxy": "http://p.example:3128"}, "http://a.example/x", None),
        ({"all_proxy": "http://p.example:3128"}, "https://a.example/x", "p.example:3128"),
        ({"http_proxy": "http://p.example", "no_proxy": "b.example, .example"}, "http://a.example/x", None),
        ({"http_proxy": "http://p.example", "no_proxy": "b.example"}, "http://a.example/x", "p.example"),
    ],
)
def test_proxies_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], url: str, proxy: str | None
) -> None:
    for name in ("all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    found = proxy_for(url)
    assert (found.netloc if found else None) == proxy


@pytest.mark.parametrize(
    ("entry", "url", "direct"),
    [
        ("*", "http://a.example/", True),
        ("a.example", "http://a.example/", True),
        ("a.example", "http://A.Example./", True),
        ("example", "http://a.example/", True),
        (".example", "http://a.example/", True),
        ("*.example", "http://a.example/", True),
        (".example", "http://example/", True),
        ("ample", "http://a.example/", False),
        ("a.example.", "http://a.example/", True),
        ("a.example:8080", "http://a.example:8080/", True),
        ("a.example:8080", "http://a.example/", False),
        ("a.example:443", "https://a.example/", True),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.1.2.3/8", "http://10.9.9.9:5000/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("10.0.0.0/8", "http://a.example/", False),
        ("10.1.2.3", "http://10.1.2.3/", True),
        ("10.1.2.3:80", "http://10.1.2.3/", True),
        ("10.1.2.3:81", "http://10.1.2.3/", False),
        ("fd00::/8", "http://[fd00::1]:5000/", True),
        ("::1", "http://[::1]/", True),
        ("[::1]", "http://[::1]/", True),
        ("10.0.0.0/8", "http://[fd00::1]/", False),
        ("b.example,\t10.0.0.0/8 a.example", "http://a.example/", True),
        (",, .", "http://a.example/", False),
    ],
)
def test_what_is_reached_directly(monkeypatch: pytest.MonkeyPatch, entry: str, url: str, direct: bool) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://p.example:3128")
    monkeypatch.setenv("no_proxy", entry)
    assert (proxy_for(url) is None) == direct
    parts = urllib.parse.urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    assert is_direct(parts.hostname or "", port, entry.replace(",", " ").split()) == direct, "without urllib's help"


@pytest.mark.parametrize(
    "wrong", ["socks5://u:canary@p.example:1080", "https://p.example:3128", "http://u:canary@:1", "p:x"]
)
def test_a_proxy_that_is_none_has_an_id_and_no_password(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("http_proxy", wrong)
    with pytest.raises(ProxyFault) as caught:
        proxy_for("http://a.example/")
    assert caught.value.id == "OLR-PROXY-003"
    assert "canary" not in caught.value.what


def test_limits_bound_what_is_fetched_twice() -> None:
    assert crew._UNSAVED + Limits().connections * crew._CHUNK <= 8 * MIB
