"""Reads the records of a payment document; every fault names its line and its element. Pure.

There are two payment documents::

    ArrayOfUpdateInvoicePayment/UpdateInvoicePayment{InvoiceNumber, PaidAmount, DatePaid}
    InvoicePayments/InvoicePayment{id, externalId, invoice{id or identifier}, amount, paymentDate}

Elements are known by their local names, in any namespace and in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lxml import etree

from watcher.documents.encoding import not_xml
from watcher.documents.kinds import TWO_MARKS, saved_page
from watcher.documents.letters import quoted, shown
from watcher.documents.record import Names, read_record
from watcher.documents.shapes import CURRENCIES, NUMBER_IN_FILE, REJECT, SHAPES, Shape, shape_of
from watcher.documents.unfinished import real_fault
from watcher.documents.values import amount_of, bounded_id, day_of, is_invoice_number
from watcher.documents.xml_stream import batches, line_of, local_name, named
from watcher.errors import DocumentError
from watcher.payments.model import Payment, Record

# True if a record of the document has an attribute, or has an element in one of its elements.
_FURTHER = etree.XPath("boolean(*/@* | */*/@* | */*/*)")
# The root element of Excel's "XML Spreadsheet 2003".
_WORKBOOK = "{urn:schemas-microsoft-com:office:spreadsheet}Workbook"
# Elements of what a server says instead of giving an export.
_ERRORS = frozenset({"error", "errors", "fault", "exception", "apiexception", "errorresponse", "errormessage"})
# Each record takes memory until its file is done. No file that makes sense holds so many.
_MOST_RECORDS = 500_000


def read(data: bytes, *, signed: bool = False) -> tuple[Record, ...]:
    """Read a whole document.

    Args:
        data: the document's bytes.
        signed: amounts may be less than zero.

    Returns:
        Its records in order; none for an empty document.

    Raises:
        DocumentError: the document is cut off, not well-formed, or no payment document. Nothing of it may be used.
    """
    return tuple(records(data, signed=signed))


def is_payment_document(data: bytes) -> bool:
    """Return True if a document has the root element of a payment document; False if it cannot be read that far."""
    try:
        root, _ = next(batches(data, bare=True))
        return shape_of(root) is not None
    except DocumentError:
        return False


def _batches(data: bytes) -> Iterator[tuple[etree._Element, list[etree._Element]]]:
    """Read the document as a stream. If the parser finds a fault, find out if the document was cut off."""
    try:
        yield from batches(data, bare=True)
    except DocumentError as error:
        raise real_fault(data, error) from error


def records(data: bytes, *, signed: bool = False) -> Iterator[Record]:
    """Read a document record by record.

    Args:
        data: the document's bytes.
        signed: amounts may be less than zero.

    Yields:
        Its records in order. None of them may be used before the last one is read.

    Raises:
        DocumentError: the document is cut off, not well-formed, or no payment document.
    """
    shape: Shape | None = None
    names = Names()
    position = 0
    for root, elements in _batches(data):
        if shape is None:
            shape = replace(_shape(root, data), signed=signed)
            _check_text(root, root.text, shape)
        # Attributes and elements further in are rare. To find them record by record would take a look at each child.
        plain = shape.invoice is None and not _FURTHER(root)
        for element in elements:
            if names[element.tag] != shape.record:
                raise _no_record(element, shape)
            tail = element.tail
            if tail and not tail.isspace():
                _check_text(element, tail, shape)
            if position == _MOST_RECORDS:
                raise DocumentError(f"The file holds more than {_MOST_RECORDS} payments. Split it.", line_of(element))
            payment = _plain(position, element, shape, names) if plain else None
            yield payment or read_record(position, element, shape, names)
            position += 1
        if not position and shape is not None:
            _check_root(root, shape)


def _shape(root: etree._Element, data: bytes) -> Shape:
    shape = shape_of(root)
    if shape is not None:
        return shape
    if (kind := saved_page(data)) is not None:
        raise not_xml(kind)
    expected = " or ".join(f"<{root}>" for root in SHAPES)
    raise DocumentError(
        f"This is not a payment document: its outermost element is <{named(root)}>, expected {expected}.{_hint(root)}",
        line_of(root),
    )


def _hint(root: etree._Element) -> str:
    """Return what a document seems to be whose root element is that of no payment document; empty if nobody knows."""
    inside = next((element for element in root.iter("{*}*") if shape_of(element)), None)
    if inside is not None:
        return f" <{named(inside)}> stands inside it (line {line_of(inside)})."
    name = local_name(root)
    for shape in SHAPES.values():
        if name == shape.record:
            return f" <{name}> is one payment: put <{shape.root}> and </{shape.root}> around all payments."
        if name.casefold() == shape.root.casefold():
            return f" Capital and small letters count: write <{shape.root}> and </{shape.root}>."
    return instead_of_export(root)


def instead_of_export(root: etree._Element) -> str:
    """Return in words what came instead of an export: a workbook, or what a server says; empty if it is neither."""
    if root.tag == _WORKBOOK:
        return " It is an Excel workbook in XML (XML Spreadsheet 2003), and no export."
    if any(local_name(element).casefold() in _ERRORS for element in root.iter("{*}*")):
        said = " ".join(" ".join(str(text) for text in root.itertext()).split())
        return f" It looks like an error message instead of an export: {quoted(said)}." if said else ""
    return ""


def _check_text(before: etree._Element, text: str | None, shape: Shape) -> None:
    """Refuse text between records: nobody can tell to which record it belongs."""
    if text and not text.isspace():
        if text.strip() == "\ufeff":
            raise DocumentError(TWO_MARKS, line_of(before))
        raise DocumentError(
            f"After this <{named(before)}>, the text {quoted(text.strip())} stands outside any <{shape.record}>. "
            "Take it out, or put it into an element of a payment.",
            line_of(before),
        )


def _no_record(element: etree._Element, shape: Shape) -> DocumentError:
    """Return the fault of an element that stands where a record is expected."""
    name = named(element)
    if any(local_name(inside) == shape.record for inside in element.iter("{*}*")):
        hint = f"Take out <{name}> and </{name}>, and leave what is inside."
    else:
        hint = f"Each payment needs <{shape.record}> and </{shape.record}> around its values."
    return DocumentError(f"<{name}> stands where only <{shape.record}> is expected. {hint}", line_of(element))


def _check_root(root: etree._Element, shape: Shape) -> None:
    """Refuse a document that has no record, but values as attributes of its root element."""
    wanted = {name.casefold() for name in (shape.number, shape.amount, shape.day)}
    for key in root.attrib:
        if str(key).rpartition("}")[2].casefold() in wanted:
            raise DocumentError(
                f"{shown(str(key))} stands as an attribute in the tag <{shape.root} …>, and no payment stands in the "
                f"file. Write each payment as <{shape.record}> with elements inside it, like <{shape.amount}>346.34"
                f"</{shape.amount}>.",
                line_of(root),
            )


def _plain(position: int, element: etree._Element, shape: Shape, names: Names) -> Payment | None:
    """Read a record that has no attributes and no elements further in, for speed.

    These are the rules of ``read_record`` once more, without their messages. Both must agree: where this function
    returns a payment, ``read_record`` returns an equal one. Whoever changes one of them changes the other, too.

    Returns:
        The payment; None if the record needs ``read_record``, which reads every record and names its faults.
    """
    values = {names[child.tag]: child.text for child in element}
    if len(values) != len(element) or shape.record in values or REJECT in values or NUMBER_IN_FILE in values:
        return None
    number = (values.get(shape.number) or "").strip()
    if not is_invoice_number(number):
        return None
    amount = amount_of((values.get(shape.amount) or "").strip(), signed=shape.signed)
    day = day_of((values.get(shape.day) or "").strip())
    ids = [values[name] for name in shape.external_ids if name in values]
    if amount is None or day is None or len(ids) > 1:
        return None
    external_id = bounded_id((ids[0] or "").strip()) if ids else ""
    currencies = [shown((values[name] or "").strip()) for name in CURRENCIES if name in values]
    if len(currencies) > 1:
        return None
    currency = currencies[0] if currencies else ""
    return Payment(position, line_of(element), number, amount, day, external_id=external_id, currency=currency)
