"""``prove`` against each rule of the stand-in, bent alone: what it finds, what it suggests, and the money after that.

A row of the table says which lines are otherwise than on a plain ConnectWise. No other line may be.
"""

from __future__ import annotations

import re
import tomllib
from contextlib import closing
from dataclasses import dataclass, field, fields
from datetime import date
from decimal import Decimal
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from support.connectwise import invoice, payments_of
from support.day import Day
from support.documents import document, drop, files, records
from support.line import Line

from watcher.sandbox import PaymentSeed, Rules

WRITES = ("--invoice", "TEST-1", "--yes")
AS_IT_WAS = "Test invoice TEST-1 is as it was: no payments, 10.00 to pay."
DAY, OTHER_DAY = "2016-09-22", date(2016, 8, 1)
# Longer than any wait of the daemon that ends by itself (seconds).
ENOUGH = 400


def paid(amount, day=None, **more):
    """Return the payments of a seed."""
    return (PaymentSeed(Decimal(amount), day, **more),)


SEEDS = (
    invoice("CW-1", "100.00"),
    invoice("CW-2", "100.00", payments=paid("40.00")),
    invoice("CW-3", "100.00"),
    invoice("CW-4", "100.00", payments=paid("40.00")),
    invoice("CW-5", "100.00", payments=paid("100.00", OTHER_DAY)),
    invoice("CW-6", "120.00", tax=Decimal(20)),
    invoice("CW-7", "100.00", down_payment=Decimal(40)),
    invoice("CW-8", "100.00", payments=paid("25.00", credit="MEMO-1")),
    invoice("CW-9", "100.00"),
    invoice("TEST-1", "10.00", type="Miscellaneous"),
)
# New, changed, too much, removed, and from whole to a part; on a tax, a down payment, a credit; in other letters.
FIRST = [
    *(("CW-1", "60.00"), ("CW-2", "70.00"), ("CW-3", "150.00"), ("CW-4", "0.00"), ("CW-5", "30.00")),
    *(("CW-6", "120.00"), ("CW-7", "100.00"), ("CW-8", "100.00"), ("cw-9", "100.00")),
]
SECOND = [("CW-1", "100.00"), ("CW-2", "30.00"), ("CW-3", "0.00")]
# What is paid on each invoice before, and what is paid after both files on a plain ConnectWise.
BEFORE = {key: [] for key in ("CW-1", "CW-3", "CW-6", "CW-7", "CW-8", "CW-9")} | {
    "CW-2": [("40.00", None)],
    "CW-4": [("40.00", None)],
    "CW-5": [("100.00", str(OTHER_DAY))],
}
AFTER = {
    "CW-1": [("100.00", DAY)],
    "CW-2": [("30.00", None)],
    "CW-3": [],
    "CW-4": [],
    "CW-5": [("30.00", None)],
    "CW-6": [("120.00", DAY)],
    "CW-7": [("60.00", DAY)],
    "CW-8": [("75.00", DAY)],
    "CW-9": [("100.00", DAY)],
}


def shifted(day):
    """Return what is paid in the end where every date is another day."""
    return {number: [(amount, kept and day) for amount, kept in rows] for number, rows in AFTER.items()}


@dataclass(frozen=True)
class Row:
    """A ConnectWise that differs.

    Attributes:
        rules: how.
        looked: the lines that tell it without a write, by the name of the assumption.
        tried: the lines that tell it with a test invoice only.
        suggests: the settings that are suggested.
        codes: the exit status without and with a test invoice.
        says: what else stands in the output with a test invoice.
        paid: the invoices on which something else is paid in the end than on a plain ConnectWise.
        told: words in a result file, by invoice, where something else is paid.
        waits: words in the reason why a file waits in the end.
        awaited: the last payment may still come, so the notes stay.
    """

    rules: dict[str, object]
    looked: dict[str, str] = field(default_factory=dict)
    tried: dict[str, str] = field(default_factory=dict)
    suggests: dict[str, dict[str, object]] = field(default_factory=dict)
    codes: tuple[int, int] = (0, 0)
    says: str = AS_IT_WAS
    paid: dict[str, list[tuple[str, str | None]]] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    waits: str = ""
    awaited: bool = False


def a_setting(section, key, value):
    """Return the settings with one key."""
    return {section: {key: value}}


