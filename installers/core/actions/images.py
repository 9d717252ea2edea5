"""Importing container images and taking them out again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from installers.core.actions.base import BaseAction
from installers.core.errors import Failure
from installers.core.facts.images import ContainerImages
from installers.core.model import DONE, Action, Host, Irreversible, Left, Outcome, Probe, Unknown

CTR = ("ctr", "-n", "k8s.io", "images")
IMPORT_SECONDS = 900.0
SECONDS = 60.0


def _present(probe: Probe, reference: str) -> str:
    """The digest a reference points to, "" when there is none."""
    images = ContainerImages().load(probe)
    if isinstance(images, Unknown):
        raise Failure("OLR-IMAGE-001", reference=reference, reason=images.reason)
    return images.get(reference, "")


def _former(reference: str, digest: str) -> str:
    """The name under which a replaced image waits for an undo."""
    return f"{reference}-before-{digest.removeprefix('sha256:')[:12]}"


@dataclass(frozen=True, slots=True)
class ImportImage(BaseAction):
    """Import an archive; an image the reference pointed to before is kept under another name."""

    kind: ClassVar[str] = "import-image"
    lane: ClassVar[str] = "containerd"
    patience: ClassVar[float] = 120.0

    reference: str
    archive: str
    digest: str

    @property
    def target(self) -> str:
        return self.reference

    @property
    def inside(self) -> str:
        return "containerd"

    def describe(self) -> str:
        return f"import image {self.reference}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        present = _present(probe, self.reference)
        return RestoreImage(self.reference, self.digest, "" if present == self.digest else present)

    def execute(self, host: Host) -> Outcome:
        if host.stat(self.archive) is None:
            raise Failure("OLR-IMAGE-002", reference=self.reference, archive=self.archive)
        present = _present(host, self.reference)
        if present == self.digest:
            # Another name of the same archive brought it along.
            return DONE
        if present:
            former = _former(self.reference, present)
            host.run([*CTR, "tag", "--force", self.reference, former], timeout=SECONDS)
        host.run([*CTR, "import", self.archive], timeout=IMPORT_SECONDS)
        arrived = _present(host, self.reference)
        if arrived != self.digest:
            found = arrived or "no such image"
            raise Failure("OLR-IMAGE-003", reference=self.reference, archive=self.archive, found=found)
        return DONE


@dataclass(frozen=True, slots=True)
class RestoreImage(BaseAction):
    """Remove an imported image, or let its reference point where it did (``former``, a digest, or "")."""

    kind: ClassVar[str] = "restore-image"
    lane: ClassVar[str] = "containerd"

    reference: str
    digest: str
    former: str = ""

    @property
    def target(self) -> str:
        return self.reference

    @property
    def inside(self) -> str:
        return "containerd"

    def describe(self) -> str:
        return f"put image {self.reference} back as it was" if self.former else f"remove image {self.reference}"

    def inverse(self, probe: Probe) -> Action | Irreversible:
        return Irreversible("taking something back is not itself taken back")

    def execute(self, host: Host) -> Outcome:
        present = _present(host, self.reference)
        before = _former(self.reference, self.former)
        if present not in ("", self.digest, self.former):
            return Left(self.reference, "the reference points to another image now")
        if self.former and present != self.former:
            if not _present(host, before):
                return Left(self.reference, "the image it pointed to before is gone")
            host.run([*CTR, "tag", "--force", before, self.reference], timeout=SECONDS)
        elif present == self.digest:
            host.run([*CTR, "rm", "--sync", self.reference], timeout=SECONDS)
        if self.former and _present(host, before):
            host.run([*CTR, "rm", before], timeout=SECONDS)
        return DONE


ACTIONS: tuple[type[BaseAction], ...] = (ImportImage, RestoreImage)
