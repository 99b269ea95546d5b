"""``check``: what it finds, what it leaves alone, and its exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.documents import document, drop
from support.needs import needs
from support.program import command, configure, tree

from watcher.actions import check
from watcher.cli.exits import CONFIGURATION

GOOD = document(("CW-1", "100.00"))


def test_sound_installation_passes_the_check(settings, sandbox, tmp_path):
    """The check says what it found in order, ends with 0, and its probes leave nothing behind."""
    before = tree(tmp_path)
    ended = command("check", "--config", settings)
    assert ended.code == 0, ended.out
    assert {line.split()[0] for line in ended.out.splitlines()} == {"ok"}
    for looked_at in ("inbox", "success", "fail", "work", "archive", "journal", "connectwise"):
        assert looked_at in ended.out
    assert tree(tmp_path) == before
    assert sandbox.books()["writes"] == []


def test_check_says_all_faults_at_once(folders, sandbox):
    """Missing folders, one that is a file, and a wrong key are all said in one run, each with its mend."""
    settings = configure(folders, sandbox.url, connectwise={"private_key": "not-the-private-key"})
    folders.success.rmdir()
    folders.archive.rmdir()
    folders.archive.write_text("no folder")
    ended = command("check", "--config", settings)
    assert ended.code == 78
    lines = ended.out.splitlines()
    faults = [number for number, line in enumerate(lines) if line.startswith("FAULT")]
    assert [lines[number].split(":")[0].split(maxsplit=1)[1] for number in faults] == [
        "folders.success",
        "folders.archive",
        "connectwise sign-in",
    ]
    mends = [lines[number + 1] for number in faults]
    assert all(mend.startswith("  ") and mend.strip() for mend in mends)
    assert "private_key" in mends[-1]


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        pytest.param({"private_key": "not-the-private-key"}, 77, "private_key", id="wrong key"),
        pytest.param({"client_id": "not-the-client-id"}, 77, "client_id", id="wrong client id"),
        pytest.param({"codebase": "v9_9_release"}, 77, "codebase", id="wrong codebase"),
        pytest.param({"site": "http://127.0.0.1:9"}, 69, "could not be reached", id="not reachable"),
    ],
)
def test_fault_of_the_sign_in_alone_ends_the_check_with_its_code(folders, sandbox, changes, code, said):
    """With sound folders the exit code tells whether ConnectWise cannot be reached or refuses the sign-in."""
    ended = command("check", "--config", configure(folders, sandbox.url, connectwise=changes))
    assert ended.code == code
    assert said in ended.out


def test_check_says_faults_of_the_configuration(folders, sandbox):
    """A configuration that cannot be used ends the check with 78 and each fault's key."""
    settings = configure(folders, sandbox.url, inbox={"setle_seconds": 1}, logging={"level": "loud"})
    ended = command("check", "--config", settings)
    assert ended.code == 78
    for said in ("inbox.setle_seconds", "Did you mean settle_seconds?", "logging.level"):
        assert said in ended.err


@pytest.mark.parametrize("arguments", [("check",), ("run", "--once")], ids=" ".join)
def test_work_on_another_file_system_is_a_fault(folders, sandbox, elsewhere, arguments):
    """A file cannot be claimed across two file systems: check and run say so and end with 78."""
    settings = configure(folders, sandbox.url, folders={"work": str(elsewhere)})
    dropped = drop(folders.inbox, "stays.xml", GOOD)
    ended = command(*arguments, "--config", settings)
    assert ended.code == 78
    assert "folders.work" in ended.out + ended.err
    assert "another file system" in ended.out + ended.err
    assert dropped.exists()


@pytest.mark.parametrize("arguments", [("check",), ("run", "--once")], ids=" ".join)
def test_outbox_that_is_the_inbox_by_a_link_is_a_fault(folders, sandbox, tmp_path, arguments):
    """Results that would be taken as new files again are a fault that names both folders, however they are linked."""
    (tmp_path / "other").symlink_to(folders.inbox)
    settings = configure(folders, sandbox.url, folders={"success": str(tmp_path / "other")})
    dropped = drop(folders.inbox, "stays.xml", GOOD)
    ended = command(*arguments, "--config", settings)
    assert ended.code == 78
    assert "same folder as inbox" in " ".join((ended.out + ended.err).split())
    assert dropped.exists()


def _link(folder: Path) -> str:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")
    return f"{folder} is a link"


def _open_to_all(folder: Path) -> str:
    folder.chmod(0o777)
    return f"every user of this machine can write to {folder}"


