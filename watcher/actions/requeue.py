"""Put a failed or archived file back into the inbox, unless that would undo what a later file has done."""

from __future__ import annotations

from pathlib import Path

from watcher.claim import claim_in
from watcher.disk.durable import reading
from watcher.disk.hanging import FolderCalls
from watcher.documents.formats import PaymentDocuments, records
from watcher.documents.table_terms import Terms
from watcher.errors import DocumentError, PaymentWatcherError
from watcher.folders.published import Published
from watcher.journal.database import opened
from watcher.journal.history import History

# What is read of a file at most (bytes).
_MOST_BYTES = 1 << 28


def requeue(
    name: str, published: Published, journal: str, *, anyway: bool, table: Terms | None = None
) -> tuple[Path, Path]:
    """Put a file back.

    A file of the fail outbox leaves it, with its note. Its ``ErrorMessage``s are ignored when it is read again. An
    archived file stays, and a copy of it is put back.

    Args:
        name: the file's name in the fail outbox or the archive, or its first name in the inbox.
        published: the outboxes and the archive.
        journal: the journal's URL.
        anyway: put it back even if later files have set some of its invoices.
        table: how tables (CSV) are read; None if there are none.

    Returns:
        Where it was and where it is now.

    Raises:
        PaymentWatcherError: there is no such file, or several; or a later file has set one of its invoices.
        FolderTrouble: a folder cannot be used.
        ConfigurationError: the journal cannot be used.
    """
    found = published.named(Path(name).name)
    if not found:
        raise PaymentWatcherError(f"There is no {name} in the fail outbox or the archive.")
    if len(found) > 1:
        listed = "\n".join(f"  {path.name}" for path in found)
        raise PaymentWatcherError(f"{name} is there {len(found)} times. Name one of them:\n{listed}")
    (source,) = found
    if not anyway:
        _check_latest(source, journal, table)
    return source, published.requeue(source)


def _check_latest(source: Path, journal: str, table: Terms | None) -> None:
    """Make sure that no later file has set any of a file's invoices: a file that is put back would replace it."""
    claim_id = claim_in(source.name)
    if claim_id is None:
        return
    numbers, since = _invoice_numbers(source, table), None
    with opened(journal) as database:
        if database is not None:
            history = History(database)
            if numbers is None:
                numbers = {each.invoice_number for each in history.attempts(claim_id) if each.claim == claim_id}
            since = history.set_since(claim_id, sorted(numbers))
    if since is None:
        raise PaymentWatcherError(
            f"The journal does not know the file {source.name}. So nobody can say whether later files have set its "
            "invoices, and putting it back could undo that. Repeat with --anyway if its amounts are the right ones."
        )
    if since:
        listed = "\n".join(f"  {number} by {file}" for number, file in since.items())
        raise PaymentWatcherError(
            f"Later files have set invoices of {source.name}, and their amounts would be replaced:\n{listed}\n"
            "Take these out of the file, or repeat with --anyway if its amounts are the right ones."
        )


def _invoice_numbers(source: Path, table: Terms | None) -> set[str] | None:
    """Return the invoices in a file; None if only the journal can say: for the accounting system's own XML, say."""
    with FolderCalls().at(source), reading(source) as file:
        content = b"" if file is None else file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        return None
    try:
        document = PaymentDocuments(table=table).of(content)
        return {record.invoice_number for record in records(document)}
    except DocumentError:
        return None
