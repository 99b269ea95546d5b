"""Durable files: opened without following a link, given a name without replacing another, replaced as a whole."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from support.claims import tree
from support.documents import leave_socket
from support.rights import no_special_rights
from support.steps import Interrupted, interrupted_at, listening

from watcher.disk import naming
from watcher.disk.durable import Rights, reading, sync_folder, write_new, write_whole
from watcher.disk.opened import is_aside, opened
from watcher.errors import FolderTrouble, NameTaken


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch):
    """Return what makes the system refuse a rename that replaces nothing, and every link, with a given error.

    No file system at hand does either; FAT, NFS and FUSE mounts do.
    """

    def refuse(number: int):
        monkeypatch.setattr(naming, "_renameat2", lambda: lambda *_: number)

        def listener(event: str, _args: tuple[object, ...]) -> None:
            if event == "os.link":
                raise OSError(number, os.strerror(number))

        return listening(listener)

    return refuse


REFUSALS = pytest.mark.parametrize(
    "number",
    [
        *(errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK),
        *(errno.EIO, errno.EINVAL, errno.EACCES, errno.ENOSPC),
    ],
    ids=errno.errorcode.get,
)


def descriptors() -> set[str]:
    """Return the open descriptors of this process."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


# --- reading --------------------------------------------------------------------------------------------------------


def _link(path: Path) -> None:
    (path.parent / "secret").write_bytes(b"secret")
    path.symlink_to("secret")


NO_FILES = {"a link": _link, "a pipe": os.mkfifo, "a socket": leave_socket, "a folder": lambda path: path.mkdir()}


@pytest.mark.parametrize("make", NO_FILES.values(), ids=NO_FILES)
def test_only_a_regular_file_is_opened(tmp_path, make):
    """Anything else under the name is None, at once, and no descriptor stays open."""
    make(tmp_path / "pay.xml")
    before = descriptors()
    found: list[object] = ["nothing yet"]

    def look() -> None:
        with reading(tmp_path / "pay.xml") as file:
            found[:] = [file]

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(5)
    assert found == [None]
    assert descriptors() == before


def test_regular_file_is_read_and_closed(tmp_path):
    """Its content is there, and its descriptor is closed at the end, even after an error."""
    (tmp_path / "pay.xml").write_bytes(b"<pay/>")
    before = descriptors()
    with reading(tmp_path / "pay.xml") as file:
        assert file
        assert file.read() == b"<pay/>"
    with pytest.raises(KeyError), reading(tmp_path / "pay.xml"):
        raise KeyError
    assert descriptors() == before
    with pytest.raises(FileNotFoundError), reading(tmp_path / "nothing"):
        pass


# --- names that replace nothing ---------------------------------------------------------------------------------------


def place(aside: Path, target: Path) -> bool:
    """Give a file its final name, as the program does; return False if the name is taken."""
    with opened(aside.parent) as source, opened(target.parent) as folder:
        return naming.give_name(source, aside.name, folder, target.name)


@pytest.mark.parametrize("knows", ["renames", "links"])
def test_name_is_given_if_it_is_free(tmp_path, monkeypatch, knows):
    """A file gets its name in place of the first one; a name that is taken stays what it is."""
    if knows == "links":
        monkeypatch.setattr(naming, "_renameat2", lambda: None)
    (tmp_path / "aside").write_bytes(b"new")
    (tmp_path / "another").write_bytes(b"new")
    assert place(tmp_path / "aside", tmp_path / "name")
    (tmp_path / "taken").write_bytes(b"old")
    assert not place(tmp_path / "another", tmp_path / "taken")
    assert tree(tmp_path) == {
        f"{tmp_path.name}/another": b"new",
        f"{tmp_path.name}/name": b"new",
        f"{tmp_path.name}/taken": b"old",
    }
    assert (tmp_path / "name").stat().st_nlink == 1


@REFUSALS
def test_name_is_given_whatever_the_system_says_to_a_link(tmp_path, refusing, number):
    """The file is renamed then, and a name that is taken stays what it is, even if it is that of a link to nothing."""
    for name in ("aside", "another", "third"):
        (tmp_path / name).write_bytes(b"new")
    (tmp_path / "taken").write_bytes(b"old")
    (tmp_path / "link").symlink_to("nothing")
    with refusing(number):
        assert place(tmp_path / "aside", tmp_path / "name")
        assert not place(tmp_path / "another", tmp_path / "taken")
        assert not place(tmp_path / "third", tmp_path / "link")
    assert tree(tmp_path) == {
        f"{tmp_path.name}/another": b"new",
        f"{tmp_path.name}/name": b"new",
        f"{tmp_path.name}/taken": b"old",
        f"{tmp_path.name}/third": b"new",
    }
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize(("number", "asked"), [(errno.EINVAL, 1), (errno.ENOSYS, 1), (errno.EIO, 2), (errno.EPERM, 2)])
def test_call_that_a_file_system_does_not_know_is_made_once(tmp_path, monkeypatch, number, asked):
    """On a share each attempt costs a round trip. Any other refusal may pass, so the call is made again."""
    calls = []
    monkeypatch.setattr(naming, "_renameat2", lambda: lambda *_: calls.append(1) or number)
    for name in ("one", "two"):
        (tmp_path / "aside").write_bytes(b"new")
        assert place(tmp_path / "aside", tmp_path / name)
    assert len(calls) == asked


