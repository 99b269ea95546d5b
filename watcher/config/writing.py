"""Every TOML that the program writes. Import it only to write: tomlkit takes its time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tomlkit

from watcher.config.presets import Preset
from watcher.config.settings import SECTIONS, all_sections

_FOLDERS = SECTIONS["folders"].model_fields


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


def template(folder: Path, preset: Preset | None = None) -> str:
    """Return the commented configuration file for a set of folders.

    Args:
        folder: the folder that holds them.
        preset: the settings for an accounting system's exports; None without one.

    Returns:
        TOML with every key. A required key has an example as its value, and a key of the preset the preset's; every
        other key is commented out with its default. Of a section that may be missing, everything is commented out.
    """
    document = tomlkit.document()
    document.add(
        tomlkit.comment("payment-watcher's settings. Keys that are commented out show their defaults or an example.")
    )
    chosen = {section: dict(values) for section, values in preset.sections.items()} if preset else {}
    chosen["folders"] = {key: folder / Path((field.examples or [key])[0]).name for key, field in _FOLDERS.items()}
    if preset and preset.needs_each:
        chosen["payments"] = preset.payments
    for section, model in all_sections().items():
        document.add(tomlkit.nl())
        document.add(tomlkit.comment(" ".join((model.__doc__ or "").split())))
        if preset and section == ("csv" if preset.is_table else "transform"):
            for sentence in _about(preset):
                document.add(tomlkit.comment(sentence))
        given = chosen.get(section, {})
        if section == "csv" and not given:
            # The section itself would ask for its columns.
            document.add(tomlkit.comment("[csv]"))
            for key, field in model.model_fields.items():
                document.add(tomlkit.comment(field.description or ""))
                document.add(tomlkit.comment(line(key, field.examples[0] if field.examples else field.default)))
            continue
        table = tomlkit.table()
        for key, field in model.model_fields.items():
            value = given.get(key, field.examples[0] if field.examples else field.default)
            table.add(tomlkit.comment(field.description or ""))
            if field.is_required() or key in given:
                table.add(key, _plain(value))
            else:
                table.add(tomlkit.comment(line(key, value)))
        document.add(section, table)
    return tomlkit.dumps(document)


def _about(preset: Preset) -> list[str]:
    """Return what a person should know of a preset, in lines."""
    lines = [f"{preset.title}."]
    for title, sentences in (
        ("What to export:", preset.export),
        ("What is left out on purpose:", preset.leaves_out),
        ("What a person has to do:", preset.by_hand),
        (
            "What could not be checked against a real export, so look at it with payment-watcher try FILE:",
            preset.unchecked,
        ),
    ):
        lines += [title, *(f"  - {sentence}" for sentence in sentences)]
    return lines


def _plain(value: object) -> object:
    """Return a value as tomlkit writes it well: tables of values stand in one line."""
    if isinstance(value, dict):
        table = tomlkit.inline_table()
        for key, each in value.items():
            table.add(str(key), _plain(each))
        return table
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value
