"""Files taken from the inbox: the journal has a copy of each before it is moved, and nothing else is believed.

The journal commits a claim with the content of its file. Then the file is moved into work, and compared with what was
read. If it is another one by then, the claim is undone before any money moved. After a crash in between, the next start
looks where the file is.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from watcher.claim import Claim, ReadyFile, next_id
from watcher.disk.lane import Lane
from watcher.disk.side_by_side import side_by_side
from watcher.errors import FolderTrouble, Stopping
from watcher.folders.version_3 import LeftByVersion3
from watcher.folders.work import Gone, Unmovable, Work
from watcher.journal.claims import Claims, NewClaim, Unfinished
from watcher.lifetime import Lifetime
from watcher.processing.publishing import Publisher

_TAKEN_AWAY = "it was taken away"
_CHANGED = "it was changed while it was taken"


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of taking some files.

    Attributes:
        claims: the claimed files, in order, with their sizes (bytes).
        returned: why other files were not taken, by name: they are gone, or changed and wait to be quiet again.
        held_back: why other files cannot be taken now, by name: somebody has them open, or may not let go of them.
    """

    claims: dict[Claim, int] = field(default_factory=dict)
    returned: dict[str, str] = field(default_factory=dict)
    held_back: dict[str, str] = field(default_factory=dict)


# What came of moving a file into work: as ``Work.is_still``, or why it cannot be moved.
_Moved = bool | Gone | Unmovable | None


@dataclass(frozen=True, slots=True)
class _Taking:
    """Files that are being taken.

    Attributes:
        new: the files.
        taken: what is known already.
        sizes: the sizes of the files, by name (bytes).
    """

    new: list[NewClaim]
    taken: Taken
    sizes: dict[str, int]


