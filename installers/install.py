"""The verbs: plan, install, resume, undo, uninstall, status. What a person or the daemon asks of one host."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from installers.choice import (
    LeftOut,
    choose,
    components,
    kubeconfig,
    left_out,
    lock_path,
    lock_text,
    locked_node,
    source_text,
)
from installers.core.artifacts.actions import ACTIONS as ARTIFACT_ACTIONS
from installers.core.artifacts.depot.open import Depot, accept, nothing
from installers.core.artifacts.index import Registry
from installers.core.artifacts.recipes import made_of
from installers.core.artifacts.reference import pinned_as
from installers.core.artifacts.releases import require_reach
from installers.core.artifacts.report import Report
from installers.core.component.codec import ActionCodec
from installers.core.component.load import Component
from installers.core.component.manifest import Edition, Substitute
from installers.core.component.steps import ARTIFACTS, Wanted, build_steps
from installers.core.component.supply import out_of
from installers.core.component.values import Platform
from installers.core.engine import run as engine
from installers.core.engine.plan import Past, Plan, Planned, make_plan
from installers.core.engine.run import Bench, Result
from installers.core.engine.undo import latest
from installers.core.errors import Failure
from installers.core.facts.packages import PackageVersion, upstream_version
from installers.core.facts.platform import (
    Architecture,
    DefaultAddress,
    Hostname,
    MacosVersion,
    OsRelease,
    SystemdRunning,
)
from installers.core.host.kube import KubeWriter
from installers.core.host.local import LocalHost, LocalProbe
from installers.core.host.mounts import mount_points
from installers.core.model import Blocked, Change, Deferred, Kept, Probe, Resource, Satisfied, Step
from installers.core.model.events import Emit
from installers.core.resources.artifacts import Fetched
from installers.core.resources.files import File
from installers.opening import kept, known, opened
from installers.phases import PHASES, phase_of
from installers.precheck.check import CheckResult
from installers.precheck.run import precheck as run_checks
from installers.site import INSTALLATION, LOCK, MACHINE, Node, Paths, Site

CODEC = ActionCodec(ARTIFACT_ACTIONS)
OWN_WORK = "dpkg-finished"
"""The check that finds what a killed run of ours left half done."""

SELF = "installation"
"""Component name of the two files that say what is installed here and with which choices."""


@dataclass(frozen=True, slots=True)
class Options:
    """What one call asks for. Empty ``phases`` means all. ``stop`` is set by whoever handles the interrupt.

    ``request``: the same in the caller's own words, which ``cut_off`` gives back. ``trust``: the fingerprint
    of a bundle's publisher, "" for one accepted before; ``report``: told how far a bundle is unpacked.
    """

    site: Site
    phases: tuple[str, ...] = ()
    skip_phases: tuple[str, ...] = ()
    stop: threading.Event = field(default_factory=threading.Event)
    request: str = ""
    trust: str = ""
    report: Report = nothing


@dataclass(frozen=True, slots=True)
class InstallPlan:
    """The engine's plan and what stands in for what in it. ``images``: every one that a registry serves."""

    plan: Plan
    substitutes: tuple[Substitute, ...]
    site: Site
    left_out: tuple[LeftOut, ...] = ()
    images: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[Planned, ...]:
        return self.plan.items

    def changes(self) -> tuple[Planned, ...]:
        return self.plan.changes()

    def blocked(self) -> tuple[Planned, ...]:
        return self.plan.blocked()

    def deferred(self) -> tuple[Planned, ...]:
        return self.plan.deferred()

    def to_json(self) -> dict[str, Any]:
        rows = [{"name": s.name, "for": s.stands_for, "lacks": list(s.lacks)} for s in self.substitutes]
        chosen = {"source": source_text(self.site), "kube": self.site.kube, "edition": self.site.edition}
        missing = [asdict(row) for row in self.left_out]
        return self.plan.to_json() | chosen | {"substitutes": rows, "left_out": missing, "images": list(self.images)}


