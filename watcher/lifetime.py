"""The life of this process: what it was asked to do, what time it is, and what systemd hears of it."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, TypeVar

from watcher.errors import Stopping
from watcher.plain import plain

# The longest time between two signs of life in a wait (seconds).
_BREATH_SECONDS = 1.0
# How often a sign of life is written to disk (seconds).
SIGN_SECONDS = 20.0
# So many items of a long work take well under a second.
_ITEMS = 1000

Item = TypeVar("Item")


class Systemd:
    """Speaks sd_notify(3) where systemd listens (``$NOTIFY_SOCKET``), and is silent elsewhere."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        # A leading @ is a socket in the abstract namespace (sd_notify(3)).
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._status = ""
        self._ready = False

    def ready(self) -> None:
        """Say once that the start is over; systemd goes on with what comes after this service."""
        if not self._ready:
            self._ready = True
            self.tell("READY=1")

    def tell(self, message: str) -> None:
        """Send one message, such as ``READY=1``."""
        if self._address:
            # If nobody listens any more, that stops no payment.
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
                notify.sendto(message.encode(), self._address)

    def status(self, sentence: str) -> None:
        """Say in a plain sentence what is going on; ``systemctl status`` shows it."""
        if sentence != self._status:
            self._status = sentence
            # A line feed in it would be another message to systemd.
            self.tell(f"STATUS={plain(sentence)}")


class Lifetime:
    """What the process is asked to do, that it is alive, and what time it is. Safe to use from several threads.

    Attributes:
        systemd: hears the signs of life.
        asked_by: the name of the signal that asked the process to end; empty if none did.
        reloading: True once the process is asked to read its configuration anew, until it has done so.
        retrying: True once the process is asked to try now what it would try later, until it does.
        sign_of_life: a file whose time of change says when the work last advanced; None for none.
    """

    def __init__(self) -> None:
        self.systemd = Systemd()
        self.asked_by = ""
        self.reloading = False
        self.retrying = False
        self.sign_of_life: Path | None = None
        self._signed_at = -math.inf
        self._ending = threading.Event()
        self._wakes: list[Callable[[], None]] = []

    @property
    def ending(self) -> bool:
        """True once the process is asked to end."""
        return self._ending.is_set()

    def end(self, asked_by: str = "") -> None:
        """Ask the process to end; every wait ends at once.

        Args:
            asked_by: the name of the signal, if it was one.
        """
        self.asked_by = asked_by
        self._ending.set()
        self._wake()

    def reload(self) -> None:
        """Ask the process to read its configuration anew, as soon as the batch in hand is done."""
        self.reloading = True
        self._wake()

    def retry(self) -> None:
        """Ask the process to try now what it would try later."""
        self.retrying = True
        self._wake()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """End a wait for something else, too, once the process is asked for anything.

        Args:
            wake: called in the thread that asks.
        """
        self._wakes.append(wake)
        try:
            yield
        finally:
            self._wakes.remove(wake)

    def _wake(self) -> None:
        for wake in list(self._wakes):
            wake()

    def now(self) -> float:
        """Return the time on a monotonic clock (seconds)."""
        return time.monotonic()

    def alive(self) -> None:
        """Feed systemd's watchdog: the work has advanced, or a wait is on purpose."""
        self.systemd.tell("WATCHDOG=1")
        if self.sign_of_life is not None and time.monotonic() - self._signed_at >= SIGN_SECONDS:
            self._signed_at = time.monotonic()
            # A full or failing disk is met where something is written.
            with suppress(OSError):
                os.utime(self.sign_of_life)

    def wait(self, seconds: float) -> None:
        """Wait on purpose: the watchdog is fed at least every second, and being asked to end ends the wait."""
        until = self.now() + seconds
        while not self.ending and (left := until - self.now()) > 0:
            self.pause(min(left, _BREATH_SECONDS))
            self.alive()

    def sleep(self, seconds: float) -> None:
        """Wait on purpose as ``wait`` does, in the middle of some work.

        Raises:
            Stopping: the process is asked to end.
        """
        self.wait(seconds)
        if self.ending:
            raise Stopping("asked to end during a wait")

    def through(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items that a long work goes through; the watchdog is fed now and then.

        Raises:
            Stopping: the process is asked to end.
        """
        for place, item in enumerate(items):
            if place % _ITEMS == 0:
                self.alive()
                if self.ending:
                    raise Stopping("asked to end in the middle of a file")
            yield item

    def pause(self, seconds: float) -> None:
        """Let some time pass, or less if the process is asked to end; the watchdog is not fed."""
        self._ending.wait(seconds)

    def listen(self, hear: Callable[[float], bool], seconds: float) -> bool:
        """Wait on purpose until something is heard, at most so long.

        Args:
            hear: waits for so many seconds, and returns True if it heard something. Being asked to end ends its wait.
            seconds: at most so long.
        """
        heard = hear(seconds)
        self.alive()
        return heard

    def until_ending(self, seconds: float) -> bool:
        """Wait until the process is asked to end, at most so long; return True if it is."""
        return self._ending.wait(seconds)

    def catch_signals(self, *, daemon: bool = False) -> None:
        """End in order on SIGTERM and SIGINT; for the main thread, before it has started others.

        The signals are blocked in every thread but one of their own, which waits for them (sigwait(3)). A signal
        handler would run in the main thread instead. It would deadlock if it set an Event whose lock the main thread
        holds. It would not run at all during a call on a folder that does not answer.

        Args:
            daemon: also read the configuration anew on SIGHUP, and try now on SIGUSR1.
        """
        others = {signal.SIGHUP: self.reload, signal.SIGUSR1: self.retry} if daemon else {}
        awaited = {signal.SIGTERM, signal.SIGINT, *others}
        signal.pthread_sigmask(signal.SIG_BLOCK, awaited)

        def catch() -> None:
            while True:
                caught = signal.Signals(signal.sigwait(awaited))
                if caught in others:
                    others[caught]()
                else:
                    self.end(caught.name)

        threading.Thread(target=catch, name="signals", daemon=True).start()


def leave(code: int) -> NoReturn:
    """End the process at once, from any thread, after everything logged and printed is written.

    Threads that still wait for ConnectWise or for a folder are not waited for. What they were doing stands in the
    journal as planned, and the next start looks it up. The interpreter's own way out would abort the process if such
    a thread wrote to the log meanwhile.

    Args:
        code: the exit code; 1 in place of 0 if nobody reads what was printed.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # The reader went away, as `head` does.
            code = code or 1
    os._exit(code)
