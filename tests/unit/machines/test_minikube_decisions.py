"""What is decided about a minikube machine, from facts alone, and how its parts are written and read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from installers.core.errors import Failure
from installers.core.model import (
    Action,
    Blocked,
    Change,
    Decision,
    Deferred,
    Fact,
    Irreversible,
    Output,
    Query,
    Resource,
    Satisfied,
)
from installers.machines.minikube.actions import ACTIONS, DeleteProfile, MakeProfile, StartProfile, StopProfile
from installers.machines.minikube.driver import CODEC
from installers.machines.minikube.facts import (
    Cluster,
    ClusterImages,
    Docker,
    DockerRuns,
    Health,
    MachineKey,
    MinikubeVersion,
    OwnRecord,
    ProfileHealth,
    ProfileKept,
    Profiles,
    Program,
    parse_health,
    parse_images,
    parse_profiles,
)
from installers.machines.minikube.images import full_tag
from installers.machines.minikube.layout import (
    Profile,
    Record,
    Settings,
    Wanted,
    kubeconfig_path,
    minikube_home,
    planned,
    profile_name,
    user_paths,
)
from installers.machines.minikube.resources import (
    ImageLoaded,
    Means,
    ProfileMade,
    ProfileRunning,
    ProfileStopped,
    version_number,
)
from installers.machines.minikube.talk import Talk
from tests.unit.core.cases import RecordedProbe
from tests.unit.core.engine.samples import sample

SETTINGS = Settings("vfkit")
PROFILE = Profile("dev", "/Users/ada/.minikube", "/Users/ada/.kube/config", "/state/minikube/dev.json", SETTINGS)
CLUSTER = Cluster("olares-dev", "vfkit", 4, 8192, 81920, "containerd", "v1.35.1", (), "192.168.64.3")
RUNNING = Health("Running", "Running", "Running", "Configured")


class Given(dict[Fact[Any], Any]):
    """Facts by value; one that is not given is a mistake."""

    def __contains__(self, fact: object) -> bool:
        return super().__contains__(fact)


def decide(resource: Resource, *answers: Any) -> Decision:
    """The decision with an answer to each of its needs, in their order."""
    needs = resource.needs()
    assert len(needs) == len(answers)
    return resource.decide(Given(zip(needs, answers, strict=True)))


def made(record: Record | None, clusters: tuple[Cluster, ...] = (), kept: bool = False, key: str = "") -> Decision:
    resource = ProfileMade(PROFILE)
    kinds = [type(fact) for fact in resource.needs()]
    assert kinds == [OwnRecord, Profiles, ProfileKept, MachineKey]
    return decide(resource, record, clusters, kept, key)


OURS, UNFINISHED = Record(PROFILE, "k1"), Record(PROFILE)
LARGER = Record(replace(PROFILE, settings=replace(SETTINGS, cpus=8)), "k1")


@pytest.mark.parametrize(
    ("decision", "wanted"),
    [
        (made(None), "make"),
        (made(None, (replace(CLUSTER, name="olares-other"),)), "make"),
        (made(None, (CLUSTER,), kept=True, key="k1"), "OLR-MINI-008"),
        (made(None, kept=True), "OLR-MINI-008"),
        (made(OURS, (CLUSTER,), kept=True, key="k1"), "made"),
        (made(OURS), "make"),
        (made(OURS, (CLUSTER,), kept=True, key="k2"), "OLR-MINI-008"),
        (made(OURS, (CLUSTER,), kept=True), "made"),
        (made(OURS, kept=True, key="k1"), "OLR-MINI-009"),
        (made(OURS, (replace(CLUSTER, memory=4096),), kept=True, key="k1"), "OLR-MINI-007"),
        (made(OURS, (replace(CLUSTER, driver="qemu"),), kept=True, key="k1"), "OLR-MINI-007"),
        (made(OURS, (replace(CLUSTER, runtime="docker"),), kept=True, key="k1"), "OLR-MINI-009"),
        (made(LARGER, (CLUSTER,), kept=True, key="k1"), "OLR-MINI-007"),
        (made(LARGER), "make"),
        (made(UNFINISHED), "make"),
        (made(UNFINISHED, kept=True), "make"),
        (made(UNFINISHED, (CLUSTER,), kept=True, key="k1"), "make"),
    ],
)
def test_a_profile_is_made_used_or_refused(decision: Decision, wanted: str) -> None:
    match decision:
        case Satisfied():
            assert wanted == "made"
        case Change(actions, _, _):
            assert (actions, wanted) == ((MakeProfile(PROFILE),), "make")
        case Blocked(id, fields):
            assert id == wanted
            assert Failure(id, **fields).what
            assert Failure(id, **fields).next
        case _:
            raise AssertionError(decision)


@pytest.mark.parametrize(
    ("health", "start", "stop"),
    [
        (RUNNING, False, True),
        (replace(RUNNING, kubeconfig="Misconfigured"), False, True),
        (replace(RUNNING, apiserver="Paused", kubelet="Stopped"), True, True),
        (Health("Stopped", "Stopped", "Stopped", "Misconfigured"), True, False),
        (Health("Error", "Error", "Error", "Error"), True, True),
        (None, True, False),
    ],
)
def test_what_runs_is_not_started_and_what_does_not_is_not_stopped(
    health: Health | None, start: bool, stop: bool
) -> None:
    running, stopped = decide(ProfileRunning(PROFILE), health), decide(ProfileStopped(PROFILE), health)
    assert isinstance(running, Change if start else Satisfied)
    assert isinstance(stopped, Change if stop else Satisfied)
    if isinstance(running, Change):
        assert running.actions == (StartProfile(PROFILE),)
    if isinstance(stopped, Change):
        assert stopped.actions == (StopProfile(PROFILE),)


@pytest.mark.parametrize(
    ("settings", "answers", "wanted"),
    [
        (SETTINGS, (None, ""), "OLR-MINI-001"),
        (SETTINGS, ("1.35.0", "/opt/homebrew/bin/vfkit"), "OLR-MINI-002"),
        (SETTINGS, ("1.36.0", "/opt/homebrew/bin/vfkit"), ""),
        (SETTINGS, ("1.38.0-beta.0", ""), "OLR-MINI-003"),
        (Settings("qemu"), ("1.38.1", ""), "OLR-MINI-003"),
        (Settings("docker"), ("1.38.1", "/usr/bin/docker", Docker("", 0, 0, "no daemon")), "OLR-MINI-004"),
        (Settings("docker"), ("1.38.1", "/usr/bin/docker", Docker("28", 8, 7939)), "OLR-MINI-006"),
        (Settings("docker"), ("1.38.1", "/usr/bin/docker", Docker("28", 2, 16000)), "OLR-MINI-006"),
        (Settings("docker"), ("1.38.1", "/usr/bin/docker", Docker("28", 4, 8192)), ""),
    ],
)
def test_the_means_are_looked_at(settings: Settings, answers: tuple[Any, ...], wanted: str) -> None:
    resource = Means(settings, "/opt/homebrew/bin:/usr/bin")
    assert [type(fact) for fact in resource.needs()][:2] == [MinikubeVersion, Program]
    assert (DockerRuns() in resource.needs()) == (settings.driver == "docker")
    decision = decide(resource, *answers)
    if not wanted:
        assert isinstance(decision, Satisfied)
        return
    assert isinstance(decision, Blocked)
    assert decision.id == wanted
    assert Failure(decision.id, **decision.fields).next


def test_images_wait_for_the_machine_and_only_what_lacks_is_loaded() -> None:
    resource = ImageLoaded(PROFILE, "/x.tar", ("docker.io/library/a:1", "docker.io/library/b:1"))
    assert resource.needs() == (ClusterImages("olares-dev"),)
    later = decide(resource, None)
    now = decide(resource, ("docker.io/library/a:1",))
    assert isinstance(later, Deferred)
    assert isinstance(now, Change)
    assert now.why == "its nodes lack docker.io/library/b:1"
    assert [(may.kind, may.target) for may in later.may_become] == [(now.actions[0].kind, now.actions[0].target)]
    assert isinstance(decide(resource, ("docker.io/library/a:1", "docker.io/library/b:1", "c")), Satisfied)


@pytest.mark.parametrize("kind", ACTIONS, ids=lambda kind: kind.kind)
def test_every_action_can_be_stored_shown_and_taken_back(kind: type[Any]) -> None:
    action = sample(kind)
    assert isinstance(action, Action)
    assert CODEC.decode(CODEC.encode(action)) == action
    assert action.describe()
    back = action.inverse(RecordedProbe({}, []))
    assert isinstance(back, Irreversible) or CODEC.decode(CODEC.encode(back)) == back


def test_what_version_1_stored_is_understood() -> None:
    """By hand, as the first version wrote it: a journal outlives the program."""
    profile = (
        '{"machine":"dev","home":"/h/.minikube","kubeconfig":"/h/.kube/config","record":"/s/dev.json",'
        '"settings":{"driver":"vfkit","cpus":4,"memory":8192,"disk":81920,"ports":[],"kubernetes":""}}'
    )
    for kind in ("make-minikube-profile", "delete-minikube-profile", "start-minikube-profile", "stop-minikube-profile"):
        action = CODEC.decode((kind, 1, f'{{"profile":{profile}}}'))
        assert action.target == "olares-dev"
    record = Record.from_json(f'{{"version": 1, "profile": {profile}, "key": "k"}}'.encode())
    assert (record.key, record.profile.settings) == ("k", SETTINGS)
    assert Record.from_json(record.to_json()) == record


@pytest.mark.parametrize("content", [b"", b"{}", b'{"version": 2}', b'{"version": 1, "profile": {}}', b"[]"])
def test_what_is_no_record_is_unknown_and_never_nothing(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Record.from_json(content)


def test_what_lies_in_a_profile_goes_with_it() -> None:
    own = [sample(kind) for kind in ACTIONS]
    removed = DeleteProfile(own[0].profile).removes
    assert removed
    for action in own:
        assert action.inside == ("" if isinstance(action, DeleteProfile | MakeProfile) else removed)


STEP = (
    '{"specversion":"1.0","id":"51ed4e04","source":"https://minikube.sigs.k8s.io/","type":"io.k8s.sigs.minikube.step",'
    '"datacontenttype":"application/json","data":{"currentstep":"5","message":"🚜  Pulling base image ...",'
    '"name":"Pulling Base Image","totalsteps":"19"}}'
)
"""Real, from an events.json of v1.25.2 on a public page; so is the next."""
NO_REASON = (
    '{"specversion":"1.0","id":"69b1e2ad","source":"https://minikube.sigs.k8s.io/","type":"io.k8s.sigs.minikube.error",'
    '"datacontenttype":"application/json","data":{"message":"❗  This container is having trouble accessing https://k8s.gcr.io"}}'
)
REASON = (
    '{"data":{"advice":"fix me!","exitcode":"4","issues":"https://github.com/kubernetes/minikube/issues/1",'
    '"message":"my error","name":"BUG","url":"url"},"datacontenttype":"application/json","id":"random-id",'
    '"source":"https://minikube.sigs.k8s.io/","specversion":"1.0","type":"io.k8s.sigs.minikube.error"}'
)
"""From minikube's own test of this output (pkg/minikube/out/out_reason_test.go)."""


