"""The laws that hold of any files, any books and any faults: each payment once, each record in one result file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, event, example, given, settings
from hypothesis import strategies as st
from support.connectwise import invoice
from support.documents import document, files, records
from support.line import Line
from support.network import (
    CONVERTING_500,
    INVALID_400,
    NOBODYS,
    OTHER_JSON_200,
    RESET_AND_LATE,
    THE_OPERATORS,
    UNAVAILABLE_503_LATER,
    Fault,
    Silence,
    Strike,
    Unreliable,
    altered,
    page,
    too_many,
)

from watcher.errors import Outage, Stopping
from watcher.folders.layout import Folders
from watcher.payments.model import Rules
from watcher.sandbox import PaymentSeed, Sandbox

TOTAL = Decimal("100.00")
NUMBERS = ("CW-1", "CW-2", "CW-3")
UNKNOWN = "CW-9"
MEMO = "CM-1"
GOOD_AMOUNTS = ("0.01", "40", "60.0000", "99.99", "100.00", "250.00")
AMOUNTS = (*GOOD_AMOUNTS, *GOOD_AMOUNTS, "0", "0.00", "£5", "346,34", "")
DAYS = ("2016-09-22", "2024-02-29")
# What a database writes where there is no day.
EMPTY_DAY = "1970-01-01"
APPLIED, UNCHANGED, REJECTED = "applied", "unchanged", "rejected"
SUMS = ("asked", "applied", "unchanged", "discarded", "failed")
# Faults strike a few times each; after so many outages and ends of the program none is left.
ATTEMPTS = 60
NONSENSE = b"Dear Sir or Madam"

# Waiting for a client to give up takes time, and shows it nothing that a reset does not.
FAULTS = {name: fault for name, fault in (NOBODYS | THE_OPERATORS).items() if not isinstance(fault.reply, Silence)} | {
    "reset, arrives late": RESET_AND_LATE,
    "500 Error converting value": CONVERTING_500,
    "503 with Retry-After": UNAVAILABLE_503_LATER,
    "200 with other JSON": OTHER_JSON_200,
    "204, nothing done": page(204, ""),
    "no body": altered(lambda _: None),
    "every row twice": altered(lambda content: content * 2 if isinstance(content, list) else content),
    "429": too_many(),
    "429 with Retry-After": too_many("7"),
}
STOPPED = "asked to end"
# A payment that is refused in three rounds is rejected; a world strikes fewer times with what looks like a refusal.
REFUSING = ("302", "400 Cannot route", "403", "404 HTML", "500")
REFUSALS = 2


@dataclass(frozen=True)
class Held:
    """What an invoice holds: its one payment, if it has one, and what a credit memo has taken off its total."""

    amount: Decimal | None = None
    day: str | None = None
    credits: Decimal = Decimal(0)


HELD = (
    Held(),
    Held(Decimal("40.00")),
    Held(Decimal("60.00"), "2016-09-22"),
    Held(TOTAL, "2016-09-22"),
    Held(None, None, Decimal("40.00")),
    Held(Decimal("60.00"), "2024-02-29", Decimal("40.00")),
    Held(None, None, TOTAL),
)


@dataclass(frozen=True)
class World:
    """What is drawn.

    Attributes:
        held: what each invoice holds at first.
        refused: the invoices for which ConnectWise takes no write at all.
        contents: the records of each file as (number, amount, day); None for a file that is no payment document.
        rules: the operator's choices.
        together: whether all files come in one batch, or each when the one before is done.
        strikes: the faults by name, with the method they strike and which of its requests.
        restarts: after which of the outages the program is started anew.
    """

    held: dict[str, Held]
    refused: frozenset[str]
    contents: list[list[tuple[str, str, str]] | None]
    rules: Rules
    together: bool
    strikes: list[tuple[str, str, tuple[int, ...]]]
    restarts: frozenset[int]


def worlds():
    """Draw worlds."""
    number = st.sampled_from((*NUMBERS, *NUMBERS, "cw-1", UNKNOWN, MEMO))
    record = st.tuples(number, st.sampled_from(AMOUNTS), st.sampled_from((*DAYS, *DAYS, EMPTY_DAY)))
    good = st.tuples(st.sampled_from(NUMBERS), st.sampled_from(GOOD_AMOUNTS), st.sampled_from(DAYS))
    file = (
        st.lists(good, min_size=2, max_size=3, unique_by=lambda one: one[0])
        | st.lists(record, min_size=2, max_size=5, unique_by=lambda one: one[0].upper())
        | st.lists(record, max_size=5)
        | st.none()
    )
    nth = st.integers(1, 6).map(lambda at: (at,)) | st.integers(1, 3).map(lambda at: tuple(range(at, at + 4)))
    method = st.sampled_from(("", "GET", "POST", "POST", "PATCH", "DELETE"))
    return st.builds(
        World,
        held=st.fixed_dictionaries(dict.fromkeys(NUMBERS, st.sampled_from(HELD))),
        refused=st.sampled_from((frozenset(), frozenset(), frozenset(NUMBERS[:1]), frozenset(NUMBERS[1:3]))),
        contents=st.lists(file, min_size=2, max_size=3) | st.lists(file, min_size=1, max_size=1),
        rules=st.builds(Rules, st.booleans(), st.booleans(), st.booleans()),
        together=st.booleans(),
        strikes=st.lists(st.tuples(st.sampled_from((*FAULTS, STOPPED)), method, nth), min_size=1, max_size=4),
        restarts=st.frozensets(st.integers(0, 6)),
    )


# --- what should come of it, by the rules and nothing else -----------------------------------------------------------


class Ideal:
    """Bookkeeping as it should be: no network, no files, one payment after the other."""

    def __init__(self, world):
        self._world = world
        self.held = dict(world.held)

    def enter(self, content):
        """Enter a file; give the outcome of each of its records."""
        groups = {}
        for position, record in enumerate(content):
            groups.setdefault(record[0].upper(), []).append((position, record))
        outcomes = {}
        for number, group in groups.items():
            outcome = self._enter(number, [record for _, record in group])
            outcomes |= {position: outcome for position, _ in group}
        return [outcomes[position] for position in range(len(content))]

    def _enter(self, number, group):
        rules = self._world.rules
        if len(group) > 1 and not rules.sum_duplicates:
            return REJECTED
        if EMPTY_DAY in {day for _, _, day in group}:
            return REJECTED
        amounts = [Decimal(amount) if amount.replace(".", "").isdigit() else None for _, amount, _ in group]
        if None in amounts or (0 in amounts and not rules.remove_on_zero) or number not in self.held:
            return REJECTED
        held = self.held[number]
        payable = TOTAL - held.credits
        asked = sum(amounts)
        if asked == 0:
            then = Held(None, None, held.credits)
        elif payable == 0:
            return REJECTED
        else:
            amount = min(asked, payable)
            dated = amount == payable or rules.date_partial_payments
            then = Held(amount, max(day for _, _, day in group) if dated else None, held.credits)
        if then != held and number in self._world.refused:
            # A date that ConnectWise does not let go of fails no payment: the amount is there.
            only_the_date = then.amount == held.amount is not None and then.day is None
            return UNCHANGED if only_the_date else REJECTED
        self.held[number] = then
        return UNCHANGED if then == held else APPLIED


# --- the run ---------------------------------------------------------------------------------------------------------


def seeds(world):
    """Give the invoices of a world, in the order of their ids."""
    for number in NUMBERS:
        held, rows = world.held[number], []
        if held.amount is not None:
            rows.append(PaymentSeed(held.amount, date.fromisoformat(held.day) if held.day else None))
        if held.credits:
            rows.append(PaymentSeed(held.credits, credit=MEMO))
        yield invoice(number, str(TOTAL), payments=tuple(rows))
    yield invoice(MEMO, "40.00", type="CreditMemo")


class Program:
    """The part of the daemon behind the inbox, started as often as it takes.

    Attributes:
        folders: where its files are.
        line: its parts while it runs.
    """

    def __init__(self, home, world):
        self.folders = Folders(*(home / name for name in ("inbox", ".work", "success", "fail", "archive")))
        for _, folder in self.folders.named():
            folder.mkdir()
        self._world = world
        self.line = None
        self.held_up = 0

    def start(self, url):
        """Start anew; nothing is left of what ran before but its files."""
        self.close()
        rules = self._world.rules
        payments = {
            "duplicates": "sum" if rules.sum_duplicates else "reject",
            "zero_amount": "remove" if rules.remove_on_zero else "reject",
            "date_partial_payments": rules.date_partial_payments,
        }
        self.line = Line(self.folders, url, connectwise={"concurrency": 3}, payments=payments)

    def close(self):
        """End."""
        if self.line is not None:
            self.line.close()

    def claim(self, name, content):
        """Drop a file and claim it."""
        return self.line.claim(name, content)

    def see_through(self, url):
        """Settle what is claimed, again after each outage and each end of the program."""
        for _ in range(ATTEMPTS):
            try:
                self.line.resume()
            except Stopping:
                event("asked to end")
                self.start(url)
            except Outage:
                event("outage")
                if self.held_up in self._world.restarts:
                    self.start(url)
                self.held_up += 1
            else:
                return
        raise AssertionError("the files are still waiting")


def strikes_of(world, program):
    """Give the strikes of a world; refusals come first, so that no other fault lets a refused write pass."""
    for number in world.refused:
        rows = f"/{1001 + NUMBERS.index(number)}/payments"
        for method in ("POST", "PATCH", "DELETE"):
            yield Strike(INVALID_400, method, rows)
    stopped = Fault(meanwhile=lambda: program.line.lifetime.end())
    refusals = REFUSALS
    for name, method, drawn in world.strikes:
        nth = drawn
        if name.startswith(REFUSING):
            nth = drawn[:refusals]
            refusals -= len(nth)
        if not nth:
            continue
        # A program that is asked to end is asked once.
        yield Strike(stopped, method, nth=nth[:1]) if name == STOPPED else Strike(FAULTS[name], method, nth=nth)


def content_of(records_of_file):
    """Give the bytes of a drawn file."""
    if records_of_file is None:
        return NONSENSE
    return document(*((number, amount, f"{day}T12:05:54+01:00") for number, amount, day in records_of_file))


def texts(paths):
    """Give number and amount of each record in some result files."""
    return [(record["InvoiceNumber"], record["PaidAmount"]) for path in paths for record in records(path)]


# A call that ConnectWise refuses in words, and an outage in the same round: the refused call has changed nothing.
REFUSED_IN_AN_OUTAGE = World(
    held=dict.fromkeys(NUMBERS, Held()) | {"CW-3": Held(Decimal("60.00"), "2016-09-22")},
    refused=frozenset({"CW-3"}),
    contents=[[("CW-1", "0.01", "2016-09-22"), ("CW-3", "60.00", "2016-09-22")]],
    rules=Rules(),
    together=False,
    strikes=[("401", "POST", (1,))],
    restarts=frozenset(),
)


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """Give a new empty folder for every example."""
    return lambda: tmp_path_factory.mktemp("home")


# The phase that explains a failure would run the failing world hundreds of times more.
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[phase for phase in Phase if phase is not Phase.explain],
)
@given(world=worlds())
@example(world=REFUSED_IN_AN_OUTAGE)
def test_whatever_is_asked_held_and_struck_the_books_and_the_files_say_the_same(homes, world):
    """No fault, wait or restart changes what comes of files: one payment an invoice, each record told of truly once."""
    program = Program(homes(), world)
    contents = [content_of(one) for one in world.contents]
    claims = []
    with Sandbox(invoices=list(seeds(world))) as sandbox, Unreliable(sandbox.url) as network:
        network.strike(*strikes_of(world, program))
        program.start(network.url)
        try:
            for ordinal, content in enumerate(contents):
                claims.append(program.claim(f"pay{ordinal}.xml", content))
                if not world.together:
                    program.see_through(network.url)
            program.see_through(network.url)
        finally:
            program.close()
        books = sandbox.books()

    ideal = Ideal(world)
    for claim, content, asked in zip(claims, contents, world.contents, strict=True):
        assert_told_truly(program.folders, claim, content, asked, [] if asked is None else ideal.enter(asked))
    assert_books_hold(books, ideal)
    assert list(program.folders.work.iterdir()) == list(program.folders.inbox.iterdir()) == []


def assert_books_hold(books, ideal):
    """Make sure that the books are as they should be, and that no invoice ever had two payments."""
    for row in books["invoices"]:
        paid = [payment for payment in row["paymentRows"] if not payment["credit"]]
        assert len(paid) <= 1
        number = row["invoiceNumber"]
        if number in ideal.held:
            held = ideal.held[number]
            assert [payment["amount"] for payment in paid] == ([] if held.amount is None else [held.amount])
            assert [(payment["paymentDate"] or "")[:10] for payment in paid if held.amount] == (
                [] if held.amount is None else [held.day or ""]
            )
    assert {write["invoiceNumber"] for write in books["writes"]} <= set(NUMBERS)


def assert_told_truly(folders, claim, content, asked, outcomes):
    """Make sure that a file's results, receipt and archive say what should have come of it.

    Args:
        folders: where files land.
        claim: the file's claim.
        content: its bytes.
        asked: its records; None for no payment document.
        outcomes: what should have become of each record.
    """
    (archived,) = files(folders.archive, f"{claim.id}.xml")
    assert archived.read_bytes() == content
    (receipt_file,) = files(folders.archive, f"{claim.id}.receipt.json")
    receipt = json.loads(receipt_file.read_bytes())
    success, fail = (files(folder, f"{claim.id}.xml") for folder in (folders.success, folders.fail))
    if asked is None:
        assert (success, [path.read_bytes() for path in fail]) == ([], [content])
        assert receipt["records"] == []
        return
    told = [(number, amount) for number, amount, _ in asked]
    good = [one for one, outcome in zip(told, outcomes, strict=True) if outcome != REJECTED]
    bad = [one for one, outcome in zip(told, outcomes, strict=True) if outcome == REJECTED]
    assert (texts(success), texts(fail)) == (good, bad)
    assert (len(success), len(fail)) == (int(bool(good)), int(bool(bad)))
    for path in success:
        assert not [record for record in records(path) if "ErrorMessage" in record]
    assert [row["outcome"] for row in receipt["records"]] == outcomes
    for sums in (*receipt["records"], receipt["totals"]):
        whole, *parts = (Decimal(sums[name] or 0) for name in SUMS)
        assert whole == sum(parts)
    for name in SUMS:
        assert Decimal(receipt["totals"][name]) == sum(Decimal(row[name] or 0) for row in receipt["records"])
    event(f"outcomes: {sorted(set(outcomes))}")
