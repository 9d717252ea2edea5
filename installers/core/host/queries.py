"""The closed table of programs a probe may run: reading ones, with the verbs that only read.

``Query(name, args)``: ``name`` is a row, ``args`` must begin with one of its verbs and may go on with
operands and with the options the row lists. Anything else is a programming error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from installers.core.host.runner import run_process
from installers.core.model import Output, Query
from installers.site import Paths

CACHE = "{cache}"
"""In a row's ``lead``: our cache directory, the only place its program may write to."""

LIMIT = 64 << 20
"""Bytes an answer may have; a longer one fails rather than being cut."""


@dataclass(frozen=True, slots=True)
class Row:
    """A program that reads. ``lead``: arguments always put first, where ``{cache}`` is our cache. ``verbs``: beginnings
    of the caller's arguments, each exact; ``((),)`` takes operands only. ``options``: what may follow beginning with a
    dash, an entry ending in ``=`` being a prefix; ``required``: the one that must be there. ``passes``: variables of
    our own environment the program is to see. ``timeout`` in seconds.
    """

    program: str
    verbs: tuple[tuple[str, ...], ...]
    lead: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    required: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    passes: tuple[str, ...] = ()
    timeout: float = 20.0

    @property
    def environment(self) -> dict[str, str]:
        return {name: os.environ[name] for name in self.passes if name in os.environ} | dict(self.env)

    def argv(self, query: Query) -> list[str]:
        """The whole command line; ``ValueError`` for arguments outside the row."""
        verb = next((verb for verb in self.verbs if query.args[: len(verb)] == verb), None)
        if verb is None:
            raise ValueError(f"{query.name} is not asked that way: {' '.join(query.args)}")
        for word in query.args[len(verb) :]:
            if word.startswith("-") and not any(_allows(option, word) for option in self.options):
                raise ValueError(f"{query.name} {' '.join(verb)} takes no {word}")
        if self.required and not any(word.startswith(self.required) for word in query.args):
            raise ValueError(f"{query.name} needs {self.required}")
        return [self.program, *(word.replace(CACHE, Paths.from_environment().cache) for word in self.lead), *query.args]


def _allows(option: str, word: str) -> bool:
    return word.startswith(option) if option.endswith("=") else word == option


# apt rebuilds its package indexes while it reads, in /var/cache/apt: so that a plan writes nothing there it
# keeps them in memory (a second or two), unless the caller names a place below our own cache.
_NO_CACHE = ("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=")
_APT_DIRS = (
    *("-oDir::State::Lists=", "-oDir::Etc::SourceList=", "-oDir::Etc::SourceParts=", "-oDir::Etc::sourcelist="),
    *("-oDir::Etc::sourceparts=", "-oDir::State::status=", "-oAPT::Get::List-Cleanup="),
    *("-oDir::Cache::pkgcache=", "-oDir::Cache::srcpkgcache="),
    *("-oDir::Etc::preferences=", "-oDir::Etc::preferencesparts=", "-oAPT::Default-Release="),
)

# What belongs to the user who runs minikube: where its programs lie (Homebrew's are in no system directory), which
# home, kubeconfig and Docker are theirs. MINIKUBE_* settings stay out: what we do not say must not say itself.
USERS = (
    *("PATH", "USER", "LOGNAME", "MINIKUBE_HOME", "KUBECONFIG"),
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"),
)
QUIET = {"MINIKUBE_WANTUPDATENOTIFICATION": "false"}

