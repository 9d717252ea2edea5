"""What a machine is, as one flat JSON object; runs inside it with any python3, the standard library alone.

    python3 snapshot.py [SKIPPED-TREE...] > snapshot.json

Keys are ``<kind> <name>``: path, user, group, unit-file, unit, package, mount, link, address, route,
netns, rules, sysctl, cgroup, process. Values are text. Nothing is written anywhere.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

Found = dict[str, str]
COUNTERS = re.compile(r" ?\[\d+:\d+\]")
OTHERS = {"proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue"}
"""File systems that hold no files: pods bring many. As mounts they are compared."""

ANEW = (
    (re.compile(Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")), "BOOT"),
    (re.compile(r"(/systemd-private-BOOT-[^/]*)-[A-Za-z0-9]{6}"), r"\1"),  # a service's private /tmp
    (re.compile(r"(/run/systemd/journal/streams)/.*"), r"\1/STREAM"),  # one for each service's output
    (re.compile(r"(/\.#proc-[a-z-]*)[0-9a-f]{16}"), r"\1"),  # what nspawn lays over a file of /proc
)
"""What systemd names anew at each boot or start, and by which name it goes here."""


def run(*argv: str) -> str:
    """What a program says; nothing when there is no such program here."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.decode()


def read(path: str) -> str:
    return Path(path).read_text(errors="replace")


