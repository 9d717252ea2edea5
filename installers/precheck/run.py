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
from installers.core.facts.platform import MacosVersion
from installers.core.model import FactUnknown, Probe, Unknown
from installers.precheck.capacity import Cpus, KernelLimits, MemorySize, SwapSpace, disk
from installers.precheck.check import Check, CheckResult, Failed, NotRun, Passed, Verdict
from installers.precheck.kernel import (
    CgroupVersion,
    ControlGroups,
    KernelAge,
    KernelFeatures,
    NetfilterModules,
    SecurityModules,
)
from installers.precheck.leftovers import FormerNetworks, Graphics, Installer, OwnUpgrades, WebPorts
from installers.precheck.names import OneWayOut, OwnEntry, OwnIds, ResolverFile
from installers.precheck.network import AddressRanges, DefaultRoute, NodeName, PortsFree, Resolver
from installers.precheck.platforms import (
    Hypervisor,
    KernelLog,
    KubeletSettings,
    LinuxContainer,
    MemoryOnPi,
    OuterLimits,
    Pages,
    PaidSources,
    SharedMounts,
    Surroundings,
    Windows,
    WindowsLife,
    WordSize,
)
from installers.precheck.protection import (
    ApparmorParser,
    FirewallOn,
    Forwarding,
    NetworkManagerRule,
    OneRuleSet,
    SelinuxPolicy,
)
from installers.precheck.proxies import MirrorsAnswer, ProxyAnswers
from installers.precheck.software import Containerd, DpkgFinished, DpkgFree, OtherRuntimes, PackageSources
from installers.precheck.storage import DataFileSystem, Executable, FastDisk, QuickSync
from installers.precheck.system import ClockRight, Distribution, OperatingSystem, Processor, RootPrivileges, Systemd
from installers.site import Site


def checks(site: Site) -> tuple[Check, ...]:
    """Every check, in the order in which a person repairs a machine."""
    return (*_machine(site), *_software(site), *_kernel(site), *_network(site), *_said(site))


def _machine(site: Site) -> tuple[Check, ...]:
    paths = site.paths
    return (
        OperatingSystem(),
        RootPrivileges(),
        Surroundings(),
        Windows(),
        Systemd(),
        LinuxContainer(),
        Distribution(site.edition),
        Processor(),
        WordSize(),
        Pages(),
        MemoryOnPi(),
        Hypervisor(),
        Cpus(),
        MemorySize(),
        disk(site),
        DataFileSystem(paths.state),
        Executable(paths.state),
        FastDisk(paths.state),
        QuickSync(paths.state, paths.cache),
    )


def _software(site: Site) -> tuple[Check, ...]:
    journal = site.paths.journal
    return (
        OtherRuntimes(journal),
        FormerNetworks(journal),
        Containerd(site.edition),
        Installer(),
        # A bundle brings its packages along; the host's own sources are not asked.
        *(() if site.signed else (PackageSources(site.edition), PaidSources())),
        DpkgFree(),
        DpkgFinished(),
    )


def _kernel(site: Site) -> tuple[Check, ...]:
    return (
        KernelAge(site.edition),
        KernelFeatures(),
        NetfilterModules(),
        CgroupVersion(site.edition),
        ControlGroups(),
        KernelLimits(),
        KernelLog(),
        KubeletSettings(),
        SharedMounts(),
        SelinuxPolicy(site.kube),
        ApparmorParser(),
    )


def _network(site: Site) -> tuple[Check, ...]:
    network, journal = site.network, site.paths.journal
    return (
        PortsFree(journal),
        DefaultRoute(site.node.address),
        OneWayOut(),
        AddressRanges(network.pods, network.services, journal),
        FirewallOn(network.pods, network.services),
        Forwarding(),
        OneRuleSet(),
        NetworkManagerRule(),
        Resolver(network.dns),
        ResolverFile(),
        *_way_out(site),
        NodeName(site.node.name),
        OwnEntry(),
        OwnIds(),
    )


def _way_out(site: Site) -> tuple[Check, ...]:
    urls = tuple(dict.fromkeys(url for url in (site.proxy.http, site.proxy.https) if url)) if site.proxy else ()
    proxies: tuple[Check, ...] = (ProxyAnswers(urls),) if urls else ()
    return (*proxies, MirrorsAnswer(site.registries)) if site.registries else proxies


def _said(site: Site) -> tuple[Check, ...]:
    """What is good to know and forbids nothing, and what somebody else may have to mend."""
    return (
        ClockRight(),
        SwapSpace(),
        SecurityModules(),
        OuterLimits(),
        WindowsLife(),
        OwnUpgrades(),
        WebPorts(),
        Graphics(),
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
    if check.id != OperatingSystem.id and isinstance(store.answer(MacosVersion()), str):
        return NotRun("it asks about Linux, and this is macOS", concerns=False)
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
        case Passed(detail, concerns):
            return CheckResult(check.id, check.title, check.severity, "passed", detail, concerns=concerns)
        case NotRun(reason, concerns):
            return CheckResult(check.id, check.title, check.severity, "not-run", reason, concerns=concerns)
        case Failed(problem, fields, severity):
            failure = Failure(problem, **fields)
            advice = f"{failure.next} (why: `olares-cli explain {problem}`)"
            return CheckResult(
                check.id, check.title, severity or check.severity, "failed", failure.what, advice, problem
            )
