"""A company's folders: whose they are, and who may do what in them. install.sh runs this as root.

    folders.py make FOLDER USER GROUP   Make a new company's folders in FOLDER, and print where that is.
    folders.py mend CONFIG USER GROUP   Mend the folders that version 0.1.0 made. All other folders stay as they are.
    folders.py unit CONFIG              Print what systemd must know about the folders.

USER is the service's user, GROUP the group of the people who drop files. They create files in the inbox, each cannot
touch those of the others, and they read the outboxes and the archive. They cannot exchange a folder for another one.

People may be able to write to these folders while this runs. So it opens folders once and works on what it has open,
and follows no link that somebody else than root can have made.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# Setgid gives every file the group, whoever drops it. Sticky keeps all but its owner from removing it (chmod(1)).
INBOX, OUTBOX, WORK, ABOVE = 0o3770, 0o2750, 0o700, 0o750
RESULT, PRIVATE = 0o640, 0o600
MODES = {"inbox": INBOX, "success": OUTBOX, "fail": OUTBOX, "archive": OUTBOX, ".work": WORK}
# The service's own files in the inbox. Whoever can open a lock file can hold the lock.
OWN_FILES = (".payment-watcher", ".payment-watcher.lock")
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Unsafe(Exception):
    """Something stands in the way that a person should look at. The text says what to do."""


class Owners:
    """The service's user with its group, and the group of the people.

    Attributes:
        stubborn: the folders that could not be given to them.
    """

    def __init__(self, user: str, group: str) -> None:
        self.user, self.group = user, group
        entry = pwd.getpwnam(user)
        self.service, self.service_group = entry.pw_uid, entry.pw_gid
        self.people = grp.getgrnam(group).gr_gid
        self.stubborn: list[Path] = []

    def give(self, opened: int, path: Path, mode: int) -> None:
        """Give an open folder to the service, and to the people what its mode leaves them."""
        group = self.service_group if mode == WORK else self.people
        with suppress(PermissionError):
            os.fchown(opened, self.service, group)
            os.fchmod(opened, mode)
        facts = os.fstat(opened)
        if (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode)) != (self.service, group, mode):
            self.stubborn.append(path)

    def made_by_first_version(self, opened: int) -> bool:
        """Return True if a folder is as version 0.1.0 made it: its group is the service's own."""
        facts = os.fstat(opened)
        return (facts.st_uid, facts.st_gid) == (self.service, self.service_group)

    def report(self) -> None:
        """Say where owners and modes could not be set."""
        if self.stubborn:
            say(
                f"The file system stores no owners or modes: {', '.join(map(str, self.stubborn))}.",
                f"Mount it with uid={self.user},gid={self.group},dir_mode=0750,file_mode=0640.",
            )


def say(*lines: str) -> None:
    """Print something that a person should know."""
    print(*lines, sep="\n", file=sys.stderr)


# --- opening -------------------------------------------------------------------------------------------------------


def enter(path: Path, *, make: bool = False) -> int:
    """Open a folder step by step from / on, and follow only links that nobody but root can have made.

    Args:
        path: the folder.
        make: make what is missing.

    Raises:
        FileNotFoundError: it is missing.
    """
    opened = os.open("/", FOLDER)
    for number, name in enumerate(path.parts[1:], 2):
        inside = open_in(opened, name, Path(*path.parts[:number]), make=make)
        os.close(opened)
        opened = inside
    return opened


def open_in(folder: int, name: str, path: Path, *, make: bool = False) -> int:
    """Open a folder in an open folder, as in `enter`."""
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=folder)
    try:
        return os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
    facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISLNK(facts.st_mode):
        raise Unsafe(f"{path} is not a folder. Move it away and try again.")
    if name in MODES or facts.st_uid != 0 or others_write(os.fstat(folder)):
        raise Unsafe(f"{path} is a link. Nothing is done where it leads to: remove it and try again.")
    return os.open(name, FOLDER, dir_fd=folder)


