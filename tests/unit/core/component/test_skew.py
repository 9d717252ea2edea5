"""Version rules: each by its cases in data, and the shipped sets of versions against all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from installers.core.component import skew

FOLDER = Path(__file__).parents[3] / "data/skew"


class Row(msgspec.Struct, forbid_unknown_fields=True, rename={"given": "with"}):
    """``says``: what is wrong, "" for nothing; ``why``: what makes the case worth having."""

    of: str
    given: dict[str, str]
    says: str = ""
    why: str = ""


class Cases(msgspec.Struct, forbid_unknown_fields=True):
    about: str
    rule: str
    cases: list[Row]


def rows() -> list[Any]:
    files = [msgspec.convert(yaml.safe_load(path.read_text()), Cases) for path in sorted(FOLDER.glob("*.yaml"))]
    return [
        pytest.param(file.rule, row, id=f"{file.rule} {row.of} {' '.join(row.given.values())}")
        for file in files
        for row in file.cases
    ]


@pytest.mark.parametrize(("rule", "row"), rows())
def test_rule(rule: str, row: Row) -> None:
    assert getattr(skew, rule)(row.of, **row.given) == row.says


def test_every_rule_has_cases_of_both_kinds() -> None:
    for path in FOLDER.glob("*.yaml"):
        said = {bool(row["says"]) if "says" in row else False for row in yaml.safe_load(path.read_text())["cases"]}
        assert said == {True, False}, path.stem
    assert {path.stem for path in FOLDER.glob("*.yaml")} == {
        *("kubelet", "kubeadm", "containerd", "etcd", "control_groups", "step", "calico")
    }


def test_no_version_is_an_error() -> None:
    with pytest.raises(ValueError, match="no version"):
        skew.numbers("latest")


def test_a_set_names_everything_that_does_not_go_together() -> None:
    found = skew.conflicts({"kubernetes": "1.36.4", "kubelet": "1.37.0", "containerd": "1.7.31", "etcd": "3.4.23"})
    assert [sentence.split()[0] for sentence in found] == ["a", "containerd", "etcd"]
    assert skew.conflicts({"containerd": "1.6"}) == ()
