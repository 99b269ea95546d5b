"""Documents are read in the encoding in which they are written, or refused in plain words."""

from __future__ import annotations

import codecs
from datetime import date
from decimal import Decimal

import pytest
from support.markup import GOOD, RECORD, ROOT, only, result, rooted

from watcher.documents.reading import read
from watcher.documents.unfinished import unfinished
from watcher.documents.writing import write_results
from watcher.errors import DocumentError
from watcher.payments.model import Payment

# How a document is encoded, with which byte-order mark, and what its declaration says of it.
ENCODED = [
    ("utf-8", b"", None),
    ("utf-8", b"", "utf-8"),
    ("utf-8", b"", "UTF8"),
    ("utf-8", codecs.BOM_UTF8, None),
    ("utf-8", codecs.BOM_UTF8, "UTF-8"),
    ("utf-16-le", codecs.BOM_UTF16_LE, None),
    ("utf-16-le", codecs.BOM_UTF16_LE, "utf-16"),
    ("utf-16-le", codecs.BOM_UTF16_LE, "utf-16LE"),
    ("utf-16-be", codecs.BOM_UTF16_BE, None),
    ("utf-16-be", codecs.BOM_UTF16_BE, "UTF-16"),
    ("utf-16-le", b"", "utf-16"),
    ("utf-16-be", b"", None),
    ("iso-8859-1", b"", "ISO-8859-1"),
    ("iso-8859-15", b"", "iso-8859-15"),
    ("windows-1252", b"", "Windows-1252"),
    ("windows-1252", b"", "cp1252"),
    ("ascii", b"", "US-ASCII"),
]


@pytest.mark.parametrize("before", ["", "\r\n", "\n  \t\n"], ids=["at once", "after a line", "after blanks"])
@pytest.mark.parametrize(
    ("encoding", "mark", "declared"), ENCODED, ids=lambda value: value.hex() if isinstance(value, bytes) else str(value)
)
def test_document_is_read_in_the_encoding_that_its_bytes_or_its_declaration_name(encoding, mark, declared, before):
    """The same document in another encoding gives the same payments, lines and UTF-8 results."""
    name = "Zoe" if encoding == "ascii" else "Zo\u00eb"
    markup = GOOD.replace(f"</{RECORD}>", f"<Memo>{name}</Memo></{RECORD}>")
    declaration = f"<?xml version='1.0'\nencoding=\"{declared}\" ?>\n" if declared else ""
    content = mark + f"{before}{declaration}<{ROOT}>{markup}</{ROOT}>".encode(encoding)

    line = 1 + (before + declaration).count("\n")
    assert only(content) == Payment(0, line, "CW-1", Decimal("346.34"), date(2016, 9, 22))
    assert unfinished(content) is None
    success, _ = write_results(content, [result(0)])
    assert success.startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    assert f"<Memo>{name}</Memo>".encode() in success


@pytest.mark.parametrize(
    ("declared", "encoding", "mark", "named"),
    [
        ("utf-16", "utf-8", b"", "one byte a character"),
        ("utf-16", "utf-8", codecs.BOM_UTF8, "UTF-8"),
        ("windows-1252", "utf-8", codecs.BOM_UTF8, "UTF-8"),
        ("utf-8", "utf-16-le", codecs.BOM_UTF16_LE, "UTF-16-LE"),
        ("iso-8859-1", "utf-16-be", b"", "UTF-16-BE"),
        ("utf-16be", "utf-16-le", codecs.BOM_UTF16_LE, "UTF-16-LE"),
    ],
)
def test_declaration_that_the_first_bytes_contradict_is_refused(declared, encoding, mark, named):
    """Nobody can tell which of the two is wrong, so the message names both."""
    content = mark + f"\n<?xml version='1.0' encoding='{declared}'?>{rooted(GOOD).decode()}".encode(encoding)

    with pytest.raises(DocumentError) as caught:
        read(content)

    assert caught.value.line == 2
    assert f'The declaration says encoding="{declared}"' in caught.value.problem
    assert f"written in {named}" in caught.value.problem
    assert unfinished(content) is None


@pytest.mark.parametrize(
    ("declared", "byte"),
    [
        (None, b"\xe9"),
        ("utf-8", b"\xe9"),
        ("us-ascii", b"\xc3\xa9"),
        ("windows-1252", b"\x81"),
        ("utf-8", b"\xed\xa0\x80"),
    ],
    ids=["nothing declared", "utf-8", "ascii", "windows-1252", "half a character"],
)
def test_byte_that_is_no_character_of_the_declared_encoding_is_refused_with_its_line(declared, byte):
    """A name in the wrong encoding is never turned into another name."""
    declaration = f"<?xml version='1.0' encoding='{declared}'?>\n" if declared else "\n"
    content = declaration.encode() + rooted(f"\n<{RECORD}><Memo>@</Memo></{RECORD}>").replace(b"@", byte)

    with pytest.raises(DocumentError, match=f"byte 0x{byte.hex().upper()[:2]} is no character of") as caught:
        read(content)

    assert caught.value.line == 3
    assert unfinished(content) is None


@pytest.mark.parametrize(
    ("mark", "declaration", "source"),
    [
        (b"", b"<?xml version='1.0' encoding='utf-8'?>", "that the file's declaration names"),
        (codecs.BOM_UTF8, b"<?xml version='1.0'?>", "that the file's first bytes show"),
        (b"", b"<?xml version='1.0'?>", "of files that name no other"),
    ],
    ids=["declaration", "byte-order mark", "neither"],
)
@pytest.mark.parametrize("blanks", [0, 100_000], ids=["at the start", "far down"])
def test_byte_that_is_no_character_is_refused_with_how_the_encoding_is_known(mark, declaration, source, blanks):
    """The message says where to look for the wrong encoding, however far down the byte stands."""
    content = mark + declaration + rooted(" " * blanks + "@").replace(b"@", b"\xe9")

    with pytest.raises(DocumentError, match=f"no character of UTF-8, the encoding {source}"):
        read(content)


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-le", "utf-32-be"])
def test_utf_32_is_refused_by_its_name(encoding):
    """The message names the encoding that cannot be read."""
    with pytest.raises(DocumentError, match="UTF-32"):
        read(rooted(GOOD).decode().encode(encoding))
