"""What payments cost: requests, time and processor time of ``apply()``, at ease, under a limit, and the plain way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import requests
from soak.servers import LIMIT, WINDOW, Fixed, Seen, Server, Sliding, SlidingInWholeSeconds, Window, pays
from soak.table import Row
from support.connectwise import account
from support.line import connect

from watcher.actions.apply import Applied, apply
from watcher.errors import Stopping
from watcher.lifetime import Lifetime
from watcher.payments.model import Rules
from watcher.payments.outcomes import Outcome
from watcher.sandbox import InvoiceSeed, numbered_invoices

LATENCY = 0.05
# The highest pace that the configuration takes.
UNPACED = 60_000
LIMIT_A_MINUTE = LIMIT / WINDOW * 60
# Seconds in which the client may find the limit.
SETTLING = 2 * WINDOW


@dataclass(frozen=True)
class Run:
    """What a run took: seconds by the clock and of the processor, and what the server saw of it."""

    payments: int
    seconds: float
    processor_seconds: float
    seen: Seen

    @property
    def requests_per_payment(self) -> float:
        return self.seen.all_requests / self.payments


def applied(data: bytes, url: str, workers: int, requests_per_minute: float, lifetime: Lifetime) -> Applied:
    """Apply a document as the command line does."""
    client, makes = connect(url, lifetime, concurrency=workers, requests_per_minute=round(requests_per_minute))
    *_, last = apply(data, client, makes, Rules())
    return last


def settle(invoices: Sequence[InvoiceSeed], workers: int, latency: float) -> Run:
    """Pay each invoice with nothing to hold it up."""
    data = pays(invoices)
    with Server(invoices, latency) as server:
        began, processor_began = time.perf_counter(), time.process_time()
        outcome = applied(data, server.url, workers, UNPACED, Lifetime())
        seconds, processor_seconds = time.perf_counter() - began, time.process_time() - processor_began
    assert [result.outcome for result in outcome.known] == [Outcome.APPLIED] * len(invoices), outcome.held_up_by
    assert set(server.seen.rows) == {1}
    return Run(len(invoices), seconds, processor_seconds, server.seen)


def settle_plainly(invoices: Sequence[InvoiceSeed]) -> Run:
    """Pay each invoice as a short script would, one call after another."""
    with Server(invoices, LATENCY) as server, requests.Session() as session:
        ours = account(server.url)
        session.trust_env = False
        session.auth = (f"{ours.company}+{ours.public_key}", ours.private_key)
        session.headers["clientId"] = ours.client_id
        began, processor_began = time.perf_counter(), time.process_time()
        for invoice in invoices:
            condition = {"conditions": f'invoiceNumber="{invoice.number}"'}
            (found,) = session.get(f"{ours.url}/finance/invoices", params=condition).json()
            payments = f"{ours.url}/finance/invoices/{found['id']}/payments"
            assert session.get(payments).json() == []
            body = {"type": "P", "amount": float(invoice.total), "invoice": {"id": found["id"]}}
            session.post(payments, json=body).raise_for_status()
        seconds, processor_seconds = time.perf_counter() - began, time.process_time() - processor_began
    assert set(server.seen.rows) == {1}
    return Run(len(invoices), seconds, processor_seconds, server.seen)


def settle_within(window: type[Window], requests_per_minute: float, seconds: float) -> Seen:
    """Pay more invoices than the limit allows until the time is up, and return what the server saw in that time."""
    invoices = numbered_invoices(int(LIMIT / WINDOW * (seconds + 2 * WINDOW)))
    data = pays(invoices)
    lifetime = Lifetime()
    with Server(invoices, window=window) as server:
        time_is_up = threading.Timer(seconds + 0.5, lifetime.end)
        time_is_up.start()
        outcome = applied(data, server.url, 4, requests_per_minute, lifetime)
        time_is_up.cancel()
    assert isinstance(outcome.held_up_by, Stopping), outcome.held_up_by or "there were too few payments"
    assert {result.outcome for result in outcome.known} <= {Outcome.APPLIED}
    assert set(server.seen.rows) <= {0, 1}
    began = server.seen.asked[0][0]
    return replace(server.seen, asked=[one for one in server.seen.asked if one[0] < began + seconds])


def limit_rows(seconds: float) -> Iterator[Row]:
    kinds = {
        "sliding window": Sliding,
        "fixed window": Fixed,
        "sliding window, waits in whole seconds": SlidingInWholeSeconds,
    }
    cases = [(window, 10 * LIMIT_A_MINUTE) for window in kinds.values()] + [(Sliding, 900), (Fixed, 900)]
    with ThreadPoolExecutor(len(cases)) as pool:
        *found, below_sliding, below_fixed = pool.map(lambda case: settle_within(*case, seconds), cases)
    for kind, seen in zip(kinds, found, strict=True):
        began = seen.asked[0][0]
        settled = replace(seen, asked=[one for one in seen.asked if one[0] >= began + SETTLING])
        allowed = LIMIT / WINDOW * (seconds - SETTLING)
        admitted = len(settled.asked) - settled.refused
        name = f"{kind}, 100 in 6 s, {SETTLING:.0f} to {seconds:.0f} s"
        # Seconds that are not scaled down are coarse for a window that is: each wait may lose a sixth of it.
        target = None if "whole seconds" in kind else 95
        yield Row(f"Limit used, {name}", 100 * admitted / allowed, 1, " %", target=target, at_least=True)
        yield Row(f"429s per 100 requests, {name}", 100 * settled.refused / len(settled.asked), 2, target=1)
    refused = below_sliding.refused + below_fixed.refused
    yield Row("429s at 900 a minute, 100 in 6 s, either window", refused, 0, target=0)
