"""The stylesheet that turns the accounting system's own XML into a payment document; each run in a process of its own.

A stylesheet is a program: it may loop, grow without end, or be asked to by the file it is given. So the daemon never
runs it itself. It starts this module as a process that is bounded in time and memory, may open no file and no
connection, and is given stylesheet and document on its standard input. XSLT 1.0 with the functions of EXSLT's date and
string modules; what else is named in a stylesheet is refused before it is used.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from lxml import etree

from watcher.documents.reading import is_payment_document, read
from watcher.documents.shapes import LINE, Shape, shape_of
from watcher.documents.unfinished import cut_off
from watcher.documents.xml_stream import line_of, local_name, parse
from watcher.errors import ConfigurationError, DocumentError, Fault

_XSL = "{http://www.w3.org/1999/XSL/Transform}"
_FUNCTIONS = ("http://exslt.org/dates-and-times", "http://exslt.org/strings")
# A call of a function with a prefix, or of the one that reads other documents; not a step such as child::text().
_CALL = re.compile(r"(?<![\w.:-])(?:([\w.-]+):(?!:))?([\w.-]+)\s*\(")
# A quoted text of an expression is no call.
_TEXT = re.compile(r"""'[^']*'|"[^"]*\"""")
_BRACED = re.compile(r"\{((?:[^{}'\"]|'[^']*'|\"[^\"]*\")*)\}")

# What one file may take. The wall clock is a little longer than the processor time, for a machine that is busy.
_PROCESSOR_SECONDS = 30
_SECONDS = 60
_MEMORY_BYTES = 2**30


class Stylesheet:
    """Turns documents into payment documents."""

    def __init__(self, path: Path, largest: int) -> None:
        """Read and check a stylesheet.

        Args:
            path: the file, one stylesheet of XSLT 1.0.
            largest: how many bytes a payment document made by it may have.

        Raises:
            ConfigurationError: it cannot be read, is no stylesheet, or wants more than it may have.
        """
        self._name = path.name
        self._largest = largest
        try:
            self._source = path.read_bytes()
            _compile(self._source)
        except OSError as error:
            raise _unusable(f"{path} cannot be read: {error.strerror}") from error
        except DocumentError as error:
            raise _unusable(f"{path}: {error}") from error

    def __call__(self, data: bytes) -> bytes:
        """Turn a document into a payment document; one that is a payment document already is given back as it is.

        Each record of the result bears the line of the original that it was made from, where that is known.

        Args:
            data: the document's bytes.

        Raises:
            DocumentError: it is not well-formed, or the stylesheet makes no payment document of it.
        """
        if is_payment_document(data):
            return data
        head = {
            "name": self._name,
            "largest": self._largest,
            "stylesheet": len(self._source),
            "seconds": _PROCESSOR_SECONDS,
            "memory": _MEMORY_BYTES,
        }
        command = [sys.executable, "-I", "-X", "utf8", "-m", "watcher.documents.stylesheet"]
        try:
            done = subprocess.run(  # noqa: S603  (our own interpreter and module)
                command,
                input=json.dumps(head).encode() + b"\n" + self._source + data,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
                env={},
            )
        except subprocess.TimeoutExpired as error:
            raise self._stopped() from error
        if done.returncode != 0:
            raise self._stopped()
        kind, answer = done.stdout[:1], done.stdout[1:]
        if kind == b"+":
            return answer
        told = json.loads(answer)
        raise cut_off(data, DocumentError(told["problem"], told["line"]))

    def _stopped(self) -> DocumentError:
        return DocumentError(
            f"The stylesheet {self._name} (inbox.transform) did not come to an end with this file: it may take "
            f"{_PROCESSOR_SECONDS} seconds and {_MEMORY_BYTES // 2**20} MiB of memory."
        )


def _unusable(problem: str) -> ConfigurationError:
    mend = "Name one stylesheet of XSLT 1.0 that needs no other file."
    return ConfigurationError((Fault("inbox.transform", problem.rstrip("."), mend),))


def _compile(source: bytes) -> etree.XSLT:
    """Compile a stylesheet that wants nothing it may not have; DocumentError says what and where."""
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
        raise DocumentError("It takes in another stylesheet; put both into one file.", line_of(element))
    for name, value in element.attrib.items():
        if str(name).rpartition("}")[2] == "extension-element-prefixes":
            raise DocumentError("It asks for elements that are not part of XSLT 1.0.", line_of(element))
        # In an element of the result, expressions stand in braces.
        expressions = [str(value)] if str(element.tag).startswith(_XSL) else _BRACED.findall(str(value))
        for prefix, function in (call for text in expressions for call in _CALL.findall(_TEXT.sub("''", text))):
            namespace = element.nsmap.get(prefix) if prefix else None
            if function == "document" or (prefix and namespace is not None and namespace not in _FUNCTIONS):
                called = f"{prefix}:{function}" if prefix else function
                raise DocumentError(
                    f"It calls {called}(); only the functions of XSLT 1.0 but document(), and those of EXSLT's "
                    f"modules {' and '.join(_FUNCTIONS)}, may be called.",
                    line_of(element),
                )


# --- the process of its own --------------------------------------------------------------------------------------


def _transform(name: str, stylesheet: bytes, data: bytes, largest: int) -> bytes:
    source = parse(data)
    run = _compile(stylesheet)
    try:
        root = _root(run(source))
    except etree.XSLTApplyError as error:
        raise DocumentError(f"The stylesheet {name} (inbox.transform) does not take this file: {error}.") from error
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
    # None where the stylesheet makes text, or nothing.
    return result.getroot()


def _mark_lines(root: etree._Element, shape: Shape, source: etree._Element) -> None:
    """Write into each record the line of the original that its values come from.

    A value that stands as often in the original as in the result was taken over from there, in the same order.
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


def _bound(seconds: int, memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    # Standard input, output and error are open; nothing else can be, and no file can grow.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer() -> Iterator[bytes]:
    head = json.loads(sys.stdin.buffer.readline())
    _bound(head["seconds"], head["memory"])
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
