"""Secrets, and every form in which somebody may write them."""

from __future__ import annotations

import base64
import html
import json
import textwrap
import urllib.parse

KEY = "zQ+8/Kx%7&pässwört-9"
LOGIN = f"acme+public:{KEY}"


def wrapped(text, width=20):
    """Return the Base64 of a text, broken into lines."""
    return "\r\n  ".join(textwrap.wrap(base64.b64encode(text.encode()).decode(), width))


def each(pattern):
    """Return a form that writes every letter by its number."""
    return lambda text: "".join(pattern(letter) for letter in text)


FORMS = {
    "as it is": str,
    "in capitals": str.upper,
    "in small letters": str.lower,
    "in a URL": lambda text: urllib.parse.quote(text, safe=""),
    "in a URL, in small letters": lambda text: urllib.parse.quote(text, safe="").lower(),
    "in a form": urllib.parse.quote_plus,
    "in a URL, all of it": each(lambda letter: "".join(f"%{byte:02x}" for byte in letter.encode())),
    "in a URL, twice": lambda text: urllib.parse.quote(urllib.parse.quote(text, safe=""), safe=""),
    "in JSON": lambda text: json.dumps(text)[1:-1],
    "in JSON, all of it": each(lambda letter: f"\\u{ord(letter):04x}"),
    "in JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "in HTML": html.escape,
    "in HTML, all of it": each(lambda letter: f"&#{ord(letter)};"),
    "in HTML, all of it, in hex": each(lambda letter: f"&#x{ord(letter):X};"),
    "in Base64": lambda text: base64.b64encode(text.encode()).decode(),
    "in Base64 of URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "in Base64, in lines": wrapped,
    "in Base64, in lines, in JSON": lambda text: json.dumps(wrapped(text))[1:-1],
    "in Base64, with blanks": lambda text: " ".join(base64.b64encode(text.encode()).decode()),
    "in Base64 in a URL": lambda text: urllib.parse.quote(base64.b64encode(text.encode()).decode(), safe="").lower(),
}
