"""A company's folders as install.sh makes and mends them, and what a person of the company and others can do there."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.users import as_user, made_users, place_for_all

SCRIPT = Path(__file__).parents[2] / "systemd" / "folders.py"
FIVE = ("inbox", "success", "fail", "archive", ".work")
RESULT = "x__20260101T000000Z_deadbeef.xml"


@pytest.fixture(scope="module")
def users():
    """The service's user, two people of the company, another user of the machine, and the people's group."""
    names = ("pw-service", "pw-anna", "pw-bob")
    with made_users(*names, group="pw-people") as (*company, people), made_users("pw-other") as (other,):
        yield *company, other, people


@pytest.fixture
def place():
    """A folder of root's that every user can enter."""
    with place_for_all() as made:
        yield made


def script(*arguments):
    """Run the script as root, and return what it came to."""
    command = [sys.executable, "-I", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, umask=0o022, timeout=30)


def facts(path):
    """Return owner, group and mode of a path, which is no link."""
    found = path.lstat()
    assert not stat.S_ISLNK(found.st_mode)
    return path.owner(), path.group(), oct(stat.S_IMODE(found.st_mode))


def give(path, user, group, mode):
    """Give a path to a user and a group."""
    shutil.chown(path, user, group)
    path.chmod(mode)


def can(user, *command):
    """Return True if a user succeeds with a command."""
    return as_user(user, *command).returncode == 0


def assert_fenced(folder, users):
    """Try all that a person of the company, and another user, must and must not be able to do in a set of folders."""
    service, anna, bob, other, people = users
    assert facts(folder) == (service, people, "0o750")
    assert facts(folder / "inbox") == (service, people, "0o3770")
    assert facts(folder / ".work") == (service, service, "0o700")
    for name in ("success", "fail", "archive"):
        assert facts(folder / name) == (service, people, "0o2750")
    inbox, marker = folder / "inbox", folder / "inbox" / ".payment-watcher"
    assert can(service, "sh", "-c", f"umask 027; echo {'0' * 16} > {marker}")
    for name in ("success", "fail", "archive"):
        assert can(service, "sh", "-c", f"umask 027; echo x > {folder / name / RESULT}")
    assert can(anna, "sh", "-c", f"umask 027; echo a > {inbox}/a.xml")
    assert can(bob, "cat", inbox / "a.xml")
    assert can(service, "cat", inbox / "a.xml")
    assert can(anna, "mv", inbox / "a.xml", inbox / "b.xml")
    assert can(service, "mv", inbox / "b.xml", folder / ".work" / "b.xml")
    assert can(anna, "touch", inbox / "annas.xml")
    for command in (
        ["rm", "-f", inbox / "annas.xml"],
        ["mv", "-f", inbox / "annas.xml", inbox / "bobs.xml"],
        ["sh", "-c", f"echo >> {inbox}/annas.xml"],
        ["rm", "-f", marker],
        ["mv", "-f", marker, inbox / "elsewhere"],
        ["sh", "-c", f"echo >> {marker}"],
        ["mv", inbox, folder / "away"],
        ["mv", folder / ".work", folder / "away"],
        ["touch", folder / "mine"],
        ["ls", folder / ".work"],
        *(["touch", folder / name / "mine"] for name in ("success", "fail", "archive")),
        *(["rm", "-f", folder / name / RESULT] for name in ("success", "fail", "archive")),
        *(["sh", "-c", f"echo >> {folder / name / RESULT}"] for name in ("success", "fail", "archive")),
        *(["mv", folder / name, folder / "away"] for name in ("success", "fail", "archive")),
    ):
        assert not can(bob, *command), command
    for name in ("success", "fail", "archive"):
        assert can(bob, "cat", folder / name / RESULT)
    for path in (inbox, folder / "success", folder / "archive" / RESULT):
        assert not can(other, "ls", path)


def test_a_new_companys_folders_let_people_drop_and_read_and_no_more(users, place):
    """The folders are made, with those above them, and where they are is printed."""
    made = script("make", place / "payments" / "acme", users[0], users[4])
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout == f"{place}/payments/acme\n"
    assert facts(place / "payments") == ("root", "root", "0o755")
    assert_fenced(place / "payments" / "acme", users)


def test_a_folder_that_people_could_write_to_is_taken_over(users, place):
    """A share that is there already, with folders that are empty, becomes the company's."""
    (place / "share" / "inbox").mkdir(parents=True)
    give(place / "share", users[1], users[4], 0o2777)
    shutil.chown(place / "share" / "inbox", users[1])
    assert script("make", place / "share", users[0], users[4]).returncode == 0
    assert_fenced(place / "share", users)


@pytest.mark.parametrize("name", FIVE)
@pytest.mark.parametrize("kind", ["link", "lost link", "file", "roots folder"])
def test_what_a_person_put_in_the_place_of_a_folder_is_refused(users, place, kind, name):
    """Nothing is given away where a link leads, and nothing is changed at all."""
    share, victim = place / "share", place / "victim"
    for path in (share, victim):
        path.mkdir()
    give(share, users[1], users[4], 0o2777)
    (victim / "secret").touch(0o600)
    before = facts(victim), facts(share)
    match kind:
        case "link":
            assert can(users[1], "ln", "-s", victim, share / name)
        case "lost link":
            assert can(users[1], "ln", "-s", place / "nowhere", share / name)
        case "file":
            assert can(users[1], "touch", share / name)
        case "roots folder":
            victim.rename(share / name)
            victim = share / name
    done = script("make", share, users[0], users[4])
    assert done.returncode == 1
    assert str(share / name) in done.stderr
    assert (facts(victim), facts(share)) == before
    assert sorted(path.name for path in share.iterdir()) == [name]
    assert not (place / "nowhere").exists()


