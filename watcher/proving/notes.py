"""``prove.state``: what a proof has put on the test invoice. It is on disk before each write, and survives a kill."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from watcher.disk.durable import sync_folder, write_whole
from watcher.errors import ConfigurationError, Fault, FolderTrouble

_NAME = "prove.state"


@dataclass(frozen=True, slots=True)
class Noted:
    """What is known of a proof that is under way.

    Attributes:
        site, company: the ConnectWise.
        invoice_id, invoice_number: the test invoice.
        total: its total.
        balance: what was left to pay before the first write; None if ConnectWise did not say.
        rows: the ids of the payment rows that were made.
        sending: the amount of a new payment whose answer is not known; None if there is none.
    """

    site: str
    company: str
    invoice_id: int
    invoice_number: str
    total: Decimal
    balance: Decimal | None
    rows: tuple[int, ...] = ()
    sending: Decimal | None = None


class Notes:
    """Keeps what a proof has written in one file."""

    def __init__(self, folder: Path) -> None:
        """Read nothing yet.

        Args:
            folder: the state folder, which exists.
        """
        self.path = folder / _NAME
        self._noted: Noted | None = None

    @property
    def noted(self) -> Noted:
        """What is noted; only while a proof is under way."""
        assert self._noted is not None
        return self._noted

    def left_over(self) -> Noted | None:
        """Return what an earlier proof left; None if it ended in order.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        try:
            self._noted = _read(json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, InvalidOperation, RecursionError) as error:
            problem = f"{self.path} cannot be read ({error})"
            mend = "It names an invoice with a test payment. Look at that invoice, and then remove the file."
            raise ConfigurationError((Fault("prove.state", problem, mend),)) from error
        return self._noted

    def begin(self, noted: Noted) -> None:
        """Note the invoice, before the first write.

        Raises:
            FolderTrouble: it cannot be written; no call may be made then.
        """
        self._put(noted)

    def sending(self, amount: Decimal) -> None:
        """Note that a payment of this amount is about to be sent."""
        self._put(replace(self.noted, sending=amount))

    def made(self, *payment_ids: int) -> None:
        """Note the ids of rows that were made: every answer is known then."""
        rows = tuple(dict.fromkeys((*self.noted.rows, *payment_ids)))
        self._put(replace(self.noted, rows=rows, sending=None))

    def found(self, *payment_ids: int) -> None:
        """Note the ids of rows that a lost call made. It may still make another one."""
        if not set(payment_ids) <= set(self.noted.rows):
            self._put(replace(self.noted, rows=tuple(dict.fromkeys((*self.noted.rows, *payment_ids)))))

    def not_made(self) -> None:
        """Note that the payment that was about to be sent was not made."""
        self._put(replace(self.noted, sending=None))

    def end(self) -> None:
        """Forget it all: the invoice is as it was."""
        try:
            self.path.unlink(missing_ok=True)
            sync_folder(self.path.parent)
        except OSError as error:
            raise FolderTrouble.at(self.path, error) from error
        self._noted = None

    def _put(self, noted: Noted) -> None:
        content = asdict(noted)
        for name in ("total", "balance", "sending"):
            content[name] = None if content[name] is None else str(content[name])
        write_whole(self.path, (json.dumps(content, indent=2) + "\n").encode())
        # Only what is on disk counts.
        self._noted = noted


def _read(content: dict[str, Any]) -> Noted:
    numbers = (content["invoice_id"], *content["rows"])
    if not all(type(number) is int for number in numbers):
        raise ValueError("it is damaged")
    return Noted(
        site=str(content["site"]),
        company=str(content["company"]),
        invoice_id=content["invoice_id"],
        invoice_number=str(content["invoice_number"]),
        total=Decimal(content["total"]),
        balance=_amount(content["balance"]),
        rows=tuple(content["rows"]),
        sending=_amount(content["sending"]),
    )


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