def others_write(facts: os.stat_result) -> bool:
    """Return True if others than root can exchange what is in a folder."""
    return facts.st_uid != 0 or bool(facts.st_mode & OTHERS_WRITE and not facts.st_mode & stat.S_ISVTX)


def warn_of_others(folders: Iterable[Path], owners: Owners) -> None:
    """Say in which folders above these others than root and the service could exchange what is in them."""
    for place in sorted({above for folder in folders for above in folder.parents}):
        with suppress(OSError):
            facts = place.stat()
            if others_write(facts) and (facts.st_uid != owners.service or facts.st_mode & OTHERS_WRITE):
                say(
                    f"Others than root can write to {place}, and so exchange the company's folders for some of theirs.",
                    f"Take that right from them, or choose another place: ls -ld {place}",
                )


# --- a new company -------------------------------------------------------------------------------------------------


def make(folder: Path, owners: Owners) -> None:
    """Make a new company's folders, or take those that are there, and print where they are."""
    opened = enter(folder, make=True)
    for name in MODES:
        # Before anything is changed.
        with suppress(FileNotFoundError):
            check_usable(open_in(opened, name, folder / name), folder / name, owners)
    owners.give(opened, folder, ABOVE)
    # From here on nobody else can exchange what is in it.
    for name, mode in MODES.items():
        inside = open_in(opened, name, folder / name, make=True)
        check_usable(inside, folder / name, owners)
        owners.give(inside, folder / name, mode)
    place = Path(os.readlink(f"/proc/self/fd/{opened}"))
    owners.report()
    warn_of_others([place / "inbox"], owners)
    print(place)


def check_usable(opened: int, path: Path, owners: Owners) -> None:
    """Make sure that a folder is not one of somebody else's that was moved here."""
    owner = os.fstat(opened).st_uid
    if owner != owners.service and os.listdir(opened):
        raise Unsafe(
            f"{path} is there already, is not empty, and belongs to user {owner}.\n"
            f"If it is meant for the company: chown {owners.user} '{path}', and try again. Otherwise move it away."
        )


# --- version 0.1.0 -------------------------------------------------------------------------------------------------


def mend(config: Path, owners: Owners) -> None:
    """Take from people what version 0.1.0 let them do: exchange folders, change results, remove the marker."""
    folders = folders_of(config)
    left = []
    for above in dict.fromkeys(folder.parent for folder in folders.values()):
        with suppress(FileNotFoundError):
            opened = enter(above)
            if owners.made_by_first_version(opened):
                owners.give(opened, above, ABOVE)
    for key, folder in folders.items():
        try:
            mend_folder(key, folder, owners)
        except FileNotFoundError:
            left.append(f"{folder} is not there. Run this again once it is.")
        except Unsafe as unsafe:
            left.append(str(unsafe))
    owners.report()
    warn_of_others(folders.values(), owners)
    if left:
        raise Unsafe("\n".join(left))


def mend_folder(key: str, folder: Path, owners: Owners) -> None:
    """Mend one of the five, if version 0.1.0 made it."""
    opened = enter(folder)
    if key == "work" or not owners.made_by_first_version(opened):
        return
    if key == "inbox":
        for name in OWN_FILES:
            mend_file(opened, name, owners, mode=PRIVATE)
        owners.give(opened, folder, INBOX)
        return
    with suppress(PermissionError):
        # Until all in it is mended. If this is interrupted, the next run goes on.
        os.fchmod(opened, WORK)
    mend_results(opened, owners, originals=key == "archive")
    owners.give(opened, folder, OUTBOX)


