"""Payment documents: bytes to records, results to bytes, every fault with its line. Pure: no clock, file or logger.

The input is ``ArrayOfUpdateInvoicePayment/UpdateInvoicePayment{InvoiceNumber, PaidAmount, DatePaid}``. A document is
read as a stream, so that its size costs no memory beyond its records. Nothing in it can open a file or a connection:
document types are refused before any entity of theirs is used.
"""

from __future__ import annotations

import codecs
import copy
import re
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from io import BytesIO

from lxml import etree

from watcher.errors import DocumentError
from watcher.records import Misfit, Outcome, Payment, Record, Result

ROOT = "ArrayOfUpdateInvoicePayment"
RECORD = "UpdateInvoicePayment"
# Ours, from an earlier run: a corrected fail file is dropped in again as it is.
MESSAGES = ("ErrorMessage", "WarningMessage")

_AMOUNT = re.compile(r"[0-9]+(\.[0-9]{1,2})?")
# The longest decimal that survives ConnectWise's double: fifteen significant digits (IEEE 754 binary64).
_DIGITS = 15
# The characters that are safe inside a quoted ConnectWise condition; the length is OpenAPI's for invoiceNumber.
_INVOICE_NUMBER = re.compile(r"[A-Za-z0-9 _./#-]{1,15}")
# The lexical form of xs:dateTime and xs:date (XML Schema part 2, 3.2.7 and 3.2.9), seconds optional.
_DATE = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})"
    r"(T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?|T24:00(:00(\.0{1,9})?)?)?"
    r"(Z|[+-](0\d|1[0-3]):[0-5]\d|[+-]14:00)?",
    re.ASCII,
)
_YEARS = range(1900, 2100)
# The last & of a document if what follows is no reference, not even one that is cut off.
_BARE_AMPERSAND = re.compile(rb"&[#\w.:\x80-\xff-]*[^#\w.:;\x80-\xff-][^&;]*$")
# Where an ampersand may stand for itself, whole or cut off.
_QUOTED = re.compile(rb"<!\[CDATA\[.*?(\]\]>|$)|<!--.*?(-->|$)|<\?.*?(\?>|$)", re.DOTALL)
# How a document in UTF-16 begins, with and without a byte-order mark (XML 1.0, appendix F.1).
_SIXTEEN_BITS = {
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    b"<\0": "utf-16-le",
    b"\0<": "utf-16-be",
}
# How much is given to the parser at once.
_CHUNK = 65536
# What XML 1.0 cannot carry (section 2.2); ConnectWise's words may hold anything.
_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XML = "http://www.w3.org/XML/1998/namespace"
_NAMESPACES: dict[str | None, str] = {
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xsd": "http://www.w3.org/2001/XMLSchema",
}


def read(data: bytes) -> tuple[Record, ...]:
    """Read a whole document.

    Args:
        data: its bytes.

    Returns:
        Its records in order; empty for an empty list.

    Raises:
        DocumentError: it is cut off, not well-formed, or not a payment document; nothing of it may be used.
    """
    try:
        return tuple(_read_record(position, element) for position, element in enumerate(_elements(data, bare=True)))
    except DocumentError as error:
        # A cut can look like another fault, as half an element's name does; that it was cut off is the better answer.
        missing = unfinished(data)
        if not data or missing is None:
            raise
        raise DocumentError(f"The file is cut off: {missing}. Export it again.", error.line) from error


def unfinished(data: bytes) -> str | None:
    """Say whether a document still misses its end, as one that is being written does.

    A document that is broken in any other way is not unfinished: it will not get better by waiting.

    Args:
        data: the bytes so far.

    Returns:
        What is missing, in words; None when the document reaches its closing root tag or cannot become one.
    """
    if not data:
        return "it is empty"
    if b"\0\0\0\0" in data:
        # A writer that sets the size first leaves zeros where it has not written yet; no text encoding holds four.
        return "part of it is reserved space that has not been written yet"
    parser = etree.XMLPullParser(events=("start", "end"), no_network=True, load_dtd=False)
    opened: list[etree._Element] = []
    seen = False
    try:
        for start in range(0, len(data), _CHUNK):
            parser.feed(data[start : start + _CHUNK])
            for event, element in parser.read_events():
                seen = True
                if event == "start":
                    opened.append(element)
                else:
                    _forget(opened.pop())
    except etree.XMLSyntaxError:
        return None
    if _closes(parser) or _has_bare_ampersand(data):
        return None
    if opened:
        return f"no closing </{_local_name(opened[0])}> yet"
    return None if seen else "no element in it yet"


