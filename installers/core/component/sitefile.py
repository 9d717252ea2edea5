"""Reading olares.yaml: every problem at once, each with its line and a hint. The file is never changed."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from installers.core.component.places import is_direct, is_file, is_mirror, is_place, is_proxy, is_registry
from installers.core.errors import Failure
from installers.site import K3s, Network, Node, Paths, Proxy, Registry, Site

if TYPE_CHECKING:
    from yaml import Mark, MarkedYAMLError
    from yaml import Node as YamlNode

SOURCES = ("upstream", "mirror", "bundle", "debian")
"""Where this version can take the bits from."""

KUBES = ("k3s", "kubernetes")
"""The Kubernetes engines this version can install."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the file. ``line`` and ``column`` count from 1."""

    path: str
    line: int
    column: int
    what: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.path}:{self.line}:{self.column}: {self.what}{hint}"


Check = Callable[[str], str]
"""Why a text is no value for its key, or ""."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: the type of its value, what it means, and which values are possible."""

    type: str
    about: str
    check: Check = lambda value: ""
    choices: tuple[str, ...] = ()


def _is_name(value: str) -> str:
    fine = len(value) <= 63 and _LABEL.fullmatch(value)
    return "" if fine else "a name has small letters, digits and dashes, at most 63, no dash at either end"


def _is_domain(value: str) -> str:
    fine = len(value) <= 253 and all(_LABEL.fullmatch(part) for part in value.split("."))
    return "" if fine else "a DNS domain looks like cluster.local: small letters, digits, dashes, dots"


def _is_address(value: str) -> str:
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        return "an IPv4 address looks like 192.168.1.20"
    return ""


def _is_range(value: str) -> str:
    try:
        ipaddress.IPv4Network(value)
    except ValueError:
        pass
    else:
        return "" if "/" in value else f"an address range has a length: {value}/16"
    try:
        return f"did you mean {ipaddress.IPv4Network(value, strict=False)}? The given address is inside that range"
    except ValueError:
        return "an IPv4 range looks like 10.96.0.0/16"


def source_of(text: str) -> tuple[str, tuple[str, ...]]:
    """A source and its places, from NAME, mirror:ADDRESS[,...] or bundle:PATH. ``ValueError`` with a hint otherwise."""
    name, colon, rest = text.partition(":")
    if name not in SOURCES:
        raise ValueError(_one_of(name, SOURCES))
    if name == "bundle":
        if not rest.strip():
            raise ValueError("a bundle is named with its place: bundle:/media/stick/olares.tar.zst")
        return name, (str(Path(rest.strip()).absolute()),)
    places = tuple(place.strip() for place in rest.split(",")) if colon else ()
    if name != "mirror" and colon:
        raise ValueError(f"{name} takes nothing after it")
    if name == "mirror" and (wrong := next(filter(None, map(is_place, places or ("",))), "")):
        raise ValueError(wrong)
    return name, places


def _is_source(value: str) -> str:
    try:
        source_of(value)
    except ValueError as error:
        return str(error)
    return ""


_PIN = re.compile(r"[0-9a-f]{64}")

KEYS: Mapping[str, Key | Mapping[str, Key]] = {
    "source": Key(
        "text",
        "Where the bits come from: upstream, mirror:ADDRESS[,ADDRESS] (of upstream's files or of a bundle), "
        "bundle:PATH, debian. Default: upstream; in machines debian.",
        _is_source,
    ),
    "kube": Key("text", "The Kubernetes engine. Default: k3s, from the source debian kubernetes.", choices=KUBES),
    "pins": Key("digests", "sha256 you vouch for, by release-version-architecture, where none is pinned."),
    "accept_eol": Key("truth", "Accept Debian's Kubernetes on a real host although upstream has ended its support."),
    "node": {
        "name": Key("text", "The node's name in the cluster; default: the host name.", _is_name),
        "address": Key("text", "The node's IPv4 address; default: that of the default route.", _is_address),
    },
    "network": {
        "pods": Key("text", "Addresses of pods (CIDR, /8 to /24).", _is_range),
        "services": Key("text", "Addresses of services (CIDR, /12 to /28).", _is_range),
        "dns": Key("text", "The cluster DNS server's address; default: the tenth of services.", _is_address),
        "domain": Key("text", "The cluster's DNS domain.", _is_domain),
    },
    "k3s": {
        "version": Key("text", "The version that must be installed; default: the one this program brings."),
        "datastore": Key(
            "text",
            "Where the cluster's record is: embedded (default, a SQLite file) or etcd (a service of the host).",
            choices=("embedded", "etcd"),
        ),
        "runtime": Key(
            "text",
            "Whose containerd runs the pods: own (default, K3s's) or shared (the host's).",
            choices=("own", "shared"),
        ),
    },
    "proxy": {
        "http": Key("text", 'The proxy for http:// addresses, as http://HOST:PORT; "" for none.', is_proxy),
        "https": Key("text", 'The proxy for https:// addresses, as http://HOST:PORT; "" for none.', is_proxy),
        "direct": Key(
            "texts", "Host names, domains, addresses and ranges (CIDR) that are reached without a proxy.", is_direct
        ),
    },
    "registries": Key("registries", "Mirrors by registry: a list of URLs, or `mirrors:` with such a list and `ca:`."),
    "skip": Key("names", "Phases and components to leave out."),
}

