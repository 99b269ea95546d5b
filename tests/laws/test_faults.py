"""Every fault known from the field at every kind of request: whatever strikes, each payment is set once."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path

import pytest
import simplejson
from structlog.testing import capture_logs
from support.connectwise import another_user, invoice, payments_of
from support.documents import document, files, numbers, one, records
from support.line import Hurried, Line, settings_of
from support.network import (
    BAD_GATEWAY_502,
    BROKEN_OFF,
    CLOUD_404,
    CONFLICT_409,
    CONVERTING_500,
    GATEWAY_TIMEOUT_504,
    GONE_404,
    HALVED,
    INVALID_400,
    OTHER_JSON_200,
    OTHER_SITE_302,
    RESET_AFTER,
    RESET_AND_LATE,
    RESET_BEFORE,
    SILENT_AFTER,
    SILENT_BEFORE,
    THE_OPERATORS,
    TIMED_OUT_500,
    UNAVAILABLE_503,
    UNAVAILABLE_503_LATER,
    WEAK_ROLE_403,
    WELCOME_PAGE,
    WRONG_CODEBASE_400,
    WRONG_KEYS_401,
    Fault,
    Page,
    Silence,
    Strike,
    Unreliable,
    after,
    page,
    too_many,
)

from watcher.actions.status import look
from watcher.assembly.connectwise import client_of
from watcher.assembly.local import inbox_of
from watcher.disk.hanging import FolderCalls
from watcher.disk.lock import lock_file
from watcher.payments.model import Create
from watcher.sandbox import PaymentSeed, SignIn

CERTIFICATE = Path(__file__).parents[1] / "data" / "untrusted-certificate.pem"
TOTAL = "100.00"
EARLIER = "25.00"
# The file: nine payments, of which three replace an earlier one, and what each is to come to.
ASKED = {
    "NEW-1": "100.00",
    "OLD-1": "61.00",
    "NEW-2": "12.50",
    "NEW-3": "0.01",
    "OLD-2": "100.00",
    "NEW-4": "99.99",
    "NEW-5": "100.00",
    "OLD-3": "24.99",
    "NEW-6": "33.33",
}
IDS = {number: 1001 + ordinal for ordinal, number in enumerate(ASKED)}
SUMS = ("asked", "applied", "unchanged", "discarded", "failed")
# An outage is over long before the line has waited so often. A single payment is tried after a minute, and the inbox is
# looked at every second meanwhile.
TIMES = 200
# What a status says while payments have to wait.
WAITING = {"waiting", "partly waiting"}
# More often than a call is repeated at once, so that what can be an outage is one.
A_WHILE = 4
# A write that is refused so often, while others go through, is not the record's fault yet.
TWICE = 2
# What may also be about one record, while other calls go through.
MAYBE_THE_RECORDS = {
    "500 timeout",
    "500 timeout, acted",
    "500 Error converting value",
    "403",
    "302 to a login page",
    "404 HTML of the cloud",
    "400 Cannot route",
}


class Astray(Enum):
    """Ways on which a call does not even get to a server that speaks HTTP to us."""

    REFUSED = "connection refused"
    UNRESOLVED = "name not resolved"
    UNTRUSTED = "certificate not trusted"


READ = {"look-up": ("GET", r"conditions="), "list": ("GET", r"/{id}/payments\?")}
WRITTEN = {"POST": ("POST", r"/{id}/payments$"), "PATCH": ("PATCH", r"/{id}/payments/\d+$")}
KINDS = READ | WRITTEN

# Each fault, and the kinds of request it can strike: that ConnectWise acted matters only where something is written.
FAULTS = {
    **{way.value: (way, KINDS) for way in Astray},
    "no answer in time": (SILENT_BEFORE, KINDS),
    "no answer in time, acted": (SILENT_AFTER, WRITTEN),
    "reset": (RESET_BEFORE, KINDS),
    "reset, acted": (RESET_AFTER, WRITTEN),
    "reset, arrives late": (RESET_AND_LATE, WRITTEN),
    "500 timeout": (TIMED_OUT_500, KINDS),
    "500 timeout, acted": (after(TIMED_OUT_500), WRITTEN),
    "500 Error converting value": (CONVERTING_500, KINDS),
    "502 HTML": (BAD_GATEWAY_502, KINDS),
    "502 HTML, acted": (after(BAD_GATEWAY_502), WRITTEN),
    "503": (UNAVAILABLE_503, KINDS),
    "503 with Retry-After": (UNAVAILABLE_503_LATER, KINDS),
    "504 HTML, acted": (after(GATEWAY_TIMEOUT_504), WRITTEN),
    "429": (too_many(), KINDS),
    "429 with Retry-After": (too_many("7"), KINDS),
    "JSON cut in half": (HALVED, KINDS),
    "broken off": (BROKEN_OFF, KINDS),
    "200 with HTML": (WELCOME_PAGE, KINDS),
    "200 with HTML, acted": (after(WELCOME_PAGE), WRITTEN),
    "200 with other JSON": (OTHER_JSON_200, KINDS),
    "302 to a login page": (OTHER_SITE_302, KINDS),
    "401": (WRONG_KEYS_401, KINDS),
    "403": (WEAK_ROLE_403, KINDS),
    "404 HTML of the cloud": (CLOUD_404, KINDS),
    "400 Cannot route": (WRONG_CODEBASE_400, KINDS),
    "400 with errors": (INVALID_400, KINDS),
    "409": (CONFLICT_409, KINDS),
}
# What is the record's own fault, in ConnectWise's words; for everything else no payment may fail.
REFUSALS = {
    "400 with errors": "invoicePayment object is invalid: The accounting period is closed. (paymentDate)",
    "409": "The record is in use.",
}
PLACES = {"first": 0, "middle": 1, "last": 2}
STRUCK = {
    "POST": ("NEW-1", "NEW-3", "NEW-6"),
    "PATCH": ("OLD-1", "OLD-2", "OLD-3"),
    "list": ("OLD-1", "OLD-2", "OLD-3"),
}
STRUCK["look-up"] = STRUCK["POST"]


def cells():
    """Give each fault at each kind of request, its place in the file going round.

    A lost POST is what most care is taken of: it is struck once and for a while, everything else in turn.
    """
    crossed = [(name, kind) for name, (_, kinds) in FAULTS.items() for kind in kinds]
    given = []
    for ordinal, (name, kind) in enumerate(crossed):
        several = TWICE if kind in WRITTEN and name in MAYBE_THE_RECORDS else A_WHILE
        for times in (1, several) if kind == "POST" else ((1, several)[(ordinal + ordinal // 4) % 2],):
            place = list(PLACES)[(len(given) + len(given) // 3) % 3]
            lasting = "once" if times == 1 else "a while"
            given.append(pytest.param(name, kind, place, times, id=f"{name}-{kind}-{place}-{lasting}"))
    return given


class Watched(Hurried):
    """Lets each wait of the loop be looked at, and then be over."""

    def __init__(self, look):
        super().__init__()
        self._look = look
        self._main = threading.current_thread()
        self.systemd = Systemd(self)

    def wait(self, seconds):
        """Let a wait of the loop be looked at before it is over."""
        if threading.current_thread() is self._main:
            self._look()
        super().wait(seconds)

    def listen(self, hear, seconds):
        """Let a wait for files be over. It is looked at if it is one for ConnectWise, too."""
        self._look(only_if_waiting=True)
        super().wait(seconds)
        return hear(0)

    def sleep(self, seconds):
        """Let a wait in the middle of some work be over; it is none of the loop's."""
        super().wait(seconds)