LIST_FIRST = a_setting("connectwise", "list_first", value=True)
PUT_DATE = a_setting("connectwise", "clear_date", "put")
HIDDEN = "differs  the payments of 1 invoice (CW-2) cannot be listed"
UNLISTED = "The payments of invoice TEST-1 cannot be listed, and nothing was written"
NOT_MADE = 'differs  a new payment is answered by 500 "String was not recognized as a valid DateTime."'
NOT_ALLOWED = {"rights": "give the API member's role Add in Finance > Invoicing and in Finance > Accounting Interface"}
LOST = {"lost_answer": "differs  the answer to a new payment is lost"}
NO_BALANCE = "the program reads each invoice by its id, too, which is one more request"
ALWAYS_LISTED = "the program lists the payments after each new one, which is one more request"

ROWS = {
    "a plain one": Row({}),
    # --- what an invoice is worth
    "version": Row({"version": "v2026.4.1"}, says="Proved on ConnectWise v2026.4.1 (on premise)"),
    "tax on top": Row(
        {"total_without_tax": True}, {"arithmetic": "holds    balance = total + tax - payments - credits on 1 of 10"}
    ),
    "less the down payment": Row(
        {"total_without_down_payment": True},
        {"arithmetic": "holds    balance = total - payments - credits on 10 of 10 invoices"},
    ),
    "three decimals": Row({"total_decimals": 3}),
    "four decimals": Row({"total_decimals": 4}),
    # --- the search
    "no balance in lists": Row(
        {"balance_in_lists": False},
        {"fields": f"holds    lists of invoices show no balance: {NO_BALANCE}", "arithmetic": "on 4 of 5 invoices"},
    ),
    "no credits in lists": Row(
        {"credits_in_lists": False},
        {"fields": "show no credits: the program goes by the balance", "arithmetic": "on 4 of 5 invoices"},
    ),
    "a search that lags": Row(
        {"search_lag_seconds": 8},
        tried={"freshness": "differs  a look-up shows a new payment only after 10 seconds"},
        suggests=LIST_FIRST,
        codes=(0, 1),
    ),
    "a search that finds nothing": Row(
        {"search_works": False},
        {
            "found_by_number": "differs  an invoice is not found by its number",
            "found_by_id": "differs  an invoice is not found by its id",
        },
        codes=(2, 2),
        says="ConnectWise finds no invoice TEST-1, and no other one that is there: its search does not work.",
        paid=BEFORE,
        told={number.upper(): f"Cannot find Invoice Number {number}" for number, _ in FIRST},
    ),
    **{f"pages of {size}": Row({"largest_page": size}) for size in (25, 100)},
    "letter case": Row(
        {"numbers_by_case": True},
        {"letter_case": "look     letter case matters when ConnectWise looks for a number: write numbers exactly"},
        paid={"CW-9": []},
        told={"CW-9": "Cannot find Invoice Number cw-9"},
    ),
    # --- new payments
    "a second payment is accepted": Row(
        {"second_payment": "accepted"},
        tried={
            "second_payment": "differs  a second payment on an invoice is accepted: your ConnectWise allows double",
            "after_second": "holds    the first payment is whole after the second is removed",
        },
        suggests=LIST_FIRST,
        codes=(0, 1),
    ),
    "a second payment replaces the first": Row(
        {"second_payment": "replaces"},
        tried={"second_payment": "holds    a second payment takes the place of the first and has its id"},
    ),
    "an overpayment is accepted": Row(
        {"overpayment": "accepted"},
        tried={"overpayment": "holds    ConnectWise takes more than is to pay: the program's own limit is the only"},
    ),
    "an overpayment is cut": Row(
        {"overpayment": "cut"}, tried={"overpayment": "holds    ConnectWise cuts what is more than is to pay to 10.00"}
    ),
    # The program sends no payment of nothing, so nothing is tried.
    "no payment of nothing": Row({"zero_accepted": False}),
    "no balance in answers": Row(
        {"invoice_balance": "missing"},
        tried={
            "invoice_balance": f"holds    the answer to a new payment does not say what is left to pay: {ALWAYS_LISTED}"
        },
    ),
    "an old balance in answers": Row(
        {"invoice_balance": "stale"},
        tried={"invoice_balance": f"says that 10.00 is left to pay, and not 8.89: {ALWAYS_LISTED}"},
    ),
    "too low a balance in answers": Row(
        {"invoice_balance": "low"},
        tried={
            "invoice_balance": "says that 7.78 is left to pay, and not 8.89: the program lists the payments and reads"
        },
    ),
    "no id in answers": Row(
        {"id_in_answers": False},
        tried={"id_in_answer": f"holds    the answer to a new payment shows no id: {ALWAYS_LISTED}"},
    ),
    # --- writes that are refused
    "PATCH fails": Row(
        {"change_fails": True},
        tried={"change": "differs  a PATCH of a payment is answered by 500"},
        suggests=a_setting("connectwise", "change_by", "put"),
        codes=(0, 1),
    ),
    "refusals are 500s": Row(
        {"refusal_status": 500},
        tried={"refusals": "holds    a payment that ConnectWise refuses is answered by 500: the program tries such a"},
    ),
    "all is refused": Row({"refuses_all": 403}, tried=NOT_ALLOWED, codes=(0, 77), paid=BEFORE),
    "all fails": Row({"refuses_all": 500}, tried={"new_payment": NOT_MADE}, codes=(0, 2), paid=BEFORE),
    "the test invoice is refused": Row({"refuses": ("TEST-1",)}, tried=NOT_ALLOWED, codes=(0, 77)),
    "the test invoice fails": Row({"fails": ("TEST-1",)}, tried={"new_payment": NOT_MADE}, codes=(0, 2)),
    # Nothing is written to other invoices, so nothing is found there. The daemon tells it.
    "another invoice is refused": Row({"refuses": ("CW-1",)}, paid={"CW-1": []}, told={"CW-1": "not allow this (403)"}),
    "another invoice fails": Row({"fails": ("CW-1",)}, paid={"CW-1": []}, told={"CW-1": "ConnectWise answered 500"}),
    "a GL batch": Row(
        {"batched": ("CW-2",)},
        {"gl_batch": "look     1 of 3 payments are in a GL batch (CW-2): ConnectWise may refuse to change"},
        paid={"CW-2": [("40.00", None)]},
        told={"CW-2": "is in GL batch GL-1, which is closed"},
    ),
    "a GL batch, refused by 500": Row(
        {"batched": ("CW-2",), "refusal_status": 500},
        {"gl_batch": "look     1 of 3 payments are in a GL batch (CW-2)"},
        {"refusals": "is answered by 500"},
        paid={"CW-2": [("40.00", None)]},
        told={"CW-2": "which is closed. (glBatchID). Read back afterwards, payment 500001 on the invoice still has"},
    ),
    "payments that cannot be listed": Row(
        {"hides": ("CW-2",)},
        {"rows": f'{HIDDEN} (500 "String'},
        codes=(2, 2),
        paid={"CW-2": [("40.00", None)]},
        waits="ConnectWise answered 500",
    ),
    "payments that may not be listed": Row(
        {"hides": ("CW-2",), "hides_status": 403},
        {"rows": f'{HIDDEN} (403 "You do not have'},
        codes=(2, 2),
        paid={"CW-2": [("40.00", None)]},
        waits="not allow this (403)",
    ),
    "test payments that cannot be listed": Row(
        {"hides": ("TEST-1",)}, {"rows": "(TEST-1) cannot be listed"}, codes=(2, 2), says=UNLISTED
    ),
    "test payments that may not be listed": Row(
        {"hides": ("TEST-1",), "hides_status": 403},
        {"rows": "give the API member's role Finance > Accounting Interface: Inquire All"},
        codes=(2, 77),
        says=UNLISTED,
    ),
    # --- dates
    "dates a day later": Row(
        {"date_shift_days": 1},
        tried={"date": "1 day off: amounts are right, and each payment bears a wrong day"},
        codes=(0, 2),
        paid=shifted("2016-09-23"),
    ),
    "dates by the server": Row(
        {"date_by_server": True},
        tried={
            "undated": "differs  a payment without a date gets one",
            "clear_date": "unknown  how a date is taken off was not tried: ConnectWise dates payments by itself",
        },
        suggests=a_setting("payments", "date_partial_payments", value=True),
        codes=(0, 1),
        paid=shifted(DAY) | {"CW-2": [("30.00", DAY)], "CW-5": [("30.00", DAY)]},
    ),
    "a removal of a date is refused": Row(
        {"date_removal": "refused"},
        tried={"clear_date": 'differs  a removed date stays (400 "invoicePayment object is invalid'},
        suggests=PUT_DATE,
        codes=(0, 1),
    ),
    "a removal of a date fails": Row(
        {"date_removal": "fails"},
        tried={"clear_date": 'differs  a removed date stays (500 "String was not recognized'},
        suggests=PUT_DATE,
        codes=(0, 1),
    ),
    "a removal of a date is ignored": Row(
        {"date_removal": "ignored"},
        tried={"clear_date": "differs  a removed date stays (the answer says that it is gone)"},
        suggests=PUT_DATE,
        codes=(0, 1),
    ),
    "an empty date": Row({"empty_date": True}),
    "an empty date alone": Row(
        {"date_removal": "refused", "empty_date": True},
        tried={"clear_date": "differs  a removed date stays (400"},
        suggests=a_setting("connectwise", "clear_date", "empty"),
        codes=(0, 1),
    ),
    # --- answers that are lost
    "late": Row({"late_seconds": 3}, tried=LOST, codes=(0, 69)),
    "late, after a gateway's page": Row({"late_seconds": 3, "late_answer": "504"}, tried=LOST, codes=(0, 69)),
    "later than the timeout": Row({"late_seconds": 60}, tried=LOST, codes=(0, 69), awaited=True),
}


