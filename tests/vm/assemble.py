"""From Debian packages to a guest that boots: the emulator with kernel, the root, its disk and first root.

All lies in one directory: OLARES_VM_DIR, else build/vm. What mmdebstrap made is kept there for the next
time; the guest's disk is made anew for each run. Nothing is installed on this computer.
"""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from installers.machines.base import base_root
from installers.site import Paths
from tests.vm import cpio

ROOT = Path(__file__).parents[2]
DIRECTORY = "OLARES_VM_DIR"
OVERLAY = ROOT / "tests/data/vm/root"
"""Files of the guest that a Debian installer would have written."""

RELEASE = os.environ.get("OLARES_VM_RELEASE", "bookworm")
"""Debian's code name of the guest."""

EMULATOR = ("qemu-system-x86", "busybox-static")
KERNEL = ("linux-image-cloud-amd64",)
DISK = 16 << 30
"""Bytes of the guest's disk; the file is sparse."""

VIRTIO = ("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk")
"""What this kernel needs to reach its disk, in the order it loads, where it is not built in; ext4 is everywhere."""

ENABLED = ("systemd-networkd.service", "systemd-networkd-wait-online.service", "ssh.service")
CHORES = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer", "e2scrub_all.timer")
"""Would run in the middle of a test, as it is always the guest's first day."""

CACHED = ("apt/archives", "apt/day", "fetched")
NOT_NEEDED = ("platform-", "machine-base-")
"""How names of built things begin which the guest has no use for."""

INIT = """#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t devtmpfs dev /dev
for m in {modules}; do $B insmod /modules/$m; done
until [ -b /dev/vda ]; do $B sleep 0.1; done
$B mount -t ext4 /dev/vda /root
$B mount --move /dev /root/dev
$B umount /proc
exec $B switch_root /root /sbin/init
"""
TIMEOUT = 1800.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Image:
    """A guest ready to boot. ``tools``: the root the emulator runs in; disk, kernel and initrd lie in its /vm.

    ``linux``: the kernel's package, unpacked.
    """

    tools: Path
    linux: Path
    key: Path
    known_hosts: Path

    @property
    def vm(self) -> Path:
        return self.tools / "vm"


def lacking() -> tuple[str, ...]:
    """What this computer lacks to have such a guest."""
    missing = []
    if os.geteuid() != 0:
        missing.append("root (mmdebstrap makes device files)")
    missing += [f"the program {name}" for name in ("mmdebstrap", "mkfs.ext4", "ssh-keygen") if not shutil.which(name)]
    if not list(Path(Paths.from_environment().built).glob("infrastructure-kubernetes-build-*.json")):
        missing.append("a Kubernetes in the cache: it is built by `make up`, and would take hours in the guest")
    return tuple(missing)


def directory() -> Path:
    return Path(os.environ.get(DIRECTORY) or ROOT / "build/vm").resolve()


def assemble(say: Say) -> Image:
    """Make a guest with an empty system and this computer's cache in it."""
    work = directory()
    work.mkdir(parents=True, exist_ok=True)
    base = base_root(RELEASE)
    tools, linux, system, root = work / "tools", work / "linux", work / "base.tar", work / "root"
    if not tools.exists():
        say("the emulator and busybox from Debian packages")
        _debian("extract", "bookworm", EMULATOR, tools)
    if not linux.exists():
        say("the kernel from its Debian package")
        _debian("extract", base.suite, KERNEL, linux)
    if not system.exists():
        say("a Debian base from Debian packages")
        _debian("minbase", base.suite, base.packages, system)
    say("the guest's root and disk")
    image = Image(tools, linux, work / "key", work / "known_hosts")
    _remove(root)
    _run("mkdir", str(root))
    _run("tar", "-C", str(root), "--numeric-owner", "--xattrs", "-xpf", str(system))
    _configure(root, image)
    _fill_cache(root)
    _disk(root, image)
    _remove(root)
    return image


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT)


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)


