"""One invocation of the command line: where it writes, in which form, and how it may end."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TextIO

from installers.site import Paths


class Output(StrEnum):
    """The form of data on standard output: for people, one JSON value, or one JSON object a line."""

    human = "human"
    json = "json"
    jsonl = "jsonl"


class Code(IntEnum):
    """How a command ends; the whole list, with each command's own meaning, is in docs/reference/cli.md."""

    FINE = 0
    FAILED = 1
    USAGE = 2
    PENDING = 3
    BLOCKED = 4
    INTERRUPTED = 130


@dataclass(frozen=True)
class Session:
    """What every command is handed. ``verbosity`` is the count of -v minus the count of -q."""

    output: Output = Output.human
    verbosity: int = 0
    colour: bool = True
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def paths(self) -> Paths:
        return Paths.from_environment(self.environ)

    @property
    def human(self) -> bool:
        return self.output is Output.human

    @property
    def interactive(self) -> bool:
        """Whether there is a person to ask: terminals at both ends and not a CI job."""
        return sys.stdin.isatty() and self.err.isatty() and "CI" not in self.environ

    def draws(self, stream: TextIO) -> bool:
        """Whether escapes may be written to a stream."""
        dumb = self.environ.get("TERM") == "dumb" or "CI" in self.environ
        return stream.isatty() and not dumb

    def coloured(self, stream: TextIO) -> bool:
        return self.draws(stream) and self.colour and not self.environ.get("NO_COLOR")

    def say(self, text: str) -> None:
        """Talk: to standard error, silenced by -q."""
        if self.verbosity >= 0:
            print(text, file=self.err, flush=True)

    def data(self, text: str) -> None:
        """Data: to standard output, whatever the verbosity."""
        print(text, file=self.out, flush=True)

    def record(self, value: object) -> None:
        """Data as JSON: indented for ``json``, on one line for ``jsonl``."""
        import msgspec

        encoded = msgspec.json.encode(value)
        if self.output is Output.json:
            encoded = msgspec.json.format(encoded, indent=2)
        self.data(encoded.decode())
