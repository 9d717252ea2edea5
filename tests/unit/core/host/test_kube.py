"""The API client against a small HTTPS server that answers as an API server does."""

from __future__ import annotations

import base64
import datetime
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from installers.core.errors import Failure
from installers.core.host import kube
from installers.core.host.kube import KubeReader, KubeWriter
from installers.core.model import ClusterAbsent, Kind, Ref

pytestmark = pytest.mark.processes

DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
NODE = Kind("v1", "Node", "nodes", namespaced=False)
WEB = Ref(DEPLOYMENT, "web", "shop")
RESOURCES = {
    "resources": [
        {"name": "deployments", "kind": "Deployment", "namespaced": True},
        {"name": "deployments/scale", "kind": "Scale", "namespaced": True},
    ]
}


@dataclass
class Server:
    """``answers``: status and body by verb and path; ``seen``: requests as verb, path, headers, body."""

    directory: Path
    answers: dict[tuple[str, str], list[tuple[int, Any]]] = field(default_factory=dict)
    seen: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    connections: int = 0
    hang_up: bool = False

    @property
    def kubeconfig(self) -> str:
        return str(self.directory / "admin.conf")

    def says(self, verb: str, path: str, *answers: tuple[int, Any]) -> None:
        self.answers[(verb, path)] = list(answers)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("api.internal")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("certificates")
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


@pytest.fixture
def server(certificates: Path, tmp_path: Path) -> Iterator[Server]:
    state = Server(tmp_path)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            state.connections += 1
            super().setup()

        def answer(self) -> None:
            if state.hang_up:
                state.hang_up = False
                self.close_connection = True
                return
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            state.seen.append((self.command, self.path, dict(self.headers), body))
            answers = state.answers.get(
                (self.command, self.path.partition("?")[0]), [(404, {"message": "no such thing"})]
            )
            status, content = answers[0] if len(answers) == 1 else answers.pop(0)
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PATCH = do_DELETE = answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.load_verify_locations(certificates / "cert.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    write_kubeconfig(state, certificates, listening.server_port)
    yield state
    listening.shutdown()
    listening.server_close()


def write_kubeconfig(state: Server, certificates: Path, port: int, name: str = "api.internal") -> None:
    inline = {file: base64.b64encode((certificates / f"{file}.pem").read_bytes()).decode() for file in ("cert", "key")}
    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "tls-server-name": name,
        "certificate-authority-data": inline["cert"],
    }
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"client-certificate-data": inline["cert"], "client-key-data": inline["key"]}}],
    }
    Path(state.kubeconfig).write_text(json.dumps(config))


def test_a_list_names_kind_and_version_of_each_object(server: Server) -> None:
    server.says("GET", "/apis/apps/v1/deployments", (200, {"items": [{"metadata": {"name": "web"}}]}))
    reader = KubeReader(server.kubeconfig)
    (found,) = reader.list(DEPLOYMENT)
    assert found == {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    assert reader.list(NODE) == (), "a kind the server does not know has no objects"
    reader.close()


def test_one_connection_serves_many_requests_and_outlives_a_hang_up(server: Server) -> None:
    server.says("GET", "/api/v1/nodes", (200, {"items": []}))
    reader = KubeReader(server.kubeconfig)
    for _ in range(3):
        reader.list(NODE)
    assert server.connections == 1
    server.hang_up = True
    reader.list(NODE)
    assert (server.connections, len(server.seen)) == (2, 4)
    reader.close()


def test_a_changed_kubeconfig_is_read_again(server: Server, certificates: Path) -> None:
    server.says("GET", "/api/v1/nodes", (200, {"items": []}))
    reader = KubeReader(server.kubeconfig)
    reader.list(NODE)
    Path(server.kubeconfig).unlink()
    with pytest.raises(ClusterAbsent):
        reader.list(NODE)
    write_kubeconfig(server, certificates, 1)
    with pytest.raises(ClusterAbsent, match="refused"):
        reader.list(NODE)


def test_the_super_admins_file_is_used_while_it_is_there(server: Server, certificates: Path) -> None:
    server.says("GET", "/api/v1/nodes", (200, {"items": []}))
    beside = Path(server.kubeconfig).with_name("super-admin.conf")
    beside.write_text(Path(server.kubeconfig).read_text())
    Path(server.kubeconfig).write_text("no kubeconfig at all")
    reader = KubeReader(server.kubeconfig)
    assert reader.list(NODE) == ()
    beside.unlink()
    with pytest.raises(Failure):
        reader.list(NODE)


def test_a_server_with_another_certificate_is_not_absent_but_refused(server: Server, certificates: Path) -> None:
    text = Path(server.kubeconfig).read_text()
    Path(server.kubeconfig).write_text(text.replace("api.internal", "another.name"))
    with pytest.raises(Failure) as failure:
        KubeReader(server.kubeconfig).list(NODE)
    assert failure.value.id == "OLR-HOST-010"


def test_apply_is_server_side_and_forced(server: Server) -> None:
    content = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}
    path = "/apis/apps/v1/namespaces/shop/deployments/web"
    server.says("GET", "/apis/apps/v1", (200, RESOURCES))
    server.says("PATCH", path, (200, {**content, "live": True}))
    writer = KubeWriter(server.kubeconfig)
    assert writer.apply(content)["live"] is True
    verb, target, headers, body = server.seen[-1]
    assert (verb, target, body) == ("PATCH", f"{path}?fieldManager=olares&force=true", content)
    assert headers["Content-Type"] == "application/apply-patch+yaml"
    writer.close()


