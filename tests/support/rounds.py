"""Rounds of payments with what the daemon has around them, and books to try them on."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal

from support.connectwise import invoice, payments_of
from support.documents import document
from support.line import Hurried, connect

from watcher.claim import Claim
from watcher.documents import reading as documents
from watcher.errors import Unreachable
from watcher.journal.claims import Claims, NewClaim
from watcher.journal.database import Database
from watcher.journal.ledger import Ledger
from watcher.payments.demands import demands_of
from watcher.payments.model import Rules
from watcher.processing.look_up import LookUp
from watcher.processing.news import Outcomes, Planned
from watcher.processing.rounds import Rounds
from watcher.sandbox import PaymentSeed

POSTED = r"/payments$"
ROW = r"/payments/\d+$"
LOOK_UP = r"conditions="
TOTAL = "346.34"
BUSY = (("NEW", TOTAL), ("CHANGED", "200.00"), ("REMOVED", "0"), ("SAME", "60.00"), ("NONE", "1.00"))


class Line:
    """What the daemon has around rounds: a client, workers, a journal, and documents that were dropped.

    Attributes:
        ledger: what survives a restart.
        demands: what the documents ask.
        recorded: claim id and result of everything that was written down, in order.
        rounds: what is under test.
    """

    def __init__(self, url, *, workers=4, lifetime=None, rules=None, like=None, size=1000, **connectwise):
        client, making = connect(url, lifetime or Hurried(), concurrency=workers, **connectwise)
        database = None if like else Database("sqlite://")
        self.claims = like.claims if like else Claims(database)
        self.ledger = like.ledger if like else Ledger(database)
        self.demands = like.demands if like else []
        self.recorded = []
        self._rules = rules or Rules()
        self.rounds = Rounds(client, making, LookUp(client, making), self._rules, size)

    def drop(self, *payments):
        """Take a document of (number, amount[, date]); give its claim id."""
        records = documents.read(document(*payments))
        claim = Claim(f"20260101T000000Z_{len(self._documents()):08x}", "payments.xml")
        self.claims.add([NewClaim(claim, "", b"")], taken=True)
        self.ledger.open(claim.id, records)
        demands, rejected = demands_of(claim.id, records, self._rules)
        assert not rejected
        self.demands += demands
        return claim.id

    def _documents(self):
        return list(dict.fromkeys(demand.claim_id for demand in self.demands))

    def settle(self, recorded=lambda _claim_id, _result: None):
        """Settle what has no outcome, with what the journal knows of earlier attempts, as after a restart."""
        known = {claim_id: self.ledger.known(claim_id) for claim_id in self._documents()}
        decided = {(claim_id, at) for claim_id, one in known.items() for at in one.decided}
        intents = {(claim_id, at): intent for claim_id, one in known.items() for at, intent in one.intents.items()}
        with closing(self.rounds.run([one for one in self.demands if one.id not in decided], intents)) as rounds:
            for news in rounds:
                match news:
                    case Planned(planned):
                        self.ledger.intend(planned)
                    case Outcomes(results, doubts):
                        self.ledger.record(results, doubts)
                        self.recorded += results
                        for claim_id, result in results:
                            recorded(claim_id, result)

    def see_through(self, attempts=8):
        """Settle as the daemon does: an outage that is nobody's is waited out and tried again."""
        for _ in range(attempts):
            try:
                return self.settle()
            except Unreachable:
                continue
        raise AssertionError(f"the payments are not settled after {attempts} attempts")

    def results(self, claim_id):
        """Give what the journal holds of a document."""
        return list(self.ledger.results(claim_id))

    def outcomes(self, claim_id):
        """Give the outcomes of a document's records in order."""
        return [str(result.outcome) for result in self.results(claim_id)]


def paid(sandbox, number):
    """Give the amounts of an invoice's payment rows, as ConnectWise holds them."""
    return [str(row["amount"]) for row in payments_of(sandbox, number)]


def writes(sandbox, method=None):
    """Give the writes that changed the books."""
    return [
        write
        for write in sandbox.books()["writes"]
        if write["status"] < 300 and (method is None or write["method"] == method)
    ]


def paying(amount, **more):
    """Give the seed of a payment row."""
    return (PaymentSeed(Decimal(amount), **more),)


def busy_books(start_sandbox):
    """Start a sandbox where a document needs every kind of call."""
    return start_sandbox(
        invoice("NEW", TOTAL),
        invoice("CHANGED", TOTAL, payments=paying("100.00")),
        invoice("REMOVED", TOTAL, payments=paying("50.00")),
        invoice("SAME", TOTAL, payments=paying("60.00")),
    )
