"""The configuration: found, read from TOML, systemd credentials and the environment, and checked all at once."""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, NestedSecretsSettingsSource, PydanticBaseSettingsSource, SettingsError

from watcher.config.settings import SECTIONS, FoldersSection, Settings
from watcher.errors import ConfigurationError, Fault

PLACES = (Path("payment-watcher.toml"), Path("/etc/payment-watcher/payment-watcher.toml"))

_KEYS = ("client_id", "public_key", "private_key")


def find(given: Path | None) -> Path | None:
    """Say which configuration file counts: the one given, ``$PAYMENT_WATCHER_CONFIG``, or the first of ``PLACES``."""
    if given is not None:
        return given
    named = os.environ.get("PAYMENT_WATCHER_CONFIG")
    if named:
        return Path(named)
    return next((place for place in PLACES if place.is_file()), None)


def load(path: Path | None, *, folders: bool, account: bool = True) -> Settings:
    """Read and check the settings.

    Args:
        path: the TOML file, or None for the environment and credentials alone.
        folders: whether ``[folders]`` is needed.
        account: whether the keys are needed; a credential is given to the service alone, and not to an administrator
            who asks how things are.

    Returns:
        The settings, with relative folders and a relative stylesheet taken from the file's own folder.

    Raises:
        ConfigurationError: with every fault found.
    """
    content = _read_toml(path) if path else {}
    _resolve(content, path.resolve().parent if path else Path.cwd())
    if not account and isinstance(content.setdefault("connectwise", {}), dict):
        content["connectwise"] = dict.fromkeys(_KEYS, "not needed") | content["connectwise"]
    faults: list[Fault] = []
    settings = None
    try:
        settings = _sources(content)
    except ValidationError as error:
        faults.extend(_fault(dict(detail)) for detail in error.errors(include_url=False))
    except SettingsError as error:
        # pydantic-settings names the field in its message alone; the sections are the only fields that hold more.
        section = next((name for name in SECTIONS if f'"{name}"' in str(error)), "environment")
        mend = f"It is a section: name a key of it, such as PAYMENT_WATCHER_{section.upper()}__KEY."
        faults.append(Fault(section, "cannot be set as a whole in the environment", mend))
    if folders and "folders" not in content and (settings is None or settings.folders is None):
        faults.append(Fault("folders", "is missing", "Name the folders inbox, success and fail in [folders]."))
    named = settings.folders.model_dump() if settings is not None and settings.folders else content.get("folders")
    if isinstance(named, dict):
        faults.extend(_folder_faults(named))
    if faults or settings is None:
        if path is None:
            looked = ", ".join(str(place) for place in PLACES)
            faults.insert(
                0,
                Fault(
                    "configuration",
                    f"no file was given, and there is none at {looked}",
                    "Write one with payment-watcher init DIR, or name one with --config.",
                ),
            )
        raise ConfigurationError(tuple(faults))
    return settings


def _resolve(content: dict[str, Any], base: Path) -> None:
    """Take relative paths from the file's own folder."""
    for section, keys in (("folders", list(FoldersSection.model_fields)), ("inbox", ["transform"])):
        given = content.get(section)
        if not isinstance(given, dict):
            continue
        for key in keys:
            if isinstance(given.get(key), str) and given[key]:
                given[key] = str(base / Path(given[key]).expanduser())


def template(folder: Path) -> str:
    """Write the commented configuration file for a set of folders.

    Args:
        folder: where the folders lie.

    Returns:
        TOML in which required keys stand with an example and all others are commented out with their defaults.
    """
    lines = ["# payment-watcher's settings. Keys that are commented out show their defaults or an example."]
    for section, model in SECTIONS.items():
        lines += ["", f"# {' '.join((model.__doc__ or '').split())}", f"[{section}]"]
        for key, field in model.model_fields.items():
            value = field.examples[0] if field.examples else field.default
            if section == "folders":
                value = str(folder / Path(value).name)
            optional = not field.is_required() and section != "folders"
            lines += [f"# {field.description}", f"{'# ' if optional else ''}{key} = {_toml(value)}"]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


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


def _sources(content: dict[str, Any]) -> Settings:
    """Put the sources together: the environment before systemd credentials before the file."""

    class _Sourced(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],  # noqa: ARG003  (pydantic-settings fixes the signature)
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (as above)
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            credentials = NestedSecretsSettingsSource(
                file_secret_settings,
                secrets_dir=os.environ.get("CREDENTIALS_DIRECTORY"),
                secrets_dir_missing="ok",
                secrets_prefix="",
                secrets_nested_delimiter=".",
            )
            return (env_settings, credentials, init_settings)

    return _Sourced(**content)


def _fault(detail: dict[str, Any]) -> Fault:
    """Say one of pydantic's findings with its key and what to do."""
    location = [str(part) for part in detail["loc"]]
    key = ".".join(location)
    section = SECTIONS.get(location[0])
    name = location[1] if len(location) > 1 else ""
    if detail["type"] == "extra_forbidden":
        known = list(section.model_fields) if section and name else list(SECTIONS)
        close = difflib.get_close_matches(location[-1], known, 1)
        return Fault(
            key,
            "is not a setting",
            f"Did you mean {close[0]}?" if close else f"Known are {', '.join(known)}.",
        )
    field = section.model_fields.get(name) if section else None
    example = f" For example: {name} = {_toml(field.examples[0])}" if field and field.examples else ""
    mend = f"{field.description if field else 'Give this section.'}{example}"
    if detail["type"] == "missing":
        return Fault(key, "is missing", mend)
    problem = str(detail["msg"]).removeprefix("Value error, ")
    return Fault(key, problem[:1].lower() + problem[1:], mend)


def _folder_faults(given: dict[str, Any]) -> list[Fault]:
    """Find folders that are the same one by their paths; a share that does not answer is not touched here."""
    named: dict[Path, str] = {}
    faults = []
    for key in FoldersSection.model_fields:
        if not isinstance(given.get(key), str | Path) or not str(given[key]):
            continue
        folder = Path(given[key])
        other = named.setdefault(Path(os.path.abspath(folder)), key)  # noqa: PTH100  (Path has no such normalization)
        if other != key:
            faults.append(
                Fault(f"folders.{key}", f"is the same folder as {other}: {folder}", "Give each a folder of its own.")
            )
    return faults
