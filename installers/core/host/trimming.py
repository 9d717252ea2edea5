"""What of a recorded host is kept: of large and talkative files the lines that facts read, nothing else.

Pure. A test loads every fact before and after trimming, so a rule that cuts too deep is noticed.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from installers.core.host.archive import Asked, Entry, brief
from installers.core.host.mounts import mount_devices

Entries = Mapping[str, Entry | None]


def trimmed(entries: Entries) -> dict[str, Entry | str | None]:
    """The entries worth keeping, each as short as it can be said."""
    found = {path: entry and _copy(entry) for path, entry in entries.items()}
    for path, entry in found.items():
        if entry is None:
            continue
        if entry.text is not None:
            entry.text = text_kept(path, entry.text)
        if path == "/proc/self/auxv" and entry.content is not None:
            entry.text, entry.base64 = None, base64.b64encode(_page_size(entry.content)).decode()
        _fewer_names(path, entry)
    _only_holders(found)
    _only_known_locks(found)
    _devices_told_by_mounts(found)
    bare = {path: entry for path, entry in found.items() if not _goes_without_saying(path, found)}
    return {path: brief(entry) for path, entry in bare.items()}


NAMES = {
    "/etc/apt/sources.list.d": re.compile(r"\.(list|sources)$"),
    "/var/lib/apt/lists": re.compile(r"_(In)?Release$"),
}
"""A directory, and which of its names are kept."""


def _copy(entry: Entry) -> Entry:
    return Entry(**{name: getattr(entry, name) for name in entry.__struct_fields__})


def text_kept(path: str, text: str) -> str:
    """What is kept of a file's text."""
    for glob, keep in RULES:
        if fnmatchcase(path, glob):
            return keep(text)
    return text


def _fewer_names(path: str, entry: Entry) -> None:
    kept = NAMES.get(path)
    if kept is not None and entry.names is not None:
        entry.names, entry.partial = [name for name in entry.names if kept.search(name)], True


def _lines(pattern: str) -> Callable[[str], str]:
    wanted = re.compile(pattern)
    return lambda text: "".join(line for line in text.splitlines(keepends=True) if wanted.match(line))


def _status(text: str) -> str:
    """dpkg's record: of each package its name, state and version; of dpkg itself the architecture too."""
    wanted = ("Package: ", "Status: ", "Version: ")
    kept = []
    for stanza in text.split("\n\n"):
        own = ("Architecture: ",) if stanza.startswith("Package: dpkg\n") else ()
        kept.append("".join(f"{line}\n" for line in stanza.splitlines() if line.startswith((*wanted, *own))))
    return "\n".join(stanza for stanza in kept if stanza)


