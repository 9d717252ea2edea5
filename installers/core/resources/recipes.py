"""What recipes need while they are made, and their images in containerd afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from installers.core.actions.images import ImportImage
from installers.core.artifacts.recipes import IMAGE, Planned
from installers.core.facts.images import ContainerImages
from installers.core.model import Change, Decision, Deferred, Fact, Facts, May, Satisfied
from installers.core.resources.artifacts import Built, built_path, built_record
from installers.core.resources.base import BaseResource, Wrapper
from installers.core.resources.images import Image
from installers.site import Paths


@dataclass(frozen=True, slots=True)
class OnlyFor(Wrapper):
    """A resource that matters only while one of these builds has something to do: its tools, its inputs."""

    resource: BaseResource
    builds: tuple[Built, ...]

    def needs(self) -> tuple[Fact[Any], ...]:
        return tuple(dict.fromkeys((*self.resource.needs(), *(fact for one in self.builds for fact in one.needs()))))

    def decide(self, facts: Facts) -> Decision:
        if any(isinstance(one.decide(facts), Change) for one in self.builds):
            return self.resource.decide(facts)
        return Satisfied("nothing has to be built from it")


@dataclass(frozen=True, slots=True)
class BuiltImage(BaseResource):
    """The image a recipe makes, in containerd under the recipe's reference and its other names."""

    planned: Planned
    paths: Paths

    @property
    def reference(self) -> str:
        return self.planned.recipe.reference

    @property
    def key(self) -> str:
        return f"image:{self.reference}"

    @property
    def made_of(self) -> tuple[str, ...]:
        """The key of the step that puts the archive into the cache."""
        return (f"built:{self.planned.name}",)

    def needs(self) -> tuple[Fact[Any], ...]:
        return (ContainerImages(), built_record(self.planned, self.paths))

    def decide(self, facts: Facts) -> Decision:
        record = facts[built_record(self.planned, self.paths)]
        references = (self.reference, *self.planned.recipe.aliases)
        if record is None:
            may = tuple(May(ImportImage.kind, reference) for reference in references)
            return Deferred(f"{self.planned.recipe.title} is built", may)
        archive = built_path(self.planned, self.paths, file=IMAGE)
        digest = record.file(IMAGE).image
        decisions = [Image(reference, archive, digest).decide(facts) for reference in references]
        for decision in decisions:
            if isinstance(decision, Change):
                # One import brings every name the archive carries; each name is an action of its own, so that
                # each is taken back by itself.
                actions = tuple(a for one in decisions if isinstance(one, Change) for a in one.actions)
                images = dict(facts[ContainerImages()]) | dict.fromkeys(references, digest)
                return Change(actions, decision.why, {ContainerImages(): images})
        return decisions[0]
