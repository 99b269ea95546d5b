"""As whom a command works: root's commands do their work on a company's folders as the company's user.

People can write to a company's inbox. A link that they make there must not lead root to a file of root's, and what root
makes must be readable for the service. So root reads the configuration, and then becomes the company's user before it
touches a folder or the journal. The process cannot become root again.
"""

from __future__ import annotations

import os
import pwd
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import typer

from watcher.config import load as config
from watcher.config.settings import JournalSection, Settings
from watcher.disk.hanging import within
from watcher.errors import ConfigurationError, Fault, FolderTrouble

# What a person of the company's group may do with what a command makes: read it.
_UMASK = 0o027
# How long a folder may take to answer (seconds).
_ANSWER_SECONDS = 5.0


def configuration(config_file: Path | None) -> Path | None:
    """Return the configuration file that counts.

    Root is told on standard error if that is a file of the working directory, or why such a file does not count.

    Args:
        config_file: the file that was named; None if none was.
    """
    found, here = config.find(config_file), config.PLACES[0]
    if os.geteuid() == 0 and config_file is None:
        place = ascii(str(Path.cwd() / here))[1:-1]
        if found == here:
            typer.echo(f"The configuration is {place}.", err=True)
        elif found in (None, *config.PLACES) and (reason := config.distrust(here)):
            typer.echo(f"{place} is not used: {reason}. Name it with --config if you mean it.", err=True)
    return found


def settings_of(config_file: Path | None, *, account: bool = True) -> Settings:
    """Read the settings of a company, with its folders, and work as its user from now on.

    Args:
        config_file: the file that was named; None if none was.
        account: True if the keys are needed.

    Raises:
        ConfigurationError: the settings cannot be used, or root cannot become the company's user.
        FolderTrouble: the inbox does not answer.
    """
    return work_as_company(config.load(configuration(config_file), folders=True, account=account))


def work_as_company(settings: Settings) -> Settings:
    """Become the company's user if this is root's command.

    That user is the owner of the journal's folder. If that is root's or is not there yet, it is the owner of the
    journal, and without a journal the owner of the inbox. If the journal is root's, too, the daemon runs as root.

    Args:
        settings: with folders.

    Returns:
        The settings as they are for this user, who has another default for the journal.

    Raises:
        ConfigurationError: root cannot become this user.
        FolderTrouble: the inbox does not answer.
    """
    journal, folders = settings.journal.path, settings.folders
    became = work_as_owner(journal.parent)
    if not became and os.path.lexists(journal):
        became = work_as_owner(journal)
    elif not became and folders is not None:
        became = work_as_owner(folders.inbox)
    if became and "url" not in settings.journal.model_fields_set:
        return settings.model_copy(update={"journal": JournalSection()})
    return settings


def work_as_owner(place: Path) -> bool:
    """Become the owner of a folder or file if this is root and the owner is somebody else.

    Args:
        place: the folder or file. Nothing happens if it is not there.

    Returns:
        True if root became somebody else.

    Raises:
        ConfigurationError: root cannot become this user.
        FolderTrouble: the place does not answer.
    """
    if os.geteuid() != 0:
        return False
    try:
        facts = within(_ANSWER_SECONDS, lambda: _facts(place))
    except OSError:
        return False
    except TimeoutError:
        raise FolderTrouble(f"{place} does not answer", "Check the share and its server") from None
    if facts.st_uid == 0:
        return False
    _become(facts.st_uid, facts.st_gid, place)
    return True


def _facts(place: Path) -> os.stat_result:
    """Return who owns a place. Where a link leads counts as its maker's, unless the maker is root."""
    for step in (*reversed(place.parents), place):
        facts = step.lstat()
        if stat.S_ISLNK(facts.st_mode) and facts.st_uid != 0:
            return facts
    return place.stat()


def _become(user: int, group: int, place: Path) -> None:
    """Become a user for good, with all groups of that user.

    Args:
        user: the user's id.
        group: the group that a user without a name has.
        place: what belongs to this user.

    Raises:
        ConfigurationError: this process cannot become this user.
    """
    try:
        entry = pwd.getpwuid(user)
    except KeyError:
        name, groups, home = str(user), [group], "/"
    else:
        name, group, home = entry.pw_name, entry.pw_gid, entry.pw_dir
        groups = os.getgrouplist(name, group)
    try:
        os.setgroups(groups)
        os.setresgid(group, group, group)
        # Root can come back, in case this user cannot read the program.
        os.setresuid(user, user, 0)
        if not _can_read_program():
            os.setresuid(0, 0, 0)
            ways = _keep_program_open()
            os.setresuid(user, user, 0)
            if not _can_read_program(ways):
                os.setresuid(0, 0, 0)
                problem = f"{name}, who owns {place}, cannot read this program in {Path(__file__).parents[1]}"
                raise ConfigurationError((Fault("user", problem, "Install it with systemd/install.sh."),))
        os.setresuid(user, user, user)
    except OSError as error:
        problem = f"root cannot become {name}, who owns {place}: {os.strerror(error.errno or 0)}"
        raise ConfigurationError((Fault("user", problem, f"Run the command as {name}."),)) from error
    os.umask(_UMASK)
    os.environ["HOME"] = home
    os.environ.pop("XDG_STATE_HOME", None)


def _can_read_program(ways: Mapping[str, str] | None = None) -> bool:
    """Return True if this user can load what is not loaded yet.

    Args:
        ways: the open folders by which it is loaded, if there are any.
    """
    files = (str(part.__file__) for part in (os, typer, config))
    return all(os.access(_by_way_of(ways or {}, file), os.R_OK) for file in files)


def _keep_program_open() -> dict[str, str]:
    """Let modules be loaded by way of open folders from now on.

    A clone or a Python in root's home is closed to every other user, and most of a program is loaded when it is needed.
    An open folder can be used whoever may enter the folders above it (proc(5), /proc/self/fd).

    Returns:
        The way to each folder of ``sys.path``.
    """
    ways = {
        place: f"/proc/self/fd/{os.open(place, os.O_RDONLY | os.O_DIRECTORY)}"
        for place in sorted(sys.path, key=len, reverse=True)
        if place and Path(place).is_dir()
    }
    for module in list(sys.modules.values()):
        if paths := getattr(module, "__path__", None):
            module.__path__ = [_by_way_of(ways, path) for path in paths]
    sys.path[:] = [ways.get(place, place) for place in sys.path]
    sys.path_importer_cache.clear()
    return ways


def _by_way_of(ways: Mapping[str, str], path: str) -> str:
    place = next((place for place in ways if path.startswith(f"{place}/")), "")
    return ways[place] + path.removeprefix(place) if place else path
