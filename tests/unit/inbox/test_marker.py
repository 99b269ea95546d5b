"""The marker: by which the inbox is recognised, and without which nothing is believed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from support.rights import no_special_rights

from watcher.disk.hanging import FolderCalls
from watcher.errors import FolderTrouble
from watcher.inbox.marker import NAME, Marker


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
        (lambda marker: marker.write_bytes(b"\xff\xfe\0"), "bears the marker of another inbox"),
    ],
    ids=["missing", "empty", "foreign", "garbled"],
)
def test_without_its_marker_it_is_not_the_inbox(folder, change, words):
    """A missing or foreign marker is an outage, never an empty inbox; its mend, carried out, is the end of it."""
    marker = marker_of(folder)
    kept = marker.keep()
    change(folder / NAME)
    with pytest.raises(FolderTrouble, match=words) as trouble:
        marker.check(kept)
    assert str(folder) in str(trouble.value)
    command = re.search(r"echo .*", trouble.value.mend)
    assert command
    subprocess.run(["sh", "-c", command[0]], check=True)
    marker.check(kept)


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