def _debian(variant: str, suite: str, packages: Sequence[str], target: Path) -> None:
    """No mirror is named: mmdebstrap takes the host's own. The target appears whole or not at all."""
    partial = target.with_name(f"partial-{target.name}")
    if partial.is_dir():
        _remove(partial)
    documents = (f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info"))
    _run(
        *("mmdebstrap", "--quiet", "--mode=root", f"--variant={variant}", f"--include={','.join(packages)}"),
        *('--aptopt=Acquire::Languages "none"', *documents, suite, str(partial)),
    )
    partial.rename(target)


def _name(module: Path) -> str:
    return module.name.removesuffix(".xz")


def _modules(linux: Path) -> Path:
    """Where the kernel's modules lie; their directory is named after its release."""
    (found,) = [*linux.glob("usr/lib/modules/*"), *linux.glob("lib/modules/*")]
    return found


def _configure(root: Path, image: Image) -> None:
    """What makes a base root into a computer: modules, keys, units, the files of the overlay."""
    modules = _modules(image.linux)
    for path in base_root(RELEASE).removed:
        (root / path.lstrip("/")).unlink(missing_ok=True)
    shutil.copytree(OVERLAY, root, dirs_exist_ok=True)
    shutil.copytree(modules, root / "usr/lib/modules" / modules.name)
    _run("chroot", str(root), "depmod", modules.name)
    _run("chroot", str(root), "systemctl", "--quiet", "enable", *ENABLED)
    _run("chroot", str(root), "systemctl", "--quiet", "mask", *CHORES)
    (root / "etc/machine-id").write_text(os.urandom(16).hex() + "\n")
    own, user = root / "etc/ssh/ssh_host_ed25519_key", image.key
    for key in (own, user):
        key.unlink(missing_ok=True)
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key))
    folder = root / "root/.ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "authorized_keys").write_text(user.with_suffix(".pub").read_text())
    image.known_hosts.write_text(own.with_suffix(".pub").read_text())


def _fill_cache(root: Path) -> None:
    """This computer's cache with its ledger: then nothing is fetched or built in the guest."""
    paths, theirs = Paths.from_environment(), Paths()
    records = [path for path in Path(paths.built).glob("*.json") if not path.name.startswith(NOT_NEEDED)]
    for name in [*CACHED, *(f"built/{record.stem}" for record in records)]:
        if (source := Path(paths.cache, name)).exists():
            _copy(source, root / theirs.cache.lstrip("/") / name)
    for record in records:
        _copy(record, root / theirs.built.lstrip("/") / record.name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    _run("cp", "-a", "--reflink=auto", "--", str(source), str(target))


def _disk(root: Path, image: Image) -> None:
    image.vm.mkdir(exist_ok=True)
    disk = image.vm / "disk.img"
    disk.unlink(missing_ok=True)
    with disk.open("wb") as file:
        file.truncate(DISK)
    # Tables are written now: the guest would do it in the background for its first minutes.
    _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-d", str(root), str(disk))
    modules = _modules(image.linux)
    shutil.copyfile(image.linux / f"boot/vmlinuz-{modules.name}", image.vm / "vmlinuz")
    first = image.tools.with_name("first")
    _remove(first)
    for name in ("bin", "proc", "dev", "root", "modules"):
        (first / name).mkdir(parents=True)
    shutil.copy(image.tools / "bin/busybox", first / "bin")
    found = [path for module in VIRTIO for path in modules.rglob(f"{module}.ko*")]
    for path in found:
        content = path.read_bytes()
        (first / "modules" / _name(path)).write_bytes(lzma.decompress(content) if path.suffix == ".xz" else content)
    init = first / "init"
    init.write_text(INIT.format(modules=" ".join(_name(path) for path in found)))
    init.chmod(0o755)
    (image.vm / "initrd.gz").write_bytes(gzip.compress(cpio.archive(first), compresslevel=1))
    _remove(first)
