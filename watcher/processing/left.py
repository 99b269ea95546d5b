"""Payments that are left for a while, so that others can go on: what they wait for, and when their turn comes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from watcher.errors import AnswerLost, Outage, Rejection, Scope, SignInRefused, Stuck, Unreachable
from watcher.payments.attempts import Attempts
from watcher.payments.model import Demand, DemandId, Payment
from watcher.payments.refusals import Refusals, Refused
from watcher.processing.claimed import Unnumbered

_MEND_REFUSED = (
    "It is tried again. If ConnectWise goes on refusing it for a minute while it takes other payments, it is rejected"
)
_MEND_MAYBE_ONE = (
    "Nothing is lost while ConnectWise is down. If it refuses this payment alone, it is rejected after a minute"
)
_MEND_MAYBE_ONE_RIGHT = "If this is about one payment alone, the others go on without it. Otherwise: {mend}"
_MEND_RIGHT = "{mend}. No payment is rejected for it, and all are tried again every few minutes"
_MEND_ALONE = "Look at this invoice in ConnectWise"
_MEND_BEHIND = "The order of files is kept for each invoice; nothing needs to be done"
_MEND_ODD = (
    "Look at this invoice in ConnectWise. The payment is tried again every few minutes. "
    "If that does not help, take the file out of work: payment-watcher withdraw NAME"
)

# When an invoice is looked up again whose number is not known (seconds): later each time, since such a look may hang.
_UNNUMBERED_SECONDS = 60.0
_LONGEST_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class LeftClaim:
    """A claim some of whose demands have no outcome yet.

    Attributes:
        demands: these demands.
        due: when its turn comes again (monotonic seconds).
        reason, mend: what keeps a payment from its outcome, and what to do, for people; empty for a short wait.
    """

    demands: tuple[Demand, ...]
    due: float
    reason: str = ""
    mend: str = ""


class Left:
    """The claims that were left before all their demands had an outcome.

    Attributes:
        claims: by claim id.
    """

    def __init__(self, refusals: Refusals, attempts: Attempts) -> None:
        """Begin with none.

        Args:
            refusals: knows which payments are refused, and how.
            attempts: knows if all were.
        """
        self.claims: dict[str, LeftClaim] = {}
        self._attempts = attempts
        self._refusals = refusals
        self._had_cause = False
        # By claim id.
        self._unnumbered: dict[str, Unnumbered] = {}
        self._pauses: dict[str, float] = {}
        # The demands behind those.
        self._behind: set[DemandId] = set()

    @property
    def cause(self) -> Outage | None:
        """The trouble that may be about all payments, since nothing else went well meanwhile; None if others go on."""
        refused = [demand for demand in self.demands if self._refusals.is_worth_telling(demand.id)]
        others_go_on = any(self._refusals.others_go_on(demand.id) for demand in refused)
        if not refused or (others_go_on and not self._attempts.is_paused):
            return None
        cause = holding_up(self._refusals.error_of(refused[0].id), refused)
        cause.others_go_on = True
        return cause

    @property
    def is_decided_soon(self) -> bool:
        """True if time alone will decide about a demand."""
        return not self._attempts.is_paused and self.will_be_decided(self.demands)

    def will_be_decided(self, demands: Sequence[Demand]) -> bool:
        """Return True if time alone will decide about one of some demands, where nothing else is to be paid."""
        open_ones = [demand for demand in demands if demand.id not in self._behind]
        refused = [demand for demand in open_ones if self._refusals.of(demand.id)]
        nothing_else = self.is_all_in_trouble(demands)
        return bool(open_ones) and (
            not refused
            or any(self._refusals.is_decided_soon(demand.id, nothing_else=nothing_else) for demand in refused)
        )

    @property
    def due(self) -> float | None:
        """When the first of them has its turn (monotonic seconds); None if there are none."""
        return min((claim.due for claim in self.claims.values()), default=None)

    @property
    def demands(self) -> list[Demand]:
        """Their demands without an outcome."""
        return [demand for claim in self.claims.values() for demand in claim.demands]

    def later(self, now: float) -> list[str]:
        """Return the ids of the claims whose turn has not come yet."""
        return [claim_id for claim_id, claim in self.claims.items() if claim.due > now]

    def keys(self) -> set[str]:
        """Return the keys of their invoices, which no later demand may pass."""
        return {demand.key for demand in self.demands}

    def is_all_in_trouble(self, others: Iterable[Demand]) -> bool:
        """Return True if there is no payment that was not tried yet, but for those behind one in trouble.

        Args:
            others: further demands without an outcome.
        """
        keys = self._refusals.keys()
        return all(demand.key in keys or demand.id in self._behind for demand in (*self.demands, *others))

    def take_up(self, claim_ids: Collection[str]) -> None:
        """Take up claims again."""
        for claim_id in claim_ids:
            self.claims.pop(claim_id, None)
            self._unnumbered.pop(claim_id, None)
        self._behind = {demand_id for demand_id in self._behind if demand_id[0] not in claim_ids}

    def keep_only(self, claim_ids: Collection[str]) -> None:
        """Forget claims other than these: nothing is left of them."""
        self.claims = {claim_id: claim for claim_id, claim in self.claims.items() if claim_id in claim_ids}
        self._unnumbered = {claim_id: file for claim_id, file in self._unnumbered.items() if claim_id in claim_ids}
        self._pauses = {claim_id: pause for claim_id, pause in self._pauses.items() if claim_id in claim_ids}
        self._refusals.keep_only(claim_ids)

    def leave(self, demands: Sequence[Demand], due: float) -> None:
        """Leave demands for later.

        Args:
            demands: all those without an outcome of some claims, in the order of arrival.
            due: when their turn comes (monotonic seconds).
        """
        by_claim: dict[str, list[Demand]] = {}
        for demand in demands:
            by_claim.setdefault(demand.claim_id, []).append(demand)
        for claim_id, of_claim in by_claim.items():
            first_due = min(due, self.claims[claim_id].due) if claim_id in self._unnumbered else due
            self.claims[claim_id] = LeftClaim(tuple(of_claim), first_due, *self._why(claim_id, of_claim))
        self._had_cause = self.cause is not None

    def leave_unnumbered(self, files: Mapping[str, Unnumbered], now: float) -> None:
        """Leave payments for later whose invoices cannot be looked up by their ids.

        Args:
            files: what is known of them, by claim id.
            now: monotonic seconds.
        """
        self._unnumbered |= files
        for claim_id in files:
            pause = self._pauses.get(claim_id, _UNNUMBERED_SECONDS)
            self._pauses[claim_id] = min(2 * pause, _LONGEST_SECONDS)
            self.claims[claim_id] = LeftClaim((), now + pause, *self._why(claim_id, ()))

    def is_behind_unnumbered(self, demand: Demand, invoice_id: int | None) -> bool:
        """Return True if its file or an earlier one has a payment on the same invoice without a number; remember it.

        Args:
            demand: what the file asks.
            invoice_id: ConnectWise's id of its invoice; None if it is not known.
        """
        # The ids of claims sort in the order of claiming. What stands in one file twice is decided together.
        is_behind = any(
            claim_id <= demand.claim_id and invoice_id in file.invoice_ids
            for claim_id, file in self._unnumbered.items()
        )
        if is_behind:
            self._behind.add(demand.id)
        return is_behind

    def are_behind(self, demands: Sequence[Demand]) -> bool:
        """Return True if all of some demands wait for payments without a number."""
        return all(demand.id in self._behind for demand in demands)

    def _why(self, claim_id: str, demands: Sequence[Demand]) -> tuple[str, str]:
        """Return why payments of a claim wait, and what to do, for people; nothing for a short wait."""
        refused = [demand for demand in demands if self._refusals.is_worth_telling(demand.id)]
        if refused:
            error = self._refusals.error_of(refused[0].id)
            more = f" and {len(refused) - 1:,} more" if len(refused) > 1 else ""
            return f"{_stuck(refused[0])}{more}: {str(error).rstrip('.')}", self._mend(refused[0], error)
        if (file := self._unnumbered.get(claim_id)) is not None:
            outage = file.outage
            more = f" and {len(outage.stuck) - 1:,} more" if len(outage.stuck) > 1 else ""
            return f"{outage.stuck[0]}{more}: {Exception.__str__(outage)}", _MEND_ODD
        keys = self._refusals.keys()
        behind = next(
            (
                each
                for each in demands
                if each.id in self._behind or (each.key in keys and self._refusals.of(each.id) is None)
            ),
            None,
        )
        if behind is None:
            return "", ""
        return f"{_stuck(behind)}: an earlier file has a payment on this invoice that is not decided yet", _MEND_BEHIND

    def _mend(self, demand: Demand, error: Refused) -> str:
        known = self._refusals.of(demand.id)
        if isinstance(error, SignInRefused) and self._refusals.lacks_right(demand.id):
            return _MEND_RIGHT.format(mend=error.mend)
        # A look alone never decides.
        decides = known is not None and known.write is error and not error.scope.never_rejects
        return _MEND_REFUSED if decides else _MEND_ODD

    def look_again(self) -> None:
        """Let every claim have its turn now if what may have been about all payments is over."""
        if self._had_cause and self.cause is None:
            self._had_cause = False
            self._take_turns_now()

    def hasten(self) -> None:
        """Let every claim have its turn now, and try each of its payments: a person has asked for it."""
        self._take_turns_now()
        self._attempts.hasten()
        self._refusals.hasten()

    def _take_turns_now(self) -> None:
        self.claims = {claim_id: replace(claim, due=0.0) for claim_id, claim in self.claims.items()}


def holding_up(error: Refused, demands: Sequence[Demand], *, others_went_on: bool = False) -> Outage:
    """Return a refusal as an outage that names the payments that met it.

    Args:
        error: the refusal of the first of them.
        demands: theirs.
        others_went_on: other payments were made meanwhile, so neither ConnectWise nor the keys are to blame.
    """
    outage: Outage
    if isinstance(error, SignInRefused):
        alone = len(demands) == 1 and error.scope is Scope.REFUSED
        mend = _MEND_MAYBE_ONE_RIGHT.format(mend=error.mend) if alone else error.mend
        outage = SignInRefused(str(error), mend, error.request_id)
    else:
        words = f"ConnectWise refuses payments: {error}" if isinstance(error, Rejection) else str(error)
        outage = Unreachable(words, error.request_id)
        if isinstance(error, AnswerLost) and error.scope is Scope.REFUSED:
            outage.mend = _MEND_MAYBE_ONE
    if others_went_on:
        outage.mend = _MEND_ALONE
    outage.stuck = tuple(_stuck(demand) for demand in demands)
    return outage


def not_found(trouble: Outage, payments: Sequence[tuple[str, Payment]]) -> Outage:
    """Return why an invoice cannot be looked up by its id as an outage that names the payments that need it.

    Args:
        trouble: what went wrong with the first of them.
        payments: these payments, each with the id of its claim.
    """
    outage = Unreachable(str(trouble), trouble.request_id)
    outage.mend = _MEND_ALONE
    outage.stuck = tuple(Stuck(claim, f"of id {payment.invoice_id}", payment.line) for claim, payment in payments)
    return outage


def _stuck(demand: Demand) -> Stuck:
    return Stuck(demand.claim_id, demand.invoice_number, demand.parts[0].line)


def unnumbered(claim_id: str, payments: Sequence[Payment], troubles: Mapping[int, Outage]) -> Unnumbered:
    """Return why some payments of a claim wait.

    Args:
        claim_id: its id.
        payments: those whose invoices cannot be looked up by their ids.
        troubles: why, by id.
    """
    ids = [payment.invoice_id or 0 for payment in payments]
    return Unnumbered(not_found(troubles[ids[0]], [(claim_id, each) for each in payments]), frozenset(ids))
