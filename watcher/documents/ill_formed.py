"""Says in plain words why XML cannot be read, where the parser speaks to programmers. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from html.entities import html5

from lxml import etree

from watcher.documents.encoding import decoded
from watcher.documents.kinds import TWO_MARKS
from watcher.documents.letters import instead_of, named, quoted
from watcher.errors import DocumentError
from watcher.plain import plain

# The parser's words for what is too large for it, and ours.
_LIMITS = {
    "Excessive depth": "Elements are nested more than 256 deep. No payment document needs that.",
    "huge text node": "A text in it is longer than ten million characters. No payment document needs that.",
    "too big": "A comment or text in it is longer than ten million characters. No payment document needs that.",
    "too long": "A name or value in it is too long. No payment document needs such a long one.",
}
# The most of the parser's words that a message holds (characters).
_LONGEST_WORDS = 300
# So much of a line is looked at before a fault and after it (characters).
_AROUND = 100
_AGAIN = "Correct it, or export the file again."
_SCHEMA_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_Codes = etree.ErrorTypes


class _Fault:
    """What the parser found.

    Attributes:
        words: its own words.
        before: the text of the line before the place that it names.
        after: the text from there on.
    """

    def __init__(self, words: str, before: str, after: str) -> None:
        self.words = words
        self.before = before
        self.after = after

    def part(self, pattern: str) -> list[str]:
        """Return what a pattern finds in the parser's words, as messages show it; empty texts if it finds nothing."""
        match = re.search(pattern, self.words)
        return [plain(part, 60) for part in match.groups()] if match else [""] * re.compile(pattern).groups

    def around(self, place: int) -> str:
        """Return the text around a place in ``before + after``, between tags, in quotation marks."""
        text = self.before + self.after
        begin = max(text.rfind(">", 0, place) + 1, place - 20)
        end = re.compile(r"[<>]|$").search(text, place + 1)
        return quoted(text[begin : min(end.start() if end else place, place + 20)].strip())

    def last(self, letter: str) -> int:
        """Return the last place of a character before the fault, or at it."""
        return max((self.before + self.after[:1]).rfind(letter), 0)


def _ampersand(fault: _Fault) -> str:
    text, place = fault.before + fault.after, fault.last("&")
    known = re.match("&(amp|lt|gt|quot|apos)(?![a-zA-Z0-9])", text[place:])
    if known:
        return f"{known[0]} in {fault.around(place)} lacks the semicolon after it: write {known[0]};. {_AGAIN}"
    return f"A bare & stands in {fault.around(place)}. XML needs &amp; instead of it: write &amp; there. {_AGAIN}"


def _name(fault: _Fault) -> str:
    if "EntityRef" in fault.words:
        return _ampersand(fault)
    if "StartTag" in fault.words:
        return _less_than(fault)
    return _tag(fault)


def _less_than(fault: _Fault) -> str:
    return (
        f"A bare < stands in {fault.around(fault.last('<'))}. If it belongs to a text, write &lt; there. If a tag "
        f"begins with it, a letter must follow it. {_AGAIN}"
    )


def _entity(fault: _Fault) -> str:
    (name,) = fault.part("'(.*)'")
    meant = html5.get(f"{name};")
    if meant in (" ", "\u00a0"):
        instead = "write a blank instead of it"
    elif meant is not None and len(meant) == 1:
        instead = instead_of(meant) if unicodedata.category(meant) in ("Pd", "Sm", "Cf") else ""
        instead = instead or f"write &#{ord(meant)}; instead of it"
    else:
        instead = f"if & is meant, write &amp;{name};"
    of_pages = "is a sign of web pages, and XML does not know it" if meant else "is not known in XML"
    return f"&{name}; {of_pages}: {instead}. {_AGAIN}"


