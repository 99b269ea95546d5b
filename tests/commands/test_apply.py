"""``apply`` as it is typed: its input, its two result files, its plan, its exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from support.connectwise import invoice, payments_of
from support.documents import document, numbers, one, records
from support.line import Hurried
from support.network import Strike, Unreliable, page
from support.program import PATIENCE, command, configure, environment, program, tree
from support.results import FAIL, SUCCESS
from support.tables import SECTION

GOOD = document(("CW-1", "100.00"))
MIXED = document(("CW-1", "100.00"), ("CW-404", "10.00"))


@pytest.mark.parametrize(
    ("given", "stdin"),
    [
        pytest.param(["export.xml"], b"", id="a path"),
        pytest.param([GOOD.decode()], b"", id="the XML itself"),
        pytest.param(["\n  " + GOOD.decode()], b"", id="the XML itself after a blank line"),
        pytest.param([GOOD.decode().replace("utf-8", "utf-16")], b"", id="the XML itself as .NET declares it"),
        pytest.param(["-"], GOOD, id="a dash for standard input"),
        pytest.param([], GOOD, id="standard input"),
    ],
)
def test_document_is_applied_however_it_is_given(settings, sandbox, tmp_path, given, stdin):
    """The payment is set, and both result files lie in the working directory under their documented names."""
    (tmp_path / "export.xml").write_bytes(GOOD)
    ended = command("apply", *given, "--config", settings, stdin=stdin)
    assert ended.code == 0, ended.err
    assert [str(row["amount"]) for row in payments_of(sandbox, "CW-1")] == ["100.00"]
    assert numbers(tmp_path / SUCCESS) == ["CW-1"]
    assert numbers(tmp_path / FAIL) == []


def test_result_files_are_written_where_they_are_asked_for(settings, tmp_path):
    """--success-file and --fail-file name the results; nothing is written under the default names."""
    (tmp_path / "out").mkdir()
    options = ("--success-file", "out/good.xml", "--fail-file", tmp_path / "out" / "bad.xml")
    assert command("apply", MIXED.decode(), *options, "--config", settings).code == 1
    assert numbers(tmp_path / "out" / "good.xml") == ["CW-1"]
    (failed,) = records(tmp_path / "out" / "bad.xml")
    assert failed["ErrorMessage"] == "Cannot find Invoice Number CW-404"
    assert list(failed)[-1] == "ErrorMessage"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bad.xml", "good.xml"]
    assert not (tmp_path / SUCCESS).exists()
    assert not (tmp_path / FAIL).exists()


@pytest.mark.parametrize(
    ("content", "site", "code", "said", "succeeded", "failed"),
    [
        pytest.param(GOOD, {}, 0, "1 succeeded, 0 rejected", ["CW-1"], [], id="0 all done"),
        pytest.param(
            MIXED, {}, 1, "CW-404: Cannot find Invoice Number CW-404", ["CW-1"], ["CW-404"], id="1 a payment failed"
        ),
        pytest.param(GOOD[:-20], {}, 2, "The file is cut off", [], [], id="2 an unusable document"),
        pytest.param(
            document(("CW-1", "1.00"), ("CW-2", "1,00")),
            {"site": "http://127.0.0.1:9"},
            69,
            "could not be reached",
            [],
            ["CW-2"],
            id="69 not reachable, and what is known is written",
        ),
        pytest.param(
            document(("CW-1", "1.00"), ("CW-2", "1,00")),
            {"private_key": "not-the-private-key"},
            77,
            "refused the sign-in (401)",
            [],
            ["CW-2"],
            id="77 sign-in refused, and what is known is written",
        ),
    ],
)
def test_apply_ends_with_its_exit_code_and_both_result_files(
    folders, sandbox, tmp_path, content, site, code, said, succeeded, failed
):
    """Whatever the end, it has its exit code, says why, and results of an earlier run are replaced."""
    settings = configure(folders, sandbox.url, connectwise=site)
    for stale in (SUCCESS, FAIL):
        (tmp_path / stale).write_bytes(document(("STALE", "1.00")))
    (tmp_path / "export.xml").write_bytes(content)
    ended = command("apply", "export.xml", "--config", settings)
    assert ended.code == code, ended.err
    assert said in ended.err
    assert numbers(tmp_path / SUCCESS) == succeeded
    assert numbers(tmp_path / FAIL) == failed
    assert [row["invoiceNumber"] for row in sandbox.books()["writes"]] == succeeded
    assert [path.name for path in sorted(tmp_path.glob("*.xml"))] == [FAIL, SUCCESS, "export.xml"]


def test_input_that_is_not_there_replaces_the_results_of_an_earlier_run(settings, tmp_path):
    """A path that cannot be read is unusable input: exit code 2, and two empty result files."""
    for stale in (SUCCESS, FAIL):
        (tmp_path / stale).write_bytes(document(("STALE", "1.00")))
    ended = command("apply", "export.xml", "--config", settings)
    assert ended.code == 2
    assert "export.xml cannot be read: No such file" in ended.err
    assert numbers(tmp_path / SUCCESS) == numbers(tmp_path / FAIL) == []


@pytest.mark.parametrize("given", ["export.xml", "-"], ids=["a path", "standard input"])
def test_input_that_is_too_large_is_refused_unread(folders, sandbox, tmp_path, given):
    """The limit of the inbox is the limit of every document, wherever it comes from."""
    settings = configure(folders, sandbox.url, inbox={"max_file_bytes": len(GOOD) - 1})
    (tmp_path / "export.xml").write_bytes(GOOD)
    ended = command("apply", given, "--config", settings, stdin=GOOD)
    assert ended.code == 2
    assert f"larger than {len(GOOD) - 1} bytes (inbox.max_file_bytes)" in ended.err
    assert numbers(tmp_path / SUCCESS) == numbers(tmp_path / FAIL) == []
    assert sandbox.books()["writes"] == []


def test_export_is_applied_through_the_stylesheet_beside_the_configuration(folders, sandbox, tmp_path):
    """The results are payment documents; the fail file, corrected, can be given as it is."""
    settings = configure(folders, sandbox.url, inbox={"transform": "sage.xsl"})
    (settings.parent / "sage.xsl").write_text(
        '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/Receipt">'
        "<ArrayOfUpdateInvoicePayment><UpdateInvoicePayment><InvoiceNumber>CW-1</InvoiceNumber><PaidAmount>"
        '<xsl:value-of select="."/></PaidAmount><DatePaid>2016-09-22</DatePaid></UpdateInvoicePayment>'
        "</ArrayOfUpdateInvoicePayment></xsl:template></xsl:stylesheet>"
    )
    assert command("apply", "--config", settings, stdin=b"\n<Receipt>1,00</Receipt>").code == 1
    (failed,) = records(tmp_path / FAIL)
    assert failed["ErrorMessage"].endswith("(line 2)")
    corrected = (tmp_path / FAIL).read_bytes().replace(b">1,00<", b">1.00<")
    assert command("apply", "--config", settings, stdin=corrected).code == 0
    assert [str(row["amount"]) for row in payments_of(sandbox, "CW-1")] == ["1.00"]


def test_broken_configuration_ends_with_78_and_every_fault(folders, sandbox, tmp_path):
    """The process says each fault of the configuration with key and mend; nothing is sent, both results are empty."""
    settings = configure(folders, sandbox.url, connectwise={"company": "", "sight": "x"}, inbox={"settle_seconds": -1})
    (tmp_path / SUCCESS).write_bytes(GOOD)
    ended = program("apply", "--config", settings, folder=tmp_path, stdin=GOOD)
    assert ended.code == 78
    for key in ("connectwise.company", "connectwise.sight", "inbox.settle_seconds", "Did you mean site?"):
        assert key in ended.err
    assert numbers(tmp_path / SUCCESS) == numbers(tmp_path / FAIL) == []
    assert sandbox.books()["writes"] == []


def test_fail_file_can_be_given_as_it_lies(folders, sandbox, tmp_path):
    """The fail file of an earlier run is read before its place is taken by the results of this one."""
    settings = configure(folders, sandbox.url)
    (tmp_path / FAIL).write_bytes(GOOD)
    assert command("apply", FAIL, "--config", settings).code == 0
    assert numbers(tmp_path / SUCCESS) == numbers(GOOD)
    assert numbers(tmp_path / FAIL) == []


def test_document_without_payments_is_done(settings, tmp_path):
    """An empty list of payments is no fault: two empty result files and exit code 0."""
    assert command("apply", "<ArrayOfUpdateInvoicePayment/>", "--config", settings).code == 0
    assert numbers(tmp_path / SUCCESS) == numbers(tmp_path / FAIL) == []


def test_applying_again_changes_nothing(settings, sandbox):
    """A repeated document succeeds again, is reported as unchanged, and is written once."""
    assert command("apply", GOOD.decode(), "--config", settings).code == 0
    again = command("apply", GOOD.decode(), "--config", settings)
    assert again.code == 0
    assert "applied 0.00 + unchanged 100.00" in again.err
    assert len(sandbox.books()["writes"]) == 1


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["sums", "json"])
def test_reader_that_goes_away_costs_no_result(settings, sandbox, tmp_path, options):
    """Where nobody takes what is logged and printed, as behind `head`, payments are set and both files are whole."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as nobody:
        ended = subprocess.run(
            [sys.executable, "-m", "watcher", "apply", MIXED.decode(), *options, "--config", str(settings)],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=nobody,
            stderr=nobody,
            timeout=PATIENCE,
            check=False,
        )
    assert ended.returncode == 1
    assert (numbers(tmp_path / SUCCESS), numbers(tmp_path / FAIL)) == (["CW-1"], ["CW-404"])
    assert len(payments_of(sandbox, "CW-1")) == 1


