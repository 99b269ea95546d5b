"""Secrets taken out of texts, in whatever form they are written there. Pure."""

from __future__ import annotations

import base64
import functools
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator

# A secret at least so long is replaced inside a longer word, too; a shorter one would take ordinary words apart.
_CERTAIN_LENGTH = 8
# What may stand between two letters of Base64: it is broken into lines, which JSON and Python write as \n or \r.
_BETWEEN = r"(?:\s|\\{1,8}[nrt])*+"
# Without one of these signs, no letter of a text is written by its number, or escaped twice.
_SIGNS = re.compile(r"[%&]|\\[uxUX\\]")


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """Return a function that puts ``***`` in place of the secrets in a text.

    Letter case does not matter. It has to come before a text is cut: half a secret is not recognized.

    Args:
        secrets: texts that must never appear, in any encoding the program sends or logs them in.
    """
    known = [each for each in dict.fromkeys(secrets) if each]
    plain = sorted({form.lower() for each in known for form in _forms(each)}, key=len, reverse=True)
    packed = sorted({form.lower() for each in known for form in _packed(each)}, key=len, reverse=True)
    small = {each.lower() for each in known}
    patterns = [_whole(re.escape(form), form) for form in plain]
    patterns += [_whole(_BETWEEN.join(map(re.escape, form)), form) for form in packed]
    # Whatever the credentials are, what follows the scheme of an Authorization header is one.
    patterns.append(r"(?<=basic )[a-z0-9+/=]{8,}")
    secret = re.compile("|".join(patterns))

    @functools.cache
    def numbered() -> re.Pattern[str]:
        """Return the pattern of secrets whose letters are written by their numbers. It is large, and rarely needed."""
        forms = sorted({*small, *packed}, key=len, reverse=True)
        return re.compile("|".join(_whole("".join(map(_spelled, form)), form) for form in forms) or "(?!)")

    def redacted(text: str) -> str:
        text = _without(secret, text)
        return _without(numbered(), text) if _SIGNS.search(text) else text

    return redacted


def _without(pattern: re.Pattern[str], text: str) -> str:
    """Return a text with ``***`` in place of what matches in small letters.

    A pattern that ignores letter case would take ten times as long.
    """
    small = text.lower()
    if len(small) != len(text):
        # A few capital letters are two small ones.
        small = "".join(letter if len(letter.lower()) != 1 else letter.lower() for letter in text)
    parts: list[str] = []
    start = 0
    for found in pattern.finditer(small):
        parts += (text[start : found.start()], "***")
        start = found.end()
    return "".join((*parts, text[start:])) if parts else text


def _whole(pattern: str, form: str) -> str:
    """Return the pattern of a form; a short one is looked for as a whole word."""
    return pattern if len(form) >= _CERTAIN_LENGTH else rf"(?<!\w){pattern}(?!\w)"


def _forms(secret: str) -> Iterator[str]:
    """Yield the forms of a secret: as it is, in JSON, in Python, in a URL."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    # Python chooses the other quotes if the rest of the text asks for it.
    yield repr(f"{secret}'\"")[1:-4]
    yield urllib.parse.quote(secret, safe="")
    yield urllib.parse.quote_plus(secret)


def _packed(secret: str) -> Iterator[str]:
    """Yield the forms of a secret in Base64, without the padding."""
    content = secret.encode(errors="surrogatepass")
    yield base64.b64encode(content).decode().rstrip("=")
    yield base64.urlsafe_b64encode(content).decode().rstrip("=")


def _spelled(letter: str) -> str:
    """Return a pattern for a letter, as it is or by the number of its small or its capital form."""
    forms = [rf"\\{{0,8}}{re.escape(letter)}"]
    for written in dict.fromkeys((letter, letter.upper())):
        forms += _by_number(written) if len(written) == 1 else ()
    if letter in _ENTITIES:
        forms.append(rf"&(?:amp;){{0,4}}{_ENTITIES[letter]};")
    if letter == " ":
        forms.append(r"\+")
    return f"(?:{'|'.join(forms)})"


def _by_number(letter: str) -> Iterator[str]:
    """Yield patterns for a letter by its number: in a URL, in JSON, in Python, in HTML.

    Each repetition in them is bounded: otherwise a long run of backslashes would be looked through from each of them.
    """
    number = ord(letter)
    yield "".join(f"%(?:25){{0,4}}{byte:02x}" for byte in letter.encode(errors="surrogatepass"))
    units = letter.encode("utf-16-be", errors="surrogatepass").hex()
    yield "".join(rf"\\{{1,8}}u{units[place : place + 4]}" for place in range(0, len(units), 4))
    if number < 256:
        yield rf"\\{{1,8}}x{number:02x}"
    yield rf"\\{{1,8}}u{number:08x}"
    yield rf"&\#0{{0,8}}{number};"
    yield rf"&\#x0{{0,8}}{number:x};"


_ENTITIES = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
