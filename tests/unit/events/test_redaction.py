"""Secrets are found in whatever form they are written, and before a text is cut."""

from __future__ import annotations

import base64
import html
import json
import re
import textwrap
import urllib.parse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import effort

from watcher.events.redaction import redactor

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


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("secret", [KEY, LOGIN], ids=["key", "login"])
def test_secret_is_found_in_every_form(form, secret):
    """Whoever repeats it may write it in another way than it was sent."""
    said = redactor([LOGIN, KEY])(f'the page says "{form(secret)}" and ends')
    assert re.fullmatch(r'the page says "[\\" ]*\*\*\*(=|%3d|[\\" ])*" and ends', said)


@settings(deadline=None, max_examples=200)
@given(st.text("abcXYZ019 +/=-_.:%&?#\"'\\<>{}äÖ€漢", min_size=8, max_size=30), st.sampled_from([*FORMS.values()]))
def test_any_secret_is_found_in_every_form(secret, form):
    """Whatever letters it is made of."""
    secret = f"Q{secret}9"
    assert redactor([secret])(f"a {form(secret)} z").count("***") == 1


def test_text_without_a_secret_is_left_as_it_is():
    """Words that share their letters with a secret stay."""
    text = "100% of CW-1 & CW-2, \\u00e9, İstanbul, Basic idea: acme and public; zQ+8"
    assert redactor([LOGIN, KEY])(text) == text
    assert redactor([])(text) == text


def test_words_around_a_secret_keep_their_letter_case():
    """Only the secret goes, also where the text has letters that are two in small."""
    assert redactor([KEY])(f"İ Ab {KEY.upper()} Cd İ {KEY} Ef") == "İ Ab *** Cd İ *** Ef"


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_authorization_is_taken_out_whatever_it_holds(scheme):
    """The credentials of others, a proxy's among them, are no business of the log's."""
    assert redactor([])(f"Proxy-Authorization: {scheme} c3ZjOldpbnRlcg==").endswith(f"{scheme} ***")


@pytest.mark.parametrize(
    "piece", ["%", "%5", "\\u00", "&#0", "\\", "%25", " ", "zQ+8/Kx%7&", "enEr ", "\\n", "&amp;", "0"]
)
def test_time_is_linear_in_the_text(piece):
    """No text, however hostile, keeps the log busy."""
    redacted = redactor([LOGIN, KEY, "0" * 30])
    text = piece * (200_000 // len(piece))
    with effort() as spent:
        redacted(f"&{text}")
    assert spent.pieces < 300
