"""Making a bundle: everything an installation of this kind would fetch, build or have apt download, signed."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import msgspec

from installers.choice import choose, components
from installers.core.artifacts.actions import BUILD_TIMEOUT, FETCH_TIMEOUT, work
from installers.core.artifacts.cache import Cache, Record, verify, verify_all
from installers.core.artifacts.depot.contents import APT, FILE, LEDGER, Contents, Served
from installers.core.artifacts.depot.flat import gather, index
from installers.core.artifacts.depot.keys import Publisher, publisher
from installers.core.artifacts.depot.pack import pack
from installers.core.artifacts.depot.publish import VALID, compare, listed, renew, sign, targets_of
from installers.core.artifacts.depot.refused import Refused
from installers.core.artifacts.depot.unpack import head, unpack
from installers.core.artifacts.disk import remove, sync_tree
from installers.core.artifacts.index import Pinned
from installers.core.artifacts.oci.image import digest_served
from installers.core.artifacts.oci.planned import served
from installers.core.artifacts.recipes import IMAGE, ROOT, Planned, made_of
from installers.core.artifacts.reference import is_pinned, parts
from installers.core.artifacts.report import Listener, Report, told
from installers.core.component.load import Component
from installers.core.component.steps import TOOLS
from installers.core.component.values import Platform
from installers.core.errors import Failure
from installers.core.facts.artifacts import Held
from installers.core.host.runner import run_process
from installers.core.model import Probe, Step
from installers.core.model.events import Emit, Progress, StepFinished, StepStarted
from installers.core.resources.artifacts import Built, Fetched
from installers.core.resources.packages import Packages
from installers.install import component_steps
from installers.opening import this_host
from installers.site import Site

PACKED = ".tar.zst"
_MARGIN = 256 << 20


@dataclass(frozen=True, slots=True)
class Order:
    """What to make. ``output``: a file ending in ``.tar.zst``, or a directory that is not there yet or empty.

    ``valid``: how long it can be taken up for the first time. ``accept_tags``: images of which no digest is known
    are taken as their registries serve them now. ``architecture``: in Debian's words, "" for this host's.
    """

    site: Site
    output: Path
    keys: Path
    valid: timedelta = VALID
    accept_tags: bool = False
    architecture: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """A finished bundle: where, for whom, signed by whom. ``size`` in bytes, of the file or of all files."""

    output: Path
    contents: Contents
    fingerprint: str
    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the components of a site want from outside. ``images``: references of registries' images."""

    fetched: tuple[Pinned, ...]
    built: tuple[Planned, ...]
    packages: tuple[str, ...]
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """An image of a registry for this bundle: by which digest, and what will hold it in the cache."""

    reference: str
    digest: str
    planned: Planned

    def row(self, cache: Cache) -> Served:
        record = cache.recorded(self.planned.name, self.planned.key)
        manifest = record.file(IMAGE).image if record else ""
        return Served(self.reference, self.digest, manifest, by_tag=not is_pinned(self.reference))


def create(order: Order, probe: Probe, emit: Emit) -> Made:
    """Fetch and build what the cache lacks, gather the packages, sign, and write the bundle whole or not at all.

    Raises OLR-BND-013 (a release without a digest), 015 (keys), 017 (output), 020 (this host cannot), 022 (images
    without a digest), OLR-KUBE-005 (K3s on the host's containerd), and what fetching raises.
    """
    require_output(order.output)
    site = choose(order.site, probe)
    if site.kube == "k3s" and site.k3s.runtime == "shared":
        # What nobody could install.
        raise Failure("OLR-KUBE-005")
    host = this_host(probe)
    arch = order.architecture or host.architecture
    steps = component_steps(site, Platform(made_of(host.family, host.release), arch))
    wanted = wanted_of(steps, components(site), accept_tags=order.accept_tags)
    bound = bool(wanted.built or wanted.packages)
    if bound and host.family != "debian":
        raise Failure("OLR-BND-020", reason=f"it is {host.family or 'an unknown system'}, not Debian")
    if bound and host.architecture != arch:
        raise Failure("OLR-BND-020", reason=f"it is {host.architecture}, and what is built on it is for no {arch}")
    signer = publisher(order.keys)
    cache = Cache(Path(site.paths.cache), Path(site.paths.built))
    images = _images(wanted, site, arch, emit)
    _fill(wanted, site, arch, cache, emit)
    fill_images(images, site, arch, cache, emit)
    contents = Contents(
        edition=site.edition,
        engine=site.kube,
        architecture=arch,
        components=tuple(one.name for one in components(site)),
        made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        by=version("olares"),
        family=host.family if bound else "",
        release=host.release if bound else "",
        images=tuple(one.row(cache) for one in images),
    )
    lying = replace(wanted, built=(*wanted.built, *(one.planned for one in images)))
    return _written(order, contents, lying, signer, cache, probe, emit)


