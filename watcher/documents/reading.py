"""Reads the records of a payment document; every fault names its line and its element. Pure.

There are two payment documents::

    ArrayOfUpdateInvoicePayment/UpdateInvoicePayment{InvoiceNumber, PaidAmount, DatePaid}
    InvoicePayments/InvoicePayment{id, externalId, invoice{id or identifier}, amount, paymentDate}

Elements are known by their local names, in any namespace and in any order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from lxml import etree

from watcher.documents.encoding import shown
from watcher.documents.shapes import CURRENCIES, LINE, NUMBER_IN_FILE, REJECT, SHAPES, Shape, shape_of
from watcher.documents.unfinished import cut_off
from watcher.documents.values import DIGITS, YEARS, amount_of, bounded_id, day_of, is_empty_day, is_invoice_number
from watcher.documents.xml_stream import batches, line_of, named
from watcher.errors import DocumentError
from watcher.payments.model import Misfit, Payment, Record
from watcher.plain import plain as one_line

# True if a record of the document has an attribute, or has an element in one of its elements.
_FURTHER = etree.XPath("boolean(*/@* | */*/@* | */*/*)")
# The root element of Excel's "XML Spreadsheet 2003".
_WORKBOOK = "{urn:schemas-microsoft-com:office:spreadsheet}Workbook"
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
# ConnectWise's ids are int32 in OpenAPI.
_ID = re.compile(r"[0-9]{1,10}")
_LARGEST_ID = 2**31 - 1
# The most of a stylesheet's reason that a message holds (characters).
_LONGEST_REASON = 500
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
        raise cut_off(data, error) from error


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
    names = _Names()
    position = 0
    for root, elements in _batches(data):
        if shape is None:
            shape = replace(_shape(root), signed=signed)
            _check_text(root, root.text, shape)
        # Attributes and elements further in are rare. To find them record by record would take a look at each child.
        plain = shape.invoice is None and not _FURTHER(root)
        for element in elements:
            if names[element.tag] != shape.record:
                raise DocumentError(
                    f"<{named(element)}> stands where only <{shape.record}> is expected.", line_of(element)
                )
            tail = element.tail
            if tail and not tail.isspace():
                _check_text(element, tail, shape)
            if position == _MOST_RECORDS:
                raise DocumentError(f"The file holds more than {_MOST_RECORDS} payments. Split it.", line_of(element))
            payment = _plain(position, element, shape, names) if plain else None
            yield payment or _read_record(position, element, shape, names)
            position += 1


class _Names(dict[Any, str]):
    """The local names of tags. A document has few tags, so each is split only once."""

    def __missing__(self, tag: str) -> str:
        self[tag] = name = tag.rpartition("}")[2]
        return name


def _shape(root: etree._Element) -> Shape:
    shape = shape_of(root)
    if shape is not None:
        return shape
    expected = " or ".join(f"<{root}>" for root in SHAPES)
    inside = next((element for element in root.iter("{*}*") if shape_of(element)), None)
    hint = f" <{named(inside)}> stands inside it (line {line_of(inside)})." if inside is not None else ""
    if root.tag == _WORKBOOK:
        hint = " It is a whole Excel workbook: in Excel, export the table as XML data instead."
    raise DocumentError(
        f"This is not a payment document: its outermost element is <{named(root)}>, expected {expected}.{hint}",
        line_of(root),
    )


def _check_text(before: etree._Element, text: str | None, shape: Shape) -> None:
    """Refuse text between records: nobody can tell to which record it belongs."""
    if text and not text.isspace():
        raise DocumentError(f'The text "{shown(text.strip())}" stands outside any <{shape.record}>.', line_of(before))


def _plain(position: int, element: etree._Element, shape: Shape, names: _Names) -> Payment | None:
    """Read a record that has no attributes and no elements further in, for speed.

    These are the rules of ``_read_record`` once more, without their messages. Both must agree: where this function
    returns a payment, ``_read_record`` returns an equal one. Whoever changes one of them changes the other, too.

    Returns:
        The payment; None if the record needs ``_read_record``, which reads every record and names its faults.
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