def test_a_link_on_the_way_counts_only_if_it_is_roots(users, place):
    """A link in a folder that others can write to is refused; one that only root can have made leads on."""
    (place / "data").mkdir()
    (place / "roots").symlink_to(place / "data")
    assert script("make", place / "roots" / "acme", users[0], users[4]).stdout == f"{place}/data/acme\n"
    (place / "open").mkdir()
    (place / "open").chmod(0o777)
    (place / "victim").mkdir()
    assert can(users[1], "ln", "-s", place / "victim", place / "open" / "acme")
    done = script("make", place / "open" / "acme", users[0], users[4])
    assert done.returncode == 1
    assert "is a link" in done.stderr
    assert list((place / "victim").iterdir()) == []


def test_who_could_exchange_the_folder_is_said(users, place):
    """A folder above it that others can write to is named."""
    (place / "open").mkdir()
    (place / "open").chmod(0o777)
    done = script("make", place / "open" / "acme", users[0], users[4])
    assert done.returncode == 0
    assert f"Others than root can write to {place}/open," in done.stderr


# --- version 0.1.0 ---------------------------------------------------------------------------------------------


@pytest.fixture
def first(users, place):
    """The folders of version 0.1.0, which people could write to, with results, and a configuration that names them."""
    service, anna, *_ = users
    folder = place / "acme"
    day = folder / "archive" / "2026" / "01" / "01"
    for path in (*(folder / name for name in FIVE), day):
        path.mkdir(parents=True)
    for path in (folder, *folder.rglob("*")):
        give(path, service, service, 0o2770)
    (folder / ".work").chmod(0o700)
    for path in (
        folder / "success" / RESULT,
        folder / "fail" / RESULT,
        day / RESULT,
        folder / "inbox" / ".payment-watcher",
    ):
        path.touch()
        give(path, anna if path.parent == day else service, service, 0o660)
    config = place / "acme.toml"
    config.write_text("".join(["[folders]\n", *(f'{name} = "{folder / name}"\n' for name in FIVE[:3])]))
    give(config, "root", service, 0o640)
    return config


def test_folders_of_version_0_1_0_are_mended(users, first, place):
    """People read what there is, and can exchange, change and remove nothing any more."""
    service, *_, people = users
    done = script("mend", first, service, people)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    folder = place / "acme"
    day = folder / "archive" / "2026" / "01" / "01"
    for path in (day, day.parent, day.parent.parent):
        assert facts(path) == (service, people, "0o2750")
    for path in (folder / "success" / RESULT, folder / "fail" / RESULT, day / RESULT):
        assert facts(path) == (service, people, "0o640")
    assert facts(folder / "inbox" / ".payment-watcher") == (service, people, "0o600")
    assert_fenced(folder, users)
    assert script("mend", first, service, people).returncode == 0


def test_mending_follows_no_link_and_opens_no_key(users, first, place):
    """What people put among the results leads to nothing of root's, and to no second name of the configuration."""
    service, anna, *_, people = users
    victim = place / "victim"
    victim.mkdir()
    (victim / "secret").touch(0o600)
    before = facts(victim), facts(victim / "secret"), facts(first)
    success = place / "acme" / "success"
    for name, target in (("a", victim), ("b", victim / "secret"), ("c", place / "nowhere")):
        (success / name).symlink_to(target)
        os.chown(success / name, pwd.getpwnam(anna).pw_uid, -1, follow_symlinks=False)
    (success / "d").hardlink_to(first)
    os.mkfifo(success / "e")
    assert script("mend", first, service, people).returncode == 0
    assert (facts(victim), facts(victim / "secret"), facts(first)) == before
    assert facts(success / RESULT) == (service, people, "0o640")


def test_a_link_in_the_place_of_a_folder_is_said_and_the_others_are_mended(users, first, place):
    """The link that stands for the outbox is named, and what it leads to stays as it is."""
    service, *_, people = users
    victim = place / "victim"
    victim.mkdir()
    shutil.rmtree(place / "acme" / "success")
    (place / "acme" / "success").symlink_to(victim)
    before = facts(victim)
    done = script("mend", first, service, people)
    assert done.returncode == 1
    assert f"{place}/acme/success is a link" in done.stderr
    assert facts(victim) == before
    assert facts(place / "acme" / "archive") == (service, people, "0o2750")


def test_what_a_person_has_changed_stays(users, first, place):
    """A folder with another group or owner is somebody's choice."""
    service, *_, people = users
    chosen = place / "acme" / "fail"
    give(chosen, service, people, 0o2770)
    give(place / "acme" / "success", "root", "root", 0o755)
    assert script("mend", first, service, people).returncode == 0
    assert facts(chosen) == (service, people, "0o2770")
    assert facts(place / "acme" / "success") == ("root", "root", "0o755")


def test_mending_that_was_interrupted_is_finished(users, first, place):
    """A folder is the service's alone until all in it is mended."""
    service, *_, people = users
    (place / "acme" / "archive").chmod(0o700)
    assert script("mend", first, service, people).returncode == 0
    assert facts(place / "acme" / "archive") == (service, people, "0o2750")


def test_a_missing_folder_is_said(users, first, place):
    """A share that is not mounted can be mended later."""
    shutil.rmtree(place / "acme" / "inbox")
    done = script("mend", first, users[0], users[4])
    assert done.returncode == 1
    assert f"{place}/acme/inbox is not there" in done.stderr


def test_the_service_has_both_groups(users):
    """What the other tests rely on: the service reads the people's files by their group."""
    service, *_, people = users
    names = as_user(service, "id", "-nG").stdout.split()
    assert sorted(names) == sorted([service, people])
    assert pwd.getpwnam(service).pw_shell
