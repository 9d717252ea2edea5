"""Each command from argument to exit code, with its whole output."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from installers.core.errors import Failure
from installers.core.model import Blocked, Kept, Left
from olares_cli.app import COMMANDS
from tests.unit.olares_cli.conftest import Run
from tests.unit.olares_cli.verbs_stub import (
    CheckResult,
    ComponentStatus,
    Plan,
    RunResult,
    Substitute,
    Verbs,
    planned,
)

HELP = """\
Usage: olares-cli [OPTIONS] COMMAND [ARGS]...

  Turn this computer into a personal cloud.

Options:
  --output <human|json|jsonl>  Form of the data on standard output.
  -v, --verbose                Say more; tracebacks too.
  -q, --quiet                  Say less: data and errors only.
  --no-color                   No colours (NO_COLOR does the same).
  --version                    Show the version and exit.
  --install-completion         Install completion for the current shell.
  --show-completion            Show completion for the current shell, to copy it or customize the
                               installation.
  -h, --help                   Show this message and exit.

Commands:
  precheck   Check whether this machine can run Olares; change nothing.
  plan       Show what install would change; change nothing.
  install    Install Olares on this machine, or repair what differs.
  attach     Follow a run that was started elsewhere or lost its terminal.
  status     Show every component: state, version, substitutes.
  resume     Go on with a run that was interrupted.
  undo       Take back the latest run.
  uninstall  Remove Olares from this machine; user data stays.
  machine    Make, use and remove disposable machines on this computer.
  explain    Explain an error by its id; works offline.
  facts      Show or record what Olares knows about this machine.
  bundle     Make and check signed bundles, for hosts with no way out.
  index      Show, take or publish a signed index; compare it with upstream.
  version    Show the version of this program.

  Start here:
    olares-cli precheck    # can this machine run it?
    olares-cli plan        # what would change?
    olares-cli install
"""

PLAN = """\
infrastructure
  containerd
    ~ write /etc/containerd/config.toml  (it differs)
    its configuration changed:
      ~ enable containerd.service
      ~ restart containerd.service

platform
  postgres
    … objects:postgres: decided once the cluster is there  (apply)

Substitutes
  redis for kvrocks: lacks storage beyond memory, replication slots

Left out
  NATS: it does not exist in the edition upstream yet