def tree(skipped: set[str]) -> Found:
    """Every path: type, mode, owner, attributes, and a digest of its contents or where a link points."""
    found: Found = {}
    skipped = skipped | {line.split()[4] for line in mountinfo() if line.partition(" - ")[2].split()[0] in OTHERS}
    pending = ["/"]
    while pending:
        directory = pending.pop()
        for entry in os.scandir(directory):
            if entry.path in skipped:
                continue
            with contextlib.suppress(FileNotFoundError):
                found[f"path {named(entry.path)}"] = described(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return found


def named(text: str) -> str:
    for pattern, name in ANEW:
        text = pattern.sub(name, text)
    return text


def described(path: str) -> str:
    what = os.lstat(path)
    words = [stat.filemode(what.st_mode), f"{what.st_uid}:{what.st_gid}"]
    if path.startswith(("/run/systemd/journal/streams/", "/run/systemd/units/invocation:")):
        words.append("made anew at each start")
    elif stat.S_ISLNK(what.st_mode):
        words.append(str(Path(path).readlink()))
    elif stat.S_ISREG(what.st_mode):
        with Path(path).open("rb") as file:
            words.append(hashlib.file_digest(file, "sha256").hexdigest()[:16])
        words += [f"{name}={os.getxattr(path, name).hex()}" for name in os.listxattr(path)]
    elif stat.S_ISCHR(what.st_mode) or stat.S_ISBLK(what.st_mode):
        words.append(f"{os.major(what.st_rdev)},{os.minor(what.st_rdev)}")
    return " ".join(words)


def accounts() -> Found:
    users = {f"user {line.split(':')[0]}": line for line in run("getent", "passwd").splitlines()}
    return users | {f"group {line.split(':')[0]}": line for line in run("getent", "group").splitlines()}


def units() -> Found:
    """Unit files and whether they are enabled; loaded units and whether they are active.

    A loaded inactive unit is only systemd's memory of having looked at it, so it is no state.
    """
    found = {}
    for line in run("systemctl", "list-unit-files", "--no-legend", "--plain").splitlines():
        name, *state = line.split()
        found[f"unit-file {name}"] = " ".join(state)
    for line in run("systemctl", "list-units", "--all", "--no-legend", "--plain").splitlines():
        name, _, active, sub, *_ = line.split()
        if active != "inactive":
            found[f"unit {name}"] = f"{active} {sub}"
    return found


def packages() -> Found:
    form = "${Package} ${Version} ${db:Status-Abbrev}\n"
    return {f"package {line.split()[0]}": line for line in run("dpkg-query", "-W", "-f", form).splitlines()}


def mountinfo() -> list[str]:
    return read("/proc/self/mountinfo").splitlines()


def mounts() -> Found:
    """Mount points with type and flags; counted, since one can lie over another."""
    found: Found = {}
    for line in mountinfo():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()[0]
        name = f"mount {fields[4]}"
        found[name] = f"{found.get(name, '')}[{kind} {named(fields[3])} {fields[5]}]"
    return found


def network() -> Found:
    """Links, addresses, routes and namespaces. Numbers that count up with each new link are left out."""
    found: Found = {}
    for row in json.loads(run("ip", "-j", "-d", "link") or "[]"):
        kind = row.get("linkinfo", {}).get("info_kind", "")
        found[f"link {row['ifname']}"] = f"{kind} mtu {row['mtu']} {row.get('master', '')} {','.join(row['flags'])}"
    for row in json.loads(run("ip", "-j", "address") or "[]"):
        for one in row["addr_info"]:
            if one["scope"] != "link":
                found[f"address {row['ifname']} {one['local']}/{one['prefixlen']}"] = one["scope"]
    for family in ("-4", "-6"):
        for line in run("ip", family, "route", "show", "table", "all").splitlines():
            found[f"route {family} {line.split(' metric ')[0].strip()}"] = "there"
    spaces = set()
    for pid in pids():
        with contextlib.suppress(OSError):  # gone, or not ours to ask
            spaces.add(Path(f"/proc/{pid}/ns/net").readlink())
    return found | {"netns count": str(len(spaces))}


def rules() -> Found:
    """Firewall rules of every kind, without their packet counters.

    The legacy programs create what they look at, so they are asked only where their tables exist.
    """
    found = {}
    programs = ["iptables-nft-save", "ip6tables-nft-save"]
    for names, program in (("ip_tables_names", "iptables-legacy-save"), ("ip6_tables_names", "ip6tables-legacy-save")):
        if Path(f"/proc/net/{names}").exists() and read(f"/proc/net/{names}").strip():
            programs.append(program)
    for program in programs:
        table = ""
        for line in run(program).splitlines():
            if line.startswith("*"):
                table = line[1:]
                found[f"rules {program} {table}"] = "table"
            elif line and not line.startswith(("#", "COMMIT")):
                found[f"rules {program} {table} {COUNTERS.sub('', line)}"] = "there"
    for line in run("ipset", "list", "-n").splitlines():
        found[f"rules ipset {line}"] = "there"
    if Path("/proc/net/ip_vs").exists():
        for line in read("/proc/net/ip_vs").splitlines()[3:]:
            found[f"rules ipvs {line}"] = "there"
    return found


def sysctls() -> Found:
    found = {}
    for directory, _, names in os.walk("/proc/sys"):
        for name in names:
            path = f"{directory}/{name}"
            # Some are write-only, some cannot be read just now (an IPv6 secret that is not set).
            with contextlib.suppress(OSError):
                found[f"sysctl {path.removeprefix('/proc/sys/')}"] = read(path).strip()
    return found


def cgroups() -> Found:
    return {
        f"cgroup {directory.removeprefix('/sys/fs/cgroup/')}": "there"
        for directory, _, _ in os.walk("/sys/fs/cgroup")
        if directory != "/sys/fs/cgroup"
    }


def pids() -> list[str]:
    """Every process there is."""
    return [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]


def processes() -> Found:
    """What runs, without the ssh connection we came by and ourselves."""
    counted: dict[str, int] = {}
    ours = {str(os.getpid()), str(os.getppid())}
    for pid in set(pids()) - ours:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            line = read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
            if line and not line.startswith("sshd: "):
                counted[line] = counted.get(line, 0) + 1
    return {f"process {line}": str(count) for line, count in counted.items()}


def main() -> None:
    skipped = set(sys.argv[1:])
    found = tree(skipped)
    for look in (accounts, units, packages, mounts, network, rules, sysctls, cgroups, processes):
        found |= look()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
