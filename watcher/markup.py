"""XML as it comes: any usual encoding in, harmless elements out. Pure: no clock, file or logger.

A document is decoded here, in pieces, and only then given to the parser, as UTF-8 without byte-order mark or
declaration: what the parser would have to believe of a declaration is decided first. It is read as a stream, so that
its size costs no memory beyond what is open at the moment. Nothing in it can open a file or a connection: document
types are refused before the parser meets them, and with them all entities; XInclude is refused where it stands.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from lxml import etree

from watcher.errors import DocumentError

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# How a document begins without a byte-order mark, blanks included (XML 1.0, appendix F.1).
_BEGINNINGS = (
    (re.compile(rb"[<\s]\0\0\0|\0\0\0[<\s]"), "utf-32"),
    (re.compile(rb"[<\s]\0"), "utf-16-le"),
    (re.compile(rb"\0"), "utf-16-be"),
)
_WIDE = ("utf-16-le", "utf-16-be")
# The encodings a declaration may name; Python knows others that are no encodings of text, or unsafe ones such as UTF-7.
_DECLARABLE = {
    codecs.lookup(name).name: name
    for name in (
        *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "us-ascii"),
        *(f"iso-8859-{part}" for part in (*range(1, 12), *range(13, 17))),
        *(f"windows-{page}" for page in range(1250, 1259)),
    )
}
# XML 1.0, 2.8: XMLDecl. Blanks before it are no part of it but stand in many exports.
_DECLARATION = re.compile(
    r"""\s*(?P<declaration><\?xml\s+version\s*=\s*(?:"1\.\d+"|'1\.\d+')"""
    r"""(?:\s+encoding\s*=\s*(?:"(?P<double>[A-Za-z][\w.-]*)"|'(?P<single>[A-Za-z][\w.-]*)'))?"""
    r"""(?:\s+standalone\s*=\s*(?:"(?:yes|no)"|'(?:yes|no)'))?\s*\?>)""",
    re.ASCII,
)
_DECLARED = re.compile(r"\s*<\?xml\s[^>]*\?>", re.ASCII)
# What may stand before the root element; then what does.
_PROLOG = re.compile(rb"(?:\s++|<!--.*?-->|<\?.*?\?>)*+", re.DOTALL)
# A start tag, or as much of it as there is: the values of attributes may hold anything but < (XML 1.0, 3.1).
_START_TAG = re.compile(
    rb"""<[^\s<>/!?"'=][^<>"']*+(?:"[^<"]*+"[^<>"']*+|'[^<']*+'[^<>"']*+)*+(?:"[^<"]*+|'[^<']*+)?"""
)
# The last & of a document if what follows is no reference, not even one that is cut off.
_BARE_AMPERSAND = re.compile(rb"&[#\w.:\x80-\xff-]*[^#\w.:;\x80-\xff-][^&;]*$")
# Where an ampersand may stand for itself, whole or cut off.
_QUOTED = re.compile(rb"<!\[CDATA\[.*?(\]\]>|$)|<!--.*?(-->|$)|<\?.*?(\?>|$)", re.DOTALL)
# What people take for XML by its name.
_SIGNATURES = {
    b"\x1f\x8b": "compressed (gzip)",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"BZh": "compressed (bzip2)",
    b"\xfd7zXZ": "compressed (xz)",
    b"\x28\xb5\x2f\xfd": "compressed (zstd)",
    b"7z\xbc\xaf": "compressed (7-Zip)",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook or Word document",
    b"%PDF": "a PDF",
}
# The parser's words for what it will not hold, and ours.
_LIMITS = {
    "Excessive depth": "Elements are nested more than 256 deep, which no payment document does.",
    "huge text node": "A text in it is longer than ten million characters, which no payment document's is.",
    "too big": "A comment or text in it is longer than ten million characters, which no payment document's is.",
    "too long": "A name or value in it is longer than any payment document's is.",
}
_XINCLUDE = "{http://www.w3.org/2001/XInclude}*"

# How much is given to the parser at once, bytes.
_CHUNK = 65536
# The longest beginning of a file in which its root element must start, bytes.
_LONGEST_PROLOG = 32768
# A start tag of more bytes than this holds more attributes than the memory they take is worth.
_LONGEST_TAG = 65536
# What one record may hold: bytes, and elements and attributes together, which take some 140 bytes each.
_LARGEST_RECORD = 8388608
_MOST_PARTS = 100_000


# libxml2's lines are short integers.
_LONGEST_COUNT = 65535


class _CutOff(DocumentError):
    """The bytes end in the middle of a character."""


def batches(data: bytes, *, bare: bool) -> Iterator[tuple[etree._Element, list[etree._Element]]]:
    """Read a document as a stream.

    Args:
        data: its bytes.
        bare: leave out comments and processing instructions.

    Yields:
        The root element, each time, and the next of its children with their tails; these are gone when the next are
        asked for. Every child comes once, in order; a document without any gives none once.

    Raises:
        DocumentError: it is cut off, not well-formed, larger than one that is meant to be read, or means harm.
    """
    if not data or data.isspace():
        raise DocumentError("The file is empty.")
    stream = _Stream(data, bare=bare)
    for root in stream:
        if children := root[:-1]:
            yield root, children
            del root[: len(children)]
    assert stream.root is not None
    yield stream.root, list(stream.root)


def unfinished(data: bytes) -> str | None:
    """Say whether a document still misses its end, as one that is being written does.

    A document that is broken in any other way is not unfinished: it will not get better by waiting.

    Args:
        data: the bytes so far.

    Returns:
        What is missing, in words; None when the document reaches its closing root tag or cannot become one.
    """
    if not data:
        return "it is empty"
    if b"\0\0\0\0" in data:
        # A writer that sets the size first leaves zeros where it has not written yet; no text encoding holds four.
        return "part of it is reserved space that has not been written yet"
    stream = _Stream(data, bare=True)
    try:
        for root in stream:
            del root[:-1]
    except _CutOff:
        return _missing_end(stream)
    except DocumentError:
        if not stream.ended_early or _has_bare_ampersand(data):
            return None
        return _missing_end(stream)
    return None


def local_name(element: etree._Element) -> str:
    """Give an element's name without its namespace; empty for a comment or processing instruction."""
    # Not QName, which refuses names that the parser lets through.
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def line_of(element: etree._Element) -> int:
    """Give the line an element stands in, from 1."""
    line = int(element.sourceline or 0)
    if line >= _LONGEST_COUNT:
        # The parser counts no further for elements and gives the line where the text after the tag ends instead.
        line -= _text_after(element).count("\n")
    return line


