"""What is said of a file, or of a record, that a person took out of work. Pure.

The words are all that is kept of it: the journal, the receipt and the result files hold them. So they also tell what
was withdrawn from what failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

# Every such text begins with this.
WITHDRAWN = "Withdrawn by a person"


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What a person asked for.

    Attributes:
        asked_at: when, aware.
        reason: why, in the person's words; empty if none were given.
    """

    asked_at: datetime
    reason: str

    def of_record(self, invoice_number: str, *, in_doubt: bool) -> str:
        """Return what is said of a record that had no outcome yet.

        Args:
            invoice_number: as written.
            in_doubt: a call was planned for it. It may have been made, and nobody knows its effect.
        """
        if in_doubt:
            invoice = f"invoice {invoice_number}" if invoice_number else "its invoice"
            return (
                f"{self._said}, before it was decided.{self._why} It may have been set in ConnectWise all the same, "
                f"by a call whose answer is not known: look at {invoice} there."
            )
        return f"{self._said}, before it was decided.{self._why} {_sent_nothing('it')}"

    def of_file(self) -> str:
        """Return what is said of a file whose records were not read yet."""
        return f"{self._said}, before its payments were read.{self._why} {_sent_nothing('them')}"

    @property
    def _said(self) -> str:
        return f"{WITHDRAWN} on {self.asked_at.astimezone(UTC):%Y-%m-%d at %H:%M} UTC"

    @property
    def _why(self) -> str:
        return f" Reason: {self.reason.rstrip('.')}." if self.reason else ""


def is_withdrawal(text: str | None) -> bool:
    """Return True if a message or a refusal says that a person withdrew a record or a file."""
    return text is not None and text.startswith(WITHDRAWN)


def _sent_nothing(what: str) -> str:
    # A journal that was lost in between would not know of an earlier call.
    return f"As far as its journal knows, payment-watcher has sent nothing to ConnectWise for {what}."