class Systemd:
    """Hears how things are, and ends the daemon once there is nothing to do."""

    def __init__(self, lifetime):
        self._lifetime = lifetime
        self.tell = lambda _message: None
        self.ready = lambda: None

    def status(self, sentence):
        """Hear what goes on."""
        if sentence.endswith("nothing to do."):
            self._lifetime.end()


class Daemon:
    """A daemon in which no wait takes time, and what it said of itself.

    Attributes:
        folders: where its files are.
        asked: the amounts of the file, by invoice number.
        waited: what ``status`` said during each wait for ConnectWise.
        logs: what was logged.
    """

    def __init__(self, folders, site, asked, through, connectwise):
        self.folders = folders
        self.asked = asked
        self.waited = []
        self.logs = []
        sections = {
            "connectwise": {"concurrency": 3, "company": SignIn().company, **connectwise},
            "payments": {"zero_amount": "remove"},
            "inbox": {"scan_seconds": 1, "settle_seconds": 5, "observer": "off"},
        }
        self._line = Line(folders, site, lifetime=Watched(self._look), **sections)
        self._line.client = through(self._line.client)

    def claim(self, name, content):
        """Drop a file and claim it."""
        self._line.claim(name, content)

    def see_through(self):
        """Let the daemon work until there is nothing to do."""
        with capture_logs() as self.logs, self._line.service() as service:
            service.run()

    def close(self):
        """Close the journal."""
        self._line.close()

    def status(self):
        """Ask as ``payment-watcher status`` does."""
        calls, url = FolderCalls(), self._line.settings.journal.url
        lock = lock_file(self._line.settings.journal.path)
        return look(inbox_of(self._line.settings, calls), url, lock)

    def _look(self, *, only_if_waiting=False):
        status = self.status()
        if not only_if_waiting or status.line.state in WAITING:
            self.waited.append(status)
        assert len(self.waited) < TIMES, f"still waiting: {self.waited[-1].line}"

    def logged(self, event):
        """Give what was logged of an event."""
        return [entry for entry in self.logs if entry["event"] == event]

    @property
    def faults_told(self):
        """What was logged of faults."""
        return [entry for entry in self.logs if "request_id" in entry]


