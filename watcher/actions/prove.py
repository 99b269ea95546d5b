"""Prove on a user's own ConnectWise what this program assumes: the order of it, from the first look to the clean-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

from watcher.connectwise.changing import Ways
from watcher.connectwise.client import ConnectWise
from watcher.connectwise.http import Account
from watcher.connectwise.pace import Pace
from watcher.connectwise.recorded import RecordingGateway
from watcher.errors import (
    ConfigurationError,
    Fault,
    Missing,
    PaymentWatcherError,
    Rejection,
    Scope,
    SignInRefused,
    Unreachable,
)
from watcher.journal.database import opened
from watcher.journal.history import History
from watcher.lifetime import Lifetime
from watcher.proving import answers, fitness
from watcher.proving.cleaning import Left, clean_up
from watcher.proving.facts import Seen, seen
from watcher.proving.findings import Finding
from watcher.proving.looking import Looks
from watcher.proving.notes import Noted, Notes
from watcher.proving.trying import Ask, Trial
from watcher.proving.writing import TestInvoice

# About so many calls are made with a test invoice.
CALLS = 80
# What a gateway answers if ConnectWise is too slow, or does not answer.
_GATEWAYS = (502, 503, 504)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a proof is made.

    Attributes:
        account: the ConnectWise, and who asks.
        ways: how payments are changed, by the configuration.
        requests_per_minute: never more calls than this.
        folder: the state folder, which exists.
        journal: the URL of the journal.
        new_lifetime: makes what the clean-up lives in: being asked to end does not end it.
    """

    account: Account
    ways: Ways
    requests_per_minute: float
    folder: Path
    journal: str
    new_lifetime: Callable[[], Lifetime] = Lifetime

    def gateway(self, lifetime: Lifetime) -> RecordingGateway:
        """Return a way to ConnectWise that remembers its calls."""
        return RecordingGateway(self.account, Pace(self.requests_per_minute, lifetime))


@dataclass(frozen=True, slots=True)
class Chosen:
    """The invoice that is to be used.

    Attributes:
        id, number: its id, and its number as ConnectWise writes it.
        company: its company's name.
        total, balance: its amounts.
    """

    id: int
    number: str
    company: str
    total: Decimal
    balance: Decimal | None


@dataclass(slots=True)
class Proof:
    """What a proof came to, also if it broke off.

    Attributes:
        version: of ConnectWise; empty before it is known.
        where: ``cloud`` or ``on premise``; empty if ConnectWise does not say.
        findings: what was found.
        noted: what was noted of the test invoice before the clean-up; None without one.
        left: how the test invoice was left; None without one, or if nobody knows.
        broken_off: why the proof ended early; None if it is whole.
    """

    version: str = ""
    where: str = ""
    findings: list[Finding] = field(default_factory=list)
    noted: Noted | None = None
    left: Left | None = None
    broken_off: PaymentWatcherError | None = None


def tidy(place: Place, lifetime: Lifetime) -> Left | None:
    """Remove what an earlier proof left on its invoice, if it was killed.

    Args:
        place: where the proof was made.
        lifetime: of this process.

    Returns:
        How the invoice is now; None if nothing was left.

    Raises:
        ConfigurationError: the notes cannot be read, or are about another ConnectWise.
        Unreachable, SignInRefused: ConnectWise cannot be asked.
    """
    notes = Notes(place.folder)
    noted = notes.left_over()
    if noted is None:
        return None
    if (noted.site, noted.company) != (place.account.url, place.account.company):
        problem = f"a proof on company {noted.company} at {noted.site} was killed, and this is another ConnectWise"
        mend = f"Run prove with that configuration once. It left a payment on invoice {noted.invoice_number} there."
        raise ConfigurationError((Fault(str(notes.path), problem, mend),))
    return clean_up(ConnectWise(place.gateway(lifetime), place.ways), notes, lifetime, last=True)


def choose(place: Place, looks: Looks, number: str) -> Chosen:
    """Return the invoice of a number, if it may be used.

    Args:
        place: where the proof is made.
        looks: the way to ConnectWise.
        number: as the user typed it.

    Raises:
        PaymentWatcherError: it may not; nothing was written.
    """
    found = looks.client.find_invoices([number]).get(number.strip().casefold(), [])
    whole = [_whole(looks, invoice.id) for invoice in found]
    rows: list[Seen] = []
    if len(whole) == 1:
        rows = _rows(looks, number, whole[0].id)
    if not found and not looks.client.finds_what_is_there():
        raise PaymentWatcherError(
            f"ConnectWise finds no invoice {number}, and no other one that is there: its search does not work. "
            "Nothing was written. Run prove without --invoice: it says what is wrong."
        )
    refused = fitness.refusal(number, whole, rows) or _in_work(place.journal, number, [each.id for each in whole])
    if refused is not None:
        raise PaymentWatcherError(f"{refused} Nothing was written. Take a throw-away invoice that nobody has paid.")
    (invoice,) = whole
    total, company = invoice.amount("total"), invoice.raw.get("company")
    assert total is not None
    name = str(company.get("name") or "") if isinstance(company, dict) else ""
    return Chosen(invoice.id, invoice.number or number, name, total, invoice.amount("balance"))