State = Literal["running", "degraded", "absent", "skipped"]


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """One system as it is now. ``since``: when it last changed, seconds since the epoch. ``images``: of registries."""

    name: str
    title: str
    phase: str
    version: str
    state: State
    since: float | None
    substitute: Substitute | None
    detail: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """The whole installation. ``unfinished``: a run was cut off and can be resumed."""

    components: tuple[ComponentStatus, ...]
    unfinished: bool


def plan(options: Options, probe: Probe | None = None, *, past: Past | None = None) -> InstallPlan:
    """What an install would do. Writes nothing outside the cache. ``past``: instead of this host's journal."""
    site, depot = opened(options.site, probe or LocalProbe(), trust=options.trust, report=options.report)
    return _planned(options, site, depot, probe, past)


def _planned(
    options: Options, site: Site, depot: Depot | None, probe: Probe | None, past: Past | None = None
) -> InstallPlan:
    site = resolve(site, probe or LocalProbe())
    probe = probe or _local(site)
    found = make_plan(_steps(options, site, probe, depot), probe, past or engine.past(site.paths.journal))
    chosen = components(site)
    images = tuple(image for one in chosen for image in _images(one, site))
    return InstallPlan(found, _substitutes(chosen), site, left_out(site), images)


def _images(component: Component, site: Site) -> tuple[str, ...]:
    """The images of registries it runs, by the digests that are known of them: its own, or those of a bundle."""
    vouched = dict(site.images)
    return tuple(pinned_as(image, vouched.get(image, "")) for image in component.edition.references.values())


def precheck(options: Options, probe: Probe) -> tuple[CheckResult, ...]:
    """Every check of whether this host can be installed on, all at once. Writes nothing."""
    site, _ = opened(options.site, probe, trust=options.trust, report=options.report)
    results = run_checks(choose(site, probe), probe)
    if not engine.unfinished(options.site.paths.journal):
        return results
    # A run of ours that was cut off inside dpkg is what the next one takes up first: nothing to forbid it for.
    return tuple(replace(one, severity="warning") if one.id == OWN_WORK else one for one in results)


def install(
    options: Options, *, emit: Emit, saved_plan: Mapping[str, Any] | None = None, verb: str = "install"
) -> Result:
    """Bring this host to what the site says; a second run changes nothing."""
    engine.require_root()
    probe = LocalProbe()
    paths = options.site.paths
    engine.claim_installation(INSTALLATION, paths.state)
    site, depot = opened(options.site, probe, trust=options.trust, report=options.report)
    site = resolve(site, probe)
    _require_host(site, probe)
    steps = _steps(options, site, probe, depot)
    _require_source(steps, probe)
    if depot is not None:
        accept(depot, paths)
    # A bundle decides the engine, and that decides whose cluster is asked.
    return engine.install(_bench(replace(options, site=site), emit), steps, verb=verb, saved=saved_plan)


def resume(options: Options, *, emit: Emit) -> Result:
    """Take up a run that was cut off: put its remains to rest, then install what is missing."""
    return install(options, emit=emit, verb="resume")


def cut_off(options: Options) -> str | None:
    """The request of the last run here, if it did not come to its end."""
    return engine.cut_off(options.site.paths.journal)


def undo(options: Options, *, emit: Emit) -> Result:
    """Take back what the latest run changed."""
    engine.require_root()
    engine.claim_installation(INSTALLATION, options.site.paths.state)
    return engine.take_back(_bench(options, emit), verb="undo", choose=latest)


def uninstall(options: Options, *, emit: Emit, everything: Literal["keep-data", "all"] = "keep-data") -> Result:
    """Take back everything ever done here. User data and the secrets that open it stay unless ``all``."""
    engine.require_root()
    paths = options.site.paths
    engine.claim_installation(INSTALLATION, paths.state)
    result = engine.take_back(_bench(options, emit), verb="uninstall", choose=engine.everything)
    # What failed to go stays in the journal for the next try; what a user had changed is settled.
    if result.status in ("done", "left") and not engine.remaining(paths.journal):
        _remove_own(paths, everything)
        if everything == "all":
            return replace(result, kept=())
        volumes = (Kept(paths.volumes, "user data"),) if Path(paths.volumes).is_dir() else ()
        return replace(result, kept=(*result.kept, *volumes))
    return result


