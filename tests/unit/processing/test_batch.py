"""A batch of claimed files: what a batch of claimed files comes to, in the folders, in the log and in ConnectWise."""

from __future__ import annotations

import json
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.connectwise import invoice, payments_of
from support.documents import DAY, document, files, invoice_payments, numbers, one, records
from support.line import Line
from support.rights import no_special_rights

from watcher.claim import Claim
from watcher.errors import FolderTrouble, SignInRefused
from watcher.journal.claims import Claims
from watcher.processing.claimed import Tally
from watcher.sandbox import PaymentSeed, Sandbox

CLAIM = r"__\d{8}T\d{6}Z_[0-9a-f]{8}"
SUMS = ("asked", "applied", "unchanged", "discarded", "failed")
EMPTY = document()


class Files(Line):
    """The line, for tests of what a batch of files comes to."""

    def drop(self, *contents: bytes, **sections: dict[str, object]) -> Tally:
        """Drop files, in one batch, and take them to their end."""
        line = self.again(**sections)
        return line.process([line.claim(f"pay{number}.xml", content) for number, content in enumerate(contents)])

    @property
    def published(self) -> dict[str, list[str]]:
        """The names in the folders that people look into, without their claims; hidden ones too."""
        return {
            folder.name: sorted(re.sub(CLAIM, "", path.name) for path in folder.rglob("*") if path.is_file())
            for folder in (self.folders.success, self.folders.fail, self.folders.archive)
        }

    def receipt(self, name: str = "pay0") -> dict[str, object]:
        """The receipt of a file."""
        return json.loads(one(files(self.folders.archive, f"{name}__*.receipt.json")).read_bytes())


@pytest.fixture
def start(folders, start_sandbox) -> Iterator[Callable[..., tuple[Files, Sandbox]]]:
    """Start a sandbox with given invoices and give the line to it."""
    with ExitStack() as stack:

        def build(*invoices: object) -> tuple[Files, Sandbox]:
            sandbox = start_sandbox(*invoices)
            return stack.enter_context(closing(Files(folders, sandbox.url))), sandbox

        yield build


def calls(sandbox: Sandbox) -> Counter[str]:
    """Count the requests by method."""
    counts: Counter[str] = Counter()
    for route, count in sandbox.books()["requests"].items():
        counts[route.split()[0]] += count
    return counts


def paid(sandbox: Sandbox, number: str) -> list[Decimal]:
    """Give the amounts of an invoice's payments."""
    return [row["amount"] for row in payments_of(sandbox, number)]


# --- where things land -----------------------------------------------------------------------------------------------


def test_the_sample_is_paid_published_and_archived(start, folders):
    """A file whose payments all succeed: a success file, the original with its receipt, and nothing else anywhere."""
    line, sandbox = start(invoice("CW-34251", "346.34"))
    sample = document(("CW-34251", "346.34"))
    assert line.drop(sample) == Tally(files=1)
    (row,) = payments_of(sandbox, "CW-34251")
    assert (row["amount"], row["paymentDate"]) == (Decimal("346.34"), "2016-09-22T00:00:00Z")
    assert line.published == {
        "success": ["pay0.xml"],
        "fail": [],
        "archive": ["pay0.receipt.json", "pay0.xml"],
    }
    success, original = one(files(folders.success)), one(files(folders.archive))
    assert success.name == original.name
    assert re.fullmatch(rf"pay0{CLAIM}\.xml", success.name)
    assert records(success) == [{"InvoiceNumber": "CW-34251", "PaidAmount": "346.34", "DatePaid": DAY}]
    assert original.read_bytes() == sample
    assert list(folders.work.iterdir()) == list(folders.inbox.iterdir()) == []


def in_an_editor(fail):
    """Correct the invoice number of a fail file as a text editor on Windows does."""
    return b"\xef\xbb\xbf" + fail.replace(b"CW-9", b"CW-1").replace(b"\n", b"\r\n")


def in_excel(fail):
    """Correct it as Excel exports a table as XML data: all on one line, dates with milliseconds, no empty columns."""
    cells = {"ErrorMessage": "Cannot find Invoice Number CW-9", "InvoiceNumber": "CW-1", "PaidAmount": "1"}
    cells["DatePaid"] = f"{DAY[:10]}T00:00:00.000"
    assert all(f"<{name}>".encode() in fail for name in cells)
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\r\n'
        '<ArrayOfUpdateInvoicePayment xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><UpdateInvoicePayment>'
        + "".join(f"<{name}>{text}</{name}>" for name, text in cells.items())
        + "</UpdateInvoicePayment></ArrayOfUpdateInvoicePayment>"
    ).encode()


@pytest.mark.parametrize("corrected", [in_an_editor, in_excel])
def test_a_corrected_fail_file_goes_through_as_it_is(start, folders, corrected):
    """Dropped again with its messages, it is paid, and nothing of the old message is left in what comes of it."""
    line, sandbox = start(invoice("CW-1", "10.00"))
    assert line.drop(document(("CW-9", "1.00"))).rejected == 1
    fail = one(files(folders.fail))
    assert line.drop(corrected(fail.read_bytes())).rejected == 0
    (record,) = records(one(files(folders.success)))
    assert (record["InvoiceNumber"], record["DatePaid"][:10]) == ("CW-1", DAY[:10])
    assert "ErrorMessage" not in record
    (row,) = payments_of(sandbox, "CW-1")
    assert str(row["amount"]) == "1.00"


def test_a_mixed_file_is_parted(start, folders):
    """Each record of a file lies in one result file, in order: what succeeded in one, what failed in the other."""
    line, sandbox = start(invoice("CW-1", "10.00"), invoice("CW-3", "30.00"))
    mixed = document(("CW-9", "1.00"), ("CW-1", "10.00"), ("CW-2", "£5"), ("CW-3", "45.00"))
    assert line.drop(mixed) == Tally(files=1, rejected=2)
    assert numbers(one(files(folders.success))) == ["CW-1", "CW-3"]
    unknown, unreadable = records(one(files(folders.fail)))
    assert unknown == {
        "InvoiceNumber": "CW-9",
        "PaidAmount": "1.00",
        "DatePaid": DAY,
        "ErrorMessage": "Cannot find Invoice Number CW-9",
    }
    assert unreadable["PaidAmount"] == "£5"
    assert "is not an amount" in unreadable["ErrorMessage"]
    plain, capped = records(one(files(folders.success)))
    assert "WarningMessage" not in plain
    assert "15.00 discarded" in capped["WarningMessage"]
    assert one(files(folders.archive)).read_bytes() == mixed
    assert (paid(sandbox, "CW-1"), paid(sandbox, "CW-3")) == ([Decimal("10.00")], [Decimal("30.00")])