def _has_bare_ampersand(data: bytes) -> bool:
    """Say whether the parser waits for the semicolon of a reference that is none: broken, not unfinished."""
    encoding = _SIXTEEN_BITS.get(data[:2])
    if encoding:
        data = data.decode(encoding, errors="ignore").encode()
    return _BARE_AMPERSAND.search(_QUOTED.sub(b"", data)) is not None


def _closes(parser: etree.XMLPullParser[etree._Element]) -> bool:
    try:
        parser.close()
    except etree.XMLSyntaxError:
        return False
    return True


def write_results(data: bytes, results: Sequence[Result | None]) -> tuple[bytes, bytes]:
    """Write a document's success and fail files.

    Both have the root of the input; each record stands in exactly one of them, in input order, with its elements as
    they came, the messages of earlier runs taken out and its own added last.

    Args:
        data: the document's bytes, as given to ``read``.
        results: one for each of its records, in order; None leaves a record out that has no outcome yet.

    Returns:
        The success file and the fail file, UTF-8; one without records holds the root alone.
    """
    rejected = [result is not None and result.outcome is Outcome.REJECTED for result in results]
    succeeded = [result is not None and result.outcome is not Outcome.REJECTED for result in results]
    success, fail = BytesIO(), BytesIO()
    with etree.xmlfile(success, encoding="utf-8") as good, etree.xmlfile(fail, encoding="utf-8") as bad:
        root = _root(data)
        namespaces = _NAMESPACES | root.nsmap
        if any(name.startswith(f"{{{_XML}}}") for name in root.attrib):
            # Bound already (Namespaces in XML 1.0, section 3); the writer, not told, invents a prefix for xml:lang.
            namespaces["xml"] = _XML
        for file in (good, bad):
            file.write_declaration()
        with (
            good.element(root.tag, root.attrib, nsmap=namespaces),
            bad.element(root.tag, root.attrib, nsmap=namespaces),
        ):
            for file, used in ((good, any(succeeded)), (bad, any(rejected))):
                if used:
                    file.write("\n")
            for element, result, refused in zip(_elements(data, bare=False), results, rejected, strict=True):
                if result is not None:
                    (bad if refused else good).write("  ", _marked(element, result), "\n")
    return success.getvalue() + b"\n", fail.getvalue() + b"\n"


def empty_results() -> tuple[bytes, bytes]:
    """Give the success and fail files of a document without records."""
    return write_results(f"<{ROOT}/>".encode(), ())


def _marked(element: etree._Element, result: Result) -> etree._Element:
    """Copy a record's element without earlier messages and with the result's own, laid out a child a line."""
    record = copy.deepcopy(element)
    for child in list(record):
        if _local_name(child) in MESSAGES:
            record.remove(child)
    for name, text in (("WarningMessage", result.warning), ("ErrorMessage", result.message)):
        if text:
            namespace, brace, _ = str(element.tag).rpartition("}")
            tag = f"{namespace}{brace}{name}"
            etree.SubElement(record, tag).text = _UNPRINTABLE.sub("\ufffd", text)
    children = list(record)
    if children and not (record.text or "").strip():
        record.text = "\n    "
    for child in children:
        if not (child.tail or "").strip():
            child.tail = "\n  " if child is children[-1] else "\n    "
    record.tail = None
    return record


def _elements(data: bytes, *, bare: bool) -> Iterator[etree._Element]:
    """Yield the record elements one at a time; each is emptied when the next is asked for.

    Args:
        data: the document.
        bare: leave out comments and processing instructions.

    Raises:
        DocumentError: as for ``read``.
    """
    if not data.strip():
        raise DocumentError("The file is empty.")
    depth = 0
    try:
        for event, element in _parse(data, bare=bare):
            if event == "start":
                depth += 1
                _check_place(element, depth)
                continue
            depth -= 1
            if depth == 0:
                _check_text(element, element[-1] if len(element) else None)
            if depth == 1:
                yield element
                _forget(element)
    except etree.XMLSyntaxError as error:
        raise _unreadable(data, error) from error


def _parse(data: bytes, *, bare: bool) -> Iterator[tuple[str, etree._Element]]:
    # resolve_entities and the DTD options keep entities unexpanded and unfetched until the root refuses the document.
    return etree.iterparse(
        BytesIO(data),
        events=("start", "end"),
        remove_comments=bare,
        remove_pis=bare,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
    )


def _root(data: bytes) -> etree._Element:
    _, root = next(_parse(data, bare=True))
    return root


