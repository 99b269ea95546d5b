"""Claimed files opened: each is read, the journal learns what it asks, and invoice ids become numbers.

Nothing here asks whether a file was claimed a moment ago or before a crash. What the journal knows is not done again,
and everything else is. So recovery is the ordinary way.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from watcher.claim import Claim
from watcher.documents.formats import PaymentDocuments, records
from watcher.errors import DocumentError
from watcher.journal.claims import Claims, Copy
from watcher.journal.earlier import Earlier
from watcher.journal.ledger import Known, Ledger, Opened
from watcher.lifetime import Lifetime
from watcher.payments.demands import lacks_number, numbered, timely, unrepeated
from watcher.payments.model import Payment, Record
from watcher.processing.claimed import Asking, Unnumbered
from watcher.processing.left import unnumbered
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

    def open(self, claims: Sequence[Claim]) -> tuple[list[Asking], dict[str, Unnumbered]]:
        """Open claimed files, and write down what each asks before anything is done about it.

        Args:
            claims: in the order of claiming.

        Returns:
            The files, and which of their payments name an invoice that cannot be looked up by its id now, by claim id.
            Such a record has no number yet.

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
        numbers, troubles = self._look_up.by_id(
            {record.invoice_id or 0 for file in read for record in _looked_up(file) if lacks_number(record)}
        )
        if self._acceptance.prevent_reprocessing:
            # What the earlier ones of these files ask counts for the later ones.
            one_by_one = (self._write_down([self._asking(file, numbers, troubles.keys())]) for file in read)
            opened = [asking for (asking,) in one_by_one]
        else:
            opened = self._write_down([self._asking(file, numbers, troubles.keys()) for file in read])
        stuck = {file.claim.id: [record for record in file.records if lacks_number(record)] for file in opened}
        return opened, {claim_id: unnumbered(claim_id, some, troubles) for claim_id, some in stuck.items() if some}

    def _write_down(self, files: Sequence[tuple[Asking, Known | None]]) -> list[Asking]:
        """Write down what files ask that is not written down yet, and return all."""
        self._ledger.open_all(
            Opened(file.claim.id, self._lifetime.through(file.records), file.refusal, file.adds)
            for file, known in files
            if known is None
        )
        self._ledger.number(
            (file.claim.id, record.position, record.invoice_number)
            for file, known in files
            if known is not None and known.unnumbered
            for record in file.records
            if record.position in known.unnumbered and record.invoice_number
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

    def _asking(self, file: _Read, numbers: Mapping[int, str], unknown: Collection[int]) -> tuple[Asking, Known | None]:
        """Return what a file asks, and what of that is written down already."""
        claim, known, refusal, records = file.claim, file.known, file.refusal, file.records
        if refusal is None and known is None and self._acceptance.prevent_reprocessing:
            refusal = self._repeats(claim, file.digest)
        if refusal is not None:
            records = ()
        else:
            planned = known.intents.keys() if known else ()
            records = timely(numbered(records, numbers, unknown), datetime.now(UTC).date(), planned)
            if self._acceptance.prevent_reprocessing:
                records = unrepeated(records, self._earlier.payments(_external_ids(records), claim))
        adds = self._adds(known)
        if known is None:
            return Asking(claim, file.digest, file.begun, records, refusal, adds=adds), None
        return Asking(claim, file.digest, file.begun, records, refusal, known.decided, known.intents, adds), known

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


def _looked_up(file: _Read) -> Iterable[Record]:
    """Return the records whose invoices are looked up: those without an outcome, if one could not be looked up before.

    Such a look may hang, and with others it is halved until that one is alone.
    """
    decided = file.known.decided if file.known and file.known.unnumbered else ()
    return (record for record in file.records if record.position not in decided)


def _external_ids(records: Sequence[Record]) -> list[str]:
    return [record.external_id for record in records if isinstance(record, Payment) and record.external_id]
