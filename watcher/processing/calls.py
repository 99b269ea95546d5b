"""The calls that write, each proved: nothing is taken for done that the answer does not show. Used by the workers."""

from __future__ import annotations

from decimal import Decimal
from itertools import count

import structlog

from watcher.connectwise.client import ConnectWise, Written
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
        # A list has agreed with a balance in this run.
        self._have_agreed = False
        self._log = structlog.get_logger()

    def make(self, call: Call) -> int | None:
        """Make a call.

        A new payment is proved to be the only one on its invoice: by the balance in the answer, or by a list of the
        invoice's payments. The balance counts only as long as lists now and then agree with it. If the answer says that
        less is left to pay than expected, the invoice is read, too. A removed payment is proved to be gone by a list.

        Returns:
            ConnectWise's id of the payment row; None for a row that was removed.

        Raises:
            AnswerLost: the call may or may not have been carried out, or something came in between, or the payment is
                still there.
            Rejection, Unreachable, SignInRefused: as ``ConnectWise.carry_out``.
        """
        written = self._client.carry_out(call)
        if isinstance(call, Remove) and not call.surplus:
            # A surplus row is looked for by the next round, which lists the payments in any case.
            self._prove_gone(call)
        if not isinstance(call, Create):
            return written.payment_id
        looks_good = written.balance_fits and written.payment_id is not None
        if looks_good and self._balances_are_true and next(self._made) % _ONE_IN != 0:
            return written.payment_id
        return self._prove(call, written, looks_good=looks_good)

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

    def _prove(self, call: Create, written: Written, *, looks_good: bool) -> int | None:
        """Return the id of a new payment that is alone on its invoice."""
        payment_id = written.payment_id
        try:
            rows = self._client.list_payments(call.invoice_id)
            balance = self._client.read_invoice(call.invoice_id).balance if written.is_short else None
        except Stopping as error:
            if looks_good:
                return payment_id
            raise AnswerLost("the payment was made, but not read back", payment_id=payment_id) from error
        except (ConnectWiseError, Outage) as error:
            if looks_good and self._have_agreed and self._balances_are_true and not error.scope.is_no_answer:
                # This invoice cannot be listed. The next payment is proved instead.
                self._made = count()
                return payment_id
            lost = AnswerLost(f"the payment was made, but not read back: {error}", error.request_id, payment_id)
            lost.scope = error.scope
            raise lost from error
        paying = [row for row in rows if not row.applies_credit and row.amount != ZERO]
        if len(paying) == 1 and paying[0].amount == call.amount and payment_id in (None, paying[0].id):
            if (reason := _set_off(call, balance)) is not None:
                raise AnswerLost(reason, payment_id=paying[0].id)
            self._have_agreed = self._have_agreed or looks_good
            return paying[0].id
        same = [row.id for row in paying if row.amount == call.amount]
        if payment_id is None and len(same) == 1:
            # ConnectWise said that it made one of this amount.
            payment_id = same[0]
        named = listed([f"{row.id} of {money(row.amount)}" for row in paying]) or "none"
        ours = "one" if payment_id is None else str(payment_id)
        reason = f"the payments on the invoice are {named}, where {ours} of {money(call.amount)} was expected alone"
        if looks_good and self._balances_are_true:
            self._balances_are_true = False
            self._log.warning(Event.CONNECTWISE_DISTRUSTED, reason=reason, invoice_id=call.invoice_id)
        raise Contradicted(reason, payment_id=payment_id)


def _set_off(call: Create, balance: Decimal | None) -> str | None:
    """Return in words that less is left to pay than a new payment leaves; None if that is not so, or not known."""
    if balance is None or call.balance_after is None or balance >= call.balance_after:
        return None
    return (
        f"the invoice has {money(balance)} left to pay where {money(call.balance_after)} was expected: "
        "something else was set off against it in between"
    )
