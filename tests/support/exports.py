"""A week of receipts of one firm, and how accounting systems export it: each day, in two files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = DAYS = [date(2016, 9, 19) + timedelta(days) for days in range(5)]
# The invoices by their number in the accounting system, which does not write ConnectWise's CW- before it.
INVOICES = {
    "101": "300.00",
    "102": "80.00",
    "103": "120.00",
    "104": "150.00",
    "105": "60.00",
    "106": "45.00",
    "107": "75.00",
    "108": "90.00",
}


@dataclass(frozen=True)
class Receipt:
    """Money that a customer has paid, or that was taken back from him.

    Attributes:
        id: its id in the accounting system.
        days: the days on which it is exported; it came on the first.
        parts: what it pays, by invoice.
        takes_back: the receipt that it takes back, a cheque that bounced.
    """

    id: str
    days: tuple[date, ...]
    parts: Mapping[str, str]
    takes_back: str = ""

    @property
    def day(self) -> date:
        """The day on which it came."""
        return self.days[0]


WEEK = [
    Receipt("R-1", (MONDAY,), {"101": "100.00"}),
    Receipt("R-2", (MONDAY,), {"104": "150.00"}),
    Receipt("R-3", (MONDAY,), {"107": "25.00"}),
    Receipt("R-4", (MONDAY,), {"108": "40.00"}),
    Receipt("R-5", (TUESDAY,), {"102": "80.00", "103": "120.00"}),
    Receipt("R-6", (TUESDAY, WEDNESDAY), {"105": "60.00"}),
    Receipt("R-7", (TUESDAY,), {"108": "50.00"}),
    Receipt("R-8", (WEDNESDAY,), {"101": "200.00"}),
    Receipt("R-9", (WEDNESDAY,), {"106": "50.00"}),
    Receipt("R-10", (THURSDAY,), {"107": "25.00"}),
    Receipt("R-11", (THURSDAY,), {"999": "10.00"}),
    Receipt("R-12", (THURSDAY,), {"104": "-150.00"}, "R-2"),
    Receipt("R-13", (FRIDAY,), {"104": "150.00"}),
    Receipt("R-14", (FRIDAY,), {"108": "-50.00"}, "R-7"),
]
# By day and number, once all is processed.
PAID = {
    "CW-101": ("300.00", WEDNESDAY),
    "CW-102": ("80.00", TUESDAY),
    "CW-103": ("120.00", TUESDAY),
    "CW-104": ("150.00", FRIDAY),
    "CW-105": ("60.00", TUESDAY),
    "CW-106": ("45.00", WEDNESDAY),
    "CW-107": ("50.00", None),
    "CW-108": ("40.00", None),
}


@dataclass(frozen=True)
class Export:
    """How an accounting system exports receipts.

    Attributes:
        name: the format.
        write: makes a file of some receipts; where amounts are totals, of some invoices and all receipts so far.
        settings: keys of the configuration that ``init`` cannot know, by section.
        each: it exports single payments.
        capped: an invoice gets no more than it can take; the rest stays on the customer's account.
        silent: it does not say that a receipt was taken back.
        suffix: what its files end in.
    """

    name: str
    write: Callable[..., str]
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    each: bool = True
    capped: bool = True
    silent: bool = False
    suffix: str = ".xml"

    def of(self, day: date) -> dict[str, bytes]:
        """Return the files of a day, by their names."""
        if self.each:
            there = [receipt for receipt in WEEK if day in receipt.days and not (self.silent and receipt.takes_back)]
            texts = [self.write(half, self._amount) for half in (there[::2], there[1::2]) if half]
        else:
            so_far = [receipt for receipt in WEEK if receipt.day <= day]
            numbers = [*INVOICES, "999"]
            texts = [self.write(half, so_far, self._amount) for half in (numbers[::2], numbers[1::2])]
        return {f"{day:%A}-{place}{self.suffix}": text.encode() for place, text in enumerate(texts, 1)}

    def _amount(self, number: str, amount: str) -> str:
        return min(amount, INVOICES.get(number, amount), key=Decimal) if self.capped else amount


Amount = Callable[[str, str], str]


def _original(receipt: Receipt) -> Receipt:
    return next((each for each in WEEK if each.id == receipt.takes_back), receipt)


# --- single payments --------------------------------------------------------------------------------------------------


def _qbxml(receipts: list[Receipt], amount: Amount) -> str:
    rows = "".join(
        f"<ReceivePaymentRet><TxnID>{receipt.id}</TxnID><TxnDate>{receipt.day}</TxnDate>"
        + "".join(
            f"<AppliedToTxnRet><TxnID>T-{number}</TxnID><TxnType>Invoice</TxnType><RefNumber>{number}</RefNumber>"
            f"<Amount>{amount(number, part)}</Amount></AppliedToTxnRet>"
            for number, part in receipt.parts.items()
        )
        + "</ReceivePaymentRet>"
        for receipt in receipts
    )
    return (
        '<QBXML><QBXMLMsgsRs><ReceivePaymentQueryRs statusCode="0" statusSeverity="Info">'
        f"{rows}</ReceivePaymentQueryRs></QBXMLMsgsRs></QBXML>"
    )


def _xero(receipts: list[Receipt], amount: Amount) -> str:
    # A payment that bounced is deleted, and exported once more under its own id.
    rows = "".join(
        f"<Payment><PaymentID>{_original(receipt).id}-{number}</PaymentID><Date>{_original(receipt).day}T00:00:00</Date>"
        f"<Amount>{amount(number, part).lstrip('-')}</Amount><PaymentType>ACCRECPAYMENT</PaymentType>"
        f"<Status>{'DELETED' if receipt.takes_back else 'AUTHORISED'}</Status>"
        f"<Invoice><Type>ACCREC</Type><InvoiceNumber>{number}</InvoiceNumber></Invoice></Payment>"
        for receipt in receipts
        for number, part in receipt.parts.items()
    )
    return f"<Response><Payments>{rows}</Payments></Response>"


def _camt(receipts: list[Receipt], amount: Amount) -> str:
    def entry(receipt: Receipt) -> str:
        parts = {f"CW-{number}": Decimal(amount(number, part)) for number, part in receipt.parts.items()}
        whole, back = abs(sum(parts.values())), bool(receipt.takes_back)
        if len(parts) == 1:
            told = f"<Ustrd>Payment of invoice {next(iter(parts))}, thank you</Ustrd>"
        else:
            told = "".join(
                f"<Strd><RfrdDocInf><Nb>{number}</Nb></RfrdDocInf>"
                f'<RfrdDocAmt><RmtdAmt Ccy="USD">{part}</RmtdAmt></RfrdDocAmt></Strd>'
                for number, part in parts.items()
            )
        returned = "<RtrInf><Rsn><Cd>AM04</Cd></Rsn></RtrInf>" if back else ""
        return (
            f'<Ntry><Amt Ccy="USD">{whole}</Amt><CdtDbtInd>{"DBIT" if back else "CRDT"}</CdtDbtInd>'
            f"<Sts><Cd>BOOK</Cd></Sts><ValDt><Dt>{receipt.day}</Dt></ValDt><AcctSvcrRef>{receipt.id}</AcctSvcrRef>"
            f"<NtryDtls><TxDtls><RmtInf>{told}</RmtInf>{returned}</TxDtls></NtryDtls></Ntry>"
        )

    return f"<Document><BkToCstmrStmt><Stmt>{''.join(map(entry, receipts))}</Stmt></BkToCstmrStmt></Document>"


def _sage50us(receipts: list[Receipt], amount: Amount) -> str:
    rows = "".join(
        f'ACME,"Acme, Inc.",{receipt.id},{receipt.day:%m/%d/%y},{number},0.00,{amount(number, part)}\n'
        for receipt in receipts
        for number, part in receipt.parts.items()
    )
    return f"Customer ID,Customer Name,Reference,Date,Invoice Paid,Discount Amount,Amount\n{rows}"


# --- totals -----------------------------------------------------------------------------------------------------------


def _paid(number: str, receipts: list[Receipt], amount: Amount) -> list[tuple[str, date, Decimal]]:
    """Return what is paid on an invoice: the id, the day and the amount of each part."""
    return [(one.id, one.day, Decimal(amount(number, one.parts[number]))) for one in receipts if number in one.parts]


def _total(number: str, receipts: list[Receipt], amount: Amount) -> tuple[Decimal, date]:
    paid = _paid(number, receipts, amount)
    return sum((part for *_, part in paid), Decimal()), max((day for _, day, _ in paid), default=MONDAY)


def _business_central(numbers: list[str], receipts: list[Receipt], amount: Amount) -> str:
    def entry(number: str) -> str:
        details = "".join(
            "<DetailedCustLedgEntry><EntryType>Application</EntryType><DocumentType>Payment</DocumentType>"
            f"<PostingDate>{day}</PostingDate><Amount>{-part}</Amount></DetailedCustLedgEntry>"
            for _, day, part in _paid(number, receipts, amount)
        )
        return (
            f"<CustLedgerEntry><EntryNo>{number}</EntryNo><DocumentType>Invoice</DocumentType>"
            f"<DocumentNo>{number}</DocumentNo>{details}</CustLedgerEntry>"
        )

    return f"<CustLedgerEntries>{''.join(map(entry, numbers))}</CustLedgerEntries>"


def _intacct(numbers: list[str], receipts: list[Receipt], amount: Amount) -> str:
    def invoice(number: str) -> str:
        paid, day = _total(number, receipts, amount)
        return (
            f"<arinvoice><RECORDNO>{number}</RECORDNO><RECORDID>{number}</RECORDID><STATE>Posted</STATE>"
            f"<TRX_TOTALPAID>{paid}</TRX_TOTALPAID><WHENPAID>{day:%m/%d/%Y}</WHENPAID></arinvoice>"
        )

    return f"<response><operation><result><data>{''.join(map(invoice, numbers))}</data></result></operation></response>"


def _xero_invoices(numbers: list[str], receipts: list[Receipt], amount: Amount) -> str:
    def invoice(number: str) -> str:
        paid, day = _total(number, receipts, amount)
        return (
            f"<Invoice><Type>ACCREC</Type><Status>AUTHORISED</Status><InvoiceNumber>{number}</InvoiceNumber>"
            f"<AmountPaid>{paid}</AmountPaid><FullyPaidOnDate>{day}T00:00:00</FullyPaidOnDate></Invoice>"
        )

    return f"<Response><Invoices>{''.join(map(invoice, numbers))}</Invoices></Response>"


_ADDED = {"transform": {"add_prefix": "CW-"}}
_OF_BOTH = _ADDED | {"payments": {"amounts": "each", "zero_amount": "remove"}}
EXPORTS = {
    "qbxml payments": Export("qbxml", _qbxml, _OF_BOTH, silent=True),
    "xero payments": Export("xero", _xero, _OF_BOTH),
    "camt": Export("camt", _camt, {"transform": {"prefix": "CW-"}}, capped=False),
    "sage50us": Export("sage50us", _sage50us, {"csv": {"add_prefix": "CW-"}}, capped=False, suffix=".csv"),
    "business-central": Export("business-central", _business_central, _ADDED, each=False),
    "intacct": Export("intacct", _intacct, _ADDED, each=False),
    "xero invoices": Export("xero", _xero_invoices, _ADDED, each=False),
}