Source mirror (https://mirror.lan/olares), engine k3s.
Plan: 3 changes, 1 decided later.
"""


def test_help_is_the_whole_table(run: Run) -> None:
    ended = run("--help")
    assert (ended.code, ended.out, ended.err) == (0, HELP, "")


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_every_command_has_help_with_examples(run: Run, row: object) -> None:
    name = getattr(row, "name")  # noqa: B009 - rows are parametrised as objects
    ended = run(name, "--help")
    assert ended.code == 0
    if name in ("machine", "facts", "bundle", "index", "config"):
        lines = ended.out.split("Commands:")[1].splitlines()
        inner = [line.split()[0] for line in lines if line.startswith("  ")]
        assert inner
        for command in inner:
            assert "Examples:" in run(name, command, "--help").out, command
    elif name != "run":
        assert "Examples:\n    " in ended.out


def test_at_80_columns_every_command_has_its_whole_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words in ((), ("machine",), ("facts",), ("bundle",), ("index",), ("config",)):
        told = run(*words, "--help").out
        assert "..." not in told.split("Commands:")[1], words
        assert "[[" not in told


def test_an_argument_stands_in_one_pair_of_brackets(run: Run) -> None:
    for words in (("machine", "shell"), ("facts", "record"), ("index", "refresh"), ("explain",), ("attach",)):
        assert "[[" not in run(*words, "--help").out, words
    assert "Usage: olares-cli machine shell [OPTIONS] [NAME] [COMMAND]..." in run("machine", "shell", "--help").out


def test_sudo_is_asked_for_without_leaving_arguments_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    told = run("machine", "stop", "two").err
    assert "`machine stop` needs root" in told
    assert "put sudo before the same command" in told


def test_plan_as_a_page(run: Run) -> None:
    ended = run("plan")
    assert (ended.code, ended.out, ended.err) == (3, PLAN, "")


def test_plan_on_a_terminal_has_the_same_words_in_colour(run: Run, terminal: None) -> None:
    ended = run("plan")
    assert ended.code == 3
    assert "\x1b[33m" in ended.out
    ended = run("plan", "--no-color")
    assert "\x1b[33m" not in ended.out
    plain = re.sub(r"\x1b\[[0-9;]*m", "", ended.out)
    assert [line.rstrip() for line in plain.splitlines()] == PLAN.splitlines()


def test_nothing_to_do_is_exit_code_0(run: Run, verbs: Verbs) -> None:
    verbs.planned = Plan()
    ended = run("plan")
    assert (ended.code, ended.out) == (
        0,
        "Source debian, engine kubernetes.\nNothing to do: everything is as it should be.\n",
    )


def test_a_blocked_plan_names_the_failure_and_is_exit_code_4(run: Run, verbs: Verbs) -> None:
    verbs.planned = Plan((planned("a:b", "etcd", "infrastructure", Blocked("OLR-CLI-004")),))
    ended = run("plan")
    assert ended.code == 4
    assert ended.out == (
        "infrastructure\n  etcd\n"
        "    ! a:b: there is nobody to ask: this is not a terminal [OLR-CLI-004]\n"
        "        say so beforehand: add --yes\n\nSource debian, engine kubernetes.\nPlan: 0 changes, 1 blocked.\n"
    )


def test_an_install_of_a_blocked_plan_ends_as_the_plan_does_and_carries_out_nothing(run: Run, verbs: Verbs) -> None:
    verbs.planned = Plan((planned("a:b", "etcd", "infrastructure", Blocked("OLR-CLI-004")),))
    ended = run("install")
    assert (ended.code, "OLR-CLI-012" in ended.err) == (4, True)
    assert ended.out == ""


def test_plan_as_data_is_one_value_before_or_after_the_command(run: Run) -> None:
    after, before = run("plan", "--output", "json"), run("--output", "json", "plan")
    assert after == before
    content = json.loads(after.out)
    assert content["substitutes"][0]["for"] == "kvrocks"
    assert len(content["steps"]) == 4
    assert run("plan", "--output", "jsonl").out.count("\n") == 1


def test_a_saved_plan_is_what_install_carries_out(run: Run, verbs: Verbs, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    assert run("plan", "-o", str(file)).code == 3
    assert run("install", "--plan", str(file)).code == 0
    assert verbs.asked[-1][0] == "install"
    assert verbs.asked[-1][2] == verbs.planned.to_json()
    # It makes the choices the plan was made with.
    site = verbs.asked[-1][1].site
    assert (site.source, site.places, site.kube) == ("mirror", ("https://mirror.lan/olares",), "k3s")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 9, "steps": []}', "\xff"])
def test_what_is_no_plan_is_refused(run: Run, verbs: Verbs, tmp_path: Path, content: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(content, encoding="latin-1")
    ended = run("install", "--plan", str(file))
    assert ended.code == 2
    assert "OLR-CLI-003" in ended.err
    assert not verbs.asked


def test_a_plan_that_cannot_be_saved(run: Run, tmp_path: Path) -> None:
    ended = run("plan", "-o", str(tmp_path / "absent" / "plan.json"))
    assert ended.code == 1
    assert "OLR-CLI-011" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("install", "--phase", "plattform"), "--phase plattform: there is no such name (did you mean platform?)"),
        (
            ("plan", "--source", "upstrem"),
            "--source upstrem cannot be used: possible: upstream, mirror, bundle, debian",
        ),
        (("precheck", "--waive", "OLR-X"), "--waive OLR-X: there is no such name (known: )"),
        (("explain", "OLR-CLI-999"), "there is no error OLR-CLI-999"),
    ],
)
def test_an_unknown_name(run: Run, arguments: tuple[str, ...], said: str) -> None:
    ended = run(*arguments)
    assert said in ended.err
    assert ended.code == (1 if arguments[0] == "explain" else 2)
    assert ended.out == ""


def test_bad_usage(run: Run) -> None:
    for arguments in (("bogus",), ("plan", "--bogus"), ("plan", "--output", "yaml"), ("plan", "surplus")):
        ended = run(*arguments)
        assert (ended.code, ended.out) == (2, ""), arguments
        assert "Error: " in ended.err


def test_all_problems_of_the_configuration_at_once(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "olares.yaml"
    file.write_text("sorce: debian\nskip: [kvroks]\n")
    ended = run("plan")
    assert ended.code == 2
    assert f"{file}:1:1: unknown key sorce (did you mean source?)" in ended.err
    assert f"{file}:2:8: skip: there is no phase or component kvroks (did you mean kvrocks?)" in ended.err
    assert json.loads(run("plan", "--output", "json").out)["problems"][0].endswith("(did you mean source?)")


IMAGES = ("a.example/kvrocks:7.0", f"a.example/proxy:1.0@sha256:{'ab' * 32}")


def test_status_as_a_page(run: Run, verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1000.0)
    redis = Substitute("redis", "kvrocks", ("storage beyond memory",))
    verbs.components = (
        ComponentStatus("etcd", "etcd", "infrastructure", "3.4.23", "running", 875.0, None, ""),
        ComponentStatus("kvrocks", "KVRocks", "platform", "7.0", "degraded", None, redis, "1 of 2 pods ready", IMAGES),
    )
    ended = run("status")
    assert ended.code == 3
    assert ended.out == (
        "COMPONENT  STATE     VERSION  SINCE       DETAIL\n"
        "etcd       running   3.4.23   2 min 05 s\n"
        "kvrocks    degraded  7.0                  1 of 2 pods ready\n"
        "\nSubstitutes\n  redis for kvrocks: lacks storage beyond memory\n"
        "\nImages believed by version\n  a.example/kvrocks:7.0\n"
        "\nOlares: 1 running, 1 degraded.\n"
    )
    verbs.components = tuple(replace(one, state="absent") for one in verbs.components)
    assert "\nOlares: 2 absent.\nNext: `olares-cli precheck`" in run("status").out
    verbs.components = (replace(verbs.components[0], state="running"),)
    assert run("status").code == 0
    verbs.unfinished = True
    ended = run("status")
    assert ended.code == 3
    assert ended.out.endswith("A run was cut off; `olares-cli resume` goes on with it.\n")
    assert json.loads(run("status", "--output", "json").out)["unfinished"]


CHECKS = (
    CheckResult("OLR-PRE-001", "memory", "error", "failed", "2 GiB of 4 GiB", "add memory"),
    CheckResult("OLR-PRE-002", "swap", "warning", "failed", "swap is on", "swapoff -a"),
    CheckResult("OLR-PRE-003", "disk", "error", "not-run", "no permission", ""),
    CheckResult("OLR-PRE-004", "ports", "info", "failed", "80 by nginx", "nothing to do"),
)


def test_precheck_as_a_page(run: Run, verbs: Verbs) -> None:
    verbs.checks = CHECKS
    ended = run("precheck")
    assert ended.code == 4
    assert ended.out == (
        "CHECK   RESULT   ID           DETAIL\n"
        "memory  failed   OLR-PRE-001  2 GiB of 4 GiB\n"
        "swap    warning  OLR-PRE-002  swap is on\n"
        "disk    not-run  OLR-PRE-003  no permission\n"
        "ports   info     OLR-PRE-004  80 by nginx\n"
        "\nOLR-PRE-001: 2 GiB of 4 GiB\n  Do: add memory\n"
        "\nOLR-PRE-002: swap is on\n  Do: swapoff -a\n"
        "\n1 check could not be made.\n1 problem in the way of an install.\n"
    )
    assert run("precheck", "--waive", "OLR-PRE-001").code == 0


def test_what_is_about_other_computers_is_one_line_of_the_page(run: Run, verbs: Verbs) -> None:
    memory = CheckResult("memory", "Memory", "error", "passed", "8 GiB", "")
    wsl = CheckResult("wsl", "WSL", "error", "passed", "this is none", "", concerns=False)
    verbs.checks = (memory, wsl)
    page = "CHECK   RESULT  ID      DETAIL\nMemory  passed  memory  8 GiB\n\n"
    one = "1 check does not concern this computer; --all shows them.\n"
    assert run("precheck").out == f"{page}{one}Nothing in the way of an install.\n"
    verbs.checks = (memory, wsl, replace(wsl, id="pi", title="Raspberry Pi"))
    assert "\n2 checks do not concern this computer; --all shows them.\n" in run("precheck").out
    every = run("precheck", "--all").out
    assert "Raspberry Pi  passed  pi      this is none\n" in every
    assert "concern" not in every
    assert [row["id"] for row in json.loads(run("precheck", "--output", "json").out)["checks"]] == [
        "memory",
        "wsl",
        "pi",
    ]


def test_a_failed_check_stops_an_install_unless_waived(run: Run, verbs: Verbs) -> None:
    verbs.checks = CHECKS
    ended = run("install", "--yes")
    assert ended.code == 4
    assert "OLR-PRE-001: 2 GiB of 4 GiB Do: add memory" in ended.err
    assert not verbs.asked
    assert run("install", "--yes", "--waive", "OLR-PRE-001").code == 0


def test_install_asks_and_silence_is_not_consent(run: Run, verbs: Verbs) -> None:
    ended = run("install")
    assert ended.code == 2
    assert "OLR-CLI-004" in ended.err
    assert [asked[0] for asked in verbs.asked] == ["plan"]


def test_changes_need_root(run: Run, verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    for command in (("install", "--yes"), ("resume",), ("undo", "--yes"), ("uninstall", "--yes"), ("machine", "stop")):
        ended = run(*command)
        assert ended.code == 1
        assert "OLR-CLI-008" in ended.err
    assert not verbs.asked


def test_uninstall_tells_what_stays_and_how_to_remove_it(run: Run, verbs: Verbs) -> None:
    verbs.result = RunResult(
        "left",
        5,
        left=(Left("/etc/hosts", "somebody added lines"),),
        kept=(Kept("/var/lib/olares/volumes/a b", "user data"),),
    )
    ended = run("uninstall", "--yes")
    assert ended.code == 3
    assert ended.err == (
        "Removed: 5 changes; something was left (below).\n"
        "Left, because it is no longer what was put there:\n  /etc/hosts: somebody added lines\n"
        "Kept on purpose:\n  /var/lib/olares/volumes/a b: user data\n"
        "  To remove it all: rm -r '/var/lib/olares/volumes/a b'\n"
    )
    assert verbs.asked[-1][2] == "keep-data"
    run("uninstall", "--all", "--yes")
    assert verbs.asked[-1][2] == "all"


def test_uninstall_all_wants_the_name(run: Run, verbs: Verbs, terminal: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.node", lambda: "box")
    monkeypatch.setattr("typer.prompt", lambda question, err: "bix")
    ended = run("uninstall", "--all")
    assert ended.code == 2
    assert "nothing was removed" in ended.err
    assert not verbs.asked
    monkeypatch.setattr("typer.prompt", lambda question, err: "box")
    assert run("uninstall", "--all").code == 0


def test_uninstall_leaves_no_file_of_its_own(run: Run, verbs: Verbs, tmp_path: Path) -> None:
    assert run("uninstall", "--yes").code == 0
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (RunResult("done", 3), 0),
        (RunResult("interrupted", 1), 130),
        (RunResult("failed", 1, Failure("OLR-CFG-002", path="/x")), 2),
        (RunResult("failed", 1, Failure("OLR-CLI-006")), 1),
        (Failure("OLR-CLI-006"), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: getattr(value, "status", type(value).__name__),
)
def test_how_a_run_ends_is_the_exit_code(run: Run, verbs: Verbs, result: RunResult | BaseException, code: int) -> None:
    verbs.result = result
    ended = run("install", "--yes", "--output", "jsonl")
    assert ended.code == code
    last = json.loads(ended.out.splitlines()[-1])
    assert last["type"] == "result"
    if code:
        assert "`olares-cli resume` goes on from here" in ended.err


def test_an_unexpected_error_is_one_line_and_a_file(run: Run, verbs: Verbs, tmp_path: Path) -> None:
    verbs.result = ZeroDivisionError("oh")
    ended = run("install", "--yes")
    assert ended.code == 1
    assert "OLR-CLI-009: this is a mistake in olares-cli: ZeroDivisionError: oh" in ended.err
    assert "Traceback" not in ended.err
    (log,) = (tmp_path / "log").glob("debug-*.log")
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
    assert "Traceback" in run("-v", "install", "--yes").err


def test_explain(run: Run) -> None:
    ended = run("explain", "olr-cfg-001")
    assert ended.code == 0
    assert ended.out.startswith(
        "OLR-CFG-001: <path> cannot be used; nothing was done. Problems: <count>\n\nThe configuration"
    )
    assert run("explain").out.count("OLR-CLI-") >= 14
    assert "near: OLR-CFG-00" in run("explain", "OLR-CFG-01").err


def test_version_in_all_forms(run: Run) -> None:
    assert run("version").out == run("--version").out
    assert json.loads(run("version", "--output", "json").out)["type"] == "version"


def test_completion_knows_phases_commands_and_errors(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_OLARES_CLI_COMPLETE", "complete_bash")
    for words, expected in (
        ("olares-cli pl", "plan"),
        ("olares-cli plan --phase p", "platform"),
        ("olares-cli explain OLR-CFG-", "OLR-CFG-001"),
        ("olares-cli precheck --waive noe", "noexec"),
        ("olares-cli machine create --vm-driver do", "docker"),
    ):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        ended = run()
        assert ended.code == 0
        assert expected in ended.out.split()