class Taker:
    """Takes files from the inbox, and finds again what was taken.

    Attributes:
        made: the ids of the claims that this process made.
        waiting: the files that wait by themselves.
        put_back: ``resume`` has put a file back into the inbox. Whoever scans the inbox sets this to False.
    """

    def __init__(
        self, work: Work, earlier: LeftByVersion3, claims: Claims, publisher: Publisher, lifetime: Lifetime
    ) -> None:
        """Take nothing yet.

        Args:
            work: the originals.
            earlier: what an earlier version left beside them.
            claims: the journal's.
            publisher: knows what to do with an original at its end, and which files wait by themselves.
            lifetime: of this process.
        """
        self._lifetime = lifetime
        self._lane: Lane[_Taking, list[_Moved]] = Lane("taking")
        self.made: set[str] = set()
        self.put_back = False
        self._work = work
        self._earlier = earlier
        self._claims = claims
        self._publisher = publisher
        # What lies in work is looked through once: later on, the journal knows it all.
        self._looked = False
        self.waiting = publisher.waiting

    def take(self, ready: Sequence[ReadyFile]) -> Taken:
        """Take files, in this order.

        Args:
            ready: the files as the scan saw them.

        Raises:
            FolderTrouble: inbox or work cannot be used. What is claimed by then is found again by ``resume``.
            JournalTrouble: the journal cannot be used; as above.
        """
        self.begin(ready)
        return self.end()

    def begin(self, ready: Sequence[ReadyFile]) -> None:
        """Begin to take files, in this order: they are moved while the caller goes on. ``end`` ends it.

        Raises:
            FolderTrouble, JournalTrouble: as ``take``.
        """
        taken = Taken()
        new = self._read(ready, taken)
        if new:
            self._claims.add(new)
            self.made.update(each.claim.id for each in new)
        sizes = {file.name: file.size for file in ready}
        self._lane.begin(self._set_all_aside, _Taking(new, taken, sizes))

    @property
    def is_under_way(self) -> bool:
        """True if files are being taken."""
        return bool(self._lane.pieces)

    def end(self) -> Taken:
        """Wait until the files are moved; return what came of taking them. Nothing if none are being taken.

        Raises:
            FolderTrouble, JournalTrouble: as ``take``.
        """
        if not self._lane.pieces:
            return Taken()
        taking, came = self._lane.take_back()
        taken = taking.taken
        for each, one in zip(taking.new, came, strict=True):
            if isinstance(one, Gone):
                taken.returned[each.claim.name] = _TAKEN_AWAY
            elif isinstance(one, Unmovable):
                taken.held_back[each.claim.name] = f"it cannot be moved now: {one}"
            elif one is False:
                self._work.put_back(each.claim)
                taken.returned[each.claim.name] = _CHANGED
            else:
                taken.claims[each.claim] = taking.sizes[each.claim.name]
        sure = {claim.id for claim in taken.claims}
        self._claims.take(sure)
        undone = {each.claim.id for each in taking.new} - sure
        self._claims.undo(undone)
        self.made -= undone
        return taken

    def resume(self) -> dict[Claim, int | None]:
        """Return the claimed files that are not finished, in the order of claiming, with their sizes (bytes).

        Files that wait by themselves are not among them.

        Raises:
            FolderTrouble: inbox or work cannot be used.
        """
        files = [each for each in self._claims.unfinished() if self._is_taken(each)]
        if not self._looked:
            self._looked = self._look_through_work()
            files = [each for each in self._claims.unfinished() if each.kept]
        busy = self._publisher.busy
        return {each.claim: each.size for each in files if each.claim not in busy}

    def _read(self, ready: Sequence[ReadyFile], taken: Taken) -> list[NewClaim]:
        """Take files as the scan read them, or read them once more. Note why some of them are not taken."""
        new: list[NewClaim] = []
        latest = self._claims.latest_id()
        for file in ready:
            claim = Claim(next_id(datetime.now(UTC), latest, secrets.randbelow(1 << 12)), file.name)
            if file.content is not None and file.digest is not None:
                new.append(NewClaim(claim, file.digest, file.content))
                latest = claim.id
                continue
            try:
                found = self._work.read_dropped(claim)
            except Unmovable as unmovable:
                taken.held_back[file.name] = f"it cannot be read now: {unmovable}"
                continue
            if found is None:
                taken.returned[file.name] = _TAKEN_AWAY
            elif found.size != file.size or file.digest not in (None, found.digest) or found.names > 1:
                taken.returned[file.name] = _CHANGED
            else:
                new.append(NewClaim(claim, found.digest, found.content))
                latest = claim.id
        return new

    def _set_all_aside(self, taking: _Taking) -> list[_Moved]:
        if not taking.new:
            return []
        with self._work.stage():
            came = side_by_side(self._set_aside, taking.new, self._lifetime.alive)
            self._work.sync(each.claim for each in taking.new if each.content is None)
        return came

    def _set_aside(self, new: NewClaim) -> _Moved:
        """Move a file into work, and compare it as ``_is_still`` does; or return why it cannot be moved."""
        if self._lifetime.ending:
            raise Stopping("asked to end while files were taken")
        try:
            self._work.set_aside(new.claim)
        except (Gone, Unmovable) as reason:
            return reason
        return self._is_still(new.claim, new.digest)

    def _is_taken(self, file: Unfinished) -> bool:
        """Make sure of a claim that a crash or a folder trouble interrupted; return False if it was undone."""
        if not file.kept:
            return self._bring_along(file)
        if file.taken:
            return True
        still = self._is_still(file.claim, file.digest)
        if still is None and (dropped := self._is_dropped(file.claim, file.digest)) is not None:
            moved = self._set_aside(NewClaim(file.claim, file.digest, None)) if dropped else False
            if dropped:
                self._work.sync([file.claim])
            still = None if moved is None else moved is True
        if still is False:
            # Another file by now; no money has moved for it.
            self._work.put_back(file.claim)
            self.put_back = True
            self._claims.undo([file.claim.id])
            return False
        # What the journal holds is finished, whatever became of the original.
        self._claims.take([file.claim.id])
        return True

    def _is_still(self, claim: Claim, digest: str) -> bool | None:
        """Compare as ``Work`` does. A file that cannot be read goes back, and waits there by itself."""
        try:
            return self._work.is_still(claim, digest)
        except FolderTrouble:
            # If it is not this file but its folder, putting it back raises.
            return False

    def _is_dropped(self, claim: Claim, digest: str) -> bool | None:
        """Compare as ``Work`` does. A file that cannot be read is taken for another one."""
        try:
            return self._work.is_dropped(claim, digest)
        except FolderTrouble:
            # As above.
            return False

    def _bring_along(self, file: Unfinished) -> bool:
        """Keep a copy of a file that a journal of version 3 knows without its content; the copy is in work.

        Returns:
            False if there is nothing to be done, or the file has to wait by itself: nobody has the right content.
        """
        try:
            found = self._work.read(file.claim)
        except FolderTrouble as trouble:
            self.waiting.hold_up(file.claim, f"it cannot be read in work: {trouble}", trouble.mend)
            return False
        if found is None:
            if self._publisher.is_archived(file.claim, file.digest):
                # All else was done before that.
                self._claims.finish(file.claim.id)
                self.waiting.go_on(file.claim)
            else:
                self.waiting.hold_up(
                    file.claim,
                    "it is gone from work, and the earlier version of payment-watcher that took it kept no copy",
                    f"Put the same file back as {self._work.where(file.claim)}",
                )
            return False
        if found.digest != file.digest:
            self.waiting.hold_up(
                file.claim,
                "it was changed by its writer after an earlier version of payment-watcher had taken and read it",
                f"Move it away from {self._work.where(file.claim)}, and drop the right file into the inbox",
            )
            return False
        self._claims.keep(file.claim.id, found.content, self._earlier.document(file.claim))
        self.waiting.go_on(file.claim)
        return True

    def _look_through_work(self) -> bool:
        """Take up what the journal does not know, and let go of what it has finished.

        Returns:
            False if a file cannot be read. It waits, and is tried again, by itself.
        """
        all_read = True
        found = self._work.found()
        self._publisher.sweep(
            [*(file.claim for file in self._claims.unfinished()), *(claim for _, claim in found if claim)]
        )
        for claim_id, claim in found:
            known = self._claims.state(claim_id)
            if claim is None:
                # A crash came between the deletion of an original and that of its folder.
                self._work.clear_place(claim_id)
            elif known is None:
                all_read &= self._take_up(claim)
            elif known.finished:
                # Whatever else lies there is not this claim's.
                self._publisher.let_go(Claim(claim_id, known.name), known.digest)
        for file in self._claims.unfinished():
            self._publisher.adopt(file.claim, file.digest)
        unfinished = {file.claim.id: file for file in self._claims.unfinished()}
        for claim_id, names in self._earlier.names().items():
            incomplete = claim_id in unfinished and not unfinished[claim_id].kept
            if self._claims.state(claim_id) is not None and not incomplete:
                # The journal has it all by now.
                self._earlier.forget(names)
        self.waiting.keep_only({*unfinished, *(claim_id for claim_id, claim in self._work.found() if claim)})
        return all_read

    def _take_up(self, claim: Claim) -> bool:
        """Claim a file that lies in work already; return False if it cannot be read."""
        try:
            found = self._work.read(claim)
        except FolderTrouble as trouble:
            self.waiting.hold_up(claim, f"it cannot be read in work: {trouble}", trouble.mend)
            return False
        self.waiting.go_on(claim)
        if found is not None:
            self._claims.add([NewClaim(claim, found.digest, found.content)], taken=True)
        return True