def prove(place: Place, looks: Looks, lifetime: Lifetime, chosen: Chosen | None, ask: Ask) -> Iterator[Proof]:
    """Prove, and yield the proof whenever there is more of it. It always cleans up, and raises nothing after it began.

    Args:
        place: where the proof is made.
        looks: the way to ConnectWise.
        lifetime: of this process.
        chosen: the test invoice; None to read only.
        ask: asks a person what a screen shows.
    """
    proof = Proof()
    try:
        proof.version = looks.way_in()
        proof.where = looks.where()
        for finding in looks.findings(None if chosen is None else chosen.number):
            proof.findings.append(finding)
            yield proof
    except PaymentWatcherError as error:
        proof.broken_off = error
    if chosen is not None and proof.broken_off is None:
        yield from _write(place, looks, lifetime, chosen, ask, proof)
    yield proof


def _write(place: Place, looks: Looks, lifetime: Lifetime, chosen: Chosen, ask: Ask, proof: Proof) -> Iterator[Proof]:
    account, notes = place.account, Notes(place.folder)
    try:
        notes.begin(Noted(account.url, account.company, chosen.id, chosen.number, chosen.total, chosen.balance))
        proof.noted = notes.noted
        invoice = TestInvoice(looks.gateway, place.ways, notes, lifetime)
        trial = Trial(invoice, looks, place.ways, lifetime, ask, date.today())  # noqa: DTZ011  (the user's own day)
        for finding in trial.findings():
            proof.findings.append(finding)
            yield proof
    except PaymentWatcherError as error:
        proof.broken_off = error
        proof.findings += _of_breaking_off(error, looks, notes)
        # Whoever listens can say that the clean-up takes a while.
        yield proof
    finally:
        _tidy(place, looks, notes, proof)


def _of_breaking_off(error: PaymentWatcherError, looks: Looks, notes: Notes) -> Iterator[Finding]:
    """Yield what it shows that the writes were broken off."""
    last = looks.gateway.answers[-1]
    if isinstance(error, SignInRefused) and error.scope is Scope.REFUSED:
        yield answers.not_allowed(last.method, last.words)
    elif isinstance(error, Unreachable) and notes.noted.sending is not None:
        yield answers.lost(str(error), by_gateway=last.method == "POST" and last.status in _GATEWAYS)


def _tidy(place: Place, looks: Looks, notes: Notes, proof: Proof) -> None:
    """Remove every test payment, whatever came before."""
    lifetime = place.new_lifetime()
    gateway = place.gateway(lifetime)
    try:
        proof.noted = notes.left_over()
        if proof.noted is not None:
            proof.left = clean_up(ConnectWise(gateway, place.ways), notes, lifetime, last=False)
    except PaymentWatcherError as error:
        proof.broken_off = proof.broken_off or error
        # What was found meanwhile counts.
        proof.noted = notes.left_over() or proof.noted
    looks.gateway.take(gateway)


def _rows(looks: Looks, number: str, invoice_id: int) -> list[Seen]:
    """Return the payment rows of the invoice that is to be used."""
    try:
        looks.client.list_payments(invoice_id)
    except (Rejection, SignInRefused, Unreachable) as error:
        if error.scope.is_no_answer and not isinstance(error, Rejection):
            raise
        said = f"The payments of invoice {number} cannot be listed, and nothing was written: {error}"
        if isinstance(error, SignInRefused):
            mend = "Give the API member's role Finance > Accounting Interface: Inquire All"
            raise SignInRefused(said, mend, error.request_id) from error
        raise PaymentWatcherError(f"{said.rstrip('.')}. Take another throw-away invoice.") from error
    return seen(looks.gateway.answers[-1].content)


def _whole(looks: Looks, invoice_id: int) -> Seen:
    try:
        looks.gateway.get(f"/finance/invoices/{invoice_id}")
    except Missing:
        return Seen({"id": invoice_id})
    content = looks.gateway.answers[-1].content
    return Seen(content if isinstance(content, dict) else {"id": invoice_id})


def _in_work(journal: str, number: str, ids: list[int]) -> str | None:
    """Return which file in work is about an invoice, in a sentence; None if there is none."""
    with opened(journal) as database:
        if database is None:
            return None
        history = History(database)
        for file in history.in_work():
            attempts = [each for each in history.attempts(file.claim.id) if each.claim == file.claim.id]
            # An invoice may be given by an id that could not be looked up yet.
            unknown = any(not each.invoice_number and each.outcome == "waiting" for each in attempts)
            if unknown or not file.records:
                return f"{file.claim.name} is in work, and its invoices are not known yet: try again once it is done."
            if any(
                each.invoice_number.casefold() == number.strip().casefold() or each.invoice_id in ids
                for each in attempts
            ):
                return f"{file.claim.name} is in work and pays invoice {number}."
    return None
