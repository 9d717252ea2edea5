"""A machine in memory with the two faces of a real one, for tests of everything above ``core.host``."""

from tests.fake.commands import Call, Effect
from tests.fake.crash import Crash
from tests.fake.debian import debian
from tests.fake.host import FakeHost, FakeProbe
from tests.fake.machine import FakeMachine, differences
from tests.fake.packages import Package

__all__ = ["Call", "Crash", "Effect", "FakeHost", "FakeMachine", "FakeProbe", "Package", "debian", "differences"]
