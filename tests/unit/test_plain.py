"""Untrusted text, made safe to show."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.plain import LONGEST, plain, plain_lines

ANYTHING = st.text(st.characters(exclude_categories=()), max_size=300)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zahlung März 共 💶 (1).xml", "Zahlung März 共 💶 (1).xml"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("a\r\nMAINPID=1\x00\x7f", r"a\r\nMAINPID=1\x00\x7f"),
        ("\u202elmx.\u2066a\u200f\u061c", r"\u202elmx.\u2066a\u200f\u061c"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("CW\u200b-1\ufeff\u00a0\u00ad", r"CW\u200b-1\ufeff\xa0\xad"),
        (os.fsdecode(b"m\xfcller.xml"), r"m\udcfcller.xml"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_steers_or_hides_is_shown_as_an_escape(text, shown):
    """Control characters, marks of direction, line separators, invisible characters, bytes that are no text."""
    assert plain(text) == shown
    assert plain(shown) == shown


@given(ANYTHING, st.integers(1, 400))
def test_whatever_the_text_it_is_one_short_line_that_can_be_encoded(text, longest):
    """No text forges a line, is longer than asked for, or ends whoever encodes it."""
    shown = plain(text, longest)
    assert shown.isprintable()
    assert len(shown) <= longest
    shown.encode("utf-8")
    if len(text) <= longest and text.isprintable():
        assert shown == text


def test_a_long_text_is_cut_and_says_so():
    """Also where only its escapes make it too long."""
    assert plain("x" * 7_000_000) == "x" * (LONGEST - 1) + "…"
    assert len(plain("\x1b" * LONGEST)) == LONGEST
    assert plain("\x1b\x1b", 5) == "\\x1b…"


def test_the_caller_s_own_lines_stay():
    """A list that a command prints keeps its lines; each of them is plain."""
    assert plain_lines("one\n  two\x1b\n") == "one\n  two\\x1b\n"
