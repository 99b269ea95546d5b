"""The journal of the sandbox: every write in its order, refused ones too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from watcher.sandbox.clock import Clock
from watcher.sandbox.errors import Record, RequestError


@dataclass(slots=True)
class Write:
    """A write while it is under way.

    Attributes:
        method: the HTTP method.
        invoice_id: the invoice of the path.
        payment_id: the payment it is about, None where there is none yet.
        body: the parsed JSON, or the text that is none.
        status: what it is answered with; 500 stands if it ends by a fault of the sandbox.
    """

    method: str
    invoice_id: int
    payment_id: int | None
    body: object
    status: int = field(default=500)


class Journal:
    """Keeps what was written; whoever uses it sees to it that one write ends before the next begins.

    Args:
        clock: dates every write.
    """

    def __init__(self, clock: Clock) -> None:
        """Start empty."""
        self._clock = clock
        self._entries: list[Record] = []

    @contextmanager
    def written(self, write: Write, status: int, number: str | None) -> Iterator[None]:
        """Enter a write at the end of a block.

        Args:
            write: what is written.
            status: what it is answered with if the block refuses nothing.
            number: the number of its invoice, None where there is no such invoice.
        """
        try:
            yield
            write.status = status
        except RequestError as error:
            write.status = error.status
            raise
        finally:
            self.enter(write, number)

    def enter(self, write: Write, number: str | None) -> None:
        """Enter a write that has ended.

        Args:
            write: what was written.
            number: the number of its invoice, None where there is no such invoice.
        """
        self._entries.append(
            {
                "sequence": len(self._entries) + 1,
                "time": self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "method": write.method,
                "invoiceId": write.invoice_id,
                "invoiceNumber": number,
                "paymentId": write.payment_id,
                "body": write.body,
                "status": write.status,
            }
        )

    def entries(self) -> list[Record]:
        """Return all writes in their order."""
        return [dict(entry) for entry in self._entries]
