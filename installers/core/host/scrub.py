"""An archive without what names the machine or its people: who reads it learns what is, not whose.

Pure but for the key. Where a text comes from decides how it is read: a version in dpkg's record is no
address, and a host called ``data`` does not change a mount's ``data=ordered``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Any

import msgspec

from installers.core.host.archive import Archive, Asked, Entry, brief, entry
from installers.core.host.identity import Identity, bare_id
from installers.core.host.pseudonyms import Pseudonyms, is_address

_MAC = re.compile(
    r"(?<![0-9A-Za-z])[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?:(?:\1[0-9A-Fa-f]{2}){14})?(?![0-9A-Za-z:-])"
)
_MAC_IN_LINK = re.compile(r"(?<![0-9A-Za-z])((?:en|wl|ww|ib)x)([0-9a-f]{12})(?![0-9A-Za-z])")
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Za-z])")
_V4 = re.compile(r"(?<![\w.+~])((?:\d{1,3}\.){3}\d{1,3})(?:/(\d{1,2})(?![\d.]))?(?![\w+~]|\.\d|-\d+(?![\d.]))")
_V6 = re.compile(r"(?<![\w:.])([0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)(?:/(\d{1,3}))?(?![\w:])")
_USERINFO = re.compile(r"(\w+://)[^\s/@]+@")
_RENAMED = re.compile(r"user-[0-9a-f]{6}|lost\+found")
_HOME = re.compile(r"(/(?:home|Users|media|run/media)/)([^/\s:,;\"'\\]+)")
_LOCAL_NAME = re.compile(
    r"(?<![\w.-])(?:[\w-]+\.)+(?:local|lan|internal|intranet|corp|home|private|localdomain|home\.arpa|ts\.net)(?![\w-])"
)
"""Names of hosts that only a private network knows."""

ORDINARY = frozenset(
    {
        *("boot", "cpu", "data", "debian", "default", "docker", "eth0", "fedora", "group", "home", "host", "http"),
        *("https", "kernel", "local", "localhost", "main", "memory", "mount", "node", "none", "ordered", "private"),
        *("proc", "raspberrypi", "root", "server", "shared", "slave", "source", "sources", "state", "stable", "status"),
        *("system", "systemd", "ubuntu", "user", "users", "volume", "olares"),
    }
)
"""Words that stand in paths, options and names of software: as a host's or a person's name they tell
nothing, and replacing them everywhere would change facts.
"""


class Scrubber:
    """Scrubs the parts of one archive. ``ordinary``: more words that are not taken for names in running text."""

    def __init__(self, names: Pseudonyms, identity: Identity, *, ordinary: Iterable[str] = ()) -> None:
        self.names = names
        plain = ORDINARY.union(ordinary)
        self._words: dict[str, Callable[[str], str]] = {}
        kinds = (
            (identity.hosts, names.host),
            (identity.users, names.user),
            (identity.networks, names.network),
            (identity.serials, self._serial),
        )
        for words, rename in kinds:
            for word in words:
                if len(word) > 3 and word.lower() not in plain and not _UUID.fullmatch(word):
                    self._words.setdefault(word.lower(), rename)
        known = "|".join(re.escape(word) for word in sorted(self._words, key=lambda one: (-len(one), one)))
        self._known = (
            re.compile(rf"(?:(?<![A-Za-z0-9])|(?<=\b0x))(?:{known})(?![A-Za-z0-9])", re.IGNORECASE) if known else None
        )
        self._users = {user.lower() for user in identity.users}

    @property
    def distinctive(self) -> tuple[str, ...]:
        """The known names that may stand nowhere afterwards."""
        return tuple(self._words)

    def _serial(self, text: str) -> str:
        return self.names.hexed(text) if re.fullmatch(r"[0-9A-Fa-f-]{16,}", text) else self.names.serial(text)

    def words(self, text: str) -> str:
        """The known names only: a text that is no running one."""
        if self._known is None:
            return text
        return self._known.sub(lambda match: self._words[match[0].lower()](match[0]), text)

    def text(self, text: str) -> str:
        """Running text: known names, then addresses and ids by how they look."""
        text = _USERINFO.sub(r"\1", text)
        # Each thing once: what has its new name already looks like nothing that follows here.
        text = _LOCAL_NAME.sub(lambda match: self.names.host(match[0]), text)
        text = self.words(text)
        text = _UUID.sub(lambda match: self.names.hexed(match[0]), text)
        text = _V6.sub(self._v6, text)
        text = _MAC.sub(lambda match: self.names.mac(match[0]), text)
        text = _MAC_IN_LINK.sub(lambda match: match[1] + self.names.mac(match[2]), text)
        text = _V4.sub(self._v4, text)
        return _HOME.sub(self._home, text)

    def _home(self, match: re.Match[str]) -> str:
        return match[0] if _RENAMED.fullmatch(match[2]) else match[1] + self.names.user(match[2])

    def _v4(self, match: re.Match[str]) -> str:
        if not isinstance(is_address(match[1]), IPv4Address) or _netmask(match[1]):
            return match[0]
        if match[2] is None or int(match[2]) > 32:
            return self.names.v4(match[1]) + match[0][len(match[1]) :]
        return f"{_prefixed(self.names.v4, match[1], int(match[2]), 32)}/{match[2]}"

    def _v6(self, match: re.Match[str]) -> str:
        if not isinstance(is_address(match[1]), IPv6Address):
            return match[0]
        if match[2] is None or int(match[2]) > 128:
            return self.names.v6(match[1]) + match[0][len(match[1]) :]
        return f"{_prefixed(self.names.v6, match[1], int(match[2]), 128)}/{match[2]}"

    def path(self, path: str) -> str:
        """A path or one name of it: people's, links' and ids'. What the firmware calls things stays."""
        if path.startswith("/sys/firmware/efi/"):
            return path
        if "_dists_" in path:
            # One of apt's lists: the archive's host comes first.
            folder, slash, name = path.rpartition("/")
            host, mark, rest = name.partition("_")
            path = folder + slash + self.text(host) + mark + rest
        text = self.words(path)
        text = _UUID.sub(lambda match: self.names.hexed(match[0]), text)
        text = _MAC.sub(lambda match: self.names.mac(match[0]), text)
        text = _MAC_IN_LINK.sub(lambda match: match[1] + self.names.mac(match[2]), text)
        return _HOME.sub(self._home, text)

    def json(self, text: str) -> str:
        """JSON, value by value; of a list each on a line of its own, so that two archives can be compared."""
        try:
            plain = json.loads(text)
        except ValueError:
            return self.text(text)
        made = self._value("", plain)
        if isinstance(made, list):
            return "[\n" + ",\n".join(map(json.dumps, made)) + "\n]\n"
        return json.dumps(made, indent=1) + "\n"

    def _value(self, key: str, value: Any) -> Any:
        if isinstance(value, dict):
            found = {name: self._value(name, inner) for name, inner in value.items()}
            if "prefixlen" in found and found.get("family") == "inet" and "broadcast" in found:
                net = IPv4Network(f"{found['local']}/{found['prefixlen']}", strict=False)
                found["broadcast"] = str(net.broadcast_address)
            if isinstance(value.get("addr"), str) and isinstance(value.get("len"), int) and is_address(value["addr"]):
                found["addr"] = self.text(f"{value['addr']}/{value['len']}").partition("/")[0]
            return found
        if isinstance(value, list):
            return [self._value(key, inner) for inner in value]
        if isinstance(value, str) and key in IDS and value:
            return self._serial(value)
        return self.text(value) if isinstance(value, str) else value

    def sources(self, text: str) -> str:
        """Package sources: only where they lead, since the rest is names and versions of software."""
        return self.path(re.sub(r"\w+:/{1,2}[^\s\]]+", lambda match: self.text(match[0]), text))

    def name(self, text: str) -> str:
        """A file that holds a host's name and nothing else."""
        bare = text.strip()
        return text.replace(bare, self.names.host(bare)) if bare and bare != "(none)" else text

    def id(self, text: str) -> str:
        bare = bare_id(text.strip(" \t\r\n\0"))
        return text.replace(bare, self._serial(bare)) if any(map(str.isdigit, bare)) else text

    def hosts(self, text: str) -> str:
        """hosts(5): every name of another host, and no comment."""
        rows = (line.partition("#")[0].split() for line in text.splitlines())
        return "".join(f"{self.text(row[0])}\t{' '.join(map(self._other, row[1:]))}\n" for row in rows if row)

    def _other(self, name: str) -> str:
        return name if _EVERYWHERE.match(name) else self.names.host(name)

    def resolver(self, text: str) -> str:
        """resolv.conf(5): servers, and the names of the networks around."""
        return "".join(self._resolver(line) for line in text.splitlines(keepends=True))

    def _resolver(self, line: str) -> str:
        found = re.match(r"(\s*(?:search|domain)\s+)(.*?)(\s*)$", line, re.DOTALL)
        if found is None:
            return self.text(line)
        return found[1] + " ".join(map(self.names.host, found[2].split())) + found[3]

    def accounts(self, text: str) -> str:
        """passwd and group: people lose name, comment and home; the system's own accounts stay."""
        return "".join(f"{self._account(line)}\n" for line in text.splitlines())

    def _account(self, line: str) -> str:
        fields = line.split(":")
        for place in (0, len(fields) - 1 if len(fields) == 4 else 0):
            fields[place] = ",".join(
                self.names.user(word) if word.lower() in self._users else word for word in fields[place].split(",")
            )
        if len(fields) == 7:
            fields[4] = ""
            fields[5] = _HOME.sub(self._home, fields[5])
        return ":".join(fields)

    def routes(self, text: str) -> str:
        """/proc/net/route: link, destination, gateway, and the mask in the eighth column."""
        head, *rows = text.splitlines(keepends=True) or [""]
        return head + "".join(map(self._route, rows))

    def _route(self, row: str) -> str:
        fields = row.split("\t")
        if len(fields) < 8:
            return self.text(row)
        length = int(fields[7], 16).bit_count()
        fields[0] = self.path(fields[0])
        fields[1] = _word(self.names.v4(_dotted(fields[1]), length))
        fields[2] = _word(self.names.v4(_dotted(fields[2])))
        return "\t".join(fields)

    def sockets(self, text: str) -> str:
        """/proc/net/tcp and tcp6: addresses before a port, as words in the machine's byte order."""
        return re.sub(r"(?<=\s)([0-9A-F]{32}|[0-9A-F]{8})(?=:[0-9A-F]{4}\s)", self._socket, text)

    def _socket(self, match: re.Match[str]) -> str:
        raw = bytes.fromhex(match[0])
        swapped = b"".join(raw[place : place + 4][::-1] for place in range(0, len(raw), 4))
        if len(raw) == 4:
            made = IPv4Address(self.names.v4(str(IPv4Address(swapped)))).packed
        else:
            made = IPv6Address(self.names.v6(str(IPv6Address(swapped)))).packed
        return b"".join(made[place : place + 4][::-1] for place in range(0, len(made), 4)).hex().upper()

    def plain_v6(self, text: str) -> str:
        """if_inet6 and ipv6_route: addresses as 32 digits."""
        return re.sub(r"\b[0-9a-f]{32}\b", self._digits, self.path(text))

    def _digits(self, match: re.Match[str]) -> str:
        return IPv6Address(self.names.v6(str(IPv6Address(bytes.fromhex(match[0]))))).packed.hex()

    def mounts(self, text: str) -> str:
        """mountinfo: places and sources; of options only the values after ``=``."""
        return "".join(f"{self._mount(line)}\n" for line in text.splitlines())

    def _mount(self, line: str) -> str:
        before, separator, after = line.partition(" - ")
        first, rest = before.split(" "), after.split(" ")
        if not separator or len(first) < 6 or len(rest) < 3:
            return self.text(line)
        first[3], first[4] = self.path(first[3]), self.path(first[4])
        rest[1] = self.text(rest[1])
        options = (option.partition("=") for option in rest[2].split(","))
        rest[2] = ",".join(f"{name}{sign}{self.text(value)}" for name, sign, value in options)
        return " ".join(first) + separator + " ".join(rest)


