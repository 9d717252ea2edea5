"""Templates: where their file is looked for, and what they refuse."""

from __future__ import annotations

import pytest

from installers.core.model import Secret
from installers.core.resources import Not, Packages, Template, Unit
from installers.core.resources.packages import Provides, merged
from tests.unit.core.test_resource_cases import GivenFacts


def test_package_is_the_callers_own() -> None:
    assert Template("a.j2").package == __package__


def test_unknown_name_is_an_error() -> None:
    import jinja2

    with pytest.raises(jinja2.UndefinedError):
        Template("taste.toml.j2", package="tests.data", name="x").render(GivenFacts({}, ()))


def test_secrets_inside_texts_are_found() -> None:
    template = Template("a.j2", password=Secret("a"), url=f"http://u:{Secret('b', 'base64')}@h", other=3)
    assert set(template.secrets()) == {Secret("a"), Secret("b", "base64")}


def test_unit_file_with_a_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="may not carry secrets"):
        Unit("a.service", content=f"Environment=P={Secret('a')}")


def test_not_asks_its_fact() -> None:
    from installers.core.facts.platform import MayLowerOomScore

    fact = MayLowerOomScore()
    assert Not(fact).needs() == (fact,)
    assert Not(fact).value(GivenFacts({fact: True}, (fact,))) is False


def test_packages_of_a_phase_merge_by_release() -> None:
    one = Packages("runc", "containerd").providing(Provides(units=("containerd.service",)))
    two = Packages("socat", "runc", provides=Provides(units=("containerd.service", "a.service")))
    other = Packages("etcd-server", release="bookworm-backports")
    both, backports = merged([one, two, other])
    assert both.names == ("containerd", "runc", "socat")
    assert both.provides.units == ("containerd.service", "a.service")
    assert backports == other