def _text_after(element: etree._Element) -> str:
    return element.text or (_text_after(element[0]) if len(element) else element.tail) or ""


def shown(text: str) -> str:
    """Shorten what a message quotes, so that a megabyte in a field stays out of the messages."""
    limit = 40
    return text if len(text) <= limit else f"{text[:limit]}…"


class _Stream:
    """The root element, each time more of its children have come.

    Attributes:
        root: the root element; None before it has come.
        ended_early: the fault that was raised is that the document ends before its root does.
    """

    def __init__(self, data: bytes, *, bare: bool) -> None:
        self._data = data
        self._bare = bare
        self.root: etree._Element | None = None
        self.ended_early = False

    def __iter__(self) -> Iterator[etree._Element]:
        """Yield the root; all its children but the last are complete, with tails, and are to be deleted from it."""
        parser: etree.XMLPullParser[etree._Element] | None = None
        tags = _Tags()
        parts = size = 0
        try:
            for chunk in _decoded(self._data):
                if parser is None:
                    parser = self._parser(chunk)
                tags.check(chunk)
                parser.feed(chunk)
                if not self._has_root(parser):
                    continue
                assert self.root is not None
                _check(self.root, parser.feed_error_log)
                if len(self.root) > 1:
                    parts = size = 0
                    yield self.root
                else:
                    parts += chunk.count(b"<") + chunk.count(b"=")
                    size += len(chunk)
                    if parts > _MOST_PARTS or size > _LARGEST_RECORD:
                        raise self._too_large()
            if parser is None:
                self.ended_early = True
                raise DocumentError("The file is empty.")
            self._close(parser)
        except etree.XMLSyntaxError as error:
            raise _unreadable(error) from error

    def _parser(self, beginning: bytes) -> etree.XMLPullParser[etree._Element]:
        """Make a parser that reports the root alone; it is named, since to report every element takes as long again."""
        _check_beginning(beginning)
        prolog = _PROLOG.match(beginning)
        assert prolog is not None
        name = re.compile(rb"<([^\s<>/]*)").match(beginning, prolog.end())
        tag = name[1].rpartition(b":")[2].decode() if name else ""
        return etree.XMLPullParser(
            events=("start",),
            tag=f"{{*}}{tag}" if re.fullmatch(r"[^\W\d][\w.-]*", tag) else None,
            encoding="utf-8",
            remove_comments=self._bare,
            remove_pis=self._bare,
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
        )

    def _close(self, parser: etree.XMLPullParser[etree._Element]) -> None:
        try:
            parser.close()
        except etree.XMLSyntaxError:
            self.ended_early = True
            raise
        if self._has_root(parser):
            assert self.root is not None
            _check(self.root, parser.feed_error_log)

    def _has_root(self, parser: etree.XMLPullParser[etree._Element]) -> bool:
        # The name may come up again further down; what is not fetched would keep its elements.
        for _, element in parser.read_events():
            if self.root is None:
                self.root = element
        return self.root is not None

    def _too_large(self) -> DocumentError:
        assert self.root is not None
        place = self.root[-1] if len(self.root) else self.root
        return DocumentError(
            f"<{local_name(place)}> holds more than {_MOST_PARTS} elements and attributes, or more than "
            f"{_LARGEST_RECORD} bytes, which no payment does.",
            line_of(place),
        )