def status(options: Options, probe: Probe | None = None) -> Status:
    """Every component with its state, read from the machine itself."""
    probe = probe or _local(options.site)
    paths = options.site.paths
    site = choose(options.site, probe)
    missing = tuple(
        ComponentStatus(one.name, one.title, one.phase, "", "skipped", None, None, one.why) for one in left_out(site)
    )
    if not Path(paths.journal).exists():
        rows = (_row(one, site, "absent", "it is not installed") for one in components(site))
        return Status((*rows, *missing), unfinished=False)
    # Nobody is asked for what is only looked at.
    found = _planned(options, *kept(options.site, probe, trust=options.trust, report=options.report), probe)
    since = engine.last_changes(paths.journal)
    now = []
    for component in components(site):
        mine = [item for item in found.items if item.step.component == component.name]
        changed = since.get(component.name)
        version = _version(component.edition, probe)
        now.append(_row(component, found.site, *_state(mine, changed), changed, version=version))
    return Status((*now, *missing), unfinished=engine.unfinished(paths.journal))


def _row(
    component: Component, site: Site, state: State, detail: str, since: float | None = None, *, version: str = ""
) -> ComponentStatus:
    manifest, edition = component.manifest, component.edition
    return ComponentStatus(
        component.name,
        manifest.title,
        manifest.phase,
        version or edition.version,
        state,
        since,
        edition.substitute,
        detail,
        _images(component, site),
    )


def _version(edition: Edition, probe: Probe) -> str:
    """The version that is installed, "" where the edition itself says it."""
    found = PackageVersion(edition.version_of).load(probe) if edition.version_of else None
    return upstream_version(found) if isinstance(found, str) else ""


def _state(items: Sequence[Planned], since: float | None) -> tuple[State, str]:
    """A component runs when nothing would have to be done about it."""
    for item in items:
        match item.decision:
            case Satisfied():
                continue
            case Change(_, why, _):
                return ("absent" if since is None else "degraded"), why
            case Deferred(until, _):
                return ("absent" if since is None else "degraded"), f"it waits until {until}"
            case Blocked(id, fields):
                return "degraded", str(Failure(id, **fields))
    return "running", "all is as it should be"


def resolve(site: Site, probe: Probe) -> Site:
    """The site with every choice made: read from site.lock once there is one, else from the host."""
    if isinstance(version := MacosVersion().load(probe), str):
        raise Failure("OLR-PRE-080", version=version or "(unknown)")
    site = choose(site, probe)
    if locked := locked_node(site, probe):
        return replace(site, node=locked)
    node = Node(
        name=site.node.name or known(Hostname(), probe).lower(),
        address=site.node.address or known(DefaultAddress(), probe) or "",
    )
    if not node.address:
        raise Failure("OLR-PLAN-003")
    return replace(site, node=node)


def _require_host(site: Site, probe: Probe) -> None:
    """Services need systemd; what is past its upstream life needs a machine, or somebody's word."""
    if SystemdRunning().load(probe) is not True:
        raise Failure("OLR-PLAN-004")
    if site.edition == "debian" and not site.accept_eol and probe.stat(MACHINE) is None:
        raise Failure("OLR-PLAN-005")


def _require_source(steps: Sequence[Step], probe: Probe) -> None:
    """Before the first change: where releases are to be fetched from, somebody answers."""
    wanted = [step.resource for step in steps if isinstance(step.resource, Fetched)]
    lacking = [
        one
        for one in wanted
        if one.pin.registry is Registry.RELEASE
        and one.pin.file.sha256
        and probe.stat(one.entry.path) is None
        and not (one.installed and all(probe.stat(path) for path, _ in one.installed))
    ]
    if lacking:
        require_reach((one.pin for one in lacking), places=lacking[0].places)