def _check_place(element: etree._Element, depth: int) -> None:
    """Refuse a document whose root or records are not what they should be, as soon as it shows."""
    line = _line(element)
    for name in (element.tag, *element.attrib):
        if isinstance(name, str) and ":" in name.rpartition("}")[2]:
            # Well-formed XML, but not by Namespaces in XML 1.0, section 5; the results could not be read again.
            raise DocumentError(f"The XML is not well-formed: the prefix in {name} is not declared.", line)
    if depth == 1:
        if element.getroottree().docinfo.doctype:
            raise DocumentError("The document has a DOCTYPE, which payment documents do not use. Export it without.", 1)
        if _local_name(element) != ROOT:
            found = _local_name(element)
            raise DocumentError(
                f"This is not a payment document: its outermost element is <{found}>, expected <{ROOT}>.", line
            )
    elif depth == 2:
        if _local_name(element) != RECORD:
            raise DocumentError(f"<{_local_name(element)}> stands where only <{RECORD}> is expected.", line)
        root = element.getparent()
        if root is not None:
            _check_text(root, element.getprevious())


def _check_text(root: etree._Element, before: etree._Element | None) -> None:
    """Refuse text between records: what it belongs to is anybody's guess."""
    text = root.text if before is None else before.tail
    if text and text.strip():
        place = _line(root if before is None else before)
        raise DocumentError(f'The text "{_shown(text.strip())}" stands outside of any <{RECORD}>.', place)


def _unreadable(data: bytes, error: etree.XMLSyntaxError) -> DocumentError:
    if not data.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n").startswith(b"<"):
        return DocumentError("This is not an XML file: it does not start with <.", 1)
    try:
        # The stream's own error may only say that it ended early; the whole document at once says where and why.
        etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    except etree.XMLSyntaxError as exact:
        error = exact
    # libxml2 ends its message with the place, which the error carries anyway.
    words = re.sub(r", line \d+, column \d+$", "", (error.msg or "unreadable").strip())
    return DocumentError(f"The XML is not well-formed: {words}.", error.lineno)


def _read_record(position: int, element: etree._Element) -> Record:
    line = _line(element)
    faults: list[str] = []
    if any(_local_name(child) == RECORD for child in element):
        faults.append(f"another <{RECORD}> stands inside of this one; each stands on its own")
    number = _field(element, "InvoiceNumber", faults)
    if number and not _INVOICE_NUMBER.fullmatch(number):
        faults.append(
            f'InvoiceNumber "{_shown(number)}" is not a possible invoice number: '
            "one to fifteen letters, digits, spaces and - _ . / # are accepted"
        )
    amount_text = _field(element, "PaidAmount", faults)
    amount = _amount(amount_text)
    if amount_text and amount is None:
        faults.append(
            f'PaidAmount "{_shown(amount_text)}" is not an amount: digits with a point and at most two decimals, '
            f"no sign, currency or thousands separator and at most {_DIGITS} digits are accepted, like 1346.34"
        )
    date_text = _field(element, "DatePaid", faults)
    day = _day(date_text)
    if date_text and day is None:
        faults.append(
            f'DatePaid "{_shown(date_text)}" is not a date: a day of the years {_YEARS.start} to {_YEARS.stop - 1}, '
            "alone or with a time, is accepted, like 2016-09-22 or 2016-09-22T12:05:54+01:00"
        )
    if faults or amount is None or day is None:
        return Misfit(position, line, number, amount, f"{'; '.join(faults)} (line {line})")
    return Payment(position, line, number, amount, day)


def _field(element: etree._Element, name: str, faults: list[str]) -> str:
    """Give the trimmed text of a record's one child of that name; what keeps it from being that is added to faults."""
    found = [child for child in element if _local_name(child) == name]
    text = (found[0].text or "").strip() if found else ""
    if not found:
        faults.append(f"{name} is missing")
    elif len(found) > 1:
        faults.append(f"{name} stands {len(found)} times in this payment; give it once")
    elif len(found[0]):
        faults.append(f"{name} holds other elements; give its value alone")
    elif not text:
        faults.append(f"{name} is empty")
    return text


def _amount(text: str) -> Decimal | None:
    if not _AMOUNT.fullmatch(text) or len(text.replace(".", "").lstrip("0")) > _DIGITS:
        return None
    return Decimal(text)


def _day(text: str) -> date | None:
    match = _DATE.fullmatch(text)
    if not match:
        return None
    try:
        day = date.fromisoformat(match["day"])
    except ValueError:
        return None
    return day if day.year in _YEARS else None


def _shown(text: str) -> str:
    """Shorten what a message quotes, so that a megabyte in a field stays out of the messages."""
    limit = 40
    return text if len(text) <= limit else f"{text[:limit]}…"


def _forget(element: etree._Element) -> None:
    """Empty an element that has been read, and take its elder siblings away: a document costs no more than a record."""
    element.clear(keep_tail=True)
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def _local_name(element: etree._Element) -> str:
    # Not QName, which refuses names that the parser lets through.
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _line(element: etree._Element) -> int:
    return int(element.sourceline or 0)
