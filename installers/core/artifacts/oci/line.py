"""A connection to registries: it gets the tokens they ask for, and shows each to nobody else."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from installers.core.artifacts.fetch.line import Answer, HttpLine
from installers.core.artifacts.oci.documents import challenge
from installers.core.artifacts.oci.places import Place

_LIMIT = 1 << 20
"""Bytes a token's document may have."""


@dataclass(slots=True)
class Tokens:
    """Anonymous tokens by place, shared by all connections of one fetch."""

    places: tuple[Place, ...]
    _held: dict[Place, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def place(self, url: str) -> Place | None:
        return next((one for one in self.places if one.has(url)), None)

    def held(self, place: Place) -> str:
        with self._lock:
            return self._held.get(place, "")

    def renewed(self, place: Place, asked: str, *, former: str, line: HttpLine) -> str:
        """A token as a challenge asks for it, "" where it asks for something else. ``former``: the one refused.

        Raises ``BROKEN``, or ``ValueError`` where the answer is no token.
        """
        with self._lock:
            if (held := self._held.get(place, "")) != former:
                # Another connection has one already.
                return held
            wanted = challenge(asked)
            self._held[place] = _token(wanted, place, line) if wanted else ""
            return self._held[place]


def _token(wanted: Mapping[str, str], place: Place, line: HttpLine) -> str:
    parts = urlsplit(wanted["realm"])
    if place.sealed and parts.scheme != "https":
        raise ValueError(f"its tokens are given out without TLS, by {parts.netloc}")
    repository = urlsplit(place.base).path.removeprefix("/v2/")
    scope = wanted.get("scope") or f"repository:{repository}:pull"
    query = [
        *parse_qsl(parts.query),
        *([("service", wanted["service"])] if "service" in wanted else []),
        ("scope", scope),
    ]
    found = line.json(urlunsplit(parts._replace(query=urlencode(query), fragment="")))
    token = found.get("token") or found.get("access_token") if isinstance(found, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or len(token) > _LIMIT:
        raise ValueError(f"{parts.netloc} gave no token")
    return token


class RegistryLine:
    """A line as downloads use it; asked for something of a registry it shows that registry's token, fetched if need be.

    ``line``: what goes out, with the authority that mirrors are believed by.
    """

    def __init__(self, tokens: Tokens, line: HttpLine) -> None:
        self._tokens = tokens
        self._line = line

    def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        place = self._tokens.place(url)
        if place is None:
            # Where a registry has sent us: its token is not for there.
            return self._line.get(url, headers)
        token = self._tokens.held(place)
        answer = self._line.get(url, _shown(headers, token))
        if answer.status != 401 or not place.has(answer.url):
            return answer
        asked = answer.header("WWW-Authenticate")
        answer.close()
        try:
            token = self._tokens.renewed(place, asked, former=token, line=self._line)
        except ValueError as error:
            raise OSError(str(error)) from error
        return self._line.get(url, _shown(headers, token))

    def cut(self) -> None:
        self._line.cut()

    def close(self) -> None:
        self._line.close()


def _shown(headers: Mapping[str, str], token: str) -> Mapping[str, str]:
    return {**headers, "Authorization": f"Bearer {token}"} if token else headers