def test_rename_that_fails_too_is_an_error(tmp_path):
    """What keeps a file from every way of getting its name is reported, with the folder, and no name is given."""
    (tmp_path / "aside").write_bytes(b"new")
    with pytest.raises(FileNotFoundError) as refused:
        place(tmp_path / "aside", tmp_path / "box/name")
    assert refused.value.filename == str(tmp_path / "box")
    (tmp_path / "box").mkdir(0o500)
    with no_special_rights(), pytest.raises(PermissionError) as denied:
        place(tmp_path / "aside", tmp_path / "box/name")
    assert denied.value.filename == str(tmp_path / "box")
    assert tree(tmp_path) == {f"{tmp_path.name}/aside": b"new"}


def test_file_on_another_device_is_not_placed(tmp_path, elsewhere):
    """A name on another disk cannot be given; the file stays where it is."""
    (tmp_path / "aside").write_bytes(b"new")
    with pytest.raises(OSError, match="cross-device"):
        place(tmp_path / "aside", elsewhere / "name")
    assert (tmp_path / "aside").exists()
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("copied", [False, True], ids=["bytes", "a file"])
@pytest.mark.parametrize("number", [0, errno.EIO], ids=["plain", "no links"])
def test_new_file_is_written_once_and_replaces_nothing(tmp_path, refusing, copied, number):
    """The same content again is no fault, other content is; nothing else is left in the folder."""
    (tmp_path / "source").write_bytes(b"content")
    box, target = tmp_path / "box", tmp_path / "box/name"
    box.mkdir()
    with refusing(number) if number else nullcontext(), (tmp_path / "source").open("rb") as source:
        content = source if copied else b"content"
        for _ in range(2):
            write_new(target, content)
            assert tree(box) == {"box/name": b"content"}
        for other in (b"another", b"conten", b"contents", b""):
            target.write_bytes(other)
            with pytest.raises(NameTaken, match="nothing is overwritten") as taken:
                write_new(target, content)
            assert taken.value.path == target
            assert "Move that file" in taken.value.mend
            assert tree(box) == {"box/name": other}


