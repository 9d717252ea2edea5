"""The worker: fetches or builds one thing in a process of its own and tells its progress on standard output.

It runs in mount and process namespaces of its own, so that with it everything it started ends
and everything it mounted is gone.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from installers.core.artifacts import apt
from installers.core.artifacts.build import Workshop
from installers.core.artifacts.buildah import hidden_cache
from installers.core.artifacts.cache import Cache
from installers.core.artifacts.depot.bring import bring
from installers.core.artifacts.depot.contents import Target
from installers.core.artifacts.depot.take import Supply, take
from installers.core.artifacts.index import architecture, index, pinned
from installers.core.artifacts.inuse import in_use
from installers.core.artifacts.oci.image import Order, fetched_image
from installers.core.artifacts.recipes import ROOT, made_of, plan
from installers.core.artifacts.registries import fetched
from installers.core.artifacts.releases import fetched_release, note_members, released
from installers.core.artifacts.report import FAILED, Lines, failure_line
from installers.core.artifacts.upstream import upstream
from installers.core.errors import Failure
from installers.core.facts.artifacts import parse_built
from installers.core.host.runner import run_process
from installers.site import Paths, Registry


def main() -> int:
    """``fetch NAME SHA256``, ``image REFERENCE JSON``, ``bring NAME JSON``, ``take NAME JSON``, ``build RECIPE KEY``.

    ``FAILED`` with a failure as its last line.
    """
    parser = argparse.ArgumentParser(prog="olares-artifacts")
    parser.add_argument("verb", choices=tuple(VERBS))
    parser.add_argument("name")
    parser.add_argument("expected", help="sha256 of the file, the recipe's key, or what to take, as planned")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--place", action="append", default=[], help="base address of a mirror or a depot (repeatable)")
    parser.add_argument("--arch", default="", help="whose file to fetch, in Debian's words; default: this machine's")
    parser.add_argument("--recipes", type=Path, default=ROOT)
    options = parser.parse_args()
    # PID 1 of a namespace is sent no signal it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        VERBS[options.verb](options)
    except Failure as failure:
        sys.stdout.write(failure_line(failure) + "\n")
        return FAILED
    return 0


def _fetch(options: argparse.Namespace) -> None:
    place = in_use(str(options.state))
    release = options.name not in index(place).artifacts
    if release:
        pin = released(options.name, arch=options.arch, among=upstream(place))
    else:
        pin = pinned(options.name, arch=options.arch, among=index(place))
    if release and not pin.file.sha256:
        # The plan took a digest from olares.yaml, which a person vouched for there.
        pin = msgspec.structs.replace(pin, file=msgspec.structs.replace(pin.file, sha256=options.expected))
    if pin.file.sha256 != options.expected:
        raise Failure("OLR-ART-012", recipe=options.name)
    cache = Cache(options.cache, options.state / "built")
    if release:
        fetched_release(pin, places=options.place, cache=cache, report=Lines())
    else:
        fetched(pin, cache=cache, report=Lines())


def _image(options: argparse.Namespace) -> None:
    wanted = json.loads(options.expected)
    registries = tuple(Registry(row["name"], tuple(row["mirrors"]), row["ca"]) for row in wanted["registries"])
    order = Order(options.name, wanted["digest"], wanted["arch"], registries)
    fetched_image(order, cache=Cache(options.cache, options.state / "built"), report=Lines())


def _bring(options: argparse.Namespace) -> None:
    work = json.loads(options.expected)
    targets = [Target(*row) for row in work["files"]]
    cache = Cache(options.cache, options.state / "built")
    bring(Path(work["folder"]), targets, tuple(options.place), cache=cache, report=Lines())


def _take(options: argparse.Namespace) -> None:
    work = json.loads(options.expected)
    built = parse_built(work["record"]) if work["record"] else None
    supplies = tuple(Supply(*row) for row in work["files"])
    cache = Cache(options.cache, options.state / "built")
    take(options.name, supplies, built, cache=cache, report=Lines())
    if built is None and options.name in upstream(in_use(str(options.state))).releases:
        note_members(options.name, supplies[0].sha256, cache.root / supplies[0].entry, cache)


def _build(options: argparse.Namespace) -> None:
    here = apt.release()
    planned = plan(
        options.name,
        release=made_of(here.id, here.codename),
        arch=architecture(),
        root=options.recipes,
        among=index(in_use(str(options.state))),
    )
    if planned.key != options.expected:
        raise Failure("OLR-ART-012", recipe=options.name)
    paths = Paths(state=str(options.state))
    scratch = Path(paths.scratch)
    with hidden_cache(scratch, run_process):
        shop = Workshop(Cache(options.cache, Path(paths.built)), scratch, apt.mirror())
        shop.sweep()
        shop.make(planned, Lines())


VERBS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "fetch": _fetch,
    "image": _image,
    "bring": _bring,
    "take": _take,
    "build": _build,
}

if __name__ == "__main__":
    raise SystemExit(main())
