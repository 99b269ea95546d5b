"""Removes every test payment again, also those whose answers were lost, and no other."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

from watcher.connectwise.client import ConnectWise
from watcher.errors import AnswerLost, FolderTrouble, Missing, Rejection, SignInRefused, Unreachable
from watcher.lifetime import Lifetime
from watcher.payments.invoices import HeldPayment
from watcher.payments.model import Remove, money
from watcher.proving.notes import Noted, Notes
from watcher.proving.writing import is_own

# How often the payments are read again while a lost payment may still come (seconds).
_LOOK_SECONDS = 5.0
# How often it is tried to remove the payments.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Left:
    """What is on the test invoice in the end.

    Attributes:
        noted: what was noted of the proof.
        own: test payments that could not be removed.
        others: payments of somebody else, which were not touched.
        balance: what is left to pay; None if ConnectWise does not say.
        gone: the invoice itself is not there any more.
        reason: why the test payments could not be removed; empty if there are none.
        awaited: the amount of a test payment that may still come, because its answer was lost; None if none may.
    """

    noted: Noted
    own: tuple[HeldPayment, ...] = ()
    others: tuple[HeldPayment, ...] = ()
    balance: Decimal | None = None
    gone: bool = False
    reason: str = ""
    awaited: Decimal | None = None

    @property
    def is_clean(self) -> bool:
        """True if the invoice is as it was before the proof."""
        return not self.own and not self.others and (self.gone or self.balance == self.noted.balance)

    @property
    def sentences(self) -> list[str]:
        """How the invoice is, and what a person has to do."""
        number = self.noted.invoice_number
        if self.gone:
            return [f"Test invoice {number} is not there any more."]
        to_pay = "" if self.balance is None else f", {money(self.balance)} to pay"
        if self.is_clean:
            return [f"Test invoice {number} is as it was: no payments{to_pay}.", *self._awaited]
        said = [
            f"Test invoice {number} still has payment {row.id} of {money(row.amount)}, made by this command"
            f"{f' ({self.reason})' if self.reason else ''}. Remove it: Finance > Invoicing, open invoice {number}, "
            f"its payments, delete the payment of {money(row.amount)}. The next start of prove tries it again, too."
            for row in self.own
        ]
        said += [
            f"Test invoice {number} has payment {row.id} of {money(row.amount)}, which this command did not make. "
            "It was not touched."
            for row in self.others
        ]
        if not said:
            before = "nothing" if self.noted.balance is None else money(self.noted.balance)
            said = [f"Test invoice {number} has no payments, but {before} was left to pay before{to_pay} now."]
        return [*said, *self._awaited]

    @property
    def _awaited(self) -> list[str]:
        if self.awaited is None:
            return []
        return [
            f"The answer to a test payment of {money(self.awaited)} was lost, and ConnectWise may still make it. Look "
            f"at invoice {self.noted.invoice_number} again in five minutes. The next start of prove looks, too."
        ]


def clean_up(client: ConnectWise, notes: Notes, lifetime: Lifetime, *, last: bool) -> Left:
    """Remove what a proof made, and end its notes if nothing is left of it and nothing may still come.

    After a lost answer the payments are read until the timeout is over: ConnectWise may carry the call out late.

    Args:
        client: the way to ConnectWise.
        notes: of the proof.
        lifetime: of this process.
        last: whatever is not there by the end of the timeout does not come any more.

    Raises:
        Unreachable, SignInRefused: ConnectWise cannot be asked; the notes stay.
    """
    awaited = None if last else notes.noted.sending
    patience = client.timeout_seconds if notes.noted.sending is not None else 0.0
    until = lifetime.now() + patience
    tries, reason = 0, ""
    while True:
        try:
            rows = client.list_payments(notes.noted.invoice_id)
        except Missing:
            noted = notes.noted
            notes.end()
            return Left(noted, gone=True)
        own = [row for row in rows if is_own(row, notes.noted)]
        if any(row.id not in notes.noted.rows for row in own):
            awaited = None
        if own and tries < _TRIES:
            tries += 1
            # A full disk keeps no payment on the invoice: what is noted of it already leads to the same rows.
            with suppress(FolderTrouble):
                notes.found(*(row.id for row in own))
            reason = _remove(client, notes.noted, own)
            continue
        left = until - lifetime.now()
        if own or left <= 0:
            break
        lifetime.sleep(min(left, _LOOK_SECONDS))
    noted = notes.noted
    found = Left(
        noted,
        tuple(own),
        tuple(row for row in rows if row not in own),
        client.read_invoice(noted.invoice_id).balance,
        reason=reason,
        awaited=awaited,
    )
    if not own and awaited is None:
        notes.end()
    return found


def _remove(client: ConnectWise, noted: Noted, own: list[HeldPayment]) -> str:
    """Remove test payments; return what ConnectWise said if it refused."""
    reason = ""
    for row in own:
        try:
            client.carry_out(Remove(noted.invoice_id, row.id))
        except Missing:
            continue
        except Rejection as error:
            reason = str(error)
        except AnswerLost as lost:
            # The next list shows if it was carried out.
            reason = str(lost)
        except (SignInRefused, Unreachable) as error:
            if error.scope.is_no_answer:
                raise
            reason = str(error)
    return reason
