"""``prove``: what the program assumes, tried on the user's own ConnectWise."""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

import watcher
from watcher.actions import prove as action
from watcher.actions.prove import CALLS, Chosen, Place, Proof
from watcher.assembly.connectwise import account_of, secrets_of, ways_of
from watcher.cli import identity
from watcher.cli.console import show_sentences
from watcher.cli.exits import UNUSABLE
from watcher.cli.init import make_folder
from watcher.config import load as config
from watcher.config.settings import Settings
from watcher.connectwise.client import ConnectWise
from watcher.disk.durable import write_whole
from watcher.disk.lock import holding, lock_file
from watcher.errors import PaymentWatcherError, Stopping
from watcher.events import log
from watcher.events.redaction import redactor
from watcher.lifetime import Lifetime
from watcher.payments.model import money
from watcher.plain import plain
from watcher.proving import fitness, proved
from watcher.proving.findings import Finding, Setting, exit_status, rules_of, settled, suggested
from watcher.proving.looking import Looks
from watcher.proving.report import Blackout, calls_as_json, finding_as_json

# A proof makes no more calls than this in a minute, whatever the configuration allows.
_REQUESTS_PER_MINUTE = 60.0
# How often a wait for an answer is interrupted to see if the process is to end (seconds).
_LOOK_SECONDS = 0.2


class NotConfirmed(PaymentWatcherError):
    """The user did not type the number of the invoice again."""


def prove(
    config_file: Path | None,
    number: str | None,
    report: Path | None,
    *,
    yes: bool,
    requests_per_minute: float = _REQUESTS_PER_MINUTE,
    new_lifetime: Callable[[], Lifetime] = Lifetime,
) -> int:
    """Prove what the program assumes, and print what was found.

    Args:
        config_file: the configuration file that was named; None if none was.
        number: of the throw-away invoice; None to read only.
        report: the file that gets the report as JSON; None for none.
        yes: ask nothing.
        requests_per_minute: never more calls than this.
        new_lifetime: makes the lifetimes of this process and of its clean-up.

    Returns:
        The exit status.

    Raises:
        PaymentWatcherError: the proof could not be made, or not to its end.
    """
    path = identity.configuration(config_file)
    settings = identity.work_as_company(config.load(path, folders=False))
    log.set_up("error", settings.logging.format, secrets_of(settings))
    journal = settings.journal
    make_folder(journal.path.parent)
    lifetime = new_lifetime()
    lifetime.catch_signals()
    pace = min(requests_per_minute, settings.connectwise.requests_per_minute)
    place = Place(account_of(settings), ways_of(settings), pace, journal.path.parent, journal.url, new_lifetime)
    with holding(lock_file(place.folder / "prove.state")):
        if (left := action.tidy(place, lifetime)) is not None:
            show_sentences(["An earlier proof had not ended. It is cleaned up now.", *left.sentences])
            if left.own:
                return UNUSABLE
        if report is not None:
            # A file that cannot be written is told before the proof, and not after it.
            write_whole(report, b"{}\n")
        return _prove(settings, place, lifetime, number, report, yes=yes)


def _prove(
    settings: Settings, place: Place, lifetime: Lifetime, number: str | None, report: Path | None, *, yes: bool
) -> int:
    begun = time.monotonic()
    gateway = place.gateway(lifetime)
    looks = Looks(gateway, ConnectWise(gateway, place.ways), settings.connectwise.api_version)
    chosen = None if number is None else action.choose(place, looks, number)
    if chosen is not None:
        _confirm(chosen, place.requests_per_minute, lifetime, yes=yes)

    def ask(question: str) -> bool | None:
        return None if yes else _is_yes(question, lifetime)

    chosen_settings = _chosen(settings)
    shown, told = 0, False
    proof = Proof()
    for proof in action.prove(place, looks, lifetime, chosen, ask):
        if proof.broken_off is not None and proof.noted is not None and not told:
            told = True
            number, seconds = proof.noted.invoice_number, place.account.timeout_seconds
            typer.echo(
                f"Broken off. Test payments are being removed from invoice {plain(number)} now. After a lost "
                f"answer this takes {seconds:.0f} seconds or more ...",
                err=True,
            )
        new = settled(proof.findings[shown:], chosen_settings)
        show_sentences(f"  {each.verdict:<8} {each.sentence}" for each in new)
        shown = len(proof.findings)
    findings = settled(proof.findings, chosen_settings)
    show_sentences(_ending(proof, findings, looks, time.monotonic() - begun, settings.connectwise.company))
    if report is not None:
        content = _report(settings, proof, findings, chosen, looks)
        write_whole(report, (json.dumps(content, indent=2) + "\n").encode())
    if proof.broken_off is not None:
        raise proof.broken_off
    proved.remember(place.folder, _remembered(proof, findings, whole=chosen is not None))
    unclean = proof.left is not None and not proof.left.is_clean
    return UNUSABLE if unclean else exit_status(findings)