def heard(*lines: str) -> tuple[Talk, list[tuple[int, int | None, str, str]]]:
    told: list[tuple[int, int | None, str, str]] = []
    talk = Talk("start", "olares-dev", lambda *said: told.append(said))
    for line in lines:
        talk.hear(line)
    return talk, told


def test_steps_are_progress() -> None:
    talk, told = heard(STEP)
    assert told == [(5, 19, "steps", "Pulling base image ...")]
    assert talk.step == "Pulling base image ..."


def test_a_reason_is_told_by_its_id_with_its_advice() -> None:
    failure = heard(STEP, REASON)[0].failure(4)
    assert failure.what == "minikube start ended with status 4 (BUG): my error"
    assert "fix me!" in failure.next


def test_a_warning_sent_as_an_error_is_no_reason() -> None:
    talk, _ = heard(STEP, NO_REASON)
    assert talk.error == {}
    failure = talk.failure(109)
    assert "(about Kubernetes): This container is having trouble" in failure.what


def test_a_reason_in_plain_words_is_found_too() -> None:
    failure = heard("", "X Exiting due to GUEST_IMAGE_LOAD: Failed to load image", "* Suggestion")[0].failure(80)
    assert "(GUEST_IMAGE_LOAD): Failed to load image" in failure.what


@pytest.mark.parametrize(
    "line", ["", "{", "{}", "[]", '{"type": "other", "data": {}}', '{"type": "io.k8s.sigs.minikube.step"}']
)
def test_whatever_it_says_nothing_breaks(line: str) -> None:
    talk, told = heard(line)
    assert (told, talk.error) == ([], {})
    assert talk.failure(1).what


