"""What became of an invoice or a file, what is still unpaid, files put back, and journals of older versions."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.connectwise import payments_of
from support.documents import document, drop, files, numbers, one
from support.program import command, configure

from watcher.cli.commands import CONFIGURATION, SOME_FAILED, UNUSABLE

# What status ends with while no daemon runs.
DOWN = 2
BEFORE = Path(__file__).parents[1] / "data" / "journal-of-version-1.sql"


@pytest.fixture
def config(folders, sandbox):
    """A configuration whose journal knows two files: one that failed in part, a later one over the same invoice."""
    config = configure(folders, sandbox.url)
    drop(folders.inbox, "first.xml", document(("CW-1", "40.00"), ("CW-404", "5.00")))
    assert command("run", "--once", "--config", config).code == SOME_FAILED
    drop(folders.inbox, "second.xml", document(("CW-1", "60.00"), ("CW-2", "20.00")))
    assert command("run", "--once", "--config", config).code == 0
    return config


def history(config, wanted):
    """Return what history --json says."""
    done = command("history", wanted, "--json", "--config", config)
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_every_attempt_at_an_invoice_is_shown(config):
    """Each has file, amount, outcome and ConnectWise's ids. The earliest comes first; letter case does not count."""
    first, second = history(config, "cw-1")
    assert [(row["file"], row["asked"], row["outcome"]) for row in (first, second)] == [
        ("first.xml", "40.00", "applied"),
        ("second.xml", "60.00", "applied"),
    ]
    assert first["payment_id"] == second["payment_id"] > 0
    shown = command("history", "CW-1", "--config", config).out
    assert all(text in shown for text in ("first.xml", "40.00", "second.xml", "60.00", str(first["payment_id"])))


@pytest.mark.parametrize("where", ["as dropped", "fail", "archive", "receipt", "claim"])
def test_a_file_is_known_by_every_name_it_has(config, folders, where):
    """It has a name in the inbox, a path in the fail outbox, an original and a receipt in the archive, and a claim."""
    published = one(files(folders.fail))
    name = {
        "as dropped": "first.xml",
        "fail": str(published),
        "archive": published.name,
        "receipt": published.name.replace(".xml", ".receipt.json"),
        "claim": published.stem.partition("__")[2],
    }[where]
    assert [row["invoice_number"] for row in history(config, name)] == ["CW-1", "CW-404"]


def test_a_refused_file_has_a_history(config, folders):
    """The history of a file that is no payment document gives the reason."""
    drop(folders.inbox, "odd.xml", b"<Orders/>")
    assert command("run", "--once", "--config", config).code == UNUSABLE
    (row,) = history(config, "odd.xml")
    assert row["outcome"] == "refused"
    assert "Orders" in row["message"]


def test_a_file_whose_name_is_no_text_has_a_history(config, folders):
    """It is found by the name on disk, shown as escapes, and in JSON, and leads to its files."""
    name = os.fsdecode(b"pay\xff.xml")
    drop(folders.inbox, name, document(("CW-404", "5.00")))
    assert command("run", "--once", "--config", config).code == SOME_FAILED
    assert [row["file"] for row in history(config, name)] == [name]
    failed = one(path for path in files(folders.fail) if path.name.startswith("pay"))
    for asked in (("history", name), ("status",), ("explain", name)):
        done = command(*asked, "--config", config)
        assert done.code == (DOWN if asked == ("status",) else 0), done.err
        assert "pay\\udcff" in done.out
    assert failed.name == f"pay\udcff__{history(config, name)[0]['claim']}.xml"
    (finished,) = [
        file
        for file in json.loads(command("status", "--json", "--config", config).out)["finished"]
        if file["name"] == name
    ]
    assert finished["rejected"] == 1


def test_an_unknown_name_is_an_error(config):
    """The answer is a sentence and an exit code, not an empty table."""
    done = command("history", "CW-999", "--config", config)
    assert done.code == UNUSABLE
    assert "CW-999" in done.err


