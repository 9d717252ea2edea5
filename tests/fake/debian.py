"""A Debian 12 server in memory, with the archive the embedded default installs from."""

from __future__ import annotations

from tests.fake.machine import FakeMachine
from tests.fake.packages import Package

ACCOUNTS = """root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
GROUP = "root:x:0:\ndaemon:x:1:\nsudo:x:27:\nnogroup:x:65534:\n"
RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
SYSCTLS = {
    "kernel/panic": "0",
    "kernel/panic_on_oops": "0",
    "vm/overcommit_memory": "0",
    "vm/max_map_count": "65530",
    "net/ipv4/ip_forward": "0",
    "net/ipv6/conf/all/forwarding": "0",
    "fs/inotify/max_user_instances": "128",
    "fs/inotify/max_user_watches": "65536",
    "fs/file-max": "9223372036854775807",
    "kernel/hostname": "node1",
    "kernel/osrelease": "6.1.0-18-amd64",
    "kernel/random/boot_id": "11111111-2222-4333-8444-555555555555",
}
DIRECTORIES = (
    *("/etc/systemd/system", "/etc/sysctl.d", "/etc/modules-load.d", "/etc/apt", "/etc/ssl/certs", "/root", "/tmp"),
    *(
        "/lib/systemd/system",
        "/run/systemd/system",
        "/usr/lib/systemd/system",
        "/usr/bin",
        "/usr/sbin",
        "/usr/local/bin",
    ),
    *("/opt", "/srv", "/var/lib/dpkg/info", "/var/cache/apt/archives", "/var/log", "/sys/fs/cgroup", "/proc/self"),
)


def _service(command: str) -> str:
    return (
        f"[Unit]\nDescription={command}\n\n[Service]\nExecStart={command}\nRestart=always\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )


CONTAINERD = Package(
    "containerd",
    "1.6.20~ds1-1+deb12u1",
    depends=("runc",),
    files={"/usr/bin/containerd": "containerd 1.6.20", "/usr/bin/ctr": "ctr 1.6.20"},
    units={"containerd.service": _service("/usr/bin/containerd")},
)
ARCHIVE = (
    CONTAINERD,
    Package("runc", "1.1.5+ds1-1+deb12u1", files={"/usr/sbin/runc": "runc 1.1.5"}),
    Package("containernetworking-plugins", "1.1.1+ds1-3+b4", files={"/usr/lib/cni/bridge": "bridge"}),
    Package("conntrack", "1:1.4.7-1+b2", files={"/usr/sbin/conntrack": "conntrack"}),
    Package("ebtables", "2.0.11-5", files={"/usr/sbin/ebtables": "ebtables"}),
    Package("ipset", "7.17-1", files={"/usr/sbin/ipset": "ipset"}),
    Package("iptables", "1.8.9-2", files={"/usr/sbin/iptables": "iptables", "/usr/sbin/iptables-save": "iptables"}),
    Package("libwrap0", "7.6.q-32", files={"/usr/lib/x86_64-linux-gnu/libwrap.so.0": "libwrap"}),
    Package("socat", "1.7.4.4-2", depends=("libwrap0",), files={"/usr/bin/socat": "socat"}),
    Package(
        "etcd-server",
        "3.4.23-4+b4",
        files={"/usr/bin/etcd": "etcd 3.4.23"},
        conffiles={"/etc/default/etcd": "# etcd's environment\n"},
        directories=("/var/lib/etcd",),
        units={"etcd.service": _service("/usr/bin/etcd")},
        users=("etcd",),
        purges=("/var/lib/etcd",),
    ),
    Package("etcd-client", "3.4.23-4+b4", files={"/usr/bin/etcdctl": "etcdctl 3.4.23"}),
)


def debian() -> FakeMachine:
    """A fresh Debian 12 server: systemd, apt, one network card, nothing of ours."""
    machine = FakeMachine()
    tree = machine.tree
    for path in DIRECTORIES:
        tree.directory(path)
    tree.nodes["/tmp"].mode = 0o1777
    for name, content in {"passwd": ACCOUNTS, "group": GROUP, "shadow": "", "gshadow": ""}.items():
        tree.file(f"/etc/{name}", content, mode=0o640 if "shadow" in name else 0o644)
    tree.file("/etc/os-release", RELEASE)
    tree.file("/etc/hostname", "node1\n")
    tree.file("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 node1\n")
    tree.file("/var/lib/dpkg/status", "")
    for key, value in SYSCTLS.items():
        tree.file(f"/proc/sys/{key}", f"{value}\n")
    machine.dpkg.offer(*ARCHIVE)
    machine.units.reads |= {
        "containerd.service": ("/etc/containerd/config.toml",),
        "etcd.service": ("/etc/default/etcd",),
    }
    machine.units.on_start["containerd.service"] = _containerd_up
    machine.units.on_stop["containerd.service"] = _containerd_down
    return machine


def _containerd_up(machine: FakeMachine) -> None:
    machine.tree.file("/run/containerd/containerd.sock", "")
    machine.tree.directory("/var/lib/containerd/io.containerd.metadata.v1.bolt", mode=0o711)


def _containerd_down(machine: FakeMachine) -> None:
    machine.tree.unlink("/run/containerd/containerd.sock")
