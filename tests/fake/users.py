"""Users and groups: the account files, and the programs that change them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fake.machine import FakeMachine

FILES = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow")


@dataclass(slots=True)
class Users:
    """Rows of the account files by name, kept in the tree."""

    machine: FakeMachine

    def rows(self, path: str) -> dict[str, list[str]]:
        return {line.split(":")[0]: line.split(":") for line in self.machine.tree.text(path).splitlines()}

    def _save(self, path: str, rows: dict[str, list[str]]) -> None:
        mode = 0o640 if "shadow" in path else 0o644
        self.machine.tree.file(path, "".join(":".join(row) + "\n" for row in rows.values()), mode=mode)

    def _edit(self, path: str, name: str, row: list[str] | None) -> None:
        rows = self.rows(path)
        rows.pop(name, None)
        if row is not None:
            rows[name] = row
        self._save(path, rows)

    def _free(self, path: str) -> str:
        """The highest free system id, as Debian gives them."""
        taken = {int(row[2]) for row in self.rows(path).values()}
        return str(next(number for number in range(999, 99, -1) if number not in taken))

    def add_group(self, name: str, gid: str = "") -> bool:
        if name in self.rows("/etc/group"):
            return False
        self._edit("/etc/group", name, [name, "x", gid or self._free("/etc/group"), ""])
        self._edit("/etc/gshadow", name, [name, "!", "", ""])
        return True

    def add_user(self, name: str, *, uid: str = "", group: str = "", home: str = "", shell: str = "") -> bool:
        if name in self.rows("/etc/passwd"):
            return False
        if not group:
            self.add_group(name)
        groups = self.rows("/etc/group")
        gid = group if group.isdigit() else groups[group or name][2]
        row = [
            name,
            "x",
            uid or self._free("/etc/passwd"),
            gid,
            "",
            home or f"/home/{name}",
            shell or "/usr/sbin/nologin",
        ]
        self._edit("/etc/passwd", name, row)
        self._edit("/etc/shadow", name, [name, "!", "19700", "", "", "", "", "", ""])
        return True

    def ensure(self, name: str) -> None:
        self.add_user(name)

    def drop(self, name: str) -> None:
        """userdel: the user, and the group of its name when nobody else is in it."""
        for path in FILES:
            self._edit(path, name, None)

    def drop_group(self, name: str) -> bool:
        if name not in self.rows("/etc/group"):
            return False
        self._edit("/etc/group", name, None)
        self._edit("/etc/gshadow", name, None)
        return True

    def join(self, name: str, group: str, *, leave: bool = False) -> bool:
        groups = self.rows("/etc/group")
        if group not in groups:
            return False
        members = [member for member in groups[group][3].split(",") if member and member != name]
        groups[group][3] = ",".join(members if leave else [*members, name])
        self._save("/etc/group", groups)
        return True

    # the programs

    def command(self, argv: list[str]) -> Iterator[int]:
        """useradd, userdel, usermod, groupadd, groupdel, gpasswd; yields between steps, then the exit status."""
        options, words = _options(argv[1:])
        program, name = argv[0], words[-1] if words else ""
        if program == "useradd":
            if name in self.rows("/etc/passwd"):
                yield 9
                return
            group = options.get("gid", "")
            if not group:
                self.add_group(name)
                yield -1
            self.add_user(
                name,
                uid=options.get("uid", ""),
                group=group,
                home=options.get("home-dir", ""),
                shell=options.get("shell", ""),
            )
            for extra in filter(None, options.get("groups", "").split(",")):
                self.join(name, extra)
            if "create-home" in options:
                self.machine.tree.directory(options.get("home-dir", f"/home/{name}"))
            yield 0
        elif program == "userdel":
            known = name in self.rows("/etc/passwd")
            self.drop(name)
            yield 0 if known else 6
        elif program == "groupadd":
            yield 0 if self.add_group(name, options.get("gid", "")) else 9
        elif program == "groupdel":
            yield 0 if self.drop_group(name) else 6
        elif program == "usermod":
            yield 0 if all(self.join(name, group) for group in options.get("groups", "").split(",")) else 6
        else:
            yield (
                0 if self.join(options.get("delete") or options.get("add", ""), name, leave="delete" in options) else 3
            )


_LONG = {
    **{"-g": "gid", "-u": "uid", "-d": "home-dir", "-s": "shell", "-G": "groups", "-c": "comment"},
    **{"-a": "add", "-m": "create-home", "-r": "system", "-M": "no-create-home", "-N": "no-user-group"},
}
_BARE = frozenset(
    {"system", "no-create-home", "create-home", "append", "no-user-group", "user-group", "force", "remove"}
)


def _options(args: list[str]) -> tuple[dict[str, str], list[str]]:
    found: dict[str, str] = {}
    words: list[str] = []
    rest = iter("--append --groups" if a == "-aG" else a for a in args)
    flat = (word for item in rest for word in (item.split() if item == "--append --groups" else [item]))
    for word in flat:
        if not word.startswith("-"):
            words.append(word)
            continue
        name, equals, value = _LONG.get(word, word.lstrip("-")).partition("=")
        found[name] = value if equals else "" if name in _BARE else next(flat)
    return found, words