def _substitutes(chosen: Sequence[Component]) -> tuple[Substitute, ...]:
    return tuple(one.edition.substitute for one in chosen if one.edition.substitute)


def _steps(options: Options, site: Site, probe: Probe, depot: Depot | None = None) -> list[Step]:
    """All steps of the chosen phases, the two files about the installation itself first."""
    here = known(OsRelease(), probe)
    steps = component_steps(site, Platform(made_of(here.id, here.codename), known(Architecture(), probe)))
    steps = out_of(depot, steps, site.paths) if depot else steps
    own = [Step(resource, SELF, PHASES[0].name) for resource in _own(site)]
    return [*own, *_chosen(steps, options)]


def component_steps(site: Site, platform: Platform) -> list[Step]:
    """Everything the components of every phase want on such a host; nothing is read for it."""
    wanted = [Wanted(component, phase_of(component.path).name) for component in components(site)]
    return build_steps(wanted, site, platform)


def _own(site: Site) -> tuple[Resource, ...]:
    return (
        File(INSTALLATION, f"{site.paths.state}\n"),
        File(lock_path(site), lock_text(site, components(site))),
    )


def _chosen(steps: list[Step], options: Options) -> list[Step]:
    """The steps of the chosen phases with the downloads and builds they rest on."""
    names = {phase.name for phase in PHASES}
    for name in (*options.phases, *options.skip_phases):
        if name not in names:
            raise Failure("OLR-PLAN-002", name=name, known=", ".join(phase.name for phase in PHASES))
    if not options.phases and not options.skip_phases:
        return steps
    phases = (set(options.phases) or names) - set(options.skip_phases)
    by_key = {step.resource.key: step for step in steps}
    keep: set[str] = set()

    def take(step: Step) -> None:
        keep.add(step.resource.key)
        for key in step.after:
            if key in by_key and by_key[key].phase == ARTIFACTS and key not in keep:
                take(by_key[key])

    for step in steps:
        if step.phase in phases:
            take(step)
    return [step for step in steps if step.resource.key in keep]


def _local(site: Site) -> LocalProbe:
    """This host, with the cluster of the engine that is installed or would be."""
    return LocalProbe(kubeconfig=kubeconfig(site, LocalProbe()))


def _bench(options: Options, emit: Emit) -> Bench:
    paths = options.site.paths
    access = kubeconfig(options.site, LocalProbe())
    cluster = KubeWriter(access)
    return Bench(
        journal=paths.journal,
        lock=LOCK,
        probe=LocalProbe(kubeconfig=access),
        host=lambda children: LocalHost(
            "/", paths, scope=children, emit_progress=children.progress, kubeconfig=access, cluster=cluster
        ),
        codec=CODEC,
        emit=emit,
        stop=options.stop,
        request=options.request,
    )


def _remove_own(paths: Paths, everything: Literal["keep-data", "all"]) -> None:
    """The program's own traces, once nothing on the machine is its work any more."""
    for path in (paths.journal, f"{paths.journal}-journal"):
        Path(path).unlink(missing_ok=True)
    doomed = [
        f"{paths.state}/trust",
        f"{paths.state}/index",
        paths.before,
        paths.built,
        paths.scratch,
        paths.cache,
        paths.logs,
        paths.run,
    ]
    if everything == "all":
        doomed += [paths.volumes, paths.secrets]
    # In a machine cache and ledger are shared with the computer around it: what is mounted is not ours.
    mounted = mount_points(Path("/proc/self/mountinfo").read_text())
    for directory in doomed:
        if not any(point == directory or point.startswith(f"{directory}/") for point in mounted):
            shutil.rmtree(directory, ignore_errors=True)
    for directory in (paths.state, str(Path(paths.config).parent)):
        if Path(directory).is_dir() and not any(Path(directory).iterdir()):
            Path(directory).rmdir()
