"""Other names for what names a machine or its people: the same thing gets the same name, in one archive only.

Pure functions of a key that is thrown away. Addresses keep what networking is about: prefixes two of
them share, and whether they are private, shared (RFC 6598), link-local, loopback or public.
"""

from __future__ import annotations

import hmac
import ipaddress
import string
from collections.abc import Iterable
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")
"""RFC 1918, RFC 6598, RFC 3927: an address stays in its block."""
SAME = (
    *("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"),
    *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
    *("172.17.0.0/16", "10.42.0.0/16", "10.43.0.0/16", "10.96.0.0/12"),
)
"""What is the same everywhere and names nobody: this host, loopback, multicast, documentation; and what
Docker, K3s and kubeadm take when nobody says otherwise, since checks ask whether these are free.
"""
ALONE = frozenset({"10.255.255.254"})
"""The address under which WSL answers DNS."""
DOCUMENTATION = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
"""RFC 5737; more public networks than these go to 198.18.0.0/15, which RFC 2544 keeps for benchmarks."""
BENCHMARKS = int(IPv4Address("198.18.0.0")) >> 8
DOCUMENTATION_6 = int(IPv6Address("2001:db8::")) >> 96
TRANSLATED = int(IPv6Address("64:ff9b::")) >> 96
"""RFC 6052: an IPv4 address follows."""

PLACEHOLDERS = frozenset({"03000200-0400-0500-0006-000700080009", "00020003-0004-0005-0006-000700080009"})
"""Product ids that boards leave the factory with by the thousand."""
KEPT_OCTET = 8
"""Low bits of an IPv4 address that stay: .1 and .255 read as what they are, and name nobody."""


