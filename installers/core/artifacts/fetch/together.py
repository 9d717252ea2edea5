"""Asking several places the same at once, so that one that is dead costs the others little."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")
P = TypeVar("P")


def asked_together(
    places: Iterable[P], ask: Callable[[P], T], *, good: Callable[[T], bool], grace: float
) -> Mapping[P, T]:
    """Each place's answer, in the order of the places, without those that were still silent at the end.

    The end is when all have answered, or ``grace`` seconds after the first ``good`` answer: ``ask`` has a deadline
    of its own, so that without a good answer all come. What ``ask`` raises is raised.
    """
    wanted = list(dict.fromkeys(places))
    came: queue.SimpleQueue[tuple[P, T | None, BaseException | None]] = queue.SimpleQueue()

    def one(place: P) -> None:
        try:
            came.put((place, ask(place), None))
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for it
            came.put((place, None, error))

    for place in wanted:
        # No pool's: a pool waits at the program's end for a thread that hangs in a connect.
        threading.Thread(target=one, args=(place,), name="asking", daemon=True).start()
    found: dict[P, T] = {}
    end: float | None = None
    while len(found) < len(wanted):
        try:
            place, answer, error = came.get(timeout=None if end is None else max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        if error is not None:
            raise error
        found[place] = answer  # type: ignore[assignment]
        if end is None and good(found[place]):
            end = time.monotonic() + grace
    return {place: found[place] for place in wanted if place in found}
