"""Running the checks: all of them, at once, each with a deadline of its own."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, wait

from installers.core.engine.gather import FactStore
from installers.core.engine.journal import LIVE, Journal
from installers.core.errors import Failure
from installers.core.facts.conditions import Ours
from installers.core.model import FactUnknown, Probe, Unknown
from installers.precheck.capacity import Cpus, Disk, KernelLimits, MemorySize, SwapSpace
from installers.precheck.check import Check, CheckResult, Failed, NotRun, Passed, Verdict
from installers.precheck.kernel import ControlGroups, KernelFeatures, SecurityModules
from installers.precheck.network import AddressRanges, DefaultRoute, NodeName, PortsFree, Resolver
from installers.precheck.software import Containerd, DpkgFinished, DpkgFree, OtherRuntimes, PackageSources
from installers.precheck.system import ClockRight, Distribution, Processor, RootPrivileges, Systemd
from installers.site import Site


def checks(site: Site) -> tuple[Check, ...]:
    """Every check, in the order in which a person repairs a machine."""
    paths = site.paths
    return (
        RootPrivileges(),
        Systemd(),
        Distribution(site.source),
        Processor(),
        Cpus(),
        MemorySize(),
        Disk(paths.state, paths.cache, paths.journal),
        OtherRuntimes(paths.journal),
        Containerd(),
        PackageSources(),
        DpkgFree(),
        DpkgFinished(),
        KernelFeatures(),
        ControlGroups(),
        KernelLimits(),
        PortsFree(paths.journal),
        DefaultRoute(site.node.address),
        AddressRanges(site.network.pods, site.network.services, paths.journal),
        Resolver(),
        NodeName(site.node.name),
        ClockRight(),
        SwapSpace(),
        SecurityModules(),
    )


def precheck(site: Site, probe: Probe) -> tuple[CheckResult, ...]:
    """The results of all checks, in order."""
    return run(checks(site), probe, ours=components_here(site.paths.journal), journal=site.paths.journal)


def components_here(journal: str) -> frozenset[str] | Unknown:
    """The components with live actions in a journal, and the packages these brought; none without a journal."""
    try:
        opened = Journal(journal, mode="read")
        try:
            rows = opened.rows(*LIVE)
            named = (row.key.partition(":")[2].split() for row in rows if row.key.startswith("packages:"))
            return frozenset(row.component for row in rows).union(*named)
        finally:
            opened.close()
    except (OSError, Failure, sqlite3.Error) as error:
        return Unknown(f"the journal {journal} cannot be read: {error}")


def run(
    wanted: Sequence[Check], probe: Probe, *, ours: frozenset[str] | Unknown, journal: str
) -> tuple[CheckResult, ...]:
    """Ask all checks at once. One whose facts do not come in time is not-run and holds up nobody."""
    store = FactStore(probe, {Ours(journal): ours})
    began = time.monotonic()
    pending = [(check, _ask(check, store)) for check in wanted]
    results = []
    for check, future in pending:
        wait([future], timeout=max(0.0, began + check.patience - time.monotonic()))
        late = NotRun(f"this machine did not answer within {check.patience:g} s")
        results.append(result_of(check, future.result() if future.done() else late))
    return tuple(results)


def _ask(check: Check, store: FactStore) -> Future[Verdict]:
    """Judge in a thread that nobody has to wait for, not even the end of the program."""
    future: Future[Verdict] = Future()

    def work() -> None:
        try:
            future.set_result(_judge(check, store))
        except BaseException as mistake:
            future.set_exception(mistake)
            raise

    threading.Thread(target=work, name=f"check {check.id}", daemon=True).start()
    return future


def _judge(check: Check, store: FactStore) -> Verdict:
    needs = check.needs()
    for fact in needs:
        store.load((fact,))
    try:
        return check.judge(store.view(needs))
    except FactUnknown as unknown:
        return NotRun(unknown.reason)


def result_of(check: Check, verdict: Verdict) -> CheckResult:
    """A verdict in words; those of failures stand in the catalogue."""
    match verdict:
        case Passed(detail):
            return CheckResult(check.id, check.title, check.severity, "passed", detail)
        case NotRun(reason):
            return CheckResult(check.id, check.title, check.severity, "not-run", reason)
        case Failed(problem, fields, severity):
            failure = Failure(problem, **fields)
            advice = f"{failure.next} (why: `olares-cli explain {problem}`)"
            return CheckResult(
                check.id, check.title, severity or check.severity, "failed", failure.what, advice, problem
            )
