"""What the records are made of: the fields that can be searched, sorted by and picked out.

Names and types are those of Invoice and InvoicePayment in OpenAPI 2025.1, and the references that Invoice has there
and in later versions. A field that is listed here and absent from a record is null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from watcher.sandbox.errors import Record, invalid_request
from watcher.sandbox.predicates import Kind, Reader, field_reader


def _of(kind: Kind, names: str) -> dict[str, Kind]:
    return dict.fromkeys(names.split(), kind)


INVOICE_FIELDS: Mapping[str, Kind] = {
    **_of(
        Kind.TEXT,
        """
        invoiceNumber type status/name company/identifier company/name billToCompany/identifier
        billToCompany/name shipToCompany/identifier shipToCompany/name accountNumber applyToType attention
        shipToAttention billingSiteAddressLine1 billingSiteAddressLine2 billingSiteCity billingSiteState
        billingSiteZip billingSiteCountry shippingSiteAddressLine1 shippingSiteAddressLine2 shippingSiteCity
        shippingSiteState shippingSiteZip shippingSiteCountry reference customerPO topComment bottomComment
        internalNotes adjustmentReason adjustedBy closedBy currency/symbol currency/currencyCode
        currency/decimalSeparator currency/thousandsSeparator currency/currencyIdentifier currency/name
        glBatch/name unbatchedBatch/name agreement/name agreement/type project/name phase/name ticket/summary
        salesOrder/identifier taxCode/name billingTerms/name billingSite/name shippingSite/name location/name
        department/identifier department/name territory/name billingSetupReference/name _info/updatedBy
        _info/enteredBy
        """,
    ),
    **_of(
        Kind.NUMBER,
        """
        id status/id company/id billToCompany/id shipToCompany/id currency/id glBatch/id unbatchedBatch/id
        currency/numberOfDecimals agreement/id project/id phase/id ticket/id salesOrder/id taxCode/id
        billingTerms/id billingSite/id shippingSite/id location/id department/id territory/id
        billingSetupReference/id applyToId templateSetupId emailTemplateId locationId departmentId territoryId
        serviceTotal expenseTotal productTotal previousProgressApplied serviceAdjustmentAmount agreementAmount
        downpaymentApplied subtotal total remainingDownpayment salesTax payments credits balance
        """,
    ),
    **_of(
        Kind.FLAG,
        """
        status/isClosed currency/negativeParenthesesFlag currency/displaySymbolFlag currency/displayIdFlag
        currency/rightAlign agreement/chargeFirmFlag project/chargeFirmFlag salesOrder/chargeFirmFlag
        addToBatchEmailList restrictDownpaymentFlag taxableFlag
        downpaymentPreviouslyTaxedFlag overrideDownPaymentAmountFlag specialInvoiceFlag
        """,
    ),
    **_of(Kind.TIME, "date dueDate _info/lastUpdated _info/dateEntered"),
}
"""Every field of an invoice that a condition or an order can name."""

PAYMENT_FIELDS: Mapping[str, Kind] = {
    **_of(
        Kind.TEXT,
        """
        type source invoice/identifier invoice/applyToType credit/identifier appliedBy paymentSyncStatus
        glBatchID paymentAccount aRPaymentAccount
        """,
    ),
    **_of(Kind.NUMBER, "id invoice/id credit/id amount balance invoiceBalance invoiceTotal"),
    **_of(Kind.FLAG, "invoice/chargeFirmFlag"),
    **_of(Kind.TIME, "paymentDate paymentSyncDate invoice/invoiceDate _info/lastUpdated"),
}
"""Every field of a payment that a condition or an order can name."""


def project(record: Record, names: str | None) -> Record:
    """Return only the listed fields of a record.

    ConnectWise developer guide: ``fields`` cuts the answer down; ``_info`` comes only when it is listed.

    Args:
        record: the whole record.
        names: the value of ``fields``, comma separated, references whole or as ``status/name``;
            blank or None keeps everything. A name the record does not have is passed over. Seen live: if
            no name is left, ``*`` for example, the answer holds the ``id``.
    """
    if not names or not names.strip():
        return record
    picked: dict[str, object] = {}
    for path in names.split(","):
        name, _, inner = path.strip().partition("/")
        value = record.get(name)
        if name not in record:
            continue
        if inner and isinstance(value, Mapping):
            if inner in value:
                kept = picked.get(name)
                picked[name] = {**(kept if isinstance(kept, Mapping) else {}), inner: value[inner]}
        else:
            picked[name] = value
    return picked or {name: value for name, value in record.items() if name == "id"}


def without_empty(record: Record) -> Record:
    """Return a record without its empty fields, in its references too: the live API leaves them out."""
    return {
        name: without_empty(value) if isinstance(value, Mapping) else value
        for name, value in record.items()
        if value is not None
    }


def ordered(records: Sequence[Record], order: str | None, fields: Mapping[str, Kind]) -> list[Record]:
    """Return the records in an order, null before every value.

    Args:
        records: the records, in the order that ties keep.
        order: the value of ``orderBy``, such as ``invoiceNumber desc``; several are comma separated, ``asc``
            may be left out; blank or None keeps the order there is.
        fields: what can be sorted by.

    Raises:
        RequestError: 400, for a field or a direction that is unknown.
    """
    found = list(records)
    if not order or not order.strip():
        return found
    # Sorting is stable, so the least important key goes first.
    for part in reversed(order.split(",")):
        name, _, direction = part.strip().partition(" ")
        kind = fields.get(name)
        if kind is None or direction.strip().lower() not in ("", "asc", "desc"):
            raise invalid_request(f"orderBy {part.strip()!r} is not a field with asc or desc.")
        _sort(found, field_reader(name, kind), descending=direction.strip().lower() == "desc")
    return found


def _sort(records: list[Record], read: Reader, *, descending: bool) -> None:
    def key(record: Record) -> tuple[bool, Any]:
        value = read(record)
        return (value is not None, value)

    records.sort(key=key, reverse=descending)
