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
from typing import TYPE_CHECKING

from watcher.connectwise.client import ConnectWise
from watcher.connectwise.workers import Batch, Workers
from watcher.errors import AnswerLost, Outage, Rejection, Stopping
from watcher.payments.attempts import Attempts
from watcher.payments.dated import Dated
from watcher.payments.doubts import InDoubt
from watcher.payments.model import Change, Demand, DemandId, Intent, Keep, Plan, Reject, Rules, action_of
from watcher.payments.outcomes import Result, addition, intend, settled_by
from watcher.payments.refusals import Refusals
from watcher.processing.answers import Answer, Answers
from watcher.processing.calls import Calls
from watcher.processing.claimed import Unnumbered
from watcher.processing.left import Left, holding_up
from watcher.processing.look_up import LookUp
from watcher.processing.news import News, Outcomes, Planned
from watcher.processing.pending import OpenDemands, Pending, given_up, unplanned, without_call
from watcher.processing.planner import Planner
from watcher.processing.turns import Turns
from watcher.processing.unanswered import Unanswered

if TYPE_CHECKING:
    from watcher.journal.sums import Sums

# The most demands of one round: enough to keep all workers busy, and few enough that what was looked up is still fresh.
_ROUND = 1000
# Outcomes are handed on to be written down this long after they are known, at the latest (seconds).
_WRITE_SECONDS = 1.0
# So many times as many payments are looked up as are tried, where those of each kind are to be among them.
_LOOKED_UP = 4

_Intents = dict[DemandId, Intent]
_Ended = list[tuple[Pending, list[Result]]]


