"""The pretended time of a whole daemon."""

from __future__ import annotations

from support.line import Hurried


class Day(Hurried):
    """The time of a daemon that ends once there is nothing to do, or after an hour.

    It hears what the daemon tells systemd.

    Attributes:
        longest: how long it goes on at most (seconds).
    """

    longest = 3600

    def __init__(self, then=None, at=0.0):
        """Begin.

        Args:
            then: called once.
            at: when (seconds).
        """
        super().__init__()
        self.systemd = self
        self._then, self._at = then, at

    def ready(self):
        """Hear that the start is over."""

    def tell(self, _message):
        """Hear a sign of life."""

    def status(self, sentence):
        """Hear how things are."""
        if sentence.endswith("nothing to do.") and not self._then:
            self.end()

    def pause(self, seconds):
        """Let the time pass."""
        super().pause(seconds)
        if self._then and self.now() >= self._at:
            then, self._then = self._then, None
            then()
        if self.now() >= self.longest:
            self.end()
