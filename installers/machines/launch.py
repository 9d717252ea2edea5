"""Start a machine's systemd-nspawn so that it outlives us: run as a program, ends when the machine is up.

    python -m installers.machines.launch SPEC

Where systemd is PID 1 the machine becomes a unit of its own. Elsewhere nspawn gets a session and a
cgroup of its own in every hierarchy: with ``--keep-unit`` that cgroup becomes the machine's root, so
two machines never share a kubepods tree and removing it cleans up after one.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from installers.core.host.scopes import has_systemd, start_time
from installers.machines.layout import BRIDGE, Machine

READY = 60.0
"""Seconds until the machine's systemd must say it is up; about one on an idle computer."""

DEVICES = ("/dev/kmsg", "/dev/fuse", "/dev/net/tun")
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    # /sys and the outer host's global sysctls stay read-only inside; only the network's are the machine's own.
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
}


def nspawn(machine: Machine) -> list[str]:
    """The command line that boots a machine."""
    return [
        *("systemd-nspawn", "--quiet", "--boot", f"--machine={machine.name}"),
        *(f"--directory={machine.stub}", f"--overlay={machine.base}:{machine.upper}:/"),
        *("--register=no", "--keep-unit", f"--network-bridge={BRIDGE}", "--capability=all"),
        *("--resolv-conf=off", "--timezone=off", "--link-journal=no", "--settings=no"),
        *("--notify-ready=yes", "--kill-signal=SIGRTMIN+4", "--console=pipe"),
        *(f"--bind={device}" for device in DEVICES if Path(device).exists()),
        f"--bind={machine.data}:/var/lib/olares",
        f"--bind={machine.cache}:/var/cache/olares",
        f"--bind={machine.built}:/var/lib/olares/built",
        "--system-call-filter=add_key keyctl bpf perf_event_open",
    ]


def hierarchies() -> list[str]:
    """Mount points of every cgroup hierarchy here."""
    rows = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return [row[1] for row in rows if row[2] in ("cgroup", "cgroup2")]


def cgroups(name: str) -> list[Path]:
    """The machine's cgroup in each hierarchy."""
    return [Path(mount) / f"olares-machine-{name}" for mount in hierarchies()]


def make_cgroups(name: str) -> list[Path]:
    """Create them; a cpuset needs its cores and memory nodes before anything may enter."""
    groups = cgroups(name)
    for group in groups:
        group.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (group / file).exists() and not (group / "cgroup.type").exists():
                (group / file).write_text((group.parent / file).read_text())
        if group.parent.name == "cpuset":
            (group / "cgroup.clone_children").write_text("1")
    return groups


def start_detached(machine: Machine) -> int:
    """Boot in a session and cgroups of its own; returns nspawn's pid once the machine says it is up."""
    groups = make_cgroups(machine.name)
    notify = Path(machine.home) / "notify"
    notify.unlink(missing_ok=True)

    def enter() -> None:
        for group in groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, Path(machine.console).open("ab") as console:
        ready.bind(str(notify))
        ready.settimeout(1.0)
        child = subprocess.Popen(
            nspawn(machine),
            env=ENVIRONMENT | {"NOTIFY_SOCKET": str(notify)},
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=enter,
            cwd="/",
        )
        record(machine, child.pid)
        deadline = time.monotonic() + READY
        while time.monotonic() < deadline:
            if child.poll() is not None:
                raise SystemExit(f"systemd-nspawn ended with status {child.returncode}; see {machine.console}")
            try:
                if "READY=1" in ready.recv(4096).decode().splitlines():
                    return child.pid
            except TimeoutError:
                continue
    raise SystemExit(f"the machine did not come up within {READY:.0f} s; see {machine.console}")


def start_unit(machine: Machine) -> int:
    """Boot as a transient unit of the outer systemd."""
    unit = f"olares-machine-{machine.name}.service"
    settings = ("Type=notify", "NotifyAccess=all", "Delegate=yes", "KillMode=mixed", f"TimeoutStartSec={READY:.0f}")
    subprocess.run(
        [
            *("systemd-run", "--quiet", "--collect", f"--unit={unit}"),
            *(f"--property={setting}" for setting in settings),
            *(f"--property=StandardOutput=append:{machine.console}", "--slice=machine.slice"),
            *(f"--setenv={name}={value}" for name, value in ENVIRONMENT.items()),
            *nspawn(machine),
        ],
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=READY + 10,
    )
    shown = subprocess.run(
        ["systemctl", "show", "--property=MainPID", "--value", unit],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
    )
    return int(shown.stdout)


def record(machine: Machine, pid: int) -> None:
    """Say which process is the machine."""
    path = Path(machine.pids)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps({"pid": pid, "start_time": start_time(pid)}))
    aside.rename(path)


def main(arguments: list[str]) -> None:
    machine = Machine(**json.loads(Path(arguments[0]).read_text()))
    record(machine, start_unit(machine) if has_systemd() else start_detached(machine))


if __name__ == "__main__":
    main(sys.argv[1:])
