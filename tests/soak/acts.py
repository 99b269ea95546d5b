"""What others do in a scene, before, beside and between the runs of the program."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from soak.calls import Point, Stroke
from soak.starts import struck
from support.connectwise import another_user, payments_of
from support.documents import document, drop, receipts
from support.scenes import visible

from watcher.actions import requeue as requeuing
from watcher.disk.hanging import FolderCalls
from watcher.errors import PaymentWatcherError
from watcher.folders.published import Published
from watcher.journal.database import opened
from watcher.journal.history import History

if TYPE_CHECKING:
    from soak.places import Place

_STRAYS = {".nfs0001": b"", ".fuse_hidden0000000100000001": b"<hidden/>", "Thumbs.db": b"\xd0\xcf", "other/x.xml": b"x"}
_IN_CLAIMS = (".nfs0002", "Thumbs.db")
_LATER = b"<!-- written later -->\n"
_LONG_AGO = "2020-01-01T00:00:00.000+00:00"


def nothing(place: Place) -> None:
    """Do nothing."""


# --- in work ---------------------------------------------------------------------------------------------------------


def leave_strays(place: Place) -> None:
    """Leave in work what file systems and file managers leave anywhere, and a folder that nobody knows."""
    for name, content in _STRAYS.items():
        _stray(place, place.base / ".work" / name, content)


def leave_strays_in_claims(place: Place) -> None:
    """Leave such things beside the originals, too."""
    for claim in (place.base / ".work").glob("2*"):
        for name in _IN_CLAIMS:
            _stray(place, claim / name, b"stray")


def _stray(place: Place, path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    place.strays[path] = content


def write_on(place: Place) -> None:
    """Write more into each file that is still as it was dropped, wherever it lies."""
    for name, path in _as_dropped(place, place.base / "inbox", *(place.base / ".work").glob("2*")):
        with path.open("ab") as file:
            file.write(_LATER)
            # So that a power cut does not take it back.
            file.flush()
            os.fsync(file.fileno())
        _is_late(place, name)


def exchange(place: Place) -> None:
    """Put another file into the place of each original in work."""
    for name, path in _as_dropped(place, *(place.base / ".work").glob("2*")):
        other = place.base / "other"
        other.write_bytes(place.scene.files[name] + _LATER)
        other.rename(path)
        _is_late(place, name)


def _as_dropped(place: Place, *folders: Path) -> list[tuple[str, Path]]:
    found = [(name, folder / name) for name in place.scene.files for folder in folders if (folder / name).exists()]
    return [(name, path) for name, path in found if path.read_bytes() == place.scene.files[name]]


def _is_late(place: Place, name: str) -> None:
    late = {name: place.scene.files[name] + _LATER}
    place.scene = replace(place.scene, late=place.scene.late | late)


def empty_work(place: Place) -> None:
    """Put another folder, an empty one, into the place of work."""
    work = place.base / ".work"
    mode = work.stat().st_mode
    shutil.rmtree(work)
    work.mkdir()
    work.chmod(mode)


# --- the journal -----------------------------------------------------------------------------------------------------


def _journal_files(place: Place) -> list[Path]:
    return [path for path in place.journal.parent.glob("journal.db*") if path.suffix != ".lock"]


def lose_journal(place: Place) -> None:
    """Lose the journal."""
    for path in _journal_files(place):
        path.unlink()


def go_back(place: Place) -> None:
    """Keep the journal at the first time, and go back to it at later ones."""
    if "journal" not in place.kept:
        place.kept["journal"] = {path: path.read_bytes() for path in _journal_files(place)}
        return
    lose_journal(place)
    for path, content in place.kept["journal"].items():
        path.write_bytes(content)


# --- files that fail, and old files ----------------------------------------------------------------------------------


def _pass_through(place: Place, name: str, content: bytes) -> set[Path]:
    """Take a file through before the scene begins; return what was published of it."""
    before = {*visible(place.base)}
    drop(place.base / "inbox", name, content)
    if faults := place.start().faults:
        raise RuntimeError(f"the run before the scene went wrong: {faults}")
    return {*visible(place.base)} - before


def fail_first(place: Place) -> None:
    """Let a file fail, since its invoice has two payments, and then mend the invoice."""
    made = _pass_through(place, "back.xml", document(("CW-7", "70.00")))
    (failed,) = (path for path in made if path.parent.name == "fail" and path.suffix == ".xml")
    place.kept["failed"] = failed
    place.leaving = {failed, failed.with_suffix(".report.html")}
    place.earlier = {path: path.read_bytes() for path in made - place.leaving}
    place.scene = replace(place.scene, files=place.scene.files | {"back.xml": failed.read_bytes()})
    row = payments_of(place.sandbox, "CW-7")[1]
    another_user(place.sandbox, "DELETE", f"/finance/invoices/1002/payments/{row['id']}")


def accept_before(place: Place) -> None:
    """Take a file through, whose payments are in the sums of their invoices when the scene begins."""
    made = _pass_through(place, "before.xml", receipts(("R-1", "CW-1", "40.00"), ("R-2", "CW-2", "50.00")))
    place.earlier = {path: path.read_bytes() for path in made}


def still_failed(place: Place) -> bool:
    """True while the failed file lies in the fail outbox: whoever looks there puts it back again."""
    return place.kept["failed"].exists()


def requeue(place: Place) -> None:
    """Put the failed file back into the inbox, unless it was put back already."""
    if still_failed(place):
        published = Published(place.folders, FolderCalls())
        # With an earlier attempt's copy in the inbox, or a run of it under way, nothing is to be done.
        with suppress(PaymentWatcherError):
            requeuing.requeue("back.xml", published, place.journal_url, anyway=False)


def leave_in_work(place: Place) -> None:
    """Drop a file, and kill the run that has read it before it asks ConnectWise anything."""
    content = document(("CW-7", "70.00"))
    drop(place.base / "inbox", "back.xml", content)
    if not struck(place.base, ("run", "--once"), Point("sendto", 1), Stroke.KILL).struck:
        raise RuntimeError("the run before the scene was not killed")
    place.scene = replace(place.scene, files=place.scene.files | {"back.xml": content})


def in_work(place: Place) -> bool:
    """True while the file that was left in work is there: whoever looks there withdraws it again."""
    with opened(place.journal_url) as database:
        return database is not None and any(file.claim.name == "back.xml" for file in History(database).in_work())


def grow_old(place: Place) -> None:
    """Take two files through, and let the years pass: one is resolved and may go, one has failed and must stay."""
    place.leaving = _pass_through(place, "old.xml", document(("CW-5", "50.00")))
    stays = _pass_through(place, "unpaid.xml", document(("CW-6", "60.00")))
    place.earlier = {path: path.read_bytes() for path in stays}
    with closing(sqlite3.connect(place.journal)) as journal, journal:
        journal.execute("UPDATE files SET begun_at = ?, finished_at = ?, opened_at = ?", (_LONG_AGO,) * 3)
        journal.execute("UPDATE payments SET decided_at = ?", (_LONG_AGO,))
    for path in visible(place.base):
        os.utime(path, (0, 0))
