"""The configuration: found, read from TOML, systemd credentials and the environment, and checked all at once."""

from __future__ import annotations

import difflib
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsError

from watcher.config.section import Section
from watcher.config.settings import SECTIONS, TABLES, FoldersSection, NotifySection, Settings
from watcher.documents import sheets
from watcher.errors import ConfigurationError, Fault

PLACES = (Path("payment-watcher.toml"), Path("/etc/payment-watcher/payment-watcher.toml"))
# Each file here is the configuration of a company, which has its name.
COMPANIES = Path("/etc/payment-watcher")

_KEYS = ("client_id", "public_key", "private_key")


def find(given: Path | None) -> Path | None:
    """Return the configuration file that counts.

    It is the one given, ``$PAYMENT_WATCHER_CONFIG``, one of ``PLACES``, or that of the only company of this machine.
    For root, a file of the working directory counts only if nobody else can have put it there.

    Args:
        given: a file, or a company's name; None if nothing was given. A bare word is a company if there is one. For
            root, it is never a file that somebody else can have put into the working directory.
    """
    if given is not None:
        company = COMPANIES / f"{given}.toml"
        bare = given.name == str(given) and not given.suffix
        return company if bare and (_is_file(company) or distrust(given)) else given
    named = os.environ.get("PAYMENT_WATCHER_CONFIG")
    if named:
        return Path(named)
    found = next((place for place in PLACES if _is_file(place) and not distrust(place)), None)
    others = companies() if found is None else []
    return COMPANIES / f"{others[0]}.toml" if len(others) == 1 else found


def companies() -> list[str]:
    """Return the names of the companies that have a configuration on this machine; none if nobody may look."""
    try:
        return sorted(file.stem for file in COMPANIES.glob("*.toml"))
    except OSError:
        return []


def _is_file(place: Path) -> bool:
    try:
        return place.is_file()
    except OSError:
        # This user may not look. Reading it says so.
        return False


def distrust(place: Path) -> str | None:
    """Return why root must not use a file of the working directory; None if it may, and for everybody else.

    Args:
        place: a file that nobody named. A whole path is one of the machine's own.
    """
    if os.geteuid() != 0 or place.is_absolute() or not place.is_file():
        return None
    # sudo names the user who calls (sudo(8)).
    caller = os.environ.get("SUDO_UID", "")
    trusted = {0, int(caller)} if caller.isdecimal() else {0}
    folder = place.parent.stat()
    for facts in (folder, place.lstat(), place.stat()):
        if facts.st_uid not in trusted:
            return f"it or its folder belongs to user {facts.st_uid}, and not to root or whoever calls"
    others = stat.S_IWGRP | stat.S_IWOTH
    if place.stat().st_mode & others or (folder.st_mode & others and not folder.st_mode & stat.S_ISVTX):
        return "others may write to it or to its folder"
    return None


def load(path: Path | None, *, folders: bool, account: bool = True) -> Settings:
    """Read and check the settings.

    Args:
        path: the TOML file, or None for the environment and credentials alone.
        folders: True if ``[folders]`` is needed.
        account: True if the keys are needed. systemd gives a credential to the service alone, and not to an
            administrator who asks how things are.

    Returns:
        The settings. Relative folders and a relative stylesheet are taken from the file's own folder.

    Raises:
        ConfigurationError: with every fault found.
    """
    content = _read_toml(path) if path else {}
    _resolve(content, path.resolve().parent if path else Path.cwd())
    if not account and isinstance(content.setdefault("connectwise", {}), dict):
        content["connectwise"] = dict.fromkeys(_KEYS, "not needed") | content["connectwise"]
    settings, faults = _checked(content)
    faults += _csv_faults(settings.csv if settings is not None else content.get("csv"))
    if folders and "folders" not in content and (settings is None or settings.folders is None):
        faults.append(Fault("folders", "is missing", "Name the folders inbox, success and fail in [folders]."))
    named = settings.folders.model_dump() if settings is not None and settings.folders else content.get("folders")
    if isinstance(named, dict):
        faults += _folder_faults(named)
    if settings is not None:
        faults += _table_faults(settings)
        faults += _transform_faults(settings)
    if settings is None or faults:
        raise ConfigurationError((*([] if path else [_no_file()]), *faults))
    return settings


def notify_alone(path: Path | None) -> NotifySection:
    """Read and check ``[notify]`` alone: what else is wrong with the configuration may be what people are told of.

    Args:
        path: the TOML file, or None for the environment alone.

    Raises:
        ConfigurationError: the file cannot be read, or this section cannot be used.
    """
    content = _read_toml(path) if path else {}
    nobody = {"site": "localhost", "company": "nobody"} | dict.fromkeys(_KEYS, "not needed")
    settings, faults = _checked({"connectwise": nobody, "notify": content.get("notify", {})})
    if settings is None:
        raise ConfigurationError(tuple(faults))
    return settings.notify


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        mend = "Write one with payment-watcher init DIR, or name another with --config."
        raise ConfigurationError((Fault(str(path), f"cannot be read: {error.strerror}", mend),)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            (Fault(str(path), f"is not TOML: {error}", 'Texts stand in quotes: company = "acme".'),)
        ) from error


def _resolve(content: dict[str, Any], base: Path) -> None:
    """Take relative paths from the file's own folder. The name of a format is no path."""
    formats = (str(TABLES), *sheets.names())
    for section, keys in (("folders", list(FoldersSection.model_fields)), ("inbox", ["transform"])):
        given = content.get(section)
        if not isinstance(given, dict):
            continue
        for key in keys:
            if isinstance(given.get(key), str) and given[key] and (key != "transform" or given[key] not in formats):
                given[key] = str(base / Path(given[key]).expanduser())


