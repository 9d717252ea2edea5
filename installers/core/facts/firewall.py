"""Firewall rules, read from the text of ``iptables-save``."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from installers.core.errors import Failure
from installers.core.model import Output, Probe, Query, Unknown

PROGRAMS = {4: "iptables", 6: "ip6tables"}
_LONG = {
    "--source": "-s",
    "--src": "-s",
    "--destination": "-d",
    "--dst": "-d",
    "--in-interface": "-i",
    "--out-interface": "-o",
    "--protocol": "-p",
    "--jump": "-j",
    "--goto": "-g",
    "--destination-port": "--dport",
    "--source-port": "--sport",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its table, chain, and its line as ``iptables-save`` prints it without ``-A CHAIN``."""

    table: str
    chain: str
    text: str

    @property
    def jump(self) -> str:
        """The chain or verdict it goes to."""
        words = shlex.split(self.text)
        return next((words[i + 1] for i, word in enumerate(words[:-1]) if word in ("-j", "-g")), "")


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All chains, built-in ones with their policy (``ACCEPT``), others with ``-``, and all rules in order."""

    chains: tuple[tuple[str, str, str], ...] = ()
    rules: tuple[Rule, ...] = ()

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(table for table, _, _ in self.chains))

    def has(self, table: str, chain: str, spec: tuple[str, ...]) -> bool:
        """Whether a rule is there that means the same, however its options are ordered or spelt."""
        wanted = options(spec)
        return any(
            options(tuple(shlex.split(rule.text))) == wanted
            for rule in self.rules
            if (rule.table, rule.chain) == (table, chain)
        )


@dataclass(frozen=True, slots=True)
class Firewall:
    """The rules for IPv4 or IPv6 (``family`` 4 or 6); none on a machine without iptables."""

    family: int = 4

    def load(self, probe: Probe) -> Ruleset | Unknown:
        return read_ruleset(probe, PROGRAMS[self.family])


def read_ruleset(probe: Probe, program: str) -> Ruleset | Unknown:
    """The rules as one of the iptables programs sees them."""
    try:
        answer: Output = probe.query(Query(f"{program}-save"))
    except Failure as failure:
        if failure.id == "OLR-HOST-003":
            return Ruleset()
        raise
    return Unknown(answer.stderr.strip()) if answer.code else parse_save(answer.stdout)


def parse_save(text: str) -> Ruleset:
    """``iptables-save``: ``*table``, ``:CHAIN policy``, ``-A CHAIN rule``, ``COMMIT``."""
    table = ""
    chains: list[tuple[str, str, str]] = []
    rules: list[Rule] = []
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            name, policy, *_ = line[1:].split()
            chains.append((table, name, policy))
        elif line.startswith("-A "):
            _, chain, *rest = line.split(" ", 2)
            rules.append(Rule(table, chain, rest[0] if rest else ""))
    return Ruleset(tuple(chains), tuple(rules))


def options(words: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    """A rule's options as a set: ``! -d 10.0.0.0/8`` is one member, ``-m match`` only loads and is none."""
    found: list[list[str]] = []
    negated = False
    for word in words:
        if word == "!":
            negated = True
        elif word.startswith("-") and len(word) > 1:
            found.append((["!"] if negated else []) + [_LONG.get(word, word)])
            negated = False
        elif found:
            found[-1].append(word)
    return frozenset(_canonical(option) for option in found if option[0] not in ("-m", "--match"))


def _canonical(option: list[str]) -> tuple[str, ...]:
    name = option[-2] if len(option) > 1 else option[0]
    if name in ("-s", "-d") and "/" not in option[-1]:
        option = [*option[:-1], f"{option[-1]}/{128 if ':' in option[-1] else 32}"]
    return tuple(option)
