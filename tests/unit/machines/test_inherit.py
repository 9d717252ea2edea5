"""What a machine is told of the way out of the computer around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest

from installers.core.component.sitefile import parse_site
from installers.core.remote.client import Remote
from installers.machines.inherit import CONFIG, concerns, hand_over, inherited, unreachable
from installers.site import Proxy, Registry, Site

PROXY = Proxy("http://proxy.example:3128", "http://proxy.example:3129", ("intra.example", "10.0.0.0/8"))
MIRRORS = (Registry("docker.io", ("https://mirror.example", "http://10.0.0.7:5000")),)


class Over:
    """The other end of a connection: files by path."""

    def __init__(self, **files: bytes) -> None:
        self.files = {CONFIG: files["config"]} if files else {}
        self.calls: list[list[str]] = []

    def run(self, argv: Sequence[str], *, timeout: float, on_line: Callable[[str], None] = print) -> int:
        self.calls.append(list(argv))
        if argv[0] == "cat":
            for line in self.files.get(argv[1], b"").decode().splitlines():
                on_line(line)
        return 0

    def upload(self, files: Sequence[tuple[str, str]]) -> None:
        for source, destination in files:
            self.files[destination] = Path(source).read_bytes()


def over(site: Site, machine: Over, **environ: str) -> str:
    """The id of what was said while a site was handed over, or ""."""
    wrong = hand_over(cast(Remote, machine), site, environ)
    if wrong is not None:
        assert wrong.what
        assert wrong.next
    return wrong.id if wrong else ""


def test_what_a_machine_reads_is_what_this_computer_says(tmp_path: Path) -> None:
    ca = tmp_path / "mirror.pem"
    ca.write_bytes(b"a certificate")
    site = Site(source="debian", proxy=PROXY, registries=(*MIRRORS, Registry("r.example", ("https://m",), str(ca))))
    machine = Over()
    assert over(site, machine) == ""
    read, problems = parse_site(machine.files[CONFIG], path=CONFIG, names={})
    assert problems == ()
    assert (read.proxy, set(read.registries)) == (PROXY, set(site.registries))
    assert read.source == "", "what to install is the machine's own choice"
    assert machine.files[str(ca)] == b"a certificate"


def test_to_go_out_directly_is_handed_over_too() -> None:
    direct = Site(proxy=Proxy())
    read, _ = parse_site(inherited(direct), path=CONFIG, names={})
    assert read.proxy == Proxy()
    assert not concerns(Site(), {})


def test_a_machine_with_a_file_of_its_own_keeps_it() -> None:
    machine = Over(config=b"source: upstream\n")
    assert over(Site(proxy=PROXY), machine) == ""
    assert over(Site(proxy=Proxy("http://localhost:3128")), machine) == ""
    assert machine.files == {CONFIG: b"source: upstream\n"}


def test_ours_follows_this_computer_and_stays_where_it_says_nothing() -> None:
    machine = Over()
    over(Site(proxy=PROXY), machine)
    over(Site(registries=MIRRORS), machine)
    after = dict(machine.files)
    assert after[CONFIG] == inherited(Site(registries=MIRRORS))
    machine.calls.clear()
    for site in (Site(registries=MIRRORS), Site()):
        assert over(site, machine) == ""
        assert machine.files == after
    assert [call[0] for call in machine.calls] == ["cat", "cat"], "nothing is written twice"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "proxy.localhost"])
def test_loopback_here_is_not_reached_from_there(host: str) -> None:
    for site in (
        Site(proxy=Proxy("", f"http://{host}:3128")),
        Site(registries=(Registry("docker.io", ("https://m.example", f"http://{host}:5000")),)),
    ):
        machine = Over()
        assert over(site, machine) == "OLR-MACH-010"
        assert machine.files == {}
        assert concerns(site, {})
    assert unreachable(Site(proxy=PROXY), {}) is None


def test_an_environments_loopback_is_only_a_warning() -> None:
    machine = Over()
    here = Site(proxy=Proxy("", "http://localhost:3128", kept=True))
    assert over(here, machine, https_proxy="http://localhost:3128") == "OLR-MACH-011"
    assert machine.files == {}


def test_a_password_of_the_environment_goes_nowhere_and_is_not_told() -> None:
    machine = Over()
    environ = {"HTTPS_PROXY": "http://me:hunter2@proxy.example:3128"}
    assert over(Site(), machine, **environ) == "OLR-MACH-011"
    wrong = unreachable(Site(), environ)
    assert wrong is not None
    assert "https_proxy" in wrong.what
    assert "hunter2" not in f"{wrong}{wrong.next}{wrong.fields}{machine.calls}{machine.files}"
    # olares.yaml's counts where it names one.
    assert over(Site(proxy=PROXY), machine, **environ) == ""