class Detour:
    """ConnectWise, but for some calls of one kind that go astray."""

    def __init__(self, way, astray, kind, invoice_id, times):
        self.look_ups = way.look_ups
        self.look_ups_by_id = way.look_ups_by_id
        self.find_by_id = way.find_by_id
        self.read_invoice = way.read_invoice
        self.finds_what_is_there = way.finds_what_is_there
        self.any_invoice_id = way.any_invoice_id
        self.invoice_number = way.invoice_number
        self.answered_at = way.answered_at
        self.timeout_seconds = way.timeout_seconds
        self._way = way
        self._astray = astray
        self._kind = kind
        self._invoice_id = invoice_id
        self._times = times

    def hurried(self):
        """Return itself: it repeats nothing."""
        return self

    def _by(self, kind, invoice_id):
        # Nobody else asks about the same invoice meanwhile, so that this needs no lock.
        if self._times and (kind, invoice_id) == (self._kind, self._invoice_id):
            self._times -= 1
            return self._astray
        return self._way

    def find_invoices(self, invoice_numbers):
        """Look up invoices."""
        return self._by("look-up", self._invoice_id).find_invoices(invoice_numbers)

    def list_payments(self, invoice_id):
        """List the payments of an invoice."""
        return self._by("list", invoice_id).list_payments(invoice_id)

    def carry_out(self, call):
        """Write a payment."""
        kind = "POST" if isinstance(call, Create) else "PATCH"
        return self._by(kind, call.invoice_id).carry_out(call)


def client_at(folders, url):
    """Give a client whose waits take no time."""
    client, _ = client_of(settings_of(folders, url), Hurried())
    return client


@pytest.fixture
def stack():
    """Whatever has to be closed at the end."""
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def start(start_sandbox, folders, stack):
    """Start books for the file, an unreliable network before them, and a line that has claimed the file."""

    def build(*strikes, asked=ASKED, through=lambda client: client, **changes):
        sandbox = start_sandbox(
            *(
                invoice(number, TOTAL, payments=(PaymentSeed(Decimal(EARLIER)),) if number.startswith("OLD") else ())
                for number in asked
            )
        )
        network = stack.enter_context(Unreliable(sandbox.url, *strikes))
        line = Daemon(folders, network.url, asked, through, changes)
        stack.callback(line.close)
        line.claim("pay.xml", document(*asked.items()))
        return line, sandbox, network

    return build


