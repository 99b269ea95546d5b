"""``try``: how a file would be read, without ConnectWise and without a trace."""

from __future__ import annotations

import json

import pytest
from support.documents import document
from support.program import command, configure, tree
from support.stylesheets import EXPORT, SHEET
from support.tables import DATA, SECTION, table

NOWHERE = "http://127.0.0.1:9"
TABLES = {"inbox": {"transform": "csv"}, "csv": SECTION}


@pytest.fixture
def tried(folders, tmp_path, monkeypatch):
    """Return a function that tries a file, and makes sure that nothing is left of it."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(content, *options, name="export.csv", **sections):
        config = configure(folders, NOWHERE, **(sections or TABLES))
        file = tmp_path / name
        file.write_bytes(content)
        before = tree(tmp_path)
        done = command("try", file, "--config", config, *options)
        assert tree(tmp_path) == before
        return done

    return run


def test_table_that_is_right_shows_what_was_found_and_the_first_rows(tried):
    """Encoding, delimiter, headings, columns, rows and the sum; exit code 0."""
    rows = [f"CW-{number},1.50,2016-09-22" for number in range(30)]
    done = tried(b"Report\n" + table(*rows))
    assert done.code == 0, done.err
    for words in (
        "export.csv is read as a table (CSV).",
        "encoding: UTF-8",
        "delimiter: comma",
        "headings: in row 2",
        "csv.amount: Paid (column 2)",
        "The first 10 of 30 payments",
        "CW-9",
        "1 row: above the headings",
        "30 payments: 30 would go on, 0 would fail.",
        "The amounts add up to 45.00.",
    ):
        assert words in done.out
    assert "CW-10" not in done.out
    table_lines = [line for line in done.out.splitlines() if line[:1] in "┏┃┡│└"]
    assert len(table_lines) == 14
    assert max(map(len, table_lines)) <= 80


def test_rows_that_fail_and_settings_that_are_contradicted_are_named(tried):
    """Amounts that cannot be read are counted apart, and never 0.00; exit code 1."""
    content = table(
        *('CW-1,"1,50",2016-09-22,a', "CW-2,2.00,22/09/2016,a", "CW-3,3.00,2016-09-22,a", "CW-3,3.00,2016-09-22,a"),
        *("CW-4,4.00,2016-09-22,b", "CW-5,0.00,2016-09-22,a", "CW-6,7.00,2016-09-22,a"),
        headings="Invoice,Paid,Date,Type",
    )
    sections = TABLES | {"csv": SECTION | {"only": {"Type": ["a", "c"]}}}
    done = tried(content, **sections)
    assert done.code == 1, done.err
    for words in (
        'csv.decimal, csv.thousands, csv.currency_sign: 1 value contradicts it, such as "1,50" in row 2',
        'csv.date_format: 1 value contradicts it, such as "22/09/2016" in row 3',
        'csv.only: no row has Type "c"',
        '1 row: Type is "b"',
        "row 2, column Paid: ",
        "row 3, column Date: ",
        "Invoice CW-3 stands 2 times in this file",
        "\n  row 7: The amount is zero: nothing to pay.",
        "6 payments: 1 would go on, 5 would fail.",
        "The amounts add up to 15.00 (without 1 that could not be read), of which 8.00 would fail.",
    ):
        assert words in done.out, words
    seen = json.loads(tried(content, "--json", **sections).out)
    assert seen["amounts_unreadable"] == 1
    assert (seen["count"], seen["would_fail"], seen["sum"], seen["left_out"]) == (6, 5, "15.00", {'Type is "b"': 1})
    assert (seen["records"][0]["amount"], seen["records"][0]["amount_as_written"]) == (None, "1,50")
    assert seen["records"][5] == {
        "line": 8,
        "invoice_number": "CW-6",
        "number_in_file": None,
        "amount": "7.00",
        "date": "2016-09-22",
        "external_id": "",
        "currency": "",
        "message": None,
    }


def test_every_column_of_a_setting_is_shown(tried):
    """Also where a setting names several, and one that another setting names, too."""
    section = SECTION | {"external_id": ["Ref", "Invoice"], "only": {"Ref": ["*"], "Date": ["*"]}}
    done = tried(table("CW-1,1.50,2016-09-22,R", headings="Invoice,Paid,Date,Ref"), **TABLES | {"csv": section})
    assert done.code == 0, done.out
    assert "csv.external_id: Ref (column 4), Invoice (column 1)" in done.out
    assert "csv.only: Ref (column 4), Date (column 3)" in done.out
    assert "R / CW-1" in done.out


def test_table_none_of_whose_amounts_can_be_read_has_no_sum(tried):
    """Not 0.00."""
    done = tried(table('CW-1,"1,50",2016-09-22', 'CW-2,"2,50",2016-09-22'))
    assert done.code == 1
    assert "None of the amounts could be read." in done.out
    assert "0.00" not in done.out


@pytest.mark.parametrize("name", ["heading-missing", "excel-workbook", "nul", "no-line-break-at-the-end", "web-page"])
def test_file_that_would_be_refused_says_so(tried, name):
    """The same words as the note beside it; exit code 2."""
    content = (DATA / f"{name}.csv").read_bytes()
    done = tried(content)
    assert done.code == 2
    assert "Refused: " in done.out
    seen = json.loads(tried(content, "--json").out)
    assert seen["refusal"]
    assert seen["records"] == []


def test_other_documents_are_tried_too(tried, tmp_path):
    """A payment document, and what a stylesheet makes of an export; a name that the inbox does not take is told."""
    done = tried(document(("CW-1", "1.00"), ("CW-2", "x")), name="a.xml", inbox={})
    assert done.code == 1
    assert "a.xml is read as a payment document." in done.out
    assert "2 payments: 1 would go on, 1 would fail." in done.out
    (tmp_path / "sage.xsl").write_text(SHEET.format(more="", day="'2016-09-22'"))
    done = tried(EXPORT, name="a.txt", inbox={"transform": str(tmp_path / "sage.xsl")})
    assert "by inbox.transform" in done.out
    assert 'inbox.pattern: the name does not match "*.xml"' in done.out
    assert tried(document(("CW-1", "1.00"))).code == 0


def test_file_that_is_not_there_is_unusable(folders):
    """Exit code 2, and the name."""
    done = command("try", "nothing.csv", "--config", configure(folders, NOWHERE, **TABLES))
    assert done.code == 2
    assert "nothing.csv cannot be read" in done.err
