"""Secrets are found in whatever form they are written, and before a text is cut."""

from __future__ import annotations

import re

import pytest
from support.secrets import FORMS, KEY, LOGIN

from watcher.events.redaction import redactor


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("secret", [KEY, LOGIN], ids=["key", "login"])
def test_secret_is_found_in_every_form(form, secret):
    """Whoever repeats it may write it in another way than it was sent."""
    said = redactor([LOGIN, KEY])(f'the page says "{form(secret)}" and ends')
    assert re.fullmatch(r'the page says "[\\" ]*\*\*\*(=|%3d|[\\" ])*" and ends', said)


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
