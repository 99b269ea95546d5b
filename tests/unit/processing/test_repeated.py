"""A payment of an amount that its invoice holds already: nothing is short in silence, no repetition suspected."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from support.connectwise import another_user, invoice, payments_of
from support.documents import document, invoice_payments
from support.line import Line

from watcher.payments.dated import Dated
from watcher.payments.model import Payment
from watcher.payments.repeated import Asked, Repeat, warning_of

FIRST, SECOND = "2016-09-01", "2016-09-15"
ALREADY = "The invoice held 50.00 already"


@pytest.fixture
def line(folders, start_sandbox):
    """What is behind the inbox, before a ConnectWise with two invoices of 100.00."""
    sandbox = start_sandbox(invoice("CW-1", "100.00"), invoice("CW-2", "100.00"))
    made = Line(folders, sandbox.url, payments={"zero_amount": "remove", "duplicates": "sum"})
    made.sandbox = sandbox
    yield made
    made.close()


def settle(line, *contents):
    """Take files to their end, one batch after the other; give outcome and warning of each record of the last one."""
    for number, content in enumerate(contents):
        claim = line.claim(f"pay{number}.xml", content)
        line.process([claim])
    return [(result.outcome.value, result.warning or "") for result in line.results(claim.id)]


def known_by(external_id, day, amount="50.00", number="CW-1"):
    """Give a document of one payment with an externalId."""
    return invoice_payments(
        {"externalId": external_id, "invoice/identifier": number, "amount": amount, "paymentDate": day}
    )


@pytest.mark.parametrize(
    ("external_id", "day"), [("R-2", FIRST), ("R-1", SECOND), ("R-2", SECOND)], ids=["id", "day", "both"]
)
def test_a_second_instalment_of_the_same_amount_is_unchanged_and_said(line, external_id, day):
    """The total was not sent, so nothing is added, and the payer hears what an amount must be."""
    ((outcome, warning),) = settle(line, known_by("R-1", FIRST), known_by(external_id, day))
    assert outcome == "unchanged"
    assert warning.startswith(ALREADY)
    assert "it was not added. An amount must be the total paid on the invoice so far" in warning
    assert [row["amount"] for row in payments_of(line.sandbox, "CW-1")] == [Decimal("50.00")]


def test_the_very_same_record_again_says_nothing(line):
    """Whatever came in between, and in whichever file: it is a repetition."""
    same, other = known_by("R-1", FIRST), known_by("R-2", SECOND)
    assert settle(line, same, same) == [("unchanged", "")]
    assert settle(line, other, same, other) == [("unchanged", "")]


def test_both_instalments_in_one_batch_are_told_apart(line):
    """The order of files is that of claiming, also where both are in work at once."""
    claims = [line.claim(f"pay{number}.xml", known_by(f"R-{number}", FIRST)) for number in range(2)]
    line.process(claims)
    first, second = (line.results(claim.id)[0] for claim in claims)
    assert (first.outcome.value, first.warning) == ("applied", None)
    assert second.outcome.value == "unchanged"
    assert second.warning.startswith(ALREADY)


@pytest.mark.parametrize(
    ("content", "warned"),
    [
        (document(("CW-1", "50.00", FIRST)), False),
        (document(("cw-1", "50.00", SECOND)), True),
        (document(("CW-1", "20.00", FIRST), ("CW-1", "30.00", FIRST)), False),
        (document(("CW-1", "20.00", SECOND), ("CW-1", "30.00", FIRST)), True),
    ],
    ids=["same day", "another day", "a sum", "a sum with another day"],
)
def test_without_an_external_id_the_day_counts(line, content, warned):
    """A record without one may be any of those with one."""
    told = settle(line, known_by("R-1", FIRST), content)
    assert {outcome for outcome, _ in told} == {"unchanged"}
    assert any(ALREADY in warning for _, warning in told) is warned


def test_a_date_that_is_corrected_is_set_and_said(line):
    """A payment that completes the invoice takes the later file's day; the same warning says that nothing was added."""
    ((outcome, warning),) = settle(line, known_by("R-1", FIRST, "100.00"), known_by("R-1", SECOND, "100.00"))
    assert outcome == "applied"
    assert warning.startswith("The invoice held 100.00 already")
    assert payments_of(line.sandbox, "CW-1")[0]["paymentDate"] == f"{SECOND}T00:00:00Z"


def test_what_the_journal_does_not_know_is_no_second_instalment(line):
    """Somebody entered the payment in ConnectWise: no earlier record of ours is short."""
    another_user(line.sandbox, "POST", "/finance/invoices/1001/payments", {"amount": 50})
    assert settle(line, known_by("R-1", FIRST)) == [("unchanged", "")]


def test_a_total_that_grows_or_exceeds_the_invoice_says_what_it_always_said(line):
    """It is no repetition: the replaced amount, or the overage, is said."""
    ((_, grown),) = settle(line, known_by("R-1", FIRST), known_by("R-2", SECOND, "80.00"))
    assert grown == "The earlier amount 50.00 was replaced by 80.00"
    ((_, over),) = settle(line, known_by("R-3", SECOND, "120.00"), known_by("R-4", SECOND, "120.00"))
    assert "already" not in over
    assert "20.00 discarded" in over


# --- the rule alone ---------------------------------------------------------------------------------------------------

DAY = date(2016, 9, 1)


@pytest.mark.parametrize(
    ("earlier", "warned"),
    [
        ([], False),
        ([Asked("R-1", Dated(DAY))], False),
        ([Asked("R-2", Dated(DAY))], True),
        ([Asked("", Dated(DAY))], False),
        ([Asked("R-1", None)], False),
        ([Asked("R-2", None)], True),
        ([Asked("R-1", Dated(date(2016, 9, 2)))], True),
        ([Asked("R-2", Dated(DAY)), Asked("R-1", Dated(DAY))], False),
    ],
)
def test_a_record_is_another_one_only_if_id_or_day_differ_from_all(earlier, warned):
    """What is not known of an earlier record differs from nothing."""
    repeat = Repeat(Payment(0, 1, "CW-1", Decimal(50), DAY, external_id="R-1"), Decimal(50))
    assert (warning_of(repeat, earlier) is not None) is warned
