"""A host recorded and answered from the recording: the same answers, and nothing made up."""

from __future__ import annotations

import errno
import os
import random
import string
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from installers.core.errors import Failure
from installers.core.facts.firewalld import parse_zones
from installers.core.host.archive import SCHEMA, Archive, Asked, Entry, decode, encode
from installers.core.host.local import LocalProbe
from installers.core.host.recording import RecordingProbe
from installers.core.host.replay import ReplayProbe
from installers.core.host.trimming import answer_kept, trimmed
from installers.core.model import Kind, Output, Probe, Query
from tests.fake.debian import debian
from tests.fake.host import FakeProbe

MAPS = "/proc/1/environ", "/proc/4711/environ", "/proc/4711/cmdline", "/proc/self/environ"


def archive(**fields: object) -> Archive:
    return msgspec.convert({"schema": SCHEMA, "source": "a test", "made_with": "a test", **fields}, Archive)


def recorded(recorder: RecordingProbe) -> ReplayProbe:
    """A probe on the recording, written out and read again."""
    made = archive()
    made.paths, made.free = trimmed(recorder.entries()), recorder.free
    made.queries = list(recorder.asked.values())
    return ReplayProbe(decode(encode(made), path="a test"))


@pytest.fixture
def root(tmp_path: Path) -> str:
    for folder in ("etc", "proc/self", "proc/1", "proc/4711", "usr/lib", "empty"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text("ID=debian\n")
    (tmp_path / "etc/os-release").symlink_to("../usr/lib/os-release")
    (tmp_path / "etc/tabs").write_text("a\tb  \n  c\n\n")
    (tmp_path / "etc/bytes").write_bytes(b"\xff\x00\xfe")
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "etc/closed").write_text("x")
    (tmp_path / "etc/closed").chmod(0o640)
    return str(tmp_path)


PATHS = ("/", "/etc", "/etc/os-release", "/etc/tabs", "/etc/bytes", "/etc/closed", "/empty", "/lib", "/none", "/none/x")


def looked(probe: Probe, path: str) -> dict[str, object]:
    """Everything a probe says of a path, errors by their number."""
    found: dict[str, object] = {}
    for operation in (probe.read, probe.listdir, probe.readlink, probe.digest):
        try:
            found[operation.__name__] = operation(path)
        except OSError as error:
            found[operation.__name__] = errno.errorcode[error.errno or 0]
    stat = probe.stat(path)
    found["stat"] = stat and (stat.mode, stat.uid, stat.gid, stat.device, stat.size if stat.is_file else 0)
    return found


@pytest.mark.parametrize("path", PATHS)
def test_a_recording_answers_as_the_host_did(root: str, path: str) -> None:
    recorder = RecordingProbe(LocalProbe(root))
    live = looked(recorder, path)
    assert looked(LocalProbe(root), path) == live
    replay = recorded(recorder)
    again = looked(replay, path)
    if path == "/lib":
        # A link's goal is a path of the host; below another root the real one leads elsewhere.
        live["digest"] = again["digest"]
    assert again == live
    assert replay.missed == []


def test_content_found_through_links_of_directories_is_the_same() -> None:
    """As composed by hand: links above a path, links to files, whole trees."""
    probe = ReplayProbe(
        archive(
            paths={
                "/lib": {"type": "link", "to": "usr/lib"},
                "/usr/lib/os-release": "ID=fedora\n",
                "/etc/os-release": {"type": "link", "to": "../usr/lib/os-release"},
                "/run/a/b": "x",
                "/loop": {"type": "link", "to": "loop"},
            },
            whole=["/run"],
        )
    )
    assert probe.read("/lib/os-release") == probe.read("/etc/os-release") == b"ID=fedora\n"
    link = probe.stat("/etc/os-release")
    assert link is not None
    assert link.is_link
    assert probe.listdir("/run") == ("a",)
    assert probe.listdir("/run/a") == ("b",)
    assert probe.stat("/run/none") is None
    assert probe.listdir("/run/none") == ()
    with pytest.raises(OSError, match="symbolic links"):
        probe.read("/loop")
    assert probe.missed == []