def test_a_file_of_failures_has_no_success_file(start):
    """Where no payment succeeded there is a fail file alone, beside the archive."""
    line, _ = start()
    assert line.drop(document(("CW-9", "1.00"))) == Tally(files=1, rejected=1)
    assert line.published == {
        "success": [],
        "fail": ["pay0.report.html", "pay0.xml"],
        "archive": ["pay0.receipt.json", "pay0.xml"],
    }


def test_a_page_beside_the_result_files_is_for_people(start, folders):
    """Whoever has only the share sees by a double click which payments failed or have a warning, and what to do."""
    line, _ = start(invoice("CW-1", "10.00"))
    line.drop(document(("CW-1", "12.00"), ("CW-9", "1.00"), ("CW&gt;1", "1,00")))
    failed, warned = (
        one(files(folder, ".report.html")).read_text("utf-8") for folder in (folders.fail, folders.success)
    )
    assert "<h1>pay0.xml: 2 of 3 payments failed</h1>" in failed
    assert one(files(folders.fail)).name in failed
    assert "\n<tr><td>8</td><td>CW-9</td><td>1.00</td><td>Cannot find Invoice Number CW-9</td></tr>\n" in failed
    assert "<td>CW&gt;1</td><td>1,00</td>" in failed
    assert "asked 13.00 = applied 10.00" in failed
    assert "1 amount cannot be read" in failed
    assert "<h1>pay0.xml: 1 of 3 payments set with a warning</h1>" in warned
    assert "2.00 discarded" in warned
    assert "CW-9" not in warned


def test_pages_can_be_left_out(start):
    """Some would rather have nothing else on the share."""
    line, _ = start()
    line.drop(document(("CW-9", "1.00")), status={"pages": False})
    assert line.published["fail"] == ["pay0.xml"]


def test_something_else_in_the_place_of_a_page_holds_nothing_up(start, folders):
    """A page says nothing that the file beside it lacks."""
    line, _ = start()
    claim = line.claim("a.xml", document(("CW-9", "1.00")))
    (folders.fail / claim.page_name).write_bytes(b"mine")
    assert line.process([claim]) == Tally(files=1, rejected=1)
    assert (folders.fail / claim.page_name).read_bytes() == b"mine"


def test_a_page_lists_so_many_payments_and_counts_the_others(start, folders):
    """A page of thirty thousand rows would open in no browser. The file has all of them."""
    line, _ = start()
    line.drop(document(*[("CW-9", "x")] * 1003))
    page = one(files(folders.fail, ".report.html")).read_text("utf-8")
    assert page.count("<tr>") == 1001
    assert "... and 3 more." in page


def test_a_corrected_fail_file_can_be_dropped_in_again(start, folders):
    """Put back as it is, once the invoice is there, a fail file succeeds, without its old message and its old claim."""
    line, _ = start(invoice("CW-1", "10.00"))
    line.drop(document(("CW-9", "10.00")))
    failed = one(files(folders.fail))
    again = line.claim(failed.name, failed.read_bytes().replace(b"CW-9<", b"CW-1<"))
    assert line.process([again]) == Tally(files=1)
    success = one(files(folders.success))
    assert success.name == f"pay0__{again.id}.xml"
    assert records(success) == [{"InvoiceNumber": "CW-1", "PaidAmount": "10.00", "DatePaid": DAY}]


REFUSED = {
    "no XML": (b"Dear Sir or Madam", "not an XML file"),
    "empty": (b"", "empty"),
    "cut off": (document(("CW-1", "10.00"))[:-20], "cut off"),
    "not well-formed": (
        document(("CW-1", "10.00")).replace(b"</PaidAmount>", b"</Paid>"),
        "</Paid> stands where </PaidAmount>",
    ),
    "another document": (b"<Invoices/>", "<Invoices>"),
    "a document type": (b"<!DOCTYPE a>" + EMPTY[EMPTY.index(b"<Array") :], "DOCTYPE"),
}


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_is_no_payment_document_is_refused_whole(start, folders, content, reason):
    """It lies in the fail outbox byte for byte with a note that says why, is archived, and moves no money."""
    line, sandbox = start(invoice("CW-1", "10.00"))
    assert line.drop(content) == Tally(files=1, refused=1)
    assert line.published == {
        "success": [],
        "fail": ["pay0.error.txt", "pay0.xml"],
        "archive": ["pay0.receipt.json", "pay0.xml"],
    }
    refused = one(files(folders.fail))
    note = one(files(folders.fail, ".error.txt")).read_text()
    assert refused.read_bytes() == one(files(folders.archive)).read_bytes() == content
    assert reason in note
    assert refused.name in note
    assert reason in line.receipt()["refused"]
    assert line.receipt()["sha256"] == sha256(content).hexdigest()
    assert sandbox.books()["requests"] == {}


def test_an_empty_list_is_only_archived(start):
    """A document without payments is no fault: it goes to the archive, with a receipt of nothing."""
    line, sandbox = start()
    assert line.drop(EMPTY) == Tally(files=1)
    assert line.published == {"success": [], "fail": [], "archive": ["pay0.receipt.json", "pay0.xml"]}
    assert line.receipt()["totals"] == {"records": 0, "succeeded": 0, "rejected": 0} | dict.fromkeys(SUMS, "0.00")
    assert sandbox.books()["requests"] == {}


@pytest.mark.parametrize(("more", "refused"), [(0, 0), (1, 1)], ids=["at the limit", "one byte beyond"])
def test_an_oversize_file_is_refused_unread(start, folders, more, refused):
    """Beyond ``max_file_bytes`` a file is refused with the limit named; of that size it is a file like any other."""
    line, sandbox = start(invoice("CW-1", "10.00"))
    content = document(("CW-1", "10.00"))
    assert line.drop(content + b" " * more, inbox={"max_file_bytes": len(content)}) == Tally(files=1, refused=refused)
    assert paid(sandbox, "CW-1") == ([] if refused else [Decimal("10.00")])
    if refused:
        assert f"larger than {len(content)} bytes" in one(files(folders.fail, ".error.txt")).read_text()
        assert one(files(folders.fail)).read_bytes() == content + b" "


