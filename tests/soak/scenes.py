"""All scenes of the kill matrix: what lies there, how the program is set up, and what others do meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from soak import acts
from support.connectwise import invoice
from support.documents import document, receipts
from support.scenes import DAY, MIXED, SHARED, SINGLE, THREE, UNUSABLE, Scene
from support.tables import SECTION, table

from watcher.sandbox import PaymentSeed

if TYPE_CHECKING:
    from soak.places import Place

Act = Callable[["Place"], None]


@dataclass(frozen=True)
class Staged:
    """A scene, how the program is set up for it, and what others do.

    Attributes:
        scene: the files, the books, and what must be true in the end.
        workers: with one, every call to ConnectWise is a point to strike at; with more, they overlap.
        settings: keys of the configuration that differ, by section.
        stylesheet: what ``scene.xsl`` beside the configuration holds.
        elsewhere: the outboxes and the archive lie on another disk.
        command: what is struck.
        then: the commands that follow it in the end.
        repeats: whether the command is repeated after it was struck.
        before: what happens before the files are dropped.
        asked: what happens during the first request to ConnectWise, when the files have been taken.
        between: what happens between a stroke and the next start.
        same: all comes to the same as in an untouched run, to the byte.
        remembers: the journal knows every claim in the end.
        early: the journal of a first kill comes back after a second one.
        quick: the points at which the quick test strikes the first start and those after it, ``call:number``; none if
            ``laws.test_recovery`` kills it more quickly, or another scene here is much like it.
    """

    scene: Scene
    workers: int = 1
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    stylesheet: bytes = b""
    elsewhere: bool = False
    command: tuple[str, ...] = ("run", "--once")
    then: tuple[tuple[str, ...], ...] = ()
    repeats: Callable[[Place], bool] = lambda _place: True
    before: Act = acts.nothing
    asked: Act | None = None
    between: Act = acts.nothing
    same: bool = True
    remembers: bool = True
    early: bool = False
    quick: tuple[str, ...] = ("sendto:2",)


def _paid(amount: str) -> PaymentSeed:
    return PaymentSeed(Decimal(amount))


# Files that share no invoice: whoever writes to a file changes when it arrived, and so which is the later one.
_APART = Scene(
    invoices=SHARED.invoices,
    files={"one.xml": document(("CW-1", "100.00"), ("CW-9", "1.00")), "two.xml": document(("CW-2", "20.00"))},
    paid={"CW-1": ("100.00", DAY), "CW-2": ("20.00", None)},
    succeeded={"one.xml": ["CW-1"], "two.xml": ["CW-2"]},
    failed={"one.xml": ["CW-9"]},
)
_STYLESHEET = b"""<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:template match="/Export">
    <ArrayOfUpdateInvoicePayment>
      <xsl:for-each select="Receipt">
        <UpdateInvoicePayment>
          <InvoiceNumber><xsl:value-of select="@invoice"/></InvoiceNumber>
          <PaidAmount><xsl:value-of select="@amount"/></PaidAmount>
          <DatePaid>2016-09-22</DatePaid>
        </UpdateInvoicePayment>
      </xsl:for-each>
    </ArrayOfUpdateInvoicePayment>
  </xsl:template>
