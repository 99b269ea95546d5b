"""Names the characters that nobody can see, or that look like others. Pure."""

from __future__ import annotations

import unicodedata

from watcher.plain import plain

_NAMES = {
    "\t": "(a tab)",
    "\n": "(a line break)",
    "\r": "(a carriage return)",
    "\0": "(NUL)",
    "\x1a": "(Ctrl+Z, by which old programs end a file)",
    "\ufeff": "ZERO WIDTH NO-BREAK SPACE (a byte-order mark)",
}
# The longest text of a document that a message quotes whole (characters).
_LONGEST_QUOTE = 40


def shown(text: str) -> str:
    """Return a text of a document as results and the journal show it: one line of at most 41 characters.

    Every such text goes through here, or through ``quoted``, where it is read. So no place that shows it has to ask how
    long it is, or what is in it.
    """
    return plain(text, _LONGEST_QUOTE + 1)


def quoted(text: str) -> str:
    """Return a text of a document as messages show it: as ``shown``, but [U+00A0] stands for what cannot be seen."""
    seen = "".join(letter if letter.isprintable() else f"[U+{ord(letter):04X}]" for letter in text[:_LONGEST_QUOTE])
    return f'"{seen}"' if len(text) <= _LONGEST_QUOTE else f'"{seen}…"'


def named(letter: str) -> str:
    """Return a character's number and name."""
    others = "no character of a text"
    if unicodedata.category(letter) == "Cc":
        meant = _in_windows(letter)
        others = f"a control character; {unicodedata.name(meant)} in windows-1252" if meant else "a control character"
    return f"U+{ord(letter):04X} {_NAMES.get(letter) or unicodedata.name(letter, f'({others})')}"


def _in_windows(letter: str) -> str:
    """Return which character has this number in windows-1252; empty if none has, or none but the control character."""
    meant = bytes([ord(letter)]).decode("cp1252", errors="ignore")
    return meant if meant.isprintable() and meant != letter else ""


def odd_character(text: str) -> str | None:
    """Return in words which character of a text looks like another one or cannot be seen; None if all are plain."""
    for place, letter in enumerate(text, 1):
        if not " " <= letter <= "~":
            instead = instead_of(letter)
            return f"{named(letter)} as its {ordinal(place)} character{f' ({instead})' if instead else ''}"
    return None


def instead_of(letter: str) -> str:
    """Return what to write instead of a character; empty if nobody can know."""
    letter = (_in_windows(letter) or letter) if unicodedata.category(letter) == "Cc" else letter
    category = unicodedata.category(letter)
    if category == "Pd" or letter == "\u2212":
        return "write - instead"
    if category == "Zs":
        return "write a blank, or nothing, instead"
    if category in ("Cc", "Cf", "Zl", "Zp"):
        return "take it out"
    alike = unicodedata.normalize("NFKC", letter)
    if category == "Nd":
        alike = str(unicodedata.digit(letter))
    if len(alike) == 1 and " " < alike <= "~":
        return f"write {alike} instead"
    return "letters are those from A to Z" if letter.isalpha() else ""


def ordinal(number: int) -> str:
    """Return a number as in a row of things: 1st, 2nd, 3rd, 4th."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