class _Tags:
    """Refuses a start tag of excessive length before the parser makes attributes of it."""

    def __init__(self) -> None:
        self._open = b""
        self._line = 1

    def check(self, chunk: bytes) -> None:
        """Look at the next piece of the document.

        Raises:
            DocumentError: a start tag is too long.
        """
        start = chunk.rfind(b"<")
        first = chunk.find(b"<")
        if self._open:
            self._open += chunk if first < 0 else chunk[:first]
            if len(self._open) > _LONGEST_TAG:
                self._measure()
        self._line += chunk.count(b"\n")
        if start >= 0:
            self._open = chunk[start:]

    def _measure(self) -> None:
        tag = _START_TAG.match(self._open)
        if tag is not None and tag.end() > _LONGEST_TAG:
            name = re.split(rb"[\s=]", self._open[1:80], maxsplit=1)[0].decode(errors="replace")
            raise DocumentError(
                f"The tag of <{shown(name)}> is longer than {_LONGEST_TAG} bytes: no payment has so many attributes.",
                self._line,
            )
        # Text, a comment or a section of text: the parser sees to their length.
        self._open = b""


def _encoding(data: bytes) -> tuple[str, int]:
    """Give the encoding that a document's first bytes show, and how many of them are its byte-order mark."""
    for signature, kind in _SIGNATURES.items():
        if data.startswith(signature):
            raise DocumentError(f"This is not an XML file but {kind}. Unpack it, or export it as XML.", 1)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return encoding, len(mark)
        if mark.startswith(data):
            raise _CutOff("The file ends within its first character.", 1)
    return next((encoding for beginning, encoding in _BEGINNINGS if beginning.match(data)), ""), 0


def _decoded(data: bytes) -> Iterator[bytes]:
    """Yield a document piece by piece in UTF-8, blanks in place of its declaration so that all lines stay.

    Raises:
        DocumentError: its bytes are no text in the encoding that its first bytes or its declaration tell.
    """
    seen, start = _encoding(data)
    if seen == "utf-32":
        raise DocumentError("The file is in UTF-32, which is not read. Export it in UTF-8.", 1)
    head = data[start : start + _CHUNK].decode(seen or "latin-1", errors="ignore")
    if head.strip() and not head.lstrip().startswith("<"):
        raise DocumentError("This is not an XML file: it does not start with <.", 1)
    declaration = _DECLARATION.match(head)
    if declaration is None and (found := _DECLARED.match(head)):
        line = 1 + head.count("\n", 0, found.end())
        raise DocumentError(
            f"The XML is not well-formed: the declaration {shown(found[0].strip())} is not one of XML 1.0.", line
        )
    encoding = _agreed(seen, declaration)
    decode = codecs.getincrementaldecoder(encoding)().decode
    line = 1
    for place in range(start, len(data), _CHUNK):
        try:
            text = decode(data[place : place + _CHUNK])
        except UnicodeDecodeError as error:
            line += error.object[: error.start].decode(encoding, errors="replace").count("\n")
            raise _undecodable(error, encoding, declaration, line) from error
        line += text.count("\n")
        if declaration is not None:
            kept = "".join(letter if letter == "\n" else " " for letter in text[: declaration.end()])
            text, declaration = kept + text[declaration.end() :], None
        yield text.encode()
    try:
        decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _CutOff("The file ends in the middle of a character.", line) from error


