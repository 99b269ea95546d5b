"""The law of sums: any payments, in any files, in any order, repeated and killed in between, end in the same sums."""

from __future__ import annotations

import os
from contextlib import closing
from decimal import Decimal
from functools import reduce

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.connectwise import invoice, payments_of
from support.documents import invoice_payments
from support.line import Line
from support.network import RESET_AND_LATE, UNAVAILABLE_503_LATER, Strike, Unreliable

from watcher.errors import Outage
from watcher.folders.layout import Folders
from watcher.journal.sums import Sums
from watcher.sandbox import Sandbox

# ConnectWise's ids of the invoices, and what each can take.
INVOICES = {"CW-1": (1001, Decimal("100.00")), "CW-2": (1002, Decimal("1000.00"))}
AMOUNTS = ("0.01", "10.00", "40.00", "60.00", "99.99", "-0.01", "-10.00", "-40.00")
PAYMENTS = {"amounts": "each", "zero_amount": "remove"}
ATTEMPTS = 40
MANY = settings(deadline=None, max_examples=25 * int(os.environ.get("SOAK", "1")))


class Killed(BaseException):
    """The program is gone, at once and wherever it is."""


def kill_at(line, transactions):
    """Kill a program at its nth transaction: before it, or when it is on disk."""
    count = 0
    begin = line.database.transaction

    def dying():
        nonlocal count
        count += 1
        if count == transactions:
            raise Killed
        return begin()

    line.database.transaction = dying


class Program:
    """The part of the daemon behind the inbox, killed and started again."""

    def __init__(self, home, url, kills):
        self.folders = Folders(*(home / name for name in ("inbox", ".work", "success", "fail", "archive")))
        for _, folder in self.folders.named():
            folder.mkdir()
        self._url = url
        self._kills = list(kills)
        self._count = 0
        self.line = self._start()

    def _start(self):
        line = Line(self.folders, self._url, connectwise={"concurrency": 2}, payments=PAYMENTS)
        if self._kills:
            kill_at(line, self._kills.pop(0))
        return line

    def drop(self, payments):
        """Take a file to its end, however often the program is killed on the way; return what became of each record."""
        self._count += 1
        name, content = f"f{self._count}.xml", invoice_payments(*payments)
        (self.folders.inbox / name).write_bytes(content)
        for _ in range(ATTEMPTS):
            try:
                self.line.resume()
                if (self.folders.inbox / name).exists():
                    self.line.process([self.line.claim(name, content)])
                self.line.resume()
                attempts = self.line.history.attempts(name)
                assert all(one.finished_at for one in attempts)
                return [one.outcome for one in attempts]
            except Killed:
                event("killed")
                self.line.close()
                self.line = self._start()
            except Outage:
                event("outage")
        raise AssertionError("the file is still waiting")

    def close(self):
        """End."""
        self.line.close()

    def sums(self):
        """Return what is accepted for each invoice, as a last start finds it; the payments listed add up to it."""
        self.close()
        self._kills.clear()
        self.line = self._start()
        sums = Sums(self.line.database)
        known = sums.before([invoice_id for invoice_id, _ in INVOICES.values()], []).sums
        for number, (invoice_id, _) in INVOICES.items():
            listed = sum((one.amount for one in sums.made_of(number)), Decimal(0))
            assert listed == (known[invoice_id].total if invoice_id in known else 0)
        return {number: known[each].total if each in known else Decimal(0) for number, (each, _) in INVOICES.items()}


@st.composite
def receipts(draw):
    """Draw payments, each of its own externalId, whose sums are not below zero."""
    drawn = draw(st.lists(st.tuples(st.sampled_from(list(INVOICES)), st.sampled_from(AMOUNTS)), min_size=2, max_size=7))
    kept, totals = [], dict.fromkeys(INVOICES, Decimal(0))
    for number, amount in sorted(drawn, key=lambda one: -Decimal(one[1])):
        if totals[number] + Decimal(amount) >= 0:
            totals[number] += Decimal(amount)
            kept.append((f"R-{len(kept)}", number, amount))
    return kept, totals


def record(receipt):
    """Return a payment as the document writes it."""
    external_id, number, amount = receipt
    return {"externalId": external_id, "invoice/identifier": number, "amount": amount, "paymentDate": "2016-09-22"}


@st.composite
def worlds(draw):
    """Draw payments, the files in which they come, some of them repeated, and when the program is killed."""
    kept, totals = draw(receipts())
    again = draw(st.lists(st.sampled_from(kept), max_size=3)) if kept else []
    order = draw(st.permutations([*kept, *again]))
    cuts = draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))

    def split(files, one):
        receipt, cut = one
        return [*files, [receipt]] if cut else [*files[:-1], [*files[-1], receipt]]

    files = reduce(split, zip(order, cuts, strict=True), [[]])
    kills = draw(st.lists(st.integers(1, 14), max_size=4))
    method, nth = st.sampled_from(("POST", "PATCH", "DELETE")), st.integers(1, 3)
    lost = draw(st.lists(st.tuples(method, nth, st.sampled_from((RESET_AND_LATE, UNAVAILABLE_503_LATER))), max_size=2))
    return totals, [file for file in files if file], kept, kills, lost


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """Give a new empty folder for every example."""
    return lambda: tmp_path_factory.mktemp("home")


@MANY
@given(world=worlds())
def test_any_split_any_order_any_repetition_ends_in_the_same_sums(homes, world):
    """What is accepted and what ConnectWise holds follow from the payments alone.

    A payment that would have brought a sum below zero is rejected, and is sent again when others have come.
    """
    totals, files, kept, kills, lost = world
    seeds = [invoice(number, str(total)) for number, (_, total) in INVOICES.items()]
    with Sandbox(invoices=seeds) as sandbox, Unreliable(sandbox.url) as network:
        network.strike(*(Strike(fault, method, nth=(nth,)) for method, nth, fault in lost))
        with closing(Program(homes(), network.url, kills)) as program:
            rejected = [program.drop([record(one) for one in file]).count("rejected") for file in files]
            if all(Decimal(amount) > 0 for _, _, amount in kept):
                assert not any(rejected)
            # Each time at least one of those that were rejected is accepted.
            for _ in kept:
                if set(program.drop([record(one) for one in kept])) <= {"unchanged"}:
                    break
            assert program.sums() == totals
            held = {number: [row["amount"] for row in payments_of(sandbox, number)] for number in INVOICES}
            limits = {number: min(totals[number], total) for number, (_, total) in INVOICES.items()}
            assert held == {number: [limit] if limit else [] for number, limit in limits.items()}
