"""One document outside of any folder: what its records come to, and what is known when something holds it up."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.connectwise import invoice, payments_of
from support.documents import document
from support.line import Hurried, connect
from support.network import RESET_AFTER, RESET_BEFORE, UNAVAILABLE_503, WRONG_KEYS_401, Fault, Strike, Unreliable

from watcher.actions import apply as one_document
from watcher.errors import DocumentError, SignInRefused, Stopping, Unreachable
from watcher.lifetime import Lifetime
from watcher.payments.model import Rules
from watcher.payments.outcomes import Outcome, total
from watcher.sandbox import PaymentSeed

TOTAL = "346.34"


def advances(url, data, rules=None, workers=4, lifetime=None):
    """Return how far a document is, whenever it advances; no wait takes time unless it is to be ended."""
    client, by = connect(url, lifetime or Hurried(), concurrency=workers)
    return one_document.apply(data, client, by, rules or Rules())


def apply(*arguments, **named):
    """Set the payments of a document, and return what became of it."""
    return list(advances(*arguments, **named))[-1]


def preview(url, data):
    """Plan a document."""
    return one_document.preview(data, *connect(url, Hurried()), Rules())


def outcomes(applied):
    """Return the outcome of each record, None for one without."""
    return [result and str(result.outcome) for result in applied.results]


def amounts(sandbox, *numbers):
    """Return the amounts of some invoices' payment rows."""
    return [[str(row["amount"]) for row in payments_of(sandbox, number)] for number in numbers]


@pytest.mark.parametrize("count", [2, 3, 50])
def test_records_of_one_invoice_are_summed_and_the_overage_falls_on_the_last(start_sandbox, count):
    """One payment is made, and each record says which part of it is its own."""
    sandbox = start_sandbox(invoice("CW-1", f"{count}.00"), invoice("CW-2", "9.00"))
    data = document(*[("CW-1", "1.00")] * (count - 1), ("CW-1", "3.50"), ("CW-2", "1.00"))

    applied = apply(sandbox.url, data, Rules(sum_duplicates=True))

    assert outcomes(applied) == ["applied"] * (count + 1)
    assert amounts(sandbox, "CW-1", "CW-2") == [[f"{count}.00"], ["1.00"]]
    assert [result.held for result in applied.known] == [Decimal("1.00")] * (count + 1)
    assert [result.discarded for result in applied.known] == [*[Decimal("0.00")] * (count - 1), Decimal("2.50"), 0]
    assert f"{count} records of this invoice were added up" in applied.results[0].warning


@pytest.mark.parametrize("count", [2, 50])
def test_bad_record_among_summed_ones_leaves_the_invoice_alone(start_sandbox, count):
    """A sum without one of its parts is a wrong amount; other invoices are paid."""
    sandbox = start_sandbox(invoice("CW-1", "99.00"), invoice("CW-2", "9.00"))
    data = document(*[("CW-1", "1.00")] * (count - 1), ("cw-1", "3,50"), ("CW-2", "1.00"))

    applied = apply(sandbox.url, data, Rules(sum_duplicates=True))

    assert outcomes(applied) == [*["rejected"] * count, "applied"]
    assert amounts(sandbox, "CW-1", "CW-2") == [[], ["1.00"]]


def test_every_record_gets_its_result_in_the_order_of_the_document(start_sandbox):
    """Good ones, unknown ones, unreadable ones and doubles: each result stands where its record stands."""
    sandbox = start_sandbox(
        invoice("CW-1", TOTAL),
        invoice("CW-2", TOTAL, payments=(PaymentSeed(Decimal("1.00")),)),
        invoice("CW-3", TOTAL),
        invoice("CW-4", TOTAL, payments=(PaymentSeed(Decimal("5.00")),)),
    )
    data = document(
        ("NONE", "1.00"),
        ("CW-1", "400.00"),
        ("CW-3", "1.00"),
        ("CW-2", "1,346.34"),
        ("cw-3", "2.00"),
        ("CW-4", "5.00"),
    )
    applied = apply(sandbox.url, data)
    assert applied.held_up_by is None
    assert outcomes(applied) == ["rejected", "applied", "rejected", "rejected", "rejected", "unchanged"]
    assert [result.position for result in applied.known] == [*range(6)]
    assert applied.results[0].message == "Cannot find Invoice Number NONE"
    assert "53.66 discarded" in applied.results[1].warning
    assert amounts(sandbox, "CW-1", "CW-2", "CW-3", "CW-4") == [[TOTAL], ["1.00"], [], ["5.00"]]