def test_every_rule_is_in_the_table():
    """So is every value of a rule that has a few of them."""
    bent = {name for row in ROWS.values() for name in row.rules}
    assert bent == {entry.name for entry in fields(Rules)}
    for name, kind in get_type_hints(Rules).items():
        if get_origin(kind) is Literal:
            values = {row.rules[name] for row in ROWS.values() if name in row.rules}
            assert values == set(get_args(kind)) - {getattr(Rules(), name)}


def by_name(report):
    """Return the lines of a report by the names of their assumptions, without figures and days."""
    lines = {}
    for each in report.get("findings", ()):
        words = [re.sub(r"[0-9][0-9.-]*", "#", each[part]) for part in ("what", "means")]
        lines.setdefault(each["name"], []).append((each["verdict"], *words, each["setting"]))
    return lines


PLAIN = {}


@pytest.fixture
def others(prove):
    """Return a function that tells which lines of a report are otherwise than on a plain ConnectWise."""

    def told(report, *arguments):
        if arguments not in PLAIN:
            PLAIN[arguments] = by_name(prove(*SEEDS).report(*arguments))
        return {name for name, lines in by_name(report).items() if lines != PLAIN[arguments].get(name)}

    return told


@pytest.mark.parametrize("name", ROWS)
def test_a_rule_is_found_and_named(prove, others, name):
    """The lines that belong to it tell it, and no other one. The setting is suggested, and the invoice is as it was."""
    row = ROWS[name]
    proof = prove(*SEEDS, **row.rules)
    for arguments, lines, code in (((), row.looked, row.codes[0]), (WRITES, row.looked | row.tried, row.codes[1])):
        report = proof.report(*arguments)
        done = proof.last
        assert done.code == code, done.out + done.err
        if report:
            assert others(report, *arguments) == set(lines)
            assert all(words in done.out for words in lines.values()), done.out
    suggestion = "\n".join(line[2:] for line in done.out.partition("Suggested:\n")[2].splitlines())
    assert tomllib.loads(suggestion) == row.suggests
    assert row.says in done.out + done.err
    assert payments_of(proof.sandbox, "TEST-1") == []
    assert proof.state.exists() == row.awaited
    if row.awaited:
        # The removal comes as late as the payment did.
        for _ in range(2):
            proof.sandbox.pass_time(ENOUGH)
            proof()
        assert AS_IT_WAS in proof.last.out
        assert not proof.state.exists()
        assert payments_of(proof.sandbox, "TEST-1") == []


