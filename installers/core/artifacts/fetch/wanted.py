"""What is wanted, and the numbers a fetch goes by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file by digest: a name for messages, size in bytes, sha256 in hex, npm's sha512 if it has one.

    ``pieces``: sha256 of every ``piece_size`` bytes in order, where the index has them; with them a
    mirror that lies is known at the first wrong piece instead of at the end of the file.
    """

    name: str
    size: int
    sha256: str
    integrity: str = ""
    pieces: tuple[str, ...] = ()
    piece_size: int = 0

    def __post_init__(self) -> None:
        if self.pieces and (self.piece_size <= 0 or len(self.pieces) != -(-self.size // self.piece_size)):
            raise ValueError(f"{self.name}: pieces do not cover the file")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, seconds and counts; the defaults are for the real network, tests use fractions of them."""

    connections: int = 8
    """At once, over all mirrors; as many as the field's tools are commonly given for one server (aria2c -x8)."""
    shortest: int = 1 << 20
    """Bytes of the shortest stretch asked for in one request, as long as there is more to ask for."""
    longest: int = 8 << 20
    """Bytes of the longest one: with ``connections`` it bounds how far hashing lags behind."""
    connect: float = 15.0
    connect_beside: float = 4.0
    """Seconds for a connection where there are other places to ask; a lost first packet is sent again after 1 and 3."""
    stall: float = 20.0
    """Seconds without one byte before a connection is given up."""
    slow_after: float = 5.0
    """Seconds a connection has to show what it can, before it is compared with a faster mirror's."""
    slow_below: float = 1 / 16
    """A connection below this part of another mirror's speed is given up."""
    long_rest: float = 2.0
    """Seconds a connection still needs for its stretch, above which an idle one takes a part of it. What the server
    has sent of that part already is lost, so it is not done for less."""
    attempts: int = 6
    """Failures of a mirror in a row, without a byte between, after which it is dropped."""
    pause: float = 0.5
    """Seconds before the second attempt; doubled for each further one up to ``longest_pause``."""
    longest_pause: float = 30.0
    retry_after: float = 120.0
    """The longest wait a server's Retry-After can ask of us, in seconds."""
    tick: float = 0.1