@pytest.mark.parametrize("option", ["--success-file", "--fail-file"])
def test_result_that_has_no_place_stops_before_any_payment(settings, sandbox, tmp_path, option):
    """A result file that cannot be written is reported before money moves."""
    ended = command("apply", GOOD.decode(), option, tmp_path / "nowhere" / "result.xml", "--config", settings)
    assert ended.code in (2, 78)
    assert "nowhere" in ended.err
    assert sandbox.books()["writes"] == []


def test_one_file_cannot_take_both_results(settings, sandbox, tmp_path):
    """The same file for successes and failures would lose one of them: a fault of usage, before money moves."""
    ended = command(
        "apply", MIXED.decode(), "--success-file", "r.xml", "--fail-file", tmp_path / "r.xml", "--config", settings
    )
    assert ended.code == 2
    assert sandbox.books()["writes"] == []


@pytest.mark.parametrize(
    ("content", "code", "shown"),
    [
        pytest.param(
            document(("CW-1", "120.00", "2016-09-22"), ("CW-404", "10.00"), ("CW-2", "1,00")),
            1,
            [
                ("CW-1", "120.00", "create 100.00 on 2016-09-22", "20.00 discarded"),
                ("CW-404", "10.00", "reject", "Cannot find Invoice Number CW-404"),
                ("CW-2", "1,00", "reject", 'PaidAmount "1,00" is not an amount'),
            ],
            id="good and bad",
        ),
        pytest.param(document(("CW-2", "20.00")), 0, [("CW-2", "20.00", "create 20.00, no date", "")], id="all good"),
        pytest.param(b"<Orders/>", 2, [], id="unusable"),
        pytest.param(b"<InvoicePayments/>", 0, [], id="no payment"),
    ],
)
def test_dry_run_prints_the_plan_and_writes_nothing(settings, sandbox, tmp_path, content, code, shown):
    """--dry-run shows a row a record, in order, with what would be done; no file appears and no call writes."""
    before = tree(tmp_path)
    ended = command("apply", "--dry-run", "--config", settings, stdin=content)
    assert ended.code == code
    rows = plan_rows(ended.out)
    assert ("holds no payment" in ended.out) == (code == 0 and not shown)
    assert [tuple(row[1:4]) for row in rows] == [row[:3] for row in shown]
    for row, (*_, note) in zip(rows, shown, strict=True):
        assert note in row[4]
    assert tree(tmp_path) == before
    assert sandbox.books()["writes"] == []
    assert not [request for request in sandbox.books()["requests"] if not request.startswith("GET ")]


