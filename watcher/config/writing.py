"""Every TOML that the program writes. Import it only to write: tomlkit takes its time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tomlkit

from watcher.config.settings import SECTIONS


def toml(settings: Mapping[str, Mapping[str, object]]) -> str:
    """Return TOML for some settings: values by key by section."""
    document = tomlkit.document()
    for section, values in settings.items():
        table = tomlkit.table()
        for key, value in values.items():
            table.add(key, _plain(value))
        document.add(section, table)
    return tomlkit.dumps(document)


def line(key: str, value: object) -> str:
    """Return the line that sets a key."""
    return tomlkit.dumps({key: _plain(value)}).rstrip("\n")


def template(folder: Path) -> str:
    """Return the commented configuration file for a set of folders.

    Args:
        folder: the folder that holds them.

    Returns:
        TOML with every key. A required key has an example as its value; every other key is commented out with its
        default.
    """
    document = tomlkit.document()
    document.add(
        tomlkit.comment("payment-watcher's settings. Keys that are commented out show their defaults or an example.")
    )
    for section, model in SECTIONS.items():
        document.add(tomlkit.nl())
        document.add(tomlkit.comment(" ".join((model.__doc__ or "").split())))
        table = tomlkit.table()
        for key, field in model.model_fields.items():
            value = field.examples[0] if field.examples else field.default
            if section == "folders":
                value = folder / Path(value).name
            table.add(tomlkit.comment(field.description or ""))
            if field.is_required() or section == "folders":
                table.add(key, _plain(value))
            else:
                table.add(tomlkit.comment(line(key, value)))
        document.add(section, table)
    return tomlkit.dumps(document)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
