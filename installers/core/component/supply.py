"""An installation's steps when a depot has everything: nothing is fetched, nothing is built, apt asks nobody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from installers.core.artifacts.depot.open import Depot
from installers.core.component.steps import ARTIFACTS
from installers.core.model import Step
from installers.core.resources.artifacts import Built, Fetched
from installers.core.resources.packages import Packages
from installers.core.resources.recipes import OnlyFor
from installers.core.resources.supplied import Brought, supplied
from installers.site import Paths


def out_of(depot: Depot, steps: Sequence[Step], paths: Paths) -> list[Step]:
    """The steps with downloads and builds taken from a depot, and Debian packages from its repository.

    Tools to build with and what builds are made of are wanted no more.
    """
    return list(_supplied(depot, steps, paths))


def _supplied(depot: Depot, steps: Sequence[Step], paths: Paths) -> Iterator[Step]:
    repository = depot.repository()
    for step in steps:
        match step.resource:
            case Built() | Fetched() as made:
                yield replace(step, resource=supplied(made, depot), after=frozenset())
            case OnlyFor() if step.phase == ARTIFACTS:
                continue
            case Packages() as packages if repository:
                here = packages.out_of(repository)
                brought = Brought(here, depot, paths, depot.archives()) if depot.web else here
                yield replace(step, resource=brought)
            case _:
                yield step
