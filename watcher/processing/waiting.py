"""The files that wait by themselves: each is logged and written down, and people are told of it if it takes long.

A file waits in the inbox, or in work once it is claimed. It is tried again at every turn. All others go on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from watcher.claim import Claim
from watcher.errors import FileTrouble, JournalTrouble
from watcher.events.catalogue import Event
from watcher.inbox.entries import Remark
from watcher.journal.waits import Wait, Waits


class WaitingFiles:
    """Knows which files wait by themselves, since when, and why."""

    def __init__(self, waits: Waits, patience: float) -> None:
        """Know of none yet.

        Args:
            waits: the journal's.
            patience: after how long people are told of a file in work (seconds).
        """
        self._waits = waits
        self._patience = timedelta(seconds=patience)
        # By claim and name; the claim is empty in the inbox.
        self._files: dict[tuple[str, str], Wait] = {}
        # The waits that are not in the journal as they are here, by their keys.
        self._unwritten: set[tuple[str, str]] = set()
        self._began = False
        self._log = structlog.get_logger()

    def in_work(self, other_than: Collection[str] = ()) -> int:
        """Return how many claimed files wait, without some claims."""
        return sum(bool(wait.claim) and wait.claim not in other_than for wait in self._files.values())

    def hold_up(self, claim: Claim, reason: str, mend: str) -> None:
        """Take in that a claimed file has to wait. Its first time counts, also after a restart.

        Args:
            claim: its claim.
            reason: why it waits.
            mend: what a person can do about it.

        Raises:
            JournalTrouble: the journal cannot be read.
        """
        known = self._files.get((claim.id, claim.name))
        if known is None or known.reason != reason:
            since = known.since if known else self._since(claim) or datetime.now(UTC)
            self._change([Wait(claim.name, claim.id, since, reason, mend)])

    def go_on(self, claim: Claim) -> None:
        """Take in that a claimed file waits no longer."""
        if (claim.id, claim.name) in self._files:
            self._change([], [(claim.id, claim.name)])

    def keep_only(self, claim_ids: Collection[str]) -> None:
        """Forget claims other than these: nothing is left of them that could wait.

        Raises:
            JournalTrouble: that cannot be written down.
        """
        self._waits.keep_only(claim_ids)
        self._files = {key: wait for key, wait in self._files.items() if not wait.claim or wait.claim in claim_ids}

    def look(self, in_inbox: Iterable[Remark]) -> int:
        """Take in which files of the inbox wait, and tell people of every file that has waited for too long.

        Args:
            in_inbox: what the latest scan says of them.

        Returns:
            How many files have waited for too long.
        """
        if not self._began:
            with suppress(JournalTrouble):
                # What an earlier process said of the inbox is out of date.
                self._waits.forget_inbox()
                self._began = True
        now = datetime.now(UTC)
        found = {("", remark.name): remark for remark in in_inbox}
        changed = [self._of(remark, now) for key, remark in found.items() if self._is_news(remark, key)]
        changed += [
            replace(wait, overdue=True)
            for wait in self._files.values()
            if wait.claim and not wait.overdue and now - wait.since >= self._patience
        ]
        self._change(changed, [key for key, wait in self._files.items() if not wait.claim and key not in found])
        return sum(wait.overdue for wait in self._files.values())

    def check(self) -> None:
        """Make sure that no claimed file waits.

        Raises:
            FileTrouble: one does.
        """
        for wait in self._files.values():
            if wait.claim:
                raise FileTrouble(f"{wait.file} (claim {wait.claim}) waits: {wait.reason}", wait.mend)

    def _since(self, claim: Claim) -> datetime | None:
        """Return since when a file waits as an earlier process saw it."""
        return next((wait.since for wait in self._waits.all() if wait.claim == claim.id), None)

    def _of(self, remark: Remark, now: datetime) -> Wait:
        known = self._files.get(("", remark.name))
        since = known.since if known else now - timedelta(seconds=remark.waited)
        return Wait(remark.name, "", since, remark.reason, overdue=remark.overdue)

    def _is_news(self, remark: Remark, key: tuple[str, str]) -> bool:
        known = self._files.get(key)
        return known is None or (known.reason, known.overdue) != (remark.reason, remark.overdue)

    def _change(self, changed: Sequence[Wait], gone: Sequence[tuple[str, str]] = ()) -> None:
        """Log what is new, and write it down."""
        for key in gone:
            del self._files[key]
            self._unwritten.add(key)
        for wait in changed:
            before = self._files.get((wait.claim, wait.file))
            self._files[wait.claim, wait.file] = wait
            self._unwritten.add((wait.claim, wait.file))
            keys = {"file": wait.file, "claim": wait.claim or None, "reason": wait.reason, "mend": wait.mend or None}
            if before is None or before.reason != wait.reason:
                log = self._log.warning if wait.claim else self._log.info
                log(Event.FILE_WAITING, **keys)
            if wait.overdue and not (before and before.overdue):
                self._log.warning(Event.FILE_OVERDUE, since=wait.since.isoformat(timespec="seconds"), **keys)
        self._write_down()

    def _write_down(self) -> None:
        """Write down what is new. A journal that cannot be written stops nothing here: the next look does it."""
        if not self._unwritten:
            return
        with suppress(JournalTrouble):
            self._waits.change(
                [wait for key, wait in self._files.items() if key in self._unwritten],
                [key for key in self._unwritten if key not in self._files],
            )
            self._unwritten.clear()
