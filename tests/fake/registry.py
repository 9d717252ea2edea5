"""An image registry on the loopback with its faults as data, and small images to put into it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import ssl
import tarfile
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fake.loopback import LoopbackServer, QuietHandler
from tests.fake.mirrors import HTML

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"
Json = dict[str, Any]


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def layer(files: dict[str, bytes]) -> bytes:
    """A layer of programs, compressed, the same every time."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for path, content in files.items():
            row = tarfile.TarInfo(path)
            row.size, row.mode = len(content), 0o755
            archive.addfile(row, io.BytesIO(content))
    return gzip.compress(target.getvalue(), mtime=0)


@dataclass
class Image:
    """An image for some architectures: what its registry has of it. ``docker``: in Docker's words instead of OCI's."""

    layers: dict[str, tuple[bytes, ...]]
    docker: bool = False
    blobs: dict[str, bytes] = field(default_factory=dict)
    documents: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Manifests and the index by digest: media type and content."""
    manifests: dict[str, str] = field(default_factory=dict)
    """Digest of the manifest by architecture."""
    index: str = ""

    def __post_init__(self) -> None:
        rows = [self._manifest(arch, layers) for arch, layers in self.layers.items()]
        # What builders put beside images; it is for no computer.
        rows.append({**rows[0], "platform": {"architecture": "unknown", "os": "unknown"}})
        self.index = self._keep(
            f"{DOCKER}.distribution.manifest.list.v2+json" if self.docker else f"{OCI}.index.v1+json",
            {"manifests": rows},
        )["digest"]

    def _manifest(self, arch: str, layers: tuple[bytes, ...]) -> Json:
        config = json.dumps(
            {"architecture": arch, "os": "linux", "rootfs": {"type": "layers", "diff_ids": diffs(layers)}}
        )
        kinds = (
            (f"{DOCKER}.container.image.v1+json", f"{DOCKER}.image.rootfs.diff.tar.gzip")
            if self.docker
            else (f"{OCI}.config.v1+json", f"{OCI}.layer.v1.tar+gzip")
        )
        found = {
            "config": self._blob(kinds[0], config.encode()),
            "layers": [self._blob(kinds[1], one) for one in layers],
        }
        row = self._keep(f"{DOCKER}.distribution.manifest.v2+json" if self.docker else f"{OCI}.manifest.v1+json", found)
        self.manifests[arch] = row["digest"]
        return {**row, "platform": {"architecture": arch, "os": "linux"}}

    def _blob(self, kind: str, content: bytes) -> Json:
        self.blobs[digest(content)] = content
        return {"mediaType": kind, "digest": digest(content), "size": len(content)}

    def _keep(self, kind: str, document: Json) -> Json:
        content = json.dumps({"schemaVersion": 2, "mediaType": kind, **document}).encode()
        self.documents[digest(content)] = (kind, content)
        return {"mediaType": kind, "digest": digest(content), "size": len(content)}


def diffs(layers: tuple[bytes, ...]) -> list[str]:
    return [digest(gzip.decompress(one)) for one in layers]


@dataclass(frozen=True, slots=True)
class Faults:
    """What a registry does wrong or its own way; the defaults are an open, sound one."""

    token: str = ""
    """Everything asks for this token, which ``/token`` gives to anybody."""
    uses: int = 1 << 30
    """How many requests a token is good for."""
    challenge: str = ""
    """In place of the challenge that names ``/token``."""
    no_token: bytes = b""
    """What ``/token`` says instead."""
    elsewhere: str = ""
    """Blobs lie at this address; they are sent there."""
    moved: str = ""
    """Manifests are at this address, under the same path."""
    statuses: dict[str, int] = field(default_factory=dict)
    """By a piece of the path."""
    refuse: int = 1 << 30
    """How many requests get one of those; the rest are answered as they should be."""
    retry_after: str = ""
    html: str = ""
    """A piece of the path: a web page in its place."""
    wrong: str = ""
    """A piece of the path: another first byte."""
    cut_after: int | None = None
    """Blobs end after so many bytes, with the connection."""
    cuts: int = 1 << 30


@dataclass
class FakeRegistry(LoopbackServer):
    """A context manager. ``tags``: digest by ``repository:tag``. ``asked``: path and Authorization of each request."""

    image: Image
    faults: Faults = field(default_factory=Faults)
    tags: dict[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    given: int = 0
    """Tokens."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def handler(self) -> type[_Handler]:
        class Handler(_Handler):
            registry = self

        return Handler

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def paths(self, piece: str) -> list[str]:
        return [path for path, _ in self.asked if piece in path]


