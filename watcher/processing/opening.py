"""Claimed files opened: each is read, the journal learns what it asks, and invoice ids become numbers.

Nothing here asks whether a file was claimed a moment ago or before a crash. What the journal knows is not done again,
and everything else is. So recovery is the ordinary way.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from watcher.claim import Claim
from watcher.documents.formats import PaymentDocuments, records
from watcher.errors import DocumentError, Outage
from watcher.journal.claims import Claims, Copy
from watcher.journal.earlier import Earlier
from watcher.journal.ledger import Known, Ledger, Opened
from watcher.lifetime import Lifetime
from watcher.payments.demands import numbered, timely, unrepeated
from watcher.payments.model import Payment, Record
from watcher.processing.claimed import Asking, Unopened
from watcher.processing.left import not_found
from watcher.processing.look_up import LookUp


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Which files are taken for what they are.

    Attributes:
        documents: makes a payment document of a file's content.
        max_file_bytes: larger files are refused unread.
        prevent_reprocessing: refuse a file whose content, and a payment whose externalId, has been processed before.
        adds: each record is a payment that is added up. A file stays what it was when it was opened.
    """

    documents: PaymentDocuments
    max_file_bytes: int
    prevent_reprocessing: bool = False
    adds: bool = False


@dataclass(frozen=True, slots=True)
class _Read:
    """A claimed file that has been read.

    Attributes:
        claim: the claim.
        begun: when its turn began (monotonic seconds).
        digest: SHA-256 of its content, hex.
        known: what the journal knows of it; None if nothing.
        records: its records; those that give an invoice's id alone have no number yet.
        refusal: why it cannot be read as a payment document; None if it can.
    """

    claim: Claim
    begun: float
    digest: str
    known: Known | None
    records: tuple[Record, ...] = ()
    refusal: str | None = None


