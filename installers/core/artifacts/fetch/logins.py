"""Names and passwords for web servers, from where curl and pip take them: ~/.netrc of who runs the command."""

from __future__ import annotations

import netrc
import urllib.parse
from pathlib import Path

from installers.core.artifacts.fetch.proxy import basic, credentials
from installers.core.errors import Failure


def login(parts: urllib.parse.SplitResult) -> dict[str, str]:
    """The header with the name and password for an address, {} where nobody has said any.

    Its own come first. A ``default`` of the file is for no host in particular, so it is sent to none.
    ``OLR-ART-032``: the file cannot be used.
    """
    if own := credentials(parts):
        return own
    try:
        rows = netrc.netrc().hosts
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, netrc.NetrcParseError) as error:
        raise Failure("OLR-ART-032", path=Path.home() / ".netrc", reason=_said(error)) from None
    host = parts.hostname or ""
    if host == "default" or host not in rows:
        return {}
    name, _, password = rows[host]
    return {"Authorization": basic(name, password or "")}


def _said(error: Exception) -> str:
    if isinstance(error, netrc.NetrcParseError):
        # Its words quote the file, and what is quoted may be a password.
        open_ = error.msg.startswith("~/.netrc")
        return "others may read it, or it is another user's" if open_ else f"line {error.lineno} is not understood"
    return error.strerror or "it cannot be read" if isinstance(error, OSError) else "it is not UTF-8 text"


def asking(status: int) -> str:
    """What is added to the answer of a server that wants to know who asks."""
    return ": it asks for a name and a password, or refuses those of ~/.netrc" if status == 401 else ""
