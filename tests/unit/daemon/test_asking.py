"""ConnectWise is asked at the start and when idle, in pretended time."""

from __future__ import annotations

from contextlib import closing

import pytest
from structlog.testing import capture_logs
from support.connectwise import payments_of
from support.documents import document, drop
from support.line import Hurried, Line
from support.network import Strike, Unreliable, page

HOUR = 3600
DOWN = page(503, "down for maintenance", "text/plain")


class Clock(Hurried):
    """Pretended time, in which something happens at given seconds."""

    def __init__(self, until):
        super().__init__()
        self._until = until
        self.happens = {}

    def pause(self, seconds):
        """Let the time pass, and whatever happens by then happen."""
        super().pause(seconds)
        for at in [at for at in self.happens if at <= self.now()]:
            self.happens.pop(at)()
        if self.now() > self._until:
            self.end()


@pytest.fixture
def run(folders):
    """Let a daemon run for a while in pretended time; return what it logged."""

    def run(site, seconds, happens=(), settle_seconds=0):
        clock = Clock(seconds)
        inbox = {"observer": "off", "scan_seconds": 60, "settle_seconds": settle_seconds}
        with (
            closing(Line(folders, site, lifetime=clock, inbox=inbox)) as line,
            line.service() as service,
            capture_logs() as logs,
        ):
            clock.happens = {at: (lambda what=what: what(line)) for at, what in happens}
            service.run()
        return logs

    return run


def asked(network):
    """Return how often one invoice was asked for, and how many requests there were."""
    looks = [request for request in network.requests if request.path.endswith("fields=id")]
    return len(looks), len(network.requests)


def test_an_idle_daemon_asks_at_the_start_and_once_an_hour(run, sandbox):
    """That is all it asks."""
    with Unreliable(sandbox.url) as network:
        run(network.url, 3 * HOUR + 100)
    assert asked(network) == (4, 4)


def test_a_daemon_with_payments_to_make_asks_nothing_more(run, folders, sandbox):
    """An answer about a payment shows the same; the next look is an hour after it."""
    drop(folders.inbox, "first.xml", document(("CW-1", "10.00")))
    second = (1800, lambda _line: drop(folders.inbox, "second.xml", document(("CW-2", "10.00"))))
    with Unreliable(sandbox.url) as network:
        run(network.url, 1800 + HOUR - 100, [second])
        assert asked(network)[0] == 0
        run(network.url, 100)
    assert asked(network)[0] == 1


def test_an_outage_that_is_found_so_ends_by_itself(run, sandbox):
    """It is asked again as in any outage, in pauses that grow, and no scan in between ends it."""
    strike = Strike(DOWN, "GET", nth=range(1, 13))
    with Unreliable(sandbox.url, strike) as network:
        logs = run(network.url, HOUR)
    told = [line for line in logs if line["event"].startswith("line.")]
    assert [line["event"] for line in told] == ["line.waiting", "line.moving"]
    assert told[1]["waited_seconds"] < 300
    # Each look is tried three times.
    assert asked(network) == (13, 13)


def test_a_file_that_comes_in_such_an_outage_is_tried_at_once(run, folders, sandbox):
    """It does not wait for the end of a pause; its answers end the outage."""
    strike = Strike(DOWN, "GET", path="fields=id$", nth=range(1, 1000))
    comes = (2000, lambda _line: drop(folders.inbox, "pay.xml", document(("CW-1", "10.00"))))
    with Unreliable(sandbox.url, strike) as network:
        logs = run(network.url, 2200, [comes])
    told = [line["event"] for line in logs if line["event"] in ("line.waiting", "line.moving", "file.finished")]
    assert told == ["line.waiting", "line.moving", "file.finished"]


def test_a_file_that_cannot_be_read_ends_no_such_outage(run, folders, sandbox):
    """ConnectWise has no part in it."""
    strike = Strike(DOWN, "GET", nth=range(1, 1000))
    comes = (600, lambda _line: drop(folders.inbox, "bad.xml", b"<Wrong/>"))
    with Unreliable(sandbox.url, strike) as network:
        logs = run(network.url, 1000, [comes])
    told = [line["event"] for line in logs if line["event"] in ("line.waiting", "line.moving", "file.refused")]
    assert told == ["line.waiting", "file.refused"]


def test_an_answer_that_makes_no_sense_is_an_outage_too(run, sandbox):
    """A 400 to a look at invoices is no record's fault."""
    strike = Strike(page(400, '{"message": "no such field"}'), "GET", nth=1)
    with Unreliable(sandbox.url, strike) as network:
        logs = run(network.url, 300)
    told = [line for line in logs if line["event"].startswith("line.")]
    assert [line["event"] for line in told] == ["line.waiting", "line.moving"]
    assert "no such field" in told[0]["reason"]


def test_an_idle_daemon_that_is_asked_to_try_asks_connectwise(run, sandbox):
    """`retry` is true also when nothing waits."""
    with Unreliable(sandbox.url) as network:
        run(network.url, 1000, [(500, lambda line: line.lifetime.retry())])
    assert asked(network) == (2, 2)


def test_payments_that_are_left_for_a_while_are_tried_too(run, folders, sandbox):
    """ConnectWise refused them for half an hour, so that their next turn would be minutes away."""
    drop(folders.inbox, "pay.xml", document(("CW-1", "10.00"), ("CW-2", "10.00")))
    refused = page(500, '{"message": "no"}')
    paid = []
    with Unreliable(sandbox.url, Strike(refused, "POST")) as network:

        def mend(line):
            network.strike()
            line.lifetime.retry()

        look = (1812, lambda _line: paid.extend(payments_of(sandbox, "CW-1") + payments_of(sandbox, "CW-2")))
        run(network.url, 1900, [(1800, mend), look])
    assert len(paid) == 2


def test_a_file_that_is_about_to_be_taken_is_not_kept_waiting(run, folders, sandbox):
    """It lies in the inbox at the start and is not quiet yet: its own look-up is the first request."""
    drop(folders.inbox, "pay.xml", document(("CW-1", "10.00")))
    with Unreliable(sandbox.url) as network:
        run(network.url, 100, settle_seconds=20)
    assert "invoiceNumber" in network.requests[0].path
    assert asked(network)[0] == 0