@pytest.mark.parametrize("text", ["", "no json", "{}", '{"valid": null}', '{"error": {}}', "[]"])
def test_what_is_no_list_of_profiles_is_not_taken_for_none(text: str) -> None:
    assert parse_profiles(text) is None


def test_a_profile_with_nothing_but_a_name_is_one() -> None:
    assert parse_profiles('{"valid":[{"Name":"dev"},{"Name":"a","Config":null}]}') == (
        Cluster("a", "", 0, 0, 0, "", ""),
        Cluster("dev", "", 0, 0, 0, "", ""),
    )


def test_odd_answers_are_unknown() -> None:
    assert type(parse_health("what?")).__name__ == "Unknown"
    assert type(parse_images("what?")).__name__ == "Unknown"
    assert type(parse_images('{"images": 1}')).__name__ == "Unknown"
    assert parse_health("[]") is None


class Missing(RecordedProbe):
    """A computer without the program that is asked."""

    def query(self, query: Query) -> Output:
        raise Failure("OLR-HOST-003", program=query.name)


class Hanging(RecordedProbe):
    """A computer whose minikube does not answer."""

    def query(self, query: Query) -> Output:
        raise Failure("OLR-HOST-002", program=query.name, seconds="60", tail="it wrote nothing")


def test_no_minikube_is_known_and_a_hanging_one_is_not_taken_for_none() -> None:
    assert MinikubeVersion().load(Missing({}, [])) is None
    for fact in (MinikubeVersion(), Profiles(), ProfileHealth("olares")):
        with pytest.raises(Failure, match="OLR-HOST-002"):
            fact.load(Hanging({}, []))