def require_output(output: Path) -> None:
    if output.name.endswith(PACKED):
        if output.exists():
            raise Failure("OLR-BND-017", output=output, reason="it is there already")
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise Failure("OLR-BND-017", output=output, reason="it is no empty directory, and its name ends in no .tar.zst")
    if not output.absolute().parent.is_dir():
        raise Failure("OLR-BND-017", output=output, reason=f"there is no {output.absolute().parent}")


def wanted_of(steps: Sequence[Step], chosen: Sequence[Component], *, accept_tags: bool) -> Wanted:
    """What such an installation takes from outside; ``OLR-BND-013``, ``OLR-BND-022``: what no digest is known of."""
    fetched = tuple(step.resource.pin for step in steps if isinstance(step.resource, Fetched))
    built = tuple(step.resource.planned for step in steps if isinstance(step.resource, Built))
    packages = (step.resource.names for step in steps if isinstance(step.resource, Packages))
    names = tuple(dict.fromkeys(name for row in packages for name in row))
    unknown = [f"{pin.name} {pin.version}" for pin in fetched if not pin.file.sha256]
    if unknown:
        raise Failure("OLR-BND-013", releases=", ".join(unknown))
    images = tuple(image for one in chosen for image in one.edition.references.values())
    loose = [image for image in images if not is_pinned(image)]
    if loose and not accept_tags:
        raise Failure("OLR-BND-022", images=", ".join(loose))
    return Wanted(fetched, built, names, images)


def _images(wanted: Wanted, site: Site, arch: str, emit: Emit) -> tuple[Taken, ...]:
    """Each image by its digest. What only a tag names is looked up now: once for this bundle, however it goes on."""
    found = []
    for reference in wanted.images:
        digest = parts(reference).digest
        if not digest:
            with _step(f"tag:{reference}", emit) as report:
                digest = digest_served(reference, site.registries)
                report(0, 0, "images", f"{reference} is {digest}")
        found.append(Taken(reference, digest, served(reference, digest, arch)))
    return tuple(found)


def fill_images(images: Sequence[Taken], site: Site, arch: str, cache: Cache, emit: Emit) -> None:
    """Bring into the cache the images it lacks."""
    where = (f"--cache={site.paths.cache}", f"--state={site.paths.state}")
    for one in images:
        if not _is_built(one.planned, cache):
            wanted = {"digest": one.digest, "arch": arch, "registries": [asdict(row) for row in site.registries]}
            with _step(f"image:{one.planned.recipe.title}", emit) as report:
                listener, words = Listener(told(report)), (one.reference, json.dumps(wanted))
                work(run_process, listener, "image", *words, *where, timeout=FETCH_TIMEOUT)


def _fill(wanted: Wanted, site: Site, arch: str, cache: Cache, emit: Emit) -> None:
    """Bring into the cache what it lacks, by the workers an installation uses."""
    where = (f"--cache={site.paths.cache}", f"--state={site.paths.state}")
    for pin in wanted.fetched:
        record = Record(cache.root / pin.entry, pin.file.sha256, pin.file.size)
        if verify(record) is not Held.GOOD:
            options = (*where, f"--arch={arch}", *(f"--place={place}" for place in site.places))
            with _step(f"fetched:{pin.name}", emit) as report:
                listener, words = Listener(told(report)), (pin.name, pin.file.sha256)
                work(run_process, listener, "fetch", *words, *options, timeout=FETCH_TIMEOUT)
    missing = [planned for planned in wanted.built if not _is_built(planned, cache)]
    tools = [name for name in TOOLS if shutil.which(name) is None]
    if missing and tools:
        reason = f"{missing[0].name} has to be built, and {' and '.join(tools)} are missing (apt-get install them)"
        raise Failure("OLR-BND-020", reason=reason)
    for planned in missing:
        root = str(planned.folder).removesuffix(f"/{planned.name}") or str(ROOT)
        with _step(f"built:{planned.name}", emit) as report:
            listener = Listener(told(report))
            work(
                run_process,
                listener,
                "build",
                planned.name,
                planned.key,
                *where,
                f"--recipes={root}",
                timeout=BUILD_TIMEOUT,
            )