def test_asked_is_applied_unchanged_discarded_and_failed(start_sandbox):
    """The sums of a document add up to the cent."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL), invoice("CW-2", "5.00", payments=(PaymentSeed(Decimal("2.00")),)))
    sums = total(apply(sandbox.url, document(("CW-1", "400.00"), ("CW-2", "2.00"), ("NONE", "0.07"))).known)
    assert (sums.asked, sums.applied, sums.unchanged, sums.discarded, sums.failed) == tuple(
        map(Decimal, ("402.07", TOTAL, "2.00", "53.66", "0.07"))
    )


def test_summed_records_are_each_reported(start_sandbox):
    """Where duplicates are added up, one payment is made and every record behind it has its part."""
    sandbox = start_sandbox(invoice("CW-1", "100.00"))
    applied = apply(sandbox.url, document(("CW-1", "60.00"), ("cw-1", "70.00")), Rules(sum_duplicates=True))
    assert [result.held for result in applied.known] == [Decimal("60.00"), Decimal("40.00")]
    assert amounts(sandbox, "CW-1") == [["100.00"]]
    assert len(sandbox.books()["writes"]) == 1


def test_document_applied_again_changes_nothing(start_sandbox):
    """Whoever is not sure gives the same input again."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL), invoice("CW-2", TOTAL))
    data = document(("CW-1", TOTAL), ("CW-2", "1.00"))
    assert outcomes(apply(sandbox.url, data)) == ["applied"] * 2
    assert outcomes(apply(sandbox.url, data)) == ["unchanged"] * 2
    assert len(sandbox.books()["writes"]) == 2


def test_progress_is_reported(start_sandbox):
    """All records are there before the first call, then more and more of them have a result."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL))
    document_of_three = document(("CW-1", TOTAL), ("NONE", "1.00"), ("CW-2", "£5"))
    known = []
    for applied in advances(sandbox.url, document_of_three):
        assert len(applied.results) == 3
        known.append(len(applied.known))
    assert (known[0], known[-1]) == (0, 3)
    assert known == sorted(known)


@pytest.mark.parametrize(
    "data",
    [b"", b"not XML", document(("CW-1", TOTAL))[:-10], b"<ArrayOfSomethingElse/>"],
    ids=["empty", "no XML", "cut off", "another schema"],
)
def test_what_is_no_payment_document_moves_no_money(start_sandbox, data):
    """It is read whole before anything is sent: not even a look-up is made."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL))
    with Unreliable(sandbox.url) as network:
        seen = []
        with pytest.raises(DocumentError):
            seen.extend(advances(network.url, data))
        assert network.requests == []
    assert seen == []


def test_empty_document_has_no_results():
    """No records, no calls, nothing held up."""
    applied = apply("http://127.0.0.1:1", b"<ArrayOfUpdateInvoicePayment/>")
    assert (applied.results, applied.known, applied.held_up_by) == ((), [], None)


@pytest.mark.parametrize(
    ("fault", "owner"), [(WRONG_KEYS_401, SignInRefused), (UNAVAILABLE_503, Unreachable)], ids=["sign-in", "outage"]
)
def test_what_is_known_when_something_holds_it_up_is_given(start_sandbox, fault, owner):
    """The records that were decided have their results, the others none; nobody is told that they failed."""
    numbers = [f"CW-{ordinal}" for ordinal in range(6)]
    sandbox = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    data = document(("NONE", "1.00"), *((number, TOTAL) for number in numbers), ("CW-9", "£5"))
    with Unreliable(sandbox.url, Strike(fault, "POST", nth=tuple(range(3, 99)))) as network:
        applied = apply(network.url, data, workers=1)
        assert type(applied.held_up_by) is owner
        assert outcomes(applied) == ["rejected", "applied", "applied", None, None, None, None, "rejected"]
        assert len(applied.known) == 4
        network.strike()
        again = apply(network.url, data, workers=1)
    assert outcomes(again) == ["rejected", "unchanged", "unchanged", *["applied"] * 4, "rejected"]
    assert amounts(sandbox, *numbers) == [[TOTAL]] * 6


