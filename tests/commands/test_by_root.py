"""Commands that root calls: their work on a company's folders is done as the company's user."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.documents import document, drop, files, one
from support.program import Finished, configure, environment
from support.users import as_user, made_users, place_for_all

from watcher.cli.commands import CONFIGURATION
from watcher.folders.layout import Folders

GOOD = document(("CW-1", "100.00"))
HALF = document(("CW-1", "100.00"), ("CW-9", "1.00"))
# Readable for the group, as install.sh of version 0.1.0 made all five: people can write to each of them.
OPEN = 0o2770


@dataclass
class Company:
    """A company's folders and configuration, with its user and a person who may drop files."""

    folders: Folders
    config: Path
    service: str
    person: str
    people: str

    def run(self, *arguments: str | Path, umask: int = 0o022, folder: Path | None = None) -> Finished:
        """Run a command as root, in a process of its own."""
        ended = subprocess.run(
            [sys.executable, "-m", "watcher", *map(str, arguments), "--config", str(self.config)],
            cwd=folder or "/",
            env=environment(Path("/root"), PYTHONPATH=str(Path(__file__).parents[2])),
            capture_output=True,
            check=False,
            umask=umask,
            timeout=60,
        )
        return Finished(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def drop(self, name: str, content: bytes) -> None:
        """Drop a file as the person does."""
        drop(self.folders.inbox, name, content)
        shutil.chown(self.folders.inbox / name, self.person, self.people)

    def owned_by_others(self) -> set[str]:
        """Return all that belongs neither to the company's user nor to the person."""
        users = {pwd.getpwnam(name).pw_uid for name in (self.service, self.person)}
        return {str(path) for path in self.config.parent.rglob("*") if path.lstat().st_uid not in users}


@pytest.fixture
def company(sandbox):
    """A company whose user has made nothing yet."""
    with made_users("pw-service", "pw-anna", group="pw-people") as (service, person, people), place_for_all() as place:
        folders = Folders(*(place / "acme" / name for name in ("inbox", ".work", "success", "fail", "archive")))
        state = place / "state"
        for path in (folders.inbox.parent, *(folder for _, folder in folders.named()), state):
            path.mkdir()
            shutil.chown(path, service, people)
            path.chmod(OPEN)
        folders.inbox.parent.chmod(0o750)
        for path in (folders.work, state):
            path.chmod(0o700)
        config = configure(folders, sandbox.url, journal={"url": f"sqlite:///{state}/journal.db"})
        made = Company(folders, config.rename(place / "acme.toml"), service, person, people)
        made.config.chmod(0o600)
        yield made


@pytest.fixture
def failed(company):
    """The fail file of the company."""
    company.drop("half.xml", HALF)
    ended = company.run("run", "--once")
    assert ended.code == 1, ended
    return one(files(company.folders.fail))


COMMANDS = {
    "check": ["check"],
    "status": ["status"],
    "explain": ["explain", "half.xml"],
    "history": ["history", "half.xml"],
    "prune": ["prune"],
    "requeue": ["requeue", "half.xml"],
    "run": ["run", "--once"],
}


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS.keys())
def test_nothing_of_roots_is_made(company, failed, arguments):
    """After a command of root's, all in the company's folders is the company's user's, and the service can go on."""
    no_daemon_runs = 2
    assert company.run(*arguments, umask=0o077).code == (no_daemon_runs if arguments == ["status"] else 0)
    assert company.owned_by_others() == {str(company.config)}
    again = as_user(
        company.service, "find", company.folders.inbox.parent, company.config.parent / "state", "!", "-readable"
    )
    assert (again.stdout, again.stderr) == ("", "")


def test_what_root_withdraws_is_made_by_the_company_user(company):
    """Without a daemon the command publishes. All of it is the company's user's, the request in the journal too."""
    company.drop("half.xml", HALF)
    with_keys = company.config.read_text(encoding="utf-8")
    company.config.write_text(with_keys.replace("private_key = ", 'private_key = "wrong" # '), encoding="utf-8")
    assert company.run("run", "--once").code == 77
    ended = company.run("withdraw", "half.xml", umask=0o077)
    assert ended.code == 0, ended
    assert company.owned_by_others() == {str(company.config)}
    assert one(files(company.folders.fail)).owner() == company.service
    company.config.write_text(with_keys, encoding="utf-8")
    assert company.run("run", "--once").code == 0


def test_the_first_run_by_root_makes_the_users_journal(company):
    """Before there is a journal, its folder says whose it is to be."""
    assert company.run("run", "--once").code == 0
    assert one(company.config.parent.glob("state/journal.db")).owner() == company.service


def test_a_link_under_the_name_of_a_fail_file_leads_root_nowhere(company, failed):
    """A file that only root reads is not put into the inbox through a link that a person made."""
    secret = company.config.parent / "secret.xml"
    secret.write_bytes(document(("CW-2", "7.00")))
    secret.chmod(0o600)
    link = company.folders.fail / "report__20260101T000000Z_deadbeef.xml"
    assert as_user(company.person, "ln", "-s", secret, link).returncode == 0
    for options in ([], ["--anyway"]):
        assert company.run("requeue", "report.xml", *options).code != 0
    assert [path for path in company.folders.inbox.glob("report*") if not path.is_symlink()] == []


