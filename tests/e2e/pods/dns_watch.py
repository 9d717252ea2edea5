"""Ask the cluster's DNS for one name without pause, and tell what was answered when.

    dns_watch.py NAME SECONDS      prints a JSON object: asked, lost, and each change of the answer with its time

A query that is not answered within a second is lost.
"""

import json
import socket
import struct
import sys
import time
from pathlib import Path


def question(number: int, name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def addresses(answer: bytes, asked: int) -> list[str]:
    """The A records of an answer to a question of that many bytes; names in answers are pointers."""
    (count,) = struct.unpack(">H", answer[6:8])
    found, at = [], asked
    for _ in range(count):
        kind, _, _, length = struct.unpack(">HHIH", answer[at + 2 : at + 12])
        if kind == 1:
            found.append(socket.inet_ntoa(answer[at + 12 : at + 16]))
        at += 12 + length
    return sorted(found)


def main(name: str, seconds: str) -> None:
    server = next(line.split()[1] for line in Path("/etc/resolv.conf").read_text().splitlines() if "nameserver" in line)
    asked = lost = 0
    changes: list[tuple[float, list[str]]] = []
    until = time.time() + float(seconds)
    while time.time() < until:
        asked += 1
        query = question(asked % 65536, name)
        # A socket each, as programs do it: kube-proxy chooses anew for each.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(1.0)
            udp.sendto(query, (server, 53))
            try:
                answer = udp.recv(4096)
            except TimeoutError:
                lost += 1
                continue
        found = addresses(answer, len(query))
        if not changes or changes[-1][1] != found:
            changes.append((time.time(), found))
        time.sleep(0.02)
    sys.stdout.write(json.dumps({"asked": asked, "lost": lost, "changes": changes}))


main(*sys.argv[1:])
