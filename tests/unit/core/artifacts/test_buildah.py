"""Where buildah may keep its layers, and what a killed build left mounted."""

from __future__ import annotations

import resource
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from installers.core.artifacts.buildah import Buildah, mounts_below, storage_driver
from installers.core.model import Output

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /var/lib/olares rw - overlay overlay rw,lowerdir=/a
31 30 254:1 / /var/lib/olares/plain rw - btrfs /dev/vdb rw
32 22 0:41 / /srv/with\\040space rw - nfs4 server:/x rw
33 31 0:42 / /var/lib/olares/plain/build/a/storage/overlay rw - overlay overlay rw
34 33 0:43 / /var/lib/olares/plain/build/a/storage/overlay/merged rw - overlay overlay rw
35 22 0:44 / /var/lib/olares/plain/build/ab rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("scratch", "driver"),
    [
        ("/tmp/build", "overlay"),
        ("/var/lib/olares/build", "vfs"),
        ("/var/lib/olares", "vfs"),
        ("/var/lib/olaresx", "overlay"),
        ("/var/lib/olares/plain/build/c", "overlay"),
        ("/srv/with space/build", "vfs"),
    ],
)
def test_layers_lie_on_an_overlay_only_where_one_can_be(scratch: str, driver: str) -> None:
    assert storage_driver(Path(scratch), MOUNTS) == driver


def test_mounts_are_taken_innermost_first_and_a_neighbours_stay() -> None:
    below = "/var/lib/olares/plain/build/a"
    found = mounts_below(Path(below), MOUNTS)
    assert found == (f"{below}/storage/overlay/merged", f"{below}/storage/overlay")


def test_its_settings_are_its_own_and_ask_for_nothing_we_may_not(tmp_path: Path) -> None:
    def run(argv: Sequence[str], **_: object) -> Output:
        raise AssertionError(argv)

    Buildah(tmp_path, "overlay", run)
    settings = tomllib.loads((tmp_path / "containers.conf").read_text())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert f"nofile={soft}:{hard}" in settings["containers"]["default_ulimits"]
    (helpers,) = settings["engine"]["helper_binaries_dir"]
    assert [path.name for path in Path(helpers).iterdir()] == ["netavark"]
    assert settings["network"]["network_config_dir"].startswith(str(tmp_path))