def mend_results(folder: int, owners: Owners, *, originals: bool) -> None:
    """Let people read what is in an outbox or in the archive, and no more.

    Args:
        folder: open.
        owners: who gets it.
        originals: what is in it belongs to whoever dropped it, and is to be the service's.
    """
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            opened = os.open(entry.name, FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            if owners.made_by_first_version(opened):
                mend_results(opened, owners, originals=originals)
                owners.give(opened, Path(entry.name), OUTBOX)
            os.close(opened)
        elif entry.is_file(follow_symlinks=False):
            mend_file(folder, entry.name, owners, originals=originals)


def mend_file(folder: int, name: str, owners: Owners, *, originals: bool = False, mode: int = RESULT) -> None:
    """Let people read a file that belongs to the service's group, and no more; or not even that."""
    try:
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        # A link, or gone by now.
        return
    facts = os.fstat(opened)
    # A second name of a file, such as of the configuration, is not made readable here.
    ours = facts.st_gid == owners.service_group and facts.st_nlink == 1 and facts.st_uid != 0
    if ours and stat.S_ISREG(facts.st_mode):
        with suppress(PermissionError):
            os.fchown(opened, owners.service if originals else -1, owners.people)
            os.fchmod(opened, mode)
    os.close(opened)


# --- the configuration ---------------------------------------------------------------------------------------------


def folders_of(config: Path) -> dict[str, Path]:
    """Return the folders that a configuration names, by the names of their settings."""
    with config.open("rb") as file:
        given = {key: path for key, path in tomllib.load(file)["folders"].items() if path}
    beside = Path(given["inbox"]).parent
    named = {"work": beside / ".work", "archive": beside / "archive"} | given
    return {key: Path(os.path.abspath(config.parent / path)) for key, path in named.items()}


def print_unit(config: Path) -> None:
    """Print the part of the unit that names the folders."""
    folders = folders_of(config)
    # systemd makes a mount of each path here, and no file can be renamed from one mount to another. So inbox and work
    # are in one path.
    together = Path(os.path.commonpath([folders["inbox"], folders["work"]]))
    apart = [folder for folder in folders.values() if together not in folder.parents]
    mounts = dict.fromkeys(place for folder in [together, *apart] for place in mounts_above(folder))
    print("# Made by systemd/install.sh from the [folders] of", config)
    if mounts:
        names = " ".join(mount_unit(place) for place in mounts)
        print("[Unit]")
        print("# The folders are on a share. If it comes late or not at all, the service starts, waits for it and says so.")
        print("Wants=" + names)
        print("After=" + names)
    print("[Service]")
    # What is mounted later on the very folder that is named here would not be seen. It is seen inside of such a folder.
    open_for_writing = dict.fromkeys(place.parent if place in mounts else place for place in [together, *apart])
    print("ReadWritePaths=" + " ".join(f'"-{folder}"' for folder in open_for_writing))


def mounts_above(folder: Path) -> list[Path]:
    """Return the places, from a folder up, on which systemd mounts something, now or later (systemd.mount(5))."""
    return [place for place in [folder, *folder.parents][:-1] if is_loaded(mount_unit(place))]


def mount_unit(place: Path) -> str:
    """Return the name of the unit that mounts something on a place."""
    return asked("systemd-escape", "--path", "--suffix=mount", str(place))


def is_loaded(unit: str) -> bool:
    """Return True if systemd knows a unit."""
    return asked("systemctl", "show", "--property=LoadState", "--value", "--", unit) == "loaded"


def asked(*command: str) -> str:
    """Return what a command of systemd's prints; nothing where no systemd answers."""
    try:
        return subprocess.run(command, capture_output=True, encoding="utf-8").stdout.strip()
    except FileNotFoundError:
        return ""


try:
    match sys.argv[1:]:
        case ["make", place, user, group]:
            make(Path(place), Owners(user, group))
        case ["mend", place, user, group]:
            mend(Path(place), Owners(user, group))
        case ["unit", place]:
            print_unit(Path(place))
        case _:
            sys.exit(__doc__)
except (Unsafe, OSError, KeyError, tomllib.TOMLDecodeError) as error:
    sys.exit(f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error))
