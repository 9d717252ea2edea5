"""Gathering facts: in parallel, each thing read once, predictions laid over what was read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from installers.core.errors import Failure
from installers.core.model import ClusterAbsent, Fact, FactUnknown, Kind, Object, Output, Probe, Query, Stat, Unknown

T = TypeVar("T")

READERS = 8
"""Facts read at once: most wait for a process or the API, so more than cores."""


class MemoProbe:
    """A probe that asks the host each question once, for one gathering. Has no writing methods."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._guard = threading.Lock()
        self._locks: dict[object, threading.Lock] = {}
        self._answers: dict[object, Any] = {}

    def _once(self, question: object, ask: Callable[[], T]) -> T:
        with self._guard:
            lock = self._locks.setdefault(question, threading.Lock())
        with lock:
            if question not in self._answers:
                try:
                    self._answers[question] = (ask(), None)
                except Exception as error:
                    self._answers[question] = (None, error)
                    raise
            answer, earlier = self._answers[question]
        if earlier is not None:
            raise earlier
        return answer  # type: ignore[no-any-return]

    def read(self, path: str) -> bytes:
        return self._once(("read", path), lambda: self._probe.read(path))

    def stat(self, path: str) -> Stat | None:
        return self._once(("stat", path), lambda: self._probe.stat(path))

    def listdir(self, path: str) -> tuple[str, ...]:
        return self._once(("listdir", path), lambda: self._probe.listdir(path))

    def readlink(self, path: str) -> str:
        return self._once(("readlink", path), lambda: self._probe.readlink(path))

    def digest(self, path: str) -> str:
        return self._once(("digest", path), lambda: self._probe.digest(path))

    def free_bytes(self, path: str) -> int:
        return self._once(("free", path), lambda: self._probe.free_bytes(path))

    def query(self, query: Query) -> Output:
        return self._once(query, lambda: self._probe.query(query))

    def objects(self, kind: Kind) -> tuple[Object, ...]:
        return self._once(kind, lambda: self._probe.objects(kind))


class FactStore:
    """Answers for one plan or one step. ``given`` holds what only the journal knows."""

    def __init__(self, probe: Probe, given: Mapping[Fact[Any], Any]) -> None:
        self._probe = MemoProbe(probe)
        self._answers: dict[Fact[Any], Any] = dict(given)
        self.predicted: set[Fact[Any]] = set()

    def load(self, facts: Iterable[Fact[Any]]) -> None:
        """Read what is not known yet, in parallel; costly facts wait until a decision asks for them."""
        missing = [fact for fact in dict.fromkeys(facts) if fact not in self._answers and not _costly(fact)]
        if len(missing) == 1:
            self._answers[missing[0]] = self._read(missing[0])
        elif missing:
            with ThreadPoolExecutor(min(READERS, len(missing))) as pool:
                self._answers.update(zip(missing, pool.map(self._read, missing), strict=True))

    def _read(self, fact: Fact[Any]) -> Any:
        """A fact that cannot be read is Unknown with its reason: one unreadable file must not end a plan."""
        try:
            return fact.load(self._probe)
        except OSError as error:
            return Unknown(f"{error.strerror or error} ({error.filename})" if error.filename else str(error))
        except (Failure, ClusterAbsent) as error:
            return Unknown(str(error))

    def predict(self, answers: Mapping[Fact[Any], Any]) -> None:
        """Lay over what a change will make true."""
        self._answers.update(answers)
        self.predicted.update(answers)

    def give(self, fact: Fact[T], value: T) -> None:
        """Answer a fact from the journal."""
        self._answers[fact] = value

    def answer(self, fact: Fact[Any]) -> Any:
        """A fact's value or ``Unknown``, read now if it was not yet."""
        if fact not in self._answers:
            self._answers[fact] = self._read(fact)
        return self._answers[fact]

    def view(self, needs: tuple[Fact[Any], ...]) -> View:
        return View(self, frozenset(needs))


def _costly(fact: Fact[Any]) -> bool:
    """Whether reading a fact takes long and most decisions come to an end without it."""
    return bool(getattr(fact, "costly", False))


class View:
    """What one decision may see: only the facts its resource said it needs."""

    def __init__(self, store: FactStore, needs: frozenset[Fact[Any]]) -> None:
        self._store = store
        self._needs = needs

    def __getitem__(self, fact: Fact[T]) -> T:
        if fact not in self._needs:
            raise LookupError(f"{fact} is not among the needs of this resource")
        answer = self._store.answer(fact)
        if isinstance(answer, Unknown):
            raise FactUnknown(fact, answer.reason)
        return answer  # type: ignore[no-any-return]

    def __contains__(self, fact: Fact[object]) -> bool:
        return fact in self._needs and not isinstance(self._store.answer(fact), Unknown)
