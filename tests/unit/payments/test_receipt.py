"""Receipts and refusal notes."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from support.receipts import CLAIM, DIGEST, DONE, content_of, written

from watcher.claim import Claim
from watcher.payments.outcomes import Outcome, Result
from watcher.payments.receipt import read_receipt, refusal_note
from watcher.payments.withdrawal import Withdrawal

APPLIED = Result(
    0,
    3,
    "CW-1",
    Outcome.APPLIED,
    Decimal("120.5"),
    Decimal(100),
    warning="20.50 discarded",
    invoice_id=77,
    payment_id=11,
)
REJECTED = Result(1, 8, "CW-34251", Outcome.REJECTED, Decimal("346.34"), message="Cannot find Invoice Number CW-34251")


def test_receipt_holds_the_file_its_records_and_their_sums():
    """Everything a bookkeeper asks about a file later stands in one place."""
    assert content_of(APPLIED, REJECTED) == {
        "file": "payments.xml",
        "claim": "20160922T123000Z_0a1b2c3d",
        "sha256": DIGEST,
        "claimed_at": "2016-09-22T12:30:00+00:00",
        "finished_at": "2016-09-22T12:30:05+00:00",
        "totals": {
            "records": 2,
            "succeeded": 1,
            "rejected": 1,
            "asked": "466.84",
            "applied": "100.00",
            "unchanged": "0.00",
            "discarded": "20.50",
            "failed": "346.34",
        },
        "records": [
            {
                "record": 1,
                "line": 3,
                "invoice_number": "CW-1",
                "outcome": "applied",
                "asked": "120.50",
                "applied": "100.00",
                "unchanged": "0.00",
                "discarded": "20.50",
                "failed": "0.00",
                "message": "20.50 discarded",
                "connectwise_invoice_id": 77,
                "connectwise_payment_id": 11,
            },
            {
                "record": 2,
                "line": 8,
                "invoice_number": "CW-34251",
                "outcome": "rejected",
                "asked": "346.34",
                "applied": "0.00",
                "unchanged": "0.00",
                "discarded": "0.00",
                "failed": "346.34",
                "message": "Cannot find Invoice Number CW-34251",
                "connectwise_invoice_id": None,
                "connectwise_payment_id": None,
            },
        ],
    }


def test_receipt_of_a_refused_file_says_why_and_has_no_records():
    """A file that moved no money has a receipt, too."""
    content = content_of(refusal="line 7: The XML is not well-formed.")

    assert content["refused"] == "line 7: The XML is not well-formed."
    assert content["records"] == []
    assert content["totals"]["asked"] == "0.00"


def test_amount_that_cannot_be_read_stands_as_it_is_written():
    """Nobody takes it for 0.00, and the sums say that they lack it."""
    unreadable = replace(REJECTED, position=2, asked=None, asked_as_written="1,346.34")
    content = content_of(APPLIED, REJECTED, unreadable)

    asked = {"asked": None, "asked_as_written": "1,346.34", "failed": None, "applied": "0.00"}
    assert content["records"][2].items() >= asked.items()
    assert content["totals"].items() >= {"asked": "466.84", "failed": "346.34", "unreadable_amounts": 1}.items()


def test_receipt_of_a_read_file_does_not_speak_of_refusal():
    """The key stands only where it is true."""
    assert "refused" not in content_of(APPLIED)


@pytest.mark.parametrize("results", [(), (APPLIED,), (REJECTED, APPLIED, REJECTED)], ids=len)
@pytest.mark.parametrize("message", ['of a\nlong, "quoted": {way}', "half \ud800 a letter, 漢", ""])
def test_receipt_is_indented_json(results, message):
    """It is written record by record, and looks as if it were written at once."""
    results = [replace(result, message=message) for result in results]
    text = written(results, message or None)
    whole = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    assert text == whole.encode("utf-8", "backslashreplace") + b"\n"


def test_receipt_is_the_same_bytes_whenever_it_is_written():
    """A receipt can be published again after a crash without another content."""
    assert written([APPLIED]) == written((APPLIED,))


@pytest.mark.parametrize(
    "name",
    ["Zahlungen f\u00fcr M\u00e4rz.xml", "\u652f\u6255.xml", 'a"b\\c\nd.xml', "not utf-8 \udcff.xml", "\U0001f4b6.xml"],
    ids=ascii,
)
def test_receipt_holds_any_file_name(name):
    """A name that is no text anywhere else still makes a valid receipt that says it."""
    content = written([], claim=Claim(CLAIM.id, name))

    assert json.loads(content)["file"] == name
    content.decode("utf-8")


def test_receipt_is_readable_for_people():
    """Letters stay letters and each fact has its line."""
    text = written([APPLIED], claim=Claim(CLAIM.id, "M\u00e4rz.xml")).decode()

    assert '  "file": "M\u00e4rz.xml",\n' in text
    assert text.endswith("}\n")


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"file": "payments.xml"}',
        written([APPLIED])[:-20],
        written([APPLIED]).replace(b'"applied"', b'"appleid"'),
        written([APPLIED]).replace(b'"120.50"', b'"a lot"'),
        written([APPLIED]).replace(b'"120.50"', b"null"),
    ],
    ids=["empty", "a list", "no UTF-8", "too little", "cut short", "another outcome", "no amount", "null"],
)
def test_receipt_that_somebody_changed_is_not_guessed_at(damaged):
    """Other files may lie in the archive, too. Only a whole receipt of this program counts."""
    assert read_receipt(damaged) is None


def test_refusal_note_says_what_why_where_and_what_to_do():
    """The person who finds a refused file needs no log."""
    note = refusal_note(
        CLAIM, "payments__20160922T123000Z_0a1b2c3d.xml", "line 7: The XML is not well-formed."
    ).decode()

    assert note.startswith("payments.xml could not be read as a payment document. No payment in it was made.\n")
    assert "\nline 7: The XML is not well-formed.\n" in note
    assert "payments__20160922T123000Z_0a1b2c3d.xml, unchanged" in note
    assert "put it into the inbox" in note


def test_note_about_a_withdrawn_file_finds_no_fault_with_it():
    """The person who finds it learns that another person took it out of work, why, and how it goes on."""
    why = Withdrawal(DONE, "sent twice.").of_file()
    note = refusal_note(CLAIM, "payments__20160922T123000Z_0a1b2c3d.xml", why).decode()

    assert note.startswith("payments.xml was taken out of work by a person.\n")
    assert f"\n{why}\n" in note
    assert "Reason: sent twice. " in why
    assert "put it into the inbox again" in note


def test_refusal_note_holds_any_file_name():
    """A name that is not UTF-8 does not keep the note from being written."""
    note = refusal_note(Claim(CLAIM.id, "\udcff.xml"), "\udcff__x.xml", "It is empty.")

    assert "\\udcff.xml could not be read" in note.decode("utf-8")
