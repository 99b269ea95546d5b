"""Which of the five folders cannot be trusted: links, and folders that people can write to who should not.

People drop files into the inbox and take results out of the outboxes. They need no right to the folder above the five,
nor to work. Whoever has that right can put another folder in the place of one of ours.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from watcher.disk.writers import exchangeable, group_can_write, is_ours, others_can_write, owned_by_another
from watcher.folders.layout import Folders

_ON_A_MOUNT = "on a share, mount it with dir_mode=0750"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a folder is not used.

    Attributes:
        name: the folder's name in the settings (``inbox``, ``work``, …).
        folder: the folder.
        problem: what is wrong, in words.
        mend: what to do about it.
    """

    name: str
    folder: Path
    problem: str
    mend: str


def refusals(folders: Folders) -> Iterator[Refusal]:
    """Find the folders that cannot be trusted. One that is not there is passed over."""
    above = set()
    for name, folder in folders.named():
        try:
            found = refusal(name, folder)
        except OSError:
            # Whatever else is wrong with it, its first use says.
            continue
        if found is not None and found.problem not in above:
            # One folder above several of them is named once.
            above.add(found.problem)
            yield found


def refusal(name: str, folder: Path) -> Refusal | None:
    """Return why a folder is not used; None if it is.

    Args:
        name: its name in the settings.
        folder: the folder.

    Raises:
        OSError: it cannot be looked at.
    """
    facts = folder.lstat()
    if stat.S_ISLNK(facts.st_mode):
        mend = f"Name the folder that it leads to in folders.{name}"
        return Refusal(name, folder, f"{folder} is a link, which somebody can lead elsewhere", mend)
    if name == "work" and not is_ours(folder, facts):
        mend = f"Give it to the service's user: chown USER {folder}"
        return Refusal(name, folder, f"{folder} belongs to another user, who can change what is in it", mend)
    # Who may drop files is for the operator to say; so whoever can write to the inbox is meant to.
    if name != "inbox" and others_can_write(facts):
        mend = f"Take that right away: chmod o-w {folder}; {_ON_A_MOUNT}"
        return Refusal(name, folder, f"every user of this machine can write to {folder}", mend)
    if name == "work" and group_can_write(folder, facts):
        mend = f"Take that right away: chmod g-w {folder}; {_ON_A_MOUNT}"
        return Refusal(name, folder, f"the group of {folder} can write to it, and only the service may", mend)
    if above := exchangeable(folder):
        return Refusal(
            name,
            folder,
            f"people can write to {above}, so they can put other folders in the place of those in it",
            f"Take that right away: chmod go-w {above}; people need inbox, success, fail and archive alone; "
            f"{_ON_A_MOUNT}",
        )
    if above := owned_by_another(folder):
        return Refusal(
            name,
            folder,
            f"{above} belongs to another user, who can put other folders in the place of those in it",
            f"Give it to root or to the service's user: chown root {above}; or run payment-watcher as its owner",
        )
    return None
