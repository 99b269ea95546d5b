"""Rounds: look up, plan, call, until every demand has an outcome.

A round takes at most one demand for each invoice, the earliest. So the calls of a round may run side by side, and the
order for each invoice is still kept. A demand that a round could not finish, because an answer was lost or somebody
changed the invoice meanwhile, is looked up afresh in the next round. A lost answer, a retry and the recovery after a
crash take the same path. A second POST waits until the first can no longer be carried out, and a payment that
ConnectWise refuses is tried again a few times; others go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from math import inf

from watcher.connectwise.client import ConnectWise
from watcher.connectwise.workers import Batch, Workers
from watcher.errors import AnswerLost, Outage, Rejection, Stopping, Unreachable
from watcher.payments.dated import Dated
from watcher.payments.doubts import InDoubt
from watcher.payments.model import Change, Create, Demand, DemandId, Intent, Plan, Reject, Rules
from watcher.payments.outcomes import Result, intend
from watcher.payments.refusals import Refusals
from watcher.processing.answers import Answer, Answers, is_about_one
from watcher.processing.calls import Calls
from watcher.processing.left import Left, holding_up
from watcher.processing.look_up import LookUp
from watcher.processing.news import News, Outcomes, Planned
from watcher.processing.pending import OpenDemands, Pending, given_up, unplanned, without_call
from watcher.processing.planner import Planner
from watcher.processing.unanswered import Unanswered

# The most demands of one round: enough to keep all workers busy, and few enough that what was looked up is still fresh.
_ROUND = 1000
# Outcomes are handed on to be written down this long after they are known, at the latest (seconds).
_WRITE_SECONDS = 1.0

_Intents = dict[DemandId, Intent]
_Ended = list[tuple[Pending, list[Result]]]


class Rounds:
    """Brings demands to their outcomes; used from one thread.

    Attributes:
        left: the claims that were left for a while.
    """

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
        self._refusals = Refusals()
        self.left = Left(self._refusals)
        self._calls = Calls(client)
        self._workers = workers
        self._look_up = look_up
        self._size = size
        self._unanswered = Unanswered(workers.lifetime, client.timeout_seconds)
        self._answers = Answers(self._unanswered, self._refusals, workers.lifetime)
        self._planner = Planner(look_up, rules, self._unanswered, self._refusals, self._answers.dates)

    def run(
        self,
        demands: Sequence[Demand],
        intents: Mapping[DemandId, Intent],
        doubts: Sequence[InDoubt] = (),
        *,
        stay: bool = True,
    ) -> Generator[News, None, None]:
        """Bring every demand to an outcome.

        Whoever runs this writes down all news before the next one is asked for. If that is not possible, closing the
        iterator keeps further calls from being made.

        Args:
            demands: in the order of arrival of their files: all those without an outcome of their claims.
            intents: the calls that earlier attempts planned and may have made.
            doubts: the invoices on which calls of earlier files may still be carried out.
            stay: wait for demands that cannot be decided now. Otherwise they are put into ``left``, and later demands
                on their invoices, too.

        Yields:
            What has to be written down now.

        Raises:
            Outage: payments have to wait. Everything known has been yielded; run again with the demands that have no
                outcome.
            Stopping: the program ends.
        """
        waiting = OpenDemands(demands, intents)
        self.left.take_up({demand.claim_id for demand in demands})
        # Whoever is done with a demand lets go of it.
        del demands
        self._unanswered.meet(intents, doubts)
        # Until when the demands on an invoice wait, by its key: later demands on it wait, too.
        held = self._refusals.dues() | dict.fromkeys(self.left.keys(), inf)
        fruitless, tried = 0, False
        self._look_up.forget_ahead()
        while waiting:
            now = self._workers.lifetime.now()
            held = {key: until for key, until in held.items() if until > now}
            # Those that are refused go last: as many of them as there are workers would starve the others.
            others = waiting.earliest(self._size, {*held, *self._refusals.keys()})
            wanted = others or waiting.earliest(self._size, held)
            if not wanted:
                undecided = waiting.left()
                due = min((until for until in held.values() if until < inf), default=self.left.due or now)
                if not stay:
                    self.left.leave(undecided, due)
                    return
                if tried and not self.left.will_be_decided(undecided):
                    refused = [demand for demand in undecided if self._refusals.of(demand.id)]
                    raise holding_up(self._refusals.error_of(refused[0].id), refused)
                self._workers.lifetime.sleep(due - now)
                continue
            later = waiting.earliest(self._size, {*held, *self._refusals.keys(), *(demand.key for demand in wanted)})
            turn, tried = waiting.begin(wanted), True
            trouble = yield from self._round(turn, later, waiting)
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

        Raises:
            Outage: ConnectWise cannot be asked about one of them.
        """
        for start in range(0, len(demands), self._size):
            turn = [Pending(demand) for demand in demands[start : start + self._size]]
            for one, decided in zip(turn, self._planner.plans(turn), strict=True):
                if isinstance(decided, Outage):
                    raise holding_up(decided, [one.demand])
                yield decided

    def _round(
        self, turn: Sequence[Pending], later: Sequence[Demand], waiting: OpenDemands
    ) -> Generator[News, None, Outage | AnswerLost | None]:
        """Bring to an outcome what can be; return what kept the others from one."""
        calls, intents, ended = self._prepare(turn, waiting)
        if intents:
            self._unanswered.planned(intents)
            yield Planned([(one.demand, intents[one.demand.id]) for one in calls if one.demand.id in intents])
        if ended:
            yield self._outcomes(ended)
        batch = self._begin(calls, later)
        unknown = {one.demand.id: intents.get(one.demand.id, one.intent) for one in calls}
        unmade: list[Pending] = []
        refused: set[DemandId] = set()
        trouble: Outage | AnswerLost | None = None
        try:
            with closing(self._workers.gather(batch, _WRITE_SECONDS)) as gathered:
                for answers in gathered:
                    for one, answer in answers:
                        del unknown[one.demand.id]
                        trouble = self._answers.worse(trouble, answer)
                    unmade += [one for one, answer in answers if isinstance(answer, Outage | Rejection)]
                    refused |= {one.demand.id for one, answer in answers if is_about_one(answer)}
                    if ended := [
                        (one, results) for one, answer in answers if (results := self._take(one, answer, intents))
                    ]:
                        yield self._outcomes(ended)
        except Stopping:
            yield from unplanned([*unmade, *batch.not_begun], intents)
            raise
        finally:
            # What is under way while nobody waits for it any more may still be carried out.
            not_begun = {one.demand.id for one in batch.not_begun}
            self._unanswered.lost({each: intent for each, intent in unknown.items() if each not in not_begun})
        yield from unplanned([*unmade, *batch.not_begun], intents)
        for one in calls:
            one.held_until = self._due(one, waiting)
        if trouble is not None or refused:
            self._look_up.forget_ahead()
        if trouble is None and batch.not_begun and len(refused) + len(batch.not_begun) == len(calls):
            # Nothing but refusals: there is no sense in trying the others without a pause.
            self._refusals.gave_up()
            first = [one.demand for one in calls if one.demand.id in refused]
            return holding_up(self._refusals.error_of(first[0].id), first)
        return trouble

    def _take(self, one: Pending, answer: Answer, intents: _Intents) -> list[Result]:
        return self._answers.take(one, answer, intents.get(one.demand.id))

    def _prepare(self, turn: Sequence[Pending], waiting: OpenDemands) -> tuple[list[Pending], _Intents, _Ended]:
        """Plan a round; return what needs a call, what is written down before it, and the results of the others."""
        calls: list[Pending] = []
        intents: _Intents = {}
        ended: _Ended = []
        for one, decided in zip(turn, self._planner.plans(turn), strict=True):
            if isinstance(decided, Outage):
                one.plan = Plan(one.demand, Reject(str(decided)))
                self._answers.refused(one, decided)
                one.held_until = self._due(one, waiting)
            else:
                one.plan = decided
            if results := self._results(one, decided, waiting):
                ended.append((one, results))
            elif isinstance(decided, Plan) and one.plan is decided and not self._is_held(one, waiting):
                calls.append(one)
                intent = intend(decided, one.intent)
                if intent is not None and intent != one.intent:
                    intents[one.demand.id] = intent
        return calls, intents, ended

    def _results(self, one: Pending, decided: Plan | Outage, waiting: OpenDemands) -> list[Result]:
        """Return the results of a demand that needs no call any more; else none."""
        if isinstance(decided, Plan):
            if results := without_call(one, decided):
                return results
            if one.refused_again is not None:
                # A 404, although the invoice and the row are there.
                self._answers.refused(one, one.refused_again)
                one.refused = None
        refusal = self._refusals.of(one.demand.id)
        if refusal is None or not self._refusals.is_records(one.demand.id, alone=self._is_alone(one, waiting)):
            return []
        if isinstance(decided, Plan) and isinstance(decided.step, Change) and decided.step.clear_date:
            # It may be the date that cannot be taken off; the amount can be set without that.
            one.dates_stay, one.plan = str(refusal.error), None
            self._refusals.forget(one.demand.id)
            return []
        return given_up(one, refusal)

    def _due(self, one: Pending, waiting: OpenDemands) -> float:
        """Return when a demand has its next turn (monotonic seconds); 0 for now."""
        if self._refusals.of(one.demand.id) is None:
            return 0.0
        return self._refusals.due(one.demand.id, alone=self._is_alone(one, waiting))

    def _is_alone(self, one: Pending, waiting: OpenDemands) -> bool:
        """Return True if no other invoice is to be paid."""
        return self.left.is_alone(one.demand.key, waiting.left())

    def _is_held(self, one: Pending, waiting: OpenDemands) -> bool:
        """Return True if a demand's next call has to wait: it may make a second payment, or was refused just now."""
        now = self._workers.lifetime.now()
        seconds = self._unanswered.wait_before_post(one.demand.id) if isinstance(one.step, Create) else 0.0
        if seconds:
            self._answers.log_hold(one, seconds)
        one.held_until = max(self._due(one, waiting), now + seconds if seconds else 0.0)
        return one.held_until > now

    def _outcomes(self, ended: _Ended) -> Outcomes:
        """Take what has come to its end, with what is not known of its invoices."""
        outcomes = Outcomes([])
        for one, results in ended:
            one.decided = True
            self._refusals.forget(one.demand.id)
            outcomes.results.extend((one.demand.claim_id, result) for result in results)
            doubt = self._unanswered.decided(one.demand, results, Dated(one.plan.date_paid) if one.plan else None)
            if doubt is not None:
                outcomes.doubts.append(doubt)
        self.left.look_again()
        return outcomes

    def _begin(self, calls: Sequence[Pending], later: Sequence[Demand]) -> Batch[Pending, int | None]:
        """Hand this round's calls to the workers.

        The demands of the next round, which are on other invoices, are looked up ahead of each worker's last call of
        this round. So no worker waits while the next round is looked up.
        """

        def call(one: Pending) -> int | None:
            return self._calls.make(one.step)

        last = max(len(calls) - self._workers.count, 0)
        batch = self._workers.begin(call, calls[:last], patience=self._refusals.patience)
        self._look_up.ahead(later, after=batch)
        self._workers.add(batch, call, calls[last:])
        return batch
