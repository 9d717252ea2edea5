"""Asking several places the same at once, so that one that is dead costs the others little."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
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
    asked: dict[P, Future[T]] = {place: Future() for place in places}

    def one(place: P) -> None:
        try:
            asked[place].set_result(ask(place))
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for it
            asked[place].set_exception(error)

    for place in asked:
        # No pool's: a pool waits at the program's end for a thread that hangs in a connect.
        threading.Thread(target=one, args=(place,), name="asking", daemon=True).start()
    answered, silent, end = set[Future[T]](), set(asked.values()), None
    while silent and (end is None or time.monotonic() < end):
        came, silent = wait(silent, None if end is None else end - time.monotonic(), FIRST_COMPLETED)
        answered |= came
        heard = [good(answer.result()) for answer in came]
        if end is None and any(heard):
            end = time.monotonic() + grace
    return {place: answer.result() for place, answer in asked.items() if answer in answered}
