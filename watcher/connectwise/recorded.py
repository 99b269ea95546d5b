"""Calls that are remembered with their answers as they came: what a report about a ConnectWise is made of."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import requests
import simplejson

from watcher.connectwise import faults
from watcher.connectwise.http import Account, Gateway
from watcher.connectwise.pace import Pace
from watcher.plain import plain

# What is kept of an answer that is no JSON (characters).
_LONGEST_PAGE = 2000
# How much of ConnectWise's words stands on a line (characters).
_LONGEST_WORDS = 200
# Headers that say something about ConnectWise, by how their names begin.
_TELLING = ("content-type", "api-", "x-cw-", "retry-after", "ratelimit", "x-ratelimit", "x-rate")


@dataclass(frozen=True, slots=True)
class Answered:
    """A call that was answered, whatever the answer was.

    Attributes:
        method, path: of the call; the path is below the API's root, with its query.
        sent: what was sent as JSON; None without a body.
        status: of the answer.
        content: the JSON of the answer, numbers with a point as Decimal; a text if it is no JSON; None without a body.
        milliseconds: how long it took.
        said: ConnectWise's own words if it refused, without secrets.
        headers: those that say something about ConnectWise, by their names in small letters.
    """

    method: str
    path: str
    sent: Any
    status: int
    content: Any
    milliseconds: int
    said: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """True if it is what was asked for."""
        return 200 <= self.status < 300

    @property
    def words(self) -> str:
        """The status, and ConnectWise's own words if it refused."""
        return f'{self.status} "{plain(self.said, _LONGEST_WORDS)}"' if self.said else str(self.status)


class RecordingGateway(Gateway):
    """A gateway that remembers; for one thread.

    Attributes:
        answers: every answer so far, 429s among them.
        calls: how many calls were made, those without an answer among them.
    """

    def __init__(self, account: Account, pace: Pace) -> None:
        super().__init__(account, pace)
        self.answers: list[Answered] = []
        self.calls = 0
        self._root = account.url

    def take(self, other: RecordingGateway) -> None:
        """Take what another gateway remembers as one's own."""
        self.answers += other.answers
        self.calls += other.calls

    def exchange(self, method: str, url: str, body: Any) -> requests.Response:
        """Send one request, and remember its answer."""
        self.calls += 1
        begun = time.monotonic()
        answer = super().exchange(method, url, body)
        took = round((time.monotonic() - begun) * 1000)
        headers = {name.lower(): value for name, value in answer.headers.items() if name.lower().startswith(_TELLING)}
        path = url.removeprefix(self._root)
        # As it went over the wire, and not changed by whoever reads it.
        sent = None if body is None else simplejson.loads(simplejson.dumps(body, use_decimal=True), use_decimal=True)
        content = faults.content(answer)
        if content is None and answer.content:
            content = answer.content[:_LONGEST_PAGE].decode("utf-8", "replace")
        status = answer.status_code
        said = "" if 200 <= status < 300 else faults.words(answer, self._redacted)
        self.answers.append(Answered(method, path, sent, status, content, took, said, headers))
        return answer