def test_names_and_places() -> None:
    assert [profile_name(name) for name in ("olares", "dev", "olares-dev")] == [
        "olares",
        "olares-dev",
        "olares-olares-dev",
    ]
    ada = {"HOME": "/Users/ada"}
    assert user_paths(ada, "darwin").state == "/Users/ada/Library/Application Support/olares"
    assert user_paths(ada, "linux").state == "/Users/ada/.local/state/olares"
    assert user_paths({**ada, "XDG_STATE_HOME": "/x"}, "linux").state == "/x/olares"
    assert user_paths({**ada, "OLARES_STATE_DIR": "/s"}, "darwin").state == "/s"
    assert minikube_home(ada) == "/Users/ada/.minikube"
    assert [minikube_home({"MINIKUBE_HOME": given}) for given in ("/a/.minikube", "/a", "/a/")] == ["/a/.minikube"] * 3
    assert kubeconfig_path(ada) == "/Users/ada/.kube/config"
    assert kubeconfig_path({"KUBECONFIG": ":/one:/two"}) == "/one"


def test_what_is_not_said_stays_as_it_was() -> None:
    paths = user_paths({"HOME": "/h"}, "linux")
    record = Record(replace(PROFILE, settings=Settings("docker", 3, 6144, 40000, ("80",), "v1.33.3")), "k")
    again = planned("dev", Wanted(memory=4096), record=record, paths=paths, environ={"HOME": "/h"})
    assert again.settings == Settings("docker", 3, 4096, 40000, ("80",), "v1.33.3")
    assert again.kubeconfig == record.profile.kubeconfig


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("mine", "docker.io/library/mine:latest"),
        ("mine:1", "docker.io/library/mine:1"),
        ("ada/tool", "docker.io/ada/tool:latest"),
        ("ghcr.io/ada/tool:2", "ghcr.io/ada/tool:2"),
        ("localhost/tool:2", "localhost/tool:2"),
        ("localhost:5000/tool", "localhost:5000/tool:latest"),
        ("olares.local/postgres:15", "olares.local/postgres:15"),
    ],
)
def test_tags_are_written_in_full(short: str, full: str) -> None:
    assert full_tag(short) == full


def test_versions_count_by_number() -> None:
    assert version_number("1.9.0") < version_number("1.36.0") <= version_number("1.36.0-beta.1") < version_number("2.0")
