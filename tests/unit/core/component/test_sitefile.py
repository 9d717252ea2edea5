"""olares.yaml, one pair of files a case: what was written, and the site or the problems that makes."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from installers.core.component.sitefile import KEYS, json_schema, parse_site, read_site
from installers.core.errors import Failure
from installers.site import K3s, Network, Node, Paths, Proxy, Registry, Site

DATA = Path(__file__).parents[3] / "data" / "site"
CASES = sorted(DATA.glob("*.yaml"))
NAMES = {"platform": ("nats", "kvrocks"), "nats": ("nats",), "kvrocks": ("kvrocks",)}


def test_every_case_has_both_halves() -> None:
    assert [path.stem for path in sorted(DATA.glob("*.expected"))] == [path.stem for path in CASES]
    assert len(CASES) > 20


def expected_site(given: dict[str, Any]) -> Site:
    sections = {"node": Node, "network": Network, "k3s": K3s}
    nested: dict[str, Any] = {name: of(**given.pop(name, {})) for name, of in sections.items()}
    if "proxy" in given:
        nested["proxy"] = Proxy(**given["proxy"] | {"direct": tuple(given["proxy"].get("direct", ()))})
    rows = given.pop("registries", ())
    nested["registries"] = tuple(Registry(**row | {"mirrors": tuple(row["mirrors"])}) for row in rows)
    several = {name: tuple(given.pop(name, ())) for name in ("skip", "places")}
    return Site(**given | nested | several | {"pins": tuple(given.pop("pins", {}).items())})


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_case(case: Path) -> None:
    expected = yaml.safe_load(case.with_suffix(".expected").read_text())
    assert set(expected) in ({"site"}, {"problems"})
    site, problems = parse_site(case.read_bytes(), path="f", names=NAMES)
    assert [str(problem).removeprefix("f:") for problem in problems] == expected.get("problems", [])
    if "site" in expected:
        assert site == expected_site(expected["site"])


def test_deep_nesting_is_a_problem_and_no_crash() -> None:
    _, problems = parse_site(b"[" * 1_200, path="f", names=NAMES)
    assert [str(problem) for problem in problems] == ["f:1:1: nested too deeply"]


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_password_is_not_repeated(case: Path) -> None:
    _, problems = parse_site(case.read_bytes(), path="f", names=NAMES)
    assert not [problem for problem in problems if "canary" in str(problem)]
    assert any(b"canary" in path.read_bytes() for path in CASES)


def test_a_file_is_read_and_never_changed(tmp_path: Path) -> None:
    paths = replace(Paths(), config=str(tmp_path / "olares.yaml"))
    file = Path(paths.config)
    file.write_text("accept_eol: true\n")
    assert read_site(paths, names=NAMES) == Site(accept_eol=True, paths=paths)
    file.write_text("a: 1\nb: 2\n")
    with pytest.raises(Failure) as raised:
        read_site(paths, names=NAMES)
    assert raised.value.id == "OLR-CFG-001"
    assert raised.value.fields["count"] == 2
    assert file.read_text() == "a: 1\nb: 2\n"


def test_a_missing_file_is_fine_only_at_the_default_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = replace(Paths(), config=str(tmp_path / "olares.yaml"))
    with pytest.raises(Failure, match="OLR-CFG-002"):
        read_site(named, names=NAMES)
    directory = replace(Paths(), config=str(tmp_path))
    with pytest.raises(Failure, match="OLR-CFG-003"):
        read_site(directory, names=NAMES)

    def missing(path: Path) -> bytes:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_bytes", missing)
    assert read_site(Paths(), names=NAMES) == Site()


def test_keys_and_site_are_the_same_words() -> None:
    fields = asdict(Site())
    # Four follow from `source`, `index` is chosen by `index take`, and `lock` is read elsewhere.
    for name in ("paths", "edition", "places", "publisher", "images", "index", "lock"):
        del fields[name]
    assert set(KEYS) == set(fields)
    for name, inner in fields.items():
        keys = KEYS[name]
        assert not isinstance(inner, dict) or (isinstance(keys, dict) and set(keys) == set(inner))
    assert set(json_schema()["properties"]) == set(KEYS)


@pytest.mark.parametrize(
    ("place", "fine"),
    [
        ("http://h/x", True),
        ("https://h:8443/x/%40scope", True),
        ("http://h/@scope", False),
        ("http://h/x?token=1", False),
        ("http://h/x#1", False),
        ("ftp://h/x", False),
    ],
)
def test_what_can_be_a_mirrors_address(place: str, fine: bool) -> None:
    _, problems = parse_site(f"source: mirror:{place}\n".encode(), path="f", names={})
    assert (not problems) is fine