IDS = frozenset({"serial", "wwn", "uuid", "partuuid", "ptuuid", "label", "wwid"})
"""Fields of JSON that hold an id or a name somebody gave."""


def _prefixed(rename: Callable[[str, int], str], address: str, length: int, bits: int) -> str:
    """A network by its own length, an address on one by all of it."""
    number = int(IPv4Address(address) if bits == 32 else IPv6Address(address))
    return rename(address, length if number & (1 << bits - length) - 1 == 0 else bits)


def _dotted(word: str) -> str:
    """An address from a little-endian word in hex."""
    return str(IPv4Address(bytes.fromhex(word)[::-1]))


def _word(address: str) -> str:
    return IPv4Address(address).packed[::-1].hex().upper()


_EVERYWHERE = re.compile(r"(localhost|ip6-|broadcasthost)")
"""Names that /etc/hosts has on every system."""


def _netmask(text: str) -> bool:
    number = int(IPv4Address(text))
    return number >= 0xFF000000 and "01" not in f"{number:032b}"


def _same(self: Scrubber, text: str) -> str:
    return text


Way = Callable[[Scrubber, str], str]
FILES: tuple[tuple[str, Way], ...] = (
    *((path, Scrubber.name) for path in ("/proc/sys/kernel/hostname", "/etc/hostname", "/proc/sys/kernel/domainname")),
    *((path, Scrubber.id) for path in ("/etc/machine-id", "/var/lib/dbus/machine-id", "*/random/boot_id")),
    *((f"/sys/class/dmi/id/{name}", Scrubber.id) for name in ("*_serial", "product_uuid", "*_asset_tag")),
    *((path, Scrubber.id) for path in ("*/serial-number", "/sys/block/*serial", "/sys/block/*/wwid", "*/device/cid")),
    *((path, Scrubber.accounts) for path in ("/etc/passwd", "/etc/group")),
    ("/etc/hosts", Scrubber.hosts),
    *((path, Scrubber.resolver) for path in ("/etc/resolv.conf", "/run/*resolv.conf", "/run/*stub-resolv.conf")),
    ("/proc/net/route", Scrubber.routes),
    *((path, Scrubber.sockets) for path in ("/proc/net/tcp*", "/proc/net/udp*")),
    *((path, Scrubber.mounts) for path in ("/proc/*/mountinfo",)),
    *((path, Scrubber.sources) for path in ("/etc/apt/*", "/etc/yum.repos.d/*", "/etc/zypp/*", "/etc/pacman*")),
    *((path, _same) for path in ("/etc/os-release", "/usr/lib/os-release", "/var/lib/dpkg/*", "/var/lib/apt/lists/*")),
    *((path, _same) for path in ("/lib/modules/*", "/usr/lib/modules/*", "/proc/modules", "/proc/filesystems")),
    *((path, _same) for path in ("/proc/stat", "/proc/uptime", "/proc/meminfo", "/proc/cpuinfo", "/proc/locks")),
    *((path, _same) for path in ("/proc/*/status", "/sys/fs/cgroup/*", "/sys/module/*/version")),
    *((path, Scrubber.words) for path in ("/proc/sys/kernel/osrelease", "/proc/sys/kernel/version")),
    *((path, Scrubber.plain_v6) for path in ("/proc/net/if_inet6", "/proc/net/ipv6_route")),
)
"""How a file's text is read, by the first glob that fits; running text where none does."""

