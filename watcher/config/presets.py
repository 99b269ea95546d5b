"""The ready-made settings for exports of accounting systems: one TOML file each in ``watcher/formats``."""

from __future__ import annotations

import importlib.resources
import tomllib
from dataclasses import dataclass
from typing import Any

from watcher.errors import ConfigurationError, Fault


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings for the exports of one accounting system.

    Attributes:
        name: its name.
        title: the system and the export.
        needs_each: every record is one payment, and not the total paid so far.
        export: what to do in the accounting system, step by step.
        leaves_out: what is left out on purpose.
        unchecked: what could not be checked against a real export.
        sections: the settings, by key by section.
    """

    name: str
    title: str
    needs_each: bool
    export: tuple[str, ...]
    leaves_out: tuple[str, ...]
    unchecked: tuple[str, ...]
    sections: dict[str, dict[str, Any]]


def names() -> list[str]:
    """Return the names of all presets."""
    files = importlib.resources.files("watcher").joinpath("formats").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def preset(name: str) -> Preset:
    """Return a preset by its name.

    Raises:
        ConfigurationError: there is none of this name.
    """
    if name not in names():
        raise ConfigurationError((Fault("--format", f"{name} is not known", f"Known are {', '.join(names())}."),))
    file = importlib.resources.files("watcher").joinpath("formats", f"{name}.toml")
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    sections = {section: dict(values) for section, values in content.items() if isinstance(values, dict)}
    sections["inbox"] = sections.get("inbox", {}) | {"transform": "csv"}
    return Preset(
        name,
        content["title"],
        content["needs_each"],
        tuple(content["export"]),
        tuple(content["leaves_out"]),
        tuple(content["unchecked"]),
        sections,
    )