@pytest.fixture
def address_astray(start_sandbox, stack, monkeypatch):
    """Give an address of each kind at which no call gets through."""
    # A proxy of the environment would answer in the place of the name that nobody has.
    monkeypatch.setenv("no_proxy", "*")

    def address(way):
        if way is Astray.UNRESOLVED:
            return "https://connectwise.invalid"
        if way is Astray.UNTRUSTED:
            return stack.enter_context(Unreliable(start_sandbox().url, certificate=CERTIFICATE)).url
        # Bound, so that nobody else has the port, and not listening, so that it refuses.
        bound = stack.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{bound.getsockname()[1]}"

    return address


def receipt_of(line):
    """Give the receipt of the file."""
    return json.loads(one(files(line.folders.archive, ".receipt.json")).read_bytes())


def assert_settled(line, sandbox, held, rejected):
    """Make sure that books, result files, receipt and archive agree, and that nothing is left.

    Args:
        line: the line.
        sandbox: the books.
        held: the amounts that an invoice is to hold, by number.
        rejected: the messages of the records that fail, by number.
    """
    folders = line.folders
    rows = {number: payments_of(sandbox, number) for number in ASKED}
    assert {number: [str(row["amount"]) for row in paid] for number, paid in rows.items()} == held
    succeeded = [number for number in ASKED if number not in rejected]
    assert [numbers(path) for path in files(folders.success)] == [succeeded] * bool(succeeded)
    failed = [record for path in files(folders.fail) for record in records(path)]
    assert [(record["InvoiceNumber"], record["ErrorMessage"]) for record in failed] == list(rejected.items())
    assert one(files(folders.archive)).read_bytes() == document(*line.asked.items())
    assert list(folders.work.iterdir()) == files(folders.inbox, "") == []

    receipt = receipt_of(line)
    for sums in (*receipt["records"], receipt["totals"]):
        asked, *parts = (Decimal(sums[name] or 0) for name in SUMS)
        assert asked == sum(parts)
    for name in SUMS:
        assert Decimal(receipt["totals"][name]) == sum(Decimal(row[name] or 0) for row in receipt["records"])
    for row in receipt["records"]:
        number = row["invoice_number"]
        assert row["asked"] == line.asked[number]
        assert (row["outcome"] == "rejected") == (number in rejected)
        if number not in rejected:
            assert [Decimal(row["applied"]) + Decimal(row["unchanged"])] == [paid["amount"] for paid in rows[number]]
            assert row["connectwise_payment_id"] == rows[number][0]["id"]


def assert_outages_told(line, fault):
    """Make sure that log and ``status`` tell of each outage what and whose it is, since when, and that it is over."""
    waits, ends = line.logged("line.waiting"), line.logged("line.moving")
    operators = fault in THE_OPERATORS.values() or fault is Astray.UNTRUSTED
    # While other calls go through, this is not about the keys, the role or the site.
    maybe_the_records = any(FAULTS[name][0] is fault for name in MAYBE_THE_RECORDS)
    assert len(waits) == len(ends)
    assert bool(waits) == bool(line.waited)
    assert waits or not operators or maybe_the_records
    for told in waits:
        assert ("connectwise.site" in told["mend"]) == operators
        assert operators or told["mend"].startswith("Nothing is lost")
    shown = {(status.line.state, status.line.reason, status.line.mend) for status in line.waited}
    assert {(told["reason"], told["mend"]) for told in waits} <= {(reason, mend) for _, reason, mend in shown}
    assert {state for state, *_ in shown} <= WAITING
    for status in line.waited:
        assert status.line.since <= datetime.now(UTC)
        assert [(file.name, file.records) for file in status.claimed] == [("pay.xml", len(ASKED))]
        assert not status.finished
    (finished,) = line.status().finished
    totals = receipt_of(line)["totals"]
    assert (finished.succeeded, finished.rejected) == (totals["succeeded"], totals["rejected"])


