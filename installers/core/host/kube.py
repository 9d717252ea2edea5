"""The Kubernetes API, for objects of any kind as plain JSON data, on API servers from 1.20 on.

Spoken over the standard library's HTTP client: importing it takes a tenth of what a client library
takes, and server-side apply, LIST and DELETE are one request each.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from installers.core.errors import Failure
from installers.core.host.kubeconfig import ADMIN, Access, in_force, parse_kubeconfig
from installers.core.model import ClusterAbsent, ClusterSilent, Kind, Object, Ref

MANAGER = "olares"
"""The field manager our fields belong to."""

DEADLINE = 30.0
"""Seconds one request may take, its retries included."""

_CONNECT = 5.0
_BUSY = (429, 503)
_PATCH = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of one answer, and how long the server asks us to stay away (seconds)."""

    status: int
    body: bytes
    after: float

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """What the server says went wrong, in one line."""
        try:
            return str(self.json().get("message", ""))
        except (ValueError, AttributeError):
            return self.body[:200].decode(errors="replace").replace("\n", " ")


class _Api:
    """One kept connection. ``verbs``: the HTTP methods it may use; others are a programming error."""

    def __init__(self, kubeconfig: str, verbs: frozenset[str]) -> None:
        self._kubeconfig = kubeconfig
        self._verbs = verbs
        self._lock = threading.Lock()
        self._connection: http.client.HTTPSConnection | None = None
        self._access: Access | None = None
        self._version: tuple[int, int] = (0, 0)

    def ask(
        self,
        verb: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        fine: tuple[int, ...] = (),
    ) -> Answer:
        """One request. Statuses outside 2xx and ``fine`` are ``Failure("OLR-HOST-008")``."""
        if verb not in self._verbs:
            raise ValueError(f"{verb} is not for reading")
        target = f"{path}?{urlencode(query)}" if query else path
        deadline = time.monotonic() + DEADLINE
        pause = 0.5
        with self._lock:
            while True:
                answer = self._once(verb, target, body, deadline)
                wait = max(pause, answer.after)
                if answer.status not in _BUSY or time.monotonic() + wait > deadline:
                    break
                time.sleep(wait)
                pause *= 2
        if answer.status // 100 != 2 and answer.status not in fine:
            raise Failure("OLR-HOST-008", verb=verb, path=path, code=answer.status, reason=answer.reason)
        return answer

    def _once(self, verb: str, target: str, body: object, deadline: float) -> Answer:
        kept = self._connection
        connection, access = self._connected()
        try:
            return self._exchange(connection, access, verb, target, body, deadline)
        except (http.client.HTTPException, OSError) as broken:
            self._drop()
            if isinstance(broken, TimeoutError) or connection is not kept:
                raise self._silent(verb, target, access) from broken
        # A kept connection may have been closed while it idled; all our requests can be sent twice.
        return self._once(verb, target, body, deadline)

    def _silent(self, verb: str, target: str, access: Access) -> Failure:
        return Failure(
            "OLR-HOST-009", server=access.server, verb=verb, path=target.partition("?")[0], seconds=f"{DEADLINE:g}"
        )

    def _connected(self) -> tuple[http.client.HTTPSConnection, Access]:
        """The kept connection, or a new one; made anew when the kubeconfig has changed."""
        try:
            used = in_force(self._kubeconfig)
            status = used.stat()
            version = (status.st_ino, status.st_mtime_ns)
            if self._connection is not None and self._access is not None and version == self._version:
                return self._connection, self._access
            text = used.read_text()
        except (FileNotFoundError, NotADirectoryError):
            self._drop()
            raise ClusterAbsent(f"there is no {self._kubeconfig}") from None
        self._drop()
        access = parse_kubeconfig(text, str(used))
        connection = _Connection(access)
        try:
            connection.connect()
        except ssl.SSLError as untrusted:
            connection.close()
            reason = f"the server at {access.server} is not the one it belongs to ({untrusted.reason})"
            raise Failure("OLR-HOST-010", kubeconfig=str(used), reason=reason) from untrusted
        except OSError as silent:
            connection.close()
            raise ClusterSilent(f"{access.server}: {silent}") from silent
        self._connection, self._access, self._version = connection, access, version
        return connection, access

    def _exchange(
        self,
        connection: http.client.HTTPSConnection,
        access: Access,
        verb: str,
        target: str,
        body: object,
        deadline: float,
    ) -> Answer:
        headers = {"Accept": "application/json", "User-Agent": MANAGER}
        if access.token:
            headers["Authorization"] = f"Bearer {access.token}"
        if body is not None:
            headers["Content-Type"] = _PATCH if verb == "PATCH" else "application/json"
        connection.sock.settimeout(max(0.1, deadline - time.monotonic()))
        connection.request(verb, target, None if body is None else json.dumps(body).encode(), headers)
        response = connection.getresponse()
        chunks = []
        while chunk := response.read(1 << 18):
            chunks.append(chunk)
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if connection.sock is not None:
                connection.sock.settimeout(left)
        after = response.headers.get("Retry-After", "")
        if response.will_close:
            self._drop()
        return Answer(response.status, b"".join(chunks), float(after) if after.isdigit() else 0.0)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        with self._lock:
            self._drop()