def test_connectwise_that_is_away_leaves_everything_undecided():
    """Nothing can be looked up, so nothing is known but what needs no look-up."""
    applied = apply("http://127.0.0.1:1", document(("CW-1", TOTAL), ("CW-2", "£5")))
    assert type(applied.held_up_by) is Unreachable
    assert outcomes(applied) == [None, "rejected"]


def test_answer_of_a_payment_that_was_lost_is_found_out(start_sandbox):
    """Among others a payment whose answer was lost is read back, and known in the end."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL), invoice("CW-2", TOTAL))
    with Unreliable(sandbox.url, Strike(RESET_AFTER, "POST", nth=2)) as network:
        applied = apply(network.url, document(("CW-1", TOTAL), ("CW-2", TOTAL)), workers=1)
    assert applied.held_up_by is None
    assert outcomes(applied) == ["applied", "applied"]


@pytest.mark.parametrize("fault", [RESET_AFTER, RESET_BEFORE], ids=["acted", "did not act"])
def test_lost_answer_of_the_only_payment_is_found_out_as_well(start_sandbox, fault):
    """One lost answer is no outage: it is read back before anything else, and the payment ends as known, and once."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL))
    with Unreliable(sandbox.url, Strike(fault, "POST", nth=1)) as network:
        applied = apply(network.url, document(("CW-1", TOTAL)))
    assert outcomes(applied) == ["applied"]
    assert amounts(sandbox, "CW-1") == [[TOTAL]]


def test_being_asked_to_stop_gives_what_is_known(start_sandbox):
    """Ctrl-C within a document ends it between two payments, and those that were made are told."""
    numbers = [f"CW-{ordinal}" for ordinal in range(6)]
    sandbox = start_sandbox(*(invoice(number, TOTAL) for number in numbers))
    lifetime = Lifetime()
    with Unreliable(sandbox.url, Strike(Fault(meanwhile=lifetime.end), "POST", nth=3)) as network:
        data = document(*((number, TOTAL) for number in numbers))
        applied = apply(network.url, data, workers=1, lifetime=lifetime)
    assert type(applied.held_up_by) is Stopping
    assert outcomes(applied) == ["applied"] * 3 + [None] * 3
    assert len(sandbox.books()["writes"]) == 3


def test_preview_returns_the_plans_and_writes_nothing(start_sandbox):
    """The records, the results of what is rejected before any call, the plans of the rest; the books stay."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL), invoice("CW-2", "5.00", payments=(PaymentSeed(Decimal("2.00")),)))
    data = document(("CW-1", "400.00"), ("CW-9", "£5"), ("CW-2", "3.00"), ("NONE", "1.00"))
    records, rejected, plans = preview(sandbox.url, data)
    assert len(records) == 4
    assert [(result.position, result.outcome) for result in rejected] == [(1, Outcome.REJECTED)]
    assert [(plan.demand.invoice_number, type(plan.step).__name__) for plan in plans] == [
        ("CW-1", "Create"),
        ("CW-2", "Change"),
        ("NONE", "Reject"),
    ]
    assert plans[0].amount == Decimal(TOTAL)
    assert sandbox.books()["writes"] == []


@pytest.mark.parametrize("fault", [WRONG_KEYS_401, UNAVAILABLE_503], ids=["sign-in", "outage"])
def test_preview_that_cannot_ask_says_so(start_sandbox, fault):
    """A plan without ConnectWise would be a guess."""
    sandbox = start_sandbox(invoice("CW-1", TOTAL))
    with (
        Unreliable(sandbox.url, Strike(fault)) as network,
        pytest.raises(SignInRefused if fault is WRONG_KEYS_401 else Unreachable),
    ):
        preview(network.url, document(("CW-1", TOTAL)))


def test_preview_of_what_is_no_document_says_so(start_sandbox):
    """It is read as strictly as when it is applied."""
    with pytest.raises(DocumentError):
        preview(start_sandbox().url, b"not XML")
