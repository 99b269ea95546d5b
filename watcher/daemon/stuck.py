"""A folder that does not answer: noticed, reported, and no reason for systemd to end the process.

A call on a share whose server has gone may not return for hours. Nothing can be done about it from inside, and a
restart would mend nothing. So a thread of its own looks at the call under way, says what it is, goes on feeding the
watchdog, and ends the process when that is asked for.
"""

from __future__ import annotations

import threading
import time

import structlog

from watcher.daemon.bulletin import Speaker
from watcher.disk.hanging import Call, FolderCalls
from watcher.errors import FolderTrouble
from watcher.events.catalogue import Event
from watcher.lifetime import Lifetime, leave

# The thread looks this often (seconds); a stop wakes it at once.
_LOOK_SECONDS = 5.0
# A call that takes longer than this does not answer (seconds).
_HANGS_AFTER = 10.0
# A call may take this long after the process was asked to end (seconds).
_GRACE_SECONDS = 3.0


class StuckCalls:
    """Watches the calls of the daemon's main thread on folders."""

    def __init__(
        self,
        calls: FolderCalls,
        lifetime: Lifetime,
        speaker: Speaker,
        *,
        look_seconds: float = _LOOK_SECONDS,
        hangs_after: float = _HANGS_AFTER,
    ) -> None:
        """Watch nothing yet.

        Args:
            calls: those of the main thread.
            lifetime: of the process.
            speaker: reports a call that does not answer.
            look_seconds: how often to look.
            hangs_after: how long a call may take (seconds).
        """
        self._calls = calls
        self._lifetime = lifetime
        self._speaker = speaker
        self._look_seconds = look_seconds
        self._hangs_after = hangs_after
        self._hanging: Call | None = None
        self._stopped = False

    def start(self) -> None:
        """Begin to watch, in a thread that keeps no interpreter from ending."""
        threading.Thread(target=self._run, name="stuck calls", daemon=True).start()

    def stop(self) -> None:
        """Watch no longer; the thread ends at its next look."""
        self._stopped = True

    def _run(self) -> None:
        while not self._lifetime.until_ending(self._look_seconds):
            if self._stopped:
                return
            self.look(time.monotonic())
        self._see_the_end()

    def look(self, now: float) -> None:
        """Look once at the call under way.

        Args:
            now: monotonic seconds.
        """
        call = self._calls.under_way
        if self._hanging is not None and call is not self._hanging:
            self._speaker.moving(now - self._hanging.began)
            self._hanging = None
        if call is not None and now - call.began >= self._hangs_after:
            if self._hanging is None:
                self._hanging = call
                # To write down that one folder hangs may hang on another.
                threading.Thread(target=self._report, args=(call, now - call.began), daemon=True).start()
            self._lifetime.alive()

    def _report(self, call: Call, seconds: float) -> None:
        mend = "Check the share and its server; the work goes on by itself once the call comes back"
        self._speaker.waiting(FolderTrouble(f"{call.path} does not answer", mend), seconds, retry_in=None)

    def _see_the_end(self) -> None:
        """End the process although a call hangs. The next start repeats what the call was doing."""
        last = self._calls.under_way
        if last is None:
            return
        deadline, pause = time.monotonic() + _GRACE_SECONDS, threading.Event()
        while self._calls.under_way is last:
            if time.monotonic() >= deadline:
                self._speaker.stopping()
                structlog.get_logger().info(Event.STOPPED)
                leave(0)
            pause.wait(0.1)
