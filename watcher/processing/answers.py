"""What an answer means for the payment that it is about: an outcome, another look, or doubt."""

from __future__ import annotations

from collections import OrderedDict
from datetime import date

import structlog

from watcher.errors import (
    AnswerLost,
    ConnectWiseError,
    Missing,
    Outage,
    PaymentWatcherError,
    Rejection,
    Scope,
)
from watcher.events.catalogue import Event
from watcher.lifetime import Lifetime
from watcher.payments.model import Action, Call, Change, Create, Intent, Keep, Reject, Remove, action_of
from watcher.payments.outcomes import Outcome, Result, finish
from watcher.payments.refusals import Refusals, Refused
from watcher.processing.pending import Pending, rejected
from watcher.processing.unanswered import Unanswered

# How often a demand may find the invoice changed before ConnectWise's refusal counts.
_SURPRISES = 3
# Of so many payments it is remembered which date was sent last.
_DATES = 10_000

# The id of the payment row, if there is one, or what went wrong.
Answer = int | PaymentWatcherError | None


class Answers:
    """Takes in the answers to the calls of demands; used from one thread.

    Attributes:
        dates: the day that was sent last for a payment row in this run, by its id; None if it was taken off.
    """

    def __init__(self, unanswered: Unanswered, refusals: Refusals, lifetime: Lifetime) -> None:
        """Know of no answer yet.

        Args:
            unanswered: remembers the calls without an answer.
            refusals: remembers the calls that were refused.
            lifetime: knows what time it is.
        """
        self.dates: OrderedDict[int, date | None] = OrderedDict()
        self._unanswered = unanswered
        self._refusals = refusals
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
        again = one.doubtful and isinstance(answer, AnswerLost) and answer.was_answered
        if isinstance(answer, Outage | AnswerLost) and (again or is_about_one(answer)):
            self.refused(one, answer)
        if isinstance(answer, Outage):
            return []
        before = one.intent
        one.intent = intent or before
        one.doubtful = one.doubtful or isinstance(answer, AnswerLost | Rejection)
        if isinstance(answer, AnswerLost):
            self._log_fault(Event.PAYMENT_UNKNOWN, answer, **one.named)
            one.made = answer.payment_id
            self._unanswered.lost({one.demand.id: one.intent})
            if answer.was_answered:
                self._remember_date(one.step)
            return []
        if isinstance(answer, Rejection):
            return self._refused_by_words(one, answer, before)
        if isinstance(answer, PaymentWatcherError):
            raise answer
        self._refusals.went_well(action_of(one.step))
        return self._done(one, answer, before)

    def refused(self, one: Pending, error: Refused) -> None:
        """Take in that a demand was refused, which may be its own fault."""
        one.doubtful = True
        action = None if one.plan is None or isinstance(one.plan.step, Keep | Reject) else action_of(one.step)
        self._refusals.refused(one.demand, action, error, self._lifetime.now())
        if isinstance(error, Outage):
            self._log_fault(Event.PAYMENT_REFUSED, error, **one.named)

    def worse(self, trouble: Outage | AnswerLost | None, answer: Answer) -> Outage | AnswerLost | None:
        """Return the trouble that counts for a round, if there is any: an outage more than a lost answer."""
        if not isinstance(answer, Outage | AnswerLost) or answer.scope is not Scope.LINE:
            return trouble
        if isinstance(answer, Outage) and isinstance(trouble, Outage):
            # Whoever waits out the outage logs only one of them.
            self._log_fault(Event.CONNECTWISE_RETRY, trouble, attempt=1)
        return answer if trouble is None or isinstance(answer, Outage) else trouble

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
        return [] if one.surprises < _SURPRISES else rejected(one.plan, str(answer))

    def _done(self, one: Pending, payment_id: int | None, before: Intent | None) -> list[Result]:
        """Return the results of a call that was answered well; none where the invoice is looked up once more."""
        assert one.plan is not None
        step = one.step
        if isinstance(step, Remove) and step.surplus:
            one.doubtful = True
            one.surprises += 1
            return [] if one.surprises < _SURPRISES else rejected(one.plan, "ConnectWise keeps two payments on it")
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

    def log_hold(self, one: Pending, seconds: float) -> None:
        """Log that a demand's POST waits so long (seconds)."""
        self._log.info(Event.PAYMENT_HELD, wait_seconds=round(seconds, 1), **one.named)

    def _log_fault(self, event: Event, fault: ConnectWiseError | Outage, **keys: object) -> None:
        self._log.warning(event, reason=str(fault), request_id=fault.request_id, **keys)


def is_about_one(answer: Answer) -> bool:
    """Return True if an answer is a failure that may be the single record's fault. An odd answer is no failure."""
    if isinstance(answer, AnswerLost) and answer.was_answered:
        return False
    return isinstance(answer, Outage | AnswerLost) and answer.scope is not Scope.LINE
