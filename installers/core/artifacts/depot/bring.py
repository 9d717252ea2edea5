"""Files of a depot on web servers into what is kept of it here: from all at once, resumed, believed by digest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from installers.core.artifacts.cache import MARGIN, Cache, Record, verify
from installers.core.artifacts.depot.contents import APT, Target
from installers.core.artifacts.depot.refused import Refused
from installers.core.artifacts.fetch import Wanted, fetch
from installers.core.artifacts.fetch.mirrors import public
from installers.core.artifacts.report import Report
from installers.core.errors import Failure
from installers.core.facts.artifacts import Held


def bring(folder: Path, targets: Iterable[Target], places: tuple[str, ...], *, cache: Cache, report: Report) -> None:
    """Have these files in ``folder``, each whole and as signed. What is there and right is not fetched again.

    Raises OLR-BND-009 (another file than the signed one), and as fetching does: OLR-ART-002, 004, 006, OLR-PROXY.
    """
    wanted = tuple(targets)
    with cache.lock(_lock(folder, wanted[0]), report) as told:
        lacking = [one for one in wanted if verify(Record(folder / one.path, one.sha256, one.size)) is not Held.GOOD]
        if not lacking:
            return
        total, done = sum(one.size for one in lacking), 0
        cache.reserve(total + MARGIN, where=cache.root)
        for one in lacking:
            unheard = _fetched(one, folder, places, _Share(told, done, total))
            # A place that is dead costs a second where it is asked first, and there may be hundreds of files.
            places = (*(place for place in places if place not in unheard), *unheard)
            done += one.size


@dataclass(frozen=True, slots=True)
class _Share:
    """Reports one file as a part of all: ``before`` and ``total`` in bytes."""

    report: Report
    before: int
    total: int

    def __call__(self, done: int, total: int, unit: str, text: str = "") -> None:
        # Without a total it is a remark: what is wrong with which place.
        self.report(self.before + done if total else 0, self.total if total else 0, unit, text)


def _fetched(target: Target, folder: Path, places: tuple[str, ...], report: Report) -> tuple[str, ...]:
    """Fetch one file; the places that were asked for it and never answered."""
    urls = {f"{place.rstrip('/')}/{quote(target.path)}": place for place in places}
    wanted = Wanted(target.path, target.size, target.sha256)
    try:
        done = fetch(tuple(urls), wanted, to=folder / target.path, report=report)
    except Failure as failure:
        if failure.id != "OLR-ART-005":
            raise
        where = ", ".join(public(place) for place in places)
        raise Refused("OLR-BND-009", place=where, file=target.path, found=failure.fields["found"]) from failure
    return tuple(urls[url] for url in done.unheard)


def _lock(folder: Path, first: Target) -> str:
    """A build or a download has a lock of its own; packages, of which transactions share some, have one together."""
    return f"bring-{folder.name}-{APT if first.path.startswith(f'{APT}/') else first.path.replace('/', '-')}"