@pytest.mark.parametrize(
    "name",
    ["pay\nment.xml", "💷.xml", "-rf.xml", os.fsdecode(b"pay\xff.xml"), f"{'円' * 83}.xml"],
    ids=["newline", "emoji", "dash", "no UTF-8", "255 bytes"],
)
@pytest.mark.parametrize("good", [True, False], ids=["processed", "refused"])
def test_a_file_of_any_name_is_taken_to_its_end(start, folders, name, good):
    """Whatever a file is called, it is published, noted and archived."""
    line, _ = start(invoice("CW-1", "10.00"))
    content = document(("CW-1", "10.00")) if good else b"nonsense"
    claim = line.claim(name, content)
    assert line.process([claim]) == Tally(files=1, refused=int(not good))
    outbox = folders.success if good else folders.fail
    assert one(path.name for path in outbox.iterdir() if path.suffix == ".xml") == claim.published_name
    assert one(files(folders.archive)).read_bytes() == content
    assert list(folders.work.iterdir()) == []


# --- receipts --------------------------------------------------------------------------------------------------------


def test_the_receipt_adds_up(start):
    """In every record and in the totals, asked = applied + unchanged + discarded + failed; each says what it was."""
    held = PaymentSeed(Decimal("20.00"), date(2016, 9, 22))
    earlier = PaymentSeed(Decimal("5.00"))
    line, sandbox = start(
        invoice("CW-1", "10.00"),
        invoice("CW-2", "20.00", payments=(held,)),
        invoice("CW-3", "30.00"),
        invoice("CW-4", "40.00", payments=(earlier,)),
    )
    line.drop(
        document(
            ("CW-1", "10.00"), ("CW-2", "20.00"), ("CW-3", "33.33"), ("CW-4", "7.50"), ("CW-9", "4.04"), ("CW-8", "x")
        )
    )
    receipt = line.receipt()
    rows = receipt["records"]
    assert [(row["record"], row["line"], row["invoice_number"], row["outcome"]) for row in rows] == [
        (1, 3, "CW-1", "applied"),
        (2, 8, "CW-2", "unchanged"),
        (3, 13, "CW-3", "applied"),
        (4, 18, "CW-4", "applied"),
        (5, 23, "CW-9", "rejected"),
        (6, 28, "CW-8", "rejected"),
    ]
    assert [tuple(row[name] for name in SUMS) for row in rows] == [
        ("10.00", "10.00", "0.00", "0.00", "0.00"),
        ("20.00", "0.00", "20.00", "0.00", "0.00"),
        ("33.33", "30.00", "0.00", "3.33", "0.00"),
        ("7.50", "7.50", "0.00", "0.00", "0.00"),
        ("4.04", "0.00", "0.00", "0.00", "4.04"),
        (None, "0.00", "0.00", "0.00", None),
    ]
    assert (rows[5]["asked_as_written"], receipt["totals"]["unreadable_amounts"]) == ("x", 1)
    for sums in (*rows, receipt["totals"]):
        asked, *parts = (Decimal(sums[name] or 0) for name in SUMS)
        assert asked == sum(parts)
    for name in SUMS:
        assert Decimal(receipt["totals"][name]) == sum(Decimal(row[name] or 0) for row in rows)
    assert [receipt["totals"][name] for name in ("records", "succeeded", "rejected")] == [6, 4, 2]
    books = {row["invoiceNumber"]: row for row in sandbox.books()["invoices"]}
    for row in rows[:4]:
        assert row["connectwise_invoice_id"] == books[row["invoice_number"]]["id"]
        assert [row["connectwise_payment_id"]] == [pay["id"] for pay in payments_of(sandbox, row["invoice_number"])]
    assert rows[4]["message"] == "Cannot find Invoice Number CW-9"
    assert "5.00 was replaced by 7.50" in rows[3]["message"]


def test_the_receipt_says_which_file_it_is_of(start):
    """A receipt names the file, its claim, its digest and its times."""
    line, _ = start()
    content = document(("CW-9", "1.00"))
    before = datetime.now(UTC).replace(microsecond=0)
    claim = line.claim("pay.xml", content)
    line.process([claim])
    receipt = line.receipt("pay")
    assert (receipt["file"], receipt["claim"]) == ("pay.xml", claim.id)
    assert receipt["sha256"] == sha256(content).hexdigest()
    assert datetime.fromisoformat(receipt["claimed_at"]) == claim.claimed_at
    assert before <= datetime.fromisoformat(receipt["finished_at"]) <= datetime.now(UTC)


# --- several files ---------------------------------------------------------------------------------------------------


def test_of_two_files_that_pay_one_invoice_the_later_wins(start, folders):
    """In one batch too, payments of one invoice are made in the order of the files; the later says what it replaced."""
    line, sandbox = start(invoice("CW-1", "100.00"), invoice("CW-2", "100.00"))
    first = document(("CW-1", "60.00"), ("CW-2", "1.00"))
    assert line.drop(first, document(("cw-1", "40.00"))) == Tally(files=2)
    assert paid(sandbox, "CW-1") == [Decimal("40.00")]
    assert [row["outcome"] for name in ("pay0", "pay1") for row in line.receipt(name)["records"]] == ["applied"] * 3
    earlier, later = files(folders.success)
    assert "WarningMessage" not in records(earlier)[0]
    assert records(later)[0]["WarningMessage"] == "The earlier amount 60.00 was replaced by 40.00"
    writes = [(write["method"], write["invoiceNumber"]) for write in sandbox.books()["writes"]]
    assert writes.count(("POST", "CW-1")) == 1
    assert writes[-1] == ("PATCH", "CW-1")


def test_many_files_of_one_invoice_keep_their_order(start):
    """However many files of a batch pay one invoice, each finds what the one before it has left."""
    line, sandbox = start(invoice("CW-1", "100.00"))
    assert line.drop(*(document(("CW-1", f"{amount}.00")) for amount in range(1, 9))) == Tally(files=8)
    amounts = [write["body"] for write in sandbox.books()["writes"]]
    assert amounts[0]["amount"] == 1
    assert [change[0]["value"] for change in amounts[1:]] == [f"{amount}.00" for amount in range(2, 9)]
    assert paid(sandbox, "CW-1") == [Decimal("8.00")]


def test_a_hundred_files_share_their_look_ups(start):
    """A hundred one-payment files cost a call a payment and hardly more, as one file of a hundred payments does."""
    seeds = [invoice(f"CW-{number:05}", "10.00") for number in range(100)]
    line, sandbox = start(*seeds)
    assert line.drop(*(document((seed.number, "10.00")) for seed in seeds)) == Tally(files=100)
    assert calls(sandbox)["POST"] == 100
    assert sum(calls(sandbox).values()) <= 102
    assert all(paid(sandbox, seed.number) == [Decimal("10.00")] for seed in seeds)


def test_a_refused_file_holds_up_no_other(start):
    """One bad file of a batch is refused, the others are paid."""
    line, sandbox = start(invoice("CW-1", "10.00"), invoice("CW-2", "10.00"))
    good = [document((number, "10.00")) for number in ("CW-1", "CW-2")]
    assert line.drop(good[0], b"nonsense", good[1]) == Tally(files=3, refused=1)
    assert paid(sandbox, "CW-1") == paid(sandbox, "CW-2") == [Decimal("10.00")]


