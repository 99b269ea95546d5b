"""``init``: the folders and a configuration file."""

from __future__ import annotations

import os
from pathlib import Path

from watcher.cli import identity
from watcher.errors import FolderTrouble


def init(folder: Path, export: str | None = None) -> str:
    """Make the folders and a configuration file, and leave what is there as it is.

    Args:
        folder: where they are to lie.
        export: the format of the accounting system's exports; None without one.

    Returns:
        What was made, and what to do next.

    Raises:
        ConfigurationError: root cannot become the user to whom the folders belong, or there is no such format.
        FolderTrouble: there can be no folder.
    """
    # Late, so that whoever only makes a folder imports no tomlkit.
    from watcher.config.presets import preset
    from watcher.config.writing import template

    chosen = preset(export) if export is not None else None
    for place in (folder / "inbox", folder):
        identity.work_as_owner(place)
    folder = folder.resolve()
    for name in ("inbox", "success", "fail", ".work", "archive"):
        make_folder(folder / name)
    file = folder / "payment-watcher.toml"
    try:
        # Only its owner reads it: keys go into it.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return f"The folders are in {folder}; {file} was there already and is left as it is."
    with open(descriptor, "w", encoding="utf-8") as opened:  # noqa: PTH123  (an open descriptor)
        opened.write(template(folder, chosen))
    tried = ""
    if chosen is not None:
        tried = f"\nThen see how an export is read: payment-watcher try FILE --config {file}"
        if chosen.needs_each:
            tried += f'\n{chosen.title}: every record is one payment, so it needs payments.amounts = "each".'
    return (
        f"Made the folders in {folder} and {file}.\n"
        f"Put your site, company and keys into it, then: payment-watcher check --config {file}{tried}"
    )


def make_folder(folder: Path) -> None:
    """Make a folder that is missing, with those above it.

    Raises:
        FolderTrouble: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderTrouble(
            f"{folder}: {os.strerror(error.errno or 0)}", "Choose a place where folders can be"
        ) from error
