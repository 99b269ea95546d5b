"""Applies the operator's stylesheet to one file, in a process of its own.

A stylesheet is a program: it may loop, or grow without end, and the file may be what makes it do so. So the daemon
never applies a stylesheet itself. ``stylesheet`` starts this module with ``python -m``. The process limits its own time
and memory, can open no file and no connection, and reads stylesheet and file from its standard input.

A stylesheet is XSLT 1.0, with the functions of EXSLT's date and string modules. One that names anything else is refused
before it is applied.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import NoReturn

from lxml import etree

from watcher.documents.reading import read
from watcher.documents.shapes import LINE, Shape, shape_of
from watcher.documents.xml_stream import line_of, local_name, parse
from watcher.errors import DocumentError

_XSL = "{http://www.w3.org/1999/XSL/Transform}"
_FUNCTIONS = ("http://exslt.org/dates-and-times", "http://exslt.org/strings")
# A call of a function, with its prefix if there is one. A step such as child::text() is no call.
_CALL = re.compile(r"(?<![\w.:-])(?:([\w.-]+):(?!:))?([\w.-]+)\s*\(")
# A quoted text in an expression; what looks like a call in it is none.
_TEXT = re.compile(r"""'[^']*'|"[^"]*\"""")
# An expression in an attribute of an element that the stylesheet makes.
_BRACED = re.compile(r"\{((?:[^{}'\"]|'[^']*'|\"[^\"]*\")*)\}")


def compiled(source: bytes) -> etree.XSLT:
    """Compile a stylesheet.

    Args:
        source: its bytes.

    Raises:
        DocumentError: it is no stylesheet of XSLT 1.0, or it uses something that is not allowed.
    """
    root = parse(source)
    for element in root.iter():
        if isinstance(element.tag, str):
            _check_element(element)
    try:
        return etree.XSLT(root, access_control=etree.XSLTAccessControl.DENY_ALL, regexp=False)
    except etree.XSLTParseError as error:
        entry = error.error_log.last_error if error.error_log else None
        raise DocumentError(f"It is not XSLT 1.0: {error}", entry.line if entry else None) from error


def _check_element(element: etree._Element) -> None:
    if element.tag in (f"{_XSL}import", f"{_XSL}include"):
        raise DocumentError("It uses another stylesheet. Put both into one file.", line_of(element))
    for name, value in element.attrib.items():
        if str(name).rpartition("}")[2] == "extension-element-prefixes":
            raise DocumentError("It uses elements that are not part of XSLT 1.0.", line_of(element))
        # In an element that the stylesheet makes, expressions stand in braces.
        expressions = [str(value)] if str(element.tag).startswith(_XSL) else _BRACED.findall(str(value))
        for prefix, function in (call for text in expressions for call in _CALL.findall(_TEXT.sub("''", text))):
            namespace = element.nsmap.get(prefix) if prefix else None
            if function == "document" or (prefix and namespace is not None and namespace not in _FUNCTIONS):
                called = f"{prefix}:{function}" if prefix else function
                raise DocumentError(
                    f"It calls {called}(). Only the functions of XSLT 1.0, except document(), and those of EXSLT's "
                    f"modules {' and '.join(_FUNCTIONS)} may be called.",
                    line_of(element),
                )


def _transform(name: str, stylesheet: bytes, data: bytes, largest: int) -> bytes:
    """Return the payment document that a stylesheet makes of a file.

    Raises:
        DocumentError: the file cannot be read, or the stylesheet makes no payment document of it.
    """
    source = parse(data)
    run = compiled(stylesheet)
    try:
        root = _root(run(source))
    except etree.XSLTApplyError as error:
        raise DocumentError(f"The stylesheet {name} (inbox.transform) does not accept this file: {error}.") from error
    shape = shape_of(root) if root is not None else None
    if root is None or shape is None:
        result = f"<{local_name(root)}>" if root is not None else "no document"
        raise DocumentError(
            f"The stylesheet {name} (inbox.transform) makes {result} of <{local_name(source)}>, "
            "expected <ArrayOfUpdateInvoicePayment> or <InvoicePayments>.",
            line_of(source),
        )
    _mark_lines(root, shape, source)
    made = etree.tostring(root, encoding="utf-8")
    try:
        read(made)
    except DocumentError as error:
        raise DocumentError(
            f"What the stylesheet {name} (inbox.transform) makes of this file is no payment document: {error.problem}"
        ) from error
    if len(made) > largest:
        raise DocumentError(
            f"The stylesheet {name} (inbox.transform) makes more than {largest} bytes (inbox.max_file_bytes) of it."
        )
    return made


def _root(result: etree._XSLTResultTree) -> etree._Element | None:
    # None if the stylesheet makes text, or nothing. lxml's type does not say so.
    return result.getroot()


def _mark_lines(root: etree._Element, shape: Shape, source: etree._Element) -> None:
    """Write into each record the line of the original from which its values come; 0 if it is not known.

    A value that stands as often in the original as in the result was copied from there, in the same order.
    """
    lines: dict[str, list[int]] = defaultdict(list)
    for element in source.iter("{*}*"):
        for value in (element.text, *element.attrib.values()):
            if value and (stripped := str(value).strip()):
                lines[stripped].append(line_of(element))
    records = [child for child in root if local_name(child) == shape.record]
    found: list[int] = [0] * len(records)
    for name in (shape.number, shape.amount, shape.day):
        places: dict[str, list[int]] = defaultdict(list)
        for place, record in enumerate(records):
            places[next((_stripped(child) for child in record.iter(f"{{*}}{name}")), "")].append(place)
        for value, taken in places.items():
            if value and len(lines[value]) == len(taken):
                for place, line in zip(taken, lines[value], strict=True):
                    found[place] = found[place] or line
    for record, line in zip(records, found, strict=True):
        record.set(LINE, str(line))


def _stripped(element: etree._Element) -> str:
    return (element.text or "").strip()


def _limit(seconds: int, memory: int) -> None:
    """Limit what this process may take: processor time (seconds), memory (bytes), and no file of any kind."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    # Standard input, output and error are open. Nothing else can be opened, and no file can grow.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer() -> Iterator[bytes]:
    """Read the request; yield ``+`` and the payment document, or ``-`` and the fault as JSON."""
    head = json.loads(sys.stdin.buffer.readline())
    _limit(head["seconds"], head["memory"])
    stylesheet = sys.stdin.buffer.read(head["stylesheet"])
    try:
        made = _transform(head["name"], stylesheet, sys.stdin.buffer.read(), head["largest"])
    except DocumentError as error:
        yield b"-"
        yield json.dumps({"problem": error.problem, "line": error.line}).encode()
    else:
        yield b"+"
        yield made


def _main() -> NoReturn:
    for part in _answer():
        sys.stdout.buffer.write(part)
    sys.stdout.flush()
    sys.exit(0)


if __name__ == "__main__":
    _main()
