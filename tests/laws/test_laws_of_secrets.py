"""Secrets: whatever they are made of, they are found in any form, in the log too, and no text keeps the search busy."""

from __future__ import annotations

import base64
import io
import json
import logging
import urllib.parse

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import effort
from support.program import restored
from support.secrets import FORMS, KEY, LOGIN

from watcher.events import log as logs
from watcher.events.redaction import redactor


@settings(deadline=None, max_examples=200)
@given(st.text("abcXYZ019 +/=-_.:%&?#\"'\\<>{}äÖ€漢", min_size=8, max_size=30), st.sampled_from([*FORMS.values()]))
def test_any_secret_is_found_in_every_form(secret, form):
    """Whatever letters it is made of."""
    secret = f"Q{secret}9"
    assert redactor([secret])(f"a {form(secret)} z").count("***") == 1


@given(
    # The ends keep it from being a word that the line has anyway.
    secret=st.text("abcXYZ019+/=-_.:%&?\"'\\<>{}äß€漢🔑", min_size=6, max_size=40).map(lambda text: f"Q{text}9"),
    style=st.sampled_from(["json", "console"]),
    encode=st.sampled_from(
        [
            str,
            lambda text: urllib.parse.quote(text, safe=""),
            lambda text: base64.b64encode(text.encode()).decode(),
            lambda text: f"https://host/{urllib.parse.quote(text, safe='')}?q",
        ]
    ),
)
@settings(deadline=None, max_examples=60)
def test_any_secret_is_replaced_in_any_form(secret, style, encode):
    """Whatever characters a secret has, neither it nor an encoded form of it is in the log."""
    stream = io.StringIO()
    with restored():
        logs.set_up("debug", style, [secret], stream)
        structlog.get_logger().info("sent", value=encode(secret))
        logging.getLogger("library").info("sent %s", encode(secret))
    said = stream.getvalue()
    assert said.count("***") == 2
    for form in (encode(secret), json.dumps(encode(secret))[1:-1]):
        assert form not in said


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