</xsl:stylesheet>
"""
_EXPORT = Scene(
    invoices=(invoice("CW-1", "10.00"), invoice("CW-2", "20.00")),
    files={
        "export.xml": (
            b'<Export><Receipt invoice="CW-1" amount="10.00"/><Receipt invoice="CW-9" amount="1.00"/></Export>'
        ),
        "document.xml": document(("CW-2", "20.00")),
    },
    paid={"CW-1": ("10.00", DAY), "CW-2": ("20.00", DAY)},
    succeeded={"export.xml": ["CW-1"], "document.xml": ["CW-2"]},
    failed={"export.xml": ["CW-9"]},
)


_TABLES = Scene(
    invoices=(invoice("CW-1", "10.00"), invoice("CW-2", "20.00")),
    files={
        "table.csv": table("CW-1,10.00,2016-09-22", "CW-9,1.00,2016-09-22", "CW-8,x,2016-09-22"),
        "refused.csv": table("CW-1,1.00,2016-09-22", headings="Number,Paid,Date"),
    },
    paid={"CW-1": ("10.00", DAY)},
    succeeded={"table.csv": ["CW-1"]},
    failed={"table.csv": ["CW-9", "CW-8"]},
    refused=("refused.csv",),
)


_FIRST = receipts(("R-1", "CW-1", "10.00"), ("R-2", "CW-2", "20.00"))
_REPEATED = Scene(
    invoices=(invoice("CW-1", "10.00"), invoice("CW-2", "20.00"), invoice("CW-3", "30.00")),
    files={
        "first.xml": _FIRST,
        "repeated.xml": _FIRST,
        "other.xml": receipts(("R-2", "CW-2", "15.00"), ("R-3", "CW-3", "30.00")),
    },
    paid={"CW-1": ("10.00", DAY), "CW-2": ("20.00", DAY), "CW-3": ("30.00", DAY)},
    succeeded={"first.xml": ["CW-1", "CW-2"], "other.xml": ["CW-3"]},
    failed={"other.xml": ["CW-2"]},
    refused=("repeated.xml",),
)
# were accepted before. Somebody has paid CW-4 by hand. The cheques of R-1 and of all that CW-2 got bounce.
_RECEIVED = receipts(("R-3", "CW-1", "60.00"), ("R-4", "CW-3", "10.00"), ("R-5", "CW-4", "1.00"))
_ADDED_UP = Scene(
    invoices=(
        invoice("CW-1", "100.00"),
        invoice("CW-2", "50.00"),
        invoice("CW-3", "30.00"),
        invoice("CW-4", "40.00", payments=(_paid("5.00"),)),
    ),
    files={
        "received.xml": _RECEIVED,
        "more.xml": receipts(
            *(("R-3", "CW-1", "60.00"), ("R-4", "CW-3", "11.00"), ("R-6", "CW-3", "25.00"), ("R-7", "CW-9", "1.00"))
        ),
        "bounced.xml": receipts(("R-8", "CW-1", "-40.00"), ("R-9", "CW-2", "-50.00")),
        "received-again.xml": _RECEIVED,
    },
    paid={"CW-1": ("60.00", None), "CW-3": ("30.00", DAY), "CW-4": ("5.00", None)},
    succeeded={
        "received.xml": ["CW-1", "CW-3"],
        "more.xml": ["CW-1", "CW-3"],
        "bounced.xml": ["CW-1", "CW-2"],
        "received-again.xml": ["CW-1", "CW-3"],
    },
    failed={"received.xml": ["CW-4"], "more.xml": ["CW-3", "CW-9"], "received-again.xml": ["CW-4"]},
    # CW-3 could not take all of it.
    sums={"CW-1": "60.00", "CW-2": "0.00", "CW-3": "35.00", "CW-4": "0.00"},
)
_SUMMED = Scene(
    invoices=(invoice("CW-1", "10.00"), invoice("CW-2", "20.00")),
    files={
        "summed.xml": document(
            ("CW-1", "4.00"), ("CW-2", "20.00"), ("CW-1", "6.00", "2016-09-22"), ("CW-9", "1.00"), ("CW-9", "1.00")
        )
    },
    paid={"CW-1": ("10.00", DAY), "CW-2": ("20.00", DAY)},
    succeeded={"summed.xml": ["CW-1", "CW-2", "CW-1"]},
    failed={"summed.xml": ["CW-9", "CW-9"]},
)
_REMOVED = Scene(
    invoices=(
        invoice("CW-1", "10.00", payments=(_paid("10.00"),)),
        invoice("CW-2", "20.00"),
        invoice("CW-3", "30.00", payments=(_paid("30.00"),)),
    ),
    files={
        "zero.xml": document(("CW-1", "0.00"), ("CW-2", "0.00"), ("CW-3", "30.00")),
        "again.xml": document(("CW-1", "0")),
    },
    paid={"CW-3": ("30.00", DAY)},
    succeeded={"zero.xml": ["CW-1", "CW-2", "CW-3"], "again.xml": ["CW-1"]},
)
_OVERAGE = Scene(
    invoices=(
        invoice("CW-1", "10.00"),
        invoice("CW-2", "20.00", payments=(_paid("5.00"),)),
        invoice("CW-3", "30.00", payments=(_paid("30.00"),)),
    ),
    files={
        "over.xml": document(("CW-1", "10.01"), ("CW-2", "2000.00"), ("CW-3", "31.00")),
        "over-again.xml": document(("CW-1", "99.00")),
    },
    paid={"CW-1": ("10.00", DAY), "CW-2": ("20.00", DAY), "CW-3": ("30.00", DAY)},
    succeeded={"over.xml": ["CW-1", "CW-2", "CW-3"], "over-again.xml": ["CW-1"]},
)
# A batch ends with the file that goes beyond ``max_file_bytes``: here with every second one.
_LONG = b"<!-- " + b"." * 2600 + b" -->\n"
_BATCHES = Scene(
    invoices=tuple(invoice(f"CW-{number}", "10.00") for number in range(1, 5)),
    files={
        "d.xml": document(("CW-1", "1.00"), ("CW-2", "10.00")) + _LONG,
        "c.xml": document(("CW-1", "2.00"), ("CW-9", "1.00")) + _LONG,
        "b.xml": document(("CW-1", "3.00"), ("CW-3", "10.00")) + _LONG,
        "a.xml": document(("CW-1", "10.00"), ("CW-4", "10.00")) + _LONG,
    },
    paid={f"CW-{number}": ("10.00", DAY) for number in range(1, 5)},
    succeeded={
        "d.xml": ["CW-1", "CW-2"],
        "c.xml": ["CW-1"],
        "b.xml": ["CW-1", "CW-3"],
        "a.xml": ["CW-1", "CW-4"],
    },
    failed={"c.xml": ["CW-9"]},
)
# CW-7 has two payments, so that a payment on it fails, until somebody removes one of them.
_BESIDE = Scene(
    invoices=(invoice("CW-1", "10.00"), invoice("CW-7", "70.00", payments=(_paid("1.00"), _paid("2.00")))),
    files={"beside.xml": document(("CW-1", "10.00"), ("CW-9", "1.00"))},
    paid={"CW-1": ("10.00", DAY), "CW-7": ("70.00", DAY)},
    succeeded={"beside.xml": ["CW-1"], "back.xml": ["CW-7"]},
    failed={"beside.xml": ["CW-9"]},
)
# A person takes back.xml out of work, which was to pay CW-7.
_WITHDRAWN = Scene(
    invoices=(invoice("CW-1", "10.00"), invoice("CW-7", "70.00")),
    files={"beside.xml": document(("CW-1", "10.00"), ("CW-9", "1.00"))},
    paid={"CW-1": ("10.00", DAY)},
    succeeded={"beside.xml": ["CW-1"]},
    failed={"beside.xml": ["CW-9"], "back.xml": ["CW-7"]},
)
# CW-5 was paid long ago, by a file that may go.
_AGED = Scene(
    invoices=(invoice("CW-1", "10.00"), invoice("CW-5", "50.00")),
    files={"new.xml": document(("CW-1", "10.00"), ("CW-8", "1.00"))},
    paid={"CW-1": ("10.00", DAY), "CW-5": ("50.00", DAY)},
    succeeded={"new.xml": ["CW-1"]},
    failed={"new.xml": ["CW-8"]},
)
_RETENTION = {"retention": {f"{name}_days": 30 for name in ("archive", "success", "fail", "journal")}}
_REQUEUE = ("requeue", "back.xml")

BASIC = {
    "single": Staged(SINGLE),
    "mixed": Staged(MIXED),
    "unusable": Staged(UNUSABLE),
    "three": Staged(THREE, workers=4),
}
MORE = {
    "strays": Staged(SHARED, before=acts.leave_strays, between=acts.leave_strays_in_claims, quick=("fsync:4",)),
    "writer": Staged(_APART, asked=acts.write_on, between=acts.write_on, same=False),
    "exchanged": Staged(_APART, between=acts.exchange, same=False, quick=("fsync:6",)),
    "emptied": Staged(SHARED, between=acts.empty_work, quick=("fsync:4",)),
    "stylesheet": Staged(_EXPORT, settings={"inbox": {"transform": "scene.xsl"}}, stylesheet=_STYLESHEET),
    "tables": Staged(_TABLES, settings={"inbox": {"transform": "csv"}, "csv": SECTION}, quick=("fsync:3",)),
    "reprocessing": Staged(_REPEATED, settings={"payments": {"prevent_reprocessing": True}}, quick=()),
    "sum": Staged(_SUMMED, settings={"payments": {"duplicates": "sum"}}, quick=()),
    "adding up": Staged(
        _ADDED_UP,
        before=acts.accept_before,
        settings={"payments": {"amounts": "each", "zero_amount": "remove"}},
        quick=("sendto:4", "fdatasync:3"),
    ),
    "remove": Staged(_REMOVED, settings={"payments": {"zero_amount": "remove"}}, quick=()),
    "overage": Staged(_OVERAGE, quick=()),
    "batches": Staged(_BATCHES, quick=()),
    "elsewhere": Staged(MIXED, elsewhere=True),
    # The file comes back while a run is under way, and the next one takes it.
    "requeue": Staged(
        _BESIDE, then=(("run", "--once"),), before=acts.fail_first, asked=acts.requeue, between=acts.requeue
    ),
    "requeue struck": Staged(
        _BESIDE,
        command=_REQUEUE,
        then=(("run", "--once"),),
        repeats=acts.still_failed,
        before=acts.fail_first,
        quick=("unlinkat:1",),
    ),
    "withdraw struck": Staged(
        _WITHDRAWN,
        command=("withdraw", "back.xml", "--reason", "paid by hand"),
        then=(("run", "--once"),),
        repeats=acts.in_work,
        before=acts.leave_in_work,
        quick=("unlinkat:1",),
    ),
    "prune struck": Staged(
        _AGED,
        command=("prune",),
        then=(("run", "--once"),),
        before=acts.grow_old,
        settings=_RETENTION,
        quick=(),
    ),
    "daemon": Staged(_AGED, command=("run",), before=acts.grow_old, settings=_RETENTION, quick=("unlinkat:2",)),
    "journal lost": Staged(SHARED, between=acts.lose_journal, same=False, remembers=False, quick=()),
    "journal older": Staged(SHARED, between=acts.go_back, same=False, remembers=False, early=True, quick=()),
}
SCENES = BASIC | MORE