def test_a_failed_payment_is_listed_until_its_invoice_is_set(config, folders):
    """Status lists a failed payment until a later file sets its invoice."""

    def unpaid():
        return [
            row["invoice_number"] for row in json.loads(command("status", "--json", "--config", config).out)["unpaid"]
        ]

    assert unpaid() == ["CW-404"]
    assert "CW-404" in command("status", "--config", config).out
    drop(folders.inbox, "third.xml", document(("CW-3", "not money")))
    command("run", "--once", "--config", config)
    assert unpaid() == ["CW-404", "CW-3"]
    drop(folders.inbox, "fourth.xml", document(("CW-3", "30.00")))
    command("run", "--once", "--config", config)
    assert unpaid() == ["CW-404"]


@pytest.mark.parametrize("name", ["cw-404", "FIRST.xml", "the fail file", "--all"])
def test_a_payment_that_will_never_be_paid_is_dismissed(config, folders, name):
    """Nobody is told of it any more, by whichever name it is meant. Its history says who needs to know why."""
    arguments = [str(one(files(folders.fail))) if name == "the fail file" else name]
    ended = command("dismiss", *arguments, "--reason", "a mistyped number", "--config", config)
    assert ended.code == 0, ended.err
    assert "CW-404 5.00, first.xml line 8" in ended.out
    assert json.loads(command("status", "--json", "--config", config).out)["unpaid"] == []
    assert "Dismissed 20" in command("history", "CW-404", "--config", config).out
    (row,) = history(config, "CW-404")
    assert (row["outcome"], row["dismissed_because"]) == ("rejected", "a mistyped number")
    again = command("dismiss", *arguments, "--config", config)
    assert (again.code, "No failed and unpaid payment" in again.out) == (SOME_FAILED, True)


@pytest.mark.parametrize("arguments", [(), ("CW-1", "--all")], ids=["nothing", "both"])
def test_what_is_dismissed_has_to_be_named(config, arguments):
    """Nobody dismisses everything by leaving a word out."""
    assert command("dismiss", *arguments, "--config", config).code == UNUSABLE


def test_names_are_found_in_any_letter_case(config, folders):
    """People on Windows do not know letter case. A name that is there as it is written counts first."""
    drop(folders.inbox, "M\u00fcller.xml", document(("CW-3", "30.00")))
    assert command("run", "--once", "--config", config).code == 0
    assert [row["invoice_number"] for row in history(config, "M\u00dcLLER.XML")] == ["CW-3"]
    assert "M\u00fcller.xml, taken at" in command("explain", "M\u00dcLLER.XML", "--config", config).out
    drop(folders.inbox, "later.xml", b"<ArrayOfUpdateInvoicePayment>")
    assert command("explain", "Later.XML", "--config", config).out.startswith("later.xml lies in the inbox.")


def test_payments_on_one_line_are_all_shown(folders, sandbox):
    """An export without line breaks has every payment on line 1."""
    config = configure(folders, sandbox.url)
    content = document(*[("CW-404", "5.00")] * 3).replace(b"\n", b"")
    drop(folders.inbox, "one.xml", content)
    assert command("run", "--once", "--config", config).code == SOME_FAILED
    assert [row["line"] for row in history(config, "one.xml")] == [1, 1, 1]


def test_status_says_how_the_inbox_is_watched_and_connectwise_last_answered(config):
    """The mode with its reason, and the time of the last good answer, are known after the daemon has ended."""
    said = json.loads(command("status", "--json", "--config", config).out)
    assert said["line"]["watch"].startswith("off: ")
    assert said["line"]["answered_at"]
    assert said["connectwise"] == "not asked: no daemon runs"


def test_looking_needs_no_keys(config):
    """If only the service can read the keys, status and history work for an administrator all the same."""
    text = config.read_text(encoding="utf-8")
    config.write_text(
        "".join(line for line in text.splitlines(keepends=True) if not line.startswith(("public_key", "private_key"))),
        encoding="utf-8",
    )
    assert command("status", "--config", config).code == DOWN
    assert command("history", "CW-1", "--config", config).code == 0
    assert command("run", "--once", "--config", config).code == CONFIGURATION


def test_a_fail_file_put_back_is_tried_again(config, folders, sandbox):
    """It leaves the outbox, and its ErrorMessages are ignored. A payment that fails again gets a new fail file."""
    failed = one(files(folders.fail))
    done = command("requeue", failed.name, "--config", config)
    assert done.code == 0, done.err
    assert not failed.exists()
    assert numbers(folders.inbox / failed.name) == ["CW-404"]
    assert command("run", "--once", "--config", config).code == SOME_FAILED
    assert one(files(folders.fail)).name != failed.name
    assert [row["outcome"] for row in history(config, "CW-404")] == ["rejected", "rejected"]


