"""Reads any record of a payment document, and says what is wrong with it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree

from watcher.documents.letters import quoted, shown
from watcher.documents.shapes import CURRENCIES, LINE, NUMBER_IN_FILE, REJECT, Shape
from watcher.documents.values import amount_of, bounded_id, day_of, is_invoice_number
from watcher.documents.wrong_values import why_no_amount, why_no_date, why_no_number
from watcher.documents.xml_stream import line_of, local_name
from watcher.payments.model import Misfit, Payment, Record, listed
from watcher.plain import plain as one_line

_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_TAG = f"<{REJECT}>"
# ConnectWise's ids are int32 in OpenAPI.
_ID = re.compile(r"[0-9]{1,10}")
_LARGEST_ID = 2**31 - 1
# The most of a stylesheet's reason that a message holds (characters).
_LONGEST_REASON = 500


class Names(dict[Any, str]):
    """The local names of tags. A document has few tags, so each is split only once."""

    def __missing__(self, tag: str) -> str:
        self[tag] = name = tag.rpartition("}")[2]
        return name


def read_record(position: int, element: etree._Element, shape: Shape, names: Names) -> Record:
    """Read any record. ``reading._plain`` repeats these rules for plain records, and must agree."""
    line = line_of(element)
    if element.attrib and (given := element.get(LINE)) is not None:
        line = int(given) if _ID.fullmatch(given) and int(given) <= _LARGEST_ID else 0
    children = _children(element, names)
    faults: list[str] = []
    if len(children) != len(element):
        faults += _repeated(element, shape, names)
    if shape.record in children:
        faults.append(f"another <{shape.record}> stands inside this one; put it beside this one")
    fields = _Fields(element, children, faults)
    number, invoice_id = _invoice(fields, shape, names)
    amount_text = fields.text(shape.amount)
    amount = amount_of(amount_text, signed=shape.signed)
    if amount_text and amount is None:
        faults.append(f"{shape.amount} {why_no_amount(amount_text, signed=shape.signed)}")
    date_text = fields.text(shape.day)
    day = day_of(date_text)
    if date_text and day is None:
        faults.append(f"{shape.day} {why_no_date(date_text)}")
    faults[:0] = fields.misplaced()
    external_id = bounded_id(_one_of(children, shape.external_ids, faults))
    currency = shown(_one_of(children, CURRENCIES, faults))
    in_file = shown(_text(children.get(NUMBER_IN_FILE)))
    if REJECT in children:
        # Whoever made the record knows better than its values what is wrong with it.
        reason = _reason(children[REJECT])
        faults = [reason if _TAG in reason else f"{reason}. To send this record corrected, remove {_TAG} from it, too"]
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


def _children(element: etree._Element, names: Names) -> dict[str, etree._Element]:
    """Return an element's children by their local names; of several with one name, the first."""
    children: dict[str, etree._Element] = {}
    for child in element:
        children.setdefault(names[child.tag], child)
    return children


def _repeated(element: etree._Element, shape: Shape, names: Names) -> list[str]:
    """Return a fault for each field that stands in a record more than once."""
    there = [names[child.tag] for child in element]
    return [
        f"{name} stands {there.count(name)} times in this payment; give it once"
        for name in shape.fields
        if there.count(name) > 1
    ]


