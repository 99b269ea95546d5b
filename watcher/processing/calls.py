"""The calls that write, each proved: nothing is taken for done that the answer does not show. Used by the workers."""

from __future__ import annotations

from itertools import count

import structlog

from watcher.connectwise.client import ConnectWise
from watcher.errors import AnswerLost, ConnectWiseError, Contradicted, Outage, Stopping
from watcher.events.catalogue import Event
from watcher.payments.model import ZERO, Call, Create, Remove, listed, money

# The payments of an invoice are listed after the first payment of a run, and then after one in so many.
_ONE_IN = 200


class Calls:
    """Makes the calls of plans; safe to use from several threads."""

    def __init__(self, client: ConnectWise) -> None:
        """Make no call yet.

        Args:
            client: the way to ConnectWise.
        """
        self._client = client
        self._made = count()
        self._balances_are_true = True
        self._log = structlog.get_logger()

    def make(self, call: Call) -> int | None:
        """Make a call.

        A new payment is proved to be the only one on its invoice: by the balance in the answer, or by a list of the
        invoice's payments. The balance counts only as long as lists now and then agree with it. A removed payment is
        proved to be gone by a list.

        Returns:
            ConnectWise's id of the payment row; None for a row that was removed.

        Raises:
            AnswerLost: the call may or may not have been carried out, or another payment came in between, or the
                payment is still there.
            Rejection, Unreachable, SignInRefused: as ``ConnectWise.carry_out``.
        """
        written = self._client.carry_out(call)
        if isinstance(call, Remove) and not call.surplus:
            # A surplus row is looked for by the next round, which lists the payments in any case.
            self._prove_gone(call)
        if isinstance(call, Create) and written.payment_id is not None:
            looks_good = written.balance_fits
            if not looks_good or not self._balances_are_true or next(self._made) % _ONE_IN == 0:
                self._prove(call, written.payment_id, looks_good=looks_good)
        return written.payment_id

    def _prove_gone(self, call: Remove) -> None:
        try:
            rows = self._client.list_payments(call.invoice_id)
        except Stopping as error:
            raise AnswerLost("the payment was removed, but not read back") from error
        except (ConnectWiseError, Outage) as error:
            lost = AnswerLost(f"the payment was removed, but not read back: {error}", error.request_id)
            lost.scope = error.scope
            raise lost from error
        if any(row.id == call.payment_id for row in rows):
            raise Contradicted(
                f"ConnectWise answered that payment {call.payment_id} was removed, but it is still there"
            )

    def _prove(self, call: Create, payment_id: int, *, looks_good: bool) -> None:
        try:
            rows = self._client.list_payments(call.invoice_id)
        except Stopping as error:
            if looks_good:
                return
            raise AnswerLost("the payment was made, but not read back", payment_id=payment_id) from error
        except (ConnectWiseError, Outage) as error:
            lost = AnswerLost(f"the payment was made, but not read back: {error}", error.request_id, payment_id)
            lost.scope = error.scope
            raise lost from error
        paying = [row for row in rows if not row.applies_credit and row.amount != ZERO]
        if [(row.id, row.amount) for row in paying] == [(payment_id, call.amount)]:
            return
        named = listed([f"{row.id} of {money(row.amount)}" for row in paying]) or "none"
        reason = (
            f"the payments on the invoice are {named}, where {payment_id} of {money(call.amount)} was expected alone"
        )
        if looks_good and self._balances_are_true:
            self._balances_are_true = False
            self._log.warning(Event.CONNECTWISE_DISTRUSTED, reason=reason, invoice_id=call.invoice_id)
        raise Contradicted(reason, payment_id=payment_id)
