"""A wheelhouse is whole when it has every locked version for each of the Pythons."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.wheelhouse import PYTHONS, missing, target

LOCKED = """\
msgspec==0.22.0 \\
    --hash=sha256:aa
backports-zstd==1.8.0 ; python_version < "3.14" \\
    --hash=sha256:bb
"""
WHOLE = (
    "msgspec-0.22.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    "msgspec-0.22.0-cp313-cp313-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    "backports_zstd-1.8.0-cp310-abi3-manylinux_2_28_x86_64.whl",
)


def _lay(directory: Path, *names: str) -> Path:
    for name in names:
        directory.joinpath(name).touch()
    return directory


def test_one_wheel_for_all_pythons_counts_for_each(tmp_path: Path) -> None:
    assert not missing(_lay(tmp_path, *WHOLE), LOCKED)


@pytest.mark.parametrize("lost", WHOLE)
def test_a_wheel_one_python_needs_is_missed(tmp_path: Path, lost: str) -> None:
    assert missing(_lay(tmp_path, *(name for name in WHOLE if name != lost)), LOCKED)


def test_a_version_that_is_not_locked_makes_it_anew(tmp_path: Path) -> None:
    assert missing(_lay(tmp_path, *WHOLE, "msgspec-0.21.0-py3-none-any.whl"), LOCKED)


def test_wheels_are_chosen_for_the_pythons_of_debian_12_and_13() -> None:
    assert PYTHONS == ("3.11", "3.13")
    assert "cp313" in target("3.13")
    assert "cp311" not in target("3.13")
