"""Rounds: look up, plan, call, until every demand has an outcome.

A round takes at most one demand for each invoice, the earliest. So the calls of a round may run side by side, and the
order for each invoice is still kept. A demand that a round could not finish, because an answer was lost or somebody
changed the invoice meanwhile, is looked up afresh in the next round. A lost answer, a retry and the recovery after a
crash take the same path.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import structlog

from watcher.connectwise.client import ConnectWise
from watcher.connectwise.workers import Batch, Workers
from watcher.errors import AnswerLost, ConnectWiseError, Outage, PaymentWatcherError, Rejection, Unreachable
from watcher.events.catalogue import Event
from watcher.payments.demands import first_of_each
from watcher.payments.model import (
    Action,
    Call,
    Create,
    Demand,
    DemandId,
    Intent,
    Keep,
    Plan,
    Reject,
    Remove,
    Rules,
)
from watcher.payments.outcomes import Outcome, Result, finish, intend, reject
from watcher.payments.planning import plan
from watcher.processing.look_up import LookUp

# The most demands of one round: enough to keep all workers busy, and few enough that what was looked up is still fresh.
_ROUND = 1000
# Outcomes are handed on to be written down this long after they are known, at the latest (seconds).
_WRITE_SECONDS = 1.0
# How often a demand may find the invoice changed before ConnectWise's refusal counts.
_SURPRISES = 3


@dataclass(frozen=True, slots=True)
class Planned:
    """Calls that are made as soon as the next news is asked for; they have to be on disk before that."""

    intents: list[tuple[Demand, Intent]]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Results that are known now, each with the id of its claim."""

    results: list[tuple[str, Result]]


News = Planned | Outcomes


@dataclass(slots=True, eq=False)
class _Pending:
    """A demand without an outcome, and what has happened to it so far.

    Attributes:
        demand: what is asked.
        intent: the call that was planned for it and may have been carried out.
        plan: what is done about it in this round.
        refused: the call that ConnectWise refused, and its words. The invoice is looked up once more, since another
            user may have changed it.
        surprises: how many calls were refused.
        doubtful: its last call was refused or went unanswered, so that its payments are listed in any case.
        made: the id of the payment row that its last call made, where the id is known and the effect is not.
        decided: it has its outcome.
    """

    demand: Demand
    intent: Intent | None = None
    plan: Plan | None = None
    refused: tuple[Call, str] | None = None
    surprises: int = 0
    doubtful: bool = False
    made: int | None = None
    decided: bool = False

    @property
    def step(self) -> Call:
        """The call of its plan."""
        assert self.plan is not None
        assert not isinstance(self.plan.step, Keep | Reject)
        return self.plan.step

    def end(self, results: Sequence[Result]) -> list[tuple[str, Result]]:
        """Take its results, if there are any, and return them with the id of their claim."""
        self.decided = bool(results)
        return [(self.demand.claim_id, result) for result in results]