class Pseudonyms:
    """``key``: random, used for one archive. ``same``: more networks whose addresses stay as they are."""

    def __init__(self, key: bytes, *, same: Iterable[str] = ()) -> None:
        self._key = key
        self._same = tuple(IPv4Network(net, strict=False) for net in (*SAME, *same))
        self._bounds = (*self._same, *map(IPv4Network, PRIVATE))
        self._public: dict[int, int] = {}
        self.met: dict[str, set[str]] = {}
        self.v4 = cache(self._v4)
        self.v6 = cache(self._v6)

    def _meet(self, kind: str, original: str) -> None:
        self.met.setdefault(kind, set()).add(original)

    def _random(self, kind: str, *of: object) -> bytes:
        return hmac.digest(self._key, repr((kind, *of)).encode(), "sha256")

    def _v4(self, text: str, length: int = 32) -> str:
        """An address, or a network's with its prefix ``length``."""
        number = int(IPv4Address(text))
        if text in ALONE or any(IPv4Address(number) in net for net in self._same):
            return text
        self._meet("addresses", text)
        if any(IPv4Address(number) in IPv4Network(net) for net in PRIVATE):
            number = self._scrambled(number)
        else:
            number = self._documented(number)
        return str(IPv4Address(number >> (32 - length) << (32 - length)))

    def _scrambled(self, number: int) -> int:
        """Each bit flipped or not by the bits before it: shared prefixes stay shared.

        No bit is flipped on the way to a network that stays as it is, so what lies in, around or beside
        one of these does so afterwards. The first free bit always is: no address stays itself, but next
        to a network that stays and is smaller than a /23.
        """
        result, free = 0, False
        for place in range(32):
            bit, before = number >> (31 - place) & 1, number >> (32 - place)
            bound = any(
                net.prefixlen > place and int(net.network_address) >> (32 - place) == before for net in self._bounds
            )
            if not bound and place < 32 - KEPT_OCTET:
                bit ^= self._random("v4", place, before)[0] & 1 if free else 1
                free = True
            result = result << 1 | bit
        return result

    def _documented(self, number: int) -> int:
        """A public address in a network for examples; those of one /24 stay together."""
        nets = [int(IPv4Address(net.partition("/")[0])) >> 8 for net in DOCUMENTATION]
        place = len(self._public)
        net = self._public.setdefault(number >> 8, nets[place] if place < len(nets) else BENCHMARKS + place - len(nets))
        return net << 8 | number & 0xFF

    def _v6(self, text: str, length: int = 128) -> str:
        address = IPv6Address(text)
        number = int(address)
        if address.ipv4_mapped is not None:
            return f"::ffff:{self.v4(str(address.ipv4_mapped))}"
        if number <= 1 or (address.is_multicast and not _solicited(number)) or length <= 12:
            return text
        if number >> 96 == DOCUMENTATION_6:
            return text
        if number >> 96 == TRANSLATED:
            inner = IPv4Address(self.v4(str(IPv4Address(number & 0xFFFFFFFF))))
            return str(IPv6Address(number >> 32 << 32 | int(inner)))
        self._meet("addresses", text)
        if address.is_multicast:
            low = int.from_bytes(self._random("solicited", number & 0xFFFFFF)[:3], "big")
            return str(IPv6Address(number >> 24 << 24 | low))
        low = number & (1 << 64) - 1
        if low >= 1 << 16:
            # Interface ids often hold the MAC address.
            low = int.from_bytes(self._random("interface", low)[:8], "big") | 1 << 63
        number = self._prefix_6(address) << 64 | low
        return str(IPv6Address(number >> (128 - length) << (128 - length)))

    def _prefix_6(self, address: IPv6Address) -> int:
        """The upper half: link-local stays, unique local (RFC 4193) keeps its first octet, public goes to RFC 3849."""
        high = int(address) >> 64
        if address.is_link_local:
            return high
        site, subnet = high >> 16, high & 0xFFFF
        if address in IPv6Network("fc00::/7"):
            scrambled = int.from_bytes(self._random("ula", site)[:5], "big")
            return site >> 40 << 56 | scrambled << 16 | subnet
        return DOCUMENTATION_6 << 32 | int.from_bytes(self._random("public", site)[:2], "big") << 16 | subnet

    def mac(self, text: str) -> str:
        """A hardware address in the writing it came in; the bit for "locally administered" stays."""
        digits = [char for char in text if char in string.hexdigits]
        plain = "".join(digits).lower()
        if set(plain) <= {"0"} or int(plain[:2], 16) & 1:
            # Nobody's, or a group's (broadcast, spanning tree): the same everywhere.
            return text
        self._meet("hardware addresses", plain)
        fresh = bytearray((self._random("mac", plain) * 2)[: len(plain) // 2])
        fresh[0] = fresh[0] & 0xFC | int(plain[:2], 16) & 0x02
        new = iter(fresh.hex())
        written = "".join(next(new) if char in string.hexdigits else char for char in text)
        return written.upper() if text != text.lower() else written

    def hexed(self, text: str) -> str:
        """A UUID or another id in hex: every digit another, all else as it was."""
        if len(set(text) & set(string.hexdigits)) < 2 or text.lower() in PLACEHOLDERS:
            return text
        self._meet("ids", text.lower())
        new = iter((self._random("hex", text.lower()) * 8).hex())
        written = "".join(next(new) if char in string.hexdigits else char for char in text)
        return written.upper() if text != text.lower() else written

    def serial(self, text: str) -> str:
        self._meet("ids", text)
        return self._shaped("serial", text)

    def host(self, text: str) -> str:
        """A host's name, label by label: a name that Kubernetes would refuse stays one."""
        labels = text.split(".")
        kept = {"localhost", "localdomain", "", *PRIVATE_ENDINGS}
        made = ".".join(
            label if label.lower() in kept else self._shaped("host", label.lower(), like=label) for label in labels
        )
        if made != text:
            self._meet("names", text)
        return made

    def user(self, text: str) -> str:
        self._meet("names", text)
        return f"user-{self._random('user', text).hex()[:6]}"

    def network(self, text: str) -> str:
        """A wireless network's name."""
        self._meet("names", text)
        return f"network-{self._random('network', text).hex()[:6]}"

    def _shaped(self, kind: str, text: str, *, like: str = "") -> str:
        """Letters for letters, digits for digits, the rest as it was."""
        like = like or text
        for turn in range(64):
            data = b"".join(self._random(kind, text, turn, block) for block in range(len(like) // 32 + 1))
            made = "".join(_like(char, byte) for char, byte in zip(like, data, strict=False))
            if made != like:
                return made
        return like


PRIVATE_ENDINGS = frozenset(
    {
        *("local", "lan", "internal", "intranet", "corp", "home", "arpa", "private", "localdomain"),
        *("ts", "net", "com", "org"),
    }
)
"""Labels of a host name that tell what kind of network it is and nothing more."""


def _like(char: str, byte: int) -> str:
    for letters in (string.ascii_lowercase, string.ascii_uppercase, string.digits):
        if char in letters:
            return letters[byte % len(letters)]
    return char if char in string.punctuation + string.whitespace else "x"


def _solicited(number: int) -> bool:
    """ff02::1:ff00:0/104, which ends like the address it is for."""
    return number >> 24 == int(IPv6Address("ff02::1:ff00:0")) >> 24


def is_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