def _sources(text: str) -> str:
    """sources.list without comments: they may say anything."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("#"))


LISTENS = "0A"


def _listening(text: str) -> str:
    """/proc/net/tcp: the head and sockets that listen. With whom this machine speaks concerns nobody."""
    head, *rows = text.splitlines() or [""]
    return "".join(f"{row.rstrip()}\n" for row in (head, *rows) if row is head or row.split()[3:4] == [LISTENS])


def _bare(text: str) -> str:
    """A table without the blanks that fill its lines."""
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _one_processor(text: str) -> str:
    """/proc/cpuinfo: what the first processor can do; a Raspberry Pi writes its serial number in here as well."""
    first = text.partition("\n\n")[0]
    wanted = re.compile(r"(vendor_id|model name|flags|Features|CPU (architecture|implementer|part))\s*:")
    return "".join(f"{line}\n" for line in first.splitlines() if wanted.match(line))


AT_PAGESZ = 6


def _page_size(content: bytes) -> bytes:
    """/proc/self/auxv: the page size alone, the rest says where in memory a process lies."""
    pair = "<II" if len(content) % 16 else "<QQ"
    rows = [row for row in struct.iter_unpack(pair, content) if row[0] in (0, AT_PAGESZ)]
    return b"".join(struct.pack(pair, *row) for row in rows)


OWN_MOUNTS = ("/mnt", "/media", "/run/media", "/run/user", "/home")
"""Where people mount their own things; what a fact asks of these is whether WSL put Windows there."""
OF_WINDOWS = ("9p", "drvfs", "virtiofs")


def _mounts(text: str) -> str:
    """mountinfo without what people mounted for themselves: names of shares, servers and sticks."""
    kept = []
    for line in text.splitlines(keepends=True):
        place, type = line.split(" ")[4], line.partition(" - ")[2].split(" ")[0]
        theirs = any(place.startswith(f"{above}/") for above in OWN_MOUNTS)
        if not theirs or type in OF_WINDOWS or place.startswith("/mnt/wsl"):
            kept.append(line)
    return "".join(kept)


MODULES = re.compile(
    r"kernel/(net|fs|zfs|extra)/|.*/(veth|tun|vxlan|wireguard|dummy|macvlan|ipvlan|bonding|nbd|rbd|loop|dm[-_]\w+"
    r"|nouveau|nvidia[-_\w]*|amdgpu|i915|xe|vfio[-_\w]*|binfmt_misc|iscsi_tcp|zram|kvm[-_\w]*)\.ko|updates/|extra/"
)


def _modules(text: str) -> str:
    """modules.dep and modules.builtin: networking, file systems, and the drivers a node may ask for."""
    return "".join(line for line in text.splitlines(keepends=True) if MODULES.match(line))


RULES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("/var/lib/dpkg/status", _status),
    ("/var/lib/apt/lists/*_InRelease", _lines(r"(Origin|Label|Suite|Codename|Version|Date): ")),
    ("/var/lib/apt/lists/*_Release", _lines(r"(Origin|Label|Suite|Codename|Version|Date): ")),
    ("/etc/apt/sources.list", _sources),
    ("/etc/apt/sources.list.d/*", _sources),
    ("/etc/firewalld/firewalld.conf", _lines(r"DefaultZone=")),
    ("/proc/net/tcp*", _listening),
    ("/proc/net/route", _bare),
    ("/proc/stat", _lines(r"(cpu|btime) ")),
    ("/proc/cpuinfo", _one_processor),
    ("/proc/meminfo", _lines(r"(Mem\w+|Swap\w+|Huge[Pp]age\w+):")),
    ("/proc/self/status", _lines(r"(Name|[UG]id|Cap\w+|NoNewPrivs|Seccomp):")),
    ("/proc/self/mountinfo", _mounts),
    ("/proc/1/mountinfo", _mounts),
    ("*/modules.dep", _modules),
    ("*/modules.builtin", _modules),
)
"""A path (the first glob that fits) and what is kept of its text."""

LINK = frozenset(
    {
        *("ifindex", "ifname", "altnames", "flags", "mtu", "operstate", "link_type", "address", "permaddr", "master"),
        *("linkinfo", "info_kind", "parentbus", "addr_info", "family", "local", "prefixlen", "broadcast", "scope"),
    }
)
"""Of what ``ip`` tells of links and addresses. Routes, rules and namespaces are kept as they are."""


def _zones(text: str) -> str:
    """``firewall-cmd --list-all-zones``: what belongs to each zone, its ports, and rules that masquerade."""
    wanted = re.compile(r"\S|$|  (interfaces|sources|ports):|\t.*masquerade$")
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines() if wanted.match(line))


def _added(text: str) -> str:
    """``ufw show added`` without the comments: they may say anything."""
    return re.sub(r" comment '.*'$", "", text, flags=re.MULTILINE)


ANSWERS: Mapping[str, Callable[[str], str]] = {"firewall-cmd": _zones, "ufw": _added}
"""A program and what is kept of its answer."""


def answer_kept(row: Asked) -> Asked:
    """What is kept of a program's answer. Each thing of a list on a line of its own, so that two compare well."""
    if row.name in ANSWERS:
        return msgspec.structs.replace(row, stdout=ANSWERS[row.name](row.stdout))
    if row.name != "ip" or not {"link", "addr"} & set(row.args):
        return row
    try:
        rows = json.loads(row.stdout or "[]")
    except ValueError:
        return row
    lines = ",\n".join(json.dumps(_fields(one)) for one in rows)
    return msgspec.structs.replace(row, stdout=f"[\n{lines}\n]\n")