def test_a_kind_the_server_lacks_is_a_failure(server: Server) -> None:
    server.says("GET", "/apis/apps/v1", (200, RESOURCES))
    writer = KubeWriter(server.kubeconfig)
    with pytest.raises(Failure, match="no kind Thing"):
        writer.apply({"apiVersion": "apps/v1", "kind": "Thing", "metadata": {"name": "x"}})
    writer.close()


@pytest.mark.parametrize(("status", "uid", "failed"), [(200, "", 0), (404, "", 0), (409, "u2", 0), (409, "u1", 1)])
def test_deleting_holds_on_to_the_uid(server: Server, status: int, uid: str, failed: int) -> None:
    path = "/apis/apps/v1/namespaces/shop/deployments/web"
    server.says("DELETE", path, (status, {"message": "no"}))
    server.says("GET", path, (200, {"metadata": {"uid": uid}}))
    writer = KubeWriter(server.kubeconfig)
    try:
        writer.delete(WEB, "u1")
        assert not failed
    except Failure:
        assert failed
    body = next(body for verb, _, _, body in server.seen if verb == "DELETE")
    assert (body["preconditions"], body["propagationPolicy"]) == ({"uid": "u1"}, "Background")
    writer.close()


def test_a_busy_server_is_asked_again_and_a_refusal_is_told(server: Server) -> None:
    server.says("GET", "/api/v1/nodes", (503, {"message": "starting"}), (200, {"items": []}))
    reader = KubeReader(server.kubeconfig)
    assert reader.list(NODE) == ()
    server.says("GET", "/api/v1/nodes", (403, {"message": "nodes is forbidden"}))
    with pytest.raises(Failure, match="403 nodes is forbidden"):
        reader.list(NODE)
    reader.close()


def test_a_silent_server_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "DEADLINE", 0.3)
    server.says("GET", "/api/v1/nodes", (503, {"message": "starting"}))
    reader = KubeReader(server.kubeconfig)
    with pytest.raises(Failure, match="503"):
        reader.list(NODE)
    reader.close()


def test_logs_and_events_for_a_diagnosis(server: Server) -> None:
    server.says("GET", "/api/v1/namespaces/shop/pods/web-1/log", (200, "one\ntwo\n"))
    late, early = {"lastTimestamp": "2026-01-02"}, {"eventTime": "2026-01-01"}
    server.says("GET", "/api/v1/namespaces/shop/events", (200, {"items": [late, early]}))
    reader = KubeReader(server.kubeconfig)
    assert reader.logs("shop", "web-1", "web") == "one\ntwo\n"
    assert reader.logs("shop", "web-2", "web") == ""
    assert reader.events("shop") == (early, late)
    reader.close()


def test_the_reader_has_no_other_verbs(server: Server) -> None:
    reader = KubeReader(server.kubeconfig)
    with pytest.raises(ValueError, match="not for reading"):
        reader._api.ask("DELETE", "/api/v1/nodes/x")
    assert not {"apply", "delete"} & set(dir(KubeReader))


@pytest.mark.parametrize("text", ["", "a: [", "{}", "current-context: x", "[1]"])
def test_an_unusable_kubeconfig_says_what_is_missing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "admin.conf"
    path.write_text(text)
    with pytest.raises(Failure) as failure:
        KubeReader(str(path)).list(NODE)
    assert failure.value.id == "OLR-HOST-010"
    assert failure.value.fields["reason"]


def test_no_kubeconfig_means_no_cluster(tmp_path: Path) -> None:
    with pytest.raises(ClusterAbsent, match="there is no"):
        KubeReader(str(tmp_path / "none")).list(NODE)