def test_the_same_file_again_is_unchanged(start):
    """Without ``prevent_reprocessing`` a file processed before finds everything as it asks, and writes nothing."""
    line, sandbox = start(invoice("CW-1", "10.00"))
    content = document(("CW-1", "10.00"))
    line.drop(content)
    writes = sandbox.books()["writes"]
    again = line.claim("again.xml", content)
    assert line.process([again]) == Tally(files=1)
    assert line.receipt("again")["totals"]["unchanged"] == "10.00"
    assert sandbox.books()["writes"] == writes


# --- prevent_reprocessing --------------------------------------------------------------------------------------------


def test_a_file_processed_before_is_refused_where_that_is_asked(start, folders):
    """With ``prevent_reprocessing`` the same bytes are refused, naming the first file; other bytes are not."""
    line, sandbox = start(invoice("CW-1", "10.00"))
    content = document(("CW-1", "10.00"))
    first, second, third = (line.claim(f"{name}.xml", content) for name in ("first", "second", "third"))
    later = line.again(payments={"prevent_reprocessing": True})
    assert later.process([first]) == Tally(files=1)
    assert later.process([second]) == Tally(files=1, refused=1)
    note = one(files(folders.fail, ".error.txt")).read_text()
    assert "first.xml" in note
    assert first.id in note
    assert line.again(payments={"prevent_reprocessing": True}).process([third]) == Tally(files=1, refused=1)
    other = line.claim("other.xml", content + b"\n")
    assert later.process([other]) == Tally(files=1)
    assert paid(sandbox, "CW-1") == [Decimal("10.00")]


def test_a_file_refused_before_is_not_one_processed_before(start):
    """Dropped in again, a file that was refused is refused for its own fault, not for having been seen."""
    line, _ = start()
    later = line.again(payments={"prevent_reprocessing": True})
    for name in ("first", "second"):
        later.process([line.claim(f"{name}.xml", b"nonsense")])
    assert line.receipt("second")["refused"] == line.receipt("first")["refused"]


def test_a_file_that_failed_altogether_may_come_again(start):
    """A file of which no payment was made is no file processed before: sent again as it is, it may succeed now."""
    line, _ = start(invoice("CW-1", "10.00", type="CreditMemo"))
    content = document(("CW-9", "1.00"), ("CW-1", "5.00"))
    later = line.again(payments={"prevent_reprocessing": True})
    for name in ("first", "second"):
        assert later.process([line.claim(f"{name}.xml", content)]) == Tally(files=1, rejected=2)
    assert "refused" not in line.receipt("second")


def test_copies_in_one_batch_are_not_both_processed(start):
    """Whether two copies come together or one after the other, the second is refused."""
    line, _ = start(invoice("CW-1", "10.00"))
    content = document(("CW-1", "10.00"))
    assert line.drop(content, content, payments={"prevent_reprocessing": True}) == Tally(files=2, refused=1)
    assert "refused" not in line.receipt("pay0")
    assert "refused" in line.receipt("pay1")


def bill(number: str, external_id: str, amount: str = "1.00") -> dict[str, str]:
    """Give a payment that bears the accounting system's own id."""
    return {"externalId": external_id, "amount": amount, "paymentDate": "2016-09-22", "invoice/identifier": number}


def test_payment_whose_external_id_was_applied_is_rejected_naming_when_and_where(start, folders):
    """An id counts once with ``prevent_reprocessing``, whatever else the later file says, and any time without."""
    line, sandbox = start(invoice("CW-1", "5.00"), invoice("CW-2", "5.00"), invoice("CW-3", "5.00"))
    first = line.claim("monday.xml", invoice_payments(bill("CW-1", "R-1"), bill("NONE", "R-2")))
    line.again(payments={"prevent_reprocessing": True}).process([first])
    again = invoice_payments(bill("CW-2", "R-1"), bill("CW-2", "R-2", "2.00"), bill("CW-3", "R-3"))

    second = line.claim("tuesday.xml", again)
    assert line.again(payments={"prevent_reprocessing": True}).process([second]) == Tally(files=1, rejected=2)

    (rejected, shared) = records(one(folders.fail.glob("tuesday*.xml")))
    assert rejected["ErrorMessage"] == (
        f"The payment with externalId R-1 was processed already, in monday.xml taken on "
        f"{first.claimed_at:%Y-%m-%d at %H:%M} UTC (claim {first.id}), "
        "and payments.prevent_reprocessing is set (line 3)"
    )
    assert "CW-2 stands 2 times" in shared["ErrorMessage"]
    assert (paid(sandbox, "CW-2"), paid(sandbox, "CW-3")) == ([], [Decimal("1.00")])
    third = line.claim("wednesday.xml", invoice_payments(bill("CW-2", "R-1")))
    assert line.process([third]) == Tally(files=1)
    assert paid(sandbox, "CW-2") == [Decimal("1.00")]


def test_external_id_that_was_rejected_before_may_come_again(start):
    """A corrected payment keeps its id."""
    line, sandbox = start(invoice("CW-1", "5.00"))

    assert line.drop(invoice_payments(bill("CW-9", "R-1")), payments={"prevent_reprocessing": True}).rejected == 1
    assert line.drop(invoice_payments(bill("CW-1", "R-1")), payments={"prevent_reprocessing": True}).rejected == 0
    assert paid(sandbox, "CW-1") == [Decimal("1.00")]


def test_external_id_in_two_payments_of_a_file_or_batch_pays_none_or_the_first(start, folders):
    """Neither two rows of one file nor two files taken at once get past the rule."""
    line, sandbox = start(invoice("CW-1", "5.00"), invoice("CW-2", "5.00"), invoice("CW-3", "5.00"))
    twice = invoice_payments(bill("CW-1", "R-1"), bill("CW-2", "R-1"))

    line.drop(
        twice,
        invoice_payments(bill("CW-3", "R-2")),
        invoice_payments(bill("CW-2", "R-2")),
        payments={"prevent_reprocessing": True},
    )

    assert [paid(sandbox, number) for number in ("CW-1", "CW-2", "CW-3")] == [[], [], [Decimal("1.00")]]
    told = [record["ErrorMessage"] for path in files(folders.fail) for record in records(path)]
    assert [
        ("R-1 stands 2 times" in message, "R-2 was processed already, in pay1.xml" in message) for message in told
    ] == [
        *((True, False), (True, False), (False, True)),
    ]


