"""Decisions about claims and volumes (data in cases/), and the directories they lead to (in a temporary root)."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from lightkube.resources.core_v1 import PersistentVolume, PersistentVolumeClaim
from lightkube.resources.storage_v1 import StorageClass
from localvolumes.disk import Busy, Disk
from localvolumes.plan import (
    PROVISIONED_BY,
    PROVISIONER,
    Here,
    Ignore,
    Provision,
    Refuse,
    Remove,
    for_claim,
    for_volume,
    hostname_of,
    mounts_below,
    volume_for,
)

CASES = Path(__file__).parent / "cases"
CLAIM_KEYS = {
    "case",
    "decision",
    "nodes",
    "annotations",
    "present",
    "age",
    "binding",
    "provisioner",
    "reclaim",
    "spec",
    "volumes",
}
VOLUME_KEYS = {"case", "decision", "phase", "policy", "node", "by", "newest", "present", "path"}


def cases(name: str) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], yaml.safe_load((CASES / name).read_text()))


def here(nodes: list[str], root: Path = Path("/v")) -> Here:
    return Here("a", "a", frozenset(nodes), root)


def a_claim(case: dict[str, Any]) -> PersistentVolumeClaim:
    meta = {"name": "data", "namespace": "shop", "uid": "u1", "annotations": case.get("annotations", {})}
    spec = {
        "storageClassName": "local",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    item = {"metadata": meta, "spec": spec | case.get("spec", {}), "status": {"phase": "Pending"}}
    return cast(PersistentVolumeClaim, PersistentVolumeClaim.from_dict(item))


def a_class(case: dict[str, Any]) -> StorageClass:
    item = {
        "metadata": {"name": "local"},
        "provisioner": case.get("provisioner", PROVISIONER),
        "volumeBindingMode": case.get("binding", "WaitForFirstConsumer"),
        "reclaimPolicy": case.get("reclaim", "Delete"),
    }
    return cast(StorageClass, StorageClass.from_dict(item))


def a_volume(case: dict[str, Any]) -> PersistentVolume:
    match = {"key": "kubernetes.io/hostname", "operator": "In", "values": [case.get("node", "a")]}
    item = {
        "metadata": {"name": "pv", "annotations": {PROVISIONED_BY: case.get("by", PROVISIONER)}},
        "spec": {
            "claimRef": {"namespace": "shop", "name": "data", "uid": case.get("uid", "u1")},
            "persistentVolumeReclaimPolicy": case.get("policy", "Delete"),
            "local": {"path": case.get("path", "/v/shop/data")},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [match]}]}},
        },
        "status": {"phase": case.get("phase", "Released")},
    }
    return cast(PersistentVolume, PersistentVolume.from_dict(item))


def plain(decision: Any) -> dict[str, Any]:
    """A decision as a case writes it."""
    match decision:
        case Ignore(why) | Refuse(why):
            return {type(decision).__name__: why}
        case Remove(directory):
            return {"Remove": str(directory)}
        case Provision():
            fields = asdict(decision)
            return {
                "Provision": {**{k: fields[k] for k in ("adopt", "mode", "reclaim")}, "owner": list(decision.owner)}
            }
    return {type(decision).__name__: decision.why}


def octal(decision: dict[str, Any]) -> dict[str, Any]:
    """YAML 1.1 has no 0o: modes arrive as text."""
    wanted = decision.get("Provision")
    return {"Provision": wanted | {"mode": int(wanted["mode"], 8)}} if wanted else decision


@pytest.mark.parametrize("case", cases("claims.yaml"), ids=lambda case: case["case"])
def test_claim(case: dict[str, Any]) -> None:
    assert set(case) <= CLAIM_KEYS
    volumes = [a_volume(volume) for volume in case.get("volumes", [])]
    node = here(case.get("nodes", ["a"]))
    found = for_claim(a_claim(case), a_class(case), volumes, node, case.get("present", False), case.get("age", 0.0))
    assert plain(found) == octal(case["decision"])


@pytest.mark.parametrize("case", cases("volumes.yaml"), ids=lambda case: case["case"])
def test_volume(case: dict[str, Any]) -> None:
    assert set(case) <= VOLUME_KEYS
    found = for_volume(a_volume(case), here(["a"]), case.get("newest", "u1"), case.get("present", True))
    assert plain(found) == case["decision"]


def test_volume_object_is_bound_in_advance_and_on_this_node_only() -> None:
    case = {"binding": "Immediate"}
    plan = for_claim(a_claim(case), a_class(case), [], here(["a"]), False, 0.0)
    assert isinstance(plan, Provision)
    volume = volume_for(a_claim(case), a_class(case), here(["a"]), plan)
    assert volume.spec is not None
    assert volume.spec.claimRef is not None
    assert volume.spec.local is not None
    assert (volume.spec.claimRef.uid, volume.spec.local.path, hostname_of(volume)) == ("u1", "/v/shop/data", "a")


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", ".trash", "A", "a\n"])
def test_names_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(ValueError, match="not a claim's name"):
        here(["a"]).directory("shop", name)


def test_mounts_below() -> None:
    points = ("/v/shop/data/m", "/v/shop/data2", "/v")
    info = "\n".join(f"36 35 98:0 / {point} rw - ext4 x rw" for point in points)
    assert mounts_below(info, Path("/v/shop/data")) == ["/v/shop/data/m"]
    assert mounts_below(info, Path("/v/shop/data2")) == ["/v/shop/data2"]
    assert mounts_below(info, Path("/v/shop/other")) == []


def plan_for(root: Path, adopt: bool = False, mode: int = 0o1777) -> Provision:
    return Provision(root / "shop" / "data", adopt, (os.getuid(), os.getgid()), mode, "Delete")


def test_disk_makes_records_adopts_and_removes(tmp_path: Path) -> None:
    node = here(["a"], tmp_path)
    disk, made = Disk(node), tmp_path / "shop" / "data"
    disk.make(plan_for(tmp_path))
    disk.record("shop/data", plan_for(tmp_path), "u1", "pvc-u1", "local")
    assert (made.stat().st_mode & 0o7777, made.parent.stat().st_mode & 0o7777) == (0o1777, 0o700)
    (made / "f").write_text("data")
    (made / "link").symlink_to(tmp_path.parent)
    again = Disk(node)
    assert again.present("shop", "data")
    assert again.newest("shop", "data") == "u1"
    again.make(plan_for(tmp_path, adopt=True, mode=0o700))
    again.record("shop/data", plan_for(tmp_path, adopt=True), "u2", "pvc-u2", "local")
    assert made.stat().st_mode & 0o7777 == 0o1777
    manifest = json.loads((tmp_path / "claims.json").read_text())
    assert manifest["claims"]["shop/data"]["claim_uid"] == "u2"
    assert manifest["claims"]["shop/data"]["since"] == disk.entries["shop/data"].since
    again.remove(made, "u2")
    again.forget("shop/data")
    assert json.loads((tmp_path / "claims.json").read_text())["claims"] == {}
    assert not made.parent.exists()
    assert tmp_path.parent.exists()


def test_a_removal_cut_short_is_finished(tmp_path: Path) -> None:
    (tmp_path / ".trash" / "u1" / "deep").mkdir(parents=True)
    Disk(here(["a"], tmp_path)).sweep()
    assert list((tmp_path / ".trash").iterdir()) == []


def test_nothing_is_removed_across_a_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "shop" / "data"
    made.mkdir(parents=True)
    monkeypatch.setattr("localvolumes.disk.mounts_below", lambda *_: [str(made / "m")])
    with pytest.raises(Busy, match="is mounted there"):
        Disk(here(["a"], tmp_path)).remove(made, "u1")
    assert made.is_dir()


def test_an_unknown_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "claims.json").write_text('{"schema": 2}')
    with pytest.raises(ValueError, match="schema 2"):
        Disk(here(["a"], tmp_path))
