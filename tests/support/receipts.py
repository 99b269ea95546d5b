"""Receipts of a file, as they are published."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from watcher.claim import Claim
from watcher.payments.outcomes import total
from watcher.payments.receipt import receipt

CLAIM = Claim("20160922T123000Z_0a1b2c3d", "payments.xml")
DIGEST = "ab" * 32
DONE = datetime(2016, 9, 22, 12, 30, 5, 123456, tzinfo=UTC)


def written(results, refusal=None, claim=CLAIM):
    """Return a receipt."""
    return b"".join(receipt(claim, DIGEST, DONE, total(results), iter(results), refusal))


def content_of(*results, claim=CLAIM, refusal=None):
    """Return a receipt's content."""
    return json.loads(written(results, refusal, claim))