def test_dry_run_shows_what_a_run_would_change(settings):
    """What is planned for payments that ConnectWise has already: keep, or change to the new amount."""
    assert command("apply", document(("CW-1", "100.00"), ("CW-2", "20.00")).decode(), "--config", settings).code == 0
    again = document(("CW-1", "100.00"), ("CW-2", "100.00")).decode()
    kept, changed = plan_rows(command("apply", again, "--dry-run", "--config", settings).out)
    assert kept[1:4] == ["CW-1", "100.00", "keep as it is"]
    assert changed[1:4] == ["CW-2", "100.00", "change to 100.00, date 2016-09-22"]
    assert "The earlier amount 20.00" in changed[4]


def test_plan_is_printed_for_programs(settings, sandbox):
    """--dry-run --json: an object a record, in order, with what would be set; nothing is written."""
    given = document(("CW-1", "120.00", "2016-09-22"), ("CW-404", "10.00"), ("CW-2", "1,00"))
    ended = command("apply", "--dry-run", "--json", "--config", settings, stdin=given)
    assert ended.code == 1
    create, unknown, unreadable = json.loads(ended.out)["records"]
    assert create == {
        "record": 1,
        "line": 3,
        "invoice_number": "CW-1",
        "number_in_file": None,
        "asked": "120.00",
        "would": "create",
        "amount": "100.00",
        "date": "2016-09-22",
        "note": create["note"],
    }
    assert "20.00 discarded" in create["note"]
    assert (unknown["would"], unknown["note"]) == ("reject", "Cannot find Invoice Number CW-404")
    assert (unreadable["would"], unreadable["asked"], unreadable["amount"]) == ("reject", None, None)
    assert sandbox.books()["writes"] == []


