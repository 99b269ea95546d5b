"""``--help``, ``--version``, wrong usage, and what they cost."""

from __future__ import annotations

import platform
import re
import subprocess
import sys

import pytest
import typer
from support.documents import document, drop
from support.program import PATIENCE, command, configure, environment

import watcher
from watcher.cli import commands as cli

COMMANDS = typer.main.get_command(cli.app).commands


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_names_every_option_and_what_it_does(monkeypatch, name, option):
    """Each command says in a sentence what it does, and each of its options and arguments is explained."""
    monkeypatch.setenv("COLUMNS", "250")
    shown = command(name, option)
    assert shown.code == 0
    # Lines may break anywhere, within a path as well.
    text = "".join(shown.out.split())
    assert "".join(COMMANDS[name].help.split()) in text
    for parameter in COMMANDS[name].params:
        assert parameter.help, parameter.name
        assert "".join(parameter.help.split()) in text
        for spelling in parameter.opts if parameter.param_type_name == "option" else [parameter.metavar]:
            assert spelling in text
    assert "[[" not in text


def test_help_of_the_program_names_every_command():
    """--help lists each command with its sentence."""
    shown = command("--help")
    assert shown.code == 0
    assert {"run", "apply", "check", "init", "sandbox", "demo", "schema"} <= set(COMMANDS)
    for name in COMMANDS:
        assert re.search(rf"^\W*{name}\s+\S", shown.out, re.MULTILINE), name


def test_version_is_all_that_a_bug_report_needs():
    """--version prints the program's version first, then those of Python, SQLite and every library it is built on."""
    shown = command("--version")
    first, machine, *libraries = shown.out.splitlines()
    assert (shown.code, first, shown.err) == (0, f"payment-watcher {watcher.__version__}", "")
    assert platform.python_version() in machine
    assert {"lxml", "requests", "watchdog"} <= {line.partition(" ")[0] for line in libraries}
    assert all(re.fullmatch(r"\S+ \d\S*", line) for line in libraries)


@pytest.mark.parametrize(
    "arguments",
    [("apply", "--sucess-file", "x"), ("run", "--twice"), ("frobnicate",), ("init",), ("sandbox", "--port", "99999")],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments):
    """An option or command that does not exist, or an argument that is missing, is a fault of usage."""
    ended = command(*arguments)
    assert ended.code == 2
    assert "Usage" in ended.err


def imported(folder, *arguments):
    """Run a command in a process of its own, and return the libraries that it imported."""
    script = (
        "import sys\n"
        "from watcher.cli.commands import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=True,
    )
    return set(ended.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_answer_at_once_imports_no_part_of_the_work(tmp_path, option):
    """What a shell's completion waits for costs no library of the daemon."""
    used = imported(tmp_path, option)
    assert "typer" in used
    assert not used & {"apprise", "lxml", "pydantic", "requests", "rich", "sqlalchemy", "structlog", "tomlkit"}


@pytest.mark.parametrize("arguments", [("run", "--once"), ("apply", "export.xml")], ids=" ".join)
def test_work_imports_only_what_it_uses(folders, sandbox, tmp_path, arguments):
    """Figures, messages and drawing are paid for by those who asked for them, and a journal by those who keep one."""
    settings = configure(folders, sandbox.url)
    content = document(("CW-1", "100.00"))
    drop(folders.inbox, "export.xml", content)
    (tmp_path / "export.xml").write_bytes(content)
    used = imported(tmp_path, *arguments, "--config", settings)
    assert {"lxml", "requests", "structlog"} <= used
    assert not used & {"apprise", "asyncio", "charset_normalizer", "prometheus_client", "tomlkit"}
    assert ("sqlalchemy" in used) is (arguments[0] == "run")
    assert ("rich" in used) is (arguments[0] == "apply")


def test_what_is_imported_later_is_there_when_it_is_used(tmp_path):
    """A library that got a stand-in for asyncio finds in it what asyncio has, and misses what it has not."""
    script = (
        "from watcher.cli import lean\n"
        "with lean.importing():\n    pass\n"
        "import structlog, asyncio\n"
        "stand_in = structlog.stdlib.asyncio\n"
        "assert stand_in is not asyncio and stand_in.get_running_loop is asyncio.get_running_loop\n"
        "assert not hasattr(stand_in, 'no_such_name')\n"
        "with lean.importing():\n    import asyncio as again\n"
        "assert again is asyncio\n"
        "import gc\nassert gc.isenabled()"
    )
    subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment(tmp_path), timeout=PATIENCE, check=True
    )
