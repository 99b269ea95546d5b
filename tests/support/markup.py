"""Payment documents for tests, made of markup; their records and results."""

from __future__ import annotations

import os
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st

from watcher.documents.reading import read
from watcher.payments.outcomes import Outcome, Result

ROOT = "ArrayOfUpdateInvoicePayment"
RECORD = "UpdateInvoicePayment"
GOOD = (
    f"<{RECORD}><InvoiceNumber>CW-1</InvoiceNumber><PaidAmount>346.34</PaidAmount>"
    f"<DatePaid>2016-09-22</DatePaid></{RECORD}>"
)
# ``make soak`` tries so many times as many examples.
SOAK = int(os.environ.get("SOAK", "1"))
law = settings(deadline=None, max_examples=100 * SOAK)


def rooted(inside, *, start=f"<{ROOT}>", end=f"</{ROOT}>"):
    """Put markup inside a payment document's root."""
    return f"{start}{inside}{end}".encode()


def only(content):
    """Read a document of one record."""
    (record,) = read(content)
    return record


def result(position, *, rejected=False, message=None, warning=None):
    """Return a result for a record of a document."""
    outcome = Outcome.REJECTED if rejected else Outcome.APPLIED
    message = message or ("Refused" if rejected else None)
    return Result(position, 1, "CW-1", outcome, Decimal(1), message=message, warning=warning)


def encoded_documents():
    """Return valid documents in several encodings; nothing follows the closing root tag."""
    pieces = st.sampled_from(
        [
            GOOD,
            "\n",
            "<!-- <a> & -->",
            "<?pi </a> & ?>",
            f"<{RECORD}><Memo a='x &gt; y'>&amp;&#233;\u00e9</Memo><![CDATA[ </a> & ]]></{RECORD}>",
            f"<{RECORD}/>",
            f"<{RECORD} xmlns:p='urn:p'><p:Memo p:a='1'>\u00fc</p:Memo></{RECORD}>",
        ]
    )
    starts = st.sampled_from(
        [
            (f"<{ROOT}>", f"</{ROOT}>"),
            (f"<{ROOT}\n xmlns='urn:x' a='&lt;'>", f"</{ROOT}\n>"),
            (f"<x:{ROOT} xmlns:x='urn:x'>", f"</x:{ROOT}>"),
            (f"<!-- \u00e9 -->\n<{ROOT}>", f"</{ROOT}>"),
        ]
    )
    encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16le", "utf-16be", "iso-8859-1", "windows-1252"])
    return st.builds(
        lambda encoding, tags, inside: (
            f"<?xml version='1.0' encoding='{encoding.removesuffix('-sig')}'?>{tags[0]}{''.join(inside)}{tags[1]}"
        ).encode(encoding),
        encodings,
        starts,
        st.lists(pieces, max_size=5),
    )