QUERIES: Mapping[str, Way] = {
    **dict.fromkeys(("ip", "lsblk", "findmnt", "nft"), Scrubber.json),
    **dict.fromkeys(("dpkg-query", "dpkg", "apt-cache", "apt-get", "apt-lists"), Scrubber.sources),
    **dict.fromkeys(("containerd", "runc", "kubeadm", "kubelet", "etcd", "systemd-detect-virt"), _same),
    "getent": Scrubber.accounts,
}
"""How a program's output is read; running text where none is named."""


def of_known_kind(path: str) -> bool:
    """Whether a file is the kernel's, or one of those whose names we know how to take out."""
    return path.startswith(("/proc/", "/sys/")) or any(fnmatchcase(path, glob) for glob, _ in FILES)


def way_for(path: str) -> Way:
    return next((way for glob, way in FILES if fnmatchcase(path, glob)), Scrubber.text)


def scrubber(archive: Archive, identity: Identity, key: bytes) -> Scrubber:
    """What scrubs one archive: its software's words are no names, its site's ranges no addresses."""
    ranges = [net for net in (archive.wanted.pods, archive.wanted.services) if net]
    return Scrubber(Pseudonyms(key, same=ranges), identity, ordinary=_software(archive))


def _software(archive: Archive) -> frozenset[str]:
    """Every word in texts that are about software only, and the same on many machines."""
    entries = ((path, entry(found)) for path, found in archive.paths.items() if path.startswith(SOFTWARE))
    texts = ((found.text if found is not None else None) or "" for _, found in entries)
    return frozenset(word.lower() for text in texts for word in re.findall(r"[A-Za-z][\w-]*", text))


