"""A week of receipts of one firm ends in the same books, whichever accounting system exports it."""

from __future__ import annotations

import json
import re
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from support.connectwise import another_user, invoice, payments_of
from support.documents import drop, files, invoice_payments, one
from support.exports import DAYS, EXPORTS, INVOICES, PAID, THURSDAY, WEEK
from support.program import command, toml
from support.scenes import books

from watcher.sandbox import SignIn


class Firm:
    """An installation that ``init`` made for a format, and the books of its ConnectWise."""

    def __init__(self, export, place, sandbox):
        assert command("init", place, "--format", export.name).code == 0
        self.sandbox = sandbox
        self._place = Path(place)
        self._config = self._place / "payment-watcher.toml"
        sign_in = SignIn()
        keys = {name: getattr(sign_in, name) for name in ("company", "client_id", "public_key", "private_key")}
        settings = tomllib.loads(self._config.read_text())
        for section, changes in {
            "connectwise": {"site": sandbox.url, "requests_per_minute": 60000, **keys},
            "journal": {"url": f"sqlite:///{self._place.resolve()}/journal.db"},
            "inbox": {"settle_seconds": 0},
            **export.settings,
        }.items():
            settings[section] = settings.get(section, {}) | changes
        self._config.write_text(toml(settings))

    def take(self, dropped):
        """Take files to their end, and return the messages of what failed, by number."""
        for name, content in dropped.items():
            drop(self._place / "inbox", name, content)
        ended = command("run", "--once", "--config", self._config)
        assert ended.code in (0, 1), ended.err
        assert not any((self._place / ".work").iterdir())
        lines = [line for line in ended.log if line.get("outcome") == "rejected"]
        return {line["invoice_number"]: line["message"] for line in lines}

    def failed(self, number):
        """Return the fail file that holds an invoice."""
        return one(path for path in files(self._place / "fail") if number in path.read_text())

    def told(self, number):
        """Return what history says of an invoice."""
        return json.loads(command("history", number, "--json", "--config", self._config).out)


def expected_sums(number, capped):
    """Return what the accepted payments of an invoice come to, one after another."""
    sums, paid = [], Decimal()
    for receipt in WEEK:
        if number in receipt.parts:
            amount = Decimal(receipt.parts[number])
            paid += min(amount, Decimal(INVOICES[number])) if capped else amount
            sums.append(str(paid))
    return sums


def without_repeats(values):
    """Return values in order, none of them twice in a row."""
    return [value for place, value in enumerate(values) if place == 0 or value != values[place - 1]]


def take_back_by_hand(firm, export, day):
    """Do what ``formats`` asks of a person where an export does not say that a payment was taken back."""
    for receipt in WEEK:
        if receipt.day != day or not receipt.takes_back:
            continue
        ((number, amount),) = receipt.parts.items()
        if export.name == "camt":
            content = firm.failed(f"CW-{number}").read_text()
            assert "The bank took this payment back" in content
            firm.take({f"back-{day}.xml": re.sub("<Reject>.*?</Reject>", "", content, flags=re.DOTALL).encode()})
        elif export.silent:
            record = {"externalId": receipt.id, "invoice/identifier": f"CW-{number}", "amount": amount}
            firm.take({f"back-{day}.xml": invoice_payments(record | {"paymentDate": str(day)})})
        elif not export.each and day == THURSDAY:
            # Of an invoice on which nothing is paid any more, totals say nothing. The other one has a total left.
            invoice_id = next(row["id"] for row in firm.sandbox.books()["invoices"] if row["invoiceNumber"] == "CW-104")
            (row,) = payments_of(firm.sandbox, "CW-104")
            another_user(firm.sandbox, "DELETE", f"/finance/invoices/{invoice_id}/payments/{row['id']}")


@pytest.mark.parametrize("name", EXPORTS)
def test_a_week_of_receipts_ends_in_the_same_books_in_every_format(name, start_sandbox):
    """Part payments, instalments, bounced cheques, receipts for two invoices or in two exports: the books agree.

    Single payments are added up, and history shows the same sums. Totals show the same amounts on the invoice.
    """
    export = EXPORTS[name]
    firm = Firm(export, "firm", start_sandbox(*(invoice(f"CW-{number}", total) for number, total in INVOICES.items())))
    failed = {}
    for day in DAYS:
        failed |= firm.take(export.of(day))
        take_back_by_hand(firm, export, day)

    assert failed.pop("CW-999") == "Cannot find Invoice Number CW-999"
    # What the bank took back is rejected first, so that a person sees it.
    assert sorted(failed) == (["CW-104", "CW-108"] if name == "camt" else [])
    assert books(firm.sandbox) == {
        number: [(Decimal(amount), day and f"{day}T00:00:00Z")] for number, (amount, day) in PAID.items()
    }
    for number in INVOICES:
        told = firm.told(f"CW-{number}")
        sums = expected_sums(number, export.capped)
        if export.each:
            assert [row["sum"] for row in told if "sum" in row] == sums
            assert all(
                row["outcome"] == "unchanged" for row in told if "sum" not in row and row["outcome"] != "rejected"
            )
        else:
            held = [amount for amount in sums if Decimal(amount)]
            assert without_repeats([row["settled"] for row in told]) == without_repeats(held)