@pytest.mark.parametrize(
    "stricter",
    [{"payments": {"prevent_reprocessing": True}}, {"inbox": {"max_file_bytes": 10}}],
    ids=["prevent_reprocessing", "max_file_bytes"],
)
def test_a_file_whose_payments_are_made_is_not_refused_afterwards(start, folders, stricter):
    """What a file was judged to be stays, however often it is taken up again, and whatever changed meanwhile."""
    line, _ = start(invoice("CW-1", "10.00"))
    content = document(("CW-1", "10.00"))
    first, twin = line.claim("first.xml", content), line.claim("twin.xml", content)
    in_the_way = folders.success / twin.published_name
    in_the_way.write_bytes(b"somebody else's")
    assert line.process([first, twin]) == Tally(files=1)
    in_the_way.unlink()
    assert line.again(**stricter).process([twin]) == Tally(files=1)
    assert files(folders.fail, "") == []
    assert numbers(in_the_way) == ["CW-1"]


# --- files that wait by themselves -----------------------------------------------------------------------------------

NAMES_TAKEN = {
    "its success file": lambda folders, claim: folders.success_file(claim),
    "its fail file": lambda folders, claim: folders.fail_file(claim),
    "its receipt": lambda folders, claim: folders.archived_receipt(claim),
    "its place in the archive": lambda folders, claim: folders.archived(claim),
}


@pytest.mark.parametrize("named", NAMES_TAKEN.values(), ids=NAMES_TAKEN.keys())
def test_a_file_whose_result_has_no_name_waits_by_itself(start, folders, named):
    """The file after it is done. It is tried again without a call, also by the next start, until the name is free."""
    line, sandbox = start(invoice("CW-1", "10.00"), invoice("CW-2", "10.00"))
    first = line.claim("first.xml", document(("CW-1", "10.00"), ("CW-9", "1.00")))
    second = line.claim("second.xml", document(("CW-2", "10.00")))
    named(folders, first).mkdir(parents=True)
    with capture_logs() as log:
        assert line.process([first, second]) == Tally(files=1)
        asked = calls(sandbox)
        for _ in range(2):
            assert list(line.taker.resume()) == []
            assert line.publisher.tidy() == []
    told = [entry for entry in log if entry["event"] == "file.waiting"]
    assert [(entry["claim"], str(named(folders, first)) in entry["reason"]) for entry in told] == [(first.id, True)]
    assert [entry["file"] for entry in log if entry["event"] == "file.finished"] == ["second.xml"]
    again = line.again()
    (wait,) = again.waits.all()
    assert again.resume() == Tally()
    assert [each.since for each in again.waits.all()] == [wait.since]
    assert calls(sandbox) == asked
    named(folders, first).rmdir()
    assert sum((file.tally for file in again.publisher.tidy()), Tally()) == Tally(files=1, rejected=1)
    assert calls(sandbox) == asked
    assert again.waits.all() == []
    assert list(folders.work.iterdir()) == []


def test_a_refused_file_whose_note_has_no_name_waits_by_itself(start, folders):
    """It is refused once the name is free."""
    line, _ = start()
    claim = line.claim("odd.xml", b"<Orders/>")
    folders.note(claim).mkdir()
    assert line.process([claim]) == Tally()
    assert not line.claims.state(claim.id).finished
    folders.note(claim).rmdir()
    assert sum((file.tally for file in line.publisher.tidy()), Tally()) == Tally(files=1, refused=1)


def test_a_changed_original_that_has_no_name_in_fail_waits_by_itself(start, folders):
    """Its file is finished all the same, and the original is kept once the name is free."""
    line, _ = start(invoice("CW-1", "10.00"), invoice("CW-2", "10.00"))
    first, second = (line.claim(f"CW-{place}.xml", document((f"CW-{place}", "10.00"))) for place in (1, 2))
    folders.held(first).write_bytes(b"<more/>")
    in_the_way = folders.changed(first, sha256(b"<more/>").hexdigest())
    in_the_way.mkdir()
    assert line.process([first, second]) == Tally(files=2)
    assert [(wait.claim, str(in_the_way) in wait.reason) for wait in line.waits.all()] == [(first.id, True)]
    in_the_way.rmdir()
    assert line.publisher.tidy() == []
    assert in_the_way.read_bytes() == b"<more/>"
    assert line.waits.all() == list(folders.work.iterdir()) == []


@pytest.mark.parametrize("published", [False, True], ids=["before", "after an attempt that did not end"])
def test_a_file_that_is_too_large_for_a_copy_and_was_changed_is_published_once(start, folders, monkeypatch, published):
    """What its writer made of it lies in fail, with a note; nothing lies in the archive that was not refused."""
    line, _ = start(invoice("CW-1", "10.00"))
    line = line.again(inbox={"max_file_bytes": 1000})
    content = b"<Orders>" + b" " * 1000
    claim = line.claim("large.xml", content)
    if published:
        # It ends before the journal hears that everything is published.
        with monkeypatch.context() as patch:
            patch.setattr(Claims, "finish", lambda _self, _claim: {}[0])
            with pytest.raises(KeyError):
                line.process([claim])
        assert folders.archived(claim).read_bytes() == content
    changed = content + b"more"
    folders.held(claim).write_bytes(changed)
    assert line.process([claim]) == Tally(files=1, refused=1)
    assert folders.changed(claim, sha256(changed).hexdigest()).read_bytes() == changed
    assert folders.fail_file(claim).exists() == folders.archived(claim).exists() == published
    assert "larger than 1000 bytes" in folders.note(claim).read_text()
    assert line.receipt("large")["sha256"] == sha256(content).hexdigest()
    assert list(folders.work.iterdir()) == line.waits.all() == []


def test_a_file_that_is_too_large_for_a_copy_and_cannot_be_read_waits_by_itself(start, folders):
    """Nothing but its original has the bytes to be archived; others go on."""
    line, _ = start(invoice("CW-1", "10.00"))
    line = line.again(inbox={"max_file_bytes": 1000})
    large, good = (
        line.claim("large.xml", b"<Orders>" + b" " * 1000),
        line.claim("good.xml", document(("CW-1", "10.00"))),
    )
    folders.held(large).chmod(0)
    with no_special_rights():
        assert line.process([large, good]) == Tally(files=1)
    (wait,) = line.waits.all()
    assert (wait.claim, "Permission denied" in wait.reason) == (large.id, True)
    folders.held(large).chmod(0o600)
    assert [file.claim for file in line.publisher.tidy()] == [large]


# --- outages ---------------------------------------------------------------------------------------------------------


