"""A real registry and real containerds: an image fetched by our client, imported, found by CRI and run.

The registry is Debian's docker-registry, the containerds are those of Debian 13 and of testing, all in one machine.
Testing moves on by itself, so that this is no part of what a change must pass: ``make e2e-long``.
"""

from __future__ import annotations

import base64
import ssl
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from installers.bundle import Taken, fill_images
from installers.core.artifacts.cache import Cache
from installers.core.artifacts.oci.image import digest_served
from installers.core.artifacts.oci.planned import served as planned
from installers.core.artifacts.recipes import IMAGE
from installers.core.facts.artifacts import Built
from installers.core.facts.images import parse_images
from installers.core.model.events import Event, StepFinished
from installers.site import Paths, Registry, Site
from tests.e2e.conftest import Tell
from tests.e2e.inside import Inside
from tests.e2e.test_11_containerd2 import FETCH
from tests.fake.registry import Image, layer
from tests.fake.tls import certificate

pytestmark = pytest.mark.long

DATA = "/var/lib/olares"
"""Of the machine; this computer sees it too, and it is no overlay, so that containerd can make some on it."""

NAME = "registry.example/of/thing"
PACKAGES = "docker-registry containerd runc curl busybox-static"
SERVE = """version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/olares/registry}}
http: {addr: ":5000", tls: {certificate: /var/lib/olares/tls.crt, key: /var/lib/olares/tls.key}}
"""
SOCKET = "/run/containerd/containerd.sock"
ASK = f"""curl -sS --fail --http2-prior-knowledge --unix-socket {SOCKET} -H 'content-type: application/grpc' \\
    -H 'te: trailers' --data-binary @{DATA}/request http://cri/runtime.v1.ImageService/ImageStatus | base64"""


@dataclass(frozen=True, slots=True, repr=False)
class Served:
    """The machine with its registry, and an image for two architectures in it."""

    inside: Inside
    image: Image
    mirror: Registry

    @property
    def data(self) -> Path:
        return Path(self.inside.machine.data)


@dataclass(frozen=True, slots=True)
class Fetched:
    built: Built
    archive: Path
    index: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    inside = Inside("registry")
    try:
        if inside.exists():
            inside.delete()
        inside.create("--release", "trixie")
        inside.shell(f"apt-get update -q; apt-get install -q -y --no-install-recommends {PACKAGES}", timeout=600)
        inside.shell(FETCH, timeout=600)
        inside.shell("systemctl disable --now containerd docker-registry")
        data = Path(inside.machine.data)
        inside.shell(f"cp /usr/bin/busybox {DATA}/busybox")
        busybox = (data / "busybox").read_bytes()
        made = Image(
            {arch: (layer({"base": arch.encode()}), layer({"busybox": busybox})) for arch in ("amd64", "arm64")}
        )
        authority, _ = certificate(data, inside.machine.address)
        inside.write("/root/registry.yml", SERVE)
        inside.shell("systemd-run --quiet --unit=served docker-registry serve /root/registry.yml")
        mirror = Registry("registry.example", (f"https://{inside.machine.address}:5000",), str(authority))
        inside.shell("until curl -sk https://127.0.0.1:5000/v2/; do sleep 0.2; done")
        push(made, mirror)
        yield Served(inside, made, mirror)
        inside.delete()
    finally:
        inside.close()


def push(image: Image, mirror: Registry) -> None:
    """By the distribution specification; the registry checks every digest, and that an index's manifests are there."""
    base, context = f"{mirror.mirrors[0]}/v2/of/thing", ssl.create_default_context(cafile=mirror.ca)

    def ask(method: str, url: str, content: bytes, kind: str) -> Any:
        request = urllib.request.Request(url, content, {"Content-Type": kind}, method=method)  # noqa: S310 - our machine
        return urllib.request.urlopen(request, timeout=20, context=context)  # noqa: S310

    for digest, content in image.blobs.items():
        with ask("POST", f"{base}/blobs/uploads/", b"", "application/octet-stream") as begun:
            place = begun.headers["Location"]
        ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", content, "application/octet-stream").close()
    for digest, (kind, content) in image.documents.items():
        ask("PUT", f"{base}/manifests/{digest}", content, kind).close()
    kind, content = image.documents[image.index]
    ask("PUT", f"{base}/manifests/1.2", content, kind).close()


