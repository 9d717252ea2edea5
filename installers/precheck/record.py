"""A whole host written down, and checked again from what was written."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from installers.core.engine.gather import FactStore, MemoProbe
from installers.core.errors import Failure
from installers.core.host.archive import SCHEMA, Archive, Wanted, encode
from installers.core.host.identity import read_identity
from installers.core.host.recording import RecordingProbe
from installers.core.host.replay import ReplayProbe
from installers.core.host.scrub import left_in, of_known_kind, scrub_with, scrubber
from installers.core.host.trimming import answer_kept, trimmed
from installers.core.model import Fact, Output, Probe, Query, Unknown
from installers.precheck.check import CheckResult
from installers.precheck.run import checks, components_here, run
from installers.site import Network, Node, Paths, Site


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording fit to be sent, its text, and what was read for it by the name of each fact."""

    archive: Archive
    text: str
    answers: Mapping[Fact[Any], Any]


class _AtHand:
    """A probe that fetches nothing: package lists that are not here are not there to be asked."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    def __getattr__(self, name: str) -> Any:
        return getattr(self._probe, name)

    def query(self, query: Query) -> Output:
        if query.name == "apt-lists":
            raise Failure("OLR-REC-007")
        return self._probe.query(query)


def record(
    site: Site,
    probe: Probe,
    facts: Iterable[Fact[Any]],
    *,
    made_with: str,
    also: Callable[[Probe], object] | None = None,
    key: bytes = b"",
) -> Recorded:
    """Load the facts and run every check, write down all that was read, and take out what names the machine.

    ``also``: what else may be asked of the recording later, such as a plan. What that reads is written down too,
    but of files' content only what comes from the kernel or is of a kind that ``scrub`` knows, and which choices
    the installation was made with: plans read keys.
    Nothing is fetched for it. ``key``: for tests; a random one otherwise, used here and forgotten.
    ``Failure`` OLR-REC-005 when something that names the machine was left.
    """
    recorder = RecordingProbe(MemoProbe(_AtHand(probe)))
    answers = load_facts(recorder, facts)
    ours = components_here(site.paths.journal)
    # Proxies and mirrors are somewhere else: neither their names nor what they say goes into a recording.
    run(checks(replace(site, proxy=None, registries=())), recorder, ours=ours, journal=site.paths.journal)
    if also is not None:
        lock = f"{site.paths.state}/site.lock"
        also(recorder.sparing(lambda path: path == lock or of_known_kind(path)))
    whole = Archive(
        schema=SCHEMA,
        source=f"recorded on {_system(answers)}",
        made_with=made_with,
        wanted=_wanted(site, ours),
        free=dict(recorder.free),
        paths=trimmed(recorder.entries()),
        queries=sorted(map(answer_kept, recorder.asked.values()), key=lambda row: (row.name, row.args)),
    )
    identity = read_identity(probe)
    scrub = scrubber(whole, identity, key or secrets.token_bytes(32))
    archive = scrub_with(scrub, whole)
    text = encode(archive)
    if left := left_in(text, scrub, identity):
        kinds = ", ".join(f"{kind}: {count}" for kind, count in left.items())
        raise Failure("OLR-REC-005", count=sum(left.values()), kinds=kinds)
    return Recorded(archive, text, answers)


def _system(answers: Mapping[Fact[Any], Any]) -> str:
    """A machine in a few words: distribution, kernel, architecture."""
    found = {type(fact).__name__: value for fact, value in answers.items() if not isinstance(value, Unknown)}
    release = found.get("OsRelease")
    name = release.title if release else "a system without os-release"
    kernel, processor = found.get("KernelRelease", "unknown"), found.get("Architecture", "unknown processor")
    return f"{name}, kernel {re.sub(r'[^0-9A-Za-z._+~-]', '', str(kernel))}, {processor}"


def _wanted(site: Site, ours: frozenset[str] | Unknown) -> Wanted:
    return Wanted(
        source=site.source,
        kube=site.kube,
        edition=site.edition,
        name=site.node.name,
        address=site.node.address,
        pods=site.network.pods,
        services=site.network.services,
        state=site.paths.state,
        cache=site.paths.cache,
        ours=None if isinstance(ours, Unknown) else sorted(ours),
    )


def site_of(archive: Archive) -> Site:
    """The site a host was recorded for; what the archive does not say is as when nobody says it."""
    said, default = archive.wanted, Site()
    return Site(
        source=said.source,
        kube=said.kube,
        edition=said.edition,
        node=Node(said.name, said.address),
        network=replace(
            Network(),
            pods=said.pods or default.network.pods,
            services=said.services or default.network.services,
        ),
        paths=Paths(state=said.state or default.paths.state, cache=said.cache or default.paths.cache),
    )


def recorded_precheck(archive: Archive, probe: ReplayProbe) -> tuple[CheckResult, ...]:
    """Every check of the recorded host, for the site it was recorded for. Nothing of this machine is read."""
    site = site_of(archive)
    said = archive.wanted.ours
    ours = Unknown("the journal could not be read when this was recorded") if said is None else frozenset(said)
    return run(checks(site), probe, ours=ours, journal=site.paths.journal)


def load_facts(probe: Probe, facts: Iterable[Fact[Any]]) -> dict[Fact[Any], Any]:
    """Each fact's value, ``Unknown`` for one that cannot be read."""
    store = FactStore(probe, {})
    wanted = tuple(facts)
    store.load(wanted)
    return {fact: store.answer(fact) for fact in wanted}


__all__ = ["Recorded", "load_facts", "record", "recorded_precheck", "site_of"]
