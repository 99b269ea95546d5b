"""Whose turn it is: what is read back first, what is called next, and when everything is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

import structlog

from watcher.events.catalogue import Event
from watcher.lifetime import Lifetime
from watcher.payments.attempts import Attempts
from watcher.payments.model import Action, Create, Demand, action_of
from watcher.payments.refusals import Refusals
from watcher.processing.left import Left
from watcher.processing.pending import OpenDemands, Pending
from watcher.processing.unanswered import Unanswered

# So many times as many payments are looked up as are tried, where those of each kind are to be among them.
_LOOKED_UP = 4
# So many payments in trouble are tried again before it is looked if files have come in.
_AGAIN = 64


class Turns:
    """Chooses the demands and the calls of each round; used from one thread."""

    def __init__(
        self, refusals: Refusals, attempts: Attempts, left: Left, unanswered: Unanswered, lifetime: Lifetime, size: int
    ) -> None:
        """Choose nothing yet.

        Args:
            refusals: knows which payments met trouble.
            attempts: counts those in a row.
            left: the payments of other claims that wait.
            unanswered: knows when a second POST may be made.
            lifetime: knows what time it is.
            size: the most demands of one round.
        """
        self._refusals = refusals
        self._attempts = attempts
        self._left = left
        self._unanswered = unanswered
        self._lifetime = lifetime
        self._size = size
        self._log = structlog.get_logger()

    def next(self, waiting: OpenDemands, held: Mapping[str, float]) -> list[Demand]:
        """Return the demands of the next round; none if all have to wait.

        What may have been carried out is read back before anything else. The calls of those that are in trouble go
        last: as many of them as there are workers would starve the others.
        """
        unread = waiting.unread(held)
        if self._attempts.is_over and unread:
            return unread
        others = {*held, *self._refusals.keys(), *(demand.key for demand in unread)}
        if self._attempts.is_doubtful:
            fresh = waiting.from_all_places(min(_LOOKED_UP * self._attempts.patience, self._size), others)
        else:
            fresh = waiting.earliest(self._size, others)
        if unread or fresh:
            return [*unread, *fresh]
        # Those that were tried last come last.
        again = sorted(waiting.earliest(self._size, held), key=lambda demand: self._refusals.error_at(demand.id))
        return again[:_AGAIN]

    def are_others_first(self, waiting: OpenDemands, held: Mapping[str, float]) -> bool:
        """Return True if nothing is left but payments in trouble: new files need not wait for these."""
        return not waiting.unread(held) and not waiting.earliest(1, {*held, *self._refusals.keys()})

    def is_outage(self, waiting: OpenDemands, held: Mapping[str, float]) -> bool:
        """Return True if everything is refused, and nothing that may have been carried out is left to read back."""
        return self._attempts.is_over and not waiting.unread(held) and not self._are_records(waiting)

    def is_outage_again(self, waiting: OpenDemands) -> bool:
        """Return True if those in trouble were tried again, and enough of them were refused."""
        return self._attempts.is_over_again and not self._are_records(waiting)

    def _are_records(self, waiting: OpenDemands) -> bool:
        """Return True if nothing follows, and what went well before shows that some refusals are the records' fault."""
        return self._refusals.nothing_follows and any(
            self._refusals.can_be_records(demand.id, nothing_else=True) for demand in waiting.left()
        )

    def chosen(self, calls: Sequence[Pending], waiting: OpenDemands) -> list[Pending]:
        """Return those of some calls that are made in this round; the others wait, if need be until they are due."""
        troubled = self._refusals.keys()
        fresh = [one for one in calls if one.demand.key not in troubled]
        first = fresh or ([] if self._attempts.is_over else calls)
        for one in calls:
            one.held_until = self.due(one, waiting)
        chosen = [one for one in first if not self._is_held(one, waiting)]
        if not self._attempts.is_doubtful or not fresh:
            return chosen
        # Of each kind some: the API member may have the right to do one and not another.
        kinds = [[one for one in chosen if action_of(one.step) is action] for action in Action]
        mixed = [one for several in zip_longest(*kinds) for one in several if one is not None]
        return mixed[: self._attempts.patience]

    def patience(self, calls: Sequence[Pending]) -> int:
        """Return how many calls of a round may be refused in a row before no further one is made."""
        if all(self._refusals.is_suspect(one.demand.id) for one in calls):
            # Others went past these, so they are no sign of an outage.
            return len(calls) + 1
        again = any(self._refusals.of(one.demand.id) is not None for one in calls)
        return self._attempts.patience_again if again else self._attempts.patience

    def is_records(self, one: Pending, waiting: OpenDemands) -> bool:
        """Return True if the fault is the record's own, by all that is known."""
        if not self._refusals.is_often_enough(one.demand.id):
            return False
        nothing_else = self._left.is_all_in_trouble(waiting.left())
        return self._refusals.can_be_records(one.demand.id, nothing_else=nothing_else)

    def due(self, one: Pending, waiting: OpenDemands) -> float:
        """Return when a demand has its next turn (monotonic seconds); 0 for now."""
        known = self._refusals.of(one.demand.id)
        return 0.0 if known is None or self.is_records(one, waiting) else known.due

    def _is_held(self, one: Pending, waiting: OpenDemands) -> bool:
        """Return True if a demand's next call has to wait: it may make a second payment, or was refused just now."""
        now = self._lifetime.now()
        seconds = self._unanswered.wait_before_post(one.demand.id) if isinstance(one.step, Create) else 0.0
        if seconds:
            self._log.info(Event.PAYMENT_HELD, wait_seconds=round(seconds, 1), **one.named)
        one.held_until = max(self.due(one, waiting), now + seconds if seconds else 0.0)
        return one.held_until > now