def test_a_link_under_the_name_that_is_written_first_leads_root_nowhere(company):
    """A file that only root writes keeps its content, whatever a person put in the way."""
    victim = company.config.parent / "victim"
    victim.write_bytes(b"root's")
    own = company.folders.fail / "own__20260101T000000Z_deadbee1.xml"
    own.write_bytes(GOOD)
    shutil.chown(own, company.person, company.people)
    aside = company.folders.inbox / ".20260101T000000Z_deadbee1.file.tmp"
    assert as_user(company.person, "ln", "-s", victim, aside).returncode == 0
    company.run("requeue", "own.xml")
    assert victim.read_bytes() == b"root's"


def test_what_root_puts_back_under_umask_077_is_taken(company, failed):
    """The service reads it, and so do people; it is paid at the next scan."""
    assert company.run("requeue", failed.name, umask=0o077).code == 0
    back = company.folders.inbox / failed.name
    assert back.owner() == company.service
    assert stat.S_IMODE(back.stat().st_mode) == 0o640
    ended = company.run("run", "--once", umask=0o077)
    assert ended.code == 1
    assert [line["file"] for line in ended.log if line["event"] == "file.finished"] == [failed.name]


def test_a_file_that_the_service_cannot_read_is_explained_to_root(company):
    """Root hears what the daemon sees, and not what root could do."""
    company.drop("mine.xml", GOOD)
    (company.folders.inbox / "mine.xml").chmod(0o600)
    said = company.run("explain", "mine.xml")
    assert said.code == 0
    assert "Permission denied" in said.out
    assert "ready to be taken" not in said.out


def test_a_folder_that_the_service_cannot_write_is_a_fault_for_root_too(company):
    """The check tries what the company's user may do."""
    os.chown(company.folders.success, 0, 0)
    company.folders.success.chmod(0o755)
    said = company.run("check")
    assert said.code == CONFIGURATION
    assert f"{company.folders.success}: Permission denied" in " ".join(said.out.split())


def test_status_by_root_finds_what_the_user_did(company, failed):
    """The journal is found and read as the company's user."""
    said = json.loads(company.run("status", "--json").out)
    assert [file["name"] for file in said["finished"]] == ["half.xml"]


def test_init_of_a_set_that_belongs_to_somebody_makes_what_is_missing_as_its_owner(company):
    """A second init by root adds a folder and a configuration of the owner's."""
    company.folders.fail.rmdir()
    made = company.folders.inbox.parent
    program = [sys.executable, "-m", "watcher", "init", str(made)]
    env = environment(Path("/root"), PYTHONPATH=str(Path(__file__).parents[2]))
    assert subprocess.run(program, env=env, cwd="/", capture_output=True, check=False).returncode == 0
    assert {company.folders.fail.owner(), (made / "payment-watcher.toml").owner()} == {company.service}


@pytest.mark.parametrize("whose", ["root", "person"])
def test_root_is_told_of_a_configuration_in_the_working_directory(company, whose):
    """It is named if it counts, and if it does not, with the reason; what is printed for programs stays as it is."""
    here = company.config.parent / "here"
    here.mkdir()
    file = shutil.copy(company.config, here / "payment-watcher.toml")
    if whose == "person":
        shutil.chown(file, company.person)
    program = [sys.executable, "-m", "watcher", "status", "--json"]
    env = environment(Path("/root"), PYTHONPATH=str(Path(__file__).parents[2]))
    ended = subprocess.run(program, env=env, cwd=here, capture_output=True, encoding="utf-8", check=False)
    if whose == "root":
        assert json.loads(ended.stdout)["waiting"] == []
        assert ended.stderr == f"The configuration is {file}.\n"
    else:
        assert ended.returncode == CONFIGURATION
        assert (
            f"{file} is not used: it or its folder belongs to user {pwd.getpwnam(company.person).pw_uid}"
            in ended.stderr
        )
        assert "no file was given" in ended.stderr


def test_init_by_way_of_a_link_of_a_persons_makes_nothing_of_roots(company):
    """Root does not make folders where a person's link leads."""
    victim = company.config.parent / "victim"
    victim.mkdir()
    assert as_user(company.person, "ln", "-s", victim, company.folders.inbox / "set").returncode == 0
    program = [sys.executable, "-m", "watcher", "init", str(company.folders.inbox / "set")]
    env = environment(Path("/root"), PYTHONPATH=str(Path(__file__).parents[2]))
    ended = subprocess.run(program, env=env, cwd="/", capture_output=True, encoding="utf-8", check=False)
    assert ended.returncode == CONFIGURATION
    assert "Permission denied" in ended.stderr
    assert list(victim.iterdir()) == []