class _Connection(http.client.HTTPSConnection):
    """HTTPS to the server's address, with its certificate checked against another name where one is given."""

    def __init__(self, access: Access) -> None:
        host, port = access.address
        self._tls = access.context()
        self._name = access.name or host
        super().__init__(host, port, timeout=_CONNECT, context=self._tls)

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)


def _group(api_version: str) -> str:
    return f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"


def _path(kind: Kind, namespace: str, name: str) -> str:
    if kind.namespaced and not namespace:
        raise ValueError(f"{kind.name} {name} needs a namespace")
    scope = f"/namespaces/{quote(namespace)}" if kind.namespaced else ""
    return f"{_group(kind.api_version)}{scope}/{kind.plural}/{quote(name)}"


class KubeReader:
    """Reads objects, events and logs; its API client refuses every verb but GET.

    All methods raise ``ClusterAbsent`` when there is no kubeconfig or nobody answers, ``Failure``
    OLR-HOST-008 (refused), 009 (no answer in time), 010 (unusable kubeconfig).
    """

    def __init__(self, kubeconfig: str = ADMIN) -> None:
        self._api = _Api(kubeconfig, frozenset({"GET"}))

    def list(self, kind: Kind) -> tuple[Object, ...]:
        """All objects of a kind in all namespaces; empty where the server does not know the kind."""
        answer = self._api.ask("GET", f"{_group(kind.api_version)}/{kind.plural}", fine=(404,))
        if answer.status == 404:
            return ()
        # A list's items leave out what they all have in common.
        common = {"apiVersion": kind.api_version, "kind": kind.name}
        return tuple({**common, **item} for item in answer.json()["items"] or ())

    def get(self, ref: Ref) -> Object | None:
        answer = self._api.ask("GET", _path(ref.kind, ref.namespace, ref.name), fine=(404,))
        return None if answer.status == 404 else answer.json()

    def events(self, namespace: str) -> tuple[Object, ...]:
        """A namespace's events, oldest first."""
        items = self._api.ask("GET", f"/api/v1/namespaces/{quote(namespace)}/events").json()["items"] or []
        return tuple(sorted(items, key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or ""))

    def logs(self, namespace: str, pod: str, container: str, *, lines: int = 30) -> str:
        """The end of a container's log; "" when it has none (yet)."""
        query = {"container": container, "tailLines": str(lines), "limitBytes": str(64 * 1024)}
        path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/log"
        answer = self._api.ask("GET", path, query=query, fine=(400, 404))
        return answer.body.decode(errors="replace") if answer.status == 200 else ""

    def close(self) -> None:
        self._api.close()


class KubeWriter:
    """Applies and deletes objects. Raises as ``KubeReader`` does."""

    def __init__(self, kubeconfig: str = ADMIN) -> None:
        self._api = _Api(kubeconfig, frozenset({"GET", "PATCH", "DELETE"}))
        self._kinds: dict[tuple[str, str], Kind] = {}

    def apply(self, content: Object) -> Object:
        """Server-side apply as field manager ``olares``, taking over fields somebody else holds."""
        metadata = content["metadata"]
        kind = self._kind(content["apiVersion"], content["kind"])
        path = _path(kind, metadata.get("namespace", ""), metadata["name"])
        query = {"fieldManager": MANAGER, "force": "true"}
        applied: Object = self._api.ask("PATCH", path, query=query, body=content).json()
        return applied

    def delete(self, ref: Ref, uid: str) -> None:
        """Delete the object that has this UID; a successor of the same name is left alone."""
        path = _path(ref.kind, ref.namespace, ref.name)
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        answer = self._api.ask("DELETE", path, body=options, fine=(404, 409))
        if answer.status != 409:
            return
        present = self._api.ask("GET", path, fine=(404,))
        if present.status == 200 and present.json()["metadata"]["uid"] == uid:
            raise Failure("OLR-HOST-008", verb="DELETE", path=path, code=409, reason=answer.reason)

    def _kind(self, api_version: str, name: str) -> Kind:
        """The kind's plural and scope from the server's own discovery, asked again for one not seen yet."""
        if (api_version, name) not in self._kinds:
            for row in self._api.ask("GET", _group(api_version)).json()["resources"]:
                if "/" not in row["name"]:
                    kind = Kind(api_version, row["kind"], row["name"], row["namespaced"])
                    self._kinds[(api_version, row["kind"])] = kind
        try:
            return self._kinds[(api_version, name)]
        except KeyError:
            reason = f"the server has no kind {name}"
            raise Failure("OLR-HOST-008", verb="GET", path=_group(api_version), code=404, reason=reason) from None

    def close(self) -> None:
        self._api.close()