class _Fields:
    """Reads the values of a record, or of its invoice, and finds those that stand where they do not count."""

    def __init__(self, element: etree._Element, children: dict[str, etree._Element], faults: list[str]) -> None:
        """Take where the values stand.

        Args:
            element: the record, or its invoice.
            children: its children by their local names.
            faults: what is wrong with the record; the faults of values are added.
        """
        self.children = children
        self.faults = faults
        self._element = element
        self._attributes: list[tuple[str, str]] = []

    def text(self, name: str) -> str:
        """Return the trimmed text of a child, and add to the faults what is wrong with it."""
        child = self.children.get(name)
        if child is None:
            return self._elsewhere(name)
        text = _text(child)
        if len(child):
            self.faults.append(f"{name} holds other elements; give its value alone")
        elif not text:
            self.faults.append(f"{name} is empty{_value_as_attribute(child, name)}")
        return text

    def misplaced(self) -> list[str]:
        """Return the fault of the values that stand as attributes, if some do."""
        if not self._attributes:
            return []
        stand = "stands as an attribute" if len(self._attributes) == 1 else "stand as attributes"
        name, value = self._attributes[0]
        names = listed([each for each, _ in self._attributes])
        return [
            f"{names} {stand} in the tag <{shown(local_name(self._element))} …>; write each value as an element inside "
            f"it, like {_as_element(name, value)}"
        ]

    def attribute(self, name: str) -> str:
        """Return the value of an attribute that has a field's name, in whatever letters; note that it stands there."""
        for key, value in self._element.attrib.items():
            if str(key).rpartition("}")[2].casefold() == name.casefold():
                self._attributes.append((name, str(value).strip()))
                return str(value).strip()
        return ""

    def _elsewhere(self, name: str) -> str:
        if text := self.attribute(name):
            return text
        other = next((each for each in self.children if each.casefold() == name.casefold()), None)
        hint = f"; <{shown(other)}> stands there, and capital and small letters count: write <{name}>" if other else ""
        self.faults.append(f"{name} is missing{hint}")
        return ""


def _as_element(name: str, value: str) -> str:
    return f"<{name}>{escape(shown(value))}</{name}>"


def _value_as_attribute(child: etree._Element, name: str) -> str:
    """Return what to write if an element without text has its value as an attribute; empty if it has none."""
    for key, value in child.attrib.items():
        if not str(key).startswith("{") and str(value).strip():
            return f"; its attribute {shown(str(key))} does not count: write {_as_element(name, str(value).strip())}"
    return ""


def _invoice(fields: _Fields, shape: Shape, names: Names) -> tuple[str, int | None]:
    """Return the invoice number and ConnectWise's id of the invoice; an empty text and None where they are missing."""
    invoice_id = None
    faults = fields.faults
    if shape.invoice is None:
        number = fields.text(shape.number)
    elif shape.invoice not in fields.children:
        number = _beside_invoice(fields, shape)
    else:
        inside = fields.children[shape.invoice]
        within = _Fields(inside, _children(inside, names), faults)
        number, written = (_text(within.children.get(name)) for name in (shape.number, "id"))
        if len(within.children) != len(inside):
            faults.append(f"{shape.invoice} holds an element twice; give it once")
        if not number and not written:
            number = within.attribute(shape.number)
            if not number and not within.attribute("id"):
                text = (inside.text or "").strip()
                hint = f", like {_in_invoice(shape, text)}" if text else ""
                faults.append(f"{shape.invoice} holds neither {shape.number} nor id; one of them is needed{hint}")
            faults.extend(within.misplaced())
        invoice_id = int(written) if _ID.fullmatch(written) and int(written) <= _LARGEST_ID else None
        if written and invoice_id is None:
            faults.append(
                f"{shape.invoice} id {quoted(written)} is not an id of ConnectWise: give digits (0 to 9) alone"
            )
    if number and not is_invoice_number(number):
        faults.append(f"{shape.number} {why_no_number(number)}")
    return number, invoice_id


def _beside_invoice(fields: _Fields, shape: Shape) -> str:
    """Return the number of a record whose number stands outside the element of the invoice, as far as it is there."""
    number = _text(fields.children.get(shape.number)) or fields.attribute(shape.number)
    hint = f"; write {_in_invoice(shape, number)}" if number else ""
    fields.faults.append(f"{shape.invoice} is missing{hint}")
    return number


def _in_invoice(shape: Shape, number: str) -> str:
    return f"<{shape.invoice}>{_as_element(shape.number, number)}</{shape.invoice}>"


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
