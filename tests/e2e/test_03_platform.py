"""The platform does its work for a pod, by its Services' names and with an account of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e import data
from tests.e2e.cluster import PLATFORM, Cluster
from tests.e2e.conftest import Tell

VISIBLE = 5.0
"""Seconds until a changed endpoint is answered."""

HEADLESS = "e2e-headless"


@pytest.fixture(scope="module")
def clients(cluster: Cluster) -> Iterator[data.Clients]:
    yield data.clients(cluster)
    data.remove(cluster)


def test_an_application_creates_a_table_and_reads_it_back_through_the_service(clients: data.Clients) -> None:
    clients.put()
    assert clients.sql("SELECT text FROM e2e").out.strip() == data.ROW
    assert clients.sql("SHOW password_encryption").out.strip() == "scram-sha-256"
    assert clients.sql("SHOW server_version").out.startswith("16.")


def test_a_wrong_password_is_refused(clients: data.Clients) -> None:
    script = "PGPASSWORD=wrong exec psql -h postgres -U olares -d olares -c 'SELECT 1'"
    refused = clients.postgres.sh(script, ok=(2,))
    assert "password authentication failed" in refused.err


def test_an_account_is_no_administrator_and_sees_no_other_database(clients: data.Clients) -> None:
    assert (
        clients.sql("SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = 'olares'").out
        == "f\n"
    )
    assert clients.sql("CREATE ROLE intruder", ok=(1,)).code == 1


def test_a_key_is_set_and_got(clients: data.Clients) -> None:
    assert clients.redis_cli("SET", "e2e-other", "value") == "OK"
    assert clients.redis_cli("GET", "e2e-other") == "value"
    assert "NOAUTH" in clients.redis.sh("redis-cli -h kvrocks GET e2e-other").out


def test_a_message_is_stored_by_jetstream_and_consumed(clients: data.Clients) -> None:
    assert int(clients.nats("put", "E2EMORE", "first")) >= 1
    assert clients.nats("take", "E2EMORE") == "first"


def query(clients: data.Clients, promql: str) -> list[dict[str, Any]]:
    answer = clients.python.python("fetch", f"http://prometheus:9090/api/v1/query?query={quote(promql)}")
    found: list[dict[str, Any]] = json.loads(answer)["data"]["result"]
    return found


def test_a_promql_query_returns_the_nodes_data(clients: data.Clients, cluster: Cluster) -> None:
    deadline = time.monotonic() + 60
    while not (up := query(clients, 'up{job="node"} == 1')) and time.monotonic() < deadline:
        time.sleep(2)
    assert len(up) == 1
    (memory,) = query(clients, "node_memory_MemTotal_bytes")
    total = int(cluster.inside.shell("awk '/MemTotal/ {print $2}' /proc/meminfo")) * 1024
    assert float(memory["value"][1]) == total


def test_services_headless_services_and_srv_records_resolve_in_a_pod(clients: data.Clients, cluster: Cluster) -> None:
    script = "import socket, sys; print(*sorted({row[4][0] for row in socket.getaddrinfo(sys.argv[1], 1)}))"

    def resolved(name: str) -> str:
        return clients.python.run("python3", "-c", script, name).out.strip()

    postgres = cluster.get("service/postgres", "-n", PLATFORM)["spec"]["clusterIP"]
    for name in ("postgres", f"postgres.{PLATFORM}", f"postgres.{PLATFORM}.svc.cluster.local"):
        assert resolved(name) == postgres
    node = cluster.get("nodes")["items"][0]["status"]["addresses"]
    assert resolved("node-exporter") in {row["address"] for row in node}
    srv = json.loads(clients.python.python("dns_srv", f"_postgres._tcp.postgres.{PLATFORM}.svc.cluster.local"))
    assert srv == [[5432, f"postgres.{PLATFORM}.svc.cluster.local."]]


def endpoints(address: str) -> dict[str, Any]:
    subset = {"addresses": [{"ip": address}], "ports": [{"name": "any", "port": 1}]}
    metadata = {"name": HEADLESS, "namespace": PLATFORM, "labels": {"e2e": "dns"}}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": [subset]}


def test_a_changed_endpoint_is_visible_soon_and_no_query_is_dropped(
    clients: data.Clients, cluster: Cluster, tell: Tell
) -> None:
    metadata = {"name": HEADLESS, "namespace": PLATFORM, "labels": {"e2e": "dns"}}
    spec = {"clusterIP": "None", "ports": [{"name": "any", "port": 1}]}
    cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}, endpoints("192.0.2.1"))
    name = f"{HEADLESS}.{PLATFORM}.svc.cluster.local"
    time.sleep(VISIBLE)
    watching = clients.python.begin("dns_watch", name, "20")
    time.sleep(4)
    changed = time.time()
    cluster.apply(endpoints("192.0.2.2"))
    out, _ = watching.communicate(timeout=60)
    seen = json.loads(out)
    assert [addresses for _, addresses in seen["changes"]] == [["192.0.2.1"], ["192.0.2.2"]]
    delay = seen["changes"][1][0] - changed
    tell(f"changed endpoint visible after {delay:.2f} s; {seen['asked']} queries, {seen['lost']} lost")
    cluster.kubectl("delete", "service,endpoints", "-n", PLATFORM, "-l", "e2e=dns")
    assert seen["lost"] == 0
    assert delay < VISIBLE


def test_data_survives_the_restart_of_its_pods(clients: data.Clients, cluster: Cluster) -> None:
    for pod in ("postgres-0", "kvrocks-0", "nats-0"):
        cluster.restart(pod)
    assert clients.missing() == []


def test_everything_comes_back_by_itself_after_the_machine_was_restarted(cluster: Cluster, tell: Tell) -> None:
    data.clients(cluster).put()
    cluster.inside.stop()
    cluster.inside.start()
    seconds = data.returns(cluster, deadline=180)
    tell(f"machine restart: all data answers through the Services {seconds:.0f} s after ssh does")
    data.remove(cluster)
    cluster.inside.wait_running()
    assert cluster.inside.planned() == {}
