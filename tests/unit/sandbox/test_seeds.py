"""What the books start with: numbered invoices, and those of a file."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from watcher.sandbox import InvoiceSeed, PaymentSeed, numbered_invoices, read_invoices
from watcher.sandbox.books import Books
from watcher.sandbox.seeds import INVOICE_TYPES


def test_numbered_invoices_are_the_same_every_time() -> None:
    """Numbers run on, totals vary, and the example of the documentation is there."""
    seeds = numbered_invoices(1000)
    assert seeds == numbered_invoices(1000)
    assert [seed.number for seed in seeds[:2]] == ["CW-00001", "CW-00002"]
    assert (seeds[-1].number, seeds[-1].total) == ("CW-34251", Decimal("346.34"))
    assert len({seed.total for seed in seeds}) > 900
    assert [seed.number for seed in numbered_invoices(2, first=34250)] == ["CW-34250", "CW-34251"]


def test_invoices_are_read_from_a_file(tmp_path: Path) -> None:
    """Amounts are read as they are written, as numbers and as strings."""
    path = tmp_path / "invoices.json"
    path.write_text(
        """[{"number": "CW-1", "total": 0.10},
            {"number": "CW-2", "total": "346.3401", "type": "Progress", "tax": 46.34, "down_payment": "9.00",
             "payments": [
                {"amount": 10, "date": "2016-09-22"}, {"amount": 0.3, "credit": "CM-1"}]}]"""
    )
    assert read_invoices(path) == [
        InvoiceSeed("CW-1", Decimal("0.10")),
        InvoiceSeed(
            "CW-2",
            Decimal("346.3401"),
            type="Progress",
            tax=Decimal("46.34"),
            down_payment=Decimal("9.00"),
            payments=(
                PaymentSeed(Decimal(10), date=date(2016, 9, 22)),
                PaymentSeed(Decimal("0.3"), credit="CM-1"),
            ),
        ),
    ]


GOOD = {"number": "CW-1", "total": 1}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[", "cannot be read as JSON"),
        ({"number": "CW-1"}, "no list"),
        ([5], "invoice 1: 5 is not an object"),
        ([GOOD, {"number": "CW-2"}], "invoice 2: total is missing"),
        ([{**GOOD, "balance": 1}], "balance is not known"),
        ([{**GOOD, "number": 1}], "number is 1, not a string"),
        ([{**GOOD, "number": "x" * 16}], "one to 15 characters"),
        ([{**GOOD, "total": "1,5"}], "total is '1,5', not an amount"),
        ([{**GOOD, "total": True}], "total is True, not an amount"),
        ([{**GOOD, "total": 1.00005}], "more than four decimals"),
        ([{**GOOD, "payments": [{"amount": 1.005}]}], "payment 1: amount: amount 1.005 has more than two decimals"),
        ([{**GOOD, "tax": "some"}], "tax is 'some', not an amount"),
        ([{**GOOD, "down_payment": 0.00001}], "the down payment of CW-1: amount 0.00001 has more than four decimals"),
        ([{**GOOD, "type": "Invoice"}], "the type of CW-1 is 'Invoice'"),
        ([{**GOOD, "payments": 5}], "payments is 5, not a list"),
        ([{**GOOD, "payments": [{"amount": -1}]}], "payment 1: amount -1 is negative"),
        ([{**GOOD, "payments": [{"amount": 1, "date": "2016-W38-4"}]}], "not a day"),
    ],
)
def test_a_faulty_file_says_where(tmp_path: Path, content: object, reason: str) -> None:
    """A file of seeds that cannot be used is refused with its name, the place and the cause."""
    path = tmp_path / "invoices.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match=r"invoices\.json: ") as caught:
        read_invoices(path)
    assert reason in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file of seeds that is not there is a ValueError too."""
    with pytest.raises(ValueError, match=r"none\.json"):
        read_invoices(tmp_path / "none.json")


def test_every_documented_type_can_be_seeded() -> None:
    """The types of an invoice are those of the API."""
    books = Books(InvoiceSeed("CW-1", Decimal(1), type=kind) for kind in sorted(INVOICE_TYPES))
    assert {invoice["type"] for invoice in books.snapshot()["invoices"]} == INVOICE_TYPES
