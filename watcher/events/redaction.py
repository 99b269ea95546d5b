"""Secrets taken out of texts, in whatever way they may be written there. Pure."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable

# From this length on a secret is replaced even inside a longer word; a shorter one would take ordinary words apart.
_CERTAIN_LENGTH = 8


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """Give a function that replaces secrets in a text by ``***``.

    Args:
        secrets: texts that must never appear, in any encoding the program sends or logs them in.
    """
    forms = sorted({form for secret in secrets if secret for form in _forms(secret)}, key=len, reverse=True)
    patterns = [
        re.escape(form) if len(form) >= _CERTAIN_LENGTH else rf"(?<!\w){re.escape(form)}(?!\w)" for form in forms
    ]
    # Whatever the credentials are, what follows the scheme of an Authorization header is one.
    patterns.append(r"(?<=Basic )[A-Za-z0-9+/=]{8,}")
    secret = re.compile("|".join(patterns))
    return lambda text: secret.sub("***", text)


def _forms(secret: str) -> Iterable[str]:
    """The ways a secret may be written: as it is, in JSON, in Python, in a URL, in Base64."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    # Python's other choice of quotes, which depends on what else stands in the text.
    yield repr(f"{secret}'\"")[1:-4]
    yield urllib.parse.quote(secret, safe="")
    yield urllib.parse.quote_plus(secret)
    yield base64.b64encode(secret.encode()).decode()
