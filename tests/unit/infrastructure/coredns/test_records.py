"""Services and Endpoints to records, and records to changes: data in cases/, nothing started."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from clusterdns.layout import Layout, configuration, empty_zone, prepare, upstreams
from clusterdns.records import Record, batches, changes, reverse_zones, zones
from lightkube.resources.core_v1 import Endpoints, Service

CASES = Path(__file__).parent / "cases"
REVERSE = ["96.10.in-addr.arpa.", "244.10.in-addr.arpa."]
DOMAIN = "cluster.local."
LAYOUT = Layout(Path("/run/clusterdns"), DOMAIN, tuple(REVERSE), 1053, "10.96.0.10")


def cases(name: str) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], yaml.safe_load((CASES / name).read_text()))


@pytest.mark.parametrize("case", cases("records.yaml"), ids=lambda case: case["case"])
def test_records(case: dict[str, Any]) -> None:
    assert set(case) == {"case", "services", "endpoints", "records"}
    services = [cast(Service, Service.from_dict(item)) for item in case["services"]]
    endpoints = [cast(Endpoints, Endpoints.from_dict(item)) for item in case["endpoints"]]
    found = zones(DOMAIN, REVERSE, services, endpoints)
    wanted = {Record(*text.split(" ", 2)) for text in case["records"]}
    assert frozenset().union(*found.values()) - wanted == {Record(f"dns-version.{DOMAIN}", "TXT", '"1.1.0"')}
    assert wanted <= frozenset().union(*found.values())
    assert all(record.name.endswith(zone) for zone, records in found.items() for record in records)


@pytest.mark.parametrize("case", cases("reverse_zones.yaml"), ids=lambda case: str(case["networks"]))
def test_reverse_zones(case: dict[str, Any]) -> None:
    assert reverse_zones(case["networks"]) == case["zones"]


@pytest.mark.parametrize("case", cases("upstreams.yaml"), ids=lambda case: case["case"])
def test_upstreams(case: dict[str, Any]) -> None:
    assert upstreams(case["text"], "10.96.0.10") == case["upstreams"]


def test_a_name_changes_in_one_step_deletions_first() -> None:
    old = frozenset({Record("a.", "CNAME", "x."), Record("b.", "A", "1.1.1.1")})
    new = frozenset({Record("a.", "A", "2.2.2.2"), Record("a.", "A", "3.3.3.3"), Record("b.", "A", "1.1.1.1")})
    assert changes(old, new) == [
        [
            (Record("a.", "CNAME", "x."), False),
            (Record("a.", "A", "2.2.2.2"), True),
            (Record("a.", "A", "3.3.3.3"), True),
        ]
    ]
    assert changes(new, new) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_batches_keep_a_name_together(limit: int) -> None:
    groups = [
        [(Record(name, "A", f"10.0.0.{n}"), True) for n in range(size)] for name, size in (("a", 2), ("b", 1), ("c", 5))
    ]
    found = list(batches(groups, limit))
    assert [change for batch in found for change in batch] == [change for group in groups for change in group]
    homes = {name: {i for i, batch in enumerate(found) for record, _ in batch if record.name == name} for name in "abc"}
    assert all(len(home) == 1 for home in homes.values())


def test_configuration_forwards_or_refuses() -> None:
    assert "forwarders { 9.9.9.9; };\n  forward only;" in configuration(LAYOUT, ["9.9.9.9"], "c2VjcmV0")
    alone = configuration(LAYOUT, [], "c2VjcmV0")
    assert "recursion no;" in alone
    assert "forward" not in alone


def test_zone_file_has_short_negative_answers() -> None:
    assert empty_zone(LAYOUT, DOMAIN, 7).split("\n")[1].endswith(" 7 7200 1800 86400 5")
    assert "A 10.96.0.10" in empty_zone(LAYOUT, DOMAIN, 7)
    assert " A " not in empty_zone(LAYOUT, REVERSE[0], 7)


def test_prepare_keeps_zones_and_key(tmp_path: Path) -> None:
    layout = Layout(tmp_path, DOMAIN, tuple(REVERSE), 1053, "10.96.0.10")
    prepare(layout, "nameserver 9.9.9.9")
    key = (tmp_path / "key").read_text()
    (tmp_path / f"{DOMAIN}zone").write_text("as BIND left it")
    assert prepare(layout, "nameserver 8.8.8.8") == ["8.8.8.8"]
    assert (tmp_path / f"{DOMAIN}zone").read_text() == "as BIND left it"
    assert (tmp_path / "key").read_text() == key
    assert "8.8.8.8" in (tmp_path / "named.conf").read_text()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir() if path.name != f"{DOMAIN}zone"} == {0o600}
