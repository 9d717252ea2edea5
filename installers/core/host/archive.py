"""A host written down: what a probe was told, as one text that people can read, compare and write by hand.

YAML. ``paths`` holds what lies where; a plain text is an ordinary file's content, ``null`` says that
nothing is there. What an archive does not hold is not known, which is never the same as absent.
"""

from __future__ import annotations

import base64
import errno
from typing import Any, Literal

import msgspec

from installers.core.errors import Failure
from installers.core.host.documents import document

SCHEMA = 1
"""The newest form of an archive this program reads and the one it writes."""


Type = Literal["file", "directory", "link", "socket", "character", "block", "pipe"]


class Entry(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What is known of one path. Everything is optional but what was asked.

    ``type``: character and block are devices. ``mode``: permission bits in octal, None for the usual ones.
    ``size`` in bytes, told where there is no content. ``device``: told where the archive's mountinfo does not
    tell it. ``inode``: told where a recorded lock names it.
    ``text`` or ``base64``: content, through a link too. ``names``: a directory's; ``partial``: the names
    that matter, others were left out. ``to``: where a link points. ``errors``: operation to errno's name.
    """

    type: Type = "file"
    mode: str | None = None
    uid: int = 0
    gid: int = 0
    size: int | None = None
    device: int | None = None
    inode: int = 0
    text: str | None = None
    base64: str | None = None
    digest: str = ""
    names: list[str] | None = None
    partial: bool = False
    to: str | None = None
    errors: dict[str, str] = {}

    @property
    def content(self) -> bytes | None:
        if self.base64 is not None:
            return base64.b64decode(self.base64, validate=True)
        return None if self.text is None else self.text.encode()


class Asked(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A query and its answer: exit code and both streams, or the ``failure`` (an id) there was with its fields."""

    name: str
    args: list[str] = []
    code: int = 0
    stdout: str = ""
    stderr: str = ""
    failure: str = ""
    fields: dict[str, str] = {}


class Wanted(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What the site said, as far as checks depend on it. ``ours``: what the journal called ours, None: unreadable."""

    source: str = "debian"
    kube: str = "kubernetes"
    edition: str = "debian"
    name: str = ""
    address: str = ""
    pods: str = ""
    services: str = ""
    state: str = ""
    cache: str = ""
    ours: list[str] | None = []


class Archive(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A host. ``source``: how it came to be, "recorded on ..." or "composed from ...". ``run``: whether it
    was recorded on a host that ran; a composed one is designed and has not been run.

    ``whole``: trees of which everything is written down, so that what is not there does not exist.
    ``free``: bytes free by path. ``scrubbed``: how many things of each kind got another name.
    """

    schema: int
    source: str
    made_with: str
    run: bool = True
    wanted: Wanted = msgspec.field(default_factory=Wanted)
    scrubbed: dict[str, int] = {}
    whole: list[str] = []
    free: dict[str, int] = {}
    paths: dict[str, Entry | str | None] = {}
    queries: list[Asked] = []


def entry(found: Entry | str | None) -> Entry | None:
    """An entry in full; a plain text is that of an ordinary file."""
    return Entry(text=found) if isinstance(found, str) else found


def brief(found: Entry | None) -> Entry | str | None:
    """An entry as short as it can be said."""
    if found is not None and found.text is not None and found == Entry(text=found.text):
        return found.text
    return found


def encode(archive: Archive) -> str:
    """The text of an archive: the same for the same content, paths and queries in order."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Keeps texts of many lines readable: PyYAML would quote every one with a tab or a blank at a line's end."""

        def analyze_scalar(self, scalar: str) -> Any:
            analysis = super().analyze_scalar(scalar)
            plain = all(_plain(char) for char in scalar)
            # A tab or an empty line at the beginning would be taken for indentation.
            first = scalar.partition("\n")[0]
            analysis.allow_block = analysis.multiline and plain and bool(first.strip()) and "\t" not in first[:1]
            if not plain:
                analysis.allow_single_quoted = analysis.allow_flow_plain = analysis.allow_block_plain = False
            return analysis

        def represent_text(self, text: str) -> Any:
            return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Dumper.add_representer(str, Dumper.represent_text)
    plain: dict[str, Any] = msgspec.to_builtins(archive)
    plain["paths"] = {path: plain.get("paths", {})[path] for path in sorted(archive.paths)}
    plain["queries"] = sorted(plain.get("queries", []), key=lambda row: (row["name"], row.get("args", [])))
    for name in ("free", "scrubbed"):
        plain[name] = dict(sorted(plain.get(name, {}).items()))
    kept = {name: value for name, value in plain.items() if value not in ({}, [])}
    return yaml.dump(kept, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)


def _plain(char: str) -> bool:
    """Whether a character may stand in a literal block and be read back the same."""
    return char in "\t\n" or " " <= char <= "~" or (char > "\xa0" and char.isprintable() and char != "\ufeff")


def _check(found: Entry) -> None:
    """``ValueError`` for what the types let through: broken base64, a mode or an error that is none."""
    _ = found.content, int(found.mode or "0", 8)
    for name in found.errors.values():
        if name not in errno.errorcode.values():
            raise ValueError(f"no error is called {name}")


def decode(text: str, *, path: str) -> Archive:
    """The archive in a text; ``Failure`` OLR-REC-002 or 003 naming the ``path`` it came from."""
    import yaml

    try:
        plain = document(text)
        schema = plain.get("schema") if isinstance(plain, dict) else None
        if isinstance(schema, int) and schema > SCHEMA:
            raise Failure("OLR-REC-003", file=path, schema=schema, known=SCHEMA)
        archive = msgspec.convert(plain, Archive)
        for found in map(entry, archive.paths.values()):
            if found is not None:
                _check(found)
    except (yaml.YAMLError, msgspec.ValidationError, ValueError) as error:
        raise Failure("OLR-REC-002", file=path, reason=" ".join(str(error).split())[:300]) from error
    return archive