class Opener:
    """Opens the claimed files of a batch."""

    def __init__(
        self,
        claims: Claims,
        ledger: Ledger,
        earlier: Earlier,
        look_up: LookUp,
        acceptance: Acceptance,
        lifetime: Lifetime,
    ) -> None:
        self._claims = claims
        self._ledger = ledger
        self._earlier = earlier
        self._look_up = look_up
        self._acceptance = acceptance
        self._lifetime = lifetime

    def open(self, claims: Sequence[Claim]) -> tuple[list[Asking], dict[Claim, Unopened]]:
        """Open claimed files, and write down what each asks before anything is done about it.

        Args:
            claims: in the order of claiming.

        Returns:
            The files, and what is known of those that cannot be opened now: an invoice cannot be looked up by
            its id.

        Raises:
            JournalTrouble: the journal cannot be used.
            Outage: no invoice can be looked up by its id. No file is lost by that.
            Stopping: the process is asked to end.
        """
        claim_ids = [claim.id for claim in claims]
        known, copies = self._ledger.known_of(claim_ids), self._claims.small_copies(claim_ids)
        read = []
        for claim in claims:
            copy = copies.pop(claim.id, None) or self._claims.copy(claim.id)
            read.append(self._read(claim, known.get(claim.id), copy))
        numbers, troubles = self._look_up.by_id(_numberless(read).keys())
        waiting = {
            file.claim: _unopened(file, numbers, troubles[stuck[0].invoice_id or 0], stuck)
            for file in read
            if (stuck := [payment for each, payment in _numberless([file]).items() if each in troubles])
        }
        read = [file for file in read if file.claim not in waiting]
        if self._acceptance.prevent_reprocessing:
            # What the earlier ones of these files ask counts for the later ones.
            return [asking for file in read for asking in self._write_down([self._asking(file, numbers)])], waiting
        return self._write_down([self._asking(file, numbers) for file in read]), waiting

    def _write_down(self, files: Sequence[tuple[Asking, bool]]) -> list[Asking]:
        """Write down what files ask that are not written down yet, and return all."""
        new = [file for file, is_known in files if not is_known]
        self._ledger.open_all(
            Opened(file.claim.id, self._lifetime.through(file.records), file.refusal, file.adds) for file in new
        )
        return [file for file, _ in files]

    def _read(self, claim: Claim, known: Known | None, copy: Copy) -> _Read:
        begun = time.monotonic()
        # What a file was judged to be stays, whatever settings a restart brought.
        if known is not None and known.refusal is not None:
            return _Read(claim, begun, copy.digest, known, refusal=known.refusal)
        if copy.content is None:
            refusal = f"The file is larger than {self._acceptance.max_file_bytes} bytes (inbox.max_file_bytes)."
            return _Read(claim, begun, copy.digest, known, refusal=refusal)
        try:
            document = copy.document or self._payment_document(claim, copy.content)
            asked = tuple(self._lifetime.through(records(document, signed=self._adds(known))))
        except DocumentError as error:
            return _Read(claim, begun, copy.digest, known, refusal=str(error))
        return _Read(claim, begun, copy.digest, known, asked)

    def _adds(self, known: Known | None) -> bool:
        return self._acceptance.adds if known is None else known.adds

    def _payment_document(self, claim: Claim, content: bytes) -> bytes:
        """Return a claimed file's payment document: the file itself, or what is made of it now."""
        made = self._acceptance.documents.of(content)
        if made is not content:
            # A stylesheet may be changed, or use the time of day, and settings may be changed: everything that follows
            # is about what was made now.
            self._claims.keep_document(claim.id, made)
        return made

    def _asking(self, file: _Read, numbers: Mapping[int, str]) -> tuple[Asking, bool]:
        """Return what a file asks, and whether that is written down already."""
        claim, known, refusal, records = file.claim, file.known, file.refusal, file.records
        if refusal is None and known is None and self._acceptance.prevent_reprocessing:
            refusal = self._repeats(claim, file.digest)
        if refusal is not None:
            records = ()
        else:
            planned = known.intents.keys() if known else ()
            records = timely(numbered(records, numbers), datetime.now(UTC).date(), planned)
            if self._acceptance.prevent_reprocessing:
                records = unrepeated(records, self._earlier.payments(_external_ids(records), claim))
        adds = self._adds(known)
        if known is None:
            return Asking(claim, file.digest, file.begun, records, refusal, adds=adds), False
        return Asking(claim, file.digest, file.begun, records, refusal, known.decided, known.intents, adds), True

    def _repeats(self, claim: Claim, digest: str) -> str | None:
        """Return why a file is refused whose content was processed before; None if it was not."""
        earlier = self._earlier.file(digest, claim)
        if earlier is None:
            return None
        return (
            f"The same content was processed already, as {earlier.name} taken on "
            f"{earlier.claimed_at:%Y-%m-%d at %H:%M} UTC (claim {earlier.id}), "
            "and payments.prevent_reprocessing is set."
        )


def _numberless(files: Iterable[_Read]) -> dict[int, Payment]:
    """Return a payment of each invoice that is given by its id alone, by that id."""
    return {
        record.invoice_id: record
        for file in files
        for record in file.records
        if isinstance(record, Payment) and record.invoice_id is not None and not record.invoice_number
    }


def _unopened(file: _Read, numbers: Mapping[int, str], trouble: Outage, stuck: Sequence[Payment]) -> Unopened:
    """Return what is known of a file some of whose payments name invoices that cannot be looked up."""
    named = [record.invoice_number for record in file.records if record.invoice_number]
    ids = _numberless([file]).keys()
    return Unopened(
        not_found(trouble, [(file.claim.id, payment) for payment in stuck]),
        frozenset(number.casefold() for number in (*named, *(numbers[each] for each in ids if each in numbers))),
        frozenset(ids),
    )


def _external_ids(records: Sequence[Record]) -> list[str]:
    return [record.external_id for record in records if isinstance(record, Payment) and record.external_id]
