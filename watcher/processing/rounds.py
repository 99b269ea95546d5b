"""Rounds: look up, plan, call, until every demand has an outcome.

A round takes at most one demand for each invoice, the earliest. So the calls of a round may run side by side, and the
order for each invoice is still kept. A demand that a round could not finish, because an answer was lost or somebody
changed the invoice meanwhile, is looked up afresh in the next round. A lost answer, a retry and the recovery after a
crash take the same path. A second POST waits until the first can no longer be carried out; others go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing

import structlog

from watcher.connectwise.client import ConnectWise
from watcher.connectwise.workers import Batch, Workers
from watcher.errors import AnswerLost, ConnectWiseError, Outage, PaymentWatcherError, Rejection, Stopping, Unreachable
from watcher.events.catalogue import Event
from watcher.payments.doubts import InDoubt
from watcher.payments.model import (
    Action,
    Create,
    Demand,
    DemandId,
    Intent,
    Plan,
    Reject,
    Remove,
    Rules,
)
from watcher.payments.outcomes import Outcome, Result, finish, intend
from watcher.payments.planning import plan
from watcher.processing.look_up import LookUp
from watcher.processing.news import News, Outcomes, Planned
from watcher.processing.pending import OpenDemands, Pending, rejected, unplanned, without_call
from watcher.processing.unanswered import Unanswered

# The most demands of one round: enough to keep all workers busy, and few enough that what was looked up is still fresh.
_ROUND = 1000
# Outcomes are handed on to be written down this long after they are known, at the latest (seconds).
_WRITE_SECONDS = 1.0
# How often a demand may find the invoice changed before ConnectWise's refusal counts.
_SURPRISES = 3


_Intents = dict[DemandId, Intent]
# The id of the payment row, if there is one, or what went wrong.
Answer = int | PaymentWatcherError | None
_Ended = list[tuple[Pending, list[Result]]]


class Rounds:
    """Brings demands to their outcomes; used from one thread."""

    def __init__(
        self, client: ConnectWise, workers: Workers, look_up: LookUp, rules: Rules, size: int = _ROUND
    ) -> None:
        """Take what rounds are made of.

        Args:
            client: makes the calls.
            workers: make several of them at once.
            look_up: finds invoices and payments.
            rules: the operator's choices about money.
            size: the most demands of one round.
        """
        self._client = client
        self._workers = workers
        self._look_up = look_up
        self._rules = rules
        self._size = size
        self._unanswered = Unanswered(workers.lifetime, client.timeout_seconds)
        self._log = structlog.get_logger()

    def run(
        self, demands: Sequence[Demand], intents: Mapping[DemandId, Intent], doubts: Sequence[InDoubt] = ()
    ) -> Generator[News, None, None]:
        """Bring every demand to an outcome.

        Whoever runs this writes down all news before the next one is asked for. If that is not possible, closing the
        iterator keeps further calls from being made.

        Args:
            demands: in the order of arrival of their files.
            intents: the calls that earlier attempts planned and may have made.
            doubts: the invoices on which calls of earlier files may still be carried out.

        Yields:
            What has to be written down now.

        Raises:
            Outage: payments have to wait. Everything known has been yielded; run again with the demands that have no
                outcome.
            Stopping: the program ends.
        """
        waiting = OpenDemands(demands, intents)
        # Whoever is done with a demand lets go of it.
        del demands
        self._unanswered.meet(intents, doubts)
        # Invoices whose demands wait, by key: later demands on them wait, too.
        held: dict[str, float] = {}
        fruitless = 0
        self._look_up.forget_ahead()
        while waiting:
            now = self._workers.lifetime.now()
            held = {key: until for key, until in held.items() if until > now}
            wanted = waiting.earliest(self._size, held)
            if not wanted:
                self._workers.lifetime.sleep(min(held.values()) - now)
                continue
            later = waiting.earliest(self._size, {*held, *(demand.key for demand in wanted)})
            turn = waiting.begin(wanted)
            trouble = yield from self._round(turn, later)
            if isinstance(trouble, Outage):
                raise trouble
            held |= {one.demand.key: one.held_until for one in turn if one.held_until}
            if waiting.take_decided(turn):
                fruitless = 0
            elif trouble is not None:
                fruitless += 1
            if trouble is not None and fruitless > 1:
                # Answers get lost even after another look, so there is no sense in going on without a pause.
                raise Unreachable(str(trouble), trouble.request_id) from trouble

    def preview(self, demands: Sequence[Demand]) -> Iterator[Plan]:
        """Plan demands as ``run`` would, without any call that writes.

        Args:
            demands: at most one for each invoice.

        Yields:
            The plans, in the order of the demands.
        """
        for start in range(0, len(demands), self._size):
            turn = [Pending(demand) for demand in demands[start : start + self._size]]
            yield from self._plans(turn)

    def _round(
        self, turn: Sequence[Pending], later: Sequence[Demand]
    ) -> Generator[News, None, Outage | AnswerLost | None]:
        """Bring to an outcome what can be; return what kept the others from one."""
        calls, intents, ended = self._prepare(turn)
        if intents:
            self._unanswered.planned(intents)
            yield Planned([(one.demand, intents[one.demand.id]) for one in calls if one.demand.id in intents])
        if ended:
            yield self._outcomes(ended)
        trouble: Outage | AnswerLost | None = None
        batch, unmade = self._begin(calls, later), []
        unknown = {one.demand.id: intents.get(one.demand.id, one.intent) for one in calls}
        try:
            with closing(self._workers.gather(batch, _WRITE_SECONDS)) as gathered:
                for answers in gathered:
                    ended = []
                    for one, answer in answers:
                        del unknown[one.demand.id]
                        trouble = self._worse(one, trouble, answer)
                        if results := self._take(one, answer, intents.get(one.demand.id)):
                            ended.append((one, results))
                    unmade += [one for one, answer in answers if isinstance(answer, Outage)]
                    if ended:
                        yield self._outcomes(ended)
        except Stopping:
            yield from unplanned([*unmade, *batch.not_begun], intents)
            raise
        finally:
            # What is under way while nobody waits for it any more may still be carried out.
            not_begun = {one.demand.id for one in batch.not_begun}
            self._unanswered.lost({each: intent for each, intent in unknown.items() if each not in not_begun})
        yield from unplanned([*unmade, *batch.not_begun], intents)
        if trouble is not None:
            self._look_up.forget_ahead()
        return trouble

    def _take(self, one: Pending, answer: Answer, intent: Intent | None) -> list[Result]:
        """Take in the answer to a demand's call; return its results, none where nobody knows them yet.

        Args:
            one: the demand.
            answer: ConnectWise's answer.
            intent: what was planned in this round; None if it had been planned before.
        """
        if isinstance(answer, Outage):
            return []
        before = one.intent
        one.intent = intent or before
        one.doubtful = isinstance(answer, AnswerLost | Rejection)
        if isinstance(answer, AnswerLost):
            one.made = answer.payment_id
            self._unanswered.lost({one.demand.id: one.intent})
            return []
        return self._after_call(one, answer, before)

    def _prepare(self, turn: Sequence[Pending]) -> tuple[list[Pending], _Intents, _Ended]:
        """Plan a round; return what needs a call, what is written down before it, and the results of the others."""
        calls: list[Pending] = []
        intents: _Intents = {}
        ended: _Ended = []
        for one, decided in zip(turn, self._plans(turn), strict=True):
            one.plan = decided
            if results := without_call(one, decided):
                ended.append((one, results))
                continue
            if self._is_held(one):
                continue
            calls.append(one)
            intent = intend(decided, one.intent)
            if intent is not None and intent != one.intent:
                intents[one.demand.id] = intent
        return calls, intents, ended

    def _is_held(self, one: Pending) -> bool:
        """Return True if a demand's next call is a POST that may make a second payment, and so has to wait."""
        seconds = self._unanswered.wait_before_post(one.demand.id) if isinstance(one.step, Create) else 0.0
        one.held_until = self._workers.lifetime.now() + seconds if seconds else 0.0
        if seconds:
            self._log.info(Event.PAYMENT_HELD, wait_seconds=round(seconds, 1), **one.named)
        return seconds > 0

    def _outcomes(self, ended: _Ended) -> Outcomes:
        """Take what has come to its end, with what is not known of its invoices."""
        outcomes = Outcomes([])
        for one, results in ended:
            one.decided = True
            outcomes.results.extend((one.demand.claim_id, result) for result in results)
            doubt = self._unanswered.decided(one.demand, results)
            if doubt is not None:
                outcomes.doubts.append(doubt)
        return outcomes

    def _begin(self, calls: Sequence[Pending], later: Sequence[Demand]) -> Batch[Pending, int | None]:
        """Hand this round's calls to the workers.

        The demands of the next round, which are on other invoices, are looked up ahead of each worker's last call of
        this round. So no worker waits while the next round is looked up.
        """

        def call(one: Pending) -> int | None:
            return self._client.carry_out(one.step)

        last = max(len(calls) - self._workers.count, 0)
        batch = self._workers.begin(call, calls[:last])
        self._look_up.ahead(later, after=batch)
        self._workers.add(batch, call, calls[last:])
        return batch

    def _worse(self, one: Pending, trouble: Outage | AnswerLost | None, answer: Answer) -> Outage | AnswerLost | None:
        """Return the trouble that counts for the round, if there is any: an outage more than a lost answer."""
        if not isinstance(answer, Outage | AnswerLost):
            return trouble
        if isinstance(answer, Outage) and isinstance(trouble, Outage):
            # Whoever waits out the outage logs only one of them.
            self._log_fault(Event.CONNECTWISE_RETRY, trouble, attempt=1)
        if isinstance(answer, AnswerLost):
            self._log_fault(Event.PAYMENT_UNKNOWN, answer, **one.named)
        return answer if trouble is None or isinstance(answer, Outage) else trouble

    def _after_call(self, one: Pending, answer: Answer, before: Intent | None) -> list[Result]:
        """Return the results of a call that was answered; none where the invoice is looked up once more.

        Args:
            one: the demand.
            answer: ConnectWise's answer.
            before: the call that had been planned for it before this round.
        """
        assert one.plan is not None
        if isinstance(answer, Rejection):
            self._log_fault(Event.PAYMENT_REFUSED, answer, **one.named)
            one.surprises += 1
            one.refused = (one.step, str(answer))
            # The refused call was not carried out; the one planned before it may have been.
            one.intent = before
            return [] if one.surprises < _SURPRISES else rejected(one.plan, str(answer))
        if isinstance(answer, PaymentWatcherError):
            raise answer
        if isinstance(one.step, Remove) and one.step.surplus:
            one.surprises += 1
            return [] if one.surprises < _SURPRISES else rejected(one.plan, "ConnectWise keeps two payments on it")
        if isinstance(one.step, Create) and before is not None and before.action is Action.CREATE:
            # The POST before this one went unanswered and may still arrive: only a look shows that there is one row.
            return []
        return finish(one.plan, Outcome.APPLIED, answer)

    def _plans(self, turn: Sequence[Pending]) -> list[Plan]:
        """Look up what ConnectWise holds and decide about each demand of a turn."""
        doubtful = {one.demand.key for one in turn if one.doubtful}
        found = self._look_up.holdings([one.demand for one in turn], doubtful)
        plans = []
        for one in turn:
            key = one.demand.key
            if key in found.refusals:
                plans.append(Plan(one.demand, Reject(found.refusals[key])))
            else:
                invoices = found.invoices.get(key, ())
                earlier = self._unanswered.on(invoices)
                plans.append(plan(one.demand, invoices, one.intent, self._rules, one.made, earlier))
        return plans

    def _log_fault(self, event: Event, fault: ConnectWiseError | Outage, **keys: object) -> None:
        self._log.warning(event, reason=str(fault), request_id=fault.request_id, **keys)