def test_no_payment_fails_for_an_outage(start, client_of, folders):
    """While ConnectWise lets us do nothing everything waits in work; once it does, all is paid and published."""
    line, sandbox = start(invoice("CW-1", "10.00"))
    client, line.client = line.client, client_of(sandbox.url, private_key="wrong")
    with pytest.raises(SignInRefused):
        line.drop(document(("CW-1", "10.00")))
    assert line.published == {"success": [], "fail": [], "archive": []}
    (claim,) = list(line.taker.resume())
    line.client = client
    assert line.process([claim]) == Tally(files=1)
    assert line.published["success"] == ["pay0.xml"]
    assert list(folders.work.iterdir()) == []


def test_what_needs_no_connectwise_does_not_wait_for_it(start, client_of):
    """During an outage a file whose records are all decided is published; only the others wait."""
    line, sandbox = start(invoice("CW-1", "10.00"))
    line.client = client_of(sandbox.url, private_key="wrong")
    with pytest.raises(SignInRefused):
        line.drop(document(("CW-1", "10.00")), document(("CW-1", "£5")), b"nonsense", EMPTY)
    assert line.published["fail"] == ["pay1.report.html", "pay1.xml", "pay2.error.txt", "pay2.xml"]
    assert [claim.name for claim in list(line.taker.resume())] == ["pay0.xml"]


@pytest.mark.parametrize("missing", ["success", "fail", "archive"])
def test_a_folder_that_is_away_costs_no_second_call(start, folders, missing):
    """What is paid but cannot be published waits; once the folder is back it is published, and nothing paid again."""
    line, sandbox = start(invoice("CW-1", "10.00"))
    folder: Path = getattr(folders, missing)
    folder.rmdir()
    with pytest.raises(FolderTrouble, match=re.escape(str(folder))):
        line.drop(document(("CW-1", "10.00"), ("CW-9", "1.00")))
    before = calls(sandbox)
    folder.mkdir()
    assert line.process(list(line.taker.resume())) == Tally(files=1, rejected=1)
    assert calls(sandbox) == before
    assert line.published == {
        "success": ["pay0.xml"],
        "fail": ["pay0.report.html", "pay0.xml"],
        "archive": ["pay0.receipt.json", "pay0.xml"],
    }
    assert line.receipt()["totals"]["applied"] == "10.00"
    assert list(folders.work.iterdir()) == []


@pytest.mark.parametrize("missing", ["success", "fail"])
def test_what_is_decided_stands_without_the_journal(start, folders, tmp_path, missing):
    """If the journal is lost after a receipt was published, the receipt counts: no call is made, whatever changed."""
    line, sandbox = start(invoice("CW-1", "10.00"), invoice("CW-2", "10.00", payments=(PaymentSeed(Decimal("4.00")),)))
    folder: Path = getattr(folders, missing)
    folder.rmdir()
    with pytest.raises(FolderTrouble):
        line.drop(document(("CW-1", "12.00"), ("CW-2", "10.00"), ("CW-9", "1.00"), ("CW-8", "£5")))
    before = calls(sandbox)
    folder.mkdir()
    another = {"journal": {"url": f"sqlite:///{tmp_path / 'another.db'}"}, "payments": {"zero_amount": "remove"}}
    with closing(Files(folders, sandbox.url, **another)) as other:
        assert other.resume() == Tally(files=1, rejected=2)
        (claim_id,) = {attempt.claim for attempt in other.history.attempts("pay0.xml")}
        assert [result.outcome.value for result in other.results(claim_id)] == ["applied"] * 2 + ["rejected"] * 2
        finished = other.history.last_files(9)
        assert [(file.name, file.succeeded, file.rejected) for file in finished] == [("pay0.xml", 2, 2)]
    assert calls(sandbox) == before
    assert (
        line.receipt()["totals"] | {"asked": "23.00", "applied": "20.00", "discarded": "2.00", "failed": "1.00"}
        == (line.receipt()["totals"])
    )
    (first, second) = records(one(files(folders.success)))
    assert "2.00 discarded" in first["WarningMessage"]
    assert "4.00 was replaced by 10.00" in second["WarningMessage"]
    assert numbers(one(files(folders.fail))) == ["CW-9", "CW-8"]
    assert list(folders.work.iterdir()) == []


def test_journal_lost_before_anything_was_published_costs_no_second_payment(start, folders, tmp_path):
    """The original in work is taken up anew under its claim, and ConnectWise is asked what it holds."""
    line, sandbox = start(invoice("CW-1", "10.00"))
    folders.archive.rmdir()
    with pytest.raises(FolderTrouble):
        line.drop(document(("CW-1", "12.00"), ("CW-9", "1.00")))
    folders.archive.mkdir()
    with closing(Files(folders, sandbox.url, journal={"url": f"sqlite:///{tmp_path / 'another.db'}"})) as other:
        (claim,) = other.taker.resume()
        assert folders.place(claim.id).is_dir()
        assert other.process([claim]) == Tally(files=1, rejected=1)
    assert paid(sandbox, "CW-1") == [Decimal("10.00")]
    assert (line.receipt()["totals"]["unchanged"], line.receipt()["totals"]["discarded"]) == ("10.00", "2.00")
    assert list(folders.work.iterdir()) == []


def test_a_file_that_is_judged_anew_is_told_of_as_it_was_dealt_with(start, folders):
    """Where the limit was raised while a refused file waited, it is refused or paid, and told of accordingly."""
    line, sandbox = start(invoice("CW-1", "10.00"))
    folders.fail.rmdir()
    with pytest.raises(FolderTrouble):
        line.drop(document(("CW-1", "10.00")), inbox={"max_file_bytes": 10})
    folders.fail.mkdir()
    line.process(list(line.taker.resume()))
    was_paid = bool(paid(sandbox, "CW-1"))
    assert line.published["success"] == (["pay0.xml"] if was_paid else [])
    assert line.published["fail"] == ([] if was_paid else ["pay0.error.txt", "pay0.xml"])
    assert line.receipt()["totals"]["applied"] == ("10.00" if was_paid else "0.00")


def test_a_file_that_somebody_writes_to_after_it_was_read_moves_no_more_money(start, folders):
    """A record that a late writer adds to a file in work was never written down: it is not paid and breaks nothing."""
    line, sandbox = start(invoice("CW-1", "10.00"), invoice("CW-2", "10.00"))
    folders.success.rmdir()
    with pytest.raises(FolderTrouble):
        line.drop(document(("CW-1", "10.00")))
    (claim,) = list(line.taker.resume())
    (folders.work / claim.id / claim.name).write_bytes(document(("CW-1", "10.00"), ("CW-2", "10.00")))
    folders.success.mkdir()
    assert line.process([claim]) == Tally(files=1)
    assert (paid(sandbox, "CW-1"), paid(sandbox, "CW-2")) == ([Decimal("10.00")], [])
    assert numbers(one(files(folders.success))) == ["CW-1"]


