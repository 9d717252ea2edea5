"""A bundle made in one machine, installed in another whose network has no way out: from a stick, from a web server."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from installers.core.artifacts.depot.pack import opened
from installers.machines.driver import lacking
from installers.machines.layout import SUBNET
from tests.e2e.conftest import KEPT, Tell
from tests.e2e.inside import WHEELS, Inside, Ran
from tests.fake.webserver import WebServer

STICK = "/var/lib/olares/stick"
FILE = f"{STICK}/olares.tar.zst"
TOOLS = ("buildah", "mmdebstrap")
FETCHING = {"fetch-artifact", "build-recipe"}

ASK = "import socket; socket.create_connection(('{host}', {port}), 5)"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle as its maker has it: the file's path on this computer, and the maker's fingerprint."""

    path: Path
    fingerprint: str
    record: dict[str, Any]


def named(part: str) -> Inside:
    return Inside(f"{os.environ.get(KEPT, 'e2e')}-{part}")


@contextmanager
def machine(part: str) -> Iterator[Inside]:
    """A machine of this scenario's own, with the program on it; it goes unless machines are kept."""
    if missing := lacking():
        pytest.skip("; ".join(missing))
    assert list(WHEELS.glob("olares-*.whl")), "no wheels: make wheelhouse"
    inside = named(part)
    kept = bool(os.environ.get(KEPT))
    try:
        if inside.exists() and not kept:
            inside.delete()
        if inside.exists():
            inside.open()
        else:
            inside.create()
        inside.ship()
        yield inside
        if not kept:
            inside.delete()
    finally:
        inside.close()


@pytest.fixture(scope="module")
def bundle(tell: Tell) -> Iterator[Bundle]:
    with machine("maker") as maker:
        outside = Path(maker.machine.data) / Path(FILE).relative_to("/var/lib/olares")
        maker.run("mkdir", "-p", STICK)
        outside.unlink(missing_ok=True)
        ran = maker.cli("bundle", "create", "-o", FILE, ok=(), timeout=2700)
        if ran.code and "OLR-BND-020" in ran.out + ran.err:
            # The cache is not warm: what has to be built needs tools, as the failure says.
            maker.run("apt-get", "update", timeout=300)
            maker.run("apt-get", "install", "-y", "--no-install-recommends", *TOOLS, timeout=600)
            ran = maker.cli("bundle", "create", "-o", FILE, timeout=2700)
        assert ran.code == 0, str(ran)
        (record,) = ran.of("bundle")
        tell(f"bundle create: {ran.seconds:.0f} s, {record['files']} files, {record['size'] / 1e6:.0f} MB")
        yield Bundle(outside, record["fingerprint"], record)


@pytest.fixture(scope="module")
def taker(bundle: Bundle) -> Iterator[Inside]:
    """A machine with the stick in it, a cache of its own, and no way out."""
    with machine("taker") as taker:
        # What machines share would have everything already.
        for path in ("/var/cache/olares", "/var/lib/olares/built"):
            if taker.run("findmnt", path, ok=(0, 1)).code == 0:
                taker.run("umount", path)
        carried(bundle, taker)
        with cut_off(taker):
            yield taker


def carried(bundle: Bundle, taker: Inside) -> None:
    """Carry the bundle over, as a person carries a stick."""
    stick = Path(taker.machine.data) / "stick"
    stick.mkdir(exist_ok=True)
    (stick / "olares.tar.zst").unlink(missing_ok=True)
    (stick / "olares.tar.zst").hardlink_to(bundle.path)


@contextmanager
def cut_off(inside: Inside) -> Iterator[None]:
    """Nothing the machine sends goes further than this computer, and here only answers over ssh arrive."""
    address = inside.machine.address
    rules = (
        ("FORWARD", "-s", address, "-j", "DROP"),
        ("INPUT", "-s", address, "!", "-p", "tcp", "-j", "DROP"),
        ("INPUT", "-s", address, "-p", "tcp", "!", "--sport", "22", "-j", "DROP"),
    )
    made: list[tuple[str, ...]] = []
    try:
        for chain, *rule in rules:
            iptables("-I", chain, "1", *rule)
            made.append((chain, *rule))
        yield
    finally:
        for words in made:
            iptables("-D", *words)


