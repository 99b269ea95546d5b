"""The marker: by which the inbox is recognised, and without which nothing is believed."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.documents import leave_socket
from support.rights import no_special_rights

from watcher.disk.hanging import FolderCalls
from watcher.errors import FolderTrouble
from watcher.inbox.marker import NAME, Marker, is_marker


def marker_of(folder: Path) -> Marker:
    """Return the marker of an inbox, as a process sees it that has just started."""
    return Marker(folder, FolderCalls())


def test_inbox_gets_a_marker_of_its_own(folder, scans, tmp_path):
    """An inbox without a marker gets one that no other has, and is recognised by it; scans do not see it."""
    line, marker = scans(pattern="*", settle_seconds=0), marker_of(folder)
    assert marker.read() is None
    kept = marker.keep()
    assert marker.read() == marker_of(folder).read() == marker_of(folder).keep() == kept
    marker.check(kept)
    assert line.ready() == []
    assert line.inbox.remarks() == []
    other = tmp_path / "other"
    other.mkdir()
    assert marker_of(other).keep() != kept


def test_empty_marker_is_none(folder):
    """A marker that a crash left empty says nothing; a new one can be written."""
    (folder / NAME).write_bytes(b"")
    marker = marker_of(folder)
    assert marker.read() is None
    marker.check(marker.keep())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda marker: marker.unlink(), "has no marker any more"),
        (lambda marker: marker.write_text(""), "has no marker any more"),
        (lambda marker: marker.write_text("0123456789abcdef\n"), "bears the marker of another inbox"),
        (lambda marker: marker.write_bytes(b"\xff\xfe\0"), "is not one that this program wrote"),
        (lambda marker: marker.write_bytes(b"0" * 1000), "is not one that this program wrote"),
        (lambda marker: os.truncate(marker, 1 << 40), "is not one that this program wrote"),
        (lambda marker: put(marker, os.mkfifo), "is a named pipe"),
        (lambda marker: put(marker, Path.mkdir), "is a folder"),
        (lambda marker: put(marker, leave_socket), "is a device or socket"),
        (lambda marker: put(marker, lambda path: path.symlink_to("/dev/zero")), "is a link"),
        (lambda marker: put(marker, lambda path: path.symlink_to("nothing")), "is a link"),
    ],
    ids=[
        *("missing", "empty", "foreign", "garbled", "long", "sparse"),
        *("pipe", "folder", "socket", "link to a device", "link to nothing"),
    ],
)
def test_without_its_marker_it_is_not_the_inbox(folder, change, words):
    """A missing or foreign marker is an outage, never an empty inbox; its mend, carried out, is the end of it."""
    marker = marker_of(folder)
    kept = marker.keep()
    change(folder / NAME)
    with pytest.raises(FolderTrouble, match=words) as trouble:
        marker.check(kept)
    assert str(folder) in str(trouble.value)
    command = re.search(r"rm -rf .*; echo .*", trouble.value.mend)
    assert command
    subprocess.run(["sh", "-c", command[0]], check=True, timeout=10)
    marker.check(kept)


SECRETS = {
    "a link": lambda marker, secret: marker.symlink_to(secret),
    "a hard link": lambda marker, secret: os.link(secret, marker),
    "a copy": lambda marker, secret: marker.write_bytes(secret.read_bytes()),
    "sixteen letters": lambda marker, _: marker.write_text("secret-key-of-16"),
}


@pytest.mark.parametrize("make", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("act", [Marker.read, Marker.keep, lambda marker: marker.check("0" * 16)])
def test_what_others_put_under_its_name_is_neither_taken_nor_shown(folder, tmp_path, make, act):
    """At the first start and later, only sixteen hex digits count; the rest is named by its path alone."""
    secret = tmp_path / "secret"
    secret.write_text('private_key = "secret-key-of-16"\n')
    make(folder / NAME, secret)
    with pytest.raises(FolderTrouble, match=re.escape(str(folder / NAME))) as trouble:
        act(marker_of(folder))
    assert "secret-key" not in f"{trouble.value} {trouble.value.mend}"
    assert secret.read_text() == 'private_key = "secret-key-of-16"\n'


def test_what_a_journal_took_for_a_marker_once_is_not_shown(folder):
    """Earlier versions took whatever stood there; the mend does not print it."""
    marker_of(folder).keep()
    with pytest.raises(FolderTrouble) as trouble:
        marker_of(folder).check('private_key = "secret-key"')
    assert "secret-key" not in f"{trouble.value} {trouble.value.mend}"
    assert is_marker(marker_of(folder).read() or "")


def test_marker_is_made_anew_and_not_written_through(folder, tmp_path):
    """A second name of an empty marker stays empty: the new marker takes the place of the old one."""
    (folder / NAME).touch()
    os.link(folder / NAME, tmp_path / "second")
    marker_of(folder).keep()
    assert (tmp_path / "second").read_bytes() == b""
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_inbox_that_is_a_link_is_not_the_inbox(folder, tmp_path):
    """Whoever can make a link could lead it anywhere."""
    folder.rename(tmp_path / "real")
    folder.symlink_to("real")
    with pytest.raises(FolderTrouble, match="A link or a file is in its place"):
        marker_of(folder).read()


def put(path: Path, make: Callable[[Path], object]) -> None:
    """Put something else in a file's place."""
    path.unlink()
    make(path)


@pytest.mark.parametrize(
    "act", [Marker.read, Marker.keep, lambda marker: marker.check("")], ids=["read", "keep", "check"]
)
def test_missing_inbox_is_an_outage(folder, act):
    """An inbox that is not there is named, with a mend, and is not made."""
    folder.rmdir()
    with pytest.raises(FolderTrouble, match=re.escape(f"the inbox {folder} is not there")) as trouble:
        act(marker_of(folder))
    assert "share" in trouble.value.mend
    assert not folder.exists()


def test_file_in_the_place_of_the_inbox_is_an_outage(folder):
    """Something else under the inbox's name is no inbox."""
    folder.rmdir()
    folder.write_bytes(b"")
    with pytest.raises(FolderTrouble):
        marker_of(folder).read()


def test_marker_that_may_not_be_read_or_written_is_an_outage(folder):
    """Without the right to read it the marker is not missing, and without the right to write it is not kept."""
    folder.chmod(0o500)
    with no_special_rights(), pytest.raises(FolderTrouble, match="Permission denied"):
        marker_of(folder).keep()
    folder.chmod(0o700)
    marker_of(folder).keep()
    (folder / NAME).chmod(0)
    with no_special_rights(), pytest.raises(FolderTrouble, match="Permission denied"):
        marker_of(folder).read()
