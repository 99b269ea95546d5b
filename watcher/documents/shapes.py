"""Names the elements of the two payment documents. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from watcher.documents.xml_stream import local_name


@dataclass(frozen=True, slots=True)
class Shape:
    """The element names of one of the two documents.

    Attributes:
        root: the outermost element.
        record: the element of one payment.
        number: the element with the invoice number.
        amount: the element with the paid amount.
        day: the element with the date of payment.
        invoice: the element that holds ``number``, or ConnectWise's id of the invoice in ``id``; None if ``number``
            stands directly in the record.
        external_ids: the names of the element with the accounting system's own id of the payment.
        signed: amounts may be less than zero.
    """

    root: str
    record: str
    number: str
    amount: str
    day: str
    invoice: str | None = None
    external_ids: tuple[str, ...] = ("externalId",)
    signed: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """The elements that a payment may hold at most once."""
        return (self.invoice or self.number, self.amount, self.day, *self.external_ids, *CURRENCIES)


UPDATES = Shape(
    "ArrayOfUpdateInvoicePayment",
    "UpdateInvoicePayment",
    "InvoiceNumber",
    "PaidAmount",
    "DatePaid",
    external_ids=("ExternalId", "externalId"),
)
PAYMENTS = Shape(
    "InvoicePayments",
    "InvoicePayment",
    "identifier",
    "amount",
    "paymentDate",
    invoice="invoice",
)
SHAPES = {shape.root: shape for shape in (UPDATES, PAYMENTS)}
# The elements in which a payment may name its currency.
CURRENCIES = ("Currency", "currency")
# The element in which a format keeps an invoice number as its file has it, if another one is looked up.
NUMBER_IN_FILE = "NumberInFile"
# The element in which a stylesheet says why a record is rejected.
REJECT = "Reject"
# The attribute in which a stylesheet's record keeps its line in the original, so that a fault can name that line.
LINE = "payment-watcher-line"


def shape_of(root: etree._Element) -> Shape | None:
    """Return the shape of the document with this root element; None if it is no payment document."""
    return SHAPES.get(local_name(root))
