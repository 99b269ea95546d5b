"""The report of a proof as JSON: the real answers, without what belongs to other invoices or is secret. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from watcher.connectwise.recorded import Answered
from watcher.proving.findings import Finding

_BLACK = "***"
# Names whose values say something about ConnectWise, and nothing about anybody's books.
_SHOWN = frozenset(
    {
        *("code", "message", "resource", "field", "error", "errors", "type", "source", "status", "isClosed", "version"),
        *("isCloud", "cloudRegion", "serverTimeZone", "count", "paymentDate", "paymentSyncStatus", "currencyCode"),
        *("numberOfDecimals", "op", "path"),
    }
)
# Names whose values are shown of the test invoice alone.
_OWN = frozenset(
    {
        *("id", "invoiceNumber", "identifier", "amount", "balance", "invoiceBalance", "invoiceTotal", "total"),
        *("payments", "credits", "subtotal", "salesTax", "downpaymentApplied", "value"),
    }
)
_QUOTED = re.compile(r'"[^"]*"')
_NUMBER = re.compile(r"(?<=/)[0-9]+")
_IDS = re.compile(r"\bin \([0-9,]+\)")
_NO_INVOICE = str(2**31 - 1)


class Blackout:
    """Takes out of answers what is not for others to see."""

    def __init__(
        self, invoice: tuple[int, str] | None, answers: Iterable[Answered], redacted: Callable[[str], str]
    ) -> None:
        """Find out what must not be shown.

        Args:
            invoice: the id and the number of the test invoice; None without one.
            answers: all that came.
            redacted: takes keys and the company out of a text.
        """
        self._id, self._number = invoice or (0, "")
        self._redacted = redacted
        texts = {text for answer in answers for text in _identities(answer.content)} - {self._number, ""}
        # The longest first: a number may be the beginning of another one.
        self._texts = sorted(texts, key=len, reverse=True)

    def of(self, answer: Answered) -> dict[str, Any]:
        """Return an answer as it may be shown."""
        own = self._is_own(answer.path)
        return {
            "method": answer.method,
            "path": self._path(answer.path),
            "sent": self._value(answer.sent, own=own),
            "status": answer.status,
            "milliseconds": answer.milliseconds,
            "headers": {name: self.text(value) for name, value in answer.headers.items()},
            "body": self._value(answer.content, own=own),
        }

    def text(self, text: str) -> str:
        """Return a text without numbers of other invoices, keys and the company."""
        for identity in self._texts:
            if len(identity) > 2:
                text = text.replace(identity, _BLACK)
        return self._redacted(text)

    def _path(self, path: str) -> str:
        place, mark, query = unquote(path).partition("?")
        if not self._is_own(place):
            # 2147483647 is the invoice that cannot be there.
            place = _NUMBER.sub(lambda found: found[0] if found[0] == _NO_INVOICE else _BLACK, place)
        query = _QUOTED.sub(lambda found: found[0] if found[0][1:-1] == self._number else f'"{_BLACK}"', query)
        query = _IDS.sub(f"in ({_BLACK})", query)
        return self._redacted(place + mark + query)

    def _is_own(self, path: str) -> bool:
        """Return True if a path is that of the test invoice, or lies below it."""
        return bool(self._id) and re.match(rf"/finance/invoices/{self._id}(?![0-9])", path) is not None

    def _value(self, value: Any, *, own: bool, name: str = "") -> Any:
        if isinstance(value, Mapping):
            mine = own or bool(self._id and value.get("id") == self._id and "invoiceNumber" in value)
            inner = own and name not in ("company", "billToCompany", "shipToCompany", "_info")
            return {
                self.text(str(key)): self._value(part, own=mine if not name else inner, name=str(key))
                for key, part in value.items()
            }
        if isinstance(value, list):
            return [
                self._value(part, own=own, name="" if isinstance(part, Mapping) else name or "[]") for part in value
            ]
        if value is None or isinstance(value, bool):
            return value
        if name in _SHOWN or (own and name in _OWN):
            return self.text(value) if isinstance(value, str) else _plain(value)
        # An answer that is no JSON is a page of a gateway.
        return self.text(value) if isinstance(value, str) and not name else _BLACK


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value


def _identities(content: Any) -> Iterator[str]:
    """Yield the numbers and names in an answer that tell whose it is."""
    if isinstance(content, Mapping):
        for name, value in content.items():
            if isinstance(value, str) and name in ("invoiceNumber", "identifier", "name", "appliedBy", "updatedBy"):
                yield value
            else:
                yield from _identities(value)
    elif isinstance(content, list):
        for value in content:
            yield from _identities(value)


def finding_as_json(finding: Finding, blackout: Blackout) -> dict[str, Any]:
    """Return a finding as it stands in the report."""
    setting = finding.setting
    return {
        "name": finding.name,
        "verdict": str(finding.verdict),
        "what": blackout.text(finding.what),
        "means": blackout.text(finding.means),
        "setting": None if setting is None else {"key": f"{setting.section}.{setting.key}", "value": setting.value},
    }


def calls_as_json(answers: Sequence[Answered], blackout: Blackout) -> list[dict[str, Any]]:
    """Return every answer as it stands in the report."""
    return [blackout.of(answer) for answer in answers]
