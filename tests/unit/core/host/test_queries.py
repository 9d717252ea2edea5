"""The table of queries is closed, and what it lets through only reads."""

from __future__ import annotations

import pytest

from installers.core.host.queries import QUERIES, argv_of
from installers.core.model import Query

READING = frozenset(
    [
        "-W",
        "-s",
        "-L",
        "-S",
        "-j",
        "-n",
        "-v",
        "-q",
        "-qa",
        "-Q",
        "--json",
        "--print-architecture",
        "--audit",
        "--compare-versions",
        "--version",
        "version",
        "short",
        "policy",
        "depends",
        "show",
        "madison",
        "list-unit-files",
        "list-units",
        "is-system-running",
        "is-active",
        "is-enabled",
        "cat",
        "list",
        "ls",
        "get",
        "added",
        "--list-all-zones",
        "ruleset",
        "passwd",
        "group",
        "hosts",
        "ahosts",
        "ahostsv4",
        "info",
        "status",
        "--light",
        "--output=json",
        "--format=json",
        "--format={{json .}}",
    ]
)
SUBJECTS = frozenset(
    [
        "image",
        "profile",
        "--permanent",
        "-o",
        "-d",
        "-6",
        "link",
        "addr",
        "route",
        "rule",
        "netns",
        "images",
        "containers",
    ]
)
SIMULATED = frozenset(("install", "remove", "purge", "autoremove", "-R"))
DRY = frozenset(("--assumeno", "--dry-run", "--print"))
"""What makes a change a simulation, besides apt's -s."""


@pytest.mark.parametrize("name", QUERIES)
def test_verbs_only_read(name: str) -> None:
    row = QUERIES[name]
    if row.required:
        # The one that fetches: it must be told where to, may be told where from, and nothing else.
        etc = [f"-oDir::Etc::{name}=" for name in ("sourcelist", "sourceparts", "preferences", "preferencesparts")]
        assert (row.verbs, row.options) == ((("update",),), (row.required, *etc, "-oAPT::Default-Release="))
        return
    for verb in row.verbs:
        words = set(verb) - READING - SUBJECTS - DRY
        assert not words or ((verb[0] == "-s" or DRY & set(verb)) and words <= SIMULATED), verb


@pytest.mark.parametrize(
    "query",
    [
        Query("rm", ("-rf", "/")),
        Query("systemctl", ("start", "x.service")),
        Query("systemctl", ("--now", "show")),
        Query("apt-get", ("install", "socat")),
        Query("apt-get", ("install", "-s", "socat")),
        Query("apt-get", ("-s", "install", "-oAPT::Get::Simulate=false", "socat")),
        Query("apt-lists", ("update",)),
        Query("apt-lists", ("update", "-oDir::State::Lists=/x", "-oDir::Etc=/y")),
        Query("ip", ("-j", "link", "add", "x")),
        Query("ip", ("link", "show")),
        Query("ctr", ("images", "rm", "x")),
        Query("nft", ("-j", "flush", "ruleset")),
        Query("firewall-cmd", ("--list-all-zones", "--add-port=22/tcp")),
        Query("ufw", ("disable",)),
        Query("iptables-save", ("-f", "/etc/passwd")),
        Query("minikube", ("delete", "--profile=olares")),
        Query("minikube", ("profile", "olares")),
        Query("minikube", ("status", "--output=json", "--all")),
        Query("docker", ("system", "prune")),
        Query("dnf", ("install", "socat")),
        Query("dnf", ("--assumeno", "install", "-y", "socat")),
        Query("dnf", ("--assumeno", "install", "--setopt=cachedir=/etc", "socat")),
        Query("zypper", ("install", "socat")),
        Query("pacman", ("-S", "socat")),
        Query("pacman", ("-R", "socat")),
        Query("rpm", ("-e", "socat")),
        Query("restorecon", ("-R", "/etc")),
    ],
    ids=str,
)
def test_anything_else_is_refused(query: Query) -> None:
    with pytest.raises(ValueError, match=query.name):
        argv_of(query)


@pytest.mark.parametrize(
    ("query", "end"),
    [
        (
            Query("systemctl", ("show", "--property=Id,ActiveState", "a.service")),
            ["show", "--property=Id,ActiveState", "a.service"],
        ),
        (
            Query("apt-get", ("-s", "install", "--no-install-recommends", "socat")),
            ["-s", "install", "--no-install-recommends", "socat"],
        ),
        (Query("ctr", ("images", "ls", "-q")), ["-n", "k8s.io", "images", "ls", "-q"]),
        (Query("iptables-save"), ["iptables-save"]),
    ],
    ids=str,
)
def test_what_is_in_the_table_passes(query: Query, end: list[str]) -> None:
    assert argv_of(query)[-len(end) :] == end


def test_a_program_sees_of_our_environment_only_what_its_row_passes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MINIKUBE_HOME", "MINIKUBE_DRIVER", "MINIKUBE_WANTUPDATENOTIFICATION"):
        monkeypatch.setenv(name, "ours")
    seen = QUERIES["minikube"].environment
    assert (seen["MINIKUBE_HOME"], seen["MINIKUBE_WANTUPDATENOTIFICATION"]) == ("ours", "false")
    assert "MINIKUBE_DRIVER" not in seen
    assert QUERIES["ip"].environment == {}


def test_reading_packages_writes_no_index() -> None:
    for name in ("apt-cache", "apt-get", "apt-lists"):
        assert "Dir::Cache::pkgcache=" in QUERIES[name].lead
