"""Answers two questions about a file: is it whole, and which payment document is it.

Only this module knows which formats there are. A further format is one more case here. What needs lxml is imported with
the first file: a program without one does without these 4 MB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watcher.documents.stylesheet import Stylesheet


def unfinished(data: bytes) -> str | None:
    """Return what a file still misses, in words; None if it is whole, or broken in another way.

    Args:
        data: the bytes that have been written so far.
    """
    from watcher.documents import unfinished as xml

    return xml.unfinished(data)


class PaymentDocuments:
    """Makes a payment document of a file."""

    def __init__(self, stylesheet: Stylesheet | None = None) -> None:
        """Set what is done with files of other formats.

        Args:
            stylesheet: turns the accounting system's own XML into a payment document; None if there is none.
        """
        self._stylesheet = stylesheet

    def of(self, data: bytes) -> bytes:
        """Return the payment document that a file's bytes hold.

        Args:
            data: the file's bytes.

        Returns:
            What the stylesheet makes of the bytes. Without a stylesheet, or if they are a payment document already,
            such as a corrected fail file: the bytes themselves, the same object.

        Raises:
            DocumentError: the stylesheet cannot make a payment document of the bytes.
            Stopping: the program is asked to end while the stylesheet works.
            Outage: the stylesheet's process cannot be started.
        """
        if self._stylesheet is None:
            return data
        from watcher.documents.reading import is_payment_document

        if is_payment_document(data):
            return data
        return self._stylesheet.transform(data)