def test_a_refused_file_put_back_takes_its_note_from_the_outbox(config, folders):
    """The note beside it is about a file that is not there any more, so it leaves, too."""
    drop(folders.inbox, "odd.xml", b"<Orders/>")
    command("run", "--once", "--config", config)
    assert command("requeue", "odd.xml", "--config", config).code == 0
    assert one(files(folders.inbox)).read_bytes() == b"<Orders/>"
    assert not list(folders.fail.glob("odd*"))


def test_an_archived_file_is_put_back_as_a_copy(config, folders):
    """The archive keeps the original. The copy in the inbox has one name only, so that it is taken."""
    archived = one(path for path in files(folders.archive) if path.name.startswith("second"))
    assert command("requeue", "second.xml", "--config", config).code == 0
    assert archived.exists()
    assert one(files(folders.inbox)).stat().st_nlink == 1
    assert command("run", "--once", "--config", config).code == 0


def test_an_older_file_does_not_undo_a_later_one_by_accident(config, folders, sandbox):
    """The later of two files wins, so an older one is put back only with --anyway."""
    archived = one(path for path in files(folders.archive) if path.name.startswith("first"))
    one(files(folders.fail)).unlink()
    refused = command("requeue", archived.name, "--config", config)
    assert refused.code == UNUSABLE
    assert "CW-1 by second.xml" in refused.err
    assert not files(folders.inbox)
    assert command("requeue", archived.name, "--anyway", "--config", config).code == 0
    command("run", "--once", "--config", config)
    assert [payment["amount"] for payment in payments_of(sandbox, "CW-1")] == [40]


def test_an_older_export_does_not_undo_a_later_one_by_accident(folders, sandbox):
    """An original that only the stylesheet can read: the journal knows which invoices it has set."""
    config = configure(folders, sandbox.url, inbox={"transform": "own.xsl"})
    (config.parent / "own.xsl").write_text(
        '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/Receipt">'
        "<ArrayOfUpdateInvoicePayment><UpdateInvoicePayment><InvoiceNumber>CW-1</InvoiceNumber><PaidAmount>"
        '<xsl:value-of select="."/></PaidAmount><DatePaid>2016-09-22</DatePaid></UpdateInvoicePayment>'
        "</ArrayOfUpdateInvoicePayment></xsl:template></xsl:stylesheet>"
    )
    for name, amount in (("early.xml", 10), ("late.xml", 20)):
        drop(folders.inbox, name, f"<Receipt>{amount}</Receipt>".encode())
        assert command("run", "--once", "--config", config).code == 0
    refused = command("requeue", "early.xml", "--config", config)
    assert refused.code == UNUSABLE
    assert "CW-1 by late.xml" in refused.err
    assert not files(folders.inbox)
    assert command("requeue", "late.xml", "--config", config).code == 0


def test_an_older_file_is_not_put_back_by_accident_after_a_clock_was_set_back(config, folders):
    """Later is what was claimed later, whatever the ids say: the journal's order counts."""
    early = "20200101T000000Z_00000000"
    with closing(sqlite3.connect(folders.inbox.parent / "journal.db")) as journal, journal:
        journal.execute("PRAGMA foreign_keys = OFF")
        (second,) = journal.execute("SELECT claim FROM files WHERE name = 'second.xml'").fetchone()
        for table in ("files", "payments"):
            journal.execute(f"UPDATE {table} SET claim = ? WHERE claim = ?", (early, second))
    archived = one(path for path in files(folders.archive) if path.name.startswith("first"))
    one(files(folders.fail)).unlink()
    refused = command("requeue", archived.name, "--config", config)
    assert refused.code == UNUSABLE
    assert "CW-1 by second.xml" in refused.err
    assert not files(folders.inbox)