def _open_above(folder: Path) -> str:
    folder.parent.chmod(0o777)
    return f"people can write to {folder.parent}"


def _given_away(folder: Path) -> str:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give a folder to another user")
    os.chown(folder, 65534, 65534)
    return f"{folder} belongs to another user"


@pytest.mark.parametrize("spoil", [_link, _open_to_all, _open_above, _given_away])
@pytest.mark.parametrize("arguments", [("check",), ("run", "--once")], ids=" ".join)
def test_folder_that_cannot_be_trusted_is_a_fault(folders, sandbox, arguments, spoil):
    """Check and run name it with its mend and end with 78; nothing is taken."""
    settings = configure(folders, sandbox.url)
    dropped = drop(folders.inbox, "stays.xml", GOOD)
    problem = spoil(folders.work)
    ended = command(*arguments, "--config", settings)
    said = " ".join((ended.out + ended.err).split())
    assert ended.code == 78
    assert problem in said
    assert "folders." in said
    assert ("chmod" in said) or ("chown" in said) or ("Name the folder" in said)
    assert dropped.exists()
    assert sandbox.books()["writes"] == []


def test_two_mounts_of_one_disk_are_a_fault(folders, sandbox):
    """A file cannot be moved between them, though both are on one device; check says so, and what to do."""
    unshare = needs("unshare", "mount")
    if subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody make a mount namespace")
    settings = configure(folders, sandbox.url)
    bound = 'mount --bind "$1" "$1" && mount --bind "$2" "$2" && exec "$3" check --config "$4"'
    program = Path(sys.executable).with_name("payment-watcher")
    ended = subprocess.run(
        [unshare, "-rm", "sh", "-c", bound, "sh", folders.inbox, folders.work, program, settings],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 78, ended.stdout + ended.stderr
    assert "no file can be moved to it from the inbox" in " ".join(ended.stdout.split())
    assert "one mount" in ended.stdout
    assert list(folders.inbox.iterdir()) == []


@pytest.mark.parametrize("name", ["apply", "check", "run"])
def test_stylesheet_that_is_none_is_a_fault_of_the_configuration(folders, sandbox, name):
    """No file is taken before the operator has mended it."""
    settings = configure(folders, sandbox.url, inbox={"transform": "sage.xsl"})
    (settings.parent / "sage.xsl").write_text("<html/>")
    ended = command(name, "--config", settings, stdin=GOOD)
    assert ended.code == 78
    assert "inbox.transform" in ended.err
    assert "sage.xsl: " in ended.err
    assert sandbox.books()["writes"] == []


def _damaged(journal, inbox):
    journal.write_bytes(journal.read_bytes()[:4096] + b"\xff" * 8192)


def _no_journal(journal, inbox):
    journal.write_bytes(b"garbage")


def _no_marker(journal, inbox):
    (inbox / ".payment-watcher").unlink()


def _another_inbox(journal, inbox):
    (inbox / ".payment-watcher").write_text("0123456789abcdef\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_damaged, "journal.url: "),
        (_no_journal, "file is not a database"),
        (_no_marker, "has no marker any more"),
        (_another_inbox, "bears the marker of another inbox"),
    ],
)
def test_what_keeps_the_daemon_from_its_work_is_a_fault(folders, sandbox, spoil, said):
    """The journal is opened and read through, and the inbox has to be the one that the journal knows."""
    config = configure(folders, sandbox.url)
    drop(folders.inbox, "a.xml", document(("CW-1", "1.00")))
    assert command("run", "--once", "--config", config).code == 0
    good = command("check", "--config", config)
    assert good.code == 0, good.out
    assert "ok    inbox: it is the one of the first start" in good.out
    spoil(folders.inbox.parent / "journal.db", folders.inbox)
    ended = command("check", "--config", config)
    assert ended.code == CONFIGURATION
    assert said in ended.out


def test_folder_that_does_not_answer_ends_the_look_at_folders(folders, sandbox, monkeypatch):
    """A share whose server has gone answers no call for hours; the check says so within seconds, and goes on."""
    released = threading.Event()
    monkeypatch.setattr(check, "_ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(check, "probe", lambda *_, **__: released.wait(60))
    ended = command("check", "--config", configure(folders, sandbox.url))
    released.set()
    assert ended.code == CONFIGURATION
    assert f"{folders.inbox} does not answer" in ended.out
    assert str(folders.success) not in ended.out
    assert "connectwise sign-in" in ended.out
