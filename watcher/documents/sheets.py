"""The formats that are stylesheets of ours: one file each in ``watcher/formats``, whose description stands in it.

XSLT 1.0 allows elements of other namespaces beside the templates (section 2.2, user-defined data elements). What all of
them share stands in ``common.xsl``. It becomes a part of each, since a stylesheet may use no other file. What needs
lxml is imported late, as in ``formats``: settings are read in every process.
"""

from __future__ import annotations

import functools
import importlib.resources
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

_NAMESPACE = "{urn:payment-watcher:format}"
_PARAMETER = "{http://www.w3.org/1999/XSL/Transform}param"
_SHARED = "common"
_FOLDER = importlib.resources.files("watcher").joinpath("formats")
# The parameter in which a stylesheet is told payments.amounts. It is no setting of [transform].
AMOUNTS = "amounts"


@dataclass(frozen=True, slots=True)
class Description:
    """What an accounting system exports, and what becomes of it.

    Attributes:
        title: the system and its document.
        kind: ``state`` if an amount is what is paid on an invoice so far, ``event`` if it is one payment, and ``both``
            if the system exports both and the stylesheet sees which one it got.
        export: how to export, step by step.
        leaves_out: what is left out on purpose.
        unchecked: what could not be checked against a real export.
        program: what has to be added to the system to export; empty if nothing has.
    """

    title: str
    kind: Literal["state", "event", "both"]
    export: tuple[str, ...]
    leaves_out: tuple[str, ...]
    unchecked: tuple[str, ...]
    program: str


@functools.cache
def names() -> tuple[str, ...]:
    """Return the names of the formats."""
    stems = (file.name.removesuffix(".xsl") for file in _FOLDER.iterdir() if file.name.endswith(".xsl"))
    return tuple(sorted(stem for stem in stems if stem != _SHARED))


def source(sheet: Path) -> bytes:
    """Return a stylesheet.

    Args:
        sheet: the name of a format, or a file.

    Raises:
        OSError: the file cannot be read.
    """
    if str(sheet) not in names():
        return sheet.read_bytes()
    from lxml import etree

    from watcher.documents.xml_stream import parse

    root = parse(_read(str(sheet)))
    root.extend(list(parse(_read(_SHARED))))
    return etree.tostring(root)


def description(name: str) -> Description:
    """Return the description of a format."""
    from watcher.documents.xml_stream import parse

    found = parse(_read(name)).find(f"{_NAMESPACE}format")
    assert found is not None

    def texts(tag: str) -> tuple[str, ...]:
        return tuple(" ".join((each.text or "").split()) for each in found.findall(f"{_NAMESPACE}{tag}"))

    return Description(
        str(found.get("title")),
        cast('Literal["state", "event", "both"]', found.get("kind")),
        texts("step"),
        texts("left-out"),
        texts("unsure"),
        found.findtext(f"{_NAMESPACE}program", "").strip("\n"),
    )


def parameters(stylesheet: bytes) -> tuple[str, ...]:
    """Return the names of the parameters that a stylesheet takes, but for ``AMOUNTS``.

    Raises:
        DocumentError: it is not well-formed.
    """
    from watcher.documents.xml_stream import parse

    found = {str(each.get("name")) for each in parse(stylesheet).findall(_PARAMETER)}
    return tuple(sorted(found - {AMOUNTS}))


def _read(name: str) -> bytes:
    return _FOLDER.joinpath(f"{name}.xsl").read_bytes()
