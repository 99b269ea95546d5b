"""Who can write to a folder, by the rights that its file system shows.

A person who can write to a folder can put another folder, or a link, in the place of anything in it. So what is asked
about a folder is asked about every folder above it, too (path_resolution(7)).
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from watcher.disk.opened import aside_name, opened

_ACL = "system.posix_acl_access"


def group_can_write(folder: Path, facts: os.stat_result) -> bool:
    """Return True if people of a folder's group, or people whom an access list names, can write to it.

    A group that nobody but this user is in does not count, as many systems give each user one. Nor does that of root.
    """
    if not facts.st_mode & stat.S_IWGRP:
        return False
    with suppress(OSError):
        if _ACL in os.listxattr(folder):
            # The mode shows only the most that the list gives to anybody.
            return True
    return not _is_private(facts.st_gid)


def others_can_write(facts: os.stat_result) -> bool:
    """Return True if every user of the system can write to a folder."""
    return bool(facts.st_mode & stat.S_IWOTH)


def exchangeable(folder: Path) -> Path | None:
    """Return a folder in which people can exchange the given one, or a folder above it; None if there is none.

    A sticky folder, such as /tmp, lets nobody exchange what belongs to another user.

    Raises:
        OSError: a folder above it cannot be looked at.
    """
    # Links further up may lead elsewhere; what counts is where the folder really lies.
    for above in (folder.parent.resolve() / folder.name).parents:
        facts = above.stat()
        if not facts.st_mode & stat.S_ISVTX and (group_can_write(above, facts) or others_can_write(facts)):
            return above
    return None


def owned_by_another(folder: Path) -> Path | None:
    """Return a folder above the given one that belongs to another user than this one or root; None if there is none.

    Its owner can exchange what is in it, also if it is sticky (rename(2)).

    Raises:
        OSError: a folder above it cannot be looked at, or no file can be made in the given one.
    """
    for above in (folder.parent.resolve() / folder.name).parents:
        facts = above.stat()
        if facts.st_uid in (os.geteuid(), 0):
            continue
        # A share's owner says something about what lies on the share, and nothing about where it is mounted.
        if facts.st_dev != folder.stat().st_dev or not is_ours(folder, facts):
            return above
    return None


def is_ours(folder: Path, facts: os.stat_result) -> bool:
    """Return True if a folder, or one above it on the same file system, belongs to this user or to root.

    Some shares know users of their own. There it counts as ours if a file that is made in the folder has the same
    owner.

    Args:
        folder: where a file can be made.
        facts: of the folder, or of the one above it.

    Raises:
        OSError: no such file can be made in it.
    """
    if facts.st_uid in (os.geteuid(), 0):
        return True
    name = aside_name()
    with opened(folder) as there:
        made = there.create(name, 0o600)
        try:
            # By descriptor: people who can write to the folder could put a file of theirs under the name.
            return os.fstat(made).st_uid == facts.st_uid
        finally:
            os.close(made)
            there.unlink(name)


def _is_private(group: int) -> bool:
    """Return True if nobody else is in a group."""
    # Late, since few folders are writable for a group.
    import grp
    import pwd

    if group == 0:
        name = "root"
    elif group == os.getegid():
        try:
            name = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            # A user without a name, as in containers.
            name = ""
    else:
        return False
    try:
        known = grp.getgrgid(group)
    except KeyError:
        return True
    return known.gr_name == name and set(known.gr_mem) <= {name, "root"}
