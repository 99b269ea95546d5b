"""Untrusted text, made safe to show: names of files, values of documents, ConnectWise's words. Pure.

Whatever shows such a text to people sends it through here: the terminal, the log in its form for people, systemd,
messages, and the health check.
"""

from __future__ import annotations

# The most characters of one text that are shown. A file's name is shorter, even if all its bytes are escaped.
LONGEST = 2000


def plain(text: str, longest: int = LONGEST) -> str:
    r"""Return a text as one line that steers no terminal and forges no other line.

    An escape such as ``\x1b`` or ``\u202e`` stands in place of each control character (C0 and C1), mark of writing
    direction, invisible character, line separator, and byte of a file name that is no text.

    Args:
        text: from outside.
        longest: the most characters that are returned. Of a longer text the beginning is returned, and … after it.
    """
    if len(text) <= longest and text.isprintable():
        return text
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text[:longest])
    if len(text) <= longest and len(shown) <= longest:
        return shown
    return f"{shown[: longest - 1]}…"


def plain_lines(text: str) -> str:
    """Return a text of several lines, each of them plain. The caller has made the lines."""
    return "\n".join(plain(line) for line in text.split("\n"))