def iptables(*words: str) -> str:
    argv = ("iptables", "-w", "20", *words)
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, check=True, timeout=60, capture_output=True, text=True)
    return done.stdout


def dropped(inside: Inside) -> int:
    """Packets of the machine that went no further."""
    lines = iptables("-nvxL", "FORWARD").splitlines()
    return sum(int(line.split()[0]) for line in lines if inside.machine.address in line and " DROP " in line)


def source(path: str = FILE) -> str:
    return f"bundle:{path}"


def untouched(taker: Inside) -> bool:
    """Whether nothing of an installation is there: no claim, no journal, no package, no trust."""
    traces = (
        "/etc/olares/installation",
        "/var/lib/olares/journal.sqlite",
        "/var/lib/olares/trust",
        "/usr/bin/containerd",
    )
    return not any(taker.exists_inside(path) for path in traces)


def failed(ran: Ran) -> str:
    """The id of the failure a command ended with."""
    found = [row for row in ran.records if row["type"] in ("failure", "result")]
    failure = found[-1].get("failure") or found[-1]
    return str(failure["id"])


def test_what_was_made_says_what_it_is_for(bundle: Bundle) -> None:
    contents = bundle.record["contents"]
    found = {name: contents[name] for name in ("edition", "engine", "family", "release", "architecture")}
    assert found == {
        "edition": "debian",
        "engine": "kubernetes",
        "family": "debian",
        "release": "bookworm",
        "architecture": "amd64",
    }
    assert {"containerd", "etcd", "kubernetes", "postgresql"} <= set(contents["components"])


def test_it_is_verified_without_being_installed(bundle: Bundle, taker: Inside, tell: Tell) -> None:
    ran = taker.cli("bundle", "verify", FILE, "--trust", bundle.fingerprint)
    (record,) = ran.of("bundle")
    tell(f"bundle verify: {ran.seconds:.1f} s for {record['size'] / 1e6:.0f} MB")
    assert record["state"] == "verified"
    assert untouched(taker)


def test_there_is_no_way_out(taker: Inside) -> None:
    sources = taker.shell("cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true")
    host = next(word for word in sources.split() if "://" in word).split("/")[2].partition(":")[0]
    assert taker.run("python3", "-c", ASK.format(host=host, port=80), ok=(), timeout=90).code == 1
    assert taker.run("python3", "-c", ASK.format(host="10.199.7.1", port=22), ok=(), timeout=30).code == 1


def test_a_stranger_s_bundle_is_refused_and_says_whose_it_is(bundle: Bundle, taker: Inside) -> None:
    ran = taker.install("--source", source(), ok=())
    assert (ran.code, failed(ran)) == (1, "OLR-BND-003")
    assert bundle.fingerprint in ran.out
    assert untouched(taker)


@pytest.mark.parametrize("where", [0.02, 0.5, 0.98])
def test_a_tampered_bundle_is_refused_and_nothing_changes(bundle: Bundle, taker: Inside, where: float) -> None:
    bad = f"{STICK}/tampered.tar.zst"
    at = int(bundle.path.stat().st_size * where)
    program = f"f = open('{bad}', 'r+b'); f.seek({at}); b = f.read(1)[0]; f.seek({at}); f.write(bytes([b ^ 1]))"
    taker.run("cp", FILE, bad)
    taker.run("python3", "-c", program)
    ran = taker.install("--source", source(bad), "--trust", bundle.fingerprint, ok=())
    taker.run("rm", bad)
    assert ran.code == 1
    assert failed(ran) in {"OLR-BND-002", "OLR-BND-005", "OLR-BND-009", "OLR-BND-012"}
    assert untouched(taker)


def test_everything_is_installed_from_it(bundle: Bundle, taker: Inside, tell: Tell) -> None:
    before = dropped(taker)
    ran = taker.install("--source", source(), "--trust", bundle.fingerprint, ok=())
    assert ran.code == 0, str(ran)
    kinds = {row["kind"] for row in ran.of("action-finished")}
    tell(f"install from a bundle with no way out: {ran.seconds:.0f} s; {dropped(taker) - before} packets went nowhere")
    assert "take-from-depot" in kinds
    assert not kinds & FETCHING
    assert set(taker.states().values()) == {"running"}


