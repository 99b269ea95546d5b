"""The five folders, and where everything of a claim lies in them. Pure: no path is touched here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from watcher.claim import Claim


@dataclass(frozen=True, slots=True)
class Folders:
    """The five folders; all of them exist."""

    inbox: Path
    work: Path
    success: Path
    fail: Path
    archive: Path

    def named(self) -> Iterator[tuple[str, Path]]:
        """Yield each folder with the name of its setting (``inbox``, ``work``, …)."""
        for each in fields(self):
            yield each.name, getattr(self, each.name)

    # --- inbox -------------------------------------------------------------------------------------------------

    def dropped(self, claim: Claim) -> Path:
        """Return where a claimed file lay in the inbox."""
        return self.inbox / claim.name

    # --- work --------------------------------------------------------------------------------------------------

    def place(self, claim_id: str) -> Path:
        """Return the folder in work that holds a claimed file and nothing else."""
        return self.work / claim_id

    def held(self, claim: Claim) -> Path:
        """Return where a claimed file lies until its end."""
        return self.place(claim.id) / claim.name

    # --- outboxes and archive ----------------------------------------------------------------------------------

    def success_file(self, claim: Claim) -> Path:
        """Return the place of a claim's success file."""
        return self.success / claim.published_name

    def fail_file(self, claim: Claim) -> Path:
        """Return the place of a claim's fail file, or of the file itself if it was refused."""
        return self.fail / claim.published_name

    def note(self, claim: Claim) -> Path:
        """Return the place of the note beside a refused file."""
        return self.fail / claim.note_name

    def page(self, claim: Claim, *, rejected: bool) -> Path:
        """Return the place of the page beside a claim's fail file, or beside its success file."""
        return (self.fail if rejected else self.success) / claim.page_name

    def changed(self, claim: Claim, digest: str) -> Path:
        """Return where an original is kept whose writer went on writing; each content has a name of its own."""
        stem, dot, suffix = claim.published_name.rpartition(".")
        mark = f"changed-{digest[:8]}"
        return self.fail / (f"{stem}.{mark}.{suffix}" if dot else f"{claim.published_name}.{mark}")

    def archive_day(self, claim: Claim) -> Path:
        """Return the archive's folder of the day of the claim (UTC)."""
        return self.archive / f"{claim.claimed_at:%Y/%m/%d}"

    def archived(self, claim: Claim) -> Path:
        """Return the place of a claim's original in the archive."""
        return self.archive_day(claim) / claim.published_name

    def archived_receipt(self, claim: Claim) -> Path:
        """Return the place of a claim's receipt in the archive."""
        return self.archive_day(claim) / claim.receipt_name