def _confirm(chosen: Chosen, requests_per_minute: float, lifetime: Lifetime, *, yes: bool) -> None:
    """Say what is about to happen, and have the number typed again.

    Raises:
        NotConfirmed: something else was typed.
    """
    company = f" of {chosen.company}" if chosen.company else ""
    show_sentences(
        [
            f"Test invoice {chosen.number}{company}, total {money(chosen.total)}.",
            f"About {CALLS} requests, at most {requests_per_minute:.0f} a minute.",
            "Payments are made, changed and removed on this invoice, and on no other. All are removed in the end.",
        ]
    )
    if yes:
        return
    typed = _typed("Type the number of the invoice again to begin: ", lifetime)
    if typed.strip().casefold() != chosen.number.strip().casefold():
        raise NotConfirmed(f'"{plain(typed.strip(), 40)}" is not {chosen.number}. Nothing was written.')


def _is_yes(question: str, lifetime: Lifetime) -> bool | None:
    while True:
        typed = _typed(f"  look     {question} [y/n] ", lifetime)
        if not typed:
            return None
        if (answer := typed.strip().lower()[:1]) in ("y", "n"):
            return answer == "y"


def _typed(prompt: str, lifetime: Lifetime) -> str:
    """Return the line that the user types; nothing if there is nobody to ask.

    Raises:
        Stopping: the process is asked to end meanwhile.
    """
    typer.echo(plain(prompt), nl=False)
    sys.stdout.flush()
    if sys.stdin.isatty():
        # A signal does not end the read of a line.
        while not select.select([sys.stdin], [], [], _LOOK_SECONDS)[0]:
            if lifetime.ending:
                typer.echo("")
                raise Stopping("asked to end at a question")
    line = sys.stdin.readline()
    if not sys.stdin.isatty():
        typer.echo("")
    return line


def _chosen(settings: Settings) -> list[Setting]:
    """Return what the configuration has of the settings that a proof may suggest."""
    section = settings.connectwise
    return [
        Setting("connectwise", "list_first", section.list_first),
        Setting("connectwise", "clear_date", section.clear_date),
        Setting("connectwise", "change_by", section.change_by),
        Setting("payments", "date_partial_payments", settings.payments.date_partial_payments),
    ]


def _ending(proof: Proof, findings: Sequence[Finding], looks: Looks, seconds: float, company: str) -> Iterable[str]:
    """Yield what stands below the findings."""
    whole = "Proved" if proof.broken_off is None else "Broken off"
    where = f" ({proof.where})" if proof.where else ""
    if proof.version:
        calls = looks.gateway.calls
        yield f"{whole} on ConnectWise {proof.version}{where}, company {company}, {calls} requests, {seconds:.0f} s"
    if proof.left is not None:
        yield from proof.left.sentences
    elif proof.noted is not None:
        rows = ", ".join(map(str, proof.noted.rows)) or "unknown"
        yield (
            f"Test invoice {proof.noted.invoice_number} may still have a test payment (id {rows}). The next start of "
            "prove removes it. Or remove it by hand: Finance > Invoicing, open the invoice, its payments, delete it."
        )
    if settings := suggested(findings):
        # Late: TOML is written only where something is to be set.
        from watcher.config.writing import toml

        yield "Suggested:"
        yield from (f"  {line}" for line in toml(settings).splitlines() if line)
    if proof.noted is None and proof.broken_off is None:
        yield from fitness.HOW_TO.splitlines()


def _remembered(proof: Proof, findings: Sequence[Finding], *, whole: bool) -> proved.Proved:
    different = [each.what for each in findings if each.verdict == "differs"]
    day = datetime.now(UTC).date().isoformat()
    return proved.Proved(day, proof.version, proved.WHOLE if whole else proved.READ_ONLY, different, proof.version)


def _report(
    settings: Settings, proof: Proof, findings: Sequence[Finding], chosen: Chosen | None, looks: Looks
) -> dict[str, Any]:
    answers = looks.gateway.answers
    redacted = redactor((*secrets_of(settings), settings.connectwise.company))
    blackout = Blackout((chosen.id, chosen.number) if chosen else None, answers, redacted)
    return {
        "version": proof.version,
        "where": proof.where,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "payment_watcher": watcher.__version__,
        "mode": proved.WHOLE if chosen else proved.READ_ONLY,
        "broken_off": None if proof.broken_off is None else blackout.text(str(proof.broken_off)),
        "requests": looks.gateway.calls,
        "findings": [finding_as_json(each, blackout) for each in findings],
        "suggested": suggested(findings),
        "rules": rules_of(findings),
        "calls": calls_as_json(answers, blackout),
    }
