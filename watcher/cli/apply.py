"""``apply``: its input, its result files and its plan."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from watcher.actions import apply as one_document
from watcher.assembly.connectwise import client_of, secrets_of
from watcher.assembly.local import documents_of, rules_of, table_of
from watcher.cli import identity
from watcher.config import load as config
from watcher.config.settings import InboxSection, Settings
from watcher.disk.durable import write_whole
from watcher.disk.lock import holding, lock_file
from watcher.documents.formats import result_file, takes_as_table
from watcher.documents.table_terms import Terms
from watcher.documents.writing import empty_results
from watcher.errors import ConfigurationError, DocumentError, PaymentWatcherError
from watcher.events import log
from watcher.lifetime import Lifetime
from watcher.payments.model import Plan, Record
from watcher.payments.outcomes import Result
from watcher.payments.receipt import summary

if TYPE_CHECKING:
    from watcher.journal.sums import Sums

# The usual names of the results, without their suffix.
SUCCESS_FILE = Path("connectwise_accounting_interface_update_invoice_payments_success")
FAIL_FILE = Path("connectwise_accounting_interface_update_invoice_payments_fail")

_DECLARED_ENCODING = re.compile(r"""^(<\?xml[^>]*?)\s+encoding\s*=\s*("[^"]*"|'[^']*')""")


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files that get the results.

    Attributes:
        success: gets the payments that ConnectWise has; None for the usual name in the working directory.
        fail: gets the payments that failed; None for the usual name.
        suffix: what usual names end in.
    """

    success: Path | None
    fail: Path | None
    suffix: str = ".xml"

    @property
    def _places(self) -> tuple[Path, Path]:
        usual = SUCCESS_FILE.with_suffix(self.suffix), FAIL_FILE.with_suffix(self.suffix)
        return self.success or usual[0], self.fail or usual[1]

    def check(self) -> None:
        """Make sure that they are two files.

        Raises:
            PaymentWatcherError: they are one and the same.
        """
        success, fail = self._places
        if success.resolve() == fail.resolve():
            raise PaymentWatcherError(f"{success} and {fail} are the same file: one would lose the other's records.")

    def write(self, success: bytes, fail: bytes) -> None:
        """Write both."""
        for place, content in zip(self._places, (success, fail), strict=True):
            write_whole(place, content)

    def write_empty(self) -> None:
        """Write both without payments."""
        self.write(*(empty_results() if self.suffix == ".xml" else (b"", b"")))


def apply(config_file: Path | None, source: str | None, outputs: Outputs | None, *, as_json: bool) -> bool:
    """Set the payments of a document, or print the plan of it.

    Args:
        config_file: the configuration file that was named; None if none was.
        source: the document: the XML itself, a path, or - or None for standard input.
        outputs: where the results go; None to print the plan and write nothing.
        as_json: print the results as JSON on standard output.

    Returns:
        True if no payment failed.

    Raises:
        PaymentWatcherError: the settings or the document cannot be used, or some payments have no outcome yet.
    """
    if outputs is not None:
        outputs.check()
    try:
        settings = config.load(identity.configuration(config_file), folders=False)
    except ConfigurationError:
        _begin(source, outputs, InboxSection().max_file_bytes)
        raise
    data, outputs = _begin(source, outputs, settings.inbox.max_file_bytes, table_of(settings))
    # On a terminal the bar and the sums show what the log would.
    level = "warning" if sys.stderr.isatty() and settings.logging.level == "info" else settings.logging.level
    log.set_up(level, settings.logging.format, secrets_of(settings))
    lifetime = Lifetime()
    lifetime.catch_signals()
    client, workers = client_of(settings, lifetime)
    data = documents_of(settings, lifetime).of(data)
    rules = rules_of(settings)
    with _sums_of(settings, only_look=outputs is None) as sums:
        if outputs is None:
            return _show_plan(*one_document.preview(data, client, workers, rules, sums), as_json=as_json)
        applied = _last(one_document.apply(data, client, workers, rules, sums, _name_of(source)))
    success, fail = (b"".join(result_file(data, applied.results, rejected=rejected)) for rejected in (False, True))
    outputs.write(success, fail)
    _report(applied, as_json=as_json)
    return not any(result.message for result in applied.known)


@contextmanager
def _sums_of(settings: Settings, *, only_look: bool) -> Iterator[Sums | None]:
    """Open the journal if payments are added up: only it knows what was accepted before.

    Args:
        settings: any.
        only_look: the plan is printed, and nothing written. This is possible beside a daemon.

    Raises:
        Occupied: the daemon runs.
        PaymentWatcherError: the journal is another user's.
    """
    if settings.payments.amounts != "each":
        yield None
        return
    # Late: those whose amounts are totals need no journal here.
    from watcher.journal.database import Database, opened
    from watcher.journal.sums import Sums

    journal = settings.journal
    if only_look:
        identity.work_as_owner(journal.path.parent)
        with opened(journal.url) as database:
            # Without a journal, nothing was accepted before.
            yield Sums(database or Database("sqlite://"))
        return
    with suppress(FileNotFoundError):
        owner = journal.path.parent.stat().st_uid
        if os.geteuid() == 0 != owner:
            raise PaymentWatcherError(
                f'With payments.amounts = "each", apply writes to the journal {journal.path}, whose user has the id '
                f"{owner}. Run it as that user: sudo -u '#{owner}' payment-watcher apply ..."
            )
    with holding(lock_file(journal.path)), closing(Database(journal.url)) as database:
        yield Sums(database)


def _name_of(source: str | None) -> str:
    """Return how a document is named where its payments are listed."""
    if source in (None, "-"):
        return "standard input"
    assert source is not None
    return "apply" if source.lstrip().startswith("<") else Path(source).name


def _begin(
    source: str | None, outputs: Outputs | None, limit: int, table: Terms | None = None
) -> tuple[bytes, Outputs | None]:
    """Read the document, and then empty the result files: however this ends, they hold nothing of an earlier run.

    The document is read first, since it may be the fail file of that run.

    Returns:
        The document; and where the results go, in the shape of the input.
    """
    is_table = table is not None
    try:
        data = read_input(source, limit)
        is_table = takes_as_table(data, table)
    finally:
        if outputs is not None:
            outputs = replace(outputs, suffix=".csv" if is_table else ".xml")
            outputs.write_empty()
    return data, outputs


def read_input(source: str | None, limit: int) -> bytes:
    """Return a document: the XML itself, what a path names, or standard input for - or None.

    Raises:
        DocumentError: it cannot be read, or is larger than the limit (bytes).
    """
    if source is not None and source.lstrip().startswith("<"):
        # Text has no encoding any more, whatever its declaration says: .NET writes utf-16 there.
        return os.fsencode(_DECLARED_ENCODING.sub(r"\1", source.strip()))
    # A document that is too large is not read to its end.
    data = sys.stdin.buffer.read(limit + 1) if source in (None, "-") else _content(Path(str(source)), limit)
    if data is None or len(data) > limit:
        raise DocumentError(f"The document is larger than {limit} bytes (inbox.max_file_bytes).")
    return data


def _content(path: Path, limit: int) -> bytes | None:
    """Return what a file holds, or None if it is too large; a pipe shows its size only by ending."""
    try:
        with path.open("rb") as file:
            return file.read(limit + 1) if os.fstat(file.fileno()).st_size <= limit else None
    except OSError as error:
        raise DocumentError(f"{path} cannot be read: {os.strerror(error.errno or 0)}.") from error


def _show_plan(records: Sequence[Record], rejected: Sequence[Result], plans: Sequence[Plan], *, as_json: bool) -> bool:
    from watcher.cli import plan

    plan.show(records, rejected, plans, as_json=as_json)
    return not rejected and not any(each.rejects or (each.adding and each.adding.faults) for each in plans)


def _last(advances: Iterable[one_document.Applied]) -> one_document.Applied:
    """Let a document be worked on to its end, with a bar on a terminal, and return what has become of it."""
    if sys.stderr.isatty():
        from watcher.cli import bar

        advances = bar.shown(advances)
    return deque(advances, maxlen=1).pop()


def _report(applied: one_document.Applied, *, as_json: bool) -> None:
    from watcher.cli import console

    waiting = len(applied.results) - len(applied.known)
    console.show_sums(applied.known, waiting)
    if as_json:
        sys.stdout.write(json.dumps(summary(applied.known) | {"waiting": waiting}, indent=2) + "\n")
    if applied.held_up_by is not None:
        console.err.print("The waiting payments are in neither file: give the same input again to finish them.")
        raise applied.held_up_by
