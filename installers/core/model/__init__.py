"""The words everything else is written in: protocols, decisions, secrets, events. No behaviour."""

from installers.core.model.action import DONE, Action, Done, Irreversible, Kept, Left, Outcome
from installers.core.model.facts import Claimed, Fact, Facts, FactUnknown, Owed, Recorded, Unknown
from installers.core.model.footprint import Baseline, Footprint
from installers.core.model.host import ClusterAbsent, ClusterSilent, Host, Kind, Object, Output, Probe, Query, Ref, Stat
from installers.core.model.resource import Blocked, Change, Decision, Deferred, May, Resource, Satisfied, Step
from installers.core.model.secret import Secret, masked, secrets_in

__all__ = [
    "DONE",
    "Action",
    "Baseline",
    "Blocked",
    "Change",
    "Claimed",
    "ClusterAbsent",
    "ClusterSilent",
    "Decision",
    "Deferred",
    "Done",
    "Fact",
    "FactUnknown",
    "Facts",
    "Footprint",
    "Host",
    "Irreversible",
    "Kept",
    "Kind",
    "Left",
    "May",
    "Object",
    "Outcome",
    "Output",
    "Owed",
    "Probe",
    "Query",
    "Recorded",
    "Ref",
    "Resource",
    "Satisfied",
    "Secret",
    "Stat",
    "Step",
    "Unknown",
    "masked",
    "secrets_in",
]
