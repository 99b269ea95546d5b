"""``sandbox``: the stand-in for ConnectWise, until it is asked to end."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from watcher.config.writing import toml
from watcher.lifetime import Lifetime
from watcher.sandbox import (
    InvoiceSeed,
    RuleError,
    Rules,
    Sandbox,
    SignIn,
    numbered_invoices,
    read_invoices,
    read_rules,
    rules_of,
)

# How often it is looked whether it is to end (seconds), though being asked to end wakes it at once.
_LONG_SECONDS = 3600.0


def seeds(invoices: str) -> list[InvoiceSeed]:
    """Return the invoices of the sandbox.

    Args:
        invoices: how many, or a JSON file of them.
    """
    try:
        return list(numbered_invoices(int(invoices)) if invoices.isdigit() else read_invoices(Path(invoices)))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--invoices") from error


def rules(like: Path | None, assignments: Sequence[str]) -> Rules:
    """Return the rules of the ConnectWise that the sandbox plays.

    Args:
        like: a JSON file with the rules and the version of a ConnectWise; None for a plain one.
        assignments: each ``NAME=VALUE``; they count for more than the report.
    """
    reported: dict[str, object] = {}
    if like is not None:
        try:
            reported = rules_of(json.loads(like.read_text(encoding="utf-8"))).bent()
        except (OSError, ValueError, RecursionError) as error:
            raise typer.BadParameter(f"{like}: {error}", param_hint="--like") from error
    try:
        return read_rules(assignments, reported)
    except RuleError as error:
        raise typer.BadParameter(str(error), param_hint="--rule") from error


def serve(
    port: int, invoices: Sequence[InvoiceSeed], latency: float, requests_per_minute: int | None, rules: Rules
) -> None:
    """Print how to reach the sandbox, and serve it until SIGTERM or Ctrl-C.

    Args:
        port: on 127.0.0.1; 0 takes a free one.
        invoices: what its books hold.
        latency: how long each answer takes (seconds).
        requests_per_minute: what it answers before it says 429; None for no limit.
        rules: how the ConnectWise behaves.
    """
    sign_in = SignIn()
    server = Sandbox(invoices, sign_in, port, latency, requests_per_minute, rules)
    lifetime = Lifetime()
    lifetime.catch_signals()
    try:
        server.start()
    except OSError as error:
        raise typer.BadParameter(f"port {port}: {os.strerror(error.errno or 0)}", param_hint="--port") from error
    try:
        bent = "".join(f"Rule: {assignment}\n" for assignment in rules.assignments())
        settings = toml({"connectwise": {"site": server.url, **asdict(sign_in)}})
        typer.echo(
            f"ConnectWise sandbox with {len(invoices)} invoices; its books: {server.url}/books\n"
            f"{bent}\n{settings}\nCtrl-C ends it."
        )
        while not lifetime.until_ending(_LONG_SECONDS):
            pass
    finally:
        server.stop()