@pytest.fixture(scope="module")
def fetched(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Fetched:
    folder = tmp_path_factory.mktemp("cache")
    cache = Cache(folder / "cache", folder / "built")
    paths = Paths(state=str(folder), cache=str(cache.root))
    index = digest_served(f"{NAME}:1.2", (served.mirror,))
    reference = f"{NAME}:1.2@{index}"
    taken = Taken(reference, index, planned(reference, index, "amd64"))
    events: list[Event] = []
    # As `bundle create` does it: by a worker of its own.
    fill_images((taken,), Site(paths=paths, registries=(served.mirror,)), "amd64", cache, events.append)
    assert [row.outcome for row in events if isinstance(row, StepFinished)] == ["changed"]
    built = cache.recorded(taken.planned.name, taken.planned.key)
    assert built
    archive = cache.root / cache.folder(built.recipe, built.key) / IMAGE
    (served.data / IMAGE).write_bytes(archive.read_bytes())
    return Fetched(built, archive, index)


def test_what_the_tag_means_is_what_was_pushed(served: Served, fetched: Fetched) -> None:
    assert fetched.index == served.image.index
    with tarfile.open(fetched.archive) as archive:
        blobs = {name.rpartition("/")[2] for name in archive.getnames() if name.startswith("blobs/")}
    assert served.image.manifests["amd64"].removeprefix("sha256:") in blobs
    assert served.image.manifests["arm64"].removeprefix("sha256:") not in blobs


@pytest.mark.parametrize(("at", "format"), [("/usr/bin", 2), ("/root/testing/usr/bin", 3)], ids=["trixie", "testing"])
def test_it_is_imported_found_and_run(served: Served, fetched: Fetched, tell: Tell, at: str, format: int) -> None:
    inside, unit = served.inside, f"containerd{format}"
    tell(f"registry: {inside.run(f'{at}/containerd', '--version').out.split()[2]} imports what our client fetched")
    inside.write("/root/containerd.toml", f'version = {format}\nroot = "{DATA}/{unit}"\n')
    inside.shell(
        f"systemd-run --quiet --unit={unit} --property=Delegate=yes {at}/containerd --config /root/containerd.toml;"
        f" until {at}/ctr version >/dev/null; do sleep 0.5; done"
    )
    try:
        ctr = (f"{at}/ctr", "-n", "k8s.io")
        inside.run(*ctr, "images", "import", f"{DATA}/{IMAGE}")
        manifest = fetched.built.file(IMAGE).image
        images = parse_images(inside.run(*ctr, "images", "ls").out)
        assert images[f"{NAME}:1.2"] == images[f"{NAME}@{fetched.index}"] == manifest
        content = inside.run(*ctr, "content", "ls", "-q").out
        assert manifest in content
        assert served.image.manifests["arm64"] not in content
        # The plugin takes a moment to hear of new images.
        deadline = time.monotonic() + 20
        while not known(served, f"{NAME}:1.2") and time.monotonic() < deadline:
            time.sleep(0.5)
        # As manifests name it, as a pod's status does, and as the sandbox's image is set.
        for reference in (f"{NAME}:1.2@{fetched.index}", f"{NAME}:1.2", f"{NAME}@{fetched.index}"):
            assert known(served, reference), reference
        assert not known(served, f"{NAME}:1.3")
        said = inside.run(*ctr, "run", "--rm", f"{NAME}:1.2", "one", "/busybox", "echo", "it runs").out
        assert said == "it runs\n"
    finally:
        inside.shell(f"systemctl stop {unit}")


def known(served: Served, reference: str) -> bool:
    """Whether CRI has an image: ``ImageStatusRequest{image: ImageSpec{image: reference}}``, written by hand."""
    message = _field(1, _field(1, reference.encode()))
    (served.data / "request").write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    return NAME.encode() in base64.b64decode(served.inside.shell(ASK))


def _field(number: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
    return bytes([number << 3 | 2]) + length + content