def test_file_archived_before_the_journal_was_lost_is_known_to_a_new_one(start, folders, tmp_path):
    """A crash before the original is deleted, and the journal lost: the history still knows what became of the file."""
    line, sandbox = start(invoice("CW-1", "10.00"))
    content = document(("CW-1", "10.00"))
    line.drop(content)
    before = calls(sandbox)
    claim = Claim(line.receipt()["claim"], "pay0.xml")
    folders.place(claim.id).mkdir()
    folders.held(claim).write_bytes(content)
    with closing(Files(folders, sandbox.url, journal={"url": f"sqlite:///{tmp_path / 'another.db'}"})) as other:
        assert other.resume() == Tally(files=1)
        assert [(file.name, file.succeeded) for file in other.history.last_files(9)] == [("pay0.xml", 1)]
    assert calls(sandbox) == before
    assert line.published["archive"] == ["pay0.receipt.json", "pay0.xml"]
    assert list(folders.work.iterdir()) == []


def test_original_that_a_crash_left_of_a_finished_file_is_deleted(start, folders):
    """It is not worked on again, whatever else lies beside it; what is strange is left alone."""
    line, sandbox = start(invoice("CW-1", "10.00"))
    content = document(("CW-1", "10.00"))
    line.drop(content)
    before = calls(sandbox)
    claim = Claim(line.receipt()["claim"], "pay0.xml")
    folders.place(claim.id).mkdir()
    folders.held(claim).write_bytes(content)
    (folders.place(claim.id) / ".fuse_hidden0001").write_bytes(content)
    assert line.again().resume() == Tally()
    assert calls(sandbox) == before
    assert [path.name for path in folders.place(claim.id).iterdir()] == [".fuse_hidden0001"]


def test_original_whose_writer_went_on_is_kept_and_reported(start, folders):
    """What was in the file when it was taken is paid; what came later is kept in the fail outbox, with a note."""
    line, sandbox = start(invoice("CW-1", "10.00"), invoice("CW-2", "5.00"))
    claim = line.claim("pay.xml", document(("CW-1", "10.00")))
    later = document(("CW-1", "10.00"), ("CW-2", "5.00"))
    folders.held(claim).write_bytes(later)
    with capture_logs() as lines:
        assert line.process([claim]) == Tally(files=1)
    assert (paid(sandbox, "CW-1"), paid(sandbox, "CW-2")) == ([Decimal("10.00")], [])
    assert one(files(folders.archive)).read_bytes() == document(("CW-1", "10.00"))
    kept = one(files(folders.fail))
    assert kept.read_bytes() == later
    assert "has not been processed" in kept.with_name(f"{kept.name}.txt").read_text()
    (entry,) = (entry for entry in lines if entry["event"] == "file.changed")
    assert (entry["file"], entry["claim"], entry["kept"]) == ("pay.xml", claim.id, str(kept))
    assert list(folders.work.iterdir()) == []


# --- the log ---------------------------------------------------------------------------------------------------------


def logged(line: Files, *contents: bytes) -> list[dict[str, object]]:
    """Process a batch and give its log lines."""
    with capture_logs() as lines:
        line.drop(*contents)
    return [entry for entry in lines if entry["log_level"] != "debug"]


def test_there_is_one_line_for_each_file_and_one_for_each_payment(start):
    """However a file and its payments end, each is told of in exactly one line, under its file and claim."""
    line, _ = start(invoice("CW-1", "10.00"), invoice("CW-2", "10.00"))
    lines = logged(
        line,
        document(("CW-1", "10.00"), ("CW-9", "1.00"), ("CW-8", "£5"), ("CW-2", "2.00"), ("CW-2", "3.00")),
        document(("CW-1", "4.00")),
        b"nonsense",
        EMPTY,
    )
    ends = Counter((entry["event"], entry["file"]) for entry in lines)
    assert ends == {
        ("payment.finished", "pay0.xml"): 5,
        ("payment.finished", "pay1.xml"): 1,
        ("file.finished", "pay0.xml"): 1,
        ("file.finished", "pay1.xml"): 1,
        ("file.refused", "pay2.xml"): 1,
        ("file.finished", "pay3.xml"): 1,
    }
    told = sorted(
        entry["record"] for entry in lines if (entry["event"], entry["file"]) == ("payment.finished", "pay0.xml")
    )
    assert told == [1, 2, 3, 4, 5]
    claims = {entry["file"]: entry["claim"] for entry in lines}
    assert all(entry["claim"] == claims[entry["file"]] for entry in lines)
    assert len(set(claims.values())) == 4


def test_the_line_of_a_payment_says_what_became_of_it(start):
    """It has the invoice, the outcome, the amounts, the message and ConnectWise's ids."""
    line, sandbox = start(invoice("CW-1", "10.00"))
    lines = logged(line, document(("CW-1", "12.50"), ("CW-9", "1.00")))
    told = {entry["invoice_number"]: entry for entry in lines if entry["event"] == "payment.finished"}
    done, failed = told["CW-1"], told["CW-9"]
    (row,) = payments_of(sandbox, "CW-1")
    assert (done["record"], done["outcome"], done["asked"], done["applied"]) == (1, "applied", "12.50", "10.00")
    assert "2.50 discarded" in done["message"]
    assert done["payment_id"] == row["id"]
    assert (failed["record"], failed["outcome"], failed["asked"], failed["applied"]) == (2, "rejected", "1.00", "0.00")
    assert failed["message"] == "Cannot find Invoice Number CW-9"
    assert failed["payment_id"] is None


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        (document(("CW-1", "10.00")), "succeeded"),
        (document(("CW-1", "10.00"), ("CW-9", "1.00")), "partly failed"),
        (document(("CW-9", "1.00")), "failed"),
        (EMPTY, "empty"),
    ],
    ids=["succeeded", "partly failed", "failed", "empty"],
)
def test_the_line_of_a_file_says_what_it_came_to(start, content, outcome):
    """It has the outcome and the sums of the receipt."""
    line, _ = start(invoice("CW-1", "10.00"))
    (entry,) = (entry for entry in logged(line, content) if entry["event"] == "file.finished")
    assert (entry["outcome"], entry["log_level"]) == (outcome, "info")
    totals = line.receipt()["totals"]
    assert {name: entry[name] for name in totals} == totals
    assert entry["duration_ms"] >= 0


def test_the_line_of_a_refused_file_says_why(start):
    """It is a warning with the reason that stands in the note."""
    line, _ = start()
    (entry,) = logged(line, b"nonsense")
    assert (entry["event"], entry["log_level"]) == ("file.refused", "warning")
    assert entry["reason"] == line.receipt()["refused"]