def test_a_file_that_the_journal_does_not_know_is_not_put_back_by_accident(config, folders, sandbox):
    """After a lost journal nobody can say what later files have set: only --anyway puts a file back."""
    archived = one(path for path in files(folders.archive) if path.name.startswith("first"))
    one(files(folders.fail)).unlink()
    with closing(sqlite3.connect(folders.inbox.parent / "journal.db")) as journal, journal:
        journal.execute("DELETE FROM payments")
        journal.execute("DELETE FROM files")
    refused = command("requeue", archived.name, "--config", config)
    assert refused.code == UNUSABLE
    assert "The journal does not know the file" in refused.err
    assert "--anyway" in refused.err
    assert not files(folders.inbox)
    assert command("requeue", archived.name, "--anyway", "--config", config).code == 0
    assert numbers(one(files(folders.inbox))) == ["CW-1", "CW-404"]


def test_without_a_journal_no_file_is_put_back_by_accident(config, folders):
    """A journal that is away knows no later file, and that is not the same as none."""
    for file in folders.inbox.parent.glob("journal.db*"):
        file.unlink()
    refused = command("requeue", "second.xml", "--config", config)
    assert refused.code == UNUSABLE
    assert "The journal does not know the file" in refused.err
    assert not files(folders.inbox)


def test_no_file_in_the_inbox_is_replaced(config, folders):
    """If another file of the name waits there, the file that was to be put back stays where it is."""
    failed = one(files(folders.fail))
    (folders.inbox / failed.name).write_bytes(b"another")
    assert command("requeue", failed.name, "--config", config).code == CONFIGURATION
    assert failed.exists()
    assert (folders.inbox / failed.name).read_bytes() == b"another"


@pytest.mark.parametrize("name", ["unknown.xml", "../journal.db", "first.receipt.json"])
def test_only_files_of_the_outbox_and_the_archive_are_put_back(config, folders, name):
    """Any other name is refused."""
    done = command("requeue", name, "--config", config)
    assert done.code == UNUSABLE
    assert not files(folders.inbox)


# --- a journal of the first version ----------------------------------------------------------------------------


@pytest.fixture
def older(folders, sandbox):
    """A configuration whose journal and work folder were written by the first version, killed in the middle."""
    config = configure(folders, sandbox.url)
    with closing(sqlite3.connect(folders.inbox.parent / "journal.db")) as journal:
        journal.executescript(BEFORE.read_text(encoding="utf-8"))
    held = folders.work / "20260901T090000Z_00000002"
    held.mkdir()
    (held / "begun.xml").write_bytes(document(("CW-2", "20.00"), ("CW-3", "30.00")))
    return config


def test_a_newer_version_finishes_what_an_older_one_began(older, folders, sandbox):
    """The first version's journal is brought up to date, its claimed file is finished, and its history is kept."""
    assert command("run", "--once", "--config", older).code == 0
    assert numbers(one(files(folders.success))) == ["CW-2", "CW-3"]
    assert not list(folders.work.iterdir())
    assert [len(payments_of(sandbox, number)) for number in ("CW-1", "CW-2", "CW-3")] == [0, 1, 1]
    assert [row["file"] for row in history(older, "CW-1")] == ["september.xml"]
    assert [
        row["invoice_number"] for row in json.loads(command("status", "--json", "--config", older).out)["unpaid"]
    ] == ["CW-404"]


def test_a_journal_brought_up_to_date_is_as_a_new_one(older, folders, tmp_path):
    """It has the same tables and indexes, column by column."""

    def tables(file):
        with closing(sqlite3.connect(file)) as journal:
            names = journal.execute("SELECT name FROM sqlite_master ORDER BY name").fetchall()
            columns = {
                name: sorted(journal.execute(f"SELECT name, type, \"notnull\" FROM pragma_table_info('{name}')"))
                for (name,) in names
            }
            return columns, journal.execute("PRAGMA user_version").fetchone()

    command("run", "--once", "--config", older)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    command(
        "run",
        "--once",
        "--config",
        configure(folders, "http://127.0.0.1:9", journal={"url": f"sqlite:///{fresh / 'journal.db'}"}),
    )
    assert tables(fresh / "journal.db") == tables(folders.inbox.parent / "journal.db")


def test_status_leaves_an_older_journal_as_it_is(older, folders):
    """An older daemon may still run, so status does not change its journal but says what to do."""
    before = (folders.inbox.parent / "journal.db").read_bytes()
    done = command("status", "--config", older)
    assert done.code == CONFIGURATION
    assert "restart the daemon" in done.err
    assert (folders.inbox.parent / "journal.db").read_bytes() == before