def _read_record(position: int, element: etree._Element, shape: Shape, names: _Names) -> Record:
    """Read any record. ``_plain`` repeats these rules for plain records, and must agree."""
    line = line_of(element)
    if element.attrib and (given := element.get(LINE)) is not None:
        line = int(given) if _ID.fullmatch(given) and int(given) <= _LARGEST_ID else 0
    faults: list[str] = []
    children = _children(element, names)
    if len(children) != len(element):
        faults += _repeated(element, shape, names)
    if shape.record in children:
        faults.append(f"another <{shape.record}> stands inside this one; put it beside this one")
    number, invoice_id = _invoice(children, shape, names, faults)
    amount_text = _field(children, shape.amount, faults)
    amount = amount_of(amount_text, signed=shape.signed)
    if amount_text and amount is None:
        faults.append(
            f'{shape.amount} "{shown(amount_text)}" is not an amount: digits with a point and at most two decimals '
            f"are accepted, like 1346.34, at most {DIGITS} digits, no sign, currency or thousands separator"
            + _about_sign(amount_text, shape)
        )
    date_text = _field(children, shape.day, faults)
    day = day_of(date_text)
    if date_text and day is None and is_empty_day(date_text):
        faults.append(
            f'{shape.day} "{shown(date_text)}" is an empty date: databases and spreadsheets write it where there is '
            "none; give the day of the payment"
        )
    elif date_text and day is None:
        faults.append(
            f'{shape.day} "{shown(date_text)}" is not a date: a day of the years {YEARS.start} to {YEARS.stop - 1}, '
            "alone or with a time, is accepted, like 2016-09-22 or 2016-09-22T12:05:54+01:00"
        )
    external_id = bounded_id(_one_of(children, shape.external_ids, faults))
    currency = shown(_one_of(children, CURRENCIES, faults))
    in_file = shown(_text(children.get(NUMBER_IN_FILE)))
    if REJECT in children:
        # Whoever made the record knows better than its values what is wrong with it.
        faults = [_reason(children[REJECT])]
    if faults or amount is None or day is None:
        place = f" (line {line})" if line else ""
        as_written = shown(amount_text) if amount is None else ""
        return Misfit(position, line, shown(number), amount, f"{'; '.join(faults)}{place}", as_written, in_file)
    return Payment(position, line, number, amount, day, invoice_id, external_id, currency, in_file)


def _reason(element: etree._Element) -> str:
    """Return why a stylesheet rejects a record."""
    reason = " ".join(_text(element)[: 2 * _LONGEST_REASON].split()).rstrip(".")
    return (
        one_line(reason, _LONGEST_REASON) or f"{REJECT} is empty: the stylesheet rejects this payment without a reason"
    )


def _about_sign(amount: str, shape: Shape) -> str:
    """Return what more is to be said of an amount that would be accepted where payments are added up."""
    if shape.signed or amount_of(amount, signed=True) is None:
        return ""
    return '; an amount below zero is accepted with payments.amounts = "each" alone'


def _children(element: etree._Element, names: _Names) -> dict[str, etree._Element]:
    """Return an element's children by their local names; of several with one name, the first."""
    children: dict[str, etree._Element] = {}
    for child in element:
        children.setdefault(names[child.tag], child)
    return children


def _repeated(element: etree._Element, shape: Shape, names: _Names) -> list[str]:
    """Return a fault for each field that stands in a record more than once."""
    there = [names[child.tag] for child in element]
    return [
        f"{name} stands {there.count(name)} times in this payment; give it once"
        for name in shape.fields
        if there.count(name) > 1
    ]


def _invoice(
    children: dict[str, etree._Element], shape: Shape, names: _Names, faults: list[str]
) -> tuple[str, int | None]:
    """Return the invoice number and ConnectWise's id of the invoice; an empty text and None where they are missing."""
    invoice_id = None
    if shape.invoice is None:
        number = _field(children, shape.number, faults)
    elif shape.invoice not in children:
        faults.append(f"{shape.invoice} is missing")
        number = ""
    else:
        inside = children[shape.invoice]
        parts = _children(inside, names)
        number, written = _text(parts.get(shape.number)), _text(parts.get("id"))
        if len(parts) != len(inside):
            faults.append(f"{shape.invoice} holds an element twice; give it once")
        if not number and not written:
            faults.append(f"{shape.invoice} holds neither {shape.number} nor id; one of them is needed")
        invoice_id = int(written) if _ID.fullmatch(written) and int(written) <= _LARGEST_ID else None
        if written and invoice_id is None:
            faults.append(f'{shape.invoice} id "{shown(written)}" is not an id of ConnectWise: give digits alone')
    if number and not is_invoice_number(number):
        faults.append(
            f'{shape.number} "{shown(number)}" is not a possible invoice number: '
            "one to fifteen letters, digits, spaces and - _ . / # are accepted"
        )
    return number, invoice_id


def _field(children: dict[str, etree._Element], name: str, faults: list[str]) -> str:
    """Return the trimmed text of a record's child, and add to the faults what is wrong with it."""
    child = children.get(name)
    if child is None:
        faults.append(f"{name} is missing")
        return ""
    text = _text(child)
    if len(child):
        faults.append(f"{name} holds other elements; give its value alone")
    elif not text:
        faults.append(f"{name} is empty")
    return text


def _one_of(children: dict[str, etree._Element], names: Sequence[str], faults: list[str]) -> str:
    """Return the text of an element that may have one of several names; add to the faults if it is there twice."""
    texts = [_text(children[name]) for name in names if name in children]
    if len(texts) > 1:
        faults.append(f"{' and '.join(names)} both stand in this payment; give one of them")
    return texts[0] if texts else ""


def _text(child: etree._Element | None) -> str:
    """Return an element's trimmed text; an empty text if it is nil or missing."""
    if child is None or (child.attrib and child.get(_NIL) in ("true", "1")):
        return ""
    return (child.text or "").strip()
