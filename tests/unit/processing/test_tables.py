"""A table (CSV) from the inbox to its end: in ConnectWise, in the folders, and whatever a restart changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from decimal import Decimal

import pytest
from support.connectwise import invoice, payments_of
from support.documents import document, drop, files, numbers, one
from support.line import Line
from support.program import command, configure
from support.tables import SECTION, rows_of, table

from watcher.actions.requeue import requeue
from watcher.assembly.local import table_of
from watcher.cli.exits import SIGN_IN_REFUSED
from watcher.disk.hanging import FolderCalls
from watcher.errors import PaymentWatcherError, SignInRefused
from watcher.folders.published import Published
from watcher.processing.claimed import Tally
from watcher.sandbox import Sandbox

TABLES = {"inbox": {"transform": "csv"}, "csv": SECTION}
EXPORT = table("CW-1,5.00,2016-09-22,007", 'CW-2,"6,00",2016-09-22,x', headings="Invoice,Paid,Date,Note", end="\r\n")


@pytest.fixture
def start(folders, start_sandbox) -> Iterator[Callable[..., tuple[Line, Sandbox]]]:
    """Start a sandbox with given invoices, and the line to it."""
    with ExitStack() as stack:

        def build(*invoices: object) -> tuple[Line, Sandbox]:
            sandbox = start_sandbox(*invoices)
            return stack.enter_context(closing(Line(folders, sandbox.url))), sandbox

        yield build


def paid(sandbox, *names):
    """Return the amounts of invoices' payments."""
    return [[row["amount"] for row in payments_of(sandbox, name)] for name in names]


def test_table_is_paid_and_its_results_are_tables(start, folders):
    """Results have the ending, the line ends and the headings of the input; a corrected fail file is dropped in."""
    line, sandbox = start(invoice("CW-1", "5.00"), invoice("CW-2", "6.00"))
    line = line.again(**TABLES)

    assert line.process([line.claim("export.CSV", EXPORT)]) == Tally(files=1, rejected=1)

    success, fail = one(files(folders.success, ".CSV")), one(files(folders.fail, ".CSV"))
    assert success.name.startswith("export__")
    assert success.read_bytes() == b"Invoice,Paid,Date,Note,WarningMessage\r\nCW-1,5.00,2016-09-22,007,\r\n"
    assert one(files(folders.archive, ".CSV")).read_bytes() == EXPORT
    assert rows_of(fail)[1][:4] == ["CW-2", "6,00", "2016-09-22", "x"]
    assert rows_of(fail)[1][4].startswith('row 3, column Paid: "6,00" is not an amount like 1346.34')
    corrected = fail.read_bytes().replace(b'"6,00"', b"6.00", 1)
    assert line.process([line.claim(fail.name, corrected)]) == Tally(files=1)
    assert paid(sandbox, "CW-1", "CW-2") == [[Decimal("5.00")], [Decimal("6.00")]]
    assert list(folders.work.iterdir()) == []


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(
            {"inbox": {"transform": "csv"}, "csv": SECTION | {"amount": "Date", "date": "Paid"}}, id="columns"
        ),
        pytest.param({"inbox": {"transform": "csv"}, "csv": SECTION | {"decimal": ","}}, id="notation"),
        pytest.param({"inbox": {"transform": "csv"}, "csv": SECTION | {"only": {"Note": ["x"]}}}, id="rows"),
        pytest.param({}, id="no tables any more"),
    ],
)
def test_table_in_work_is_finished_as_it_was_begun(start, folders, client_of, later):
    """A restart with other settings changes no amount, no row and no result of a file that was read before."""
    line, sandbox = start(invoice("CW-1", "5.00"), invoice("CW-2", "6.00"))
    begun = line.again(**TABLES)
    claim = begun.claim("export.csv", EXPORT)
    good, begun.client = begun.client, client_of(sandbox.url, private_key="wrong")
    with pytest.raises(SignInRefused):
        begun.process([claim])

    again = line.again(**later)
    again.client = good
    assert again.process([claim]) == Tally(files=1, rejected=1)

    assert paid(sandbox, "CW-1", "CW-2") == [[Decimal("5.00")], []]
    assert [row[0] for row in rows_of(one(files(folders.success, ".csv")))] == ["Invoice", "CW-1"]
    assert [row[0] for row in rows_of(one(files(folders.fail, ".csv")))] == ["Invoice", "CW-2"]


def test_table_that_a_person_takes_out_of_work_can_be_dropped_in_again(folders, sandbox):
    """Its open rows are in the fail file, as a table, whatever the settings are by then."""
    config = configure(folders, sandbox.url, connectwise={"private_key": "refused"}, **TABLES)
    drop(folders.inbox, "two.csv", table("CW-1,100.00,2016-09-22", "CW-2,50.00,2016-09-22"))
    assert command("run", "--once", "--config", config).code == SIGN_IN_REFUSED

    assert command("withdraw", "two.csv", "--config", configure(folders, sandbox.url)).code == 0

    rows = rows_of(one(files(folders.fail, ".csv")))
    assert [row[:3] for row in rows[1:]] == [["CW-1", "100.00", "2016-09-22"], ["CW-2", "50.00", "2016-09-22"]]
    assert all(row[3] for row in rows)


def test_table_that_is_refused_is_in_fail_as_it_was_with_a_note(start, folders):
    """The note names the row and what to do."""
    line, _ = start()
    line = line.again(**TABLES)
    content = table("CW-1,5.00,2016-09-22", headings="Number,Paid,Date")

    line.process([line.claim("export.csv", content)])

    assert one(files(folders.fail, ".csv")).read_bytes() == content
    note = one(files(folders.fail, ".error.txt")).read_text()
    assert '"Invoice" (csv.number)' in note
    assert '"Number", "Paid", "Date"' in note


def test_payment_document_among_tables_is_paid(start, folders):
    """Its results are payment documents, under the ending that it came with."""
    line, _ = start(invoice("CW-1", "5.00"))
    line = line.again(**TABLES)

    assert line.process([line.claim("export.csv", document(("CW-1", "5.00")))]) == Tally(files=1)

    assert numbers(one(files(folders.success, ".csv"))) == ["CW-1"]


def test_failed_table_is_put_back_unless_a_later_file_has_set_its_invoices(start, folders):
    """The numbers are those of the file as it lies there, read under the settings of now."""
    line, _ = start(invoice("CW-1", "5.00"), invoice("CW-2", "6.00"))
    line = line.again(**TABLES)
    line.process([line.claim("export.csv", EXPORT)])
    line.process([line.claim("later.csv", table("CW-1,4.00,2016-09-22"))])
    fail = one(files(folders.fail, "__*.csv"))
    fail.write_bytes(fail.read_bytes().replace(b"CW-2", b"CW-1"))
    published = Published(folders, FolderCalls())

    with pytest.raises(PaymentWatcherError, match=r"CW-1 by later\.csv"):
        requeue(fail.name, published, line.settings.journal.url, anyway=False, table=table_of(line.settings))

    fail.write_bytes(fail.read_bytes().replace(b"CW-1", b"CW-2"))
    requeue(fail.name, published, line.settings.journal.url, anyway=False, table=table_of(line.settings))
    assert [path.name for path in folders.inbox.iterdir()] == [fail.name]
