"""Asks an address whether it is an image registry: ``python -m installers.core.artifacts.fetch.registry URL [CA]``.

A program of its own, so that a probe can give it a deadline. It goes out as our downloads do, through the same
proxy, and prints what was answered as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing

from installers.core.artifacts.fetch.line import BROKEN, HttpLine
from installers.core.errors import Failure

PATIENCE = 5.0
"""Seconds to connect, and again to be answered."""


def main(arguments: Sequence[str]) -> int:
    url, *authority = arguments
    if authority:
        os.environ["SSL_CERT_FILE"] = authority[0]
    sys.stdout.write(json.dumps(asked(url)) + "\n")
    return 0


def asked(url: str) -> dict[str, object]:
    """``status``, ``type`` of the content and ``challenge`` (WWW-Authenticate), or ``error``."""
    try:
        with closing(HttpLine(patience=PATIENCE, connect=PATIENCE)) as line:
            answer = line.get(url, {})
            found = {"type": answer.header("Content-Type"), "challenge": answer.header("WWW-Authenticate")}
            answer.close()
            return {"status": answer.status, **found}
    except Failure as failure:
        return {"error": failure.what}
    except BROKEN as error:
        return {"error": "it said nothing for too long" if isinstance(error, TimeoutError) else str(error)}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
