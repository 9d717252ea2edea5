"""What a user of the platform puts into it and expects to find again."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.e2e.cluster import KUBECTL, PLATFORM, Cluster, Pod
from tests.e2e.inside import Ran, Unexpected

ROW = "a row of the e2e test"
MAKE_ROW = """
CREATE TABLE IF NOT EXISTS e2e (text text); TRUNCATE e2e; INSERT INTO e2e VALUES ('a row of the e2e test')
"""


@dataclass(frozen=True, slots=True)
class Clients:
    """Pods with the clients of each system, in a namespace like an application's."""

    postgres: Pod
    redis: Pod
    python: Pod

    def sql(self, statement: str, *, ok: tuple[int, ...] = (0,)) -> Ran:
        """As the account ``olares``, over the Service's name, the password from the mounted Secret."""
        psql = "exec psql -h postgres -U olares -d olares -XAtq -v ON_ERROR_STOP=1"
        script = f'PGPASSWORD=$(cat /run/accounts/olares) {psql} -c "$1"'
        return self.postgres.run("sh", "-c", script, "sh", statement, ok=ok)

    def redis_cli(self, *words: str) -> str:
        script = "REDISCLI_AUTH=$(sed -n 's/^requirepass //p' /run/kvrocks/redis.conf) exec redis-cli -h kvrocks \"$@\""
        return self.redis.run("sh", "-c", script, "sh", *words).out.strip()

    def nats(self, verb: str, stream: str, *text: str) -> str:
        words = ("nats", "4222", "olares", "/run/nats/password", verb, stream, *text)
        return self.python.python("nats_client", *words).strip()

    def put(self) -> None:
        """Leave something in each."""
        self.sql(MAKE_ROW)
        if self.redis_cli("SET", "e2e", ROW) != "OK":
            raise Unexpected("Redis did not store the key")
        self.nats("put", "E2E", ROW)

    def missing(self) -> list[str]:
        """What is not there any more."""
        found = {
            "PostgreSQL": self.sql("SELECT text FROM e2e", ok=(0, 1)).out.strip(),
            "KVRocks": self.redis_cli("GET", "e2e"),
            "NATS": self.nats("take", "E2E"),
        }
        return [f"{name}: {value!r}" for name, value in found.items() if value != ROW]


def returns(cluster: Cluster, *, deadline: float) -> float:
    """Until everything that was put in is found again through the Services; seconds that took.

    Right after a boot the API still tells of the pods that ran before it, so only asking is knowing.
    """
    began = time.monotonic()
    while True:
        try:
            missing = clients(cluster).missing()
        except Unexpected as failure:
            missing = [str(failure)]
        passed = time.monotonic() - began
        if not missing:
            return passed
        if passed > deadline:
            raise Unexpected(f"not there after {passed:.0f} s: {'; '.join(missing)}")
        time.sleep(1)


def clients(cluster: Cluster) -> Clients:
    """The pods, made anew: their Secrets are those of now."""
    _nats_secret(cluster)
    names = ("e2e-postgres", "e2e-redis", "e2e-python")
    cluster.kubectl("delete", "pod", "-n", PLATFORM, "--ignore-not-found", "--grace-period=0", "--force", *names)
    dns = cluster.image("deployment/cluster-dns", "kube-system")
    return Clients(
        cluster.pod(
            "e2e-postgres", cluster.image("statefulset/postgres"), secrets={"postgres-accounts": "/run/accounts"}
        ),
        cluster.pod("e2e-redis", cluster.image("statefulset/kvrocks"), secrets={"kvrocks": "/run/kvrocks"}),
        cluster.pod("e2e-python", dns, secrets={"e2e-nats": "/run/nats"}),
    )


def remove(cluster: Cluster) -> None:
    """Everything of the clients, so that nothing of the test stays in the cluster."""
    cluster.kubectl(
        "delete", "-n", PLATFORM, "--ignore-not-found", "pod,secret", "-l", "e2e", "--grace-period=0", "--force"
    )


def _nats_secret(cluster: Cluster) -> None:
    """The password alone, taken out of the configuration in the machine and never shown here."""
    kubectl = " ".join(KUBECTL)
    found = f"{kubectl} get secret nats -n {PLATFORM} -o 'go-template={{{{index .data \"nats.conf\" | base64decode}}}}'"
    alone = "sed -n 's/.*password: \"\\([^\"]*\\)\".*/\\1/p' | tr -d '\\n'"
    made = f"{kubectl} create secret generic e2e-nats -n {PLATFORM} --from-file=password=/dev/stdin"
    cluster.inside.shell(f"{found} | {alone} | {made} --dry-run=client -o yaml | {kubectl} apply -f -")
    cluster.kubectl("label", "secret", "e2e-nats", "-n", PLATFORM, "e2e=nats", "--overwrite")