SOFTWARE = (
    *("/etc/os-release", "/usr/lib/os-release", "/var/lib/dpkg/", "/var/lib/apt/lists/", "/lib/modules/"),
    *("/usr/lib/modules/", "/proc/modules", "/proc/filesystems"),
)
"""Where only software is named. The running kernel's own name is not: who builds one may put a name into it."""


def scrub_with(scrubber: Scrubber, archive: Archive) -> Archive:
    paths = {scrubber.path(path): brief(_entry(scrubber, path, entry(it))) for path, it in archive.paths.items()}
    wanted = msgspec.structs.replace(
        archive.wanted,
        name=scrubber.names.host(archive.wanted.name) if archive.wanted.name else "",
        address=scrubber.text(archive.wanted.address),
        state=scrubber.path(archive.wanted.state),
        cache=scrubber.path(archive.wanted.cache),
    )
    return msgspec.structs.replace(
        archive,
        source=scrubber.words(archive.source),
        paths=paths,
        wanted=wanted,
        whole=[scrubber.path(tree) for tree in archive.whole],
        free={scrubber.path(path): free for path, free in archive.free.items()},
        queries=[_answer(scrubber, row) for row in archive.queries],
        scrubbed={kind: len(met) for kind, met in scrubber.names.met.items()},
    )


