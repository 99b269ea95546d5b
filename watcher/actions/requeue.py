"""A failed or archived file goes back into the inbox, unless that would undo what a later file has done."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from watcher.documents.reading import read
from watcher.errors import DocumentError, PaymentWatcherError
from watcher.folders.spool import Spool, claim_in
from watcher.journal.ledger import Journal


def requeue(name: str, spool: Spool, journal: Path, *, anyway: bool) -> tuple[Path, Path]:
    """Put a file back.

    A file of the fail outbox leaves it, with its note; its ``ErrorMessage``s are ignored when it is read again. Of an
    archived one a copy is put back.

    Args:
        name: as it is called in the fail outbox or the archive, or as it first was in the inbox.
        spool: the folders.
        journal: the database file.
        anyway: put it back even if later files have set some of its invoices.

    Returns:
        Where it was and where it is now.

    Raises:
        PaymentWatcherError: there is none of that name, or several, or a later file has set what it asks.
        FolderTrouble: a folder cannot be used.
    """
    found = spool.results_named(Path(name).name)
    if not found:
        raise PaymentWatcherError(f"There is no {name} in {spool.folders.fail} or {spool.folders.archive}.")
    if len(found) > 1:
        listed = "\n".join(f"  {path.name}" for path in found)
        raise PaymentWatcherError(f"{name} is there {len(found)} times. Name one of them:\n{listed}")
    (source,) = found
    if not anyway:
        _check_latest(source, journal)
    return source, spool.requeue(source)


def _check_latest(source: Path, journal: Path) -> None:
    """Make sure that no later file has set any of a file's invoices: the later one wins, and this would be later."""
    try:
        numbers = {record.invoice_number for record in read(source.read_bytes())}
    except DocumentError:
        return
    claim_id = claim_in(source.name)
    if claim_id is None or not journal.is_file():
        return
    with closing(Journal(f"sqlite:///{journal}", upgrade=False)) as opened:
        since = opened.set_since(claim_id, sorted(numbers))
    if since:
        listed = "\n".join(f"  {number} by {file}" for number, file in since.items())
        raise PaymentWatcherError(
            f"Later files have set invoices of {source.name}, and their amounts would be replaced:\n{listed}\n"
            "Take these out of the file, or repeat with --anyway if its amounts are the right ones."
        )