def test_without_a_setting_the_journal_is_the_users_and_not_roots(company):
    """The default is what it is for the company's user: root's own state folder says nothing of the company."""
    text = company.config.read_text()
    company.config.write_text("".join(part for part in text.splitlines(keepends=True) if not part.startswith("url = ")))
    company.drop("new.xml", GOOD)
    said = company.run("status", "--json")
    assert [file["name"] for file in json.loads(said.out)["waiting"]] == ["new.xml"]
    refused = company.run("run", "--once")
    assert refused.code == CONFIGURATION
    assert "/nonexistent/" in refused.err


# --- who that is -----------------------------------------------------------------------------------------------

BECOME = """
import os, sys, types
from pathlib import Path
from watcher.cli import identity
journal, inbox = map(Path, sys.argv[1:])
settings = types.SimpleNamespace(
    journal=types.SimpleNamespace(path=journal, model_fields_set={"url"}), folders=types.SimpleNamespace(inbox=inbox)
)
identity.work_as_company(settings)
try:
    os.setresuid(0, 0, 0)
    back = True
except PermissionError:
    back = False
print(*os.getresuid(), *os.getresgid(), ",".join(map(str, sorted(os.getgroups()))), oct(os.umask(0)), back)
"""


def become(journal, inbox):
    """Return as whom a command of root's works: user, group, groups, umask, and whether it can become root again."""
    env = environment(Path("/root"), PYTHONPATH=str(Path(__file__).parents[2]))
    program = [sys.executable, "-c", BECOME, str(journal), str(inbox)]
    ended = subprocess.run(program, env=env, cwd="/", capture_output=True, encoding="utf-8", check=False)
    assert ended.returncode == 0, ended.stderr
    *ids, groups, umask, back = ended.stdout.split()
    return [int(number) for number in ids], {int(number) for number in groups.split(",") if number}, umask, back


def test_all_of_root_is_given_up_for_good(company):
    """The process has the user's ids, the user's groups alone, and no way back."""
    entry = pwd.getpwnam(company.service)
    people = company.folders.inbox.stat().st_gid
    found = become(company.config.parent / "state" / "journal.db", company.folders.inbox)
    assert found == ([entry.pw_uid] * 3 + [entry.pw_gid] * 3, {entry.pw_gid, people}, "0o27", "False")


@pytest.mark.parametrize(
    ("journal", "inbox", "whose"),
    [
        ("theirs/journal.db", "roots", "theirs"),
        ("missing/journal.db", "theirs", "theirs"),
        ("roots/journal.db", "theirs", "theirs"),
        ("roots/their.db", "roots", "theirs"),
        ("roots/roots.db", "theirs", "root"),
        ("missing/journal.db", "missing", "root"),
        ("missing/journal.db", "link of theirs", "theirs"),
        ("missing/journal.db", "lost link of theirs", "theirs"),
        ("link of roots/journal.db", "roots", "theirs"),
        ("missing/journal.db", "link of theirs/deep", "theirs"),
    ],
)
def test_the_owner_of_the_journals_folder_or_else_of_the_inbox_counts(company, journal, inbox, whose):
    """What is root's shows nobody else, unless a person has put a link in its place."""
    place = company.config.parent / "places"
    for name in ("roots/deep", "theirs"):
        (place / name).mkdir(parents=True)
    (place / "roots" / "roots.db").touch()
    (place / "roots" / "their.db").touch()
    (place / "link of theirs").symlink_to(place / "roots")
    (place / "lost link of theirs").symlink_to(place / "nowhere")
    (place / "link of roots").symlink_to(place / "theirs")
    user = pwd.getpwnam(company.service).pw_uid
    for path in ("theirs", "roots/their.db", "link of theirs", "lost link of theirs"):
        os.chown(place / path, user, -1, follow_symlinks=False)
    ids, *_ = become(place / journal, place / inbox)
    assert ids[0] == (user if whose == "theirs" else 0)


def test_an_owner_without_a_name_has_the_folders_group_alone(company):
    """A share's owner may be unknown to this machine."""
    nameless = 2_000_000_001
    inbox = company.folders.inbox
    os.chown(inbox, nameless, nameless)
    ids, groups, *_ = become(company.config.parent / "missing" / "journal.db", inbox)
    assert (ids, groups) == ([nameless] * 6, {nameless})


@pytest.mark.parametrize("readable", [True, False])
def test_a_program_in_roots_home(company, failed, readable):
    """A clone there works, too. One that is closed itself is explained."""
    clone = company.config.parent / "home" / "clone"
    shutil.copytree(Path(__file__).parents[2] / "watcher", clone / "watcher")
    clone.parent.chmod(0o700)
    clone.chmod(0o755 if readable else 0o700)
    program = [sys.executable, "-P", "-m", "watcher", "history", "half.xml", "--config", str(company.config)]
    env = environment(Path("/root"), PYTHONPATH=str(clone))
    ended = subprocess.run(program, env=env, cwd="/", capture_output=True, encoding="utf-8", check=False)
    assert ended.returncode == (0 if readable else CONFIGURATION), ended.stderr
    assert "half.xml" in ended.stdout if readable else "cannot read this program" in ended.stderr