class Rounds:
    """Brings demands to their outcomes; used from one thread.

    Attributes:
        left: the claims that were left for a while.
    """

    def __init__(
        self,
        client: ConnectWise,
        workers: Workers,
        look_up: LookUp,
        rules: Rules,
        size: int = _ROUND,
        sums: Sums | None = None,
    ) -> None:
        """Take what rounds are made of.

        Args:
            client: makes the calls.
            workers: make several of them at once.
            look_up: finds invoices and payments.
            rules: the operator's choices about money.
            size: the most demands of one round.
            sums: what was accepted before; None if no demand is added up.
        """
        self._refusals = Refusals()
        self._attempts = Attempts()
        self.left = Left(self._refusals, self._attempts)
        self._calls = Calls(client)
        self._workers = workers
        self._look_up = look_up
        self._size = size
        self._unanswered = Unanswered(workers.lifetime, client.timeout_seconds)
        self._answers = Answers(self._unanswered, self._refusals, self._attempts, workers.lifetime)
        self._planner = Planner(look_up, rules, self._unanswered, self._answers.dates, sums)
        self._turns = Turns(self._refusals, self._attempts, self.left, self._unanswered, workers.lifetime, self._size)
        # The demands in doubt of claims that were left.
        self._in_doubt: dict[DemandId, Pending] = {}

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
                on their invoices, too. Those behind payments without a number wait in any case.

        Yields:
            What has to be written down now.

        Raises:
            Outage: payments have to wait. Everything known has been yielded; run again with the demands that have no
                outcome.
            Stopping: the program ends.
        """
        waiting = OpenDemands(demands, intents, self._in_doubt)
        # Whoever is done with a demand lets go of it.
        del demands
        self._unanswered.meet(intents, doubts)
        self._look_up.forget_ahead()
        if stay:
            self.nothing_follows()
        try:
            yield from self._all_rounds(waiting, stay=stay)
        finally:
            others = {key: one for key, one in self._in_doubt.items() if key[0] in self.left.claims}
            self._in_doubt = {**others, **waiting.in_doubt()}

    def _all_rounds(self, waiting: OpenDemands, *, stay: bool) -> Generator[News, None, None]:
        """Go from round to round; the arguments are as those of ``run``."""
        now = self._workers.lifetime.now()
        if waiting and not self._attempts.begin(now):
            self.left.leave(waiting.left(), self._attempts.new_files_at)
            return
        # Until when the demands on an invoice wait, by its key: later demands on it wait, too.
        held = self._refusals.dues() | dict.fromkeys(self.left.keys(), inf)
        tried = False
        while waiting:
            now = self._workers.lifetime.now()
            held = {key: until for key, until in held.items() if until > now}
            wanted = self._turns.next(waiting, held)
            if not wanted or (tried and not stay and self._turns.are_others_first(waiting, held)):
                undecided = waiting.left()
                due = min((until for until in held.values() if until < inf), default=self.left.due or now)
                if not stay or self.left.are_behind(undecided):
                    if wanted and self._turns.is_outage_again(waiting):
                        self._attempts.gave_up(now)
                    self.left.leave(undecided, max(now, self._attempts.resumes_at) if wanted else due)
                    return
                if tried and not self.left.will_be_decided(undecided):
                    raise self._holding_up(waiting)
                self._workers.lifetime.sleep(due - now)
                continue
            turn, tried = waiting.begin(wanted), True
            next_to = {*held, *self._refusals.keys(), *(demand.key for demand in wanted)}
            later = [] if self._attempts.is_doubtful else waiting.earliest(self._size, next_to)
            outage = yield from self._round(turn, later, waiting)
            if outage is not None:
                raise outage
            held |= {one.demand.key: one.held_until for one in turn if one.held_until}
            waiting.take_decided(turn)
            if self._turns.is_outage(waiting, held):
                self._attempts.gave_up(now)
                if stay:
                    raise self._holding_up(waiting)
                self.left.leave(waiting.left(), self._attempts.resumes_at)
                return

    def _holding_up(self, waiting: OpenDemands) -> Outage:
        refused = [demand for demand in waiting.left() if self._refusals.of(demand.id)]
        others_went_on = all(self._refusals.others_go_on(demand.id) for demand in refused)
        return holding_up(self._refusals.error_of(refused[0].id), refused, others_went_on=others_went_on)

    def nothing_follows(self) -> None:
        """Take in that no demand will come that could show whose fault a refusal is."""
        self._refusals.nothing_follows = True

    def leave_unnumbered(self, files: Mapping[str, Unnumbered]) -> None:
        """Leave payments for later whose invoices cannot be looked up by their ids, as ``Left.leave_unnumbered``."""
        self.left.leave_unnumbered(files, self._workers.lifetime.now())

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
    ) -> Generator[News, None, Outage | None]:
        """Bring to an outcome what can be; return the outage that kept the others from one."""
        calls, intents, ended = self._prepare(turn, waiting)
        if intents:
            self._unanswered.planned(intents)
            yield Planned([(one.demand, intents[one.demand.id]) for one in calls if one.demand.id in intents])
        if ended:
            yield self._outcomes(ended)
        batch = self._begin(calls, later)
        unknown = {one.demand.id: intents.get(one.demand.id, one.intent) for one in calls}
        unmade: list[Pending] = []
        met_trouble = False
        outage: Outage | None = None
        try:
            with closing(self._workers.gather(batch, _WRITE_SECONDS)) as gathered:
                for answers in gathered:
                    for one, answer in answers:
                        del unknown[one.demand.id]
                        outage = self._answers.worse(outage, answer)
                    unmade += [one for one, answer in answers if isinstance(answer, Outage | Rejection)]
                    met_trouble = met_trouble or any(isinstance(answer, Outage | AnswerLost) for _, answer in answers)
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
            one.held_until = 0.0 if one.unread else self._turns.due(one, waiting)
        if met_trouble:
            self._look_up.forget_ahead()
        return outage

    def _take(self, one: Pending, answer: Answer, intents: _Intents) -> list[Result]:
        return self._answers.take(one, answer, intents.get(one.demand.id))

    def _prepare(self, turn: Sequence[Pending], waiting: OpenDemands) -> tuple[list[Pending], _Intents, _Ended]:
        """Plan a round; return what needs a call, what is written down before it, and the results of the others."""
        calls: list[Pending] = []
        ended: _Ended = []
        for one, decided in zip(turn, self._planner.plans(turn), strict=True):
            if isinstance(decided, Outage):
                self._answers.refused(one, decided, None)
                one.plan, one.held_until = None, self._turns.due(one, waiting)
                continue
            invoice_id = None if isinstance(decided.step, Reject) else decided.step.invoice_id
            if self.left.is_behind_unnumbered(one.demand, invoice_id):
                one.plan, one.held_until = None, inf
                continue
            one.plan = decided
            if results := self._results(one, decided, waiting):
                ended.append((one, results))
            elif one.plan is not None:
                calls.append(one)
        calls = self._turns.chosen(calls, waiting)
        planned = {one.demand.id: intend(one.plan, one.intent) for one in calls if one.plan is not None}
        intents = {
            one.demand.id: intent
            for one in calls
            if (intent := planned[one.demand.id]) is not None and intent != one.intent
        }
        return calls, intents, ended

    def _results(self, one: Pending, decided: Plan, waiting: OpenDemands) -> list[Result]:
        """Return the results of a demand that needs no call any more; else none."""
        if results := without_call(one, decided):
            if isinstance(decided.step, Keep):
                self._found_done(one, decided)
            return results
        if one.refused_again is not None:
            # A 404, although the invoice and the row are there.
            self._answers.refused(one, one.refused_again, action_of(one.step))
            one.refused, one.unread = None, False
        refusal = self._refusals.of(one.demand.id)
        if refusal is None or not self._turns.is_records(one, waiting):
            return []
        if isinstance(decided.step, Change) and decided.step.clear_date:
            # It may be the date that cannot be taken off; the amount can be set without that.
            one.dates_stay, one.plan = str(refusal.write), None
            self._refusals.forget(one.demand.id)
            return []
        return given_up(one, refusal)

    def _found_done(self, one: Pending, decided: Plan) -> None:
        """Take in that ConnectWise holds what is asked."""
        if decided.applied and one.sent is not None and self._refusals.of(one.demand.id) is not None:
            # The call went well, whatever was said of it.
            self._answers.went_well(one.sent.action)
        else:
            self._refusals.unchanged()

    def _outcomes(self, ended: _Ended) -> Outcomes:
        """Take what has come to its end, with what is not known of its invoices."""
        outcomes = Outcomes([])
        for one, results in ended:
            one.decided = True
            self._refusals.forget(one.demand.id)
            outcomes.results.extend((one.demand.claim_id, result) for result in results)
            added = addition(one.plan, results) if one.plan else None
            if added is not None:
                outcomes.additions.append(added)
            amount = settled_by(one.plan, results) if one.plan else None
            dated = Dated(one.plan.date_paid) if one.plan else None
            doubt = self._unanswered.decided(one.demand, results, amount, dated)
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
        batch = self._workers.begin(call, calls[:last], patience=self._turns.patience(calls))
        self._look_up.ahead(later, after=batch)
        self._workers.add(batch, call, calls[last:])
        return batch
