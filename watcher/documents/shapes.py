"""The two payment documents: the names of their elements. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from watcher.documents.xml_stream import local_name


@dataclass(frozen=True, slots=True)
class Shape:
    """One of the two documents: the names of its elements.

    Attributes:
        root: the outermost element.
        record: a payment.
        number: holds the invoice number.
        amount: holds the paid amount.
        day: holds the date of payment.
        invoice: holds ``number``, or ConnectWise's id of the invoice in ``id``; None where ``number`` stands by itself.
        external_id: holds the accounting system's own id of the payment; None where there is no such element.
    """

    root: str
    record: str
    number: str
    amount: str
    day: str
    invoice: str | None = None
    external_id: str | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The elements that a payment has once at most."""
        optional = (self.external_id,) if self.external_id else ()
        return (self.invoice or self.number, self.amount, self.day, *optional)


UPDATES = Shape("ArrayOfUpdateInvoicePayment", "UpdateInvoicePayment", "InvoiceNumber", "PaidAmount", "DatePaid")
PAYMENTS = Shape(
    "InvoicePayments",
    "InvoicePayment",
    "identifier",
    "amount",
    "paymentDate",
    invoice="invoice",
    external_id="externalId",
)
SHAPES = {shape.root: shape for shape in (UPDATES, PAYMENTS)}
# A transformed record bears the line of the original in it, so that faults can name it.
LINE = "payment-watcher-line"


def shape_of(root: etree._Element) -> Shape | None:
    """Give the shape of the document that a root element begins; None if it is no payment document's."""
    return SHAPES.get(local_name(root))
