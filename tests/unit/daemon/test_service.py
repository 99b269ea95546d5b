"""The loop over outages: when it tries again, and what it logs, in pretended time."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise

from structlog.testing import capture_logs
from support.documents import document, drop, files
from support.line import Hurried, Line

from watcher.daemon import service as services
from watcher.errors import Unreachable
from watcher.journal.withdrawals import Withdrawals
from watcher.payments.attempts import Attempts
from watcher.payments.refusals import Refusals
from watcher.processing.claimed import Tally
from watcher.processing.left import Left


class Until(Hurried):
    """The time of a loop that is asked to end after some seconds."""

    def __init__(self, seconds):
        super().__init__()
        self._seconds = seconds

    def pause(self, seconds):
        """Let the time pass, and end once it is over."""
        super().pause(seconds)
        if self.now() > self._seconds:
            self.end()


class Idle:
    """Batches with nothing left over.

    Attributes:
        left: no claim.
        cause: none.
        is_behind: never.
    """

    left = Left(Refusals(), Attempts())
    cause = None
    is_behind = False

    def is_open(self, _claim):
        """Have come to its end with each claim."""
        return False

    def check(self):
        """All folders are there."""

    def tidy(self):
        """Nothing is left of finished files."""
        return Tally()

    def audit(self):
        """No call is in doubt."""

    def keep_only(self, claim_ids):
        """Nothing is known of any."""

    def nothing_follows(self):
        """Nothing came."""


class Failing(Idle):
    """Batches that meet an outage in every turn, after they have decided some records.

    Args:
        lifetime: the time of the loop.
        decides: how many records each turn decides, by its ordinal.
    """

    def __init__(self, lifetime, decides):
        self.turns = []
        self._lifetime = lifetime
        self._decides = decides

    def settle(self):
        """Have nothing under way."""
        return Tally()

    def process(self, _claims):
        """Meet the outage."""
        self.turns.append(self._lifetime.now())
        for _ in range(self._decides(len(self.turns))):
            yield Tally()
        raise Unreachable("ConnectWise is away", "request-1")


def waiting_line(folders, seconds, decides=lambda _turn: 0):
    """Let a loop meet nothing but outages for some seconds; return when it tried, and what it logged."""
    lifetime = Until(seconds)
    inbox = {"observer": "off", "scan_seconds": 1}
    with (
        closing(Line(folders, "http://127.0.0.1:9", lifetime=lifetime, inbox=inbox)) as line,
        line.service() as service,
        capture_logs() as logs,
    ):
        line.claim("pay.xml", document(("CW-1", "100.00")))
        service._batches = failing = Failing(lifetime, decides)
        service.run()
    return failing.turns, logs


def test_pauses_of_an_outage_grow_to_five_minutes_and_it_is_logged_now_and_then(folders, monkeypatch):
    """Pauses double with chance in them, none is longer than five minutes; the log is reminded about every hour."""
    # Nobody withdraws a file here; each look for one takes time that is not pretended.
    monkeypatch.setattr(services, "_LOOK_SECONDS", 60)
    turns, logs = waiting_line(folders, 4 * 3600)
    pauses = [after - before for before, after in pairwise(turns)]
    for ordinal, pause in enumerate(pauses):
        longest = min(300, 2 * 2**ordinal)
        assert longest / 2 <= pause <= longest
    assert len(set(pauses[10:])) > 10, "there is no chance in the pauses"
    told = [line for line in logs if line["event"] == "line.waiting"]
    assert len(told) == 4
    assert {(line["reason"], line["request_id"]) for line in told} == {("ConnectWise is away", "request-1")}
    assert not [line for line in logs if line["event"] == "line.moving"]


def test_payments_between_two_outages_begin_again_with_a_short_pause(folders):
    """Payments that went through ended the outage before; what comes after them is another one."""
    turns, logs = waiting_line(folders, 600, decides=lambda turn: turn == 6)
    pauses = [after - before for before, after in pairwise(turns)]
    assert 16 <= pauses[4] <= 32
    assert 1 <= pauses[5] <= 2
    told = [line["event"] for line in logs if line["event"].startswith("line.")]
    assert told == ["line.waiting", "line.moving", "line.waiting"]


class Asking(Until):
    """The time of a loop in which a person wants two files out of work after an hour."""

    def __init__(self, ask):
        super().__init__(2 * 3600)
        self._ask = ask
        self.asked_at = None

    def pause(self, seconds):
        """Let the time pass; after an hour there are two requests."""
        super().pause(seconds)
        if self.asked_at is None and self.now() >= 3600:
            self._ask()
            self.asked_at = self.now()


def test_a_withdrawal_ends_the_pause_of_an_outage_and_one_that_is_held_up_does_not_spin(folders):
    """Once the pauses are long, a file still goes out within two seconds. One that cannot is tried when the rest is."""
    claims = {}

    def ask():
        for claim in claims.values():
            Withdrawals(line.database).ask(claim.id, "")

    lifetime = Asking(ask)
    inbox = {"observer": "off", "scan_seconds": 1}
    with (
        closing(Line(folders, "http://127.0.0.1:9", lifetime=lifetime, inbox=inbox)) as line,
        line.service() as service,
        capture_logs() as logs,
    ):
        for name in ("goes.xml", "stays.xml", "waits.xml"):
            claims[name] = line.claim(name, document(("CW-1", "100.00")))
        del claims["waits.xml"]
        (folders.fail / claims["stays.xml"].published_name).write_bytes(b"in the way")
        service._batches = failing = Failing(lifetime, lambda _turn: 0)
        service.run()
    after = [turn for turn in failing.turns if turn >= 3600]
    assert after[0] - lifetime.asked_at <= 2
    assert len(after) < 40, "it tries again and again"
    assert [path.name for path in files(folders.work)] == ["stays.xml", "waits.xml"]
    assert [line["file"] for line in logs if line["event"] == "file.withdrawn"] == ["goes.xml", "stays.xml"]
    assert [line["file"] for line in logs if line["event"] == "file.waiting"] == ["stays.xml"]


class Away(Hurried):
    """The time of a loop whose inbox is away for an hour."""

    def __init__(self, come_back):
        super().__init__()
        self._come_back = come_back
        self.back_at = None

    def pause(self, seconds):
        """Let the time pass; after an hour the inbox is back."""
        super().pause(seconds)
        if self.back_at is None and self.now() >= 3600:
            self._come_back()
            self.back_at = self.now()


class Taking(Idle):
    """Batches that note when they get the first file, and end the loop with it."""

    def __init__(self, lifetime):
        self._lifetime = lifetime
        self.taken_at = None

    def settle(self):
        """Have nothing under way."""
        return Tally()

    def process(self, _claims):
        """Note the time."""
        self.taken_at = self._lifetime.now()
        self._lifetime.end()
        return iter(())


def test_inbox_that_was_away_for_long_is_looked_through_within_one_scan(folders):
    """However long an inbox was gone, a file in it waits no longer than for one scan once it is back."""
    away = folders.inbox.with_name("away")
    lifetime, scan_seconds = Away(lambda: away.rename(folders.inbox)), 10
    inbox = {"observer": "off", "scan_seconds": scan_seconds, "settle_seconds": 0}
    line = Line(folders, "http://127.0.0.1:9", lifetime=lifetime, inbox=inbox)
    with line.service() as service:
        service._tenure.check()
    drop(folders.inbox, "pay.xml", document(("CW-1", "100.00")))
    folders.inbox.rename(away)
    with line.service() as service:
        service._batches = taking = Taking(lifetime)
        service.run()
    line.close()
    assert taking.taken_at - lifetime.back_at <= scan_seconds
