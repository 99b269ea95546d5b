"""What it means that ConnectWise answers nothing but 429 (too many requests). Pure.

Each 429 is waited out, and the call is made again. That is no outage as long as other answers come in between. If none
comes, payments wait as they do in an outage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watcher.events.catalogue import Event

REASON = "ConnectWise answers every call with 429 (too many requests)"
MEND = "Find out what else makes calls to ConnectWise for this company, or lower connectwise.requests_per_minute"

_TOO_MANY_REQUESTS = 429


def is_over(event: str, keys: Mapping[str, Any]) -> bool:
    """Return True if an event shows that ConnectWise gives other answers than 429; its own trouble (5xx) is none."""
    if event != Event.CONNECTWISE_REQUEST:
        return False
    status = keys["status"]
    return status is not None and status < 500 and status != _TOO_MANY_REQUESTS
