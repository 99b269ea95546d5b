"""Delivers notices to one service, in a thread of its own: gathered, sent, repeated, and given up if need be."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from watcher.events.catalogue import Event
from watcher.events.notices import Notice, digest

# The most notices that are kept for a service that does not take them: the latest.
_MOST_KEPT = 200
# A notice is given up once it was sent alone so often and not taken, if the service takes other messages.
_MOST_REFUSALS = 3
# After so many messages in a row that were not taken, the service is left alone until the next time. Whatever is the
# matter, that is more than it takes to find one notice out of all.
_MOST_IN_VAIN = 12
# Comes in place of a notice that is given up. Its words are ours: nothing in it can be the reason for a refusal.
_STAND_IN = Notice(
    "A message could not be delivered",
    "This service refused a message of payment-watcher again and again. "
    "The log names it (notify.failed), and payment-watcher status shows what has failed.",
)

Send = Callable[[Notice], str | None]


@dataclass(slots=True)
class _Letter:
    """A notice on its way.

    Attributes:
        notice: what it says.
        refusals: how often it was sent alone and not taken.
    """

    notice: Notice
    refusals: int = 0


class Courier:
    """Sends to one service.

    All that waits goes in one message. If the service does not take it, each half goes alone, and so on: one notice
    that is not taken keeps no other one back.
    """

    def __init__(self, name: str, send: Send, gather_seconds: float, pause_seconds: float) -> None:
        """Start the thread.

        Args:
            name: of the service.
            send: sends it a notice; returns None once it is taken, else what went wrong.
            gather_seconds: how long notices are gathered before the first message.
            pause_seconds: the pause before the next one.
        """
        self._name, self._send = name, send
        self._pauses = gather_seconds, pause_seconds
        self._waiting: deque[_Letter] = deque()
        self._something, self._closing = threading.Event(), threading.Event()
        self._in_vain, self._fault = 0, ""
        self._log = structlog.get_logger()
        self._thread = threading.Thread(target=self._run, name=f"notices to {name}", daemon=True)
        self._thread.start()

    def put(self, notice: Notice) -> None:
        """Take a notice, and return at once."""
        self._waiting.append(_Letter(notice))
        self._forget_oldest()
        self._something.set()

    def close(self, deadline: float) -> None:
        """Send what waits, and end at a time (monotonic seconds)."""
        self._closing.set()
        self._something.set()
        self._thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        gather_seconds, pause_seconds = self._pauses
        while not self._closing.is_set():
            self._something.wait()
            self._something.clear()
            self._closing.wait(gather_seconds)
            while self._waiting:
                last = self._closing.is_set()
                self._deliver()
                if last:
                    return
                # The next message comes after a pause, and holds all that happened meanwhile: a digest, never a flood.
                self._closing.wait(pause_seconds)

    def _deliver(self) -> None:
        """Send all that waits, in as few messages as the service takes."""
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        # What was refused before comes last, so that it costs the others nothing.
        letters = sorted(waiting, key=lambda letter: letter.refusals)
        self._in_vain = 0
        left = self._keep_trying(self._send_parts(letters))
        if not left:
            return
        self._log.warning(Event.NOTICE_FAILED, service=self._name, reason=self._fault, notices=len(left))
        # Before what came meanwhile.
        self._waiting.extendleft(reversed(left))
        self._forget_oldest()

    def _forget_oldest(self) -> None:
        # The other thread may take the last one meanwhile.
        with suppress(IndexError):
            while len(self._waiting) > _MOST_KEPT:
                self._waiting.popleft()

    def _send_parts(self, letters: Sequence[_Letter]) -> list[_Letter]:
        """Send notices in one message, or else in halves; return those that were not taken."""
        if not letters or self._in_vain >= _MOST_IN_VAIN:
            return list(letters)
        if self._taken(*letters):
            return []
        if len(letters) == 1:
            letters[0].refusals += 1
            return list(letters)
        middle = len(letters) // 2
        return self._send_parts(letters[:middle]) + self._send_parts(letters[middle:])

    def _keep_trying(self, left: Sequence[_Letter]) -> list[_Letter]:
        """Return the notices that are to be sent again; give up those that a service which works does not take."""
        refused = [letter for letter in left if letter.refusals >= _MOST_REFUSALS]
        if not refused or self._send(_STAND_IN) is not None:
            # If it takes nothing at all, no notice is at fault.
            return list(left)
        for letter in refused:
            if not self._taken(letter):
                reason = f"{self._fault}; given up after {letter.refusals + 1} attempts: {letter.notice.title}"
                self._log.warning(Event.NOTICE_FAILED, service=self._name, reason=reason, notices=1)
        return [letter for letter in left if letter not in refused]

    def _taken(self, *letters: _Letter) -> bool:
        """Send notices in one message; return True if the service took it."""
        fault = self._send(digest([letter.notice for letter in letters]))
        if fault is not None:
            self._in_vain, self._fault = self._in_vain + 1, fault
            return False
        self._in_vain = 0
        self._log.info(Event.NOTICE_SENT, service=self._name, notices=len(letters))
        return True