def _fields(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _fields(inner) for name, inner in value.items() if name in LINK}
    return [_fields(one) for one in value] if isinstance(value, list) else value


_DESCRIPTOR = re.compile(r"/proc/(\d+)/fd/[^/]+")
_SOCKET = re.compile(r"socket:\[(\d+)\]")


def _only_holders(found: dict[str, Entry | None]) -> None:
    """Of the processes looked through for a port's owner, the owner: others' open files concern nobody."""
    tables = [entry.text or "" for path, entry in found.items() if path.startswith("/proc/net/tcp") and entry]
    wanted = {row.split()[9] for table in tables for row in table.splitlines()[1:] if len(row.split()) > 9}
    holders: dict[str, list[str]] = {}
    for path, entry in list(found.items()):
        inside = _DESCRIPTOR.fullmatch(path)
        if inside is None:
            continue
        socket = _SOCKET.fullmatch((entry.to if entry else None) or "")
        if socket and socket[1] in wanted:
            holders.setdefault(inside[1], []).append(path.rpartition("/")[2])
        else:
            del found[path]
    for path, entry in list(found.items()):
        folder = re.fullmatch(r"/proc/(\d+)(/fd)?", path)
        if folder is None:
            continue
        if folder[1] not in holders and entry is not None and (folder[2] or entry == _folder(entry)):
            del found[path]
        elif folder[2] and entry is not None:
            entry.names, entry.partial = sorted(holders[folder[1]]), True
    top = found.get("/proc")
    if top is not None and top.names is not None:
        top.names, top.partial = sorted(holders), True


def _folder(entry: Entry) -> Entry:
    """A directory that only stood on the way to something else."""
    return Entry(
        type="directory", mode=entry.mode, uid=entry.uid, gid=entry.gid, device=entry.device, inode=entry.inode
    )


def _only_known_locks(found: dict[str, Entry | None]) -> None:
    """Of the locks in /proc/locks those on recorded files; inodes are kept for these alone."""
    locks = found.get("/proc/locks")
    held: set[int] = set()
    if locks is not None and locks.text is not None:
        inodes = {entry.inode for entry in found.values() if entry is not None and entry.inode}
        rows = [(line, _inode(line)) for line in locks.text.splitlines(keepends=True)]
        locks.text = "".join(line for line, inode in rows if inode in inodes)
        held = {inode for _, inode in rows if inode in inodes}
    for entry in found.values():
        if entry is not None and entry.inode not in held:
            entry.inode = 0


def _inode(line: str) -> int:
    match = re.search(r" [0-9a-f]+:[0-9a-f]+:(\d+) ", line)
    return int(match[1]) if match else 0


def _devices_told_by_mounts(found: dict[str, Entry | None]) -> None:
    mountinfo = found.get("/proc/self/mountinfo")
    devices = mount_devices((mountinfo.text or "") if mountinfo else "")
    for path, entry in found.items():
        if entry is not None and entry.device == _device(devices, path):
            entry.device = None


def _device(devices: Mapping[str, int], path: str) -> int:
    while path not in devices and path != "/":
        path = path.rpartition("/")[0] or "/"
    return devices.get(path, 0)


def _goes_without_saying(path: str, found: Entries) -> bool:
    """Whether an entry says nothing that others do not: an ordinary directory above one, nothing below nothing."""
    entry = found[path]
    if entry is None:
        parent = path.rpartition("/")[0] or "/"
        return parent in found and found[parent] is None
    inside = f"{path.rstrip('/')}/"
    return entry == Entry(type="directory") and any(
        other.startswith(inside) and there is not None for other, there in found.items()
    )
