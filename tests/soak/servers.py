"""Sandboxes in processes of their own, so that they share no interpreter lock with the client, and what they saw."""

from __future__ import annotations

import math
import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

from support.documents import document

from watcher.sandbox import InvoiceSeed, PaymentSeed, Sandbox, SignIn, numbered_invoices
from watcher.sandbox.books import Books
from watcher.sandbox.errors import TooManyRequestsError
from watcher.sandbox.gate import RateLimit
from watcher.sandbox.site import Site

# The server's limit: so many requests in so many seconds.
LIMIT = 100
WINDOW = 6.0

# Servers are forked off a process that has no threads and has imported what takes long.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["pytest", "rich.table", "watcher.actions.apply", "watcher.connectwise.client", "watcher.sandbox"]
)


def numbered(count: int, *payments: PaymentSeed) -> list[InvoiceSeed]:
    """Return invoices that each hold the same payments."""
    return [replace(invoice, payments=payments) for invoice in numbered_invoices(count, first=2)]


def pays(invoices: Sequence[InvoiceSeed]) -> bytes:
    """Return a document that pays each invoice in full."""
    return document(*((invoice.number, str(invoice.total)) for invoice in invoices))


# --- limits -----------------------------------------------------------------------------------------------------------


class Window(RateLimit):
    """Lets through so many requests a window, and remembers when each one came and whether it was let through.

    Attributes:
        step: what Retry-After is rounded up to, seconds.
    """

    step = WINDOW / 60

    def __init__(self):
        self._lock = threading.Lock()
        self._admitted: deque[float] = deque(maxlen=LIMIT)
        self.asked: list[tuple[float, bool]] = []

    def admit(self):
        with self._lock:
            now = time.monotonic()
            wait = self._free_at(now) - now if len(self._admitted) == LIMIT else 0.0
            self.asked.append((now, wait <= 0))
            if wait > 0:
                raise TooManyRequestsError(round(math.ceil(wait / self.step) * self.step, 3))
            self._admitted.append(now)

    def _free_at(self, now: float) -> float:
        """Return when the next request is let through, if there were enough to fill a window."""
        raise NotImplementedError


class Sliding(Window):
    """Counts the last seconds at any moment."""

    def _free_at(self, now):
        return self._admitted[0] + WINDOW


class SlidingInWholeSeconds(Sliding):
    """Tells the whole seconds to wait, as a server of a whole minute would."""

    step = 1.0


class Fixed(Window):
    """Starts from zero again and again; the first request comes in the middle of a window."""

    def _free_at(self, now):
        origin = self.asked[0][0] - WINDOW / 2
        begun = origin + (now - origin) // WINDOW * WINDOW
        return begun + WINDOW if self._admitted[0] >= begun else now


# --- the process ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What a server saw.

    Attributes:
        requests: how many came, by method and path template.
        rows: how many payment rows each invoice has in the end.
        asked: when each request came and whether the limit let it through; nothing where there is no limit.
    """

    requests: dict[str, int]
    rows: list[int]
    asked: list[tuple[float, bool]]

    @property
    def all_requests(self) -> int:
        return sum(self.requests.values())

    @property
    def refused(self) -> int:
        return sum(not admitted for _, admitted in self.asked)


class Server:
    """A sandbox in another process, for as long as a ``with`` block; what it saw is in ``seen`` afterwards."""

    def __init__(self, invoices: Sequence[InvoiceSeed], latency: float = 0.0, window: type[Window] | None = None):
        self._ours, self._theirs = PROCESSES.Pipe()
        self._process = PROCESSES.Process(target=serve, args=(self._theirs, invoices, latency, window), daemon=True)
        self.url = ""
        self.seen = Seen({}, [], [])

    def __enter__(self):
        self._process.start()
        self._theirs.close()
        self.url = self._ours.recv()
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self._ours.send("that was all")
            self.seen = self._ours.recv()
        self._ours.close()
        self._process.join()


def serve(ours: Connection, invoices: Sequence[InvoiceSeed], latency: float, window: type[Window] | None):
    """Serve until the other side says that it was all, or ends."""
    sandbox = Sandbox(invoices, latency=latency)
    limiter = window() if window else None
    if limiter:
        # The sandbox's own limit is a token bucket of a whole minute; there is no parameter for another one.
        sandbox._site = Site(Books(invoices), SignIn(), limiter)
    with sandbox:
        ours.send(sandbox.url)
        try:
            ours.recv()
        except EOFError:
            return
        books = sandbox.books()
        rows = [len(invoice["paymentRows"]) for invoice in books["invoices"]]
        ours.send(Seen(books["requests"], rows, limiter.asked if limiter else []))