@pytest.mark.parametrize("name", ROWS)
def test_the_money_is_right_with_what_is_suggested(folders, start_sandbox, name):
    """Each invoice has one payment, of the last amount and with its date; or a result file says why not."""
    row = ROWS[name]
    sandbox = start_sandbox(*SEEDS, rules=Rules(**row.rules))

    class Passing(Day):
        longest = ENOUGH

        def pause(self, seconds):
            super().pause(seconds)
            sandbox.pass_time(seconds)

    sections = {
        **row.suggests,
        "inbox": {"observer": "off", "scan_seconds": 1, "settle_seconds": 0},
        "payments": {"zero_amount": "remove", **row.suggests.get("payments", {})},
    }
    drop(folders.inbox, "a.xml", document(*FIRST))
    drop(folders.inbox, "b.xml", document(*SECOND))
    with closing(Line(folders, sandbox.url, lifetime=Passing(), **sections)) as line, line.service() as service:
        service.run()
        reasons = " ".join(wait.reason for wait in line.waits.all())
    sandbox.pass_time(ENOUGH)
    held = {
        number: [(str(each["amount"]), each["paymentDate"] and each["paymentDate"][:10]) for each in rows]
        for number in AFTER
        for rows in [payments_of(sandbox, number)]
    }
    assert held == AFTER | row.paid
    assert row.waits in reasons
    assert bool(row.waits) is bool(reasons)
    said = [each for file in files(folders.fail) if file.suffix == ".xml" for each in records(file)]
    assert {each["InvoiceNumber"].upper() for each in said} == set(row.told)
    assert all(row.told[each["InvoiceNumber"].upper()] in each["ErrorMessage"] for each in said)
