"""What an answer means for the payment that it is about: an outcome, another look, or doubt."""

from __future__ import annotations

from collections import OrderedDict
from datetime import date

import structlog

from watcher.errors import (
    AnswerLost,
    ConnectWiseError,
    Contradicted,
    Missing,
    Outage,
    PaymentWatcherError,
    Rejection,
    Scope,
)
from watcher.events.catalogue import Event
from watcher.lifetime import Lifetime
from watcher.payments.attempts import Attempts
from watcher.payments.model import Action, Call, Change, Create, Intent, Remove, action_of
from watcher.payments.outcomes import Outcome, Result, finish
from watcher.payments.refusals import Refusals, Refused
from watcher.processing.pending import SURPRISES, Pending, rejected
from watcher.processing.unanswered import Unanswered

# Of so many payments it is remembered which date was sent last.
_DATES = 10_000

# The id of the payment row, if there is one, or what went wrong.
Answer = int | PaymentWatcherError | None


class Answers:
    """Takes in the answers to the calls of demands; used from one thread.

    Attributes:
        dates: the day that was sent last for a payment row in this run, by its id; None if it was taken off.
    """

    def __init__(self, unanswered: Unanswered, refusals: Refusals, attempts: Attempts, lifetime: Lifetime) -> None:
        """Know of no answer yet.

        Args:
            unanswered: remembers the calls without an answer.
            refusals: remembers the calls that were refused.
            attempts: counts those in a row.
            lifetime: knows what time it is.
        """
        self.dates: OrderedDict[int, date | None] = OrderedDict()
        self._unanswered = unanswered
        self._refusals = refusals
        self._attempts = attempts
        self._lifetime = lifetime
        self._log = structlog.get_logger()

    def take(self, one: Pending, answer: Answer, intent: Intent | None) -> list[Result]:
        """Take in the answer to a demand's call; return its results, none where nobody knows them yet.

        Args:
            one: the demand.
            answer: ConnectWise's answer.
            intent: what was planned in this round; None if it had been planned before.
        """
        # What was answered oddly is looked at again at once. Only if that helps nothing, it has to wait.
        waits = one.doubtful or not isinstance(answer, Contradicted)
        before = one.intent
        if isinstance(answer, Outage):
            if is_about_one(answer):
                # It says that nothing was done. The payments that are read back show if that is true.
                one.tried = intent or before
                self.refused(one, answer, action_of(one.step))
            return []
        one.intent = intent or before
        one.doubtful = one.unread = one.doubtful or isinstance(answer, AnswerLost | Rejection)
        if isinstance(answer, AnswerLost):
            self._log_fault(Event.PAYMENT_UNKNOWN, answer, **one.named)
            one.made = answer.payment_id or one.made
            self._unanswered.lost({one.demand.id: one.intent})
            if answer.was_answered:
                self._remember_date(one.step)
            if answer.payment_id is None and waits:
                self.refused(one, answer, action_of(one.step))
            return []
        if isinstance(answer, Rejection):
            return self._refused_by_words(one, answer, before)
        if isinstance(answer, PaymentWatcherError):
            raise answer
        self.went_well(action_of(one.step))
        return self._done(one, answer, before)

    def refused(self, one: Pending, error: Refused, action: Action | None) -> None:
        """Take in that a demand was not taken, which may be its own fault.

        Args:
            one: the demand.
            error: what ConnectWise said.
            action: what its call was to do; None if a look at its invoice went wrong.
        """
        one.doubtful = True
        one.unread = action is not None
        self._refusals.refused(one.demand, action, error, self._lifetime.now())
        if action is not None and not self._refusals.is_suspect(one.demand.id):
            self._attempts.refused(one.demand.id)
        if isinstance(error, Outage):
            self._log_fault(Event.PAYMENT_REFUSED, error, **one.named)

    def went_well(self, action: Action) -> None:
        """Take in that a payment was made, changed or removed."""
        self._refusals.went_well(action, self._lifetime.now())
        self._attempts.went_well()

    def worse(self, trouble: Outage | None, answer: Answer) -> Outage | None:
        """Return the outage that a round met, if there is any."""
        if not isinstance(answer, Outage) or is_about_one(answer):
            return trouble
        if trouble is not None:
            # Whoever waits out the outage logs only one of them.
            self._log_fault(Event.CONNECTWISE_RETRY, trouble, attempt=1)
        return answer

    def _refused_by_words(self, one: Pending, answer: Rejection, before: Intent | None) -> list[Result]:
        assert one.plan is not None
        self._log_fault(Event.PAYMENT_REFUSED, answer, **one.named)
        one.surprises += 1
        one.refused = (one.plan, answer)
        if isinstance(answer, Missing):
            # Another look shows if the invoice or the row is gone. What was to be removed and is gone is done.
            if not isinstance(one.step, Remove) or one.step.surplus:
                one.intent = before
            return []
        # The refused call was not carried out; the one planned before it may have been.
        one.intent = before
        if isinstance(one.step, Change) and one.step.clear_date:
            one.dates_stay = str(answer)
        return []

    def _done(self, one: Pending, payment_id: int | None, before: Intent | None) -> list[Result]:
        """Return the results of a call that was answered well; none where the invoice is looked up once more."""
        assert one.plan is not None
        step = one.step
        if isinstance(step, Remove) and step.surplus:
            one.doubtful = True
            one.surprises += 1
            return [] if one.surprises < SURPRISES else rejected(one.plan, "ConnectWise keeps two payments on it")
        if isinstance(step, Create) and before is not None and before.action is Action.CREATE:
            # The POST before this one went unanswered and may still arrive: only a look shows that there is one row.
            return []
        self._remember_date(step)
        return finish(one.plan, Outcome.APPLIED, payment_id)

    def _remember_date(self, step: Call) -> None:
        """Remember the date that a payment row was sent. ConnectWise may show another one all the same."""
        if isinstance(step, Change) and (step.date_paid is not None or step.clear_date):
            self.dates[step.payment_id] = step.date_paid
            self.dates.move_to_end(step.payment_id)
            if len(self.dates) > _DATES:
                self.dates.popitem(last=False)

    def _log_fault(self, event: Event, fault: ConnectWiseError | Outage, **keys: object) -> None:
        self._log.warning(event, reason=str(fault), request_id=fault.request_id, **keys)


def is_about_one(answer: Answer) -> bool:
    """Return True if an answer is a failure that may be the single record's fault."""
    return isinstance(answer, Outage | AnswerLost) and answer.scope is not Scope.LINE
