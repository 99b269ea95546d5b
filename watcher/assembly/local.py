"""The parts that need no network: folders, rules, documents, the inbox."""

from __future__ import annotations

from watcher.config.settings import Settings
from watcher.disk.hanging import FolderCalls
from watcher.documents.formats import PaymentDocuments
from watcher.documents.sheets import AMOUNTS
from watcher.documents.table_terms import Terms
from watcher.errors import ConfigurationError, Fault
from watcher.folders.layout import Folders
from watcher.inbox.scan import Inbox
from watcher.inbox.scan import Terms as InboxTerms
from watcher.lifetime import Lifetime
from watcher.payments.model import Rules


def folders_of(settings: Settings) -> Folders:
    """Return the five folders.

    Raises:
        ConfigurationError: the settings name none.
    """
    named = settings.folders
    if named is None:
        raise ConfigurationError((Fault("folders", "is missing", "Name the folders in [folders]."),))
    return Folders(named.inbox, named.work, named.success, named.fail, named.archive)


def rules_of(settings: Settings) -> Rules:
    """Return the operator's choices about money."""
    chosen = settings.payments
    return Rules(
        sum_duplicates=chosen.duplicates == "sum",
        remove_on_zero=chosen.zero_amount == "remove",
        date_partial_payments=chosen.date_partial_payments,
        list_first=settings.connectwise.list_first,
        add_up=chosen.amounts == "each",
    )


def table_of(settings: Settings) -> Terms | None:
    """Return how tables (CSV) are read; None if files are no tables."""
    section = settings.table
    # Where every record is one payment, one of less than zero takes an earlier one back.
    each = settings.payments.amounts == "each"
    return None if section is None else section.terms(negative_amounts=each)


def documents_of(settings: Settings, lifetime: Lifetime) -> PaymentDocuments:
    """Return what makes payment documents of files.

    Args:
        settings: any.
        lifetime: of this process; a stylesheet ends with it.

    Raises:
        ConfigurationError: the stylesheet cannot be used.
    """
    section = settings.inbox
    if section.transform is None or section.takes_tables:
        return PaymentDocuments(table=table_of(settings))
    # Late, as in documents.formats.
    from watcher.documents.stylesheet import Stylesheet

    parameters = settings.transform.given | {AMOUNTS: settings.payments.amounts}
    return PaymentDocuments(Stylesheet(section.transform, section.max_file_bytes, lifetime, parameters))


def inbox_of(settings: Settings, calls: FolderCalls) -> Inbox:
    """Return the inbox.

    Args:
        settings: with folders.
        calls: makes calls on folders.
    """
    section = settings.inbox
    terms = InboxTerms(
        section.pattern,
        section.settle_seconds,
        section.stalled_after_seconds,
        section.max_file_bytes,
        table_of(settings),
    )
    return Inbox(folders_of(settings).inbox, terms, calls)