def _agreed(seen: str, declaration: re.Match[str] | None) -> str:
    """Give the encoding that a document's bytes and its declaration agree on."""
    declared = (declaration["double"] or declaration["single"]) if declaration else None
    if declaration is None or declared is None:
        return seen or "utf-8"
    line = 1 + declaration.string.count("\n", 0, declaration.start("declaration"))
    try:
        named = codecs.lookup(declared).name
    except LookupError:
        named = ""
    if named not in _DECLARABLE:
        raise DocumentError(
            f'The encoding "{shown(declared)}" is not known. UTF-8, UTF-16, US-ASCII, ISO-8859-1 to 16 and '
            "windows-1250 to 1258 are read.",
            line,
        )
    wide = named.startswith("utf-16")
    if (seen in _WIDE) != wide or (seen == "utf-8" and named != "utf-8") or (wide and named not in ("utf-16", seen)):
        written = {"utf-8": "UTF-8, as its first bytes (a byte-order mark) say", "": "one byte a character"}
        raise DocumentError(
            f'The declaration says encoding="{declared}", but the file is written in '
            f"{written.get(seen, seen.upper())}. Export it in UTF-8, or with a declaration that is true.",
            line,
        )
    return seen if wide else named


def _undecodable(
    error: UnicodeDecodeError, encoding: str, declaration: re.Match[str] | None, line: int
) -> DocumentError:
    return DocumentError(
        f"The byte 0x{error.object[error.start]:02X} is no character of {_DECLARABLE[encoding].upper()}, the encoding "
        f"that the file is in by its {'declaration' if declaration else 'first bytes'}. Export it in UTF-8, or name "
        "the encoding that it is really in, such as windows-1252.",
        line,
    )


def _check_beginning(beginning: bytes) -> None:
    """Refuse a document type before the parser sees it."""
    prolog = _PROLOG.match(beginning)
    assert prolog is not None
    end = prolog.end()
    line = 1 + beginning.count(b"\n", 0, end)
    if beginning.startswith(b"<!D", end):
        raise DocumentError("The document has a DOCTYPE, which payment documents do not use. Export it without.", line)
    if end > _LONGEST_PROLOG or (len(beginning) > _LONGEST_PROLOG and beginning[end : end + 2] in (b"<!", b"<?")):
        raise DocumentError(f"The first element does not start within the first {_LONGEST_PROLOG} bytes.", line)


def _check(root: etree._Element, log: etree._ListErrorLog) -> None:
    """Refuse what the parser lets through: names whose prefix nobody declared, and the inclusion of other files."""
    for entry in log:
        if entry.level >= etree.ErrorLevels.ERROR:
            # Well-formed XML, but not by Namespaces in XML 1.0, section 5; the results could not be read again.
            raise DocumentError(f"The XML is not well-formed: {entry.message}.", entry.line)
    if root.getroottree().docinfo.doctype:
        raise DocumentError("The document has a DOCTYPE, which payment documents do not use. Export it without.", 1)
    for element in root.iter(_XINCLUDE):
        raise DocumentError(
            f"<{local_name(element)}> would include another file (XInclude), which payment documents do not do.",
            line_of(element),
        )


def _unreadable(error: etree.XMLSyntaxError) -> DocumentError:
    # libxml2 ends its message with the place, which the error carries anyway.
    words = " ".join(re.sub(r", line \d+, column \d+$", "", error.msg or "unreadable").split())
    for told, meant in _LIMITS.items():
        if told in words:
            return DocumentError(meant, error.lineno)
    return DocumentError(f"The XML is not well-formed: {words}.", error.lineno)


def _missing_end(stream: _Stream) -> str:
    if stream.root is None:
        return "no element in it yet"
    return f"no closing </{local_name(stream.root)}> yet"


def _has_bare_ampersand(data: bytes) -> bool:
    """Say whether the parser waits for the semicolon of a reference that is none: broken, not unfinished."""
    encoding, _ = _encoding(data)
    if encoding in _WIDE:
        data = data.decode(encoding, errors="ignore").encode()
    return _BARE_AMPERSAND.search(_QUOTED.sub(b"", data)) is not None