@pytest.mark.parametrize(("name", "kind", "place", "times"), cells())
def test_whatever_strikes_every_payment_is_set_once_and_said_so(
    start, folders, address_astray, name, kind, place, times
):
    """No fault costs or doubles a payment, none but a refusal fails one, and the log has each fault's request id."""
    fault, _ = FAULTS[name]
    number = STRUCK[kind][PLACES[place]]
    if isinstance(fault, Astray):
        astray = client_at(folders, address_astray(fault))
        line, sandbox, _ = start(through=lambda client: Detour(client, astray, kind, IDS[number], times))
    else:
        method, path = KINDS[kind]
        strike = Strike(fault, method, path.format(id=IDS[number]), tuple(range(1, times + 1)))
        impatient = {"timeout_seconds": 0.2} if isinstance(fault.reply, Silence) else {}
        line, sandbox, network = start(strike, **impatient)
    line.see_through()

    rejected = {}
    if name in REFUSALS:
        # A look-up that is refused is asked for in halves: refused only once, it is no record's fault.
        rejected = {number: REFUSALS[name]} if kind != "look-up" else {}
    held = {asked: [amount] for asked, amount in ASKED.items()}
    held |= {asked: [EARLIER] if asked.startswith("OLD") else [] for asked in rejected}
    assert_settled(line, sandbox, held, rejected)
    outcomes = {
        entry["invoice_number"]: entry["outcome"] for entry in line.logs if entry["event"] == "payment.finished"
    }
    assert outcomes == {asked: "rejected" if asked in rejected else "applied" for asked in ASKED}
    done = [write for write in sandbox.books()["writes"] if write["status"] < 300]
    assert sorted(write["invoiceNumber"] for write in done if write["method"] == "POST") == sorted(
        asked for asked in ASKED if asked.startswith("NEW") and asked not in rejected
    )
    replaced = {
        record["InvoiceNumber"]: record.get("WarningMessage", "")
        for record in records(one(files(line.folders.success)))
    }
    for asked, warning in replaced.items():
        assert (f"{EARLIER} was replaced by {ASKED[asked]}" in warning) == asked.startswith("OLD")

    assert line.faults_told
    if isinstance(fault, Fault):
        assert [request for request in network.requests if request.fault is not None]
        if isinstance(fault.reply, Page):
            assert fault.reply.headers["x-cw-request-id"] in [told["request_id"] for told in line.faults_told]
    assert_outages_told(line, fault)


@pytest.mark.parametrize("name", ["reset", "reset, acted", "502 HTML, acted", "200 with HTML", "200 with other JSON"])
def test_a_removal_is_told_of_only_when_the_payment_is_gone(start, name):
    """A zero that takes a payment off its invoice succeeds when the books hold none, whatever struck the DELETE."""
    strike = Strike(FAULTS[name][0], "DELETE", nth=1)
    line, sandbox, network = start(strike, asked=ASKED | {"OLD-2": "0"})
    line.see_through()
    assert network.seen("DELETE")[0].fault is not None
    assert payments_of(sandbox, "OLD-2") == []
    assert receipt_of(line)["totals"]["succeeded"] == len(ASKED)
    (removed,) = (row for row in records(one(files(line.folders.success))) if row["InvoiceNumber"] == "OLD-2")
    assert f"{EARLIER} was removed" in removed["WarningMessage"]


# --- the world changes underneath ------------------------------------------------------------------------------------


def struck(kind, number):
    """Give method and path of the requests of a kind that concern an invoice."""
    method, path = KINDS[kind]
    return method, path.format(id=IDS[number])


def meanwhile(kind, number, method, row="", body=None):
    """Let another user write to an invoice while our write to it is on its way."""

    def strikes(sandbox):
        path = f"/finance/invoices/{IDS[number]}/payments{row}"
        fault = Fault(meanwhile=lambda: another_user(sandbox, method, path, body))
        return [Strike(fault, *struck(kind, number), nth=1)]

    return strikes


def vanishes(kind, number, listed=False):
    """Let an invoice be removed between its look-up and our write to it; the look-up notices it late or at once."""
    by_id = [Strike(GONE_404, *struck("list", number)), Strike(GONE_404, "GET", rf"/{IDS[number]}\?")]
    noticed = by_id if listed else [Strike(page(200, "[]"), *READ["look-up"], nth=2)]
    return lambda _sandbox: [Strike(GONE_404, *struck(kind, number)), *noticed]


