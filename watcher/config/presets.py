"""The formats of accounting systems' exports, one file each in ``watcher/formats``.

A TOML file holds settings for tables (CSV). A stylesheet reads XML; ``documents.sheets`` knows what stands in it.
"""

from __future__ import annotations

import importlib.resources
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from watcher.documents import sheets
from watcher.errors import ConfigurationError, Fault
from watcher.plain import plain

_BY_HAND = {
    "state": (
        "Totals: an invoice on which nothing is paid any more is left out, so its payment stays. Take it off in "
        "ConnectWise."
    ),
    "event": (
        "Single payments: if one is taken back and the export does not say so (a bounced cheque, a returned transfer), "
        "put a payment document into the inbox: the invoice, the amount with a minus, an externalId of its own. Do not "
        "take the payment off in ConnectWise: the next one of the invoice would set it again."
    ),
}


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings for the exports of one accounting system.

    Attributes:
        name: its name.
        title: the system and the export.
        kind: ``state`` if an amount is what is paid on an invoice so far, ``event`` if it is one payment, and ``both``
            if the system exports both.
        export: what to do in the accounting system, step by step.
        leaves_out: what is left out on purpose.
        unchecked: what could not be checked against a real export.
        sections: the settings, by key by section.
        parameters: the names of the settings that [transform] takes.
        program: what has to be added to the accounting system; empty if nothing has.
    """

    name: str
    title: str
    kind: Literal["state", "event", "both"]
    export: tuple[str, ...]
    leaves_out: tuple[str, ...]
    unchecked: tuple[str, ...]
    sections: dict[str, dict[str, Any]]
    parameters: tuple[str, ...] = ()
    program: str = ""

    @property
    def needs_each(self) -> bool:
        """True if every record is one payment, and not the total paid so far."""
        return self.kind == "event"

    @property
    def payments(self) -> dict[str, str]:
        """The settings of [payments]; those of totals if the system exports both."""
        return {"amounts": "each", "zero_amount": "remove"} if self.needs_each else {"amounts": "total"}

    @property
    def by_hand(self) -> tuple[str, ...]:
        """What the export does not say, and a person has to do."""
        return tuple(sentence for kind, sentence in _BY_HAND.items() if self.kind in (kind, "both"))

    @property
    def is_table(self) -> bool:
        """True if it is for tables (CSV)."""
        return "csv" in self.sections


def names() -> list[str]:
    """Return the names of all formats."""
    files = importlib.resources.files("watcher").joinpath("formats").iterdir()
    tables = (file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))
    return sorted([*tables, *sheets.names()])


def preset(name: str) -> Preset:
    """Return a format by its name.

    Raises:
        ConfigurationError: there is none of this name.
    """
    if name not in names():
        raise ConfigurationError(
            (Fault("format", f"{plain(name, 80)} is not known", f"Known are {', '.join(names())}."),)
        )
    if name in sheets.names():
        return _of_sheet(name)
    file = importlib.resources.files("watcher").joinpath("formats", f"{name}.toml")
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    sections = {section: dict(values) for section, values in content.items() if isinstance(values, dict)}
    sections["inbox"] = sections.get("inbox", {}) | {"transform": "csv"}
    return Preset(
        name,
        content["title"],
        content["kind"],
        tuple(content["export"]),
        tuple(content["leaves_out"]),
        tuple(content["unchecked"]),
        sections,
    )


def _of_sheet(name: str) -> Preset:
    """Return the format of a stylesheet of ours."""
    found = sheets.description(name)
    return Preset(
        name,
        found.title,
        found.kind,
        found.export,
        found.leaves_out,
        found.unchecked,
        {"inbox": {"transform": name}},
        sheets.parameters(sheets.source(Path(name))),
        found.program,
    )
