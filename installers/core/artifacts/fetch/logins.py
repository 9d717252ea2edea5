"""Names and passwords for web servers, from where curl and pip take them: ~/.netrc of who runs the command."""

from __future__ import annotations

import netrc
import urllib.parse
from collections.abc import Mapping

from installers.core.artifacts.fetch.proxy import basic, credentials


def login(parts: urllib.parse.SplitResult) -> dict[str, str]:
    """The header with the name and password for an address, {} where nobody has said any.

    Its own come first. A ``default`` of the file is for no host in particular, so it is sent to none. A file that
    cannot be used says nothing: which server wanted it shows when one asks who we are.
    """
    if own := credentials(parts):
        return own
    rows, _ = _rows()
    host = parts.hostname or ""
    if host == "default" or host not in rows:
        return {}
    name, _, password = rows[host]
    return {"Authorization": basic(name, password)}


def asking(status: int) -> str:
    """What is added to the answer of a server that wants to know who asks."""
    if status != 401:
        return ""
    _, problem = _rows()
    why = f"and ~/.netrc cannot be used: {problem}" if problem else "or refuses those of ~/.netrc"
    return f": it asks for a name and a password, {why}"


def _rows() -> tuple[Mapping[str, tuple[str, str, str]], str]:
    """Name, account and password by host, or why the file cannot be used."""
    try:
        return {host: (name, account, word or "") for host, (name, account, word) in netrc.netrc().hosts.items()}, ""
    except FileNotFoundError:
        return {}, ""
    except netrc.NetrcParseError as error:
        # Its words quote the file, and what is quoted may be a password.
        open_ = error.msg.startswith("~/.netrc")
        return {}, "others may read it, or it is another user's" if open_ else f"line {error.lineno} is not understood"
    except (OSError, UnicodeDecodeError):
        return {}, "it cannot be read as text"
