"""Rounds: look up, plan, write down, call, until every demand has an outcome.

A round takes at most one demand an invoice, the earliest, so the calls of a round may run side by side and the order
per invoice is still kept. What a round could not finish, because an answer was lost or the world changed meanwhile,
is looked at afresh in the next one: a lost answer, a retry and the recovery after a crash are the same way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from watcher.connectwise.workers import Batch, Workers
from watcher.errors import AnswerLost, ConnectWiseError, Missing, Outage, PaymentWatcherError, Rejection, Unreachable
from watcher.events.catalogue import Event
from watcher.payments.demands import first_of_each, numbered
from watcher.payments.model import (
    Action,
    Call,
    Create,
    Demand,
    HeldPayment,
    Intent,
    Invoice,
    Keep,
    Payment,
    Plan,
    Record,
    Reject,
    Remove,
    Rules,
)
from watcher.payments.outcomes import Outcome, Result, finish, intend, reject
from watcher.payments.planning import must_list, plan

# Demands of one round: enough to keep all workers busy, few enough that what was looked up is still fresh when used.
_ROUND = 1000
# Outcomes are on disk this many seconds after they are known, at the latest.
_COMMIT_SECONDS = 1.0
# Invoice ids that fit into one look-up: ten digits and a comma each, in a URL of 2,000 characters.
_IDS = 100
# How often a record may find the world changed under it before ConnectWise's refusal is taken as the last word.
_SURPRISES = 3


class Client(Protocol):
    """The calls to ConnectWise that rounds are made of; see ``connectwise.ConnectWise``."""

    def look_ups(self, invoice_numbers: Iterable[str]) -> Iterator[tuple[str, ...]]: ...  # noqa: D102
    def find_invoices(self, invoice_numbers: Sequence[str]) -> dict[str, list[Invoice]]: ...  # noqa: D102
    def find_numbers(self, invoice_ids: Sequence[int]) -> dict[int, str]: ...  # noqa: D102
    def list_payments(self, invoice_id: int) -> tuple[HeldPayment, ...]: ...  # noqa: D102
    def carry_out(self, call: Call) -> int | None: ...  # noqa: D102


class Ledger(Protocol):
    """Where intents and results are written down; see ``journal.Journal``."""

    def intend(self, intents: Sequence[tuple[Demand, Intent]]) -> None: ...  # noqa: D102
    def record(self, results: Sequence[tuple[str, Result]]) -> None: ...  # noqa: D102


@dataclass(slots=True, eq=False)
class _Open:
    """A demand without an outcome, and what has happened to it so far.

    Attributes:
        demand: what is asked.
        intent: the call that was planned for it and may have been carried out.
        refused: the call that ConnectWise refused, and its words; it is looked at once more, since another user may
            have changed the invoice in between.
        surprises: how many calls were refused.
        doubtful: its last call was refused or went unanswered, so that its payment rows are listed in any case.
        made: the id of the payment row that its last call made, where that is known and in doubt.
    """

    demand: Demand
    intent: Intent | None = None
    refused: tuple[Call, str] | None = None
    surprises: int = 0
    doubtful: bool = False
    made: int | None = None


class Rounds:
    """Brings demands to outcomes."""

    def __init__(
        self,
        client: Client,
        ledger: Ledger,
        rules: Rules,
        workers: Workers,
        told: Callable[[str, Result], None],
        size: int = _ROUND,
    ) -> None:
        """Do nothing yet.

        Args:
            client: ConnectWise.
            ledger: the journal.
            rules: the operator's choices.
            workers: make the calls.
            told: called with the claim id of each result once it is written down.
            size: the most demands of one round.
        """
        self._size = size
        self._client = client
        self._ledger = ledger
        self._rules = rules
        self._workers = workers
        self._told = told
        self._ahead: Batch[tuple[str, ...], dict[str, list[Invoice]]] | None = None
        self._log = structlog.get_logger()

    def settle(self, demands: Sequence[Demand], intents: Mapping[tuple[str, int], Intent]) -> Iterator[None]:
        """Bring every demand to an outcome; yields after each round, with all outcomes so far written down.

        Args:
            demands: in the order of arrival of their files.
            intents: what earlier attempts were going to do, by claim id and position of a demand's first record.

        Raises:
            Outage: the line has to wait; call again with the demands that have no outcome.
            Stopping: the program ends.
        """
        waiting = [_Open(demand, intents.get((demand.claim_id, demand.parts[0].position))) for demand in demands]
        fruitless = 0
        self._ahead = None
        while waiting:
            by_demand = {id(one.demand): one for one in waiting}
            turn = [by_demand[id(demand)] for demand in first_of_each((one.demand for one in waiting), self._size)]
            taken = {one.demand.key for one in turn}
            later = first_of_each((one.demand for one in waiting if one.demand.key not in taken), self._size)
            finished, trouble = self._round(turn, later)
            waiting = [one for one in waiting if one not in finished]
            yield
            if isinstance(trouble, Outage):
                raise trouble
            fruitless = fruitless + 1 if trouble is not None and not finished else 0
            if trouble is not None and fruitless > 1:
                # Even after a look, answers only get lost: there is no sense in going on without a pause.
                raise Unreachable(str(trouble), trouble.request_id) from trouble

    def numbered(self, records: Sequence[Record]) -> tuple[Record, ...]:
        """Look up the invoice numbers of payments that give ConnectWise's id of the invoice alone.

        Returns:
            The records in order; a payment whose invoice is not there is a misfit.

        Raises:
            Outage: the line has to wait.
        """
        ids = sorted(
            {
                record.invoice_id
                for record in records
                if isinstance(record, Payment) and record.invoice_id is not None and not record.invoice_number
            }
        )
        numbers: dict[int, str] = {}
        groups = [tuple(ids[start : start + _IDS]) for start in range(0, len(ids), _IDS)]
        for group, answer in self._workers.each(self._client.find_numbers, groups):
            if isinstance(answer, Rejection):
                # No id of digits is refused for itself: what is refused is the question.
                raise Unreachable(
                    f"ConnectWise does not look up invoices by id ({len(group)} asked): {answer}", answer.request_id
                ) from answer
            if isinstance(answer, PaymentWatcherError):
                raise answer
            numbers.update(answer)
        return numbered(records, numbers)

    def preview(self, demands: Sequence[Demand]) -> Iterator[Plan]:
        """Plan demands as ``settle`` would, and call nothing that writes.

        Yields:
            The plans, in the order of the demands.
        """
        for start in range(0, len(demands), self._size):
            turn = [_Open(demand) for demand in demands[start : start + self._size]]
            yield from self._plans(turn)

    def _round(self, turn: Sequence[_Open], later: Sequence[Demand]) -> tuple[set[_Open], Outage | AnswerLost | None]:
        """Bring what can be brought to an outcome; give what has one, and what held up the others."""
        book = _Book(self._ledger, self._told)
        finished: set[_Open] = set()
        calls: dict[_Open, Plan] = {}
        intents: list[tuple[Demand, Intent]] = []
        for one, decided in zip(turn, self._plans(turn), strict=True):
            results = _without_call(one, decided)
            if results:
                book.add(one.demand, results)
                finished.add(one)
                continue
            calls[one] = decided
            intent = intend(decided, one.intent)
            if intent is not None and intent != one.intent:
                intents.append((one.demand, intent))
        self._ledger.intend(intents)
        book.commit()
        intended = {id(demand): intent for demand, intent in intents}
        trouble: Outage | AnswerLost | None = None
        try:
            for one, answer in self._workers.answers(self._begin(calls, later), book.commit_due):
                planned_before, one.intent = one.intent, intended.get(id(one.demand), one.intent)
                one.doubtful = isinstance(answer, AnswerLost | Rejection)
                if isinstance(answer, Outage | AnswerLost):
                    if isinstance(answer, Outage) and isinstance(trouble, Outage):
                        # Only one of them is told of by whoever waits it out.
                        self._tell(Event.CONNECTWISE_RETRY, trouble, attempt=1)
                    trouble = answer if trouble is None or isinstance(answer, Outage) else trouble
                    if isinstance(answer, AnswerLost):
                        one.made = answer.payment_id
                        self._tell(Event.PAYMENT_UNKNOWN, answer, **_named(one))
                    continue
                results = self._after_call(one, calls[one], answer, planned_before)
                if results:
                    book.add(one.demand, results)
                    finished.add(one)
        finally:
            book.commit()
        if trouble is not None:
            self._ahead = None
        return finished, trouble

    def _begin(self, calls: Mapping[_Open, Plan], later: Sequence[Demand]) -> Batch[_Open, int | None]:
        """Hand this round's calls to the workers.

        The demands of the next round, which are on other invoices, are looked up ahead of each worker's last call of
        this one, so that no worker waits for the next round to be looked up.
        """

        def call(one: _Open) -> int | None:
            return self._client.carry_out(_call(calls[one]))

        to_call = list(calls)
        last = max(len(to_call) - self._workers.count, 0)
        batch = self._workers.begin(call, to_call[:last])
        groups = list(self._client.look_ups([demand.invoice_number for demand in later]))
        self._ahead = self._workers.begin(self._client.find_invoices, groups, after=batch)
        self._workers.add(batch, call, to_call[last:])
        return batch

    def _after_call(
        self,
        one: _Open,
        decided: Plan,
        answer: int | PaymentWatcherError | None,
        planned_before: Intent | None,
    ) -> list[Result]:
        """Give the results of a call that was answered; none where another look is needed first."""
        step = _call(decided)
        if isinstance(answer, Rejection):
            self._tell(Event.PAYMENT_REFUSED, answer, **_named(one))
            one.surprises += 1
            one.refused = (step, str(answer))
            # What was refused was not done; what an earlier call was going to do may have been.
            one.intent = planned_before
            return [] if one.surprises < _SURPRISES else _rejected(decided, str(answer))
        if isinstance(answer, PaymentWatcherError):
            raise answer
        if isinstance(step, Remove) and step.surplus:
            one.surprises += 1
            return [] if one.surprises < _SURPRISES else _rejected(decided, "ConnectWise keeps two payments on it")
        if isinstance(step, Create) and planned_before is not None and planned_before.action is Action.CREATE:
            # The POST before this one went unanswered and may still arrive: only a look shows that there is one row.
            return []
        return finish(decided, Outcome.APPLIED, answer)

    def _tell(self, event: Event, answer: ConnectWiseError | Outage, **what: object) -> None:
        self._log.warning(event, reason=str(answer), request_id=answer.request_id, **what)

    def _plans(self, turn: Sequence[_Open]) -> list[Plan]:
        """Look up what ConnectWise holds and decide about each demand of a turn."""
        found, refusals = self._find([one.demand.invoice_number for one in turn])
        to_list = {
            invoices[0].id: one.demand.key
            for one in turn
            if len(invoices := found.get(one.demand.key, [])) == 1 and (one.doubtful or must_list(invoices[0]))
        }
        for invoice_id, rows in self._workers.each(self._client.list_payments, list(to_list)):
            key = to_list[invoice_id]
            if isinstance(rows, Missing):
                found[key] = []
            elif isinstance(rows, Rejection):
                refusals[key] = str(rows)
                self._tell(Event.PAYMENT_REFUSED, rows, invoice_number=found[key][0].number)
            elif isinstance(rows, PaymentWatcherError):
                raise rows
            else:
                found[key] = [replace(found[key][0], payments=rows)]
        plans = []
        for one in turn:
            if one.demand.key in refusals:
                plans.append(Plan(one.demand, Reject(refusals[one.demand.key])))
            else:
                plans.append(plan(one.demand, found.get(one.demand.key, ()), one.intent, self._rules, one.made))
        return plans

    def _find(self, invoice_numbers: Sequence[str]) -> tuple[dict[str, list[Invoice]], dict[str, str]]:
        """Look up invoices; a group that ConnectWise refuses is halved until it shows which number it dislikes.

        Returns:
            The invoices, and ConnectWise's words about numbers it refuses, both by case-folded number.
        """
        found: dict[str, list[Invoice]] = {}
        refusals: dict[str, str] = {}
        known: set[str] = set()
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            for group, answer in self._workers.answers(ahead):
                # What went wrong is asked again below, and told of there.
                if not isinstance(answer, PaymentWatcherError):
                    known.update(number.casefold() for number in group)
                    found.update(answer)
        groups = list(self._client.look_ups([one for one in invoice_numbers if one.casefold() not in known]))
        while groups:
            halves: list[tuple[str, ...]] = []
            for group, answer in self._workers.each(self._client.find_invoices, groups):
                if isinstance(answer, Rejection) and len(group) > 1:
                    self._tell(Event.CONNECTWISE_RETRY, answer, attempt=1)
                    middle = len(group) // 2
                    halves += [group[:middle], group[middle:]]
                elif isinstance(answer, Rejection):
                    refusals[group[0].casefold()] = str(answer)
                    self._tell(Event.PAYMENT_REFUSED, answer, invoice_number=group[0])
                elif isinstance(answer, PaymentWatcherError):
                    raise answer
                else:
                    found.update(answer)
            groups = halves
        return found, refusals


def _call(decided: Plan) -> Call:
    assert not isinstance(decided.step, Keep | Reject)
    return decided.step


def _named(one: _Open) -> dict[str, str]:
    return {"claim": one.demand.claim_id, "invoice_number": one.demand.invoice_number}


def _without_call(one: _Open, decided: Plan) -> list[Result]:
    """Give the results of a plan that needs no call, or whose call has been refused already; else none."""
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


class _Book:
    """Writes results down in batches, so that a commit is not paid for each payment, and tells of them afterwards."""

    def __init__(self, ledger: Ledger, told: Callable[[str, Result], None]) -> None:
        self._ledger = ledger
        self._told = told
        self._unwritten: list[tuple[Demand, Result]] = []
        self._written_at = time.monotonic()

    def add(self, demand: Demand, results: Sequence[Result]) -> None:
        """Take an outcome."""
        self._unwritten.extend((demand, result) for result in results)
        self.commit_due()

    def commit_due(self) -> None:
        """Write down what has been taken if that was last done a while ago."""
        if self._unwritten and time.monotonic() - self._written_at >= _COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Write down what has been taken."""
        unwritten, self._unwritten = self._unwritten, []
        self._ledger.record([(demand.claim_id, result) for demand, result in unwritten])
        self._written_at = time.monotonic()
        for demand, result in unwritten:
            self._told(demand.claim_id, result)