def test_no_tool_to_build_with_was_installed(taker: Inside) -> None:
    assert not any(taker.exists_inside(f"/usr/bin/{tool}") for tool in TOOLS)


def test_a_second_install_changes_nothing(taker: Inside) -> None:
    ran = taker.install()
    assert ran.result["changes"] == 0


def test_without_the_stick_everything_still_says_it_runs(taker: Inside) -> None:
    taker.run("mv", STICK, f"{STICK}-out")
    try:
        assert set(taker.states().values()) == {"running"}
    finally:
        taker.run("mv", f"{STICK}-out", STICK)


@pytest.fixture(scope="module")
def web(bundle: Bundle, taker: Inside) -> Iterator[WebServer]:
    """The bundle on a web server of this computer, the machine's only way out; it is empty again, without a stick."""
    taker.cli("uninstall", "--yes", "--all", timeout=600)
    taker.ship()
    taker.run("rm", "-rf", STICK)
    folder = bundle.path.parent / "served"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with opened(bundle.path) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
            tar.extractall(folder, filter="data")
        with WebServer(folder, f"{SUBNET}.1") as server:
            rule = ("INPUT", "-s", taker.machine.address, "-p", "tcp", "--dport", str(server.port), "-j", "ACCEPT")
            iptables("-I", rule[0], "1", *rule[1:])
            try:
                yield server
            finally:
                iptables("-D", *rule)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_stranger_s_bundle_on_a_web_server_is_refused_too(bundle: Bundle, taker: Inside, web: WebServer) -> None:
    ran = taker.install("--source", f"mirror:{web.url}", ok=())
    assert (ran.code, failed(ran)) == (1, "OLR-BND-003")
    assert bundle.fingerprint in ran.out
    assert untouched(taker)


def test_a_web_server_that_is_not_there_is_named_and_nothing_changes(
    bundle: Bundle, taker: Inside, web: WebServer
) -> None:
    # The packets of this one are dropped: the longest it can take.
    ran = taker.install("--source", f"mirror:http://{SUBNET}.1:9/olares", "--trust", bundle.fingerprint, ok=())
    assert (ran.code, failed(ran)) == (1, "OLR-BND-018")
    assert ran.seconds < 30
    assert untouched(taker)


def test_everything_is_installed_from_the_web_server(bundle: Bundle, taker: Inside, web: WebServer, tell: Tell) -> None:
    ran = taker.install("--source", f"mirror:{web.url}", "--trust", bundle.fingerprint, ok=())
    assert ran.code == 0, str(ran)
    kinds = {row["kind"] for row in ran.of("action-finished")}
    tell(f"install from a bundle on a web server: {ran.seconds:.0f} s; {len(web.asked)} questions")
    assert {"fetch-from-depot", "take-from-depot", "install-packages"} <= kinds
    assert not kinds & FETCHING
    assert set(taker.states().values()) == {"running"}


def test_only_what_was_wanted_was_asked_for(web: WebServer) -> None:
    files = {str(path.relative_to(web.folder)) for path in web.folder.rglob("*") if path.is_file()}
    # A root newer than the newest is asked for to learn that there is none.
    assert {path for path in set(web.asked) - files if not path.endswith(".root.json")} == set()
    packages = {path for path in files if path.endswith(".deb")}
    # The machine has most of what its packages depend on; a bundle is enough for a system that has nothing.
    assert packages & set(web.asked)
    assert packages - set(web.asked)


def test_a_second_install_from_the_web_server_changes_nothing(taker: Inside, web: WebServer) -> None:
    assert taker.install().result["changes"] == 0


def test_without_the_web_server_nothing_changes_either(taker: Inside, web: WebServer) -> None:
    asked = len(web.asked)
    web.statuses["metadata/timestamp.json"] = 503
    try:
        assert set(taker.states().values()) == {"running"}
        assert len(web.asked) == asked
        assert taker.planned() == {}
        assert taker.install().result["changes"] == 0
    finally:
        del web.statuses["metadata/timestamp.json"]
