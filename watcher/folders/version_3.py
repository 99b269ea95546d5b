"""What version 3 of the journal left in work, beside the places of claims: documents and receipts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import ExitStack, suppress

from watcher.claim import Claim, is_claim_id
from watcher.disk.hanging import FolderCalls
from watcher.disk.opened import opened
from watcher.folders.layout import Folders

# What was kept, half written or whole.
_KEPT = re.compile(r"\.?([0-9TZ]{16}_[0-9a-f]{8})\.(?:payments\.xml|receipt\.json|receipt\.tmp|file\.tmp)")


class LeftByVersion3:
    """Reads what was kept, and deletes it."""

    def __init__(self, folders: Folders, calls: FolderCalls) -> None:
        self._folders = folders
        self._calls = calls

    def document(self, claim: Claim) -> bytes | None:
        """Return the payment document that was kept beside the place of a claim; None if none was.

        Raises:
            FolderTrouble: it cannot be read.
        """
        with self._calls.at(self._folders.work), ExitStack() as stack:
            work = stack.enter_context(opened(self._folders.work))
            with suppress(FileNotFoundError):
                file = stack.enter_context(work.reading(f"{claim.id}.payments.xml"))
                return None if file is None else file.read()
        return None

    def names(self) -> dict[str, list[str]]:
        """List what was kept beside the places of claims: the names, by the ids of the claims.

        Raises:
            FolderTrouble: work cannot be read.
        """
        names: dict[str, list[str]] = {}
        with self._calls.at(self._folders.work), opened(self._folders.work) as work:
            for name in work.names():
                kept = _KEPT.fullmatch(name)
                if kept and is_claim_id(kept[1]):
                    names.setdefault(kept[1], []).append(name)
        return names

    def forget(self, names: Iterable[str]) -> None:
        """Delete what was kept beside the place of a claim.

        Raises:
            FolderTrouble: it cannot be deleted.
        """
        with self._calls.at(self._folders.work), opened(self._folders.work) as work:
            for name in names:
                with suppress(IsADirectoryError):
                    work.unlink(name)