_TYPES = {
    **{"text": "text", "truth": "true or false", "names": "a list of names", "texts": "a list of texts"},
    "digests": "names with sha256 digests in hex",
    "registries": "registries with lists of mirrors",
}
_REGISTRY = {
    "mirrors": Key("texts", "URLs, asked in this order before the registry itself.", is_mirror),
    "ca": Key("text", "A file with the certificate authority of the mirrors.", is_file),
}


def read_site(paths: Paths, *, names: Mapping[str, tuple[str, ...]]) -> Site:
    """The site in the configuration file; a missing file at the default place means defaults.

    ``names``: what can be skipped, and the components each stands for. Raises ``Failure``: OLR-CFG-001
    with all problems, 002 when a file named by OLARES_CONFIG is missing, 003 when it cannot be read.
    """
    try:
        content = Path(paths.config).read_bytes()
    except FileNotFoundError:
        if paths.config == Paths().config:
            return Site(paths=paths)
        raise Failure("OLR-CFG-002", path=paths.config) from None
    except OSError as error:
        raise Failure("OLR-CFG-003", path=paths.config, reason=error.strerror or error) from error
    site, problems = parse_site(content, path=paths.config, names=names)
    if problems:
        raise Failure("OLR-CFG-001", path=paths.config, count=len(problems), problems=problems)
    return replace(site, paths=paths)