@pytest.mark.parametrize(
    ("make", "kind"),
    [(_link, "link"), (os.mkfifo, "named pipe"), (leave_socket, "device or socket"), (Path.mkdir, "folder")],
    ids=["a link", "a pipe", "a socket", "a folder"],
)
def test_name_that_is_taken_by_no_file_is_named_at_once(tmp_path, make, kind):
    """A pipe is not waited for, a link not followed, and a folder not entered; each is named with the mend."""
    (tmp_path / "box").mkdir()
    target = tmp_path / "box/pay.xml"
    make(target)
    before = target.lstat()
    found: list[NameTaken] = []

    def write() -> None:
        try:
            write_new(target, b"secret")
        except NameTaken as taken:
            found.append(taken)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    thread.join(5)
    (taken,) = found
    assert str(taken) == f"{target} is a {kind}, and nothing is overwritten"
    assert taken.mend.startswith(f"Move that {kind} somewhere else")
    assert (target.lstat().st_ino, target.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert not [path for path in target.parent.iterdir() if path.name.startswith(".")]


def test_endless_file_under_a_name_is_not_read_to_its_end(tmp_path):
    """A sparse file of a terabyte is another file after its first part."""
    with (tmp_path / "name").open("wb") as file:
        file.truncate(1 << 40)
    began = time.monotonic()
    with pytest.raises(NameTaken, match="other content"):
        write_new(tmp_path / "name", b"\0" * (3 << 20))
    assert time.monotonic() - began < 5


def test_file_under_a_name_that_may_not_be_read_is_another_one(tmp_path):
    """Whoever has taken the name does not let us look; that is no reason to wait for more."""
    (tmp_path / "name").write_bytes(b"content")
    (tmp_path / "name").chmod(0)
    with no_special_rights(), pytest.raises(NameTaken, match="cannot be read"):
        write_new(tmp_path / "name", b"content")


def test_file_is_written_aside_under_a_name_that_nobody_can_take(tmp_path):
    """Links under every name that could be guessed are left alone, and each attempt takes another name."""
    names = []

    def listener(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT:
            assert args[2] & os.O_EXCL
            assert args[2] & os.O_NOFOLLOW
            names.append(args[0])

    with listening(listener):
        for name in ("first", "second"):
            write_new(tmp_path / name, b"content")
    assert len(set(names)) == 2
    assert all(is_aside(str(name)) for name in names)


def test_folder_that_is_a_link_is_not_written_to(tmp_path):
    """Neither is a link in the place of a folder followed, nor a file in it read."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real/pay.xml").write_bytes(b"<pay/>")
    (tmp_path / "box").symlink_to("real")
    with pytest.raises(NotADirectoryError):
        write_new(tmp_path / "box/name", b"content")
    with pytest.raises(NotADirectoryError), reading(tmp_path / "box/pay.xml"):
        pass
    assert tree(tmp_path / "real") == {"real/pay.xml": b"<pay/>"}


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o660), (0o022, 0o660)], ids=oct)
def test_exact_rights_do_not_depend_on_the_umask(tmp_path, umask, mode):
    """A file that others are to read can be read by them, and belongs to the folder's group."""
    os.chown(tmp_path, -1, 65534 if os.geteuid() == 0 else os.getegid())
    before = os.umask(umask)
    try:
        write_new(tmp_path / "exact", b"", Rights(0o660, exact=True))
        write_new(tmp_path / "usual", b"")
    finally:
        os.umask(before)
    facts = (tmp_path / "exact").stat()
    assert stat.S_IMODE(facts.st_mode) == mode
    assert (facts.st_uid, facts.st_gid) == (tmp_path.stat().st_uid, tmp_path.stat().st_gid)
    assert stat.S_IMODE((tmp_path / "usual").stat().st_mode) == 0o666 & ~umask


# --- syncs ----------------------------------------------------------------------------------------------------------


def test_sync_of_what_is_not_there_is_an_error(tmp_path):
    """A sync that cannot be made is never passed over."""
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "nothing")
    with pytest.raises(NotADirectoryError):
        sync_folder(Path(__file__))


def test_folder_that_knows_no_sync_is_no_error(monkeypatch):
    """Network and FUSE file systems may not know the call; any other refusal counts."""
    refused = [errno.EINVAL]

    def refuse(_descriptor: int) -> None:
        raise OSError(refused[0], os.strerror(refused[0]))

    # No file system at hand refuses to sync a folder.
    monkeypatch.setattr(os, "fsync", refuse)
    for refused[0] in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
        sync_folder(Path("/"))
    for refused[0] in (errno.EIO, errno.ENOSPC):
        with pytest.raises(OSError, match=os.strerror(refused[0])):
            sync_folder(Path("/"))


# --- files that may be replaced ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["results.xml", f"{'n' * 251}.xml", f"{'円' * 80}.xml"], ids=["plain", "long", "wide"])
def test_whole_file_replaces_an_earlier_one(tmp_path, name):
    """What ``apply`` writes replaces what was there and leaves nothing else beside it."""
    for content in (b"first", b"second"):
        write_whole(tmp_path / name, content)
        assert tree(tmp_path) == {f"{tmp_path.name}/{name}": content}


def test_whole_file_is_never_seen_half_written(tmp_path):
    """Ended before any step of writing, the earlier file is there whole, or the later one; no rest stays."""
    target = tmp_path / "results.xml"
    write_whole(target, b"earlier")
    with interrupted_at(0) as steps:
        write_whole(target, b"earlier")
    for step in range(1, len(steps) + 1):
        with interrupted_at(step), pytest.raises(Interrupted):
            write_whole(target, b"later")
        assert target.read_bytes() in (b"earlier", b"later"), steps[step - 1]
        write_whole(target, b"earlier")


def test_whole_file_without_a_folder_is_trouble(tmp_path):
    """Writing into a folder that is not there says which, and makes none; one behind a link is written to."""
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real").mkdir()
    write_whole(tmp_path / "link/results.xml", b"content")
    assert tree(tmp_path / "real") == {"real/results.xml": b"content"}
    (tmp_path / "real/results.xml").unlink()
    (tmp_path / "real").rmdir()
    (tmp_path / "link").unlink()
    with pytest.raises(FolderTrouble, match="nowhere"):
        write_whole(tmp_path / "nowhere/results.xml", b"")
    assert list(tmp_path.iterdir()) == []