def _checked(content: dict[str, Any]) -> tuple[Settings | None, list[Fault]]:
    """Return the settings from all sources, or every fault of a single value."""
    try:
        return Settings(**content), []
    except ValidationError as error:
        return None, [_fault(dict(detail)) for detail in error.errors(include_url=False)]
    except SettingsError as error:
        # pydantic-settings names the field in its message alone; only sections are fields that hold more.
        section = next((name for name in SECTIONS if f'"{name}"' in str(error)), "environment")
        mend = f"It is a section: name a key of it, such as PAYMENT_WATCHER_{section.upper()}__KEY."
        return None, [Fault(section, "cannot be set as a whole in the environment", mend)]


def _fault(detail: dict[str, Any], section: type[Section] | None = None) -> Fault:
    """Put one of pydantic's findings into words: its key, what is wrong, and what to do."""
    location = [str(part) for part in detail["loc"]]
    key = ".".join(location)
    section = section or SECTIONS.get(location[0])
    name = location[1] if len(location) > 1 else ""
    if detail["type"] == "extra_forbidden":
        known = list(section.model_fields) if section and name else list(Settings.model_fields)
        close = difflib.get_close_matches(location[-1], known, 1)
        mend = f"Did you mean {close[0]}?" if close else f"Known are {', '.join(known)}."
        return Fault(key, "is not a setting", mend)
    mend = _mend(name, section.model_fields.get(name) if section else None)
    if detail["type"] == "missing":
        return Fault(key, "is missing", mend)
    problem = str(detail["msg"]).removeprefix("Value error, ")
    return Fault(key, problem[:1].lower() + problem[1:], mend)


def _mend(name: str, field: FieldInfo | None) -> str:
    if field is None:
        return "Give this section."
    if not field.examples:
        return f"{field.description}"
    # Late, since TOML is written only where something is wrong.
    from watcher.config.writing import line

    return f"{field.description} For example: {line(name, field.examples[0])}"


def _folder_faults(given: dict[str, Any]) -> list[Fault]:
    """Find folders that have the same path. Nothing is looked up on disk: a share may not answer."""
    named: dict[Path, str] = {}
    faults = []
    for key in FoldersSection.model_fields:
        if not isinstance(given.get(key), str | Path) or not str(given[key]):
            continue
        folder = Path(given[key])
        other = named.setdefault(Path(os.path.abspath(folder)), key)  # noqa: PTH100  (Path has no such normalization)
        if other != key:
            problem = f"is the same folder as {other}: {folder}"
            faults.append(Fault(f"folders.{key}", problem, "Give each a folder of its own."))
    return faults


def _csv_faults(given: Any) -> list[Fault]:
    """Find the faults of the section ``[csv]``."""
    if not isinstance(given, dict):
        return []
    # Late, as in config.settings.
    from watcher.config.table import CsvSection

    try:
        CsvSection.model_validate(given)
    except ValidationError as error:
        details = error.errors(include_url=False)
        return [_fault(dict(detail) | {"loc": ("csv", *detail["loc"])}, CsvSection) for detail in details]
    return []


def _table_faults(settings: Settings) -> list[Fault]:
    """Find tables whose columns are not named, and names of columns that nobody asks for."""
    if settings.inbox.takes_tables and settings.csv is None:
        mend = (
            "Name the columns number, amount and date in [csv]; payment-watcher init DIR --format NAME shows examples."
        )
        return [Fault("csv", 'is missing, and inbox.transform = "csv"', mend)]
    if settings.csv is not None and not settings.inbox.takes_tables:
        return [Fault("csv", "is set, but nothing uses it", 'Set transform = "csv" in [inbox], or take [csv] out.')]
    return []


def _transform_faults(settings: Settings) -> list[Fault]:
    """Find what a format cannot be right with. What a stylesheet of one's own takes, is known once it is read."""
    chosen, given = settings.inbox.transform, settings.transform.given
    if given and (chosen is None or settings.inbox.takes_tables):
        mend = "Name a format or a stylesheet in inbox.transform, or take [transform] out."
        return [Fault("transform", "is set, but nothing uses it", mend)]
    if chosen is None or str(chosen) not in sheets.names():
        return []
    known = sheets.parameters(sheets.source(chosen))
    faults = [
        Fault(f"transform.{name}", f"is no parameter of {chosen}", f"It accepts {', '.join(known)}.")
        for name in given
        if name not in known
    ]
    amounts, kind = settings.payments.amounts, sheets.description(str(chosen)).kind
    if kind == "event" and amounts != "each":
        problem = f'is "{amounts}", but each amount of {chosen} is one payment, and an invoice may get several'
        faults.append(Fault("payments.amounts", problem, 'Set amounts = "each" in [payments].'))
    if kind == "state" and amounts != "total":
        problem = f'is "{amounts}", but each amount of {chosen} is all that is paid on the invoice so far'
        faults.append(Fault("payments.amounts", problem, 'Set amounts = "total" in [payments].'))
    return faults


def _no_file() -> Fault:
    if several := companies():
        names = ", ".join(several)
        return Fault("configuration", f"this machine has several companies: {names}", "Name one with --config NAME.")
    return Fault(
        "configuration",
        f"no file was given, and there is none at {', '.join(str(place) for place in PLACES)}",
        "Write one with payment-watcher init DIR, or name one with --config.",
    )