QUERIES: Mapping[str, Row] = {
    "dpkg-query": Row("dpkg-query", verbs=(("-W",), ("-s",), ("-L",), ("-S",)), options=("-f=", "--showformat=")),
    "dpkg": Row("dpkg", verbs=(("--print-architecture",), ("--audit",), ("--compare-versions",))),
    "apt-cache": Row(
        "apt-cache",
        verbs=(("policy",), ("depends",), ("show",), ("madison",)),
        lead=_NO_CACHE,
        options=(*_APT_DIRS, "--no-recommends", "--no-suggests", "--important", "--recurse", "--installed"),
        timeout=60.0,
    ),
    "apt-get": Row(
        "apt-get",
        verbs=(("-s", "install"), ("-s", "remove"), ("-s", "purge"), ("-s", "autoremove")),
        lead=(*_NO_CACHE, "-oDebug::NoLocking=1", "-oDir::Log::Planner=/dev/null", "-q"),
        options=(
            *(*_APT_DIRS, "--no-install-recommends", "--no-upgrade", "--no-remove", "--no-auto-remove"),
            *("--target-release=", "--allow-downgrades", "--reinstall"),
        ),
        env={"DEBIAN_FRONTEND": "noninteractive"},
        timeout=120.0,
    ),
    # Reads the archive, and writes only the lists directory the caller names, below the cache: apt makes
    # what is missing of it below its state's. A source that fails is a failure, not a warning.
    "apt-lists": Row(
        "apt-get",
        verbs=(("update",),),
        lead=(*_NO_CACHE, "-q", "-oAcquire::Retries=3", "-oAPT::Update::Error-Mode=any", "-oDir::State=/"),
        options=(
            *("-oDir::State::Lists=", "-oDir::Etc::sourcelist=", "-oDir::Etc::sourceparts="),
            *("-oDir::Etc::preferences=", "-oDir::Etc::preferencesparts=", "-oAPT::Default-Release="),
        ),
        required="-oDir::State::Lists=",
        env={"DEBIAN_FRONTEND": "noninteractive"},
        timeout=300.0,
    ),
    # These three decide as they would and then do nothing. What they read of their sources they keep below our cache,
    # not the system's; pacman reads the lists it has and fetches none.
    "dnf": Row(
        "dnf",
        verbs=(("--assumeno", "install"), ("--assumeno", "remove")),
        lead=(f"--setopt=cachedir={CACHE}/dnf",),
        options=("--setopt=install_weak_deps=False", "--setopt=clean_requirements_on_remove=False"),
        timeout=300.0,
    ),
    "zypper": Row(
        "zypper",
        verbs=(("install", "--dry-run"), ("remove", "--dry-run")),
        lead=("--non-interactive", "--xmlout", f"--cache-dir={CACHE}/zypp"),
        options=("--no-recommends", "--no-clean-deps"),
        timeout=300.0,
    ),
    "pacman": Row(
        "pacman",
        verbs=(("-Q",), ("-S", "--print"), ("-R", "--print")),
        options=("--print-format=", "--needed"),
        timeout=60.0,
    ),
    "rpm": Row("rpm", verbs=(("-qa",),), options=("--qf=",), timeout=60.0),
    "restorecon": Row("restorecon", verbs=(("-n", "-v"),), options=("-i",), timeout=60.0),
    "systemctl": Row(
        "systemctl",
        verbs=(
            *(("show",), ("list-unit-files",), ("list-units",), ("is-system-running",)),
            *(("is-active",), ("is-enabled",), ("cat",)),
        ),
        lead=("--no-pager", "--no-ask-password"),
        options=("--property=", "--type=", "--state=", "--all", "--full", "--plain", "--no-legend", "--value"),
        env={"SYSTEMD_COLORS": "0"},
    ),
    "iptables-save": Row("iptables-save", verbs=((),), options=("-t",)),
    "ip6tables-save": Row("ip6tables-save", verbs=((),), options=("-t",)),
    "iptables-legacy-save": Row("iptables-legacy-save", verbs=((),), options=("-t",)),
    "ip6tables-legacy-save": Row("ip6tables-legacy-save", verbs=((),), options=("-t",)),
    "firewall-cmd": Row("firewall-cmd", verbs=(("--list-all-zones",), ("--permanent", "--list-all-zones"))),
    "ufw": Row("ufw", verbs=(("show", "added"),)),
    "nft": Row("nft", verbs=(("-j", "list", "ruleset"),)),
    "ipset": Row("ipset", verbs=(("list", "-n"),)),
    "ip": Row(
        "ip",
        verbs=(
            *(("-j", "link", "show"), ("-j", "-d", "link", "show"), ("-j", "addr", "show"), ("-j", "route", "show")),
            *(("-j", "-6", "route", "show"), ("-j", "route", "get"), ("-j", "rule", "show"), ("-j", "netns", "list")),
        ),
    ),
    "findmnt": Row("findmnt", verbs=(("--json",),), options=("--output=", "--target=", "--bytes", "--list")),
    "getent": Row("getent", verbs=(("passwd",), ("group",), ("hosts",), ("ahosts",), ("ahostsv4",))),
    "ctr": Row("ctr", verbs=(("images", "ls"), ("containers", "ls")), lead=("-n", "k8s.io"), options=("-q",)),
    "containerd": Row("containerd", verbs=(("--version",),)),
    "runc": Row("runc", verbs=(("--version",),)),
    "kubeadm": Row("kubeadm", verbs=(("version", "-o", "short"),)),
    "kubelet": Row("kubelet", verbs=(("--version",),)),
    "etcd": Row("etcd", verbs=(("--version",),)),
    "systemd-detect-virt": Row("systemd-detect-virt", verbs=((),), options=("--container", "--vm")),
    # Each sends one request to an address, and ends by itself before this deadline.
    "proxy-answer": Row(sys.executable, verbs=((),), lead=("-P", "-m", "installers.core.host.knock")),
    "registry-answer": Row(sys.executable, verbs=((),), lead=("-P", "-m", "installers.core.artifacts.fetch.registry")),
    # Asked as the user whose machines they are; it writes nothing but its own log below its own home.
    "minikube": Row(
        "minikube",
        verbs=(
            ("version", "--output=json"),
            ("profile", "list", "--output=json", "--light"),
            ("status", "--output=json"),
            ("image", "ls", "--format=json"),
        ),
        options=("--profile=",),
        env=QUIET,
        passes=USERS,
        timeout=60.0,
    ),
    "docker": Row("docker", verbs=(("info", "--format={{json .}}"),), passes=USERS, timeout=30.0),
    "lsblk": Row("lsblk", verbs=(("--json",),), options=("--bytes", "--output=", "--paths")),
}
"""Every query there is. A row's verbs may only read; a test runs each one between two snapshots."""


def argv_of(query: Query) -> list[str]:
    """The command line of a query; ``ValueError`` for a row or an argument that is not in the table."""
    row = QUERIES.get(query.name)
    if row is None:
        raise ValueError(f"no query is called {query.name}")
    return row.argv(query)


def ask(query: Query) -> Output:
    """Run a query. Any exit status is an answer; ``Failure`` OLR-HOST-002, 003 or 005 when there is none."""
    argv = argv_of(query)
    row = QUERIES[query.name]
    return run_process(argv, timeout=row.timeout, env=row.environment, ok=None, complete=LIMIT)


__all__ = ["QUERIES", "Row", "argv_of", "ask"]