_Intents = dict[DemandId, tuple[Demand, Intent]]


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
        self._log = structlog.get_logger()

    def run(self, demands: Sequence[Demand], intents: Mapping[DemandId, Intent]) -> Generator[News, None, None]:
        """Bring every demand to an outcome.

        Whoever runs this writes down all news before the next one is asked for. If that is not possible, closing the
        iterator keeps further calls from being made.

        Args:
            demands: in the order of arrival of their files.
            intents: the calls that earlier attempts planned and may have made.

        Yields:
            What has to be written down now.

        Raises:
            Outage: payments have to wait. Everything known has been yielded; run again with the demands that have no
                outcome.
            Stopping: the program ends.
        """
        waiting = {demand.id: _Pending(demand, intents.get(demand.id)) for demand in demands}
        fruitless = 0
        self._look_up.forget_ahead()
        while waiting:
            turn = first_of_each((one.demand for one in waiting.values()), self._size)
            taken = {demand.key for demand in turn}
            later = first_of_each((one.demand for one in waiting.values() if one.demand.key not in taken), self._size)
            trouble = yield from self._round([waiting[demand.id] for demand in turn], later)
            if isinstance(trouble, Outage):
                raise trouble
            left = {each: one for each, one in waiting.items() if not one.decided}
            fruitless = fruitless + 1 if trouble is not None and len(left) == len(waiting) else 0
            waiting = left
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
            turn = [_Pending(demand) for demand in demands[start : start + self._size]]
            yield from self._plans(turn)

    def _round(
        self, turn: Sequence[_Pending], later: Sequence[Demand]
    ) -> Generator[News, None, Outage | AnswerLost | None]:
        """Bring to an outcome what can be; return what kept the others from one."""
        calls, intents, results = self._prepare(turn)
        if intents:
            yield Planned(list(intents.values()))
        if results:
            yield Outcomes(results)
        trouble: Outage | AnswerLost | None = None
        with closing(self._workers.gather(self._begin(calls, later), _WRITE_SECONDS)) as gathered:
            for answers in gathered:
                results = []
                for one, answer in answers:
                    before = one.intent
                    if one.demand.id in intents:
                        _, one.intent = intents[one.demand.id]
                    one.doubtful = isinstance(answer, AnswerLost | Rejection)
                    if isinstance(answer, Outage | AnswerLost):
                        trouble = self._worse(one, trouble, answer)
                    else:
                        results += one.end(self._after_call(one, answer, before))
                if results:
                    yield Outcomes(results)
        if trouble is not None:
            self._look_up.forget_ahead()
        return trouble

    def _prepare(self, turn: Sequence[_Pending]) -> tuple[list[_Pending], _Intents, list[tuple[str, Result]]]:
        """Plan a round; return what needs a call, what is written down before it, and the results of the others."""
        calls: list[_Pending] = []
        intents: _Intents = {}
        results: list[tuple[str, Result]] = []
        for one, decided in zip(turn, self._plans(turn), strict=True):
            one.plan = decided
            results += one.end(_without_call(one, decided))
            if one.decided:
                continue
            calls.append(one)
            intent = intend(decided, one.intent)
            if intent is not None and intent != one.intent:
                intents[one.demand.id] = (one.demand, intent)
        return calls, intents, results

    def _begin(self, calls: Sequence[_Pending], later: Sequence[Demand]) -> Batch[_Pending, int | None]:
        """Hand this round's calls to the workers.

        The demands of the next round, which are on other invoices, are looked up ahead of each worker's last call of
        this round. So no worker waits while the next round is looked up.
        """

        def call(one: _Pending) -> int | None:
            return self._client.carry_out(one.step)

        last = max(len(calls) - self._workers.count, 0)
        batch = self._workers.begin(call, calls[:last])
        self._look_up.ahead(later, after=batch)
        self._workers.add(batch, call, calls[last:])
        return batch

    def _worse(
        self, one: _Pending, trouble: Outage | AnswerLost | None, answer: Outage | AnswerLost
    ) -> Outage | AnswerLost:
        """Return the trouble that counts for the round: an outage more than a lost answer."""
        if isinstance(answer, Outage) and isinstance(trouble, Outage):
            # Whoever waits out the outage logs only one of them.
            self._log_fault(Event.CONNECTWISE_RETRY, trouble, attempt=1)
        if isinstance(answer, AnswerLost):
            one.made = answer.payment_id
            self._log_fault(Event.PAYMENT_UNKNOWN, answer, **_named(one))
        return answer if trouble is None or isinstance(answer, Outage) else trouble

    def _after_call(
        self, one: _Pending, answer: int | PaymentWatcherError | None, before: Intent | None
    ) -> list[Result]:
        """Return the results of a call that was answered; none where the invoice is looked up once more.

        Args:
            one: the demand.
            answer: ConnectWise's answer.
            before: the call that had been planned for it before this round.
        """
        assert one.plan is not None
        if isinstance(answer, Rejection):
            self._log_fault(Event.PAYMENT_REFUSED, answer, **_named(one))
            one.surprises += 1
            one.refused = (one.step, str(answer))
            # The refused call was not carried out; the one planned before it may have been.
            one.intent = before
            return [] if one.surprises < _SURPRISES else _rejected(one.plan, str(answer))
        if isinstance(answer, PaymentWatcherError):
            raise answer
        if isinstance(one.step, Remove) and one.step.surplus:
            one.surprises += 1
            return [] if one.surprises < _SURPRISES else _rejected(one.plan, "ConnectWise keeps two payments on it")
        if isinstance(one.step, Create) and before is not None and before.action is Action.CREATE:
            # The POST before this one went unanswered and may still arrive: only a look shows that there is one row.
            return []
        return finish(one.plan, Outcome.APPLIED, answer)

    def _plans(self, turn: Sequence[_Pending]) -> list[Plan]:
        """Look up what ConnectWise holds and decide about each demand of a turn."""
        doubtful = {one.demand.key for one in turn if one.doubtful}
        found = self._look_up.holdings([one.demand for one in turn], doubtful)
        plans = []
        for one in turn:
            key = one.demand.key
            if key in found.refusals:
                plans.append(Plan(one.demand, Reject(found.refusals[key])))
            else:
                plans.append(plan(one.demand, found.invoices.get(key, ()), one.intent, self._rules, one.made))
        return plans

    def _log_fault(self, event: Event, fault: ConnectWiseError | Outage, **keys: object) -> None:
        self._log.warning(event, reason=str(fault), request_id=fault.request_id, **keys)


def _named(one: _Pending) -> dict[str, str]:
    return {"claim": one.demand.claim_id, "invoice_number": one.demand.invoice_number}


def _without_call(one: _Pending, decided: Plan) -> list[Result]:
    """Return the results of a plan that needs no call, or whose call has been refused already; else none."""
    step = decided.step
    if isinstance(step, Reject):
        return _rejected(decided, step.message)
    if isinstance(step, Keep):
        return finish(decided, Outcome.APPLIED if decided.applied else Outcome.UNCHANGED, step.payment_id)
    if one.refused is not None and one.refused[0] == step:
        return _rejected(decided, one.refused[1])
    return []


def _rejected(decided: Plan, message: str) -> list[Result]:
    invoice_id = None if isinstance(decided.step, Reject) else decided.step.invoice_id
    return [reject(part, message, invoice_id) for part in decided.demand.parts]