def _entry(scrubber: Scrubber, path: str, found: Entry | None) -> Entry | None:
    if found is None:
        return None
    text = found.text
    return msgspec.structs.replace(
        found,
        text=None if text is None else way_for(path)(scrubber, text),
        # Nothing is known of other bytes, so they do not go along; a fact that needs them will say so.
        base64=found.base64 if path.startswith(BYTES) else None,
        digest="" if text is not None or not path.startswith(PROGRAMS) else found.digest,
        names=None if found.names is None else sorted(map(scrubber.path, found.names)),
        to=None if found.to is None else scrubber.path(found.to),
    )


PROGRAMS = ("/usr/", "/opt/", "/lib", "/bin/", "/sbin/", "/boot/")
"""Where files are that everybody has: their digests tell nothing. That of a short file elsewhere can be guessed."""


BYTES = ("/proc/self/auxv", "/sys/firmware/efi/efivars/SecureBoot-", "/proc/device-tree/", "/sys/firmware/devicetree/")
"""What is no text and names nobody."""


def _answer(scrubber: Scrubber, row: Asked) -> Asked:
    return msgspec.structs.replace(
        row,
        args=[scrubber.path(word) for word in row.args],
        stdout=QUERIES.get(row.name, Scrubber.text)(scrubber, row.stdout),
        stderr=scrubber.text(row.stderr),
        fields={name: scrubber.text(value) for name, value in row.fields.items()},
    )


def left_in(text: str, scrubber: Scrubber, identity: Identity) -> Mapping[str, int]:
    """What still names the machine in a text, counted by kind: never the things themselves."""
    low = text.lower()
    words = [word for word in scrubber.distinctive if _standing(word).search(low)]
    macs = [
        mac for mac in identity.macs if mac.strip("0:f") and any(form in low for form in (mac, mac.replace(":", "")))
    ]
    found = {"names and ids": len(words), "hardware addresses": len(macs)}
    return {kind: count for kind, count in found.items() if count}


def _standing(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])")