def _is_built(planned: Planned, cache: Cache) -> bool:
    record = cache.recorded(planned.name, planned.key)
    return record is not None and verify_all(cache.files(record)) is Held.GOOD


def _written(
    order: Order,
    contents: Contents,
    wanted: Wanted,
    signer: Publisher,
    cache: Cache,
    probe: Probe,
    emit: Emit,
) -> Made:
    packed = order.output.name.endswith(PACKED)
    output = order.output.absolute()
    # A packed one needs no room for a copy: its files are links into the cache, on the cache's file system.
    stage = cache.temporary("bundle-making") if packed else output.with_name(f".{output.name}.making")
    try:
        if not packed:
            remove(stage)
            stage.mkdir()
        if wanted.packages:
            with _step("packages", emit) as report:
                gather(wanted.packages, stage / APT, probe, report)
                index(stage / APT)
        _lay(wanted, stage, cache, os.link if packed else shutil.copyfile)
        (stage / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(contents), indent=1) + b"\n")
        with _step("signatures", emit) as report:
            sign(stage, signer, report, valid=order.valid)
        files = sum(1 for path in stage.rglob("*") if path.is_file())
        if packed:
            with _step("bundle", emit) as report:
                pack(stage, output, report)
            size = output.stat().st_size
        else:
            size = sum(path.stat().st_size for path in stage.rglob("*") if path.is_file())
            sync_tree(stage)
            if output.exists():
                output.rmdir()
            stage.rename(output)
    except OSError as error:
        raise Failure("OLR-BND-017", output=order.output, reason=error) from error
    finally:
        remove(stage)
    return Made(order.output, contents, signer.fingerprint, files, size)


def _lay(wanted: Wanted, stage: Path, cache: Cache, put: Callable[[Path, Path], object]) -> None:
    """What the cache holds, under the same names, with the ledger's rows beside it."""
    rows = [record for one in wanted.built if (record := cache.recorded(one.name, one.key))]
    entries = [pin.entry for pin in wanted.fetched]
    entries += [f"{cache.folder(row.recipe, row.key)}/{file.name}" for row in rows for file in row.files]
    cache.reserve(sum((cache.root / entry).stat().st_size for entry in entries) + _MARGIN, where=stage)
    for entry in entries:
        target = stage / entry
        target.parent.mkdir(parents=True, exist_ok=True)
        put(cache.root / entry, target)
    for row in rows:
        path = stage / LEDGER / cache.record_path(row.recipe, row.key).name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(asdict(row), indent=1) + "\n")


@contextmanager
def _step(key: str, emit: Emit) -> Iterator[Report]:
    """Tell a piece of work as a run tells its steps."""
    began = time.time()
    emit(StepStarted(at=began, key=key, component="bundle", phase="bundle", what=key))

    def report(done: int, total: int, unit: str, text: str = "") -> None:
        emit(Progress(at=time.time(), key=key, done=done, total=total, unit=unit, text=text))

    def finished(outcome: str, id: str = "") -> None:
        now = time.time()
        emit(
            StepFinished(
                at=now, key=key, component="bundle", phase="bundle", outcome=outcome, seconds=now - began, id=id
            )
        )

    try:
        yield report
    except Failure as failure:
        finished("failed", failure.id)
        raise
    finished("changed")


def sign_again(place: Path, keys: Path, valid: timedelta, report: Report) -> None:
    """Give a bundle of one's own another end, its files as they were signed. A packed one is packed anew."""
    signer = publisher(keys)
    if place.is_dir():
        targets = targets_of(place, signer)
        compare(place, targets, report)
        renew(place, signer, targets, valid=valid)
        return
    if not place.is_file():
        raise Refused("OLR-BND-001", place=place)
    stage = place.with_name(f".{place.name}.signing")
    remove(stage)
    try:
        stage.mkdir()
        head(place, stage)
        targets = targets_of(stage, signer)
        (stage / FILE).unlink()
        unpack(place, listed(targets), stage, report)
        renew(stage, signer, targets, valid=valid)
        pack(stage, place, report)
    finally:
        remove(stage)