def _character(fault: _Fault) -> str:
    text = fault.before + fault.after
    place = fault.last("&")
    (reference,) = re.findall(r"^&#\w*;?", text[place:]) or [""]
    if "CharRef" in fault.words and reference:
        (value,) = fault.part(r"value (\d+)")
        what = f"{named(chr(int(value)))}, " if value and int(value) < 0x110000 else "a character that does not exist, "
        return (
            f"{reference} stands for {what}which XML may not hold. Take it out where it was typed, "
            "and export the file again."
        )
    if not fault.after:
        return f"A character that XML may not hold stands in it. Take it out, and export the file again. {fault.words}"
    before = fault.before.rpartition(">")[2][-20:].strip()
    behind = f" after {quoted(before)}" if before else ""
    return (
        f"{named(fault.after[0])} stands in this line{behind}, and XML may not hold it. Take it out where it was "
        "typed, and export the file again."
    )


def _number(fault: _Fault) -> str:
    place = fault.last("&")
    return f"&# in {fault.around(place)} is not followed by a number. If & is meant, write &amp; there. {_AGAIN}"


def _crossed(fault: _Fault) -> str:
    opened, line, closed = fault.part(r"mismatch: (.*) line (\d+) and (.*)")
    if not closed:
        return _unknown(fault)
    return (
        f"</{closed}> stands where </{opened}> must close the <{opened}> of line {line}. "
        f"Every element is closed by its own name, in the same capital and small letters. {_AGAIN}"
    )


def _quotes(fault: _Fault) -> str:
    return (
        f'The value of an attribute must stand in straight quotation marks, as in id="5"; {_after(fault)} it does not. '
        f"{_AGAIN}"
    )


def _valueless(fault: _Fault) -> str:
    (name,) = fault.part("attribute (.*)")
    return f"In a tag, {name} stands without a value, and the name of an element may hold no blank. {_AGAIN}"


def _twice(fault: _Fault) -> str:
    (name,) = fault.part("Attribute (.*) redefined")
    return f"The attribute {name} stands twice in one tag. Take one of them out, or export the file again."


def _in_attribute(fault: _Fault) -> str:
    return (
        f"A < stands in the value of an attribute, {_after(fault)}. Write &lt; there, or close the quotation marks "
        f"before it. {_AGAIN}"
    )


def _tag(fault: _Fault) -> str:
    return f"A tag is broken {_after(fault)}. A tag is like <DatePaid> or </DatePaid>. {_AGAIN}"


def _after(fault: _Fault) -> str:
    before = fault.before[max(fault.before.rfind("<"), 0) :][-30:]
    odd = f" and before {named(fault.after[0])}" if fault.after and not " " <= fault.after[0] <= "~" else ""
    return f"after {quoted(before)}{odd}"


def _end_of_data(fault: _Fault) -> str:
    return f"]]> stands in {fault.around(len(fault.before))}. Write ]]&gt; there. {_AGAIN}"


def _declaration(fault: _Fault) -> str:
    if "Invalid PI name" in fault.words:
        return f"The declaration at the beginning must be written <?xml, in small letters. {_AGAIN}"
    return (
        "A declaration (<?xml …?>) stands within the file; it may stand at the beginning alone. Most likely two "
        "documents were put into one file: drop each as a file of its own."
    )


def _before_the_beginning(fault: _Fault) -> str:
    if fault.after.startswith("\ufeff"):
        return TWO_MARKS
    return (
        f"The text {quoted(fault.after.strip())} stands before the outermost element. Take it out, or export the file "
        "again."
    )


def _after_the_end(fault: _Fault) -> str:
    rest = fault.after.lstrip("\ufeff").lstrip()
    if rest.startswith("</"):
        return f"{quoted(rest)} stands after the end of the document, and closes nothing. {_AGAIN}"
    if rest.startswith("<"):
        return (
            f"{quoted(rest)} stands after the end of the document. Most likely two documents were put into one file: "
            "drop each as a file of its own."
        )
    odd = fault.after[:1]
    what = named(odd) if odd and not " " <= odd <= "~" else f"The text {quoted(rest)}"
    return f"{what} stands after the end of the document. Take it out, or export the file again."


def _comment(fault: _Fault) -> str:
    return f"In a comment (<!-- … -->), -- stands {_after(fault)}; XML does not allow it. Write - there. {_AGAIN}"