def test_what_is_not_recorded_is_never_absent() -> None:
    """Not even where a fact takes every OSError for "it is gone"."""
    probe = ReplayProbe(archive(paths={"/etc/hostname": {"type": "file"}, "/usr": {"type": "directory"}}))
    asked: dict[str, Callable[[], object]] = {
        "stat of /etc/passwd": lambda: probe.stat("/etc/passwd"),
        "read of /etc/passwd": lambda: probe.read("/etc/passwd"),
        "content of /etc/hostname": lambda: probe.read("/etc/hostname"),
        "digest of /etc/hostname": lambda: probe.digest("/etc/hostname"),
        "names in /etc": lambda: probe.listdir("/etc"),
        "names in /usr": lambda: probe.listdir("/usr"),
        "free space at /var": lambda: probe.free_bytes("/var"),
        "answer of ip -j link show": lambda: probe.query(Query("ip", ("-j", "link", "show"))),
        "objects of kind Pod": lambda: probe.objects(Kind("v1", "Pod", "pods")),
    }
    for what, ask in asked.items():
        with pytest.raises(Failure, match="OLR-REC-001") as caught:
            ask()
        assert caught.value.fields == {"what": what}
    assert probe.missed == list(asked)


def test_names_that_were_left_out_are_not_absent() -> None:
    whole, part = (
        ReplayProbe(archive(paths={"/d": {"type": "directory", "names": ["a"], "partial": partial}}))
        for partial in (False, True)
    )
    assert whole.stat("/d/b") is None
    with pytest.raises(Failure, match="OLR-REC-001"):
        part.stat("/d/b")


def test_environments_and_command_lines_do_not_get_in(root: str) -> None:
    for path in MAPS:
        Path(root + path).write_bytes(b"PATH=/bin\0container=lxc\0TOKEN=canary\0")
    recorder = RecordingProbe(LocalProbe(root))
    for path in MAPS:
        assert b"canary" in recorder.read(path)
    made = archive()
    made.paths = trimmed(recorder.entries())
    assert "canary" not in encode(made)
    replay = recorded(recorder)
    assert replay.read("/proc/1/environ") == b"container=lxc\0"
    with pytest.raises(Failure, match="OLR-REC-001"):
        replay.read("/proc/4711/environ")


def test_answers_and_failures_of_programs(root: str) -> None:
    machine = debian()
    machine.missing.add("ip6tables-save")
    machine.answers[Query("ip", ("-j", "route", "show"))] = Output(1, "", "RTNETLINK answers: no\n")
    recorder = RecordingProbe(FakeProbe(machine))
    assert recorder.query(Query("ip", ("-j", "route", "show"))).code == 1
    with pytest.raises(Failure, match="OLR-HOST-003"):
        recorder.query(Query("ip6tables-save"))
    replay = recorded(recorder)
    assert replay.query(Query("ip", ("-j", "route", "show"))) == Output(1, "", "RTNETLINK answers: no\n")
    with pytest.raises(Failure, match="OLR-HOST-003") as caught:
        replay.query(Query("ip6tables-save"))
    assert caught.value.fields == {"program": "ip6tables-save"}


def test_room_is_that_of_the_file_system() -> None:
    mountinfo = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /var rw - ext4 /dev/sda2 rw\n"
    probe = ReplayProbe(archive(paths={"/proc/self/mountinfo": mountinfo}, free={"/": 7, "/var": 5}))
    assert (probe.free_bytes("/var/lib/olares"), probe.free_bytes("/usr")) == (5, 7)
    below = probe.stat("/proc/self/mountinfo")
    assert below is not None
    assert below.device == os.makedev(8, 1)


def test_of_processes_only_the_owners_of_ports_are_kept() -> None:
    table = "  sl  local_address rem_address   st\n   0: 00000000:192B 00000000:0000 0A 0 0 0 0 0 4711\n"
    entries: dict[str, Entry | None] = {
        "/proc": Entry(type="directory", names=["1", "22", "33", "cpuinfo"]),
        "/proc/net/tcp": Entry(text=table + "   1: 0100007F:0035 0200A8C0:A000 01 0 0 0 0 0 4712\n"),
        "/proc/22": Entry(type="directory"),
        "/proc/22/fd": Entry(type="directory", names=["3", "4"]),
        "/proc/22/fd/3": Entry(type="link", to="/home/alice/diary.txt"),
        "/proc/22/fd/4": Entry(type="link", to="socket:[4711]"),
        "/proc/33/fd": Entry(type="directory", errors={"listdir": "EACCES"}),
        "/proc/1/fd": Entry(type="directory", names=["0"]),
        "/proc/1/fd/0": Entry(type="link", to="socket:[4712]"),
    }
    kept = trimmed(entries)
    assert kept["/proc"] == Entry(type="directory", names=["22"], partial=True)
    assert kept["/proc/22/fd"] == Entry(type="directory", names=["4"], partial=True)
    assert {path for path in kept if path.startswith("/proc/")} == {"/proc/net/tcp", "/proc/22/fd", "/proc/22/fd/4"}
    assert "4712" not in str(kept["/proc/net/tcp"])