def test_a_payment_is_told_of_once_though_its_file_had_to_wait(start, folders):
    """A file that was held up by a folder is told of when it is done; its payments, told of already, are not again."""
    line, _ = start(invoice("CW-1", "10.00"))
    folders.archive.rmdir()
    with capture_logs() as lines:
        with pytest.raises(FolderTrouble):
            line.drop(document(("CW-1", "10.00"), ("CW-8", "£5")))
        folders.archive.mkdir()
        line.process(list(line.taker.resume()))
    told = Counter(entry["event"] for entry in lines if entry["log_level"] != "debug")
    assert told == {"payment.finished": 2, "file.finished": 1}


def test_every_file_that_advances_is_a_sign_of_life(start, monkeypatch):
    """Each file that is published feeds the watchdog, so that a long batch is no hang."""
    line, _ = start()
    claims = [line.claim(f"pay{number}.xml", content) for number, content in enumerate((EMPTY, EMPTY, b"nonsense"))]
    signs = []
    monkeypatch.setattr(line.lifetime, "alive", lambda: signs.append(threading.current_thread().name))
    assert line.process(claims) == Tally(3, 1, 0)
    # For each file one when its receipt is published, and one when the rest is.
    assert sum(name.startswith("publishing") for name in signs) == 2 * len(claims)


# --- transform -------------------------------------------------------------------------------------------------------

SHEET = """<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:template match="/Receipts">
    <InvoicePayments>
      <xsl:for-each select="Receipt">
        <InvoicePayment>
          <invoice><identifier><xsl:value-of select="Reference"/></identifier></invoice>
          <amount>%s<xsl:value-of select="Received"/></amount>
          <paymentDate>2016-09-22</paymentDate>
        </InvoicePayment>
      </xsl:for-each>
    </InvoicePayments>
  </xsl:template>
</xsl:stylesheet>"""
EXPORT = b"""
<Receipts>
  <Receipt><Reference>CW-1</Reference><Received>5.00</Received></Receipt>
  <Receipt><Reference>CW-2</Reference><Received>6,00</Received></Receipt>
</Receipts>"""


def test_export_is_paid_through_the_stylesheet_and_archived_as_it_was(start, folders, tmp_path):
    """Results are payment documents, faults name the export's line, and the corrected fail file goes in as it is."""
    line, sandbox = start(invoice("CW-1", "5.00"), invoice("CW-2", "6.00"))
    (tmp_path / "sage.xsl").write_text(SHEET % "")
    transform = {"transform": str(tmp_path / "sage.xsl")}

    assert line.drop(EXPORT, inbox=transform) == Tally(files=1, rejected=1)

    assert one(files(folders.archive)).read_bytes() == EXPORT
    assert b"<identifier>CW-1</identifier>" in one(files(folders.success)).read_bytes()
    fail = one(files(folders.fail)).read_bytes()
    assert b'amount "6,00" is not an amount' in fail
    assert b"(line 4)" in fail
    assert b"line=" not in fail
    assert [record["line"] for record in line.receipt()["records"]] == [3, 4]
    assert list(folders.work.iterdir()) == []
    assert line.drop(fail.replace(b"6,00</amount>", b"6.00</amount>"), inbox=transform) == Tally(files=1)
    assert paid(sandbox, "CW-2") == [Decimal("6.00")]
    assert len(files(folders.fail)) == 1


def test_record_that_a_format_rejects_fails_with_its_reason_until_a_person_corrects_it(start, folders):
    """The fail file says the reason, is rejected again as it is, and is paid once number and reason are mended."""
    line, sandbox = start(invoice("CW-1", "346.34"), invoice("CW-9", "9.00"))
    export = b"".join(
        b"<Invoice><Type>ACCREC</Type><InvoiceID>%b</InvoiceID><InvoiceNumber>%b</InvoiceNumber><Status>PAID</Status>"
        b"<FullyPaidOnDate>2016-09-22T00:00:00</FullyPaidOnDate><AmountPaid>%b</AmountPaid></Invoice>" % values
        for values in ((b"a1", b"CW-1", b"346.34"), (b"a9", b"", b"9.00"))
    )
    settings = {"inbox": {"transform": "xero"}}

    assert line.drop(b"<Response><Invoices>%b</Invoices></Response>" % export, **settings) == Tally(files=1, rejected=1)

    assert paid(sandbox, "CW-1") == [Decimal("346.34")]
    fail = one(files(folders.fail)).read_bytes()
    assert b"<ErrorMessage>Nothing says which invoice this money is for" in fail
    assert b"(id a9)" in fail
    numbered = fail.replace(b"<identifier/>", b"<identifier>CW-9</identifier>")
    assert line.drop(numbered, **settings) == Tally(files=1, rejected=1)
    assert paid(sandbox, "CW-9") == []
    mended = re.sub(rb"<Reject>.*?</Reject>", b"", numbered)
    assert line.drop(mended, **settings) == Tally(files=1)
    assert paid(sandbox, "CW-9") == [Decimal("9.00")]


def test_export_stays_what_the_stylesheet_made_of_it_first(start, folders, tmp_path, client_of):
    """A file in work is finished as it was begun, whatever a restart finds in the stylesheet's place."""
    line, sandbox = start(invoice("CW-1", "99.00"), invoice("CW-2", "9.00"))
    (tmp_path / "sage.xsl").write_text(SHEET % "")
    claim = line.claim("export.xml", EXPORT.replace(b"6,00", b"6.00"))
    good, line.client = line.client, client_of(sandbox.url, private_key="wrong")
    with pytest.raises(SignInRefused):
        line.again(inbox={"transform": str(tmp_path / "sage.xsl")}).process([claim])
    (tmp_path / "sage.xsl").write_text(SHEET % "1")
    line.client = good

    line.again(inbox={"transform": str(tmp_path / "sage.xsl")}).process([claim])

    assert [paid(sandbox, number) for number in ("CW-1", "CW-2")] == [[Decimal("5.00")], [Decimal("6.00")]]
    assert b"<amount>5.00</amount>" in one(files(folders.success)).read_bytes()
    assert list(folders.work.iterdir()) == []


def test_export_that_the_stylesheet_does_not_take_is_refused_as_it_was(start, folders, tmp_path):
    """The fail outbox has the original and a note that names the stylesheet."""
    line, _ = start()
    (tmp_path / "sage.xsl").write_text(SHEET % "")

    line.drop(b"<Orders/>", inbox={"transform": str(tmp_path / "sage.xsl")})

    assert one(files(folders.fail)).read_bytes() == b"<Orders/>"
    assert "sage.xsl (inbox.transform) makes no document of <Orders>" in one(files(folders.fail, ".txt")).read_text()
