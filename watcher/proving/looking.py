"""The looks of a proof: they read, and write nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar
from urllib.parse import quote

from watcher.connectwise.client import ConnectWise
from watcher.connectwise.recorded import Answered, RecordingGateway
from watcher.errors import ConnectWiseError, Missing, Outage, Stopping, Unreachable
from watcher.proving import books, lookups
from watcher.proving.facts import Seen, seen
from watcher.proving.findings import Finding, unknown

_NEWEST = 200
_FIELDS = (
    "id,invoiceNumber,type,total,salesTax,downpaymentApplied,previousProgressApplied,payments,credits,balance,currency"
)
# Of so many invoices the payments are listed: with payments, with credits, with nothing paid.
_PAID, _CREDITED, _UNPAID = 20, 5, 5
# So many invoices are read one by one if lists show no balance.
_READ = 5
# Numbers that a condition can hold without doubt.
_PLAIN_NUMBER = re.compile(r"[A-Za-z0-9 \-_./#]{1,15}", re.ASCII)
_LONGEST_NUMBER = 15
# More made-up numbers than fit into a URL.
_MADE_UP = 400
# The largest id that there can be (int32 in OpenAPI).
_NO_INVOICE = 2**31 - 1

Found = TypeVar("Found")


class Looks:
    """Looks at what is there, with the product's calls and with some of its own."""

    def __init__(self, gateway: RecordingGateway, client: ConnectWise, api_version: str) -> None:
        """Make no call yet.

        Args:
            gateway: makes and remembers the calls.
            client: the product's own way to ConnectWise, by the same gateway.
            api_version: the version of the API's models that is asked for.
        """
        self.gateway = gateway
        self.client = client
        self._api_version = api_version
        self._invoices: list[Seen] = []

    def way_in(self) -> str:
        """Return the version of ConnectWise, after the sign-in and the right to read invoices are proved.

        Raises:
            Unreachable, SignInRefused: nothing can be proved.
        """
        version = self._asked(self.client.version)[0]
        self.client.any_invoice_id()
        if version is None:
            # Some versions of ConnectWise answer this only to those signed in.
            version = self.client.version()
        return version

    def where(self) -> str:
        """Return where ConnectWise runs, by what it said of itself; empty if it did not."""
        said = [each.content for each in self.gateway.answers if each.path == "/system/info" and each.is_good]
        cloud = str(said[0].get("isCloud", "")) if said and isinstance(said[0], dict) else ""
        return {"true": "cloud", "false": "on premise"}.get(cloud.lower(), "")

    def findings(self, number: str | None) -> Iterator[Finding]:
        """Look, and yield what is found.

        Args:
            number: of the test invoice; None to take the number of the newest invoice.
        """
        yield lookups.model(self._api_version, self.gateway.answers[-1].headers.get("content-type", ""))
        self._invoices = self._newest()
        usable = [each for each in self._invoices if _PLAIN_NUMBER.fullmatch(each.number)]
        known = number or next((each.number for each in usable), None)
        if known is None:
            yield unknown("found_by_number", "there is no invoice to look for", "run it again once there is one")
        else:
            yield from self._look_ups(known, usable)
        read = self._read_alone()
        yield from books.arithmetic(self._invoices, read)
        whole = {each.id: each for each in read}
        self._invoices = [whole.get(each.id, each) for each in self._invoices]
        yield from self._payments()
        yield self._report()

    def ask(self, path: str) -> Answered:
        """Make a GET that the product does not make; return its answer, whatever it is.

        Raises:
            Unreachable: there is none.
        """
        before = len(self.gateway.answers)
        try:
            self.gateway.once("GET", path)
        except (ConnectWiseError, Outage) as error:
            # 502 to 504 are nobody's answer.
            line_is_down = isinstance(error, Unreachable) and error.scope.is_no_answer
            if isinstance(error, Stopping) or len(self.gateway.answers) == before or line_is_down:
                raise
        return self.gateway.answers[-1]

    def _asked(self, call: Callable[[], Found]) -> tuple[Found | None, str]:
        """Make a call of the product's; return what came of it, or ConnectWise's words if it refused."""
        before = len(self.gateway.answers)
        try:
            return call(), ""
        except (ConnectWiseError, Outage) as error:
            if len(self.gateway.answers) == before or (isinstance(error, Unreachable) and error.scope.is_no_answer):
                raise
            return None, self.gateway.answers[-1].words

    def _newest(self) -> list[Seen]:
        listing = f"/finance/invoices?pageSize={_NEWEST}&fields={_FIELDS}"
        answer = self.ask(f"{listing}&orderBy=id%20desc")
        if not answer.is_good:
            answer = self.ask(listing)
        return seen(answer.content) if answer.is_good else []

    def _look_ups(self, number: str, usable: Sequence[Seen]) -> Iterator[Finding]:
        is_found = self._finds(number, [number])[0]
        yield lookups.alone(is_found)
        made_up = list(_made_up(number, {each.number.casefold() for each in self._invoices}))
        if is_found:
            numbers = (number, *(one.number for one in usable))
            lettered = next((each for each in numbers if each.swapcase() != each), None)
            other_case = None if lettered is None else self._finds(lettered, [lettered.swapcase()])[0]
            yield lookups.by_case(other_case)
            yield self._in_one(number, made_up)
        found, words = self._asked(lambda: self.client.find_invoices(made_up[:1]))
        yield lookups.nobodys_number(words if found is None else None)
        known = next((each.id for each in self._invoices if each.number.casefold() == number.casefold()), 0)
        known = known or next((each.id for each in self._invoices), 0)
        by_id, _ = self._asked(lambda: self.client.find_by_id([known]))
        yield lookups.by_id(bool(by_id))
        odd = self.ask("/finance/invoices?pageSize=1&fields=id&conditions=paymentWatcherUnknown%3D1")
        yield lookups.odd_condition(odd.words, refused=not odd.is_good)
        yield self._no_such_invoice()

    def _finds(self, number: str, asked: Sequence[str]) -> tuple[bool, str]:
        found, words = self._asked(lambda: self.client.find_invoices(asked))
        return number.strip().casefold() in (found or {}), words

    def _in_one(self, number: str, made_up: Sequence[str]) -> Finding:
        group = next(self.client.look_ups([number, *made_up]))
        refused: list[str] = []
        size = len(group)
        while size > 1:
            found, words = self._finds(number, group[:size])
            if found:
                return lookups.in_one(len(group), size, refused)
            if not words:
                # It was answered, and the invoice is not in the answer.
                break
            refused.append(words)
            size //= 2
        return lookups.in_one(len(group), 0, refused)

    def _no_such_invoice(self) -> Finding:
        rows: tuple[object, ...] | None = None
        understood = False
        try:
            rows = self.client.list_payments(_NO_INVOICE)
            understood = not rows
        except Missing:
            understood = True
        except (ConnectWiseError, Outage) as error:
            if isinstance(error, Unreachable) and error.scope.is_no_answer:
                raise
        return lookups.no_such_invoice(self.gateway.answers[-1].words, understood=understood)

    def _read_alone(self) -> list[Seen]:
        """Read a few invoices by their ids, if lists leave something out: those first whose sums may mislead."""
        if all(any(each.shows(name) for each in self._invoices) for name in ("type", "balance", "credits")):
            return []
        names = ("salesTax", "downpaymentApplied", "previousProgressApplied")
        telling = sorted(
            self._invoices,
            key=lambda each: (
                not each.shows("balance") or books.is_plain(each),
                not any(each.amount(name) for name in names),
            ),
        )
        answers = [self.ask(f"/finance/invoices/{each.id}?fields={_FIELDS}") for each in telling[:_READ]]
        return [Seen(answer.content) for answer in answers if answer.is_good and isinstance(answer.content, dict)]

    def _payments(self) -> Iterator[Finding]:
        credited = [each for each in self._invoices if each.credits > 0][:_CREDITED]
        paid = [each for each in self._invoices if each.paid > 0 and each not in credited][:_PAID]
        others = [each for each in self._invoices if each.paid == 0 and each.credits == 0]
        refused: list[tuple[Seen, str]] = []
        looked = [list(self._rows(part, refused)) for part in (paid, credited, others[:_UNPAID])]
        yield from books.rows(looked[0], looked[1], looked[2], refused)

    def _rows(self, invoices: Sequence[Seen], refused: list[tuple[Seen, str]]) -> Iterator[tuple[Seen, list[Seen]]]:
        for invoice in invoices:
            rows, words = self._asked(lambda invoice=invoice: self.client.list_payments(invoice.id))  # type: ignore[misc]
            if rows is None:
                refused.append((invoice, words))
            else:
                yield invoice, seen(self.gateway.answers[-1].content)

    def _report(self) -> Finding:
        answer = self.ask("/system/reports/InvoicePayments?pageSize=1")
        return lookups.report(None if answer.is_good else answer.words, answer.status)


def _made_up(number: str, taken: set[str]) -> Iterator[str]:
    """Yield numbers that no invoice has, of the length of one that is there."""
    width = min(max(len(number), 6), _LONGEST_NUMBER) - 2
    for ordinal in range(_MADE_UP):
        made_up = f"ZX{ordinal:0{width}d}"
        if made_up.casefold() not in taken:
            yield made_up


def about_invoice(number: str) -> str:
    """Return the condition that finds an invoice by its number, quoted."""
    return quote(f'invoiceNumber="{number}"', safe="")