def _prefix(fault: _Fault) -> str:
    (prefix,) = fault.part(r"prefix (\S+)")
    address = _SCHEMA_INSTANCE if prefix == "xsi" else "…"
    if not prefix:
        return f"A name with a colon is not written as XML needs it ({fault.words}). {_AGAIN}"
    return (
        f'The prefix {prefix}: is used, and xmlns:{prefix}="{address}" in the outermost element is missing. '
        "Add it, or export the file again without the prefix."
    )


def _unknown(fault: _Fault) -> str:
    return f"The XML is not well-formed: {fault.words}."


_WORDS: dict[int, Callable[[_Fault], str]] = {
    _Codes.ERR_NAME_REQUIRED: _name,
    _Codes.ERR_ENTITYREF_SEMICOL_MISSING: _ampersand,
    _Codes.ERR_UNDECLARED_ENTITY: _entity,
    _Codes.WAR_UNDECLARED_ENTITY: _entity,
    _Codes.ERR_INVALID_CHAR: _character,
    _Codes.ERR_INVALID_DEC_CHARREF: _number,
    _Codes.ERR_INVALID_HEX_CHARREF: _number,
    _Codes.ERR_TAG_NAME_MISMATCH: _crossed,
    _Codes.ERR_ATTRIBUTE_NOT_STARTED: _quotes,
    _Codes.ERR_ATTRIBUTE_WITHOUT_VALUE: _valueless,
    _Codes.ERR_ATTRIBUTE_REDEFINED: _twice,
    _Codes.ERR_LT_IN_ATTRIBUTE: _in_attribute,
    _Codes.ERR_SPACE_REQUIRED: _tag,
    _Codes.ERR_GT_REQUIRED: _tag,
    _Codes.ERR_MISPLACED_CDATA_END: _end_of_data,
    _Codes.ERR_RESERVED_XML_NAME: _declaration,
    _Codes.ERR_DOCUMENT_EMPTY: _before_the_beginning,
    _Codes.ERR_DOCUMENT_END: _after_the_end,
    _Codes.ERR_HYPHEN_IN_COMMENT: _comment,
    _Codes.NS_ERR_UNDEFINED_NAMESPACE: _prefix,
    _Codes.NS_ERR_QNAME: _prefix,
    _Codes.NS_ERR_COLON: _prefix,
}


def unreadable(error: etree.XMLSyntaxError, data: bytes) -> DocumentError:
    """Return the fault of a document that the parser cannot read.

    Args:
        error: what the parser says.
        data: the document's bytes.
    """
    line, column = error.position
    # The end of libxml2's message repeats the place, which the error has as a number.
    return _fault(error.code, re.sub(r", line \d+, column \d+$", "", error.msg or "unreadable"), line, column, data)


def broken(entry: etree._LogEntry, data: bytes) -> DocumentError:
    """Return the fault of a document that the parser reads, but that is not well-formed.

    Args:
        entry: what the parser says.
        data: the document's bytes.
    """
    return _fault(entry.type, entry.message, entry.line, entry.column, data)


def _fault(code: int, message: str, line: int, column: int, data: bytes) -> DocumentError:
    words = plain(" ".join(message.split()), _LONGEST_WORDS)
    for theirs, ours in _LIMITS.items():
        if theirs in words:
            return DocumentError(ours, line)
    before, after = _surroundings(data, line, column)
    return DocumentError(_WORDS.get(code, _unknown)(_Fault(words, before, after)), line)


def _surroundings(data: bytes, line: int, column: int) -> tuple[str, str]:
    """Return the text of a line before a place and from it on; the parser counts characters from 1."""
    if line < 1 or column < 1:
        return "", ""
    lines, before, left = line - 1, "", column - 1
    for chunk in decoded(data):
        text, start = chunk.decode(), 0
        if lines:
            count = text.count("\n")
            if count < lines:
                lines -= count
                continue
            for _ in range(lines):
                start = text.index("\n", start) + 1
            lines = 0
        here = text[start : start + left]
        before = (before + here)[-_AROUND:]
        left -= len(here)
        if not left or "\n" in here:
            after = text[start + len(here) :][:_AROUND]
            return before.rpartition("\n")[2], after.partition("\n")[0]
    return before, ""
