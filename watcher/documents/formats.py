"""Answers what a file is: is it whole, which document is it, what are its records, and how are its results written.

Only this module knows which formats there are. A further format is one more case here. What needs lxml is imported with
the first file: a program without one does without these 4 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from watcher.documents.table_terms import Terms, is_table, packed
from watcher.errors import DocumentError

if TYPE_CHECKING:
    from watcher.documents.stylesheet import Stylesheet
    from watcher.payments.model import Record
    from watcher.payments.outcomes import Result


class PaymentDocuments:
    """Makes a payment document of a file."""

    def __init__(self, stylesheet: Stylesheet | None = None, table: Terms | None = None) -> None:
        """Set what is done with files of other formats.

        Args:
            stylesheet: turns the accounting system's own XML into a payment document; None if there is none.
            table: how tables (CSV) are read; None if there are none.
        """
        self._stylesheet = stylesheet
        self._table = table

    def of(self, data: bytes) -> bytes:
        """Return the payment document that a file's bytes hold.

        Args:
            data: the file's bytes.

        Returns:
            What the stylesheet makes of the bytes, or the table with the terms under which it is read. Otherwise, or if
            they are a payment document already, such as a corrected fail file: the bytes themselves, the same object.

        Raises:
            DocumentError: no payment document can be made of the bytes.
            Stopping: the program is asked to end while the stylesheet works.
            Outage: the stylesheet's process cannot be started.
        """
        if self._table is not None and takes_as_table(data, self._table):
            return packed(self._table, data)
        if is_table(data):
            # Terms are the operator's. No file brings its own.
            raise DocumentError("This is not an XML file: it does not start with <.", 1)
        if self._table is not None:
            from watcher.documents.table_text import refuse_saved_page

            refuse_saved_page(data)
        if self._stylesheet is None:
            return data
        from watcher.documents.reading import is_payment_document

        if is_payment_document(data):
            return data
        return self._stylesheet.transform(data)


def takes_as_table(data: bytes, table: Terms | None) -> bool:
    """Return True if a file is read as a table. A payment document among tables is read as what it is.

    Args:
        data: the file's bytes.
        table: how tables (CSV) are read; None if there are none.
    """
    if table is None:
        return False
    from watcher.documents.table_text import is_markup

    return not is_markup(data)


def unfinished(data: bytes, table: Terms | None = None) -> str | None:
    """Return what a file still misses, in words; None if it is whole, or broken in another way.

    Args:
        data: the bytes that have been written so far.
        table: how tables (CSV) are read; None if there are none.
    """
    if table is not None and takes_as_table(data, table):
        from watcher.documents import table as tables

        return tables.unfinished(data, table)
    from watcher.documents import unfinished as xml

    return xml.unfinished(data)


def records(document: bytes, *, signed: bool = False) -> Iterator[Record]:
    """Read a payment document record by record.

    Args:
        document: what ``PaymentDocuments.of`` returned.
        signed: amounts may be less than zero. A table has that in its terms.

    Yields:
        Its records in order. None of them may be used before the last one is read.

    Raises:
        DocumentError: the document is cut off, or cannot be read.
    """
    if is_table(document):
        from watcher.documents import table

        return table.records(document)
    from watcher.documents import reading

    return reading.records(document, signed=signed)


def read(document: bytes, *, signed: bool = False) -> tuple[Record, ...]:
    """Read a whole payment document, as ``records`` does."""
    return tuple(records(document, signed=signed))


def result_file(document: bytes, results: Iterable[Result | None], *, rejected: bool) -> Iterator[bytes]:
    """Write a document's success file or its fail file, in the shape of the input.

    Args:
        document: the document, which ``records`` has accepted.
        results: one for each record, in order; None for a record without an outcome, which goes to neither file.
        rejected: write the fail file.

    Yields:
        The file, record by record.
    """
    if is_table(document):
        from watcher.documents import table_results

        return table_results.result_file(document, results, rejected=rejected)
    from watcher.documents import writing

    return writing.result_file(document, results, rejected=rejected)