def parse_site(content: bytes, *, path: str, names: Mapping[str, tuple[str, ...]]) -> tuple[Site, tuple[Problem, ...]]:
    """The site a file's content describes, and every problem in it in order of place. Pure."""
    import yaml

    reader = _Reader(path, names)
    try:
        root = yaml.compose(content.decode(), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = error.start - (before.rfind(b"\n") + 1) + 1
        return Site(), (Problem(path, before.count(b"\n") + 1, column, "this is not UTF-8 text"),)
    except yaml.reader.ReaderError as error:
        before_text = content.decode()[: error.position]
        column = len(before_text) - (before_text.rfind("\n") + 1) + 1
        what = f"the character U+{ord(content.decode()[error.position]):04X} is not allowed"
        return Site(), (Problem(path, before_text.count("\n") + 1, column, what),)
    except yaml.MarkedYAMLError as error:
        return Site(), (_syntax(path, error),)
    except RecursionError:
        return Site(), (Problem(path, 1, 1, "nested too deeply"),)
    site = reader.site(root)
    return site, tuple(sorted(reader.problems, key=lambda p: (p.line, p.column)))


def _syntax(path: str, error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    what = f"not valid YAML: {error.problem or error.context}"
    hint = f"{error.context}" if error.context and error.problem else ""
    return Problem(path, mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, what, hint)


class _Reader:
    """Walks the composed nodes once, collecting values with their places and problems."""

    def __init__(self, path: str, names: Mapping[str, tuple[str, ...]]) -> None:
        self.path = path
        self.names = names
        self.problems: list[Problem] = []
        self.named: set[str] = set()
        self.places: dict[str, Mark] = {}

    def site(self, root: YamlNode | None) -> Site:
        if root is None:
            return Site()
        values = self._section(root, KEYS, "")
        if "source" in values:
            values["source"], values["places"] = source_of(values["source"])
        network = Network(**values.pop("network", {}))
        node = Node(**values.pop("node", {}))
        k3s = K3s(**values.pop("k3s", {}))
        said = values.pop("proxy", {})
        urls = {key: said.pop(key).rstrip("/") for key in ("http", "https") if key in said}
        proxy = Proxy(**urls, **said) if urls or said else None
        # Values are held against each other only when each is possible by itself: one mistake, one problem.
        single = any(key not in self.places for key in self.named if key.startswith(("network.", "node.address")))
        if not single and self._lengths_fit(network):
            if "network.services" in self.named and "network.dns" not in self.named:
                network = replace(network, dns=str(ipaddress.IPv4Network(network.services)[10]))
            self._together(node, network)
        return Site(**values, node=node, network=network, k3s=k3s, proxy=proxy)

    def _refuse(self, mark: Mark, what: str, hint: str = "") -> None:
        self.problems.append(Problem(self.path, mark.line + 1, mark.column + 1, what, hint))

    def _section(self, node: YamlNode, keys: Mapping[str, Any], where: str) -> dict[str, Any]:
        import yaml

        if where and isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):
            return {}  # a section whose keys are all commented out
        if not isinstance(node, yaml.MappingNode):
            self._refuse(node.start_mark, f"{where or 'the file'} must be keys with values", f"as in {_sample(keys)}")
            return {}
        values: dict[str, Any] = {}
        seen: set[str] = set()
        for key_node, value_node in node.value:
            name = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "(not text)"
            full = f"{where}.{name}" if where else name
            if name not in keys:
                self._refuse(key_node.start_mark, f"unknown key {full}", _hint(name, keys))
            elif name in seen:
                self._refuse(key_node.start_mark, f"{full} stands here a second time", "keep one of them")
            elif isinstance(keys[name], Key):
                seen.add(name)
                self.named.add(full)
                for value in self._value(value_node, keys[name], full):
                    values[name] = value
            else:
                seen.add(name)
                values[name] = self._section(value_node, keys[name], full)
        return values

    def _value(self, node: YamlNode, key: Key, full: str) -> Iterator[Any]:
        """The node's value, or nothing when it is no value for this key."""
        import yaml

        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if key.type == "names" and isinstance(node, yaml.SequenceNode):
            yield tuple(dict.fromkeys(self._names(node, full)))
        elif key.type == "digests" and isinstance(node, yaml.MappingNode):
            yield tuple(self._digests(node, full))
        elif key.type == "texts" and isinstance(node, yaml.SequenceNode):
            one = Key("text", key.about, key.check)
            yield tuple(dict.fromkeys(text for item in node.value for text in self._value(item, one, full)))
        elif key.type == "registries" and isinstance(node, yaml.MappingNode):
            yield tuple(self._registries(node, full))
        elif key.type == "truth" and kind == "bool":
            yield str(node.value).lower() in ("true", "yes", "on")
        elif key.type == "text" and kind == "str":
            choices = _one_of(node.value, key.choices) if key.choices else ""
            if wrong := choices or key.check(node.value):
                self._refuse(node.start_mark, f"{full}: {_shown(node.value)} is not possible", wrong)
            else:
                self.places[full] = node.start_mark
                yield node.value
        else:
            quoted = kind in ("int", "float", "bool", "timestamp") and key.type == "text"
            hint = f'put it in quotes: "{node.value}"' if quoted else ""
            self._refuse(node.start_mark, f"{full} must be {_TYPES[key.type]}, not {_KINDS.get(kind, kind)}", hint)

    def _digests(self, node: YamlNode, full: str) -> Iterator[tuple[str, str]]:
        for name, value in node.value:
            digest = str(value.value).lower()
            if _PIN.fullmatch(digest):
                yield str(name.value), digest
            else:
                hint = "64 hex digits, as `olares-cli index refresh` prints them"
                self._refuse(value.start_mark, f"{full}.{name.value} is no sha256", hint)

    def _registries(self, node: YamlNode, full: str) -> Iterator[Registry]:
        """Each registry with its mirrors: the list alone, or keys of which it is one."""
        import yaml

        seen: set[str] = set()
        for key_node, value_node in node.value:
            name = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "(not text)"
            where, found = f"{full}.{name}", Registry(name, ())
            if wrong := is_registry(name):
                self._refuse(key_node.start_mark, f"{full}: {_shown(name)} is not possible", wrong)
                continue
            before = len(self.problems)
            if name in seen:
                self._refuse(key_node.start_mark, f"{where} stands here a second time", "keep one of them")
            elif isinstance(value_node, yaml.MappingNode):
                found = Registry(name, **{"mirrors": (), **self._section(value_node, _REGISTRY, where)})
            else:
                for mirrors in self._value(value_node, _REGISTRY["mirrors"], where):
                    found = Registry(name, mirrors)
            if not found.mirrors and len(self.problems) == before:
                self._refuse(value_node.start_mark, f"{where} names no mirror", "as in `mirrors: [URL]`")
            seen.add(name)
            yield found

    def _names(self, node: YamlNode, full: str) -> Iterator[str]:
        import yaml

        for item in node.value:
            name = item.value if isinstance(item, yaml.ScalarNode) else "(not a name)"
            if name in self.names:
                yield from self.names[name]
            else:
                self._refuse(item.start_mark, f"{full}: there is no phase or component {name}", _near(name, self.names))

    def _lengths_fit(self, network: Network) -> bool:
        """Whether the ranges have lengths Kubernetes can work with."""
        before = len(self.problems)
        for key, shortest, longest in (("pods", 8, 24), ("services", 12, 28)):
            length = ipaddress.IPv4Network(getattr(network, key)).prefixlen
            if not shortest <= length <= longest:
                what = f"network.{key}: /{length} is not possible"
                self._refuse(self.places[f"network.{key}"], what, f"between /{shortest} and /{longest}")
        return len(self.problems) == before

    def _together(self, node: Node, network: Network) -> None:
        """What only shows when values are held against each other."""
        pods, services = ipaddress.IPv4Network(network.pods), ipaddress.IPv4Network(network.services)
        if pods.overlaps(services):
            self._refuse(self._place("pods", "services"), f"network: pods {pods} and services {services} overlap")
        dns = ipaddress.IPv4Address(network.dns)
        if dns not in services:
            what = f"network.dns: {dns} lies outside services {services}"
            self._refuse(self._place("dns", "services"), what, f"such as {services[10]}")
        elif dns in (services[0], services[1], services[-1]):
            self._refuse(self._place("dns", "services"), f"network.dns: {dns} is taken", f"such as {services[10]}")
        for key, found in (("pods", pods), ("services", services)):
            if node.address and ipaddress.IPv4Address(node.address) in found:
                what = f"node.address: {node.address} lies inside network.{key} {found}"
                self._refuse(self.places["node.address"], what, f"choose another range for {key}")

    def _place(self, *keys: str) -> Mark:
        """Where the first of these keys of the network that was given stands."""
        return next(self.places[f"network.{key}"] for key in keys if f"network.{key}" in self.places)


_KINDS = {
    **{"str": "text", "int": "a number", "float": "a number", "bool": "true or false", "null": "nothing"},
    **{"seq": "a list", "map": "keys with values", "timestamp": "a date"},
}


def _shown(value: str) -> str:
    """A wrong value in a message; one that may hold a password is not repeated."""
    return "what stands here" if "@" in value else repr(value)


def _sample(keys: Mapping[str, Any]) -> str:
    return f"`{next(iter(keys))}: ...`"


def _one_of(value: str, choices: tuple[str, ...]) -> str:
    return "" if value in choices else f"possible: {', '.join(choices)}"


def _near(name: str, known: Mapping[str, Any]) -> str:
    last = name.rpartition("/")[2]
    near = [last] if last in known else difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def _hint(name: str, keys: Mapping[str, Any]) -> str:
    """What the user may have meant: a key of this place, or one of another section."""
    if not difflib.get_close_matches(name, keys, n=1):
        if name == "paths":
            return "directories are moved by OLARES_STATE_DIR, OLARES_CACHE_DIR, OLARES_LOG_DIR and OLARES_RUN_DIR"
        owner = [section for section, inner in KEYS.items() if isinstance(inner, Mapping) and name in inner]
        if name in KEYS:
            return "it belongs at the beginning of a line"
        if owner:
            return f"it belongs under {owner[0]}:"
    return _near(name, keys)


def json_schema() -> dict[str, Any]:
    """The rules above as a JSON schema, for editors; the checks across keys are not in it."""

    def of(key: Key | Mapping[str, Key]) -> dict[str, Any]:
        if isinstance(key, Mapping):
            inner = {name: of(item) for name, item in key.items()}
            return {"type": "object", "additionalProperties": False, "properties": inner}
        texts = {"type": "array", "items": {"type": "string"}}
        long = {"type": "object", "additionalProperties": False, "required": ["mirrors"]}
        long |= {"properties": {"mirrors": texts, "ca": {"type": "string"}}}
        types: dict[str, dict[str, Any]] = {
            "text": {"type": "string"},
            "truth": {"type": "boolean"},
            "digests": {"type": "object", "additionalProperties": {"type": "string", "pattern": _PIN.pattern}},
            "names": texts,
            "texts": texts,
            "registries": {"type": "object", "additionalProperties": {"anyOf": [texts, long]}},
        }
        choices = {"enum": list(key.choices)} if key.choices else {}
        return {**types[key.type], "description": key.about, **choices}

    title = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "olares.yaml"}
    return title | {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: of(key) for name, key in KEYS.items()},
    }
