"""What names a machine does not survive, what does not name it stays: with canaries in every place there is."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import msgspec
import pytest

from installers.core.host.archive import SCHEMA, Archive, encode
from installers.core.host.identity import Identity, read_identity
from installers.core.host.pseudonyms import PRIVATE, SAME, Pseudonyms
from installers.core.host.scrub import left_in, scrub_with, scrubber
from tests.fake.host import FakeProbe
from tests.fake.machine import FakeMachine

KEYS = [bytes([n]) * 32 for n in range(8)]
IDENTITY = Identity(
    hosts=("quokka-laptop.wombat.example.org", "quokka-laptop", "wombat.example.org"),
    users=("mallory", "Mallory Example"),
    networks=("Mallory's Net",),
    serials=("PF3CANARY9", "0123456789abcdef0123456789abcdef", "5000c500a1b2c3d4"),
    macs=("52:54:00:ab:cd:ef",),
)
UUID = "4c4c4544-0042-4a10-8052-b9c04f435131"
TEXTS = {
    "/proc/sys/kernel/hostname": "quokka-laptop\n",
    "/etc/hosts": "127.0.0.1 localhost\n192.168.17.5 quokka-laptop.wombat.example.org quokka-laptop # mallory's\n"
    "192.168.17.9 canarybox\n::1 ip6-localhost\n",
    "/etc/resolv.conf": "# mallory\nsearch wombat.example.org canarylan\nnameserver 192.168.17.1\n"
    "nameserver 2a02:8071:4242::1\n",
    "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "/sys/class/dmi/id/product_uuid": f"{UUID}\n",
    "/sys/class/dmi/id/product_serial": "PF3CANARY9\n",
    "/proc/cmdline": f"root=UUID={UUID} ip=192.168.17.5::192.168.17.1:255.255.255.0:quokka-laptop quiet\n",
    "/proc/net/route": "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
    "enx525400abcdef\t00000000\t0111A8C0\t0003\t0\t0\t0\t00000000\n"
    "enx525400abcdef\t0011A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n",
    "/proc/net/tcp": "  sl  local_address rem_address   st\n   0: 0511A8C0:192B 00000000:0000 0A 0 0 0 0 0 1\n",
    "/proc/net/tcp6": "  sl  local_address rem_address   st\n"
    "   0: 7180022A0000424200000000EFCDAB00:192B 00000000000000000000000000000000:0000 0A 0 0 0 0 0 1\n",
    "/proc/self/mountinfo": "1 0 8:1 / /home/mallory/x rw - nfs 192.168.17.9:/srv rw,data=ordered,addr=192.168.17.9\n",
    "/proc/net/if_inet6": "2a02807142420000000000000000abcd 02 40 00 80 enx525400abcdef\n",
    "/proc/sys/kernel/osrelease": "6.12.0-mallory\n",
    "/proc/version": "Linux version 6.12.0-mallory (mallory@quokka-laptop) #1\n",
    "/lib/modules/6.12.0-mallory/modules.dep": "kernel/net/x.ko:\n",
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nmallory:x:1000:1000:Mallory Example,,,:/home/mallory:/bin/bash\n",
    "/etc/group": "sudo:x:27:mallory,root\nmallory:x:1000:\n",
    "/etc/apt/sources.list": "deb [signed-by=/home/mallory/k.asc] "
    "http://mallory:hunter2canary@mirror.canarynet.lan/debian x main\n"
    "deb http://192.168.17.9/debian x main\n",
    "/etc/unknown": f"host quokka-laptop, mac 52:54:00:AB:CD:EF 52-54-00-ab-cd-ef, disk naa.5000c500a1b2c3d4 "
    f"{UUID.upper()} range 192.168.17.20-192.168.17.30 wifi Mallory's Net fe80::5054:ff:feab:cdef%eth0 "
    "[2a02:8071:4242::5]:443\n",
}
CANARIES = (
    *("quokka", "wombat", "mallory", "canary", "hunter2", "PF3C", "abcdef0123456789abcdef", "c500a1b2", "a1b2c3d4"),
    *("192.168.17.", "0511A8C0", "0011A8C0", "0111A8C0", "525400abcdef", "52:54:00", "52-54-00", "feab:cdef"),
    *("2a02", "7180022A", "EFCDAB00", UUID, UUID.partition("-")[2]),
)
"""None of these may stand anywhere, in whatever case."""


def archive(**fields: Any) -> Archive:
    return msgspec.convert({"schema": SCHEMA, "made_with": "a test", "source": "a test", **fields}, Archive)


def whole() -> Archive:
    link = {"type": "directory", "names": ["enx525400abcdef", "lo"]}
    addresses = (
        '[{"ifname": "enx525400abcdef", "address": "52:54:00:ab:cd:ef", "broadcast": "ff:ff:ff:ff:ff:ff", '
        '"addr_info": [{"family": "inet", "local": "192.168.17.5", "prefixlen": 20, "broadcast": "192.168.31.255", '
        '"scope": "global"}]}]'
    )
    return archive(
        paths={
            **TEXTS,
            "/sys/class/net": link,
            "/sys/class/net/enx525400abcdef/address": "52:54:00:ab:cd:ef\n",
            "/home/mallory": {"type": "directory", "names": ["of-mallory"]},
            "/var/lib/apt/lists/mirror.canarynet.lan_debian_dists_x_InRelease": "Origin: Debian\n",
            "/dev/disk/by-id": {"type": "directory", "names": ["wwn-0x5000c500a1b2c3d4"]},
            "/etc/blob": {"base64": "bWFsbG9yeSBjYW5hcnk="},
            "/etc/digested": {"digest": "ab" * 32},
        },
        queries=[
            {"name": "ip", "args": ["-j", "addr", "show"], "stdout": addresses},
            {
                "name": "iptables-save",
                "stdout": '-A INPUT -s 192.168.17.0/24 -m comment --comment "for mallory" -j ACCEPT\n',
            },
            {
                "name": "lsblk",
                "args": ["--json"],
                "stdout": '{"blockdevices": [{"serial": "S4CANARY1", "label": "mallory"}]}',
            },
            {"name": "ctr", "code": 1, "stderr": "cannot reach 192.168.17.9 as mallory\n"},
        ],
        wanted={"name": "quokka-laptop", "address": "192.168.17.5"},
        source="recorded on a Linux, kernel 6.12.0-mallory",
    )


@pytest.mark.parametrize("key", KEYS)
def test_no_canary_survives(key: bytes) -> None:
    scrub = scrubber(whole(), IDENTITY, key)
    text = encode(scrub_with(scrub, whole())).lower()
    assert [canary for canary in CANARIES if canary.lower() in text] == []
    assert left_in(text, scrub, IDENTITY) == {}


def test_what_is_left_is_counted_and_never_said() -> None:
    scrub = scrubber(whole(), IDENTITY, KEYS[0])
    found = left_in("Quokka-Laptop has 525400abcdef", scrub, IDENTITY)
    assert found == {"names and ids": 1, "hardware addresses": 1}


def test_the_same_thing_has_the_same_name_everywhere() -> None:
    scrub = scrubber(whole(), IDENTITY, KEYS[0])
    made = scrub_with(scrub, whole())
    host = str(made.paths["/proc/sys/kernel/hostname"]).strip()
    assert host in str(made.paths["/etc/hosts"])
    assert host in str(made.paths["/proc/cmdline"])
    assert made.wanted.name == host
    link = next(path.split("/")[4] for path in made.paths if path.endswith("/address"))
    assert link in str(made.paths["/proc/net/route"])
    assert link in made.queries[0].stdout
    assert link[3:] in made.queries[0].stdout.replace(":", "")
    address = made.wanted.address
    assert address in str(made.paths["/etc/hosts"])
    assert address in made.queries[0].stdout
    words = "".join(f"{int(octet):02X}" for octet in reversed(address.split(".")))
    assert words in str(made.paths["/proc/net/tcp"])
    user = next(path for path in made.paths if path.startswith("/home/")).rpartition("/")[2]
    assert made.paths["/proc/sys/kernel/osrelease"] == f"6.12.0-{user}\n"
    assert f"/lib/modules/6.12.0-{user}/modules.dep" in made.paths
    assert f"{user}:x:1000:1000::/home/{user}:/bin/bash" in str(made.paths["/etc/passwd"])
    assert f"sudo:x:27:{user},root" in str(made.paths["/etc/group"])


def test_two_archives_of_one_machine_share_no_name() -> None:
    one, two = (scrub_with(scrubber(whole(), IDENTITY, key), whole()) for key in KEYS[:2])
    for path in ("/etc/machine-id", "/proc/sys/kernel/hostname", "/sys/class/dmi/id/product_uuid"):
        assert one.paths[path] != two.paths[path]


def test_what_names_nobody_stays_as_it_is() -> None:
    """Versions that look like addresses, names of software, and a host that is called like a mount option."""
    plain = {
        "/var/lib/dpkg/status": "Package: wombat-tools\nStatus: install ok installed\nVersion: 1.2.3.4-5\n",
        "/etc/os-release": "ID=debian\nVERSION_ID=12\nBUILD_ID=10.1.2.3\n",
        "/proc/self/mountinfo": "1 0 8:1 / / rw - ext4 /dev/sda1 rw,data=ordered,errors=remount-ro\n",
        "/proc/modules": "mallory 16384 0 - Live 0x0000000000000000\n",
        "/etc/apt/sources.list": "deb http://deb.debian.org/debian bookworm main\n",
        "/etc/resolv.conf": "# generated by systemd-resolved, version 1.2.3.4-1\nnameserver 127.0.0.53\n",
        "/etc/hosts": "127.0.0.1\tlocalhost\n::1\tip6-localhost ip6-loopback\n",
        "/etc/machine-id": "uninitialized\n",
        "/sys/class/dmi/id/product_uuid": "03000200-0400-0500-0006-000700080009\n",
        "/proc/uptime": "12:34:56 1.0\n",
        "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": "x",
    }
    made = archive(paths=plain)
    who = Identity(hosts=("data", "debian"), users=("mallory", "ordered"))
    assert scrub_with(scrubber(made, who, KEYS[0]), made).paths == plain


def addresses(seed: int) -> list[int]:
    chance = random.Random(seed)  # noqa: S311 (a reproducible sample)
    blocks = [IPv4Network(net) for net in (*PRIVATE, *PRIVATE, "1.0.0.0/8", "80.0.0.0/5")]
    return [int(net[chance.randrange(net.num_addresses)]) for net in blocks for _ in range(10)]


def kind(text: str) -> object:
    """The block an address is of, every public one alike."""
    address = IPv4Address(text)
    public = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15")
    own = next((net for net in (*PRIVATE, *SAME) if net not in public and address in IPv4Network(net)), "public")
    return "public" if any(address in IPv4Network(net) for net in public) else own


@pytest.mark.parametrize("seed", range(8))
def test_addresses_stay_neighbours_and_what_they_are(seed: int) -> None:
    names = Pseudonyms(KEYS[seed], same=["10.233.64.0/18"])
    pods = IPv4Network("10.233.64.0/18")
    given = [str(IPv4Address(number)) for number in addresses(seed)]
    made = {text: names.v4(text) for text in given}
    kinds = {text: kind(text) for text in given}
    for text, other in made.items():
        assert kind(other) == kinds[text]
        inside = any(IPv4Address(text) in IPv4Network(net) for net in (*SAME, pods))
        assert (other == text) == inside
        assert (IPv4Address(other) in pods) == (IPv4Address(text) in pods)
        for third in given:
            if kinds[text] == kinds[third] != "public":
                assert shared(made[text], made[third]) == shared(text, third)


def shared(one: str, two: str) -> int:
    """How many bits two addresses have in common from the left."""
    return 32 - (int(IPv4Address(one)) ^ int(IPv4Address(two))).bit_length()


@pytest.mark.parametrize("seed", range(8))
def test_networks_around_a_range_that_stays_still_overlap_it(seed: int) -> None:
    names = Pseudonyms(KEYS[seed], same=["10.233.64.0/18"])
    pods = IPv4Network("10.233.64.0/18")
    for text in ("10.0.0.0/8", "10.233.0.0/16", "10.232.0.0/15", "10.234.0.0/16", "10.233.64.0/24", "10.128.0.0/9"):
        net = IPv4Network(text)
        made = IPv4Network(f"{names.v4(str(net.network_address), net.prefixlen)}/{net.prefixlen}")
        assert made.overlaps(pods) == net.overlaps(pods)


@pytest.mark.parametrize("key", KEYS)
def test_addresses_of_version_6_keep_their_kind(key: bytes) -> None:
    names = Pseudonyms(key)
    for text in ("::", "::1", "ff02::1", "fe80::1", "2001:db8::5"):
        assert names.v6(text) == text
    one, two, far = (names.v6(text) for text in ("2a02:8071:1:2::10", "2a02:8071:1:2::20", "2a02:8071:1:3::10"))
    assert IPv6Address(one) in IPv6Network("2001:db8::/32")
    assert IPv6Address(two) in IPv6Network(f"{one}/64", strict=False)
    assert IPv6Address(far) not in IPv6Network(f"{one}/64", strict=False)
    assert IPv6Address(far) in IPv6Network(f"{one}/48", strict=False)
    local = IPv6Address(names.v6("fd12:3456:789a:1:5054:ff:feab:cdef"))
    assert local in IPv6Network("fd00::/8")
    assert names.v6("fe80::5054:ff:feab:cdef").startswith("fe80::")
    assert "5054" not in names.v6("fe80::5054:ff:feab:cdef")
    assert names.v6("::ffff:10.1.2.3") == f"::ffff:{names.v4('10.1.2.3')}"


def test_hardware_addresses_keep_their_writing() -> None:
    names = Pseudonyms(KEYS[0])
    made = names.mac("52:54:00:ab:cd:ef")
    assert names.mac("525400abcdef") == made.replace(":", "")
    assert names.mac("52-54-00-AB-CD-EF") == made.replace(":", "-").upper()
    assert int(made[:2], 16) & 3 == 2
    for same in ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:80:c2:00:00:00"):
        assert names.mac(same) == same


def test_a_host_name_keeps_what_is_wrong_with_it() -> None:
    names = Pseudonyms(KEYS[0])
    assert names.host("My_Host").count("_") == 1
    assert names.host("My_Host") != names.host("My_Host").lower()
    assert names.host("localhost.localdomain") == "localhost.localdomain"
    assert len(names.host("a.very-long.name")) == len("a.very-long.name")


def test_a_machine_tells_who_it_is() -> None:
    machine = FakeMachine()
    for path, text in {
        "/proc/sys/kernel/hostname": "quokka.example.org\n",
        "/etc/resolv.conf": "search wombat.lan\n",
        "/etc/passwd": "daemon:x:1:1::/:/bin/false\nmallory:x:1000:1000:Mallory Example,,:/home/m:/bin/sh\n"
        "nobody:x:65534:65534::/:/bin/false\n",
        "/etc/group": "adm:x:4:\npilots:x:1001:\n",
        "/etc/NetworkManager/system-connections/Blue Net.nmconnection": "psk=secret",
        "/etc/NetworkManager/system-connections/Wired connection 1.nmconnection": "",
        "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "/sys/class/dmi/id/product_serial": "To be filled by O.E.M.\n",
        "/sys/class/dmi/id/chassis_serial": "CZC123\n",
        "/sys/block/sda/device/wwid": "naa.5000c500a1b2c3d4\n",
        "/sys/class/net/eth0/address": "52:54:00:AB:CD:EF\n",
    }.items():
        machine.tree.file(path, text)
    assert read_identity(FakeProbe(machine)) == Identity(
        hosts=("quokka.example.org", "wombat.lan", "quokka"),
        users=("Mallory Example", "mallory", "pilots"),
        networks=("Blue Net",),
        serials=("0123456789abcdef0123456789abcdef", "5000c500a1b2c3d4", "CZC123"),
        macs=("52:54:00:ab:cd:ef",),
    )
