"""``python -m tests.hosts write``: every golden anew; ``check``: say which differ. Read the diff before you commit."""

from __future__ import annotations

import sys

from tests.hosts import HOSTS, NAMES
from tests.hosts.golden import path_of, text


def main(words: list[str]) -> int:
    if words not in (["write"], ["check"]):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    stale = [name for name in NAMES if not path_of(name).exists() or path_of(name).read_text() != text(name)]
    orphans = [path for path in HOSTS.glob("*.golden") if path.stem not in NAMES]
    if words == ["write"]:
        for name in stale:
            path_of(name).write_text(text(name))
        for path in orphans:
            path.unlink()
    sys.stdout.write("".join(f"{words[0]}: {name}\n" for name in (*stale, *(path.stem for path in orphans))))
    return int(bool(stale or orphans) and words == ["check"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
