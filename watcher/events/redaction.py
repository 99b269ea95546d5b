"""Secrets taken out of texts, in whatever form they are written there. Pure."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable

# A secret at least so long is replaced inside a longer word, too; a shorter one would take ordinary words apart.
_CERTAIN_LENGTH = 8


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """Return a function that puts ``***`` in place of the secrets in a text.

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
    """Yield the forms of a secret: as it is, in JSON, in Python, in a URL, in Base64."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    # Python chooses the other quotes if the rest of the text asks for it.
    yield repr(f"{secret}'\"")[1:-4]
    yield urllib.parse.quote(secret, safe="")
    yield urllib.parse.quote_plus(secret)
    yield base64.b64encode(secret.encode()).decode()
