"""Words in a file's only line, put in and taken out byte by byte."""

from __future__ import annotations

import re


def line_with(content: bytes, words: tuple[str, ...]) -> bytes:
    """The content with words at the end of its first line, each after one blank, whatever ended the line before."""
    end = re.search(rb"\r?\n", content)
    at = end.start() if end else len(content)
    added = " ".join(words).encode()
    apart = b" " if added and at else b""
    return content[:at] + apart + added + content[at:]


def line_without(content: bytes, words: tuple[str, ...]) -> bytes:
    """The content without the last of each word in its first line, and without the blank before it."""
    end = re.search(rb"\r?\n", content)
    at = end.start() if end else len(content)
    line, rest = content[:at], content[at:]
    for word in words:
        found = list(re.finditer(rb"(?:(?<=\s)|^)" + re.escape(word.encode()) + rb"(?=\s|$)", line))
        if found:
            start, stop = found[-1].span()
            before, after = line[:start], line[stop:]
            line = (before[:-1] if before else before) + (after if before else after[1:])
    return line + rest
