"""The originals of finished files: deleted, unless their writers went on writing into them."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from watcher.claim import Claim
from watcher.disk.lane import Lane
from watcher.disk.side_by_side import side_by_side
from watcher.errors import FileTrouble, FolderTrouble
from watcher.events.catalogue import Event
from watcher.folders.outboxes import Outboxes
from watcher.folders.work import Work
from watcher.lifetime import Lifetime
from watcher.payments.receipt import change_note
from watcher.processing.waiting import WaitingFiles


class LettingGo:
    """Deletes originals while the work goes on. One that was changed is kept in the fail outbox, which is logged."""

    def __init__(self, work: Work, outboxes: Outboxes, waiting: WaitingFiles, lifetime: Lifetime) -> None:
        """Let go of nothing yet.

        Args:
            work: the originals.
            outboxes: where a changed one is kept.
            waiting: the files that wait by themselves.
            lifetime: of this process.
        """
        self._work = work
        self._outboxes = outboxes
        self._waiting = waiting
        self._lifetime = lifetime
        # The originals that are not deleted yet, each with the digest of what was processed of it.
        self._left: dict[Claim, str] = {}
        self._lane: Lane[Sequence[tuple[Claim, str]], list[bool]] = Lane("letting go")
        self._log = structlog.get_logger()

    def begin(self, originals: Sequence[tuple[Claim, str]]) -> None:
        """Begin to delete the originals of finished files.

        Args:
            originals: the claims, each with SHA-256 of what was processed of its file, hex.
        """
        if originals:
            self._left |= dict(originals)
            self._lane.begin(self._delete_unchanged, originals)

    def take_in(self, *, wait: bool = False) -> None:
        """Take in which originals are deleted by now.

        Args:
            wait: wait for all, and keep those that were changed. Nothing may be under way on the outboxes then.

        Raises:
            FolderTrouble: they cannot be deleted now. ``tidy`` tries it again.
        """
        while self._lane.pieces if wait else self._lane.is_next_done():
            self._forget_deleted(*self._lane.take_back())
        if wait:
            self._keep_changed()

    def tidy(self) -> None:
        """Try again what could not be deleted so far. Nothing may be under way on the outboxes.

        An original that cannot be read stays in work, and waits there by itself.

        Raises:
            FolderTrouble: that is not possible now.
        """
        self.take_in(wait=True)
        if self._left:
            left = list(self._left.items())
            self._forget_deleted(left, self._delete_unchanged(left))
            self._keep_changed()

    def _delete_unchanged(self, left: Sequence[tuple[Claim, str]]) -> list[bool]:
        """Delete the originals that are as they were when they were taken; return which are deleted."""

        def delete(one: tuple[Claim, str]) -> bool:
            claim, digest = one
            try:
                if self._work.is_still(claim, digest) is False:
                    return False
            except FolderTrouble:
                return False
            self._work.clear(claim)
            return True

        with self._work.stage():
            return side_by_side(delete, left, self._lifetime.alive)

    def _forget_deleted(self, left: Sequence[tuple[Claim, str]], are_deleted: Sequence[bool]) -> None:
        for (claim, _), is_deleted in zip(left, are_deleted, strict=True):
            if is_deleted:
                self._left.pop(claim, None)
                self._waiting.go_on(claim)

    def _keep_changed(self) -> None:
        """Keep the originals that could not be deleted since they were changed. Nothing may be under way."""
        for claim, digest in list(self._left.items()):
            if self._is_kept(claim, digest):
                del self._left[claim]
                self._waiting.go_on(claim)

    def _is_kept(self, claim: Claim, digest: str) -> bool:
        """Keep an original whose writer went on writing, in the fail outbox; return False if it must stay in work."""
        try:
            changed = self._work.is_still(claim, digest) is False
            found = self._work.read(claim) if changed else None
        except FolderTrouble as trouble:
            reason = f"it is finished, but its original in work cannot be read: {trouble}"
            self._waiting.hold_up(claim, reason, trouble.mend)
            return False
        if found is not None:
            with self._work.opened(claim) as file:
                content = file if found.content is None else found.content
                if content is not None:
                    try:
                        kept = self._outboxes.publish_changed(claim, found.digest, content, change_note(claim))
                    except FileTrouble as trouble:
                        reason = f"it is finished, but its changed original cannot be kept in fail: {trouble}"
                        self._waiting.hold_up(claim, reason, trouble.mend)
                        return False
                    self._log.warning(Event.FILE_CHANGED, file=claim.name, claim=claim.id, kept=str(kept))
        self._work.clear(claim)
        return True
