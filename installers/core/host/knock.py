"""Asks an address whether a proxy answers there: ``python -m installers.core.host.knock HOST PORT``.

A program of its own, so that a probe can give it a deadline. It prints the status of the answer, or why there
is none, and ends with 0 or 1. Nothing is sent but one request, for a name that never exists (RFC 6761).
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Sequence

PATIENCE = 5.0
"""Seconds to connect, and again to be answered."""

_NOWHERE = "olares.invalid:443"


def main(arguments: Sequence[str]) -> int:
    host, port = arguments
    said = knock(host, int(port))
    sys.stdout.write(f"{said}\n")
    return 0 if isinstance(said, int) else 1


def knock(host: str, port: int) -> int | str:
    """The status of the answer, or why there is none."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.request("CONNECT", _NOWHERE, headers={"Host": _NOWHERE})
        return connection.getresponse().status
    except TimeoutError:
        return "it said nothing for too long"
    except http.client.RemoteDisconnected:
        return "it hung up without a word"
    except OSError as error:
        return error.strerror or str(error)
    except http.client.HTTPException:
        return "what answers there does not speak HTTP"
    finally:
        connection.close()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
