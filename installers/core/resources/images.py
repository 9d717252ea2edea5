"""Container images, imported from archives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from installers.core.actions.images import ImportImage
from installers.core.facts.images import ContainerImages
from installers.core.model import Change, Decision, Fact, Facts, Satisfied


@dataclass(frozen=True, slots=True)
class Image:
    """An image in containerd under exactly this reference.

    ``archive``: an OCI or Docker archive which names its image ``reference``. ``digest``: of the
    manifest or index the reference must point to, ``sha256:…``.
    """

    reference: str
    archive: str
    digest: str

    @property
    def key(self) -> str:
        return f"image:{self.reference}"

    @property
    def listens(self) -> tuple[str, ...]:
        return ()

    def needs(self) -> tuple[Fact[Any], ...]:
        return (ContainerImages(),)

    def decide(self, facts: Facts) -> Decision:
        images = facts[ContainerImages()]
        present = images.get(self.reference)
        if present == self.digest:
            return Satisfied("containerd has it")
        why = f"containerd has another one ({present[:19]})" if present else "containerd does not have it"
        action = ImportImage(self.reference, self.archive, self.digest)
        return Change((action,), why, {ContainerImages(): {**images, self.reference: self.digest}})
