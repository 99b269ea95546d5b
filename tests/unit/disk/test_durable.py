"""Durable files: opened without following a link, given a name without replacing another, replaced as a whole."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from support.claims import tree
from support.documents import leave_socket
from support.steps import Interrupted, interrupted_at, listening

from watcher.disk.durable import link_new, place, reading, sync_file, sync_folder, write_new, write_whole
from watcher.errors import FolderTrouble


@pytest.fixture
def no_links():
    """Return what makes the system refuse every link with a given error, as FAT and many shares do."""

    def refuse(number: int):
        def listener(event: str, _args: tuple[object, ...]) -> None:
            if event == "os.link":
                raise OSError(number, os.strerror(number))

        return listening(listener)

    return refuse


NO_LINKS = pytest.mark.parametrize(
    "number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK], ids=errno.errorcode.get
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


def test_name_is_given_if_it_is_free(tmp_path):
    """A file gets its name by a link where links work; a name that is taken stays what it is."""
    (tmp_path / "aside").write_bytes(b"new")
    assert place(tmp_path / "aside", tmp_path / "name")
    assert tree(tmp_path) == {f"{tmp_path.name}/aside": b"new", f"{tmp_path.name}/name": b"new"}
    (tmp_path / "taken").write_bytes(b"old")
    assert not place(tmp_path / "aside", tmp_path / "taken")
    assert (tmp_path / "taken").read_bytes() == b"old"


@NO_LINKS
def test_name_is_given_where_no_links_can_be_made(tmp_path, no_links, number):
    """The file is renamed there, and a name that is taken stays what it is."""
    for name in ("aside", "another"):
        (tmp_path / name).write_bytes(b"new")
    (tmp_path / "taken").write_bytes(b"old")
    with no_links(number):
        assert place(tmp_path / "aside", tmp_path / "name")
        assert not place(tmp_path / "another", tmp_path / "taken")
    assert tree(tmp_path) == {
        f"{tmp_path.name}/another": b"new",
        f"{tmp_path.name}/name": b"new",
        f"{tmp_path.name}/taken": b"old",
    }


def test_link_that_is_refused_for_another_reason_is_an_error(tmp_path, no_links):
    """A full disk is not a file system without links. Of a second name, the target's folder is named."""
    (tmp_path / "aside").write_bytes(b"new")
    (tmp_path / "box").mkdir()
    with no_links(errno.ENOSPC):
        with pytest.raises(OSError, match="No space"):
            place(tmp_path / "aside", tmp_path / "name")
        with pytest.raises(OSError, match="No space") as refused:
            link_new(tmp_path / "aside", tmp_path / "box/name", tmp_path / "box/.tmp")
    assert refused.value.filename == str(tmp_path / "box")
    assert not (tmp_path / "name").exists()


@NO_LINKS
def test_second_name_is_a_copy_where_no_links_can_be_made(tmp_path, no_links, number):
    """The source stays, the target holds the same bytes, and nothing else is left; doing it again is no fault."""
    (tmp_path / "source").write_bytes(b"content")
    for _ in range(2):
        with no_links(number):
            link_new(tmp_path / "source", tmp_path / "name", tmp_path / ".tmp")
        assert tree(tmp_path) == {f"{tmp_path.name}/source": b"content", f"{tmp_path.name}/name": b"content"}
    assert not (tmp_path / "source").samefile(tmp_path / "name")


@pytest.mark.parametrize("copied", [False, True], ids=["bytes", "a file"])
def test_new_file_is_written_once_and_replaces_nothing(tmp_path, copied):
    """The same content again is no fault, other content is, and a half written file of an earlier attempt is used."""
    (tmp_path / "source").write_bytes(b"content")
    content = tmp_path / "source" if copied else b"content"
    box, target = tmp_path / "box", tmp_path / "box/name"
    box.mkdir()
    for _ in range(2):
        (box / ".tmp").write_bytes(b"conte and more than that")
        write_new(target, content, box / ".tmp")
        assert tree(box) == {"box/name": b"content"}
    target.write_bytes(b"another")
    with pytest.raises(FolderTrouble, match="nothing is overwritten"):
        write_new(target, content, box / ".tmp")
    assert tree(box) == {"box/name": b"another"}


# --- syncs ----------------------------------------------------------------------------------------------------------


def test_sync_of_what_is_not_there_is_an_error(tmp_path):
    """A sync that cannot be made is never passed over."""
    sync_file(Path(__file__))
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_file(tmp_path / "nothing")
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
    refused[0] = errno.EINVAL
    with pytest.raises(OSError, match="Invalid"):
        sync_file(Path(__file__))


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
    """Writing into a folder that is not there says which, and makes none."""
    with pytest.raises(FolderTrouble, match="nowhere"):
        write_whole(tmp_path / "nowhere/results.xml", b"")
    assert list(tmp_path.iterdir()) == []