@pytest.mark.parametrize(
    ("sections", "export", "row"),
    [
        pytest.param(
            {"inbox": {"transform": "xero"}, "transform": {"remove_prefix": "INV/", "add_prefix": "CW-"}},
            "<Response><Invoices>{}</Invoices></Response>",
            "<Invoice><Type>ACCREC</Type><Status>PAID</Status><InvoiceNumber>{}</InvoiceNumber>"
            "<AmountPaid>5.00</AmountPaid><FullyPaidOnDate>2016-09-22</FullyPaidOnDate></Invoice>",
            id="xml",
        ),
        pytest.param(
            {"inbox": {"transform": "csv"}, "csv": {**SECTION, "remove_prefix": "INV/", "add_prefix": "CW-"}},
            "Invoice,Paid,Date\n{}",
            "{},5.00,2016-09-22\n",
            id="table",
        ),
    ],
)
def test_a_number_that_a_prefix_changed_is_shown_as_it_stands_in_the_file(
    folders, sandbox, tmp_path, sections, export, row
):
    """The plan, and the fail file, name both numbers: a person finds the payment in the export."""
    config = configure(folders, sandbox.url, **sections)
    (tmp_path / "export").write_text(export.format("".join(map(row.format, ("INV/1", "404", "CW-2")))))
    plan = command("apply", "export", "--dry-run", "--config", config)
    assert [tuple(row[1:3]) for row in plan_rows(plan.out)] == [("INV/1", "CW-1"), ("404", "CW-404"), ("CW-2", "CW-2")]
    told = json.loads(command("apply", "export", "--dry-run", "--json", "--config", config).out)["records"]
    assert [row["number_in_file"] for row in told] == ["INV/1", "404", None]
    tried = command("try", "export", "--config", config)
    assert [cell.strip() for cell in tried.out.partition("CW-404")[0].rsplit("│", 2)[-2:]] == ["404", ""]
    told = json.loads(command("try", "export", "--json", "--config", config).out)["records"]
    assert [(row["number_in_file"], row["invoice_number"]) for row in told] == [
        ("INV/1", "CW-1"),
        ("404", "CW-404"),
        (None, "CW-2"),
    ]
    assert command("apply", "export", "--config", config).code == 1
    failed = one(tmp_path.glob("*_fail.*")).read_text()
    assert "Cannot find Invoice Number CW-404" in failed
    assert re.search(r"<NumberInFile>404<|^404,", failed, re.MULTILINE)


def plan_rows(shown):
    """Return the cells of the plan, a list for each row; what is folded within a cell is put together again."""
    rows = []
    for line in shown.splitlines():
        if line.startswith("│"):
            cells = [cell.strip() for cell in line.strip("│").split("│")]
            if cells[0]:
                rows.append(cells)
            else:
                rows[-1] = [f"{above} {below}".strip() for above, below in zip(rows[-1], cells, strict=True)]
    return rows


def test_script_gets_a_summary_and_nothing_else_on_standard_output(tmp_path, start_sandbox, folders):
    """Apply --json prints one JSON value: totals that add up, every record, how many wait; the exit code stays."""
    sandbox = start_sandbox(invoice("CW-1", "100.00"))
    data = document(("CW-1", "120.00"), ("CW-404", "5.00"))
    done = command("apply", "--json", "--config", configure(folders, sandbox.url), stdin=data)
    said = json.loads(done.out)
    assert done.code == 1
    assert said["totals"] == {
        "records": 2, "succeeded": 1, "rejected": 1,
        "asked": "125.00", "applied": "100.00", "unchanged": "0.00", "discarded": "20.00", "failed": "5.00",
    }  # fmt: skip
    assert [row["outcome"] for row in said["records"]] == ["applied", "rejected"]
    assert said["waiting"] == 0


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["sums", "json"])
def test_words_that_are_no_text_are_shown_and_written_all_the_same(folders, sandbox, tmp_path, options):
    """A refusal with half a letter in it stands in the fail file and on the terminal, as an escape."""
    refusal = page(400, '{"code":"InvalidObject","message":"half \\ud800 a letter","errors":null}')
    with Unreliable(sandbox.url, Strike(refusal, "POST")) as network:
        ended = command("apply", *options, "--config", configure(folders, network.url), stdin=GOOD)
    assert ended.code == 1, ended.err
    (failed,) = records(tmp_path / FAIL)
    assert failed["ErrorMessage"] == r"half \ud800 a letter"
    assert r"half \ud800 a letter" in ended.err