def test_what_people_mount_for_themselves_is_not_kept() -> None:
    line = "9 1 0:9 / {} rw - {} {} rw\n"
    kept = trimmed(
        {
            "/proc/self/mountinfo": Entry(
                text=line.format("/home/alice/nas", "cifs", "//server/secret")
                + line.format("/mnt/stick", "vfat", "/dev/sdc1")
                + line.format("/mnt/c", "9p", "C:\\134")
                + line.format("/home", "ext4", "/dev/sdb1")
            )
        }
    )
    text = str(kept["/proc/self/mountinfo"])
    assert [place for place in ("nas", "secret", "stick", "/mnt/c", "/dev/sdb1") if place in text] == [
        "/mnt/c",
        "/dev/sdb1",
    ]


def test_an_answer_about_links_loses_what_no_fact_reads() -> None:
    row = Asked(name="ip", args=["-j", "addr", "show"], stdout='[{"ifname": "lo", "qdisc": "noqueue", "ifalias": "x"}]')
    assert answer_kept(row).stdout == '[\n{"ifname": "lo"}\n]\n'
    odd = Asked(name="ip", args=["-j", "addr", "show"], stdout="no json")
    assert answer_kept(odd) == odd


@pytest.mark.parametrize("seed", range(20))
def test_any_text_is_read_back_as_it_was_written(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (a reproducible text)
    alphabet = string.printable + "äß€\0\x1b\x85\u2028\ufeff😀 \n\n\t"
    paths = {f"/{n}": "".join(chance.choices(alphabet, k=chance.randrange(60))) for n in range(20)}
    made = archive(paths=paths, queries=[{"name": "ip", "stdout": text} for text in paths.values()][:1])
    text = encode(made)
    assert decode(text, path="a test") == made
    assert encode(decode(text, path="a test")) == text


def test_lines_with_tabs_and_blanks_stay_lines() -> None:
    text = encode(archive(paths={"/etc/fstab": "a\tb  \nc\n"}))
    assert "  /etc/fstab: |\n    a\tb  \n    c\n" in text


@pytest.mark.parametrize(
    ("text", "id", "says"),
    [
        ("- a list\n", "OLR-REC-002", "object"),
        ("schema: [\n", "OLR-REC-002", "while parsing"),
        ("schema: 1\nsource: x\nmade_with: x\npaths: {/a: {typ: file}}\n", "OLR-REC-002", "typ"),
        ("schema: 1\nsource: x\nmade_with: x\npaths: {/a: {base64: '*'}}\n", "OLR-REC-002", "base64"),
        ("schema: 1\nsource: x\nmade_with: x\npaths: {/a: {mode: rw}}\n", "OLR-REC-002", "invalid literal"),
        ("schema: 1\nsource: x\nmade_with: x\npaths: {/a: {type: fifo}}\n", "OLR-REC-002", "fifo"),
        ("schema: 1\nsource: x\nmade_with: x\npaths: {/a: {errors: {read: EWHAT}}}\n", "OLR-REC-002", "EWHAT"),
        ("schema: 2\nsource: x\nnew: thing\n", "OLR-REC-003", ""),
    ],
)
def test_what_is_no_recording_is_refused(text: str, id: str, says: str) -> None:
    with pytest.raises(Failure) as caught:
        decode(text, path="some.yaml")
    assert caught.value.id == id
    assert caught.value.fields["file"] == "some.yaml"
    assert says.lower() in str(caught.value.fields.get("reason", "")).lower()


def test_of_a_firewall_what_a_fact_reads_is_kept_and_no_comment() -> None:
    rule = '\trule family="ipv4" source address="10.1.0.0/16" destination NOT address="10.1.0.0/16" masquerade'
    theirs = '  services: mallory\n  rich rules: \n\trule priority="1" log prefix="mallory"\n'
    text = (
        f"home (active)\n  target: default\n  interfaces: eth0 \n  sources: \n  ports: 22/tcp\n{theirs}{rule}\n\ndrop\n"
    )
    kept = answer_kept(Asked(name="firewall-cmd", args=["--list-all-zones"], stdout=text)).stdout
    assert kept == f"home (active)\n  interfaces: eth0\n  sources:\n  ports: 22/tcp\n{rule}\n\ndrop\n"
    assert parse_zones(kept) == parse_zones(text) | {"home": replace(parse_zones(text)["home"], rich=(rule.strip(),))}
    added = Asked(name="ufw", args=["show", "added"], stdout="ufw allow 22/tcp comment 'mallory'\nufw deny 1/tcp\n")
    assert answer_kept(added).stdout == "ufw allow 22/tcp\nufw deny 1/tcp\n"
