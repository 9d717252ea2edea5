"""Speak to NATS as an application would, by its text protocol.

nats_client.py HOST PORT USER PASSWORD-FILE put STREAM TEXT   make the stream if needed, publish, be told it is stored
nats_client.py HOST PORT USER PASSWORD-FILE take STREAM       consume one message and acknowledge it
"""

import json
import socket
import sys
from pathlib import Path


class Nats:
    """One connection; every request has its own inbox."""

    def __init__(self, host: str, port: int, user: str, password: str) -> None:
        self.stream = socket.create_connection((host, port), timeout=10).makefile("rwb")
        self.stream.readline()
        hello = {"verbose": False, "pedantic": True, "user": user, "pass": password, "lang": "python", "version": "0"}
        self.send(f"CONNECT {json.dumps(hello)}")
        self.send("PING")
        answer = self.stream.readline().decode().strip()
        if answer != "PONG":
            raise SystemExit(f"refused: {answer}")
        self.inboxes = 0

    def send(self, line: str, payload: bytes | None = None) -> None:
        self.stream.write(line.encode() + b"\r\n" + (b"" if payload is None else payload + b"\r\n"))
        self.stream.flush()

    def request(self, subject: str, payload: bytes) -> tuple[str, bytes]:
        """The answer's reply subject (to acknowledge it) and what it says."""
        self.inboxes += 1
        inbox = f"_INBOX.e2e.{self.inboxes}"
        self.send(f"SUB {inbox} {self.inboxes}")
        self.send(f"PUB {subject} {inbox} {len(payload)}", payload)
        while True:
            words = self.stream.readline().decode().split()
            if words[0] == "PING":
                self.send("PONG")
            elif words[0] in ("MSG", "HMSG"):
                body = self.stream.read(int(words[-1]) + 2)[:-2]
                headers = int(words[-2]) if words[0] == "HMSG" else 0
                if headers and not body[headers:]:
                    raise SystemExit(body.decode())
                extra = 5 if words[0] == "HMSG" else 4
                return (words[3] if len(words) > extra else ""), body[headers:]
            elif words[0] == "-ERR":
                raise SystemExit(" ".join(words))

    def ask(self, subject: str, question: dict[str, object]) -> dict[str, object]:
        answer: dict[str, object] = json.loads(self.request(f"$JS.API.{subject}", json.dumps(question).encode())[1])
        if "error" in answer:
            raise SystemExit(f"{subject}: {answer['error']}")
        return answer


def main(host: str, port: str, user: str, password_file: str, verb: str, stream: str, *text: str) -> None:
    nats = Nats(host, int(port), user, Path(password_file).read_text().strip())
    if verb == "put":
        nats.ask(f"STREAM.CREATE.{stream}", {"name": stream, "subjects": [f"{stream}.>"], "storage": "file"})
        _, stored = nats.request(f"{stream}.one", text[0].encode())
        sys.stdout.write(f"{json.loads(stored)['seq']}\n")
        return
    consumer = {"durable_name": "e2e", "ack_policy": "explicit", "ack_wait": 10**9}
    nats.ask(f"CONSUMER.DURABLE.CREATE.{stream}.e2e", {"stream_name": stream, "config": consumer})
    reply, body = nats.request(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.e2e", b'{"batch": 1, "expires": 5000000000}')
    nats.request(reply, b"+ACK")
    sys.stdout.write(body.decode() + "\n")


main(*sys.argv[1:])