REFUSED = page(403, '{"code":"Security","message":"You do not have security permission to perform this action."}')


THREE = document(*((f"CW-{number}", "100.00") for number in range(1, 4)))


def test_a_payment_that_connectwise_never_takes_is_rejected_after_a_minute(folders, sandbox, tmp_path, monkeypatch):
    """The others are applied, its words land in the fail file, and the exit code is that of failed payments."""
    monkeypatch.setattr("watcher.cli.apply.Lifetime", Hurried)
    with Unreliable(sandbox.url, Strike(REFUSED, "POST", "/1001/")) as network:
        ended = command("apply", THREE.decode(), "--config", configure(folders, network.url))
    assert ended.code == 1, ended.err
    (failed,) = records(tmp_path / FAIL)
    assert failed["InvoiceNumber"] == "CW-1"
    assert "You do not have security permission" in failed["ErrorMessage"]
    assert numbers(tmp_path / SUCCESS) == ["CW-2", "CW-3"]


def test_a_payment_alone_that_connectwise_never_takes_is_rejected_as_well(folders, sandbox, tmp_path, monkeypatch):
    """Its invoice can be looked up meanwhile."""
    monkeypatch.setattr("watcher.cli.apply.Lifetime", Hurried)
    with Unreliable(sandbox.url, Strike(REFUSED, "POST", "/1001/")) as network:
        ended = command("apply", GOOD.decode(), "--config", configure(folders, network.url))
    assert ended.code == 1, ended.err
    assert numbers(tmp_path / FAIL) == ["CW-1"]


def test_all_payments_refused_is_a_missing_right(folders, sandbox, tmp_path):
    """Nothing is rejected, and the exit code is that of a refused sign-in."""
    with Unreliable(sandbox.url, Strike(REFUSED, "POST")) as network:
        ended = command("apply", THREE.decode(), "--config", configure(folders, network.url))
    assert ended.code == 77, ended.err
    assert records(tmp_path / FAIL) == []
    assert "holds up invoice CW-1 (line 3) and 2 more" in " ".join(ended.err.split())


# --- tables ----------------------------------------------------------------------------------------------------------

TABLES = {"inbox": {"transform": "csv"}, "csv": {"number": "Invoice", "amount": "Paid", "date": "Date"}}


def test_results_of_a_table_are_tables(folders, sandbox, tmp_path):
    """Their usual names end in .csv; those that are asked for are used as they are; XML has XML results as ever."""
    config = configure(folders, sandbox.url, **TABLES)
    (tmp_path / "export.csv").write_bytes(b"Invoice,Paid,Date\nCW-1,100.00,2016-09-22\nCW-404,1.00,2016-09-22\n")
    assert command("apply", "export.csv", "--config", config).code == 1
    success, fail = (tmp_path / name.replace(".xml", ".csv") for name in (SUCCESS, FAIL))
    assert success.read_bytes() == b"Invoice,Paid,Date,WarningMessage\nCW-1,100.00,2016-09-22,\n"
    assert fail.read_bytes().endswith(b"CW-404,1.00,2016-09-22,Cannot find Invoice Number CW-404\n")
    assert not (tmp_path / SUCCESS).exists()
    assert command("apply", "export.csv", "--fail-file", "bad.txt", "--config", config).code == 1
    assert (tmp_path / "bad.txt").read_bytes() == fail.read_bytes()
    assert command("apply", GOOD.decode(), "--config", config).code == 0
    assert numbers(tmp_path / SUCCESS) == ["CW-1"]


def test_plan_of_a_table_names_its_rows(folders, sandbox, tmp_path):
    """--dry-run writes nothing; a refused table leaves both results empty."""
    config = configure(folders, sandbox.url, **TABLES)
    (tmp_path / "export.csv").write_bytes(b"Invoice,Paid,Date\n\nCW-1,100.00,2016-09-22\nCW-2,x,2016-09-22\n")
    before = tree(tmp_path)
    done = command("apply", "export.csv", "--dry-run", "--config", config)
    assert done.code == 1
    assert "row 4, column Paid" in " ".join(done.out.split())
    assert tree(tmp_path) == before
    (tmp_path / "export.csv").write_bytes(b"Number,Paid,Date\nCW-1,100.00,2016-09-22\n")
    done = command("apply", "export.csv", "--config", config)
    assert done.code == 2
    assert '"Invoice" (csv.number)' in done.err
    assert (tmp_path / FAIL.replace(".xml", ".csv")).read_bytes() == b""