def had(number, total):
    """Let an invoice have had another total when it was looked up."""

    def strikes(sandbox):
        rows = [row | {"paymentRows": None} for row in sandbox.books()["invoices"]]
        for row in rows:
            if row["invoiceNumber"] == number:
                row["balance"] += Decimal(total) - row["total"]
                row["total"] = Decimal(total)
        return [Strike(page(200, simplejson.dumps(rows, use_decimal=True)), *READ["look-up"], nth=1)]

    return strikes


FEWER = [{"op": "replace", "path": "amount", "value": "3.00"}]
GONE = "Cannot find Invoice Number"
# What changes, of which invoice and amount asked; then what the books hold, the outcome, and what the payer is told.
CHANGES = {
    "another user pays the same": (
        meanwhile("POST", "NEW-4", "POST", body={"amount": 99.99}),
        ("NEW-4", "99.99", ["99.99"], "unchanged", None),
    ),
    "another user pays something else": (
        meanwhile("POST", "NEW-4", "POST", body={"amount": 77}),
        ("NEW-4", "99.99", ["99.99"], "applied", "77.00 was replaced by 99.99"),
    ),
    "another user changes the payment": (
        meanwhile("PATCH", "OLD-2", "PATCH", "/500002", FEWER),
        ("OLD-2", "100.00", ["100.00"], "applied", f"{EARLIER} was replaced by 100.00"),
    ),
    "the payment vanishes": (
        meanwhile("PATCH", "OLD-2", "DELETE", "/500002"),
        ("OLD-2", "100.00", ["100.00"], "applied", None),
    ),
    "the invoice vanishes before the POST": (
        vanishes("POST", "NEW-4"),
        ("NEW-4", "99.99", [], "rejected", f"{GONE} NEW-4"),
    ),
    "the invoice vanishes before the POST, only its id knows": (
        vanishes("POST", "NEW-4", listed=True),
        ("NEW-4", "99.99", [], "rejected", f"{GONE} NEW-4"),
    ),
    "the invoice vanishes before the PATCH": (
        vanishes("PATCH", "OLD-2"),
        ("OLD-2", "100.00", [EARLIER], "rejected", f"{GONE} OLD-2"),
    ),
    "the total falls before the POST": (
        had("NEW-4", "140.00"),
        ("NEW-4", "150.00", ["100.00"], "applied", "100.00 was set and 50.00 discarded"),
    ),
    "the total falls before the PATCH": (
        had("OLD-2", "140.00"),
        ("OLD-2", "150.00", ["100.00"], "applied", "100.00 was set and 50.00 discarded"),
    ),
    "the total rises before the POST": (
        had("NEW-4", "60.00"),
        ("NEW-4", "99.99", ["60.00"], "applied", "60.00 was set and 39.99 discarded"),
    ),
    "the total rises before the PATCH": (
        had("OLD-2", "60.00"),
        ("OLD-2", "99.99", ["60.00"], "applied", "60.00 was set and 39.99 discarded"),
    ),
}


@pytest.mark.parametrize(("strikes", "then"), CHANGES.values(), ids=CHANGES.keys())
def test_a_world_that_changes_between_look_up_and_write_is_looked_at_again(start, strikes, then):
    """What the result files say is what the books hold, and the payments beside it are as ever."""
    number, asks, holds, outcome, told = then
    line, sandbox, network = start(asked=ASKED | {number: asks})
    network.strike(*strikes(sandbox))
    line.see_through()

    assert_settled(
        line,
        sandbox,
        {asked: [amount] for asked, amount in ASKED.items()} | {number: holds},
        {number: told} if outcome == "rejected" else {},
    )
    (receipt,) = (row for row in receipt_of(line)["records"] if row["invoice_number"] == number)
    assert receipt["outcome"] == outcome
    assert told is None if receipt["message"] is None else told in receipt["message"]
    if outcome != "rejected":
        (record,) = (row for row in records(one(files(line.folders.success))) if row["InvoiceNumber"] == number)
        assert record.get("WarningMessage") == receipt["message"]
    assert [request for request in network.requests if request.fault is not None]
    assert line.waited == []