class _Handler(QuietHandler):
    registry: FakeRegistry

    def do_GET(self) -> None:
        registry, faults = self.registry, self.registry.faults
        path, shown = urlsplit(self.path).path, self.headers.get("Authorization", "")
        with registry.lock:
            number = len(registry.asked)
            registry.asked.append((self.path, shown))
        refused = next((status for piece, status in faults.statuses.items() if piece in path), 0)
        if path == "/token":
            self._token()
        elif path.startswith("/storage/"):
            # As object stores do: what signs the address and a token do not go together.
            self.short(400, b"two ways in") if shown else self._blob(path.rpartition("/")[2])
        elif refused and number < faults.refuse:
            self.short(refused, b"no", {"Retry-After": faults.retry_after} if faults.retry_after else {})
        elif faults.token and not self._let_in(shown):
            realm = f'Bearer realm="{registry.url}/token",service="the, registry",scope="repository:{_name(path)}:pull"'
            self.short(401, b"{}", {"WWW-Authenticate": faults.challenge or realm})
        elif faults.html and faults.html in path:
            self.short(200, HTML, {"Content-Type": "text/html; charset=utf-8"})
        elif "/blobs/" in path and faults.elsewhere:
            self.short(307, b"", {"Location": f"{faults.elsewhere}/storage/{path.rpartition('/')[2]}"})
        elif "/blobs/" in path:
            self._blob(path.rpartition("/")[2])
        else:
            self._manifest(path)

    def _let_in(self, shown: str) -> bool:
        registry, faults = self.registry, self.registry.faults
        with registry.lock:
            good = shown == f"Bearer {faults.token}-{registry.given}"
            uses = sum(1 for _, one in registry.asked if one == shown)
        return good and uses <= faults.uses

    def _token(self) -> None:
        registry, faults = self.registry, self.registry.faults
        query = parse_qs(urlsplit(self.path).query)
        if faults.no_token:
            self.short(200, faults.no_token)
        elif query.get("service") != ["the, registry"] or not query.get("scope", [""])[0].endswith(":pull"):
            self.short(400, b"{}")
        else:
            with registry.lock:
                registry.given += 1
                token = f"{faults.token}-{registry.given}"
            self.short(200, json.dumps({"token": token, "expires_in": 60}).encode())

    def _manifest(self, path: str) -> None:
        image, what = self.registry.image, path.rpartition("/")[2]
        what = self.registry.tags.get(f"{_name(path)}:{what}", what)
        if what not in image.documents:
            self.short(404, b'{"errors": []}')
            return
        kind, content = image.documents[what]
        if self.registry.faults.moved:
            self.short(307, b"", {"Location": f"{self.registry.faults.moved}{path}"})
            return
        self.short(200, self._wrong(path, content), {"Content-Type": kind, "Docker-Content-Digest": digest(content)})

    def _wrong(self, path: str, content: bytes) -> bytes:
        wrong = self.registry.faults.wrong
        return bytes([content[0] ^ 0xFF]) + content[1:] if wrong and wrong in path else content

    def _blob(self, what: str) -> None:
        content, faults = self._wrong(self.path, self.registry.image.blobs.get(what, b"")), self.registry.faults
        if not content:
            self.short(404, b"{}")
            return
        asked = self.headers.get("Range", "").removeprefix("bytes=")
        low, high = 0, len(content) - 1
        if asked:
            first, last = asked.split("-")
            low, high = int(first), min(int(last), high)
        body, headers = content[low : high + 1], {"Content-Type": "application/octet-stream"}
        if asked:
            headers["Content-Range"] = f"bytes {low}-{high}/{len(content)}"
        if len(body) > (faults.cut_after or len(body)) and len(self.registry.paths("/blobs/")) <= faults.cuts:
            headers["Content-Length"], body = str(len(body)), body[: faults.cut_after]
            self.close_connection = True
        self.short(206 if asked else 200, body, headers)


def _name(path: str) -> str:
    return path.removeprefix("/v2/").rpartition("/")[0].rpartition("/")[0]
