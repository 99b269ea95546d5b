"""Applies the operator's stylesheet to one file, in a process of its own.

A stylesheet is a program: it may loop, or grow without end, and the file may be what makes it do so. So the daemon
never applies a stylesheet itself. ``stylesheet`` starts this module with ``python -m``. The process limits its own time
and memory, can open no file and no connection, and reads stylesheet and file from its standard input.

A stylesheet is XSLT 1.0, with the functions of EXSLT's common, date and string modules. One that names anything else is
refused before it is applied.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from lxml import etree

from watcher.documents.reading import instead_of_export, read
from watcher.documents.shapes import LINE, NUMBER_IN_FILE, Shape, shape_of
from watcher.documents.xml_stream import line_of, local_name, named, parse
from watcher.errors import DocumentError
from watcher.plain import plain

# What the process answers with: that it has begun, and then one of the others.
BEGUN, MADE, FAULT, MEMORY, SHORT = b"!", b"+", b"-", b"m", b"s"
# libxml2's word for what it does not explain.
_UNKNOWN = "unknown error"
# The most of libxslt's words that a message holds (characters).
_LONGEST_WORDS = 300

_XSL = "{http://www.w3.org/1999/XSL/Transform}"
_FUNCTIONS = ("http://exslt.org/common", "http://exslt.org/dates-and-times", "http://exslt.org/strings")
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
                    f"modules {', '.join(_FUNCTIONS)} may be called.",
                    line_of(element),
                )


def _transform(name: str, stylesheet: bytes, data: bytes, largest: int, parameters: Mapping[str, str]) -> bytes:
    """Return the payment document that a stylesheet makes of a file.

    Raises:
        DocumentError: the file cannot be read, or the stylesheet makes no payment document of it.
    """
    source = parse(data)
    run = compiled(stylesheet)
    # As texts, whatever quotes they hold. Any, since lxml's types take each keyword for profile_run.
    quoted: dict[str, Any] = {key: etree.XSLT.strparam(value) for key, value in parameters.items()}
    try:
        root = _root(run(source, **quoted))
    except etree.XSLTApplyError as error:
        raise DocumentError(
            f"The stylesheet {name} (inbox.transform) does not accept this file: {_said(error)}."
            f"{instead_of_export(source)}"
        ) from error
    shape = shape_of(root) if root is not None else None
    if root is None or shape is None:
        result = f"<{named(root)}>" if root is not None else "no document"
        raise DocumentError(
            f"The stylesheet {name} (inbox.transform) makes {result} of <{named(source)}>, "
            f"expected <ArrayOfUpdateInvoicePayment> or <InvoicePayments>.{instead_of_export(source)}",
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
        raise DocumentError(too_large(name, largest))
    return made


def too_large(name: str, largest: int) -> str:
    """Return the fault of a stylesheet that makes too much."""
    return f"The stylesheet {name} (inbox.transform) makes more than {largest} bytes (inbox.max_file_bytes) of it."


def _said(error: etree.XSLTApplyError) -> str:
    """Return what kept a stylesheet from its end, in its own words or in libxslt's."""
    words = str(error)
    if words == _UNKNOWN:
        # The words for what happened come before it, and those for where it happened come first.
        found = (
            entry.message for entry in error.error_log if not entry.message.startswith(("runtime error", _UNKNOWN))
        )
        words = next(found, words).partition("\n")[0]
    return plain(words.strip(), _LONGEST_WORDS).rstrip(".")


def _root(result: etree._XSLTResultTree) -> etree._Element | None:
    # None if the stylesheet makes text, or nothing. lxml's type does not say so.
    return result.getroot()


def _mark_lines(root: etree._Element, shape: Shape, source: etree._Element) -> None:
    """Write into each record the line of the original from which its values come; 0 if it is not known.

    A value that stands as often in the original as in the result was copied from there, in the same order.
    """
    lines: dict[str, list[int]] = defaultdict(list)
    for element in source.iter("{*}*"):
        line = line_of(element)
        for value in (element.text, *element.attrib.values()):
            if value and (stripped := str(value).strip()):
                lines[stripped].append(line)
    records = [child for child in root if local_name(child) == shape.record]
    found: list[int] = [0] * len(records)
    for name in (shape.number, NUMBER_IN_FILE, shape.amount, shape.day):
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


class _Memory:
    """How much memory (address space, bytes) this process may take, and whether it was not enough."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # Opened before the limits of `_limit`, which allow no further file.
        self._status = Path("/proc/self/status").open("rb", buffering=0)  # noqa: SIM115  (for as long as the process)

    def was_short(self, part: float) -> bool:
        """Return True if at least this part of the limit was in use at some time."""
        try:
            self._status.seek(0)
            peak = re.search(rb"VmPeak:\s*(\d+) kB", self._status.read())
        except MemoryError:
            # There is not even room for this question.
            return True
        return peak is not None and int(peak[1]) * 1024 >= part * self._limit


def _limit(seconds: int, memory: int) -> None:
    """Limit what this process may take: processor time (seconds), memory (bytes), and no file of any kind."""
    # What libraries say about a file may be larger than the file. Nobody reads it.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.stderr.fileno())
    os.close(silence)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    # SIGXCPU ends the process at the first limit, and says that it was this one; at the second it would be SIGKILL.
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    # Standard input, output and error are open. Nothing else can be opened, and no file can grow.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer() -> Iterator[bytes]:
    """Read the request; yield what ``stylesheet`` reads.

    Yields:
        ``BEGUN``; then ``MADE`` and the payment document, or ``FAULT`` and the fault as JSON, or ``MEMORY`` if its
        limit was met, or ``SHORT`` if the machine has no more memory.
    """
    head = json.loads(sys.stdin.buffer.readline())
    memory = _Memory(head["memory"])
    _limit(head["seconds"], head["memory"])
    yield BEGUN
    try:
        stylesheet = sys.stdin.buffer.read(head["stylesheet"])
        made = _transform(head["name"], stylesheet, sys.stdin.buffer.read(), head["largest"], head["parameters"])
    except MemoryError:
        # One large piece may be all that goes beyond the limit.
        yield MEMORY if memory.was_short(0.25) else SHORT
    except DocumentError as error:
        # The libraries do not say that it was memory that they lacked; some say nothing.
        if memory.was_short(0.5 if _UNKNOWN in error.problem else 0.9):
            yield MEMORY
        else:
            yield FAULT + json.dumps({"problem": error.problem, "line": error.line}).encode()
    except Exception as error:  # noqa: BLE001  (the file is refused with it)
        problem = f"The process of the stylesheet {head['name']} failed with this file: {type(error).__name__}."
        yield MEMORY if memory.was_short(0.9) else FAULT + json.dumps({"problem": problem, "line": None}).encode()
    else:
        yield MADE
        yield made


def _main() -> NoReturn:
    for part in _answer():
        sys.stdout.buffer.write(part)
        sys.stdout.flush()
    sys.exit(0)


if __name__ == "__main__":
    _main()
