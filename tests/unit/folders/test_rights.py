"""Which folders cannot be trusted: links, those of others, and those that people can write to who should not."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from watcher.disk.opened import OpenFolder
from watcher.folders.layout import Folders
from watcher.folders.rights import refusal, refusals

NAMES = ("inbox", "work", "success", "fail", "archive")
OTHER = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make folders of other users and groups")


def problems(folders: Folders) -> dict[str, str]:
    """Return the problem of each folder that is refused."""
    return {each.name: each.problem for each in refusals(folders)}


def test_folders_of_ones_own_are_trusted(folders):
    """As ``init`` and the usual umasks make them, none is refused; one that is missing is for its first use to name."""
    assert problems(folders) == {}
    for mode in (0o700, 0o750, 0o755):
        for name in NAMES:
            getattr(folders, name).chmod(mode)
        assert problems(folders) == {}
    folders.fail.rmdir()
    assert problems(folders) == {}


@AS_ROOT
def test_folders_as_a_service_has_them_are_trusted(folders):
    """People of a group drop files and take results out; the folder above and work are root's and the service's own."""
    for name in ("inbox", "success", "fail", "archive"):
        os.chown(getattr(folders, name), 61001, 61002)
        getattr(folders, name).chmod(0o2770)
    folders.inbox.chmod(0o2777)
    assert problems(folders) == {}


@pytest.mark.parametrize("name", NAMES)
def test_link_is_refused(folders, tmp_path, name):
    """The folder that it leads to is to be named instead."""
    folder: Path = getattr(folders, name)
    folder.rename(tmp_path / "real")
    folder.symlink_to("real")
    (found,) = refusals(folders)
    assert (found.name, found.folder) == (name, folder)
    assert found.problem.startswith(f"{folder} is a link")
    assert f"folders.{name}" in found.mend
    assert refusal(name, tmp_path / "real") is None


@AS_ROOT
def test_work_of_another_user_is_refused(folders):
    """Its owner could change what lies in it. The other four may belong to whoever has given us rights to them."""
    for name in NAMES:
        os.chown(getattr(folders, name), OTHER, OTHER)
    assert list(problems(folders)) == ["work"]
    assert "belongs to another user" in problems(folders)["work"]


@pytest.mark.parametrize(
    ("mode", "refused"),
    [(0o757, {"work", "success", "fail", "archive"}), (0o1777, {"work", "success", "fail", "archive"})],
    ids=["others", "sticky"],
)
def test_folder_that_every_user_can_write_to_is_refused(folders, mode, refused):
    """The mend, carried out, is the end of it. Who may drop files into the inbox is for the operator to say."""
    for name in NAMES:
        getattr(folders, name).chmod(mode)
    found = {each.name: each for each in refusals(folders)}
    assert set(found) == refused
    for each in found.values():
        command = re.search(r"chmod o-w \S+(?=;)", each.mend)
        assert command
        subprocess.run(["sh", "-c", command[0]], check=True)
    folders.work.chmod(0o700)
    assert problems(folders) == {}


@AS_ROOT
def test_work_that_a_group_can_write_to_is_refused(folders):
    """A group in which others are makes work theirs, too; one in which nobody else is does not."""
    folders.work.chmod(0o770)
    assert problems(folders) == {}, "the group is root's own"
    os.chown(folders.work, -1, OTHER)
    assert "group" in problems(folders)["work"]
    folders.work.chmod(0o750)
    assert problems(folders) == {}


@AS_ROOT
@pytest.mark.parametrize("depth", [0, 1], ids=["the folder above", "the one above that"])
@pytest.mark.parametrize("mode", [0o2770, 0o757], ids=["a group", "everybody"])
def test_folder_above_that_people_can_write_to_is_refused_once(folders, tmp_path, mode, depth):
    """They could put a folder of their own in the place of ours; a sticky folder keeps them out."""
    inner = tmp_path / "a/b"
    inner.mkdir(parents=True)
    made = Folders(*(inner / name for name in NAMES))
    for name in NAMES:
        (inner / name).mkdir()
    above = (inner, inner.parent)[depth]
    os.chown(above, -1, OTHER)
    above.chmod(mode)
    (found,) = refusals(made)
    assert str(above) in found.problem
    assert f"chmod go-w {above}" in found.mend
    above.chmod(mode | 0o1000)
    assert problems(made) == {}
    above.chmod(0o2750)
    assert problems(made) == {}
    assert problems(replace(folders, inbox=inner / "inbox")) == {}


@AS_ROOT
@pytest.mark.parametrize("depth", [0, 1], ids=["the folder above", "the one above that"])
@pytest.mark.parametrize("mode", [0o755, 0o1755, 0o1777], ids=["plain", "sticky", "sticky, for everybody"])
def test_folder_above_that_belongs_to_another_user_is_refused_once(tmp_path, mode, depth):
    """Its owner can exchange what is in it, also where it is sticky. The mend, carried out, is the end of it."""
    inner = tmp_path / "a/b"
    inner.mkdir(parents=True)
    made = Folders(*(inner / name for name in NAMES))
    for name in NAMES:
        (inner / name).mkdir()
    above = (inner, inner.parent)[depth]
    os.chown(above, OTHER, OTHER)
    above.chmod(mode)
    (found,) = refusals(made)
    assert found.problem.startswith(f"{above} belongs to another user")
    command = re.search(r"chown root \S+(?=;)", found.mend)
    assert command
    subprocess.run(["sh", "-c", command[0]], check=True)
    assert problems(made) == {}
    assert [path for name in NAMES for path in (inner / name).iterdir()] == []


@AS_ROOT
def test_folder_above_of_a_share_with_one_owner_is_trusted(tmp_path, monkeypatch):
    """Where everything that is made gets the owner of the folder above, that owner says nothing."""
    made = Folders(*(tmp_path / "mount" / name for name in NAMES))
    (tmp_path / "mount").mkdir()
    for name in NAMES:
        (tmp_path / "mount" / name).mkdir()
    os.chown(tmp_path / "mount", OTHER, OTHER)
    create = OpenFolder.create

    def given_away(folder: OpenFolder, name: str, mode: int) -> int:
        descriptor = create(folder, name, mode)
        os.fchown(descriptor, OTHER, OTHER)
        return descriptor

    assert problems(made) != {}
    monkeypatch.setattr(OpenFolder, "create", given_away)
    assert problems(made) == {}


@AS_ROOT
def test_access_list_counts(folders):
    """A user whom an access list names can write, whatever the group is."""
    # acl(5), as Linux keeps it: a version, then kind, rights and id of each entry.
    entries = [(0x01, 7, -1), (0x02, 7, OTHER), (0x04, 5, -1), (0x10, 7, -1), (0x20, 5, -1)]
    try:
        os.setxattr(
            folders.work,
            "system.posix_acl_access",
            struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries),
        )
    except OSError as error:
        pytest.skip(f"this file system knows no access lists: {error}")
    assert "work" in problems(folders)
